"""A request as the agent reads it, an answer as it writes it, and which of its doors it is for."""

from __future__ import annotations

import gzip
import html
import json
import math
import posixpath
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, NoReturn, TypeAlias
from urllib.parse import quote, unquote_to_bytes

import httpx

from ._go import GoError, json_of, printable, read_duration, read_json, read_uint
from ._shape import Shape

__all__ = [
    "NO_NAMESPACES",
    "Answer",
    "Asked",
    "Handler",
    "Options",
    "RefusedError",
    "Router",
    "options_of",
]

_BAD_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")

# Go sends a longer answer in chunks, since it does not know yet how long it is.
_UNCHUNKED: Final = 2048

NO_NAMESPACES: Final = "Namespaces are a Consul Enterprise feature"


class RefusedError(Exception):
    """An answer that ends the work on a request."""

    def __init__(self, status: int, text: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(status, text)
        self.answer = Answer.text(status, text, headers)


@dataclass(slots=True)
class Answer:
    """A status, headers, a body."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    bare: bool = False
    """Whether it comes from before all endpoints, which can compress theirs."""

    @classmethod
    def text(cls, status: int, text: str, headers: Mapping[str, str] | None = None) -> Answer:
        kind = {"Content-Type": "text/plain; charset=utf-8"} if text else {}
        return cls(status, text.encode("utf-8", "replace"), {**kind, **(headers or {})})

    @classmethod
    def json(
        cls, value: Any, headers: Mapping[str, str] | None = None, status: int = 200
    ) -> Answer:
        kind = {"Content-Type": "application/json"}
        return cls(status, json_of(value), {**kind, **(headers or {})})

    def indented(self) -> Answer:
        """The same, laid out for people, where it is JSON."""
        if self.headers.get("Content-Type") != "application/json":
            return self
        return replace(self, body=json_of(json.loads(self.body), pretty=True))

    def packed(self, request: httpx.Request) -> tuple[dict[str, str], bytes]:
        """The headers and the body as they leave."""
        body, headers = self.body, dict(self.headers)
        if not self.bare:
            headers["Vary"] = "Accept-Encoding"
        if body and not self.bare and "gzip" in request.headers.get("accept-encoding", ""):
            body = gzip.compress(body, mtime=0)
            headers["Content-Encoding"] = "gzip"
        if len(body) <= _UNCHUNKED or headers.get("Content-Type") == "text/plain":
            headers["Content-Length"] = str(len(body))
        else:
            headers["Transfer-Encoding"] = "chunked"
        return headers, b"" if request.method == "HEAD" else body


@dataclass(frozen=True, slots=True)
class Asked:
    """
    A request.

    `path` is without escapes, and has a surrogate for every byte that is no UTF-8. `length` is what
    the header says: -1 for a body that comes in chunks, which is how some of Consul's checks are
    got round. It came to the agent of this `node` `at` this time, and its client waits `patience`
    seconds for an answer.
    """

    method: str
    path: str
    params: Mapping[str, list[str]]
    headers: httpx.Headers
    query: str = ""
    body: bytes = b""
    length: int = 0
    node: str = ""
    at: float = 0.0
    patience: float = math.inf

    def param(self, name: str) -> str:
        """The first value of a parameter; "" where it has none."""
        return self.params[name][0] if name in self.params else ""

    @property
    def token(self) -> str:
        """The secret of who asks; "" for nobody in particular."""
        given = self.param("token") or self.headers.get("x-consul-token", "")
        scheme, _, bearer = self.headers.get("authorization", "").partition(" ")
        return given or (bearer.strip() if scheme.lower() == "bearer" else "")

    def after(self, prefix: str) -> str:
        return self.path.removeprefix(prefix)

    def parsed(self, shape: Shape, failed: str = "Request decode failed: ") -> Any:
        """The body, read as JSON of this shape."""
        try:
            return shape(read_json(self.body), "")
        except GoError as error:
            raise RefusedError(400, f"{failed}{error}") from None

    def refuse_namespaces(self) -> None:
        """Say that this is not the Enterprise edition, where one is asked for."""
        if self.param("ns"):
            raise RefusedError(400, f'Bad request: Invalid query parameter: "ns" - {NO_NAMESPACES}')
        if self.headers.get("x-consul-namespace"):
            raise RefusedError(
                400, f'Bad request: Invalid header: "X-Consul-Namespace" - {NO_NAMESPACES}'
            )

    def refuse_conflicts(self, *flags: str) -> None:
        if sum(flag in self.params for flag in flags) > 1:
            pairs = sorted((name, one) for name, values in self.params.items() for one in values)
            sent = "&".join(f"{quote(name, safe='')}={quote(one, safe='')}" for name, one in pairs)
            raise RefusedError(400, f"Conflicting flags: {sent}")

    def refuse_larger(self, most: int, option: str) -> None:
        if self.length > most:
            said = f"Request body({self.length} bytes) too large, max size: {most} bytes."
            more = f"See https://www.consul.io/docs/agent/options.html#{option}."
            raise RefusedError(413, f"{said} {more}", {"Connection": "close"})

    @classmethod
    def read(
        cls, request: httpx.Request, body: bytes, node: str, now: float, patience: float
    ) -> Asked:
        target: bytes = request.extensions.get("target", request.url.raw_path)
        path, _, query = target.decode("ascii").partition("?")
        length = request.headers.get("content-length")
        if _BAD_ESCAPE.search(path):
            refusal = RefusedError(400, "400 Bad Request", {"Connection": "close"})
            refusal.answer.bare = True
            raise refusal
        if _BAD_ESCAPE.search(query):
            raise RefusedError(500, "")
        return cls(
            method=request.method,
            path=_plain(path),
            params=_params(query),
            headers=request.headers,
            query=query,
            body=body,
            length=int(length) if length is not None else -1 if body else 0,
            node=node,
            at=now,
            patience=patience,
        )


def _plain(text: str) -> str:
    return unquote_to_bytes(text).decode("utf-8", "surrogateescape")


def _params(query: str) -> dict[str, list[str]]:
    params: dict[str, list[str]] = {}
    for pair in re.split("[&;]", query) if query else []:
        name, _, value = pair.replace("+", " ").partition("=")
        if pair:
            params.setdefault(_plain(name), []).append(_plain(value))
    return params


# -- the options of reads --------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Options:
    """Where to read, how fresh it must be, and what to wait for; seconds."""

    datacenter: str = ""
    stale: bool = False
    consistent: bool = False
    index: int = 0
    wait: float = 0.0
    asked_at: float = 0.0
    patience: float = math.inf

    @property
    def effective(self) -> str:
        return "stale" if self.stale else "consistent" if self.consistent else "leader"


def options_of(asked: Asked, *, strict: bool = True) -> Options:
    params = asked.params
    if strict and "stale" in params and "consistent" in params:
        raise RefusedError(400, "Cannot specify ?stale with ?consistent, conflicting semantics.")
    wait = index = 0
    try:
        wait = read_duration(asked.param("wait") or "0")
    except GoError:
        raise RefusedError(400, "Invalid wait time") from None
    try:
        index = read_uint(asked.param("index") or "0")
    except GoError:
        raise RefusedError(400, "Invalid index") from None
    return Options(
        datacenter=asked.param("dc"),
        stale="stale" in params,
        consistent="consistent" in params,
        index=index,
        wait=wait / 1e9,
        asked_at=asked.at,
        patience=asked.patience,
    )


# -- doors -----------------------------------------------------------------------------------------

Handler: TypeAlias = Callable[[Asked], Awaitable[Answer]]


@dataclass(frozen=True, slots=True)
class _Door:
    methods: str
    handler: Handler


class Router:
    """Which handler a path is for. One that ends with a slash is for all that begin with it."""

    def __init__(self) -> None:
        self._doors: dict[str, _Door] = {}

    def add(self, methods: str, path: str, handler: Handler) -> None:
        """`methods` as they stand in the header `Allow`: `"GET,PUT"`."""
        self._doors[path] = _Door(methods, handler)

    def _find(self, path: str) -> _Door | None:
        """The door with the longest name that a path begins with."""
        door = self._doors.get(path)
        while door is None and path:
            path = path[: path.rfind("/", 0, -1) + 1]
            door = self._doors.get(path)
        return door

    async def answer(self, asked: Asked) -> Answer:
        if not printable(asked.path):
            return Answer(400, bare=True)
        clean = _clean(asked.path)
        if clean != asked.path:
            _redirect(asked, clean)
        if clean not in self._doors and f"{clean}/" in self._doors:
            _redirect(asked, f"{clean}/")
        door = self._find(clean)
        if door is None:
            return Answer(404, bare=True)
        allow = {"Allow": f"OPTIONS,{door.methods}"}
        if asked.method == "OPTIONS":
            return Answer(headers=allow)
        if asked.method not in door.methods.split(","):
            raise RefusedError(405, f"method {asked.method} not allowed", allow)
        return await door.handler(asked)


def _clean(path: str) -> str:
    """A path without `//`, `.` and `..`; its last slash stays."""
    clean = posixpath.normpath("/" + path.lstrip("/"))
    return f"{clean}/" if path.endswith("/") and clean != "/" else clean


def _redirect(asked: Asked, path: str) -> NoReturn:
    target = quote(path, safe="/$&+,:;=@~", errors="surrogateescape")
    target += asked.query and f"?{asked.query}"
    refusal = RefusedError(301, "", {"Location": target})
    refusal.answer.bare = True
    if asked.method in {"GET", "HEAD"}:
        refusal.answer.headers["Content-Type"] = "text/html; charset=utf-8"
        refusal.answer.body = f'<a href="{html.escape(target)}">Moved Permanently</a>.\n\n'.encode()
    raise refusal
