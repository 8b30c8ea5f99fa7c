"""
HTTP/1.1 with llhttp, Node's parser, which httptools brings to Python.

It does the work of httpcore's HTTP/1.1 connection in a quarter of its time, and ends in the same
errors. Where it reads an answer differently, it is the stricter one: nobody speaks to Consul
through what only guesses at HTTP.
"""

from __future__ import annotations

import math
import re
import ssl
from collections.abc import AsyncIterator
from typing import Final

import httpcore
import httptools
import httpx

from ._connection import Origin, Reply
from ._network import bounded, clock, network

__all__ = ["LLHTTPConnection"]

_MOST_AT_ONCE: Final = 64 * 1024
_MOST_OVERHEAD: Final = 100 * 1024
"""Bytes in a row that are no body: a head, with those of 1xx before it, or what frames a chunk."""

_TOKEN: Final = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_HEAD: Final = re.compile(
    rb"%b [\x21-\x7e]+ HTTP/1\.1\r\n(?:%b: (?:[^\x00\s]+(?:[ \t]+[^\x00\s]+)*)?\r\n)+\r\n"
    % (_TOKEN, _TOKEN)
)


class LLHTTPConnection:
    """One connection, for one request after another. It is opened by the first."""

    _stream: httpcore.AsyncNetworkStream

    def __init__(
        self,
        origin: Origin,
        ssl_context: ssl.SSLContext | None,
        server_name: str | None,
        socket: str | None,
        keepalive: float,
    ) -> None:
        self._host = origin.host.decode("ascii")
        self._port = origin.port
        self._ssl_context = ssl_context
        self._server_name = server_name or self._host
        self._socket = socket
        self._now = clock()
        self._until = math.inf
        self._connected = False
        self._answer: _Answer | None = None
        self._sent = False
        self._closed = False

    @property
    def connected(self) -> bool:
        return self._connected

    @property
    def idle(self) -> bool:
        """Whether it can take a request."""
        answer = self._answer
        return not self._closed and self._sent and answer is not None and answer.reusable

    @property
    def expired(self) -> bool:
        """Closed by the server meanwhile, or told something that nobody asked for."""
        return bool(self._stream.get_extra_info("is_readable"))

    async def send(self, request: httpx.Request, until: float) -> Reply:
        head, framing = _head(request)
        timeouts = request.extensions.get("timeout", {})
        self._until = until
        self._sent = False
        self._answer = answer = _Answer(request.method)
        if not self._connected:
            await self._connect(timeouts.get("connect"))
        try:
            await self._write(head, framing, request.stream, timeouts.get("write"))
            self._sent = True
        except httpcore.WriteError:
            # A server that refuses a request need not have read it all: see what it says.
            pass
        within = timeouts.get("read")
        while not answer.begun:
            await self._feed(answer, within)
        return Reply(
            answer.status,
            answer.headers,
            _Body(self, answer, within),
            answer.extensions(),
            answer.whole(),
        )

    async def more(self, answer: _Answer, within: float | None) -> bytes:
        """The next piece of a body; nothing at its end."""
        while not answer.pieces and not answer.complete:
            await self._feed(answer, within)
        return answer.taken()

    async def hang_up(self) -> None:
        """Close the socket; who reads from it gets an error."""
        self._closed = True
        if self._connected:
            await self._stream.aclose()

    async def _connect(self, within: float | None) -> None:
        backend = network()
        if self._socket is not None:
            stream = await backend.connect_unix_socket(self._socket, self._bounded(within))
        else:
            stream = await backend.connect_tcp(self._host, self._port, self._bounded(within))
        # From here on it is closed with this connection, whatever becomes of the handshake.
        self._stream, self._connected = stream, True
        if self._ssl_context is not None:
            self._ssl_context.set_alpn_protocols(["http/1.1"])
            within = self._bounded(within)
            self._stream = await stream.start_tls(self._ssl_context, self._server_name, within)

    async def _write(
        self, head: bytes, framing: _Framing, body: object, within: float | None
    ) -> None:
        if isinstance(body, httpx.ByteStream):
            # With its body in one write: apart, a server that refuses the head hangs up before the
            # body is there, and what it said is lost.
            whole = head + framing.wrapped(b"".join(body)) + framing.end()
            await self._stream.write(whole, self._bounded(within))
            return
        async for piece in body:  # type: ignore[attr-defined]
            await self._write_piece(head + framing.wrapped(piece), within)
            head = b""
        await self._write_piece(head + framing.end(), within)

    async def _write_piece(self, piece: bytes, within: float | None) -> None:
        # Under TLS, what there is to read need not be an answer.
        if self._ssl_context is None and self._stream.get_extra_info("is_readable"):
            # On asyncio a write that fails takes along what was to read.
            raise httpcore.WriteError("answered before the whole request was sent")
        await self._stream.write(piece, self._bounded(within))

    def _bounded(self, within: float | None) -> float | None:
        return bounded(within, self._until, self._now)

    async def _feed(self, answer: _Answer, within: float | None) -> None:
        within = self._bounded(within)
        if within == 0:
            # What keeps coming would always be there in time.
            raise httpcore.ReadTimeout
        data = await self._stream.read(_MOST_AT_ONCE, within)
        if data:
            answer.feed(data)
        else:
            answer.end()


class _Framing:
    """How a request says where its body ends."""

    def __init__(self, length: int | None) -> None:
        self._left = length

    def wrapped(self, piece: bytes) -> bytes:
        if self._left is None:
            return b"%x\r\n%b\r\n" % (len(piece), piece) if piece else b""
        self._left -= len(piece)
        if self._left < 0:
            raise httpcore.LocalProtocolError("Too much data for declared Content-Length")
        return piece

    def end(self) -> bytes:
        if self._left:
            raise httpcore.LocalProtocolError("Too little data for declared Content-Length")
        return b"0\r\n\r\n" if self._left is None else b""


