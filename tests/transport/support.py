"""
What the tests of the layers stand on: a clock that obeys, and a transport that plays a script.

A layer is put over a `Script`, a request is sent through, and the script tells what came down:

    script = Script(httpx.ConnectError("refused"), answer(200, "ok"))
    response = await send(Retry().wrap(script), Call("kv.get"))
    assert len(script.requests) == 2
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import NoReturn

import anyio
import anyio.lowlevel
import httpx

from consul_onex._call import CARD, Call

URL = "http://agent:8500/v1/kv/a"

Step = Exception | Callable[[httpx.Request], httpx.Response | Awaitable[httpx.Response]]


class Clock:
    """A clock that moves only when it is told to; sleeping by it moves it, and takes no time."""

    def __init__(self, time: float = 1000.0) -> None:
        self.time = time
        self.pauses: list[float] = []

    def __call__(self) -> float:
        return self.time

    def advance(self, seconds: float) -> None:
        self.time += seconds

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.time += seconds
        await anyio.lowlevel.checkpoint()


class Body(httpx.AsyncByteStream):
    """A body as a network delivers it: in pieces, one of which may be an error instead."""

    def __init__(self, *pieces: bytes | Exception) -> None:
        self.pieces = list(pieces)
        self.closed = False

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        await anyio.lowlevel.checkpoint()
        assert not self.closed, "read after it was closed"
        if not self.pieces:
            raise StopAsyncIteration
        piece = self.pieces.pop(0)
        if isinstance(piece, Exception):
            raise piece
        return piece

    async def aclose(self) -> None:
        await anyio.lowlevel.checkpoint()
        self.closed = True


class Script(httpx.AsyncBaseTransport):
    """Plays one step for each request, the last one for ever, and keeps what it was sent."""

    def __init__(self, *steps: Step) -> None:
        self._steps = list(steps)
        self.requests: list[httpx.Request] = []
        self.closed = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        step = self._steps[min(len(self.requests), len(self._steps) - 1)]
        self.requests.append(request)
        await anyio.lowlevel.checkpoint()
        if isinstance(step, Exception):
            raise step
        response = step(request)
        return response if isinstance(response, httpx.Response) else await response

    async def aclose(self) -> None:
        self.closed = True


class Gate:
    """A step that holds each request until it is opened, and then answers it."""

    def __init__(self, then: Step) -> None:
        self._then = then
        self._open = anyio.Event()

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        await self.opened()
        return await Script(self._then).handle_async_request(request)

    def open(self) -> None:
        self._open.set()

    async def opened(self) -> None:
        await self._open.wait()


def answer(
    status: int, body: str | bytes | Body = b"", headers: dict[str, str] | None = None
) -> Callable[[httpx.Request], httpx.Response]:
    """A step: an answer whose body still has to be read."""

    def step(request: httpx.Request) -> httpx.Response:
        content = body.encode() if isinstance(body, str) else body
        stream = Body(content) if isinstance(content, bytes) else content
        return httpx.Response(status, headers=headers, stream=stream)

    return step


async def hang(request: httpx.Request) -> NoReturn:
    """A step: no answer, ever."""
    await anyio.sleep_forever()
    raise AssertionError("unreachable")


def request_for(
    call: Call | None, method: str = "GET", url: str = URL, content: bytes = b""
) -> httpx.Request:
    extensions = {CARD: call} if call is not None else {}
    return httpx.Request(method, url, content=content, extensions=extensions)


async def send(
    transport: httpx.AsyncBaseTransport,
    call: Call | None = None,
    method: str = "GET",
    url: str = URL,
) -> httpx.Response:
    return await transport.handle_async_request(request_for(call, method, url))


async def read(response: httpx.Response) -> bytes:
    """What is left of a body, read as the wire reads it."""
    assert isinstance(response.stream, httpx.AsyncByteStream)
    return b"".join([chunk async for chunk in response.stream])


async def settled() -> None:
    """Until every other task waits for something."""
    # On asyncio, anyio looks every 0.1 s: most are there after a few steps.
    for _ in range(20):
        await anyio.lowlevel.checkpoint()
    await anyio.wait_all_tasks_blocked()


@asynccontextmanager
async def in_flight(transport: httpx.AsyncBaseTransport, *calls: Call) -> AsyncIterator[None]:
    """These calls are on their way for as long as the block lasts, and are cancelled with it."""
    async with anyio.create_task_group() as tasks:
        for call in calls:
            tasks.start_soon(send, transport, call)
        await settled()
        yield
        tasks.cancel_scope.cancel()
