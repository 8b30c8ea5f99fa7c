"""Damaged answers, in the short form; `python -m tests.chaos.fuzz` is the long one."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Iterator
from random import Random
from typing import Final

import httpx
import pytest

from consul_onex import ConsulClient
from tests.chaos import fuzz as fuzzing
from tests.chaos.fuzz import GROWTH, fuzz, report
from tests.chaos.mutate import Raw, damaged

RUNS: Final = 12_500
PARTS: Final = 8
"""So many times as many, on asyncio and on trio: a minute of one core, which several may share."""


@pytest.fixture
def no_log() -> Iterator[None]:
    """The canary reads every record along, which takes longer than the calls."""
    before = logging.root.manager.disable
    logging.disable()
    yield
    logging.disable(before)


@pytest.mark.usefixtures("no_log")
@pytest.mark.parametrize("part", range(PARTS))
async def test_whatever_is_answered_a_call_ends_in_a_value_or_in_an_error_of_ours(
    part: int, record_property: Callable[[str, object], None]
) -> None:
    seed = random.SystemRandom().randrange(2**32)
    # Shown where the test fails: with it, it fails again.
    print(f"seed {seed}: python -m tests.chaos.fuzz --seed {seed}")

    fuzzed = await fuzz(RUNS, seed)

    print("\n".join(report(fuzzed)))
    record_property("S4 damaged answers", fuzzed.runs)
    record_property("S4 errors outside of the tree", len(fuzzed.wrong))
    record_property("S4 slowest call, s", fuzzed.slowest)
    assert fuzzed.wrong == []
    assert fuzzed.runs == RUNS
    assert fuzzed.growth <= GROWTH
    # There was something to get wrong.
    assert len(fuzzed.ends) >= 10
    assert min(fuzzed.values) > RUNS / 100
    assert fuzzed.ends["a value"] < RUNS / 2


async def test_an_error_that_is_not_ours_is_found_and_can_be_repeated(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(c: ConsulClient) -> None:
        raise KeyError("ID")

    class Broken:
        @staticmethod
        def response() -> httpx.Response:
            return httpx.Response(200)

        call = staticmethod(broken)

        def __str__(self) -> str:
            return "broken"

    monkeypatch.setattr(fuzzing, "CASES", [Broken()])

    fuzzed = await fuzz(1, 7, first=4)

    assert "seed 7, run 4, broken" in fuzzed.wrong[0]
    assert "KeyError" in fuzzed.wrong[0]
    assert "S4 errors outside of the tree | 0 | 1" in list(report(fuzzed))


def test_a_seed_makes_the_same_damage_again() -> None:
    answer = Raw(200, [(b"X-Consul-Index", b"7")], b'[{"Key": "k", "Value": "djE="}]')

    first, again = ([damaged(answer, Random(f"1/{n}")) for n in range(200)] for _ in range(2))

    assert first == again
    assert len({one.body for one in first}) > 50
    assert len({one.status for one in first}) > 20
