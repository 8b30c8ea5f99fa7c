"""Configuration entries of the service mesh."""

from __future__ import annotations

from .._wire import Wire

__all__ = ["Config"]


class Config:
    """
    Configuration entries of the service mesh.

    https://developer.hashicorp.com/consul/api-docs/config
    """

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
