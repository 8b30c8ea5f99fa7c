"""What a token may: the rules of policies, and what follows from them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any, Final, NamedTuple, NoReturn

from ._go import GoError, quoted, read_json
from ._http import RefusedError

__all__ = ["EVERYTHING", "Rights", "Rule", "read_rules"]

_RANKS: Final = {"deny": 0, "read": 1, "list": 2, "write": 3}

# Where several rules are on the same, this one counts.
_FIRST: Final = ("deny", "write", "list", "read")

_WHOLE: Final = ("acl", "operator", "keyring")

# How Go shows a rule that is none.
_SHOWN: Final = {
    "key": "&acl.KeyRule{{Prefix:{0}, Policy:{1}, EnterpriseRule:acl.EnterpriseRule{{}}}}",
    "service": (
        "&acl.ServiceRule{{Name:{0}, Policy:{1}, Intentions:{2}, "
        "EnterpriseRule:acl.EnterpriseRule{{}}}}"
    ),
    "node": "&acl.NodeRule{{Name:{0}, Policy:{1}, EnterpriseRule:acl.EnterpriseRule{{}}}}",
    "session": "&acl.SessionRule{{Node:{0}, Policy:{1}}}",
    "agent": "&acl.AgentRule{{Node:{0}, Policy:{1}}}",
    "event": "&acl.EventRule{{Event:{0}, Policy:{1}}}",
    "query": "&acl.PreparedQueryRule{{Prefix:{0}, Policy:{1}}}",
}


class Rule(NamedTuple):
    """`access` to a resource: to one, by its name, or to all whose name begins so."""

    resource: str
    name: str
    prefix: bool
    access: str


class Rights:
    """What is allowed by some rules. What they do not say is not."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        self._exact: dict[tuple[str, str], str] = {}
        self._below: dict[tuple[str, str], str] = {}
        for rule in rules:
            table, place = self._below if rule.prefix else self._exact, (rule.resource, rule.name)
            table[place] = min(rule.access, table.get(place, rule.access), key=_FIRST.index)

    def may(self, access: str, resource: str, name: str = "") -> bool:
        """Whether this is allowed: by the rule with this name, or else the longest prefix of it."""
        return _RANKS[self._access(resource, name)] >= _RANKS[access]

    def _access(self, resource: str, name: str) -> str:
        exact = self._exact.get((resource, name))
        if exact is not None:
            return exact
        prefixes = (
            len(prefix)
            for kind, prefix in self._below
            if kind == resource and name.startswith(prefix)
        )
        longest = max(prefixes, default=None)
        return "deny" if longest is None else self._below[resource, name[:longest]]

    def may_write_below(self, prefix: str) -> bool:
        """Whether every key that begins so may be written."""
        longest = max(
            (at for kind, at in self._below if kind == "key" and prefix.startswith(at)),
            key=len,
            default=None,
        )
        return (
            longest is not None
            and self._below["key", longest] == "write"
            and all(
                access == "write"
                for table in (self._exact, self._below)
                for (kind, name), access in table.items()
                if kind == "key" and name.startswith(prefix)
            )
        )

    def need(self, access: str, resource: str, name: str = "", *, told: bool = False) -> None:
        """Refuse what is not allowed. Some endpoints say what it takes (`told`)."""
        if not self.may(access, resource, name):
            missing = f": Missing {resource}:{access} on {name}" if told else ""
            raise RefusedError(403, f"Permission denied{missing}")


EVERYTHING: Final = Rights(
    Rule(resource, "", prefix=resource not in _WHOLE, access="write")
    for resource in (*_SHOWN, *_WHOLE)
)
"""What everybody may where there is no access control."""


# -- how rules are written -------------------------------------------------------------------------


@lru_cache(maxsize=256)
def read_rules(text: str) -> tuple[Rule, ...]:
    """The rules of a policy, in HCL or JSON."""
    return tuple(rule for name, value in _items(text) for rule in _rules(name, value))


def _items(text: str) -> Iterable[tuple[str, Any]]:
    if not text.lstrip().startswith("{"):
        return _Reader(text).body()
    try:
        return list(read_json(text.encode()).items())
    except GoError as error:
        raise GoError(f"Failed to parse ACL rules: {error}") from None


