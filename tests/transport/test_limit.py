"""Limit: who gets a place, for how long, and what becomes of the others."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import anyio
import httpx
import pytest

from consul_onex._call import Call
from consul_onex.errors import ConfigurationError, OverloadedError
from consul_onex.transport import Limit, LimitStatistics
from consul_onex.transport.limit import LimitTransport

from .support import Body, Clock, Gate, Script, Step, answer, hang, in_flight, read, send, settled

EMPTY = LimitStatistics(plain=0, blocking=0, control=0, parked=0)


def limiting(script: Script, **settings: Any) -> LimitTransport:
    """A Limit layer with one place of each kind, for which nobody waits."""
    settings = {"plain": 1, "blocking": 1, "control": 1, "max_wait": 0.0, **settings}
    return LimitTransport(script, Limit(**settings))


def plain() -> Call:
    return Call("kv.get")


def blocking(wait: float = 60.0) -> Call:
    return Call("kv.get", wait=wait)


def control() -> Call:
    return Call("session.renew", control=True)


async def test_a_place_is_held_until_the_answer_is_closed() -> None:
    transport = limiting(Script(answer(200, "ok")))

    response = await send(transport)
    await read(response)
    with pytest.raises(OverloadedError):
        await send(transport)
    await response.aclose()

    assert (await send(transport)).status_code == 200


async def test_an_answer_that_was_read_below_holds_no_place() -> None:
    transport = limiting(Script(lambda _: httpx.Response(200, stream=httpx.ByteStream(b"ok"))))

    response = await send(transport)

    assert transport.statistics() == EMPTY
    assert await read(response) == b"ok"


async def test_a_place_comes_back_once_however_often_the_answer_is_closed() -> None:
    transport = limiting(Script(answer(200, "ok")), plain=2)
    first, _second = await send(transport), await send(transport)
    assert isinstance(first.stream, httpx.AsyncByteStream)

    await first.stream.aclose()
    await first.stream.aclose()

    assert transport.statistics().plain == 1


async def test_a_place_comes_back_even_when_closing_fails() -> None:
    class Stuck(Body):
        async def aclose(self) -> None:
            raise httpx.ReadError("reset while closing")

    transport = limiting(Script(answer(200, Stuck(b"ok"))))
    response = await send(transport)

    with pytest.raises(httpx.ReadError):
        await response.aclose()

    assert transport.statistics() == EMPTY


async def test_saturation_is_an_error_of_ours_and_sends_nothing() -> None:
    script = Script(answer(200, "ok"))
    transport = limiting(script, max_wait=0.01)
    held = await send(transport)

    with pytest.raises(OverloadedError) as caught:
        await send(transport, plain())

    assert len(script.requests) == 1
    assert str(caught.value) == (
        "kv.get: not sent: no place became free within 0.01 s; "
        "raise Limit.plain, or call less at once"
    )
    await held.aclose()


@pytest.mark.parametrize(
    ("call", "name"), [(plain(), "plain"), (blocking(), "blocking"), (control(), "control")]
)
async def test_the_error_names_the_kind_to_raise(call: Call, name: str) -> None:
    transport = limiting(Script(hang))

    async with in_flight(transport, call):
        with pytest.raises(OverloadedError, match=rf"raise Limit\.{name},"):
            await send(transport, call)


@pytest.mark.parametrize("full", [plain, blocking, control])
async def test_the_kinds_do_not_share(full: Any) -> None:
    script = Script(hang, answer(200, "ok"))
    transport = limiting(script)
    others = [make() for make in (plain, blocking, control) if make is not full]

    async with in_flight(transport, full()):
        answers = [await send(transport, call) for call in others]

    assert [response.status_code for response in answers] == [200, 200]


async def test_a_blocking_call_that_keeps_something_alive_is_a_control_call() -> None:
    transport = limiting(Script(hang))

    async with in_flight(transport, Call("x", wait=60.0, control=True)):
        assert transport.statistics() == LimitStatistics(0, 0, control=1, parked=0)


async def test_statistics_count_the_places_taken_of_each_kind() -> None:
    transport = limiting(Script(hang), plain=5, blocking=5, now=Clock())

    assert transport.statistics() == EMPTY
    async with in_flight(transport, plain(), plain(), plain(), blocking(), blocking(), control()):
        assert transport.statistics() == LimitStatistics(3, 2, 1, parked=0)

    assert transport.statistics() == LimitStatistics(0, 2, 0, parked=2)


@pytest.mark.parametrize("make", [plain, control])
async def test_a_cancelled_call_gives_its_place_back_at_once(make: Any) -> None:
    transport = limiting(Script(hang))

    async with in_flight(transport, make()):
        pass

    assert transport.statistics() == EMPTY


async def test_a_cancelled_blocking_query_keeps_its_place_as_long_as_the_agent_does() -> None:
    clock = Clock()
    transport = limiting(Script(hang, answer(200, "ok")), now=clock)
    async with in_flight(transport, blocking(wait=16.0)):
        clock.advance(5.0)

    # 16 s and a sixteenth, from when it was sent.
    clock.advance(11.99)
    with pytest.raises(OverloadedError):
        await send(transport, blocking())
    assert transport.statistics() == LimitStatistics(0, blocking=1, control=0, parked=1)
    clock.advance(0.01)

    assert transport.statistics() == EMPTY
    assert (await send(transport, blocking())).status_code == 200


async def test_parked_places_come_back_one_by_one() -> None:
    clock = Clock()
    transport = limiting(Script(hang), blocking=3, now=clock)

    async with in_flight(transport, blocking(160.0), blocking(16.0), blocking(48.0)):
        pass

    taken = []
    for seconds in (0, 17, 34, 119):
        clock.advance(seconds)
        taken.append(transport.statistics().parked)
    assert taken == [3, 2, 1, 0]


@pytest.mark.parametrize("failure", [httpx.ReadTimeout("silence"), httpx.ConnectError("refused")])
@pytest.mark.parametrize("make", [plain, blocking, control])
async def test_a_failed_call_gives_its_place_back_at_once(make: Any, failure: Exception) -> None:
    transport = limiting(Script(failure))

    with pytest.raises(httpx.TransportError):
        await send(transport, make())

    assert transport.statistics() == EMPTY


async def test_a_blocking_query_that_was_answered_parks_nothing() -> None:
    transport = limiting(Script(answer(200, "ok")))

    response = await send(transport, blocking())
    await response.aclose()

    assert transport.statistics() == EMPTY


async def test_whoever_waits_gets_the_place_that_comes_back() -> None:
    transport = limiting(Script(answer(200, "first"), answer(200, "second")), max_wait=60.0)
    call, bodies = plain(), []
    first = await send(transport)

    async def second() -> None:
        bodies.append(await read(await send(transport, call)))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(second)
        await settled()
        assert (call.queued, bodies) == (True, [])
        await first.aclose()

    assert (call.queued, bodies) == (False, [b"second"])


async def test_whoever_waits_longest_is_served_first() -> None:
    served: list[int] = []
    gate = Gate(answer(200, "ok"))
    transport = limiting(Script(gate), max_wait=60.0)

    async def one(number: int) -> None:
        response = await send(transport, plain())
        served.append(number)
        await response.aclose()

    async with anyio.create_task_group() as tasks:
        for number in range(5):
            tasks.start_soon(one, number)
            await settled()
        gate.open()

    assert served == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("waits", ["before", "after"])
async def test_whoever_waits_gets_a_place_when_a_parked_one_comes_back(waits: str) -> None:
    transport = limiting(Script(hang, answer(200, "ok")), max_wait=60.0)
    served: list[int] = []

    async def another() -> None:
        served.append((await send(transport, blocking())).status_code)

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            async with in_flight(transport, blocking(wait=0.05)):
                if waits == "before":
                    tasks.start_soon(another)
                    await settled()
            if waits == "after":
                tasks.start_soon(another)

    assert served == [200]


async def test_all_who_wait_get_places_as_parked_ones_come_back() -> None:
    script = Script(hang, hang, hang, answer(200, "ok"))
    transport = limiting(script, blocking=3, max_wait=60.0)
    served: list[int] = []

    async def another() -> None:
        served.append((await send(transport, blocking())).status_code)

    with anyio.fail_after(5):
        async with in_flight(transport, blocking(0.03), blocking(0.02), blocking(0.01)):
            pass
        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(another)

    assert served == [200, 200, 200]


async def test_a_caller_cancelled_in_the_queue_takes_nothing() -> None:
    script = Script(answer(200, "ok"))
    transport = limiting(script, max_wait=60.0)
    response = await send(transport)

    async with in_flight(transport, plain()):
        pass
    await response.aclose()

    assert transport.statistics() == EMPTY
    assert len(script.requests) == 1


@pytest.mark.parametrize("step", [answer(200, "ok"), httpx.ReadError("reset")])
async def test_a_call_that_was_sent_is_not_queued(step: Step) -> None:
    call = plain()

    with suppress(httpx.ReadError):
        await send(limiting(Script(step)), call)

    assert not call.queued


@pytest.mark.parametrize("name", ["plain", "blocking", "control"])
def test_no_place_at_all_is_refused(name: str) -> None:
    settings: dict[str, Any] = {name: 0}

    with pytest.raises(ConfigurationError) as caught:
        Limit(**settings)

    assert caught.value.setting == f"limit_{name}"


@pytest.mark.parametrize("max_wait", [-1.0, float("inf"), float("nan")])
def test_a_wait_without_end_is_refused(max_wait: float) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Limit(max_wait=max_wait)

    assert caught.value.setting == "limit_max_wait"


def test_whether_watches_queue_is_true_or_false() -> None:
    with pytest.raises(ConfigurationError, match=r"Limit\.queue_watches must be True or False"):
        Limit(queue_watches="no")  # type: ignore[arg-type]
