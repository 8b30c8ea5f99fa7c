"""What a caller meets when the connection, the agent or the cluster fails under a call."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Final

import anyio
import pytest

from consul_onex import (
    BadRequestError,
    CircuitOpenError,
    ConsulClient,
    ConsulConnectionError,
    ConsulStatusError,
    InvalidSessionError,
    NoLeaderError,
    OutcomeUnknownError,
    PermissionDeniedError,
    RateLimitedError,
    ServerError,
    UnknownCheckError,
    UnknownDatacenterError,
)
from consul_onex.transport import (
    Breaker,
    CircuitState,
    Datacenters,
    Deadline,
    Layer,
    Limit,
    Retry,
)
from tests.support.fault_server import (
    HANG,
    RESET,
    SILENCE,
    Answer,
    FaultServer,
    Then,
    fault_server,
    raw,
    reply,
)

PAIR: Final = reply(
    body=b'[{"Key": "k", "Value": "djE=", "Flags": 0, "CreateIndex": 5, "ModifyIndex": 7}]',
    headers={"X-Consul-Index": "7"},
)
TRUE: Final = reply(body=b"true")
SESSION: Final = reply(body=b'{"ID": "a-session"}')

LOST: Final = {
    "cut body": reply(body=b"[]" * 10, cut=3),
    "reset": RESET,
    "silent close": SILENCE,
    "garbage": raw(b"\x15\x03\x01 this is not HTTP\r\n\r\n"),
    "cut head": raw(b"HTTP/1.1 200 OK\r\nX-Consul-In"),
    "hang": HANG,
    "hang in the body": reply(headers={"Content-Length": "9"}, body=b"[", then=Then.HANG),
    "trickle": reply(body=b"[]" * 50, pause=0.02),
    "connection lost between servers": reply(500, b"rpc error making call: EOF"),
    "leadership lost": reply(500, b"leadership lost while committing log"),
    "unknown text": reply(500, b"something that no version has said so far"),
    "gateway without an agent": reply(502, b"<html>Bad Gateway</html>"),
}
"""The request was sent, and may have been carried out."""

REFUSED: Final = {
    "429": reply(429, b"slow down", {"Retry-After": "0"}),
    "rate limit": reply(503, b"rate limit exceeded"),
    "no leader": reply(500, b"No cluster leader"),
    "no leader, forwarded": reply(500, b"rpc error making call: No cluster leader"),
}
"""The request was certainly not carried out."""


def of(faults: dict[str, Answer]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("fault", faults.values(), ids=faults.keys())


first_call_or_not = pytest.mark.parametrize(
    "warm", [False, True], ids=["first call", "reused connection"]
)


def client(
    url: str,
    *,
    attempt_timeout: float = 0.3,
    seconds: float = 5.0,
    retry: Retry | None = None,
    breaker: Breaker | None = None,
) -> ConsulClient:
    layers: list[Layer] = [
        Deadline(seconds),
        retry or Retry(initial=0.01, max=0.05),
        Datacenters(),
        breaker or Breaker(),
        Limit(),
    ]
    return ConsulClient(url, layers=layers, attempt_timeout=attempt_timeout)


async def warm_up(c: ConsulClient, server: FaultServer, warm: bool) -> None:
    """With `warm`, one call beforehand, which leaves its connection."""
    if warm:
        assert await c.kv.get("warm") is not None
        server.requests.clear()


def script(warm: bool, *answers: Answer) -> list[Answer]:
    return [*([PAIR] if warm else []), *answers]


async def cas(c: ConsulClient) -> object:
    return await c.kv.put("k", b"v", cas=1)


async def create_session(c: ConsulClient) -> object:
    return await c.request("PUT", "/v1/session/create", json={})


async def put(c: ConsulClient) -> object:
    return await c.kv.put("k", b"v")


async def get(c: ConsulClient) -> object:
    return await c.kv.get("k")


ONCE: Final = [cas, create_session]

Write = Callable[[ConsulClient], Awaitable[object]]


@first_call_or_not
@of(LOST | REFUSED)
async def test_a_read_succeeds_on_the_second_attempt(fault: Answer, warm: bool) -> None:
    async with (
        fault_server(script(warm, fault, PAIR)) as server,
        client(server.url) as c,
    ):
        await warm_up(c, server, warm)

        pair = await c.kv.get("k")

        assert pair is not None
        assert (pair.value, pair.modify_index) == (b"v1", 7)
        assert [seen.target for seen in server.requests] == ["/v1/kv/k", "/v1/kv/k"]
        statistics = c.statistics()
        assert statistics.circuits["consul.default"].failures == 0
        assert statistics.retry is not None
        assert statistics.retry.retries == 1


@first_call_or_not
@of(LOST | REFUSED)
async def test_a_plain_put_is_sent_again(fault: Answer, warm: bool) -> None:
    async with (
        fault_server(script(warm, fault, TRUE)) as server,
        client(server.url) as c,
    ):
        await warm_up(c, server, warm)

        assert await c.kv.put("k", b"v") is True

        assert [(seen.method, seen.body) for seen in server.requests] == [("PUT", b"v")] * 2


@first_call_or_not
@pytest.mark.parametrize("write", ONCE)
@of(LOST)
async def test_a_write_that_must_not_happen_twice_is_sent_once_when_its_answer_is_lost(
    write: Write, fault: Answer, warm: bool
) -> None:
    async with (
        fault_server(script(warm, fault, TRUE)) as server,
        client(server.url) as c,
    ):
        await warm_up(c, server, warm)

        with pytest.raises(OutcomeUnknownError):
            await write(c)

        assert [seen.method for seen in server.requests] == ["PUT"]


@first_call_or_not
@pytest.mark.parametrize(("write", "answer"), [(cas, TRUE), (create_session, SESSION)])
@of(REFUSED)
async def test_a_write_that_was_certainly_not_carried_out_is_sent_again(
    write: Write, answer: Answer, fault: Answer, warm: bool
) -> None:
    async with (
        fault_server(script(warm, fault, answer)) as server,
        client(server.url) as c,
    ):
        await warm_up(c, server, warm)

        await write(c)

        assert [seen.method for seen in server.requests] == ["PUT", "PUT"]


@pytest.mark.parametrize("write", ONCE)
async def test_a_write_sent_again_for_a_good_reason_can_still_be_lost(write: Write) -> None:
    async with (
        fault_server([REFUSED["no leader"], RESET, TRUE]) as server,
        client(server.url) as c,
    ):
        with pytest.raises(OutcomeUnknownError):
            await write(c)

        assert len(server.requests) == 2


@pytest.mark.parametrize("last", [RESET, REFUSED["no leader"], REFUSED["429"]])
async def test_a_put_of_which_one_attempt_was_lost_is_unknown_whatever_came_later(
    last: Answer,
) -> None:
    async with fault_server([RESET, last]) as server, client(server.url) as c:
        with pytest.raises(OutcomeUnknownError, match="gave up after 3 attempts"):
            await c.kv.put("k", b"v")

        assert len(server.requests) == 3


@pytest.mark.parametrize("call", [get, put, cas])
@pytest.mark.parametrize(
    ("status", "text", "kind"),
    [
        (500, b"invalid session 'gone'", InvalidSessionError),
        (500, b"rpc error making call: invalid session 'gone'", InvalidSessionError),
        (400, b"invalid session 'gone'", InvalidSessionError),
        (500, b"Failed to create boolean expression evaluator: 1:4", BadRequestError),
        (500, b'CheckID "c" does not have associated TTL', UnknownCheckError),
        (500, b"rpc error making call: Permission denied", PermissionDeniedError),
        (403, b"ACL not found", PermissionDeniedError),
        (500, b"No path to datacenter", UnknownDatacenterError),
    ],
)
async def test_a_callers_mistake_is_sent_once_and_counts_against_nobody(
    call: Write, status: int, text: bytes, kind: type[ConsulStatusError]
) -> None:
    async with fault_server([reply(status, text)]) as server, client(server.url) as c:
        with pytest.raises(kind) as raised:
            await call(c)

        assert type(raised.value) is kind
        assert (raised.value.status, raised.value.detail) == (status, text.decode())
        assert len(server.requests) == 1
        assert c.statistics().circuits["consul.default"].failures == 0


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (REFUSED["no leader"], NoLeaderError),
        (REFUSED["429"], RateLimitedError),
        (LOST["unknown text"], ServerError),
        (LOST["reset"], ConsulConnectionError),
    ],
)
async def test_a_fault_that_stays_is_raised_after_three_attempts(
    fault: Answer, kind: type[Exception]
) -> None:
    async with fault_server([fault]) as server, client(server.url) as c:
        with pytest.raises(kind, match="gave up after 3 attempts") as raised:
            await c.kv.get("k")

        assert type(raised.value) is kind
        assert len(server.requests) == 3


async def test_the_time_that_consul_asks_to_wait_is_waited() -> None:
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    retry = Retry(initial=0.01, sleep=sleep)
    async with (
        fault_server([reply(429, headers={"Retry-After": "7"}), PAIR]) as server,
        client(server.url, seconds=30.0, retry=retry) as c,
    ):
        assert await c.kv.get("k") is not None

    assert pauses == [7.0]


async def test_nobody_waits_beyond_the_end_of_the_call() -> None:
    async with (
        fault_server([reply(429, headers={"Retry-After": "7"}), PAIR]) as server,
        client(server.url, seconds=5.0) as c,
    ):
        with anyio.fail_after(2), pytest.raises(RateLimitedError) as raised:
            await c.kv.get("k")

        assert raised.value.retry_after == 7.0
        assert len(server.requests) == 1


# -- the circuit -----------------------------------------------------------------------------------


async def open_circuit(c: ConsulClient) -> None:
    """Two calls: three attempts and two, after which the circuit is open."""
    with pytest.raises(ConsulConnectionError):
        await c.kv.get("k")
    with pytest.raises(CircuitOpenError):
        await c.kv.get("k")
    assert c.circuits["consul.default"].state is CircuitState.OPEN


@first_call_or_not
@of({name: LOST[name] for name in ("reset", "silent close", "cut head", "hang")})
async def test_five_dead_connections_open_the_circuit_and_then_nothing_is_sent(
    fault: Answer, warm: bool
) -> None:
    async with (
        fault_server(script(warm, fault)) as server,
        client(server.url, attempt_timeout=0.1 if fault is HANG else 5.0) as c,
    ):
        await warm_up(c, server, warm)

        await open_circuit(c)
        accepted = server.accepted
        refusals = []
        for _ in range(20):
            with pytest.raises(CircuitOpenError) as raised:
                await c.kv.get("k")
            refusals.append(raised.value)

        assert len(server.requests) == 5
        assert server.accepted == accepted
        assert {error.circuit for error in refusals} == {"consul.default"}
        assert all(29 < (error.retry_after or 0) <= 30 for error in refusals)


async def test_an_agent_that_is_not_there_opens_the_circuit_as_well() -> None:
    async with fault_server([PAIR]) as server:
        url = server.url
    async with client(url) as c:
        await open_circuit(c)
        with pytest.raises(CircuitOpenError):
            await c.kv.put("k", b"v")

        connections = c.statistics().connections
        assert connections is not None
        assert (connections.active, connections.idle, connections.opened) == (0, 0, 5)


async def test_an_open_circuit_answers_within_a_millisecond() -> None:
    async with fault_server([RESET]) as server, client(server.url) as c:
        await open_circuit(c)

        times = []
        for _ in range(20):
            started = time.perf_counter()
            with pytest.raises(CircuitOpenError):
                await c.kv.get("k")
            times.append(time.perf_counter() - started)

    # The best of many: a busy machine may interrupt some of them, but hardly each.
    assert min(times) < 0.001


async def test_a_put_whose_own_loss_opened_the_circuit_is_unknown() -> None:
    async with (
        fault_server([RESET]) as server,
        client(server.url, breaker=Breaker(failures=1)) as c,
    ):
        with pytest.raises(OutcomeUnknownError):
            await c.kv.put("k", b"v")

        assert len(server.requests) == 1
        with pytest.raises(CircuitOpenError):
            await c.kv.put("k", b"v")


@of({"429": REFUSED["429"], "rate": REFUSED["rate limit"], "unknown": LOST["unknown text"]})
async def test_limits_and_unknown_texts_do_not_open_the_circuit(fault: Answer) -> None:
    async with fault_server([fault]) as server, client(server.url) as c:
        for _ in range(10):
            with pytest.raises(ConsulStatusError):
                await c.kv.get("k")

        assert c.circuits["consul.default"].state is CircuitState.CLOSED
        assert len(server.requests) == 30
