"""
One datacenter, three servers and a client agent, is tormented while clients use it.

Five clients, on every server and on the client agent, read, write and check-and-set keys; two
others contend for a lock, and two watch. In the end all that they were told must be true
together, the lock never have had two holders, the watches be up to date (also after a snapshot was
restored), and nothing be left of any of it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import Final

import anyio

from consul_onex import ConsulClient
from tests.chaos.load import CONNECT, MARK, WAIT, Audit, Line, Load, Watched, layers, lines, told
from tests.chaos.nemesis import CLUSTER, Torment, healed, torment
from tests.support.agents import Cluster
from tests.test_cancellation import sockets_to

__all__ = ["Seen", "report", "run"]


AT_ONCE: Final = 500


@dataclass
class Seen:
    """What came of it."""

    load: Load
    story: Torment = field(default_factory=Torment)
    idle: float = 0.0
    churning: float = 0.0
    """Requests a second of a watch that has nothing to see, and of one that always has."""
    lasting: float = 0.0
    """Of the latter, without those that a burst may have."""
    in_vain: float = 0.0
    """Of the latter, those that brought no news."""
    watch_errors: int = 0
    converged: float = math.inf
    """Seconds from when all was well until the last watch was up to date."""
    restored: float = math.inf
    """And from when a snapshot was restored."""
    leaked: int = 0
    """Tasks and sockets that are left."""


async def run(cluster: Cluster, seed: int, seconds: float) -> Seen:
    """Use and torment this cluster for so long."""
    chance, before = Random(seed), {task.id for task in anyio.get_running_tasks()}
    load = Load()
    seen = Seen(load)
    urls = [agent.url for agent in (*cluster.servers, *cluster.clients, *cluster.clients)]
    load.audits, load.patient = [Audit() for _ in urls], [Audit(), Audit()]
    clients = [
        ConsulClient(url, layers=layers(audit), connect_timeout=CONNECT)
        for url, audit in zip(urls, load.audits, strict=True)
    ]
    # On a server and on the client agent.
    contenders = [
        ConsulClient(url, layers=layers(audit), connect_timeout=CONNECT)
        for url, audit in zip((urls[0], urls[-1]), load.patient, strict=True)
    ]
    last = clients[-1]
    idle = Watched(urls[0], lambda c: c.kv.watch(MARK))
    churning = Watched(urls[-1], lambda c: c.kv.watch_prefix("chaos"))
    nemeses = {name: partial(begin, cluster, chance) for name, begin in CLUSTER.items()}
    async with anyio.create_task_group() as watching:
        watching.start_soon(idle.run)
        watching.start_soon(churning.run)
        archive = await anyio.to_thread.run_sync(_saved, cluster)
        async with anyio.create_task_group() as tasks:
            for number, c in enumerate(clients):
                tasks.start_soon(load.use, c, seed * 100 + number)
            for number, c in enumerate(contenders):
                tasks.start_soon(load.contend, c, number)
            await load.had.wait()
            await torment(nemeses, partial(healed, cluster), chance, seconds, seen.story)
            seen.idle, seen.churning = idle.rate(), churning.rate()
            seen.lasting, seen.in_vain = churning.rate(beyond=AT_ONCE), churning.in_vain
            seen.converged = await told(last, [idle, churning], b"well")
            load.running = False
        await load.audit(last)
        await anyio.to_thread.run_sync(_restored, cluster, archive)
        seen.story.done.append("a snapshot is restored")
        seen.restored = await told(last, [idle, churning], b"restored")
        watching.cancel_scope.cancel()
    seen.watch_errors = idle.errors + churning.errors
    load.settle([*clients, *contenders])
    for c in (*clients, *contenders):
        await c.aclose()
    await anyio.wait_all_tasks_blocked()
    seen.leaked = len({task.id for task in anyio.get_running_tasks()} - before)
    seen.leaked += sum(sockets_to(agent.port) for agent in cluster.agents)
    return seen


def _saved(cluster: Cluster) -> bytes:
    return cluster.leader().request("GET", "/v1/snapshot").body


def _restored(cluster: Cluster, archive: bytes) -> None:
    answer = cluster.leader().request("PUT", "/v1/snapshot", archive, timeout=30)
    if answer.status != 200:
        raise AssertionError(f"the snapshot was not restored: {answer.body!r}")
    for agent in cluster.agents:
        agent.wait_writable()


def report(seen: Seen, room: float = 0.0) -> Iterator[Line]:
    """The figures. `room` is how many seconds a busy machine may take longer."""
    yield from lines(seen.load, len(seen.story.done), room)
    for when, took, within in (
        ("all was well", seen.converged, 2.0),
        ("a snapshot was restored", seen.restored, WAIT + 2.0),
    ):
        name = f"R10 s from when {when} until the last watch had it"
        yield name, f"<= {within:g}", f"{took:.2f}", took <= within + room
    yield "R10 requests a second, idle watch", "<= 2", f"{seen.idle:.2f}", seen.idle <= 2
    # A watch lets so many changes pass as fast as they come.
    told = f"{seen.lasting:.2f} ({seen.churning:.2f} with them)"
    name = f"R10 requests a second, churning watch, beyond the first {AT_ONCE}"
    yield name, "<= 10", told, seen.lasting <= 10
    vain = seen.in_vain
    yield "R10 of them without news", "<= 2", f"{vain:.2f}", vain <= 2
    yield "R10 errors of watches", "0", str(seen.watch_errors), seen.watch_errors == 0
    leaked = seen.load.leaked + seen.leaked
    yield "R8 places, tasks and sockets leaked", "0", str(leaked), leaked == 0
