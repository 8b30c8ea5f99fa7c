"""What ends by itself: sessions, lock-delays, checks, and the memory of what was deleted."""

from __future__ import annotations

from collections.abc import AsyncIterator

import anyio
import pytest

from consul_onex import ConsulClient, Cursor, TransactionError
from consul_onex.models.check import Check
from consul_onex.models.service import ServiceRegistration
from consul_onex.models.session import ServiceCheck
from consul_onex.testing import Clock, FakeAgent


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def c(clock: Clock) -> AsyncIterator[ConsulClient]:
    async with ConsulClient(transport=FakeAgent(clock=clock)) as client:
        yield client


async def is_there(c: ConsulClient, session: str) -> bool:
    return await c.session.info(session) is not None


async def test_a_session_lives_twice_as_long_as_it_says(c: ConsulClient, clock: Clock) -> None:
    session = await c.session.create(ttl=10, node_checks=[])

    await clock.advance(19.9)
    before = await is_there(c, session)
    await clock.advance(0.2)

    assert (before, await is_there(c, session)) == (True, False)
    assert await c.session.renew(session) is None


async def test_renewing_begins_its_time_anew(c: ConsulClient, clock: Clock) -> None:
    session = await c.session.create(ttl=10)

    for _ in range(5):
        await clock.advance(15)
        assert await c.session.renew(session) is not None
    await clock.advance(20)

    assert not await is_there(c, session)


async def test_a_session_without_a_ttl_stays(c: ConsulClient, clock: Clock) -> None:
    session = await c.session.create()

    await clock.advance(1_000_000)

    assert await is_there(c, session)


@pytest.mark.parametrize("behavior", ["release", "delete"])
async def test_a_lock_stays_closed_for_the_delay_of_a_session_that_ended(
    c: ConsulClient, clock: Clock, behavior: str
) -> None:
    mine = await c.session.create(lock_delay=5, behavior=behavior)
    yours = await c.session.create()
    await c.kv.acquire("lock", mine, "state")
    await c.session.destroy(mine)

    refused = await c.kv.acquire("lock", yours)
    pair = await c.kv.get("lock")
    await clock.advance(4.9)
    refused_later = await c.kv.acquire("lock", yours)
    await clock.advance(0.2)

    assert (refused, refused_later) == (False, False)
    assert pair is None if behavior == "delete" else pair is not None and pair.session is None
    assert await c.kv.acquire("lock", yours) is True


async def test_a_transaction_says_that_it_is_the_delay(c: ConsulClient, clock: Clock) -> None:
    mine, yours = await c.session.create(lock_delay=90), await c.session.create()
    await c.kv.acquire("lock", mine)
    await c.session.destroy(mine)

    with pytest.raises(TransactionError, match="lock delay") as raised:
        await c.txn.begin().kv.lock("lock", yours).commit()
    # It is 60 s at most, whatever was asked for.
    await clock.advance(60)

    assert raised.value.errors[0].what == 'failed to lock key "lock" due to lock delay'
    assert await c.kv.acquire("lock", yours) is True


async def test_who_waits_for_a_lock_wakes_when_its_session_expires(
    c: ConsulClient, clock: Clock
) -> None:
    session = await c.session.create(ttl=10)
    await c.kv.acquire("lock", session)
    cursor = Cursor()
    await c.kv.get("lock", cursor=cursor)
    freed: list[float] = []

    async def wait() -> None:
        pair = await c.kv.get("lock", cursor=cursor)
        assert pair is not None
        assert pair.session is None
        freed.append(clock.time())

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(wait)
        await clock.advance(60)

    assert freed == [20]


async def test_a_wait_hears_of_what_falls_due_sooner_than_it_knew(
    c: ConsulClient, clock: Clock
) -> None:
    cursor = Cursor()
    await c.session.list(cursor=cursor)
    seen: list[tuple[float, int]] = []

    async def wait() -> None:
        while len(seen) < 2:
            seen.append((clock.time(), len(await c.session.list(cursor=cursor))))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(wait)
        await clock.advance(1)
        await c.session.create(ttl=10)
        await clock.advance(30)

    assert [count for _, count in seen] == [1, 0]


