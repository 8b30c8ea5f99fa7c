"""Links to other clusters."""

from __future__ import annotations

from .._wire import Wire

__all__ = ["Peerings"]


class Peerings:
    """
    Links to other clusters.

    https://developer.hashicorp.com/consul/api-docs/peering
    """

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
