"""What a measurement is, and how two contestants are compared; and the measurement of calls."""

import random
import resource
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import anyio

from tests.bench.contestants import REFERENCE, Contestant, Elsewhere, Operation

Sample = Mapping[str, float]
"""What one contestant took in one round, by the name of the column: seconds, or bytes."""

Samples = Mapping[str, list[Sample]]


STATM: Final = Path("/proc/self/statm")


@dataclass(frozen=True)
class Result:
    """What one contestant took, and its ratios to what the reference did."""

    what: str
    name: str
    reference: str
    ratios: Sample
    values: Sample
    samples: Sequence[Sample]


def compared(
    what: str, samples: Samples, *, reference: str = REFERENCE, besides: Sequence[str] = ()
) -> Iterator[Result]:
    """Medians over the rounds. There is no ratio of the columns `besides`."""
    for name, own in samples.items():
        columns = [column for column in own[0] if column not in besides]
        yield Result(
            what,
            name,
            reference,
            ratios={column: ratio(own, samples[reference], column) for column in columns},
            values={column: statistics.median(one[column] for one in own) for column in own[0]},
            samples=own,
        )


def ratio(one: Sequence[Sample], other: Sequence[Sample], column: str) -> float:
    """The median of the ratios within a round."""
    pairs = zip(one, other, strict=True)
    return statistics.median(mine[column] / theirs[column] for mine, theirs in pairs)


def cpu() -> float:
    """Seconds that this process has had of a processor."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def resident() -> int:
    """Bytes; where the system does not say how many there are, the most there ever were."""
    if STATM.exists():
        return int(STATM.read_text().split()[1]) * resource.getpagesize()
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


async def calls(
    them: Sequence[Contestant],
    what: str,
    operation: Callable[[Contestant], Operation],
    levels: Sequence[int],
    *,
    rounds: int,
    seconds: float,
    reference: str = REFERENCE,
) -> list[Result]:
    """One kind of call, at each level of concurrency."""
    taken: dict[int, dict[str, list[Sample]]] = {
        level: {one.name: [] for one in them if level == 1 or not one.alone} for level in levels
    }
    for number in range(rounds + 1):
        for level, samples in taken.items():
            for one in random.sample(them, len(them)):
                if one.name in samples:
                    sample = await burst(operation(one), level, seconds)
                    if number:  # the first round warms
                        samples[one.name].append(sample)
    return [
        result
        for level, samples in taken.items()
        for result in compared(f"{what}, {level} at once", samples, reference=reference)
    ]


async def burst(operation: Operation, level: int, seconds: float) -> Sample:
    """As many calls as fit into so many seconds, `level` of them at once."""
    if isinstance(operation, Elsewhere):
        return await operation.burst(level, seconds)
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


async def once(
    what: str,
    them: Mapping[str, Callable[[], Awaitable[object]]],
    *,
    rounds: int,
    reference: str,
) -> list[Result]:
    """Something large, done once by each in each round; the first round warms."""
    samples: Samples = {name: [] for name in them}
    for number in range(rounds + 1):
        for name in random.sample(list(them), len(them)):
            before, started = cpu(), time.perf_counter()
            await them[name]()
            sample = {"CPU": cpu() - before, "time": time.perf_counter() - started}
            if number:
                samples[name].append(sample)
    return list(compared(what, samples, reference=reference))
