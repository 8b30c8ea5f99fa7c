"""A leader, an agent and a datacenter that hang: nobody waits for longer than was said."""

from __future__ import annotations

import statistics
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any, Final, TypeAlias

import anyio
import pytest

from consul_onex import CircuitOpenError, ConsulClient, ConsulError, ConsulTimeoutError
from consul_onex import OutcomeUnknownError as Unknown
from consul_onex.transport import Breaker, Datacenters, Deadline, Layer, Limit
from tests.support import agents
from tests.support.agents import Agent, Cluster

Record: TypeAlias = Callable[[str, object], None]

ATTEMPT: Final = 2.0
"""Seconds of the attempt time-out."""

ROUND, ROUNDS = 400, 7
"""Local calls of which a percentile is taken, and how many of them."""

ROOM: Final = 5.0
"""Seconds over it, for a machine that is busy. The servers give up after 38."""


def layers(failures: int = 5) -> list[Layer]:
    # Each call once: what is measured is one attempt.
    return [Deadline(30), Datacenters(), Breaker(failures=failures), Limit()]


@contextmanager
def paused(agent: Agent) -> Iterator[None]:
    agent.pause()
    try:
        yield
    finally:
        agent.resume()


async def timed(
    call: Callable[[], Awaitable[Any]],
) -> tuple[float, type[ConsulError] | None]:
    """How long a call took, and what it ended in; None is a value."""
    started, error = anyio.current_time(), None
    try:
        await call()
    except ConsulError as raised:
        error = type(raised)
    return anyio.current_time() - started, error


@pytest.mark.parametrize("who", ["the leader", "the agent"])
async def test_who_hangs_holds_a_call_no_longer_than_its_attempt(
    who: str, cluster: Cluster, record_property: Record
) -> None:
    url, hung = cluster.clients[0].url, cluster.clients[0]
    if who == "the leader":
        hung = cluster.leader()
    async with ConsulClient(url, layers=layers(), attempt_timeout=ATTEMPT) as c:
        await c.kv.put("k", b"v")
        with paused(hung):
            took, error = await timed(lambda: c.kv.put("k", b"w", cas=1))
        record_property("R4 hung leader or agent: s beyond the attempt time-out", took - ATTEMPT)
        # The hung one may yet find the request and carry it out.
        assert error in (Unknown, None)
        assert took < ATTEMPT + ROOM


@pytest.fixture
def datacenters(consul_binary: Path) -> Iterator[agents.Datacenters]:
    """Two datacenters, of the test's own."""
    with agents.two_datacenters(binary=consul_binary) as started:
        yield started


async def attempts_until_open(c: ConsulClient) -> int:
    """How many calls of one attempt each ended for want of an answer before one was not sent."""
    for attempts in range(10):
        _, error = await timed(lambda: c.kv.get("k"))
        if error is not ConsulTimeoutError:
            assert error is CircuitOpenError
            return attempts
    raise AssertionError("ten attempts, and the circuit is closed")


async def test_the_circuit_of_a_datacenter_that_hangs_opens_and_the_own_one_stays_closed(
    datacenters: agents.Datacenters, record_property: Record
) -> None:
    url, usual, opened = datacenters.dc1.url, Breaker().failures, list[int]()
    with paused(datacenters.dc2):
        for failures in (3, usual):
            async with ConsulClient(url, layers=layers(failures), attempt_timeout=0.5) as c:
                opened.append(await attempts_until_open(c.using(datacenter="dc2")))
                assert await c.kv.get("k") is None

    record_property(
        "R5 attempts before the circuit of a hung datacenter opens, where 3 are allowed", opened[0]
    )
    record_property(
        "R5 attempts before the circuit of a hung datacenter opens, by default", opened[1]
    )
    assert opened == [3, usual]


async def test_a_datacenter_that_hangs_does_not_slow_down_the_own_one(
    datacenters: agents.Datacenters, record_property: Record
) -> None:
    before, beside = list[float](), list[float]()
    # No circuit opens: all that ask the other one are always waiting for it.
    own = ConsulClient(datacenters.dc1.url, layers=layers(10**6), attempt_timeout=0.5)

    async def keep_asking(c: ConsulClient, chance: Random) -> None:
        while True:
            await timed(lambda: c.kv.get("k"))
            await anyio.sleep(chance.uniform(0, 0.2))

    async def ninety_ninth() -> float:
        took = sorted([(await timed(lambda: own.kv.get("k")))[0] for _ in range(ROUND)])
        return took[ROUND * 99 // 100]

    async with own, anyio.create_task_group() as tasks:
        await own.kv.get("k")
        # The same tasks ask before it hangs: their own work is no matter of where they ask.
        for number in range(8):
            tasks.start_soon(keep_asking, own.using(datacenter="dc2"), Random(number))
        # In turns, so that what else the machine does is alike for both.
        for _ in range(ROUNDS):
            before.append(await ninety_ninth())
            with paused(datacenters.dc2):
                beside.append(await ninety_ninth())
            await own.using(datacenter="dc2").kv.get("k")
        tasks.cancel_scope.cancel()

    ratio = statistics.median(beside) / statistics.median(before)
    record_property("R5 99th percentile of local calls meanwhile, of what it was before", ratio)
    assert statistics.median(beside) < ROOM
