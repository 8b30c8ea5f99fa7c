"""Raft, autopilot, gossip keys and more, for who runs the servers."""

from __future__ import annotations

from ..._wire import Wire

__all__ = ["Operator"]


class Operator:
    """
    Raft, autopilot, gossip keys and more, for who runs the servers.

    https://developer.hashicorp.com/consul/api-docs/operator
    """

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
