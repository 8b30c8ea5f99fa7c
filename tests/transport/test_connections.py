"""Sockets to agents: which one is used, and that each is given up when it must be."""

from __future__ import annotations

import gc
import ssl
import traceback
import types
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import httpcore
import httpx
import pytest

from consul_onex import ConsulClient, ConsulTimeoutError
from consul_onex._call import CARD, Call
from consul_onex.errors import ClientClosedError
from consul_onex.settings import ConsulSettings
from consul_onex.transport import (
    Connections,
    ConnectionStatistics,
    Deadline,
    Layer,
    WholeBody,
    _llhttp,
    _network,
    connections,
)
from consul_onex.transport._connection import HTTP
from consul_onex.transport.connections import _translated
from tests.support.fault_server import (
    HANG,
    HOST,
    RESET,
    SILENCE,
    Answer,
    Then,
    fault_server,
    raw,
    reply,
)
from tests.transport.support import settled

LATE = reply(body=b"a", pause=0.001)
"""The body comes after the head."""

TIMEOUT = {"connect": 5.0, "read": 5.0, "write": 5.0, "pool": 5.0}
SOON = dict.fromkeys(TIMEOUT, 0.05)


@pytest.fixture(params=["h11", "fast"], autouse=True)
def http(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Every test is one of both kinds of connections."""
    monkeypatch.setattr(
        request.module, "Connections", partial(connections.Connections, http=request.param)
    )
    return str(request.param)


def put(
    url: str, body: httpx.AsyncByteStream, timeout: dict[str, float] = TIMEOUT
) -> httpx.Request:
    headers = {"Host": HOST, "Transfer-Encoding": "chunked"}
    return httpx.Request("PUT", url, headers=headers, stream=body, extensions={"timeout": timeout})


def get(url: str, timeout: dict[str, float] = TIMEOUT) -> httpx.Request:
    return httpx.Request("GET", url, extensions={"timeout": timeout})


async def body_of(response: httpx.Response) -> bytes:
    """The whole body; the response is closed."""
    assert isinstance(response.stream, httpx.AsyncByteStream)
    try:
        return b"".join([chunk async for chunk in response.stream])
    finally:
        await response.stream.aclose()


async def fetch(connections: Connections, url: str) -> bytes:
    with anyio.fail_after(5):
        return await body_of(await connections.handle_async_request(get(url)))


async def start(connections: Connections, url: str) -> httpx.Response:
    """An answer whose body is still to be read."""
    with anyio.fail_after(5):
        return await connections.handle_async_request(get(url))


def chain_of(error: BaseException | None) -> Iterator[BaseException]:
    """An error and everything that hangs on it."""
    if error is None:
        return
    yield error
    yield from chain_of(error.__cause__)
    yield from chain_of(error.__context__)
    if isinstance(error, BaseExceptionGroup):
        for part in error.exceptions:
            yield from chain_of(part)


BELOW = ("httpcore", "_h11", "_llhttp", "_network")


def frames_below(error: BaseException) -> list[str]:
    """The frames below, in an error: their local variables hold the token's header."""
    return [
        frame.f_code.co_qualname
        for each in chain_of(error)
        for frame, _ in traceback.walk_tb(each.__traceback__)
        if any(name in frame.f_code.co_filename for name in BELOW)
    ]


def unfinished_generators() -> list[str]:
    """Httpcore's asynchronous generators that wait for somebody to go on."""
    gc.collect()
    return [
        found.__qualname__
        for found in gc.get_objects()
        if isinstance(found, types.AsyncGeneratorType)
        and found.ag_frame is not None
        and "httpcore" in found.ag_code.co_filename
    ]


# -- which connection ------------------------------------------------------------------------------


async def test_requests_one_after_another_share_a_connection() -> None:
    async with fault_server([reply(body=b"a")]) as server, Connections() as connections:
        bodies = [await fetch(connections, server.url) for _ in range(3)]

        assert bodies == [b"a"] * 3
        assert server.accepted == 1
        assert connections.statistics() == ConnectionStatistics(active=0, idle=1, opened=1)


async def test_requests_at_once_have_a_connection_each() -> None:
    async with fault_server([LATE]) as server, Connections() as connections:
        responses = [await start(connections, server.url) for _ in range(3)]
        during = connections.statistics()
        for response in responses:
            await body_of(response)

        assert during == ConnectionStatistics(active=3, idle=0, opened=3)
        assert connections.statistics() == ConnectionStatistics(active=0, idle=3, opened=3)


async def test_the_connection_that_came_back_last_is_used_first() -> None:
    async with fault_server([LATE]) as server, Connections() as connections:
        responses = [await start(connections, server.url) for _ in range(3)]
        for number in (0, 2, 1):
            await body_of(responses[number])

        for _ in range(3):
            await start(connections, server.url)

        assert [seen.connection for seen in server.requests[3:]] == [2, 3, 1]


async def test_each_origin_has_connections_of_its_own() -> None:
    async with (
        fault_server([reply(body=b"one")]) as one,
        fault_server([reply(body=b"two")]) as two,
        Connections() as connections,
    ):
        bodies = [await fetch(connections, url) for url in (one.url, two.url, one.url, two.url)]

        assert bodies == [b"one", b"two", b"one", b"two"]
        assert (one.accepted, two.accepted) == (1, 1)


async def test_an_expired_connection_is_replaced_without_a_word() -> None:
    async with fault_server([reply(body=b"a")]) as server, Connections(keepalive=0.0) as old:
        bodies = [await fetch(old, server.url) for _ in range(2)]

        await server.wait_open(1)
        assert bodies == [b"a", b"a"]
        assert [seen.connection for seen in server.requests] == [1, 2]
        assert old.statistics() == ConnectionStatistics(active=0, idle=1, opened=2)


async def test_connections_that_the_server_closed_are_replaced_without_a_word() -> None:
    closing = reply(body=b"a", pause=0.001, then=Then.CLOSE)
    script = [closing, closing, reply(body=b"a")]
    async with fault_server(script) as server, Connections() as connections:
        responses = [await start(connections, server.url) for _ in range(2)]
        for response in responses:
            await body_of(response)
        await server.wait_open(0)
        before = connections.statistics()

        body = await fetch(connections, server.url)

        assert body == b"a"
        assert before == ConnectionStatistics(active=0, idle=2, opened=2)
        assert connections.statistics() == ConnectionStatistics(active=0, idle=1, opened=3)


async def test_each_return_sweeps_out_one_that_has_been_idle_for_too_long() -> None:
    clock = 0.0
    async with (
        fault_server([LATE]) as server,
        Connections(keepalive=30.0, now=lambda: clock) as connections,
    ):
        responses = [await start(connections, server.url) for _ in range(4)]
        for response in responses:
            await body_of(response)

        clock = 29.0
        await fetch(connections, server.url)
        young = connections.statistics().idle
        clock = 31.0
        idle = []
        for _ in range(4):
            await fetch(connections, server.url)
            idle.append(connections.statistics().idle)

        assert (young, idle) == (4, [3, 2, 1, 1])
        await server.wait_open(1)
        assert server.requests[-1].connection == 4


async def test_a_return_to_one_origin_sweeps_the_others_too() -> None:
    clock = 0.0
    async with (
        fault_server([reply()]) as once,
        fault_server([reply()]) as often,
        Connections(keepalive=30.0, now=lambda: clock) as connections,
    ):
        await fetch(connections, once.url)
        clock = 31.0

        await fetch(connections, often.url)

        assert connections.statistics().idle == 1
        await once.wait_open(0)


async def test_a_server_that_says_close_is_not_asked_again_on_that_connection() -> None:
    script = [reply(headers={"Connection": "close"}, then=Then.HANG), reply(body=b"a")]
    async with fault_server(script) as server, Connections() as connections:
        await fetch(connections, server.url)
        await server.wait_open(0)

        assert await fetch(connections, server.url) == b"a"
        assert connections.statistics() == ConnectionStatistics(active=0, idle=1, opened=2)


# -- bodies that are not read to their end ---------------------------------------------------------

UNFINISHED = {
    "the rest is still to come": reply(
        headers={"Content-Length": "10"}, body=b"01234", then=Then.HANG
    ),
    "the rest is here": reply(body=b"0123456789"),
    "the rest is here, in chunks": reply(body=b"0123456789", chunked=True),
}


@pytest.mark.parametrize("answer", UNFINISHED.values(), ids=UNFINISHED.keys())
@pytest.mark.parametrize("pieces", [None, 0, 1])
async def test_a_body_that_is_closed_before_its_end_takes_its_connection_along(
    answer: Answer, pieces: int | None, http: str
) -> None:
    async with fault_server([answer, reply(body=b"next")]) as server, Connections() as connections:
        response = await start(connections, server.url)
        stream = response.stream
        assert isinstance(stream, httpx.AsyncByteStream)
        if pieces is not None:
            chunks = aiter(stream)
            for _ in range(pieces):
                await anext(chunks)
        await stream.aclose()
        await stream.aclose()

        # Where all of it came at once, a fast connection is free before it is read.
        free = int(http == "fast" and answer.then is Then.KEEP)
        await server.wait_open(free)
        assert connections.statistics() == ConnectionStatistics(active=0, idle=free, opened=1)
        assert unfinished_generators() == []
        assert await fetch(connections, server.url) == b"next"


async def test_after_a_broken_body_there_is_nothing_more_to_read() -> None:
    async with fault_server([reply(body=b"01234", cut=2)]) as server, Connections() as connections:
        response = await start(connections, server.url)
        assert isinstance(response.stream, httpx.AsyncByteStream)
        chunks = aiter(response.stream)
        first = await anext(chunks)
        with pytest.raises(httpx.RemoteProtocolError):
            await anext(chunks)

        assert first == b"01"
        assert await anext(chunks, b"nothing") == b"nothing"
        await response.aclose()
        assert connections.statistics() == ConnectionStatistics(active=0, idle=0, opened=1)


class Pieces(httpx.AsyncByteStream):
    """A body in many pieces, more of them than the system holds on the way."""

    def __init__(self) -> None:
        self.left = 1000

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if not self.left:
            raise StopAsyncIteration
        self.left -= 1
        return bytes(64 * 1024)


@pytest.mark.parametrize("then", [Then.CLOSE, Then.HANG])
async def test_an_answer_that_comes_before_the_whole_body_is_read(then: Then) -> None:
    """On asyncio, the write that fails in the end would take it along."""
    answer = reply(403, b"Permission denied", then=then)

    async with fault_server([answer]) as server, Connections() as connections:
        for _ in range(10):
            body = Pieces()
            with anyio.fail_after(5):
                response = await connections.handle_async_request(put(server.url, body))
            assert response.status_code == 403
            assert await body_of(response) == b"Permission denied"
            assert body.left > 0

        assert connections.statistics() == ConnectionStatistics(active=0, idle=0, opened=10)


async def test_the_head_of_a_request_goes_together_with_its_body() -> None:
    """Apart, a server that refuses the head hangs up before the body is there."""
    received = b""

    async def serve(stream: anyio.abc.SocketStream) -> None:
        nonlocal received
        async with stream:
            received = await stream.receive()
            await stream.send(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n")

    listener = await anyio.create_tcp_listener(local_host=HOST)
    port = listener.extra(anyio.abc.SocketAttribute.local_port)
    async with listener, anyio.create_task_group() as tasks, Connections() as connections:
        tasks.start_soon(listener.serve, serve)
        request = httpx.Request("PUT", f"http://{HOST}:{port}", content=b"the body")
        with anyio.fail_after(5):
            response = await connections.handle_async_request(request)
        assert response.status_code == 403
        tasks.cancel_scope.cancel()

    assert received.endswith(b"\r\n\r\nthe body")


# -- cancellation ----------------------------------------------------------------------------------


class Endless(httpx.AsyncByteStream, AsyncIterator[bytes]):
    """A request's body that never ends."""

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        return bytes(64 * 1024)


def request_at(stage: str, url: str) -> httpx.Request:
    """A request that will wait at that stage."""
    if stage == "connecting":
        # The server takes the handshake for a request, and waits for its end.
        return get(url.replace("http:", "https:"))
    return put(url, Endless()) if stage == "sending" else get(url)


async def cancelled(work: Callable[[], Awaitable[None]], connections: Connections) -> BaseException:
    """Start, wait until it waits, cancel, and return the cancellation as it came out."""
    seen: list[BaseException] = []

    async def run() -> None:
        try:
            await work()
        except BaseException as error:
            seen.append(error)
            raise

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run)
            await settled()
            assert connections.statistics().active == 1
            tasks.cancel_scope.cancel()
    (error,) = seen
    assert isinstance(error, anyio.get_cancelled_exc_class())
    return error


@pytest.mark.parametrize("stage", ["connecting", "sending", "waiting", "reading"])
async def test_a_cancelled_request_leaves_nothing(stage: str) -> None:
    listen = anyio.Event()
    half = reply(headers={"Content-Length": "10"}, body=b"01234", then=Then.HANG)
    async with (
        fault_server(
            [half if stage == "reading" else HANG],
            deaf_until=listen if stage == "sending" else None,
        ) as server,
        Connections() as connections,
    ):
        request = request_at(stage, server.url)

        async def work() -> None:
            await body_of(await connections.handle_async_request(request))

        error = await cancelled(work, connections)

        if stage == "sending":
            listen.set()
            await server.wait_requests(1)
        await server.wait_open(0)
        assert connections.statistics() == ConnectionStatistics(active=0, idle=0, opened=1)
        assert server.accepted == 1
        assert frames_below(error) == []
        assert unfinished_generators() == []


@pytest.mark.parametrize("turns", range(12))
async def test_a_request_cancelled_at_any_time_leaves_nothing(turns: int) -> None:
    async with fault_server([reply(body=b"a")]) as server, Connections() as connections:
        with anyio.fail_after(5):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(fetch, connections, server.url)
                for _ in range(turns):
                    await anyio.lowlevel.checkpoint()
                tasks.cancel_scope.cancel()

        statistics = connections.statistics()
        assert statistics.active == 0
        await server.wait_open(statistics.idle)
        assert await fetch(connections, server.url) == b"a"


# -- errors ----------------------------------------------------------------------------------------


async def error_of(request: httpx.Request, connections: Connections) -> httpx.TransportError:
    with anyio.fail_after(5), pytest.raises(httpx.TransportError) as raised:
        await body_of(await connections.handle_async_request(request))
    return raised.value


@pytest.mark.parametrize(
    ("answer", "kind", "text"),
    [
        (RESET, httpx.ReadError, ""),
        (SILENCE, httpx.RemoteProtocolError, "Server disconnected without sending a response."),
        (HANG, httpx.ReadTimeout, ""),
        (raw(b"garbage\r\n\r\n"), httpx.RemoteProtocolError, "illegal status line"),
        (raw(b"HTTP/1.1 200 OK\r\nX: "), httpx.RemoteProtocolError, ""),
        (reply(body=b"0123", cut=2), httpx.RemoteProtocolError, "peer closed connection"),
        (reply(headers={"Content-Length": "9"}, then=Then.HANG), httpx.ReadTimeout, ""),
        (reply(headers={"Content-Length": "9"}, then=Then.RESET), httpx.ReadError, ""),
    ],
)
async def test_what_the_server_does_wrong_is_an_error_of_httpx(
    answer: Answer, kind: type[httpx.TransportError], text: str
) -> None:
    async with fault_server([answer]) as server, Connections() as connections:
        error = await error_of(get(server.url, {**TIMEOUT, "read": 0.05}), connections)

        assert type(error) is kind
        assert text in str(error)
        assert frames_below(error) == []
        await server.wait_open(0)
        assert connections.statistics() == ConnectionStatistics(active=0, idle=0, opened=1)


async def test_an_error_does_not_hold_the_request_and_its_token() -> None:
    async with fault_server([RESET]) as server, Connections() as connections:
        error = await error_of(get(server.url), connections)

    with pytest.raises(RuntimeError):
        _ = error.request


async def test_a_reset_names_what_the_system_said_as_its_cause() -> None:
    async with fault_server([RESET]) as server, Connections() as connections:
        error = await error_of(get(server.url), connections)

    assert isinstance(error.__cause__, ConnectionResetError)
    assert error.__cause__.__traceback__ is None


async def test_a_refused_connection_names_what_the_system_said_as_its_cause() -> None:
    async with fault_server([reply()]) as server:
        url = server.url
    async with Connections() as connections:
        error = await error_of(get(url), connections)

        assert type(error) is httpx.ConnectError
        assert isinstance(error.__cause__, ConnectionRefusedError)
        assert frames_below(error) == []
        assert connections.statistics().active == 0


async def test_a_connection_that_takes_too_long_is_a_time_out_of_connecting() -> None:
    async with fault_server([HANG]) as server, Connections() as connections:
        error = await error_of(get(server.url.replace("http:", "https:"), SOON), connections)

        assert type(error) is httpx.ConnectTimeout
        assert frames_below(error) == []
        await server.wait_open(0)


async def test_a_server_that_does_not_read_is_a_time_out_of_writing() -> None:
    listen = anyio.Event()
    async with fault_server([HANG], deaf_until=listen) as server, Connections() as connections:
        request = put(server.url, Endless(), SOON)

        error = await error_of(request, connections)

        assert type(error) is httpx.WriteTimeout
        listen.set()
        await server.wait_requests(1)
        await server.wait_open(0)


async def test_a_header_that_cannot_be_sent_is_not_quoted() -> None:
    async with fault_server([reply()]) as server, Connections() as connections:
        request = httpx.Request("GET", server.url, headers=[(b"X-Consul-Token", b"secret\n")])

        error = await error_of(request, connections)

        assert type(error) is httpx.LocalProtocolError
        assert not any("secret" in str(each) for each in chain_of(error))
        assert frames_below(error) == []
        assert server.requests == []
        await server.wait_open(0)


class Broken(httpx.AsyncByteStream):
    """A request's body whose source fails, in the middle of httpcore's own work."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b"begun"
        raise self._error


class NewKind(httpcore.NetworkError):
    """An error that a later httpcore might have."""


@pytest.mark.parametrize(
    ("below", "kind"),
    [
        (httpcore.TimeoutException, httpx.TimeoutException),
        (httpcore.PoolTimeout, httpx.PoolTimeout),
        (httpcore.ConnectTimeout, httpx.ConnectTimeout),
        (httpcore.ReadTimeout, httpx.ReadTimeout),
        (httpcore.WriteTimeout, httpx.WriteTimeout),
        (httpcore.NetworkError, httpx.NetworkError),
        (httpcore.ConnectError, httpx.ConnectError),
        (httpcore.ReadError, httpx.ReadError),
        (httpcore.ProtocolError, httpx.ProtocolError),
        (httpcore.RemoteProtocolError, httpx.RemoteProtocolError),
        (httpcore.LocalProtocolError, httpx.LocalProtocolError),
        (httpcore.ProxyError, httpx.ProxyError),
        (httpcore.UnsupportedProtocol, httpx.UnsupportedProtocol),
        (NewKind, httpx.TransportError),
    ],
)
async def test_each_error_of_httpcore_has_its_name_in_httpx(
    below: type[Exception], kind: type[httpx.TransportError]
) -> None:
    cause = OSError(5, "what the system said")
    failure = below("what httpcore said")
    failure.__cause__ = RuntimeError("between")
    failure.__cause__.__context__ = cause
    async with fault_server([HANG]) as server, Connections() as connections:
        request = put(server.url, Broken(failure))

        error = await error_of(request, connections)

        assert type(error) is kind
        assert list(chain_of(error)) == [error, cause]
        assert frames_below(error) == []
        await server.wait_open(0)


async def test_an_error_without_a_text_says_what_its_cause_said() -> None:
    failure = httpcore.ReadError()
    failure.__cause__ = OSError("no route to host")
    async with fault_server([HANG]) as server, Connections() as connections:
        request = put(server.url, Broken(failure))

        assert str(await error_of(request, connections)) == "no route to host"


async def test_an_error_of_tls_after_the_handshake_is_an_error_of_httpx() -> None:
    failure = ssl.SSLError(1, "alert bad certificate")
    async with fault_server([HANG]) as server, Connections() as connections:
        error = await error_of(put(server.url, Broken(failure)), connections)

        assert list(chain_of(error)) == [error, failure]
        assert frames_below(error) == []
        await server.wait_open(0)


async def test_an_error_of_the_callers_own_passes_unchanged() -> None:
    failure = ValueError("the caller's")
    async with fault_server([HANG]) as server, Connections() as connections:
        request = put(server.url, Broken(failure))

        with pytest.raises(ValueError, match="the caller's") as raised:
            await connections.handle_async_request(request)

        assert raised.value is failure
        assert frames_below(failure) == []
        await server.wait_open(0)
        assert connections.statistics().active == 0


# -- the end ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("stage", ["connecting", "sending", "waiting", "reading"])
async def test_closing_ends_requests_in_flight(stage: str) -> None:
    listen = anyio.Event()
    half = reply(headers={"Content-Length": "10"}, body=b"01234", then=Then.HANG)
    ended: list[BaseException] = []
    async with (
        fault_server(
            [half if stage == "reading" else HANG],
            deaf_until=listen if stage == "sending" else None,
        ) as server,
        Connections() as connections,
    ):
        request = request_at(stage, server.url)

        async def work() -> None:
            try:
                await body_of(await connections.handle_async_request(request))
            except (httpx.TransportError, ClientClosedError) as error:
                ended.append(error)

        with anyio.fail_after(2):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(work)
                await settled()
                await connections.aclose()

        if stage == "sending":
            listen.set()
            await server.wait_requests(1)
        await server.wait_open(0)
        assert len(ended) == 1
        assert frames_below(ended[0]) == []
        assert connections.statistics() == ConnectionStatistics(active=0, idle=0, opened=1)


@pytest.mark.parametrize("before", ["nothing", "an idle connection", "an expired connection"])
@pytest.mark.parametrize("turns", range(16))
async def test_closing_at_any_time_leaves_nothing_and_opens_nothing(
    turns: int, before: str
) -> None:
    outcome: list[bytes | Exception] = []
    opened = 0
    keepalive = 0.0 if before == "an expired connection" else 30.0
    async with fault_server([reply(body=b"a")]) as server, Connections(keepalive=keepalive) as c:
        if before != "nothing":
            await fetch(c, server.url)

        async def work() -> None:
            try:
                outcome.append(await fetch(c, server.url))
            except (httpx.TransportError, ClientClosedError) as error:
                outcome.append(error)

        with anyio.fail_after(5):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(work)
                for _ in range(turns):
                    await anyio.lowlevel.checkpoint()
                opened = c.statistics().opened
                await c.aclose()

        await server.wait_open(0)
        assert len(outcome) == 1
        assert c.statistics() == ConnectionStatistics(active=0, idle=0, opened=opened)


async def test_closing_closes_idle_connections_of_every_origin() -> None:
    async with AsyncExitStack() as exits:
        servers = [await exits.enter_async_context(fault_server([reply()])) for _ in range(3)]
        connections = Connections()
        for server in servers:
            await fetch(connections, server.url)
        before = [server.open for server in servers]

        await connections.aclose()
        await connections.aclose()

        assert before == [1, 1, 1]
        for server in servers:
            await server.wait_open(0)
        assert connections.statistics() == ConnectionStatistics(active=0, idle=0, opened=3)


async def test_an_answer_read_after_closing_does_not_come_back_to_the_idle_ones() -> None:
    async with fault_server([reply()]) as server:
        connections = Connections()
        response = await start(connections, server.url)
        await connections.aclose()

        await body_of(response)

        assert connections.statistics() == ConnectionStatistics(active=0, idle=0, opened=1)
        await server.wait_open(0)


async def test_use_after_closing_is_refused_without_a_connection() -> None:
    async with fault_server([reply()]) as server:
        connections = Connections()
        await fetch(connections, server.url)
        await connections.aclose()

        with pytest.raises(ClientClosedError):
            await fetch(connections, server.url)

        assert server.accepted == len(server.requests) == 1


# -- what is configured ----------------------------------------------------------------------------


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/x", "ws://127.0.0.1/x", "/v1/kv/x"])
async def test_other_schemes_are_refused(url: str) -> None:
    async with Connections() as connections:
        with pytest.raises(httpx.UnsupportedProtocol):
            await connections.handle_async_request(get(url))

        assert connections.statistics() == ConnectionStatistics(active=0, idle=0, opened=0)


async def test_the_representation_says_how_many_there_are() -> None:
    async with Connections() as connections:
        assert repr(connections) == "<Connections ConnectionStatistics(active=0, idle=0, opened=0)>"


async def test_the_unix_socket_is_for_localhost_alone(tmp_path: Path) -> None:
    path = tmp_path / "s"
    async with (
        fault_server([reply(body=b"socket")], unix=path) as unix,
        fault_server([reply(body=b"port")]) as tcp,
        Connections(socket=str(path)) as connections,
    ):
        urls = ["http://localhost/a", tcp.url, f"http://localhost:{tcp.port}", "http://localhost/b"]

        bodies = [await fetch(connections, url) for url in urls]

        await connections.aclose()
        await unix.wait_open(0)
        assert bodies == [b"socket", b"port", b"port", b"socket"]
        assert [seen.headers["host"] for seen in unix.requests] == ["localhost", "localhost"]
        assert (unix.accepted, tcp.accepted) == (1, 2)


async def hello_of(connections: Connections) -> bytes:
    """The first bytes that a server of https gets, where the name it is asked for is readable."""
    hello = b""

    async def answer(stream: anyio.abc.SocketStream) -> None:
        nonlocal hello
        async with stream:
            hello = await stream.receive()

    listener = await anyio.create_tcp_listener(local_host=HOST)
    port = listener.extra(anyio.abc.SocketAttribute.local_port)
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, answer)
        await error_of(get(f"https://localhost:{port}/"), connections)
        tasks.cancel_scope.cancel()
    return hello


@pytest.mark.parametrize(
    ("server_name", "asked"), [(None, b"localhost"), ("server.dc1.consul", b"server.dc1.consul")]
)
async def test_tls_asks_for_the_server_name_or_else_the_host(
    server_name: str | None, asked: bytes
) -> None:
    async with Connections(server_name=server_name) as connections:
        hello = await hello_of(connections)

    assert [name for name in (b"localhost", b"server.dc1.consul") if name in hello] == [asked]


async def test_the_tls_context_is_asked_for_once_and_only_for_https() -> None:
    made: list[ssl.SSLContext] = []

    def tls() -> ssl.SSLContext:
        made.append(ssl.create_default_context())
        return made[-1]

    async with fault_server([reply()]) as server, Connections(tls=tls) as connections:
        await fetch(connections, server.url)
        before = len(made)
        for _ in range(2):
            await hello_of(connections)

    assert (before, len(made)) == (0, 1)


def test_of_several_addresses_that_refused_the_first_is_the_cause() -> None:
    refused = ConnectionRefusedError(111, "refused")
    attempts = OSError("All connection attempts failed")
    attempts.__cause__ = ExceptionGroup("each", [refused, OSError("no route")])
    error = httpcore.ConnectError("All connection attempts failed")
    error.__cause__ = attempts

    assert _translated(error).__cause__ is refused


# Cut off before there was one


class Unreachable(httpcore.AsyncNetworkBackend):
    """Where nobody answers, not even with a refusal."""

    async def connect_tcp(
        self, host: str, port: int, timeout: float | None = None, *_: Any, **__: Any
    ) -> httpcore.AsyncNetworkStream:
        assert timeout is not None
        await anyio.sleep(timeout)
        raise httpcore.ConnectTimeout


@pytest.fixture
def unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (_network, _llhttp):
        monkeypatch.setattr(module, "network", Unreachable)


@pytest.mark.usefixtures("unreachable")
@pytest.mark.parametrize("layer", [WholeBody(0.01), Deadline(0.01)])
async def test_a_request_that_never_had_a_connection_was_not_sent(layer: Layer) -> None:
    async with Connections() as connections:
        with anyio.fail_after(5), pytest.raises(httpx.ConnectTimeout, match=r"within 0\.01 s"):
            await layer.wrap(connections).handle_async_request(get("http://192.0.2.1/"))

        assert connections.statistics().active == 0


@pytest.mark.usefixtures("unreachable")
async def test_a_write_without_a_connection_is_not_in_doubt(http: HTTP) -> None:
    # The time-out of the attempt comes before the connection's own.
    given = ConsulSettings(attempt_timeout=0.01, retry_attempts=1, http=http)
    async with ConsulClient("192.0.2.1", settings=given) as c:
        with anyio.fail_after(5), pytest.raises(ConsulTimeoutError, match="no connection within"):
            await c.kv.put("k", "v", cas=7)


async def test_what_an_attempt_before_was_cut_off_at_says_nothing_of_this_one() -> None:
    async with fault_server([reply(), HANG]) as server, Connections() as connections:
        await fetch(connections, server.url)
        request = get(server.url)
        request.extensions[CARD] = Call("x", connecting=True)

        with anyio.fail_after(5), pytest.raises(httpx.ReadTimeout, match="no whole answer"):
            await WholeBody(0.2).wrap(connections).handle_async_request(request)
