"""
A server that does wrong what a script says, request by request.

    async with fault_server([RESET, reply(body=b"[]")]) as server:
        ...  # the first request is reset, every later one answered

It speaks just enough HTTP/1.1 to understand requests, and writes raw bytes, so that it can break
each rule. It runs in the test's own event loop, on asyncio and trio, and every wait is bounded.
"""

from __future__ import annotations

import enum
import itertools
import socket
import struct
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import anyio
from anyio.abc import Listener, SocketAttribute, SocketStream

HOST = "127.0.0.1"
PATIENCE = 5.0  # seconds that a test waits for something that happens at once

_GONE = (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError)


class Then(enum.Enum):
    """What becomes of a connection after the bytes of an answer."""

    KEEP = enum.auto()  # it waits for the next request
    CLOSE = enum.auto()
    RESET = enum.auto()
    HANG = enum.auto()  # nothing more, until the client leaves


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Bytes, how to send them, and what follows them."""

    data: bytes = b""
    then: Then = Then.CLOSE
    hold: anyio.Event | None = None
    """Nothing is sent before this is set."""
    pause: float = 0.0
    """Seconds between any two of the last `trickle` bytes."""
    trickle: int = 0


RESET = Answer(then=Then.RESET)
SILENCE = Answer(then=Then.CLOSE)
HANG = Answer(then=Then.HANG)


def raw(data: bytes, *, then: Then = Then.CLOSE) -> Answer:
    """Bytes that need not be HTTP."""
    return Answer(data=data, then=then)


def reply(
    status: int = 200,
    body: bytes = b"",
    headers: Mapping[str, str] | None = None,
    *,
    chunked: bool = False,
    cut: int | None = None,
    then: Then | None = None,
    hold: anyio.Event | None = None,
    pause: float = 0.0,
) -> Answer:
    """
    An answer as HTTP wants it, or nearly.

    The connection is kept, as HTTP/1.1 promises, unless `then` says otherwise. Only the first
    `cut` bytes of the body are sent, and the connection is closed. With a `pause` the body comes
    byte by byte. A `Content-Length` in `headers` is sent instead of the true one.
    """
    given = {name.lower() for name in headers or {}}
    lines = [f"HTTP/1.1 {status} -", *(f"{name}: {text}" for name, text in (headers or {}).items())]
    if chunked:
        lines.append("Transfer-Encoding: chunked")
        body = b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n"
    elif "content-length" not in given and status not in (204, 304):
        lines.append(f"Content-Length: {len(body)}")
    sent = body if cut is None else body[:cut]
    return Answer(
        data="\r\n".join([*lines, "", ""]).encode("latin-1") + sent,
        then=then or (Then.KEEP if cut is None else Then.CLOSE),
        hold=hold,
        pause=pause,
        trickle=len(sent) if pause else 0,
    )


@dataclass(frozen=True, slots=True)
class Seen:
    """A request as it came; header names are in lower case."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes
    connection: int
    """Which of the server's connections it came on, from 1."""


Script: TypeAlias = Sequence[Answer] | Callable[[Seen], Answer]
Greeting: TypeAlias = Callable[[int], Answer | None]
"""What a connection, by its number, gets unasked; None and it is read from, as usual."""


