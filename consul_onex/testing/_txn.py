"""Transactions: many writes and reads, or none of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeAlias

from . import _kv
from ._discovery import shown
from ._go import GoError, quoted
from ._http import Answer, Asked, RefusedError, Router, options_of
from ._kv import MOST_BYTES, row_of
from ._rights import Rights
from ._server import Server
from ._shape import BYTES, STRING, UINT, list_of, struct, text_of
from ._state import Pair, State
from ._txn_catalog import CHECK_OP, KINDS, NODE_OP, SERVICE_OP

__all__ = ["Txn"]

_MOST_OPERATIONS: Final = 64

_OPERATIONS: Final = list_of(
    struct(
        "TxnOp",
        {
            "KV": struct(
                "KVTxnOp",
                {
                    "Verb": text_of("api.KVOp"),
                    "Key": STRING,
                    "Value": BYTES,
                    "Flags": UINT,
                    "Index": UINT,
                    "Session": STRING,
                    "Namespace": STRING,
                },
                wanted="api.KVTxnOp",
            ),
            "Node": NODE_OP,
            "Service": SERVICE_OP,
            "Check": CHECK_OP,
        },
    ),
    "api.TxnOps",
)

_WRITES: Final = {"set", "delete", "delete-cas", "delete-tree", "cas", "lock", "unlock"}


class Txn:
    """`/v1/txn`."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def open(self, router: Router) -> None:
        router.add("PUT", "/v1/txn", self.commit)

    async def commit(self, asked: Asked) -> Answer:
        options = options_of(asked)
        asked.refuse_larger(MOST_BYTES, "txn_max_req_len")
        sent = asked.parsed(_OPERATIONS, "Failed to parse body: ") or []
        if len(sent) > _MOST_OPERATIONS:
            said = f"Transaction contains too many operations ({len(sent)} > {_MOST_OPERATIONS})"
            raise RefusedError(413, said)
        operations = [each for each in map(_operation, sent) if each is not None]
        reads = not any(_is_write(*each) for each in operations)
        await self._server.ready(options)
        return self._carry_out(operations, self._server.rights(asked), reads=reads)

    def _carry_out(self, operations: list[_Operation], rights: Rights, *, reads: bool) -> Answer:
        server, state = self._server, self._server.state
        results: list[dict[str, Any]] = []
        errors = _refused(state, rights, operations)
        if not errors and not reads:
            state.next()
        try:
            with state.attempt():
                if not errors:
                    results, errors = _results(state, operations, server.datacenter)
                if errors:
                    raise _RolledBackError
        except _RolledBackError:
            pass
        body: dict[str, Any] = {
            "Results": None if errors else [one for one in results if _may_see(rights, one)],
            "Errors": errors or None,
        }
        headers: dict[str, str] = {}
        if reads:
            headers = server.contact()
            body |= {
                "Index": 0,
                "LastContact": 0,
                "KnownLeader": server.leading,
                "ConsistencyLevel": "",
            }
        return Answer.json(body, headers, 409 if errors else 200)


class _RolledBackError(Exception):
    pass


_Error: TypeAlias = "dict[str, Any]"
_Operation: TypeAlias = "tuple[str, dict[str, Any]]"


def _operation(sent: dict[str, Any] | None) -> _Operation | None:
    """What an operation is on, and what is to be done; the first counts where it says several."""
    kinds = ("KV", *KINDS)
    return next(((kind, sent[kind]) for kind in kinds if sent and sent.get(kind) is not None), None)


def _may_see(rights: Rights, result: dict[str, Any]) -> bool:
    ((kind, row),) = result.items()
    if kind == "KV":
        return rights.may("read", "key", row["Key"])
    return rights.may("read", *KINDS[kind].shown_by(row))


def _is_write(kind: str, each: dict[str, Any]) -> bool:
    verb = each.get("Verb", "")
    return verb in _WRITES if kind == "KV" else verb != "get"


def _refused(state: State, rights: Rights, operations: list[_Operation]) -> list[_Error]:
    """What is wrong before anything is tried."""
    errors: list[_Error] = []
    for n, (kind, each) in enumerate(operations):
        try:
            if kind == "KV":
                _check_key(state, rights, each)
            elif each.get("Verb") != "get":
                KINDS[kind].check(each)
                if not rights.may("write", *KINDS[kind].guarding(each)):
                    raise GoError("Permission denied")
        except GoError as error:
            errors.append({"OpIndex": n, "What": str(error)})
    return errors


def _check_key(state: State, rights: Rights, each: dict[str, Any]) -> None:
    key, verb = each.get("Key", ""), each.get("Verb", "")
    if not key and verb != "delete-tree":
        raise GoError("Must provide key")
    # What is read is left out of the results; what is compared could be guessed.
    access = "read" if verb in {"check-session", "check-index"} else "write"
    may = (
        rights.may_write_below(key)
        if verb == "delete-tree"
        else verb in {"get", "get-tree"} or rights.may(access, "key", key)
    )
    if not may:
        raise GoError("Permission denied")
    if verb == "lock" and _kv.is_held_back(state, key):
        raise GoError(f"failed to lock key {quoted(key)} due to lock delay")


