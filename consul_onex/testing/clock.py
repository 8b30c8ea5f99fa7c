"""The time of a fake agent."""

from __future__ import annotations

import heapq
import math
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Final

import anyio
import anyio.lowlevel

__all__ = ["Clock", "LoopClock"]

# On asyncio anyio looks every 0.1 s whether all wait. Most do after a few steps.
_STEPS: Final = 25


class Clock:
    """
    A time that is the test's own: it stands still until it is told to advance.

    With `automatic=True` it tells itself. When everything waits, and something here waits for a
    time, it is that time at once. A watch that nobody disturbs then asks again and again, as fast
    as it can, so an automatic clock is for tests that end by themselves.
    """

    def __init__(self, *, automatic: bool = False) -> None:
        self._automatic = automatic
        self._now = 0.0
        self._made = datetime.now(UTC)
        self._alarms: list[tuple[float, int, anyio.Event]] = []
        self._numbers = count()
        self._moving = anyio.Lock()

    def __repr__(self) -> str:
        kind = " automatic" if self._automatic else ""
        return f"<Clock{kind} {self._now:g}>"

    def time(self) -> float:
        """Seconds since the clock was made."""
        return self._now

    def date(self) -> datetime:
        """The date: that of the machine when the clock was made, and as much later as it says."""
        return self._made + timedelta(seconds=self._now)

    async def advance(self, seconds: float) -> None:
        """
        Let so many seconds pass.

        What falls due on the way does so in its order, each at its own time, and everybody has
        reacted to it before the next. So it is afterwards: whoever could do something, has.
        """
        if not 0 <= seconds < math.inf:
            raise ValueError(f"a clock advances by a number of seconds from 0, not by {seconds!r}")
        until = self._now + seconds
        await _settled()
        while self._alarms and self._alarms[0][0] <= until:
            self._ring()
            await _settled()
        self._now = until

    async def sleep(self, seconds: float) -> None:
        """Wait so many seconds of this clock."""
        await self.wait(anyio.Event(), self.time() + seconds)

    async def wait(self, event: anyio.Event, until: float) -> None:
        """Wait for an event, and no longer than until this time; then the event is set as well."""
        if event.is_set() or until <= self._now:
            await anyio.lowlevel.checkpoint()
            return
        alarm = (until, next(self._numbers), event)
        if until < math.inf:
            heapq.heappush(self._alarms, alarm)
        try:
            await self._wait(event)
        finally:
            if alarm in self._alarms:
                self._alarms.remove(alarm)
                heapq.heapify(self._alarms)

    async def _wait(self, event: anyio.Event) -> None:
        if not self._automatic:
            await event.wait()
            return
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._move)
            await event.wait()
            tasks.cancel_scope.cancel()

    async def _move(self) -> None:
        """Go on whenever everything waits. Of those who wait for a time, one does it for all."""
        async with self._moving:
            while True:
                await _settled()
                if self._alarms:
                    self._ring()
                else:
                    await anyio.sleep_forever()

    def _ring(self) -> None:
        """Go on to the next alarm."""
        due, _, event = heapq.heappop(self._alarms)
        self._now = max(self._now, due)
        event.set()


class LoopClock(Clock):
    """The time of the event loop: it passes by itself, and cannot be advanced."""

    def __repr__(self) -> str:
        return "<LoopClock>"

    def time(self) -> float:
        """Seconds, from whenever the loop counts."""
        return anyio.current_time()

    def date(self) -> datetime:
        """The date of the machine."""
        return datetime.now(UTC)

    async def advance(self, seconds: float) -> None:
        """Refuse: nobody can."""
        raise RuntimeError(
            f"this agent lives in real time, which cannot be advanced by {seconds:g} s: "
            "make it with FakeAgent(clock=Clock())"
        )

    async def wait(self, event: anyio.Event, until: float) -> None:
        """Wait for an event, and no longer than until this time."""
        with anyio.CancelScope(deadline=until):
            await event.wait()


async def _settled() -> None:
    """Until every other task waits for something."""
    for _ in range(_STEPS):
        await anyio.lowlevel.checkpoint()
    await anyio.wait_all_tasks_blocked()
