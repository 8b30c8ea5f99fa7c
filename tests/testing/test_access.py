"""Access control of the fake agent: what a script of requests cannot tell."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import httpx
import pytest

from consul_onex import (
    BadRequestError,
    ConsulClient,
    PermissionDeniedError,
    UnsupportedEndpointError,
)
from consul_onex.models.acl import ACLLink, ACLPolicy, ACLToken, ServiceIdentity
from consul_onex.testing import Clock, FakeAgent

SECRET = "6b8f4a7e-0000-4000-8000-0123456789ab"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def agent(clock: Clock) -> FakeAgent:
    return FakeAgent(clock=clock, acl=SECRET)


@pytest.fixture
async def c(agent: FakeAgent) -> AsyncIterator[ConsulClient]:
    """A client that may do everything."""
    async with ConsulClient(transport=agent, token=SECRET) as client:
        yield client


async def test_the_first_who_asks_may_do_everything() -> None:
    async with ConsulClient(transport=FakeAgent(acl=True)) as anybody:
        with pytest.raises(PermissionDeniedError, match="Permission denied"):
            await anybody.kv.put("a", "1")

        first = await anybody.acl.bootstrap()

        may = anybody.using(token=first.secret_id)
        assert await may.acl.token.self() == first
        assert await may.kv.put("a", "1")
        with pytest.raises(PermissionDeniedError, match="no longer allowed"):
            await anybody.acl.bootstrap()


async def test_a_token_may_be_there_from_the_beginning(c: ConsulClient, agent: FakeAgent) -> None:
    assert await c.kv.put("a", "1")
    agent.wipe()
    assert await c.kv.put("a", "1")

    assert [policy.name for policy in await c.acl.policy.list()] == ["global-management"]
    assert [token.description for token in await c.acl.token.list()].count("Master Token") == 1
    assert (await c.agent.self()).debug_config["ACLsEnabled"] is True
    with pytest.raises(BadRequestError, match="authorization token"):
        await c.acl.token.delete((await c.acl.token.self()).accessor_id)
    assert SECRET not in repr(agent)


async def test_a_token_is_gone_when_its_time_is_over(c: ConsulClient, clock: Clock) -> None:
    policy = await c.acl.policy.create(ACLPolicy(name="p", rules='key "a" { policy = "write" }'))
    short, long = [
        await c.acl.token.create(ACLToken(policies=[ACLLink(id=policy.id)], expiration_ttl=ttl))
        for ttl in (60, 600)
    ]
    assert short.expiration_time is not None
    assert short.create_time is not None
    assert short.expiration_time - short.create_time == timedelta(minutes=1)
    assert long.expiration_time is not None
    until = await c.acl.token.create(ACLToken(expiration_time=long.expiration_time))
    assert until.expiration_time == long.expiration_time

    await clock.advance(59)
    assert await c.using(token=short.secret_id).kv.put("a", "1")
    await c.acl.token.delete(long.accessor_id)
    await clock.advance(1)
    with pytest.raises(PermissionDeniedError, match="ACL not found"):
        await c.using(token=short.secret_id).kv.put("a", "1")
    await clock.advance(600)

    left = [token.description for token in await c.acl.token.list()]
    assert sorted(left) == ["Anonymous Token", "Master Token"]


async def test_everybody_may_what_the_anonymous_token_may(
    c: ConsulClient, agent: FakeAgent
) -> None:
    anonymous = next(t for t in await c.acl.token.list() if t.description == "Anonymous Token")
    policy = await c.acl.policy.create(ACLPolicy(name="p", rules='key "a" { policy = "write" }'))
    elsewhere = await c.acl.policy.create(
        ACLPolicy(name="q", rules='key_prefix "" { policy = "write" }', datacenters=["dc2"])
    )
    links = [ACLLink(id=policy.id), ACLLink(id=elsewhere.id)]

    await c.acl.token.update(ACLToken(accessor_id=anonymous.accessor_id, policies=links))

    async with ConsulClient(transport=agent) as anybody:
        assert await anybody.kv.put("a", "1")
        with pytest.raises(PermissionDeniedError):
            await anybody.kv.put("b", "1")


async def test_what_it_has_not_got_of_access_control_it_says(
    c: ConsulClient, agent: FakeAgent
) -> None:
    with pytest.raises(UnsupportedEndpointError, match="no roles and identities"):
        await c.acl.token.create(ACLToken(service_identities=[ServiceIdentity(service_name="w")]))
    with pytest.raises(UnsupportedEndpointError, match="does not have GET /v1/acl/roles"):
        await c.acl.role.list()
    with pytest.raises(PermissionDeniedError, match="ACL not found"):
        await c.using(token=str(uuid4())).acl.role.list()


@pytest.mark.parametrize("when", ["tomorrow", "2030-01-01T00:00:00"])
async def test_a_date_has_a_zone(agent: FakeAgent, when: str) -> None:
    async with httpx.AsyncClient(transport=agent, base_url="http://fake") as http:
        headers = {"X-Consul-Token": SECRET}
        json = {"ExpirationTime": when}
        answer = await http.put("/v1/acl/token", headers=headers, json=json)

    assert (answer.status_code, answer.text[:36]) == (400, "Bad request: Token decoding failed: ")


@pytest.mark.parametrize(
    "rules", ["{", '{"key": 1', "= x", "key }", 'key "a" ! {}', "acl = {}", 'acl = "a"}']
)
async def test_rules_that_cannot_be_read_are_refused(c: ConsulClient, rules: str) -> None:
    with pytest.raises(BadRequestError, match=r"Failed to parse ACL rules|Invalid acl policy"):
        await c.acl.policy.create(ACLPolicy(name="p", rules=rules))


async def test_rules_may_be_nested_and_what_is_denied_comes_first(c: ConsulClient) -> None:
    rules = """
        key = { "a" = { policy = "read" } }
        key "a" { policy = "write" }
        key "b" { policy = "write" }  key "b" { policy = "deny" }
        key_prefix "c" { policy = "list" }
    """
    policy = await c.acl.policy.create(ACLPolicy(name="p", rules=rules))
    token = await c.acl.token.create(ACLToken(policies=[ACLLink(id=policy.id)]))
    view = c.using(token=token.secret_id)

    assert await view.kv.put("a", "1")
    assert await view.kv.get("c1") is None
    for key in ("b", "c1"):
        with pytest.raises(PermissionDeniedError):
            await view.kv.put(key, "1")


async def test_it_is_the_only_server_and_leads(c: ConsulClient) -> None:
    (server,) = (await c.request("GET", "/v1/operator/raft/configuration")).json()["Servers"]

    assert (server["Node"], server["Leader"]) == ("dev", True)


async def test_a_datacenter_keeps_its_own_tokens(c: ConsulClient, agent: FakeAgent) -> None:
    other = FakeAgent(clock=agent.clock, acl=True, datacenter="dc2")
    agent.join_wan(other)

    with pytest.raises(PermissionDeniedError, match="ACL not found"):
        await c.using(datacenter="dc2").kv.get("a")


async def test_of_two_tokens_with_one_accessor_each_has_its_own_time(
    c: ConsulClient, clock: Clock
) -> None:
    first = await c.acl.token.create(ACLToken(expiration_ttl=60))
    await c.acl.token.delete(first.accessor_id)
    again = ACLToken(accessor_id=first.accessor_id, expiration_ttl=600)
    await c.acl.token.create(again)

    await clock.advance(599)
    assert await c.acl.token.get(first.accessor_id) is not None
    await clock.advance(1)
    assert await c.acl.token.get(first.accessor_id) is None


async def test_a_date_is_that_of_the_clock_and_of_the_machine_where_time_is_real() -> None:
    clock = Clock()
    begun = clock.date()
    await clock.advance(86_400)
    assert clock.date() - begun == timedelta(days=1)

    async with ConsulClient(transport=FakeAgent(acl=SECRET), token=SECRET) as c:
        before = datetime.now(UTC)
        made = await c.acl.token.create(ACLToken())
        assert made.create_time is not None
        assert before <= made.create_time <= datetime.now(UTC)
