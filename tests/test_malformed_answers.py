"""Answers that Consul would not give: each ends in a documented error or in a sane value."""

from __future__ import annotations

import gzip
import math
from collections.abc import Awaitable, Callable
from typing import Any, Final

import anyio
import pytest

from consul_onex import (
    ConsulClient,
    ConsulConnectionError,
    ConsulError,
    ConsulStatusError,
    ConsulTimeoutError,
    Cursor,
    DecodeError,
    KVPair,
    NoLeaderError,
    RateLimitedError,
    ServerError,
    TransactionError,
    UnsupportedEndpointError,
)
from consul_onex.models import PreparedQuery, ServiceQuery
from consul_onex.transport import Breaker, Datacenters, Deadline, Layer, Limit, Retry
from tests.support.fault_server import Answer, Seen, Then, fault_server, raw, reply

MIB: Final = 1024 * 1024

GOOD: Final = reply(
    body=b'[{"Key": "good", "Value": "djE=", "ModifyIndex": 7}]', headers={"X-Consul-Index": "7"}
)
GOOD_PAIR: Final = KVPair(key="good", value=b"v1", modify_index=7)


def client(url: str) -> ConsulClient:
    # Two attempts, and no circuit that would open between them.
    retry = Retry(attempts=2, initial=0.001)
    layers: list[Layer] = [Deadline(5), retry, Datacenters(), Breaker(failures=100), Limit()]
    return ConsulClient(url, layers=layers, attempt_timeout=0.5)


def good_except(path: str, answer: Answer) -> Any:
    """A script: this answer to whatever begins with the path, and a good one otherwise."""

    def script(seen: Seen) -> Answer:
        return answer if seen.target.startswith(path) else GOOD

    return script


async def outcome_of(answer: Answer) -> KVPair | ConsulError | None:
    """What a read makes of an answer. The same client then reads a good one."""
    async with (
        fault_server(good_except("/v1/kv/bad", answer)) as server,
        client(server.url) as c,
    ):
        outcome: KVPair | ConsulError | None
        with anyio.fail_after(5):
            try:
                outcome = await c.kv.get("bad")
            except ConsulError as error:
                outcome = error
            assert await c.kv.get("good") == GOOD_PAIR
        statistics = c.statistics()
        assert statistics.limit is not None
        assert statistics.connections is not None
        assert (statistics.limit.plain, statistics.connections.active) == (0, 0)
        return outcome


def packed(body: bytes, *, coding: str = "gzip", status: int = 200) -> Answer:
    return reply(status, body, {"Content-Encoding": coding})


def pair(**fields: str) -> bytes:
    """A list of one pair, of JSON texts."""
    return ("[{" + ", ".join(f'"{name}": {text}' for name, text in fields.items()) + "}]").encode()


BOMB: Final = gzip.compress(gzip.compress(b"[" + b" " * (80 * MIB) + b"]", 1), 1)

DAMAGED: Final = {
    "no JSON": reply(body=b"OK"),
    "HTML": reply(body=b"<!doctype html><title>Sign in</title>", headers={"Content-Type": "x"}),
    "nothing": reply(),
    "null": reply(body=b"null"),
    "an object for a list": reply(body=b'{"Key": "k"}'),
    "a list of texts": reply(body=b'["k"]'),
    "a pair without its key": reply(body=pair(Value='"djE="')),
    "a key that is a number": reply(body=pair(Key="1")),
    "not base64": reply(body=pair(Key='"k"', Value='"%%%%"')),
    "base64 cut short": reply(body=pair(Key='"k"', Value='"d"')),
    "a value that is a number": reply(body=pair(Key='"k"', Value="5")),
    "JSON cut short": reply(body=b'[{"Key": "k", "Val'),
    "two documents": reply(body=b"[][]"),
    "a number of NaN": reply(body=pair(Key='"k"', Flags="NaN")),
    "a number of infinity": reply(body=pair(Key='"k"', Flags="1e999")),
    "a number with a fraction": reply(body=pair(Key='"k"', Flags="1.5")),
    "a number of 10,000 digits": reply(body=pair(Key='"k"', Flags="9" * 10_000)),
    "nested 200,000 deep": reply(body=b"[" * 200_000),
    "nested 200,000 deep, and out again": reply(body=b"[" * 200_000 + b"]" * 200_000),
    "invalid UTF-8": reply(body=b'[{"Key": "\xff\xfe"}]'),
    "a lone surrogate": reply(body=rb'[{"Key": "\ud800"}]'),
    "a byte order mark": reply(body=b"\xef\xbb\xbf" + pair(Key='"k"')),
    "UTF-16": reply(body='[{"Key": "k"}]'.encode("utf-16")),
    "2 GiB announced": reply(headers={"Content-Length": str(2**31)}, then=Then.HANG),
    "a gzip bomb": packed(gzip.decompress(BOMB)),
    "gzip cut short": packed(gzip.compress(b"[]" * 1000)[:-10]),
    "gzip cut in its head": packed(gzip.compress(b"[]")[:12]),
    "gzip that is none": packed(b"[]"),
    "double gzip": packed(BOMB, coding="gzip, gzip"),
    "double gzip that says so once": packed(BOMB),
    "an unknown packing": packed(b"[]", coding="br"),
    "204": reply(204),
    "206 with half a document": reply(206, b'[{"Key": "k",', {"Content-Range": "bytes 0-12/99"}),
}
"""Whole answers of which no value can be made."""


