"""
What happens by itself, later.

Nothing runs in the background. Whoever asks the agent, or waits for it, first lets happen what has
fallen due since; each thing at its own time and in order, so nobody can tell the difference.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable
from itertools import count

import anyio

from .clock import Clock

__all__ = ["Timer", "Timers"]


class Timer:
    """Something that will be done, unless it is cancelled before."""

    def __init__(self, action: Callable[[], None]) -> None:
        self.action = action
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class Timers:
    """What is to be done when."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self._due: list[tuple[float, int, Timer]] = []
        self._numbers = count()
        self._waiting: set[anyio.Event] = set()
        self._moment: float | None = None

    @property
    def now(self) -> float:
        """The time; for what falls due, that at which it did."""
        return self.clock.time() if self._moment is None else self._moment

    def after(self, seconds: float, action: Callable[[], None]) -> Timer:
        timer = Timer(action)
        if seconds == math.inf:
            # Never: that needs no time to count from.
            return timer
        due = self.now + seconds
        if due < self._next():
            # Who waits for something later has to be woken for this.
            self.stir()
        heapq.heappush(self._due, (due, next(self._numbers), timer))
        return timer

    def stir(self) -> None:
        """Wake everybody who waits, to look again."""
        for event in self._waiting:
            event.set()

    def settle(self) -> None:
        """Do what has fallen due."""
        now = self.clock.time()
        while self._next() <= now:
            self._moment, _, timer = heapq.heappop(self._due)
            timer.action()
        self._moment = None

    async def wait(self, event: anyio.Event, until: float) -> None:
        """Wait for an event, and no longer than until then; it may be shorter than either."""
        self._waiting.add(event)
        try:
            await self.clock.wait(event, min(until, self._next()))
        finally:
            self._waiting.discard(event)
        self.settle()

    def _next(self) -> float:
        while self._due and self._due[0][2].cancelled:
            heapq.heappop(self._due)
        return self._due[0][0] if self._due else math.inf
