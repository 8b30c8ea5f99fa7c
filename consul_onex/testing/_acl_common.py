"""What the endpoints of access control have in common."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from typing import Any, Final

from ._go import GoError
from ._http import NO_NAMESPACES, Answer, Asked, RefusedError, options_of
from ._kv import check_uuid
from ._server import NO_META, Server
from ._shape import ANY, UINT, Shape
from ._state import Row, State, key_of
from ._tree import Tree, Watch

__all__ = ["MARKS", "check_id", "marked", "need_write", "read", "sent"]

MARKS: Final = {"Hash": ANY, "CreateIndex": UINT, "ModifyIndex": UINT}
"""What is told of a policy or a token, may be sent again, and is not looked at then."""

# What makes one of them another than it was.
_CONTENT: Final = ("Name", "Description", "Rules", "Datacenters", "Policies", "Local")


async def need_write(server: Server, asked: Asked) -> None:
    """Wait until somebody can answer, and refuse who may not write."""
    asked.refuse_namespaces()
    await server.ready(options_of(asked))
    server.rights(asked).need("write", "acl")


async def read(
    server: Server, asked: Asked, table: str, look: Callable[[Watch], Any], *, own: bool = False
) -> Answer:
    """What is found, where it may be read; who reads of itself (`own`) always may."""
    if not own:
        asked.refuse_namespaces()

    def looked(watch: Watch) -> tuple[int, Any]:
        if not own:
            server.rights(asked).need("read", "acl")
        return server.state.touched(table, watch=watch), look(watch)

    try:
        meta, found = await server.read(options_of(asked), looked)
    except GoError as error:
        raise RefusedError(500, str(error), NO_META) from None
    except RefusedError as error:
        error.answer.headers.update(NO_META)
        raise
    if found is None:
        raise RefusedError(403, "ACL not found", meta)
    return Answer.json(found, meta)


def sent(asked: Asked, shape: Shape, what: str) -> Row:
    """What was sent; `what` is its name in errors."""
    asked.refuse_namespaces()
    try:
        return asked.parsed(shape, f"Bad request: {what} decoding failed: ") or {}
    except RefusedError as error:
        if error.answer.body.endswith(b'"Namespace"'):
            error.answer.body += f" - {NO_NAMESPACES}".encode()
        raise


def marked(state: State, table: Tree[Row], key: str, row: Row) -> Row:
    """A row with what says that it has changed, and when; it is kept so."""
    old = table.get(key_of(key))
    content = repr([row.get(name) for name in _CONTENT])
    digest = hashlib.blake2b(content.encode(), digest_size=32).digest()
    row = {
        **row,
        "Hash": base64.b64encode(digest).decode(),
        "CreateIndex": state.index if old is None else old["CreateIndex"],
        "ModifyIndex": state.index,
    }
    table.put(key_of(key), row)
    return row


def check_id(text: str, what: str) -> None:
    """Refuse what cannot be an id; `what` says first that something has failed."""
    try:
        check_uuid(text)
    except GoError as error:
        raise GoError(f"{what}: {error}") from None
