"""Very many watches: few queries, few connections, and everybody else undisturbed."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import anyio
import pytest

from consul_onex import ConsulClient, ConsulError, KVPair, Watch
from consul_onex.transport import Limit
from tests.support.agents import Agent

MOST = 150  # connections of ours that an agent may ever have
REFUSED = 200  # with so many it refuses every further one from this machine


def sockets(pid: int, port: int) -> int:
    """TCP connections to a port of this machine that a process has, whatever their state."""
    ours = {
        link.removeprefix("socket:[").removesuffix("]")
        for link in _links(Path(f"/proc/{pid}/fd"))
        if link.startswith("socket:[")
    }
    found = 0
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{pid}/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            state, inode = fields[3], fields[9]
            ends = {fields[1].rpartition(":")[2], fields[2].rpartition(":")[2]}
            if f"{port:04X}" in ends and inode in ours and state != "0A":
                found += 1
    return found


def _links(folder: Path) -> list[str]:
    links = []
    for entry in folder.iterdir():
        try:
            links.append(str(entry.readlink()))
        except OSError:
            continue
    return links


def port_of(agent: Agent) -> int:
    return int(agent.url.rpartition(":")[2])


async def follow(watch: Watch[KVPair | None], last: bytes, done: list[bytes]) -> None:
    async for pair in watch:
        if pair is not None and pair.value == last:
            done.append(pair.value)
            return


async def blocking(c: ConsulClient, number: int) -> None:
    """Come back when so many blocking queries wait, beside those that were cancelled."""
    while True:
        limit = c.statistics().limit
        assert limit is not None
        if limit.blocking - limit.parked >= number:
            return
        await anyio.sleep(0.01)


async def test_500_followers_of_10_keys_are_10_queries(agent: Agent) -> None:
    key, done = f"k{uuid4().hex}/", list[bytes]()

    async with ConsulClient(agent.url) as c:
        statistics = c.statistics()
        with anyio.fail_after(30):
            async with anyio.create_task_group() as tasks:
                for number in range(500):
                    tasks.start_soon(follow, c.kv.watch(f"{key}{number % 10}"), b"end", done)
                await blocking(c, 10)
                await anyio.wait_all_tasks_blocked()
                statistics = c.statistics()
                for number in range(10):
                    await c.kv.put(f"{key}{number}", b"end")
        await c.kv.delete_tree(key)

    assert statistics.limit is not None
    assert (statistics.limit.blocking, statistics.limit.parked) == (10, 0)
    assert len(done) == 500


async def test_different_tokens_and_options_share_nothing(agent: Agent) -> None:
    key, done = f"k{uuid4().hex}", list[bytes]()

    async with ConsulClient(agent.url) as c:
        views = [c, c.using(consistency="stale"), c.using(wait=30), c.using(datacenter="dc1")]
        statistics = c.statistics()
        with anyio.fail_after(30):
            async with anyio.create_task_group() as tasks:
                for view in [*views, *views]:
                    tasks.start_soon(follow, view.kv.watch(key), b"end", done)
                await blocking(c, len(views))
                await anyio.wait_all_tasks_blocked()
                statistics = c.statistics()
                await c.kv.put(key, b"end")
        await c.kv.delete(key)

    assert statistics.limit is not None
    assert statistics.limit.blocking == len(views)
    assert len(done) == 8


async def test_more_topics_than_places_all_hear_of_it(agent: Agent) -> None:
    key, done = f"k{uuid4().hex}/", list[bytes]()
    most = 0

    async with ConsulClient(agent.url, wait=20) as c:
        # One that is missing would be woken by each of its neighbours.
        for number in range(250):
            await c.kv.put(f"{key}{number}", b"begin")
        with anyio.fail_after(110):
            async with anyio.create_task_group() as tasks:
                for number in range(250):
                    tasks.start_soon(follow, c.kv.watch(f"{key}{number}"), b"end", done)
                await blocking(c, Limit.blocking)
                for number in range(250):
                    await c.kv.put(f"{key}{number}", b"end")
                most = sockets(os.getpid(), port_of(agent))
        await c.kv.delete_tree(key)

    assert len(done) == 250
    assert most <= MOST


@dataclass
class Traffic:
    """Calls beside the watches, and what the agent has meanwhile."""

    c: ConsulClient
    agent: Agent
    calls: int = 0
    failed: int = 0
    connections: int = 0

    async def run(self, key: str) -> None:
        """Write and read, until cancelled."""
        while True:
            self.calls += 1
            try:
                await self.c.kv.put(key, str(self.calls))
                pair = await self.c.kv.get(key)
                self.failed += pair is None or pair.text() != str(self.calls)
            except ConsulError:
                self.failed += 1
            self.connections = max(self.connections, at_agent(self.agent))
            await anyio.sleep(0.005)


def at_agent(agent: Agent) -> int:
    """The connections it has, also those that we have closed and it has not."""
    return sockets(agent.pid, port_of(agent))


def goroutines(agent: Agent) -> int:
    return int(agent.request("GET", "/v1/agent/self").json()["Stats"]["runtime"]["goroutines"])


async def test_a_thousand_watches_started_and_cancelled_disturb_nobody(
    fresh_agent: Agent, record_property: Callable[[str, object], None]
) -> None:
    """
    An agent does not notice that a query was cancelled: until the query's wait is over it keeps the
    connection (hashicorp/consul#8524) and what serves it (hashicorp/consul#9647), and beyond 200
    of them it refuses us.
    """
    key, before = f"k{uuid4().hex}", goroutines(fresh_agent)

    async with ConsulClient(fresh_agent.url, wait=1) as c:
        traffic = Traffic(c, fresh_agent)
        for number in range(100):
            await c.kv.put(f"{key}/{number}", b"begin")
        with anyio.fail_after(100):
            async with anyio.create_task_group() as beside:
                beside.start_soon(traffic.run, key)
                for _ in range(10):
                    async with anyio.create_task_group() as tasks:
                        for number in range(100):
                            tasks.start_soon(follow, c.kv.watch(f"{key}/{number}"), b"end", [])
                        await blocking(c, Limit.blocking)
                        tasks.cancel_scope.cancel()
                beside.cancel_scope.cancel()
        statistics = c.statistics()

    assert statistics.connections is not None
    assert statistics.connections.active == 0
    record_property("R9 calls that failed beside 1000 cancelled watches", traffic.failed)
    record_property("R9 connections at the agent, half-closed ones too", traffic.connections)
    assert traffic.failed == 0
    # There was something to fail: 240 of them on a machine that has nothing else to do.
    assert traffic.calls >= 10
    # On a busy machine an agent is a little later than it should.
    assert Limit.blocking / 2 < traffic.connections < REFUSED
    fresh_agent.wait(lambda: at_agent(fresh_agent) == 0, "rid of our connections")
    fresh_agent.wait(lambda: goroutines(fresh_agent) <= before + 10, "rid of what served them")


@pytest.mark.parametrize("others", [0, 1])
async def test_the_last_one_that_leaves_closes_the_socket(agent: Agent, others: int) -> None:
    mine, before, key = os.getpid(), 0, f"k{uuid4().hex}"
    port = port_of(agent)

    async with ConsulClient(agent.url) as c:
        await c.kv.get(key)
        with anyio.fail_after(10):
            async with anyio.create_task_group() as tasks:
                for _ in range(1 + others):
                    tasks.start_soon(follow, c.kv.watch(key), b"end", [])
                await blocking(c, 1)
                before = sockets(mine, port)
                tasks.cancel_scope.cancel()
            after = sockets(mine, port)

    assert before == 1
    assert after == 0
