"""Sessions, which locks are held by."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from .._call import Safety
from .._json import MADE
from .._path import segment
from .._wire import Wire
from ..models._base import rows_of
from ..models.session import ServiceCheck, SessionDefinition, SessionEntry
from ..query import Cursor

__all__ = ["Session"]

# Inside the class, `list` is the method of that name.
Rows = list[SessionEntry]

_ROWS: Final = rows_of(SessionEntry)


class Session:
    """
    Sessions, which locks are held by.

    https://developer.hashicorp.com/consul/api-docs/session
    """

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    async def create(
        self,
        name: str | None = None,
        *,
        ttl: float | None = None,
        lock_delay: float | None = None,
        behavior: str | None = None,
        node: str | None = None,
        node_checks: Sequence[str] | None = None,
        service_checks: Sequence[ServiceCheck] | None = None,
    ) -> str:
        """
        Create a session, and return its id.

        With a `ttl` (seconds, 10 to 86,400 unless the server is set otherwise) it must be renewed.
        `lock_delay` is how many seconds its locks stay closed after it was invalidated: 15 where
        not given, at most 60. `behavior` is what then happens to the keys it holds: `release`, the
        default, or `delete`. `node` is where it lives, instead of the agent's own node.

        It ends when one of its checks is critical: `node_checks`, which are the node's own health
        (`serfHealth`) where not given, and `service_checks`. With `node_checks=[]` it hangs on its
        `ttl` alone.

        BadRequestError when the ttl is out of bounds, or a check or the node is not registered.
        It is sent once: an OutcomeUnknownError may leave a session behind.

        PUT /v1/session/create
        https://developer.hashicorp.com/consul/api-docs/session#create-session
        """
        session = SessionDefinition(
            name=name,
            node=node,
            ttl=ttl,
            lock_delay=lock_delay,
            behavior=behavior,
            node_checks=None if node_checks is None else list(node_checks),
            service_checks=None if service_checks is None else list(service_checks),
        )
        made = await self._wire.write(
            "session.create", "PUT", "/v1/session/create", MADE, json=session.body()
        )
        return made.ID

    async def renew(self, session: str) -> SessionEntry | None:
        """
        Begin a session's ttl anew. None where there is no such session any more.

        It goes before other calls and past an open circuit. A loop that keeps a session alive does
        so in a view with `paced=True`, whose calls are sent once: a pause here may be too long.

        PUT /v1/session/renew/:session
        https://developer.hashicorp.com/consul/api-docs/session#renew-session
        """
        answer = await self._wire.ask(
            "session.renew",
            "PUT",
            f"/v1/session/renew/{segment(session, 'session')}",
            safety=Safety.IDEMPOTENT,
            control=True,
            missing="not found",
        )
        rows = [] if answer.status == 404 else answer.decode(_ROWS)
        return rows[0] if rows else None

    async def destroy(self, session: str) -> bool:
        """
        End a session: its locks are released, or deleted, at once. True, also when it was gone.

        PUT /v1/session/destroy/:session
        https://developer.hashicorp.com/consul/api-docs/session#delete-session
        """
        return await self._wire.verdict(
            "session.destroy",
            "PUT",
            f"/v1/session/destroy/{segment(session, 'session')}",
            safety=Safety.IDEMPOTENT,
            control=True,
        )

    async def info(self, session: str, cursor: Cursor | None = None) -> SessionEntry | None:
        """
        Read one session. None where there is none.

        GET /v1/session/info/:session
        https://developer.hashicorp.com/consul/api-docs/session#read-session
        """
        rows = await self._wire.read(
            "session.info", f"/v1/session/info/{segment(session, 'session')}", _ROWS, cursor=cursor
        )
        return rows[0] if rows else None

    async def node(self, node: str, cursor: Cursor | None = None) -> Rows:
        """
        The sessions that live on a node.

        GET /v1/session/node/:node
        https://developer.hashicorp.com/consul/api-docs/session#list-sessions-for-node
        """
        return await self._wire.read(
            "session.node", f"/v1/session/node/{segment(node, 'node')}", _ROWS, cursor=cursor
        )

    async def list(self, cursor: Cursor | None = None) -> Rows:
        """
        Every session of the datacenter.

        GET /v1/session/list
        https://developer.hashicorp.com/consul/api-docs/session#list-sessions
        """
        return await self._wire.read("session.list", "/v1/session/list", _ROWS, cursor=cursor)
