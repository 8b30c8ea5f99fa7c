"""The whole state of the servers, as an archive."""

from __future__ import annotations

from .._wire import Wire

__all__ = ["Snapshot"]


class Snapshot:
    """
    The whole state of the servers, as an archive.

    https://developer.hashicorp.com/consul/api-docs/snapshot
    """

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
