"""What is registered, as the servers know it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, TypeVar

from pydantic import TypeAdapter

from .._call import Safety
from .._json import LAZY
from .._path import segment
from .._selection import selection
from .._wire import Takes, Wire
from ..errors import InvalidRequestError
from ..models._base import rows_of
from ..models.catalog import (
    CatalogDeregistration,
    CatalogNode,
    CatalogNodeServices,
    CatalogRegistration,
    CatalogService,
    GatewayService,
    Node,
)
from ..query import Cursor

__all__ = ["Catalog"]

D = TypeVar("D", CatalogRegistration, CatalogDeregistration)

_NAMES: Final = TypeAdapter(list[str])
_NODES: Final = rows_of(Node)
_SERVICES: Final = TypeAdapter(dict[str, list[str]], config=LAZY)
_INSTANCES: Final = rows_of(CatalogService)
_NODE: Final[TypeAdapter[CatalogNode | None]] = TypeAdapter(CatalogNode | None, config=LAZY)
_NODE_SERVICES: Final = TypeAdapter(CatalogNodeServices)
_GATEWAY_SERVICES: Final = rows_of(GatewayService)

# A node is in a partition, but in no namespace.
_NODES_TAKE: Final = Takes.DATACENTER | Takes.CONSISTENCY | Takes.PARTITION


class Catalog:
    """
    Nodes and services, as the servers know them.

    What is registered here belongs to nobody: for what runs on the machine of an agent,
    `c.agent.register` is the way, since agents set right what the servers know of their nodes.

    Reads leave out what the token may not see, and say nothing of it before Consul 1.11. Options
    that choose are heeded all together: `tag` (each of several), `node_meta`, and `filter`, an
    expression. `near` is the name of a node, or `_agent`, to sort by the round trip from there.
    `peer` is a cluster whose imported services are meant.

    https://developer.hashicorp.com/consul/api-docs/catalog
    """

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    # -- write ------------------------------------------------------------------------------------

    async def register(self, registration: CatalogRegistration) -> bool:
        """
        Register a node, and with it a service and checks, or change what is registered. True.

        BadRequestError when Consul does not take it: no address, or a check of a service that the
        node does not have.

        PUT /v1/catalog/register
        https://developer.hashicorp.com/consul/api-docs/catalog#register-entity
        """
        return await self._wire.verdict(
            "catalog.register",
            "PUT",
            "/v1/catalog/register",
            json=self._placed(registration).body(),
            safety=Safety.IDEMPOTENT,
        )

    async def deregister(
        self, node: str, *, service_id: str | None = None, check_id: str | None = None
    ) -> bool:
        """
        Deregister a node and all that is on it; or one service, with its checks; or one check.

        True, also when it was not there.

        PUT /v1/catalog/deregister
        https://developer.hashicorp.com/consul/api-docs/catalog#deregister-entity
        """
        if service_id is not None and check_id is not None:
            raise InvalidRequestError(
                "a service or a check: Consul would deregister the service only",
                operation="catalog.deregister",
            )
        if "" in (service_id, check_id):
            raise InvalidRequestError(
                "an empty id: Consul would deregister the whole node",
                operation="catalog.deregister",
            )
        gone = CatalogDeregistration(node=node, service_id=service_id, check_id=check_id)
        return await self._wire.verdict(
            "catalog.deregister",
            "PUT",
            "/v1/catalog/deregister",
            json=self._placed(gone).body(),
            safety=Safety.IDEMPOTENT,
        )

    def _placed(self, definition: D) -> D:
        """Consul heeds the datacenter in the body, and overlooks the one in the query."""
        datacenter = self._wire.options.datacenter
        if datacenter is None or definition.datacenter is not None:
            return definition
        return definition.replace(datacenter=datacenter)

    # -- nodes ------------------------------------------------------------------------------------

    async def datacenters(self) -> list[str]:
        """
        The datacenters this agent knows, nearest first.

        It needs no token and no leader, so it also serves to see whether an agent answers. A
        datacenter that is down stays in the list.

        GET /v1/catalog/datacenters
        https://developer.hashicorp.com/consul/api-docs/catalog#list-datacenters
        """
        return await self._wire.read(
            "catalog.datacenters", "/v1/catalog/datacenters", _NAMES, takes=Takes.NOTHING
        )

    async def nodes(
        self,
        *,
        near: str | None = None,
        filter: str | None = None,
        node_meta: Mapping[str, str] | None = None,
        peer: str | None = None,
        cursor: Cursor | None = None,
    ) -> list[Node]:
        """
        The nodes of the datacenter.

        GET /v1/catalog/nodes
        https://developer.hashicorp.com/consul/api-docs/catalog#list-nodes
        """
        params = await selection(
            *(self._wire, "catalog.nodes"),
            near=near,
            filter=filter,
            node_meta=node_meta,
            peer=peer,
        )
        return await self._wire.read(
            "catalog.nodes",
            "/v1/catalog/nodes",
            _NODES,
            params,
            cursor=cursor,
            takes=_NODES_TAKE,
        )

    async def node(
        self,
        node: str,
        *,
        filter: str | None = None,
        peer: str | None = None,
        cursor: Cursor | None = None,
    ) -> CatalogNode | None:
        """
        A node and its services, by the id of each. None where there is no such node.

        The `filter` is about the services; the node is there without them.

        GET /v1/catalog/node/:node
        https://developer.hashicorp.com/consul/api-docs/catalog#retrieve-map-of-services-for-a-node
        """
        return await self._wire.read(
            "catalog.node",
            f"/v1/catalog/node/{segment(node, 'node')}",
            _NODE,
            await selection(self._wire, "catalog.node", filter=filter, peer=peer),
            cursor=cursor,
        )

    async def node_services(
        self,
        node: str,
        *,
        filter: str | None = None,
        merge_central_config: bool = False,
        cursor: Cursor | None = None,
    ) -> CatalogNodeServices | None:
        """
        A node and the list of its services. None where there is no such node.

        As `node`, but it has room for services of several namespaces, whose ids may be the same.
        With `merge_central_config`, those of proxies and gateways have what the configuration
        entries add.

        GET /v1/catalog/node-services/:node
        https://developer.hashicorp.com/consul/api-docs/catalog#list-services-for-node
        """
        found = await self._wire.read(
            "catalog.node_services",
            f"/v1/catalog/node-services/{segment(node, 'node')}",
            _NODE_SERVICES,
            await selection(
                *(self._wire, "catalog.node_services"),
                filter=filter,
                merge_central_config=merge_central_config,
            ),
            cursor=cursor,
        )
        return found if found.node.node else None

    # -- services ---------------------------------------------------------------------------------

    async def services(
        self,
        *,
        node_meta: Mapping[str, str] | None = None,
        filter: str | None = None,
        peer: str | None = None,
        cursor: Cursor | None = None,
    ) -> dict[str, list[str]]:
        """
        The names of all services, each with every tag that one of its instances has.

        `filter` came with Consul 1.13, and is about the instances.

        GET /v1/catalog/services
        https://developer.hashicorp.com/consul/api-docs/catalog#list-services
        """
        if filter is not None:
            await self._wire.needs("a filter of services", "1.13", "catalog.services")
        params = await selection(
            *(self._wire, "catalog.services"), filter=filter, node_meta=node_meta, peer=peer
        )
        return await self._wire.read(
            "catalog.services", "/v1/catalog/services", _SERVICES, params, cursor=cursor
        )

    async def service(
        self,
        name: str,
        *,
        tag: str | Sequence[str] | None = None,
        near: str | None = None,
        filter: str | None = None,
        node_meta: Mapping[str, str] | None = None,
        peer: str | None = None,
        merge_central_config: bool = False,
        cursor: Cursor | None = None,
    ) -> list[CatalogService]:
        """
        The instances of a service, healthy or not: `c.health.service` knows which.

        GET /v1/catalog/service/:service
        https://developer.hashicorp.com/consul/api-docs/catalog#list-nodes-for-service
        """
        params = await selection(
            *(self._wire, "catalog.service"),
            tag=tag,
            near=near,
            filter=filter,
            node_meta=node_meta,
            peer=peer,
            merge_central_config=merge_central_config,
        )
        path = f"/v1/catalog/service/{segment(name, 'service')}"
        return await self._wire.read("catalog.service", path, _INSTANCES, params, cursor=cursor)

    async def connect(
        self,
        name: str,
        *,
        near: str | None = None,
        filter: str | None = None,
        node_meta: Mapping[str, str] | None = None,
        peer: str | None = None,
        merge_central_config: bool = False,
        cursor: Cursor | None = None,
    ) -> list[CatalogService]:
        """
        Where a service is reached in the mesh: its proxies, and instances that need none.

        To choose by tags takes a `filter`: no server heeds `tag` here.

        GET /v1/catalog/connect/:service
        https://developer.hashicorp.com/consul/api-docs/catalog#list-nodes-for-mesh-capable-service
        """
        params = await selection(
            *(self._wire, "catalog.connect"),
            near=near,
            filter=filter,
            node_meta=node_meta,
            peer=peer,
            merge_central_config=merge_central_config,
        )
        path = f"/v1/catalog/connect/{segment(name, 'service')}"
        return await self._wire.read("catalog.connect", path, _INSTANCES, params, cursor=cursor)

    async def gateway_services(
        self, gateway: str, cursor: Cursor | None = None
    ) -> list[GatewayService]:
        """
        The services that an ingress or terminating gateway is configured for.

        GET /v1/catalog/gateway-services/:gateway
        https://developer.hashicorp.com/consul/api-docs/catalog#list-services-for-gateway
        """
        return await self._wire.read(
            "catalog.gateway_services",
            f"/v1/catalog/gateway-services/{segment(gateway, 'gateway')}",
            _GATEWAY_SERVICES,
            cursor=cursor,
        )
