"""The certificate authority of the service mesh, and who may talk to whom."""

from __future__ import annotations

from functools import cached_property

from ..._wire import Wire
from .ca import CA
from .intention import Intentions

__all__ = ["Connect"]


class Connect:
    """
    The certificate authority of the service mesh, and who may talk to whom.

    https://developer.hashicorp.com/consul/api-docs/connect
    """

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    @cached_property
    def ca(self) -> CA:
        """The certificate authority."""
        return CA(self._wire)

    @cached_property
    def intention(self) -> Intentions:
        """Who may talk to whom."""
        return Intentions(self._wire)
