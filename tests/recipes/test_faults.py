"""A lock while things break: agents that hang, leaders that die, processes that are stopped."""

# A block that is cancelled is what is tested here: it has more than one statement, and what it
# binds is bound.
# ruff: noqa: PT012
# pyright: reportPossiblyUnboundVariable=false

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from consul_onex import ConsulClient, ConsulError, LockLostError
from consul_onex.recipes import Held, Lock
from consul_onex.recipes.session import boot_time
from tests.recipes.support import Either
from tests.support import agents
from tests.support.agents import Agent, Cluster

KEY = "locks/report"
HOLDER = Path(__file__).with_name("holder.py")

# As short as the sessions of these agents may be, so that their end can be waited for.
TTL = 5.0


@pytest.fixture(scope="module")
def cluster(consul_binary: Path) -> Iterator[Cluster]:
    """Three servers and two client agents; each test leaves them as they were."""
    extra: agents.Config = {"session_ttl_min": "1s"}
    with agents.cluster(servers=3, clients=2, binary=consul_binary, extra=extra) as started:
        yield started


@pytest.fixture
def hasty_agent(consul_binary: Path) -> Iterator[Agent]:
    """An agent of the test's own, whose sessions may be short."""
    with agents.dev_agent(binary=consul_binary, extra={"session_ttl_min": "1s"}) as started:
        yield started


async def until_written(held: Held) -> int:
    """Write as the holder, as soon as somebody takes it; how many pairs that were."""
    while True:
        try:
            return len((await held.txn().kv.set(f"{held.key}/data", b"1").commit()).pairs)
        except LockLostError:
            raise
        except ConsulError:
            await anyio.sleep(0.05)  # an election takes as long as it takes


async def held_beyond(held: Held, moment: float) -> None:
    """Until it is held for longer than to that moment: it was renewed meanwhile."""
    while boot_time() + held.left <= moment:
        held.check()
        await anyio.sleep(held.left / 10)


async def test_the_block_ends_before_anybody_else_gets_it_when_the_only_agent_hangs(
    cluster: Cluster,
) -> None:
    agent, order = cluster.clients[0], []

    async def wait() -> None:
        async with ConsulClient(cluster.servers[0].url) as other, Lock(other, KEY, ttl=TTL):
            order.append("the other one is in")

    async with anyio.create_task_group() as tasks, ConsulClient(agent.url) as c:
        with pytest.raises(LockLostError, match="not renewed in time"):
            async with Lock(c, KEY, ttl=TTL, lock_delay=0.001) as held:
                tasks.start_soon(wait)
                agent.pause()
                try:
                    await anyio.sleep_forever()
                finally:
                    order.append("out")
                    agent.resume()

    assert order == ["out", "the other one is in"]
    assert held.lost.is_set()


async def test_the_death_of_the_servers_leader_does_not_cost_the_lock(cluster: Cluster) -> None:
    async with ConsulClient(cluster.clients[0].url) as c:
        leader = await anyio.to_thread.run_sync(cluster.wait_leader)
        async with Lock(c, KEY, ttl=15) as held:
            await anyio.to_thread.run_sync(leader.kill)
            written = await until_written(held)
            held.check()
            session = await c.session.info(held.session)
        await anyio.to_thread.run_sync(leader.restart)

    assert written == 2
    assert session is not None


async def test_the_death_of_the_agent_does_not_cost_the_lock_where_there_is_a_second_one(
    cluster: Cluster,
) -> None:
    first, second = cluster.clients
    way = Either(first.url, second.url)
    async with ConsulClient(first.url, transport=way) as c, Lock(c, KEY, ttl=10) as held:
        await anyio.to_thread.run_sync(first.kill)
        died = boot_time()
        await held_beyond(held, died + 10)
        written = await until_written(held)
        held.check()
    await anyio.to_thread.run_sync(first.restart)

    assert written == 2


async def test_the_death_of_the_agent_does_not_cost_the_lock_when_it_comes_back(
    fresh_agent: Agent,
) -> None:
    async with ConsulClient(fresh_agent.url) as c:
        async with Lock(c, KEY, ttl=20) as held:
            await anyio.to_thread.run_sync(fresh_agent.restart)
            written = await until_written(held)
            held.check()

        assert written == 2
        assert await c.session.list() == []


def test_a_holder_that_was_stopped_takes_one_step_at_most_and_writes_nothing(
    hasty_agent: Agent,
) -> None:
    holders = {
        backend: subprocess.Popen(
            [sys.executable, HOLDER, hasty_agent.url, f"{KEY}/{backend}", backend, f"{TTL:g}"],
            stdout=subprocess.PIPE,
            text=True,
        )
        for backend in ("asyncio", "trio")
    }
    said = {}
    for holder in holders.values():
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        holder.send_signal(signal.SIGSTOP)
    # As long as a session lives without being renewed.
    time.sleep(TTL + 0.5)
    for backend, holder in holders.items():
        with holder:
            holder.send_signal(signal.SIGCONT)
            said[backend] = holder.communicate(timeout=60)[0].split()

    for backend, words in said.items():
        assert words in (["0", "LockLostError"], ["1", "FencedError"])
        assert hasty_agent.request("GET", f"/v1/kv/{KEY}/{backend}/data").status == 404
