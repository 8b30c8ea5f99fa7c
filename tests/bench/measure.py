"""The measurements: numbers out, nothing printed."""

import random
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import anyio

from consul_onex import ConsulClient
from tests.bench.contestants import REFERENCE, Contestant, Operation, httpx_client
from tests.support.agents import Agent

ONEX = "consul_onex"

# httpx loads httpcore with its first client, and so has it, too.
IMPORTS = {
    ONEX: "import consul_onex",
    REFERENCE: "import anyio, httpcore, httpx; from pydantic import BaseModel, TypeAdapter",
}


@dataclass(frozen=True)
class Sample:
    """Seconds for one call."""

    cpu: float
    wall: float


@dataclass(frozen=True)
class Result:
    """Medians over the rounds: of the times, and of their ratios to the reference's."""

    what: str
    name: str
    cpu_ratio: float
    wall_ratio: float
    cpu: float
    wall: float


Samples = Mapping[str, list[Sample]]


def compared(what: str, samples: Samples) -> Iterator[Result]:
    for name, own in samples.items():
        pairs = list(zip(own, samples[REFERENCE], strict=True))
        yield Result(
            what,
            name,
            cpu_ratio=statistics.median(one.cpu / other.cpu for one, other in pairs),
            wall_ratio=statistics.median(one.wall / other.wall for one, other in pairs),
            cpu=statistics.median(one.cpu for one in own),
            wall=statistics.median(one.wall for one in own),
        )


# -- calls ----------------------------------------------------------------------------------------


async def calls(
    them: Sequence[Contestant], levels: Sequence[int], *, rounds: int, seconds: float
) -> list[Result]:
    """Get and put, at each level of concurrency."""
    results: list[Result] = []
    for what in ("get", "put"):
        for level in levels:
            samples: Samples = {one.name: [] for one in them}
            for number in range(rounds + 1):
                for one in random.sample(them, len(them)):
                    sample = await burst(getattr(one, what), level, seconds)
                    if number:  # the first round warms
                        samples[one.name].append(sample)
            results += compared(f"{what}, {level} at once", samples)
    return results


async def burst(operation: Operation, level: int, seconds: float) -> Sample:
    """As many calls as fit into so many seconds, `level` of them at once."""
    done = 0
    end = time.perf_counter() + seconds

    async def caller() -> None:
        nonlocal done
        while time.perf_counter() < end:
            await operation()
            done += 1

    before, started = cpu(), time.perf_counter()
    async with anyio.create_task_group() as tg:
        for _ in range(level):
            tg.start_soon(caller)
    return Sample((cpu() - before) / done, (time.perf_counter() - started) / done)


def cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


# -- watches --------------------------------------------------------------------------------------


async def wakes(agent: Agent, *, rounds: int) -> list[Result]:
    """From sending a write until whoever waits for it has the new value."""
    samples: Samples = {ONEX: [], REFERENCE: []}
    async with ConsulClient(agent.url) as c, httpx_client(agent) as http:
        watch, index = c.kv.watch(f"bench/{ONEX}"), "0"

        async def follow() -> None:
            await anext(watch)

        async def read() -> None:
            nonlocal index
            response = await http.get(f"/v1/kv/bench/{REFERENCE}?index={index}&wait=60s")
            index = response.headers["X-Consul-Index"]
            response.json()

        for number in range(rounds + 1):
            for name, wait in ((ONEX, follow), (REFERENCE, read)):
                write = partial(http.put, f"/v1/kv/bench/{name}", content=f"{number}")
                if number:
                    samples[name].append(await wake(wait, write))
                else:  # both begin with what is there
                    await write()
                    await wait()
    return list(compared("wake-up of a watch", samples))


async def wake(wait: Operation, write: Operation) -> Sample:
    before = started = woken = 0.0

    async def waiter() -> None:
        nonlocal woken
        await wait()
        woken = time.perf_counter()

    async with anyio.create_task_group() as tg:
        tg.start_soon(waiter)
        await anyio.sleep(0.02)  # until it waits at the server
        before, started = cpu(), time.perf_counter()
        await write()
    return Sample(cpu() - before, woken - started)


# -- start ----------------------------------------------------------------------------------------


def imports(*, rounds: int) -> list[Result]:
    """In a new process each; the first round warms the files."""
    samples: Samples = {name: [] for name in IMPORTS}
    for number in range(rounds + 1):
        for name, statement in IMPORTS.items():
            sample = imported(statement)
            if number:
                samples[name].append(sample)
    return list(compared("import", samples))


def imported(statement: str) -> Sample:
    script = (
        "import time; wall, cpu = time.perf_counter(), time.process_time(); "
        f"exec({statement!r}); print(time.process_time() - cpu, time.perf_counter() - wall)"
    )
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return Sample(*map(float, done.stdout.split()))
