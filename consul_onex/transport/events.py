"""One start and one end for each call, and what happened between."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field

import anyio
import httpx

from ..events import CallEnded, CallStarted, Event, Hook, Retrying
from ._layer import call_of, keeps_time

__all__ = ["Events", "log_event"]

log = logging.getLogger("consul_onex")


def log_event(event: Event) -> None:
    """
    The hook by default: one log record per event, on the logger `consul_onex`.

    Calls are DEBUG, retries INFO, a circuit that opens is a WARNING. The record's `event` is the
    event itself.
    """
    extra = {"event": event}
    match event:
        case CallStarted():
            log.debug("%s started", event.operation, extra=extra)
        case CallEnded(error=None):
            log.debug(
                "%s answered %s in %.1f ms, %d attempt(s)",
                *(event.operation, event.status, event.seconds * 1000, event.attempts),
                extra=extra,
            )
        case CallEnded():
            log.debug(
                "%s ended with %s after %.1f ms, %d attempt(s)",
                *(event.operation, event.error, event.seconds * 1000, event.attempts),
                extra=extra,
            )
        case Retrying():
            log.info(
                "%s: attempt %d failed (%s), next in %.2f s",
                *(event.operation, event.attempt, event.reason, event.pause),
                extra=extra,
            )
        case _:  # CircuitChanged
            level = logging.WARNING if event.after == "open" else logging.INFO
            log.log(
                level,
                "circuit %s: %s -> %s",
                *(event.circuit, event.before, event.after),
                extra=extra,
            )


@dataclass(frozen=True)
class Events:
    """
    Tells a hook what happens to each call.

    A hook that raises is logged once and disturbs no call. For several, give a function that calls
    them all.
    """

    hook: Hook = log_event
    now: Callable[[], float] = field(default=anyio.current_time, repr=False, compare=False)

    def wrap(self, inner: httpx.AsyncBaseTransport) -> httpx.AsyncBaseTransport:
        return EventsTransport(inner, self)


class EventsTransport(httpx.AsyncBaseTransport):
    def __init__(self, inner: httpx.AsyncBaseTransport, events: Events) -> None:
        self._inner = inner
        self._hook = events.hook
        self._now = events.now
        self._hook_failed = False
        self.keeps_time = keeps_time(inner)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        call = call_of(request)
        call.emit = self._emit
        if self._hook is log_event and not log.isEnabledFor(logging.DEBUG):
            return await self._inner.handle_async_request(request)
        # The datacenter that was asked for: a failover changes the card's while it lasts.
        asked, started = call.datacenter, self._now()
        self._emit(CallStarted(call.operation, asked))
        status: int | None = None
        error: str | None = "Cancelled"
        try:
            response = await self._inner.handle_async_request(request)
            status, error = response.status_code, None
            return response
        except Exception as raised:
            error = type(raised).__name__
            raise
        finally:
            seconds = self._now() - started
            # Without a Retry layer nobody counts: there was one.
            attempts = call.attempts or 1
            self._emit(CallEnded(call.operation, asked, seconds, attempts, status, error))

    def _emit(self, event: Event) -> None:
        try:
            self._hook(event)
        except Exception:
            if not self._hook_failed:
                log.exception("an event hook failed; its further failures are not logged")
            self._hook_failed = True

    async def aclose(self) -> None:
        await self._inner.aclose()
