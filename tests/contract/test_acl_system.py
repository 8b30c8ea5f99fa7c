"""Access control as a whole, as a real agent answers: its beginning, and agents without it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from pydantic import SecretStr

from consul_onex import (
    BadRequestError,
    ConsulClient,
    InvalidRequestError,
    PermissionDeniedError,
    UnsupportedEndpointError,
)
from consul_onex.models.acl import (
    ACLAuthMethod,
    ACLBindingRule,
    ACLLink,
    ACLPermission,
    ACLPolicy,
    ACLRole,
    ACLToken,
)
from tests.support import agents
from tests.support.agents import Agent
from tests.support.lossless import lost

ANONYMOUS = "00000000-0000-0000-0000-000000000002"


@pytest.fixture
def new_agent(consul_binary: Path) -> Iterator[Agent]:
    """An agent without any token yet."""
    extra: agents.Config = {
        "primary_datacenter": "dc1",
        "acl": {"enabled": True, "default_policy": "allow"},
    }
    with agents.dev_agent(binary=consul_binary, extra=extra) as started:
        yield started


@pytest.fixture
async def c(acl_agent: Agent) -> AsyncIterator[ConsulClient]:
    """A client that may do everything."""
    async with ConsulClient(acl_agent.url, token=acl_agent.token) as client:
        yield client


# -- the beginning ---------------------------------------------------------------------------------


async def test_the_first_token_is_made_once_and_may_do_everything(new_agent: Agent) -> None:
    async with ConsulClient(new_agent.url) as c:
        with pytest.raises(InvalidRequestError, match="ignores a secret for the first token"):
            await c.acl.bootstrap(SecretStr(str(uuid4())))
        token = await c.acl.bootstrap()

        assert token.secret_id is not None
        assert [policy.name for policy in token.policies] == ["global-management"]
        management = c.using(token=token.secret_id)
        assert await management.acl.token.self() == token
        assert token in [
            one.replace(secret_id=token.secret_id)
            for one in await management.acl.token.list()
            if one.accessor_id == token.accessor_id
        ]
        with pytest.raises(PermissionDeniedError, match="no longer allowed"):
            await c.acl.bootstrap()


async def test_who_sends_no_token_but_may_read_is_told_what_is_not_there(
    new_agent: Agent,
) -> None:
    async with ConsulClient(new_agent.url) as c:
        first = await c.acl.bootstrap()
        management = c.using(token=first.secret_id)
        policy = await management.acl.policy.create(ACLPolicy(name="r", rules='acl = "read"'))
        await management.acl.token.update(
            ACLToken(accessor_id=ANONYMOUS, policies=[ACLLink(id=policy.id)])
        )

        assert await c.acl.policy.get(policy.id) == policy
        assert await c.acl.policy.get(str(uuid4())) is None
        assert await c.acl.token.get(str(uuid4())) is None


async def test_a_server_that_is_its_own_primary_replicates_nothing(c: ConsulClient) -> None:
    status = await c.acl.replication()

    assert (status.enabled, status.running, status.last_success) == (False, False, None)
    assert lost((await c.request("GET", "/v1/acl/replication")).json(), status) == []


# -- what a token may ------------------------------------------------------------------------------


async def test_a_token_is_told_what_it_may(c: ConsulClient) -> None:
    wanted = [
        ACLPermission(resource="key", access="read", segment="a/b ?"),
        ACLPermission(resource="acl", access="write"),
    ]

    for view, may in ((c, True), (c.using(token=lambda: None), False)):
        told = await view.acl.authorize(wanted)

        assert [(one.resource, one.access, one.allow) for one in told] == [
            ("key", "read", may),
            ("acl", "write", may),
        ]
        assert told[0].segment == "a/b ?"
    answer = await c.request(
        "POST",
        "/v1/internal/acl/authorize",
        json=[permission.to_wire() for permission in wanted],
    )
    assert lost(answer.json(), await c.acl.authorize(wanted)) == []
    assert await c.acl.authorize([]) == []


@pytest.mark.parametrize(
    "wrong",
    [
        [ACLPermission(resource="nothing", access="read")],
        [ACLPermission(resource="key", access="sometimes")],
        [ACLPermission(resource="acl", access="read")] * 65,
    ],
    ids=["resource", "access", "too many"],
)
async def test_a_question_that_makes_no_sense_is_a_bad_request(
    c: ConsulClient, wrong: list[ACLPermission]
) -> None:
    with pytest.raises(BadRequestError):
        await c.acl.authorize(wrong)


async def test_an_unknown_token_may_not_even_ask(c: ConsulClient) -> None:
    with pytest.raises(PermissionDeniedError):
        await c.using(token=str(uuid4())).acl.authorize([ACLPermission(resource="acl", access="r")])


# -- what is not there -----------------------------------------------------------------------------


async def test_this_server_has_no_templated_policies(c: ConsulClient) -> None:
    for call in (
        c.acl.templated_policy.list(),
        c.acl.templated_policy.get("builtin/service"),
        c.acl.templated_policy.preview("builtin/service", "web"),
    ):
        with pytest.raises(UnsupportedEndpointError):
            await call


NOTHING = str(uuid4())

CALLS: dict[str, Callable[[ConsulClient], Awaitable[object]]] = {
    "bootstrap": lambda c: c.acl.bootstrap(),
    "replication": lambda c: c.acl.replication(),
    "login": lambda c: c.acl.login("ci", "x"),
    "logout": lambda c: c.acl.logout(),
    "authorize": lambda c: c.acl.authorize([]),
    "token.create": lambda c: c.acl.token.create(),
    "token.get": lambda c: c.acl.token.get(NOTHING),
    "token.self": lambda c: c.acl.token.self(),
    "token.update": lambda c: c.acl.token.update(ACLToken(accessor_id=NOTHING)),
    "token.clone": lambda c: c.acl.token.clone(NOTHING),
    "token.delete": lambda c: c.acl.token.delete(NOTHING),
    "token.list": lambda c: c.acl.token.list(),
    "policy.create": lambda c: c.acl.policy.create(ACLPolicy(name="x")),
    "policy.get": lambda c: c.acl.policy.get(NOTHING),
    "policy.get_by_name": lambda c: c.acl.policy.get_by_name("x"),
    "policy.update": lambda c: c.acl.policy.update(ACLPolicy(id=NOTHING, name="x", rules="")),
    "policy.delete": lambda c: c.acl.policy.delete(NOTHING),
    "policy.list": lambda c: c.acl.policy.list(),
    "role.create": lambda c: c.acl.role.create(ACLRole(name="x")),
    "role.get": lambda c: c.acl.role.get(NOTHING),
    "role.get_by_name": lambda c: c.acl.role.get_by_name("x"),
    "role.update": lambda c: c.acl.role.update(ACLRole(id=NOTHING, name="x")),
    "role.delete": lambda c: c.acl.role.delete(NOTHING),
    "role.list": lambda c: c.acl.role.list(),
    "auth_method.create": lambda c: c.acl.auth_method.create(ACLAuthMethod(name="x", type="jwt")),
    "auth_method.get": lambda c: c.acl.auth_method.get("x"),
    "auth_method.update": lambda c: c.acl.auth_method.update(ACLAuthMethod(name="x", type="jwt")),
    "auth_method.delete": lambda c: c.acl.auth_method.delete("x"),
    "auth_method.list": lambda c: c.acl.auth_method.list(),
    "binding_rule.create": lambda c: c.acl.binding_rule.create(ACLBindingRule(auth_method="x")),
    "binding_rule.get": lambda c: c.acl.binding_rule.get(NOTHING),
    "binding_rule.update": lambda c: c.acl.binding_rule.update(
        ACLBindingRule(id=NOTHING, auth_method="x")
    ),
    "binding_rule.delete": lambda c: c.acl.binding_rule.delete(NOTHING),
    "binding_rule.list": lambda c: c.acl.binding_rule.list(),
}


@pytest.mark.parametrize("name", CALLS)
async def test_where_access_control_is_off_everything_is_refused(agent: Agent, name: str) -> None:
    async with ConsulClient(agent.url) as c:
        with pytest.raises(PermissionDeniedError, match="ACL support disabled") as raised:
            await CALLS[name](c)

    assert (raised.value.status, raised.value.operation) == (401, f"acl.{name}")
