"""One call on the wire: what goes out, what comes back, and what an error says."""

from __future__ import annotations

import re
import ssl
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import httpx
import pytest
from pydantic import TypeAdapter

import consul_onex
from consul_onex import (
    BadRequestError,
    CircuitOpenError,
    ClientClosedError,
    ConfigurationError,
    ConsulClient,
    ConsulConnectionError,
    ConsulError,
    ConsulStatusError,
    ConsulTimeoutError,
    Cursor,
    DecodeError,
    FencedError,
    InvalidKeyError,
    InvalidRequestError,
    InvalidSessionError,
    LockConflictError,
    LockLostError,
    LockTimeoutError,
    NoLeaderError,
    NotFoundError,
    OperationError,
    OutcomeUnknownError,
    OverloadedError,
    PartlyWrittenError,
    PayloadTooLargeError,
    PermissionDeniedError,
    QueryMeta,
    RateLimitedError,
    Safety,
    ServerError,
    SessionLostError,
    TransactionError,
    UnknownCheckError,
    UnknownDatacenterError,
    UnsupportedEndpointError,
)
from consul_onex._wire import Wire
from consul_onex.transport import Breaker, Layer, Retry
from tests.support.canary import Bottom
from tests.transport.support import Body, read

T = TypeVar("T")

YES = httpx.Response(200, json=True)
INDEX = {"X-Consul-Index": "7"}


async def asked(bottom: Bottom, call: Callable[[ConsulClient], Awaitable[object]]) -> httpx.Request:
    """The request that one call makes."""
    async with ConsulClient(transport=bottom, check_server=False) as c:
        await call(c)
    (request,) = bottom.requests
    return request


# -- what goes out ---------------------------------------------------------------------------------


async def test_every_request_says_who_asks_and_what_it_understands() -> None:
    request = await asked(Bottom(), lambda c: c.kv.get("k"))

    assert re.fullmatch(
        rf"consul-onex/{re.escape(consul_onex.__version__)} httpx/[\d.]+ python/[\w.+]+",
        request.headers["user-agent"],
    )
    assert request.headers["accept"] == "application/json"
    assert request.headers["accept-encoding"] == "identity"
    assert request.headers["host"] == "127.0.0.1:8500"
    assert set(request.headers) == {"host", "user-agent", "accept", "accept-encoding"}


@pytest.mark.parametrize(("gzip", "encoding"), [(True, "gzip"), (False, "identity")])
async def test_packed_answers_are_asked_for_as_it_is_set(gzip: bool, encoding: str) -> None:
    bottom = Bottom()

    async with ConsulClient(transport=bottom, gzip=gzip) as c:
        await c.kv.get("k")

    assert bottom.last.headers["accept-encoding"] == encoding


@pytest.mark.parametrize("value", [b"", b"abc", b"x" * 300_000], ids=len)
async def test_a_write_says_its_length_also_when_it_is_empty(value: bytes) -> None:
    request = await asked(Bottom(YES), lambda c: c.kv.put("k", value))

    assert request.headers["content-length"] == str(len(value))
    assert "transfer-encoding" not in request.headers
    assert request.headers["content-type"] == "application/octet-stream"
    assert request.content == value


@pytest.mark.parametrize(
    ("method", "arguments", "length"),
    [
        ("GET", {}, None),
        ("DELETE", {}, None),
        ("POST", {}, "0"),
        ("PUT", {}, "0"),
        ("PUT", {"json": {}}, "2"),
    ],
)
async def test_no_body_is_sent_in_chunks(
    method: str, arguments: dict[str, Any], length: str | None
) -> None:
    request = await asked(Bottom(YES), lambda c: c.request(method, "/v1/kv/k", **arguments))

    assert request.headers.get("content-length") == length
    assert "transfer-encoding" not in request.headers


OPTIONS: dict[str, Any] = {
    "datacenter": "dc2",
    "consistency": "stale",
    "namespace": "team",
    "partition": "part",
}

READ, WRITE = "dc=dc2&stale=&ns=team&partition=part", "dc=dc2&ns=team&partition=part"


