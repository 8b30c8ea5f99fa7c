"""
Where the CPU of a read goes: from the socket up to the client, one part more each time.

What a part costs is the difference to the way without it, within a round. A profiler would add most
to what is called most, which is what there is to see here.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Final, Protocol, Self, cast

import h11
import httpcore
import httpx

from consul_onex import ConsulClient
from consul_onex._call import CARD, Call
from consul_onex.transport import Authorize, Connections, WholeBody, stack
from consul_onex.transport._connection import HTTP, Connection, Origin
from consul_onex.transport._h11 import H11Connection
from consul_onex.transport._network import network
from tests.bench.contestants import FAST, KEY, LAYERS, ONEX, Contestant, Operation, Setting, present
from tests.bench.measure import Result, Sample, Samples, calls, compared
from tests.bench.responder import READ

LEVELS: Final = (1, 16)

WHOLE: Final = "all of it"

KINDS: Final[dict[str, HTTP]] = {ONEX: "h11", FAST: "fast"}

TARGET: Final = f"/v1/kv/{KEY}".encode()
HEADERS: Final = [
    (b"Host", b"127.0.0.1"),
    (b"User-Agent", b"consul-onex"),
    (b"Accept", b"application/json"),
    (b"Accept-Encoding", b"identity"),
]
LINES: Final = [b"GET %b HTTP/1.1" % TARGET, *(b"%b: %b" % pair for pair in HEADERS)]
REQUEST: Final = b"\r\n".join([*LINES, b"", b""])
END: Final = READ.encode()

MOST: Final = 65_536
SECONDS: Final = 8.0


async def profile(setting: Setting, *, rounds: int, seconds: float) -> list[Result]:
    results: list[Result] = []
    for kind in present(*KINDS):
        async with ways(setting, KINDS[kind]) as them:
            for level in LEVELS:
                rows = await calls(
                    *(them, "", lambda one: one.get, [level]),
                    rounds=rounds,
                    seconds=seconds,
                    reference=them[0].name,
                )
                results += compared(
                    f"{kind}: get from a responder, in parts, {level} at once",
                    parts({row.name: row.samples for row in rows}),
                    reference=WHOLE,
                )
    return results


def parts(ways: Mapping[str, Sequence[Sample]]) -> Samples:
    """What each way takes beyond the one before it; and the last, as it is."""
    samples: dict[str, list[Sample]] = {}
    before = [0.0] * len(next(iter(ways.values())))
    for name, rounds in ways.items():
        samples[name] = [
            {"CPU": one["CPU"] - less} for one, less in zip(rounds, before, strict=True)
        ]
        before = [one["CPU"] for one in rounds]
    samples[WHOLE] = [{"CPU": cpu} for cpu in before]
    return samples


# -- the ways down --------------------------------------------------------------------------------


@asynccontextmanager
async def ways(setting: Setting, http: HTTP) -> AsyncIterator[list[Contestant]]:
    """Ways to read the key, each with one part more than the one before, and named after that."""
    url = httpx.URL(setting.url).copy_with(raw_path=TARGET)
    origin = Origin(url.raw_scheme, url.raw_host, cast(int, url.port))
    parser: type[Network]
    connection: Callable[..., Connection]
    if http == "fast":
        # What it needs is an extra.
        from consul_onex.transport._llhttp import LLHTTPConnection

        parser, connection = LLHTTP, LLHTTPConnection
    else:
        parser, connection = H11, H11Connection

    async def connected() -> Connected:
        return Connected(connection(origin, None, None, None, SECONDS), request_to(url))

    async with AsyncExitStack() as exits:
        client = await exits.enter_async_context(ConsulClient(setting.url, http=http))
        bottom = await exits.enter_async_context(Connections(http=http))
        bounded = stack(bottom, [WholeBody(), Authorize()])
        layered = stack(bottom, [*LAYERS, WholeBody(), Authorize()])
        same = request_to(url)
        them: dict[str, Operation] = {
            "asyncio": kept(exits, partial(Asyncio.open, origin)),
            "network": kept(exits, partial(Network.open, origin)),
            "parser": kept(exits, partial(parser.open, origin)),
            "connection": kept(exits, connected),
            "Connections, httpx.Response": lambda: through(bottom, same),
            "httpx.Request": lambda: through(bottom, request_to(url)),
            "WholeBody, Authorize": lambda: through(bounded, request_to(url)),
            "layers": lambda: through(layered, request_to(url)),
            "wire, model": lambda: client.kv.get(KEY),
        }
        yield [Contestant(name, get, get) for name, get in them.items()]


class Way(Protocol):
    """One connection, and a way to read the key over it."""

    async def read(self) -> object: ...
    async def aclose(self) -> None: ...


def kept(exits: AsyncExitStack, opened: Callable[[], Awaitable[Way]]) -> Operation:
    """A read over one of as many connections as there are reads at once."""
    idle: list[Way] = []

    async def read() -> None:
        one = idle.pop() if idle else await opened()
        await one.read()
        idle.append(one)

    async def close() -> None:
        for one in idle:
            await one.aclose()

    exits.push_async_callback(close)
    return read


class Asyncio(asyncio.Protocol):
    """The least there can be: one write, and a future until the answer is there."""

    @classmethod
    async def open(cls, origin: Origin) -> Asyncio:
        host = origin.host.decode("ascii")
        _, one = await asyncio.get_running_loop().create_connection(cls, host, origin.port)
        return one

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._received += data
        if self._received.endswith(END):
            self._answered.set_result(None)

    async def read(self) -> None:
        self._received = b""
        self._answered = asyncio.get_running_loop().create_future()
        self._transport.write(REQUEST)
        await self._answered

    async def aclose(self) -> None:
        self._transport.abort()


class Network:
    """The same by our network."""

    def __init__(self, stream: httpcore.AsyncNetworkStream) -> None:
        self.stream = stream

    @classmethod
    async def open(cls, origin: Origin) -> Self:
        host = origin.host.decode("ascii")
        return cls(await network().connect_tcp(host, origin.port, SECONDS))

    async def read(self) -> None:
        await self.stream.write(REQUEST, SECONDS)
        received = b""
        while not received.endswith(END):
            received += await self.stream.read(MOST, SECONDS)

    async def aclose(self) -> None:
        await self.stream.aclose()


class H11(Network):
    """With a parser, as httpcore uses it."""

    def __init__(self, stream: httpcore.AsyncNetworkStream) -> None:
        super().__init__(stream)
        self._http = h11.Connection(h11.CLIENT)

    async def read(self) -> None:
        http = self._http
        head = http.send(h11.Request(method=b"GET", target=TARGET, headers=HEADERS))
        http.send(h11.EndOfMessage())
        await self.stream.write(head, SECONDS)
        while not isinstance(event := http.next_event(), h11.EndOfMessage):
            if event is h11.NEED_DATA:
                http.receive_data(await self.stream.read(MOST, SECONDS))
        http.start_next_cycle()


class LLHTTP(Network):
    """With the other parser, and a request that is no work."""

    def __init__(self, stream: httpcore.AsyncNetworkStream) -> None:
        from httptools import HttpResponseParser

        super().__init__(stream)
        self._parser = HttpResponseParser

    async def read(self) -> None:
        self._whole = False
        self._seen: list[object] = []
        parser = self._parser(self)
        await self.stream.write(REQUEST, SECONDS)
        while not self._whole:
            parser.feed_data(await self.stream.read(MOST, SECONDS))

    def on_header(self, name: bytes, value: bytes) -> None:
        self._seen.append((name, value))

    def on_body(self, data: bytes) -> None:
        self._seen.append(data)

    def on_message_complete(self) -> None:
        self._whole = True


class Connected:
    """With all that one connection does."""

    def __init__(self, connection: Connection, request: httpx.Request) -> None:
        self._connection = connection
        self._request = request

    async def read(self) -> bytes:
        reply = await self._connection.send(self._request, math.inf)
        if reply.whole is not None:
            return reply.whole
        body = b"".join([piece async for piece in reply.body])
        await reply.body.aclose()
        return body

    async def aclose(self) -> None:
        await self._connection.hang_up()


def request_to(url: httpx.URL) -> httpx.Request:
    timeouts = dict.fromkeys(("connect", "read", "write", "pool"), SECONDS)
    extensions = {"timeout": timeouts, CARD: Call("kv.get")}
    return httpx.Request(
        "GET", url, headers=HEADERS, stream=httpx.ByteStream(b""), extensions=extensions
    )


async def through(transport: httpx.AsyncBaseTransport, request: httpx.Request) -> bytes:
    response = await transport.handle_async_request(request)
    stream = cast(httpx.AsyncByteStream, response.stream)
    body = b"".join([piece async for piece in stream])
    await stream.aclose()
    return body
