"""
`python -m tests.chaos --minutes 4 --seed 1`: a real cluster is tormented while clients use it.

Five clients, on every server and on a client agent, read, write and check-and-set keys and are told
something each time; two of them contend for a lock. In the end all that they were told must be true
together, and the lock never have had two holders. What is done to the cluster and what the clients
do is drawn from the seed; when what happens is up to the machine.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Final

import anyio

from consul_onex import ConsulClient, ConsulError, KVPair, OutcomeUnknownError
from consul_onex.recipes import Lock
from consul_onex.transport import Breaker, Datacenters, Deadline, Events, Layer, Limit, Retry
from tests.chaos.history import Action, Operation, State, is_linearisable
from tests.chaos.nemesis import torment
from tests.support import agents
from tests.support.agents import Cluster

DEADLINE: Final = 15.0
ROUND: Final = 2.0
"""Seconds after which new keys are used: a history must stay short enough to be checked."""


def layers() -> list[Layer]:
    # A plain put that is in doubt is not sent again: a second copy may come after somebody else's.
    retry = Retry(attempts=12, initial=0.1, max=2, budget=10**6, writes=False)
    limit = Limit(max_wait=DEADLINE)
    return [Deadline(DEADLINE), Events(), retry, Datacenters(), Breaker(failures=10**6), limit]


@dataclass
class Load:
    """What the clients do, and what they were told."""

    chance: Random
    running: bool = True
    histories: dict[str, list[Operation]] = field(default_factory=dict)
    ends: Counter[str] = field(default_factory=Counter)
    slowest: float = 0.0
    held: list[tuple[float, float, int]] = field(default_factory=list)
    """When `check` passed for the first and the last time, of which contender."""
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    async def use(self, c: ConsulClient, seed: int) -> None:
        """Read and write, until it is over."""
        chance, fresh = Random(seed), c.using(consistency="consistent")
        while self.running:
            key = f"chaos/{anyio.current_time() // ROUND:.0f}/{chance.randrange(2)}"
            called = anyio.current_time()
            try:
                match chance.randrange(3):
                    case 0:
                        await self._read(fresh, key)
                    case 1:
                        await self._write(c, key)
                    case _:
                        await self._swap(c, key, await self._read(fresh, key))
                self.ends["told"] += 1
            except OutcomeUnknownError:
                self.ends["unknown"] += 1
            except ConsulError:
                # Nothing was done, so it says: a value of it that is found later is found out.
                self.ends["failed"] += 1
                await anyio.sleep(0.05)
            self.slowest = max(self.slowest, anyio.current_time() - called)
            await anyio.sleep(chance.uniform(0.02, 0.1))

    async def _read(self, c: ConsulClient, key: str) -> KVPair | None:
        called = anyio.current_time()
        pair = await c.kv.get(key)
        self._note(key, Operation(Action.READ, called, anyio.current_time(), _value(pair)))
        return pair

    async def _write(self, c: ConsulClient, key: str) -> None:
        value, called = self._fresh(), anyio.current_time()
        try:
            await c.kv.put(key, value)
        except OutcomeUnknownError:
            self._note(key, Operation(Action.WRITE, called, value=value))
            raise
        self._note(key, Operation(Action.WRITE, called, anyio.current_time(), value))

    async def _swap(self, c: ConsulClient, key: str, seen: KVPair | None) -> None:
        value, called = self._fresh(), anyio.current_time()
        # No value is ever written twice, so an index and a value stand for each other.
        expected, index = _value(seen), seen.modify_index if seen is not None else 0
        try:
            done = await c.kv.put(key, value, cas=index)
        except OutcomeUnknownError:
            self._note(key, Operation(Action.SWAP, called, value=value, expected=expected))
            raise
        action = Action.SWAP if done else Action.NO_SWAP
        self._note(key, Operation(action, called, anyio.current_time(), value, expected))

    async def contend(self, c: ConsulClient, contender: int) -> None:
        """Take the lock, look at it for a while, give it back, again and again."""
        while self.running:
            try:
                async with Lock(c, "chaos-lock", ttl=10).acquire(timeout=20) as held:
                    held.check()
                    first = last = anyio.current_time()
                    try:
                        while self.running and last - first < 1.0:
                            held.check()
                            last = anyio.current_time()
                            await anyio.sleep(0.02)
                    finally:
                        # Also where the lock was lost meanwhile: that turn counts too.
                        self.held.append((first, last, contender))
            except ConsulError:
                await anyio.sleep(0.2)

    async def audit(self, c: ConsulClient) -> None:
        """Read every key once more, when all is well again."""
        for key in list(self.histories):
            await self._read(c.using(consistency="consistent"), key)

    def two_holders(self) -> int:
        """How often one had the lock before another had let go of it."""
        turns = sorted(self.held)
        pairs = itertools.pairwise(turns)
        return sum(later[0] < earlier[1] and later[2] != earlier[2] for earlier, later in pairs)

    def untrue(self) -> list[str]:
        """The keys of which what was told cannot all be true."""
        return [key for key, history in self.histories.items() if not is_linearisable(history)]

    def _fresh(self) -> bytes:
        return str(next(self._numbers)).encode()

    def _note(self, key: str, operation: Operation) -> None:
        self.histories.setdefault(key, []).append(operation)


def _value(pair: KVPair | None) -> State:
    return pair.value if pair is not None else None


async def run(cluster: Cluster, seed: int, seconds: float) -> tuple[Load, list[str]]:
    """Use and torment this cluster for so long."""
    chance = Random(seed)
    load = Load(chance)
    urls = [agent.url for agent in (*cluster.servers, *cluster.clients, *cluster.clients)]
    clients = [ConsulClient(url, layers=layers(), connect_timeout=1.0) for url in urls]
    done: list[str] = []
    async with anyio.create_task_group() as tasks:
        for number, c in enumerate(clients):
            tasks.start_soon(load.use, c, seed * 100 + number)
        for contender in (0, 3):
            tasks.start_soon(load.contend, clients[contender], contender)
        done = await torment(cluster, chance, seconds)
        load.running = False
    await load.audit(clients[-1])
    for c in clients:
        await c.aclose()
    return load, done


def report(load: Load) -> Iterator[tuple[str, str, str, bool]]:
    """Name, target, what was measured, and whether that is well."""
    operations = load.ends.total()
    writes = [
        one
        for history in load.histories.values()
        for one in history
        if one.action in (Action.WRITE, Action.SWAP) and one.certain
    ]
    untrue, twice = len(load.untrue()), load.two_holders()
    yield "operations", "some", str(operations), operations > 0
    yield "R1 acknowledged writes", "some", str(len(writes)), bool(writes)
    yield "R1, R2 keys with a lost write or a wrong answer", "0", str(untrue), untrue == 0
    unknown = load.ends["unknown"]
    yield "R2 unknown outcomes", "a share", f"{100 * unknown / max(1, operations):.2f} %", True
    limit = 2 * DEADLINE + 0.5
    slow = f"{load.slowest:.1f}"
    yield "R4 slowest step of two calls, s", f"{limit:g}", slow, load.slowest <= limit
    yield "R6 turns of the lock", "some", str(len(load.held)), bool(load.held)
    yield "R6 two holders at once", "0", str(twice), twice == 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos")
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    given = parser.parse_args()
    print(
        f"seed {given.seed}: python -m tests.chaos --minutes {given.minutes:g} --seed {given.seed}"
    )
    with agents.cluster(servers=3, clients=1) as cluster:
        load, done = anyio.run(run, cluster, given.seed, given.minutes * 60)
    for name, times in Counter(done).items():
        print(f"  {times} x {name}")
    well = True
    for name, target, measured, fine in report(load):
        print(f"{name} | {target} | {measured}{'' if fine else ' | NOT MET'}")
        well = well and fine
    for key in load.untrue():
        print(key, *load.histories[key], sep="\n  ")
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
