"""Entries of kinds that have no model here."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import (
    Field,
    SerializerFunctionWrapHandler,
    ValidationInfo,
    model_serializer,
    model_validator,
)

from .._base import Definition

__all__ = ["OtherConfigEntry"]


class OtherConfigEntry(Definition):
    """
    An entry of a kind that has no model here, whole.

    `fields` is all that is not named here, in Consul's own names. It is sent as it is.
    """

    kind: str
    name: str = ""
    fields: Annotated[dict[str, Any], Field(repr=False)] = {}
    create_index: int = 0
    modify_index: int = 0

    @model_validator(mode="before")
    @classmethod
    def _apart(cls, document: Any, info: ValidationInfo) -> Any:
        if info.mode != "json" or not isinstance(document, dict):
            return document
        named = {name: document[name] for name in _NAMED if name in document}
        return named | {"Fields": {k: v for k, v in document.items() if k not in _NAMED}}

    @model_serializer(mode="wrap")
    def _whole(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        document: dict[str, Any] = handler(self)
        fields: dict[str, Any] = document.pop("Fields", {})
        return document | fields


_NAMED = ("Kind", "Name", "CreateIndex", "ModifyIndex")
