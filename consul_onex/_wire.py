"""
One call out, one answer or error back.

The wire builds an `httpx.Request` and hands it to the stack of transports itself. No httpx client
is in between: no redirects, which would carry the token to another origin, no cookies, no
`.netrc`, no proxies from the environment; and a quarter less work.
"""

from __future__ import annotations

import enum
import inspect
import math
import platform
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable, Sequence
from contextlib import AbstractContextManager, asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import lru_cache
from types import TracebackType
from typing import Any, Final, TypeVar, cast
from urllib.parse import urlsplit

import anyio
import httpx
from pydantic import StrictBool, TypeAdapter, ValidationError
from pydantic_core import from_json

from ._call import CARD, Call, Safety, Token
from ._duration import format_duration
from ._failures import fault_of_error, tls_failure
from ._faults import Outcome, classify
from ._json import adapter_of, problem_of
from ._numbers import seconds
from ._path import Params, query_string
from ._server import Server
from ._topic import Hub, Topic
from ._version import __version__
from .errors import (
    ClientClosedError,
    ConfigurationError,
    ConsulConnectionError,
    ConsulError,
    ConsulStatusError,
    ConsulTimeoutError,
    DecodeError,
    InvalidRequestError,
    NotFoundError,
    OperationError,
    OutcomeUnknownError,
    PermissionDeniedError,
    TransactionError,
    UnsupportedEndpointError,
)
from .query import Consistency, Cursor, QueryMeta
from .watch import Watch

__all__ = ["Answer", "Line", "Options", "Stream", "Takes", "Upload", "Wire", "following"]

T = TypeVar("T")

_USER_AGENT: Final = (
    f"consul-onex/{__version__} httpx/{httpx.__version__} python/{platform.python_version()}"
)


@dataclass(frozen=True, slots=True)
class Options:
    """What a view adds to each of its calls."""

    datacenter: str | None = None
    consistency: Consistency = Consistency.DEFAULT
    token: Token | None = field(default=None, repr=False)
    namespace: str | None = None
    partition: str | None = None
    timeout: float | None = None
    wait: float = 60.0
    failover: tuple[str, ...] = ()
    retry: bool = True
    paced: bool = False


class Takes(enum.Flag):
    """Which of a view's options an endpoint understands. What it does not, it must not get."""

    NOTHING = 0
    DATACENTER = enum.auto()
    CONSISTENCY = enum.auto()
    NAMESPACE = enum.auto()
    PARTITION = enum.auto()
    TENANCY = NAMESPACE | PARTITION
    READ = DATACENTER | CONSISTENCY | TENANCY
    WRITE = DATACENTER | TENANCY


@dataclass(frozen=True, slots=True)
class Answer:
    """What Consul answered: its bytes, and several ways to read them."""

    operation: str
    status: int
    content: bytes = field(repr=False)
    headers: Sequence[tuple[bytes, bytes]] = field(repr=False)
    datacenter: str | None = None

    @property
    def meta(self) -> QueryMeta:
        """What the answer says about itself."""
        return QueryMeta.from_headers(self.headers, datacenter=self.datacenter)

    def text(self) -> str:
        """The body as text; what is not UTF-8 is replaced."""
        return self.content.decode("utf-8", errors="replace")

    def json(self) -> Any:
        """The body as JSON. DecodeError where it is none."""
        try:
            return from_json(self.content)
        except ValueError:
            pass
        # Raised out here: pydantic's error quotes the body.
        raise DecodeError("the answer is not JSON", operation=self.operation)

    def parse(self, type_: type[T]) -> T:
        """The body as JSON of a type: a model, a dataclass, `dict[str, int]`."""
        return self.decode(adapter_of(type_))

    def decode(self, adapter: TypeAdapter[T]) -> T:
        """The body as an adapter understands it."""
        try:
            return adapter.validate_json(self.content)
        except ValidationError as error:
            problem = problem_of(error)
        raise DecodeError(
            f"the answer is not what this endpoint promises: {problem}", operation=self.operation
        )