@pytest.mark.parametrize(
    ("call", "method", "target"),
    [
        (lambda c: c.kv.get("k"), "GET", f"/v1/kv/k?{READ}"),
        (lambda c: c.kv.list("a/"), "GET", f"/v1/kv/a/?recurse=&{READ}"),
        (lambda c: c.kv.keys("a/", "/"), "GET", f"/v1/kv/a/?keys=&separator=%2F&{READ}"),
        (lambda c: c.kv.put("k", b"", flags=3), "PUT", f"/v1/kv/k?flags=3&{WRITE}"),
        (lambda c: c.kv.put("k", b"", cas=0), "PUT", f"/v1/kv/k?cas=0&{WRITE}"),
        (lambda c: c.kv.delete("k", cas=4), "DELETE", f"/v1/kv/k?cas=4&{WRITE}"),
        (lambda c: c.kv.delete_tree("a"), "DELETE", f"/v1/kv/a?recurse=&{WRITE}"),
        (lambda c: c.kv.acquire("k", "s&t"), "PUT", f"/v1/kv/k?acquire=s%26t&{WRITE}"),
        (lambda c: c.kv.release("k", "s", b"", flags=0), "PUT", f"/v1/kv/k?release=s&{WRITE}"),
        (lambda c: c.catalog.datacenters(), "GET", "/v1/catalog/datacenters"),
        (lambda c: c.status.leader(), "GET", "/v1/status/leader"),
        (lambda c: c.status.peers(), "GET", "/v1/status/peers"),
    ],
)
async def test_an_endpoint_gets_of_a_view_what_it_takes(
    call: Callable[[ConsulClient], Awaitable[object]], method: str, target: str
) -> None:
    answer: Any = "" if "leader" in target else True if method != "GET" else []
    bottom = Bottom(httpx.Response(200, json=answer))

    request = await asked(bottom, lambda c: call(c.using(**OPTIONS)))

    assert (request.method, request.url.raw_path.decode()) == (method, target)


@pytest.mark.parametrize("consistency", ["default", "consistent", "stale"])
async def test_consistency_is_a_flag_and_the_default_is_none(consistency: str) -> None:
    request = await asked(Bottom(), lambda c: c.using(consistency=consistency).kv.get("k"))

    expected = b"" if consistency == "default" else f"{consistency}=".encode()
    assert request.url.query == expected


async def test_a_cursor_waits_beyond_the_last_answer_and_has_the_time_for_it() -> None:
    bottom = Bottom(httpx.Response(200, json=[], headers=INDEX))
    cursor = Cursor(wait=16)

    async with ConsulClient(transport=bottom) as c:
        for _ in range(2):
            await c.kv.get("k", cursor=cursor)

    first, second = bottom.requests
    assert (first.url.query, second.url.query) == (b"", b"index=7&wait=16s")
    assert first.extensions["timeout"]["read"] == 8
    assert second.extensions["timeout"]["read"] == 17 + 8


# -- what comes back -------------------------------------------------------------------------------


async def test_a_404_with_an_index_is_nothing_there() -> None:
    bottom = Bottom(httpx.Response(404, headers=INDEX))
    cursor = Cursor()

    async with ConsulClient(transport=bottom) as c:
        assert await c.kv.get("k", cursor=cursor) is None
        assert await c.kv.list("k") == []
        assert await c.kv.keys("k") == []

    assert cursor.index == 7


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (httpx.Response(404), UnsupportedEndpointError),
        (httpx.Response(405, text="method GET not allowed"), UnsupportedEndpointError),
        (httpx.Response(404, text="no such thing"), NotFoundError),
    ],
)
async def test_a_404_without_an_index_is_an_error(
    answer: httpx.Response, error: type[ConsulStatusError]
) -> None:
    async with ConsulClient(transport=Bottom(answer)) as c:
        with pytest.raises(error) as caught:
            await c.kv.get("k")

    assert type(caught.value) is error
    assert caught.value.status == answer.status_code


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (b"7", 7.0),
        (b"0", 0.0),
        (None, None),
        (b"soon", None),
        (b"-1", None),
        (b"9" * 20, None),
        ("٣".encode(), None),
    ],
)
async def test_the_pause_that_consul_asks_for_is_on_the_error(
    header: bytes | None, seconds: float | None
) -> None:
    headers = {} if header is None else {b"Retry-After": header}
    bottom = Bottom(httpx.Response(429, headers=headers))

    async with ConsulClient(transport=bottom, layers=[]) as c:
        with pytest.raises(RateLimitedError) as caught:
            await c.kv.get("k")

    assert caught.value.retry_after == seconds


ROLLED_BACK = {
    "Results": None,
    "Errors": [
        {"OpIndex": 1, "What": 'failed to set key "a", index is stale'},
        {"OpIndex": 3, "What": "no such key", "New": 1},
    ],
}


