"""What each method of the API sends: all of it, and nothing else."""

from __future__ import annotations

import importlib
import inspect
import json
import pkgutil
from typing import Any, Final

import httpx
import pytest

import tests.walk
from consul_onex import ConsulClient, Cursor
from consul_onex._call import CARD, Call
from tests.support.canary import CANARY, Bottom, leaks
from tests.support.endpoints import endpoints, methods
from tests.walk.case import ANY, Case

CASES: Final[list[Case]] = [
    case
    for module in pkgutil.iter_modules(tests.walk.__path__)
    if not module.name.startswith("test_")
    for case in getattr(importlib.import_module(f"tests.walk.{module.name}"), "CASES", [])
]

METHODS: Final = dict(methods())

# Made of the others, or of what they send; a transaction sends nothing when it begins.
COMPOSED: Final = {"kv.put_json", "kv.update", "kv.watch", "kv.watch_prefix", "txn.begin"}

VIEW: Final = {
    "dc": "dc=dc2",
    "consistency": "stale",
    "ns": "ns=team",
    "partition": "partition=part",
}

each_case = pytest.mark.parametrize("case", CASES, ids=str)


def client(bottom: Bottom) -> ConsulClient:
    # With the version unknown nothing is refused, and nobody is asked for it.
    return ConsulClient(transport=bottom, token=CANARY, check_server=False, gzip=True)


def line(request: httpx.Request) -> str:
    return f"{request.method} {request.url.raw_path.decode('ascii')}"


@each_case
async def test_a_call_is_sent_as_documented_and_answers_as_promised(case: Case) -> None:
    bottom = Bottom(case.response())
    async with client(bottom) as c:
        result = await case.call(c)

    assert [line(request) for request in bottom.requests] == [case.sent]
    if isinstance(case.body, bytes):
        assert bottom.last.content == case.body
    else:
        assert json.loads(bottom.last.content) == case.body
    if case.result is not ANY:
        assert result == case.result
        assert type(result) is type(case.result)


@each_case
async def test_the_card_says_what_the_call_is(case: Case) -> None:
    bottom = Bottom(case.response())
    async with client(bottom) as c:
        await case.call(c)

    card = bottom.last.extensions[CARD]
    assert isinstance(card, Call)
    assert card.operation == case.method
    assert card.safety is case.expected_safety
    assert card.local is case.local


@each_case
async def test_the_token_is_in_its_header_and_nowhere_else(case: Case) -> None:
    bottom = Bottom(case.response())
    async with client(bottom) as c:
        await case.call(c)

    request = bottom.last
    assert request.headers.get_list("x-consul-token") == [CANARY.get_secret_value()]
    others = [value for name, value in request.headers.items() if name != "x-consul-token"]
    assert not leaks(f"{request.url} {others} {request.content!r}")


@each_case
async def test_a_body_says_what_it_is_and_how_long(case: Case) -> None:
    bottom = Bottom(case.response())
    async with client(bottom) as c:
        await case.call(c)

    headers = bottom.last.headers
    if bottom.last.method in ("PUT", "POST"):
        kind = "octet-stream" if isinstance(case.body, bytes) else "json"
        assert headers["content-type"] == f"application/{kind}"
        assert headers["content-length"] == str(len(bottom.last.content))
    else:
        assert "content-type" not in headers
    assert "transfer-encoding" not in headers


@each_case
async def test_an_endpoint_gets_of_a_view_what_it_takes(case: Case) -> None:
    bottom = Bottom(case.response())
    async with client(bottom) as c:
        view = c.using(datacenter="dc2", consistency="stale", namespace="team", partition="part")
        await case.call(view)

    path, _, query = case.sent.partition("?")
    expected = [*query.split("&"), *(VIEW[option] for option in case.takes.split())]
    sent = line(bottom.last).partition("?")[2].split("&")
    assert line(bottom.last).partition("?")[0] == path
    assert sorted(part.removesuffix("=") for part in sent if part) == sorted(
        part.removesuffix("=") for part in expected if part
    )


CURSORS: Final = {
    case.method: case
    for case in CASES
    if "cursor" in inspect.signature(METHODS[case.method]).parameters
}


@pytest.mark.parametrize("name", sorted(CURSORS))
async def test_a_read_that_takes_a_cursor_waits_with_it(name: str) -> None:
    case, bottom = CURSORS[name], Bottom(CURSORS[name].response())
    async with client(bottom) as c:
        cursor = Cursor(wait=20)
        await case.call(_Following(c, cursor))
        await case.call(_Following(c, cursor))

    first, second = bottom.requests
    assert "index" not in first.url.params
    assert (second.url.params["index"], second.url.params["wait"]) == ("7", "20s")


class _Following(ConsulClient):
    """A client whose every read has a cursor, so that a case need not say it twice."""

    def __init__(self, client: ConsulClient, cursor: Cursor) -> None:
        self._core = client._core
        self._owner = False
        self._wire = client._wire.using()
        read: Any = self._wire._read

        async def following(*args: Any, **kwargs: Any) -> Any:
            return await read(*args, **kwargs | {"cursor": cursor})

        self._wire._read = following  # type: ignore[method-assign]


def test_every_method_of_the_api_is_walked_past() -> None:
    assert {case.method for case in CASES} == METHODS.keys() - COMPOSED


def test_a_method_says_where_its_calls_go() -> None:
    known = endpoints()
    for case in CASES:
        method, _, target = case.sent.partition(" ")
        path = target.partition("?")[0]
        assert any(
            endpoint.name == case.method
            and endpoint.method == method
            and endpoint.pattern.fullmatch(path)
            for endpoint in known
        ), f"the docstring of {case.method} does not say {method} {path}"
