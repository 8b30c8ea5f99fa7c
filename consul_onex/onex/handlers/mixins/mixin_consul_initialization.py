"""The life of a handler, between `initialize` and `shutdown`."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Final
from uuid import UUID, uuid4

import anyio
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from .... import Answer, ConsulClient, Cursor, PermissionDeniedError
from ....events import CircuitChanged, Event, Retrying
from ....transport import Breaker, Deadline, Events, Layer, Limit, Retry
from ..._translate import CORRELATION, context_of, timed_out, translated
from ...errors import (
    InfraConnectionError,
    InfraUnavailableError,
    ProtocolConfigurationError,
    RuntimeHostError,
)
from ..models.consul import ModelConsulHandlerConfig

__all__ = ["MixinConsulInitialization", "ModelHealthCheckResult", "Running"]

_log: Final = logging.getLogger("consul_onex.onex")

_PATIENCE: Final = 5.0

# Of the configuration, in each record.
_TOLD: Final = {
    *("host", "port", "scheme", "datacenter", "timeout_seconds"),
    *("max_concurrent_operations", "circuit_breaker_enabled"),
}


class ModelHealthCheckResult(BaseModel):
    """How Consul is; true where it is well. `latency_ms` is how long it took to say so."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    healthy: bool
    latency_ms: float
    reason: str
    error_type: str | None = None
    details: dict[str, str] = Field(default_factory=dict)

    def __bool__(self) -> bool:
        return self.healthy


class MixinConsulInitialization:
    """
    Begin and end, and what a handler is in between.

    `container` is taken for the sake of code that gives one, and not used. `client` makes the
    client, with the arguments of `ConsulClient`: `functools.partial(ConsulClient, tls=TLS(...))`
    adds a certificate authority of one's own.
    """

    def __init__(
        self, container: object = None, *, client: Callable[..., ConsulClient] | None = None
    ) -> None:
        self._make = client or ConsulClient
        self._running: Running | None = None

    async def initialize(self, config: Mapping[str, Any] | ModelConsulHandlerConfig) -> None:
        """
        Connect, and see that there is a leader and that datacenter and token are good.

        It takes `timeout_seconds` at most, and is tried once. ProtocolConfigurationError where the
        configuration cannot be used, InfraConnectionError, InfraTimeoutError or
        InfraAuthenticationError where Consul cannot be. A handler that is initialised already goes
        on with what it had where this fails, and otherwise lets what is under way finish.
        """
        config = _veiled(config)
        config = ModelConsulHandlerConfig.read(config)
        correlation_id, verified = uuid4(), False
        running = Running(config, self._make, correlation_id)
        running.log("Initializing HandlerConsul", correlation_id)
        try:
            with anyio.move_on_after(config.timeout_seconds):
                await running.verify(correlation_id)
                verified = True
        finally:
            if not verified:
                await running.drain(0)
        if not verified:
            raise timed_out("initialize", correlation_id, config.timeout_seconds)
        before, self._running = self._running, running
        running.log("HandlerConsul initialized successfully", correlation_id)
        if before is not None:
            await before.drain(config.timeout_seconds)

    async def shutdown(self, timeout_seconds: float = 30.0) -> None:
        """
        Take no more operations, wait so long at most for those under way, and hang up.

        What is not done then ends with InfraConnectionError. It may be called again, and the
        handler initialised again.
        """
        running, self._running = self._running, None
        if running is not None:
            await running.drain(timeout_seconds)
            running.log("HandlerConsul shutdown complete", uuid4())

    @property
    def config(self) -> ModelConsulHandlerConfig:
        """What it was initialised with. RuntimeHostError before."""
        return self._started("config").config

    @property
    def client(self) -> ConsulClient:
        """The client that it asks Consul with, for all the rest of Consul's API."""
        return self._started("client").client

    @property
    def max_workers(self) -> int:
        """How many requests are on their way at once, at most."""
        return self.config.max_concurrent_operations

    @property
    def max_queue_size(self) -> int:
        """How many operations may wait meanwhile."""
        return self.config.max_queue_size

    def operation(
        self, name: str, correlation_id: UUID | None = None, *, retry: bool = True
    ) -> AbstractContextManager[ConsulClient]:
        """
        The client for an operation of one's own, which ends with the platform's errors.

            with handler.operation("node.forget") as c:
                await c.kv.delete_tree("config/old/")
        """
        correlation_id = correlation_id or uuid4()
        return self._started(name, correlation_id).operation(name, correlation_id, retry=retry)

    async def health_check(self) -> ModelHealthCheckResult:
        """How Consul is, within 5 seconds. It raises nothing."""
        began, correlation_id = anyio.current_time(), uuid4()
        leader, reason, error_type = "", "no leader was told in time", None
        try:
            running = self._started("health_check", correlation_id)
            with (
                anyio.move_on_after(_PATIENCE),
                translated("health_check", correlation_id, running.config.timeout_seconds),
            ):
                leader = await running.leader()
        except RuntimeHostError as error:
            reason, error_type = error.message, type(error).__name__
        return ModelHealthCheckResult(
            healthy=bool(leader),
            latency_ms=(anyio.current_time() - began) * 1000,
            reason="ok" if leader else reason,
            error_type=error_type,
            details={"leader": leader} if leader else {},
        )

    def _started(self, operation: str, correlation_id: UUID | None = None) -> Running:
        if self._running is None:
            raise RuntimeHostError(
                f"Consul client not initialized for operation {operation!r}. "
                "Call initialize() first.",
                context=context_of(operation, correlation_id),
            )
        return self._running


def _veiled(
    config: Mapping[str, Any] | ModelConsulHandlerConfig,
) -> Mapping[str, Any] | ModelConsulHandlerConfig:
    """The same, but what may be a token does not show: also under a name that is misspelt."""
    if isinstance(config, ModelConsulHandlerConfig):
        return config
    plain = ("host", "scheme", "datacenter")
    return {
        name: SecretStr(value) if isinstance(value, str) and name not in plain else value
        for name, value in config.items()
    }


class Running:
    """What a handler has between `initialize` and `shutdown`: its client, and who is inside."""

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
        self, message: str, correlation_id: UUID | None = None, *, level: int = logging.INFO
    ) -> None:
        """Tell of the handler's own life, or of the operation that is under way."""
        _log.log(level, message, extra=self._extra(correlation_id or CORRELATION.get()))

    def _extra(self, correlation_id: UUID | None) -> dict[str, Any]:
        return self.config.model_dump(include=_TOLD) | {
            "handler": "HandlerConsul",
            "max_queue_size": self.config.max_queue_size,
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
