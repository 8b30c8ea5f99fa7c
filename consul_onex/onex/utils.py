"""What may be told of a key, an address or somebody else's error."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import urlsplit

__all__ = [
    "sanitize_backend_error",
    "sanitize_consul_key",
    "sanitize_error_message",
    "sanitize_error_string",
    "sanitize_url",
]

# An author is no secret, and neither is an authority; authorization is.
_SENSITIVE: Final = re.compile(
    r"passw(or)?d|pwd|secret|token|(api|access|private|ssh)[_-]?key|session[_-]?id|credential"
    r"|auth(?!or(?!i[sz]))|bearer|conn(ection)?[_-]?str(ing)?|user:pass|aws_access|-----(begin|end)"
    r"|(mongodb|postgres(ql)?|mysql|rediss?|valkey|amqp|kafka)://",
    re.IGNORECASE,
)
# The id of a token is the token.
_UUID: Final = re.compile(r"\b[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}\b", re.IGNORECASE)

# The first that fits is told: the longer ones come first.
_SAFE: Final = (
    *("connection refused", "connection reset", "connection timeout", "connection closed"),
    *("network unreachable", "host not found", "dns lookup failed", "service unavailable"),
    *("too many connections", "resource exhausted", "authentication failed"),
    *("permission denied", "access denied", "already exists", "not found", "conflict"),
    *("timeout", "unavailable"),
)


def sanitize_consul_key(key: str | None) -> str | None:
    """A key as errors may tell it: `config/web/password` is `config/***/***`."""
    if not key or "/" not in key:
        return key
    return f"{key.partition('/')[0]}/***/***"


def sanitize_error_string(text: str, max_length: int = 500) -> str:
    """
    An error's text for logs, cut at so many characters.

    Nothing of it where it speaks of passwords and their like; a UUID in it, which may be a token,
    is left out.
    """
    if _SENSITIVE.search(text):
        return "[REDACTED - potentially sensitive data]"
    text = _UUID.sub("[REDACTED]", text)
    return text if len(text) <= max_length else f"{text[:max_length]}... [truncated]"


def sanitize_error_message(error: BaseException, max_length: int = 500) -> str:
    """The same of an error, after the name of its class."""
    return f"{type(error).__name__}: {sanitize_error_string(str(error), max_length)}"


def sanitize_backend_error(backend: str, raw: object) -> str:
    """That a system failed, and how, if that is one of a few phrases that tell nothing else."""
    text = "" if raw is None else str(raw).lower()
    phrase = next((phrase for phrase in _SAFE if phrase in text), None)
    return f"{backend} operation failed" + (f": {phrase}" if phrase is not None else "")


def sanitize_url(url: str) -> str:
    """A URL without user, password, query and fragment."""
    parts = urlsplit(url)
    where = parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=where, query="", fragment="").geturl()
