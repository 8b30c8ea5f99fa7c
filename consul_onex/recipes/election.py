"""Elections: one leader at a time, whom everybody can see."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Self, Unpack

import anyio
from pydantic_core import to_json

from ..api.txn import Transaction
from ..client import ConsulClient
from ..errors import DecodeError
from ..models.kv import KVPair
from ..watch import Watch
from .lock import Held, Lock
from .session import Entrance, SessionState, Terms

__all__ = ["Election", "Leader", "Leaders", "Term"]


@dataclass(frozen=True, slots=True)
class Leader:
    """Who leads."""

    candidate: str
    """What it calls itself."""
    since: datetime | None
    """When its term began, by its own clock; None where it does not say."""
    session: str
    """The session that holds the key."""

    @staticmethod
    def of(pair: KVPair | None) -> Leader | None:
        """The leader that the key of an election shows; None while there is none."""
        if pair is None or pair.session is None:
            return None
        try:
            said = pair.json()
            since = datetime.fromisoformat(said["since"])
            return Leader(str(said["candidate"]), since, pair.session)
        except (DecodeError, LookupError, TypeError, ValueError):
            # Another client's: its value is its own.
            return Leader(pair.value.decode("utf-8", errors="replace"), None, pair.session)


class Leaders:
    """
    Follows who leads, as an asynchronous iterator: the leader now, and each one after; None while
    there is none. Errors are as those of a watch.
    """

    def __init__(self, watch: Watch[KVPair | None]) -> None:
        self._watch = watch
        self._latest: list[Leader | None] = []

    @property
    def latest(self) -> Leader | None:
        """The leader delivered last; None where there was none yet."""
        return self._latest[0] if self._latest else None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Leader | None:
        while True:
            leader = Leader.of(await anext(self._watch))
            # A leader may write to its key.
            if self._latest != [leader]:
                self._latest = [leader]
                return leader


class Term:
    """
    The time in which a candidate leads: what `Held` says of a lock, this says of it.

    `held` is the lock itself, `token` the number of the term: higher than that of every term
    before.
    """

    def __init__(self, held: Held, scope: anyio.CancelScope) -> None:
        self.held = held
        self.token = held.token
        self._scope = scope

    def __repr__(self) -> str:
        return f"<Term {self.held!r}>"

    @property
    def state(self) -> SessionState:
        """Held, in jeopardy while renewals fail, or lost."""
        return self.held.state

    @property
    def left(self) -> float:
        """For how many seconds from now nobody else can lead, even if all renewals fail."""
        return self.held.left

    @property
    def lost(self) -> anyio.Event:
        """Set when the leadership is lost, and when it was given back."""
        return self.held.lost

    def check(self) -> None:
        """LockLostError when it is lost, may be lost, or was given back. Nothing is sent."""
        self.held.check()

    def txn(self) -> Transaction:
        """A transaction that is carried out only while this one leads; see `Held.txn`."""
        return self.held.txn()

    def resign(self) -> None:
        """Lead no more: the block is cancelled at its next await, and left without an error."""
        self._scope.cancel()


class Election:
    """
    One of several candidates leads.

        election = Election(c, "election/web", "node-7")
        async with election as term:
            ...  # while this one leads

    Entering campaigns: it waits until this candidate is elected. The block is cancelled when the
    leadership is lost, or may be, and LockLostError raised. Leaving it resigns, and so does
    `term.resign()`; the next one is elected at once. To campaign again, enter again.

    It is a `Lock` on the key, whose value says who leads, and since when. `observe` follows that,
    for candidates and everybody else. The other arguments are those of `SessionKeeper`; `today` is
    the clock that the value is written by.

    https://developer.hashicorp.com/consul/docs/dynamic-app-config/sessions/application-leader-election
    """

    def __init__(
        self,
        c: ConsulClient,
        key: str,
        candidate: str,
        *,
        today: Callable[[], datetime] = lambda: datetime.now(UTC),
        **terms: Unpack[Terms],
    ) -> None:
        self.key = key
        self.candidate = candidate
        self._c = c
        self._today = today
        self._lock = Lock(c, key, value=self._value, **terms)
        self._entrance = Entrance[Term]("Election")

    def __repr__(self) -> str:
        return f"<Election {self.key!r} candidate={self.candidate!r}>"

    async def __aenter__(self) -> Term:
        return await self._entrance.enter(self.campaign())

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        return await self._entrance.leave(exc_type, exc, traceback)

    @asynccontextmanager
    async def campaign(self, timeout: float | None = None) -> AsyncIterator[Term]:
        """
        Lead for the length of a block, after waiting at most so many seconds to be elected.

        LockTimeoutError when another one still leads by then: the block does not run.
        """
        async with self._lock.acquire(timeout) as held:
            with anyio.CancelScope() as scope:
                yield Term(held, scope)

    def _value(self) -> bytes:
        return to_json(
            {"candidate": self.candidate, "since": self._today().isoformat(timespec="seconds")}
        )

    def observe(self) -> Leaders:
        """
        Follow who leads.

            async for leader in election.observe():
                print("nobody leads" if leader is None else leader.candidate)
        """
        return Leaders(self._c.kv.watch(self.key))
