"""Intentions: who may talk to whom."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, ClassVar, Final

from pydantic import ConfigDict, StrictBool, TypeAdapter

from ..._call import Safety
from ..._json import LAZY, MADE
from ..._path import Params, segment
from ..._wire import Takes, Wire
from ...errors import (
    BadRequestError,
    InvalidRequestError,
    NotFoundError,
    UnsupportedEndpointError,
)
from ...models._base import NullIs, rows_of
from ...models.connect import Intention
from ...query import Cursor

__all__ = ["Intentions"]

# Inside the class, `list` is the method of that name.
Rows = list[Intention]
Matches = dict[str, list[Intention]]


@dataclass(frozen=True, slots=True)
class _Verdict:
    """The answer to a check."""

    __pydantic_config__: ClassVar[ConfigDict] = LAZY
    Allowed: StrictBool


_ROW: Final = TypeAdapter(Intention)
_ROWS: Final = rows_of(Intention)
_MATCHES: Final = TypeAdapter[Matches](
    dict[str, Annotated[list[Intention], NullIs(list)]], config=LAZY
)
_VERDICT: Final = TypeAdapter(_Verdict)

_EXACT: Final = "/v1/connect/intentions/exact"

# An id is one of the whole datacenter.
_READ_BY_ID: Final = Takes.DATACENTER | Takes.CONSISTENCY


class Intentions:
    """
    Intentions: who may talk to whom.

    A source or a destination is `name`, `namespace/name` or `partition/namespace/name`; its name,
    or its namespace as well, may be `*`. Since Consul 1.9 an intention is known by its source and
    destination, and kept in a `service-intentions` entry of its destination; before, by an id.

    https://developer.hashicorp.com/consul/api-docs/connect/intentions
    """

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    async def list(self, *, filter: str | None = None, cursor: Cursor | None = None) -> Rows:
        """
        Every intention, those with the highest precedence first.

        GET /v1/connect/intentions
        https://developer.hashicorp.com/consul/api-docs/connect/intentions#list-intentions
        """
        return await self._wire.read(
            "connect.intention.list",
            "/v1/connect/intentions",
            _ROWS,
            [("filter", _text("filter", filter))] if filter is not None else [],
            cursor=cursor,
        )

    async def check(self, source: str, destination: str, *, source_type: str = "consul") -> bool:
        """
        Whether one service may connect to another, by the intentions or else by default.

        An intention with permissions counts as a refusal, since there is no request to judge.

        GET /v1/connect/intentions/check
        https://developer.hashicorp.com/consul/api-docs/connect/intentions#check-intention-result
        """
        params = _pair(source, destination)
        if source_type != "consul":
            params.append(("source-type", _text("source_type", source_type)))
        verdict = await self._wire.read(
            "connect.intention.check",
            "/v1/connect/intentions/check",
            _VERDICT,
            params,
            takes=Takes.WRITE,
        )
        return verdict.Allowed

    async def match(
        self, name: str | Sequence[str], *, by: str = "destination", cursor: Cursor | None = None
    ) -> Matches:
        """
        The intentions that a service is the destination of, or with `by="source"` the source.

        Several services may be asked for at once. The answer has each of the names, with the
        intentions in the order in which they are tried; the empty list where none matches.

        GET /v1/connect/intentions/match
        https://developer.hashicorp.com/consul/api-docs/connect/intentions#list-matching-intentions
        """
        names = [name] if isinstance(name, str) else [*name]
        if not names:
            raise InvalidRequestError(
                "there must be a name to match", operation="connect.intention.match"
            )
        return await self._wire.read(
            "connect.intention.match",
            "/v1/connect/intentions/match",
            _MATCHES,
            [("by", _text("by", by)), *(("name", _text("name", each)) for each in names)],
            cursor=cursor,
        )

    # -- by name ----------------------------------------------------------------------------------

    async def get(
        self, source: str, destination: str, cursor: Cursor | None = None
    ) -> Intention | None:
        """
        Read the intention for exactly this source and destination. None where there is none.

        The source may be in another cluster: `peer:cluster/name`.

        GET /v1/connect/intentions/exact  since Consul 1.9
        https://developer.hashicorp.com/consul/api-docs/connect/intentions#read-specific-intention-by-name
        """
        with self._by_name("connect.intention.get"):
            return await self._wire.find(
                "connect.intention.get",
                _EXACT,
                _ROW,
                _pair(source, destination),
                cursor=cursor,
                unless="Intention not found",
            )

    async def put(self, intention: Intention) -> bool:
        """
        Write the intention for its source and destination, in place of the one there was. True.

        Its `meta` must be empty, or unchanged: it is that of the entry that the intention is in.

        PUT /v1/connect/intentions/exact  since Consul 1.9
        https://developer.hashicorp.com/consul/api-docs/connect/intentions#upsert-intention-by-name
        """
        source = _qualified(
            intention.source_partition, intention.source_namespace, intention.source_name
        )
        destination = _qualified(
            intention.destination_partition,
            intention.destination_namespace,
            intention.destination_name,
        )
        with self._by_name("connect.intention.put"):
            return await self._wire.verdict(
                "connect.intention.put",
                "PUT",
                _EXACT,
                _pair(source, destination),
                json=intention.body(),
                safety=Safety.IDEMPOTENT,
            )

    async def delete(self, source: str, destination: str) -> bool:
        """
        Delete the intention for exactly this source and destination. True, also when it was gone.

        DELETE /v1/connect/intentions/exact  since Consul 1.9
        https://developer.hashicorp.com/consul/api-docs/connect/intentions#delete-intention-by-name
        """
        with self._by_name("connect.intention.delete"):
            return await self._wire.verdict(
                "connect.intention.delete",
                "DELETE",
                _EXACT,
                _pair(source, destination),
                safety=Safety.IDEMPOTENT,
            )

    @contextmanager
    def _by_name(self, operation: str) -> Iterator[None]:
        """Before 1.9 Consul takes `exact` for an id, and says that it is none."""
        try:
            yield
        except BadRequestError as error:
            # Permissions are as old as the names.
            if not any(text in error.detail for text in ("UUID", 'unknown field "Permissions"')):
                raise
            raise UnsupportedEndpointError(
                f"{self._wire.line.server or 'this server'} knows intentions by their ids only; "
                "names came with Consul 1.9",
                status=error.status,
                detail=error.detail,
                operation=operation,
            ) from error

    # -- by id ------------------------------------------------------------------------------------

    async def create(self, intention: Intention) -> str:
        """
        Create an intention that has an id, and return that. For servers before 1.9.

        BadRequestError when there is one for this source and destination. It is sent once.

        POST /v1/connect/intentions
        https://developer.hashicorp.com/consul/api-docs/connect/intentions#create-intention-with-id
        """
        created = await self._wire.write(
            "connect.intention.create",
            "POST",
            "/v1/connect/intentions",
            MADE,
            json=intention.body(),
        )
        return created.ID

    async def get_by_id(self, id: str, cursor: Cursor | None = None) -> Intention | None:
        """
        Read one intention by its id. None where there is none.

        BadRequestError when this cannot be an id.

        GET /v1/connect/intentions/:id
        https://developer.hashicorp.com/consul/api-docs/connect/intentions#read-specific-intention-by-id
        """
        return await self._wire.find(
            "connect.intention.get_by_id",
            _by_id(id),
            _ROW,
            cursor=cursor,
            unless="Intention not found",
            takes=_READ_BY_ID,
        )

    async def update_by_id(self, id: str, intention: Intention) -> None:
        """
        Write an intention over the one that has this id. What is not given is then empty.

        NotFoundError when there is none. Since Consul 1.9 the destination must stay as it is.

        PUT /v1/connect/intentions/:id
        https://developer.hashicorp.com/consul/api-docs/connect/intentions#update-intention-by-id
        """
        await self._wire.ask(
            "connect.intention.update_by_id",
            "PUT",
            _by_id(id),
            json=intention.body(),
            safety=Safety.IDEMPOTENT,
        )

    async def delete_by_id(self, id: str) -> bool:
        """
        Delete one intention by its id. True, also when it was gone.

        DELETE /v1/connect/intentions/:id
        https://developer.hashicorp.com/consul/api-docs/connect/intentions#delete-intention-by-id
        """
        try:
            return await self._wire.verdict(
                "connect.intention.delete_by_id",
                "DELETE",
                _by_id(id),
                safety=Safety.IDEMPOTENT,
                takes=Takes.DATACENTER,
            )
        except NotFoundError:
            return True


def _by_id(id_: str) -> str:
    return f"/v1/connect/intentions/{segment(id_, 'id')}"


def _pair(source: str, destination: str) -> Params:
    return [
        ("source", _text("source", source)),
        ("destination", _text("destination", destination)),
    ]


def _qualified(partition: str, namespace: str, name: str) -> str:
    if partition:
        return f"{partition}/{namespace or 'default'}/{name}"
    return f"{namespace}/{name}" if namespace else name


def _text(what: str, text: str) -> str:
    # Consul takes an empty name for one that nobody has, an empty filter for none; and answers.
    if not isinstance(text, str) or not text:
        raise InvalidRequestError(f"a {what} is text of one character or more")
    return text
