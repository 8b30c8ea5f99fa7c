"""A circuit for classes that inherit one, and what an error means for it."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from contextvars import ContextVar
from typing import Any, Self, TypeVar
from uuid import UUID

import anyio
from pydantic import Field, ValidationError, model_validator

from .. import (
    CircuitOpenError,
    ConsulConnectionError,
    ConsulTimeoutError,
    NotFoundError,
    OutcomeUnknownError,
    PermissionDeniedError,
    RateLimitedError,
    ServerError,
)
from ..transport import Circuit, CircuitState
from ._models import Frozen, Strict
from ._translate import unavailable
from .enums import EnumCircuitState, EnumInfraTransportType
from .enums import EnumRetryErrorCategory as Category
from .errors import ModelInfraErrorContext, ProtocolConfigurationError

__all__ = [
    "MixinAsyncCircuitBreaker",
    "ModelCircuitBreakerConfig",
    "ModelRetryErrorClassification",
    "classify",
]

N = TypeVar("N", int, float)


class ModelRetryErrorClassification(Strict, frozen=True):
    """What an error means. What is not said follows from its category."""

    category: Category
    should_retry: bool
    record_circuit_failure: bool = False
    error_message: str = ""

    @model_validator(mode="before")
    @classmethod
    def _follow(cls, data: Any) -> Any:
        if isinstance(data, dict) and isinstance(data.get("category"), Category):
            category: Category = data["category"]
            follows = {
                "record_circuit_failure": category.records_circuit_failure(),
                "error_message": f"{category.value} error",
            }
            return follows | data
        return data


def classify(error: BaseException) -> ModelRetryErrorClassification:
    """
    What an error means for trying again, and for the circuit.

    Time-outs, broken connections and Consul's own failures may pass. A refused token, a wrong
    request and a mistake in a program stay what they are.
    """
    match error:
        case TimeoutError() | ConsulTimeoutError():
            category = Category.TIMEOUT
        case PermissionDeniedError():
            category = Category.AUTHENTICATION
        case ConsulConnectionError() | OutcomeUnknownError() | ServerError():
            category = Category.CONNECTION
        case NotFoundError():
            category = Category.NOT_FOUND
        case _:
            category = Category.UNKNOWN
    # A rate limit is Consul being well; a lost write is for its caller to look at.
    retry = category.is_retry_eligible() or isinstance(error, RateLimitedError)
    return ModelRetryErrorClassification(
        category=category, should_retry=retry and not isinstance(error, OutcomeUnknownError)
    )


class ModelCircuitBreakerConfig(Frozen, frozen=True):
    """How a circuit behaves."""

    threshold: int = Field(default=5, ge=1)
    reset_timeout_seconds: float = Field(default=60.0, ge=0, allow_inf_nan=False)
    service_name: str = Field(default="unknown", min_length=1)
    transport_type: EnumInfraTransportType = EnumInfraTransportType.HTTP
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
                enable_active_recovery=enable_active_recovery,
            )
            return self._init_circuit_breaker_from_config(config, now=now)
        raise ProtocolConfigurationError(
            "a circuit's threshold is 1 or more, its reset timeout 0 or more",
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
            EnumCircuitState[state.name],
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
                self._circuit_opened = now

    async def _reset_circuit_breaker(self) -> None:
        """Say that a call went well; where none was checked before, close the circuit by hand."""
        ticket = self._taken()
        if ticket is None:
            self._circuit.reset()
        else:
            self._circuit.succeeded(ticket)

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
        state, left = EnumCircuitState[statistics.state.name], 0.0
        if state is EnumCircuitState.OPEN:
            left = self._circuit_opened + config.reset_timeout_seconds - self._circuit_now()
            if left <= 0 and config.enable_active_recovery:
                state = EnumCircuitState.HALF_OPEN
        known = {
            "initialized": True,
            "state": state.value,
            "failures": 0 if state is EnumCircuitState.HALF_OPEN else statistics.failures,
            "threshold": config.threshold,
            "reset_timeout_seconds": config.reset_timeout_seconds,
            "active_recovery_enabled": config.enable_active_recovery,
            "active_recovery_running": False,
        }
        if state is EnumCircuitState.OPEN:
            known["seconds_until_half_open"] = max(0.0, left)
        return known
