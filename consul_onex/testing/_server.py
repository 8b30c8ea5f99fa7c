"""What all endpoints stand on: a log that is written, a state that is read, and a leader."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from typing import Final, TypeVar

import anyio
import httpx

from ._http import Asked, Options, RefusedError
from ._rights import EVERYTHING, Rights
from ._state import State, Tables
from ._timers import Timers
from ._tree import Watch

__all__ = ["NO_META", "ElsewhereError", "Server"]

T = TypeVar("T")

# How long a server holds a request while there is no leader, in the hope of one.
_HOLD: Final = 7.0

_LONGEST_WAIT: Final = 600.0
_USUAL_WAIT: Final = 300.0

NO_META: Final = {
    "X-Consul-Index": "1",
    "X-Consul-Knownleader": "false",
    "X-Consul-Lastcontact": "0",
}
"""What most endpoints say of themselves when they fail."""


class ElsewhereError(RefusedError):
    """What was asked is for another datacenter, to which there may be no path."""

    def __init__(self, datacenter: str) -> None:
        super().__init__(500, "No path to datacenter")
        self.datacenter = datacenter


class Server:
    """
    A datacenter of one server.

    `known` are the names of all datacenters there are. `jitter` is the part, of a sixteenth of its
    wait, that a blocking query takes longer.
    """

    def __init__(
        self,
        timers: Timers,
        state: State,
        datacenter: str,
        known: Collection[str],
        jitter: Callable[[], float],
    ) -> None:
        self.timers = timers
        self.state = state
        self.datacenter = datacenter
        self.known = known
        self.rights: Callable[[Asked], Rights] = lambda asked: EVERYTHING
        """What somebody may who asks; refuses whoever is not known."""
        self.takeovers: list[Callable[[], None]] = []
        """What who leads sees to first, and again where the state has become another."""
        self.blocked = 0
        """How many queries wait for a change."""
        self._jitter = jitter
        self._left: list[tuple[Watch, float]] = []
        self._no_leader_until = -math.inf
        self._stopped = False
        self._restored = 0

    @property
    def left(self) -> int:
        """
        How many queries still wait for a change, though nobody waits for them.

        Consul does not notice that a client has gone until it has something to say.
        """
        for watch, until in [one for one in self._left if self._is_over(*one)]:
            watch.close()
            self._left.remove((watch, until))
        return len(self._left)

    def _is_over(self, watch: Watch, until: float) -> bool:
        return watch.event.is_set() or self.timers.now >= until

    @property
    def leading(self) -> bool:
        return self.timers.now >= self._no_leader_until

    def lose_leader(self, seconds: float) -> None:
        self._no_leader_until = self.timers.now + seconds
        self.timers.stir()

    def stop(self) -> None:
        """End, like a process that is killed: who waits for an answer gets none."""
        self._stopped = True
        self.timers.stir()

    def refuse_elsewhere(self, datacenter: str) -> None:
        """Say that what was asked is not to be done in this datacenter."""
        if datacenter not in {"", self.datacenter}:
            raise ElsewhereError(datacenter)

    def restore(self, tables: Tables) -> None:
        """
        Have this state, and lead on from there.

        Queries that block are answered with what was there before. Times to live begin anew, and
        there are no lock-delays: a leader who takes over knows neither.
        """
        self._restored += 1
        self.state.restore(tables)
        for take_over in self.takeovers:
            take_over()

    async def ready(self, options: Options) -> None:
        """Wait until somebody can answer, or refuse."""
        self.refuse_elsewhere(options.datacenter)
        held = self.timers.now + _HOLD
        while not self.leading and not options.stale:
            if self.timers.now >= held:
                raise RefusedError(500, "No cluster leader")
            event = anyio.Event()
            await self.pause(event, min(held, self._no_leader_until), options)

    async def read(
        self, options: Options, look: Callable[[Watch], tuple[int, T]]
    ) -> tuple[dict[str, str], T]:
        """
        Look at the state; again and again until the index that was asked for is passed.

        `look` says which index its result has, and notes what it saw. A change of that wakes the
        query, which looks again, and answers only where the index has moved. So it is not the
        index that decides how long a query waits, but what it saw.
        """
        await self.ready(options)
        until = self.end_of(options.wait) if options.index else -math.inf
        while True:
            watch = Watch()
            index, found = look(watch)
            # With an index of 0 a client would not wait, and ask for ever.
            index = max(index, 1)
            if index > options.index or self.timers.now >= until:
                watch.close()
                return self.meta(index), found
            self.blocked += 1
            left, restored = True, self._restored
            try:
                await self.pause(watch.event, until, options)
                left = False
            finally:
                self.blocked -= 1
                if left:
                    self._left.append((watch, until))
                else:
                    watch.close()
            if self._restored != restored:
                return self.meta(index), found
            if not self.leading and not options.stale:
                raise RefusedError(500, "rpc error making call: EOF")

    async def sleep(self, seconds: float, asked_at: float, patience: float) -> None:
        """Do nothing for so long."""
        until, options = asked_at + seconds, Options(asked_at=asked_at, patience=patience)
        while self.timers.now < until:
            await self.pause(anyio.Event(), until, options)

    async def pause(self, event: anyio.Event, until: float, options: Options) -> None:
        """Wait for an event; not longer than until then, nor than the client does."""
        given_up = options.asked_at + options.patience
        await self.timers.wait(event, min(until, given_up))
        if self._stopped:
            raise httpx.RemoteProtocolError("Server disconnected without sending a response.")
        if self.timers.now >= given_up and self.timers.now < until:
            raise httpx.ReadTimeout("")

    def meta(self, index: int) -> dict[str, str]:
        return {"X-Consul-Index": str(index), **self.contact()}

    def contact(self) -> dict[str, str]:
        leading = str(self.leading).lower()
        return {"X-Consul-Knownleader": leading, "X-Consul-Lastcontact": "0"}

    def end_of(self, wait: float, usual: float = _USUAL_WAIT) -> float:
        """When a query that waits so long answers in any case."""
        seconds = min(wait, _LONGEST_WAIT) if wait > 0 else usual
        return self.timers.now + seconds * (1 + self._jitter() / 16)
