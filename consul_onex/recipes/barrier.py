"""Barriers: nobody goes on until all are there."""

from __future__ import annotations

import logging
from typing import Unpack

from ..client import ConsulClient
from ..errors import (
    InvalidRequestError,
    InvalidSessionError,
    LockTimeoutError,
    SessionLostError,
)
from ..models.kv import KVPair
from .session import PASSING, WAIT, KeptSession, SessionKeeper, Terms, soon, within

__all__ = ["Barrier"]

log = logging.getLogger("consul_onex")


class Barrier:
    """
    A point that nobody passes until so many have come to it.

        await Barrier(c, "import/2026-05-04/start", 3).wait()

    Each that waits has a session and a key of its own below the prefix, which goes when the session
    does: who has died does not count. Once there was a moment at which so many waited, the barrier
    is open, by the key `.open` below the prefix, and stays so: all pass, also those who come later.
    So a barrier is for one use, and the next one has another prefix.

    `open` opens it by hand. With as many `parties` as never come it is a gate.

    The other arguments are those of `SessionKeeper`. All must give the same number of parties.

    https://developer.hashicorp.com/consul/docs/dynamic-app-config/sessions
    """

    def __init__(self, c: ConsulClient, prefix: str, parties: int, **terms: Unpack[Terms]) -> None:
        if isinstance(parties, bool) or not isinstance(parties, int) or parties < 1:
            raise InvalidRequestError("the parties of a barrier are a whole number from 1 on")
        terms.setdefault("name", "consul_onex barrier")
        self.prefix = prefix.rstrip("/")
        self.parties = parties
        self._c = c.using(wait=WAIT)
        # Who waits tries again by himself, so that only what is known now holds him up.
        self._paced = self._c.using(paced=True)
        # Who waits is there as long as the session is.
        self._keeper = SessionKeeper(c, behavior="delete", **terms)

    def __repr__(self) -> str:
        return f"<Barrier {self.prefix!r} parties={self.parties}>"

    async def wait(self, timeout: float | None = None) -> None:
        """
        Wait until it is open, for so many seconds at most.

        LockTimeoutError when it was not by then: this one does not count any more. Errors that pass
        are waited out, and a session that is lost is replaced.
        """
        try:
            await within(timeout, self._keeper.sleep, self._pass)
        except TimeoutError:
            raise LockTimeoutError(
                f"the barrier {self.prefix!r} did not open within {timeout:g} s", key=self._open
            ) from None

    async def open(self) -> None:
        """Open it, however many have come."""
        await self._c.kv.put(self._open, b"")

    async def is_open(self) -> bool:
        """Whether it is open: who comes now need not wait."""
        return await self._c.kv.get(self._open) is not None

    @property
    def _open(self) -> str:
        return f"{self.prefix}/.open"

    async def _pass(self) -> None:
        while True:
            try:
                if await self._paced.kv.get(self._open) is not None:
                    return
                session = await self._keeper.create(paced=True)
                async with session.kept():
                    await self._meet(session)
                return
            except (*PASSING, InvalidSessionError, SessionLostError) as error:
                log.info("the barrier %r is come to again: %s", self.prefix, error)
            await self._keeper.sleep(soon(self._keeper.dice))

    async def _meet(self, session: KeptSession) -> None:
        await self._paced.kv.acquire(f"{self.prefix}/{session.id}", session.id)
        async for pairs in self._c.kv.watch_prefix(f"{self.prefix}/"):
            if any(pair.key == self._open for pair in pairs):
                return
            if self._waiting(pairs) >= self.parties:
                # All who see it do this, since each may die before it has.
                await self._paced.kv.put(self._open, b"")
                return

    def _waiting(self, pairs: list[KVPair]) -> int:
        return sum(pair.session is not None for pair in pairs)
