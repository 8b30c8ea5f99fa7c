"""Ten thousand calls, cancelled while they wait for a place, for a connection or for an answer."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Final

import anyio

from consul_onex import ConsulClient, ConsulError
from consul_onex.transport import Breaker, Datacenters, Deadline, Layer, Limit
from tests.support.agents import Agent
from tests.test_cancellation import sockets_to

TASKS: Final = 60
PLACES: Final = 10
CALLS: Final = 10_000

SOON: Final = 5.0
"""Seconds from a cancellation to its end that no busy machine reaches."""


async def test_ten_thousand_cancelled_calls_take_nothing_with_them(
    agent: Agent, record_property: Callable[[str, object], None]
) -> None:
    chance = random.Random(8)
    cancelled, late = 0, list[float]()
    before = {task.id for task in anyio.get_running_tasks()}
    layers: list[Layer] = [Deadline(30), Datacenters(), Breaker(failures=10**6), Limit(PLACES)]
    c = ConsulClient(agent.url, layers=layers)

    async def one() -> None:
        """A call that is cancelled at once or after a while, unless it is faster."""
        nonlocal cancelled
        with anyio.CancelScope() as scope:
            scope.deadline = anyio.current_time() + chance.random() * 0.004
            await c.kv.get("cancelled")
        if scope.cancelled_caught:
            cancelled += 1
            late.append(anyio.current_time() - scope.deadline)

    async def many() -> None:
        while cancelled < CALLS:
            await one()

    with anyio.fail_after(100):
        async with anyio.create_task_group() as tasks:
            for _ in range(TASKS):
                tasks.start_soon(many)
        failed = 0
        for _ in range(100):
            try:
                await c.kv.get("cancelled")
            except ConsulError:
                failed += 1
        statistics = c.statistics()
        await c.aclose()
        await anyio.wait_all_tasks_blocked()

    assert statistics.limit is not None
    assert statistics.connections is not None
    tasks_left = len({task.id for task in anyio.get_running_tasks()} - before)
    leaked = (
        statistics.limit.plain + statistics.connections.active + tasks_left + sockets_to(agent.port)
    )
    slow = sorted(late)[len(late) * 99 // 100]
    record_property("R8 calls that were cancelled", cancelled)
    record_property("R8 places, tasks and sockets leaked", leaked)
    record_property("R8 calls afterwards that failed", failed)
    record_property("R8 99th percentile from the cancellation to the end, ms", 1000 * slow)
    assert cancelled >= CALLS
    assert leaked == 0
    assert failed == 0
    assert slow < SOON
    assert statistics.connections.idle <= PLACES
