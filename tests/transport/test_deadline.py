"""Deadline: when a call is over, and what it then says."""

from __future__ import annotations

import math

import anyio
import httpx
import pytest

from consul_onex._call import Call
from consul_onex.errors import ConfigurationError
from consul_onex.events import CallEnded, Event
from consul_onex.transport import (
    Breaker,
    Datacenters,
    Deadline,
    Events,
    Layer,
    Limit,
    Retry,
    WholeBody,
    stack,
)
from consul_onex.transport.breaker import BreakerTransport
from consul_onex.transport.limit import LimitTransport

from .support import Body, Clock, Script, Step, answer, hang, in_flight, read, send, settled

OK = answer(200, "ok")

# Over the first, a call that is over is cancelled; the second keeps the time by itself.
each_below = pytest.mark.parametrize("below", [[], [WholeBody()]], ids=["cancelled", "kept"])


@each_below
async def test_a_call_without_an_answer_ends(below: list[Layer]) -> None:
    with pytest.raises(httpx.ReadTimeout, match=r"no answer within 0\.01 s") as caught:
        await send(stack(Script(hang), [Deadline(0.01), *below]))

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


@each_below
async def test_a_cancellation_from_outside_passes_through(below: list[Layer]) -> None:
    ended: list[str] = []
    transport = stack(Script(hang), [Deadline(3600.0), *below])

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


@each_below
async def test_a_callers_own_time_out_is_not_ours(below: list[Layer]) -> None:
    with pytest.raises(TimeoutError), anyio.fail_after(0.01):
        await send(stack(Script(hang), [Deadline(3600.0), *below]))


@pytest.mark.parametrize("error", [httpx.ReadTimeout("of an attempt"), TimeoutError("another's")])
@each_below
async def test_an_error_from_below_passes_as_it_is(error: Exception, below: list[Layer]) -> None:
    with pytest.raises(type(error)) as caught:
        await send(stack(Script(error), [Deadline(60.0), *below]))

    assert caught.value is error


@each_below
async def test_a_call_that_only_waited_for_its_turn_was_not_sent(below: list[Layer]) -> None:
    script = Script(hang)
    transport = stack(script, [Deadline(0.02), Limit(plain=1, max_wait=60.0), *below])

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


@pytest.mark.parametrize(
    ("lost", "error"),
    [(httpx.ReadError("reset"), httpx.ReadTimeout), (httpx.ConnectError("no"), httpx.PoolTimeout)],
)
async def test_so_it_may_where_the_time_is_kept(
    lost: Exception, error: type[httpx.TimeoutException]
) -> None:
    waiting = anyio.Event()

    async def lose(request: httpx.Request) -> httpx.Response:
        await waiting.wait()
        raise lost

    transport = stack(
        Script(lose, hang),
        [Deadline(0.5), Retry(initial=0.0), Limit(plain=1, max_wait=60.0), WholeBody(60.0)],
    )

    async def wait_behind_it() -> None:
        await settled()
        tasks.start_soon(send, transport, Call("kv.get", timeout=60.0))
        await settled()
        waiting.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(wait_behind_it)
        with pytest.raises(error):
            await send(transport)
        tasks.cancel_scope.cancel()


# Who keeps the time


class Elses:
    """A layer of somebody else's, which waits at times."""

    def __init__(self, *, waits: bool) -> None:
        self.waits = waits

    def wrap(self, inner: httpx.AsyncBaseTransport) -> httpx.AsyncBaseTransport:
        return ElsesTransport(inner, waits=self.waits)


class ElsesTransport(httpx.AsyncBaseTransport):
    def __init__(self, inner: httpx.AsyncBaseTransport, *, waits: bool) -> None:
        self.inner = inner
        self.waits = waits

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if self.waits:
            await anyio.sleep_forever()
        return await self.inner.handle_async_request(request)


def usual() -> list[Layer]:
    return [Events(), Retry(), Datacenters(), Breaker(), Limit(), WholeBody()]


@pytest.mark.parametrize("place", range(len(usual()) + 1))
async def test_a_layer_of_somebody_elses_cannot_outlast_it(place: int) -> None:
    layers = usual()
    layers.insert(place, Elses(waits=True))

    with anyio.fail_after(5), pytest.raises(httpx.ReadTimeout, match=r"within 0\.01 s"):
        await send(stack(Script(OK), [Deadline(0.01), *layers]))


async def test_nor_can_a_pause_that_is_not_the_usual_one() -> None:
    async def pause(_: float) -> None:
        await anyio.sleep_forever()

    layers: list[Layer] = [Deadline(0.05), Retry(initial=0.0, sleep=pause), WholeBody()]

    with anyio.fail_after(5), pytest.raises(httpx.ReadTimeout, match=r"within 0\.05 s"):
        await send(stack(Script(httpx.ConnectError("refused")), layers))


@pytest.mark.parametrize("layer", [Retry(now=Clock()), Limit(now=Clock()), Deadline(now=Clock())])
@pytest.mark.parametrize("step", [OK, hang], ids=["an answer", "none"])
async def test_it_ends_by_the_event_loops_clock_whatever_other_clocks_say(
    layer: Layer, step: Step
) -> None:
    transport = stack(Script(step), [Deadline(0.05), layer, WholeBody()])

    with anyio.fail_after(5):
        if step is OK:
            assert (await send(transport, Call("kv.get", timeout=60.0))).status_code == 200
        else:
            with pytest.raises(httpx.ReadTimeout):
                await send(transport, Call("kv.get", timeout=0.05))


@pytest.mark.parametrize("above", [[], [Elses(waits=False)]], ids=["kept", "cancelled"])
async def test_to_the_layers_below_it_a_call_that_is_over_was_cancelled(
    above: list[Layer],
) -> None:
    events: list[Event] = []
    script = Script(hang)
    limit = Limit().wrap(WholeBody(60.0).wrap(script))
    breaker = Breaker(failures=1).wrap(limit)
    layers = [Deadline(0.02), *above, Events(events.append), Retry(), Datacenters()]
    transport = stack(breaker, layers)

    for call in (Call("kv.get"), Call("kv.get", wait=0.016)):
        with pytest.raises(httpx.ReadTimeout):
            await send(transport, call)

    ended = [event for event in events if isinstance(event, CallEnded)]
    assert [(event.attempts, event.error) for event in ended] == [(1, "Cancelled")] * 2
    assert isinstance(breaker, BreakerTransport)
    assert isinstance(limit, LimitTransport)
    assert breaker.circuits["consul.default"].statistics().failures == 0
    assert limit.statistics().plain == 0


async def test_the_time_of_one_attempt_is_still_its_own() -> None:
    script = Script(hang, OK)
    transport = stack(script, [Deadline(60.0), Retry(initial=0.0), WholeBody(0.02)])

    assert (await send(transport)).status_code == 200
    assert len(script.requests) == 2


@pytest.mark.parametrize("seconds", [0.0, -1.0, math.inf, math.nan])
def test_a_deadline_that_is_none_is_refused(seconds: float) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Deadline(seconds)

    assert caught.value.setting == "timeout"
