"""How often a watch asks where something changes all the time, and that it misses nothing by it."""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field

import anyio
import anyio.lowlevel
from hypothesis import given, settings
from hypothesis import strategies as st

from consul_onex import Cursor, QueryMeta, Watch

BURST, RATE = 500, 8
"""Wake-ups at once, and then a second."""

SLACK = 1e-6
"""Seconds that sums of them may differ by."""


@dataclass
class Life:
    """A key that is written at known times, and a clock that goes on where somebody waits."""

    writes: Sequence[float]
    now: float = 0.0
    asked: list[float] = field(default_factory=list)

    def clock(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds
        await anyio.lowlevel.checkpoint()

    async def read(self, cursor: Cursor) -> int:
        """How often it was written by now, or by when it is written next."""
        self.asked.append(self.now)
        await anyio.lowlevel.checkpoint()
        value = bisect.bisect_right(self.writes, self.now)
        if cursor.index == value + 1:
            self.now, value = self.writes[value], value + 1
        cursor.advance(QueryMeta(index=value + 1))
        return value


def delivered(life: Life) -> list[tuple[float, int]]:
    """Every value that a watch delivers, and when, until the last there is."""
    seen: list[tuple[float, int]] = []

    async def follow() -> None:
        watch = Watch(life.read, wait=600.0, now=life.clock, sleep=life.sleep)
        while not seen or seen[-1][1] < len(life.writes):
            value = await anext(watch)
            seen.append((life.now, value))

    anyio.run(follow)
    return seen


# Bursts, a steady stream, and silence in between.
_STRETCHES = st.tuples(st.integers(1, 600), st.sampled_from([0.001, 0.01, 0.1, 0.2, 1.0, 30.0]))
_PAUSES = st.lists(_STRETCHES, min_size=1, max_size=4).map(
    lambda stretches: [pause for times, pause in stretches for _ in range(times)]
)


@settings(max_examples=30)
@given(_PAUSES)
def test_the_last_value_is_seen_and_no_value_is_late_by_more_than_one_pause(
    pauses: list[float],
) -> None:
    writes = list(itertools.accumulate(pauses))

    seen = delivered(Life(writes))

    assert seen[-1][1] == len(writes)
    numbers = [number for _, number in seen]
    assert numbers == sorted(set(numbers))
    # Each write is seen, or one after it, at once or when the pause is over.
    for number, at in enumerate(writes, 1):
        found = seen[bisect.bisect_left(numbers, number)][0]
        assert found - at <= 1 / RATE + SLACK


@settings(max_examples=30)
@given(_PAUSES)
def test_it_is_not_asked_more_often_than_that_over_any_time(pauses: list[float]) -> None:
    life = Life(list(itertools.accumulate(pauses)))

    delivered(life)

    # A bucket that leaks so fast never holds more. The first read is no wake-up, and one is
    # always under way.
    held, before = 0.0, 0.0
    for at in life.asked:
        held = max(0.0, held - RATE * (at - before)) + 1
        before = at
        assert held <= BURST + 2 + SLACK


@given(st.lists(st.floats(1 / RATE + SLACK, 60.0), min_size=1, max_size=50))
def test_what_changes_seldom_enough_is_seen_at_once(pauses: list[float]) -> None:
    writes = list(itertools.accumulate(pauses))

    seen = delivered(Life(writes))

    assert seen == [(0.0, 0), *((at, number) for number, at in enumerate(writes, 1))]


def test_the_first_changes_of_a_burst_are_seen_at_once() -> None:
    writes = [1 + n / 1000 for n in range(BURST + 50)]

    seen = delivered(Life(writes))

    assert seen[1 : BURST + 1] == [(at, n) for n, at in enumerate(writes[:BURST], 1)]
    assert len(seen) < len(writes)
