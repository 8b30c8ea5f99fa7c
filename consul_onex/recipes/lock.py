"""Locks: one holder at a time, who stops when it may have lost what it holds."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from types import TracebackType
from typing import Final, Generic, Protocol, TypeVar, Unpack

import anyio

from ..api.txn import Transaction, Txn
from ..client import ConsulClient
from ..errors import (
    ConsulError,
    FencedError,
    LockConflictError,
    LockLostError,
    LockTimeoutError,
    OperationError,
    SessionLostError,
    TransactionError,
)
from ..models.kv import KVPair
from ..models.txn import TxnResult
from ..watch import Watch
from .session import (
    PASSING,
    WAIT,
    Entrance,
    KeptSession,
    SessionKeeper,
    SessionState,
    Terms,
    soon,
    within,
)

__all__ = ["LOCK_FLAG", "Contest", "Held", "Lock", "Rules"]

log = logging.getLogger("consul_onex")

T = TypeVar("T")

LOCK_FLAG: Final = 0x2DDCCBC058A50C18
"""What the key of a lock has for its flags, whichever client made it."""


class Held:
    """
    What somebody holds, and the proof of it.

    `what` is its name, `key` the key that shows it. `token` is higher than that of every holder
    before: the key's index in Consul's history when it was acquired. Whoever is written to can
    remember the highest it has seen, and refuse lower ones.
    """

    def __init__(
        self, c: ConsulClient, what: str, key: str, token: int, session: KeptSession
    ) -> None:
        self.what = what
        self.key = key
        self.token = token
        self._c = c
        self._session = session

    def __repr__(self) -> str:
        return f"<Held {self.key!r} token={self.token} {self.state.value} left={self.left:.1f}>"

    @property
    def session(self) -> str:
        """The id of the session that holds it."""
        return self._session.id

    @property
    def state(self) -> SessionState:
        """Held, in jeopardy while renewals fail, or lost."""
        return self._session.state

    @property
    def left(self) -> float:
        """For how many seconds from now nobody else can hold it, even if all renewals fail."""
        return self._session.left

    @property
    def reason(self) -> str | None:
        """Why it is lost; None while it is not."""
        return self._session.reason

    @property
    def lost(self) -> anyio.Event:
        """Set when it is lost, and when it was given back."""
        return self._session.lost

    def check(self) -> None:
        """
        LockLostError when it is lost, may be lost, or was given back. Nothing is sent.

        For right before what must not happen twice.
        """
        if self.reason is not None:
            raise self.error(self.reason)

    def error(self, reason: str) -> LockLostError:
        """What is raised when it is lost for that reason."""
        return LockLostError(f"{self.what} is lost: {reason}", key=self.key)

    def txn(self) -> Transaction:
        """
        A transaction that is carried out only while this is held, as the servers see it.

            await held.txn().kv.set("report/last", report).commit()

        Its first operation checks the session, so results and errors count from there. FencedError
        when it is held no more: nothing was written.
        """
        begun = self._c.txn.begin()
        fenced = Transaction(
            _Fence(self, self._c.txn),
            max_operations=begun.max_operations,
            max_bytes=begun.max_bytes,
        )
        return fenced.kv.check_session(self.key, self.session)

    def fenced(self, why: str) -> FencedError:
        """Take it for lost; what is raised when it is lost and something was to be written."""
        self._session.lose(why)
        return FencedError(
            f"{self.what} is lost, and nothing was written: {why}",
            key=self.key,
            operation="txn.commit",
        )


class _Fence:
    """Commits for who holds, and for nobody else."""

    def __init__(self, held: Held, txn: Txn) -> None:
        self._held = held
        self._txn = txn

    async def commit(self, transaction: Transaction) -> TxnResult:
        reason = self._held.reason
        if reason is not None:
            raise self._held.fenced(reason)
        try:
            return await self._txn.commit(transaction)
        except TransactionError as error:
            if not any(each.index == 0 and _is_lost(each) for each in error.errors):
                raise
            raise self._held.fenced(error.detail) from error


def _is_lost(error: OperationError) -> bool:
    """Whether the session holds the key no more. That it may not be read says nothing of it."""
    return "Permission denied" not in error.what


class Rules(Protocol[T]):
    """What there is to win, and how to see it: in this a lock and a semaphore differ."""

    key: str
    """The key that shows it."""
    what: str
    """What it is called in errors."""

    def watch(self, c: ConsulClient) -> Watch[T]:
        """Follow who holds it."""
        ...

    async def read(self, c: ConsulClient) -> T:
        """Who holds it now."""
        ...

    def is_free(self, seen: T, session: str | None) -> bool:
        """
        Whether this session could take it now, or has it already.

        LockConflictError when it is no such thing.
        """
        ...

    def is_held(self, seen: T, session: str) -> bool:
        """Whether this session has it."""
        ...

    async def take(self, c: ConsulClient, seen: T, session: str) -> KVPair:
        """Take it, or raise TransactionError; the pair that shows it. May be asked again."""
        ...

    async def give_back(self, c: ConsulClient, session: str) -> object:
        """Let go of it, if this session has it."""
        ...


class _Claim:
    """What a contender has begun, and must not leave behind."""

    session: KeptSession | None = None


class Contest(Generic[T]):
    """
    How everything here is won, held and let go of.

    While somebody else has it, a contender only watches; it has a session from its first try on.
    It looks before each try: a contender that tries all the time can get past a lock-delay. What an
    earlier block could not give back, since Consul did not answer, it gives back when it sees it.
    """

    def __init__(self, c: ConsulClient, rules: Rules[T], keeper: SessionKeeper) -> None:
        self._c = c.using(wait=WAIT)
        self._sure = self._c.using(consistency="consistent")
        # A contender waits between its tries, so that only what is known now holds them up.
        self._paced = self._c.using(paced=True)
        self._rules = rules
        self._keeper = keeper
        self._left: list[KeptSession] = []

    @asynccontextmanager
    async def acquire(self, timeout: float | None = None) -> AsyncIterator[Held]:
        """Hold it for the length of a block. LockTimeoutError after so many seconds of waiting."""
        claim = _Claim()
        try:
            won = await within(timeout, self._keeper.sleep, lambda: self._contend(claim))
        except TimeoutError:
            await self._abandon(claim)
            raise LockTimeoutError(
                f"{self._rules.what} was not free within {timeout:g} s", key=self._rules.key
            ) from None
        except BaseException:
            await self._abandon(claim)
            raise
        async with self._hold(*won) as held:
            yield held

    @asynccontextmanager
    async def try_acquire(self) -> AsyncIterator[Held | None]:
        """Hold it for the length of a block, if it can be had at once; None where it cannot."""
        claim = _Claim()
        try:
            won = await self._try_once(claim)
        except BaseException:
            await self._abandon(claim)
            raise
        if won is None:
            await self._abandon(claim)
            yield None
            return
        async with self._hold(*won) as held:
            yield held

    async def _try_once(self, claim: _Claim) -> tuple[KeptSession, Held] | None:
        seen = await self._rules.read(self._c)
        if not self._rules.is_free(seen, None):
            return None
        claim.session = await self._keeper.create()
        try:
            held = await self._take(self._c, seen, claim.session)
        except TransactionError:
            return None
        return (claim.session, held) if held.reason is None else None

    async def _contend(self, claim: _Claim) -> tuple[KeptSession, Held]:
        while True:
            seen = await self._until_free(claim)
            try:
                session = claim.session = await self._fresh(claim.session)
                held = await self._take(self._paced, seen, session)
                if held.reason is None:
                    return session, held
                # The answer came so late that it may be lost again.
                pause = 0.0
            except TransactionError as error:
                pause = self._pause_after(error, claim)
            except PASSING as error:
                log.info("%s is tried for again: %s", self._rules.what, error)
                pause = soon(self._keeper.dice)
            await self._keeper.sleep(pause)

    async def _take(self, c: ConsulClient, seen: T, session: KeptSession) -> Held:
        pair = await self._rules.take(c, seen, session.id)
        return Held(self._c, self._rules.what, pair.key, pair.modify_index, session)

    def _pause_after(self, error: TransactionError, claim: _Claim) -> float:
        if "invalid session" in error.detail and claim.session is not None:
            claim.session.lose(error.detail)
        elif "lock delay" not in error.detail:
            # Somebody was faster: the next look will show it.
            return 0.02 + 0.03 * self._keeper.dice()
        # It is held back, which only time ends.
        return soon(self._keeper.dice)

    async def _until_free(self, claim: _Claim) -> T:
        watch = self._rules.watch(self._c)
        while True:
            seen = await anext(watch)
            left = await self._clear(seen)
            mine = None if claim.session is None else claim.session.id
            if self._rules.is_free(seen, mine):
                return seen
            if left:
                # Nothing may change before the next try.
                await self._keeper.sleep(soon(self._keeper.dice))
                watch = self._rules.watch(self._c)

    async def _clear(self, seen: T) -> bool:
        """Give back what is left of earlier blocks. Whether there is some of it still."""
        self._left = [one for one in self._left if self._rules.is_held(seen, one.id)]
        for session in self._left.copy():
            await self._give_back(session)
        return bool(self._left)

    async def _fresh(self, session: KeptSession | None) -> KeptSession:
        """The session of this contender, renewed where that is due; another where it is lost."""
        if session is not None:
            try:
                await session.refresh()
                return session
            except SessionLostError:
                await self._give_back(session)
        return await self._keeper.create(paced=True)

    async def _abandon(self, claim: _Claim) -> None:
        if claim.session is not None:
            # The answer to its last try may have been lost.
            await self._give_back(claim.session)

    async def _give_back(self, session: KeptSession) -> None:
        await session.end(self._release(session))
        self._remember(session)

    def _release(self, session: KeptSession) -> Callable[[], Awaitable[object]]:
        """What comes before its end: what it still holds then stays closed for a while."""
        return lambda: self._rules.give_back(self._paced, session.id)

    def _remember(self, session: KeptSession) -> None:
        """Remember a session that is over here, while Consul may not know that."""
        self._left = [one for one in self._left if one is not session]
        if not session.ended:
            self._left.append(session)

    @asynccontextmanager
    async def _hold(self, session: KeptSession, held: Held) -> AsyncIterator[Held]:
        kept = session.kept(
            beside=lambda: self._follow(session, held),
            before=self._release(session),
            error=held.error,
        )
        try:
            async with kept:
                yield held
        finally:
            self._remember(session)

    async def _follow(self, session: KeptSession, held: Held) -> None:
        """Wait until Consul shows that the session does not have it any more."""
        watch = self._rules.watch(self._sure)
        while True:
            try:
                seen = await anext(watch)
                index = watch.cursor.meta.index
                # Others of this client may follow it too, and know what was so before.
                old = index is not None and index < held.token and not watch.resynchronised
                if not old and not self._rules.is_held(seen, session.id):
                    session.lose("Consul shows that this session does not hold it")
                    return
            except LockConflictError as error:
                session.lose(str(error))
                return
            except ConsulError as error:
                # That Consul does not say who holds it does not mean that somebody else does.
                log.info("%s cannot be followed: %s", self._rules.what, error)
                await self._keeper.sleep(1.0)


class _OneHolder:
    """The rules of a lock: the session of its key has it."""

    def __init__(self, key: str, value: bytes | str | Callable[[], bytes | str] | None) -> None:
        self.key = key
        self.what = f"the lock {key!r}"
        self._value = value

    def watch(self, c: ConsulClient) -> Watch[KVPair | None]:
        return c.kv.watch(self.key)

    async def read(self, c: ConsulClient) -> KVPair | None:
        return await c.kv.get(self.key)

    def is_free(self, seen: KVPair | None, session: str | None) -> bool:
        if seen is not None and seen.flags != LOCK_FLAG:
            raise LockConflictError(
                f"the key {self.key!r} is no lock: its flags are {seen.flags:#x}", key=self.key
            )
        return seen is None or seen.session in (None, session)

    def is_held(self, seen: KVPair | None, session: str) -> bool:
        return seen is not None and seen.session == session

    async def take(self, c: ConsulClient, seen: KVPair | None, session: str) -> KVPair:
        txn = c.txn.begin()
        value = self._value() if callable(self._value) else self._value
        if value is None:
            # What the key holds stays, also what somebody writes to it just now.
            value = b"" if seen is None else seen.value
            if seen is None:
                txn.kv.check_not_exists(self.key)
            else:
                txn.kv.check_index(self.key, seen.modify_index)
        # The lock and its place in history by one call: a plain acquire does not tell the latter.
        result = await txn.kv.lock(self.key, session, value, LOCK_FLAG).kv.get(self.key).commit()
        return result.pairs[-1]

    async def give_back(self, c: ConsulClient, session: str) -> object:
        return await c.kv.release(self.key, session)


class Lock:
    """
    A lock that one holds at a time, on a key.

        async with Lock(c, "locks/report") as held:
            ...
            held.check()
            await held.txn().kv.set("report/last", report).commit()

    The block runs while this client alone holds the lock. It is cancelled when the lock is lost, or
    may be lost by now since Consul cannot be reached, and LockLostError raised; what the block
    raises by itself goes through. `held` says more: `held.token` is a fencing token, `held.check()`
    is for right before what must not happen twice, `held.txn()` writes to Consul as holder only.
    docs/locks.md says what may be relied on.

    Entering waits until the lock is free: `acquire` bounds that, `try_acquire` does not wait.
    LockConflictError when the key is used for something else. Errors that pass are waited out.
    Leaving lets go of it, so that the next one gets it at once, in two seconds at most. A Lock may
    be entered again and again, and by several tasks.

    `value` is written to the key by who gets the lock, and may be a function that says it at that
    moment; without one the key keeps what it has. The other arguments are those of `SessionKeeper`:
    each holder has a session of its own. One that dies is followed after twice its `ttl` and the
    `lock_delay`. Other clients that follow the rules of Consul's own, `consul lock` among them, and
    this one exclude each other.

    https://developer.hashicorp.com/consul/docs/dynamic-app-config/sessions
    """

    def __init__(
        self,
        c: ConsulClient,
        key: str,
        *,
        value: bytes | str | Callable[[], bytes | str] | None = None,
        behavior: str | None = None,
        **terms: Unpack[Terms],
    ) -> None:
        terms.setdefault("name", "Consul API Lock")
        self.key = key
        keeper = SessionKeeper(c, behavior=behavior, **terms)
        self._contest = Contest(c, _OneHolder(key, value), keeper)
        self._entrance = Entrance[Held]("Lock")

    def __repr__(self) -> str:
        return f"<Lock {self.key!r}>"

    async def __aenter__(self) -> Held:
        return await self._entrance.enter(self._contest.acquire())

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._entrance.leave(exc_type, exc, traceback)

    def acquire(self, timeout: float | None = None) -> AbstractAsyncContextManager[Held]:
        """
        Hold it for the length of a block, after waiting at most so many seconds.

            async with lock.acquire(timeout=5) as held:
                ...

        LockTimeoutError when it was not free by then: the block does not run.
        """
        return self._contest.acquire(timeout)

    def try_acquire(self) -> AbstractAsyncContextManager[Held | None]:
        """
        Hold it for the length of a block, if it can be had at once.

            async with lock.try_acquire() as held:
                if held is None:
                    ...  # somebody else has it, or had it until a moment ago
        """
        return self._contest.try_acquire()
