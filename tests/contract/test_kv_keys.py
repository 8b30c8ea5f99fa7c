"""Keys that are not plain names: each arrives as it is, or does not leave at all."""

from __future__ import annotations

import unicodedata
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from hypothesis import HealthCheck, event, example, given, settings
from hypothesis import strategies as st

from consul_onex import BadRequestError, ConsulClient, InvalidKeyError, InvalidRequestError
from tests.contract.conftest import Recorder
from tests.support.agents import Agent

SEGMENTS = st.sampled_from(["", ".", "..", "...", "a", "%2e%2e", "%2F", "?recurse", "#", " ", "ü"])
PATHS = st.lists(SEGMENTS, min_size=1, max_size=5).map("/".join)
SURROGATES = st.text(st.characters(categories=["Cs", "Ll"]), min_size=1, max_size=3)

CAFE = "caf\N{LATIN SMALL LETTER E WITH ACUTE}"

# What a URL, a shell, a query or a file name would take for something else.
UNUSUAL = [
    "%2e%2e",
    "%2e%2e/%2e%2e",
    "..%2f",
    "..%2f..%2fagent%2fleave",
    "a%2fb",
    "a%",
    "100%",
    "%zz",
    "%00",
    "?recurse",
    "app?recurse",
    "?raw&dc=dc2",
    "#x",
    "a#frag",
    "a;b",
    "a+b",
    "a b",
    " ",
    " a ",
    "...",
    "a..b",
    ".hidden",
    "a/.b/..c/d.",
    "folder/",
    "a\\b",
    "..\\..\\agent\\leave",
    "*",
    "[a]{b}<c>|d^`e\"f'",
    "@:!$&()=,~-_",
    "größe/世界/🎉",
    unicodedata.normalize("NFC", CAFE),
    unicodedata.normalize("NFD", CAFE),
    "x" * 8000,
    "/".join("abc"[n % 3] for n in range(1000)),
]

# What Consul would rewrite, redirect or refuse: with most of it, another endpoint would be hit.
REFUSED = [
    "",
    "/",
    "/a",
    "/lead",
    "//",
    "a//b",
    "a//",
    "http://localhost/v1/agent/leave",
    ".",
    "..",
    "./a",
    "a/.",
    "a/./b",
    "a/..",
    "a/../b",
    "../agent/leave",
    "../agent/maintenance",
    "../agent/service/deregister/web",
    "a/../../agent/leave",
    "../../v1/agent/leave",
    "\0",
    "a\0b",
    "a\r\nX-Consul-Token: b",
    "a\n",
    "a\t",
    "\x7f",
    "\x85",
    "\u00a0",
    "\u2028",
    "\u202egpj.exe",
    "\ufeff",
    "\ue000",
    "\ud800",
    "a\udcff",
    "x" * 100_000,
]


async def round_trip(c: ConsulClient, key: str, within: str) -> None:
    """Show that a key is stored, found and deleted under exactly this name."""
    value = key.encode(errors="surrogatepass")

    assert await c.kv.put(key, value) is True
    pair = await c.kv.get(key)
    assert pair is not None
    assert (pair.key, pair.value) == (key, value)
    assert await c.kv.keys(within) == [key]
    assert [found.key for found in await c.kv.list(key)] == [key]
    assert await c.kv.delete(key) is True
    assert await c.kv.keys(within) == []


async def is_refused_by(agent: Agent, key: str, recorder: Recorder) -> bool:
    """Whether the agent itself would not store this key under its name, asked as plainly as can be.

    Dots are escaped as well: a URL's parser would remove `..` here, where the agent removes it.
    """
    try:
        path = quote(key, safe="/").replace(".", "%2E")
    except UnicodeEncodeError:
        return True  # no UTF-8, so no URL
    url = f"{agent.url}/v1/kv/{path}"
    answer = await recorder.connections.handle_async_request(httpx.Request("GET", url))
    await answer.aread()
    await answer.aclose()
    return answer.status_code in (301, 400)


def assert_all_of_it_was_refused(error: BadRequestError) -> None:
    assert (error.operation, error.status) == ("kv.put", 400)


