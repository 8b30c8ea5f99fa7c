"""How Go reads and writes numbers, durations and JSON, and what it says of mistakes."""

from __future__ import annotations

import json
import re
from typing import Any, Final

__all__ = [
    "GoError",
    "duration",
    "json_of",
    "printable",
    "quoted",
    "read_duration",
    "read_json",
    "read_uint",
    "well_formed",
]

_MILLISECOND: Final = 1_000_000
_SECOND: Final = 1_000_000_000
_MINUTE: Final = 60 * _SECOND

_UNITS: Final = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,  # with the sign for micro
    "μs": 1_000,  # with the Greek letter
    "ms": _MILLISECOND,
    "s": _SECOND,
    "m": _MINUTE,
    "h": 60 * _MINUTE,
}
_PART: Final = re.compile(r"(\d+\.?\d*|\.\d+)([^\d.]*)", re.ASCII)

_HTML: Final = str.maketrans(
    {char: f"\\u{ord(char):04x}" for char in ("<", ">", "&", "\u2028", "\u2029")}
)


_SHORT: Final = {
    '"': '\\"',
    "\\": "\\\\",
    "\a": "\\a",
    "\b": "\\b",
    "\f": "\\f",
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
    "\v": "\\v",
}


class GoError(Exception):
    """What is wrong, in Go's words."""


def quoted(text: str) -> str:
    """A text between quotation marks, with escapes for what would not show."""
    return f'"{"".join(_escaped(char) for char in text)}"'


def _escaped(char: str) -> str:
    if char in _SHORT:
        return _SHORT[char]
    if char.isprintable():
        return char
    if "\udc80" <= char <= "\udcff":
        return f"\\x{ord(char) - 0xDC00:02x}"
    code = ord(char)
    if code < 0x80:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def read_uint(text: str) -> int:
    """A number of 64 bits without a sign."""
    if not (text.isascii() and text.isdigit()):
        raise GoError(f"strconv.ParseUint: parsing {quoted(text)}: invalid syntax")
    if int(text) >= 2**64:
        raise GoError(f"strconv.ParseUint: parsing {quoted(text)}: value out of range")
    return int(text)


def read_duration(text: str) -> int:
    """Nanoseconds, from something like `1m30s`."""
    rest = text[1:] if text[:1] in {"-", "+"} else text
    if rest == "0":
        return 0
    total, at = 0.0, 0
    while at < len(rest) or not rest:
        part = _PART.match(rest, at)
        if part is None:
            raise GoError(f'time: invalid duration "{text}"')
        number, unit = part.groups()
        if not unit:
            raise GoError(f'time: missing unit in duration "{text}"')
        if unit not in _UNITS:
            raise GoError(f'time: unknown unit "{unit}" in duration "{text}"')
        total += float(number) * _UNITS[unit]
        at = part.end()
    return round(-total if text[0] == "-" else total)


def duration(nanoseconds: int) -> str:
    """The same in words: `1m30s`."""
    if nanoseconds < 0:
        return "-" + duration(-nanoseconds)
    for unit in ("ns", "µs", "ms"):
        if 0 < nanoseconds < 1000 * _UNITS[unit]:
            return f"{nanoseconds / _UNITS[unit]:.9g}{unit}"
    minutes, rest = divmod(nanoseconds, _MINUTE)
    hours, minutes = divmod(minutes, 60)
    seconds = f"{rest / _SECOND:.12g}s"
    if hours:
        return f"{hours}h{minutes}m{seconds}"
    return f"{minutes}m{seconds}" if minutes else seconds


def json_of(value: Any, *, pretty: bool = False) -> bytes:
    """JSON as Go writes it: every key as it stands, and nothing that HTML could take for a tag."""
    layout: dict[str, Any] = {"indent": 4} if pretty else {"separators": (",", ":")}
    text = json.dumps(value, ensure_ascii=False, **layout).translate(_HTML)
    return well_formed(text + "\n" * pretty).encode()


def read_json(data: bytes) -> Any:
    """The first value there; what stands behind it is nobody's business."""
    text = data.decode("utf-8", "replace").lstrip(" \t\r\n")
    if not text:
        raise GoError("EOF")
    try:
        return _DECODER.raw_decode(text)[0]
    except json.JSONDecodeError as error:
        escape = error.msg.startswith("Invalid \\escape")
        rest = text[error.pos + escape :].lstrip(" \t\r\n")
        if not rest or error.msg.startswith("Unterminated"):
            raise GoError("unexpected EOF") from None
        place = next((words for start, words in _PLACES if error.msg.startswith(start)), "value")
        raise GoError(f"invalid character '{rest[0]}' {place}") from None


def _no_constant(name: str) -> Any:
    raise GoError(f"invalid character '{name[0]}' looking for beginning of value")


_DECODER: Final = json.JSONDecoder(parse_constant=_no_constant)

_PLACES: Final = (
    ("Expecting property name", "looking for beginning of object key string"),
    ("Expecting value", "looking for beginning of value"),
    ("Expecting ':'", "after object key"),
    ("Expecting ','", "after array element"),
    ("Invalid control", "in string literal"),
    ("Invalid", "in string escape code"),
)


def well_formed(text: str) -> str:
    """A text in which whatever was no UTF-8 is marked."""
    return text if text.isascii() else re.sub("[\ud800-\udfff]", "\ufffd", text)


def printable(path: str) -> bool:
    """Whether Consul takes a path: it refuses what does not show."""
    return all(char.isprintable() or "\udc80" <= char <= "\udcff" for char in path)
