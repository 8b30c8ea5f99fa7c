"""
`python -m tests.chaos --minutes 4 --seed 1`: real clusters are tormented while clients use them.

First one datacenter, then two with ACLs, each for half of the time. What is done to them and what
the clients do is drawn from the seed; when what happens is up to the machine.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Iterable

import anyio

from tests.chaos import one_datacenter, two_datacenters
from tests.chaos.load import Line, Load
from tests.support import agents


def _told(title: str, done: list[str], lines: Iterable[Line], *loads: Load) -> bool:
    """Print all of it, and say whether it is well."""
    print(title)
    for name, times in Counter(done).items():
        print(f"  {times} x {name}")
    well = True
    for name, target, measured, fine in lines:
        print(f"{name} | {target} | {measured}{'' if fine else ' | NOT MET'}", flush=True)
        well = well and fine
    for load in loads:
        for key in load.untrue():
            print(key, *load.histories[key], sep="\n  ")
    return well


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos")
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    given = parser.parse_args()
    print(
        f"seed {given.seed}: python -m tests.chaos --minutes {given.minutes:g} --seed {given.seed}"
    )
    seconds = given.minutes * 30
    with agents.cluster(servers=3, clients=1) as cluster:
        one = anyio.run(one_datacenter.run, cluster, given.seed, seconds)
    well = _told("One datacenter", one.story.done, one_datacenter.report(one), one.load)
    with agents.guarded_datacenters() as guarded:
        two = anyio.run(two_datacenters.run, guarded, given.seed, seconds)
    lines = two_datacenters.report(two)
    return 0 if _told("Two datacenters", two.story.done, lines, two.near, two.far) and well else 1


if __name__ == "__main__":
    sys.exit(main())
