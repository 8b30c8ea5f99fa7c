"""Retry: what is sent again, when, and how often."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

import anyio
import httpx
import pytest

from consul_onex._call import Call, Safety
from consul_onex.errors import CircuitOpenError, ConfigurationError
from consul_onex.events import Event, Retrying
from consul_onex.transport import Retry, RetryStatistics
from consul_onex.transport.retry import RetryTransport, retry_after

from .support import URL, Body, Clock, Gate, Script, Step, answer, read, send, settled

OK = answer(200, "ok")
REFUSED = httpx.ConnectError("refused")
LOST = httpx.ReadError("connection reset")
NO_LEADER = answer(500, "No cluster leader")

NOT_SENT: list[Step] = [
    REFUSED,
    httpx.ConnectTimeout("no route"),
    httpx.PoolTimeout("no connection free"),
    httpx.ProxyError("no proxy"),
]
NOT_APPLIED: list[Step] = [
    NO_LEADER,
    answer(500, "No known Consul servers"),
    answer(503, "rate limit exceeded, try again later or against a different server"),
    answer(429, "Your IP is issuing too many concurrent connections"),
]
MAYBE_APPLIED: list[Step] = [
    LOST,
    httpx.ReadTimeout("no answer"),
    httpx.WriteError("broken pipe"),
    httpx.RemoteProtocolError("hung up"),
    answer(500, "rpc error making call: EOF"),
    answer(500, "a text that nobody has seen before"),
    answer(502, "Bad Gateway"),
]
REJECTED: list[Step] = [
    answer(500, 'invalid session "11111111-1111-1111-1111-111111111111"'),
    answer(500, "No path to datacenter"),
    httpx.UnsupportedProtocol("ftp"),
]


def retrying(script: Script, clock: Clock, **settings: Any) -> RetryTransport:
    """A Retry layer without chance: each pause is exactly its bound."""
    settings = {"jitter": 0.0, "now": clock, "sleep": clock.sleep, **settings}
    return RetryTransport(script, Retry(**settings))


async def attempts(transport: RetryTransport, call: Call | None = None, method: str = "GET") -> int:
    """Send one call, whatever becomes of it, and say how often it went out."""
    call = call or Call("kv.get")
    with suppress(httpx.TransportError):
        await send(transport, call, method)
    return call.attempts


# When


@pytest.mark.parametrize(
    ("jitter", "dice", "pauses"),
    [
        (0.0, 0.0, [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]),
        (0.0, 1.0, [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]),
        (0.5, 0.0, [0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 15.0]),
        (0.5, 0.5, [0.75, 1.5, 3.0, 6.0, 12.0, 22.5, 22.5]),
        (0.5, 1.0, [1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]),
        (1.0, 0.0, [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]),
        (1.0, 0.5, [0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 15.0]),
    ],
)
async def test_pauses_double_up_to_the_bound_less_what_the_dice_take(
    jitter: float, dice: float, pauses: list[float]
) -> None:
    clock = Clock()
    transport = retrying(
        Script(REFUSED), clock, attempts=8, max=30.0, jitter=jitter, dice=lambda: dice
    )

    with pytest.raises(httpx.ConnectError):
        await send(transport)

    assert clock.pauses == pauses


def test_initial_and_base_shape_the_pauses() -> None:
    retry = Retry(initial=0.25, base=3.0, max=5.0, jitter=0.0)

    assert [retry.pause(n) for n in range(5)] == [0.25, 0.75, 2.25, 5.0, 5.0]


def test_by_default_clients_that_failed_together_do_not_come_back_together() -> None:
    pauses = {Retry().pause(0) for _ in range(100)}

    assert len(pauses) > 90
    assert all(0 <= pause <= 1 for pause in pauses)


@pytest.mark.parametrize("base", [2.0, 1e308])
def test_a_pause_too_large_for_a_float_is_the_longest_one(base: float) -> None:
    assert Retry(base=base, jitter=0.0).pause(5000) == 30.0


def test_no_pause_at_first_is_none_later() -> None:
    assert Retry(initial=0.0).pause(10) == 0.0


# What the server asks for


@pytest.mark.parametrize(
    ("asked", "date", "seconds"),
    [
        ("0", None, 0.0),
        ("7", None, 7.0),
        (" 7 ", None, 7.0),
        ("999999999", None, 999999999.0),
        ("9999999999", None, math.inf),
        ("9" * 5000, None, math.inf),
        ("Wed, 21 Oct 2026 07:28:30 GMT", "Wed, 21 Oct 2026 07:28:00 GMT", 30.0),
        ("Wed, 21 Oct 2026 09:28:30 +0200", "Wed, 21 Oct 2026 07:28:00 GMT", 30.0),
        ("Wed, 21 Oct 2026 07:28:00 GMT", "Wed, 21 Oct 2026 07:28:30 GMT", 0.0),
        ("Wed, 21 Oct 2026 07:28:00 GMT", None, None),
        ("Wed, 21 Oct 2026 07:28:00 GMT", "yesterday", None),
        ("Wed, 21 Oct 2026 07:28:00 -0000", "Wed, 21 Oct 2026 07:28:00 GMT", None),
        (None, "Wed, 21 Oct 2026 07:28:00 GMT", None),
        ("", None, None),
        ("-5", None, None),
        ("1.5", None, None),
        ("٣", None, None),
        ("soon", "Wed, 21 Oct 2026 07:28:00 GMT", None),
        ("Fri, 32 Foo 2026 99:99:99 GMT", "Wed, 21 Oct 2026 07:28:00 GMT", None),
        ("Mon, 01 Jan 99999999999999 00:00:00 GMT", "Wed, 21 Oct 2026 07:28:00 GMT", None),
        ("Wed, 21 Oct 2026 07:28:00 +" + "9" * 20, "Wed, 21 Oct 2026 07:28:00 GMT", None),
    ],
)
def test_retry_after_is_seconds_or_a_date_by_the_servers_clock(
    asked: str | None, date: str | None, seconds: float | None
) -> None:
    given = [(b"Retry-After", asked), (b"Date", date)]
    headers = [(name, text.encode()) for name, text in given if text is not None]

    assert retry_after(httpx.Response(503, headers=headers)) == seconds


@pytest.mark.parametrize(("asked", "pause"), [("7", 7.0), ("0", 1.0), ("garbage", 1.0)])
async def test_a_pause_is_as_long_as_the_server_asks_and_never_shorter_than_ours(
    asked: str, pause: float
) -> None:
    clock = Clock()
    script = Script(answer(429, "", {"Retry-After": asked}), OK)

    response = await send(retrying(script, clock))

    assert response.status_code == 200
    assert clock.pauses == [pause]


@pytest.mark.parametrize(("asked", "sent"), [("60", 2), ("61", 1)])
async def test_a_server_that_asks_for_too_long_gets_no_second_attempt(
    asked: str, sent: int
) -> None:
    call = Call("kv.get")
    script = Script(answer(503, "", {"Retry-After": asked}), OK)

    await send(retrying(script, Clock(), max_retry_after=60.0), call)

    assert call.attempts == sent
    assert call.gave_up == (None if sent == 2 else "not sent again, as Consul asked to wait 61 s")


# What is sent again


@pytest.mark.parametrize("failure", NOT_SENT + NOT_APPLIED)
@pytest.mark.parametrize("safety", Safety)
@pytest.mark.parametrize("writes", [True, False])
async def test_what_was_certainly_not_carried_out_is_sent_again(
    failure: Step, safety: Safety, writes: bool
) -> None:
    call = Call("kv.put", safety)
    script = Script(failure, OK)

    response = await send(retrying(script, Clock(), writes=writes), call, "PUT")

    assert response.status_code == 200
    assert len(script.requests) == call.attempts == 2
    assert not call.doubt


@pytest.mark.parametrize("failure", MAYBE_APPLIED)
async def test_an_unsafe_write_whose_answer_was_lost_is_sent_once(failure: Step) -> None:
    script = Script(failure)
    call = Call("kv.cas", Safety.UNSAFE)

    assert await attempts(retrying(script, Clock()), call, "PUT") == 1
    assert len(script.requests) == 1


@pytest.mark.parametrize("failure", MAYBE_APPLIED)
@pytest.mark.parametrize(
    ("safety", "writes", "sent"),
    [
        (Safety.SAFE, True, 2),
        (Safety.SAFE, False, 2),
        (Safety.IDEMPOTENT, True, 2),
        (Safety.IDEMPOTENT, False, 1),
    ],
)
async def test_what_may_have_been_carried_out_is_sent_again_where_twice_is_as_once(
    failure: Step, safety: Safety, writes: bool, sent: int
) -> None:
    script = Script(failure, OK)
    call = Call("kv.put", safety)

    assert await attempts(retrying(script, Clock(), writes=writes), call) == sent
    assert len(script.requests) == sent


@pytest.mark.parametrize("failure", REJECTED)
async def test_what_was_refused_is_not_sent_again(failure: Step) -> None:
    assert await attempts(retrying(Script(failure), Clock())) == 1


@pytest.mark.parametrize("status", [200, 204, 301, 400, 403, 404, 409, 413])
async def test_an_answer_is_an_answer_whatever_it_says(status: int) -> None:
    script = Script(answer(status, "No cluster leader"))

    response = await send(retrying(script, Clock()))

    assert response.status_code == status
    assert await read(response) == b"No cluster leader"
    assert len(script.requests) == 1


@pytest.mark.parametrize("failure", [REFUSED, LOST, NO_LEADER])
@pytest.mark.parametrize(
    "call",
    [
        Call("kv.get", wait=60.0),
        Call("kv.get", paced=True),
        Call("session.renew", Safety.IDEMPOTENT, control=True, paced=True),
    ],
    ids=["blocking", "paced", "paced control"],
)
async def test_what_keeps_its_own_pace_is_never_sent_again(failure: Step, call: Call) -> None:
    assert await attempts(retrying(Script(failure), Clock()), replace(call)) == 1


@pytest.mark.parametrize("failure", [REFUSED, LOST, NO_LEADER])
async def test_what_keeps_something_alive_is_sent_again_as_any_other(failure: Step) -> None:
    call = Call("session.renew", Safety.IDEMPOTENT, control=True)

    assert await attempts(retrying(Script(failure), Clock()), call) == 3


@pytest.mark.parametrize("failure", [REFUSED, LOST, NO_LEADER])
async def test_what_its_caller_repeats_is_not_sent_again_here(failure: Step) -> None:
    call = Call("kv.get", retry=False)

    assert await attempts(retrying(Script(failure), Clock()), call) == 1


async def test_an_error_that_is_not_of_the_transport_passes_through() -> None:
    script = Script(CircuitOpenError("not sent"))

    with pytest.raises(CircuitOpenError):
        await send(retrying(script, Clock()))

    assert len(script.requests) == 1


async def test_an_open_circuit_ends_the_retrying_at_once() -> None:
    clock = Clock()
    script = Script(REFUSED, CircuitOpenError("not sent"))

    with pytest.raises(CircuitOpenError):
        await send(retrying(script, clock, attempts=5))

    assert len(script.requests) == 2
    assert clock.pauses == [1.0]


async def test_a_body_that_was_a_stream_is_not_sent_again() -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"snapshot"

    request = httpx.Request("PUT", URL, content=pieces())
    script = Script(REFUSED)

    with pytest.raises(httpx.ConnectError):
        await retrying(script, Clock()).handle_async_request(request)

    assert len(script.requests) == 1
    call: Call = request.extensions["consul_onex"]
    assert call.gave_up == "not sent again, as its body was a stream"


async def test_the_very_same_request_is_sent_each_time() -> None:
    script = Script(REFUSED, NO_LEADER, OK)
    request = httpx.Request("PUT", URL, content=b"value", extensions={"timeout": {"read": 1.0}})

    await retrying(script, Clock()).handle_async_request(request)

    assert script.requests == [request] * 3


# How often


@pytest.mark.parametrize("most", [1, 2, 5])
async def test_attempts_are_counted_with_the_first(most: int) -> None:
    script = Script(REFUSED)

    assert await attempts(retrying(script, Clock(), attempts=most)) == most
    assert len(script.requests) == most


@pytest.mark.parametrize(
    ("most", "reason"), [(1, "gave up after 1 attempt"), (3, "gave up after 3 attempts")]
)
async def test_the_last_failure_is_the_calls_own(most: int, reason: str) -> None:
    call = Call("kv.get")
    script = Script(REFUSED, LOST, NO_LEADER)
    if most == 1:
        script = Script(NO_LEADER)

    response = await send(retrying(script, Clock(), attempts=most), call)

    assert (response.status_code, await read(response)) == (500, b"No cluster leader")
    assert call.gave_up == reason


@pytest.mark.parametrize(
    ("left", "pauses"),
    [(0.5, []), (1.0, []), (1.01, [1.0]), (3.0, [1.0]), (3.01, [1.0, 2.0])],
)
async def test_no_pause_reaches_into_the_deadline(left: float, pauses: list[float]) -> None:
    clock = Clock()
    call = Call("kv.get", deadline=clock() + left)

    await attempts(retrying(Script(REFUSED), clock, attempts=9), call)

    tried = "1 attempt" if not pauses else f"{len(pauses) + 1} attempts"
    assert clock.pauses == pauses
    assert call.gave_up == f"gave up after {tried}, as time was running out"


async def test_a_spent_budget_ends_the_retries_of_all_calls() -> None:
    transport = retrying(Script(REFUSED), Clock(), attempts=2, budget=2)
    call = Call("kv.get")

    sent = [await attempts(transport), await attempts(transport), await attempts(transport, call)]

    assert sent == [2, 2, 1]
    assert call.gave_up == "not sent again, as the retry budget is spent"
    assert transport.statistics() == RetryStatistics(retries=2, budget=0.0)


async def test_ten_successes_earn_one_retry() -> None:
    steps: list[Step] = [REFUSED, REFUSED, *[OK] * 9, REFUSED, OK, REFUSED, OK]
    transport = retrying(Script(*steps), Clock(), attempts=2, budget=1)

    await attempts(transport)
    for _ in range(9):
        await send(transport)
    after_nine = await attempts(transport)
    await send(transport)
    after_ten = await attempts(transport)

    assert (after_nine, after_ten) == (1, 2)


async def test_a_retry_that_succeeds_earns_no_more_than_any_success() -> None:
    steps: list[Step] = [REFUSED, OK] * 5
    transport = retrying(Script(*steps), Clock(), attempts=2, budget=5)

    assert [await attempts(transport) for _ in range(5)] == [2] * 5
    assert transport.statistics() == RetryStatistics(retries=5, budget=0.5)


async def test_the_budget_is_never_more_than_at_first() -> None:
    transport = retrying(Script(OK), Clock(), budget=3)

    for _ in range(20):
        await send(transport)

    assert transport.statistics() == RetryStatistics(retries=0, budget=3.0)


async def test_a_refusal_earns_nothing() -> None:
    steps: list[Step] = [REFUSED, REFUSED, *REJECTED[:1] * 20, REFUSED]
    transport = retrying(Script(*steps), Clock(), attempts=2, budget=1)

    for _ in range(21):
        await attempts(transport)

    assert transport.statistics().budget == 0.0


async def test_a_budget_of_nothing_allows_no_retry() -> None:
    assert await attempts(retrying(Script(REFUSED), Clock(), budget=0)) == 1


# On the way


@pytest.mark.parametrize("failure", [REFUSED, NO_LEADER])
async def test_a_doubt_stays_on_the_card_until_the_call_is_over(failure: Step) -> None:
    call = Call("kv.put", Safety.IDEMPOTENT)

    await send(retrying(Script(LOST, failure, OK), Clock()), call)
    assert call.doubt

    await send(retrying(Script(OK), Clock()), call)
    assert (call.doubt, call.attempts) == (False, 1)


async def test_the_doubt_of_the_last_attempt_is_not_an_earlier_one() -> None:
    call = Call("kv.put", Safety.IDEMPOTENT)

    await attempts(retrying(Script(REFUSED, LOST), Clock(), attempts=2), call)

    assert not call.doubt


async def test_a_failed_answer_is_closed_before_the_pause() -> None:
    clock, body = Clock(), Body(b"No cluster leader")
    closed: list[bool] = []

    async def sleep(seconds: float) -> None:
        closed.append(body.closed)

    await send(retrying(Script(answer(500, body), OK), clock, sleep=sleep))

    assert closed == [True]


async def test_each_retry_is_reported_with_its_reason_and_pause() -> None:
    events: list[Event] = []
    call = Call("kv.get", datacenter="dc2", emit=events.append)
    steps: list[Step] = [REFUSED, NO_LEADER, LOST, answer(429, "slow down"), OK]

    await send(retrying(Script(*steps), Clock(), attempts=5), call)

    assert events == [
        Retrying("kv.get", "dc2", attempt=1, pause=1.0, reason="not sent"),
        Retrying("kv.get", "dc2", attempt=2, pause=2.0, reason="not applied"),
        Retrying("kv.get", "dc2", attempt=3, pause=4.0, reason="maybe applied"),
        Retrying("kv.get", "dc2", attempt=4, pause=8.0, reason="throttled"),
    ]


async def test_a_call_cancelled_in_its_pause_is_over() -> None:
    script = Script(REFUSED, OK)
    transport = retrying(script, Clock(), sleep=anyio.sleep, initial=3600.0, max=3600.0)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(attempts, transport)
        await settled()
        tasks.cancel_scope.cancel()

    assert len(script.requests) == 1


async def test_a_cancelled_attempt_is_not_repeated() -> None:
    script = Script(Gate(OK))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(attempts, retrying(script, Clock()))
        await settled()
        tasks.cancel_scope.cancel()

    assert len(script.requests) == 1


@pytest.mark.parametrize(
    ("method", "sent"), [("GET", 2), ("HEAD", 2), ("OPTIONS", 2), ("PUT", 1), ("DELETE", 1)]
)
async def test_without_a_card_only_methods_that_read_are_repeatable(method: str, sent: int) -> None:
    script = Script(LOST, LOST, OK)
    transport = retrying(script, Clock(), attempts=2)

    with pytest.raises(httpx.ReadError):
        await send(transport, None, method)

    assert len(script.requests) == sent


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("attempts", 0),
        ("initial", -0.1),
        ("initial", math.nan),
        ("max", math.inf),
        ("max", -1.0),
        ("base", 0.9),
        ("base", math.inf),
        ("jitter", -0.1),
        ("jitter", 1.1),
        ("jitter", math.nan),
        ("max_retry_after", -1.0),
        ("max_retry_after", math.inf),
        ("budget", -1),
    ],
)
def test_a_setting_out_of_bounds_is_refused_by_its_name(name: str, value: float) -> None:
    settings: dict[str, Any] = {name: value}

    with pytest.raises(ConfigurationError, match=rf"Retry\.{name} must be") as caught:
        Retry(**settings)

    assert caught.value.setting == f"retry_{name}"
