"""Decoding JSON into types, and saying what is wrong with it without quoting it."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar, Final, TypeVar, cast

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails, PydanticSerializationError, from_json, to_json

from .errors import InvalidRequestError

__all__ = [
    "LAZY",
    "MADE",
    "MANY",
    "UNMEANT",
    "UNSAID",
    "adapter_of",
    "dumped",
    "place_of",
    "problem_of",
]

T = TypeVar("T")

LAZY: Final = ConfigDict(defer_build=True)
"""For an adapter that is built when it is first used: `TypeAdapter(list[Node], config=LAZY)`."""

MANY: Final = 1000
"""Problems that pydantic is not asked to list, since it lists them all or none."""

UNSAID: Final = "~"
"""A step on the way to a place in a document that nobody wants to read."""

UNMEANT: Final = "-"
"""A step to where a document need not have gone: what is wrong there is not what is wrong."""


@dataclass(frozen=True, slots=True)
class _Made:
    """The answer to a creation."""

    __pydantic_config__: ClassVar[ConfigDict] = LAZY
    ID: str


MADE: Final = TypeAdapter(_Made)
"""What several endpoints answer to a creation: the id of what they made."""


def adapter_of(type_: type[T]) -> TypeAdapter[T]:
    """The adapter of a type; building one takes longer than decoding most answers."""
    return cast(TypeAdapter[T], _built(cast(Hashable, type_)))


@cache
def _built(type_: Any) -> TypeAdapter[Any]:
    return TypeAdapter(type_)


def dumped(obj: Any, operation: str | None = None) -> bytes:
    """
    An object as JSON: anything pydantic can serialise. InvalidRequestError where it cannot.

    NaN and the infinities are refused: JSON has no word for them, and null would be another value.
    """
    try:
        content = to_json(obj, inf_nan_mode="constants")
        from_json(content, allow_inf_nan=False)
        return content
    except (PydanticSerializationError, ValueError, RecursionError):
        pass
    raise InvalidRequestError(
        f"this {type(obj).__name__} cannot be written as JSON", operation=operation
    )


def problem_of(error: ValidationError) -> str:
    """Where a document is wrong, and in what way. Not what stands there: it may be a secret."""
    if error.error_count() > MANY:
        return f"wrong in {error.error_count()} places"
    errors = error.errors(include_url=False, include_input=False, include_context=False)
    first = next(one for one in errors if UNMEANT not in one["loc"])
    return f"{place_of(first) or 'the whole'}: {first['type']}"


def place_of(problem: ErrorDetails) -> str:
    """Where in a document a problem is: `Checks.0.Name`."""
    return ".".join(str(part) for part in problem["loc"] if part != UNSAID)[:100]
