"""Namespaces of Consul Enterprise."""

from __future__ import annotations

from .._wire import Wire

__all__ = ["Namespaces"]


class Namespaces:
    """
    Namespaces of Consul Enterprise.

    https://developer.hashicorp.com/consul/api-docs/namespaces
    """

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
