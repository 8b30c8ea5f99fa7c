"""Values that a caller gives for the wire, checked."""

from __future__ import annotations

from typing import Final

from .errors import InvalidRequestError

__all__ = ["MAX_BYTES", "MAX_OPERATIONS", "as_bytes", "u64"]

MAX_BYTES: Final = 512 * 1024
"""How many bytes of JSON a transaction may have, on a server that is not set otherwise."""

MAX_OPERATIONS: Final = 64
"""How many operations a transaction may have. Servers take 128 since Consul 1.14."""


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