def _rules(kind: str, value: Any) -> Iterator[Rule]:
    resource = kind.removesuffix("_prefix")
    if resource in _WHOLE:
        if value not in ("read", "write", "deny"):
            raise GoError(f"Invalid {kind} policy: {quoted(str(value))}")
        yield Rule(resource, "", prefix=False, access=value)
    # What is not known is not minded, and neither is a rule that names nothing.
    elif resource in _SHOWN and isinstance(value, Mapping):
        for name, fields in value.items():
            if isinstance(fields, Mapping):
                yield _rule(kind, resource, name, fields)


def _rule(kind: str, resource: str, name: str, fields: Mapping[str, Any]) -> Rule:
    access, intentions = str(fields.get("policy", "")), str(fields.get("intentions", ""))
    shown = _SHOWN[resource].format(*map(quoted, (name, access, intentions)))
    if access not in _RANKS or (access == "list" and resource != "key"):
        raise GoError(f"Invalid {kind} policy: {shown}")
    if intentions not in {"", "read", "write", "deny"}:
        raise GoError(f"Invalid {kind} intentions policy: {shown}")
    return Rule(resource, name, prefix=kind != resource, access=access)


_TOKEN: Final = re.compile(
    r"""(?P<SPACE>[\s,]+|\#[^\n]*|//[^\n]*|/\*.*?\*/)
      |(?P<STRING>"(?:[^"\\\n]|\\.)*")
      |(?P<IDENT>[^\W\d][\w.\-]*)
      |(?P<LBRACE>\{)|(?P<RBRACE>\})|(?P<ASSIGN>=)
      |(?P<ILLEGAL>.)""",
    re.VERBOSE | re.DOTALL,
)


class _Token(NamedTuple):
    kind: str
    text: str
    at: int


class _Reader:
    """Reads the part of HCL that rules are written in."""

    def __init__(self, text: str) -> None:
        self._text = text
        found = (_Token(one.lastgroup or "", one[0], one.start()) for one in _TOKEN.finditer(text))
        self._tokens = [token for token in found if token.kind != "SPACE"]
        # Where Go sees the end, which is a little later.
        self._tokens.append(_Token("EOF", "", len(text) + 1))

    def body(self, end: str = "EOF") -> list[tuple[str, Any]]:
        items: list[tuple[str, Any]] = []
        while self._tokens[0].kind != end:
            items.append(self._item())
        return items

    def _next(self) -> _Token:
        return self._tokens.pop(0) if len(self._tokens) > 1 else self._tokens[0]

    def _item(self) -> tuple[str, Any]:
        names: list[str] = []
        token = self._next()
        while token.kind in {"STRING", "IDENT"}:
            names.append(_plain(token))
            token = self._next()
        if not names:
            expected = "object expected closing RBRACE" if token.kind == "EOF" else "unexpected"
            self._fail(token, f"{expected} got: {token.kind}")
        if token.kind == "ASSIGN" and len(names) > 1:
            self._fail(token, "nested object expected: LBRACE got: ASSIGN")
        if token.kind not in {"ASSIGN", "LBRACE"}:
            expected = "expected start of object ('{') or assignment ('=')"
            self._fail(token, f"key '{names[-1]}' {expected}")
        value = self._value() if token.kind == "ASSIGN" else self._block()
        for name in reversed(names[1:]):
            value = {name: value}
        return names[0], value

    def _value(self) -> Any:
        token = self._next()
        if token.kind == "LBRACE":
            return self._block()
        if token.kind != "STRING":
            where = self._place(token)
            self._fail(token, f"Unknown token: {where} {token.kind} {token.text}".rstrip())
        return _plain(token)

    def _block(self) -> dict[str, Any]:
        fields = dict(self.body("RBRACE"))
        self._next()
        return fields

    def _place(self, token: _Token) -> str:
        before = self._text[: token.at]
        return f"{before.count(chr(10)) + 1}:{token.at - before.rfind(chr(10))}"

    def _fail(self, token: _Token, reason: str) -> NoReturn:
        raise GoError(f"Failed to parse ACL rules: At {self._place(token)}: {reason}")


def _plain(token: _Token) -> str:
    if token.kind == "IDENT":
        return token.text
    return re.sub(r"\\(.)", r"\1", token.text[1:-1])
