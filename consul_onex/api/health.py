"""Who is well: services with their checks."""

from __future__ import annotations

from .._wire import Wire

__all__ = ["Health"]


class Health:
    """
    Who is well: services with their checks.

    https://developer.hashicorp.com/consul/api-docs/health
    """

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
