"""
What clients were told, and whether there is an order of events in which all of it is true.

A history is the operations of one key, each with the time at which it was called and the time at
which it returned. It is linearisable when every operation can be given one moment in between at
which it took effect. One whose outcome is unknown may have taken effect at any time after its call,
or never: its end is never, and it need not be placed at all.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

__all__ = ["Action", "Operation", "State", "is_linearisable"]

State: TypeAlias = "bytes | None"
"""A key's value; None where there is none."""


class Action(enum.Enum):
    READ = "read"
    WRITE = "write"
    SWAP = "swap"  # a check-and-set that was reported as applied, or is unknown
    NO_SWAP = "no swap"  # one that was reported as not applied


@dataclass(frozen=True, slots=True)
class Operation:
    """One call: what it was told to do, or what it found."""

    action: Action
    called: float
    returned: float = math.inf
    """Infinity where nobody knows whether it took effect."""
    value: State = None
    """What was read or written."""
    expected: State = None
    """What a check-and-set took to be there."""

    @property
    def certain(self) -> bool:
        return self.returned < math.inf

    def after(self, state: State) -> tuple[bool, State]:
        """Whether it can be that it took effect in this state, and the state after it."""
        match self.action:
            case Action.READ:
                return state == self.value, state
            case Action.WRITE:
                return True, self.value
            case Action.SWAP:
                return state == self.expected, self.value
            case Action.NO_SWAP:
                return state != self.expected, state


def is_linearisable(history: Sequence[Operation], initial: State = None) -> bool:
    """
    Whether there is such an order, by trying all that the times allow.

    Wing and Gong's search; a set of operations that have taken effect, and the state after them,
    is never looked at twice (Lowe).
    """
    operations = sorted(history, key=lambda operation: operation.called)
    certain = sum(1 << number for number, one in enumerate(operations) if one.certain)
    seen: set[tuple[int, State]] = set()
    stack: list[tuple[int, State]] = [(0, initial)]
    while stack:
        place = stack.pop()
        done, state = place
        if done & certain == certain:
            return True
        if place in seen:
            continue
        seen.add(place)
        # Whatever is next was called before anything that is left has returned.
        rest = [n for n in range(len(operations)) if not done >> n & 1]
        first_end = min(operations[n].returned for n in rest)
        for n in rest:
            if operations[n].called > first_end:
                break
            possible, then = operations[n].after(state)
            if possible:
                stack.append((done | 1 << n, then))
    return False