async def test_a_check_that_is_not_told_for_its_time_to_live_is_critical(
    c: ConsulClient, clock: Clock
) -> None:
    await c.agent.register(ServiceRegistration(name="web", check=Check.ttl(10)))

    async def state() -> tuple[str, str]:
        [check] = await c.health.checks("web")
        return check.status, check.output

    await c.agent.check_pass("service:web", "fine")
    await clock.advance(9)
    alive = await state()
    await c.agent.check_pass("service:web", "fine")
    await clock.advance(9.9)
    still = await state()
    await clock.advance(0.1)

    assert alive == still == ("passing", "fine")
    assert await state() == (
        "critical",
        "TTL expired (last output before timeout follows): fine",
    )


async def test_a_check_that_was_never_told_expires_without_last_words(
    c: ConsulClient, clock: Clock
) -> None:
    await c.agent.register(ServiceRegistration(name="web", check=Check.ttl(10, status="passing")))

    await clock.advance(10)

    assert [check.output for check in await c.health.checks("web")] == ["TTL expired"]


async def test_a_service_that_stays_critical_is_deregistered(c: ConsulClient, clock: Clock) -> None:
    check = Check.ttl(3600, deregister_critical_service_after=90, status="critical")
    await c.agent.register(ServiceRegistration(name="web", check=check))
    await clock.advance(60)
    await c.agent.check_pass("service:web")
    await clock.advance(600)
    survived = await c.agent.service("web")
    await c.agent.check_fail("service:web")
    await c.agent.check_fail("service:web", "again")
    await clock.advance(89)
    waiting = await c.agent.service("web")
    await clock.advance(31)

    assert survived is not None
    assert waiting is not None
    assert await c.agent.service("web") is None
    assert await c.health.service("web") == []


async def test_a_session_ends_with_the_check_that_it_hangs_on(
    c: ConsulClient, clock: Clock
) -> None:
    await c.agent.register(ServiceRegistration(name="web", check=Check.ttl(10, status="passing")))
    hangs = await c.session.create(service_checks=[ServiceCheck(id="service:web")])
    other = await c.session.create()

    await clock.advance(10)

    assert (await is_there(c, hangs), await is_there(c, other)) == (False, True)


@pytest.mark.parametrize("gone", ["check", "node"])
async def test_a_session_ends_when_its_check_or_its_node_goes(c: ConsulClient, gone: str) -> None:
    await c.agent.register(ServiceRegistration(name="web", check=Check.ttl(10, status="passing")))
    session = await c.session.create(service_checks=[ServiceCheck(id="service:web")])

    if gone == "check":
        await c.agent.deregister_check("service:web")
    else:
        await c.catalog.deregister("dev")

    assert not await is_there(c, session)


async def test_what_was_deleted_is_forgotten_after_a_quarter_of_an_hour(
    c: ConsulClient, clock: Clock
) -> None:
    await c.kv.put("a/1", "")
    await c.kv.delete("a/1")
    cursor = Cursor()
    await c.kv.list("a/", cursor=cursor)
    deleted = cursor.meta.index
    await c.kv.put("b", "")
    await c.kv.list("a/", cursor=Cursor())
    other = Cursor()
    await c.kv.list("a/", cursor=other)

    await clock.advance(60)
    await c.kv.delete("b")
    await clock.advance(870)
    await c.kv.put("b", "new")
    later = Cursor()
    await c.kv.list("a/", cursor=later)

    # Until then the index is that of the deletion, and afterwards that of the whole store.
    assert other.meta.index == deleted
    assert later.meta.index is not None
    assert deleted is not None
    assert later.meta.index > deleted


async def test_an_agent_tells_the_servers_again_what_they_have_forgotten(c: ConsulClient) -> None:
    check = Check.ttl(60, status="passing")
    await c.agent.register(ServiceRegistration(name="web", check=check))
    await c.catalog.deregister("dev")

    await c.agent.check_warn("service:web")

    [entry] = await c.health.service("web")
    assert (entry.node.node, entry.status) == ("dev", "warning")


async def test_an_automatic_clock_needs_nobody_to_advance_it() -> None:
    clock = Clock(automatic=True)
    async with ConsulClient(transport=FakeAgent(clock=clock)) as c:
        session = await c.session.create(ttl=10)
        await c.kv.acquire("lock", session)
        watch = c.using(wait=600).kv.watch("lock")

        with anyio.fail_after(10):
            held, freed = await anext(watch), await anext(watch)

    assert held is not None
    assert freed is not None
    assert (held.session, freed.session) == (session, None)
    assert clock.time() == 20
