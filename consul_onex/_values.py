"""Values that a caller gives for the wire, checked."""

from __future__ import annotations

from .errors import InvalidRequestError

__all__ = ["as_bytes", "u64"]


def as_bytes(value: bytes | str, what: str = "value") -> bytes:
    """A value as bytes; text is written as UTF-8."""
    if isinstance(value, bytes):
        return value
    if isinstance(value, (bytearray, memoryview)):
        return bytes(value)
    if isinstance(value, str):
        try:
            return value.encode("utf-8")
        except UnicodeEncodeError:
            pass
        raise InvalidRequestError(f"the {what} has a lone surrogate, which UTF-8 cannot say")
    raise InvalidRequestError(f"a {what} is bytes or str, not {type(value).__name__}")


def u64(what: str, number: int, *, least: int = 0) -> int:
    """A whole number of 64 bits, at least so large."""
    if not isinstance(number, int) or isinstance(number, bool) or not least <= number < 2**64:
        raise InvalidRequestError(f"{what} is a whole number from {least} to 2**64 - 1")
    return number
