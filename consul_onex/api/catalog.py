"""What is registered, as the servers know it."""

from __future__ import annotations

from typing import Final

from pydantic import TypeAdapter

from .._wire import Takes, Wire

__all__ = ["Catalog"]

_NAMES: Final = TypeAdapter(list[str])


class Catalog:
    """
    Nodes and services, as the servers know them.

    https://developer.hashicorp.com/consul/api-docs/catalog
    """

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

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
