"""Run it, show the tables, and write all of it as JSON."""

import argparse
import json
import os
import platform
import resource
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from pathlib import Path
from typing import Final

import anyio
import httpcore
import httpx
import pydantic

import tests.bench
from consul_onex import __version__
from tests.bench.bulk import many
from tests.bench.contestants import (
    AIOHTTP,
    FAST,
    GO,
    HTTPCORE,
    KNOWN,
    LAYERS,
    NO_LAYERS,
    ONEX,
    PY_CONSUL,
    PY_CONSUL_SYNC,
    REFERENCE,
    Contestant,
    Operation,
    Setting,
    contestants,
    present,
)
from tests.bench.decoding import decoding
from tests.bench.measure import Result, calls
from tests.bench.profile import profile
from tests.bench.responder import NGINX, responder
from tests.bench.start import clients, first_gets, imports
from tests.bench.targets import LEVELS, READ, STILL, outcomes
from tests.bench.watches import ROOMY, open_watches, watches
from tests.support.agents import Agent, dev_agent
from tests.support.consul_binary import ConsulBinaryError, version

# Those that are all there is unless some are named; and what says why a target was missed.
USUAL: Final = ("get", "put", "layers", "decode", "bulk", "watch", "start")
STAGES: Final = (*USUAL, "profile")

# How a column is shown: times what, in which unit, with how many digits after the point.
UNITS: Final = {
    "CPU": (1e6, "us", 0),
    "time": (1e6, "us", 0),
    "p50": (1e6, "us", 0),
    "p99": (1e6, "us", 0),
    "memory": (1 / 1024, "kB", 1),
    "peak": (1 / 1024, "kB", 1),
    "CPU/s": (1e3, "ms", 1),
    "connections": (1, "", 0),
}

# An agent and a process with a thousand connections each have more open files than is usual.
OPEN_FILES: Final = 16_384

ALL: Final = (ONEX, FAST, REFERENCE, HTTPCORE, AIOHTTP, PY_CONSUL, PY_CONSUL_SYNC, GO)
AT_RESPONDER: Final = (ONEX, FAST, NO_LAYERS, REFERENCE, HTTPCORE, AIOHTTP, PY_CONSUL, GO)


@dataclass(frozen=True)
class Run:
    """Whom to measure with, and how long."""

    agent: Agent
    still: Setting
    rounds: int
    seconds: float

    @property
    def real(self) -> Setting:
        return Setting(self.agent.url)

    async def bursts(
        self,
        setting: Setting,
        names: Sequence[str],
        what: str,
        operation: Callable[[Contestant], Operation],
        *,
        levels: Sequence[int] = LEVELS,
        rounds: int | None = None,
        reference: str = REFERENCE,
    ) -> list[Result]:
        async with contestants(setting, *names) as them:
            await them[0].put()
            return await calls(
                *(them, what, operation, levels),
                rounds=rounds or self.rounds,
                seconds=self.seconds,
                reference=reference,
            )


async def get(run: Run) -> list[Result]:
    return await run.bursts(run.real, ALL, READ, lambda one: one.get)


async def put(run: Run) -> list[Result]:
    # There is no target of these.
    rounds = run.rounds // 2 + 1
    return await run.bursts(run.real, ALL, "put to Consul", lambda one: one.put, rounds=rounds)


async def get_from_a_responder(run: Run) -> list[Result]:
    return await run.bursts(run.still, AT_RESPONDER, STILL, lambda one: one.get)


async def layers(run: Run) -> list[Result]:
    each = [f"only {type(layer).__name__}" for layer in LAYERS]
    return await run.bursts(
        *(run.still, (NO_LAYERS, *each, ONEX), f"{STILL}, by layer", lambda one: one.get),
        levels=(1,),
        reference=NO_LAYERS,
    )


async def decode(run: Run) -> list[Result]:
    return decoding(rounds=run.rounds)


async def bulk(run: Run) -> list[Result]:
    return await many(run.real, rounds=run.rounds)


