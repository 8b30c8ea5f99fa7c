"""What all models of the facade have in common."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

__all__ = ["Frozen", "Strict"]


class Frozen(BaseModel):
    """Never changed; no field but its own; what is refused is not quoted."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class Strict(Frozen):
    """The same, and a number is no text."""

    model_config = ConfigDict(
        strict=True, from_attributes=True, ser_json_bytes="base64", val_json_bytes="base64"
    )
