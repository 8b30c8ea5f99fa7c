"""Very many watches: few queries, few connections, and everybody else undisturbed."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import anyio
import pytest

from consul_onex import ConsulClient, KVPair, Watch
from consul_onex.transport import Limit
from tests.support.agents import Agent

MOST = 150  # connections of ours that an agent may ever have: it refuses all of us beyond 200


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
    """Come back when so many blocking queries are under way."""
    while True:
        limit = c.statistics().limit
        assert limit is not None
        if limit.blocking >= number:
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


async def test_a_thousand_watches_started_and_cancelled_disturb_nobody(
    fresh_agent: Agent, record_property: Callable[[str, object], None]
) -> None:
    key, most = f"k{uuid4().hex}", 0

    async with ConsulClient(fresh_agent.url) as c:
        with anyio.fail_after(100):
            for _ in range(10):
                async with anyio.create_task_group() as tasks:
                    for number in range(100):
                        tasks.start_soon(follow, c.kv.watch(f"{key}/{number}"), b"end", [])
                    for number in range(5):
                        await c.kv.put(key, str(number))
                        assert (await read(c, key)) == str(number)
                    # Queries, not pauses, are what is cancelled; those of before keep their places.
                    await blocking(c, Limit.blocking)
                    most = max(most, sockets(fresh_agent.pid, port_of(fresh_agent)))
                    tasks.cancel_scope.cancel()
        statistics = c.statistics()

    # A call beside them that failed would have ended the test.
    record_property("R9 calls that failed beside 1000 cancelled watches", 0)
    record_property("R9 connections at the agent", most)
    assert most <= MOST
    assert statistics.connections is not None
    assert statistics.connections.active == 0


async def read(c: ConsulClient, key: str) -> str:
    pair = await c.kv.get(key)
    assert pair is not None
    return pair.text()


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
