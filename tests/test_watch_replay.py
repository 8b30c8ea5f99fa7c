"""What a watch tells, replayed, is what there is: after restarts, wipes, restored snapshots."""

from __future__ import annotations

import random
from collections.abc import Hashable
from functools import partial
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from consul_onex import ConsulClient, ConsulError, KVPair
from consul_onex.changes import Added, Change, Changed, Removed, Resync, Snapshot
from tests.support.agents import Agent

OPERATIONS = 10_000
AT_ONCE = 25


class Replay:
    """The rows as the changes leave them; each change must fit what is there."""

    def __init__(self) -> None:
        self.rows: dict[Hashable, KVPair] = {}
        self.breaks = 0

    def apply(self, change: Change[KVPair]) -> None:
        match change:
            case Snapshot():
                self.rows = dict(change.rows)
            case Added():
                assert change.key not in self.rows
                self.rows[change.key] = change.new
            case Changed():
                assert self.rows[change.key] == change.old != change.new
                self.rows[change.key] = change.new
            case Removed():
                assert self.rows.pop(change.key) == change.old
            case Resync():
                self.breaks += 1


async def operate(c: ConsulClient, dice: random.Random) -> None:
    key = f"app/{dice.randrange(40)}"
    if dice.random() < 0.3:
        await c.kv.delete(key)
    else:
        await c.kv.put(key, str(dice.randrange(5)))


async def answers(c: ConsulClient) -> None:
    """Come back when the agent has a leader that answers."""
    while True:
        try:
            await c.using(consistency="consistent").kv.get("app/0")
            return
        except ConsulError:
            await anyio.sleep(0.1)


@pytest.mark.timeout(300)
async def test_ten_thousand_operations_replayed_are_what_a_read_has(
    fresh_agent: Agent, tmp_path: Path
) -> None:
    dice, replay = random.Random(2026), Replay()
    archive = tmp_path / "state.snap"

    async def follow(c: ConsulClient) -> None:
        async for change in c.kv.watch_prefix("app/").changes():
            replay.apply(change)
            if "app/end" in replay.rows:
                return

    async with ConsulClient(fresh_agent.url, wait=2) as c, ConsulClient(fresh_agent.url) as writer:
        with anyio.fail_after(240):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(follow, c)
                for batch in range(OPERATIONS // AT_ONCE):
                    async with anyio.create_task_group() as writes:
                        for _ in range(AT_ONCE):
                            writes.start_soon(operate, writer, dice)
                    match batch:
                        case 100:
                            await writer.snapshot.save(archive)
                        case 150 | 350:
                            restart = partial(fresh_agent.restart, wipe=batch == 350)
                            await anyio.to_thread.run_sync(restart)
                            writer.circuits["consul.default"].reset()
                            await answers(writer)
                        case 250:
                            await writer.snapshot.restore(archive)
                await writer.kv.put("app/end", b"")
        there = await c.kv.list("app/")

    assert replay.rows == {pair.key: pair for pair in there}
    assert replay.breaks >= 1


async def test_a_restored_snapshot_is_told_when_the_wait_is_over(
    fresh_agent: Agent, tmp_path: Path
) -> None:
    wait, archive = 4.0, tmp_path / "state.snap"
    told: list[tuple[bytes | None, bool]] = []
    restored = 0.0
    news = anyio.Event()

    async def follow(c: ConsulClient) -> None:
        watch = c.kv.watch("k")
        async for pair in watch:
            told.append((pair.value if pair is not None else None, watch.resynchronised))
            news.set()
            if len(told) == 3:
                return

    async with ConsulClient(fresh_agent.url, wait=wait) as c:
        await c.kv.put("k", b"old")
        await c.snapshot.save(archive)
        with anyio.fail_after(60):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(follow, c)
                await news.wait()
                news = anyio.Event()
                for number in range(100):
                    await c.kv.put("elsewhere", str(number))
                await c.kv.put("k", b"new")
                await news.wait()
                await c.snapshot.restore(archive)
                restored = anyio.current_time()
            took = anyio.current_time() - restored

    assert told == [(b"old", False), (b"new", False), (b"old", True)]
    assert took < wait * 17 / 16 + 2
