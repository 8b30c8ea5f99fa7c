"""Counters: a number that many add to, and nothing is lost."""

from __future__ import annotations

from collections.abc import Callable

from ..client import ConsulClient
from ..errors import InvalidRequestError, LockConflictError, LockTimeoutError
from ..models.kv import KVPair
from .session import boot_time

__all__ = ["Counter"]


class Counter:
    """
    A whole number in a key, that many may add to at once.

        hits = Counter(c, "hits")
        await hits.add(1)

    Each addition is a check-and-set, so none is lost. The key holds the number as decimal digits; a
    key that is not there counts as 0. LockConflictError where it holds something else.

    `now` is a clock that only goes forward.

    https://developer.hashicorp.com/consul/api-docs/kv#create-update-key
    """

    def __init__(
        self,
        c: ConsulClient,
        key: str,
        *,
        now: Callable[[], float] = boot_time,
    ) -> None:
        self.key = key
        self._c = c
        self._now = now

    def __repr__(self) -> str:
        return f"<Counter {self.key!r}>"

    async def value(self) -> int:
        """The number now. Another may add to it at any time."""
        return self._read(await self._c.kv.get(self.key))

    async def add(self, number: int = 1, *, timeout: float = 10.0) -> int:
        """
        Add a number, which may be negative, and return what that made.

        LockTimeoutError when others were faster each time, for so many seconds: nothing was added.
        OutcomeUnknownError when the answer was lost: it may have been added. It is for the caller
        to say whether one too many or one too few is worse.
        """
        if isinstance(number, bool) or not isinstance(number, int):
            raise InvalidRequestError("what is added is a whole number")
        begun = self._now()

        def added(pair: KVPair | None) -> str:
            if self._now() - begun > timeout:
                raise LockTimeoutError(
                    f"the counter {self.key!r} was changed by others for {timeout:g} s",
                    key=self.key,
                )
            return str(self._read(pair) + number)

        return int(await self._c.kv.update(self.key, added))

    def _read(self, pair: KVPair | None) -> int:
        try:
            return 0 if pair is None else int(pair.value)
        except ValueError:
            pass
        raise LockConflictError(f"the key {self.key!r} is no counter", key=self.key)
