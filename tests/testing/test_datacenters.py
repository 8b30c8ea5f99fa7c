"""Several datacenters, each with an agent that is asked itself or through another."""

from __future__ import annotations

from collections.abc import AsyncIterator

import anyio
import pytest

from consul_onex import BadRequestError, ConsulClient, Cursor, UnknownDatacenterError
from consul_onex.models.catalog import CatalogRegistration
from consul_onex.testing import Clock, FakeAgent


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def dc1(clock: Clock) -> FakeAgent:
    return FakeAgent(clock=clock, node="one")


@pytest.fixture
def dc2(clock: Clock, dc1: FakeAgent) -> FakeAgent:
    agent = FakeAgent(clock=clock, node="two", datacenter="dc2")
    dc1.join_wan(agent)
    return agent


@pytest.fixture
async def c(dc1: FakeAgent) -> AsyncIterator[ConsulClient]:
    async with ConsulClient(transport=dc1) as client:
        yield client


@pytest.fixture
async def there(dc2: FakeAgent) -> AsyncIterator[ConsulClient]:
    async with ConsulClient(transport=dc2) as client:
        yield client


async def test_what_is_asked_for_another_datacenter_that_does(
    c: ConsulClient, there: ConsulClient
) -> None:
    away = c.using(datacenter="dc2")

    await away.kv.put("a", "there")
    await c.catalog.register(CatalogRegistration(node="n", address="x", datacenter="dc2"))
    await away.event.fire("e")

    mine, theirs = await c.kv.get("a"), await there.kv.get("a")
    assert (mine, theirs and theirs.value) == (None, b"there")
    assert [node.node for node in await c.catalog.nodes()] == ["one"]
    assert [node.node for node in await away.catalog.nodes()] == ["n", "two"]
    assert [event.name for event in await there.event.list()] == ["e"]
    # What an agent has heard itself is of its own datacenter, whatever is asked for.
    assert await away.event.list() == []


async def test_each_knows_all_and_itself_first(
    c: ConsulClient, there: ConsulClient, dc2: FakeAgent, clock: Clock
) -> None:
    dc2.join_wan(FakeAgent(clock=clock, datacenter="dc0"))

    assert await c.catalog.datacenters() == ["dc1", "dc0", "dc2"]
    assert await there.catalog.datacenters() == ["dc2", "dc0", "dc1"]
    assert (await c.agent.self()).stats["consul"]["known_datacenters"] == "3"
    assert [member.name for member in await c.agent.members(wan=True)] == ["one.dc1"]


async def test_a_session_is_of_the_agent_that_was_asked(
    c: ConsulClient, there: ConsulClient
) -> None:
    # Which the other datacenter does not know.
    with pytest.raises(BadRequestError, match="Missing node registration"):
        await c.using(datacenter="dc2").session.create()

    assert await there.session.create()


async def test_a_datacenter_that_nobody_knows_is_told(c: ConsulClient, there: ConsulClient) -> None:
    for client in (c, there):
        with pytest.raises(UnknownDatacenterError, match="No path to datacenter"):
            await client.using(datacenter="dc3").kv.get("a")


async def test_a_query_waits_for_the_changes_of_the_datacenter_that_it_is_for(
    c: ConsulClient, there: ConsulClient, dc2: FakeAgent, clock: Clock
) -> None:
    away, cursor = c.using(datacenter="dc2"), Cursor(wait=60)
    await there.kv.put("a", "1")
    await away.kv.get("a", cursor=cursor)
    waiting: list[int] = []

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: away.kv.get("a", cursor=cursor))
        await clock.advance(1)
        await c.kv.put("a", "here")
        await clock.advance(1)
        waiting.append(dc2.blocked)
        await there.kv.put("a", "2")
        await clock.advance(0)
        waiting.append(dc2.blocked)

    assert waiting == [1, 0]


async def test_faults_are_of_the_agent_that_is_asked(
    c: ConsulClient, there: ConsulClient, dc2: FakeAgent
) -> None:
    dc2.refuse()

    assert await c.using(datacenter="dc2").kv.get("a") is None
    assert dc2.requests == []


def test_there_is_one_clock(dc1: FakeAgent) -> None:
    with pytest.raises(ValueError, match="have one clock"):
        dc1.join_wan(FakeAgent(datacenter="dc2"))


def test_there_is_one_agent_of_each(dc1: FakeAgent, dc2: FakeAgent, clock: Clock) -> None:
    dc1.join_wan(dc2)
    with pytest.raises(ValueError, match="different agents of one datacenter"):
        dc2.join_wan(FakeAgent(clock=clock))
    with pytest.raises(ValueError, match="different agents of one datacenter"):
        FakeAgent(clock=clock).join_wan(dc2)