@pytest.mark.parametrize("answer", DAMAGED.values(), ids=DAMAGED.keys())
async def test_a_damaged_answer_is_a_decode_error(answer: Answer) -> None:
    outcome = await outcome_of(answer)

    assert type(outcome) is DecodeError
    assert outcome.operation == "kv.get"
    assert len(str(outcome)) < 300


CREATIONS: Final[dict[str, Callable[[ConsulClient], Awaitable[object]]]] = {
    "session.create": lambda c: c.session.create(),
    "query.create": lambda c: c.query.create(PreparedQuery(service=ServiceQuery(service="web"))),
    "operator.area.create": lambda c: c.operator.area.create("dc2"),
    "operator.raft.transfer_leader": lambda c: c.operator.raft.transfer_leader(),
    "acl.oidc_auth_url": lambda c: c.acl.oidc_auth_url("sso", "http://localhost/cb"),
}
"""Calls of whose answer one member is the value."""


@pytest.mark.parametrize("name", CREATIONS)
@pytest.mark.parametrize("body", [b"{}", b'{"Other": "x"}', b'{"ID": null}', b"[]"])
async def test_an_answer_without_the_one_member_that_counts_is_a_decode_error(
    name: str, body: bytes
) -> None:
    async with fault_server([reply(body=body)]) as server, client(server.url) as c:
        with pytest.raises(DecodeError) as raised:
            await CREATIONS[name](c)

        assert raised.value.operation == name
        assert len(server.requests) == 1


async def test_an_answer_that_is_wrong_in_many_places_is_told_by_their_number() -> None:
    body = "{" + ", ".join(f'"{n}": 0' for n in range(1001)) + "}"
    async with fault_server([reply(body=body.encode())]) as server, client(server.url) as c:
        with pytest.raises(DecodeError, match="wrong in 1001 places"):
            await c.catalog.services()


async def test_a_list_is_left_at_its_first_wrong_row() -> None:
    async with (
        fault_server([reply(body=b"[" + b"0, " * 2000 + b"0]")]) as server,
        client(server.url) as c,
    ):
        for read in (c.kv.list("a"), c.catalog.nodes(), c.health.service("web")):
            with pytest.raises(DecodeError, match=r": 0: [a-z_]+"):
                await read


