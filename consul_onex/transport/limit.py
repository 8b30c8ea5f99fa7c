"""So many calls at once, and no more."""

from __future__ import annotations

import heapq
import math
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import anyio
import httpx

from .._call import Call
from .._numbers import count, flag, seconds
from ..errors import OverloadedError
from ._layer import TimeIsUp, call_of, keeps_time

__all__ = ["Limit", "LimitStatistics"]


@dataclass(frozen=True)
class Limit:
    """
    Lets `plain` ordinary calls, `blocking` blocking queries and `control` calls (which keep a
    session, a service or a check alive, or let it go) be in flight at once, each kind with places
    of its own.

    Consul serves 200 connections of one client address and silently closes every further one, so
    the sum should stay below that, with room for the other processes of this machine. A call that
    waits over `max_wait` seconds for a place raises OverloadedError; nothing was sent. The steps of
    a watch, with `queue_watches`, wait in turn as long as one of them may take.

    A place is held until the answer is read or closed. A blocking query that is cancelled keeps
    its place until its own `wait` is over: the agent does not notice and keeps the connection for
    so long, and a client that cancels and reopens would run into the 200.
    """

    plain: int = 48
    blocking: int = 96
    control: int = 6
    max_wait: float = 5.0
    queue_watches: bool = True
    now: Callable[[], float] = field(default=anyio.current_time, repr=False, compare=False)

    def __post_init__(self) -> None:
        count("Limit.plain", self.plain, setting="limit_plain")
        count("Limit.blocking", self.blocking, setting="limit_blocking")
        count("Limit.control", self.control, setting="limit_control")
        flag("Limit.queue_watches", self.queue_watches, setting="limit_queue_watches")
        seconds("Limit.max_wait", self.max_wait, setting="limit_max_wait")

    def wrap(self, inner: httpx.AsyncBaseTransport) -> httpx.AsyncBaseTransport:
        return LimitTransport(inner, self)


@dataclass(frozen=True, slots=True)
class LimitStatistics:
    """How many places of each kind are taken; parked ones belong to cancelled blocking queries."""

    plain: int
    blocking: int
    control: int
    parked: int


class Places:
    """A semaphore, some of whose places come back by themselves at a known time."""

    def __init__(self, total: int, now: Callable[[], float]) -> None:
        self._total = total
        self._now = now
        # Made in the event loop: the first call is what decides which one.
        self._free = anyio.Semaphore(total, fast_acquire=True, max_value=total)
        self._parked: list[float] = []
        self._waiting: set[anyio.CancelScope] = set()

    @property
    def taken(self) -> int:
        self._unpark()
        return self._total - self._free.value

    @property
    def parked(self) -> int:
        return len(self._parked)

    async def take(self, within: float, *, until: float = math.inf) -> bool:
        """Wait for a place, so many seconds at most, and not beyond `until`; False for none."""
        now = self._now()
        end = min(now + within, until)
        while now < end:
            wake = min(end, self._parked[0]) if self._parked else end
            with anyio.move_on_after(max(0.0, wake - now)) as scope:
                self._waiting.add(scope)
                try:
                    await self._free.acquire()
                finally:
                    self._waiting.discard(scope)
                return True
            if self.take_at_once():
                return True
            now = self._now()
        return False

    def take_at_once(self) -> bool:
        """Take a place if there is one."""
        self._unpark()
        try:
            self._free.acquire_nowait()
        except anyio.WouldBlock:
            return False
        return True

    def give_back(self) -> None:
        self._free.release()

    def park(self, until: float) -> None:
        """Give back a place at that time."""
        heapq.heappush(self._parked, until)
        # Who waits already would sleep past it.
        for scope in self._waiting:
            scope.deadline = min(scope.deadline, anyio.current_time() + until - self._now())

    def _unpark(self) -> None:
        now = self._now() if self._parked else 0.0
        while self._parked and self._parked[0] <= now:
            heapq.heappop(self._parked)
            self._free.release()


class LimitTransport(httpx.AsyncBaseTransport):
    def __init__(self, inner: httpx.AsyncBaseTransport, limit: Limit) -> None:
        self._inner = inner
        self._limit = limit
        self._places: dict[str, Places] = {}
        self.keeps_time = keeps_time(inner) and limit.now is anyio.current_time

    def statistics(self) -> LimitStatistics:
        taken = {kind: places.taken for kind, places in self._places.items()}
        return LimitStatistics(
            plain=taken.get("plain", 0),
            blocking=taken.get("blocking", 0),
            control=taken.get("control", 0),
            parked=sum(places.parked for places in self._places.values()),
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        call = call_of(request)
        places = self._places_for(call)
        call.queued = True
        patient = call.blocking and call.paced and self._limit.queue_watches
        within = self._limit.max_wait + (call.hold if patient else 0.0)
        if not (places.take_at_once() or await places.take(within, until=call.until)):
            if self._limit.now() >= call.until:
                raise TimeIsUp
            raise OverloadedError(
                f"not sent: no place became free within {within:g} s; "
                f"raise Limit.{_kind(call)}, or call less at once",
                operation=call.operation,
            )
        call.queued = False
        started = self._limit.now() if call.blocking else 0.0
        try:
            response = await self._inner.handle_async_request(request)
        except Exception:
            places.give_back()
            raise
        except BaseException:
            # Cancelled.
            if call.blocking:
                places.park(started + call.hold)
            else:
                places.give_back()
            raise
        if isinstance(response.stream, httpx.ByteStream):
            places.give_back()
        else:
            response.stream = _Held(response.stream, places.give_back)  # type: ignore[arg-type]
        return response

    def _places_for(self, call: Call) -> Places:
        kind = _kind(call)
        places = self._places.get(kind)
        if places is None:
            total: int = getattr(self._limit, kind)
            places = self._places[kind] = Places(total, self._limit.now)
        return places

    async def aclose(self) -> None:
        await self._inner.aclose()


def _kind(call: Call) -> str:
    if call.control:
        return "control"
    return "blocking" if call.blocking else "plain"


class _Held(httpx.AsyncByteStream):
    """A body that holds a place until it is closed."""

    def __init__(self, stream: httpx.AsyncByteStream, give_back: Callable[[], None]) -> None:
        self._stream = stream
        self._give_back: Callable[[], None] | None = give_back

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._stream.__aiter__()

    async def aclose(self) -> None:
        give_back, self._give_back = self._give_back, None
        try:
            await self._stream.aclose()
        finally:
            if give_back is not None:
                give_back()
