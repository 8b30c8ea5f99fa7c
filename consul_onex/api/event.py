"""User events."""

from __future__ import annotations

from .._wire import Wire

__all__ = ["Event"]


class Event:
    """
    User events.

    https://developer.hashicorp.com/consul/api-docs/event
    """

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