BROKEN: Final = {
    "no HTTP": raw(b"SSH-2.0-OpenSSH_9.6\r\n\r\n"),
    "an illegal status": raw(b"HTTP/1.1 abc OK\r\n\r\n"),
    "a status of two digits": raw(b"HTTP/1.1 20 OK\r\nContent-Length: 2\r\n\r\n[]"),
    "a status below 100": reply(99),
    "another protocol": reply(101, headers={"Upgrade": "websocket", "Connection": "Upgrade"}),
    "300 KB of headers": reply(headers={f"X-{n}": "x" * 1000 for n in range(300)}),
    "one header of 300 KB": reply(headers={"X-Long": "x" * 300_000}),
    "a header with no colon": raw(b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n"),
    "a body cut short": reply(body=b"[]" * 20, cut=3),
    "two lengths": raw(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n[]"),
    "a negative length": reply(headers={"Content-Length": "-1"}),
    "a length of 50 digits": reply(headers={"Content-Length": "9" * 50}),
    "a chunk of no size": raw(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n[]\r\n"
    ),
}
"""What is no answer at all."""


@pytest.mark.parametrize("answer", BROKEN.values(), ids=BROKEN.keys())
async def test_what_is_no_http_is_no_answer(answer: Answer) -> None:
    outcome = await outcome_of(answer)

    assert type(outcome) is ConsulConnectionError
    # The peer's bytes are quoted in part at most, and on one line.
    assert len(str(outcome)) < 600
    assert str(outcome).isprintable()


async def test_a_body_that_never_comes_is_a_time_out() -> None:
    answer = reply(headers={"Content-Length": "10"}, then=Then.HANG)

    assert type(await outcome_of(answer)) is ConsulTimeoutError


@pytest.mark.parametrize(
    ("answer", "kind", "status"),
    [
        (reply(999), ServerError, 999),
        (reply(418, b"teapot"), ConsulStatusError, 418),
        (reply(304), ConsulStatusError, 304),
        (reply(404), UnsupportedEndpointError, 404),
        (reply(409, b'{"Errors": null}'), TransactionError, 409),
        (reply(409, b'{"Errors": [{"OpIndex": "x"}]}'), TransactionError, 409),
        (reply(409, b"[" * 200_000), TransactionError, 409),
        (reply(500, b"\xff\xfe\x00"), ServerError, 500),
        (reply(500, b"x", {"Content-Type": "text/plain; charset=utf-16"}), ServerError, 500),
        (reply(500, b"x", {"Content-Type": "text/plain; charset=hex"}), ServerError, 500),
        (reply(500, b"x", {"Content-Type": "text/plain; charset=zlib"}), ServerError, 500),
        (reply(500, b"No cluster leader" + b"." * MIB), NoLeaderError, 500),
        (packed(BOMB, status=500), ServerError, 500),
        (packed(gzip.compress(b"No cluster leader"), status=500), NoLeaderError, 500),
        (packed(gzip.compress(b"No cluster leader")[:-9], status=500), NoLeaderError, 500),
        (packed(b"not packed at all", status=500), ServerError, 500),
        (packed(b"No cluster leader", coding="br", status=500), ServerError, 500),
        (packed(b"No cluster leader", coding="gzip, gzip", status=500), ServerError, 500),
        (reply(429, headers={"Retry-After": "soon"}), RateLimitedError, 429),
        (reply(429, headers={"Retry-After": "-1"}), RateLimitedError, 429),
        (reply(429, headers={"Retry-After": "9" * 5000}), RateLimitedError, 429),
        (reply(429, headers={"Retry-After": "99999999"}), RateLimitedError, 429),
        (
            reply(
                429,
                headers={
                    "Retry-After": f"Mon, 01 Jan {'9' * 20} 00:00:00 GMT",
                    "Date": "Mon, 01 Jan 2029 00:00:00 GMT",
                },
            ),
            RateLimitedError,
            429,
        ),
        (
            reply(
                429,
                headers={
                    "Retry-After": f"Mon, 01 Jan 2029 00:00:00 +{'9' * 20}",
                    "Date": "Mon, 01 Jan 2029 00:00:00 GMT",
                },
            ),
            RateLimitedError,
            429,
        ),
    ],
)
async def test_a_strange_error_still_is_that_error(
    answer: Answer, kind: type[ConsulStatusError], status: int
) -> None:
    outcome = await outcome_of(answer)

    assert isinstance(outcome, ConsulStatusError)
    assert (type(outcome), outcome.status) == (kind, status)
    assert len(outcome.detail) <= 300
    assert str(outcome).isprintable()


@pytest.mark.parametrize(
    ("answer", "value"),
    [
        (reply(body=b"[]"), None),
        (reply(404, headers={"X-Consul-Index": "1"}), None),
        (reply(404, b"<html>", {"X-Consul-Index": "1"}), None),
        (reply(201, pair(Key='"k"')), KVPair(key="k")),
        (reply(206, pair(Key='"k"')), KVPair(key="k")),
        (reply(body=pair(Key='"k"', Value="null", New="{}")), KVPair(key="k")),
        (reply(body=pair(Key='"k"', Value='"djE"')), KVPair(key="k", value=b"v1")),
        (reply(body=pair(Key='"k"', Flags="18446744073709551616")), KVPair(key="k", flags=2**64)),
        (reply(body=b'\n[{"Key": "a", "Key": "b"}] '), KVPair(key="b")),
        (reply(body=pair(Key='"k"'), chunked=True), KVPair(key="k")),
        (reply(body=pair(Key='"k"'), headers={"Set-Cookie": "a=b"}), KVPair(key="k")),
        (packed(gzip.compress(pair(Key='"k"'))), KVPair(key="k")),
        (packed(pair(Key='"k"'), coding="identity"), KVPair(key="k")),
        (reply(body=pair(Key='"k"'), then=Then.CLOSE), KVPair(key="k")),
        (raw(b"HTTP/1.0 200 OK\r\n\r\n[]"), None),
        (raw(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n[]"), None),
    ],
)
async def test_an_unusual_answer_that_makes_sense_is_a_value(
    answer: Answer, value: KVPair | None
) -> None:
    assert await outcome_of(answer) == value


async def test_a_cookie_is_not_sent_back() -> None:
    async with (
        fault_server([reply(body=b"[]", headers={"Set-Cookie": "a=b"})]) as server,
        client(server.url) as c,
    ):
        for _ in range(2):
            await c.kv.get("k")

        assert ["cookie" in seen.headers for seen in server.requests] == [False, False]


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b"NaN", math.nan),
        (b"[1e999]", [math.inf]),
        (b"18446744073709551616", 2**64),
        (b'{"a": 1, "a": 2}', {"a": 2}),
        (b"null", None),
    ],
)
async def test_a_raw_request_reads_numbers_as_they_are(body: bytes, value: object) -> None:
    async with fault_server([reply(body=body)]) as server, client(server.url) as c:
        answer = await c.request("GET", "/v1/agent/self")

    assert repr(answer.json()) == repr(value)


@pytest.mark.parametrize("body", [b"[" * 200_000, b"", b"\xff", b"<html>", b"9" * 10_000])
async def test_a_raw_request_that_is_no_json_says_so_when_it_is_read_as_such(body: bytes) -> None:
    async with fault_server([reply(body=body)]) as server, client(server.url) as c:
        answer = await c.request("GET", "/v1/agent/self")

    assert answer.content == body
    with pytest.raises(DecodeError):
        answer.json()


# -- redirects -------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("method", ["GET", "PUT"])
async def test_a_redirect_is_never_followed_and_only_its_host_is_named(
    status: int, method: str
) -> None:
    async with fault_server([reply(body=b"true")]) as other:
        location = f"{other.url}/v1/kv/secret-path?token=secret-token"
        script = good_except("/v1/kv/bad", reply(status, headers={"Location": location}))
        async with (
            fault_server(script) as server,
            ConsulClient(server.url, token="the-token") as c,
        ):
            with pytest.raises(ConsulStatusError) as raised:
                await c.request(method, "/v1/kv/bad", content=b"v" if method == "PUT" else None)
            pair = await c.kv.get("good")

            assert other.accepted == 0
            assert [seen.target for seen in server.requests] == ["/v1/kv/bad", "/v1/kv/good"]
            assert pair == GOOD_PAIR
        assert type(raised.value) is ConsulStatusError
        assert raised.value.status == status
        assert "127.0.0.1" in str(raised.value)
        assert "secret" not in str(raised.value)
        assert str(other.port) not in str(raised.value)


@pytest.mark.parametrize(
    "location",
    [None, "", "/v1/kv/other", "http://[::1", "http://x:99999999/", "//", "\xff\xfe", "?" * 9999],
)
async def test_a_redirect_to_nowhere_is_the_same_error(location: str | None) -> None:
    headers = {} if location is None else {"Location": location}

    outcome = await outcome_of(reply(301, headers=headers))

    assert type(outcome) is ConsulStatusError
    assert outcome.status == 301
    assert len(str(outcome)) < 500


# -- the index of a blocking query -----------------------------------------------------------------


@pytest.mark.parametrize(
    "index",
    [None, "abc", "-1", "+5", "5 6", "5.0", "0x5", "1_0", str(2**64), "\u0663", "5" * 10_000, ""],
)
async def test_an_index_that_makes_no_sense_starts_over_instead_of_blocking(
    index: str | None,
) -> None:
    cursor = Cursor()
    raw_index = b"" if index is None else b"X-Consul-Index: %s\r\n" % index.encode()
    answer = raw(
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n" + raw_index + b"\r\n[]", then=Then.KEEP
    )
    async with (
        fault_server([answer, answer, GOOD]) as server,
        client(server.url) as c,
    ):
        values = [await c.kv.get("k", cursor=cursor) for _ in range(3)]

        assert values == [None, None, GOOD_PAIR]
        # Not one of them waited for anything.
        assert [seen.target for seen in server.requests] == ["/v1/kv/k"] * 3
        assert cursor.index == 7


@pytest.mark.parametrize(
    ("index", "next_index"), [("0", 1), ("00", 1), (str(2**64 - 1), 2**64 - 1)]
)
async def test_an_index_at_the_edge_is_waited_beyond(index: str, next_index: int) -> None:
    cursor = Cursor(wait=2)
    async with (
        fault_server([reply(body=b"[]", headers={"X-Consul-Index": index}), GOOD]) as server,
        client(server.url) as c,
    ):
        for _ in range(2):
            await c.kv.get("k", cursor=cursor)

        assert [seen.target for seen in server.requests] == [
            "/v1/kv/k",
            f"/v1/kv/k?index={next_index}&wait=2s",
        ]


async def test_a_damaged_answer_to_a_blocking_query_makes_the_next_one_start_over() -> None:
    cursor = Cursor()
    async with (
        fault_server([GOOD, reply(body=b"{", headers={"X-Consul-Index": "8"}), GOOD]) as server,
        client(server.url) as c,
    ):
        await c.kv.get("k", cursor=cursor)
        with pytest.raises(DecodeError):
            await c.kv.get("k", cursor=cursor)
        await c.kv.get("k", cursor=cursor)

        assert ["index=" in seen.target for seen in server.requests] == [False, True, False]
