"""What the handler answers with, and how far an operation has come."""

from __future__ import annotations

from typing import Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from ..._retrying import ModelOperationContext, ModelRetryState
from ...enums import EnumResponseStatus
from .consul import ModelConsulHandlerPayload

__all__ = ["ModelConsulHandlerResponse", "ModelOperationContext", "ModelRetryState"]


class ModelConsulHandlerResponse(BaseModel):
    """
    The answer to one envelope.

    `response.payload.data` is what the operation found or did. `response.result` is the response
    itself, for code that knows it wrapped in an output.
    """

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid")

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
