"""An election: who leads, who sees it, how it ends."""

# A block that is cancelled is what is tested here: it has more than one statement, and what it
# binds is bound.
# ruff: noqa: PT012

from __future__ import annotations

from datetime import UTC, datetime

import anyio
import anyio.lowlevel
import pytest

from consul_onex import (
    ConsulClient,
    Cursor,
    KVPair,
    LockLostError,
    LockTimeoutError,
    QueryMeta,
    Watch,
)
from consul_onex.recipes import Election, Leader, Leaders, Lock, SessionState
from tests.recipes.support import Bench, ByClock, Timed
from tests.recipes.test_lock import sessions_of, waits

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)


async def test_who_leads_is_seen_by_everybody_with_the_time_it_began(
    c: ConsulClient, other: ConsulClient, key: str, terms: ByClock
) -> None:
    leaders = Election(other, key, "observer", **terms).observe()
    seen = [leaders.latest, await anext(leaders)]
    async with Election(c, key, "node-7", today=lambda: NOON, **terms) as term:
        seen.append(await anext(leaders))
        await term.txn().kv.set(f"{key}/data", b"1").commit()
        term.check()
        states = (term.state, term.left > 10, term.lost.is_set())
    seen.append(await anext(leaders))

    assert seen == [None, None, Leader("node-7", NOON, term.held.session), None]
    assert leaders.latest is None
    assert states == (SessionState.HELD, True, False)
    assert term.token == term.held.token


async def test_an_observer_does_not_hear_of_what_a_leader_writes_to_its_key() -> None:
    said = b'{"candidate": "a", "since": "2026-05-04T12:00:00+00:00"}'
    history = [
        KVPair(key="leader", value=said, session="1", modify_index=7),
        KVPair(key="leader", value=said + b" ", session="1", modify_index=8),
        KVPair(key="leader", value=said, session="2", modify_index=9),
    ]

    async def read(cursor: Cursor) -> KVPair | None:
        pair = history.pop(0)
        cursor.advance(QueryMeta(index=pair.modify_index))
        return pair

    leaders = Leaders(Watch(read))
    seen = []
    async for leader in leaders:
        seen.append(leader)
        if len(seen) == 2:
            break

    assert seen == [Leader("a", NOON, "1"), Leader("a", NOON, "2")]


async def test_the_next_one_leads_when_the_first_resigns(
    c: ConsulClient, other: ConsulClient, key: str, terms: ByClock
) -> None:
    order: list[str] = []

    async def second() -> None:
        async with Election(other, key, "b", **terms) as term:
            order.append("b leads")
            tokens.append(term.token)

    tokens: list[int] = []
    with anyio.fail_after(100):
        async with anyio.create_task_group() as tasks:
            async with Election(c, key, "a", name=key, **terms) as term:
                tokens.append(term.token)
                tasks.start_soon(second)
                await waits(other)
                term.resign()
                await anyio.sleep_forever()
            order.append("a has resigned")

    assert order[0] == "a has resigned" or order == ["b leads", "a has resigned"]
    assert sorted(tokens) == tokens
    assert await sessions_of(c, key) == []


async def test_a_campaign_that_takes_too_long_is_an_error(
    c: ConsulClient, other: ConsulClient, key: str, terms: ByClock
) -> None:
    async with Election(c, key, "a", **terms) as term:
        with pytest.raises(LockTimeoutError):
            async with Election(other, key, "b", **terms).campaign(timeout=0.1):
                pytest.fail("another one leads")
        term.check()


async def test_a_leader_that_is_deposed_is_cancelled(
    c: ConsulClient, other: ConsulClient, key: str, terms: ByClock
) -> None:
    with anyio.fail_after(100), pytest.raises(LockLostError):
        async with Election(c, key, "a", **terms) as term:
            await other.kv.release(key, term.held.session)
            await anyio.sleep_forever()


async def test_a_leader_that_fails_does_not_hide_it(
    b: ConsulClient, bench: Bench, timed: Timed
) -> None:
    with pytest.raises(ValueError, match="mine"):
        async with Election(b, "leader", "a", **timed):
            raise ValueError("mine")

    assert "Session" not in bench.keys["leader"]


@pytest.mark.parametrize(
    ("value", "candidate"),
    [
        (b"node-7", "node-7"),
        (b"\xff", "�"),
        (b'{"candidate": "x"}', '{"candidate": "x"}'),
        (b'{"candidate": "x", "since": 7}', '{"candidate": "x", "since": 7}'),
        (b'{"candidate": "x", "since": "noon"}', '{"candidate": "x", "since": "noon"}'),
        (b"[]", "[]"),
    ],
)
async def test_a_leader_of_another_client_is_what_its_key_holds(
    c: ConsulClient, key: str, value: bytes, candidate: str, terms: ByClock
) -> None:
    async with Lock(c, key, value=value, **terms) as held:
        leader = await anext(Election(c, key, "a", **terms).observe())

    assert leader == Leader(candidate, None, held.session)


async def test_an_election_and_its_term_say_what_they_are(b: ConsulClient, timed: Timed) -> None:
    election = Election(b, "leader", "a", **timed)
    async with election as term:
        shown = repr(term)

    assert repr(election) == "<Election 'leader' candidate='a'>"
    assert shown == f"<Term <Held 'leader' token={term.token} held left=13.5>>"
