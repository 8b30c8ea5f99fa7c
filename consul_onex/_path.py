"""
Names and keys as parts of a URL's path.

Consul decodes a path and then cleans it, so `../agent/leave` under `/v1/kv/` is the endpoint that
shuts the agent down. Everything that would not arrive as the segment it was meant to be is
refused here, and every path of the package is built here.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import quote, unquote, urlencode

from .errors import InvalidKeyError, InvalidRequestError

__all__ = ["NAME", "Params", "key_path", "prefix_path", "query_string", "raw_path", "segment"]

# httpx takes no longer URL, and Consul no longer request line than 1 MiB.
_LONGEST: Final = 60_000

_ELSEWHERE: Final = "only a transaction (c.txn), whose keys are not part of a URL, can reach it"

NAME: Final = "^[A-Za-z0-9_-]{1,64}$"
"""What a datacenter, a namespace or a partition may be called."""

_PLAIN: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.~-]*(?:/[A-Za-z0-9_-][A-Za-z0-9_.~-]*)*/?")
"""A key that is its own path, as most are: nothing in it is to be refused or encoded."""

_HALF_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")

Params = list[tuple[str, str]]


def key_path(key: str) -> str:
    """The path of one key, each segment encoded. InvalidKeyError where Consul would rewrite it."""
    if not isinstance(key, str):
        raise InvalidKeyError(f"a key is a str, not {type(key).__name__}")
    if not key:
        raise InvalidKeyError("a key cannot be empty")
    return prefix_path(key)


def prefix_path(prefix: str) -> str:
    """The path of a prefix: as for a key, but it may be empty (all keys)."""
    if not isinstance(prefix, str):
        raise InvalidKeyError(f"a prefix is a str, not {type(prefix).__name__}")
    encoded = prefix
    if not _PLAIN.fullmatch(prefix):
        if problem := _problem_of_key(prefix):
            raise InvalidKeyError(f"key {_shown(prefix)} {problem}; {_ELSEWHERE}")
        encoded = quote(prefix, safe="/")
    path = "/v1/kv/" + encoded
    if len(path) > _LONGEST:
        raise InvalidKeyError(f"key {_shown(prefix)} is too long for a URL; {_ELSEWHERE}")
    return path


def _problem_of_key(key: str) -> str | None:
    if not key.isprintable():
        # Consul refuses what Go's unicode.IsPrint refuses, which is what Python's does. Lone
        # surrogates are among it.
        return "has a control character, or another that does not print"
    if key.startswith("/"):
        return "starts with a slash"
    if "//" in key:
        return "has an empty segment"
    if any(part in (".", "..") for part in key.split("/")):
        return "has a segment '.' or '..'"
    return None


def segment(name: str, what: str = "name") -> str:
    """One name, encoded so that it stays one segment of the path."""
    if not isinstance(name, str):
        raise InvalidRequestError(f"a {what} is a str, not {type(name).__name__}")
    if not name:
        raise InvalidRequestError(f"a {what} cannot be empty")
    if not name.isprintable():
        raise InvalidRequestError(f"{what} {_shown(name)} has a character that does not print")
    # Consul decodes %2F before it cleans the path, so these would leave their segment.
    if any(part in ("", ".", "..") for part in name.split("/")):
        raise InvalidRequestError(f"{what} {_shown(name)} has an empty part, '.' or '..'")
    encoded = quote(name, safe="")
    if len(encoded) > _LONGEST:
        raise InvalidRequestError(f"{what} {_shown(name)} is too long for a URL")
    return encoded


def raw_path(path: str) -> str:
    """A caller's own path, for `c.request`: under /v1/, and nothing a server would rewrite."""
    if not isinstance(path, str) or not path.startswith("/v1/"):
        raise InvalidRequestError("a path is a str that starts with /v1/")
    if "?" in path or "#" in path:
        raise InvalidRequestError("a path has no '?' or '#'; use params=, or encode it as %3F, %23")
    if _HALF_ESCAPE.search(path):
        raise InvalidRequestError(f"path {_shown(path)} has a '%' that begins no escape; write %25")
    # What counts is what Consul sees: it decodes once, then cleans.
    if problem := _problem_of_key(unquote(path, errors="surrogateescape")[len("/v1/") :]):
        raise InvalidRequestError(f"path {_shown(path)} {problem}")
    encoded = quote(path, safe="/%:@!$&'()*+,;=~")
    if len(encoded) > _LONGEST:
        raise InvalidRequestError(f"path {_shown(path)} is too long for a URL")
    return encoded


def query_string(params: Params) -> str:
    """The query with its '?', or nothing. An empty value is a flag: its presence is what counts."""
    try:
        return "?" + urlencode(params, quote_via=quote, safe="") if params else ""
    except UnicodeEncodeError:
        pass
    raise InvalidRequestError("a parameter has a lone surrogate, which UTF-8 cannot say")


def _shown(text: str) -> str:
    """A name for an error message: escaped, and not longer than it helps."""
    return ascii(text if len(text) <= 80 else text[:77] + "...")
