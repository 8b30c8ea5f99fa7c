"""Sockets on asyncio, and which event loop has which."""

from __future__ import annotations

import select
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import httpcore
import httpx
import pytest
from anyio.abc import SocketAttribute, SocketStream

from consul_onex.transport import Connections
from consul_onex.transport._connection import HTTP
from consul_onex.transport._network import network
from tests.support.fault_server import HOST, Then, fault_server, reply

asyncio_only = pytest.mark.parametrize("anyio_backend", ["asyncio"])

Serve = Callable[[SocketStream], Awaitable[None]]


@asynccontextmanager
async def connected(serve: Serve, **options: Any) -> AsyncIterator[httpcore.AsyncNetworkStream]:
    """A stream to a server that does this, and is closed with it."""

    async def once(stream: SocketStream) -> None:
        async with stream:
            await serve(stream)

    listener = await anyio.create_tcp_listener(local_host=HOST)
    port = listener.extra(SocketAttribute.local_port)
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, once)
        stream = await network().connect_tcp(HOST, port, 5.0, **options)
        try:
            with anyio.fail_after(5):
                yield stream
        finally:
            await stream.aclose()
            tasks.cancel_scope.cancel()


async def test_each_event_loop_has_its_own_network(anyio_backend_name: str) -> None:
    names = {"asyncio": "AsyncioBackend", "trio": "AnyIOBackend"}

    assert type(network()).__name__ == names[anyio_backend_name]


def test_a_program_without_an_event_loop_of_asyncio_gets_the_general_one() -> None:
    assert type(network()).__name__ == "AnyIOBackend"


# -- opening ---------------------------------------------------------------------------------------


@asyncio_only
async def test_opening_in_no_time_is_a_time_out(tmp_path: Path) -> None:
    async with fault_server([reply()]) as tcp, fault_server([reply()], unix=tmp_path / "s"):
        with pytest.raises(httpcore.ConnectTimeout):
            await network().connect_tcp(HOST, tcp.port, 0.0)
        with pytest.raises(httpcore.ConnectTimeout):
            await network().connect_unix_socket(str(tmp_path / "s"), 0.0)


@asyncio_only
async def test_what_cannot_be_opened_says_why(tmp_path: Path) -> None:
    with pytest.raises(httpcore.ConnectError) as raised:
        await network().connect_unix_socket(str(tmp_path / "nothing"), 5.0)

    assert isinstance(raised.value.__cause__, FileNotFoundError)


@asyncio_only
async def test_a_name_leads_to_any_of_its_addresses() -> None:
    async with fault_server([reply()]) as server:
        stream = await network().connect_tcp("localhost", server.port, 5.0)

        assert stream.get_extra_info("server_addr") == (HOST, server.port)
        await stream.aclose()


