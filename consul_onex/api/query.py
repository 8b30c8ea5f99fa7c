"""Prepared queries: which instances of a service to find, written down once."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final

from pydantic import TypeAdapter

from .._call import Safety
from .._json import MADE
from .._path import Params, segment
from .._wire import Takes, Wire
from ..errors import InvalidRequestError, NotFoundError
from ..models._base import Received, rows_of
from ..models.query import PreparedQuery, QueryResult
from ..query import Cursor

__all__ = ["Query"]

# Inside the class, `list` is the method of that name.
Rows = list[PreparedQuery]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Explained(Received):
    query: PreparedQuery


_ROWS: Final = rows_of(PreparedQuery)
_RESULT: Final = TypeAdapter(QueryResult)
_EXPLAINED: Final = TypeAdapter(_Explained)

# Queries belong to a datacenter. The namespace to look in is a part of the query.
_READ: Final = Takes.DATACENTER | Takes.CONSISTENCY
_MISSING: Final = "Query not found"


class Query:
    """
    Prepared queries: which instances of a service to find, written down once.

    https://developer.hashicorp.com/consul/api-docs/query
    """

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    async def create(self, query: PreparedQuery) -> str:
        """
        Create a query, and return its id.

        BadRequestError when its name is taken, or something in it is wrong; InvalidSessionError
        when its session does not exist. It is sent once: an OutcomeUnknownError may leave a query
        behind.

        POST /v1/query
        https://developer.hashicorp.com/consul/api-docs/query#create-prepared-query
        """
        made = await self._wire.write(
            "query.create", "POST", "/v1/query", MADE, json=query.body(), takes=Takes.DATACENTER
        )
        return made.ID

    async def list(self, cursor: Cursor | None = None) -> Rows:
        """
        Every query that the token may see.

        GET /v1/query
        https://developer.hashicorp.com/consul/api-docs/query#list-prepared-queries
        """
        return await self._wire.read("query.list", "/v1/query", _ROWS, cursor=cursor, takes=_READ)

    async def get(self, query_id: str, cursor: Cursor | None = None) -> PreparedQuery | None:
        """
        Read one query by its id. None where there is none.

        BadRequestError for what is no id; by its name, `explain` finds it. PermissionDeniedError
        when the token may not see it.

        GET /v1/query/:uuid
        https://developer.hashicorp.com/consul/api-docs/query#read-prepared-query
        """
        rows = await self._wire.find(
            *("query.get", f"/v1/query/{segment(query_id, 'query')}", _ROWS),
            cursor=cursor,
            unless=_MISSING,
            takes=_READ,
        )
        return rows[0] if rows else None

    async def update(self, query_id: str, query: PreparedQuery) -> None:
        """
        Write a query anew, as a whole: what is not given is what it would be in a new one.

            query = await c.query.get(query_id)
            await c.query.update(query_id, query.replace(name="web-canary"))

        NotFoundError when there is no query of this id, BadRequestError and InvalidSessionError as
        for `create`.

        PUT /v1/query/:uuid
        https://developer.hashicorp.com/consul/api-docs/query#update-prepared-query
        """
        await self._wire.ask(
            *("query.update", "PUT", f"/v1/query/{segment(query_id, 'query')}"),
            json=query.body(),
            safety=Safety.IDEMPOTENT,
            takes=Takes.DATACENTER,
        )

    async def delete(self, query_id: str) -> None:
        """
        Delete a query. It is no error when there is none of this id.

        DELETE /v1/query/:uuid
        https://developer.hashicorp.com/consul/api-docs/query#delete-prepared-query
        """
        with suppress(NotFoundError):
            await self._wire.ask(
                *("query.delete", "DELETE", f"/v1/query/{segment(query_id, 'query')}"),
                safety=Safety.IDEMPOTENT,
                takes=Takes.DATACENTER,
            )

    async def execute(
        self,
        id_or_name: str,
        *,
        near: str | None = None,
        limit: int | None = None,
        connect: bool = False,
    ) -> QueryResult:
        """
        Ask a query, by its id, its name, or a name that a template answers to.

        `near` and `connect` are as in `ServiceQuery`, for this once; at most `limit` instances
        come back. NotFoundError when there is no such query.

        Instances of another datacenter than the agent's have its outside addresses, as in
        `c.health.service`.

        GET /v1/query/:uuid/execute
        https://developer.hashicorp.com/consul/api-docs/query#execute-prepared-query
        """
        params: Params = []
        if near is not None:
            params.append(("near", near))
        if limit is not None:
            if limit < 1:
                # Consul would take it for no limit at all.
                raise InvalidRequestError("a limit is 1 or more", operation="query.execute")
            params.append(("limit", str(limit)))
        if connect:
            params.append(("connect", "true"))
        result = await self._wire.read(
            *("query.execute", f"/v1/query/{segment(id_or_name, 'query')}/execute", _RESULT),
            params,
            takes=_READ,
        )
        home = await self._home(result)
        if home is None:
            return result
        return replace(
            result,
            nodes=[replace(e, remote=e.node.datacenter not in ("", home)) for e in result.nodes],
        )

    async def _home(self, result: QueryResult) -> str | None:
        """The agent's own datacenter, where another one may have answered."""
        options = self._wire.options
        if not result.failovers and options.datacenter is None and not options.failover:
            return None
        server = await self._wire.server()
        return server.datacenter if server is not None else None

    async def explain(self, id_or_name: str) -> PreparedQuery:
        """
        The query behind an id or a name, as it would be asked: with a template's gaps filled in.

        NotFoundError when there is no such query.

        GET /v1/query/:uuid/explain
        https://developer.hashicorp.com/consul/api-docs/query#explain-prepared-query
        """
        explained = await self._wire.read(
            *("query.explain", f"/v1/query/{segment(id_or_name, 'query')}/explain", _EXPLAINED),
            takes=_READ,
        )
        return explained.query
