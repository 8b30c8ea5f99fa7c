"""What the handler answers with."""

from __future__ import annotations

from typing import Self
from uuid import UUID

from pydantic import Field

from ..._models import Strict
from ...enums import EnumResponseStatus
from .consul import ModelConsulHandlerPayload

__all__ = ["ModelConsulHandlerResponse", "ModelHealthCheckResult"]


class ModelConsulHandlerResponse(Strict, frozen=True):
    """
    The answer to one envelope.

    `response.payload.data` is what the operation found or did. `response.result` is the response
    itself, for code that knows it wrapped in an output.
    """

    status: EnumResponseStatus = EnumResponseStatus.SUCCESS
    payload: ModelConsulHandlerPayload
    correlation_id: UUID
    input_envelope_id: UUID
    handler_id: str = "consul-handler"

    @property
    def result(self) -> Self:
        """The response itself."""
        return self

    @property
    def is_success(self) -> bool:
        """Whether the operation was carried out; what was not is raised."""
        return self.status is EnumResponseStatus.SUCCESS

    @property
    def is_error(self) -> bool:
        """The opposite."""
        return not self.is_success


class ModelHealthCheckResult(Strict, frozen=True):
    """How Consul is; true where it is well. `latency_ms` is how long it took to say so."""

    healthy: bool
    latency_ms: float
    reason: str
    error_type: str | None = None
    details: dict[str, str] = Field(default_factory=dict)

    def __bool__(self) -> bool:
        return self.healthy
