"""A semaphore: how many hold it, beside whom, and what is left afterwards."""

# A block that is cancelled is what is tested here: it has more than one statement, and what it
# binds is bound.
# ruff: noqa: PT012

from __future__ import annotations

import json

import anyio
import anyio.lowlevel
import pytest

from consul_onex import (
    ConsulClient,
    FencedError,
    InvalidRequestError,
    LockConflictError,
    LockLostError,
    LockTimeoutError,
)
from consul_onex.recipes import Semaphore
from consul_onex.recipes.semaphore import SEMAPHORE_FLAG
from tests.recipes.support import ByClock
from tests.recipes.test_lock import consul_lock, sessions_of, waits
from tests.support.agents import Agent, clean_environment


async def listed(c: ConsulClient, prefix: str) -> object:
    pair = await c.kv.get(f"{prefix}/.lock")
    return None if pair is None else pair.json()


async def test_it_is_laid_out_as_consuls_own_client_does(
    c: ConsulClient, key: str, terms: ByClock
) -> None:
    async with Semaphore(c, f"{key}/", 3, **terms) as held:
        pairs = {pair.key: pair for pair in await c.kv.list(key)}
        session = await c.session.info(held.session)

    mine, lock = f"{key}/{held.session}", f"{key}/.lock"
    assert sorted(pairs) == sorted([mine, lock])
    assert json.loads(pairs[lock].value) == {"Limit": 3, "Holders": {held.session: True}}
    assert (pairs[mine].session, pairs[lock].session) == (held.session, None)
    assert {pair.flags for pair in pairs.values()} == {SEMAPHORE_FLAG}
    assert SEMAPHORE_FLAG == 16210313421097356768
    assert (held.key, held.token) == (mine, pairs[mine].modify_index)
    assert session is not None
    assert session.name.startswith("Consul API Semaphore ")
    assert (session.behavior, session.node_checks) == ("delete", [])
    # What is left is the empty list of holders.
    assert await c.kv.keys(key) == [lock]
    assert await listed(c, key) == {"Limit": 3, "Holders": {}}


async def test_so_many_hold_it_and_no_more(
    c: ConsulClient, other: ConsulClient, key: str, terms: ByClock
) -> None:
    inside = most = 0
    full = anyio.Event()

    async def work(client: ConsulClient) -> None:
        nonlocal inside, most
        for _ in range(3):
            async with Semaphore(client, key, 2, name=key, **terms):
                inside += 1
                most = max(most, inside)
                if inside == 2:
                    full.set()
                await full.wait()
                await client.kv.put(f"{key}-side", b"")
                inside -= 1

    with anyio.fail_after(100):
        async with anyio.create_task_group() as tasks:
            for client in (c, other, c, other, c):
                tasks.start_soon(work, client)

    assert most == 2
    assert await c.kv.keys(f"{key}/") == [f"{key}/.lock"]
    assert await sessions_of(c, key) == []


async def test_who_finds_it_full_waits_or_is_told(
    c: ConsulClient, other: ConsulClient, key: str, terms: ByClock
) -> None:
    second = Semaphore(other, key, 1, name=key, **terms)
    async with Semaphore(c, key, 1, **terms) as held:
        async with second.try_acquire() as tried:
            pass
        with pytest.raises(LockTimeoutError, match="a place in the semaphore") as raised:
            async with second.acquire(timeout=0.1):
                pytest.fail("it is full")
        held.check()

        assert tried is None
        assert raised.value.key == f"{key}/.lock"
        assert await sessions_of(c, key) == []
    async with second.try_acquire() as tried:
        assert tried is not None


@pytest.mark.parametrize("how", ["destroy", "delete", "unlist", "break"])
async def test_the_block_is_cancelled_when_its_place_is_gone(
    c: ConsulClient, other: ConsulClient, key: str, how: str, terms: ByClock
) -> None:
    with anyio.fail_after(100), pytest.raises(LockLostError):
        async with Semaphore(c, key, 2, **terms) as held:
            await waits(c)
            match how:
                case "destroy":
                    await other.session.destroy(held.session)
                case "delete":
                    await other.kv.delete(held.key)
                case "unlist":
                    empty = json.dumps({"Limit": 2, "Holders": None})
                    await other.kv.put(f"{key}/.lock", empty, flags=SEMAPHORE_FLAG)
                case _:
                    await other.kv.put(f"{key}/.lock", b"{}", flags=SEMAPHORE_FLAG)
            with pytest.raises(anyio.get_cancelled_exc_class()):
                await anyio.sleep_forever()
            await anyio.lowlevel.checkpoint()


