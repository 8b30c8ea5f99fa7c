"""Follow a read: what it answers now, and every time that changes."""

from __future__ import annotations

import logging
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from types import TracebackType
from typing import Final, Generic, TypeVar

import anyio

from .errors import (
    CircuitOpenError,
    ConsulConnectionError,
    ConsulError,
    InvalidRequestError,
    OverloadedError,
    PermissionDeniedError,
    RateLimitedError,
    ServerError,
    UnknownDatacenterError,
)
from .query import Cursor

__all__ = ["Watch"]

log = logging.getLogger("consul_onex")

T = TypeVar("T")

# These pass by themselves, and a watch outlives them.
_PASSING = (
    CircuitOpenError,
    ConsulConnectionError,
    OverloadedError,
    RateLimitedError,
    ServerError,
    UnknownDatacenterError,
)

# A client agent refuses valid tokens for up to 30 s after an outage (its negative ACL cache).
_REFUSAL_LASTS: Final = 35.0

# Seconds between two failed reads: at random up to the first, doubled each time up to the longest.
_FIRST_PAUSE: Final = 0.25
_LONGEST_PAUSE: Final = 10.0

_NEVER: Final = object()


class Watch(Generic[T]):
    """
    Follows one read, as an asynchronous iterator.

        async for pair in c.kv.watch("config/web"):
            ...

    The first value is delivered at once (None or an empty list where there is nothing yet), then
    each value that differs from the one before. A slow consumer sees the latest, not every one in
    between. Errors that pass (no leader, a lost connection, a restart) are waited out with growing
    pauses; a wrong request is raised, and so is a refusal of the token that lasts over 35 s. After
    an error the same object may be asked again.

    An answer from before what was seen is not believed at once: it is asked for again, of a leader
    that is sure of itself (`consistent`), unless the view asks for stale answers. A server that was
    just restarted may otherwise seem to be empty.

    Nothing runs between two steps: leaving the loop leaves nothing behind, and cancelling a step
    closes its connection.

    `resynchronised` says whether the value delivered last came after a break in Consul's history
    (a restored snapshot, a wiped agent, another datacenter); `failures` how many reads in a row
    have failed just now. An agent that is wiped between two steps, while nobody reads, is noticed
    when the next step's `wait` is over.
    """

    def __init__(
        self,
        read: Callable[[Cursor], Awaitable[T]],
        *,
        wait: float = 60.0,
        now: Callable[[], float] = anyio.current_time,
        sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
        dice: Callable[[], float] = random.random,
    ) -> None:
        self.cursor = Cursor(wait)
        self.cursor.paced = True
        self.resynchronised = False
        self.failures = 0
        self._read = read
        self._now = now
        self._sleep = sleep
        self._dice = dice
        self._latest: T | object = _NEVER
        self._broken = False
        self._closed = False
        self._reading = False
        self._refused_since: float | None = None
        self._pace = _Pace()

    def __repr__(self) -> str:
        return f"<Watch {self.cursor!r} failures={self.failures}>"

    def __aiter__(self) -> AsyncIterator[T]:
        return self

    async def __aenter__(self) -> Watch[T]:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._closed = True

    async def __anext__(self) -> T:
        if self._closed:
            raise StopAsyncIteration
        if self._reading:
            raise InvalidRequestError("this watch is already being read by another task")
        self._reading = True
        try:
            return await self._next()
        finally:
            self._reading = False

    async def _next(self) -> T:
        while True:
            started = self._now()
            try:
                value = await self._read(self.cursor)
            except ConsulError as error:
                await self._endure(error)
                continue
            self.failures, self._refused_since = 0, None
            if self.cursor.meta.index is None:
                raise InvalidRequestError(
                    "this read cannot be watched: its answer has no index to wait beyond"
                )
            self._broken = self._broken or self.cursor.resynchronised
            if self._latest is _NEVER or value != self._latest:
                self._latest = value
                self.resynchronised, self._broken = self._broken, False
                return value
            # Woken without news: a neighbour changed, or the server ended the wait early.
            if (now := self._now()) - started < self.cursor.wait:
                await self._sleep(self._pace.pause(now))

    async def _endure(self, error: ConsulError) -> None:
        """Wait out an error that passes; raise any other."""
        self.failures += 1
        if not self._passes(error):
            self.failures, self._refused_since = 0, None
            raise error
        cap = min(_FIRST_PAUSE * 2.0 ** min(self.failures - 1, 16), _LONGEST_PAUSE)
        await self._sleep(self._dice() * cap)

    def _passes(self, error: ConsulError) -> bool:
        if not isinstance(error, PermissionDeniedError):
            return isinstance(error, _PASSING)
        if self._refused_since is None:
            self._refused_since = self._now()
            log.warning("a watch is refused, and asks again for %g s: %s", _REFUSAL_LASTS, error)
        return self._now() - self._refused_since < _REFUSAL_LASTS


class _Pace:
    """
    How often a watch may be woken for nothing: twice at once, then once a second.

    Consul documents a token bucket for this: a fixed pause would delay the real news as well.
    """

    def __init__(self, burst: float = 2.0, rate: float = 1.0) -> None:
        self._burst = burst
        self._rate = rate
        self._tokens = burst
        self._at: float | None = None

    def pause(self, now: float) -> float:
        """Take one token, and say how many seconds to wait until it is there."""
        if self._at is not None:
            self._tokens = min(self._burst, self._tokens + (now - self._at) * self._rate)
        self._at = now
        self._tokens -= 1
        return max(0.0, -self._tokens / self._rate)