def _results(
    state: State, operations: list[_Operation], datacenter: str
) -> tuple[list[dict[str, Any]], list[_Error]]:
    results: list[dict[str, Any]] = []
    errors: list[_Error] = []
    for n, (kind, each) in enumerate(operations):
        try:
            if kind == "KV":
                results += [{"KV": row} for row in _result(state, each)]
            else:
                row = KINDS[kind].carry_out(state, each, datacenter, kind)
                results += [] if row is None else [{kind: shown(row) if kind == "Service" else row}]
        except GoError as error:
            errors.append({"OpIndex": n, "What": str(error)})
    return results, errors


def _result(state: State, each: dict[str, Any]) -> list[dict[str, Any]]:
    """Carry out one operation; the rows that it answers with."""
    verb, key = each.get("Verb", ""), each.get("Key", "")
    run = _VERBS.get(verb)
    if run is None:
        raise GoError(f"unknown KV verb {quoted(verb)}")
    pair = Pair(key, each.get("Value", b""), each.get("Flags", 0), each.get("Session", ""))
    return run(state, pair, each.get("Index", 0))


def _written(pair: Pair | None, what: str) -> list[dict[str, Any]]:
    """The row of what was written, without its value, which who wrote it knows."""
    if pair is None:
        raise GoError(f"failed to {what}")
    return [row_of(pair, value=False)]


def _set(state: State, pair: Pair, index: int) -> list[dict[str, Any]]:
    return _written(_kv.put(state, pair), "")


def _cas(state: State, pair: Pair, index: int) -> list[dict[str, Any]]:
    return _written(_kv.put_if(state, pair, index), f"set key {quoted(pair.key)}, index is stale")


def _lock(state: State, pair: Pair, index: int) -> list[dict[str, Any]]:
    return _written(_kv.lock(state, pair), f"lock key {quoted(pair.key)}, lock is already held")


def _unlock(state: State, pair: Pair, index: int) -> list[dict[str, Any]]:
    why = f"unlock key {quoted(pair.key)}, lock isn't held, or is held by another session"
    return _written(_kv.unlock(state, pair), why)


def _delete(state: State, pair: Pair, index: int) -> list[dict[str, Any]]:
    _kv.delete(state, pair.key)
    return []


def _delete_cas(state: State, pair: Pair, index: int) -> list[dict[str, Any]]:
    if not _kv.delete_if(state, pair.key, index):
        raise GoError(f"failed to delete key {quoted(pair.key)}, index is stale")
    return []


def _delete_tree(state: State, pair: Pair, index: int) -> list[dict[str, Any]]:
    _kv.delete_tree(state, pair.key)
    return []


def _get(state: State, pair: Pair, index: int) -> list[dict[str, Any]]:
    _, found = _kv.get(state, pair.key)
    if found is None:
        raise GoError(f"key {quoted(pair.key)} doesn't exist")
    return [row_of(found)]


def _get_tree(state: State, pair: Pair, index: int) -> list[dict[str, Any]]:
    return [row_of(found) for found in _kv.below(state, pair.key)[1]]


def _checked(state: State, pair: Pair, what: str) -> Pair:
    _, found = _kv.get(state, pair.key)
    if found is None:
        raise GoError(f"failed to check {what}, key {quoted(pair.key)} doesn't exist")
    return found


def _check_index(state: State, pair: Pair, index: int) -> list[dict[str, Any]]:
    found = _checked(state, pair, "index")
    if found.modify_index != index:
        raise GoError(
            f"failed index check for key {quoted(pair.key)}, "
            f"current modify index {found.modify_index} != {index}"
        )
    return _written(found, "")


def _check_session(state: State, pair: Pair, index: int) -> list[dict[str, Any]]:
    found = _checked(state, pair, "session")
    if found.session != pair.session:
        raise GoError(
            f"failed session check for key {quoted(pair.key)}, "
            f"current session {quoted(found.session)} != {quoted(pair.session)}"
        )
    return _written(found, "")


def _check_not_exists(state: State, pair: Pair, index: int) -> list[dict[str, Any]]:
    if _kv.get(state, pair.key)[1] is not None:
        raise GoError(f"key {quoted(pair.key)} exists")
    return []


_VERBS: Final[dict[str, Callable[[State, Pair, int], list[dict[str, Any]]]]] = {
    "set": _set,
    "cas": _cas,
    "lock": _lock,
    "unlock": _unlock,
    "delete": _delete,
    "delete-cas": _delete_cas,
    "delete-tree": _delete_tree,
    "get": _get,
    "get-tree": _get_tree,
    "check-index": _check_index,
    "check-session": _check_session,
    "check-not-exists": _check_not_exists,
}
