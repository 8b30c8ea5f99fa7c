"""Semaphores: so many holders at a time, each of whom stops when it may have lost its place."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager, suppress
from types import TracebackType
from typing import Final, Unpack

from pydantic_core import to_json

from ..client import ConsulClient
from ..errors import DecodeError, InvalidRequestError, LockConflictError, TransactionError
from ..models.kv import KVPair
from ..watch import Watch
from .lock import Contest, Held
from .session import Entrance, SessionKeeper, Terms

__all__ = ["SEMAPHORE_FLAG", "Semaphore"]

SEMAPHORE_FLAG: Final = 0xE0F69A2BAA414DE0
"""What the keys of a semaphore have for their flags, whichever client made them."""


class _ManyHolders:
    """
    The rules of a semaphore.

    One key, `.lock`, lists the sessions that hold it. Each of them has a key of its own beside it,
    which goes when the session does: a holder without one is dead.
    """

    def __init__(self, prefix: str, limit: int) -> None:
        self.what = f"a place in the semaphore {prefix!r}"
        self.key = f"{prefix}/.lock"
        self._prefix = f"{prefix}/"
        self._limit = limit

    def watch(self, c: ConsulClient) -> Watch[list[KVPair]]:
        return c.kv.watch_prefix(self._prefix)

    async def read(self, c: ConsulClient) -> list[KVPair]:
        return await c.kv.list(self._prefix)

    def is_free(self, seen: list[KVPair], session: str | None) -> bool:
        holders = self._holders(seen)
        return session in holders or len(holders) < self._limit

    def is_held(self, seen: list[KVPair], session: str) -> bool:
        return session in self._holders(seen)

    async def take(self, c: ConsulClient, seen: list[KVPair], session: str) -> KVPair:
        mine, holders = self._prefix + session, self._holders(seen)
        txn = c.txn.begin().kv.lock(mine, session, flags=SEMAPHORE_FLAG)
        if session not in holders:
            txn.kv.cas(self.key, *self._listed(seen, [*holders, session]), SEMAPHORE_FLAG)
        result = await txn.kv.get(mine).commit()
        return result.pairs[-1]

    async def give_back(self, c: ConsulClient, session: str) -> None:
        sure = c.using(consistency="consistent")
        while True:
            seen = await self.read(sure)
            holders = self._holders(seen)
            if session not in holders:
                return
            holders.remove(session)
            txn = c.txn.begin().kv.delete(self._prefix + session)
            txn.kv.cas(self.key, *self._listed(seen, holders), SEMAPHORE_FLAG)
            # Unless somebody else came or went meanwhile.
            with suppress(TransactionError):
                await txn.commit()
                return

    def _holders(self, seen: list[KVPair]) -> list[str]:
        """The sessions that hold it and are alive. LockConflictError when it is no such thing."""
        listing = self._listing(seen)
        if listing is None:
            return []
        if listing.flags != SEMAPHORE_FLAG:
            raise self._conflict(f"its flags are {listing.flags:#x}")
        if not listing.value:
            return []
        try:
            said = listing.json()
            limit, holders = said["Limit"], list(said["Holders"] or ())
        except (DecodeError, LookupError, TypeError):
            raise self._conflict("its value is not that of one") from None
        if limit != self._limit:
            raise self._conflict(f"its limit is {limit}, and not {self._limit}")
        alive = {pair.session for pair in seen if pair is not listing}
        return [session for session in holders if session in alive]

    def _listing(self, seen: list[KVPair]) -> KVPair | None:
        return next((pair for pair in seen if pair.key == self.key), None)

    def _listed(self, seen: list[KVPair], holders: list[str]) -> tuple[bytes, int]:
        """What to write for these holders, and the index of what was seen."""
        listing = self._listing(seen)
        value = to_json({"Limit": self._limit, "Holders": dict.fromkeys(holders, True)})
        return value, 0 if listing is None else listing.modify_index

    def _conflict(self, why: str) -> LockConflictError:
        return LockConflictError(
            f"the key {self.key!r} is not of this semaphore: {why}", key=self.key
        )


class Semaphore:
    """
    A semaphore that so many hold at a time, on the keys below a prefix.

        async with Semaphore(c, "slots/report", 3) as held:
            ...

    It holds, waits and lets go as a `Lock` does, and says so with the same errors. All must give
    the same `limit`: LockConflictError when somebody gave another one, or the keys are used for
    something else. A place has no lock-delay: it is free when the session of its holder ends, which
    by itself is not before this one was cancelled.

    `held.key` is the holder's own key below the prefix, so `held.txn()` writes only while that is
    there. The other arguments are those of `SessionKeeper`. Holders that follow the rules of
    Consul's own client, `consul lock -n` among them, and these count together.

    https://developer.hashicorp.com/consul/tutorials/developer-configuration/distributed-semaphore
    """

    def __init__(self, c: ConsulClient, prefix: str, limit: int, **terms: Unpack[Terms]) -> None:
        if isinstance(limit, bool) or not isinstance(limit, int) or limit < 1:
            raise InvalidRequestError("the limit of a semaphore is a whole number from 1 on")
        terms.setdefault("name", "Consul API Semaphore")
        self.prefix = prefix.rstrip("/")
        self.limit = limit
        # Its own key goes with the session.
        keeper = SessionKeeper(c, behavior="delete", **terms)
        self._contest = Contest(c, _ManyHolders(self.prefix, limit), keeper)
        self._entrance = Entrance[Held]("Semaphore")

    def __repr__(self) -> str:
        return f"<Semaphore {self.prefix!r} limit={self.limit}>"

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
        Hold a place for the length of a block, after waiting at most so many seconds.

        LockTimeoutError when none was free by then: the block does not run.
        """
        return self._contest.acquire(timeout)

    def try_acquire(self) -> AbstractAsyncContextManager[Held | None]:
        """Hold a place for the length of a block, if one can be had at once; None where not."""
        return self._contest.try_acquire()
