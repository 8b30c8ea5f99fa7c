"""What an agent knew can be kept, given back, and written down beforehand."""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import anyio
import pytest

from consul_onex import ConsulClient, Cursor, PermissionDeniedError, verify_snapshot
from consul_onex.models.acl import ACLLink, ACLPolicy, ACLToken
from consul_onex.models.check import Check
from consul_onex.models.service import ServiceRegistration
from consul_onex.testing import Clock, FakeAgent
from tests.support.agents import Agent
from tests.support.archives import files, packed, snapshot, tar

from .both import Ask, ask_fake, ask_real

SECRET: Final = "6b8f4a7e-0000-4000-8000-0123456789ab"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def agent(clock: Clock) -> FakeAgent:
    return FakeAgent(clock=clock)


@pytest.fixture
async def c(agent: FakeAgent) -> AsyncIterator[ConsulClient]:
    async with ConsulClient(transport=agent) as client:
        yield client


async def all_that_is_told(c: ConsulClient) -> list[Any]:
    return [
        await c.kv.list(""),
        await c.session.list(),
        await c.catalog.nodes(),
        await c.health.state("any"),
        await c.health.service("web"),
        await c.agent.services(),
        await c.agent.checks(),
    ]


async def live(c: ConsulClient) -> str:
    """Have a bit of everything; the session that was made."""
    await c.kv.put("a/1", b"\0\xff", flags=7)
    await c.kv.put("a/2", "gone")
    await c.kv.delete("a/2")
    await c.agent.register(ServiceRegistration(name="web", check=Check.ttl(10, status="passing")))
    session = await c.session.create(ttl=10, lock_delay=5)
    await c.kv.acquire("lock", session, "mine")
    return session


# -- in memory -------------------------------------------------------------------------------------


async def test_all_is_as_it_was(agent: FakeAgent, c: ConsulClient) -> None:
    session = await live(c)
    before = await all_that_is_told(c)
    kept = agent.snapshot()

    await c.kv.delete_tree("", everything=True)
    await c.session.destroy(session)
    await c.agent.deregister("web")
    await c.agent.register(ServiceRegistration(name="other", check=Check.ttl(10)))
    agent.restore(kept)

    assert await all_that_is_told(c) == before
    assert repr(kept) == "<AgentSnapshot of dev in dc1>"


async def test_another_agent_of_the_name_can_have_it_any_number_of_times(
    agent: FakeAgent, c: ConsulClient
) -> None:
    await live(c)
    before, kept = await all_that_is_told(c), agent.snapshot()

    for _ in range(2):
        other = FakeAgent(clock=Clock())
        other.restore(kept)
        async with ConsulClient(transport=other) as client:
            assert await all_that_is_told(client) == before
            await client.agent.check_fail("service:web")
            await client.kv.put("a/1", "other")
    assert await all_that_is_told(c) == before


@pytest.mark.parametrize("other", [FakeAgent(node="b"), FakeAgent(datacenter="dc2")], ids=repr)
def test_an_agent_of_another_name_cannot_have_it(agent: FakeAgent, other: FakeAgent) -> None:
    kept = agent.snapshot()

    with pytest.raises(ValueError, match=r"^<AgentSnapshot of dev in dc1> cannot be restored in"):
        other.restore(kept)


async def test_times_to_live_begin_anew(agent: FakeAgent, c: ConsulClient, clock: Clock) -> None:
    session = await live(c)
    await clock.advance(9)
    kept = agent.snapshot()
    await clock.advance(5)

    agent.restore(kept)
    await clock.advance(9.9)
    [check] = await c.health.checks("web")
    await clock.advance(0.2)
    [expired] = await c.health.checks("web")
    await clock.advance(9.8)
    alive = await c.session.info(session)
    await clock.advance(0.2)

    assert (check.status, expired.status) == ("passing", "critical")
    assert alive is not None
    assert await c.session.info(session) is None


async def test_what_was_under_way_before_comes_to_nothing(
    agent: FakeAgent, c: ConsulClient, clock: Clock
) -> None:
    empty = agent.snapshot()
    await live(c)

    agent.restore(empty)
    await clock.advance(10_000)

    assert await c.kv.list("") == []
    assert await c.agent.checks() == {}


