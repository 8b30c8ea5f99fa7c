"""Network coordinates: where nodes are, measured in round trips."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from ..errors import InvalidRequestError
from ._base import Definition, Received

__all__ = ["Coordinate", "CoordinateDatacenter", "CoordinateEntry"]


class Coordinate(Definition):
    """
    A place in a space whose distances are round-trip times, in seconds.

    https://developer.hashicorp.com/consul/docs/architecture/coordinates
    """

    vec: list[float]
    """Eight numbers."""
    error: float
    """How sure the node is of its place: from 0 on, less is better, 1.5 at the start."""
    adjustment: float
    height: float

    def distance_to(self, other: Coordinate) -> float:
        """
        The round trip between two nodes, estimated, in seconds.

        It says something only for coordinates of the same area and segment.
        """
        if len(self.vec) != len(other.vec):
            raise InvalidRequestError("coordinates with different dimensions have no distance")
        distance = math.dist(self.vec, other.vec) + self.height + other.height
        adjusted = distance + self.adjustment + other.adjustment
        return adjusted if adjusted > 0 else distance


class CoordinateEntry(Definition):
    """The coordinate of a node in one network segment; the empty segment is the default one."""

    node: str
    segment: str = ""
    coord: Coordinate
    partition: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CoordinateDatacenter(Received):
    """
    The coordinates of a datacenter's servers in the WAN.

    Only those of the same `area_id` can be compared: `wan`, or the id of a network area.
    """

    datacenter: str = ""
    area_id: str = ""
    coordinates: list[CoordinateEntry] = field(default_factory=list)
