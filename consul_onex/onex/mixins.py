"""What handlers inherit: a circuit, retrying, and the ids of an envelope."""

from __future__ import annotations

import logging
import os
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final, Protocol, Self, TypeVar, runtime_checkable
from uuid import UUID, uuid4

import anyio
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from .. import CircuitOpenError
from ..transport import Circuit, CircuitState
from ._retrying import (
    ModelOperationContext,
    ModelRetryErrorClassification,
    ModelRetryState,
    RetryContext,
    classify,
)
from ._translate import unavailable
from .enums import EnumCircuitState, EnumInfraTransportType, EnumRetryErrorCategory
from .errors import (
    InfraAuthenticationError,
    InfraConnectionError,
    InfraTimeoutError,
    ModelInfraErrorContext,
    ModelTimeoutErrorContext,
    ProtocolConfigurationError,
    RuntimeHostError,
)

if TYPE_CHECKING:
    from .handlers.models.consul import ModelConsulRetryConfig

__all__ = [
    "MixinAsyncCircuitBreaker",
    "MixinEnvelopeExtraction",
    "MixinRetryExecution",
    "ModelCircuitBreakerConfig",
    "ModelRetryErrorClassification",
    "ProtocolCircuitBreakerAware",
    "classify",
]

N = TypeVar("N", int, float)
T = TypeVar("T")

_log: Final = logging.getLogger("consul_onex.onex")

_STATES: Final = {
    CircuitState.CLOSED: EnumCircuitState.CLOSED,
    CircuitState.OPEN: EnumCircuitState.OPEN,
    CircuitState.HALF_OPEN: EnumCircuitState.HALF_OPEN,
    CircuitState.ISOLATED: EnumCircuitState.OPEN,
}


class MixinEnvelopeExtraction:
    """The ids of an envelope: UUIDs, or text that is one; a new one for anything else."""

    def _extract_correlation_id(self, envelope: Mapping[str, Any]) -> UUID:
        return _as_uuid(envelope.get("correlation_id"))

    def _extract_envelope_id(self, envelope: Mapping[str, Any]) -> UUID:
        return _as_uuid(envelope.get("envelope_id"))


def _as_uuid(value: object) -> UUID:
    if isinstance(value, UUID):
        return value
    with suppress(ValueError):
        return UUID(value) if isinstance(value, str) else uuid4()
    return uuid4()


# -- a circuit -------------------------------------------------------------------------------------


