"""The agent itself: what is registered with it, and how it is doing."""

from __future__ import annotations

from .._wire import Wire

__all__ = ["Agent"]


class Agent:
    """
    The agent itself: what is registered with it, and how it is doing.

    https://developer.hashicorp.com/consul/api-docs/agent
    """

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
