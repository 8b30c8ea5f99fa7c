"""Decoding JSON into types, and saying what is wrong with it without quoting it."""

from __future__ import annotations

from collections.abc import Hashable
from functools import cache
from typing import Any, TypeVar, cast

from pydantic import TypeAdapter, ValidationError

__all__ = ["adapter_of", "problem_of"]

T = TypeVar("T")


def adapter_of(type_: type[T]) -> TypeAdapter[T]:
    """The adapter of a type; building one takes longer than decoding most answers."""
    return cast(TypeAdapter[T], _built(cast(Hashable, type_)))


@cache
def _built(type_: Any) -> TypeAdapter[Any]:
    return TypeAdapter(type_)


def problem_of(error: ValidationError) -> str:
    """Where a document is wrong, and in what way. Not what stands there: it may be a secret."""
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    where = ".".join(str(part) for part in first["loc"]) or "the whole"
    return f"{where[:100]}: {first['type']}"
