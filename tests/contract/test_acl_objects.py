"""Tokens, policies and roles, as a real agent answers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import anyio
import pytest
from pydantic import SecretStr

from consul_onex import (
    BadRequestError,
    ConsulClient,
    Cursor,
    InvalidRequestError,
    NotFoundError,
    PermissionDeniedError,
)
from consul_onex.models.acl import (
    ACLBindingRule,
    ACLLink,
    ACLPolicy,
    ACLRole,
    ACLToken,
    NodeIdentity,
    ServiceIdentity,
    TemplatedPolicyLink,
)
from tests.contract.conftest import Recorder
from tests.support.agents import Agent
from tests.support.lossless import lost

NOTHING = "5a1b7a6e-0000-4000-8000-0123456789ab"
"""The id of nothing: those of parameters are the same in all processes of a run."""

RULES = 'key_prefix "app/" { policy = "read" }'

NewToken = Callable[[ACLToken], Awaitable[ACLToken]]
"""Creates a token that is deleted afterwards."""


def unique(what: str) -> str:
    return f"{what}-{uuid4().hex}"


@pytest.fixture
async def c(acl_agent: Agent) -> AsyncIterator[ConsulClient]:
    """A client that may do everything."""
    async with ConsulClient(acl_agent.url, token=acl_agent.token) as client:
        yield client


@pytest.fixture
async def watched(acl_agent: Agent, recorder: Recorder) -> AsyncIterator[ConsulClient]:
    """The same, and `recorder` has seen what it sent."""
    async with ConsulClient(acl_agent.url, token=acl_agent.token, transport=recorder) as client:
        yield client


@pytest.fixture
async def policy(c: ConsulClient) -> AsyncIterator[ACLPolicy]:
    made = await c.acl.policy.create(
        ACLPolicy(name=unique("policy"), description="d", rules=RULES, datacenters=["dc1"])
    )
    yield made
    await c.acl.policy.delete(made.id)


@pytest.fixture
async def role(c: ConsulClient, policy: ACLPolicy) -> AsyncIterator[ACLRole]:
    made = await c.acl.role.create(
        ACLRole(
            name=unique("role"),
            description="d",
            policies=[ACLLink(name=policy.name)],
            service_identities=[ServiceIdentity(service_name="web", datacenters=["dc1"])],
            node_identities=[NodeIdentity(node_name="n1", datacenter="dc1")],
        )
    )
    yield made
    await c.acl.role.delete(made.id)


@pytest.fixture
async def new_token(c: ConsulClient) -> AsyncIterator[NewToken]:
    made: list[str] = []

    async def create(token: ACLToken) -> ACLToken:
        answer = await c.acl.token.create(token)
        made.append(answer.accessor_id)
        return answer

    yield create
    for accessor in made:
        await c.acl.token.delete(accessor)


@pytest.fixture
async def token(new_token: NewToken, policy: ACLPolicy, role: ACLRole) -> ACLToken:
    """A token with everything that one can be given."""
    return await new_token(
        ACLToken(
            description="d",
            policies=[ACLLink(id=policy.id)],
            roles=[ACLLink(name=role.name)],
            service_identities=[ServiceIdentity(service_name="web")],
            node_identities=[NodeIdentity(node_name="n1", datacenter="dc1")],
            expiration_ttl=600,
        )
    )


@pytest.fixture
async def reader(c: ConsulClient, new_token: NewToken) -> AsyncIterator[ConsulClient]:
    """A view that may read all of this, and write none of it."""
    policy = await c.acl.policy.create(ACLPolicy(name=unique("reader"), rules='acl = "read"'))
    token = await new_token(ACLToken(policies=[ACLLink(id=policy.id)]))
    yield c.using(token=token.secret_id)
    await c.acl.policy.delete(policy.id)


async def answer(c: ConsulClient, path: str) -> Any:
    return (await c.request("GET", path)).json()


# -- policies --------------------------------------------------------------------------------------


async def test_a_policy_is_as_it_was_created(c: ConsulClient, policy: ACLPolicy) -> None:
    assert (policy.description, policy.rules, policy.datacenters) == ("d", RULES, ["dc1"])
    assert policy.create_index == policy.modify_index > 0
    assert await c.acl.policy.get(policy.id) == policy
    assert await c.acl.policy.get_by_name(policy.name) == policy


async def test_a_list_has_policies_without_their_rules(c: ConsulClient, policy: ACLPolicy) -> None:
    listed = {one.id: one for one in await c.acl.policy.list()}

    assert listed[policy.id].rules == ""
    assert listed[policy.id] == policy.replace(rules="")


async def test_nothing_that_consul_says_of_policies_is_lost(
    c: ConsulClient, policy: ACLPolicy
) -> None:
    assert lost(await answer(c, f"/v1/acl/policy/{policy.id}"), policy) == []
    assert lost(await answer(c, "/v1/acl/policies"), await c.acl.policy.list()) == []


async def test_a_policy_that_was_read_can_be_changed_and_written(
    c: ConsulClient, policy: ACLPolicy
) -> None:
    read = await c.acl.policy.get(policy.id)
    assert read is not None

    written = await c.acl.policy.update(read.replace(name=unique("other"), datacenters=[]))

    assert (written.id, written.rules, written.datacenters) == (policy.id, RULES, [])
    assert written.modify_index > policy.modify_index
    assert await c.acl.policy.get(policy.id) == written
    assert await c.acl.policy.get_by_name(policy.name) is None


async def test_a_policy_from_a_list_is_not_written_over_its_rules(
    watched: ConsulClient, recorder: Recorder, policy: ACLPolicy
) -> None:
    listed = next(one for one in await watched.acl.policy.list() if one.id == policy.id)
    before = len(recorder.requests)

    with pytest.raises(InvalidRequestError, match=r"acl\.policy\.update: this policy does not say"):
        await watched.acl.policy.update(listed.replace(description="new"))

    assert len(recorder.requests) == before
    assert await watched.acl.policy.get(policy.id) == policy


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": ""},
        {"name": "a b"},
        {"name": "a/b"},
        {"name": "long" * 40},
        {"name": "global-management"},
        {"rules": "garbage {"},
        {"rules": 'key "x" { policy = "sometimes" }'},
        {"rules": 'service_prefix "" { policy = "sometimes" }'},
        {"rules": 'acl = "sometimes"'},
        {"rules": 'operator = "sometimes"'},
        {"rules": 'keyring = "sometimes"'},
        {"id": NOTHING},
        {"namespace": "team"},
    ],
    ids=str,
)
async def test_a_policy_that_consul_does_not_take_is_a_bad_request_and_sent_once(
    watched: ConsulClient, recorder: Recorder, wrong: dict[str, Any]
) -> None:
    with pytest.raises(BadRequestError):
        await watched.acl.policy.create(ACLPolicy(name=unique("policy")).replace(**wrong))

    assert len(recorder.requests) == 1


async def test_what_comes_with_consul_stays_as_it_is(c: ConsulClient) -> None:
    management = await c.acl.policy.get_by_name("global-management")
    assert management is not None

    with pytest.raises(BadRequestError, match="not permitted"):
        await c.acl.policy.update(management.replace(rules=""))
    with pytest.raises(BadRequestError, match="not permitted"):
        await c.acl.policy.delete(management.id)


# -- roles -----------------------------------------------------------------------------------------


async def test_a_role_is_as_it_was_created(
    c: ConsulClient, role: ACLRole, policy: ACLPolicy
) -> None:
    assert role.policies == [ACLLink(id=policy.id, name=policy.name)]
    assert role.service_identities == [ServiceIdentity(service_name="web", datacenters=["dc1"])]
    assert role.node_identities == [NodeIdentity(node_name="n1", datacenter="dc1")]
    assert await c.acl.role.get(role.id) == role
    assert await c.acl.role.get_by_name(role.name) == role


async def test_roles_are_listed_by_their_policy(
    c: ConsulClient, role: ACLRole, policy: ACLPolicy
) -> None:
    assert role in await c.acl.role.list()
    assert await c.acl.role.list(policy=policy.id) == [role]
    assert await c.acl.role.list(policy=str(uuid4())) == []


async def test_nothing_that_consul_says_of_roles_is_lost(c: ConsulClient, role: ACLRole) -> None:
    assert lost(await answer(c, f"/v1/acl/role/{role.id}"), role) == []
    assert lost(await answer(c, "/v1/acl/roles"), await c.acl.role.list()) == []


async def test_a_role_that_was_read_can_be_changed_and_written(
    c: ConsulClient, role: ACLRole
) -> None:
    read = await c.acl.role.get(role.id)
    assert read is not None

    written = await c.acl.role.update(read.replace(description="new", node_identities=[]))

    assert (written.id, written.description, written.node_identities) == (role.id, "new", [])
    assert (written.policies, written.name) == (role.policies, role.name)
    assert await c.acl.role.get(role.id) == written


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": ""},
        {"name": "a b"},
        {"policies": [ACLLink(name="no-such-thing")]},
        {"policies": [ACLLink(id=NOTHING)]},
        {"policies": [ACLLink(id="x")]},
        {"service_identities": [ServiceIdentity(service_name="Not So")]},
        {"service_identities": [ServiceIdentity(service_name="")]},
        {"node_identities": [NodeIdentity(node_name="", datacenter="dc1")]},
        {"id": NOTHING},
    ],
    ids=str,
)
async def test_a_role_that_consul_does_not_take_is_a_bad_request_and_sent_once(
    watched: ConsulClient, recorder: Recorder, wrong: dict[str, Any]
) -> None:
    with pytest.raises(BadRequestError):
        await watched.acl.role.create(ACLRole(name=unique("role")).replace(**wrong))

    assert len(recorder.requests) == 1


async def test_two_roles_of_one_name_are_a_bad_request(c: ConsulClient, role: ACLRole) -> None:
    with pytest.raises(BadRequestError, match="already exists"):
        await c.acl.role.create(ACLRole(name=role.name))


async def test_templated_policies_are_unknown_to_this_server(c: ConsulClient) -> None:
    dns = TemplatedPolicyLink(template_name="builtin/dns")

    with pytest.raises(BadRequestError, match="TemplatedPolicies"):
        await c.acl.role.create(ACLRole(name=unique("role"), templated_policies=[dns]))


# -- tokens ----------------------------------------------------------------------------------------


async def test_a_token_is_as_it_was_created(
    c: ConsulClient, token: ACLToken, policy: ACLPolicy, role: ACLRole
) -> None:
    assert token.policies == [ACLLink(id=policy.id, name=policy.name)]
    assert token.roles == [ACLLink(id=role.id, name=role.name)]
    assert token.create_time is not None
    assert token.expiration_time == token.create_time + timedelta(seconds=600)
    assert await c.acl.token.get(token.accessor_id) == token


async def test_a_token_of_which_nothing_is_said_is_plain(new_token: NewToken) -> None:
    token = await new_token(ACLToken())

    assert token.secret_id is not None
    assert token.expiration_time is None
    assert not token.local
    assert token.policies == token.roles == []


async def test_a_token_may_be_given_its_ids_once(c: ConsulClient, new_token: NewToken) -> None:
    wanted = ACLToken(accessor_id=str(uuid4()), secret_id=SecretStr(str(uuid4())), local=True)

    token = await new_token(wanted)

    assert (token.accessor_id, token.secret_id) == (wanted.accessor_id, wanted.secret_id)
    assert token.local
    with pytest.raises(BadRequestError, match="already in use"):
        await c.acl.token.create(wanted)


async def test_a_tokens_secret_is_what_is_sent(c: ConsulClient, token: ACLToken) -> None:
    theirs = c.using(token=token.secret_id)

    assert await theirs.acl.token.self() == token
    with pytest.raises(PermissionDeniedError):
        await theirs.acl.token.list()


async def test_a_token_may_expire_at_a_time(new_token: NewToken) -> None:
    at = datetime.now(UTC).replace(microsecond=123456) + timedelta(hours=1)

    assert (await new_token(ACLToken(expiration_time=at))).expiration_time == at


async def test_nothing_that_consul_says_of_tokens_is_lost(c: ConsulClient, token: ACLToken) -> None:
    assert lost(await answer(c, f"/v1/acl/token/{token.accessor_id}"), token) == []
    assert lost(await answer(c, "/v1/acl/tokens"), await c.acl.token.list()) == []
    assert lost(await answer(c, "/v1/acl/token/self"), await c.acl.token.self()) == []


async def test_tokens_are_listed_by_what_they_have(
    c: ConsulClient, token: ACLToken, policy: ACLPolicy, role: ACLRole
) -> None:
    async def listed(**wanted: str) -> list[str]:
        return [one.accessor_id for one in await c.acl.token.list(**wanted)]  # type: ignore[arg-type]

    assert token.accessor_id in await listed()
    assert await listed(policy=policy.id) == [token.accessor_id]
    assert await listed(role=role.id) == [token.accessor_id]
    assert await listed(policy=str(uuid4())) == []
    assert await listed(auth_method=unique("nothing")) == []


async def test_what_this_server_would_ignore_is_refused(c: ConsulClient, token: ACLToken) -> None:
    with pytest.raises(InvalidRequestError, match="ignores service_name"):
        await c.acl.token.list(service_name="web")
    with pytest.raises(InvalidRequestError, match="ignores expanded"):
        await c.acl.token.expanded(token.accessor_id)


async def test_a_token_that_was_read_can_be_changed_and_written(
    c: ConsulClient, token: ACLToken
) -> None:
    read = await c.acl.token.get(token.accessor_id)
    assert read is not None

    written = await c.acl.token.update(read.replace(description="new", roles=[]))

    assert (written.description, written.roles, written.policies) == ("new", [], token.policies)
    assert (written.secret_id, written.expiration_time) == (token.secret_id, token.expiration_time)
    assert await c.acl.token.get(token.accessor_id) == written


async def test_a_token_whose_secret_is_hidden_can_be_written(
    c: ConsulClient, reader: ConsulClient, token: ACLToken
) -> None:
    read = await reader.acl.token.get(token.accessor_id)

    assert read is not None
    assert read.secret_id == SecretStr("<hidden>")
    with pytest.raises(PermissionDeniedError):
        await reader.acl.token.update(read)
    assert (await c.acl.token.update(read)).secret_id == token.secret_id


async def test_a_token_from_a_list_can_be_written(c: ConsulClient, token: ACLToken) -> None:
    listed = {one.accessor_id: one for one in await c.acl.token.list()}

    written = await c.acl.token.update(listed[token.accessor_id].replace(description="new"))

    assert written.policies == token.policies
    assert written.secret_id == token.secret_id


@pytest.mark.parametrize(
    "change",
    [{"local": True}, {"expiration_ttl": 700}, {"auth_method": "ci"}, {"rules": RULES}],
    ids=str,
)
async def test_what_cannot_change_of_a_token_is_a_bad_request_and_sent_once(
    watched: ConsulClient, recorder: Recorder, token: ACLToken, change: dict[str, Any]
) -> None:
    with pytest.raises(BadRequestError):
        await watched.acl.token.update(token.replace(**change))

    assert len(recorder.requests) == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"accessor_id": "x"},
        {"accessor_id": "00000000-0000-0000-0000-000000000003"},
        {"secret_id": SecretStr("x")},
        {"policies": [ACLLink(name="no-such-thing")]},
        {"policies": [ACLLink()]},
        {"roles": [ACLLink(id=NOTHING)]},
        {"node_identities": [NodeIdentity(node_name="n", datacenter="")]},
        {
            "local": True,
            "service_identities": [ServiceIdentity(service_name="web", datacenters=["dc1"])],
        },
        {"expiration_ttl": 1},
        {"expiration_ttl": 90_000},
        {"expiration_time": datetime(2020, 1, 1, tzinfo=UTC)},
        {"expiration_time": datetime(2020, 1, 1, tzinfo=UTC), "expiration_ttl": 60},
        {"auth_method": "ci"},
        {"rules": RULES},
        {"name": "since-1-22"},
    ],
    ids=str,
)
async def test_a_token_that_consul_does_not_take_is_a_bad_request_and_sent_once(
    watched: ConsulClient, recorder: Recorder, wrong: dict[str, Any]
) -> None:
    with pytest.raises(BadRequestError):
        await watched.acl.token.create(ACLToken(**wrong))

    assert len(recorder.requests) == 1


async def test_a_clone_may_what_the_token_may(
    c: ConsulClient, new_token: NewToken, policy: ACLPolicy
) -> None:
    token = await new_token(ACLToken(description="d", policies=[ACLLink(id=policy.id)]))

    same = await c.acl.token.clone(token.accessor_id)
    other = await c.acl.token.clone(token.accessor_id, "another")

    assert (same.description, other.description) == ("d", "another")
    assert same.policies == other.policies == token.policies
    assert len({token.secret_id, same.secret_id, other.secret_id}) == 3
    for clone in (same, other):
        await c.acl.token.delete(clone.accessor_id)


async def test_nobody_deletes_the_own_or_the_anonymous_token(c: ConsulClient) -> None:
    own = await c.acl.token.self()

    for accessor in (own.accessor_id, "00000000-0000-0000-0000-000000000002"):
        with pytest.raises(BadRequestError, match="not permitted"):
            await c.acl.token.delete(accessor)


async def test_an_accessor_cannot_reach_another_endpoint(
    watched: ConsulClient, recorder: Recorder, token: ACLToken
) -> None:
    elsewhere = f"{token.accessor_id}/clone"

    for call in (
        watched.acl.token.get(elsewhere),
        watched.acl.token.update(token.replace(accessor_id=elsewhere)),
        watched.acl.token.update(ACLToken(description="d")),
        watched.acl.token.delete("../token"),
    ):
        with pytest.raises(InvalidRequestError):
            await call

    assert recorder.requests == []


async def test_the_rules_of_a_legacy_token_are_kept(c: ConsulClient) -> None:
    name = unique("legacy")
    made = await c.request(
        "PUT", "/v1/acl/create", json={"Name": name, "Type": "client", "Rules": RULES}
    )
    cursor = Cursor()

    async def listed() -> ACLToken:
        tokens = await c.acl.token.list(cursor=cursor)
        return next(one for one in tokens if one.description == name)

    with anyio.fail_after(30):
        # The leader gives it an accessor in its own time.
        while not (legacy := await listed()).accessor_id:
            pass
    accessor = legacy.accessor_id

    read = await c.acl.token.get(accessor)
    assert read is not None
    assert (legacy.legacy, read.rules) == (True, RULES)
    assert read.secret_id == SecretStr(made.json()["ID"])
    with pytest.raises(BadRequestError, match="Rules cannot be specified"):
        await c.acl.token.update(read.replace(description="new"))
    assert await c.acl.token.get(accessor) == read

    await c.acl.token.delete(accessor)


# -- what is not there -----------------------------------------------------------------------------

READS: dict[str, Callable[[ConsulClient, str], Awaitable[object]]] = {
    "token": lambda c, it: c.acl.token.get(it),
    "policy": lambda c, it: c.acl.policy.get(it),
    "policy by name": lambda c, it: c.acl.policy.get_by_name(it),
    "role": lambda c, it: c.acl.role.get(it),
    "role by name": lambda c, it: c.acl.role.get_by_name(it),
    "auth method": lambda c, it: c.acl.auth_method.get(it),
    "binding rule": lambda c, it: c.acl.binding_rule.get(it),
}
NAMED = ["policy by name", "role by name", "auth method"]

each_read = pytest.mark.parametrize("kind", READS)


@each_read
async def test_what_is_not_there_is_none(c: ConsulClient, reader: ConsulClient, kind: str) -> None:
    for view in (c, reader, c.using(consistency="stale")):
        assert await READS[kind](view, str(uuid4())) is None


@each_read
@pytest.mark.parametrize("token", [str(uuid4()), lambda: None], ids=["unknown", "none"])
async def test_who_may_not_know_is_refused(c: ConsulClient, kind: str, token: Any) -> None:
    with pytest.raises(PermissionDeniedError) as raised:
        await READS[kind](c.using(token=token), str(uuid4()))

    assert raised.value.status == 403
    assert raised.value.operation is not None
    assert raised.value.operation.startswith("acl.")


@pytest.mark.parametrize("kind", NAMED)
@pytest.mark.parametrize("name", ["a/b", "a b", "a?b", "a#b", "100%", "é", "name/x"])
async def test_a_name_that_nothing_can_have_is_none(c: ConsulClient, kind: str, name: str) -> None:
    assert await READS[kind](c, name) is None


@pytest.mark.parametrize("kind", sorted(READS.keys() - set(NAMED)))
@pytest.mark.parametrize("name", ["x", "a b", "a?b", "a#b", "100%", "é"])
async def test_an_id_that_is_none_is_a_bad_request(c: ConsulClient, kind: str, name: str) -> None:
    with pytest.raises(BadRequestError, match="UUID"):
        await READS[kind](c, name)


async def test_what_is_gone_can_be_deleted_again(
    c: ConsulClient, policy: ACLPolicy, role: ACLRole, token: ACLToken
) -> None:
    things: list[tuple[Callable[[str], Awaitable[bool]], str]] = [
        (c.acl.token.delete, token.accessor_id),
        (c.acl.role.delete, role.id),
        (c.acl.policy.delete, policy.id),
    ]
    for delete, it in things:
        assert await delete(it) is True
        assert await delete(it) is True
        with pytest.raises(BadRequestError, match="UUID"):
            await delete("x")

    assert await c.acl.token.get(token.accessor_id) is None
    assert await c.acl.role.get(role.id) is None
    assert await c.acl.policy.get(policy.id) is None
    assert await c.acl.auth_method.delete(unique("nothing")) is True
    assert await c.acl.binding_rule.delete(str(uuid4())) is True


async def test_what_is_not_there_cannot_be_written_over(
    watched: ConsulClient, recorder: Recorder
) -> None:
    nothing = str(uuid4())
    calls = [
        watched.acl.token.update(ACLToken(accessor_id=nothing)),
        watched.acl.policy.update(ACLPolicy(id=nothing, name=unique("policy"), rules="")),
        watched.acl.role.update(ACLRole(id=nothing, name=unique("role"))),
        watched.acl.binding_rule.update(ACLBindingRule(id=nothing, auth_method="x")),
    ]

    for call in calls:
        with pytest.raises(NotFoundError):
            await call

    assert len(recorder.requests) == len(calls)


async def test_what_is_not_there_cannot_be_cloned(c: ConsulClient, reader: ConsulClient) -> None:
    with pytest.raises(NotFoundError, match=r"^acl\.token\.clone: ") as raised:
        await c.acl.token.clone(str(uuid4()))
    assert raised.value.__context__ is None

    for view in (reader, c.using(token=str(uuid4()))):
        with pytest.raises(PermissionDeniedError):
            await view.acl.token.clone(str(uuid4()))


@each_read
async def test_where_nothing_is_there_is_something_to_wait_beyond(
    c: ConsulClient, kind: str
) -> None:
    cursor = Cursor()
    read: Any = getattr(c.acl, kind.partition(" by ")[0].replace(" ", "_"))
    read = read.get_by_name if kind.endswith("by name") else read.get

    assert await read(str(uuid4()), cursor=cursor) is None

    assert cursor.index is not None


async def test_a_policy_can_be_watched_before_and_after_its_life(c: ConsulClient) -> None:
    name = unique("policy")
    watch = c.watch(c.acl.policy.get_by_name, name)

    with anyio.fail_after(20):
        assert await anext(watch) is None
        made = await c.acl.policy.create(ACLPolicy(name=name, rules=RULES))
        assert await anext(watch) == made
        await c.acl.policy.delete(made.id)
        assert await anext(watch) is None


async def test_watching_what_is_not_there_waits(watched: ConsulClient, recorder: Recorder) -> None:
    watch = watched.watch(watched.acl.role.get_by_name, unique("role"))

    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            assert await anext(watch) is None
            tasks.start_soon(anext, watch)
            await recorder.blocks()
            tasks.cancel_scope.cancel()

    # The role, the list, and the role again.
    assert len(recorder.requests) == 3
    assert recorder.last in recorder.blocking
    assert recorder.last.url.path.startswith("/v1/acl/role/name/")


async def test_lists_can_be_waited_on(c: ConsulClient) -> None:
    for read in (
        c.acl.token.list,
        c.acl.policy.list,
        c.acl.role.list,
        c.acl.auth_method.list,
        c.acl.binding_rule.list,
        c.acl.token.self,
    ):
        cursor = Cursor()
        await read(cursor=cursor)

        assert cursor.index is not None
        assert cursor.meta.known_leader is True
