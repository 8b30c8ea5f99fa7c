"""
What is followed, once for all who follow it: the engine below every watch.

There is no task in the background. Whoever waits for news of a topic asks Consul for it; who comes
while somebody asks already waits along. When the one who asks leaves, with the news or cancelled,
the next one asks on; an error that stays is raised to all of them. So nothing runs that nobody
waits for, and nothing is left behind.
"""

from __future__ import annotations

import logging
import math
import random
from collections.abc import Awaitable, Callable, Hashable
from copy import copy
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar, cast
from weakref import WeakValueDictionary

import anyio
import anyio.lowlevel

from .errors import (
    CircuitOpenError,
    ClientClosedError,
    ConsulConnectionError,
    ConsulError,
    InvalidRequestError,
    NoLeaderError,
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

# What a server or a proxy that lets no request take so long may make of it.
_CUTS = (ConsulConnectionError, ServerError)

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

# The shortest wait that is asked for where a follower's time is nearly over.
_SHORTEST_WAIT: Final = 0.05

# What changes without end is asked for so often a second, once it has used up so many changes. A
# burst, also one of some minutes, is worth more than the requests that it costs.
_CHANGES: Final = 8.0
_CHANGES_AT_ONCE: Final = 500.0

_NOTHING: Final = object()


@dataclass(slots=True)
class _News:
    """What those who wait along wait for: an answer, the error of who asked, or their own turn."""

    event: anyio.Event = field(default_factory=anyio.Event)
    error: ConsulError | None = None


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
        self._wait = self.cursor.wait
        self._every = every
        self._hub = hub if hub is not None else Hub()
        self._sleep = sleep
        self._dice = dice
        self._value: T | object = _NOTHING
        self._answers = 0
        # Whether nobody can know better than the last answer, as long as somebody asks.
        self._current = False
        self._asking = False
        self._left = 0.0
        self._fresh = 0.0
        # When the next read may begin, whoever asks by then.
        self._due = 0.0
        self._cut: float | None = None
        self._refused: float | None = None
        self._often = _Pace(burst=_CHANGES_AT_ONCE, rate=_CHANGES)
        self._seldom = _Pace(burst=2, rate=1)
        self._news: _News | None = None

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
        await self._until(lambda: self.version > version, end)

    async def current(self) -> None:
        """Come back when what Consul says now is known. It is, while somebody asks and hears."""
        if self._asking and self._current:
            await anyio.lowlevel.checkpoint()
            return
        if not self._asking:
            self._start_over()
            if self.since is None:
                self._due = 0.0
        before = self._answers
        await self._until(lambda: self._answers != before, None)

    async def _until(self, known: Callable[[], bool], end: float | None) -> None:
        """Ask, or wait along with who asks, until it is known, or until `end`."""
        while not known() and (end is None or self.now() < end):
            if self._asking:
                await self._wait_along(end)
            else:
                await self._ask(known, end)

    async def _wait_along(self, end: float | None) -> None:
        news = self._news = self._news or _News()
        with anyio.move_on_after(None if end is None else end - self.now()):
            await news.event.wait()
        if news.error is not None:
            # One of their own: each who catches it adds to its traceback.
            raise copy(news.error) from news.error.__cause__

    async def _ask(self, known: Callable[[], bool], end: float | None) -> None:
        if self.now() - self._left > _UNSEEN:
            self._start_over()
            self._refused = None
        self._asking = True
        self._hub.asking += 1
        try:
            while not known() and (end is None or self.now() < end):
                await self._step(end)
        except ConsulError as error:
            # It would be the same for each of them.
            self._tell(error)
            raise
        finally:
            self._hub.asking -= 1
            self._asking = False
            self._left = self.now()
            self._tell()

    def _tell(self, error: ConsulError | None = None) -> None:
        news, self._news = self._news, None
        if news is not None:
            news.error = error
            news.event.set()

    def _start_over(self) -> None:
        self.cursor.restart()
        self._current = False

    async def _step(self, end: float | None) -> None:
        """One read; or, where it is too early for it, a pause."""
        if self._hub.closed:
            raise ClientClosedError("this client is closed")
        cursor, started = self.cursor, self.now()
        left = math.inf if end is None else max(end - started, 0.0)
        if started < self._due:
            await self._hub.rest(self._sleep, min(self._due - started, left))
            return
        if started - self._fresh > _FRESH_AFTER:
            cursor.restart()
        waits, said = cursor.waits, cursor.meta
        if not waits:
            self._fresh = started
        allowed = self._hub.share(min(self._wait, max(left, _SHORTEST_WAIT)))
        cursor.wait = allowed
        try:
            value = await self._read(cursor)
        except ConsulError as error:
            self._start_over()
            self._endure(error)
            if waits and isinstance(error, _CUTS) and not isinstance(error, NoLeaderError):
                self._learn_of_cuts(self.now() - started, allowed)
            return
        except BaseException:
            if cursor.meta is not said:
                # A read of several requests: it has passed an answer that nobody has seen.
                self._start_over()
            raise
        finally:
            cursor.wait = self._wait
        self._note(value, started, allowed if waits else 0.0)

    def _note(self, value: T, started: float, allowed: float) -> None:
        """Take note of an answer, for which Consul had so many seconds to wait."""
        meta, every, now = self.cursor.meta, self._every, self.now()
        self.failures, self.since, self._refused = 0, None, None
        if every is None and meta.index is None and meta.content_hash is None:
            if value is not None:
                raise InvalidRequestError(
                    "this read cannot be watched: its answer has no index to wait beyond; "
                    "c.poll asks again and again"
                )
            # What is not there may have no place in history to wait beyond.
            every = _NOT_THERE
        took, self.answered = now - started, now
        if self._cut is not None and took > self._cut:
            # It was no rule.
            self._cut = None
        self._answers += 1
        self._current = True
        self.breaks += self.cursor.resynchronised
        news = self.version == 0 or value != self._value
        if news:
            self._value = value
            self.version += 1
        if every is not None:
            self._due = now + every
        elif took < allowed:
            pause = self._often.pause(now)
            if not news:
                # Woken for nothing: a neighbour changed, or the server ended the wait early.
                pause = max(pause, self._seldom.pause(now))
            self._due = now + pause
        self._tell()

    def _endure(self, error: ConsulError) -> None:
        """Ask again later after an error that passes; raise any other."""
        now = self.now()
        self.failures += 1
        if self.since is None:
            self.since = now
        if not self._passes(error):
            self.failures, self.since, self._refused = 0, None, None
            raise error
        early = now - self.since < _AT_FIRST
        longest = _LONGEST_PAUSE_AT_FIRST if early else _LONGEST_PAUSE
        cap = min(_FIRST_PAUSE * 2.0 ** min(self.failures - 1, 16), longest)
        self._due = now + self._dice() * cap

    def _passes(self, error: ConsulError) -> bool:
        if not isinstance(error, PermissionDeniedError):
            self._refused = None
            if isinstance(error, OverloadedError):
                return self._hub.queue
            return isinstance(error, _PASSING)
        if self._refused is None:
            self._refused = self.now()
            log.warning("a watch is refused, and asks again for %g s: %s", _REFUSAL_LASTS, error)
        return self.now() - self._refused < _REFUSAL_LASTS

    def _learn_of_cuts(self, lasted: float, allowed: float) -> None:
        """Wait less than something between here and Consul allows, once it has shown it twice."""
        before, self._cut = self._cut, lasted
        if lasted < _SHORTEST_CUT or lasted >= allowed:
            self._cut = None
        elif before is not None and abs(before - lasted) < 0.1 * lasted:
            self._wait = 0.8 * lasted
            log.info("long polls are cut after %.0f s: waiting %.0f s", lasted, self._wait)


class Hub:
    """The topics of one client. Equal ones are one, as long as somebody follows it."""

    def __init__(self, places: int | None = None, *, queue: bool = True) -> None:
        self.asking = 0
        """How many topics are asked for at the moment."""
        self.queue = queue
        """Whether a topic without a place waits for one, rather than failing."""
        self.closed = False
        """Whether the client is; nothing is asked then."""
        self._places = places
        self._resting: set[anyio.CancelScope] = set()
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
        return min(wait, max(1.0, min(wait, 60.0) * self._places / self.asking / 2))

    async def rest(self, sleep: Callable[[float], Awaitable[None]], pause: float) -> None:
        """Sleep, but no longer than the client is open."""
        with anyio.CancelScope() as scope:
            self._resting.add(scope)
            try:
                await sleep(pause)
            finally:
                self._resting.discard(scope)

    def close(self) -> None:
        """Wake every topic that pauses; each then raises ClientClosedError."""
        self.closed = True
        for scope in self._resting:
            scope.cancel()


class _Pace:
    """
    How often a watch may be woken: so many times at once, then so many times a second.

    Consul documents a token bucket for this: a fixed pause would delay the real news as well. What
    changes in a pause is not lost. Whoever asks from an index on hears at once that it is past, and
    gets the value of that moment.
    """

    def __init__(self, *, burst: float, rate: float) -> None:
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
