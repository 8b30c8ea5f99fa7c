"""The measurements of calls and of imports: numbers out, nothing printed."""

import random
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import anyio

from tests.bench.contestants import ONEX, REFERENCE, Contestant, Operation

# httpx loads httpcore with its first client, and so has it, too.
IMPORTS = {
    ONEX: "import consul_onex",
    REFERENCE: "import anyio, httpcore, httpx; from pydantic import BaseModel, TypeAdapter",
}

Sample = Mapping[str, float]
"""What one contestant took in one round, by the name of the column: seconds, or bytes."""

Samples = Mapping[str, list[Sample]]


@dataclass(frozen=True)
class Result:
    """What one contestant took, and its ratios to what the reference did."""

    what: str
    name: str
    ratios: Sample
    values: Sample


def compared(what: str, samples: Samples, *, besides: Sequence[str] = ()) -> Iterator[Result]:
    """Medians over the rounds. There is no ratio of the columns `besides`."""
    for name, own in samples.items():
        pairs = list(zip(own, samples[REFERENCE], strict=True))
        yield Result(
            what,
            name,
            ratios={
                column: statistics.median(one[column] / other[column] for one, other in pairs)
                for column in own[0]
                if column not in besides
            },
            values={column: statistics.median(one[column] for one in own) for column in own[0]},
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
    return {"CPU": (cpu() - before) / done, "time": (time.perf_counter() - started) / done}


def cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


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
    cpu_time, wall_time = map(float, done.stdout.split())
    return {"CPU": cpu_time, "time": wall_time}