class FaultServer:
    """A running server; `fault_server` makes one."""

    def __init__(self, script: Script, port: int, greeting: Greeting = lambda _: None) -> None:
        self.port = port
        self.requests: list[Seen] = []
        self.accepted = 0
        """Connections so far."""
        self.open = 0
        """Connections that neither side has closed."""
        self._answer = script if callable(script) else _one_by_one(script)
        self._greeting = greeting
        self._changed = anyio.Event()

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    async def wait_open(self, connections: int) -> None:
        """Wait until just so many connections are open."""
        await self._wait(lambda: self.open == connections)

    async def wait_requests(self, requests: int) -> None:
        """Wait until so many requests have come."""
        await self._wait(lambda: len(self.requests) >= requests)

    async def _wait(self, done: Callable[[], bool]) -> None:
        with anyio.fail_after(PATIENCE):
            while not done():
                await self._changed.wait()

    def _change(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()

    async def serve(self, stream: SocketStream) -> None:
        """One connection, from its beginning to its end."""
        self.accepted += 1
        self.open += 1
        self._change()
        try:
            await self._converse(_Connection(stream, self.accepted))
        except _GONE:
            pass
        finally:
            with anyio.CancelScope(shield=True):
                await stream.aclose()
            self.open -= 1
            self._change()

    async def _converse(self, connection: _Connection) -> None:
        unasked = self._greeting(connection.number)
        if unasked is not None:
            await self._give(connection, unasked)
            return
        while True:
            seen = await connection.read_request()
            self.requests.append(seen)
            self._change()
            answer = self._answer(seen)
            await self._give(connection, answer)
            if answer.then is not Then.KEEP:
                return

    async def _give(self, connection: _Connection, answer: Answer) -> None:
        if answer.hold is not None:
            await connection.wait_or_leave(answer.hold)
        await connection.send(answer)
        if answer.then is Then.HANG:
            await connection.wait_or_leave(anyio.Event())
        if answer.then is Then.RESET:
            connection.reset_on_close()


class _Connection:
    def __init__(self, stream: SocketStream, number: int) -> None:
        self._stream = stream
        self.number = number
        self._received = b""

    async def read_request(self) -> Seen:
        while b"\r\n\r\n" not in self._received:
            self._received += await self._stream.receive()
        head, _, self._received = self._received.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        method, target, _ = first.split(" ")
        pairs = (line.partition(":") for line in lines)
        headers = {name.lower(): text.strip() for name, _, text in pairs}
        length = int(headers.get("content-length", "0"))
        while len(self._received) < length:
            self._received += await self._stream.receive()
        body, self._received = self._received[:length], self._received[length:]
        return Seen(method, target, headers, body, self.number)

    async def send(self, answer: Answer) -> None:
        at_once = len(answer.data) - answer.trickle
        if at_once:
            await self._stream.send(answer.data[:at_once])
        for byte in answer.data[at_once:]:
            await anyio.sleep(answer.pause)
            await self._stream.send(bytes([byte]))

    async def wait_or_leave(self, event: anyio.Event) -> None:
        """Wait for an event; end the connection when the client does."""
        left = False

        async def listen() -> None:
            nonlocal left
            try:
                while True:
                    self._received += await self._stream.receive()
            except _GONE:
                left = True
                tasks.cancel_scope.cancel()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(listen)
            await event.wait()
            tasks.cancel_scope.cancel()
        if left:
            raise anyio.EndOfStream

    def reset_on_close(self) -> None:
        # To linger for no time at all is what makes a close a reset.
        self._stream.extra(SocketAttribute.raw_socket).setsockopt(
            socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
        )


def _one_by_one(answers: Sequence[Answer]) -> Callable[[Seen], Answer]:
    rest = itertools.chain(answers, itertools.repeat(answers[-1]))
    return lambda _: next(rest)


@asynccontextmanager
async def fault_server(
    script: Script,
    *,
    greeting: Greeting = lambda _: None,
    deaf_until: anyio.Event | None = None,
    port: int = 0,
    unix: Path | None = None,
) -> AsyncIterator[FaultServer]:
    """
    A server on a port, a free one where none is given, or a unix socket, until the end of the
    `with`.

    `script` is the answers in their order, of which the last one stays, or a function of the
    request; `greeting` is what a connection gets before anything is read from it. Before
    `deaf_until` is set the system takes connections, and nobody reads from them.
    """

    async def listen() -> None:
        if deaf_until is not None:
            await deaf_until.wait()
        await listener.serve(server.serve)

    listener: Listener[SocketStream]
    if unix is None:
        listener = await anyio.create_tcp_listener(local_host=HOST, local_port=port)
        port = listener.extra(SocketAttribute.local_port)
    else:
        listener, port = await anyio.create_unix_listener(unix), 0
    server = FaultServer(script, port, greeting)
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listen)
        yield server
        tasks.cancel_scope.cancel()
