"""The measurements of watches: what many cost that are open, and how soon one wakes."""

import gc
import json
import random
import subprocess
import sys
import time
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, closing
from functools import partial
from http.client import HTTPConnection
from statistics import quantiles

import anyio

from tests.bench.contestants import (
    KEY,
    ONEX,
    PY_CONSUL,
    REFERENCE,
    USUAL_LIMITS,
    VALUE,
    Contestant,
    Setting,
    contestants,
    present,
)
from tests.bench.measure import Result, Samples, compared
from tests.support.agents import HOST, Agent, AgentError, Config, Json, dev_agent

MANY = 1000
SOME = 100
BESIDE = 150

# Seconds that a query may wait: so often an idle watch asks anew, which is all the CPU it takes. By
# itself our client waits twice as long. Plain httpx takes half as long until all of them are open.
WAIT = 30

# Consul adds up to a sixteenth.
TURN = WAIT * 17 / 16

# How many are opened at once. With all of them, plain httpx takes two minutes.
AT_ONCE = 2

# Seconds until what was just woken waits at the server again.
AGAIN = 0.01

# More connections than Consul serves one address by default.
ROOMY: Config = {"limits": {"http_max_conns_per_client": 10 * MANY}}


async def watches(agent: Agent, *, samples: int) -> list[Result]:
    """How soon one wakes, and how long a plain read takes beside many."""
    setting = Setting(agent.url, connections=2 * BESIDE)
    results: list[Result] = []
    for number in (1, SOME):
        async with contestants(setting, ONEX, REFERENCE, PY_CONSUL) as them:
            results += await wakes(agent, them, number, samples)
    async with contestants(setting, ONEX, USUAL_LIMITS, REFERENCE, PY_CONSUL) as them:
        results += await gets(agent, them, samples)
    return results


# -- open -----------------------------------------------------------------------------------------


def open_watches(*, rounds: int) -> Iterator[Result]:
    """What many cost that are open. A new agent each round: it holds queries to their end."""
    names = present(ONEX, USUAL_LIMITS, REFERENCE, PY_CONSUL)
    samples: Samples = {name: [] for name in names}
    for _ in range(rounds):
        with dev_agent(extra=ROOMY) as agent:
            fill(agent, [key for name in names for key in keys_of(name, MANY)])
            running = {name: holding(name, agent) for name in names}
            try:
                for name, process in running.items():
                    said, _ = process.communicate(timeout=300)
                    samples[name].append(json.loads(said))
            finally:
                for process in running.values():
                    process.kill()
                    process.wait()
    yield from compared(f"{MANY:,} open watches", samples, besides=["connections"])


def holding(name: str, agent: Agent) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.bench.hold", name, agent.url, str(MANY), str(WAIT)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


# -- wake-up --------------------------------------------------------------------------------------


class Followed:
    """Keys that one contestant follows, all of them at once."""

    def __init__(self, one: Contestant, watches: int) -> None:
        self.name = one.name
        self.keys = keys_of(one.name, watches)
        self.received = 0
        self.at = 0.0
        """When it had received the last value."""
        self._follow = one.follow
        self._opening = anyio.CapacityLimiter(AT_ONCE)
        self._news = anyio.Event()

    async def run(self, key: str) -> None:
        changed = self._follow(key)
        async with self._opening:
            await changed()
        while True:
            self.at = time.perf_counter()
            self.received += 1
            self._news.set()
            await changed()

    async def beyond(self, received: int) -> None:
        """Come back when there were more than so many values."""
        while self.received <= received:
            self._news = anyio.Event()
            await self._news.wait()


def keys_of(name: str, watches: int) -> list[str]:
    """No contestant has a key of another's: it would wake, too."""
    return [f"bench/{name.replace(' ', '-')}/{number}" for number in range(watches)]


@asynccontextmanager
async def followed(
    agent: Agent, them: Sequence[Contestant], watches: int
) -> AsyncIterator[list[Followed]]:
    """So many watches of each contestant, open."""
    groups = [Followed(one, watches) for one in them]
    async with anyio.create_task_group() as tg:
        for group in groups:
            fill(agent, group.keys)
            for key in group.keys:
                tg.start_soon(group.run, key)
            await group.beyond(watches - 1)
        await anyio.sleep(10 * AGAIN)
        yield groups
        tg.cancel_scope.cancel()


async def wakes(
    agent: Agent, them: Sequence[Contestant], watches: int, samples: int
) -> Iterator[Result]:
    """
    From sending a write until whoever follows the key has the value.

    The write has a blocking socket, and its answer is read afterwards: nothing but the contestant
    runs in between.
    """
    with closing(HTTPConnection(HOST, agent.port, timeout=10)) as writer:

        async def wake(group: Followed) -> float:
            await anyio.sleep(AGAIN)
            forget()
            received, key = group.received, random.choice(group.keys)
            started = time.perf_counter()
            writer.request("PUT", f"/v1/kv/{key}", str(started))
            with anyio.fail_after(10):
                await group.beyond(received)
            writer.getresponse().read()
            return group.at - started

        async with followed(agent, them, watches) as groups:
            taken = await in_turns({one.name: partial(wake, one) for one in groups}, samples)
    return percentiles(f"wake-up of a watch, {watches} open", taken)


async def gets(agent: Agent, them: Sequence[Contestant], samples: int) -> Iterator[Result]:
    """A plain read, while many wait."""

    async def get(one: Contestant) -> float:
        forget()
        started = time.perf_counter()
        await one.get()
        return time.perf_counter() - started

    fill(agent, [KEY])
    async with followed(agent, them, BESIDE):
        taken = await in_turns({one.name: partial(get, one) for one in them}, samples)
    return percentiles(f"get, beside {BESIDE} open watches", taken)


async def in_turns(
    them: Mapping[str, Callable[[], Awaitable[float]]], samples: int
) -> Mapping[str, list[float]]:
    """So many samples of each, one of each at a time; the first few warm."""
    taken: Mapping[str, list[float]] = {name: [] for name in them}
    warming = 10
    for number in range(warming + samples):
        for name in random.sample(list(them), len(them)):
            took = await them[name]()
            if number >= warming:
                taken[name].append(took)
    return taken


def forget() -> None:
    """Collect the garbage that is new, so that nobody waits while another's is collected."""
    gc.collect(0)


def percentiles(what: str, taken: Mapping[str, list[float]]) -> Iterator[Result]:
    """Of all samples, and their ratios."""
    cuts = {name: quantiles(took, n=100, method="inclusive") for name, took in taken.items()}
    return compared(what, {name: [{"p50": at[49], "p99": at[98]}] for name, at in cuts.items()})


def fill(agent: Agent, keys: Sequence[str]) -> None:
    """Write all of them, as many at a time as a transaction may have."""
    for start in range(0, len(keys), 64):
        sets: Json = [
            {"KV": {"Verb": "set", "Key": key, "Value": b64encode(VALUE).decode()}}
            for key in keys[start : start + 64]
        ]
        answer = agent.request("PUT", "/v1/txn", sets)
        if answer.status != 200:
            raise AgentError(f"the keys were not written: {answer.body!r}")
