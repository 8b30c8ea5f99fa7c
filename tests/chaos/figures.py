"""
`python -m tests.chaos.figures`: what this package promises of faults and of secrets, in figures.

Each is measured by the test that proves it, which hands it on with pytest's `record_property`; here
those tests are run, one after the other, and what they saw is held against the goal. The tests have
bounds with room for a busy machine; the goals here have none. Those figures that need a tormented
cluster are printed by `python -m tests.chaos`.
"""

from __future__ import annotations

import operator
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pytest

from tests.chaos.table import Line, table

__all__ = ["FIGURES", "SOURCES", "Figure", "Seen", "lines"]

Fold = Callable[[Sequence[float]], float]


@dataclass(frozen=True)
class Figure:
    """What is measured, how many measurements become one, and what it should be."""

    name: str
    goal: float
    fold: Fold = max
    within: Callable[[float, float], bool] = operator.le

    @property
    def target(self) -> str:
        sign = ">=" if self.within is operator.ge else "<=" if self.goal else ""
        return f"{sign} {self.goal:g}".strip()


def _at_least(name: str, goal: float, fold: Fold = min) -> Figure:
    return Figure(name, goal, fold, operator.ge)


FIGURES: Final = [
    _at_least("R3 reads that succeeded although the leader was killed, %", 99.9),
    Figure("R3 slowest read, s beyond the election", 0.5),
    Figure("R4 hung leader or agent: s beyond the attempt time-out", 0.5),
    Figure("R5 attempts before the circuit of a hung datacenter opens, where 3 are allowed", 3),
    Figure("R5 attempts before the circuit of a hung datacenter opens, by default", 5),
    Figure("R5 99th percentile of local calls meanwhile, of what it was before", 1.1),
    _at_least("R8 calls that were cancelled", 10_000),
    Figure("R8 places, tasks and sockets leaked", 0, sum),
    Figure("R8 calls afterwards that failed", 0, sum),
    Figure("R8 99th percentile from a cancellation to its end, ms of work", 100),
    Figure("R8 from a cancellation to its end wherever a call waits, ms", 100),
    Figure("R9 calls that failed beside 1000 cancelled watches", 0, sum),
    Figure("R9 connections at the agent, half-closed ones too", 150),
    Figure("R10 s from a new leader to the last of the watches", 2),
    _at_least("R11 recorded exchanges", 388),
    _at_least("R11 recorded exchanges taken as they were meant, %", 100),
    _at_least("S1 texts in which the token could be", 10_000, sum),
    Figure("S1 texts in which a piece of it was", 0, sum),
    Figure("S2 requests to a second origin", 0, sum),
    _at_least("S3 hostile names under each method", 500),
    Figure("S3 requests that left their path", 0, sum),
    _at_least("S4 damaged answers", 200_000, sum),
    Figure("S4 errors outside of the tree", 0, sum),
    Figure("S4 slowest call, s", 1),
    Figure("S5 growth by a hostile answer, MiB", 32),
    Figure("S5 seconds for a hostile answer that is there", 1),
    _at_least("S6 cases of wrong TLS, each told once as configuration", 8),
    Figure("S6 requests that got through", 0, sum),
]

SOURCES: Final = [
    "tests/chaos/test_hung.py",
    "tests/chaos/test_cancelled.py",
    "tests/chaos/test_recorded.py",
    "tests/chaos/test_session.py",
    "tests/chaos/test_second_origin.py",
    "tests/chaos/test_paths.py",
    "tests/chaos/test_fuzz.py",
    "tests/chaos/test_hostile.py",
    "tests/chaos/test_tls.py",
    "tests/test_leader_loss.py",
    "tests/test_watch_election.py",
    "tests/test_watch_storm.py",
]


@dataclass
class Seen:
    """A plugin of pytest: what tests recorded, by the name of the figure."""

    figures: dict[str, list[float]] = field(default_factory=dict)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call":
            for name, value in report.user_properties:
                self.figures.setdefault(name, []).append(float(str(value)))


def lines(seen: Mapping[str, Sequence[float]]) -> Iterator[Line]:
    """A line for each figure. One that nobody measured is not met."""
    for figure in FIGURES:
        values = seen.get(figure.name, ())
        measured = f"{figure.fold(values):.4g}" if values else "not measured"
        met = bool(values) and figure.within(figure.fold(values), figure.goal)
        yield figure.name, figure.target, measured, met


def main() -> int:
    seen = Seen()
    root = Path(__file__).parent.parent.parent
    options = ["-q", "--no-header", "--rootdir", str(root), *sys.argv[1:]]
    ended = pytest.main([*options, *(str(root / source) for source in SOURCES)], plugins=[seen])
    told = list(lines(seen.figures))
    print(*table(told), sep="\n")
    return 0 if all(line[-1] for line in told) and ended == pytest.ExitCode.OK else 1


if __name__ == "__main__":
    sys.exit(main())
