"""A tormented cluster, in the short form; `make chaos` is the long one."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable

import pytest

from tests.chaos import one_datacenter, two_datacenters
from tests.chaos.history import Action, Operation
from tests.chaos.load import Line, Load, lines
from tests.chaos.nemesis import HANGS
from tests.support.agents import Cluster, Guarded

SECONDS = 20.0
ROOM = 10.0
"""Seconds that a busy machine may take longer."""


def seeded() -> int:
    seed = random.SystemRandom().randrange(2**32)
    # Shown where the test fails: with it, the same is done again.
    print(f"seed {seed}: python -m tests.chaos --seed {seed}")
    return seed


def missed(told: Iterable[Line]) -> list[str]:
    """Those that are not met; all of them are printed."""
    found = list(told)
    for name, target, measured, _ in found:
        print(f"{name} | {target} | {measured}")
    return [name for name, _, _, fine in found if not fine]


@pytest.mark.timeout(300)
async def test_all_that_clients_of_a_tormented_cluster_were_told_is_true(cluster: Cluster) -> None:
    seen = await one_datacenter.run(cluster, seeded(), SECONDS)

    print(seen.story.done)
    assert seen.story.done
    assert missed(one_datacenter.report(seen, ROOM)) == []


@pytest.mark.timeout(300)
async def test_a_tormented_remote_datacenter_is_felt_only_by_those_who_need_it(
    guarded: Guarded,
) -> None:
    seen = await two_datacenters.run(guarded, seeded(), SECONDS)

    print(seen.story.done)
    assert seen.story.done
    assert missed(two_datacenters.report(seen, ROOM)) == []


def test_a_lost_write_and_a_wrong_answer_are_reported() -> None:
    load = Load()
    load.histories = {
        "fine": [Operation(Action.WRITE, 0, 1, b"a"), Operation(Action.READ, 2, 3, b"a")],
        "lost": [Operation(Action.WRITE, 0, 1, b"a"), Operation(Action.READ, 2, 3, None)],
        "wrong": [
            Operation(Action.NO_SWAP, 0, 1, b"a", None),
            Operation(Action.READ, 2, 3, b"a"),
        ],
    }

    assert load.untrue() == ["lost", "wrong"]
    assert "R1, R2 keys with a lost write or a wrong answer" in missed(lines(load, faults=1))


@pytest.mark.parametrize(
    ("turns", "found"),
    [
        ([], False),
        ([(0, 1, 1), (1, 2, 2)], False),
        ([(2, 3, 1), (0, 1, 2)], False),
        ([(0, 1, 1), (0.9, 2, 2)], True),
        ([(0, 9, 1), (1, 2, 2), (3, 4, 2)], True),
    ],
)
def test_two_holders_at_once_are_reported(
    turns: list[tuple[float, float, int]], found: bool
) -> None:
    load = Load(held=turns)

    assert (load.two_holders() > 0) is found


def test_what_the_own_datacenter_must_not_feel_is_reported() -> None:
    seen = two_datacenters.Seen(Load(), Load())
    seen.story.done = [HANGS]
    seen.local = [0.01] * 98 + [60.0] * 2
    seen.local_failed = Counter({"ConsulTimeoutError": 1})
    seen.stranded = Counter({"CircuitOpenError": 2})
    seen.astray = seen.incomplete = seen.watch_errors = seen.leaked = 1
    seen.most_in_a_row = 6

    told = missed(two_datacenters.report(seen))

    assert [name for name in told if "datacenter" not in name] == [
        "R5 of them failed",
        "R5 their 99th percentile, s",
        "R5 reads that were answered elsewhere",
        "R5 reads that were not, and could",
        "R5 reads that did not say from where",
        "R5 times the circuit opened",
        "R5 attempts before it did",
        "R5 s from when all was well until it had",
        "R2 lists in which something was missing",
        "R10 s from when all was well until the last watch had it",
        "R10 errors of watches",
        "R8 places, tasks and sockets leaked",
    ]
