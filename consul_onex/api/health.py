"""Who is well: services with their checks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from .._path import Params, segment
from .._selection import selection
from .._wire import Wire
from ..models._base import rows_of
from ..models.check import HealthCheck
from ..models.health import ServiceEntry, ServiceInstance
from ..query import Cursor

__all__ = ["Health"]

_CHECKS: Final = rows_of(HealthCheck)
_ENTRIES: Final = rows_of(ServiceEntry)
_INSTANCES: Final = rows_of(ServiceInstance)


class Health:
    """
    Who is well: services with their checks.

    Reads leave out what the token may not see, and say nothing of it before Consul 1.11. Options
    that choose are heeded all together: `passing`, which leaves out every instance that has a check
    which does not pass, `tag` (each of several), `node_meta`, and `filter`, an expression. `near`
    is the name of a node, or `_agent`, to sort by the round trip from there. `peer` is a cluster
    whose imported services are meant, `sameness_group` one of Consul Enterprise's.

    https://developer.hashicorp.com/consul/api-docs/health
    """

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    # -- instances --------------------------------------------------------------------------------

    async def service(
        self,
        name: str,
        passing: bool = False,
        tag: str | Sequence[str] | None = None,
        near: str | None = None,
        filter: str | None = None,
        cursor: Cursor | None = None,
        *,
        node_meta: Mapping[str, str] | None = None,
        peer: str | None = None,
        sameness_group: str | None = None,
        merge_central_config: bool = False,
    ) -> list[ServiceEntry]:
        """
        The instances of a service, each with its node and the checks of both.

            for entry in await c.health.service("web", passing=True):
                print(entry.address, entry.port)

        The empty list where there is none, and where there is no such service.

        GET /v1/health/service/:service
        https://developer.hashicorp.com/consul/api-docs/health#list-nodes-for-service
        """
        params = await selection(
            *(self._wire, "health.service"),
            passing=passing,
            tag=tag,
            near=near,
            filter=filter,
            node_meta=node_meta,
            peer=peer,
            sameness_group=sameness_group,
            merge_central_config=merge_central_config,
        )
        path = f"/v1/health/service/{segment(name, 'service')}"
        return await self._entries("health.service", path, params, cursor)

    async def instances(
        self,
        name: str,
        passing: bool = False,
        tag: str | Sequence[str] | None = None,
        near: str | None = None,
        filter: str | None = None,
        cursor: Cursor | None = None,
        *,
        node_meta: Mapping[str, str] | None = None,
        peer: str | None = None,
        sameness_group: str | None = None,
    ) -> list[ServiceInstance]:
        """
        As `service`, but of each instance only where it is, its tags, its weight and its status.

        Much cheaper to read, and a tenth of the size: for those who choose among many, or follow
        them all the time. (It is the same answer that travels.)

        GET /v1/health/service/:service
        https://developer.hashicorp.com/consul/api-docs/health#list-nodes-for-service
        """
        params = await selection(
            *(self._wire, "health.instances"),
            passing=passing,
            tag=tag,
            near=near,
            filter=filter,
            node_meta=node_meta,
            peer=peer,
            sameness_group=sameness_group,
        )
        path = f"/v1/health/service/{segment(name, 'service')}"
        home = await self._home()
        found = await self._wire.read("health.instances", path, _INSTANCES, params, cursor=cursor)
        if home is None:
            return found
        return [one if one.datacenter in ("", home) else replace(one, remote=True) for one in found]

    async def connect(
        self,
        name: str,
        passing: bool = False,
        *,
        near: str | None = None,
        filter: str | None = None,
        node_meta: Mapping[str, str] | None = None,
        peer: str | None = None,
        sameness_group: str | None = None,
        merge_central_config: bool = False,
        cursor: Cursor | None = None,
    ) -> list[ServiceEntry]:
        """
        Where a service is reached in the mesh: its proxies, and instances that need none.

        To choose by tags takes a `filter`: no server heeds `tag` here.

        GET /v1/health/connect/:service
        https://developer.hashicorp.com/consul/api-docs/health#list-service-instances-for-mesh-enabled-service
        """
        params = await selection(
            *(self._wire, "health.connect"),
            passing=passing,
            near=near,
            filter=filter,
            node_meta=node_meta,
            peer=peer,
            sameness_group=sameness_group,
            merge_central_config=merge_central_config,
        )
        path = f"/v1/health/connect/{segment(name, 'service')}"
        return await self._entries("health.connect", path, params, cursor)

    async def ingress(
        self,
        name: str,
        passing: bool = False,
        *,
        near: str | None = None,
        filter: str | None = None,
        node_meta: Mapping[str, str] | None = None,
        sameness_group: str | None = None,
        merge_central_config: bool = False,
        cursor: Cursor | None = None,
    ) -> list[ServiceEntry]:
        """
        The ingress gateways through which a service is reached from outside of the mesh.

        To choose by tags takes a `filter`: with `tag`, servers answer with other instances.

        GET /v1/health/ingress/:service
        https://developer.hashicorp.com/consul/api-docs/health#list-service-instances-for-ingress-gateways-associated-with-a-service
        """
        params = await selection(
            *(self._wire, "health.ingress"),
            passing=passing,
            near=near,
            filter=filter,
            node_meta=node_meta,
            sameness_group=sameness_group,
            merge_central_config=merge_central_config,
        )
        path = f"/v1/health/ingress/{segment(name, 'service')}"
        return await self._entries("health.ingress", path, params, cursor)

    async def _entries(
        self, operation: str, path: str, params: Params, cursor: Cursor | None
    ) -> list[ServiceEntry]:
        home = await self._home()
        entries = await self._wire.read(operation, path, _ENTRIES, params, cursor=cursor)
        if home is None:
            return entries
        return [
            entry if entry.node.datacenter in ("", home) else replace(entry, remote=True)
            for entry in entries
        ]

    async def _home(self) -> str | None:
        """The agent's own datacenter, where another one may answer; None where it is not known."""
        options = self._wire.options
        if options.datacenter is None and not options.failover:
            return None
        server = await self._wire.server()
        return server.datacenter if server is not None else None

    # -- checks -----------------------------------------------------------------------------------

    async def node(
        self,
        node: str,
        *,
        filter: str | None = None,
        peer: str | None = None,
        cursor: Cursor | None = None,
    ) -> list[HealthCheck]:
        """
        The checks of a node and of the services on it. The empty list where there is no such node.

        GET /v1/health/node/:node
        https://developer.hashicorp.com/consul/api-docs/health#list-checks-for-node
        """
        params = await selection(self._wire, "health.node", filter=filter, peer=peer)
        path = f"/v1/health/node/{segment(node, 'node')}"
        return await self._wire.read("health.node", path, _CHECKS, params, cursor=cursor)

    async def checks(
        self,
        service: str,
        *,
        near: str | None = None,
        filter: str | None = None,
        node_meta: Mapping[str, str] | None = None,
        peer: str | None = None,
        cursor: Cursor | None = None,
    ) -> list[HealthCheck]:
        """
        The checks of a service, on all nodes; not those of the nodes themselves.

        GET /v1/health/checks/:service
        https://developer.hashicorp.com/consul/api-docs/health#list-checks-for-service
        """
        params = await selection(
            *(self._wire, "health.checks"),
            near=near,
            filter=filter,
            node_meta=node_meta,
            peer=peer,
        )
        path = f"/v1/health/checks/{segment(service, 'service')}"
        return await self._wire.read("health.checks", path, _CHECKS, params, cursor=cursor)

    async def state(
        self,
        state: str = "any",
        *,
        near: str | None = None,
        filter: str | None = None,
        node_meta: Mapping[str, str] | None = None,
        cursor: Cursor | None = None,
    ) -> list[HealthCheck]:
        """
        Every check in a state: `passing`, `warning`, `critical`, or `any`.

        Of any other word Consul says that nothing is in that state.

        GET /v1/health/state/:state
        https://developer.hashicorp.com/consul/api-docs/health#list-checks-in-state
        """
        params = await selection(
            *(self._wire, "health.state"), near=near, filter=filter, node_meta=node_meta
        )
        path = f"/v1/health/state/{segment(state, 'state')}"
        return await self._wire.read("health.state", path, _CHECKS, params, cursor=cursor)
