"""Prepared queries."""

from __future__ import annotations

from .._wire import Wire

__all__ = ["Query"]


class Query:
    """
    Prepared queries.

    https://developer.hashicorp.com/consul/api-docs/query
    """

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
