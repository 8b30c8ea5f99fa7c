"""Sockets to agents: a free list of connections behind httpx's transport seam."""

from __future__ import annotations

import math
import ssl
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple, get_args

import anyio
import httpcore
import httpx

from .._call import CARD, Call
from .._tls import TLS
from ..errors import ClientClosedError, ConfigurationError
from ._connection import HTTP, Connection, Origin, Reply
from ._h11 import H11Connection
from ._network import clock

if TYPE_CHECKING:
    from ._llhttp import LLHTTPConnection

__all__ = ["ConnectionStatistics", "Connections"]

_DEFAULT_PORTS: Final = {b"http": 80, b"https": 443}
_USUAL_TLS: Final = TLS()
_LOCALHOST: Final = Origin(b"http", b"localhost", 80)


@dataclass(frozen=True, slots=True)
class ConnectionStatistics:
    """Connections at one moment, and how many were ever opened."""

    active: int
    idle: int
    opened: int


class _Idle(NamedTuple):
    since: float
    connection: Connection


class Connections(httpx.AsyncBaseTransport):
    """
    Keeps connections to each origin, and uses the one that came back last.

    Taking and returning one costs the same however many there are, nothing ever queues here, and a
    cancelled request takes nothing but its own connection with it. (httpcore's pool does more work
    the more requests there are, counts busy connections against the idle ones it keeps, and loses
    a place for ever when a request is cancelled while it waits.) How many requests there are at
    once is the business of the Limit layer.

    No proxies, redirects, cookies or `.netrc`. `tls` gives the context for https, and is asked
    when the first such connection is opened. `server_name` is the name to ask for and verify in
    TLS instead of the host's. With `socket`, `http://localhost` is that unix socket. `http` is
    `"h11"`, or `"fast"`, which takes the extra `fast`, or `"auto"`: the fast one where it is there.
    """

    def __init__(
        self,
        *,
        tls: Callable[[], ssl.SSLContext] = _USUAL_TLS.context,
        server_name: str | None = None,
        socket: str | None = None,
        keepalive: float = 30.0,
        http: HTTP = "auto",
        now: Callable[[], float] = anyio.current_time,
    ) -> None:
        self._tls = tls
        self._tls_context: ssl.SSLContext | None = None
        self._server_name = server_name
        self._socket = socket
        self._keepalive = keepalive
        self._fast = _fast(http)
        self._now = now
        self._idle: dict[Origin, deque[_Idle]] = {}
        self._active: set[Connection] = set()
        self._opening: set[anyio.CancelScope] = set()
        self._opened = 0
        self._closed = False

    def __repr__(self) -> str:
        return f"<Connections {self.statistics()!r}>"

    def statistics(self) -> ConnectionStatistics:
        idle = sum(len(connections) for connections in self._idle.values())
        return ConnectionStatistics(len(self._active), idle, self._opened)

    @property
    def bounds_attempts(self) -> bool:
        """Whether a request takes no longer than its card says that an attempt may."""
        return not _is_mocked()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        url = request.url
        origin = Origin(
            url.raw_scheme, url.raw_host, url.port or _DEFAULT_PORTS.get(url.raw_scheme, 0)
        )
        if origin.scheme not in _DEFAULT_PORTS:
            raise httpx.UnsupportedProtocol("only http and https")
        connection = await self._take(origin)
        self._active.add(connection)
        if connection.connected:
            return await self._send(connection, origin, request)
        # A connection that is not there yet cannot be closed; what opens it is cancelled instead.
        with anyio.CancelScope() as opening:
            self._opening.add(opening)
            try:
                return await self._send(connection, origin, request)
            finally:
                self._opening.discard(opening)
                # For whoever cut it off, and cannot tell from above.
                card = Call.of(request.method, request.extensions)
                card.connecting = not connection.connected
        kind = httpx.ReadError if connection.connected else httpx.ConnectError
        raise kind("these connections were closed")

    async def _send(
        self, connection: Connection, origin: Origin, request: httpx.Request
    ) -> httpx.Response:
        failure: httpx.TransportError
        try:
            reply = await connection.send(request, self._until(request))
        except httpcore.ConnectionNotAvailable:
            # Closed by aclose() after it was taken, and before anything was sent.
            await self.discard(connection)
            failure = httpx.ConnectError("this connection was closed")
        except _HTTPCORE_ERRORS as error:
            await self.discard(connection)
            failure = _translated(error)
        except BaseException as error:  # noqa: BLE001
            await self.discard(connection)
            # The frames below hold the token's header in their locals.
            raise error.with_traceback(None)  # noqa: B904
        else:
            stream: _Whole | _Body
            if reply.whole is not None:
                await self.give_back(origin, connection)
                stream = _Whole(reply.whole)
            else:
                stream = _Body(self, origin, connection, reply)
            return httpx.Response(
                reply.status, headers=reply.headers, stream=stream, extensions=reply.extensions
            )
        # Raised out here, it does not carry httpcore's frames along as its context.
        raise failure

    def _until(self, request: httpx.Request) -> float:
        """When this attempt must be over, where its card says so."""
        call = request.extensions.get(CARD)
        if not isinstance(call, Call) or call.attempt == math.inf:
            return math.inf
        call.attempt_until = min(call.until, self._now() + call.attempt)
        return call.attempt_until

    async def _take(self, origin: Origin) -> Connection:
        kind = self._kind()
        idle = self._idle.get(origin)
        while idle:
            since, connection = idle.pop()
            fresh = since + self._keepalive >= self._now() and not connection.expired
            if fresh and isinstance(connection, kind):
                return connection
            await _close(connection)
        if self._closed:
            raise ClientClosedError("these connections are closed")
        ssl_context = self._context() if origin.scheme == b"https" else None
        self._opened += 1
        if self._now is anyio.current_time:
            self._now = clock()
        return kind(
            origin,
            ssl_context,
            self._server_name,
            self._socket if origin == _LOCALHOST else None,
            self._keepalive,
        )

    def _kind(self) -> type[H11Connection | LLHTTPConnection]:
        # Where somebody put himself in the place of httpcore's connection, as `respx.mock()` does,
        # he is asked: a test must not reach the network because an extra is installed.
        return H11Connection if self._fast is None or _is_mocked() else self._fast

    def _context(self) -> ssl.SSLContext:
        if self._tls_context is None:
            self._tls_context = self._tls()
        return self._tls_context

    async def give_back(self, origin: Origin, connection: Connection) -> None:
        """Keep a connection for the next request, if it can take one."""
        self._active.discard(connection)
        if self._closed or not connection.idle:
            await _close(connection)
            return
        now = self._now()
        idle = self._idle.get(origin)
        if idle is None:
            idle = self._idle[origin] = deque()
        idle.append(_Idle(now, connection))
        # The last one back is the first one out, so the oldest lie at the other end. One of each
        # origin is looked at each time: as many leave as come.
        old = [
            idle.popleft().connection
            for idle in self._idle.values()
            if idle and idle[0].since + self._keepalive < now
        ]
        for one in old:
            await _close(one)

    async def discard(self, connection: Connection) -> None:
        """Close a connection that can take no further request."""
        self._active.discard(connection)
        await _close(connection)

    async def aclose(self) -> None:
        """Close every connection; requests in flight on them fail."""
        self._closed = True
        for opening in self._opening:
            opening.cancel()
        connections = [connection for connection in self._active if connection.connected]
        for idle in self._idle.values():
            connections += [entry.connection for entry in idle]
            idle.clear()
        for connection in connections:
            await _close(connection)


