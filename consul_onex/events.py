"""
What happens to a call, as facts to observe.

Events name the operation and its outcome. They never hold a key, a value, a path or a token: a key
may be confidential, and a session's id is the right to release its lock.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

__all__ = ["CallEnded", "CallStarted", "CircuitChanged", "Event", "Hook", "Retrying"]


@dataclass(frozen=True, slots=True)
class CallStarted:
    """A call enters the stack."""

    operation: str
    datacenter: str | None


@dataclass(frozen=True, slots=True)
class CallEnded:
    """
    A call leaves the stack, `seconds` after it entered.

    `status` is None where no answer came, `error` then the name of what was raised
    (`"Cancelled"` where the caller, or the deadline, ended it).
    """

    operation: str
    datacenter: str | None
    seconds: float
    attempts: int
    status: int | None
    error: str | None


@dataclass(frozen=True, slots=True)
class Retrying:
    """Attempt number `attempt` failed; the next follows in `pause` seconds."""

    operation: str
    datacenter: str | None
    attempt: int
    pause: float
    reason: str


@dataclass(frozen=True, slots=True)
class CircuitChanged:
    """A circuit went from one state to another (`"closed"`, `"open"`, `"half-open"`)."""

    circuit: str
    before: str
    after: str


Event = CallStarted | CallEnded | Retrying | CircuitChanged


class Hook(Protocol):
    """Called for each event, between two steps of the call: it must not block."""

    def __call__(self, event: Event, /) -> None: ...