async def test_a_lock_delay_is_over(agent: FakeAgent, c: ConsulClient) -> None:
    session = await live(c)
    kept = agent.snapshot()
    await c.session.destroy(session)
    other = await c.session.create()
    refused = await c.kv.acquire("lock", other)

    agent.restore(kept)
    await c.kv.release("lock", session)
    new = await c.session.create()

    assert (refused, await c.kv.acquire("lock", new)) == (False, True)


async def test_what_was_deleted_is_remembered_from_then_on(
    agent: FakeAgent, c: ConsulClient, clock: Clock
) -> None:
    await live(c)
    agent.restore(agent.snapshot())

    async def index() -> int:
        cursor = Cursor()
        await c.kv.list("a/2", cursor=cursor)
        return cursor.meta.index or 0

    deleted = await index()
    await clock.advance(890)
    await c.kv.put("b", "")
    remembered = await index()
    await clock.advance(60)

    assert remembered == deleted
    assert await index() > deleted


async def test_indexes_go_back_and_new_ones_are_new(agent: FakeAgent, c: ConsulClient) -> None:
    cursor = Cursor()
    await c.kv.put("k", "old")
    kept = agent.snapshot()
    await c.kv.put("k", "new")
    await c.kv.get("k", cursor=cursor)
    highest = cursor.meta.index or 0

    agent.restore(kept)
    old = await c.kv.get("k")
    await c.kv.put("k", "newer")
    newer = await c.kv.get("k")

    assert old is not None
    assert newer is not None
    assert old.modify_index < highest < newer.modify_index


async def test_a_query_that_blocks_is_answered_with_what_was(
    agent: FakeAgent, c: ConsulClient
) -> None:
    kept = agent.snapshot()
    await c.kv.put("k", "new")
    cursor = Cursor()
    await c.kv.get("k", cursor=cursor)
    seen: list[str] = []

    async def wait() -> None:
        pair = await c.kv.get("k", cursor=cursor)
        assert pair is not None
        seen.append(pair.text())

    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait)
            await anyio.wait_all_tasks_blocked()
            agent.restore(kept)

    assert seen == ["new"]
    assert await c.kv.get("k") is None


async def test_a_watch_sees_what_was_restored_when_its_wait_ends(
    agent: FakeAgent, c: ConsulClient, clock: Clock
) -> None:
    await c.kv.put("k", "old")
    kept = agent.snapshot()
    await c.kv.put("k", "new")
    watch = c.kv.watch("k")

    with anyio.fail_after(10):
        seen = [await anext(watch)]
        agent.restore(kept)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(clock.advance, 600)
            seen.append(await anext(watch))

    assert [pair and pair.text() for pair in seen] == ["new", "old"]


# -- with access control ---------------------------------------------------------------------------


@pytest.fixture
def guarded(clock: Clock) -> FakeAgent:
    return FakeAgent(clock=clock, acl=SECRET)


@pytest.fixture
async def may(guarded: FakeAgent) -> AsyncIterator[ConsulClient]:
    """A client that may do everything."""
    async with ConsulClient(transport=guarded, token=SECRET) as client:
        yield client


async def token(c: ConsulClient, **options: Any) -> ACLToken:
    """A new token that may write a key."""
    policy = await c.acl.policy.create(
        ACLPolicy(name=uuid4().hex, rules='key "a" { policy = "write" }')
    )
    return await c.acl.token.create(ACLToken(policies=[ACLLink(id=policy.id)], **options))


async def is_known(agent: FakeAgent, token: ACLToken) -> bool:
    async with ConsulClient(transport=agent, token=token.secret_id) as c:
        try:
            return await c.kv.put("a", "1")
        except PermissionDeniedError as error:
            return "ACL not found" not in str(error)


async def test_tokens_and_policies_are_as_they_were(guarded: FakeAgent, may: ConsulClient) -> None:
    old = await token(may)
    before = [await may.acl.token.list(), await may.acl.policy.list()]
    kept = guarded.snapshot()
    await may.acl.token.delete(old.accessor_id)
    new = await token(may)

    guarded.restore(kept)

    assert [await may.acl.token.list(), await may.acl.policy.list()] == before
    assert await is_known(guarded, old)
    assert not await is_known(guarded, new)


