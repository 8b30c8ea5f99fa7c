"""
`python -m tests.chaos.flakes --runs 50`: how often do tests fail that should not?

Runs the tests of this folder, or what else pytest is told, so many times, each in a process and an
order of its own, which its seed makes again. What a test draws itself, it prints where it fails.
"""

from __future__ import annotations

import argparse
import random
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

__all__ = ["Run", "run", "summary"]

ROOT: Final = Path(__file__).parent.parent.parent


@dataclass(frozen=True)
class Run:
    """One run: how to repeat it, how many tests it had, what failed, and the seeds of that."""

    command: str
    tests: int
    failed: list[str]
    seeds: list[str]


def run(seed: int, options: Sequence[str]) -> Run:
    """Run tests in the order that this seed makes."""
    arguments = [
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        f"--randomly-seed={seed}",
        *options,
    ]
    ended = subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, check=False, capture_output=True, text=True
    )
    told = ended.stdout.splitlines()
    last = re.findall(r"(\d+) (?:passed|failed|error)", told[-1] if told else "")
    failed = [line for line in told if line.startswith(("FAILED ", "ERROR "))]
    if ended.returncode and not failed:
        # It did not come so far as to say which.
        failed = [ended.stderr or ended.stdout]
    seeds = [line for line in told if line.startswith("seed ")]
    return Run(f"python {' '.join(arguments)}", sum(map(int, last)), failed, seeds)


def summary(runs: Sequence[Run]) -> str:
    """How many there were, and how many failed."""
    tests, failed = sum(one.tests for one in runs), sum(len(one.failed) for one in runs)
    bad = sum(bool(one.failed) for one in runs)
    share = 100 * failed / max(1, tests)
    return f"{len(runs)} runs, {bad} with failures; {tests} tests, {failed} failed: {share:.3f} %"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.flakes")
    parser.add_argument("--runs", type=int, default=50)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**31))
    given, options = parser.parse_known_args()
    runs = list[Run]()
    for seed in range(given.seed, given.seed + given.runs):
        one = run(seed, options or ["tests/chaos"])
        runs.append(one)
        print(f"{len(runs)} of {given.runs}: {one.tests} tests, {len(one.failed)} failed")
        if one.failed:
            print(*one.failed, *one.seeds, one.command, sep="\n", flush=True)
    print(summary(runs))
    return 1 if any(one.failed for one in runs) else 0


if __name__ == "__main__":
    sys.exit(main())