async def _close(connection: Connection) -> None:
    with anyio.CancelScope(shield=True):
        await connection.hang_up()


_SEAM: Final = httpcore.AsyncHTTPConnection.handle_async_request
# None where it is taken already while this is imported.
_HTTPCORES_OWN: Final = _SEAM if _SEAM.__module__.startswith("httpcore.") else None


def _is_mocked() -> bool:
    return httpcore.AsyncHTTPConnection.handle_async_request is not _HTTPCORES_OWN


def _fast(http: HTTP) -> type[LLHTTPConnection] | None:
    """The fast connections, where they are wanted and there."""
    if http not in get_args(HTTP):
        raise ConfigurationError("http is 'auto', 'h11' or 'fast'", setting="http")
    if http == "h11":
        return None
    try:
        from ._llhttp import LLHTTPConnection  # noqa: PLC0415
    except ImportError:
        if http == "fast":
            raise ConfigurationError(
                "http='fast' needs the extra `fast`: pip install 'consul-onex[fast]'",
                setting="http",
            ) from None
        return None
    return LLHTTPConnection


class _Body(httpx.AsyncByteStream):
    """
    A body on its way, which returns its connection when closed.

    It is its own iterator, since an asynchronous generator that is left half read is cleaned up by
    the garbage collector, which trio rightly complains about.
    """

    def __init__(
        self,
        connections: Connections,
        origin: Origin,
        connection: Connection,
        reply: Reply,
    ) -> None:
        self._connections = connections
        self._origin = origin
        self._connection = connection
        self._reply = reply
        self._chunks: AsyncIterator[bytes] | None = None
        self._read = False
        self._closed = False

    def __aiter__(self) -> AsyncIterator[bytes]:
        self._chunks = aiter(self._reply.body)
        return self

    async def __anext__(self) -> bytes:
        if self._chunks is None:
            raise StopAsyncIteration
        failure: httpx.TransportError
        try:
            return await anext(self._chunks)
        except StopAsyncIteration:
            self._read = True
            raise
        except _HTTPCORE_ERRORS as error:
            self._chunks = None
            failure = _translated(error)
        except BaseException as error:  # noqa: BLE001
            self._chunks = None
            raise error.with_traceback(None)  # noqa: B904
        raise failure

    async def aclose(self) -> None:
        if self._closed:
            return
        self._closed = True
        with anyio.CancelScope(shield=True):
            if self._chunks is None or self._read:
                await self._reply.body.aclose()
                await self._connections.give_back(self._origin, self._connection)
            else:
                await self._break_off(self._chunks)
                await self._reply.body.aclose()
                # Not given back: where all of the answer had arrived, httpcore calls it idle.
                await self._connections.discard(self._connection)

    async def _break_off(self, chunks: AsyncIterator[bytes]) -> None:
        # On a closed connection the generators below end by their own error, all the way down.
        await self._connection.hang_up()
        try:
            while True:
                await anext(chunks)
        except (StopAsyncIteration, *_HTTPCORE_ERRORS):
            pass