@pytest.mark.parametrize(
    ("answer", "errors"),
    [
        (
            httpx.Response(409, json=ROLLED_BACK),
            (
                OperationError(1, 'failed to set key "a", index is stale'),
                OperationError(3, "no such key"),
            ),
        ),
        (httpx.Response(409, json={"Errors": None}), ()),
        (httpx.Response(409, json={"Errors": [{"What": 1}]}), ()),
        (httpx.Response(409, json=[]), ()),
        (httpx.Response(409, text="conflict"), ()),
        (httpx.Response(409), ()),
    ],
)
async def test_what_failed_in_a_transaction_is_on_its_error(
    answer: httpx.Response, errors: tuple[OperationError, ...]
) -> None:
    async with ConsulClient(transport=Bottom(answer)) as c:
        with pytest.raises(TransactionError) as caught:
            await c.request("PUT", "/v1/txn", json=[])

    assert caught.value.errors == errors


@pytest.mark.parametrize(
    ("location", "named"),
    [
        ("https://other.example:8501/v1/kv/s3cret?token=s3cret", "other.example"),
        ("//other.example/s3cret", "other.example"),
        ("http://ann:s3cret@other.example/", "other.example"),
        ("/v1/kv/s3cret", "the same host"),
        (None, "the same host"),
        ("http://[s3cret", "somewhere unreadable"),
    ],
)
@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_a_redirect_is_an_error_that_names_its_host_only(
    status: int, location: str | None, named: str
) -> None:
    headers = {} if location is None else {"Location": location}
    bottom = Bottom(httpx.Response(status, headers=headers))

    async with ConsulClient(transport=bottom) as c:
        with pytest.raises(ConsulStatusError, match=f"a redirect to {named}, which") as caught:
            await c.kv.put("k", b"v")

    assert len(bottom.requests) == 1
    assert (caught.value.status, caught.value.operation) == (status, "kv.put")
    assert "s3cret" not in str(caught.value) + repr(vars(caught.value))


async def test_the_words_of_a_peer_are_cut_and_on_one_line() -> None:
    text = "a\x1b[31m\nX-Other: \u202e" + "x" * 5000
    bottom = Bottom(httpx.Response(403, text=text))

    async with ConsulClient(transport=bottom) as c:
        with pytest.raises(PermissionDeniedError) as caught:
            await c.kv.get("k")

    assert str(caught.value).isprintable()
    assert caught.value.detail.startswith("a\\x1b[31m\\nX-Other: \\u202exxx")
    assert len(caught.value.detail) == 300


class Slowly(httpx.AsyncBaseTransport):
    """A layer of somebody else's, which hands the answer on as if it came from a network."""

    def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
        self.inner = inner

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await self.inner.handle_async_request(request)
        response.stream = Body(*[bytes([byte]) for byte in await read(response)])
        return response


class Slow:
    wrap = Slowly


async def test_an_answer_may_come_up_in_pieces() -> None:
    bottom = Bottom(httpx.Response(200, json=["a", "b"]))

    async with ConsulClient(transport=bottom, layers=[Slow()]) as c:
        assert await c.kv.keys() == ["a", "b"]


async def test_a_cookie_is_not_kept() -> None:
    bottom = Bottom(httpx.Response(200, json=[], headers={"Set-Cookie": "a=b"}))

    async with ConsulClient(transport=bottom) as c:
        await c.kv.get("k")
        await c.kv.get("k")

    assert "cookie" not in bottom.last.headers


async def test_a_proxy_of_the_environment_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")

    async with ConsulClient("http://127.0.0.1:1", layers=[]) as c:
        with pytest.raises(ConsulConnectionError, match="no answer from http://127.0.0.1:1"):
            await c.kv.get("k")


# -- what an error says ----------------------------------------------------------------------------


def caused(kind: type[Exception], cause: Exception, text: str) -> Exception:
    error = kind(text)
    error.__cause__ = cause
    return error


def refused_by_tls() -> Exception:
    cause = ssl.SSLCertVerificationError(1, "certificate verify failed")
    return caused(httpx.ConnectError, cause, "")


Answers = list[httpx.Response | Exception]