async def test_a_token_expires_at_its_date_wherever_it_is_restored(
    guarded: FakeAgent, may: ConsulClient, clock: Clock
) -> None:
    short, long = await token(may, expiration_ttl=60), await token(may, expiration_ttl=600)
    kept = guarded.snapshot()
    await clock.advance(300)
    other = FakeAgent(clock=clock, acl=SECRET)

    for agent in (guarded, other):
        agent.restore(kept)

        assert not await is_known(agent, short)
        assert await is_known(agent, long)
    await clock.advance(299)
    assert [await is_known(agent, long) for agent in (guarded, other)] == [True, True]
    await clock.advance(1)
    assert [await is_known(agent, long) for agent in (guarded, other)] == [False, False]


async def test_who_was_first_is_part_of_it(clock: Clock) -> None:
    agent = FakeAgent(clock=clock, acl=True)
    nobody = agent.snapshot()
    async with ConsulClient(transport=agent) as c:
        first = await c.acl.bootstrap()
        somebody = agent.snapshot()

        agent.restore(nobody)
        assert not await is_known(agent, first)
        second = await c.acl.bootstrap()
        agent.restore(somebody)

        with pytest.raises(PermissionDeniedError, match="no longer allowed"):
            await c.acl.bootstrap()
        assert (await c.using(token=first.secret_id).acl.token.self()).secret_id == first.secret_id
        assert not await is_known(agent, second)


async def test_the_token_of_an_agent_is_there_beside_that_of_who_was_first(
    guarded: FakeAgent, may: ConsulClient
) -> None:
    other = FakeAgent(acl=True)
    async with ConsulClient(transport=other) as c:
        first = await c.acl.bootstrap()

    guarded.restore(other.snapshot())

    assert await may.kv.put("a", "1")
    assert await is_known(guarded, first)
    with pytest.raises(PermissionDeniedError, match="no longer allowed"):
        await may.acl.bootstrap()


async def test_what_there_always_is_there_is_afterwards(
    agent: FakeAgent, c: ConsulClient, guarded: FakeAgent, may: ConsulClient
) -> None:
    await c.kv.put("a", "1")

    guarded.restore(agent.snapshot())

    assert await may.kv.keys("") == ["a"]
    assert [policy.name for policy in await may.acl.policy.list()] == ["global-management"]
    tokens = sorted(one.description for one in await may.acl.token.list())
    assert tokens == ["Anonymous Token", "Master Token"]


async def test_with_tokens_it_is_saved_and_restored_over_http(
    guarded: FakeAgent, may: ConsulClient, clock: Clock, tmp_path: Path
) -> None:
    short, long = await token(may, expiration_ttl=60), await token(may)
    before = [await may.acl.token.list(), await may.acl.policy.list()]
    info = await may.snapshot.save(tmp_path / "consul.snap")
    for one in (short, long):
        await may.acl.token.delete(one.accessor_id)

    await may.snapshot.restore(tmp_path / "consul.snap")

    assert [await may.acl.token.list(), await may.acl.policy.list()] == before
    assert [await is_known(guarded, one) for one in (short, long)] == [True, True]
    await clock.advance(60)
    assert [await is_known(guarded, one) for one in (short, long)] == [False, True]
    [server] = info.configuration.servers
    assert server.id == (await may.agent.self()).config.node_id


# -- events ----------------------------------------------------------------------------------------


async def test_what_was_heard_is_known_again_and_what_is_fired_is_later(
    agent: FakeAgent, c: ConsulClient
) -> None:
    await c.event.fire("first")
    [first] = await c.event.list()
    kept = agent.snapshot()
    await c.event.fire("second")
    [_, second] = await c.event.list()

    agent.restore(kept)
    assert list(await c.event.list()) == [first]

    await c.event.fire("third")
    [_, third] = await c.event.list()
    assert (third.name, third.ltime > second.ltime) == ("third", True)