class Upload(httpx.AsyncByteStream):
    """
    A body that is sent piece by piece, and told how far it has come.

    Its length is said beforehand, as Consul wants it; pieces that come to another length end the
    call. It is no asynchronous generator, since nobody closes one that is left half sent.
    """

    def __init__(
        self,
        chunks: AsyncIterator[bytes],
        length: int,
        progress: Callable[[int], None] | None = None,
    ) -> None:
        self.length = length
        self._chunks = chunks
        self._progress = progress
        self._sent = 0

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if self._sent and self._progress is not None:
            self._progress(self._sent)
        chunk = await anext(self._chunks, None)
        self._sent += len(chunk or b"")
        if self._sent > self.length or (chunk is None and self._sent < self.length):
            raise InvalidRequestError(
                f"the body does not have the {self.length} bytes that were promised"
            )
        if chunk is None:
            raise StopAsyncIteration
        return chunk


class Stream:
    """
    An answer whose body is read piece by piece, while it arrives.

    `meta` is what its head says about it. Where it ends before its end, reading raises
    ConsulConnectionError: what was read until then is not all.
    """

    def __init__(
        self, call: Call, line: Line, response: httpx.Response, silence: float | None
    ) -> None:
        self.operation = call.operation
        self.meta = QueryMeta.from_headers(response.headers.raw, datacenter=call.served_by)
        self._call = call
        self._line = line
        self._silence = math.inf if silence is None else silence
        self._response = response
        self._chunks = aiter(response.stream)  # type: ignore[arg-type]
        self._ended = False

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if self._ended:
            # What is below would say that this was all.
            raise ConsulConnectionError(
                "this stream was broken off, or left", operation=self.operation
            )
        self._ended, chunk = True, None
        try:
            with anyio.move_on_after(self._silence):
                chunk = await anext(self._chunks, None)
                self._ended = False
        except httpx.TransportError as error:
            raise _connection_error(self._call, self._line, error) from error
        if self._ended:
            raise ConsulTimeoutError(
                f"nothing more came within {self._silence:g} s", operation=self.operation
            )
        if chunk is None:
            raise StopAsyncIteration
        return chunk

    async def aclose(self) -> None:
        """Read no further."""
        self._ended = True
        with anyio.CancelScope(shield=True):
            await self._response.stream.aclose()  # type: ignore[union-attr]


class _Count:
    """How many are inside, and when the last one has left."""

    def __init__(self) -> None:
        self._inside = 0
        self._empty: anyio.Event | None = None

    def __enter__(self) -> None:
        self._inside += 1

    def __exit__(self, *_: object) -> None:
        self._inside -= 1
        if self._empty is not None and not self._inside:
            self._empty.set()

    async def none_left(self) -> None:
        if self._inside:
            self._empty = anyio.Event()
            await self._empty.wait()


# These three are no generators: a thousand watches are inside of them all the time, and a generator
# takes ten times the memory.


class _LongCall:
    """A call that may take for ever, and can be sent off."""

    __slots__ = ("_call", "_others", "_scope")

    def __init__(self, others: set[anyio.CancelScope], call: Call) -> None:
        self._others = others
        self._call = call
        self._scope = anyio.CancelScope()

    def __enter__(self) -> None:
        self._scope.__enter__()
        self._others.add(self._scope)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        self._others.discard(self._scope)
        swallowed = self._scope.__exit__(kind, error, traceback)
        if self._scope.cancelled_caught:
            raise ClientClosedError("this client was closed", operation=self._call.operation)
        return swallowed


class _Told:
    """What comes out of the layers, as an error of ours that says where it happened."""

    __slots__ = ("_call", "_line")

    def __init__(self, call: Call, line: Line) -> None:
        self._call = call
        self._line = line

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        call = self._call
        if isinstance(error, httpx.TransportError):
            raise _connection_error(call, self._line, error) from error
        if isinstance(error, httpx.InvalidURL):
            raise InvalidRequestError(
                "path and parameters are too long for a URL", operation=call.operation
            ) from None
        if isinstance(error, ConsulError):
            error.operation = error.operation or call.operation
            if call.doubt and call.safety is not Safety.SAFE:
                # Not sent this time, but an attempt before it may have been applied.
                raise _unknown(call, str(error.args[0])) from error


