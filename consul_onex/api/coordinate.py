"""Network coordinates: how far nodes are from each other."""

from __future__ import annotations

from typing import Final

from .._call import Safety
from .._path import Params
from .._path import segment as encoded
from .._wire import Takes, Wire
from ..errors import UnsupportedEndpointError
from ..models._base import rows_of
from ..models.coordinate import CoordinateDatacenter, CoordinateEntry
from ..query import Cursor, QueryMeta

__all__ = ["Coordinates"]

_DATACENTERS: Final = rows_of(CoordinateDatacenter)
_ENTRIES: Final = rows_of(CoordinateEntry)

# A node is in a partition, but in no namespace.
_NODES_TAKE: Final = Takes.DATACENTER | Takes.CONSISTENCY | Takes.PARTITION


class Coordinates:
    """
    Network coordinates: how far nodes are from each other.

    Agents measure round trips while they gossip, and the servers know the results.
    `Coordinate.distance_to` tells what two of them mean.

    https://developer.hashicorp.com/consul/api-docs/coordinate
    """

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    async def datacenters(self) -> list[CoordinateDatacenter]:
        """
        The coordinates of the servers in the WAN, by datacenter, as the answering server sees them.

        GET /v1/coordinate/datacenters
        https://developer.hashicorp.com/consul/api-docs/coordinate#read-wan-coordinates
        """
        return await self._wire.read(
            "coordinate.datacenters",
            "/v1/coordinate/datacenters",
            _DATACENTERS,
            takes=Takes.NOTHING,
        )

    async def nodes(
        self, *, segment: str | None = None, cursor: Cursor | None = None
    ) -> list[CoordinateEntry]:
        """
        The coordinates of the datacenter's nodes, of every network segment unless one is named.

        GET /v1/coordinate/nodes
        https://developer.hashicorp.com/consul/api-docs/coordinate#read-lan-coordinates-for-all-nodes
        """
        return await self._wire.read(
            "coordinate.nodes",
            "/v1/coordinate/nodes",
            _ENTRIES,
            _of(segment),
            cursor=cursor,
            takes=_NODES_TAKE,
        )

    async def node(
        self, node: str, *, segment: str | None = None, cursor: Cursor | None = None
    ) -> list[CoordinateEntry]:
        """
        The coordinates of one node, of every network segment unless one is named.

        The empty list where there is no such node, and where it has none yet; that cannot be waited
        on, since the answer has no index then.

        GET /v1/coordinate/node/:node
        https://developer.hashicorp.com/consul/api-docs/coordinate#read-lan-coordinates-for-a-node
        """
        try:
            return await self._wire.read(
                "coordinate.node",
                f"/v1/coordinate/node/{encoded(node, 'node')}",
                _ENTRIES,
                _of(segment),
                cursor=cursor,
                missing=[],
                takes=_NODES_TAKE,
            )
        except UnsupportedEndpointError:
            # Every server has this route: so each answers, without an index, where there is none.
            if cursor is not None:
                cursor.advance(QueryMeta())
            return []

    async def update(self, entry: CoordinateEntry) -> None:
        """
        Say where a node is that has no agent to find out. It shows after some seconds.

        BadRequestError when it has not as many dimensions as the others. A node that does not exist
        is no error.

        PUT /v1/coordinate/update
        https://developer.hashicorp.com/consul/api-docs/coordinate#update-lan-coordinates-for-a-node
        """
        await self._wire.ask(
            "coordinate.update",
            "PUT",
            "/v1/coordinate/update",
            json=entry.body(),
            safety=Safety.IDEMPOTENT,
            takes=Takes.DATACENTER | Takes.PARTITION,
        )


def _of(segment: str | None) -> Params:
    return [] if segment is None else [("segment", segment)]
