"""What an error means for trying again, and how far an operation has come with that."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, NamedTuple, Self
from uuid import UUID, uuid4

from pydantic import BaseModel, ConfigDict, Field, model_validator

from .. import (
    ConsulConnectionError,
    ConsulTimeoutError,
    NotFoundError,
    OutcomeUnknownError,
    PermissionDeniedError,
    RateLimitedError,
    ServerError,
)
from .enums import EnumRetryErrorCategory as Category

__all__ = [
    "ModelOperationContext",
    "ModelRetryErrorClassification",
    "ModelRetryState",
    "RetryContext",
    "classify",
]


class _Strict(BaseModel):
    model_config = ConfigDict(
        strict=True, frozen=True, extra="forbid", from_attributes=True, hide_input_in_errors=True
    )


class ModelRetryErrorClassification(_Strict):
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


class ModelRetryState(_Strict):
    """How often something was tried, and how many seconds to wait before the next attempt."""

    attempt: int = Field(default=0, ge=0)
    max_attempts: int = Field(default=3, ge=1, le=100)
    delay_seconds: float = Field(default=1.0, ge=0)
    backoff_multiplier: float = Field(default=2.0, ge=1, le=10)
    last_error: str | None = None
    last_attempt_at: float | None = None

    def is_retriable(self) -> bool:
        """Whether an attempt is left."""
        return self.attempt < self.max_attempts

    def is_final_attempt(self) -> bool:
        """Whether at most one is left."""
        return self.attempt >= self.max_attempts - 1

    def next_attempt(
        self,
        error_message: str | None = None,
        timestamp: float | None = None,
        max_delay_seconds: float = 300.0,
    ) -> Self:
        """
        The state after an attempt that failed now, or at this Unix time.

        The first pause is `delay_seconds` as it was given; each later one is longer.
        """
        grown = self.delay_seconds * (self.backoff_multiplier if self.attempt else 1.0)
        changes = {
            "attempt": self.attempt + 1,
            "delay_seconds": min(grown, max_delay_seconds),
            "last_error": error_message,
            "last_attempt_at": _now() if timestamp is None else timestamp,
        }
        return self.model_copy(update=changes)

    def with_initial_delay(self, initial_delay: float) -> Self:
        """The same, with this pause."""
        return self.model_validate(self.model_dump() | {"delay_seconds": initial_delay})


class ModelOperationContext(_Strict):
    """What is being done, since when (Unix time) and for how many seconds at most."""

    correlation_id: UUID
    operation_name: str
    started_at: float
    timeout_seconds: float = Field(default=30.0, ge=0, le=3600)
    metadata: dict[str, str] = Field(default_factory=dict)

    @classmethod
    def create(
        cls,
        operation_name: str,
        correlation_id: UUID | None = None,
        timeout_seconds: float = 30.0,
        metadata: dict[str, str] | None = None,
    ) -> Self:
        """The context of what begins now."""
        return cls(
            correlation_id=correlation_id or uuid4(),
            operation_name=operation_name,
            started_at=_now(),
            timeout_seconds=timeout_seconds,
            metadata=metadata or {},
        )

    def elapsed_seconds(self) -> float:
        """How long it takes already."""
        return _now() - self.started_at

    def remaining_seconds(self) -> float:
        """How long it may still take; less than 0 afterwards."""
        return self.timeout_seconds - self.elapsed_seconds()

    def is_timed_out(self) -> bool:
        """Whether it takes too long."""
        return self.remaining_seconds() < 0

    def with_metadata(self, key: str, value: str) -> Self:
        """The same, with one more word about it."""
        return self.model_copy(update={"metadata": {**self.metadata, key: value}})

    def with_operation_name(self, operation_name: str) -> Self:
        """The same, under another name."""
        return self.model_copy(update={"operation_name": operation_name})


class RetryContext(NamedTuple):
    """What is being done, and how often it was tried."""

    retry_state: ModelRetryState
    operation_context: ModelOperationContext


def _now() -> float:
    return datetime.now(UTC).timestamp()