# For each class: what the bottom does, and what is said. A layer is there where it is what speaks.
SAID: list[tuple[type[ConsulError], Answers, list[Layer], str]] = [
    (
        ConfigurationError,
        [refused_by_tls()],
        [],
        r"no TLS with http://127\.0\.0\.1:8500: .*certificate verify failed.*; check CONSUL_CACERT",
    ),
    (
        InvalidRequestError,
        [httpx.LocalProtocolError("the request cannot be sent as it is")],
        [],
        r"cannot be sent: the request cannot be sent as it is",
    ),
    (
        ConsulConnectionError,
        [httpx.ConnectError("All connection attempts failed")],
        [],
        r"no answer from http://127\.0\.0\.1:8500: All connection attempts failed "
        r"\(is an agent running there\?\)",
    ),
    (
        ConsulConnectionError,
        [httpx.ConnectError("refused")],
        [Retry(attempts=2, initial=0)],
        r"no answer from .*: refused \(is an agent running there\?\); gave up after 2 attempts",
    ),
    (ConsulConnectionError, [httpx.ReadError("")], [], "no answer from .*: ReadError "),
    (
        ConsulTimeoutError,
        [httpx.ReadTimeout("no answer within 8 s")],
        [],
        r"no answer within 8 s \(the agent is overloaded, hung, or not reachable\)",
    ),
    (
        BadRequestError,
        [httpx.Response(400, text="Bad request")],
        [],
        "Consul answered 400: Bad request",
    ),
    (
        BadRequestError,
        [httpx.Response(400)],
        [],
        "Consul answered 400: no reason given; a character of the path does not print",
    ),
    (
        BadRequestError,
        [httpx.Response(500, text="Failed to create boolean expression evaluator: 1:5")],
        [],
        "Consul answered 500: Failed to create boolean expression evaluator: 1:5",
    ),
    (
        PermissionDeniedError,
        [httpx.Response(403, text="Permission denied")],
        [],
        "Consul answered 403: Permission denied",
    ),
    (NotFoundError, [httpx.Response(404, text="unknown")], [], "Consul answered 404: unknown"),
    (
        UnsupportedEndpointError,
        [httpx.Response(404)],
        [],
        r"Consul answered 404: this server has no such endpoint \(too old, another edition",
    ),
    (TransactionError, [httpx.Response(409, text="no")], [], "Consul answered 409: no"),
    (
        PayloadTooLargeError,
        [httpx.Response(413, text="too large, 600000 > 524288")],
        [],
        "Consul answered 413: too large",
    ),
    (
        RateLimitedError,
        [httpx.Response(429, headers={"Retry-After": "90"})],
        [Retry()],
        "Consul answered 429: no text; not sent again, as Consul asked to wait 90 s",
    ),
    (
        InvalidSessionError,
        [httpx.Response(500, text='invalid session "abc"')],
        [],
        "Consul answered 500: invalid session",
    ),
    (
        UnknownCheckError,
        [httpx.Response(500, text='CheckID "web" does not have associated TTL')],
        [],
        "Consul answered 500: CheckID",
    ),
    (
        UnknownDatacenterError,
        [httpx.Response(500, text="No path to datacenter")],
        [],
        "Consul answered 500: No path to datacenter",
    ),
    (ServerError, [httpx.Response(502)], [], "Consul answered 502: no text"),
    (
        NoLeaderError,
        [httpx.Response(500, text="No cluster leader")],
        [Retry(attempts=1)],
        "Consul answered 500: No cluster leader; gave up after 1 attempt",
    ),
    (
        ConsulStatusError,
        [httpx.Response(418, text="teapot")],
        [],
        "Consul answered 418: teapot",
    ),
    (
        DecodeError,
        [httpx.Response(200, text="<html>")],
        [],
        "the answer is not what this endpoint promises: the whole: json_invalid",
    ),
]


