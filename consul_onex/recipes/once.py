"""What one instance does for all, and all see to be done."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Unpack

from ..client import ConsulClient
from ..models.kv import KVPair
from .lock import Held, Lock
from .session import PASSING, WAIT, SessionKeeper, Terms, soon

__all__ = ["Once"]

log = logging.getLogger("consul_onex")


class Once:
    """
    Something that one of several instances does, while the others wait until it is done.

        result = await Once(c, "migrations/0042").run(migrate)

    Who comes first holds a lock below the prefix, does the work, and writes its result there as
    holder only. All others get that result, also those who come later: it is not done again until
    somebody deletes the prefix.

    What may be relied on: the result is written once, and no two do the work at the same time. But
    a work that fails, or whose instance dies or loses the lock in the middle, is begun again, by
    another who waits. So what it does elsewhere must bear to be done again, or be fenced with
    `held.token`.

    The other arguments are those of `SessionKeeper`.

    https://developer.hashicorp.com/consul/docs/dynamic-app-config/sessions
    """

    def __init__(self, c: ConsulClient, prefix: str, **terms: Unpack[Terms]) -> None:
        terms.setdefault("name", "consul_onex once")
        self.prefix = prefix.rstrip("/")
        self._c = c.using(wait=WAIT)
        # Who waits tries again by himself, so that only what is known now holds him up.
        self._paced = self._c.using(paced=True)
        self._lock = Lock(c, f"{self.prefix}/.lock", **terms)
        # Its clock, and its dice.
        self._keeper = SessionKeeper(c, **terms)

    def __repr__(self) -> str:
        return f"<Once {self.prefix!r}>"

    @property
    def _done(self) -> str:
        return f"{self.prefix}/.done"

    async def done(self) -> bytes | None:
        """The result; None while there is none."""
        pair = await self._c.using(consistency="consistent").kv.get(self._done)
        return None if pair is None else pair.value

    async def run(self, work: Callable[[Held], Awaitable[bytes | str | None]]) -> bytes:
        """
        Do the work, unless somebody does or did, and return its result, whoever did it.

        `work` gets what is held, as with a `Lock`, and returns the result: bytes, text, or None for
        an empty one. What it raises goes through, and another one takes the work up. LockLostError
        when the lock was lost meanwhile: it may be done by somebody else by now. Other errors that
        pass are waited out; bound it with a cancel scope where that may take too long.
        """
        watch = self._c.kv.watch_prefix(f"{self.prefix}/")
        seen = await anext(watch)
        while True:
            done, held = self._state(seen)
            if done is not None:
                return done
            if held:
                seen = await anext(watch)
                continue
            result = await self._try(work)
            if result is not None:
                return result
            seen = await self._look()
            if self._state(seen) == (None, False):
                # It is held back for a while, and nobody hears when that is over.
                await self._pause()
                seen = await self._look()

    async def _look(self) -> list[KVPair]:
        while True:
            try:
                return await self._paced.kv.list(f"{self.prefix}/")
            except PASSING as error:
                log.info("%s is looked at again: %s", self.prefix, error)
            await self._pause()

    async def _pause(self) -> None:
        await self._keeper.sleep(soon(self._keeper.dice))

    def _state(self, seen: list[KVPair]) -> tuple[bytes | None, bool]:
        """The result, if there is one, and whether somebody is at it."""
        pairs = {pair.key: pair for pair in seen}
        done, lock = pairs.get(self._done), pairs.get(self._lock.key)
        return None if done is None else done.value, lock is not None and lock.session is not None

    async def _try(self, work: Callable[[Held], Awaitable[bytes | str | None]]) -> bytes | None:
        begun = False
        try:
            async with self._lock.try_acquire() as held:
                if held is None:
                    return None
                result = await self.done()
                if result is None:
                    begun = True
                    result = _as_bytes(await work(held))
                    await self._write(held, result)
                return result
        except PASSING as error:
            if begun:
                raise
            log.info("%s is tried for again: %s", self.prefix, error)
            return None

    async def _write(self, held: Held, result: bytes) -> None:
        while True:
            try:
                await held.txn().kv.set(self._done, result).commit()
                return
            except PASSING as error:
                # It is the same when it is written twice. Until the lock is lost there is time.
                log.info("the result of %s is written again: %s", self.prefix, error)
            await self._pause()


def _as_bytes(result: bytes | str | None) -> bytes:
    return result.encode() if isinstance(result, str) else result or b""
