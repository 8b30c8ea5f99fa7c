"""What a handler has between `initialize` and `shutdown`."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final
from uuid import UUID

import anyio

from ... import Answer, ConsulClient, Cursor, PermissionDeniedError
from ...events import CircuitChanged, Event, Retrying
from ...transport import Breaker, Deadline, Events, Layer, Limit, Retry
from .._translate import CORRELATION, context_of, translated
from ..errors import InfraConnectionError, InfraUnavailableError, ProtocolConfigurationError
from .models.consul import ModelConsulHandlerConfig

__all__ = ["Running"]

_log: Final = logging.getLogger("consul_onex.onex")

# Of the configuration, in each record.
_TOLD: Final = {
    *("host", "port", "scheme", "datacenter", "timeout_seconds"),
    *("max_concurrent_operations", "circuit_breaker_enabled"),
}


class Running:
    """A client, and who is inside."""

    def __init__(
        self,
        config: ModelConsulHandlerConfig,
        make: Callable[..., ConsulClient],
        correlation_id: UUID,
    ) -> None:
        self.config = config
        # Writers of topics in one process would only lose against each other.
        self.topics = anyio.Lock()
        self._inside = 0
        self._empty: anyio.Event | None = None
        with translated("initialize", correlation_id, config.timeout_seconds):
            self.client = make(
                config.base_url,
                token=config.token,
                datacenter=config.datacenter,
                attempt_timeout=config.timeout_seconds,
                connect_timeout=config.connect_timeout_seconds,
                layers=self._layers(),
            )

    def _layers(self) -> list[Layer]:
        config, retry = self.config, self.config.retry
        # All attempts and pauses of one request. As long may one wait for its turn.
        longest = retry.max_attempts * config.timeout_seconds + retry.longest
        breaker = Breaker(
            # Every attempt counts below, and an operation here: so many times as many.
            failures=config.circuit_breaker_failure_threshold * retry.max_attempts,
            reset_after=config.circuit_breaker_reset_timeout_seconds,
        )
        return [
            Deadline(longest),
            Events(self._tell),
            Retry(
                attempts=retry.max_attempts,
                initial=retry.initial_delay_seconds,
                max=retry.max_delay_seconds,
                base=retry.exponential_base,
                jitter=0.15,
            ),
            *([breaker] if config.circuit_breaker_enabled else []),
            Limit(plain=config.max_concurrent_operations, max_wait=longest),
        ]

    def log(
        self,
        message: str,
        correlation_id: UUID | None = None,
        *,
        level: int = logging.INFO,
        **extra: object,
    ) -> None:
        """Tell of the handler's own life, or of the operation that is under way."""
        known = self.config.model_dump(include=_TOLD) | {
            "handler": "HandlerConsul",
            "max_queue_size": self.config.max_queue_size,
            "correlation_id": str(correlation_id or CORRELATION.get()),
        }
        _log.log(level, message, extra=known | extra)

    def _tell(self, event: Event) -> None:
        match event:
            case Retrying():
                self.log(
                    "Retrying operation",
                    event=event,
                    operation=event.operation,
                    attempt=event.attempt,
                    max_attempts=self.config.retry.max_attempts,
                    backoff_seconds=event.pause,
                    last_error=event.reason,
                )
            case CircuitChanged():
                level = logging.WARNING if event.after == "open" else logging.INFO
                self.log(f"Circuit {event.circuit} is {event.after}", level=level, event=event)

    @contextmanager
    def operation(
        self, name: str, correlation_id: UUID, *, retry: bool = True
    ) -> Iterator[ConsulClient]:
        """Be inside for one operation, whose errors are the platform's."""
        room = self.config.max_concurrent_operations + self.config.max_queue_size
        if self._inside >= room:
            raise InfraUnavailableError(
                f"Not sent: {room} operations are on their way or waiting already",
                context=context_of(name, correlation_id),
            )
        self._inside += 1
        before = CORRELATION.set(correlation_id)
        try:
            with translated(name, correlation_id, self.config.timeout_seconds):
                yield self.client if retry else self.client.using(retry=False)
        finally:
            CORRELATION.reset(before)
            self._inside -= 1
            if self._empty is not None and not self._inside:
                self._empty.set()

    async def verify(self, correlation_id: UUID) -> None:
        """See that there is a leader, and that datacenter and token are good."""
        config, context = self.config, context_of("initialize", correlation_id)
        failed = "Consul connection failed"
        with translated("initialize", correlation_id, config.timeout_seconds, failed=failed):
            if not await self.leader():
                raise InfraConnectionError(
                    "Consul leader check failed: expected a leader, got empty response", context
                )
            if config.datacenter:
                known = (await self._asked("/v1/catalog/datacenters")).parse(list[str])
                if config.datacenter not in known:
                    raise ProtocolConfigurationError(
                        "Invalid Consul configuration - Consul knows no such datacenter",
                        context,
                        parameter="datacenter",
                    )
            if config.token is not None and config.token.get_secret_value():
                try:
                    await self._asked("/v1/acl/token/self")
                except PermissionDeniedError as error:
                    # 401 says that there are no ACLs: any token is as good as none.
                    if error.status != 401:
                        raise

    async def leader(self) -> str:
        """Who leads; empty while nobody does."""
        return (await self._asked("/v1/status/leader")).parse(str)

    async def _asked(self, path: str) -> Answer:
        # Asked once, whatever the circuit says: who initialises wants to know how it is now.
        once = Cursor()
        once.paced = True
        return await self.client.request("GET", path, cursor=once)

    async def drain(self, seconds: float) -> None:
        """Wait for who is inside, at most so long, and hang up."""
        try:
            if self._inside:
                self._empty = anyio.Event()
                with anyio.move_on_after(seconds):
                    await self._empty.wait()
        finally:
            # Also when the waiting is cancelled.
            with anyio.CancelScope(shield=True):
                await self.client.aclose(grace=0)
