"""
The platform's errors, and the context that each carries.

    RuntimeHostError
      ProtocolConfigurationError     refused before anything was sent
      SecretResolutionError
      InfraConnectionError           no usable answer
        InfraConsulError             ... about a key or a service
      InfraTimeoutError              no answer in time
      InfraAuthenticationError       the token is unknown, or lacks the right
      InfraUnavailableError          not sent: the circuit is open, or the queue full
      InfraRateLimitedError          Consul asks to be asked less often
      InfraRequestRejectedError      Consul refused the request
      InfraProtocolError             the answer is not what was promised

`str(error)` begins with the code: `[ONEX_CORE_163_AUTHENTICATION_ERROR] ...`. No error holds a
token or a value; what happened below is the `__cause__`.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, ClassVar, Self
from uuid import UUID, uuid4

from pydantic import BaseModel, ConfigDict, Field

from .enums import EnumCoreErrorCode, EnumInfraTransportType

__all__ = [
    "InfraAuthenticationError",
    "InfraConnectionError",
    "InfraConsulError",
    "InfraProtocolError",
    "InfraRateLimitedError",
    "InfraRequestRejectedError",
    "InfraTimeoutError",
    "InfraUnavailableError",
    "ModelErrorReport",
    "ModelInfraErrorContext",
    "ModelTimeoutErrorContext",
    "ProtocolConfigurationError",
    "RuntimeHostError",
    "SecretResolutionError",
    "sanitize_consul_key",
]

_FROZEN = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class ModelInfraErrorContext(BaseModel):
    """Where an error happened."""

    model_config = _FROZEN

    transport_type: EnumInfraTransportType | None = None
    operation: str | None = None
    target_name: str | None = None
    correlation_id: UUID | None = None
    namespace: str | None = None

    @classmethod
    def with_correlation(cls, correlation_id: UUID | None = None, **fields: Any) -> Self:
        """A context with this correlation id, or with a new one."""
        return cls(correlation_id=correlation_id or uuid4(), **fields)


class ModelTimeoutErrorContext(BaseModel):
    """Where a time-out happened, and after how many seconds."""

    model_config = _FROZEN

    transport_type: EnumInfraTransportType
    operation: str = Field(min_length=1)
    target_name: str | None = None
    correlation_id: UUID = Field(default_factory=uuid4)
    timeout_seconds: float | None = Field(default=None, ge=0)


class ModelErrorReport(BaseModel):
    """An error as data, for logs and messages."""

    model_config = _FROZEN

    message: str
    error_code: EnumCoreErrorCode
    correlation_id: UUID
    timestamp: datetime
    context: dict[str, Any]


class RuntimeHostError(Exception):
    """
    Anything that the facade raises on purpose.

    What is given besides the message and the context goes into the context as well; None does not.
    """

    code: ClassVar[EnumCoreErrorCode] = EnumCoreErrorCode.OPERATION_FAILED

    def __init__(
        self,
        message: str,
        *,
        context: ModelInfraErrorContext | ModelTimeoutErrorContext | None = None,
        **extra: Any,
    ) -> None:
        given = context.model_dump(exclude={"correlation_id"}) if context is not None else {}
        known = {name: value for name, value in (given | extra).items() if value is not None}
        self.model = ModelErrorReport(
            # To fail here would hide what went wrong.
            message=str(message),
            error_code=self._code_of(context.transport_type if context is not None else None),
            correlation_id=(context.correlation_id if context is not None else None) or uuid4(),
            timestamp=datetime.now(UTC),
            context=known,
        )
        super().__init__(message)

    @classmethod
    def _code_of(cls, transport: EnumInfraTransportType | None) -> EnumCoreErrorCode:
        return cls.code

    def __str__(self) -> str:
        return f"[{self.error_code.value}] {self.message}"

    @property
    def message(self) -> str:
        """What went wrong, without the code."""
        return self.model.message

    @property
    def error_code(self) -> EnumCoreErrorCode:
        """What it is counted by."""
        return self.model.error_code

    @property
    def correlation_id(self) -> UUID:
        """The id of the operation; a new one where it had none."""
        return self.model.correlation_id

    @property
    def timestamp(self) -> datetime:
        """When it was raised, in UTC."""
        return self.model.timestamp

    @property
    def context(self) -> dict[str, Any]:
        """What `model.context` has, nested as the platform's core has it."""
        return {"additional_context": dict(self.model.context)}

    def to_json(self) -> str:
        """The report as JSON."""
        return self.model.model_dump_json()


