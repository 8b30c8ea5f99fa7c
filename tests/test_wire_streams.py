"""Answers that are read piece by piece, and bodies that are sent so."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Final

import anyio
import httpx
import pytest

from consul_onex import (
    ClientClosedError,
    ConsulClient,
    ConsulConnectionError,
    ConsulStatusError,
    ConsulTimeoutError,
    InvalidRequestError,
    NoLeaderError,
    OutcomeUnknownError,
    OverloadedError,
    ServerError,
    UnsupportedEndpointError,
)
from consul_onex._wire import Stream, Takes, Upload
from consul_onex.transport import Deadline, Layer, Limit, Retry
from tests.support.canary import Bottom
from tests.support.fault_server import HANG, RESET, Answer, Seen, Then, fault_server, reply
from tests.test_cancellation import sockets_to

BODY: Final = bytes(range(256)) * 1000
BROKEN_OFF: Final = "broken off, or left"


def client(url: str, *, layers: list[Layer] | None = None, attempt: float = 5) -> ConsulClient:
    usual: list[Layer] = [Deadline(10), Retry(attempts=2, initial=0.001)]
    return ConsulClient(url, layers=usual if layers is None else layers, attempt_timeout=attempt)


async def whole(chunks: Stream) -> bytes:
    return b"".join([chunk async for chunk in chunks])


# -- what is asked -------------------------------------------------------------------------------


async def test_a_stream_is_asked_for_as_it_is() -> None:
    """Packing would hold back what is there already."""
    bottom = Bottom(httpx.Response(200, content=BODY, headers={"X-Consul-Index": "7"}))

    async with (
        ConsulClient(transport=bottom, gzip=True) as c,
        c.snapshot.stream() as chunks,
    ):
        assert chunks.operation == "snapshot.stream"
        assert chunks.meta.index == 7
        assert await whole(chunks) == BODY

    assert bottom.last.headers["accept-encoding"] == "identity"


async def test_streams_share_a_connection_when_they_are_read_to_their_end() -> None:
    async with fault_server([reply(body=BODY)]) as server, client(server.url) as c:
        for _ in range(2):
            async with c.snapshot.stream() as chunks:
                assert await whole(chunks) == BODY

        assert server.accepted == 1


# -- when it begins ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (reply(500, b"x" * 1_000_000), ServerError),
        (reply(404), UnsupportedEndpointError),
        (reply(301, b"x" * 100_000, {"Location": "/v1/snapshot/"}), ConsulStatusError),
    ],
    ids=["500", "404", "301"],
)
async def test_an_error_is_an_error_before_anything_is_read(
    answer: Answer, error: type[ConsulStatusError]
) -> None:
    async with fault_server([answer]) as server, client(server.url) as c:
        with pytest.raises(error) as caught:
            async with c.snapshot.stream():
                raise AssertionError("unreachable")

        assert type(caught.value) is error
        assert caught.value.operation == "snapshot.stream"
        assert len(caught.value.detail) <= 300
        assert c.statistics().connections.active == 0  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "first", [reply(500, b"No cluster leader"), RESET], ids=["no leader", "reset"]
)
async def test_a_stream_that_does_not_begin_is_asked_for_again(first: Answer) -> None:
    async with fault_server([first, reply(body=BODY)]) as server, client(server.url) as c:
        async with c.snapshot.stream() as chunks:
            assert await whole(chunks) == BODY

        assert len(server.requests) == 2


async def test_a_stream_that_never_begins_ends_with_the_call() -> None:
    """However short an attempt may be otherwise: a large answer is long in coming."""
    async with fault_server([HANG]) as server, client(server.url, attempt=0.05) as c:
        with pytest.raises(ConsulTimeoutError, match=r"within 0\.3 s") as caught:
            async with c.using(timeout=0.3).snapshot.stream():
                raise AssertionError("unreachable")

        assert caught.value.operation == "snapshot.stream"
        assert len(server.requests) == 1


async def test_a_closed_client_begins_no_stream() -> None:
    async with client("http://127.0.0.1:1") as c:
        pass

    with pytest.raises(ClientClosedError):
        async with c.snapshot.stream():
            raise AssertionError("unreachable")


# -- in the middle -------------------------------------------------------------------------------


@pytest.mark.parametrize("then", [Then.CLOSE, Then.RESET])
async def test_a_stream_that_is_cut_is_no_whole_one(then: Then) -> None:
    answer = reply(body=BODY, cut=1000, then=then)

    async with fault_server([answer]) as server, client(server.url) as c:
        async with c.snapshot.stream() as chunks:
            with pytest.raises(ConsulConnectionError) as caught:
                await whole(chunks)
            # Who does not care hears it again.
            with pytest.raises(ConsulConnectionError, match=BROKEN_OFF):
                await whole(chunks)

        assert caught.value.operation == "snapshot.stream"
        assert len(server.requests) == 1


async def test_a_stream_that_falls_silent_is_ended() -> None:
    answer = reply(body=BODY, cut=1000, then=Then.HANG)

    async with fault_server([answer]) as server, client(server.url, attempt=0.1) as c:
        async with c.snapshot.stream() as chunks:
            assert len(await anext(chunks)) == 1000
            with pytest.raises(ConsulTimeoutError, match=r"nothing more came within 0\.1 s"):
                await anext(chunks)
            with pytest.raises(ConsulConnectionError, match=BROKEN_OFF):
                await anext(chunks)

        await server.wait_open(0)


async def test_a_stream_may_take_its_time_as_long_as_it_goes_on() -> None:
    answer = reply(body=b"0123456789", pause=0.04)

    async with (
        fault_server([answer]) as server,
        client(server.url, attempt=0.2) as c,
        c.using(timeout=0.2).snapshot.stream() as chunks,
    ):
        assert await whole(chunks) == b"0123456789"


async def test_a_stream_without_a_bound_may_be_silent() -> None:
    answer = reply(body=BODY, cut=1000, then=Then.HANG)

    async with (
        fault_server([answer]) as server,
        client(server.url, attempt=0.01) as c,
        c._wire.stream("agent.monitor", "/v1/agent/monitor", takes=Takes.NOTHING) as chunks,
    ):
        assert len(await anext(chunks)) == 1000
        with anyio.move_on_after(0.2) as patience:
            await anext(chunks)

    assert patience.cancelled_caught


async def test_a_stream_that_is_left_closes_its_connection() -> None:
    answer = reply(body=BODY, cut=1000, then=Then.HANG)

    async with fault_server([answer]) as server, client(server.url) as c:
        async with c.snapshot.stream() as chunks:
            await anext(chunks)
            assert sockets_to(server.port) == 1
        assert sockets_to(server.port) == 0
        await server.wait_open(0)

        with pytest.raises(ConsulConnectionError, match=BROKEN_OFF):
            await anext(chunks)


class OopsError(Exception):
    pass


async def test_an_error_of_ones_own_comes_out_as_it_is() -> None:
    answer = reply(body=BODY, cut=1000, then=Then.HANG)

    async def follow(c: ConsulClient) -> None:
        async with c.snapshot.stream() as chunks:
            await anext(chunks)
            raise OopsError

    async with fault_server([answer]) as server, client(server.url) as c:
        with pytest.raises(OopsError):
            await follow(c)
        await server.wait_open(0)


@pytest.mark.parametrize("answer", [HANG, reply(body=BODY, cut=1000, then=Then.HANG)])
async def test_a_stream_that_is_cancelled_closes_its_connection(answer: Answer) -> None:
    async def follow() -> None:
        async with c.snapshot.stream() as chunks:
            await whole(chunks)

    async with fault_server([answer]) as server, client(server.url) as c:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(follow)
            await server.wait_requests(1)
            await anyio.wait_all_tasks_blocked()
            tasks.cancel_scope.cancel()

        assert sockets_to(server.port) == 0
        await server.wait_open(0)
        assert c.statistics().connections.active == 0  # type: ignore[union-attr]


@pytest.mark.parametrize("answer", [HANG, reply(body=BODY, cut=1000, then=Then.HANG)])
async def test_closing_the_client_ends_its_streams(answer: Answer) -> None:
    ended = anyio.Event()

    async def follow() -> None:
        with pytest.raises(ClientClosedError) as caught:
            async with c.snapshot.stream() as chunks:
                await whole(chunks)
        assert caught.value.operation == "snapshot.stream"
        ended.set()

    async with fault_server([answer]) as server:
        c = client(server.url)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(follow)
            await server.wait_requests(1)
            await anyio.wait_all_tasks_blocked()
            with anyio.fail_after(2):
                # Not after its grace.
                await c.aclose(grace=60)
                await ended.wait()
        await server.wait_open(0)


async def test_a_client_may_be_closed_by_who_reads() -> None:
    answer = reply(body=BODY, cut=1000, then=Then.HANG)

    async def follow(c: ConsulClient) -> None:
        async with c.snapshot.stream() as chunks:
            await anext(chunks)
            await c.aclose()
            await anext(chunks)

    async with fault_server([answer]) as server:
        with pytest.raises(ClientClosedError):
            await follow(client(server.url))
        await server.wait_open(0)


async def test_a_stream_takes_a_place_until_it_is_left() -> None:
    layers: list[Layer] = [Deadline(10), Limit(plain=1, max_wait=0.01)]

    async with fault_server([reply(body=BODY)]) as server, client(server.url, layers=layers) as c:
        async with c.snapshot.stream():
            with pytest.raises(OverloadedError):
                await c.kv.get("k")
        async with c.snapshot.stream() as chunks:
            assert await whole(chunks) == BODY


# -- uploads -------------------------------------------------------------------------------------


async def pieces(*given: bytes, between: Callable[[], float] = lambda: 0.0) -> AsyncIterator[bytes]:
    for piece in given:
        yield piece
        await anyio.sleep(between())


async def test_an_upload_says_its_length_and_is_sent_as_it_is() -> None:
    async with fault_server([reply()]) as server, client(server.url) as c:
        await c.snapshot.restore(pieces(b"one ", b"", b"two"), length=7)

        (seen,) = server.requests
    assert seen.body == b"one two"
    assert seen.headers["content-length"] == "7"
    assert "transfer-encoding" not in seen.headers
    assert seen.headers["content-type"] == "application/octet-stream"


async def test_an_upload_tells_how_far_it_has_come() -> None:
    told: list[int] = []

    async with fault_server([reply()]) as server, client(server.url) as c:
        await c.snapshot.restore(pieces(b"one ", b"two"), length=7, progress=told.append)

    assert told == [4, 7]


async def test_an_upload_may_take_longer_than_an_attempt() -> None:
    held = anyio.Event()
    slowly = pieces(*[b"."] * 5, between=lambda: 0.04)

    async def release() -> None:
        await server.wait_requests(1)
        await anyio.sleep(0.2)
        held.set()

    async with (
        fault_server([reply(hold=held)]) as server,
        client(server.url, attempt=0.1) as c,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(release)
        await c.snapshot.restore(slowly, length=5)

    assert len(server.requests) == 1


async def test_an_upload_ends_with_the_call() -> None:
    async with fault_server([HANG]) as server, client(server.url) as c:
        with pytest.raises(OutcomeUnknownError, match=r"within 0\.2 s"):
            await c.using(timeout=0.2).snapshot.restore(pieces(b"x"), length=1)

        assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("answer", "error"),
    [(reply(500, b"No cluster leader"), NoLeaderError), (RESET, OutcomeUnknownError)],
    ids=["no leader", "reset"],
)
async def test_an_upload_is_sent_once(answer: Answer, error: type[Exception]) -> None:
    async with fault_server([answer, reply()]) as server, client(server.url) as c:
        with pytest.raises(error):
            await c.snapshot.restore(pieces(b"half of ", b"it"), length=10)

        assert [seen.body for seen in server.requests] == [b"half of it"]


@pytest.mark.parametrize("length", [6, 8])
async def test_an_upload_of_another_length_is_not_sent_to_its_end(length: int) -> None:
    seen: list[Seen] = []

    def script(request: Seen) -> Answer:
        seen.append(request)
        return reply()

    async with fault_server(script) as server, client(server.url) as c:
        with pytest.raises(InvalidRequestError, match=f"the {length} bytes") as caught:
            await c.snapshot.restore(pieces(b"one ", b"two"), length=length)

        await server.wait_open(0)
    assert caught.value.operation == "snapshot.restore"
    assert seen == []


async def test_an_upload_that_is_closed_with_its_client_may_have_been_applied() -> None:
    async def send() -> None:
        with pytest.raises(OutcomeUnknownError):
            await c.snapshot.restore(pieces(b"x"), length=1)

    async with fault_server([HANG]) as server:
        c = client(server.url)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(send)
            await server.wait_requests(1)
            await c.aclose(grace=0)
        await server.wait_open(0)


async def test_an_upload_is_its_own_iterator() -> None:
    """An asynchronous generator that httpcore leaves half sent would be closed by nobody."""
    upload = Upload(aiter(pieces(b"x")), 1)

    assert aiter(upload) is upload
    assert [chunk async for chunk in upload] == [b"x"]