def _head(request: httpx.Request) -> tuple[bytes, _Framing]:
    """The head of a request as it is sent, and how its body is framed."""
    headers = request.headers.raw
    head = b"%b %b HTTP/1.1\r\n%b\r\n" % (
        request.method.encode("latin-1"),
        request.url.raw_path,
        b"".join([b"%b: %b\r\n" % pair for pair in headers]),
    )
    length: int | None = 0
    hosts = 0
    for name, value in headers:
        match name.lower():
            case b"host":
                hosts += 1
            case b"transfer-encoding":
                length = None
            case b"content-length" if length is not None:
                length = int(value) if value.isdigit() else -1
    # A line more than there are headers is one that a value brought along.
    lines = head.count(b"\n") == head.count(b"\r") == len(headers) + 2
    if not lines or not _HEAD.fullmatch(head) or hosts != 1 or length == -1:
        # Without a word of it: it may hold the token.
        raise httpcore.LocalProtocolError("the request cannot be sent as it is")
    return head, _Framing(length)


class _Answer:
    """
    An answer as far as it has come.

    It is what the parser calls. A parser serves one answer, so that nothing of it is left for the
    next.
    """

    __slots__ = (
        "_bodiless",
        "_keeps",
        "_over",
        "_overhead",
        "_parser",
        "_reason",
        "_unread",
        "_version",
        "begun",
        "complete",
        "headers",
        "pieces",
        "status",
    )

    def __init__(self, method: str) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._bodiless = method == "HEAD"
        self._keeps = False
        self._over = False
        self._overhead = 0
        self._reason = b""
        self._unread = True
        self.begun = False
        """Its head is there."""
        self.complete = False
        self.headers: list[tuple[bytes, bytes]] = []
        self.pieces: list[bytes] = []
        self.status = 0

    @property
    def reusable(self) -> bool:
        """Whether it is over, and its connection can take another request."""
        return self.complete and self._keeps and not self._over

    def extensions(self) -> dict[str, object]:
        return {"http_version": self._version, "reason_phrase": self._reason}

    def whole(self) -> bytes | None:
        """The body where all of it is there, else None."""
        return b"".join(self.pieces) if self.complete else None

    def taken(self) -> bytes:
        """What of the body has come, once."""
        pieces, self.pieces = self.pieces, []
        return b"".join(pieces)

    def feed(self, data: bytes) -> None:
        """Take what has come from the server."""
        if self._unread:
            # llhttp lets empty lines pass, and other protocols.
            self._unread = False
            if not b"HTTP/".startswith(data[:5]):
                raise httpcore.RemoteProtocolError("illegal status line")
        self._overhead += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            if not self.complete:
                raise httpcore.RemoteProtocolError(self._problem(error)) from None
            # What follows an answer is not its business.
            self._over = True
        if self.complete:
            # The two hold each other.
            del self._parser
        elif self._overhead > _MOST_OVERHEAD:
            raise httpcore.RemoteProtocolError("the answer's head is too long")

    def end(self) -> None:
        """The server says no more."""
        if not self.begun:
            raise httpcore.RemoteProtocolError("Server disconnected without sending a response.")
        if any(name.lower() in _LENGTHS for name, _ in self.headers):
            raise httpcore.RemoteProtocolError(
                "peer closed connection without sending complete message body"
            )
        # Its body was what came until then.
        self.complete = True
        del self._parser

    def _problem(self, error: httptools.HttpParserError) -> str:
        # What is raised below is in the words of this file, not the server's.
        begun = self._reason or self.headers
        problem = "illegal head or body" if begun else "illegal status line"
        return str(error.__context__ or problem)

    # -- what the parser calls ---------------------------------------------------------------------

    def on_message_begin(self) -> None:
        # A second one, which nobody asked for.
        self._over = self.complete

    def on_status(self, reason: bytes) -> None:
        if not self.begun:
            self._reason += reason

    def on_header(self, name: bytes, value: bytes) -> None:
        # Later ones are trailers, or a second answer's.
        if not self.begun:
            self.headers.append((name, value.rstrip(b" \t")))

    def on_headers_complete(self) -> None:
        if self._over:
            return
        self.status = self._parser.get_status_code()
        if self.status < 100 or self.status == 101:
            raise ValueError(f"an answer with status {self.status}, which nobody asked for")
        if self.status < 200:
            # Not the answer yet.
            return
        for name, value in self.headers:
            if name.lower() == b"transfer-encoding" and value.lower() != b"chunked":
                raise ValueError("a body that is framed in another way than in chunks")
        self.begun = True
        self._version = b"HTTP/" + self._parser.get_http_version().encode("ascii")
        self._keeps = self._parser.should_keep_alive()
        self._overhead = 0
        if self._bodiless:
            self.complete = True

    def on_body(self, data: bytes) -> None:
        if self.complete:
            self._over = True
        else:
            self._overhead = 0
            self.pieces.append(data)

    def on_message_complete(self) -> None:
        if self.begun:
            self.complete = True
        else:
            self.headers.clear()
            self._reason = b""


_LENGTHS: Final = (b"content-length", b"transfer-encoding")


class _Body(AsyncIterator[bytes]):
    """A body that is still to come, or has not been fetched."""

    def __init__(self, connection: LLHTTPConnection, answer: _Answer, within: float | None) -> None:
        self._connection = connection
        self._answer = answer
        self._within = within

    async def __anext__(self) -> bytes:
        piece = await self._connection.more(self._answer, self._within)
        if not piece:
            raise StopAsyncIteration
        return piece

    async def aclose(self) -> None:
        """Nothing: what is not read goes with the connection."""
