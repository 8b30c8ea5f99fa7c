"""What is used of other clusters and partitions."""

from __future__ import annotations

from .._wire import Wire

__all__ = ["ImportedServices"]


class ImportedServices:
    """
    What is used of other clusters and partitions.

    https://developer.hashicorp.com/consul/api-docs/imported-services
    """

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
