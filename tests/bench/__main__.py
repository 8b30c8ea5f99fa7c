"""Run it, show the tables, and write all of it as JSON."""

import argparse
import json
import os
import platform
import resource
import sys
from collections.abc import Sequence
from dataclasses import asdict
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
    HTTPCORE,
    KNOWN,
    LAYERS,
    NO_LAYERS,
    ONEX,
    PY_CONSUL,
    PY_CONSUL_SYNC,
    REFERENCE,
    Setting,
    contestants,
    present,
)
from tests.bench.decoding import decoding
from tests.bench.measure import Result, calls
from tests.bench.responder import responder
from tests.bench.start import clients, first_gets, imports
from tests.bench.targets import LEVELS, READ, STILL, outcomes
from tests.bench.watches import ROOMY, open_watches, watches
from tests.support.agents import Agent, dev_agent
from tests.support.consul_binary import ConsulBinaryError, version

STAGES: Final = ("get", "put", "layers", "decode", "bulk", "watch", "start")

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

ALL: Final = (ONEX, FAST, REFERENCE, HTTPCORE, AIOHTTP, PY_CONSUL, PY_CONSUL_SYNC)


async def measure(
    agent: Agent, still: str, stages: Sequence[str], rounds: int, seconds: float
) -> list[Result]:
    def begins(*names: str) -> bool:
        """Whether one of these is wanted; said, since all of it takes minutes."""
        wanted = [name for name in names if name in stages]
        if wanted:
            print(f"measuring: {', '.join(wanted)} ...", file=sys.stderr)
        return bool(wanted)

    results: list[Result] = []
    setting, at_responder = Setting(agent.url), Setting(still)
    if begins("get", "put"):
        async with contestants(setting, *ALL) as them:
            await them[0].put()
            for stage, what, operation, times in (
                ("get", READ, lambda one: one.get, rounds),
                # There is no target of these.
                ("put", "put to Consul", lambda one: one.put, rounds // 2 + 1),
            ):
                if stage in stages:
                    results += await calls(
                        them, what, operation, LEVELS, rounds=times, seconds=seconds
                    )
    if begins("get", "layers"):
        async with contestants(
            at_responder, ONEX, FAST, NO_LAYERS, REFERENCE, HTTPCORE, AIOHTTP
        ) as them:
            results += await calls(
                them, STILL, lambda one: one.get, LEVELS, rounds=rounds, seconds=seconds
            )
    if begins("layers"):
        each = [f"only {type(layer).__name__}" for layer in LAYERS]
        async with contestants(at_responder, NO_LAYERS, *each, ONEX) as them:
            results += await calls(
                *(them, "get from a responder, by layer", lambda one: one.get, (1,)),
                rounds=rounds,
                seconds=seconds,
                reference=NO_LAYERS,
            )
    if begins("decode"):
        results += decoding(rounds=rounds)
    if begins("bulk"):
        results += await many(setting, rounds=rounds)
    if begins("watch"):
        results += open_watches(rounds=max(1, rounds // 4))
        results += await watches(agent, samples=60 * rounds)
    if begins("start"):
        results += imports(rounds=rounds)
        results += first_gets(still, rounds=rounds)
        results += clients(still, rounds=rounds)
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
                "machine": platform.platform(),
                "processors": str(os.cpu_count()),
            }
            print(", ".join(f"{name} {value}" for name, value in on.items()))
            missing = [name for name in KNOWN if name not in present(*KNOWN)]
            if missing:
                print(f"Not installed, and so takes no part: {'; '.join(missing)}.")
            stages = given.stages or STAGES
            results = anyio.run(measure, agent, still, stages, given.rounds, given.seconds)
    except ConsulBinaryError as error:
        print(error, file=sys.stderr)
        return 1
    print(targets(results), table(results), sep="\n")
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
