"""One attempt on real connections: whatever the other side does, it is over in time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import anyio
import httpcore
import httpx
import pytest
from pydantic import SecretStr

from consul_onex import ConsulClient, ConsulTimeoutError, OutcomeUnknownError
from consul_onex._call import CARD, Call, Safety
from consul_onex.transport import (
    Authorize,
    Connections,
    Deadline,
    WholeBody,
    _llhttp,
    _network,
    stack,
)
from consul_onex.transport._connection import HTTP
from consul_onex.transport._network import bounded, clock
from tests.support.fault_server import (
    HANG,
    HOST,
    Answer,
    FaultServer,
    Then,
    fault_server,
    raw,
    reply,
)

SOON = 0.1
NEVER = 60.0
TIMEOUT = dict.fromkeys(("connect", "read", "write", "pool"), NEVER)


class Stuck(httpx.AsyncByteStream):
    """A body that is waited for."""

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        await anyio.sleep(NEVER)
        return b"."


def slowly(data: bytes, *, pause: float = 0.01) -> Answer:
    return Answer(data=data, pause=pause, trickle=len(data), then=Then.HANG)


@dataclass(frozen=True)
class Stage:
    """What the other side does, and where it leaves a request."""

    answer: Answer
    error: type[httpx.TimeoutException] = httpx.ReadTimeout
    scheme: str = "http"
    deaf: bool = False


STAGES = {
    "no handshake": Stage(HANG, httpx.ConnectTimeout, scheme="https"),
    "nobody reads": Stage(HANG, deaf=True),
    "no answer": Stage(HANG),
    "the head comes slowly": Stage(slowly(b"HTTP/1.1 200 OK\r\nX: " + b"." * 5000)),
    "the body comes slowly": Stage(reply(body=b"." * 5000, pause=0.01)),
    "the body comes slowly, in chunks": Stage(
        slowly(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\n.\r\n" * 1000)
    ),
    "it goes on": Stage(raw(b"HTTP/1.1 100 Continue\r\n\r\n", then=Then.HANG)),
}


@pytest.fixture(params=["h11", "fast"])
def http(request: pytest.FixtureRequest) -> HTTP:
    kind: HTTP = request.param
    return kind


@asynccontextmanager
async def server_of(stage: Stage) -> AsyncIterator[FaultServer]:
    """A server that does this, and which in the end has seen every connection closed."""
    listen = anyio.Event()
    async with fault_server([stage.answer], deaf_until=listen if stage.deaf else None) as server:
        yield server
        listen.set()
        await server.wait_open(0)


def request_of(stage: Stage, server: FaultServer, call: Call) -> httpx.Request:
    extensions: dict[str, Any] = {"timeout": TIMEOUT, CARD: call}
    url = server.url.replace("http:", f"{stage.scheme}:")
    if stage.deaf:
        more_than_any_buffer = b"." * 2**25
        return httpx.Request("PUT", url, content=more_than_any_buffer, extensions=extensions)
    return httpx.Request("GET", url, extensions=extensions)


@pytest.mark.parametrize("stage", STAGES.values(), ids=STAGES)
async def test_an_attempt_is_over_in_time_wherever_it_is(stage: Stage, http: HTTP) -> None:
    async with server_of(stage) as server, Connections(http=http) as connections:
        top = stack(connections, [WholeBody(SOON), Authorize(SecretStr("a-token"))])

        with anyio.fail_after(5), pytest.raises(httpx.TimeoutException) as caught:
            await top.handle_async_request(request_of(stage, server, Call("kv.get")))

        assert type(caught.value) is stage.error
        what = "connection" if stage.error is httpx.ConnectTimeout else "whole answer"
        assert str(caught.value) == f"no {what} within 0.1 s"
        assert connections.statistics().active == 0


@pytest.mark.parametrize("stage", STAGES.values(), ids=STAGES)
async def test_so_is_a_call_whose_attempts_have_longer(stage: Stage, http: HTTP) -> None:
    async with server_of(stage) as server, Connections(http=http) as connections:
        top = stack(connections, [Deadline(SOON), WholeBody(NEVER), Authorize()])

        with anyio.fail_after(5), pytest.raises(httpx.TimeoutException) as caught:
            await top.handle_async_request(request_of(stage, server, Call("kv.get")))

        assert type(caught.value) is stage.error
        assert str(caught.value) == "no answer within 0.1 s"
        assert connections.statistics().active == 0


class Flood(httpcore.AsyncNetworkBackend, httpcore.AsyncNetworkStream):
    """A server from which there is always something to read already."""

    def __init__(self) -> None:
        self._rest = [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"]

    async def connect_tcp(self, *_: Any, **__: Any) -> httpcore.AsyncNetworkStream:
        return self

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._rest.pop() if self._rest else b"1\r\n.\r\n"

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        pass

    async def aclose(self) -> None:
        pass

    def get_extra_info(self, info: str) -> Any:
        return None


async def test_what_never_makes_us_wait_is_over_in_time_too(
    http: HTTP, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (_llhttp, _network):
        monkeypatch.setattr(module, "network", Flood)
    request = httpx.Request("GET", "http://agent", extensions={CARD: Call("kv.get")})
    async with Connections(http=http) as connections:
        # Otherwise the body ends by its size.
        with pytest.raises(httpx.ReadTimeout):
            await WholeBody(SOON, limit=200_000).wrap(connections).handle_async_request(request)


async def test_a_body_to_send_that_is_waited_for_is_ended_too(http: HTTP) -> None:
    async with fault_server([HANG]) as server, Connections(http=http) as connections:
        headers = {"Host": HOST, "Transfer-Encoding": "chunked"}
        extensions = {CARD: Call("kv.put")}
        request = httpx.Request(
            "PUT", server.url, headers=headers, stream=Stuck(), extensions=extensions
        )

        with anyio.fail_after(5), pytest.raises(httpx.ReadTimeout):
            await WholeBody(SOON).wrap(connections).handle_async_request(request)


async def test_the_time_of_a_connection_may_end_before_the_attempts(http: HTTP) -> None:
    stage = STAGES["no handshake"]
    async with server_of(stage) as server, Connections(http=http) as connections:
        request = request_of(stage, server, Call("kv.get"))
        request.extensions["timeout"] = TIMEOUT | {"connect": SOON}

        with anyio.fail_after(5), pytest.raises(httpx.ConnectTimeout) as caught:
            await WholeBody(NEVER).wrap(connections).handle_async_request(request)

        assert "within" not in str(caught.value)


async def test_a_connection_serves_the_next_request_in_that_ones_own_time(http: HTTP) -> None:
    async with fault_server([reply(body=b"a"), HANG]) as server, Connections(http=http) as keeps:
        top = WholeBody(SOON).wrap(keeps)
        first = await top.handle_async_request(request_of(STAGES["no answer"], server, Call("a")))
        assert first.status_code == 200

        started = anyio.current_time()
        with anyio.fail_after(5), pytest.raises(httpx.ReadTimeout):
            await top.handle_async_request(request_of(STAGES["no answer"], server, Call("a")))

        assert anyio.current_time() - started >= SOON
        assert server.accepted == 1


async def test_a_stream_outlasts_the_call_that_opened_it(http: HTTP) -> None:
    answer = reply(body=b"." * 30, pause=0.01)
    async with fault_server([answer]) as server, Connections(http=http) as connections:
        top = stack(connections, [Deadline(SOON), WholeBody(SOON), Authorize()])
        call = Call("agent.monitor", stream=True, unhurried=True)
        started = anyio.current_time()

        response = await top.handle_async_request(request_of(STAGES["no answer"], server, call))
        assert isinstance(response.stream, httpx.AsyncByteStream)
        body = b"".join([piece async for piece in response.stream])
        await response.stream.aclose()

        assert body == b"." * 30
        assert anyio.current_time() - started > SOON


async def test_who_intercepts_the_network_is_ended_all_the_same(
    http: HTTP, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hangs(self: object, request: object) -> None:
        await anyio.sleep(NEVER)

    monkeypatch.setattr(httpcore.AsyncHTTPConnection, "handle_async_request", hangs)
    async with ConsulClient(http=http, attempt_timeout=SOON) as c:
        with anyio.fail_after(5), pytest.raises(ConsulTimeoutError, match=r"within 0\.1 s"):
            await c.using(retry=False).kv.get("k")


@pytest.mark.parametrize("bound", ["timeout", "attempt_timeout"])
async def test_a_write_for_which_there_was_no_connection_was_not_sent(
    bound: str, http: HTTP
) -> None:
    async with fault_server([HANG]) as server:
        url = server.url.replace("http:", "https:")
        options: dict[str, Any] = {bound: SOON}
        async with ConsulClient(url, http=http, connect_timeout=NEVER, **options) as c:
            with anyio.fail_after(5), pytest.raises(ConsulTimeoutError) as caught:
                await c.using(retry=False).kv.put("k", "v", cas=1)

    assert not isinstance(caught.value, OutcomeUnknownError)


async def test_one_in_doubt_stays_so_although_a_later_one_had_no_connection(http: HTTP) -> None:
    stage = STAGES["no handshake"]
    call = Call("kv.put", Safety.IDEMPOTENT, doubt=True)
    async with server_of(stage) as server, Connections(http=http) as connections:
        top = stack(connections, [Deadline(SOON), WholeBody(NEVER)])

        with anyio.fail_after(5), pytest.raises(httpx.ReadTimeout):
            await top.handle_async_request(request_of(stage, server, call))


async def test_the_clock_is_the_event_loops_own() -> None:
    before = anyio.current_time()
    assert before <= clock()() <= anyio.current_time()


@pytest.mark.parametrize(
    ("timeout", "until", "seconds"),
    [
        (2.0, float("inf"), 2.0),
        (None, float("inf"), None),
        (2.0, 101.0, 1.0),
        (2.0, 103.0, 2.0),
        (None, 103.0, 3.0),
        (2.0, 99.0, 0.0),
    ],
)
def test_a_step_has_its_own_time_and_no_more_than_is_left(
    timeout: float | None, until: float, seconds: float | None
) -> None:
    now: Callable[[], float] = lambda: 100.0  # noqa: E731

    assert bounded(timeout, until, now) == seconds
