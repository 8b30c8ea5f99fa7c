"""Transactions: several operations, all or none."""

from __future__ import annotations

from .._wire import Wire

__all__ = ["Txn"]


class Txn:
    """
    Transactions: several operations, all or none.

    https://developer.hashicorp.com/consul/api-docs/txn
    """

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
