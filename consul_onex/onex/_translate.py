"""What the client raises, in the platform's words."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final
from uuid import UUID

from .. import (
    CircuitOpenError,
    ClientClosedError,
    ConfigurationError,
    ConsulError,
    ConsulStatusError,
    ConsulTimeoutError,
    DecodeError,
    InvalidRequestError,
    OutcomeUnknownError,
    OverloadedError,
    PermissionDeniedError,
    RateLimitedError,
    ServerError,
    TransactionError,
    UnknownDatacenterError,
)
from .enums import EnumCircuitState, EnumInfraTransportType
from .errors import (
    InfraAuthenticationError,
    InfraConnectionError,
    InfraProtocolError,
    InfraRateLimitedError,
    InfraRequestRejectedError,
    InfraTimeoutError,
    InfraUnavailableError,
    ModelInfraErrorContext,
    ModelTimeoutErrorContext,
    ProtocolConfigurationError,
    RuntimeHostError,
)

__all__ = ["CORRELATION", "TARGET", "context_of", "timed_out", "translated", "unavailable"]

TARGET: Final = "consul_handler"

CORRELATION: Final[ContextVar[UUID | None]] = ContextVar("correlation_id", default=None)
"""The id of the operation that is under way."""


def context_of(operation: str, correlation_id: UUID | None) -> ModelInfraErrorContext:
    """The context of an error of this operation."""
    return ModelInfraErrorContext(
        transport_type=EnumInfraTransportType.CONSUL,
        operation=operation,
        target_name=TARGET,
        correlation_id=correlation_id,
    )


@contextmanager
def translated(
    operation: str, correlation_id: UUID, timeout: float, *, failed: str = "Consul error"
) -> Iterator[None]:
    """Turn errors of the client into the platform's, with the original as their cause."""
    try:
        yield
    except ConsulError as error:
        raise _translate(error, operation, correlation_id, timeout, failed) from error


def _translate(
    error: ConsulError, operation: str, correlation_id: UUID, timeout: float, failed: str
) -> RuntimeHostError:
    # Only the kind of an error is told: its text may quote what somebody put into a request.
    kind = type(error).__name__
    context = context_of(operation, correlation_id)
    match error:
        case TransactionError() if "ermission denied" in error.detail:
            return _denied(context)
        case PermissionDeniedError():
            return _denied(context)
        case CircuitOpenError():
            # In half-open, it depends on a call that is under way.
            waits = error.retry_after is None
            return unavailable(
                error.circuit,
                EnumCircuitState.HALF_OPEN if waits else EnumCircuitState.OPEN,
                error.retry_after,
                context,
            )
        case OverloadedError():
            return InfraUnavailableError(
                "Not sent: too many operations are in flight", context=context
            )
        case ConsulTimeoutError():
            return timed_out(operation, correlation_id, timeout)
        case OutcomeUnknownError() if "Timeout" in type(error.__cause__).__name__:
            return timed_out(operation, correlation_id, timeout, outcome_unknown=True)
        case OutcomeUnknownError():
            return InfraConnectionError(f"{failed}: {kind}", context=context, outcome_unknown=True)
        case ClientClosedError():
            return InfraConnectionError("Handler has been shut down", context=context)
        case ConfigurationError():
            return ProtocolConfigurationError(
                f"Invalid Consul configuration - validation failed for fields: [{error.setting}]",
                context=context,
                parameter=error.setting,
            )
        case InvalidRequestError():
            return ProtocolConfigurationError(
                f"Missing or invalid {_what(operation)} in payload: {kind}", context=context
            )
        case DecodeError():
            return InfraProtocolError("Consul's answer cannot be understood", context=context)
        case RateLimitedError():
            return InfraRateLimitedError(
                "Consul asks to be asked less often",
                context=context,
                retry_after_seconds=error.retry_after,
            )
        case ConsulStatusError() if not isinstance(error, (ServerError, UnknownDatacenterError)):
            return InfraRequestRejectedError(
                f"Consul refused the request: {kind}", context=context, status_code=error.status
            )
    return InfraConnectionError(f"{failed}: {kind}", context=context)


def unavailable(
    name: str,
    state: EnumCircuitState,
    seconds: float | None,
    context: ModelInfraErrorContext,
) -> InfraUnavailableError:
    """What an open circuit raises. It never says to come back after 0 seconds."""
    return InfraUnavailableError(
        f"Circuit breaker is open - {name} temporarily unavailable",
        context=context,
        circuit_state=state.value,
        retry_after_seconds=max(1, math.ceil(seconds or 0.0)),
    )


def timed_out(
    operation: str, correlation_id: UUID, timeout: float, **extra: Any
) -> InfraTimeoutError:
    """What a call raises that had no answer in time."""
    return InfraTimeoutError(
        f"Operation timed out after {timeout}s",
        context=ModelTimeoutErrorContext(
            transport_type=EnumInfraTransportType.CONSUL,
            operation=operation,
            target_name=TARGET,
            correlation_id=correlation_id,
            timeout_seconds=timeout,
        ),
        **extra,
    )


def _denied(context: ModelInfraErrorContext) -> InfraAuthenticationError:
    return InfraAuthenticationError(
        "Consul ACL permission denied - check token permissions", context=context
    )


def _what(operation: str) -> str:
    return "'key'" if ".kv_" in operation else "field"
