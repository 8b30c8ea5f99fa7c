"""Hostile names as every argument that is a name: a request stays on its path, or is not made."""

from __future__ import annotations

import contextlib
import inspect
import itertools
from collections.abc import Awaitable, Callable, Iterator
from functools import cache, partial, reduce
from random import Random
from typing import Any, Final
from urllib.parse import unquote_to_bytes

import pytest

from consul_onex import ConsulClient, ConsulError
from tests.support.canary import Bottom
from tests.support.endpoints import methods

PARTS: Final = [
    *("..", ".", "/", "//", "\\", "%", "%2e", "%2E%2e", "%2f", "%252f", "%00", "?", "?recurse"),
    *("#", "#x", ";", "&", "=", "+", " ", "\t", "\r\n", "\n", "\0", "\x7f", "\x85", "\u2028"),
    *("\ud800", "é", "e\u0301", "\N{FULLWIDTH FULL STOP}", "\N{DIVISION SLASH}", "@", ":", "[::1]"),
    *("http://127.0.0.1:1/", "//127.0.0.1:1", "../agent/leave", "../../v1/kv/x", "?token=x", "v1"),
    *("a", "kv", "agent", "leave", "self", "*", "~", "'", '"', "<", "{}", "|", "^", "`", "\ufeff"),
]


@cache
def hostile() -> list[str]:
    """Each part, each pair of some, and longer ones: drawn once, always the same."""
    chance = Random(3)
    pairs = ["".join(pair) for pair in itertools.product(PARTS, PARTS)]
    longer = ["".join(chance.choices(PARTS, k=chance.randint(3, 6))) for _ in range(200)]
    return [*PARTS, *chance.sample(pairs, 280), *longer, "", "a" * 100_000]


PLAIN: Final = "plain-name"

# What else must be given, by its annotation.
OTHERS: Final = {"bytes": b"v", "bytes | str": b"v", "str | bytes": b"v", "bool": True, "int": 1}


def named() -> Iterator[tuple[str, Callable[[ConsulClient, str], Awaitable[Any]]]]:
    """Each method with a name among what must be given, and how to call it with one."""
    for name, method in methods():
        if not inspect.iscoroutinefunction(method):
            continue
        given = [
            each
            for each in list(inspect.signature(method).parameters.values())[1:]
            if each.default is each.empty
        ]
        names = [each for each in given if each.annotation == "str"]
        others = {each.name: OTHERS[each.annotation] for each in given if each.annotation in OTHERS}
        if names and len(names) + len(others) == len(given):
            yield name, partial(_call, name, [each.name for each in names], others)


async def _call(
    method: str, names: list[str], others: dict[str, object], c: ConsulClient, name: str
) -> None:
    *path, last = method.split(".")
    part: Any = reduce(getattr, path, c)
    await getattr(part, last)(**dict.fromkeys(names, name), **others)


SEGMENTED: Final = (b" /v1/kv/", b" /v1/acl/templated-policy/")

NAMED: Final = dict(named())


def left(target: bytes, plain: bytes, name: str) -> bool:
    """Whether a request is not the plain one with that name in the place of the other."""
    path, _, query = target.partition(b"?")
    plain_path, _, plain_query = plain.partition(b"?")
    around = plain_path.split(PLAIN.encode("ascii"))
    place = len(path) - sum(map(len, around))
    count = len(around) - 1
    if count and place % count:
        return True
    size = place // count if count else 0
    inside = path[len(around[0]) : len(around[0]) + size]
    if inside.join(around) != path or unquote_to_bytes(inside) != (
        name.encode("utf-8", "surrogatepass") if count else b""
    ):
        return True
    # Escaped, so that the path has no more segments than it should, but where names have several.
    if b"/" in inside and not any(each in plain_path for each in SEGMENTED):
        return True
    steps = unquote_to_bytes(path).split(b"/")
    if b"." in steps or b".." in steps or b"" in steps[1:-1]:
        return True
    return query.count(b"&") != plain_query.count(b"&") or b"#" in target


@pytest.mark.parametrize("method", NAMED)
async def test_a_hostile_name_stays_in_its_place_or_is_refused(
    method: str, record_property: Callable[[str, object], None]
) -> None:
    bottom, call, away = Bottom(), NAMED[method], list[str]()
    async with ConsulClient(transport=bottom, layers=[], check_server=False) as c:

        async def sent(name: str) -> list[bytes]:
            bottom.requests.clear()
            # Refused, and nothing sent; or answered, but nobody here answers rightly.
            with contextlib.suppress(ConsulError):
                await call(c, name)
            return [
                request.method.encode("ascii") + b" " + request.url.raw_path
                for request in bottom.requests
            ]

        plain = await sent(PLAIN)
        assert plain
        for name in hostile():
            for target, meant in zip(await sent(name), plain, strict=False):
                if left(target, meant, name):
                    away.append(f"{name!r}: {target!r}, not {meant!r}")

    record_property("S3 hostile names under each method", len(set(hostile())))
    record_property("S3 requests that left their path", len(away))
    assert away == []


def test_requests_that_leave_their_path_are_found() -> None:
    plain = b"GET /v1/x/plain-name/y?a=b"

    assert not left(b"GET /v1/x/a%20b/y?a=b", plain, "a b")
    assert left(b"GET /v1/x/../y?a=b", plain, "..")
    assert left(b"GET /v1/x/a/b/y?a=b", plain, "a/b")
    assert left(b"GET /v1/x/a?recurse/y?a=b", plain, "a?recurse")
    assert left(b"GET /v1/x/a/y?a=b&c", plain, "a")
    assert not left(b"GET /v1/kv/a/b", b"GET /v1/kv/plain-name", "a/b")
    assert left(b"GET /v1/kv/a/../b", b"GET /v1/kv/plain-name", "a/../b")
    assert left(b"GET /v1/x/b/y?a=b", plain, "a")
