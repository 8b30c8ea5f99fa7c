"""One thing by its id or its name, which old servers have several ways to say is not there."""

from __future__ import annotations

from typing import Any, Final, TypeVar

from pydantic import TypeAdapter

from ..._call import Safety
from ..._json import LAZY
from ..._path import Params
from ..._wire import Takes, Wire
from ...errors import NotFoundError, PermissionDeniedError, UnsupportedEndpointError
from ...query import Cursor

__all__ = ["NOBODY", "UNKNOWN", "delete", "find"]

T = TypeVar("T")

NOBODY: Final = "00000000-0000-0000-0000-000000000000"
"""An id, or a name, that nothing has: what is filtered by it is a short list."""

UNKNOWN: Final = "ACL not found"
"""What Consul says of a thing, and of the token that asks."""

_ANYTHING: Final = TypeAdapter[Any](Any, config=LAZY)
_BOOL: Final = TypeAdapter(bool, config=LAZY)


async def find(
    wire: Wire,
    operation: str,
    path: str,
    adapter: TypeAdapter[T],
    params: Params | None = None,
    *,
    cursor: Cursor | None = None,
    among: str,
    selected: Params | None = None,
) -> T | None:
    """
    Read one thing. None where there is none `among` the others.

    Newer servers say so, with a 404 and a text. Older ones say what they say of a token that they
    do not know (403), or of a route that they do not have (404, nothing else). So then the list is
    read: it is refused where it was that. None of them says what to wait beyond until the thing is
    there; the list does.
    """
    try:
        found = await wire.find(operation, path, adapter, params, cursor=cursor, unless=UNKNOWN)
        if found is not None or cursor is None:
            return found
    except PermissionDeniedError as error:
        if UNKNOWN not in error.detail:
            raise
    except (NotFoundError, UnsupportedEndpointError):
        pass
    await wire.read(operation, among, _ANYTHING, selected, cursor=cursor)
    return None


async def delete(wire: Wire, operation: str, path: str, *, takes: Takes) -> bool:
    """Delete one thing. True, also when it was gone, of which newer servers complain."""
    answer = await wire.ask(
        *(operation, "DELETE", path),
        safety=Safety.IDEMPOTENT,
        takes=takes,
        missing="to delete",
    )
    return answer.status == 404 or answer.decode(_BOOL)
