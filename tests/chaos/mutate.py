"""
Answers that somebody has damaged: a good one goes in, and a worse one comes out.

Everything is drawn from the one source of chance that is given, so the same seed makes the same
answer again.
"""

from __future__ import annotations

import json
import zlib
from random import Random
from typing import Any, Final, NamedTuple

import httpx

__all__ = ["Raw", "damaged", "damaged_bytes"]


class Raw(NamedTuple):
    """An answer before anybody has understood it."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes

    @classmethod
    def of(cls, answer: httpx.Response) -> Raw:
        pairs = [pair for pair in answer.headers.raw if pair[0].lower() != b"content-length"]
        return cls(answer.status_code, pairs, answer.content)

    def as_bytes(self, chance: Random) -> bytes:
        """As it goes over the wire, with its length or in chunks."""
        lines = [b"HTTP/1.1 %d -" % self.status, *(b"%b: %b" % pair for pair in self.headers)]
        body = self.body
        if chance.random() < 0.3:
            lines.append(b"Transfer-Encoding: chunked")
            half = len(body) // 2
            parts = [part for part in (body[:half], body[half:]) if part]
            body = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"
        else:
            lines.append(b"Content-Length: %d" % len(body))
        return b"\r\n".join([*lines, b"", b""]) + body


_STATUSES: Final = [
    *(200, 200, 200, 200, 201, 202, 204, 206, 226, 299, 300, 301, 304, 307, 308, 400, 401, 403),
    *(404, 404, 405, 408, 409, 413, 414, 415, 418, 429, 431, 451, 499, 500, 500, 501, 502, 503),
    *(504, 507, 599, 600, 999),
]

_NUMBERS: Final = [
    *("", "0", "1", "-1", "+5", "5 6", "5.0", "0x5", "1_0", "1e3", "NaN", "inf", str(2**63)),
    *(str(2**64 - 1), str(2**64), "\u0663", "9" * 30, "9" * 5000, "abc", "\x00", "5,6"),
]

_NAMED: Final[dict[str, list[str]]] = {
    "X-Consul-Index": _NUMBERS,
    "X-Consul-LastContact": _NUMBERS,
    "X-Consul-KnownLeader": ["true", "false", "", "TRUE", "maybe"],
    "X-Consul-ContentHash": ["", "a", "0" * 64, "\xff"],
    "X-Consul-Translate-Addresses": ["true", "x"],
    "X-Consul-Effective-Consistency": ["leader", "stale", "", "\xe9"],
    "X-Consul-Query-Backend": ["streaming", "blocking-query", "?"],
    "X-Consul-Results-Filtered-By-ACLs": ["true", "false", "x"],
    "X-Cache": ["HIT", "MISS", ""],
    "Age": _NUMBERS,
    "Retry-After": [*_NUMBERS, "Mon, 01 Jan 2029 00:00:00 GMT", "Mon, 99 Jan 99999 00:00:00 GMT"],
    "Date": ["Mon, 01 Jan 2029 00:00:00 GMT", "yesterday", ""],
    "Content-Encoding": ["gzip", "x-gzip", "identity", "gzip, gzip", "br", "deflate", "\xff", ""],
    "Content-Type": ["application/json", "text/plain", "text/html; charset=utf-16", "", "\xff"],
    "Content-Length": _NUMBERS,
    "Transfer-Encoding": ["chunked", "gzip", "chunked, chunked", "x"],
    "Location": ["/v1/kv/x", "http://[::1", "//", "http://other.test/v1/kv?token=x", "\xff"],
    "Set-Cookie": ["a=b", "token=x; Domain=.test", ""],
    "Connection": ["close", "keep-alive", "upgrade", ""],
    "Upgrade": ["websocket", "h2c"],
    "Trailer": ["X-Consul-Index"],
}

_HEADERS: Final = [
    (name.encode(), [value.encode() for value in values]) for name, values in _NAMED.items()
]

_TOKENS: Final = [
    *(b"", b"null", b"true", b"false", b"0", b"-1", b"1e999", b"NaN", b"-Infinity", b"[]", b"{}"),
    *(
        b'""',
        b'"',
        b"[",
        b"{",
        b"]",
        b"}",
        b",",
        b":",
        b"\\",
        b"\x00",
        b"\xff\xfe",
        b"\xef\xbb\xbf",
    ),
    *(rb'"\ud800"', rb'"\u0000"', b'"%%%"', b'"djE="', b"9" * 400, b"[" * 300, b'{"a":' * 300),
    *(
        b"true\n",
        b"<html>",
        b"rpc error making call: EOF",
        b"No cluster leader",
        b"18446744073709551616",
    ),
]

_VALUES: Final[list[Any]] = [
    *(None, True, False, 0, 1, -1, 2**63, 2**64, 10**40, 1.5, 1e308, "", "x", "\x00", "\u2028"),
    *("9s", "-1s", "1h2m", "NaN", "%%%", "djE=", "2029-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
    *([], {}, [None], [[]], [{}], {"": None}, {"a": 1}, [1, "a", None], "é" * 50),
]


def damaged(answer: Raw, chance: Random) -> Raw:
    """An answer like this one, with one to four things wrong."""
    status, headers, body = answer.status, list(answer.headers), answer.body
    for _ in range(chance.randint(1, 4)):
        match chance.randrange(10):
            case 0 | 1:
                status = chance.choice(_STATUSES)
            case 2 | 3:
                name, values = chance.choice(_HEADERS)
                headers.append((name, chance.choice(values)))
            case 4 if headers:
                del headers[chance.randrange(len(headers))]
            case 5:
                headers.append((b"Content-Encoding", b"gzip"))
                body = zlib.compress(body, 1, zlib.MAX_WBITS | 16)
            case _:
                body = _worse(body, chance)
    return Raw(status, headers, body)


def _worse(body: bytes, chance: Random) -> bytes:
    """A body with one thing wrong: of its bytes, or of what they mean."""
    if chance.random() < 0.6:
        try:
            return json.dumps(_changed(json.loads(body), chance)).encode()
        except (ValueError, RecursionError):
            pass
    return damaged_bytes(body, chance)


def _changed(value: Any, chance: Random) -> Any:
    """A value with something else in one place of it."""
    if isinstance(value, (dict, list)) and value and chance.random() < 0.85:
        place = (
            chance.choice(list(value)) if isinstance(value, dict) else chance.randrange(len(value))
        )
        if chance.random() < 0.1:
            del value[place]
        else:
            value[place] = _changed(value[place], chance)
        return value
    if chance.random() < 0.1:
        return [value] * chance.randint(0, 3)
    return chance.choice(_VALUES)


def damaged_bytes(data: bytes, chance: Random) -> bytes:
    """Bytes of which some are others, gone, twice, or in a wrong place."""
    at = chance.randrange(len(data) + 1)
    end = min(len(data), at + chance.choice([1, 1, 2, 4, 16, 64]))
    match chance.randrange(8):
        case 0:
            return data[:at]
        case 1:
            return data[at:]
        case 2:
            return data[:at] + data[end:]
        case 3:
            return data[:end] + data[at:]
        case 4:
            return data[:at] + chance.randbytes(end - at) + data[end:]
        case 5:
            return data[:at] + chance.choice(_TOKENS) + data[at:]
        case 6:
            return data[:at] + chance.choice(_TOKENS) + data[end:]
        case _:
            flipped = bytes(byte ^ (1 << chance.randrange(8)) for byte in data[at:end])
            return data[:at] + flipped + data[end:]
