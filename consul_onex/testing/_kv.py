"""Keys and values, and who holds them."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from ._go import GoError, quoted, read_uint, well_formed
from ._http import Answer, Asked, Options, RefusedError, Router, options_of
from ._server import Server
from ._state import Pair, Session, State, key_of
from ._tree import Watch

__all__ = [
    "KV",
    "MOST_BYTES",
    "below",
    "check_uuid",
    "delete",
    "delete_if",
    "delete_tree",
    "find_session",
    "get",
    "is_held_back",
    "lock",
    "put",
    "put_if",
    "row_of",
    "unlock",
]

MOST_BYTES: Final = 512 * 1024


def _place(key: str) -> bytes:
    return key.encode("utf-8", "surrogateescape")


def row_of(pair: Pair, *, value: bool = True) -> dict[str, Any]:
    """A pair as JSON has it. Nothing is null there, and without a lock there is no session."""
    shown = base64.b64encode(pair.value).decode() if value and pair.value else None
    return {
        "LockIndex": pair.lock_index,
        "Key": well_formed(pair.key),
        "Flags": pair.flags,
        "Value": shown,
        **({"Session": pair.session} if pair.session else {}),
        "CreateIndex": pair.create_index,
        "ModifyIndex": pair.modify_index,
    }


# -- reading ---------------------------------------------------------------------------------------


def get(state: State, key: str, watch: Watch | None = None) -> tuple[int, Pair | None]:
    pair = state.pairs.get(_place(key), watch)
    if pair is None:
        return state.touched("kvs", "tombstones"), None
    return pair.modify_index, pair


def below(state: State, prefix: str, watch: Watch | None = None) -> tuple[int, list[Pair]]:
    """
    Everything whose key begins so. The index is that of the last change there.

    Where nothing ever was, it is that of the whole store: every write moves it.
    """
    pairs = list(state.pairs.items(_place(prefix), watch))
    whole = state.touched("kvs", "tombstones")
    if not prefix:
        return whole, pairs
    graves = [index for _, index in state.tombstones.items(_place(prefix))]
    return max([pair.modify_index for pair in pairs] + graves, default=whole), pairs


def find_session(state: State, session: str) -> Session | None:
    """The session, or None. An id that cannot be one is refused in Consul's words."""
    try:
        check_uuid(session)
    except GoError as error:
        raise GoError(f"failed session lookup: index error: {error}") from None
    return state.sessions.get(key_of(session))


def check_uuid(text: str) -> None:
    """Refuse what cannot be an id, in the words of Consul's state store."""
    if len(text.encode("utf-8", "surrogateescape")) != 36:
        raise GoError("UUID must be 36 characters")
    digits = text.replace("-", "")
    if text.count("-") > 4:
        raise GoError(f'UUID should have maximum of 4 "-"; got {text.count("-")}')
    if len(digits) % 2:
        raise GoError("Input (without hyphens) must be even length")
    try:
        binascii.unhexlify(digits)
    except ValueError:
        bad = next(char for char in digits if char not in "0123456789abcdefABCDEF")
        code = f"U+{ord(bad):04X} '{bad}'"
        raise GoError(f"Invalid UUID: encoding/hex: invalid byte: {code}") from None


# -- writing ---------------------------------------------------------------------------------------


def put(state: State, pair: Pair, *, session: bool = False) -> Pair:
    """
    Write a pair; what it then is. One that is there already in all its parts is left alone.

    Who holds it stays unless `session` is true. Its lock index does not: a plain write makes it 0.
    """
    old = state.pairs.get(_place(pair.key))
    created = state.index if old is None else old.create_index
    holder = pair.session if session else old.session if old is not None else ""
    pair = replace(pair, create_index=created, session=holder, modify_index=state.index)
    if old is not None and pair == replace(old, modify_index=state.index):
        return old
    state.pairs.put(_place(pair.key), pair)
    state.touch("kvs")
    return pair


def put_if(state: State, pair: Pair, index: int) -> Pair | None:
    """Write where the pair is still the one of this index; 0 is for nothing there."""
    old = state.pairs.get(_place(pair.key))
    if index != (0 if old is None else old.modify_index):
        return None
    return put(state, pair)


def delete(state: State, key: str) -> None:
    if state.pairs.get(_place(key)) is not None:
        state.bury(key)
        state.pairs.delete(_place(key))
        state.touch("kvs")


def delete_if(state: State, key: str, index: int) -> bool:
    """Delete where it is still the one of this index. What is gone already is as it should be."""
    old = state.pairs.get(_place(key))
    if old is not None and old.modify_index != index:
        return False
    delete(state, key)
    return True


def delete_tree(state: State, prefix: str) -> None:
    pairs = list(state.pairs.items(_place(prefix)))
    for pair in pairs:
        state.pairs.delete(_place(pair.key))
    if pairs:
        if prefix:
            state.bury(prefix)
        state.touch("kvs")


