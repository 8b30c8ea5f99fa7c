"""Send again what may be sent again."""

from __future__ import annotations

import math
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Final

import anyio
import httpx

from .._call import Call, Safety
from .._faults import Fault, Outcome
from .._numbers import count, seconds
from ..errors import ConfigurationError
from ..events import Retrying
from ._layer import call_of, close, fault_of_answer, fault_of_error, is_answer, keeps_time

__all__ = ["Retry", "RetryStatistics", "retry_after"]

_CERTAIN: Final = (Outcome.NOT_SENT, Outcome.NOT_APPLIED, Outcome.THROTTLED)


@dataclass(frozen=True)
class Retry:
    """
    Sends a failed request again, up to `attempts` times in all.

    The pause before attempt n + 2 is at most `min(initial * base ** n, max)` seconds, and drawn at
    random from the last `jitter` of it: 1 anything up to that bound, 0 exactly that bound. Without
    jitter, clients that failed together come back together. A `Retry-After` of the server's is
    kept, unless it is longer than `max_retry_after`.

    What is sent again: anything that certainly was not carried out; what may have been, only where
    twice is the same as once. `writes=False` excludes writes from the latter: a plain put that
    comes late could overwrite what another writer put in between. Blocking queries are never sent
    again, since their index may be void after whatever broke them; a watch waits by itself and
    reads anew. Neither are the calls of a view with `paced=True`: whoever makes them has a time of
    his own, which no pause and no budget must use up.

    No pause reaches into the call's deadline, and all calls of a client share a `budget`: each
    retry takes one from it, each success puts a tenth back. A cluster that is down for long then
    sees at most a tenth more requests, not `attempts` times as many.
    """

    attempts: int = 3
    initial: float = 1.0
    max: float = 30.0
    base: float = 2.0
    jitter: float = 1.0
    max_retry_after: float = 60.0
    budget: int = 500
    writes: bool = True
    now: Callable[[], float] = field(default=anyio.current_time, repr=False, compare=False)
    sleep: Callable[[float], Awaitable[None]] = field(
        default=anyio.sleep, repr=False, compare=False
    )
    dice: Callable[[], float] = field(default=random.random, repr=False, compare=False)

    def __post_init__(self) -> None:
        count("Retry.attempts", self.attempts, setting="retry_attempts")
        seconds("Retry.initial", self.initial, setting="retry_initial")
        seconds("Retry.max", self.max, setting="retry_max")
        seconds("Retry.max_retry_after", self.max_retry_after, setting="retry_max_retry_after")
        count("Retry.budget", self.budget, setting="retry_budget", least=0)
        if not _is_number(self.base) or self.base < 1:
            raise ConfigurationError("Retry.base must be a number from 1 on", setting="retry_base")
        if not _is_number(self.jitter) or not 0 <= self.jitter <= 1:
            raise ConfigurationError(
                "Retry.jitter must be a number from 0 to 1", setting="retry_jitter"
            )

    def wrap(self, inner: httpx.AsyncBaseTransport) -> httpx.AsyncBaseTransport:
        return RetryTransport(inner, self)

    def pause(self, retry: int) -> float:
        """Seconds to wait before retry number `retry`, from 0."""
        try:
            cap = min(self.initial * self.base**retry, self.max)
        except OverflowError:
            cap = self.max
        return cap * (1 - self.jitter + self.jitter * self.dice())


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value)


@dataclass(frozen=True, slots=True)
class RetryStatistics:
    """How many retries there were, and how many the budget still allows."""

    retries: int
    budget: float


class RetryTransport(httpx.AsyncBaseTransport):
    def __init__(self, inner: httpx.AsyncBaseTransport, retry: Retry) -> None:
        self._inner = inner
        self._retry = retry
        # In tenths: ten times 0.1 is not 1.
        self._budget = retry.budget * 10
        self._retries = 0
        # It keeps pauses within the deadline, if its clock is the one by which they pass.
        usual = retry.now is anyio.current_time and retry.sleep is anyio.sleep
        self.keeps_time = keeps_time(inner) and usual

    def statistics(self) -> RetryStatistics:
        return RetryStatistics(self._retries, self._budget / 10)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        call = call_of(request)
        call.attempts, call.doubt, call.gave_up = 0, False, None
        while True:
            call.attempts += 1
            try:
                response = await self._inner.handle_async_request(request)
            except httpx.TransportError as error:
                fault = fault_of_error(error)
                pause = self._decide(call, request, fault, None)
                if pause is None:
                    raise
            else:
                if is_answer(response, call):
                    self._earn()
                    return response
                fault = await fault_of_answer(response)
                pause = self._decide(call, request, fault, retry_after(response))
                if pause is None:
                    return response
                await close(response)
            reason = fault.outcome.value
            call.report(Retrying(call.operation, call.datacenter, call.attempts, pause, reason))
            await self._retry.sleep(pause)

    def _decide(
        self, call: Call, request: httpx.Request, fault: Fault, hint: float | None
    ) -> float | None:
        """Seconds until the next attempt; None to let it be, with the reason on the card."""
        if not self._repeatable(call, fault.outcome):
            return None
        pause = max(self._retry.pause(call.attempts - 1), hint or 0.0)
        call.gave_up = self._reason_to_stop(call, request, pause, hint)
        if call.gave_up is not None:
            return None
        self._budget -= 10
        self._retries += 1
        call.doubt = call.doubt or fault.outcome is Outcome.MAYBE_APPLIED
        return pause

    def _reason_to_stop(
        self, call: Call, request: httpx.Request, pause: float, hint: float | None
    ) -> str | None:
        tried = f"gave up after {call.attempts} attempt{'s' if call.attempts > 1 else ''}"
        if call.attempts >= self._retry.attempts:
            return tried
        if not isinstance(request.stream, httpx.ByteStream):
            return "not sent again, as its body was a stream"
        if hint is not None and hint > self._retry.max_retry_after:
            return f"not sent again, as Consul asked to wait {hint:g} s"
        if call.deadline is not None and self._retry.now() + pause >= call.deadline:
            return f"{tried}, as time was running out"
        if self._budget < 10:
            return "not sent again, as the retry budget is spent"
        return None

    def _repeatable(self, call: Call, outcome: Outcome) -> bool:
        if call.blocking or call.paced or not call.retry:
            return False
        if outcome is Outcome.MAYBE_APPLIED:
            return call.safety is Safety.SAFE or (
                call.safety is Safety.IDEMPOTENT and self._retry.writes
            )
        return outcome in _CERTAIN

    def _earn(self) -> None:
        self._budget = min(self._retry.budget * 10, self._budget + 1)

    async def aclose(self) -> None:
        await self._inner.aclose()


def retry_after(response: httpx.Response) -> float | None:
    """
    The seconds that the server asks to wait; None when it does not, or not understandably.

    A point in time is read against the server's own clock (its `Date`), so that ours does not
    matter.
    """
    text = response.headers.get("retry-after", "").strip()
    if text.isascii() and text.isdigit():
        return float(text) if len(text) < 10 else math.inf
    try:
        until = parsedate_to_datetime(text)
        return max(0.0, (until - parsedate_to_datetime(response.headers["date"])).total_seconds())
    except (KeyError, OverflowError, TypeError, ValueError):
        return None
