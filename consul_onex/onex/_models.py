"""What all models of the facade have in common."""

from __future__ import annotations

from pydantic import BaseModel

__all__ = ["Frozen", "Strict"]


class Frozen(BaseModel, frozen=True, extra="forbid", hide_input_in_errors=True):
    """Never changed, as type checkers want each class to say; what is refused is not quoted."""


class Strict(
    Frozen,
    frozen=True,
    strict=True,
    from_attributes=True,
    ser_json_bytes="base64",
    val_json_bytes="base64",
):
    """The same, and text is no number."""
