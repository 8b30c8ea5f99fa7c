"""The checker of histories finds what is wrong, and nothing else."""

from __future__ import annotations

import itertools
import math
from random import Random

import pytest

from tests.chaos.history import Action, Operation, State, is_linearisable

NEVER = math.inf


def read(value: State, called: float, returned: float) -> Operation:
    return Operation(Action.READ, called, returned, value)


def write(value: State, called: float, returned: float = NEVER) -> Operation:
    return Operation(Action.WRITE, called, returned, value)


def swap(expected: State, value: State, called: float, returned: float = NEVER) -> Operation:
    return Operation(Action.SWAP, called, returned, value, expected)


def no_swap(expected: State, called: float, returned: float) -> Operation:
    return Operation(Action.NO_SWAP, called, returned, expected=expected)


@pytest.mark.parametrize(
    "history",
    [
        [],
        [read(None, 0, 1)],
        [write(b"a", 0, 1), read(b"a", 2, 3)],
        # At the same time, in either order.
        [write(b"a", 0, 2), read(None, 1, 3)],
        [write(b"a", 0, 2), read(b"a", 1, 3)],
        [write(b"a", 0, 9), write(b"b", 0, 9), read(b"a", 10, 11)],
        # Unknown: never, at once, and late.
        [write(b"a", 0), read(None, 5, 6)],
        [write(b"a", 0), read(b"a", 5, 6)],
        [write(b"a", 0), read(None, 5, 6), read(b"a", 7, 8)],
        [swap(None, b"a", 0), no_swap(None, 1, 2), read(b"a", 3, 4)],
        [swap(None, b"a", 0, 1), swap(b"a", b"b", 2, 3), read(b"b", 4, 5)],
        [swap(None, b"a", 0, 9), no_swap(None, 0, 9)],
    ],
)
def test_a_history_that_can_be_true_is_taken(history: list[Operation]) -> None:
    assert is_linearisable(history)


@pytest.mark.parametrize(
    "history",
    [
        # An acknowledged write that is lost, and one that is undone.
        [write(b"a", 0, 1), read(None, 2, 3)],
        [write(b"a", 0, 1), write(b"b", 2, 3), read(b"a", 4, 5)],
        # A stale read, and one that goes back.
        [write(b"a", 0, 1), write(b"b", 2, 3), read(b"b", 4, 5), read(b"a", 6, 7)],
        [write(b"a", 0, 9), read(b"a", 1, 2), read(None, 3, 4)],
        # What nobody wrote, and what was not yet.
        [read(b"x", 0, 1)],
        [read(b"a", 0, 1), write(b"a", 2, 3)],
        [read(b"a", 0, 1), write(b"a", 2)],
        # Reported as not applied, and it was: what a blind retry of a check-and-set does.
        [no_swap(None, 0, 1)],
        [swap(None, b"a", 0, 1), swap(None, b"b", 2, 3)],
        # Two that were both told that they were first.
        [swap(None, b"a", 0, 9), swap(None, b"b", 0, 9)],
        # An unknown one takes effect once, not twice.
        [write(b"a", 0), read(b"a", 1, 2), write(b"b", 3, 4), read(b"b", 5, 6), read(b"a", 7, 8)],
    ],
)
def test_a_history_that_cannot_be_true_is_found(history: list[Operation]) -> None:
    assert not is_linearisable(history)


@pytest.mark.parametrize("seed", range(40))
def test_what_really_happened_is_taken_and_a_lie_in_it_is_found(seed: int) -> None:
    chance, state, history = Random(seed), None, list[Operation]()
    for number, at in enumerate(itertools.islice(itertools.count(0.0, 1.0), 20)):
        value = str(number).encode()
        # Called before the moment at which it takes effect, and returned after it.
        called, returned = at - 3 * chance.random(), at + 3 * chance.random()
        match chance.randrange(4):
            case 0:
                history.append(read(state, called, returned))
            case 1:
                # An answer that is lost, of a write that is or is not.
                history.append(write(value, called))
                state = value if chance.random() < 0.5 else state
            case 2:
                history.append(swap(state, value, called, returned))
                state = value
            case 3:
                history.append(no_swap(b"never there", called, returned))

    assert is_linearisable(history)
    assert not is_linearisable([*history, read(b"never there", 100, 101)])
