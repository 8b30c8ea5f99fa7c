"""
The platform's errors, and the context that each carries.

`str(error)` begins with the code: `[ONEX_CORE_163_AUTHENTICATION_ERROR] ...`. No error holds a
token or a value; what happened below is the `__cause__`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, ClassVar, Self
from uuid import UUID, uuid4

from pydantic import Field

from ._models import Frozen
from .enums import EnumCoreErrorCode as Code
from .enums import EnumInfraTransportType as Transport
from .utils import sanitize_consul_key, sanitize_error_string

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
]


class ModelInfraErrorContext(Frozen, frozen=True):
    """Where an error happened."""

    transport_type: Transport | None = None
    operation: str | None = None
    target_name: str | None = None
    correlation_id: UUID | None = None
    namespace: str | None = None

    @classmethod
    def with_correlation(cls, correlation_id: UUID | None = None, **fields: Any) -> Self:
        """A context with this correlation id, or with a new one."""
        return cls(correlation_id=correlation_id or uuid4(), **fields)


class ModelTimeoutErrorContext(Frozen, frozen=True):
    """Where a time-out happened, and after how many seconds."""

    transport_type: Transport
    operation: str = Field(min_length=1)
    target_name: str | None = None
    correlation_id: UUID = Field(default_factory=uuid4)
    timeout_seconds: float | None = Field(default=None, ge=0)


class ModelErrorReport(Frozen, frozen=True):
    """An error as data, for logs and messages."""

    message: str
    error_code: Code
    correlation_id: UUID
    timestamp: datetime
    context: dict[str, Any]


class RuntimeHostError(Exception):
    """
    Anything that the facade raises on purpose.

    `message` is what went wrong and `error_code` what it is counted by; `correlation_id` is the
    operation's, or a new one where it had none; `timestamp` is in UTC. `model` has all of them,
    and the context: what is given besides goes into that as well, and None does not. Of a
    `response_body` only what may be told does.
    """

    code: ClassVar[Code] = Code.OPERATION_FAILED
    code_on: ClassVar[Mapping[Transport | None, Code]] = {}

    def __init_subclass__(cls, code: Code | None = None) -> None:
        cls.code = code or cls.code

    def __init__(
        self,
        message: str,
        context: ModelInfraErrorContext | ModelTimeoutErrorContext | None = None,
        **extra: Any,
    ) -> None:
        super().__init__(message)
        context = context or ModelInfraErrorContext()
        given = context.model_dump(exclude={"correlation_id"}) | extra
        if isinstance(body := extra.get("response_body"), str):
            given["response_body"] = sanitize_error_string(body)
        self.model = ModelErrorReport(
            # To fail here would hide what went wrong.
            message=str(message),
            error_code=self.code_on.get(context.transport_type, self.code),
            correlation_id=context.correlation_id or uuid4(),
            timestamp=datetime.now(UTC),
            context={name: value for name, value in given.items() if value is not None},
        )
        self.message = self.model.message
        self.error_code = self.model.error_code
        self.correlation_id = self.model.correlation_id
        self.timestamp = self.model.timestamp

    def __str__(self) -> str:
        return f"[{self.error_code.value}] {self.message}"

    def to_json(self) -> str:
        """The report as JSON."""
        return self.model.model_dump_json()


class ProtocolConfigurationError(RuntimeHostError, code=Code.INVALID_CONFIGURATION):
    """Refused before anything was sent: configuration or payload cannot be meant."""


class InfraConnectionError(RuntimeHostError, code=Code.SERVICE_UNAVAILABLE):
    """
    No usable answer came. Where it was a write, `model.context["outcome_unknown"]` says whether it
    may have been applied. The code depends on what it was a connection to.
    """

    code_on: ClassVar[Mapping[Transport | None, Code]] = {
        Transport.DATABASE: Code.DATABASE_CONNECTION_ERROR,
        Transport.HTTP: Code.NETWORK_ERROR,
        Transport.GRPC: Code.NETWORK_ERROR,
        Transport.RUNTIME: Code.OPERATION_FAILED,
        Transport.INMEMORY: Code.OPERATION_FAILED,
    }


class InfraConsulError(InfraConnectionError):
    """The same, about a key (of which the first segment is told) or a service."""

    def __init__(self, message: str, *, consul_key: str | None = None, **fields: Any) -> None:
        super().__init__(message, consul_key=sanitize_consul_key(consul_key), **fields)


class InfraTimeoutError(RuntimeHostError, code=Code.TIMEOUT_ERROR):
    """No answer came in time. A write may have been applied (`outcome_unknown`)."""

    def __init__(self, message: str, *, context: ModelTimeoutErrorContext, **extra: Any) -> None:
        super().__init__(message, context=context, **extra)


class InfraAuthenticationError(RuntimeHostError, code=Code.AUTHENTICATION_ERROR):
    """The token is unknown, or lacks the right."""


class InfraUnavailableError(RuntimeHostError, code=Code.SERVICE_UNAVAILABLE):
    """
    Not sent: the circuit is open (`circuit_state` and `retry_after_seconds` in the context), or
    too many operations wait already.
    """


class InfraRateLimitedError(RuntimeHostError, code=Code.RATE_LIMIT_ERROR):
    """Consul asks to be asked less often, `retry_after_seconds` from now if it said so."""

    def __init__(
        self, message: str, *, retry_after_seconds: float | None = None, **fields: Any
    ) -> None:
        super().__init__(message, retry_after_seconds=retry_after_seconds, **fields)
        self.retry_after_seconds = retry_after_seconds


class InfraRequestRejectedError(RuntimeHostError, code=Code.INVALID_INPUT):
    """Consul refused the request, and will refuse it again; `status_code` is in the context."""


class InfraProtocolError(RuntimeHostError):
    """The answer is not what the endpoint promises."""
