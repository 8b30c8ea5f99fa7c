"""Whether anything is lost between Consul's JSON and what is read from it."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any, Final

from pydantic import TypeAdapter

from consul_onex._duration import parse_duration

__all__ = ["lost"]

_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
_ZERO_TIME: Final = "0001-01-01T00:00:00Z"
_DURATION: Final = re.compile(r"-?([\d.]+(h|ms|us|µs|ns|m|s))+")


def lost(said: Any, read: Any) -> list[str]:
    """
    What of Consul's JSON is not in what was read from it, or is another there; in words.

    `read` is what a method gave back. Every key that Consul sent must be known by name, and every
    value must come back from `to_wire`, but for these: null is as good as empty, a duration as
    good in any notation, a time is read to the microsecond, and Go's zero time is none.
    """
    known = _plain(read, exclude_none=False)
    return [
        *_unknown(said, known, ""),
        *_differences(said, _plain(read, exclude_none=True), ""),
    ]


def _plain(read: Any, *, exclude_none: bool) -> Any:
    if isinstance(read, list):
        return [_plain(one, exclude_none=exclude_none) for one in read]
    if isinstance(read, dict):
        return {name: _plain(one, exclude_none=exclude_none) for name, one in read.items()}
    if exclude_none and hasattr(read, "to_wire"):
        return read.to_wire()
    return TypeAdapter(type(read)).dump_python(
        read, mode="json", by_alias=True, exclude_none=exclude_none
    )


def _unknown(said: Any, known: Any, where: str) -> list[str]:
    """Keys that nothing was read into, whatever their value is."""
    if isinstance(said, dict) and isinstance(known, dict):
        return [
            problem
            for name, value in said.items()
            for problem in (
                _unknown(value, known[name], f"{where}.{name}")
                if name in known
                else [f"{where}.{name} is not known"]
            )
        ]
    if isinstance(said, list) and isinstance(known, list):
        pairs = zip(said, known, strict=False)
        return [p for at, (a, b) in enumerate(pairs) for p in _unknown(a, b, f"{where}[{at}]")]
    return []


def _differences(said: Any, read: Any, where: str) -> list[str]:
    if _is_empty(said) and _is_empty(read):
        return []
    if isinstance(said, dict) and isinstance(read, dict):
        return [
            problem
            for name in said.keys() | read.keys()
            for problem in _differences(said.get(name), read.get(name), f"{where}.{name}")
        ]
    if isinstance(said, list) and isinstance(read, list) and len(said) == len(read):
        pairs = zip(said, read, strict=True)
        return [p for at, (a, b) in enumerate(pairs) for p in _differences(a, b, f"{where}[{at}]")]
    if _normal(said) == _normal(read) and isinstance(said, bool) is isinstance(read, bool):
        return []
    return [f"{where or 'the whole'} is {said!r} and was read as {read!r}"]


def _is_empty(value: Any) -> bool:
    if isinstance(value, dict):
        return all(_is_empty(one) for one in value.values())
    return value in (None, "", [], 0, _ZERO_TIME, "0s")


def _normal(value: Any) -> Any:
    if isinstance(value, str) and _TIME.fullmatch(value):
        cut = re.sub(r"(\.\d{6})\d+", r"\1", value)
        return datetime.fromisoformat(cut)
    if isinstance(value, str) and _DURATION.fullmatch(value):
        return round(parse_duration(value) * 1e9)
    return value
