"""Run it, show a table, and write the same as JSON where that is asked for."""

import argparse
import json
import platform
import sys
from dataclasses import asdict
from itertools import groupby
from pathlib import Path

import anyio
import httpx

import tests.bench
from consul_onex import __version__
from tests.bench.contestants import REFERENCE, contestants, has_py_consul
from tests.bench.measure import Result, calls, imports, wakes
from tests.support.agents import Agent, dev_agent
from tests.support.consul_binary import ConsulBinaryError, version

# All contestants together have more connections than Consul serves one address by default.
ROOMY = {"limits": {"http_max_conns_per_client": 1000}}


async def measure(agent: Agent, rounds: int, seconds: float) -> list[Result]:
    async with contestants(agent) as them:
        await them[0].put()
        results = await calls(them, (1, 16, 64), rounds=rounds, seconds=seconds)
    return results + await wakes(agent, rounds=10 * rounds)


def table(results: list[Result]) -> str:
    lines = [
        f"{'':32} {'/ ' + REFERENCE:>15}",
        f"{'':32} {'CPU':>7} {'time':>7} {'CPU':>12} {'time':>12}",
    ]
    for what, rows in groupby(results, key=lambda row: row.what):
        lines.append(what)
        lines += [
            f"    {row.name:28} {row.cpu_ratio:7.2f} {row.wall_ratio:7.2f} "
            f"{row.cpu * 1e6:9,.0f} us {row.wall * 1e6:9,.0f} us"
            for row in rows
        ]
    return "\n".join(lines)


def main() -> int:
    options = argparse.ArgumentParser("python -m tests.bench", description=tests.bench.__doc__)
    options.add_argument("--rounds", type=int, default=5, metavar="N")
    options.add_argument("--seconds", type=float, default=0.3, help="of each burst of calls")
    options.add_argument("--json", type=Path, metavar="FILE")
    given = options.parse_args()
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
            results = anyio.run(measure, agent, given.rounds, given.seconds)
    except ConsulBinaryError as error:
        print(error, file=sys.stderr)
        return 1
    results += imports(rounds=2 * given.rounds)
    print(table(results))
    if given.json:
        given.json.write_text(json.dumps({"on": on, "results": [*map(asdict, results)]}, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
