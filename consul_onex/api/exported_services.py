"""What other clusters and partitions may use."""

from __future__ import annotations

from .._wire import Wire

__all__ = ["ExportedServices"]


class ExportedServices:
    """
    What other clusters and partitions may use.

    https://developer.hashicorp.com/consul/api-docs/exported-services
    """

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