@settings(
    max_examples=300,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(name=st.text() | PATHS | SURROGATES)
@example(name="")
@example(name="\N{MELTING FACE}")  # new in Unicode 14
async def test_any_key_arrives_as_it_is_or_is_refused_before_it_is_sent(
    observed: ConsulClient, recorder: Recorder, agent: Agent, prefix: str, name: str
) -> None:
    key = prefix + name
    recorder.requests.clear()
    try:
        await round_trip(observed, key, prefix)
    except InvalidKeyError:
        event("refused here")
        assert recorder.requests == []
        assert await is_refused_by(agent, key, recorder)
    except BadRequestError as error:
        # A known limit, and the only one: whether a character prints is a question to a table,
        # and this server's Unicode may be older than this Python's.
        event("refused there")
        assert_all_of_it_was_refused(error)
        assert not key.isascii()
        assert len(recorder.requests) == 1
        assert await observed.kv.keys(prefix) == []
    else:
        event("arrived")
        assert not await is_refused_by(agent, key, recorder)


@pytest.mark.parametrize("name", UNUSUAL, ids=lambda name: ascii(name)[:30])
async def test_an_unusual_key_arrives_as_it_is(c: ConsulClient, prefix: str, name: str) -> None:
    await round_trip(c, prefix + name, prefix)


async def test_keys_that_look_alike_are_two_keys(c: ConsulClient, prefix: str) -> None:
    alike = [unicodedata.normalize(form, CAFE) for form in ("NFC", "NFD")]
    for name in [*alike, "A", "a", "a/", "a%2Fb", "a/b"]:
        await c.kv.put(prefix + name, name)

    assert len(await c.kv.keys(prefix)) == 7
    for pair in await c.kv.list(prefix):
        assert prefix + pair.text() == pair.key


CALLS: dict[str, Callable[[ConsulClient, Any], Awaitable[object]]] = {
    "get": lambda c, key: c.kv.get(key),
    "put": lambda c, key: c.kv.put(key, b""),
    "put with cas": lambda c, key: c.kv.put(key, b"", cas=0),
    "put_json": lambda c, key: c.kv.put_json(key, 1),
    "delete": lambda c, key: c.kv.delete(key),
    "acquire": lambda c, key: c.kv.acquire(key, "a-session"),
    "release": lambda c, key: c.kv.release(key, "a-session"),
    "update": lambda c, key: c.kv.update(key, lambda _: b""),
    "watch": lambda c, key: anext(c.kv.watch(key)),
    "list": lambda c, key: c.kv.list(key),
    "keys": lambda c, key: c.kv.keys(key),
    "delete_tree": lambda c, key: c.kv.delete_tree(key),
    "watch_prefix": lambda c, key: anext(c.kv.watch_prefix(key)),
}
WITH_EMPTY_PREFIX = {"list", "keys", "watch_prefix"}


@pytest.mark.parametrize("key", REFUSED, ids=lambda key: ascii(key)[:30])
async def test_a_key_that_consul_would_rewrite_is_never_sent(
    observed: ConsulClient, recorder: Recorder, key: str
) -> None:
    calls = {name: call for name, call in CALLS.items() if key or name not in WITH_EMPTY_PREFIX}
    for name, call in calls.items():
        kind = InvalidRequestError if (name, key) == ("delete_tree", "") else InvalidKeyError
        with pytest.raises(kind) as raised:
            await call(observed, key)
        assert len(str(raised.value)) < 300
        assert str(raised.value).isprintable()

    assert recorder.requests == []


@pytest.mark.parametrize("key", [None, 7, b"key", ["key"]])
@pytest.mark.parametrize("name", CALLS)
async def test_a_key_that_is_no_text_is_never_sent(
    observed: ConsulClient, recorder: Recorder, name: str, key: object
) -> None:
    with pytest.raises(InvalidKeyError):
        await CALLS[name](observed, key)

    assert recorder.requests == []


async def test_a_key_is_no_query_when_it_is_deleted(c: ConsulClient, prefix: str) -> None:
    names = ["?recurse", "app", "app/1", "app?recurse", "apple", "other"]
    for name in names:
        await c.kv.put(prefix + name, b"")

    await c.kv.delete(prefix + "?recurse")
    await c.kv.delete(prefix + "app?recurse")

    assert await c.kv.keys(prefix) == [prefix + name for name in ("app", "app/1", "apple", "other")]


@pytest.mark.parametrize(
    "path",
    [
        "/v1/kv/../agent/leave",
        "/v1/kv/%2e%2e/agent/leave",
        "/v1/kv/..%2fagent%2fleave",
        "/v1/kv/..%2Fagent/leave",
        "/v1/health/service/../../kv/",
        "/v1/health/service/..%2f..%2fkv%2fapp%2fa",
        "/v1//agent/leave",
        "/v1/agent%2f/leave",
        "/v1/kv/a?recurse",
        "/v1/kv/a#x",
        "/v1/kv/a%",
        "/v1/kv/a%zz",
        "/v1/kv/a\r\nX-Consul-Token: b",
        "/v1/kv/a%0d%0aX",
        "/v1/kv/%00",
        "/v1/kv/\ud800",
        "/v1/kv/%ff",
        "/v2/kv/a",
        "kv/a",
        "http://localhost/v1/kv/a",
        "",
        "/v1/" + "x" * 100_000,
    ],
    ids=lambda path: ascii(path)[:40],
)
async def test_a_raw_path_that_consul_would_rewrite_is_never_sent(
    observed: ConsulClient, recorder: Recorder, path: str
) -> None:
    with pytest.raises(InvalidRequestError):
        await observed.request("PUT", path)

    assert recorder.requests == []


async def test_a_key_that_only_a_transaction_can_write_is_listed_all_the_same(
    c: ConsulClient, prefix: str
) -> None:
    # The keys of a transaction are JSON, and no path is cleaned there.
    strange = [prefix + name for name in ("/a//b", "../x", "line\nend")]
    verbs = [{"KV": {"Verb": "set", "Key": key, "Value": "dg=="}} for key in strange]
    await c.request("PUT", "/v1/txn", json=verbs)

    keys = await c.kv.keys(prefix)
    pairs = await c.kv.list(prefix)

    assert sorted(keys) == sorted(strange)
    assert {pair.key: pair.value for pair in pairs} == dict.fromkeys(strange, b"v")
