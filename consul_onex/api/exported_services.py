"""What other clusters and partitions may use."""

from __future__ import annotations

from typing import Final

from .._wire import Takes, Wire
from ..models._base import rows_of
from ..models.exported_services import ResolvedExportedService
from ..query import Cursor

__all__ = ["ExportedServices"]

# Inside the class, `list` is the method of that name.
Rows = list[ResolvedExportedService]

_ROWS: Final = rows_of(ResolvedExportedService)


class ExportedServices:
    """
    What other clusters and partitions may use.

    https://developer.hashicorp.com/consul/api-docs/exported-services
    """

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    async def list(self, cursor: Cursor | None = None) -> Rows:
        """
        The services that the `exported-services` entry exports, each with its consumers.

        GET /v1/exported-services  since Consul 1.17
        https://developer.hashicorp.com/consul/api-docs/exported-services#list-exported-services
        """
        return await self._wire.read(
            "exported_services.list",
            "/v1/exported-services",
            _ROWS,
            cursor=cursor,
            takes=Takes.PARTITION,
        )
