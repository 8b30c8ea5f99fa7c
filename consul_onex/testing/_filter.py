"""Filter expressions: what they may say of a kind of row, and whether a row is as they say."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from ._go import quoted

__all__ = ["FLAG", "LIST", "NUMBER", "TEXT", "Each", "Fields", "Filter", "FilterError", "compiled"]

TEXT, NUMBER, FLAG, LIST = "text", "number", "flag", "list"


@dataclass(frozen=True)
class Each:
    """Rows within a row: in a list, or in a map whose keys a selector names."""

    fields: Field
    by_name: bool = False


Field: TypeAlias = "str | Each | Fields"
Fields: TypeAlias = Mapping[str, "Field"]
Filter: TypeAlias = Callable[[Any], bool]


class FilterError(Exception):
    """What is wrong with an expression."""

    def __init__(self, what: str) -> None:
        super().__init__(f"Failed to create boolean expression evaluator: {what}")


def compiled(expression: str, fields: Fields) -> Filter:
    """What decides whether a row of such fields is meant."""
    if not expression:
        return lambda row: True
    return _Parser(expression, fields).filter()


_SPACE: Final = re.compile(r"[ \t\r\n]*")
_TOKEN: Final = re.compile(
    r'"(?P<text>(?:[^"\\\n]|\\.)*)"|`(?P<raw>[^`]*)`|(?P<number>-?\d+(?:\.\d+)?)'
    r"|(?P<sign>==|!=|[().\[\]])|(?P<word>[a-zA-Z][a-zA-Z0-9_]*)"
)

_CONTAINERS: Final = "list, map"

# By what is asked: what Consul calls it, and which fields it can be asked of.
_OPERATORS: Final = {
    "==": ("Equal", {TEXT, NUMBER, FLAG}),
    "!=": ("Not Equal", {TEXT, NUMBER, FLAG}),
    "in": ("In", {TEXT, LIST, _CONTAINERS}),
    "not in": ("Not In", {TEXT, LIST, _CONTAINERS}),
    "is empty": ("Is Empty", {LIST, _CONTAINERS}),
    "is not empty": ("Is Not Empty", {LIST, _CONTAINERS}),
    "matches": ("Matches", {TEXT}),
    "not matches": ("Not Matches", {TEXT}),
}
# As they are written, with the operator each is.
_COMPARISONS: Final = {
    "==": "==",
    "!=": "!=",
    "contains": "in",
    "not contains": "not in",
    "matches": "matches",
    "not matches": "not matches",
}
_FLAGS: Final = {"1": True, "t": True, "true": True, "0": False, "f": False, "false": False}


class _Parser:
    def __init__(self, expression: str, fields: Fields) -> None:
        self._text = expression
        self._fields = fields
        self._at = 0

    def filter(self) -> Filter:
        found = self._either()
        self._skip()
        if self._at < len(self._text):
            raise self._failure()
        return found

    # -- words ----------------------------------------------------------------------------------

    def _failure(self) -> FilterError:
        self._skip()
        before = self._text[: self._at]
        line, column = before.count("\n") + 1, self._at - before.rfind("\n")
        return FilterError(f"{line}:{column} ({self._at}): no match found")

    def _skip(self) -> None:
        match = _SPACE.match(self._text, self._at)
        self._at = match.end() if match else self._at

    def _next(self) -> tuple[str, str] | None:
        """What comes next, and of which kind it is; it still comes next."""
        self._skip()
        match = _TOKEN.match(self._text, self._at)
        kind = match.lastgroup if match else None
        return (kind, match[kind]) if match and kind else None

    def _take(self, *words: str) -> bool:
        """Go past these words, where they come next."""
        start = self._at
        for word in words:
            if self._next() not in {("word", word), ("sign", word)}:
                self._at = start
                return False
            self._at += len(word)
        return True

    def _value(self) -> str | None:
        """The value that comes next: a text in quotation marks, a number or a bare word."""
        token = self._next()
        if token is None or token[0] == "sign":
            return None
        match = _TOKEN.match(self._text, self._at)
        self._at = match.end() if match else self._at
        kind, text = token
        if kind == "word":
            while self._text.startswith(".", self._at) and (self._peeks_word(self._at + 1)):
                end = _TOKEN.match(self._text, self._at + 1)
                self._at = end.end() if end else self._at
            return self._text[match.start() : self._at] if match else text
        return re.sub(r"\\(.)", r"\1", text) if kind == "text" else text

    def _peeks_word(self, at: int) -> bool:
        match = _TOKEN.match(self._text, at)
        return match is not None and match.lastgroup == "word"

    # -- grammar --------------------------------------------------------------------------------

    def _either(self) -> Filter:
        parts = [self._both()]
        while self._take("or"):
            parts.append(self._both())
        return parts[0] if len(parts) == 1 else lambda row: any(part(row) for part in parts)

    def _both(self) -> Filter:
        parts = [self._one()]
        while self._take("and"):
            parts.append(self._one())
        return parts[0] if len(parts) == 1 else lambda row: all(part(row) for part in parts)

    def _one(self) -> Filter:
        if self._take("not"):
            inner = self._one()
            return lambda row: not inner(row)
        if self._take("("):
            found = self._either()
            if not self._take(")"):
                raise self._failure()
            return found
        return self._match()

    def _match(self) -> Filter:
        start = self._at
        value = self._value()
        for operator in ("in", "not in"):
            if value is not None and self._take(*operator.split()):
                return self._asked(self._selector(), operator, value)
        self._at = start
        selector = self._selector()
        for operator in ("is empty", "is not empty"):
            if self._take(*operator.split()):
                return self._asked(selector, operator, "")
        for words, meant in _COMPARISONS.items():
            if self._take(*words.split()):
                wanted = self._value()
                if wanted is None:
                    raise self._failure()
                return self._asked(selector, meant, wanted)
        raise self._failure()

    def _selector(self) -> list[str]:
        token = self._next()
        if token is None or token[0] != "word":
            raise self._failure()
        path = []
        self._at += len(token[1])
        path.append(token[1])
        while self._at < len(self._text):
            if self._text[self._at] == "." and self._peeks_word(self._at + 1):
                self._at += 1
                match = _TOKEN.match(self._text, self._at)
                path.append(match[0] if match else "")
                self._at += len(path[-1])
            elif self._text[self._at] == "[":
                self._at += 1
                name = self._value()
                if name is None or not self._take("]"):
                    raise self._failure()
                path.append(name)
            else:
                break
        return path

    # -- meaning --------------------------------------------------------------------------------

    def _asked(self, path: list[str], operator: str, value: str) -> Filter:
        name = ".".join(path)
        kind = _kind(self._fields, path)
        said, kinds = _OPERATORS[operator]
        if kind not in kinds:
            raise FilterError(f'Invalid match operator "{said}" for selector {quoted(name)}')
        negated = "not" in operator or operator == "!="
        test = _test(operator.removeprefix("not ").replace("not ", ""), kind, value, name)
        fields = self._fields
        return lambda row: any(test(found) for found in _found(row, path, fields)) != negated


def _kind(fields: Field, path: list[str]) -> str:
    """What stands at the end of a path: a kind of value, or something with more in it."""
    at: Field = fields
    for n, name in enumerate(path):
        if isinstance(at, Each) and not at.by_name:
            at = at.fields
        if isinstance(at, Each):
            at = at.fields
        elif isinstance(at, str) or name not in at:
            raise FilterError(f"Selector {quoted('.'.join(path[: n + 1]))} is not valid")
        else:
            at = at[name]
    if isinstance(at, Each):
        return _CONTAINERS
    return at if isinstance(at, str) else "struct"


def _test(operator: str, kind: str, value: str, name: str) -> Filter:
    if operator == "is empty":
        return lambda found: not found
    if operator == "matches":
        try:
            pattern = re.compile(value)
        except re.error as error:
            what = f"Failed to compile regular expression {quoted(value)}: {error}"
            raise FilterError(what) from None
        return lambda found: pattern.search(found) is not None
    if operator == "in":
        return lambda found: value in (found or ())
    wanted: Any = value
    if kind == NUMBER:
        if not re.fullmatch(r"-?\d+", value):
            raise FilterError(_uncoerced(value, name, "ParseInt"))
        wanted = int(value)
    if kind == FLAG:
        if value.lower() not in _FLAGS:
            raise FilterError(_uncoerced(value, name, "ParseBool"))
        wanted = _FLAGS[value.lower()]
    return lambda found: bool(found == wanted)


def _uncoerced(value: str, name: str, function: str) -> str:
    what = f"strconv.{function}: parsing {quoted(value)}: invalid syntax"
    return f"Failed to coerce value {quoted(value)} for selector {quoted(name)}: {what}"


def _found(row: Any, path: list[str], fields: Field) -> list[Any]:
    """What stands at the end of a path: one thing, several in a list of rows, or none."""
    rows: list[Any] = [row]
    at: Any = fields
    for name in path:
        if isinstance(at, Each) and not at.by_name:
            rows, at = [each for one in rows for each in one], at.fields
        if isinstance(at, Each):
            rows, at = [one[name] for one in rows if one and name in one], at.fields
        else:
            rows, at = [one.get(name) for one in rows], at[name]
    return rows
