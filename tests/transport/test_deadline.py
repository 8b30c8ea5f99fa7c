"""Deadline: when a call is over, and what it then says."""

from __future__ import annotations

import math

import anyio
import httpx
import pytest

from consul_onex._call import Call
from consul_onex.errors import ConfigurationError
from consul_onex.transport import Deadline, Limit, Retry, stack

from .support import Body, Clock, Script, answer, hang, in_flight, read, send, settled

OK = answer(200, "ok")


async def test_a_call_without_an_answer_ends() -> None:
    with pytest.raises(httpx.ReadTimeout, match=r"no answer within 0\.01 s") as caught:
        await send(Deadline(0.01).wrap(Script(hang)))

    assert caught.value.request.url.path == "/v1/kv/a"


async def test_an_answer_in_time_passes() -> None:
    response = await send(Deadline(60.0).wrap(Script(OK)))

    assert (response.status_code, await read(response)) == (200, b"ok")


async def test_a_stream_may_last_longer_than_the_deadline() -> None:
    """The time ends when the answer's head is there."""

    class Slow(Body):
        async def __anext__(self) -> bytes:
            await anyio.sleep(0.005)
            return await super().__anext__()

    body = Slow(*[b"."] * 5)

    response = await send(
        Deadline(0.01).wrap(Script(answer(200, body))), Call("snapshot.save", stream=True)
    )

    assert await read(response) == b"....."


async def test_a_views_own_time_comes_first() -> None:
    transport = Deadline(3600.0).wrap(Script(hang))

    with pytest.raises(httpx.ReadTimeout, match=r"within 0\.02 s"):
        await send(transport, Call("kv.get", timeout=0.02))


@pytest.mark.parametrize(
    ("call", "seconds"),
    [
        (Call("kv.get"), 30.0),
        (Call("kv.get", timeout=5.0), 5.0),
        (Call("kv.get", wait=160.0), 200.0),
        (Call("kv.get", timeout=5.0, wait=160.0), 175.0),
        (Call("kv.get", wait=0.0), 30.0),
    ],
)
async def test_the_card_says_when_the_call_must_be_over(call: Call, seconds: float) -> None:
    clock = Clock()

    await send(Deadline(30.0, now=clock).wrap(Script(OK)), call)

    assert call.deadline == clock() + seconds


async def test_a_blocking_query_has_the_time_that_consul_may_hold_it_back() -> None:
    transport = Deadline(0.01).wrap(Script(hang))

    with pytest.raises(httpx.ReadTimeout, match=r"within 0\.027 s"):
        await send(transport, Call("kv.get", wait=0.016))


async def test_a_cancellation_from_outside_passes_through() -> None:
    ended: list[str] = []
    transport = Deadline(3600.0).wrap(Script(hang))

    async def call() -> None:
        try:
            await send(transport)
        except anyio.get_cancelled_exc_class():
            ended.append("cancelled")
            raise

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(call)
        await settled()
        tasks.cancel_scope.cancel()

    assert ended == ["cancelled"]


async def test_a_callers_own_time_out_is_not_ours() -> None:
    with pytest.raises(TimeoutError), anyio.fail_after(0.01):
        await send(Deadline(3600.0).wrap(Script(hang)))


@pytest.mark.parametrize("error", [httpx.ReadTimeout("of an attempt"), TimeoutError("another's")])
async def test_an_error_from_below_passes_as_it_is(error: Exception) -> None:
    with pytest.raises(type(error)) as caught:
        await send(Deadline(60.0).wrap(Script(error)))

    assert caught.value is error


async def test_a_call_that_only_waited_for_its_turn_was_not_sent() -> None:
    script = Script(hang)
    transport = stack(script, [Deadline(0.02), Limit(plain=1, max_wait=60.0)])

    async with in_flight(transport, Call("kv.get", timeout=60.0)):
        with pytest.raises(httpx.PoolTimeout):
            await send(transport)

    assert len(script.requests) == 1


@pytest.mark.parametrize(
    ("lost", "error"),
    [(httpx.ReadError("reset"), httpx.ReadTimeout), (httpx.ConnectError("no"), httpx.PoolTimeout)],
)
async def test_a_call_in_the_queue_again_may_have_been_sent_before(
    lost: Exception, error: type[httpx.TimeoutException]
) -> None:
    """Its first attempt may have been applied; it then waits behind another call."""
    occupied = anyio.Event()

    async def occupy(request: httpx.Request) -> httpx.Response:
        occupied.set()
        return await hang(request)

    async def pause(_: float) -> None:
        tasks.start_soon(send, transport, Call("kv.get", timeout=60.0))
        await occupied.wait()

    transport = stack(
        Script(lost, occupy),
        [Deadline(0.05), Retry(initial=0.0, sleep=pause), Limit(plain=1, max_wait=60.0)],
    )
    async with anyio.create_task_group() as tasks:
        with pytest.raises(error):
            await send(transport)
        tasks.cancel_scope.cancel()


@pytest.mark.parametrize("seconds", [0.0, -1.0, math.inf, math.nan])
def test_a_deadline_that_is_none_is_refused(seconds: float) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Deadline(seconds)

    assert caught.value.setting == "timeout"
