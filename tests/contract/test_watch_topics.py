"""Watches of every kind of thing: the last state is never missed, and nothing is told twice."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any
from uuid import uuid4

import anyio
import pytest

from consul_onex import CatalogRegistration, ConsulClient, Watch
from consul_onex.changes import Added, Changed, Removed, Resync, Snapshot
from consul_onex.models.check import Check
from consul_onex.models.service import ServiceRegistration

WRITES = 100


@dataclass
class Topic:
    """Something to follow, a way to change it at random, and the one change that is the last."""

    watch: Watch[Any]
    read: Callable[[], Awaitable[Any]]
    change: Callable[[random.Random], Awaitable[object]]
    end: Callable[[], Awaitable[object]]


def topics(c: ConsulClient, name: str) -> dict[str, Topic]:
    """Each under a name of its own, since all tests share one agent."""
    key = f"contract/{name}/k"

    async def put(dice: random.Random) -> None:
        if dice.random() < 0.2:
            await c.kv.delete(key)
        else:
            await c.kv.put(key, str(dice.randrange(5)))

    async def put_below(dice: random.Random) -> None:
        one = f"contract/{name}/{dice.randrange(4)}"
        if dice.random() < 0.3:
            await c.kv.delete(one)
        else:
            await c.kv.put(one, str(dice.randrange(5)))

    async def turn(dice: random.Random) -> None:
        status = dice.choice(["passing", "warning", "critical"])
        await c.agent.check_update(f"service:{name}", status, output=str(dice.randrange(9)))

    async def register(dice: random.Random) -> None:
        one = f"{name}-{dice.randrange(3)}"
        if dice.random() < 0.3:
            await c.agent.deregister(one)
        else:
            tags = [dice.choice(["a", "b"])]
            await c.agent.register(ServiceRegistration(name=one, tags=tags))

    async def move(dice: random.Random) -> None:
        one = f"{name}-{dice.randrange(3)}"
        if dice.random() < 0.3:
            await c.catalog.deregister(one)
        else:
            address = f"10.0.0.{dice.randrange(1, 5)}"
            await c.catalog.register(CatalogRegistration(node=one, address=address))

    async def move_end() -> None:
        await c.catalog.register(CatalogRegistration(node=f"{name}-end", address="10.0.0.9"))

    async def fire(dice: random.Random) -> None:
        await c.event.fire(name, str(dice.randrange(99)))

    async def put_end() -> None:
        await c.kv.put(key, "end")

    async def turn_end() -> None:
        await c.agent.check_update(f"service:{name}", "passing", output="end")

    async def register_end() -> None:
        await c.agent.register(ServiceRegistration(name=f"{name}-end"))

    async def fire_end() -> None:
        await c.event.fire(name, "end")

    return {
        "key": Topic(c.kv.watch(key), lambda: c.kv.get(key), put, put_end),
        "prefix": Topic(
            c.kv.watch_prefix(f"contract/{name}/"),
            lambda: c.kv.list(f"contract/{name}/"),
            put_below,
            put_end,
        ),
        "health of a service": Topic(
            c.watch(c.health.service, name), lambda: c.health.service(name), turn, turn_end
        ),
        "checks by state": Topic(
            c.watch(c.health.state, "passing"), lambda: c.health.state("passing"), turn, turn_end
        ),
        "services": Topic(c.watch(c.catalog.services), c.catalog.services, register, register_end),
        "nodes": Topic(c.watch(c.catalog.nodes), c.catalog.nodes, move, move_end),
        "events": Topic(
            c.watch(c.event.list, name=name), lambda: c.event.list(name=name), fire, fire_end
        ),
    }


@pytest.mark.parametrize(
    "kind",
    ["key", "prefix", "health of a service", "checks by state", "services", "nodes", "events"],
)
async def test_after_a_hundred_writes_a_watch_has_what_a_read_has(
    c: ConsulClient, kind: str
) -> None:
    name = f"t{uuid4().hex}"
    dice = random.Random(name)
    await c.agent.register(ServiceRegistration(name=name, check=Check.ttl(600, status="passing")))
    topic = topics(c, name)[kind]
    seen: list[Any] = []
    final: list[Any] = []
    done = anyio.Event()

    async def follow() -> None:
        async for value in topic.watch:
            seen.append(value)
            if final and value == final[0]:
                done.set()
                return

    with anyio.fail_after(30):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(follow)
            for _ in range(WRITES):
                await topic.change(dice)
            await topic.end()
            final.append(await topic.read())
            # Where others change the same at the same time, what is final is what is read last.
            while not done.is_set():
                with anyio.move_on_after(0.5):
                    await done.wait()
                final[0] = await topic.read()
                if seen and seen[-1] == final[0]:
                    tasks.cancel_scope.cancel()
                    break

    assert seen[-1] == final[0]
    assert all(one != other for one, other in pairwise(seen))
    await c.kv.delete_tree(f"contract/{name}/")
    for service in await c.agent.services():
        if service.startswith(name):
            await c.agent.deregister(service)
    for node in await c.catalog.nodes():
        if node.node.startswith(name):
            await c.catalog.deregister(node.node)


async def test_changes_replayed_are_what_a_read_has(c: ConsulClient) -> None:
    name = f"t{uuid4().hex}"
    prefix, dice = f"contract/{name}/", random.Random(name)
    rows: dict[Any, Any] = {}
    kinds: set[type] = set()

    async def replay() -> None:
        async for change in c.kv.watch_prefix(prefix).changes():
            kinds.add(type(change))
            match change:
                case Snapshot():
                    rows.update(change.rows)
                case Added():
                    assert change.key not in rows
                    rows[change.key] = change.new
                case Changed():
                    assert rows[change.key] == change.old != change.new
                    rows[change.key] = change.new
                case Removed():
                    assert rows.pop(change.key) == change.old
                case Resync():
                    raise AssertionError("nothing broke")
            if f"{prefix}end" in rows:
                return

    with anyio.fail_after(30):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(replay)
            for _ in range(300):
                key = f"{prefix}{dice.randrange(6)}"
                if dice.random() < 0.3:
                    await c.kv.delete(key)
                else:
                    await c.kv.put(key, str(dice.randrange(5)))
            await c.kv.put(f"{prefix}end", b"")

    assert {pair.key: pair for pair in await c.kv.list(prefix)} == rows
    assert kinds == {Snapshot, Added, Changed, Removed}
    await c.kv.delete_tree(prefix)
