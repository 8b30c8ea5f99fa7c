"""Sessions: what locks hang on, and what they hang on themselves."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final
from uuid import uuid4

from ._go import GoError, duration, read_duration
from ._http import Answer, Asked, RefusedError, Router, options_of
from ._kv import delete, find_session, put
from ._rights import EVERYTHING
from ._server import NO_META, Server
from ._shape import ANY, INT, STRING, list_of, struct
from ._state import Session, State, key_of
from ._timers import Timer
from ._tree import Watch

__all__ = ["Sessions", "invalidate", "invalidate_by_check"]

_SECOND: Final = 1_000_000_000
_SHORTEST, _LONGEST = 10 * _SECOND, 86_400 * _SECOND
_USUAL_DELAY: Final = 15 * _SECOND
_LONGEST_DELAY: Final = 60 * _SECOND

# A lock-delay below this can only have been meant in seconds.
_SECONDS_BELOW: Final = 1000

_CREATION: Final = struct(
    "",
    {
        "ID": STRING,
        "Name": STRING,
        "Node": STRING,
        "LockDelay": ANY,
        "Behavior": STRING,
        "TTL": STRING,
        "Checks": list_of(STRING, "[]types.CheckID"),
        "NodeChecks": list_of(STRING, "[]string"),
        "ServiceChecks": list_of(
            struct("ServiceCheck", {"ID": STRING, "Namespace": STRING}, strict=False),
            "[]structs.ServiceCheck",
        ),
        "CreateIndex": INT,
        "ModifyIndex": INT,
    },
    strict=False,
    wanted="struct { LockDelay interface {}; *structs.Alias }",
)


def _row_of(session: Session) -> dict[str, Any]:
    services = session.service_checks
    return {
        "ID": session.id,
        "Name": session.name,
        "Node": session.node,
        "LockDelay": session.lock_delay,
        "Behavior": session.behavior,
        "TTL": session.ttl,
        "NodeChecks": session.node_checks,
        "ServiceChecks": None if services is None else [{"ID": one} for one in services],
        "CreateIndex": session.create_index,
        "ModifyIndex": session.modify_index,
    }


def _create(state: State, session: Session) -> str:
    """Begin a session on a node that is there and has the checks, none of which is critical."""
    if state.nodes.get(key_of(session.node.lower())) is None:
        raise GoError("Missing node registration")
    for check_id in session.checks:
        check = state.checks.get(key_of(session.node.lower(), check_id.lower()))
        if check is None:
            raise GoError(f"Missing check '{check_id}' registration")
        if check["Status"] == "critical":
            raise GoError(f"Check '{check_id}' is in critical state")
    new = replace(session, create_index=state.index, modify_index=state.index)
    state.sessions.put(key_of(session.id), new)
    state.touch("sessions")
    _renew(state, new)
    return session.id


def _renew(state: State, session: Session) -> None:
    """Begin the time to live anew. It is kept twice as long as it says: a promise is a minimum."""
    timer = state.session_timers.pop(session.id, None)
    if timer is not None:
        timer.cancel()
    seconds = 2 * read_duration(session.ttl or "0") / _SECOND
    if seconds:
        state.session_timers[session.id] = state.timers.after(
            seconds, lambda: _expire(state, session.id)
        )


def _resume(state: State) -> None:
    """Begin the times to live of all sessions."""
    for session in state.sessions.items():
        _renew(state, session)


def _expire(state: State, session: str) -> None:
    state.next()
    invalidate(state, session)


def invalidate(state: State, session: str) -> None:
    """End a session: what it holds is released or deleted, and kept closed for its lock-delay."""
    gone = state.sessions.get(key_of(session))
    if gone is None:
        return
    state.sessions.delete(key_of(session))
    state.touch("sessions")
    timer = state.session_timers.pop(session, None)
    if timer is not None:
        timer.cancel()
        state.on_undo(lambda: _go_on(state, session, timer))
    delay = min(gone.lock_delay, _LONGEST_DELAY) / _SECOND
    for pair in [pair for pair in state.pairs.items() if pair.session == session]:
        if gone.behavior == "delete":
            delete(state, pair.key)
        else:
            put(state, replace(pair, session=""), session=True)
        if delay > 0:
            state.lock_delays[pair.key] = state.timers.now + delay


def _go_on(state: State, session: str, timer: Timer) -> None:
    timer.cancelled = False
    state.session_timers[session] = timer


def invalidate_by_check(state: State, node: str, check_id: str | None = None) -> None:
    """End the sessions that hang on this check of a node, or, without one, on the node."""
    for session in list(state.sessions.items()):
        named = check_id is None or check_id in session.checks
        if named and session.node.lower() == node.lower():
            invalidate(state, session.id)


# -- endpoints -------------------------------------------------------------------------------------


class Sessions:
    """`/v1/session/`."""

    def __init__(self, server: Server) -> None:
        self._server = server
        server.takeovers.append(lambda: _resume(server.state))

    def open(self, router: Router) -> None:
        router.add("PUT", "/v1/session/create", self.create)
        router.add("PUT", "/v1/session/destroy/", self.destroy)
        router.add("PUT", "/v1/session/renew/", self.renew)
        router.add("GET", "/v1/session/info/", self.info)
        router.add("GET", "/v1/session/node/", self.node)
        router.add("GET", "/v1/session/list", self.list)

    async def create(self, asked: Asked) -> Answer:
        options = options_of(asked)
        asked.refuse_namespaces()
        sent: dict[str, Any] = {}
        # A body that comes in chunks has no length, and is not looked at.
        if asked.length > 0:
            sent = asked.parsed(_CREATION) or {}
        session = _definition(sent, asked.node)
        try:
            await self._server.ready(options)
            if not session.node:
                raise GoError("Must provide Node")
            self._server.rights(asked).need("write", "session", session.node)
            _check(session)
            self._server.state.next()
            return Answer.json({"ID": _create(self._server.state, session)})
        except GoError as error:
            raise RefusedError(500, str(error)) from None

    async def destroy(self, asked: Asked) -> Answer:
        session = _named(asked, "/v1/session/destroy/")
        await self._find(asked, session, "Session lookup failed: ")
        self._server.state.next()
        invalidate(self._server.state, session)
        return Answer.json(True)

    async def renew(self, asked: Asked) -> Answer:
        session = _named(asked, "/v1/session/renew/")
        found = await self._find(asked, session)
        if found is None:
            raise RefusedError(404, f"Session id '{session}' not found")
        _renew(self._server.state, found)
        return Answer.json([_row_of(found)])

    async def _find(self, asked: Asked, session: str, failed: str = "") -> Session | None:
        """The session, for somebody who may write it, of which only access control makes sure."""
        await self._server.ready(options_of(asked))
        rights = self._server.rights(asked)
        try:
            found = find_session(self._server.state, session)
        except GoError as error:
            said = failed if rights is not EVERYTHING else ""
            raise RefusedError(500, f"{said}{error}") from None
        if found is not None:
            rights.need("write", "session", found.node)
        return found

    async def info(self, asked: Asked) -> Answer:
        session = _named(asked, "/v1/session/info/")
        return await self._rows(asked, lambda one: one.id == session, session)

    async def node(self, asked: Asked) -> Answer:
        node = asked.after("/v1/session/node/").lower()
        if not node:
            raise RefusedError(400, "Missing node name")
        return await self._rows(asked, lambda one: one.node.lower() == node)

    async def list(self, asked: Asked) -> Answer:
        return await self._rows(asked, lambda one: True)

    async def _rows(self, asked: Asked, chosen: Any, session: str | None = None) -> Answer:
        options = options_of(asked)
        asked.refuse_namespaces()
        state = self._server.state

        def look(watch: Watch) -> tuple[int, list[Session]]:
            rights = self._server.rights(asked)
            if session is not None:
                find_session(state, session)
                state.sessions.get(key_of(session), watch)
                rows = list(state.sessions.items())
            else:
                rows = list(state.sessions.items(b"", watch))
            found = [one for one in rows if chosen(one) and rights.may("read", "session", one.node)]
            return state.touched("sessions"), found

        try:
            meta, found = await self._server.read(options, look)
        except GoError as error:
            raise RefusedError(500, str(error), NO_META) from None
        except RefusedError as error:
            error.answer.headers.update(NO_META)
            raise
        return Answer.json([_row_of(one) for one in found], meta)


def _named(asked: Asked, prefix: str) -> str:
    asked.refuse_namespaces()
    session = asked.after(prefix)
    if not session:
        raise RefusedError(400, "Missing session")
    return session


def _definition(sent: dict[str, Any], node: str) -> Session:
    """What a session that is asked for would be."""
    node_checks = sent.get("NodeChecks", ["serfHealth"])
    if "Checks" in sent:
        node_checks = sent["Checks"]
    services = sent.get("ServiceChecks")
    return Session(
        id=str(uuid4()),
        name=sent.get("Name", ""),
        node=sent.get("Node", node),
        lock_delay=_lock_delay(sent.get("LockDelay")),
        behavior=sent.get("Behavior") or "release",
        ttl=sent.get("TTL", ""),
        node_checks=None if node_checks is None else tuple(node_checks),
        service_checks=None if services is None else tuple(one.get("ID", "") for one in services),
    )


def _check(session: Session) -> None:
    """Refuse what cannot be a session."""
    if session.behavior not in {"release", "delete"}:
        raise GoError(f"Invalid Behavior setting '{session.behavior}'")
    try:
        ttl = read_duration(session.ttl or "0")
    except GoError as error:
        raise GoError(f"Session TTL '{session.ttl}' invalid: {error}") from None
    if ttl and not _SHORTEST <= ttl <= _LONGEST:
        bounds = f"[{duration(_SHORTEST)}={duration(_LONGEST)}]"
        raise GoError(f"Invalid Session TTL '{ttl}', must be between {bounds}")


def _lock_delay(sent: object) -> int:
    if isinstance(sent, str):
        try:
            delay = read_duration(sent)
        except GoError as error:
            raise RefusedError(400, f"Request decode failed: {error}") from None
    elif isinstance(sent, int | float) and not isinstance(sent, bool):
        delay = int(sent)
    else:
        return _USUAL_DELAY
    return delay * _SECOND if delay < _SECONDS_BELOW else delay
