"""Intentions, as a real agent answers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from uuid import uuid4

import pytest

from consul_onex import (
    BadRequestError,
    ConsulClient,
    Cursor,
    InvalidRequestError,
    NotFoundError,
    PermissionDeniedError,
    UnsupportedEndpointError,
)
from consul_onex.models.connect import Intention, IntentionPermission
from tests.contract.conftest import Recorder
from tests.support.agents import Agent
from tests.support.lossless import lost

New = Callable[..., Awaitable[Intention]]

HOSTILE = ["a/b", "a b", "a?b", "a#b", "a%2Fb", "ä€", "..", "a&name=b"]


def to(db: str, **fields: Any) -> Intention:
    """`web` may talk to it, where not said otherwise."""
    usual: dict[str, Any] = {"source_name": "web", "destination_name": db, "action": "allow"}
    return Intention(**usual | fields)


@pytest.fixture
def db() -> str:
    """A service that nobody else has."""
    return f"db-{uuid4().hex}"


@pytest.fixture
async def new(c: ConsulClient, db: str) -> AsyncIterator[New]:
    """Creates intentions for `db`, and deletes them afterwards."""
    made: list[str] = []

    async def create(**fields: Any) -> Intention:
        made.append(await c.connect.intention.create(to(db, **fields)))
        intention = await c.connect.intention.get_by_id(made[-1])
        assert intention is not None
        return intention

    yield create
    for each in made:
        await c.connect.intention.delete_by_id(each)


# -- by id ----------------------------------------------------------------------------------------


async def test_an_intention_is_as_it_was_created(new: New, db: str) -> None:
    intention = await new(description="for the shop", meta={"team": "a"}, source_type="consul")

    assert (intention.source_name, intention.destination_name) == ("web", db)
    assert (intention.source_namespace, intention.destination_namespace) == ("default", "default")
    assert (intention.action, intention.source_type) == ("allow", "consul")
    assert (intention.description, intention.meta) == ("for the shop", {"team": "a"})
    assert intention.precedence == 9
    assert intention.created_at is not None
    assert intention.create_index == intention.modify_index > 0


async def test_nothing_that_consul_says_is_lost(c: ConsulClient, new: New, db: str) -> None:
    one = await new(description="for the shop", meta={"team": "a"})
    intentions = "/v1/connect/intentions"

    said = (await c.request("GET", f"{intentions}/{one.id}")).json()
    assert lost(said, one) == []
    said = (await c.request("GET", intentions, params={"filter": f'ID == "{one.id}"'})).json()
    assert lost(said, await c.connect.intention.list(filter=f'ID == "{one.id}"')) == []
    params = {"by": "destination", "name": [db, "nobody"]}
    said = (await c.request("GET", f"{intentions}/match", params=params)).json()
    assert lost(said, await c.connect.intention.match([db, "nobody"])) == []


async def test_what_was_read_can_be_changed_and_written_back(c: ConsulClient, new: New) -> None:
    before = await new(description="for the shop", meta={"team": "a"})

    await c.connect.intention.update_by_id(before.id, before.replace(action="deny"))
    after = await c.connect.intention.get_by_id(before.id)

    assert after is not None
    assert after.modify_index > before.modify_index
    assert after == before.replace(
        action="deny",
        hash=after.hash,
        updated_at=after.updated_at,
        modify_index=after.modify_index,
    )


async def test_what_an_update_does_not_give_is_empty_then(
    c: ConsulClient, new: New, db: str
) -> None:
    before = await new(description="for the shop", meta={"team": "a"})

    await c.connect.intention.update_by_id(before.id, to(db))
    after = await c.connect.intention.get_by_id(before.id)

    assert after is not None
    assert (after.description, after.meta) == ("", {})


async def test_what_is_gone_is_none_and_can_be_deleted_again(c: ConsulClient, new: New) -> None:
    intention = await new()

    assert await c.connect.intention.delete_by_id(intention.id) is True
    assert await c.connect.intention.delete_by_id(intention.id) is True

    assert await c.connect.intention.get_by_id(intention.id) is None
    with pytest.raises(NotFoundError, match="non-existent"):
        await c.connect.intention.update_by_id(intention.id, intention)


async def test_none_is_an_answer_that_starts_the_cursor_over(c: ConsulClient) -> None:
    cursor = Cursor()

    assert await c.connect.intention.get_by_id(str(uuid4()), cursor=cursor) is None
    assert cursor.index is None


@pytest.mark.parametrize("wrong", ["exactly", *HOSTILE])
async def test_what_cannot_be_an_id_is_a_bad_request(c: ConsulClient, wrong: str) -> None:
    refused = InvalidRequestError if wrong == ".." else BadRequestError

    with pytest.raises(refused):
        await c.connect.intention.get_by_id(wrong)
    with pytest.raises(refused):
        await c.connect.intention.update_by_id(wrong, to("db"))
    with pytest.raises(refused):
        await c.connect.intention.delete_by_id(wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        {"action": "explode"},
        {"action": ""},
        {"source_name": ""},
        {"source_name": "we*"},
        {"source_namespace": "*"},
        {"source_type": "spiffe"},
        {"description": "long" * 200},
        {"meta": {"key": "long" * 200}},
        {"permissions": [IntentionPermission(action="allow")]},
        {"source_partition": "part"},
    ],
    ids=str,
)
async def test_what_consul_does_not_take_is_a_bad_request_and_sent_once(
    observed: ConsulClient, recorder: Recorder, db: str, wrong: dict[str, Any]
) -> None:
    with pytest.raises(BadRequestError):
        await observed.connect.intention.create(to(db, **wrong))

    assert len(recorder.requests) == 1
    assert await observed.connect.intention.match(db) == {db: []}


async def test_a_second_one_for_the_same_two_is_a_bad_request(
    c: ConsulClient, new: New, db: str
) -> None:
    await new()

    with pytest.raises(BadRequestError, match="duplicate intention found"):
        await c.connect.intention.create(to(db, action="deny"))


# -- what they decide -----------------------------------------------------------------------------


async def test_an_intention_decides_and_else_the_default(
    c: ConsulClient, new: New, db: str
) -> None:
    await new(action="deny")

    assert await c.connect.intention.check("web", db) is False
    assert await c.connect.intention.check("default/web", f"default/{db}") is False
    assert await c.connect.intention.check("shop", db) is True


async def test_the_more_exact_one_is_tried_first(c: ConsulClient, new: New, db: str) -> None:
    everyone = await new(source_name="*", action="deny")
    web = await new()

    assert everyone.precedence < web.precedence
    assert await c.connect.intention.match(db) == {db: [web, everyone]}
    assert await c.connect.intention.check("web", db) is True
    assert await c.connect.intention.check("shop", db) is False


async def test_a_source_matches_what_it_may_talk_to(c: ConsulClient, new: New, db: str) -> None:
    web = f"web-{uuid4().hex}"
    exact = await new(source_name=web)
    anything = await new(source_name=web, destination_name="*", action="deny")

    matches = await c.connect.intention.match([web, db], by="source")

    assert matches == {web: [exact, anything], db: []}


@pytest.mark.parametrize("name", [name for name in HOSTILE if "/" not in name])
async def test_any_name_arrives_as_it_is(c: ConsulClient, new: New, db: str, name: str) -> None:
    intention = await new(source_name=name, action="deny")

    assert intention.source_name == name
    assert await c.connect.intention.check(name, db) is False
    assert intention in (await c.connect.intention.match(name, by="source"))[name]


async def test_a_slash_is_between_a_namespace_and_a_name(
    c: ConsulClient, new: New, db: str
) -> None:
    await new(source_name="shop/web", action="deny")

    assert await c.connect.intention.check("shop/web", db) is True
    with pytest.raises(BadRequestError, match="at most one '/'"):
        await c.connect.intention.check("a/b/c", db)
    with pytest.raises(BadRequestError, match="at most one '/'"):
        await c.connect.intention.match("a/b/c")


async def test_wrong_questions_are_bad_requests(c: ConsulClient) -> None:
    with pytest.raises(BadRequestError, match="unsupported SourceType"):
        await c.connect.intention.check("web", "db", source_type="spiffe")
    with pytest.raises(BadRequestError, match="must be one of 'source' or 'destination'"):
        await c.connect.intention.match("db", by="side")
    with pytest.raises(BadRequestError, match="boolean expression"):
        await c.connect.intention.list(filter="nonsense")


@pytest.mark.parametrize("wrong", ["", None, 7, b"web"], ids=repr)
async def test_what_is_no_name_is_refused_here(
    observed: ConsulClient, recorder: Recorder, wrong: Any
) -> None:
    ask = observed.connect.intention

    with pytest.raises(InvalidRequestError, match="a source is text"):
        await ask.check(wrong, "db")
    with pytest.raises(InvalidRequestError, match="a destination is text"):
        await ask.check("web", wrong)
    with pytest.raises(InvalidRequestError, match="a source is text"):
        await ask.get(wrong, "db")
    with pytest.raises(InvalidRequestError, match="a name is text"):
        await ask.match([wrong])
    with pytest.raises(InvalidRequestError, match="must be a name"):
        await ask.match([])
    with pytest.raises(InvalidRequestError, match="a filter is text"):
        await ask.list(filter="")
    assert recorder.requests == []


# -- the list -------------------------------------------------------------------------------------


async def test_the_list_can_be_filtered_and_has_the_exact_ones_first(
    c: ConsulClient, new: New, db: str
) -> None:
    everyone = await new(source_name="*")
    web = await new()

    mine = await c.connect.intention.list(filter=f'DestinationName == "{db}"')
    every = await c.connect.intention.list()

    assert mine == [web, everyone]
    assert [each for each in every if each.destination_name == db] == mine
    assert [each.precedence for each in every] == sorted(
        (each.precedence for each in every), reverse=True
    )
    assert await c.connect.intention.list(filter='DestinationName == "nobody"') == []


async def test_the_list_can_be_waited_on(
    observed: ConsulClient, recorder: Recorder, new: New
) -> None:
    cursor = Cursor()
    await observed.connect.intention.list(cursor=cursor)

    assert cursor.index is not None
    intention = await new()
    assert intention in await observed.connect.intention.list(cursor=cursor)
    assert recorder.last.url.params["index"]


async def test_a_token_that_may_not_read_sees_none_or_is_refused(acl_agent: Agent, db: str) -> None:
    async with ConsulClient(acl_agent.url, token=acl_agent.token) as c:
        made = await c.connect.intention.create(to(db))
        async with ConsulClient(acl_agent.url) as nobody:
            assert await nobody.connect.intention.list() == []
            for call in (
                nobody.connect.intention.get_by_id(made),
                nobody.connect.intention.match(db),
                nobody.connect.intention.check("web", db),
                nobody.connect.intention.create(to(db, source_name="shop")),
                nobody.connect.intention.update_by_id(made, to(db)),
                nobody.connect.intention.delete_by_id(made),
            ):
                with pytest.raises(PermissionDeniedError):
                    await call
        assert await c.connect.intention.delete_by_id(made) is True


# -- by name --------------------------------------------------------------------------------------


async def test_a_server_that_knows_no_names_says_so(c: ConsulClient, new: New, db: str) -> None:
    intention = await new()

    for call in (
        c.connect.intention.get("web", db),
        c.connect.intention.put(intention),
        c.connect.intention.delete("web", db),
    ):
        with pytest.raises(UnsupportedEndpointError, match=r"Consul 1\.9") as caught:
            await call
        assert caught.value.operation is not None
        assert "this server" in str(caught.value)
    assert await c.connect.intention.get_by_id(intention.id) == intention


async def test_it_says_its_version_where_that_is_known(c: ConsulClient) -> None:
    server = await c.server()
    assert server is not None

    with pytest.raises(UnsupportedEndpointError, match=f"get: {server} knows intentions"):
        await c.connect.intention.get("web", "db")
