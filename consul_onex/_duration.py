"""Consul's durations: `"10s"`, `"1m30s"`, `"1500ms"` on the wire, seconds as float in Python."""

from __future__ import annotations

import re
from functools import lru_cache

from .errors import DecodeError, InvalidRequestError

__all__ = ["format_duration", "parse_duration"]

# In nanoseconds: a time is then the same number of seconds in every notation.
_UNITS = {"h": 3600e9, "m": 60e9, "s": 1e9, "ms": 1e6, "us": 1e3, "µs": 1e3, "ns": 1.0}
_LONGEST = 2**63 / 1e9
"""Seconds: Go counts nanoseconds in 64 bits, and refuses what is more."""

_PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|h|m|s)", re.ASCII)
_WHOLE = re.compile(rf"[+-]?(?:{_PART.pattern})+", re.ASCII)


def format_duration(seconds: float) -> str:
    """
    Write seconds as Consul reads them, to the millisecond.

    More than nothing never becomes `"0ms"`, which Consul would take for "not given".
    """
    if not 0 <= seconds <= _LONGEST:
        raise InvalidRequestError(
            f"a duration is a number of seconds from 0 on, of at most 292 years, not {seconds!r}"
        )
    if seconds == int(seconds):
        return f"{int(seconds)}s"
    return f"{max(1, round(seconds * 1000))}ms"


# Of ten thousand checks, nearly all have one of a few intervals.
@lru_cache(maxsize=256)
def parse_duration(text: str) -> float:
    """Read a duration as Go writes it; an empty one is 0."""
    if text in ("", "0"):
        return 0.0
    if not _WHOLE.fullmatch(text):
        raise DecodeError(f"not a duration: {text[:40]!r}")
    total = sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text)) / 1e9
    if total > _LONGEST:
        raise DecodeError(f"not a duration: {text[:40]!r}")
    return -total if text.startswith("-") else total