class _Whole(httpx.ByteStream):
    """A body that is here. For the same reason it is no asynchronous generator."""

    def __init__(self, body: bytes) -> None:
        super().__init__(body)
        self._left = [body] if body else []

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if not self._left:
            raise StopAsyncIteration
        return self._left.pop()


# httpcore and httpx call their errors alike. On asyncio, httpcore lets TLS's own through: a server
# refuses a client's certificate only after the handshake.
_HTTPCORE_ERRORS: Final = (
    httpcore.TimeoutException,
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.ProxyError,
    httpcore.UnsupportedProtocol,
    ssl.SSLError,
)


def _translated(error: Exception) -> httpx.TransportError:
    """
    The same error in httpx's words, without the frames it came through.

    Of its causes only the innermost is kept: what the operating system or TLS said. Nor does it
    hold the request, which has the token; an httpx client puts its own there.
    """
    kind: type[httpx.TransportError] = getattr(httpx, type(error).__name__, httpx.TransportError)
    root: BaseException = error
    while (below := _below(root)) is not None:
        root = below
    # A time-out of asyncio's ends in a cancellation, which says only who cancelled what.
    text = str(error) or (str(root) if isinstance(root, Exception) else "")
    if isinstance(error, httpcore.LocalProtocolError):
        # h11 quotes the header it does not like.
        text = "the request cannot be sent as it is"
    translated = kind(text)
    if isinstance(root, OSError):
        root.__traceback__ = root.__cause__ = root.__context__ = None
        translated.__cause__ = root
    return translated


def _below(error: BaseException) -> BaseException | None:
    # Trio puts even a single refused connection into a group.
    if isinstance(error, BaseExceptionGroup):
        return error.exceptions[0]
    return error.__cause__ or error.__context__
