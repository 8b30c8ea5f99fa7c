"""What is used of other clusters and partitions."""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import BeforeValidator, TypeAdapter

from .._json import LAZY
from .._wire import Takes, Wire
from ..models._base import NullIs
from ..models.exported_services import ImportedService
from ..query import Cursor

__all__ = ["ImportedServices"]

# Inside the class, `list` is the method of that name.
Rows = list[ImportedService]


def _rows(answer: Any) -> Any:
    # Enterprise puts the list into an object, which says of which partition it is.
    return answer.get("ImportedServices") if isinstance(answer, dict) else answer


_ROWS: Final[TypeAdapter[Rows]] = TypeAdapter(
    Annotated[Rows, NullIs(list), BeforeValidator(_rows)], config=LAZY
)


class ImportedServices:
    """
    What is used of other clusters and partitions.

    https://developer.hashicorp.com/consul/api-docs/imported-services
    """

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    async def list(self, cursor: Cursor | None = None) -> Rows:
        """
        The services of other clusters and partitions that may be used here.

        GET /v1/imported-services  since Consul 1.22
        https://developer.hashicorp.com/consul/api-docs/imported-services
        """
        return await self._wire.read(
            "imported_services.list",
            "/v1/imported-services",
            _ROWS,
            cursor=cursor,
            takes=Takes.PARTITION,
        )
