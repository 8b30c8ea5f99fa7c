"""What the mesh makes of the name of a service."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from pydantic import TypeAdapter

from .._call import Safety
from .._path import Params, segment
from .._wire import Takes, Wire, following
from ..models import discovery_chain as models
from ..models._base import Received
from ..models.service import MeshGateway
from ..query import Cursor

__all__ = ["DiscoveryChain"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Compiled(Received):
    """The answer."""

    chain: models.DiscoveryChain = field(default_factory=models.DiscoveryChain)


_COMPILED: Final = TypeAdapter(_Compiled)


class DiscoveryChain:
    """
    What the mesh makes of the name of a service.

    https://developer.hashicorp.com/consul/api-docs/discovery-chain
    """

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    async def get(
        self,
        service: str,
        *,
        compile_datacenter: str | None = None,
        override_connect_timeout: float | None = None,
        override_protocol: str | None = None,
        override_mesh_gateway: str | None = None,
        cursor: Cursor | None = None,
    ) -> models.DiscoveryChain:
        """
        Compile the entries about a service: which requests go where.

        There need be no such service. It is compiled as for a proxy in `compile_datacenter`, the
        agent's own where not given. The overrides hold for every service in the chain: connect
        timeout (seconds), protocol, and mode of the mesh gateway (`none`, `local` or `remote`).

        GET /v1/discovery-chain/:service
        POST /v1/discovery-chain/:service
        https://developer.hashicorp.com/consul/api-docs/discovery-chain#read-compiled-discovery-chain
        """
        path = f"/v1/discovery-chain/{segment(service, 'service')}"
        params: Params = []
        if compile_datacenter is not None:
            params.append(("compile-dc", compile_datacenter))
        overrides = models.ChainOverrides(
            override_connect_timeout=override_connect_timeout,
            override_protocol=override_protocol,
            override_mesh_gateway=(
                None if override_mesh_gateway is None else MeshGateway(mode=override_mesh_gateway)
            ),
        )
        if not overrides.to_wire():
            compiled = await self._wire.read(
                "discovery_chain.get", path, _COMPILED, params, cursor=cursor
            )
            return compiled.chain
        with following(cursor):
            answer = await self._wire.ask(
                *("discovery_chain.get", "POST", path, params),
                json=overrides.body(),
                safety=Safety.SAFE,
                takes=Takes.READ,
                cursor=cursor,
            )
            compiled = answer.decode(_COMPILED)
            if cursor is not None:
                cursor.advance(answer.meta)
            return compiled.chain
