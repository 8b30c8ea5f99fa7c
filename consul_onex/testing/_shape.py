"""
What a body may look like, and how to read it as strictly, and as loosely, as Consul does.

Names are read without regard to case, as Go does, and null is as good as nothing. What is not
known is an error, and so is a value of another type.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final, TypeAlias

from ._go import GoError, read_duration

__all__ = [
    "ANY",
    "BOOL",
    "BYTES",
    "DURATION",
    "INT",
    "STRING",
    "UINT",
    "Shape",
    "list_of",
    "map_of",
    "named",
    "struct",
    "text_of",
]

Shape: TypeAlias = Callable[[Any, str], Any]
"""Reads a value; the text says where it stands."""


_NOTHING: Final[Mapping[str, str]] = MappingProxyType({})


def named(value: Any) -> str:
    """What Go calls the type of a value."""
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, str):
        return "string"
    return "array" if isinstance(value, list) else "object"


def _refuse(value: Any, place: str, wanted: str) -> GoError:
    where = f"Go struct field {place}" if place else "Go value"
    return GoError(f"json: cannot unmarshal {named(value)} into {where} of type {wanted}")


def _number(value: Any, place: str, wanted: str, least: int, most: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _refuse(value, place, wanted)
    if not isinstance(value, int) or not least <= value <= most:
        where = f"Go struct field {place}"
        raise GoError(f"json: cannot unmarshal number {value} into {where} of type {wanted}")
    return value


def text_of(wanted: str) -> Shape:
    """A text; `wanted` is the name of its type."""

    def read(value: Any, place: str) -> str:
        if value is None:
            return ""
        if not isinstance(value, str):
            raise _refuse(value, place, wanted)
        # Half a surrogate pair is no character.
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")

    return read


def _int(value: Any, place: str) -> int:
    return 0 if value is None else _number(value, place, "int", -(2**63), 2**63 - 1)


def _uint(value: Any, place: str) -> int:
    return 0 if value is None else _number(value, place, "uint64", 0, 2**64 - 1)


def _bool(value: Any, place: str) -> bool:
    if value is not None and not isinstance(value, bool):
        raise _refuse(value, place, "bool")
    return bool(value)


def _bytes(value: Any, place: str) -> bytes:
    text = text_of("[]uint8")(value, place)
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        bad = next((at for at, char in enumerate(text) if not _is_base64(char)), len(text))
        raise GoError(f"illegal base64 data at input byte {bad}") from None


def _is_base64(char: str) -> bool:
    return char.isascii() and (char.isalnum() or char in "+/")


def _duration(value: Any, place: str) -> int:
    if isinstance(value, str):
        return read_duration(value) if value else 0
    return _number(value or 0, place, "time.Duration", -(2**63), 2**63 - 1)


def _any(value: Any, place: str) -> Any:
    return value


STRING: Final = text_of("string")
INT: Final[Shape] = _int
UINT: Final[Shape] = _uint
BOOL: Final[Shape] = _bool
BYTES: Final[Shape] = _bytes
DURATION: Final[Shape] = _duration
ANY: Final[Shape] = _any


def list_of(shape: Shape, wanted: str) -> Shape:
    """A list; null stays None."""

    def read(value: Any, place: str) -> list[Any] | None:
        if value is None:
            return None
        if not isinstance(value, list):
            raise _refuse(value, place, wanted)
        return [shape(one, place) for one in value]

    return read


def map_of(shape: Shape, wanted: str) -> Shape:
    """A map from texts; null stays None."""

    def read(value: Any, place: str) -> dict[str, Any] | None:
        if value is None:
            return None
        if not isinstance(value, dict):
            raise _refuse(value, place, wanted)
        return {STRING(key, place): shape(one, place) for key, one in value.items()}

    return read


def struct(
    name: str,
    fields: Mapping[str, Shape],
    *,
    strict: bool = True,
    wanted: str | None = None,
    also: Mapping[str, str] = _NOTHING,
) -> Shape:
    """
    An object with these fields, of which those that were sent come back; null stays None.

    `name` is that of the type, as it stands in errors; `wanted`, where it has another there.
    `also` has other spellings of fields. What is unknown is an error, unless `strict` is false.
    """
    spelled = {**{field.lower(): field for field in fields}, **also}

    def read(value: Any, place: str) -> dict[str, Any] | None:
        if value is None:
            return None
        if not isinstance(value, dict):
            raise _refuse(value, place, wanted or name)
        path = place.partition(".")[2]
        found: dict[str, Any] = {}
        for key, one in value.items():
            field = spelled.get(key.lower())
            if field is not None:
                inside = f"{name}.{path}.{field}" if path else f"{name}.{field}"
                found[field] = fields[field](one, inside)
            elif strict:
                raise GoError(f'json: unknown field "{key}"')
        return found

    return read
