"""
What is followed, once for all who follow it: the engine below every watch.

There is no task in the background. Whoever waits for news of a topic asks Consul for it; who comes
while somebody asks already waits along. When the one who asks leaves, with the news or cancelled,
the next one asks on. So nothing runs that nobody waits for, and nothing is left behind.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Awaitable, Callable, Hashable
from typing import Final, Generic, TypeVar, cast
from weakref import WeakValueDictionary

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

__all__ = ["Hub", "Topic"]

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

# Seconds between two failed reads: at random up to the first, doubled each time up to a longest,
# which is one for as long as an election or a restart may take, and another after that.
_FIRST_PAUSE: Final = 0.25
_LONGEST_PAUSE_AT_FIRST: Final = 2.0
_AT_FIRST: Final = 30.0
_LONGEST_PAUSE: Final = 10.0

# So long while nobody asked, and an agent may have been wiped and restarted unseen. It would keep
# the index of its former life waiting.
_UNSEEN: Final = 1.0

# Now and then a read without an index is the guard against a wake-up that was lost.
_FRESH_AFTER: Final = 600.0

# What is cut after less is an agent that died, or a slow connection; after more, perhaps a server
# or a proxy that lets no request take so long.
_SHORTEST_CUT: Final = 5.0

# Seconds between two looks for what is not there.
_NOT_THERE: Final = 1.0

_NOTHING: Final = object()


class Topic(Generic[T]):
    """One read that is followed: what it answered last, and how to hear of the next."""

    def __init__(
        self,
        read: Callable[[Cursor], Awaitable[T]],
        *,
        wait: float = 60.0,
        every: float | None = None,
        hub: Hub | None = None,
        now: Callable[[], float] = anyio.current_time,
        sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
        dice: Callable[[], float] = random.random,
    ) -> None:
        self.cursor = Cursor(wait)
        self.cursor.paced = True
        self.version = 0
        """Counts the values that differed from the one before; 0 while there is none."""
        self.breaks = 0
        """Counts the breaks in Consul's history."""
        self.failures = 0
        """How many reads in a row have failed just now."""
        self.since: float | None = None
        """When the first of them failed."""
        self.answered: float | None = None
        """When Consul answered last."""
        self.now = now
        self._read = read
        self._every = every
        self._hub = hub if hub is not None else Hub()
        self._sleep = sleep
        self._dice = dice
        self._value: T | object = _NOTHING
        self._answers = 0
        self._asking = False
        self._left = 0.0
        self._fresh = 0.0
        self._cut: float | None = None
        self._refused: float | None = None
        self._pace = _Pace()
        self._news: anyio.Event | None = None

    @property
    def value(self) -> T:
        """What Consul answered last."""
        return cast(T, self._value)

    async def beyond(self, version: int, *, within: float | None = None) -> None:
        """
        Come back when there is a later version than this one.

        With `within`, come back after so many seconds in any case, or soon after that.
        """
        end = None if within is None else self.now() + within
        while self.version <= version and (end is None or self.now() < end):
            if self._asking:
                await self._wait_along(end)
            else:
                await self._ask(lambda: self.version <= version, end)

    async def current(self) -> None:
        """Come back when what Consul says now is known. It is, while somebody asks."""
        if self._asking and self.version:
            return
        before = self._answers
        self.cursor.restart()
        while self._answers == before:
            if self._asking:
                await self._wait_along(None)
            else:
                await self._ask(lambda: self._answers == before, None)

    async def _wait_along(self, end: float | None) -> None:
        if self._news is None:
            self._news = anyio.Event()
        with anyio.move_on_after(None if end is None else end - self.now()):
            await self._news.wait()

    async def _ask(self, unknown: Callable[[], bool], end: float | None) -> None:
        """Ask until it is known, or until `end`."""
        if self.now() - self._left > _UNSEEN:
            self.cursor.restart()
        self._asking = True
        self._hub.asking += 1
        try:
            while unknown() and (end is None or self.now() < end):
                await self._step(end)
        finally:
            self._hub.asking -= 1
            self._asking = False
            self._left = self.now()
            # There is news, or the turn is somebody else's.
            if self._news is not None:
                self._news.set()
                self._news = None

    async def _step(self, end: float | None) -> None:
        cursor, started = self.cursor, self.now()
        if started - self._fresh > _FRESH_AFTER:
            cursor.restart()
        waits, wait, failure = cursor.waits, cursor.wait, None
        if not waits:
            self._fresh = started
        allowed = self._hub.share(wait if end is None else min(wait, max(end - started, 0.05)))
        cursor.wait = allowed
        try:
            value = await self._read(cursor)
        except ConsulError as error:
            failure = error
        finally:
            cursor.wait = wait
        if failure is not None:
            await self._endure(failure, started if waits else None)
            return
        self.failures, self.since, self._refused = 0, None, None
        self.answered = self.now()
        if self._cut is not None and self.answered - started > self._cut:
            # It was no rule.
            self._cut = None
        self._answers += 1
        meta, every = cursor.meta, self._every
        if every is None and meta.index is None and meta.content_hash is None and value is None:
            # What is not there may have no place in history to wait beyond.
            every = _NOT_THERE
        if every is None and meta.index is None and meta.content_hash is None:
            raise InvalidRequestError(
                "this read cannot be watched: its answer has no index to wait beyond; "
                "c.poll asks again and again"
            )
        self.breaks += cursor.resynchronised
        if self.version == 0 or value != self._value:
            self._value = value
            self.version += 1
        elif every is not None:
            await self._sleep(every)
        elif waits and self.answered - started < allowed:
            # Woken without news: a neighbour changed, or the server ended the wait early.
            await self._sleep(self._pace.pause(self.answered))

    async def _endure(self, error: ConsulError, waiting_since: float | None) -> None:
        """Wait out an error that passes; raise any other."""
        self.failures += 1
        if self.since is None:
            self.since = self.now()
        if not self._passes(error):
            self.failures, self.since, self._refused = 0, None, None
            raise error
        if waiting_since is not None:
            self._learn_of_cuts(self.now() - waiting_since)
        early = self.now() - self.since < _AT_FIRST
        longest = _LONGEST_PAUSE_AT_FIRST if early else _LONGEST_PAUSE
        cap = min(_FIRST_PAUSE * 2.0 ** min(self.failures - 1, 16), longest)
        await self._sleep(self._dice() * cap)

    def _passes(self, error: ConsulError) -> bool:
        if isinstance(error, OverloadedError):
            return self._hub.queue
        if not isinstance(error, PermissionDeniedError):
            return isinstance(error, _PASSING)
        if self._refused is None:
            self._refused = self.now()
            log.warning("a watch is refused, and asks again for %g s: %s", _REFUSAL_LASTS, error)
        return self.now() - self._refused < _REFUSAL_LASTS

    def _learn_of_cuts(self, lasted: float) -> None:
        """Wait less than something between here and Consul allows, once it has shown it twice."""
        before, self._cut = self._cut, lasted
        if lasted < _SHORTEST_CUT or lasted >= self.cursor.wait:
            self._cut = None
        elif before is not None and abs(before - lasted) < 0.1 * lasted:
            self.cursor.wait = 0.8 * lasted
            log.info("long polls are cut after %.0f s: waiting %.0f s", lasted, self.cursor.wait)


class Hub:
    """The topics of one client. Equal ones are one, as long as somebody follows it."""

    def __init__(self, places: int | None = None, *, queue: bool = True) -> None:
        self.asking = 0
        """How many topics are asked for at the moment."""
        self.queue = queue
        """Whether a topic without a place waits for one, rather than failing."""
        self._places = places
        self._topics: WeakValueDictionary[Hashable, Topic[object]] = WeakValueDictionary()

    def __len__(self) -> int:
        return len(self._topics)

    def topic(self, key: Hashable, make: Callable[[], Topic[T]]) -> Topic[T]:
        """The topic of that key, made where there is none."""
        known = self._topics.get(key)
        if known is None:
            known = self._topics[key] = cast(Topic[object], make())
        return cast(Topic[T], known)

    def share(self, wait: float) -> float:
        """How long one query may wait, so that every topic gets a place in time."""
        if self._places is None or self.asking <= self._places:
            return wait
        # Half of what would just do: those that queue have no more time than those that wait.
        return max(1.0, min(wait, 60.0) * self._places / self.asking / 2)


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