@asyncio_only
async def test_options_and_an_address_of_ones_own_are_heeded() -> None:
    option = (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    async with connected(sleep, local_address=HOST, socket_options=[option]) as stream:
        sock = stream.get_extra_info("socket")

        assert sock.getsockopt(*option[:2]) == 1
        assert stream.get_extra_info("client_addr")[0] == HOST
        assert stream.get_extra_info("ssl_object") is None


@asyncio_only
async def test_a_pause_passes() -> None:
    await network().sleep(0.0)


async def sleep(_: SocketStream) -> None:
    await anyio.sleep_forever()


async def echo(stream: SocketStream) -> None:
    async for data in stream:
        await stream.send(data)


@pytest.mark.parametrize("anyio_backend", [("asyncio", {"use_uvloop": True})])
@pytest.mark.parametrize("http", ["h11", "fast"])
@pytest.mark.parametrize("host", [HOST, "localhost"])
async def test_uvloop_will_do(host: str, http: HTTP) -> None:
    script = [reply(body=b"a"), reply(body=b"b", pause=0.001), reply(body=b"c", then=Then.CLOSE)]
    async with fault_server(script) as server, Connections(http=http) as connections:
        request = httpx.Request("GET", f"http://{host}:{server.port}")
        bodies = []
        with anyio.fail_after(5):
            for _ in range(4):
                response = await connections.handle_async_request(request)
                bodies.append(await response.aread())
                if len(bodies) == 3:
                    await server.wait_open(0)

        assert bodies == [b"a", b"b", b"c", b"c"]
        assert connections.statistics().opened == 2


# -- reading ---------------------------------------------------------------------------------------


@asyncio_only
async def test_no_more_is_read_than_was_asked_for() -> None:
    async with connected(echo) as stream:
        await stream.write(b"")
        await stream.write(b"abcde", 5.0)

        assert [await stream.read(2, 5.0) for _ in range(3)] == [b"ab", b"cd", b"e"]


@asyncio_only
async def test_what_nobody_reads_is_left_to_the_system() -> None:
    sent = 0

    async def flood(stream: SocketStream) -> None:
        nonlocal sent
        while sent < 100_000_000:
            await stream.send(bytes(64 * 1024))
            sent += 64 * 1024

    async with connected(flood) as stream:
        await stream.read(1, 5.0)
        before = -1
        # Until the server, too, can send no more.
        while before != sent:
            before = sent
            await anyio.wait_all_tasks_blocked()
        held = sent
        read = 1
        while read < held + 10_000_000:
            read += len(await stream.read(1_000_000, 5.0))

    assert held < 90_000_000


@asyncio_only
async def test_each_read_has_its_own_time() -> None:
    async with connected(echo) as stream:
        for timeout in (None, 60.0):
            await stream.write(b"a")
            assert await stream.read(1, timeout) == b"a"
        # A timer that rings while nobody waits is nobody's.
        stream._ring()  # type: ignore[attr-defined]
        await stream.write(b"b")
        assert await stream.read(1, 60.0) == b"b"
        with pytest.raises(httpcore.ReadTimeout):
            await stream.read(1, 0.01)


@asyncio_only
async def test_a_timer_of_an_earlier_read_does_not_end_a_later_one() -> None:
    async def late(stream: SocketStream) -> None:
        await stream.send(b"a")
        await anyio.sleep(0.1)
        await stream.send(b"b")
        await anyio.sleep_forever()

    async with connected(late) as stream:
        first = await stream.read(1, 0.05)
        second = await stream.read(1, 5.0)

    assert first + second == b"ab"


@asyncio_only
async def test_the_end_is_no_bytes_and_can_be_read_again() -> None:
    async def bye(stream: SocketStream) -> None:
        await stream.send(b"bye")

    async with connected(bye) as stream:
        assert [await stream.read(9, 5.0) for _ in range(3)] == [b"bye", b"", b""]
        assert stream.get_extra_info("is_readable")


@asyncio_only
async def test_after_closing_there_is_nothing_to_read_and_nowhere_to_write() -> None:
    async with connected(echo) as stream:
        await stream.aclose()

        with pytest.raises(httpcore.ReadError):
            await stream.read(1, 5.0)
        with pytest.raises(httpcore.WriteError):
            await stream.write(b"a")


@asyncio_only
async def test_what_the_system_has_is_seen_before_the_loop_has_fetched_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        async with connected(echo) as stream:
            real = stream.get_extra_info("socket")
            monkeypatch.setattr(type(real), "fileno", lambda _: ours.fileno())
            before = stream.get_extra_info("is_readable")
            theirs.send(b"a")

            assert (before, stream.get_extra_info("is_readable")) == (False, True)

            # As on Windows.
            monkeypatch.delattr(select, "poll")
            assert not stream.get_extra_info("is_readable")
            monkeypatch.undo()


# -- writing ---------------------------------------------------------------------------------------


@asyncio_only
async def test_a_connection_that_breaks_while_it_is_full_is_an_error_of_writing() -> None:
    leave = anyio.Event()

    async def refuse(stream: SocketStream) -> None:
        await leave.wait()

    async with connected(refuse) as stream, anyio.create_task_group() as tasks:

        async def fill() -> None:
            while True:
                await stream.write(bytes(1_000_000), 5.0)

        async def write() -> None:
            with pytest.raises(httpcore.WriteError):
                await fill()

        tasks.start_soon(write)
        await anyio.wait_all_tasks_blocked()
        leave.set()


# -- TLS -------------------------------------------------------------------------------------------


@asyncio_only
async def test_a_handshake_that_never_ends_is_a_time_out_and_hangs_up() -> None:
    left = anyio.Event()

    async def listen(stream: SocketStream) -> None:
        async for _ in stream:
            pass
        left.set()

    async with connected(listen) as stream:
        with pytest.raises(httpcore.ConnectTimeout):
            await stream.start_tls(ssl.create_default_context(), "localhost", 0.05)
        await left.wait()


@asyncio_only
async def test_a_cancelled_handshake_hangs_up() -> None:
    left = anyio.Event()

    async def listen(stream: SocketStream) -> None:
        async for _ in stream:
            pass
        left.set()

    async with connected(listen) as stream:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(stream.start_tls, ssl.create_default_context(), "localhost", 5.0)
            await anyio.wait_all_tasks_blocked()
            tasks.cancel_scope.cancel()
        await left.wait()


@asyncio_only
async def test_no_tls_on_the_other_side_is_an_error_of_connecting() -> None:
    async with connected(echo) as stream:
        with pytest.raises(httpcore.ConnectError) as raised:
            await stream.start_tls(ssl.create_default_context(), "localhost", 5.0)

    assert isinstance(raised.value.__cause__, OSError)


@asyncio_only
async def test_a_connection_lost_just_after_its_handshake_is_an_error_of_connecting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def lost(*_: object, **__: object) -> None:
        """What asyncio says then."""

    async with connected(echo) as stream:
        monkeypatch.setattr(stream._loop, "start_tls", lost)  # type: ignore[attr-defined]
        with pytest.raises(httpcore.ConnectError, match="was lost"):
            await stream.start_tls(ssl.create_default_context(), "localhost", 5.0)