@pytest.mark.parametrize(
    ("error", "answers", "layers", "message"),
    [pytest.param(*row, id=f"{row[0].__name__}-{n}") for n, row in enumerate(SAID)],
)
async def test_an_error_says_what_happened_in_which_operation_and_what_to_do(
    error: type[ConsulError], answers: Answers, layers: list[Layer], message: str
) -> None:
    async with ConsulClient(transport=Bottom(*answers), layers=layers) as c:
        with pytest.raises(error) as caught:
            await c.kv.get("k")

    assert type(caught.value) is error
    assert re.match(rf"kv\.get: {message}", str(caught.value))
    assert caught.value.operation == "kv.get"


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (httpx.ReadError("cut"), r"\(cut\)"),
        (httpx.ReadTimeout("no answer"), r"\(no answer\)"),
        (httpx.RemoteProtocolError("odd"), r"\(odd\)"),
        (httpx.Response(502), r"\(Consul answered 502: no text\)"),
        (httpx.Response(500, text="rpc error: EOF"), r"\(Consul answered 500: rpc error: EOF\)"),
    ],
)
async def test_a_write_whose_answer_was_lost_says_to_read_it_back(
    answer: httpx.Response | Exception, message: str
) -> None:
    async with ConsulClient(transport=Bottom(answer), layers=[]) as c:
        with pytest.raises(
            OutcomeUnknownError,
            match=rf"^kv\.put: sent, but the answer was lost {message}: it may or may not have "
            "been applied; read back what it should have changed$",
        ) as caught:
            await c.kv.put("k", b"v", cas=1)

    assert caught.value.timed_out is isinstance(answer, httpx.ReadTimeout)


async def test_an_open_circuit_says_which_and_for_how_long() -> None:
    async with ConsulClient(
        transport=Bottom(httpx.ConnectError("no")), layers=[Breaker(1)], datacenter="dc2"
    ) as c:
        with pytest.raises(ConsulConnectionError):
            await c.kv.get("k")
        with pytest.raises(
            CircuitOpenError,
            match=r"^kv\.get: not sent: circuit consul\.dc2 is open after 1 failures? in a row; "
            r"it will be tried again in \d+\.\d s$",
        ) as caught:
            await c.kv.get("k")

    assert caught.value.circuit == "consul.dc2"
    assert caught.value.retry_after is not None
    assert 29 < caught.value.retry_after <= 30


def test_each_class_of_error_has_a_message_of_its_own_that_was_looked_at() -> None:
    looked_at = {row[0] for row in SAID} | {
        OutcomeUnknownError,
        CircuitOpenError,
        # In the tests of the client and of the layers.
        ClientClosedError,
        InvalidKeyError,
        OverloadedError,
        # In those of many keys.
        PartlyWrittenError,
        # In the tests of the recipes, which raise them.
        SessionLostError,
        LockLostError,
        FencedError,
        LockTimeoutError,
        LockConflictError,
    }
    classes = {
        value
        for value in vars(consul_onex).values()
        if isinstance(value, type) and issubclass(value, ConsulError)
    }

    assert looked_at == classes - {ConsulError}


@pytest.mark.parametrize("kind", [httpx.ReadError, httpx.ReadTimeout, httpx.ConnectError])
async def test_what_httpx_raised_is_the_cause(kind: type[httpx.TransportError]) -> None:
    first = kind("first")

    async with ConsulClient(transport=Bottom(first), layers=[]) as c:
        with pytest.raises(ConsulConnectionError) as caught:
            await c.kv.get("k")

    assert caught.value.__cause__ is first


async def test_a_failed_read_makes_its_cursor_start_over() -> None:
    bottom = Bottom(
        httpx.Response(200, json=[], headers=INDEX),
        httpx.ReadError("cut"),
        httpx.Response(200, json=[], headers=INDEX),
    )
    cursor = Cursor()

    async with ConsulClient(transport=bottom, layers=[]) as c:
        await c.kv.get("k", cursor=cursor)
        with pytest.raises(ConsulConnectionError):
            await c.kv.get("k", cursor=cursor)
        await c.kv.get("k", cursor=cursor)

    assert [b"index" in request.url.query for request in bottom.requests] == [False, True, False]


async def test_a_read_is_never_of_unknown_outcome() -> None:
    async with ConsulClient(transport=Bottom(httpx.ReadError("cut")), layers=[]) as c:
        with pytest.raises(ConsulConnectionError):
            await c.request("PUT", "/v1/agent/reload", safety=Safety.SAFE)


# -- the ways of the wire --------------------------------------------------------------------------

NUMBERS = TypeAdapter(dict[str, int])


def missing(text: str = "", *, index: bool = False) -> httpx.Response:
    return httpx.Response(404, text=text, headers=INDEX if index else {})


async def wire_of(bottom: Bottom, use: Callable[[Wire], Awaitable[T]]) -> T:
    async with ConsulClient(transport=bottom, check_server=False) as c:
        return await use(c._wire)


