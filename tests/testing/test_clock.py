"""The time of a fake agent: it obeys, or jumps when everything waits."""

from __future__ import annotations

import math

import anyio
import pytest

from consul_onex.testing import Clock, FakeAgent
from consul_onex.testing.clock import LoopClock


async def test_a_clock_stands_still_until_it_is_told() -> None:
    clock = Clock()
    before = clock.time()

    await clock.advance(1.5)

    assert (before, clock.time()) == (0.0, 1.5)
    assert repr(clock) == "<Clock 1.5>"


@pytest.mark.parametrize("seconds", [-1, math.inf, math.nan])
async def test_a_clock_goes_forward_only(seconds: float) -> None:
    with pytest.raises(ValueError, match="from 0"):
        await Clock().advance(seconds)


async def test_what_is_due_on_the_way_is_done_in_its_order_and_at_its_time() -> None:
    clock = Clock()
    woken: list[tuple[str, float]] = []
    by_then = woken

    async def sleep(name: str, *pauses: float) -> None:
        for seconds in pauses:
            await clock.sleep(seconds)
            woken.append((name, clock.time()))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(sleep, "late", 7)
        tasks.start_soon(sleep, "often", 3, 3, 3)
        await clock.advance(8)
        by_then = list(woken)
        await clock.advance(1)

    assert by_then == [("often", 3), ("often", 6), ("late", 7)]
    assert woken[3:] == [("often", 9)]


async def test_what_is_over_already_is_not_waited_for() -> None:
    clock, set_before = Clock(), anyio.Event()
    set_before.set()

    with anyio.fail_after(5):
        await clock.wait(set_before, math.inf)
        await clock.wait(anyio.Event(), 0)


async def test_a_wait_that_is_cancelled_leaves_nothing_behind() -> None:
    clock = Clock()

    with anyio.move_on_after(0.01):
        await clock.sleep(5)
    await clock.advance(10)

    assert clock.time() == 10


async def test_an_automatic_clock_jumps_when_everything_waits() -> None:
    clock = Clock(automatic=True)
    woken: list[tuple[str, float]] = []

    async def sleep(name: str, seconds: float) -> None:
        await clock.sleep(seconds)
        woken.append((name, clock.time()))

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(sleep, "an hour", 3600)
            tasks.start_soon(sleep, "a day", 86_400)
            tasks.start_soon(sleep, "a minute", 60)

    assert woken == [("a minute", 60), ("an hour", 3600), ("a day", 86_400)]
    assert repr(clock) == "<Clock automatic 86400>"


async def test_an_automatic_clock_waits_for_an_event_that_has_no_time() -> None:
    clock, event = Clock(automatic=True), anyio.Event()

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(clock.wait, event, math.inf)
            await anyio.wait_all_tasks_blocked()
            event.set()

    assert clock.time() == 0


async def test_the_time_of_the_loop_passes_by_itself() -> None:
    agent = FakeAgent()
    clock = agent.clock
    started = anyio.current_time()

    with anyio.fail_after(5):
        await clock.sleep(0.02)

    assert isinstance(clock, LoopClock)
    assert clock.time() >= started + 0.02
    assert repr(clock) == "<LoopClock>"
    with pytest.raises(RuntimeError, match=r"FakeAgent\(clock=Clock\(\)\)"):
        await clock.advance(5)