def lock(state: State, pair: Pair) -> Pair | None:
    """Write and hold for a session. None where another one does."""
    if not pair.session:
        raise GoError("missing session")
    if find_session(state, pair.session) is None:
        raise GoError(f"invalid session {quoted(pair.session)}")
    old = state.pairs.get(_place(pair.key))
    if old is None:
        return put(state, replace(pair, lock_index=1), session=True)
    if old.session not in {"", pair.session}:
        return None
    mine = old.session == pair.session
    return put(state, replace(pair, lock_index=old.lock_index + (not mine)), session=True)


def unlock(state: State, pair: Pair) -> Pair | None:
    """Write and let go. None where the session does not hold it."""
    if not pair.session:
        raise GoError("missing session")
    old = state.pairs.get(_place(pair.key))
    if old is None or old.session != pair.session:
        return None
    return put(state, replace(pair, session="", lock_index=old.lock_index), session=True)


def is_held_back(state: State, key: str) -> bool:
    """Whether a lock is kept closed, since a session that held it was invalidated."""
    return state.timers.now < state.lock_delays.get(key, 0.0)


# -- endpoints -------------------------------------------------------------------------------------


class KV:
    """`/v1/kv/`."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def open(self, router: Router) -> None:
        router.add("GET,PUT,DELETE", "/v1/kv/", self.answer)

    async def answer(self, asked: Asked) -> Answer:
        options = options_of(asked)
        asked.refuse_namespaces()
        key = asked.after("/v1/kv/")
        if asked.method == "GET":
            return await self._get(asked, options, key)
        asked.refuse_conflicts(*_CONFLICTS[asked.method])
        if not key and not (asked.method == "DELETE" and "recurse" in asked.params):
            raise RefusedError(400, "Missing key name")
        try:
            write = self._put(asked, key) if asked.method == "PUT" else self._delete(asked, key)
            await self._server.ready(options)
            return Answer.json(write())
        except GoError as error:
            raise RefusedError(500, str(error)) from None

    async def _get(self, asked: Asked, options: Options, key: str) -> Answer:
        state = self._server.state
        recurse = "keys" in asked.params or "recurse" in asked.params
        if not key and not recurse:
            raise RefusedError(400, "Missing key name")

        def look(watch: Watch) -> tuple[int, list[Pair]]:
            rights = self._server.rights(asked)
            if recurse:
                index, found = below(state, key, watch)
                return index, [pair for pair in found if rights.may("read", "key", pair.key)]
            rights.need("read", "key", key)
            index, one = get(state, key, watch)
            return index, [one] if one is not None else []

        meta, pairs = await self._server.read(options, look)
        if not pairs and not ("keys" in asked.params and not key):
            raise RefusedError(404, "", meta)
        if "keys" in asked.params:
            names = _names(pairs, key, _separator(asked))
            return Answer.json([well_formed(name) for name in names], meta)
        if "raw" in asked.params and not recurse:
            return Answer(200, pairs[0].value, {**_RAW, **meta})
        return Answer.json([row_of(pair) for pair in pairs], meta)

    def _put(self, asked: Asked, key: str) -> Callable[[], bool]:
        state, params = self._server.state, asked.params
        pair = Pair(key, asked.body, read_uint(asked.param("flags")) if "flags" in params else 0)
        index = read_uint(asked.param("cas")) if "cas" in params else 0
        asked.refuse_larger(MOST_BYTES, "kv_max_value_size")

        def write() -> bool:
            self._server.rights(asked).need("write", "key", key)
            if "acquire" in params and is_held_back(state, key):
                return False
            state.next()
            if "acquire" in params:
                return lock(state, replace(pair, session=asked.param("acquire"))) is not None
            if "release" in params:
                return unlock(state, replace(pair, session=asked.param("release"))) is not None
            if "cas" in params:
                return put_if(state, pair, index) is not None
            put(state, pair)
            return True

        return write

    def _delete(self, asked: Asked, key: str) -> Callable[[], bool]:
        state, params = self._server.state, asked.params
        index = read_uint(asked.param("cas")) if "cas" in params else 0

        def write() -> bool:
            rights = self._server.rights(asked)
            if "recurse" in params and not rights.may_write_below(key):
                raise RefusedError(403, "Permission denied")
            if "recurse" not in params:
                rights.need("write", "key", key)
            state.next()
            if "cas" in params:
                return delete_if(state, key, index)
            (delete_tree if "recurse" in params else delete)(state, key)
            return True

        return write


_CONFLICTS: Final = {"PUT": ("cas", "acquire", "release"), "DELETE": ("recurse", "cas")}

# A value is the caller's, so no browser may take it for a page.
_RAW: Final = {
    "Content-Type": "text/plain",
    "Content-Security-Policy": "sandbox",
    "X-Content-Type-Options": "nosniff",
}


def _separator(asked: Asked) -> str:
    # Consul misspelled it once, and still understands that.
    return asked.param("separator") or asked.param("seperator")


def _names(pairs: list[Pair], prefix: str, separator: str) -> list[str]:
    """The keys, each only up to the first separator after the prefix."""
    names: dict[str, None] = {}
    for pair in pairs:
        at = pair.key.find(separator, len(prefix)) if separator else -1
        names[pair.key if at < 0 else pair.key[: at + len(separator)]] = None
    return list(names)
