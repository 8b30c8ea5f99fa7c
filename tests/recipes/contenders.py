"""
Five contend for one lock while things break; afterwards it is checked that never two had it.

    python -m tests.recipes.contenders --minutes 30 --seed 7

Agents and leaders are killed and stopped, answers lost and delayed, in an order that the seed says;
an even seed runs on asyncio, an odd one on trio. The checker believes nothing that the locks say of
themselves. It knows from the requests when a session was last kept alive, and from Consul's history
which write came when.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import Final

import anyio
import anyio.to_thread
import httpx

from consul_onex import ConsulClient, ConsulError, LockLostError, TransactionError
from consul_onex.recipes import Held, Lock
from consul_onex.transport import Connections
from tests.support.agents import Agent, Cluster
from tests.support.agents import cluster as new_cluster

TTL: Final = 10.0
LOCK_DELAY: Final = 15.0
IN_TIME: Final = TTL + LOCK_DELAY + 2.0
"""Seconds from the end of a fault until somebody has the lock again."""

KEY: Final = "contest/lock"
DATA: Final = "contest/data"

now = time.monotonic


@dataclass
class Stay:
    """Somebody in the block of a lock, from when to when."""

    session: str
    token: int
    entered: float
    left: float = float("inf")


@dataclass
class History:
    """What happened, as seen from below the clients and from Consul."""

    stays: list[Stay] = field(default_factory=list)
    expiry: dict[str, float] = field(default_factory=dict)
    """Until when Consul promised to keep each session."""
    writes: dict[int, int] = field(default_factory=dict)
    """The token of whoever made each fenced write, by the write's index in Consul's history."""
    refused: int = 0
    """Writes of former holders that were refused."""
    lost: int = 0
    faults: list[tuple[str, float, float]] = field(default_factory=list)
    """What went wrong, and from when to when."""
    proofs: list[float] = field(default_factory=list)
    """When somebody had it for certain: took it, or wrote as its holder."""
    proved: anyio.Event = field(default_factory=anyio.Event)

    def prove(self) -> None:
        """Somebody has it now."""
        self.proofs.append(now())
        self.proved.set()
        self.proved = anyio.Event()

    def overlaps(self) -> list[tuple[Stay, Stay]]:
        """Those who were in it at the same time, each inside of its deadline."""
        found = []
        stays = sorted(self.stays, key=lambda stay: stay.entered)
        for at, one in enumerate(stays):
            end = min(one.left, self.expiry[one.session])
            found += [(one, other) for other in stays[at + 1 :] if other.entered < end]
        return found

    def margin(self) -> float:
        """The least time that was left until its session could end when somebody was out."""
        return min(self.expiry[s.session] - s.left for s in self.stays if s.left < float("inf"))

    def trespasses(self) -> list[tuple[int, int]]:
        """Fenced writes that were carried out after somebody else had got the lock."""
        tokens = [stay.token for stay in self.stays]
        return [
            (index, token)
            for index, token in self.writes.items()
            if any(token < later <= index for later in tokens)
        ]

    def recoveries(self) -> list[tuple[str, float]]:
        """For each fault, the seconds from its end until somebody had the lock."""
        return [
            (name, min((at for at in self.proofs if at >= end), default=float("inf")) - end)
            for name, _, end in self.faults
        ]


class Trouble(httpx.AsyncBaseTransport):
    """The way to an agent: slow and lossy where it is told to be, and a witness of renewals."""

    def __init__(self, history: History, dice: Callable[[], float]) -> None:
        self.latency = 0.0
        self.loss = 0.0
        self._inner = Connections()
        self._history = history
        self._dice = dice

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        sent = now()
        await anyio.sleep(self._dice() * self.latency)
        response = await self._inner.handle_async_request(request)
        path = request.url.path
        if response.status_code == 200 and path.startswith("/v1/session/"):
            body = b"".join([chunk async for chunk in response.stream])  # type: ignore[union-attr]
            response.stream = httpx.ByteStream(body)
            if path == "/v1/session/create":
                self._history.expiry[json.loads(body)["ID"]] = sent + TTL
            elif path.startswith("/v1/session/renew/"):
                self._history.expiry[path.rpartition("/")[2]] = sent + TTL
        if self._dice() < self.loss:
            await response.stream.aclose()  # type: ignore[union-attr]
            raise httpx.ReadError("the answer was lost")
        return response

    async def aclose(self) -> None:
        await self._inner.aclose()


class Contest:
    """The contenders, what goes wrong, and what is recorded."""

    def __init__(self, cluster: Cluster, seed: int) -> None:
        self.history = History()
        self._cluster = cluster
        self._dice = random.Random(seed)
        self._ways: list[Trouble] = []
        self._written = 0

    async def run(self, seconds: float) -> None:
        """Contend for so long, and until the last fault is over."""
        async with AsyncExitStack() as stack:
            clients = []
            for number in range(5):
                way = Trouble(self.history, random.Random(self._dice.random()).random)
                agents = self._cluster.clients
                address = agents[number % len(agents)].url
                clients.append(
                    await stack.enter_async_context(ConsulClient(address, transport=way))
                )
                self._ways.append(way)
            async with anyio.create_task_group() as tasks:
                for client in clients:
                    tasks.start_soon(self._contend, client, random.Random(self._dice.random()))
                tasks.start_soon(self._observe)
                await self._break_things(seconds)
                tasks.cancel_scope.cancel()

    # -- those who want the lock -----------------------------------------------------------------

    async def _contend(self, c: ConsulClient, dice: random.Random) -> None:
        lock = Lock(c, KEY, ttl=TTL, lock_delay=LOCK_DELAY)
        while True:
            stay = None
            try:
                async with lock as held:
                    stay = Stay(held.session, held.token, now())
                    self.history.stays.append(stay)
                    self.history.prove()
                    try:
                        # Now and then longer than a session lives that is not renewed.
                        await self._work(c, held, dice.choice([0.1, 0.1, 0.3, 1.0, 12.0]))
                    finally:
                        stay.left = now()
            except LockLostError:
                self.history.lost += 1
            if stay is not None and dice.random() < 0.5:
                await self._trespass(c, stay)
            await anyio.sleep(dice.random())

    async def _work(self, c: ConsulClient, held: Held, seconds: float) -> None:
        end = now() + seconds
        while now() < end:
            held.check()
            # Not by `held.txn()`, which sends nothing any more when it knows that it has lost it.
            await self._write(c, held.session, held.token)
            await anyio.sleep(0.05)

    async def _trespass(self, c: ConsulClient, stay: Stay) -> None:
        """Write as the holder one no longer is."""
        await self._write(c, stay.session, stay.token)

    async def _write(self, c: ConsulClient, session: str, token: int) -> None:
        # Consul makes no history of a value that stays the same.
        self._written += 1
        value = f"{token} {self._written}"
        fenced = c.txn.begin().kv.check_session(KEY, session).kv.set(DATA, value)
        try:
            result = await fenced.commit()
        except ConsulError as error:
            self.history.refused += isinstance(error, TransactionError)
            return
        self.history.writes[result.pairs[-1].modify_index] = token
        self.history.prove()

    async def _observe(self) -> None:
        """What Consul itself shows, also of writes whose answer was lost."""
        async with ConsulClient(self._cluster.clients[0].url) as c:
            async for pair in c.kv.watch(DATA):
                if pair is not None:
                    self.history.writes[pair.modify_index] = int(pair.text().split()[0])

    # -- what goes wrong ---------------------------------------------------------------------------

    async def _break_things(self, seconds: float) -> None:
        kinds: list[Callable[[], Awaitable[None]]] = [
            self._an_agent_dies,
            self._the_leader_dies,
            self._an_agent_hangs,
            self._the_leader_hangs,
            self._answers_are_lost,
            self._everything_is_slow,
        ]
        end = now() + seconds
        while now() < end:
            # Each kind as often as any other, in an order of its own.
            for break_it in self._dice.sample(kinds, len(kinds)):
                started = now()
                await break_it()
                name = break_it.__name__.strip("_").replace("_", " ")
                self.history.faults.append((name, started, now()))
                await self._recovered(now())
                if now() >= end:
                    return

    async def _recovered(self, since: float) -> None:
        # Longer than it may take, so that what takes longer is seen.
        with anyio.move_on_after(3 * IN_TIME):
            while self.history.proofs[-1:] < [since]:
                await self.history.proved.wait()
        await anyio.sleep(self._dice.random() * 3)

    async def _an_agent_dies(self) -> None:
        agent = self._dice.choice(self._cluster.clients)
        agent.kill()
        await anyio.sleep(self._dice.uniform(0, 12))
        await anyio.to_thread.run_sync(agent.restart)

    async def _the_leader_dies(self) -> None:
        leader = await anyio.to_thread.run_sync(self._cluster.wait_leader)
        leader.kill()
        await anyio.sleep(self._dice.uniform(0, 5))
        await anyio.to_thread.run_sync(leader.restart)

    async def _an_agent_hangs(self) -> None:
        await self._hang(self._dice.choice(self._cluster.clients), self._dice.uniform(1, 15))

    async def _the_leader_hangs(self) -> None:
        leader = await anyio.to_thread.run_sync(self._cluster.wait_leader)
        await self._hang(leader, self._dice.uniform(1, 12))

    async def _hang(self, agent: Agent, seconds: float) -> None:
        agent.pause()
        try:
            await anyio.sleep(seconds)
        finally:
            agent.resume()
        await anyio.to_thread.run_sync(self._cluster.wait_leader)

    async def _answers_are_lost(self) -> None:
        await self._trouble(loss=self._dice.uniform(0.2, 1.0))

    async def _everything_is_slow(self) -> None:
        await self._trouble(latency=self._dice.uniform(0.5, 4.0))

    async def _trouble(self, *, loss: float = 0.0, latency: float = 0.0) -> None:
        for way in self._ways:
            way.loss, way.latency = loss, latency
        await anyio.sleep(self._dice.uniform(3, 12))
        for way in self._ways:
            way.loss = way.latency = 0.0


def contend(seed: int, seconds: float) -> History:
    """One contest, on a cluster of its own."""
    with new_cluster(servers=3, clients=3) as cluster:
        contest = Contest(cluster, seed)
        backend = ("asyncio", "trio")[seed % 2]
        anyio.run(partial(contest.run, seconds), backend=backend)
    return contest.history


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10_000))
    given = parser.parse_args()
    print(f"seed {given.seed}", flush=True)
    history = contend(given.seed, given.minutes * 60)
    slowest = dict.fromkeys((name for name, _ in history.recoveries()), 0.0)
    for name, took in history.recoveries():
        slowest[name] = max(slowest[name], took)
    rows = [
        ("two at once", "0", f"{len(history.overlaps())}"),
        ("writes after somebody else had it", "0", f"{len(history.trespasses())}"),
        ("time to spare when out", "> 0 s", f"{history.margin():.2f} s"),
        ("holders", "", f"{len(history.stays)}, of whom {history.lost} lost it"),
        ("fenced writes", "", f"{len(history.writes)}, and {history.refused} refused"),
        ("faults", "", f"{len(history.faults)}"),
        *(
            (f"held again after: {name}", f"<= {IN_TIME:g} s", f"{took:.2f} s")
            for name, took in slowest.items()
        ),
    ]
    for name, target, measured in rows:
        print(f"{name:44} {target:>10}  {measured}")


if __name__ == "__main__":
    main()
