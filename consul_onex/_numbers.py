"""Numbers and flags that a caller gives, checked."""

from __future__ import annotations

import math

from .errors import ConfigurationError

__all__ = ["count", "flag", "seconds"]


def seconds(name: str, value: float, *, setting: str, above_zero: bool = False) -> float:
    """A finite number of seconds, from 0 on or above it. ConfigurationError where it is none."""
    if (
        isinstance(value, bool)
        or not isinstance(value, (int, float))
        or not math.isfinite(value)
        or value < 0
        or (above_zero and value == 0)
    ):
        bound = "above 0" if above_zero else "from 0 on"
        raise ConfigurationError(f"{name} must be a number of seconds {bound}", setting=setting)
    return float(value)


def count(name: str, value: int, *, setting: str, least: int = 1) -> int:
    """A whole number, at least so large. ConfigurationError where it is none."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ConfigurationError(f"{name} must be a whole number from {least} on", setting=setting)
    return value


def flag(name: str, value: bool, *, setting: str) -> bool:
    """True or False. ConfigurationError where it is neither."""
    if not isinstance(value, bool):
        raise ConfigurationError(f"{name} must be True or False", setting=setting)
    return value