class ModelCircuitBreakerConfig(BaseModel):
    """How a circuit behaves."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    threshold: int = Field(default=5, ge=1)
    reset_timeout_seconds: float = Field(default=60.0, ge=0, allow_inf_nan=False)
    service_name: str = Field(default="unknown", min_length=1)
    transport_type: EnumInfraTransportType = EnumInfraTransportType.HTTP
    half_open_successes: int = Field(default=1, ge=1, le=10)
    enable_active_recovery: bool = True

    @classmethod
    def from_env(
        cls,
        service_name: str = "unknown",
        transport_type: EnumInfraTransportType = EnumInfraTransportType.HTTP,
        prefix: str = "ONEX_CB",
    ) -> Self:
        """What `<prefix>_THRESHOLD` (1 to 1000) and `<prefix>_RESET_TIMEOUT` (0 to 3600) say."""

        def number(variable: str, default: N, least: int, most: int) -> N:
            text = os.environ.get(variable)
            if text is None:
                return default
            with suppress(ValueError):
                found = type(default)(text)
                if least <= found <= most:
                    return found
            raise ProtocolConfigurationError(
                f"{variable} is not a number from {least} to {most}",
                context=ModelInfraErrorContext(
                    transport_type=transport_type,
                    operation="parse_env_config",
                    target_name=service_name,
                ),
                parameter=variable,
                value="[REDACTED]",
            )

        return cls(
            threshold=number(f"{prefix}_THRESHOLD", 5, 1, 1000),
            reset_timeout_seconds=number(f"{prefix}_RESET_TIMEOUT", 60.0, 0, 3600),
            service_name=service_name,
            transport_type=transport_type,
        )


@runtime_checkable
class ProtocolCircuitBreakerAware(Protocol):
    """What has a circuit as `MixinAsyncCircuitBreaker` gives one."""

    _circuit_breaker_lock: anyio.Lock

    async def _check_circuit_breaker(
        self, operation: str, correlation_id: UUID | None = None
    ) -> None: ...

    async def _record_circuit_failure(
        self, operation: str, correlation_id: UUID | None = None
    ) -> None: ...

    async def _reset_circuit_breaker(self) -> None: ...


class MixinAsyncCircuitBreaker:
    """
    A circuit for the class that inherits it, which calls `_init_circuit_breaker` first.

        async with self._circuit_breaker_lock:
            await self._check_circuit_breaker("work")
        try:
            ...
        except OSError:
            await self._record_circuit_failure("work")
            raise
        await self._reset_circuit_breaker()

    The state machine is `consul_onex.transport.Circuit`: half-open admits a single call at a time,
    and what a call reports that began before the circuit changed is void. A check and its report
    belong together where they are made in one task. No timer runs: a circuit whose time is over is
    half-open for the next check.
    """

    def _init_circuit_breaker(
        self,
        threshold: int = 5,
        reset_timeout: float = 60.0,
        service_name: str = "unknown",
        transport_type: EnumInfraTransportType = EnumInfraTransportType.HTTP,
        half_open_successes: int = 1,
        *,
        enable_active_recovery: bool = True,
        now: Callable[[], float] = anyio.current_time,
    ) -> None:
        """Begin with a closed circuit. ProtocolConfigurationError for numbers out of bounds."""
        with suppress(ValidationError):
            config = ModelCircuitBreakerConfig(
                threshold=threshold,
                reset_timeout_seconds=reset_timeout,
                service_name=service_name,
                transport_type=transport_type,
                half_open_successes=half_open_successes,
                enable_active_recovery=enable_active_recovery,
            )
            return self._init_circuit_breaker_from_config(config, now=now)
        raise ProtocolConfigurationError(
            "a circuit's threshold and successes are 1 or more, its reset timeout 0 or more",
            context=ModelInfraErrorContext(
                transport_type=transport_type, operation="init_circuit_breaker"
            ),
        )

    def _init_circuit_breaker_from_config(
        self,
        config: ModelCircuitBreakerConfig,
        *,
        now: Callable[[], float] = anyio.current_time,
    ) -> None:
        """The same, from a model."""
        self.service_name = config.service_name
        self._circuit_breaker_lock = anyio.Lock()
        self._circuit_breaker_config = config
        self._circuit = Circuit(
            config.service_name,
            failures=config.threshold,
            reset_after=config.reset_timeout_seconds,
        )
        self._circuit_now = now
        self._circuit_opened = 0.0
        self._circuit_successes = 0
        # The place that a task has taken, until it says what became of it.
        self._circuit_ticket: ContextVar[int | None] = ContextVar("circuit_ticket", default=None)

    async def _check_circuit_breaker(
        self, operation: str, correlation_id: UUID | None = None
    ) -> None:
        """Take a place for one call. InfraUnavailableError where the circuit has none."""
        # Who asks anew has no use for the place that he had.
        self._abandon_circuit_call()
        try:
            self._circuit_ticket.set(self._circuit.admit(self._circuit_now()))
            return
        except CircuitOpenError as error:
            waits, state = error.retry_after, self._circuit.state
        raise unavailable(
            self.service_name,
            _STATES[state],
            waits,
            ModelInfraErrorContext.with_correlation(
                correlation_id,
                transport_type=self._circuit_breaker_config.transport_type,
                operation=operation,
                target_name=self.service_name,
            ),
        )

    async def _record_circuit_failure(
        self, operation: str, correlation_id: UUID | None = None
    ) -> None:
        """Say that a call failed."""
        ticket = self._taken()
        if ticket is None and self._circuit.state is CircuitState.CLOSED:
            # Nobody asked for a place; it is counted all the same.
            ticket = self._circuit.admit(self._circuit_now())
        if ticket is not None:
            before, now = self._circuit.state, self._circuit_now()
            self._circuit.failed(ticket, now)
            if self._circuit.state is not before:
                self._circuit_opened, self._circuit_successes = now, 0

    async def _reset_circuit_breaker(self) -> None:
        """Say that a call went well; where none was checked before, close the circuit by hand."""
        ticket = self._taken()
        wanted = self._circuit_breaker_config.half_open_successes
        if ticket is None:
            self._circuit.reset()
        elif self._circuit.state is not CircuitState.HALF_OPEN:
            self._circuit.succeeded(ticket)
        elif self._circuit_successes + 1 >= wanted:
            self._circuit_successes = 0
            self._circuit.succeeded(ticket)
        else:
            # One of several that are wanted: let the next one try.
            self._circuit_successes += 1
            self._circuit.abandoned(ticket)

    def _abandon_circuit_call(self) -> None:
        """Say that a call was cancelled, and so told nothing; another may try in its place."""
        ticket = self._taken()
        if ticket is not None:
            self._circuit.abandoned(ticket)

    def _taken(self) -> int | None:
        ticket = self._circuit_ticket.get()
        self._circuit_ticket.set(None)
        return ticket

    async def cancel_active_recovery(self) -> None:
        """Nothing to cancel, since no timer runs. It may be called at any time."""

    def get_circuit_breaker_state(self) -> dict[str, Any]:
        """How the circuit is: open past its time counts as half-open."""
        config = getattr(self, "_circuit_breaker_config", None)
        if config is None:
            return {"initialized": False}
        statistics = self._circuit.statistics()
        state, left = _STATES[statistics.state], 0.0
        if statistics.state is CircuitState.OPEN:
            left = self._circuit_opened + config.reset_timeout_seconds - self._circuit_now()
            if left <= 0 and config.enable_active_recovery:
                state = EnumCircuitState.HALF_OPEN
        known = {
            "initialized": True,
            "state": state.value,
            "failures": 0 if state is EnumCircuitState.HALF_OPEN else statistics.failures,
            "threshold": config.threshold,
            "reset_timeout_seconds": config.reset_timeout_seconds,
            "half_open_successes_required": config.half_open_successes,
            "active_recovery_enabled": config.enable_active_recovery,
            "active_recovery_running": False,
        }
        if state is EnumCircuitState.OPEN:
            known["seconds_until_half_open"] = max(0.0, left)
        if state is EnumCircuitState.HALF_OPEN:
            known["half_open_success_count"] = self._circuit_successes
        return known


# -- retrying --------------------------------------------------------------------------------------


class MixinRetryExecution:
    """
    Retrying for the class that inherits it, whatever it asks; with `MixinAsyncCircuitBreaker` too,
    an operation that failed in all its attempts is one failure of the circuit.

        class Mine(MixinAsyncCircuitBreaker, MixinRetryExecution): ...

        await self._execute_with_retry("mine.read", read, correlation_id, ModelConsulRetryConfig())

    `HandlerConsul` does not need it: its client retries by itself.
    """

    def _classify_error(self, error: Exception, operation: str) -> ModelRetryErrorClassification:
        """What an error means; to be overridden for errors of one's own."""
        return classify(error)

    def _get_transport_type(self) -> EnumInfraTransportType:
        """What errors say that they happened on."""
        return EnumInfraTransportType.CONSUL

    def _get_target_name(self) -> str:
        """What errors say that was asked."""
        return "consul_handler"

    async def _execute_with_retry(
        self,
        operation: str,
        func: Callable[[], Awaitable[T]],
        correlation_id: UUID,
        retry_config: ModelConsulRetryConfig,
        timeout_seconds: float = 30.0,
        *,
        sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
    ) -> T:
        """
        What `func` returns, after as many attempts as it takes.

        Each has so many seconds. InfraTimeoutError, InfraAuthenticationError or
        InfraConnectionError by the category of the last error, which is their cause; one of
        unknown category is raised as it is. InfraUnavailableError where the circuit is open.
        """
        how = RetryContext(
            ModelRetryState(
                max_attempts=retry_config.max_attempts,
                delay_seconds=retry_config.initial_delay_seconds,
                backoff_multiplier=retry_config.exponential_base,
            ),
            ModelOperationContext.create(operation, correlation_id, timeout_seconds),
        )
        try:
            while True:
                await self._check_circuit_if_enabled(operation, correlation_id)
                try:
                    with anyio.fail_after(timeout_seconds):
                        result = await func()
                    await self._reset_circuit_if_enabled()
                    return result
                except Exception as error:
                    said = self._classify_error(error, operation)
                    state = how.retry_state.next_attempt(
                        said.error_message, max_delay_seconds=retry_config.max_delay_seconds
                    )
                    how = how._replace(retry_state=state)
                    if not said.should_retry or not state.is_retriable():
                        if said.record_circuit_failure:
                            await self._record_circuit_failure_if_enabled(operation, correlation_id)
                        final = self._final_error(said, how.operation_context)
                        if final is None:
                            raise
                        raise final from error
                _log.info("Retrying operation", extra=_told(how))
                await sleep(state.delay_seconds)
        finally:
            # Also when cancelled, so that another may try.
            if isinstance(self, MixinAsyncCircuitBreaker):
                self._abandon_circuit_call()

    async def _check_circuit_if_enabled(self, operation: str, correlation_id: UUID) -> None:
        if isinstance(self, ProtocolCircuitBreakerAware):
            await self._check_circuit_breaker(operation, correlation_id)

    async def _record_circuit_failure_if_enabled(
        self, operation: str, correlation_id: UUID
    ) -> None:
        if isinstance(self, ProtocolCircuitBreakerAware):
            await self._record_circuit_failure(operation, correlation_id)

    async def _reset_circuit_if_enabled(self) -> None:
        if isinstance(self, ProtocolCircuitBreakerAware):
            await self._reset_circuit_breaker()

    def _final_error(
        self, said: ModelRetryErrorClassification, context: ModelOperationContext
    ) -> RuntimeHostError | None:
        place: dict[str, Any] = {
            "transport_type": self._get_transport_type(),
            "operation": context.operation_name,
            "target_name": self._get_target_name(),
            "correlation_id": context.correlation_id,
        }
        match said.category:
            case EnumRetryErrorCategory.TIMEOUT:
                seconds = context.timeout_seconds
                return InfraTimeoutError(
                    f"Operation timed out after {seconds}s",
                    context=ModelTimeoutErrorContext(**place, timeout_seconds=seconds),
                )
            case EnumRetryErrorCategory.AUTHENTICATION:
                error: type[RuntimeHostError] = InfraAuthenticationError
            case EnumRetryErrorCategory.CONNECTION:
                error = InfraConnectionError
            case _:
                return None
        return error(said.error_message, context=ModelInfraErrorContext(**place))


def _told(how: RetryContext) -> dict[str, Any]:
    state, context = how
    return {
        "operation": context.operation_name,
        "attempt": state.attempt,
        "max_attempts": state.max_attempts,
        "backoff_seconds": state.delay_seconds,
        "last_error": state.last_error,
        "correlation_id": str(context.correlation_id),
    }
