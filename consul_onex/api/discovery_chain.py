"""What the mesh makes of the name of a service."""

from __future__ import annotations

from .._wire import Wire

__all__ = ["DiscoveryChain"]


class DiscoveryChain:
    """
    What the mesh makes of the name of a service.

    https://developer.hashicorp.com/consul/api-docs/discovery-chain
    """

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