async def watch(run: Run) -> list[Result]:
    return [
        *open_watches(rounds=max(1, run.rounds // 4)),
        *await watches(run.agent, samples=100 * run.rounds),
    ]


async def start(run: Run) -> list[Result]:
    url = run.still.url
    return [
        *imports(rounds=run.rounds),
        *first_gets(url, rounds=run.rounds),
        *clients(url, rounds=run.rounds),
    ]


async def in_parts(run: Run) -> list[Result]:
    return await profile(run.still, rounds=run.rounds, seconds=run.seconds)


# Which stages ask for what is measured, in this order.
PARTS: Final[list[tuple[set[str], Callable[[Run], Awaitable[list[Result]]]]]] = [
    ({"get"}, get),
    ({"put"}, put),
    ({"get", "layers"}, get_from_a_responder),
    ({"layers"}, layers),
    ({"decode"}, decode),
    ({"bulk"}, bulk),
    ({"watch"}, watch),
    ({"start"}, start),
    ({"profile"}, in_parts),
]


async def measure(run: Run, stages: Sequence[str]) -> list[Result]:
    results: list[Result] = []
    for wanted_by, part in PARTS:
        if wanted_by.intersection(stages):
            # Said, since all of it takes minutes.
            print(f"measuring: {part.__name__.replace('_', ' ')}", end=" ... ", file=sys.stderr)
            sys.stderr.flush()
            started = time.perf_counter()
            results += await part(run)
            print(f"{time.perf_counter() - started:.0f} s", file=sys.stderr)
    return results


def targets(results: list[Result]) -> str:
    lines = [f"{'':64}{'wanted':>8}{'measured':>10}"]
    lines += [
        f"{one.figure:64}{one.wanted:>8}{one.measured:10.2f}  {'' if one.reached else 'not '}met"
        for one in outcomes(results)
    ]
    return "\n".join(lines)


def table(results: list[Result]) -> str:
    lines: list[str] = []
    head: tuple[str, list[str]] = ("", [])
    for what, rows in groupby(results, key=lambda row: row.what):
        first, *others = rows
        if head != (first.reference, list(first.values)):
            head = (first.reference, list(first.values))
            ratios = "".join(f" {column:>7}" for column in first.ratios)
            values = "".join(f" {column:>12}" for column in first.values)
            lines += ["", f"{'':32} {'/ ' + first.reference:>15}", f"{'':32}{ratios}{values}"]
        lines.append(what)
        for row in (first, *others):
            ratios = "".join(f" {ratio:7.2f}" for ratio in row.ratios.values())
            values = "".join(f" {shown(column, value)}" for column, value in row.values.items())
            lines.append(f"    {row.name:28}{ratios}{values}".rstrip())
    return "\n".join(lines)


def shown(column: str, value: float) -> str:
    times, unit, digits = UNITS[column]
    return f"{value * times:9,.{digits}f} {unit:2}"


def allow_open_files() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, OPEN_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def main() -> int:
    options = argparse.ArgumentParser("python -m tests.bench", description=tests.bench.__doc__)
    options.add_argument("stages", nargs="*", metavar="STAGE", help=", ".join(STAGES))
    options.add_argument("--rounds", type=int, default=5, metavar="N")
    options.add_argument("--seconds", type=float, default=0.2, help="of each burst of calls")
    options.add_argument("--json", type=Path, metavar="FILE")
    given = options.parse_args()
    if unknown := set(given.stages).difference(STAGES):
        options.error(f"no such stage: {', '.join(unknown)}")
    allow_open_files()
    try:
        with dev_agent(extra=ROOMY) as agent, responder() as still:
            on = {
                "consul_onex": __version__,
                "httpx": httpx.__version__,
                "httpcore": httpcore.__version__,
                "pydantic": pydantic.VERSION,
                "python": platform.python_version(),
                "consul": version(agent.binary),
                "responder": "nginx" if NGINX else "a small one of ours",
                "machine": platform.platform(),
                "processors": str(os.cpu_count()),
            }
            print(", ".join(f"{name} {value}" for name, value in on.items()))
            missing = [name for name in KNOWN if name not in present(*KNOWN)]
            if missing:
                print(f"Not installed, and so takes no part: {'; '.join(missing)}.")
            stages = given.stages or USUAL
            run = Run(agent, Setting(still), given.rounds, given.seconds)
            results = anyio.run(measure, run, stages)
    except ConsulBinaryError as error:
        print(error, file=sys.stderr)
        return 1
    if outcomes(results):
        print(targets(results))
    print(table(results))
    if given.json:
        said = {
            "on": on,
            "targets": [*map(asdict, outcomes(results))],
            "results": [*map(asdict, results)],
        }
        given.json.write_text(json.dumps(said, indent=1), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