class _Following:
    """Any error makes the cursor start over; a cancelled read leaves it where it is."""

    __slots__ = ("_cursor",)

    def __init__(self, cursor: Cursor | None) -> None:
        self._cursor = cursor

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if self._cursor is not None and isinstance(error, ConsulError):
            self._cursor.restart()


@dataclass(slots=True)
class Line:
    """What all views of a client share: the way to Consul, and who is on it."""

    transport: httpx.AsyncBaseTransport
    base: str
    connect_timeout: float = 2.0
    attempt_timeout: float = 8.0
    gzip: bool = False
    check_server: bool = True
    hub: Hub = field(default_factory=Hub)
    server: Server | None = field(default=None, init=False)
    server_asked: bool = field(default=False, init=False)
    closed: bool = field(default=False, init=False)
    _calls: _Count = field(init=False)
    _long: set[anyio.CancelScope] = field(default_factory=set, init=False)
    headers: httpx.Headers = field(init=False)
    """Those of every request."""

    def __post_init__(self) -> None:
        self._calls = _Count()
        self.headers = httpx.Headers(
            [
                (b"Host", httpx.URL(self.base).netloc),
                (b"User-Agent", _USER_AGENT.encode("ascii")),
                (b"Accept", b"application/json"),
                # On loopback, packing costs the agent more than the bytes would.
                (b"Accept-Encoding", b"gzip" if self.gzip else b"identity"),
            ]
        )

    def occupied(self, call: Call) -> AbstractContextManager[None]:
        """Be on the line for one call. What may take for ever is sent off when the line closes."""
        if self.closed:
            raise ClientClosedError("this client is closed", operation=call.operation)
        return _LongCall(self._long, call) if call.blocking or call.stream else self._calls

    async def aclose(self, grace: float) -> None:
        """
        Take no more calls, end the long ones, wait `grace` seconds for the others, hang up.

        What is still in flight then fails: with ClientClosedError, or OutcomeUnknownError where a
        write had been sent.
        """
        try:
            if not self.closed:
                self.closed = True
                for scope in self._long:
                    scope.cancel()
                self.hub.close()
                with anyio.move_on_after(grace):
                    await self._calls.none_left()
        finally:
            # Also when the waiting is cancelled.
            with anyio.CancelScope(shield=True):
                await self.transport.aclose()


