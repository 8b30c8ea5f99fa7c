"""Follow a read: what it answers now, and every time that changes."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable
from copy import copy
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Generic, Self, TypeVar, cast, overload

import anyio

from ._numbers import seconds
from ._topic import Topic
from .changes import Changes
from .errors import InvalidRequestError
from .query import Cursor

__all__ = ["Watch", "WatchState"]

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class WatchState:
    """How a watch is doing."""

    live: bool
    """Whether Consul answered when it was asked last."""
    failures: int
    """How many reads in a row have failed just now."""
    degraded: float | None
    """For how many seconds it has been failing; None while it is live."""
    age: float | None
    """How many seconds ago Consul answered last; None where it never did."""


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

    Watches of one client that follow the same read, with the same arguments, options and token,
    share one query; a list or a dict that is delivered is a copy of one's own. Nothing runs between
    two steps: leaving the loop leaves nothing behind, and cancelling the last step that waits
    closes its connection.

    `resynchronised` says whether the value delivered last came after a break in Consul's history
    (a restored snapshot, a wiped agent, another datacenter). `latest` is the value delivered last,
    also while Consul does not answer; `state` says since when it does not.
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
        self._follow(Topic(read, wait=wait, now=now, sleep=sleep, dice=dice))

    @classmethod
    def of(cls, topic: Topic[T], quiet: tuple[float, float] | None = None) -> Self:
        """A watch of a topic that others may follow as well; `quiet` is as for `settled`."""
        watch = object.__new__(cls)
        watch._follow(topic, quiet)
        return watch

    def _follow(self, topic: Topic[T], quiet: tuple[float, float] | None = None) -> None:
        self.resynchronised = False
        self._topic = topic
        self._version = 0
        self._breaks = topic.breaks
        self._last: tuple[T, T] | None = None
        self._quiet = quiet
        self._closed = False
        self._reading = False

    def __repr__(self) -> str:
        return f"<Watch {self.cursor!r} failures={self.failures}>"

    def __aiter__(self) -> AsyncIterator[T]:
        return self

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._closed = True

    @property
    def cursor(self) -> Cursor:
        """Where in Consul's history it is, with what the last answer said about itself."""
        return self._topic.cursor

    @property
    def failures(self) -> int:
        """How many reads in a row have failed just now."""
        return self._topic.failures

    @property
    def latest(self) -> T | None:
        """The value delivered last; None where there was none yet."""
        return self._last[1] if self._last is not None else None

    @property
    def state(self) -> WatchState:
        """How it is doing."""
        topic, now = self._topic, self._topic.now()
        return WatchState(
            live=topic.answered is not None and topic.since is None,
            failures=topic.failures,
            degraded=None if topic.since is None else now - topic.since,
            age=None if topic.answered is None else now - topic.answered,
        )

    def settled(self, quiet: float, at_most: float) -> Self:
        """
        The same watch, but it delivers a burst of changes as one: when there was no further one
        for `quiet` seconds, or `at_most` seconds after the first. The first value comes at once.
        """
        quiet = seconds("quiet", quiet, setting="quiet", above_zero=True)
        at_most = seconds("at_most", at_most, setting="at_most", above_zero=True)
        return self.of(self._topic, (quiet, at_most))

    @overload
    def changes(self: Watch[list[R]], key: Callable[[R], Hashable] | None = None) -> Changes[R]: ...
    @overload
    def changes(
        self: Watch[dict[str, R]], key: Callable[[R], Hashable] | None = None
    ) -> Changes[R]: ...
    @overload
    def changes(
        self: Watch[R | None], key: Callable[[R], Hashable] | None = None
    ) -> Changes[R]: ...
    def changes(self: Watch[Any], key: Callable[[Any], Hashable] | None = None) -> Changes[Any]:
        """
        What changes from one value to the next, row by row, as an asynchronous iterator.

            async for change in c.watch(c.health.service, "web", passing=True).changes():
                match change:
                    case Added(new=entry): ...
                    case Changed(old=old, new=new): ...
                    case Removed(old=entry): ...

        `Snapshot` comes first and has every row. Then, for each value: `Resync` if history broke
        before it, the rows that are gone (`Removed`), those that differ (`Changed`), and the new
        ones (`Added`), each in the order of their list.

        Rows are told apart by what identifies them (a key, a node, a node with a service's or a
        check's id), those of a dict by their names; `key` is a function that says it for other
        rows, and must tell each from each. Any other value is one row; None is none.
        """
        return Changes(self, key)

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
        topic = self._topic
        if self._last is None:
            # Others may have followed it, but long ago.
            await topic.current()
            return self._deliver()
        while True:
            await topic.beyond(self._version)
            if self._quiet is not None:
                await self._settle(*self._quiet)
            # Between two looks it may have changed, and changed back.
            if topic.value != self._last[0]:
                return self._deliver()
            self._version = topic.version

    async def _settle(self, quiet: float, at_most: float) -> None:
        topic = self._topic
        end = topic.now() + at_most
        while (left := end - topic.now()) > 0:
            version = topic.version
            await topic.beyond(version, within=min(quiet, left))
            if topic.version == version:
                return

    def _deliver(self) -> T:
        topic = self._topic
        # Nothing can break before the first.
        self.resynchronised = self._last is not None and topic.breaks != self._breaks
        self._version, self._breaks = topic.version, topic.breaks
        # Who sorts or empties what was delivered does so to no other follower.
        mine: Any = topic.value
        if isinstance(mine, (list, dict)):
            mine = copy(mine)
        self._last = (topic.value, mine)
        return cast(T, mine)
