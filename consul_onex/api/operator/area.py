"""Network areas of Consul Enterprise: links between the servers of two datacenters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from ..._call import Safety
from ..._json import MADE, dumped
from ..._path import segment
from ..._wire import Takes, Wire
from ...models._base import rows_of
from ...models.operator import Area, AreaDefinition, AreaJoin, AreaMember
from ...query import Cursor

__all__ = ["Areas"]

# Inside the class, `list` is the method of that name.
Rows = list[Area]
Joins = list[AreaJoin]
Members = list[AreaMember]

_ROWS: Final = rows_of(Area)
_JOINS: Final = rows_of(AreaJoin)
_MEMBERS: Final = rows_of(AreaMember)

_READ: Final = Takes.DATACENTER | Takes.CONSISTENCY


class Areas:
    """
    Network areas of Consul Enterprise: links between the servers of two datacenters.

    https://developer.hashicorp.com/consul/api-docs/operator/area
    """

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    async def create(
        self,
        peer_datacenter: str,
        *,
        retry_join: Sequence[str] | None = None,
        use_tls: bool | None = None,
    ) -> str:
        """
        Create an area with another datacenter, and return its id.

        `retry_join` are addresses of servers there (an ip or a host, with `:port` or without),
        which are tried until one joins; without them, `join` must be called. `use_tls` encrypts
        gossip within the area. There is one area at most with each datacenter.

        POST /v1/operator/area Enterprise
        https://developer.hashicorp.com/consul/api-docs/operator/area#create-network-area
        """
        area = AreaDefinition(
            peer_datacenter=peer_datacenter,
            retry_join=None if retry_join is None else list(retry_join),
            use_tls=use_tls,
        )
        made = await self._wire.write(
            *("operator.area.create", "POST", "/v1/operator/area", MADE),
            json=area.body(),
            takes=Takes.DATACENTER,
        )
        return made.ID

    async def list(self, cursor: Cursor | None = None) -> Rows:
        """
        Every area of the datacenter.

        GET /v1/operator/area Enterprise
        https://developer.hashicorp.com/consul/api-docs/operator/area#list-network-areas
        """
        return await self._wire.read(
            *("operator.area.list", "/v1/operator/area", _ROWS), cursor=cursor, takes=_READ
        )

    async def get(self, area: str, cursor: Cursor | None = None) -> Area | None:
        """
        Read one area by its id. None where there is none.

        GET /v1/operator/area/:area Enterprise
        https://developer.hashicorp.com/consul/api-docs/operator/area#list-specific-network-area
        """
        rows = await self._wire.read(
            *("operator.area.get", f"/v1/operator/area/{segment(area, 'area')}", _ROWS),
            cursor=cursor,
            missing=[],
            takes=_READ,
        )
        return rows[0] if rows else None

    async def update(self, area: str, *, use_tls: bool) -> None:
        """
        Change whether gossip within an area is encrypted.

        PUT /v1/operator/area/:area Enterprise
        https://developer.hashicorp.com/consul/api-docs/operator/area#update-network-area
        """
        await self._wire.ask(
            *("operator.area.update", "PUT", f"/v1/operator/area/{segment(area, 'area')}"),
            json=dumped({"UseTLS": use_tls}, "operator.area.update"),
            safety=Safety.IDEMPOTENT,
            takes=Takes.DATACENTER,
        )

    async def delete(self, area: str) -> None:
        """
        Delete an area.

        DELETE /v1/operator/area/:area Enterprise
        https://developer.hashicorp.com/consul/api-docs/operator/area#delete-network-area
        """
        await self._wire.ask(
            *("operator.area.delete", "DELETE", f"/v1/operator/area/{segment(area, 'area')}"),
            safety=Safety.IDEMPOTENT,
            takes=Takes.DATACENTER,
        )

    async def join(self, area: str, addresses: Sequence[str]) -> Joins:
        """
        Join servers of the other datacenter, and return how it went, address by address.

        PUT /v1/operator/area/:area/join Enterprise
        https://developer.hashicorp.com/consul/api-docs/operator/area#join-network-area
        """
        return await self._wire.write(
            *("operator.area.join", "PUT", f"/v1/operator/area/{segment(area, 'area')}/join"),
            _JOINS,
            json=dumped(list(addresses), "operator.area.join"),
            safety=Safety.IDEMPOTENT,
            takes=Takes.DATACENTER,
        )

    async def members(self, area: str) -> Members:
        """
        The servers in an area.

        GET /v1/operator/area/:area/members Enterprise
        https://developer.hashicorp.com/consul/api-docs/operator/area#list-network-area-members
        """
        return await self._wire.read(
            *("operator.area.members", f"/v1/operator/area/{segment(area, 'area')}/members"),
            _MEMBERS,
            takes=Takes.DATACENTER,
        )