@pytest.mark.parametrize(
    ("answer", "unless", "found"),
    [
        (httpx.Response(200, json={"a": 1}), "", {"a": 1}),
        (missing(index=True), "", None),
        (missing("no such thing", index=True), "", None),
        (missing("unknown thing: x"), "unknown thing", None),
    ],
)
async def test_what_is_not_found_is_none(answer: httpx.Response, unless: str, found: Any) -> None:
    bottom = Bottom(answer)

    assert await wire_of(bottom, lambda w: w.find("x", "/v1/x", NUMBERS, unless=unless)) == found


@pytest.mark.parametrize(
    ("answer", "unless", "error"),
    [
        (missing(), "", UnsupportedEndpointError),
        (missing(), "unknown thing", UnsupportedEndpointError),
        (missing("no such page"), "unknown thing", NotFoundError),
        (missing("unknown thing"), "", NotFoundError),
        (httpx.Response(403, text="unknown thing"), "unknown thing", PermissionDeniedError),
    ],
)
async def test_another_refusal_is_no_missing_thing(
    answer: httpx.Response, unless: str, error: type[ConsulError]
) -> None:
    with pytest.raises(error):
        await wire_of(Bottom(answer), lambda w: w.find("x", "/v1/x", NUMBERS, unless=unless))


async def test_a_search_can_wait_for_what_is_not_there_yet() -> None:
    bottom = Bottom(missing(index=True), httpx.Response(200, json={}, headers=INDEX))
    cursor = Cursor()

    async def use(wire: Wire) -> None:
        for _ in range(2):
            await wire.find("x", "/v1/x", NUMBERS, [("p", "1")], cursor=cursor)

    await wire_of(bottom, use)
    assert [r.url.query for r in bottom.requests] == [b"p=1", b"p=1&index=7&wait=60s"]


async def test_a_search_that_fails_starts_its_cursor_over() -> None:
    cursor = Cursor()
    cursor.advance(QueryMeta(index=7))

    with pytest.raises(UnsupportedEndpointError):
        await wire_of(Bottom(missing()), lambda w: w.find("x", "/v1/x", NUMBERS, cursor=cursor))
    assert cursor.index is None


@pytest.mark.parametrize("json", [b"{}", b"null", b""])
async def test_a_write_of_json_says_so_and_reads_the_answer(json: bytes) -> None:
    bottom = Bottom(httpx.Response(200, json={"a": 1}))

    read = await wire_of(bottom, lambda w: w.write("x", "POST", "/v1/x", NUMBERS, json=json))

    assert read == {"a": 1}
    assert bottom.last.headers["content-type"] == "application/json"
    assert bottom.last.headers["content-length"] == str(len(json))
    assert bottom.last.content == json


@pytest.mark.parametrize("verdict", [True, False])
async def test_a_verdict_is_what_consul_says(verdict: bool) -> None:
    bottom = Bottom(httpx.Response(200, text=f"{str(verdict).lower()}\n"))

    said = await wire_of(bottom, lambda w: w.verdict("x", "PUT", "/v1/x", json=b"{}"))

    assert said is verdict
    assert bottom.last.headers["content-type"] == "application/json"


@pytest.mark.parametrize("body", ["", "1", "yes", "null", '"true"', "[]"])
async def test_what_is_no_verdict_is_damaged(body: str) -> None:
    with pytest.raises(DecodeError, match="^x: "):
        await wire_of(
            Bottom(httpx.Response(200, text=body)), lambda w: w.verdict("x", "PUT", "/v1/x")
        )


@pytest.mark.parametrize("status", [429, 503])
async def test_a_status_that_is_data_is_read_and_one_that_is_text_is_raised(status: int) -> None:
    async def use(wire: Wire) -> dict[str, int]:
        return await wire.read("x", "/v1/x", NUMBERS, data=frozenset({429, 503}))

    bottom = Bottom(httpx.Response(status, json={"a": 1}))
    assert await wire_of(bottom, use) == {"a": 1}
    assert len(bottom.requests) == 1
    with pytest.raises(ConsulStatusError):
        async with ConsulClient(
            transport=Bottom(httpx.Response(status, text="not so fast")), layers=[]
        ) as c:
            await use(c._wire)


async def test_a_status_is_data_where_that_was_said_alone() -> None:
    with pytest.raises(RateLimitedError):
        async with ConsulClient(
            transport=Bottom(httpx.Response(429, json={"a": 1})), layers=[]
        ) as c:
            await c._wire.read("x", "/v1/x", NUMBERS, data=frozenset({503}))