class Wire:
    """Sends the calls of one view."""

    def __init__(self, line: Line, options: Options) -> None:
        self.line = line
        self.options = options
        self._params = {takes: self._view_params(takes) for takes in (Takes.READ, Takes.WRITE)}
        bounded = options.namespace is not None or options.partition is not None
        self._tenancy = self._check_tenancy if bounded and line.check_server else None

    def using(self, **changes: Any) -> Wire:
        """The wire of another view: the same line, other options."""
        return Wire(self.line, replace(self.options, **changes))

    # -- reads -------------------------------------------------------------------------------------

    async def read(
        self,
        operation: str,
        path: str,
        adapter: TypeAdapter[T],
        params: Params | None = None,
        *,
        cursor: Cursor | None = None,
        missing: T | None = None,
        takes: Takes = Takes.READ,
        local: bool = False,
        data: frozenset[int] = frozenset(),
        ordered: bool = True,
    ) -> T:
        """
        Read, and decode with the adapter.

        With `missing`, a 404 that carries an index is the answer that nothing is there; one
        without is a route this server does not have. An answer with a status in `data` is as good
        as any. An index that is not `ordered` says where to wait, but not what came before what.
        """

        def decoded(answer: Answer) -> T:
            if missing is not None and answer.status == 404:
                return missing
            return answer.decode(adapter)

        return await self._read(
            *(operation, path, params, decoded),
            cursor=cursor,
            missing=missing is not None,
            takes=takes,
            local=local,
            data=data,
            ordered=ordered,
        )

    async def find(
        self,
        operation: str,
        path: str,
        adapter: TypeAdapter[T],
        params: Params | None = None,
        *,
        cursor: Cursor | None = None,
        unless: str = "",
        takes: Takes = Takes.READ,
        local: bool = False,
    ) -> T | None:
        """
        Read one thing by its name; None where there is none.

        That is a 404 that carries an index, or one whose text has `unless` in it.
        """

        def decoded(answer: Answer) -> T | None:
            return None if answer.status == 404 else answer.decode(adapter)

        return await self._read(
            *(operation, path, params, decoded),
            cursor=cursor,
            missing=unless or True,
            takes=takes,
            local=local,
        )

    async def _read(
        self,
        operation: str,
        path: str,
        params: Params | None,
        decoded: Callable[[Answer], T],
        *,
        cursor: Cursor | None,
        missing: bool | str,
        takes: Takes,
        local: bool,
        data: frozenset[int] = frozenset(),
        ordered: bool = True,
    ) -> T:
        what = (operation, path, params, missing, takes, local, data)
        with following(cursor):
            answer = await self.get(cursor, *what)
            if cursor is not None and ordered and self._must_confirm(cursor, answer, takes):
                # Paced as the watch that reads, and without an index: it answers at once.
                fresh = Cursor()
                fresh.paced = True
                consistent = self.using(consistency=Consistency.CONSISTENT)
                answer = await consistent.get(fresh, *what)
            value = decoded(answer)
            if cursor is not None:
                cursor.advance(answer.meta, ordered=ordered)
            return value

    def get(
        self,
        cursor: Cursor | None,
        operation: str,
        path: str,
        params: Params | None,
        missing: bool | str,
        takes: Takes,
        local: bool,
        data: frozenset[int],
    ) -> Awaitable[Answer]:
        """Ask for it in this view."""
        return self.ask(
            *(operation, "GET", path, params),
            safety=Safety.SAFE,
            cursor=cursor,
            missing=missing,
            takes=takes,
            local=local,
            data=data,
        )

    def _must_confirm(self, cursor: Cursor, answer: Answer, takes: Takes) -> bool:
        """
        Whether a watch's answer is better asked for again, of a leader that is sure of itself.

        A server that was just restarted may for a moment answer as if it were empty, and a watch
        would tell of deletions that never happened.
        """
        return (
            cursor.paced
            and self.options.consistency is Consistency.DEFAULT
            and Takes.CONSISTENCY in takes
            and cursor.goes_back(answer.meta)
        )

    # -- what is followed --------------------------------------------------------------------------

    def watch(self, read: Callable[..., Awaitable[T]], *args: Any, **kwargs: Any) -> Watch[T]:
        """
        Follow a read. Equal ones of this client share one query.

        They are equal when it is the same method of the API, on equal views, with equal arguments.
        """
        if "cursor" not in _signature(read).parameters:
            raise InvalidRequestError(
                "this cannot be watched: it takes no cursor; c.poll follows it"
            )

        def topic(wire: Wire, *args: Any, **kwargs: Any) -> Topic[T]:
            return Topic(
                lambda cursor: read(*args, **kwargs, cursor=cursor),
                wait=wire.options.wait,
                hub=wire.line.hub,
            )

        return self._follow(read, None, args, kwargs, topic)

    def poll(
        self, read: Callable[..., Awaitable[T]], every: float, *args: Any, **kwargs: Any
    ) -> Watch[T]:
        """Follow a read that cannot wait, by asking every so many seconds."""
        every = seconds("every", every, setting="every", above_zero=True)

        def topic(wire: Wire, *args: Any, **kwargs: Any) -> Topic[T]:
            return Topic(lambda _: read(*args, **kwargs), every=every, hub=wire.line.hub)

        return self._follow(read, every, args, kwargs, topic)

    def _follow(
        self,
        read: Callable[..., Awaitable[T]],
        every: float | None,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        topic: Callable[..., Topic[T]],
    ) -> Watch[T]:
        try:
            arguments = _signature(read).bind(*args, **kwargs).arguments
        except TypeError as error:
            raise InvalidRequestError(f"this cannot be called so: {error}") from None
        if "cursor" in arguments:
            raise InvalidRequestError("a watch has a cursor of its own")
        # The client of the read, which need not be the one that watches.
        ours = _wire_of(read)
        wire = ours or self
        # What a caller does to a list later is not what is followed.
        args, kwargs = _copied(args), _copied(kwargs)
        key: Hashable = object()
        if ours is not None:
            key = _key(read, wire.options, arguments, every) or key
        return Watch.of(wire.line.hub.topic(key, lambda: topic(wire, *args, **kwargs)))

    # -- writes ------------------------------------------------------------------------------------

    async def write(
        self,
        operation: str,
        method: str,
        path: str,
        adapter: TypeAdapter[T],
        params: Params | None = None,
        *,
        content: bytes = b"",
        json: bytes | None = None,
        safety: Safety = Safety.UNSAFE,
        takes: Takes = Takes.WRITE,
        local: bool = False,
        control: bool = False,
    ) -> T:
        """Write, and decode the answer with the adapter."""
        answer = await self.ask(
            *(operation, method, path, params),
            content=content,
            json=json,
            safety=safety,
            takes=takes,
            local=local,
            control=control,
        )
        return answer.decode(adapter)

    async def verdict(
        self,
        operation: str,
        method: str,
        path: str,
        params: Params | None = None,
        *,
        content: bytes = b"",
        json: bytes | None = None,
        safety: Safety = Safety.UNSAFE,
        takes: Takes = Takes.WRITE,
        control: bool = False,
    ) -> bool:
        """A write that Consul answers with `true` or `false`."""
        return await self.write(
            *(operation, method, path, _BOOL, params),
            content=content,
            json=json,
            safety=safety,
            takes=takes,
            control=control,
        )

    # -- everything --------------------------------------------------------------------------------

    async def ask(
        self,
        operation: str,
        method: str,
        path: str,
        params: Params | None = None,
        *,
        content: bytes | Upload = b"",
        content_type: bytes = b"application/octet-stream",
        json: bytes | None = None,
        safety: Safety = Safety.UNSAFE,
        takes: Takes = Takes.WRITE,
        local: bool = False,
        control: bool = False,
        cursor: Cursor | None = None,
        missing: bool | str = False,
        data: frozenset[int] = frozenset(),
        unhurried: bool = False,
    ) -> Answer:
        """
        Send one request of this view. The path is already encoded.

        `json` is a body that is JSON. With `missing`, a 404 that carries an index, or has that
        text in it, is an answer; so is a status in `data`. An `unhurried` one may take as long as
        the call may.
        """
        if self._tenancy is not None and Takes.TENANCY & takes:
            await self._tenancy(takes, operation)
        if json is not None:
            content, content_type = json, b"application/json"
        call = self._call(operation, safety, takes, local=local, control=control, cursor=cursor)
        call.data, call.unhurried = data, unhurried or isinstance(content, Upload)
        line = self.line
        query = query_string([*(params or ()), *self._params_for(takes), *_waiting(call, cursor)])
        with line.occupied(call), _Told(call, line):
            response = await line.transport.handle_async_request(
                self._request(call, method, path + query, content, content_type)
            )
            body = await _whole(response)
        if (
            200 <= response.status_code < 300
            or (missing and _is_missing(response, body, missing))
            or (data and call.is_data(response.status_code, response.headers.get("content-type")))
        ):
            return Answer(
                operation, response.status_code, body, response.headers.raw, call.served_by
            )
        raise _status_error(call, response, body, line.server)

    @asynccontextmanager
    async def stream(
        self,
        operation: str,
        path: str,
        params: Params | None = None,
        *,
        takes: Takes = Takes.NOTHING,
        local: bool = False,
        silence: float | None = None,
    ) -> AsyncIterator[Stream]:
        """
        A read whose answer is handed on piece by piece, as it is.

        Its head comes within the call's time-out. Then it may be silent for `silence` seconds
        between two pieces; None is for ever. Leaving closes the connection.
        """
        call = self._call(operation, Safety.SAFE, takes, local=local, control=False, cursor=None)
        call.stream = call.unhurried = True
        query = query_string([*(params or ()), *self._params_for(takes)])
        with self.line.occupied(call):
            with _Told(call, self.line):
                request = self._request(call, "GET", path + query, b"", b"")
                response = await self.line.transport.handle_async_request(request)
            if not 200 <= response.status_code < 300:
                raise _status_error(call, response, await _whole(response), self.line.server)
            stream = Stream(call, self.line, response, silence)
            try:
                yield stream
            finally:
                await stream.aclose()

    def _request(
        self,
        call: Call,
        method: str,
        target: str,
        content: bytes | Upload,
        content_type: bytes,
    ) -> httpx.Request:
        more: list[tuple[bytes, bytes]] = []
        timeouts: dict[str, Any] = _timeouts(
            self.line.connect_timeout, self.line.attempt_timeout, call.hold
        )
        length = content.length if isinstance(content, Upload) else len(content)
        if method in ("PUT", "POST"):
            more.append((b"Content-Type", content_type))
        if length or method in ("PUT", "POST"):
            more.append((b"Content-Length", str(length).encode("ascii")))
        # Made anew only where there is more of them: httpx looks at each.
        headers = httpx.Headers([*self.line.headers.raw, *more]) if more else self.line.headers
        if call.stream:
            # Packing would hold back what is there already.
            headers = headers.copy()
            headers["Accept-Encoding"] = "identity"
        if call.unhurried:
            # The call's own time-out is all there is.
            timeouts = timeouts | {"read": None}
        request = httpx.Request(
            method,
            _url(self.line.base + target),
            headers=headers,
            # With its content instead, httpx would go through the headers once more.
            stream=content if isinstance(content, Upload) else httpx.ByteStream(content),
            extensions={"timeout": timeouts, CARD: call},
        )
        if not isinstance(content, Upload):
            # So that whoever looks at the request finds it there.
            request.read()
        return request

    # -- what the server can do --------------------------------------------------------------------

    async def server(self) -> Server | None:
        """The agent's version, asked for once. None where it does not say."""
        # Calls that come first together each ask: none waits for another's failure.
        line = self.line
        if not line.server_asked and line.check_server:
            try:
                line.server = await self._ask_server()
            except (DecodeError, NotFoundError, PermissionDeniedError, UnsupportedEndpointError):
                pass
            except ConsulError:
                # It says nothing at all at the moment; the call itself will say so better.
                return None
            line.server_asked = True
        return line.server

    async def _ask_server(self) -> Server | None:
        # Once: the call it is asked for has its own attempts.
        once = Cursor()
        once.paced = True

        def asked(path: str) -> Any:
            return self.ask(
                *("server", "GET", path),
                safety=Safety.SAFE,
                takes=Takes.NOTHING,
                local=True,
                cursor=once,
            )

        try:
            said = (await asked("/v1/agent/self")).json()
            return Server(str(said["Config"]["Version"]), str(said["Config"]["Datacenter"]))
        except PermissionDeniedError:
            # Newer agents tell it to everybody.
            said = (await asked("/v1/agent/version")).json()
            return Server(str(said["HumanVersion"]))
        except (KeyError, TypeError):
            return None

    async def needs(self, what: str, since: str, operation: str) -> None:
        """Refuse what a server of this version is known to ignore silently."""
        server = await self.server()
        if server is not None and not server.since(since):
            raise InvalidRequestError(
                f"{server} ignores {what}, which came with Consul {since}", operation=operation
            )

    async def _check_tenancy(self, takes: Takes, operation: str) -> None:
        options = self.options
        for what, asked, given in (
            ("partitions", Takes.PARTITION, options.partition),
            ("namespaces", Takes.NAMESPACE, options.namespace),
        ):
            if given is None or asked not in takes:
                continue
            server = await self.server()
            if server is not None and not server.enterprise:
                raise InvalidRequestError(
                    f"{server} has no {what}: they are a feature of Consul Enterprise",
                    operation=operation,
                )
            if asked is Takes.PARTITION:
                await self.needs(what, "1.11", operation)

    def _call(
        self,
        operation: str,
        safety: Safety,
        takes: Takes,
        *,
        local: bool,
        control: bool,
        cursor: Cursor | None,
    ) -> Call:
        options = self.options
        datacenter = options.datacenter
        if datacenter is not None and Takes.DATACENTER not in takes:
            datacenter = None
        if cursor is not None and not options.failover and cursor.datacenter != datacenter:
            # Its index counts another datacenter's history.
            cursor.restart()
        waits = cursor is not None and cursor.waits
        return Call(
            operation,
            safety,
            wait=cursor.wait if cursor is not None and waits else None,
            local=local,
            paced=options.paced or (cursor is not None and cursor.paced),
            control=control,
            datacenter=datacenter,
            index_of=cursor.datacenter if cursor is not None else None,
            failover=options.failover,
            token=options.token,
            timeout=options.timeout,
            retry=options.retry,
            served_by=datacenter,
        )

    def _params_for(self, takes: Takes) -> Params:
        known = self._params.get(takes)
        if known is None:
            known = self._params[takes] = self._view_params(takes)
        return known

    def _view_params(self, takes: Takes) -> Params:
        options = self.options
        params: Params = []
        if options.datacenter is not None and Takes.DATACENTER in takes:
            params.append(("dc", options.datacenter))
        if options.consistency is not Consistency.DEFAULT and Takes.CONSISTENCY in takes:
            params.append((options.consistency.value, ""))
        if options.namespace is not None and Takes.NAMESPACE in takes:
            params.append(("ns", options.namespace))
        if options.partition is not None and Takes.PARTITION in takes:
            params.append(("partition", options.partition))
        return params


