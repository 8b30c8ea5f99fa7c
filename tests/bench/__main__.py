"""Run it, show a table, and write the same as JSON where that is asked for."""

import argparse
import json
import platform
import resource
import sys
from collections.abc import Sequence
from dataclasses import asdict
from itertools import groupby
from pathlib import Path

import anyio
import httpx

import tests.bench
from consul_onex import __version__
from tests.bench.contestants import (
    NO_LAYERS,
    ONEX,
    PY_CONSUL,
    REFERENCE,
    Setting,
    contestants,
    has_py_consul,
)
from tests.bench.measure import Result, calls, imports
from tests.bench.watches import ROOMY, open_watches, watches
from tests.support.agents import Agent, dev_agent
from tests.support.consul_binary import ConsulBinaryError, version

STAGES = ("calls", "watch", "import")

# How a column is shown: times what, in which unit, with how many digits after the point.
UNITS = {
    "CPU": (1e6, "us", 0),
    "time": (1e6, "us", 0),
    "p50": (1e6, "us", 0),
    "p99": (1e6, "us", 0),
    "memory": (1 / 1024, "kB", 1),
    "CPU/s": (1e3, "ms", 1),
    "connections": (1, "", 0),
}


# An agent and a process with a thousand connections each have more open files than is usual.
OPEN_FILES = 16_384


async def measure(agent: Agent, stages: Sequence[str], rounds: int, seconds: float) -> list[Result]:
    results: list[Result] = []
    if "calls" in stages:
        async with contestants(Setting(agent.url), ONEX, NO_LAYERS, REFERENCE, PY_CONSUL) as them:
            await them[0].put()
            results += await calls(them, (1, 16, 64), rounds=rounds, seconds=seconds)
    if "watch" in stages:
        results += open_watches(rounds=max(1, rounds // 4))
        results += await watches(agent, samples=60 * rounds)
    if "import" in stages:
        results += imports(rounds=2 * rounds)
    return results


def table(results: list[Result]) -> str:
    lines: list[str] = []
    columns: list[str] = []
    for what, rows in groupby(results, key=lambda row: row.what):
        first, *others = rows
        if columns != list(first.values):
            columns = list(first.values)
            ratios = "".join(f" {column:>7}" for column in first.ratios)
            values = "".join(f" {column:>12}" for column in columns)
            lines += [f"{'':32} {'/ ' + REFERENCE:>15}", f"{'':32}{ratios}{values}"]
        lines.append(what)
        for row in (first, *others):
            ratios = "".join(f" {ratio:7.2f}" for ratio in row.ratios.values())
            values = "".join(f" {shown(column, row.values[column])}" for column in columns)
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
    options.add_argument("--seconds", type=float, default=0.3, help="of each burst of calls")
    options.add_argument("--json", type=Path, metavar="FILE")
    given = options.parse_args()
    if unknown := set(given.stages).difference(STAGES):
        options.error(f"no such stage: {', '.join(unknown)}")
    allow_open_files()
    try:
        with dev_agent(extra=ROOMY) as agent:
            on = {
                "consul_onex": __version__,
                "httpx": httpx.__version__,
                "python": platform.python_version(),
                "consul": version(agent.binary),
                "machine": platform.platform(),
            }
            print(", ".join(f"{name} {value}" for name, value in on.items()))
            if not has_py_consul():
                print("py-consul is not installed, and so takes no part.")
            stages = given.stages or STAGES
            results = anyio.run(measure, agent, stages, given.rounds, given.seconds)
    except ConsulBinaryError as error:
        print(error, file=sys.stderr)
        return 1
    print(table(results))
    if given.json:
        given.json.write_text(json.dumps({"on": on, "results": [*map(asdict, results)]}, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
