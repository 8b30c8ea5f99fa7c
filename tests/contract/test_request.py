"""Any endpoint by its path."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest
from pydantic import BaseModel

from consul_onex import (
    BadRequestError,
    ConsulClient,
    ConsulStatusError,
    Cursor,
    DecodeError,
    InvalidRequestError,
    InvalidSessionError,
    NotFoundError,
    OutcomeUnknownError,
    PayloadTooLargeError,
    PermissionDeniedError,
    Safety,
    TransactionError,
    UnknownCheckError,
    UnsupportedEndpointError,
)
from tests.contract.conftest import NewSession, Recorder

NOBODY = "1e9c36cc-4d5c-4b0f-8a55-5f0b0f6d1d11"


class Member(BaseModel):
    Name: str
    Status: int


# -- answers -------------------------------------------------------------------------------------


async def test_an_answer_is_read_in_several_ways(c: ConsulClient) -> None:
    answer = await c.request("GET", "/v1/agent/members")

    assert (answer.status, answer.operation) == (200, "GET /v1/agent")
    assert [member.Name for member in answer.parse(list[Member])] == ["dev"]
    assert answer.json()[0]["Name"] == "dev"
    assert '"Name"' in answer.text()
    assert answer.content.decode() == answer.text()


async def test_an_answer_of_another_shape_is_a_decode_error(c: ConsulClient) -> None:
    answer = await c.request("GET", "/v1/agent/members")

    with pytest.raises(DecodeError):
        answer.parse(dict[str, str])


async def test_an_empty_answer_is_no_json(c: ConsulClient) -> None:
    answer = await c.request("PUT", "/v1/agent/service/deregister/nobody")

    assert answer.content == b""
    with pytest.raises(DecodeError, match="not JSON"):
        answer.json()


async def test_an_answer_says_which_index_it_has(c: ConsulClient) -> None:
    answer = await c.request("GET", "/v1/catalog/nodes")

    assert answer.meta.index is not None
    assert (answer.meta.known_leader, answer.datacenter) == (True, None)


async def test_the_content_of_an_answer_shows_in_no_repr(c: ConsulClient, prefix: str) -> None:
    await c.kv.put(prefix + "k", b"s3cret")

    answer = await c.request("GET", f"/v1/kv/{prefix}k", params={"raw": True})

    assert answer.content == b"s3cret"
    assert "s3cret" not in repr(answer)


# -- what is sent --------------------------------------------------------------------------------


async def test_parameters_are_sent_as_consul_wants_them(
    observed: ConsulClient, recorder: Recorder
) -> None:
    await observed.request(
        "GET",
        "/v1/catalog/nodes",
        params={
            "node-meta": ["a:1&b", "b:ü"],
            "near": "_agent",
            "number": 7,
            "flag": True,
            "not": False,
            "none": None,
        },
    )

    assert list(recorder.last.url.params.multi_items()) == [
        ("node-meta", "a:1&b"),
        ("node-meta", "b:ü"),
        ("near", "_agent"),
        ("number", "7"),
        ("flag", ""),
    ]


async def test_a_body_has_its_type(
    observed: ConsulClient, recorder: Recorder, c: ConsulClient, prefix: str
) -> None:
    path = f"/v1/kv/{prefix}k"

    await observed.request("PUT", path, content="ü")
    text = await c.kv.get(prefix + "k")
    await observed.request("PUT", path, content=b"\0\xff")
    plain = await c.kv.get(prefix + "k")
    await observed.request("PUT", path, json={"a": 1})
    packed = await c.kv.get(prefix + "k")

    assert [pair and pair.value for pair in (text, plain, packed)] == [
        "ü".encode(),
        b"\0\xff",
        b'{"a":1}',
    ]
    assert [request.headers["content-type"] for request in recorder.requests] == [
        "application/octet-stream",
        "application/octet-stream",
        "application/json",
    ]
    assert [request.headers["content-length"] for request in recorder.requests] == ["2", "2", "7"]


async def test_a_session_has_the_options_it_was_created_with(
    c: ConsulClient, new_session: NewSession
) -> None:
    session = await new_session(Name="mine", TTL="30s", LockDelay="5s", Behavior="delete")

    answer = await c.request("GET", f"/v1/session/info/{session}")

    info = answer.json()[0]
    assert (info["Name"], info["TTL"], info["Behavior"]) == ("mine", "30s", "delete")
    assert info["LockDelay"] == 5_000_000_000


async def test_a_raw_read_can_wait(
    c: ConsulClient, observed: ConsulClient, recorder: Recorder, prefix: str
) -> None:
    await c.kv.put(prefix + "k", b"1")
    cursor = Cursor()
    found: list[bytes] = []

    async def read() -> None:
        for _ in range(2):
            answer = await observed.request(
                "GET", f"/v1/kv/{prefix}k", params={"raw": True}, cursor=cursor
            )
            found.append(answer.content)

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(read)
            await recorder.blocks()
            await c.kv.put(prefix + "k", b"2")

    assert found == [b"1", b"2"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"method": "HEAD", "path": "/v1/kv/a"}, "method"),
        ({"method": "get", "path": "/v1/kv/a"}, "method"),
        ({"method": None, "path": "/v1/kv/a"}, "method"),
        ({"params": {"dc": "dc2"}}, "datacenter="),
        ({"params": {"ns": "team"}}, "namespace="),
        ({"params": {"partition": "part"}}, "partition="),
        ({"params": {"stale": True}}, "consistency="),
        ({"params": {"consistent": True}}, "consistency="),
        ({"params": {"index": 7}}, "cursor="),
        ({"params": {"wait": "5s"}}, "cursor="),
        ({"params": {"token": "x"}}, "token="),
        ({"params": {"a": 1.5}}, "'a'"),
        ({"params": {"a": b"b"}}, "'a'"),
        ({"params": {"a": {"b": 1}}}, "'a'"),
        ({"params": {"a": [1.5]}}, "'a'"),
        ({"content": b"a", "json": {}}, "not both"),
        ({"content": 7}, "content"),
        ({"json": len}, "JSON"),
    ],
    ids=lambda value: str(value)[:40],
)
async def test_what_cannot_be_meant_is_never_sent(
    observed: ConsulClient, recorder: Recorder, arguments: dict[str, Any], says: str
) -> None:
    with pytest.raises(InvalidRequestError) as raised:
        await observed.request(**{"method": "PUT", "path": "/v1/kv/a", **arguments})

    assert says in str(raised.value)
    assert recorder.requests == []


# -- errors --------------------------------------------------------------------------------------

Call = Callable[[ConsulClient], Awaitable[object]]

ERRORS: dict[str, tuple[type[ConsulStatusError], Call]] = {
    "unknown endpoint": (
        UnsupportedEndpointError,
        lambda c: c.request("GET", "/v1/nothing/here"),
    ),
    "wrong method": (
        UnsupportedEndpointError,
        lambda c: c.request("POST", "/v1/kv/a"),
    ),
    "missing service of the agent": (
        NotFoundError,
        lambda c: c.request("GET", "/v1/agent/service/nobody"),
    ),
    "missing config entry": (
        NotFoundError,
        lambda c: c.request("GET", "/v1/config/service-defaults/nobody"),
    ),
    "renewal of no session": (
        NotFoundError,
        lambda c: c.request("PUT", f"/v1/session/renew/{NOBODY}"),
    ),
    "lock of no session": (
        InvalidSessionError,
        lambda c: c.request("PUT", "/v1/kv/a", params={"acquire": NOBODY}),
    ),
    "TTL of no check": (
        UnknownCheckError,
        lambda c: c.request("PUT", "/v1/agent/check/pass/nobody"),
    ),
    "bad filter": (
        BadRequestError,
        lambda c: c.request("GET", "/v1/catalog/nodes", params={"filter": "=="}),
    ),
    "bad session TTL": (
        BadRequestError,
        lambda c: c.request("PUT", "/v1/session/create", json={"TTL": "1s"}),
    ),
    "bad number": (
        BadRequestError,
        lambda c: c.request("PUT", "/v1/kv/a", params={"cas": "x"}),
    ),
    "bad body": (
        BadRequestError,
        lambda c: c.request("PUT", "/v1/session/create", content="{"),
    ),
    "too many operations": (
        PayloadTooLargeError,
        lambda c: c.request(
            "PUT", "/v1/txn", json=[{"KV": {"Verb": "get", "Key": "a"}} for _ in range(65)]
        ),
    ),
    "no ACLs": (
        PermissionDeniedError,
        lambda c: c.request("GET", "/v1/acl/tokens"),
    ),
}


@pytest.mark.parametrize("what", ERRORS)
async def test_an_error_says_what_kind_of_error_it_is(
    observed: ConsulClient, recorder: Recorder, what: str
) -> None:
    kind, call = ERRORS[what]

    with pytest.raises(ConsulStatusError) as raised:
        await call(observed)

    error = raised.value
    assert type(error) is kind
    assert error.status >= 400
    assert error.operation is not None
    assert error.operation.split()[1].startswith("/v1/")
    assert str(error).startswith(error.operation)
    # None of these would turn out otherwise when asked again.
    assert len(recorder.requests) == 1


async def test_a_transaction_that_was_rolled_back_says_why(c: ConsulClient, prefix: str) -> None:
    await c.kv.put(prefix + "a", b"1")
    verbs = [
        {"KV": {"Verb": "set", "Key": prefix + "b", "Value": "eA=="}},
        {"KV": {"Verb": "cas", "Key": prefix + "a", "Value": "eA==", "Index": 1}},
        {"KV": {"Verb": "get", "Key": prefix + "missing"}},
    ]

    with pytest.raises(TransactionError) as raised:
        await c.request("PUT", "/v1/txn", json=verbs)

    assert (raised.value.status, [error.index for error in raised.value.errors]) == (409, [1, 2])
    assert all(error.what for error in raised.value.errors)
    assert await c.kv.keys(prefix) == [prefix + "a"]


async def test_an_error_in_consuls_words_is_one_line(c: ConsulClient) -> None:
    with pytest.raises(BadRequestError) as raised:
        await c.request("GET", "/v1/catalog/nodes", params={"filter": "a\nb \x1b[31m" * 100})

    assert str(raised.value).isprintable()
    assert len(raised.value.detail) <= 300


async def test_a_mistake_is_no_doubt(c: ConsulClient) -> None:
    # A write that was refused for good is not "may have been applied", whatever it was said to be.
    for safety in Safety:
        with pytest.raises(ConsulStatusError) as raised:
            await c.request("PUT", "/v1/session/create", json={"TTL": "1s"}, safety=safety)
        assert not isinstance(raised.value, OutcomeUnknownError)
