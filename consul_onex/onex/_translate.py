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
from . import errors
from .enums import EnumCircuitState, EnumInfraTransportType

__all__ = ["CORRELATION", "context_of", "timed_out", "translated", "unavailable"]

CORRELATION: Final[ContextVar[UUID | None]] = ContextVar("correlation_id", default=None)
"""The id of the operation that is under way."""

_TARGET: Final = "consul_handler"

_NO_ANSWER: Final = (errors.InfraConnectionError, "{failed}: {kind}")

# The class that is nearest to an error's own decides what it becomes, and what is said. Of its text
# nothing is told: that may quote what somebody put into a request.
_BECOMES: Final[dict[type[ConsulError], tuple[type[errors.RuntimeHostError], str]]] = {
    ConsulError: _NO_ANSWER,
    ServerError: _NO_ANSWER,
    UnknownDatacenterError: _NO_ANSWER,
    ClientClosedError: (errors.InfraConnectionError, "Handler has been shut down"),
    ConfigurationError: (
        errors.ProtocolConfigurationError,
        "Invalid Consul configuration - validation failed for fields: [{error.setting}]",
    ),
    ConsulStatusError: (errors.InfraRequestRejectedError, "Consul refused the request: {kind}"),
    DecodeError: (errors.InfraProtocolError, "Consul's answer cannot be understood"),
    InvalidRequestError: (
        errors.ProtocolConfigurationError,
        "Missing or invalid {field} in payload: {kind}",
    ),
    OverloadedError: (
        errors.InfraUnavailableError,
        "Not sent: too many operations are in flight",
    ),
    PermissionDeniedError: (
        errors.InfraAuthenticationError,
        "Consul ACL permission denied - check token permissions",
    ),
    RateLimitedError: (errors.InfraRateLimitedError, "Consul asks to be asked less often"),
}


def context_of(operation: str, correlation_id: UUID | None) -> errors.ModelInfraErrorContext:
    """The context of an error of this operation."""
    return errors.ModelInfraErrorContext(
        transport_type=EnumInfraTransportType.CONSUL,
        operation=operation,
        target_name=_TARGET,
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
) -> errors.RuntimeHostError:
    context = context_of(operation, correlation_id)
    nearest = next(cls for cls in type(error).__mro__ if cls in _BECOMES)
    match error:
        case CircuitOpenError():
            # Without a time, it depends on a call that is under way.
            waits = error.retry_after is None
            state = EnumCircuitState.HALF_OPEN if waits else EnumCircuitState.OPEN
            return unavailable(error.circuit, state, error.retry_after, context)
        case ConsulTimeoutError():
            return timed_out(operation, correlation_id, timeout)
        case OutcomeUnknownError(timed_out=True):
            return timed_out(operation, correlation_id, timeout, outcome_unknown=True)
        case TransactionError() if "ermission denied" in error.detail:
            nearest = PermissionDeniedError
    becomes, said = _BECOMES[nearest]
    field = "'key'" if ".kv_" in operation else "field"
    return becomes(
        said.format(error=error, failed=failed, field=field, kind=type(error).__name__),
        context=context,
        outcome_unknown=isinstance(error, OutcomeUnknownError) or None,
        parameter=getattr(error, "setting", None),
        status_code=getattr(error, "status", None),
        retry_after_seconds=getattr(error, "retry_after", None),
    )


def unavailable(
    name: str,
    state: EnumCircuitState,
    seconds: float | None,
    context: errors.ModelInfraErrorContext,
) -> errors.InfraUnavailableError:
    """What an open circuit raises. It never says to come back after 0 seconds."""
    return errors.InfraUnavailableError(
        f"Circuit breaker is open - {name} temporarily unavailable",
        context=context,
        circuit_state=state.value,
        retry_after_seconds=max(1, math.ceil(seconds or 0.0)),
    )


def timed_out(
    operation: str, correlation_id: UUID, timeout: float, **extra: Any
) -> errors.InfraTimeoutError:
    """What a call raises that had no answer in time."""
    context = errors.ModelTimeoutErrorContext(
        transport_type=EnumInfraTransportType.CONSUL,
        operation=operation,
        target_name=_TARGET,
        correlation_id=correlation_id,
        timeout_seconds=timeout,
    )
    return errors.InfraTimeoutError(
        f"Operation timed out after {timeout}s", context=context, **extra
    )
