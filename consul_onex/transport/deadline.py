"""One bound over everything that a call does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import anyio
import httpx

from .._call import Call
from .._numbers import seconds
from ._layer import TimeIsUp, call_of, keeps_time

__all__ = ["Deadline"]


@dataclass(frozen=True)
class Deadline:
    """
    Ends a call after so many seconds, whatever it is doing: waiting for its turn, for a
    connection, for an answer or for the next attempt.

    A blocking query has the time on top that Consul may hold it back (its `wait` and a sixteenth).
    The time ends when the answer's head is there for a stream, else when the whole answer is.
    Under an httpx client it raises httpx's own time-out errors: `PoolTimeout` or `ConnectTimeout`
    when nothing was sent, `ReadTimeout` when something may have been.
    """

    seconds: float = 30.0
    now: Callable[[], float] = field(default=anyio.current_time, repr=False, compare=False)

    def __post_init__(self) -> None:
        seconds("Deadline.seconds", self.seconds, setting="timeout", above_zero=True)

    def wrap(self, inner: httpx.AsyncBaseTransport) -> httpx.AsyncBaseTransport:
        return DeadlineTransport(inner, self)


class DeadlineTransport(httpx.AsyncBaseTransport):
    def __init__(self, inner: httpx.AsyncBaseTransport, deadline: Deadline) -> None:
        self._inner = inner
        self._deadline = deadline
        self._kept = keeps_time(inner) and deadline.now is anyio.current_time

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        call = call_of(request)
        within = (call.timeout or self._deadline.seconds) + call.hold
        call.deadline = self._deadline.now() + within
        if self._kept:
            call.until = call.deadline
            try:
                return await self._inner.handle_async_request(request)
            except TimeIsUp:
                raise _over(call, within, request) from None
        with anyio.CancelScope(deadline=anyio.current_time() + within):
            return await self._inner.handle_async_request(request)
        # A scope swallows the cancellation that it caused, and no other.
        raise _over(call, within, request)

    async def aclose(self) -> None:
        await self._inner.aclose()


def _over(call: Call, within: float, request: httpx.Request) -> httpx.TimeoutException:
    error: type[httpx.TimeoutException] = httpx.ReadTimeout
    # In the queue again after an attempt that may have been applied is no "not sent".
    if not call.doubt:
        if call.queued:
            error = httpx.PoolTimeout
        elif call.connecting:
            error = httpx.ConnectTimeout
    return error(f"no answer within {within:g} s", request=request)
