"""Network coordinates: how far nodes are from each other."""

from __future__ import annotations

from .._wire import Wire

__all__ = ["Coordinates"]


class Coordinates:
    """
    Network coordinates: how far nodes are from each other.

    https://developer.hashicorp.com/consul/api-docs/coordinate
    """

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