async def test_who_lost_its_place_writes_nothing(
    c: ConsulClient, other: ConsulClient, key: str, terms: ByClock
) -> None:
    with pytest.raises(FencedError):
        async with Semaphore(c, key, 2, **terms) as held:
            await held.txn().kv.set(f"{key}-data", b"1").commit()
            with anyio.CancelScope(shield=True):
                await other.session.destroy(held.session)
                await held.txn().kv.set(f"{key}-data", b"2").commit()

    pair = await c.kv.get(f"{key}-data")
    assert pair is not None
    assert pair.value == b"1"


async def test_a_dead_holder_has_no_place(c: ConsulClient, key: str, terms: ByClock) -> None:
    dead = json.dumps({"Limit": 1, "Holders": {"1e9c36cc-4d5c-4b0f-8a55-5f0b0f6d1d11": True}})
    await c.kv.put(f"{key}/.lock", dead, flags=SEMAPHORE_FLAG)

    async with Semaphore(c, key, 1, **terms) as held:
        now = await listed(c, key)

    assert now == {"Limit": 1, "Holders": {held.session: True}}


@pytest.mark.parametrize(
    ("value", "flags", "why"),
    [
        ('{"Limit": 2, "Holders": {}}', SEMAPHORE_FLAG, "its limit is 2, and not 3"),
        ('{"Limit": 3, "Holders": {}}', 7, "its flags are 0x7"),
        ("", 7, "its flags are 0x7"),
        ("no JSON", SEMAPHORE_FLAG, "its value is not that of one"),
        ("[3]", SEMAPHORE_FLAG, "its value is not that of one"),
        ('{"Limit": 3}', SEMAPHORE_FLAG, "its value is not that of one"),
        ('{"Limit": 3, "Holders": 7}', SEMAPHORE_FLAG, "its value is not that of one"),
    ],
)
async def test_keys_that_are_another_thing_are_left_alone(
    c: ConsulClient, key: str, value: str, flags: int, why: str, terms: ByClock
) -> None:
    await c.kv.put(f"{key}/.lock", value, flags=flags)

    with pytest.raises(LockConflictError, match=why) as raised:
        async with Semaphore(c, key, 3, name=key, **terms):
            pytest.fail("it is another thing")

    assert raised.value.key == f"{key}/.lock"
    assert await sessions_of(c, key) == []


async def test_an_empty_list_of_holders_has_none(c: ConsulClient, key: str, terms: ByClock) -> None:
    await c.kv.put(f"{key}/.lock", b"", flags=SEMAPHORE_FLAG)

    async with Semaphore(c, key, 1, **terms) as held:
        held.check()


@pytest.mark.parametrize("limit", [0, -1, 1.5, True, "3"])
def test_a_limit_is_a_whole_number_from_one_on(limit: object) -> None:
    with pytest.raises(InvalidRequestError, match="limit of a semaphore"):
        Semaphore(ConsulClient(), "slots", limit)  # type: ignore[arg-type]


def test_a_semaphore_says_what_it_is() -> None:
    assert repr(Semaphore(ConsulClient(), "slots/", 3)) == "<Semaphore 'slots' limit=3>"


async def test_a_try_whose_answer_was_lost_is_found_among_the_holders(
    c: ConsulClient, key: str, terms: ByClock
) -> None:
    # The first try is carried out twice: as who never heard of the first.
    semaphore = Semaphore(c, key, 1, **terms)
    contest = semaphore._contest
    session = await contest._keeper.create()
    seen = await contest._rules.read(c)
    first = await contest._rules.take(c, seen, session.id)
    seen = await contest._rules.read(c)

    assert contest._rules.is_free(seen, session.id)
    assert not contest._rules.is_free(seen, None)
    again = await contest._rules.take(c, seen, session.id)
    await session.end(lambda: contest._rules.give_back(c, session.id))

    assert again.modify_index >= first.modify_index
    assert await listed(c, key) == {"Limit": 1, "Holders": {}}


async def test_holders_here_and_of_consuls_own_count_together(
    agent: Agent, c: ConsulClient, key: str
) -> None:
    command = consul_lock(agent, f"{key}/.lock", "-n=2", "echo running; sleep 30")
    with anyio.fail_after(100):
        async with await anyio.open_process(command, env=clean_environment()) as theirs:
            assert theirs.stdout is not None
            assert await theirs.stdout.receive() == b"running\n"
            async with Semaphore(c, key, 2).try_acquire() as first:
                async with Semaphore(c, key, 2).try_acquire() as second:
                    pass
                command = consul_lock(agent, f"{key}/.lock", "-n=2", "-try=500ms", "echo ran")
                third = await anyio.run_process(command, check=False, env=clean_environment())
                if first is not None:
                    first.check()
            theirs.terminate()
            await theirs.wait()
        async with Semaphore(c, key, 2) as one, Semaphore(c, key, 2) as two:
            assert one.session != two.session

    assert first is not None
    assert second is None
    assert (third.returncode, third.stdout) == (1, b"")