async def test_who_waits_for_an_event_hears_of_those_that_are_restored(
    agent: FakeAgent, c: ConsulClient
) -> None:
    await c.event.fire("first")
    kept = agent.snapshot()
    await c.event.fire("second")
    cursor = Cursor()
    await c.event.list(cursor=cursor)
    heard: list[list[str]] = []

    async def wait() -> None:
        heard.append([event.name for event in await c.event.list(cursor=cursor)])

    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait)
            await anyio.wait_all_tasks_blocked()
            agent.restore(kept)

    assert heard == [["first"]]


async def test_events_are_no_part_of_what_the_servers_save(c: ConsulClient, tmp_path: Path) -> None:
    await c.snapshot.save(tmp_path / "consul.snap")
    await c.event.fire("deploy")

    await c.snapshot.restore(tmp_path / "consul.snap")

    assert [event.name for event in await c.event.list()] == ["deploy"]


# -- seeds -----------------------------------------------------------------------------------------


async def test_a_seed_is_what_there_is_to_begin_with(agent: FakeAgent, c: ConsulClient) -> None:
    agent.seed(
        {
            "kv": {"config/web": "v1", "blob": b"\0"},
            "services": {
                "db": {"port": 5432, "check": {"ttl": "10s", "status": "warning"}},
                "web": [
                    {"id": "web-1", "port": 8081, "tags": ["blue"], "status": "passing"},
                    {
                        "ID": "web-2",
                        "Address": "10.0.0.7",
                        "Meta": {"a": "b"},
                        "status": "critical",
                    },
                    {"id": "web-3"},
                ],
            },
        }
    )

    assert {pair.key: pair.value for pair in await c.kv.list("")} == {
        "config/web": b"v1",
        "blob": b"\0",
    }
    web = await c.health.service("web")
    assert [(e.service.id, e.status) for e in web] == [
        ("web-1", "passing"),
        ("web-2", "critical"),
        ("web-3", "passing"),
    ]
    assert [e.service.id for e in await c.health.service("web", tag="blue")] == ["web-1"]
    assert [e.status for e in await c.health.service("db")] == ["warning"]
    assert (await c.agent.services()).keys() == {"db", "web-1", "web-2", "web-3"}
    assert web[1].service.address == "10.0.0.7"


async def test_the_check_of_a_seed_can_be_told_another_status_and_never_expires(
    agent: FakeAgent, c: ConsulClient, clock: Clock
) -> None:
    agent.seed({"services": {"web": {"status": "passing"}}})

    await clock.advance(1e9)
    before = await c.health.service("web", passing=True)
    await c.agent.check_fail("service:web", "told")
    await clock.advance(1e9)

    assert len(before) == 1
    assert [check.output for check in await c.health.checks("web")] == ["told"]


def test_an_agent_in_real_time_is_seeded_before_there_is_an_event_loop() -> None:
    FakeAgent().seed({"kv": {"k": "v"}, "services": {"web": {"status": "critical"}}})


@pytest.mark.parametrize(
    ("seed", "said"),
    [
        ([], r"^seed: this is a mapping from names, not \[\]$"),
        ({"keys": {}}, "^seed: there is no 'keys' in it, but kv, services$"),
        ({"kv": ["a"]}, r"^kv: this is a mapping from names, not \['a'\]$"),
        ({"kv": {"": "v"}}, "^kv: a name is a text with something in it, not ''$"),
        ({"kv": {"k": 1}}, r"^kv\['k'\]: a value is str or bytes, not int$"),
        (
            {"kv": {"k": "x" * 524_289}},
            r"^kv\['k'\]: a value has 524288 bytes at most, not 524289$",
        ),
        ({"services": 1}, "^services: this is a mapping from names, not 1$"),
        ({"services": {"web": "x"}}, r"^services\['web'\]: this is a mapping from names, not 'x'$"),
        ({"services": {"web": {"prt": 1}}}, r"^services\['web'\]: json: unknown field \"prt\"$"),
        (
            {"services": {"web": {"port": "80"}}},
            r"^services\['web'\]: json: cannot unmarshal string into Go struct field .Port of type",
        ),
        (
            {"services": {"web": [{}, {}]}},
            r"^services\['web'\]: there is an instance 'web' already$",
        ),
        (
            {"services": {"web": {"status": "odd"}}},
            r"^services\['web'\]: Status for checks must 'passing', 'warning', 'critical'$",
        ),
        (
            {"services": {"web": {"status": "passing", "Checks": []}}},
            r"^services\['web'\]: an instance has a status or checks, not both$",
        ),
    ],
    ids=str,
)
async def test_a_seed_that_cannot_be_is_refused_with_its_place(
    agent: FakeAgent, c: ConsulClient, seed: Any, said: str
) -> None:
    if isinstance(seed, dict):
        seed = {"kv": {"good": "v"}, **seed}

    with pytest.raises(ValueError, match=said):
        agent.seed(seed)

    assert await c.kv.list("") == []
    assert await c.agent.services() == {}


