"""Tokens on an agent that denies what is not allowed."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import anyio
import pytest
from pydantic import SecretStr

from consul_onex import (
    ConsulClient,
    ConsulError,
    PermissionDeniedError,
    TokenFile,
    TransactionError,
)
from tests.contract.conftest import Recorder
from tests.support.agents import Agent

UNKNOWN = "5a1b7a6e-0000-4000-8000-0123456789ab"


@pytest.fixture
async def management(acl_agent: Agent) -> AsyncIterator[ConsulClient]:
    """A client that may do everything."""
    async with ConsulClient(acl_agent.url, token=acl_agent.token) as client:
        yield client


@pytest.fixture
async def anonymous(acl_agent: Agent) -> AsyncIterator[ConsulClient]:
    """A client without a token, for views that have one."""
    async with ConsulClient(acl_agent.url) as client:
        yield client


@pytest.fixture
async def mine(management: ConsulClient) -> AsyncIterator[str]:
    """A prefix with two keys, gone afterwards."""
    prefix = f"acl/{uuid4().hex}/"
    await management.kv.put(prefix + "a", b"1")
    await management.kv.put(prefix + "b", b"2")
    yield prefix
    await management.kv.delete_tree(prefix)


@pytest.fixture
async def tokens(management: ConsulClient, mine: str) -> AsyncIterator[dict[str, str]]:
    """Tokens for the prefix: one may read it, one may write it too."""
    made: dict[str, str] = {}
    paths: list[str] = []
    for policy in ("read", "write"):
        name = f"{policy}-{uuid4().hex}"
        rules = f'key_prefix "{mine}" {{ policy = "{policy}" }}'
        created = await management.request(
            "PUT", "/v1/acl/policy", json={"Name": name, "Rules": rules}
        )
        answer = await management.request(
            "PUT", "/v1/acl/token", json={"Policies": [{"Name": name}]}
        )
        token = answer.parse(dict[str, Any])
        made[policy] = token["SecretID"]
        paths += [f"/v1/acl/token/{token['AccessorID']}", f"/v1/acl/policy/{created.json()['ID']}"]
    yield made
    for path in paths:
        await management.request("DELETE", path)


# -- what a token may ----------------------------------------------------------------------------


@pytest.mark.parametrize("token", [None, UNKNOWN], ids=["no token", "unknown token"])
async def test_without_a_valid_token_nothing_is_read_or_written(
    anonymous: ConsulClient, management: ConsulClient, mine: str, token: str | None
) -> None:
    view = anonymous.using(token=token)
    calls = {
        "kv.get": view.kv.get(mine + "a"),
        "kv.put": view.kv.put(mine + "a", b"x"),
        "kv.delete": view.kv.delete(mine + "a"),
        "kv.delete_tree": view.kv.delete_tree(mine),
    }

    for operation, call in calls.items():
        with pytest.raises(PermissionDeniedError) as raised:
            await call
        assert (raised.value.status, raised.value.operation) == (403, operation)

    assert [pair.value for pair in await management.kv.list(mine)] == [b"1", b"2"]


async def test_what_may_not_be_read_is_missing_from_lists(
    anonymous: ConsulClient, mine: str
) -> None:
    # The server says nothing of what it leaves out.
    assert await anonymous.kv.list(mine) == []
    assert await anonymous.kv.keys(mine) == []


async def test_an_unknown_token_is_told_from_one_that_lacks_the_right(
    anonymous: ConsulClient, tokens: dict[str, str], mine: str
) -> None:
    with pytest.raises(PermissionDeniedError) as unknown:
        await anonymous.using(token=UNKNOWN).kv.get(mine + "a")
    with pytest.raises(PermissionDeniedError) as lacking:
        await anonymous.using(token=tokens["read"]).kv.put(mine + "a", b"x")

    assert "ACL not found" in unknown.value.detail
    assert "Permission denied" in lacking.value.detail


async def test_a_token_may_what_its_policy_says(
    anonymous: ConsulClient, tokens: dict[str, str], mine: str
) -> None:
    reader = anonymous.using(token=tokens["read"])
    writer = anonymous.using(token=tokens["write"])

    assert await writer.kv.put(mine + "a", b"new") is True
    assert [pair.value for pair in await reader.kv.list(mine)] == [b"new", b"2"]
    for view, key in ((reader, mine + "a"), (writer, "elsewhere")):
        with pytest.raises(PermissionDeniedError):
            await view.kv.put(key, b"x")
    with pytest.raises(PermissionDeniedError):
        await reader.kv.get("elsewhere")


async def test_a_refusal_inside_a_transaction_says_which_operation(
    anonymous: ConsulClient, tokens: dict[str, str], mine: str
) -> None:
    verbs = [
        {"KV": {"Verb": "get", "Key": mine + "a"}},
        {"KV": {"Verb": "set", "Key": mine + "b", "Value": "eA=="}},
    ]

    with pytest.raises(TransactionError) as raised:
        await anonymous.using(token=tokens["read"]).request("PUT", "/v1/txn", json=verbs)

    assert [error.index for error in raised.value.errors] == [1]
    assert "Permission denied" in raised.value.errors[0].what


async def test_a_refused_write_is_sent_once(
    acl_agent: Agent, recorder: Recorder, mine: str
) -> None:
    async with ConsulClient(acl_agent.url, token=UNKNOWN, transport=recorder) as c:
        with pytest.raises(PermissionDeniedError):
            await c.kv.put(mine + "a", b"x")

    assert len(recorder.requests) == 1


@pytest.mark.parametrize("where", ["client", "view"])
async def test_an_error_holds_no_token(acl_agent: Agent, mine: str, where: str) -> None:
    own, views = (UNKNOWN, None) if where == "client" else (None, UNKNOWN)
    async with ConsulClient(acl_agent.url, token=own) as c:
        view = c.using(token=views)
        with pytest.raises(PermissionDeniedError) as raised:
            await view.kv.get(mine + "a")

    assert UNKNOWN not in f"{raised.value} {raised.value!r} {vars(raised.value)} {view!r}"


# -- where a token comes from --------------------------------------------------------------------


@pytest.mark.parametrize("wrap", [str, SecretStr], ids=["str", "SecretStr"])
async def test_a_token_may_be_given_openly_or_not(
    acl_agent: Agent, mine: str, tokens: dict[str, str], wrap: Callable[[str], Any]
) -> None:
    async with ConsulClient(acl_agent.url, token=wrap(tokens["read"])) as c:
        assert await c.kv.keys(mine) == [mine + "a", mine + "b"]


async def test_a_views_token_comes_before_the_clients(
    acl_agent: Agent, mine: str, tokens: dict[str, str]
) -> None:
    async with ConsulClient(acl_agent.url, token=tokens["read"]) as c:
        writer = c.using(token=tokens["write"])

        assert await writer.kv.put(mine + "a", b"new") is True
        for reader in (c, writer.using(token=None)):
            with pytest.raises(PermissionDeniedError):
                await reader.kv.put(mine + "a", b"newer")


async def test_a_source_is_asked_before_each_request(
    acl_agent: Agent, mine: str, tokens: dict[str, str]
) -> None:
    now = [tokens["read"]]

    async with ConsulClient(acl_agent.url, token=lambda: SecretStr(now[0])) as c:
        with pytest.raises(PermissionDeniedError):
            await c.kv.put(mine + "a", b"new")
        now[0] = tokens["write"]
        assert await c.kv.put(mine + "a", b"new") is True
        now[0] = UNKNOWN
        with pytest.raises(PermissionDeniedError):
            await c.kv.get(mine + "a")


async def test_a_view_may_have_a_source_too(
    anonymous: ConsulClient, mine: str, tokens: dict[str, str]
) -> None:
    view = anonymous.using(token=lambda: SecretStr(tokens["read"]))

    assert await view.kv.get(mine + "a") is not None
    assert await anonymous.kv.keys(mine) == []


@pytest.mark.parametrize("end", ["", "\n", "\r\n"], ids=["nothing", "LF", "CR LF"])
async def test_a_token_file_is_read_again_when_it_was_replaced(
    acl_agent: Agent, mine: str, tokens: dict[str, str], tmp_path: Path, end: str
) -> None:
    file, fresh = tmp_path / "token", tmp_path / "fresh"
    file.write_bytes((tokens["read"] + end).encode())

    async with ConsulClient(acl_agent.url, token_file=str(file)) as c:
        before = await c.kv.keys(mine)
        with pytest.raises(PermissionDeniedError):
            await c.kv.put(mine + "c", b"")
        fresh.write_bytes((tokens["write"] + end).encode())
        os.replace(fresh, file)
        after = await c.kv.put(mine + "c", b"")

    assert (before, after) == ([mine + "a", mine + "b"], True)


async def test_a_token_file_is_read_again_when_it_was_written_over(
    acl_agent: Agent, mine: str, tokens: dict[str, str], tmp_path: Path
) -> None:
    file = tmp_path / "token"
    file.write_text(tokens["read"])

    async with ConsulClient(acl_agent.url, token_file=str(file)) as c:
        with pytest.raises(PermissionDeniedError):
            await c.kv.put(mine + "a", b"new")
        file.write_text(tokens["write"] + "\n")
        assert await c.kv.put(mine + "a", b"new") is True


async def test_a_view_may_read_its_token_from_a_file(
    anonymous: ConsulClient, mine: str, tokens: dict[str, str], tmp_path: Path
) -> None:
    file = tmp_path / "token"
    file.write_text(tokens["read"])

    view = anonymous.using(token=TokenFile(file))

    assert await view.kv.get(mine + "a") is not None


# -- watching ------------------------------------------------------------------------------------


async def test_a_watch_outlives_a_token_that_is_refused_for_a_moment(
    acl_agent: Agent, mine: str, tokens: dict[str, str]
) -> None:
    given: list[str] = []

    def source() -> SecretStr:
        given.append(UNKNOWN if len(given) in (1, 2) else tokens["read"])
        return SecretStr(given[-1])

    async with ConsulClient(acl_agent.url, token=source) as c:
        watch = c.kv.watch(mine + "a")
        with anyio.fail_after(10):
            first = await anext(watch)
            await c.using(token=tokens["write"]).kv.put(mine + "a", b"new")
            second = await anext(watch)

    assert first is not None
    assert second is not None
    assert (first.value, second.value) == (b"1", b"new")
    assert given.count(UNKNOWN) >= 1


async def test_a_watch_does_not_give_up_at_the_first_refusal(
    anonymous: ConsulClient, mine: str
) -> None:
    # An agent may refuse valid tokens for half a minute after an outage.
    watch = anonymous.kv.watch(mine + "a")

    with anyio.move_on_after(0.5) as patience:
        await anext(watch)

    assert patience.cancelled_caught
    assert watch.failures >= 1


async def test_every_refusal_is_an_error_of_this_package(
    anonymous: ConsulClient, mine: str
) -> None:
    for path in ("/v1/acl/tokens", "/v1/acl/policies", "/v1/operator/raft/configuration"):
        with pytest.raises(ConsulError) as raised:
            await anonymous.request("GET", path)
        assert isinstance(raised.value, PermissionDeniedError)
