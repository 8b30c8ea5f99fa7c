"""
What is promised of locks, measured on real agents; by hand, since it takes its time.

    python -m tests.recipes.trials [--runs 20] [--backend trio] [name ...]

Each trial prints its name, what is promised, and the worst that was measured. The tests beside this
file say the same with clocks of their own; these figures are those of a machine.
"""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Final
from uuid import uuid4

import anyio
import anyio.lowlevel
import anyio.to_thread

from consul_onex import ConsulClient, ConsulError, LockLostError
from consul_onex.recipes import Lock
from tests.recipes.contenders import TTL, History, Trouble
from tests.recipes.support import Either
from tests.support.agents import Agent, Cluster, cluster, dev_agent

HOLDER: Final = Path(__file__).with_name("holder.py")

now = time.monotonic

Row = tuple[str, str, str]
Trial = Callable[[int], Awaitable[list[Row]]]


def new_key() -> str:
    return f"trials/{uuid4().hex}"


def blocking(c: ConsulClient) -> int:
    """How many queries wait for something to change."""
    limit = c.statistics().limit
    return 0 if limit is None else limit.blocking


async def waits(c: ConsulClient) -> None:
    while not blocking(c):
        await anyio.lowlevel.checkpoint()


@asynccontextmanager
async def started(make: Callable[[], Cluster]) -> AsyncIterator[Cluster]:
    made = await anyio.to_thread.run_sync(make)
    try:
        yield made
    finally:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(made.stop)


# -- an agent that hangs, or dies ------------------------------------------------------------------


async def agent_hangs(runs: int) -> list[Row]:
    """SIGSTOP of the only agent of the holder, while another one waits at a server."""
    cancelled: list[float] = []
    apart: list[float] = []

    async def run(agent: Agent, server: Agent) -> None:
        key, history = new_key(), History()
        out = 0.0
        taken = anyio.Event()

        async def wait() -> None:
            async with ConsulClient(server.url) as other, Lock(other, key, ttl=TTL):
                apart.append(now() - out)
                taken.set()

        async with anyio.create_task_group() as tasks:
            way = Trouble(history, dice=lambda: 1.0)
            async with ConsulClient(agent.url, transport=way) as c:
                try:
                    async with Lock(c, key, ttl=TTL) as held:
                        tasks.start_soon(wait)
                        # Past the first renewals, at any moment between two.
                        await anyio.sleep(5 + len(cancelled) % 7 / 2)
                        agent.pause()
                        try:
                            await anyio.sleep_forever()
                        finally:
                            out = now()
                            cancelled.append(out - (history.expiry[held.session] - TTL))
                except LockLostError:
                    pass
            await taken.wait()
        agent.resume()

    at_once = 10
    async with started(partial(cluster, servers=3, clients=at_once)) as all_of_them:
        for first in range(0, runs, at_once):
            async with anyio.create_task_group() as tasks:
                for number in range(min(at_once, runs - first)):
                    server = all_of_them.servers[number % 3]
                    tasks.start_soon(run, all_of_them.clients[number], server)
    return [
        (
            "agent hangs: out after the last renewal was sent",
            f"< {TTL:g} s, {runs} of {runs}",
            f"{max(cancelled):.2f} s, {sum(after < TTL for after in cancelled)} of {runs}",
        ),
        (
            "agent hangs: before anybody else is in",
            f">= 5 s, {runs} of {runs}",
            f"{min(apart):.2f} s, {sum(gap >= 5 for gap in apart)} of {runs}",
        ),
    ]


async def agent_dies(runs: int) -> list[Row]:
    """SIGKILL of the holder's agent, where its client knows a second one."""
    kept = 0
    async with started(partial(cluster, servers=3, clients=1)) as all_of_them:
        agent, server = all_of_them.clients[0], all_of_them.servers[0]
        for _ in range(runs):
            way = Either(agent.url, server.url)
            async with (
                ConsulClient(agent.url, transport=way) as c,
                Lock(c, new_key(), ttl=TTL) as held,
            ):
                agent.kill()
                # As long as its session lives without being renewed.
                await anyio.sleep(TTL + 1)
                held.check()
                kept += len((await held.txn().kv.set("trials/data", b"1").commit()).pairs) == 2
            await anyio.to_thread.run_sync(agent.restart)
    return [("agent dies, with a second one: kept", f"{runs} of {runs}", f"{kept} of {runs}")]


async def leader_dies(runs: int) -> list[Row]:
    """SIGKILL of the servers' leader."""
    kept = 0
    took: list[float] = []
    async with started(partial(cluster, servers=3, clients=1)) as all_of_them:
        agent = all_of_them.clients[0]
        for _ in range(runs):
            async with ConsulClient(agent.url) as c:
                leader = await anyio.to_thread.run_sync(all_of_them.wait_leader)
                async with Lock(c, new_key(), ttl=TTL) as held:
                    died = now()
                    await anyio.to_thread.run_sync(leader.kill)
                    while True:
                        try:
                            await held.txn().kv.set("trials/data", b"1").commit()
                            break
                        except LockLostError:
                            raise
                        except ConsulError:
                            await anyio.sleep(0.05)
                    took.append(now() - died)
                    await anyio.sleep(TTL / 2)
                    held.check()
                    kept += 1
                await anyio.to_thread.run_sync(leader.restart)
    return [
        ("leader dies: kept", f"{runs} of {runs}", f"{kept} of {runs}"),
        ("leader dies: the holder writes again", "", f"within {max(took):.2f} s"),
    ]