class ProtocolConfigurationError(RuntimeHostError):
    """Refused before anything was sent: configuration or payload cannot be meant."""

    code = EnumCoreErrorCode.INVALID_CONFIGURATION


class SecretResolutionError(RuntimeHostError):
    """A secret is not where it should be."""

    code = EnumCoreErrorCode.RESOURCE_NOT_FOUND


_LOCAL = (EnumInfraTransportType.RUNTIME, EnumInfraTransportType.INMEMORY)
_CODES = {
    EnumInfraTransportType.DATABASE: EnumCoreErrorCode.DATABASE_CONNECTION_ERROR,
    EnumInfraTransportType.HTTP: EnumCoreErrorCode.NETWORK_ERROR,
    EnumInfraTransportType.GRPC: EnumCoreErrorCode.NETWORK_ERROR,
} | dict.fromkeys(_LOCAL, EnumCoreErrorCode.OPERATION_FAILED)


class InfraConnectionError(RuntimeHostError):
    """
    No usable answer came. Where it was a write, `model.context["outcome_unknown"]` says whether it
    may have been applied.
    """

    @classmethod
    def _code_of(cls, transport: EnumInfraTransportType | None) -> EnumCoreErrorCode:
        unavailable = EnumCoreErrorCode.SERVICE_UNAVAILABLE
        return unavailable if transport is None else _CODES.get(transport, unavailable)


class InfraConsulError(InfraConnectionError):
    """The same, about a key (of which the first segment is told) or a service."""

    def __init__(
        self,
        message: str,
        *,
        context: ModelInfraErrorContext | None = None,
        consul_key: str | None = None,
        **extra: Any,
    ) -> None:
        super().__init__(
            message, context=context, consul_key=sanitize_consul_key(consul_key), **extra
        )


class InfraTimeoutError(RuntimeHostError):
    """No answer came in time. A write may have been applied (`outcome_unknown`)."""

    code = EnumCoreErrorCode.TIMEOUT_ERROR

    def __init__(self, message: str, *, context: ModelTimeoutErrorContext, **extra: Any) -> None:
        super().__init__(message, context=context, **extra)


class InfraAuthenticationError(RuntimeHostError):
    """The token is unknown, or lacks the right."""

    code = EnumCoreErrorCode.AUTHENTICATION_ERROR


class InfraUnavailableError(RuntimeHostError):
    """
    Not sent: the circuit is open (`circuit_state` and `retry_after_seconds` in the context), or
    too many operations wait already.
    """

    code = EnumCoreErrorCode.SERVICE_UNAVAILABLE


class InfraRateLimitedError(RuntimeHostError):
    """Consul asks to be asked less often, `retry_after_seconds` from now if it said so."""

    code = EnumCoreErrorCode.RATE_LIMIT_ERROR

    def __init__(
        self, message: str, *, retry_after_seconds: float | None = None, **fields: Any
    ) -> None:
        super().__init__(message, retry_after_seconds=retry_after_seconds, **fields)
        self.retry_after_seconds = retry_after_seconds


class InfraRequestRejectedError(RuntimeHostError):
    """Consul refused the request, and will refuse it again; `status_code` is in the context."""

    code = EnumCoreErrorCode.INVALID_INPUT


class InfraProtocolError(RuntimeHostError):
    """The answer is not what the endpoint promises."""


def sanitize_consul_key(key: str | None) -> str | None:
    """A key as errors may tell it: `config/web/password` is `config/***/***`."""
    if not key or "/" not in key:
        return key
    return f"{key.partition('/')[0]}/***/***"
