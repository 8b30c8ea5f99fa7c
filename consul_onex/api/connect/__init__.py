"""The certificate authority of the service mesh, and who may talk to whom."""

from __future__ import annotations

from ..._wire import Wire

__all__ = ["Connect"]


class Connect:
    """
    The certificate authority of the service mesh, and who may talk to whom.

    https://developer.hashicorp.com/consul/api-docs/connect
    """

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