# -- a holder that is stopped ----------------------------------------------------------------------


async def holder_stops(runs: int) -> list[Row]:
    """SIGSTOP of the holder's process, for twice its ttl."""
    said: list[list[str]] = []

    def run(agent: Agent, backend: str) -> None:
        command = [sys.executable, str(HOLDER), agent.url, new_key(), backend, f"{TTL:g}"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "held\n"
            holder.send_signal(signal.SIGSTOP)
            time.sleep(2 * TTL)
            holder.send_signal(signal.SIGCONT)
            said.append(holder.communicate(timeout=60)[0].split())

    with await anyio.to_thread.run_sync(dev_agent) as agent:
        at_once = anyio.CapacityLimiter(10)

        async def one(backend: str) -> None:
            work = partial(run, agent, backend)
            await anyio.to_thread.run_sync(work, limiter=at_once)

        async with anyio.create_task_group() as tasks:
            for number in range(runs):
                tasks.start_soon(one, ("asyncio", "trio")[number % 2])
    good = sum(each in (["0", "LockLostError"], ["1", "FencedError"]) for each in said)
    steps = max(int(each[0]) for each in said)
    return [
        ("holder stopped for 2 ttl: steps after it", "<= 1", f"{steps}"),
        ("holder stopped: told, and its write refused", f"{runs} of {runs}", f"{good} of {runs}"),
    ]


# -- without faults --------------------------------------------------------------------------------


async def cycles(runs: int) -> list[Row]:
    """A thousand locks one after the other: what they leave."""
    times = 50 * runs
    with await anyio.to_thread.run_sync(dev_agent) as agent:
        before = {task.id for task in anyio.get_running_tasks()}
        async with ConsulClient(agent.url) as c:
            lock = Lock(c, new_key())
            for _ in range(times):
                async with lock:
                    pass
            statistics = c.statistics().connections
            active = 0 if statistics is None else statistics.active
            sessions = await c.session.list()
        tasks = {task.id for task in anyio.get_running_tasks()} - before
    left = f"{len(sessions)}, {len(tasks)}, {active}"
    return [(f"{times} cycles: sessions, tasks, busy connections", "0, 0, 0", left)]


async def tokens(runs: int) -> list[Row]:
    """A hundred holders, with each behaviour of their sessions."""
    rows = []
    with await anyio.to_thread.run_sync(dev_agent) as agent:
        async with ConsulClient(agent.url) as c:
            for behavior in ("release", "delete"):
                seen = []
                lock = Lock(c, new_key(), behavior=behavior)
                for _ in range(5 * runs):
                    async with lock as held:
                        seen.append(held.token)
                rising = sum(a < b for a, b in pairwise(seen)) + 1
                what = f"tokens that rise, behaviour {behavior}"
                rows.append((what, f"{len(seen)} of {len(seen)}", f"{rising} of {len(seen)}"))
    return rows


async def operator(runs: int) -> list[Row]:
    """Somebody else releases the key, or destroys the session."""
    took: dict[str, list[float]] = {"release": [], "destroy": []}
    with await anyio.to_thread.run_sync(dev_agent) as agent:
        async with ConsulClient(agent.url) as c, ConsulClient(agent.url) as other:
            for how in [*took] * runs:
                key = new_key()
                try:
                    async with Lock(c, key) as held:
                        await waits(c)
                        began = now()
                        if how == "release":
                            await other.kv.release(key, held.session)
                        else:
                            await other.session.destroy(held.session)
                        try:
                            await anyio.sleep_forever()
                        finally:
                            took[how].append(now() - began)
                except LockLostError:
                    pass
    return [
        (f"operator's {how}: cancelled", "<= 200 ms", f"{1000 * max(times):.1f} ms")
        for how, times in took.items()
    ]


async def hand_over(runs: int) -> list[Row]:
    """From the end of one block to the beginning of the next one's."""
    took = []
    with await anyio.to_thread.run_sync(dev_agent) as agent:
        async with ConsulClient(agent.url) as c, ConsulClient(agent.url) as other:
            for _ in range(runs):
                key, left, got = new_key(), [0.0], [0.0]
                wait = partial(_note, other, key, got)
                async with anyio.create_task_group() as tasks, Lock(c, key):
                    tasks.start_soon(wait)
                    await waits(other)
                    left[0] = now()
                took.append(got[0] - left[0])
    return [("hand-over to who waits", "<= 100 ms", f"{1000 * max(took):.1f} ms")]


async def _note(c: ConsulClient, key: str, got: list[float]) -> None:
    async with Lock(c, key):
        got[0] = now()


TRIALS: Final[dict[str, Trial]] = {
    trial.__name__.replace("_", "-"): trial
    for trial in (
        *(agent_hangs, agent_dies, leader_dies, holder_stops),
        *(cycles, tokens, operator, hand_over),
    )
}


def rows_of(names: list[str], runs: int, backend: str) -> Iterator[Row]:
    for name in names:
        yield from anyio.run(TRIALS[name], runs, backend=backend)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="name", help=", ".join(TRIALS))
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--backend", choices=["asyncio", "trio"], default="asyncio")
    given = parser.parse_args()
    unknown = set(given.names) - set(TRIALS)
    if unknown:
        parser.error(f"there is no trial {', '.join(sorted(unknown))}")
    for name, target, measured in rows_of(given.names or list(TRIALS), given.runs, given.backend):
        print(f"{name:50} {target:>20}  {measured}", flush=True)


if __name__ == "__main__":
    main()
