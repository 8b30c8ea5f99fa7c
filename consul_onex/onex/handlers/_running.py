"""One initialised handler: its client, who is inside, and what is told of each operation."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final
from uuid import UUID

import anyio

from ... import Answer, ConsulClient, Cursor, PermissionDeniedError
from ...events import CircuitChanged, Event, Retrying
from ...transport import Breaker, Deadline, Events, Layer, Limit, Retry
from .._translate import CORRELATION, context_of, translated
from ..errors import (
    InfraConnectionError,
    InfraUnavailableError,
    ProtocolConfigurationError,
)
from ._topics import TopicIndex
from .models.consul import ModelConsulHandlerConfig

__all__ = ["MakeClient", "Running"]

_log: Final = logging.getLogger("consul_onex.onex")

MakeClient = Callable[..., ConsulClient]


class Running:
    """What a handler has between `initialize` and `shutdown`."""

    def __init__(
        self, config: ModelConsulHandlerConfig, make: MakeClient, correlation_id: UUID
    ) -> None:
        self.config = config
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
        self.topics = TopicIndex(self.client)

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
        self, message: str, correlation_id: UUID | None = None, *, level: int = logging.INFO
    ) -> None:
        """Tell of the handler's own life, or of the operation that is under way."""
        _log.log(level, message, extra=self._extra(correlation_id or CORRELATION.get()))

    def _extra(self, correlation_id: UUID | None) -> dict[str, Any]:
        config = self.config
        return {
            "handler": "HandlerConsul",
            "host": config.host,
            "port": config.port,
            "scheme": config.scheme,
            "datacenter": config.datacenter,
            "timeout_seconds": config.timeout_seconds,
            "max_concurrent_operations": config.max_concurrent_operations,
            "max_queue_size": config.max_queue_size,
            "circuit_breaker_enabled": config.circuit_breaker_enabled,
            "correlation_id": str(correlation_id),
        }

    def _tell(self, event: Event) -> None:
        extra = self._extra(CORRELATION.get()) | {"event": event}
        match event:
            case Retrying():
                extra |= {
                    "operation": event.operation,
                    "attempt": event.attempt,
                    "max_attempts": self.config.retry.max_attempts,
                    "backoff_seconds": event.pause,
                    "last_error": event.reason,
                }
                _log.info("Retrying operation", extra=extra)
            case CircuitChanged():
                level = logging.WARNING if event.after == "open" else logging.INFO
                _log.log(level, "Circuit %s is %s", event.circuit, event.after, extra=extra)

    @contextmanager
    def operation(self, name: str, correlation_id: UUID) -> Iterator[ConsulClient]:
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
                yield self.client
        finally:
            CORRELATION.reset(before)
            self._inside -= 1
            if self._empty is not None and not self._inside:
                self._empty.set()

    async def verify(self, correlation_id: UUID) -> None:
        """See that there is a leader, and that datacenter and token are good."""
        context = context_of("initialize", correlation_id)
        failed = "Consul connection failed"
        with translated("initialize", correlation_id, self.config.timeout_seconds, failed=failed):
            if not await self._leader():
                raise InfraConnectionError(
                    "Consul leader check failed: expected a leader, got empty response",
                    context=context,
                )
            if self.config.datacenter:
                known = (await self._asked("/v1/catalog/datacenters")).parse(list[str])
                if self.config.datacenter not in known:
                    raise ProtocolConfigurationError(
                        "Invalid Consul configuration - Consul knows no such datacenter",
                        context=context,
                        parameter="datacenter",
                    )
            if self.config.token is not None and self.config.token.get_secret_value():
                try:
                    await self._asked("/v1/acl/token/self")
                except PermissionDeniedError as error:
                    # 401 says that there are no ACLs: any token is as good as none.
                    if error.status != 401:
                        raise

    async def leader(self, correlation_id: UUID) -> str:
        """Who leads; empty while nobody does."""
        with translated("health_check", correlation_id, self.config.timeout_seconds):
            return await self._leader()

    async def _leader(self) -> str:
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