# -- over HTTP -------------------------------------------------------------------------------------


async def test_a_snapshot_is_saved_and_restored(
    agent: FakeAgent, c: ConsulClient, tmp_path: Path
) -> None:
    session = await live(c)
    await c.kv.put("odd/\u00e9", "x")
    before = await all_that_is_told(c)
    path = tmp_path / "consul.snap"

    info = await c.snapshot.save(path)
    await c.kv.delete_tree("", everything=True)
    await c.session.destroy(session)
    await c.snapshot.restore(path)

    assert await all_that_is_told(c) == before
    assert verify_snapshot(path) == info
    assert await c.kv.acquire("lock", session) is True


async def test_it_can_be_restored_in_another_agent(c: ConsulClient, tmp_path: Path) -> None:
    await live(c)
    await c.snapshot.save(tmp_path / "consul.snap")

    async with ConsulClient(transport=FakeAgent(clock=Clock())) as other:
        await other.snapshot.restore(tmp_path / "consul.snap")

        assert await other.kv.list("") == await c.kv.list("")
        assert await other.session.list() == await c.session.list()


@pytest.mark.parametrize("state", [b"\x01\x02", b"[]", b'{"of a fake agent": {"pairs": 1}}'])
async def test_it_does_not_read_what_it_has_not_written(agent: FakeAgent, state: bytes) -> None:
    told = await ask_fake(agent, [Ask("PUT", "/v1/snapshot", snapshot(state))])

    said = "The fake agent reads no snapshots but those of its own kind."
    assert [(each.status, each.body) for each in told] == [(501, said)]


@pytest.fixture
def damaged() -> list[bytes]:
    meta, state, sums = files(b"\x01\x02").items()
    whole = packed([meta, state, sums])
    return [
        *(b"", b"garbage", b"garbage " * 3, whole[:50], whole[:-1], whole + b"x"),
        gzip.compress(b"x" * 100),
        gzip.compress(b"x" * 600),
        gzip.compress(tar([("state.bin", b"x" * 1000)])[:600]),
        packed([meta, (sums[0], sums[1].splitlines()[0])]),
        packed([meta, (state[0], b"other"), sums]),
        packed([("meta.json", b"{}"), state, sums]),
    ]


async def test_what_is_damaged_is_refused_as_consul_does(
    agent: FakeAgent, consul_binary: Path, damaged: list[bytes], request: pytest.FixtureRequest
) -> None:
    real: Agent = request.getfixturevalue("fresh_agent")
    script = [
        *(Ask("PUT", "/v1/snapshot", body) for body in damaged),
        Ask("PUT", "/v1/snapshot?dc=no", b""),
        Ask("GET", "/v1/snapshot?dc=no"),
        *(Ask(method, "/v1/snapshot") for method in ("POST", "HEAD", "OPTIONS")),
    ]

    theirs, mine = ask_real(real, script), await ask_fake(agent, script)

    for ask, one, other in zip(script, theirs, mine, strict=True):
        assert (ask, other) == (ask, one)


async def test_what_cannot_be_unpacked_is_refused(agent: FakeAgent) -> None:
    whole = snapshot()
    told = await ask_fake(agent, [Ask("PUT", "/v1/snapshot", whole[:10] + b"\xff" * 20)])

    said = "failed to read snapshot file: failed reading snapshot: flate: corrupt input"
    assert [(each.status, each.body) for each in told] == [(500, said)]
