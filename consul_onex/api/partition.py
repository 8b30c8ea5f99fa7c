"""Admin partitions of Consul Enterprise."""

from __future__ import annotations

from .._wire import Wire

__all__ = ["Partitions"]


class Partitions:
    """
    Admin partitions of Consul Enterprise.

    https://developer.hashicorp.com/consul/api-docs/admin-partitions
    """

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