@lru_cache(maxsize=256)
def _url(text: str) -> httpx.URL:
    """Parsed once: most programs ask for the same few things again and again."""
    return httpx.URL(text)


@lru_cache
def _timeouts(connect: float, attempt: float, hold: float) -> dict[str, float]:
    """Those of one attempt: many have the same, which is not to be changed."""
    return {"connect": connect, "read": hold + attempt, "write": attempt, "pool": attempt}


def _signature(read: Callable[..., object]) -> inspect.Signature:
    try:
        return inspect.signature(read)
    except (TypeError, ValueError):
        pass
    raise InvalidRequestError("a watch takes a method and its arguments: c.kv.get, 'key'")


def _wire_of(read: Callable[..., object]) -> Wire | None:
    """The wire of a method of our own API."""
    wire = getattr(getattr(read, "__self__", None), "_wire", None)
    return wire if isinstance(wire, Wire) else None


def _key(
    read: Callable[..., object],
    options: Options,
    arguments: dict[str, Any],
    every: float | None,
) -> Hashable:
    """What makes two followers follow the same; None where that cannot be told."""
    try:
        key = (getattr(read, "__func__", None), options, _frozen(arguments), every)
        hash(key)
    except TypeError:
        return None
    return key


def _frozen(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return tuple(_frozen(one) for one in value)
    if isinstance(value, dict):
        return tuple((name, _frozen(one)) for name, one in sorted(value.items()))
    return value


def _copied(value: T) -> T:
    copied: Any = value
    if isinstance(copied, dict):
        copied = {name: _copied(one) for name, one in copied.items()}
    elif isinstance(copied, list):
        copied = [_copied(one) for one in copied]
    elif type(copied) is tuple:
        copied = tuple(_copied(one) for one in copied)
    return cast(T, copied)


_BOOL: Final = TypeAdapter[bool](StrictBool)


def _waiting(call: Call, cursor: Cursor | None) -> Params:
    if call.wait is None or cursor is None:
        return []
    wait = ("wait", format_duration(call.wait))
    if cursor.index is None:
        return [("hash", cursor.hash or ""), wait]
    return [("index", str(cursor.index)), wait]


def following(cursor: Cursor | None) -> AbstractContextManager[None]:
    """Any error makes the cursor start over; a cancelled read leaves it where it is."""
    if cursor is not None and not isinstance(cursor, Cursor):
        raise InvalidRequestError(f"a cursor is a Cursor, not {type(cursor).__name__}")
    return _Following(cursor)


def _connection_error(call: Call, line: Line, error: httpx.TransportError) -> ConsulError:
    operation, said = call.operation, _cut(str(error)) or type(error).__name__
    if tls_failure(error):
        return ConfigurationError(
            f"no TLS with {line.base}: {_cut(str(error.__cause__ or error))}; check CONSUL_CACERT, "
            "CONSUL_CLIENT_CERT, CONSUL_CLIENT_KEY and CONSUL_TLS_SERVER_NAME",
            setting="tls",
            operation=operation,
        )
    outcome = fault_of_error(error).outcome
    if call.safety is not Safety.SAFE and (call.doubt or outcome is Outcome.MAYBE_APPLIED):
        return _unknown(call, said, timed_out=isinstance(error, httpx.TimeoutException))
    if line.closed:
        return ClientClosedError("this client was closed", operation=operation)
    if outcome is Outcome.REJECTED:
        return InvalidRequestError(f"cannot be sent: {said}", operation=operation)
    if isinstance(error, httpx.TimeoutException):
        why = "the agent is overloaded, hung, or not reachable"
        if call.queued:
            why = "this client has too many calls in flight"
        return ConsulTimeoutError(f"{said} ({why}){_tail(call)}", operation=operation)
    return ConsulConnectionError(
        f"no answer from {line.base}: {said} (is an agent running there?){_tail(call)}",
        operation=operation,
    )


def _unknown(call: Call, said: str, *, timed_out: bool = False) -> OutcomeUnknownError:
    return OutcomeUnknownError(
        f"sent, but the answer was lost ({said}): it may or may not have been applied; read back "
        f"what it should have changed{_tail(call)}",
        timed_out=timed_out,
        operation=call.operation,
    )


def _tail(call: Call) -> str:
    return f"; {call.gave_up}" if call.gave_up else ""


async def _whole(response: httpx.Response) -> bytes:
    """The body, which WholeBody has read and unpacked: there is nothing left to wait for."""
    stream = response.stream
    if isinstance(stream, httpx.ByteStream):
        return b"".join(stream)
    # A layer of somebody else's put another one in its place.
    return b"".join([chunk async for chunk in stream])  # type: ignore[union-attr]


def _is_missing(response: httpx.Response, body: bytes, missing: bool | str) -> bool:
    # An unknown route answers 404 as well, but has no index, and says nothing.
    return response.status_code == 404 and (
        "x-consul-index" in response.headers
        or (isinstance(missing, str) and missing.encode() in body)
    )


def _status_error(
    call: Call, response: httpx.Response, body: bytes, server: Server | None
) -> ConsulError:
    status, operation = response.status_code, call.operation
    if 300 <= status < 400:
        # Consul redirects paths it would rather see otherwise. Following would send the token,
        # and the body, to wherever it says.
        return ConsulStatusError(
            f"Consul answered {status}: a redirect to {_host(response)}, which is never followed",
            status=status,
            operation=operation,
        )
    text = body.decode("utf-8", errors="replace")
    detail, fault = _cut(text.strip()), classify(status, text)
    unknown = call.doubt or fault.outcome is Outcome.MAYBE_APPLIED
    if unknown and call.safety is not Safety.SAFE:
        return _unknown(call, f"Consul answered {status}: {detail or 'no text'}")
    kind = fault.error
    if status == 404 and not detail and "x-consul-index" not in response.headers:
        kind = UnsupportedEndpointError
        detail = "this server has no such endpoint (too old, another edition, or not Consul)"
        if server is not None:
            detail = f"{server} has no such endpoint (too old, or another edition)"
    if status == 400 and not detail:
        detail = "no reason given; a character of the path does not print for this server"
    errors = _operation_errors(body) if kind is TransactionError else ()
    if errors:
        # As JSON it would be cut before it says why.
        detail = _cut("; ".join(f"operation {error.index}: {error.what}" for error in errors))
    error = kind(
        f"Consul answered {status}: {detail or 'no text'}{_tail(call)}",
        status=status,
        detail=detail,
        retry_after=_seconds(response.headers.get("retry-after")),
        operation=operation,
    )
    if isinstance(error, TransactionError):
        error.errors = errors
    return error


def _host(response: httpx.Response) -> str:
    try:
        host = urlsplit(response.headers.get("location", "")).hostname
    except ValueError:
        host = "somewhere unreadable"
    return _cut(host or "the same host")


def _operation_errors(body: bytes) -> tuple[OperationError, ...]:
    try:
        # The body of an error is cut, and so may be the last of many.
        errors = from_json(body, allow_partial="trailing-strings")["Errors"]
        return tuple(
            OperationError(int(e["OpIndex"]), str(e["What"])) for e in errors if "What" in e
        )
    except (KeyError, TypeError, ValueError):
        return ()


def _seconds(text: str | None) -> float | None:
    return float(text) if text and text.isascii() and text.isdigit() and len(text) < 10 else None


def _cut(text: str) -> str:
    """A peer's text for an error message: on one line, and not longer than it helps."""
    text = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text[:301])
    return text if len(text) <= 300 else text[:297] + "..."
