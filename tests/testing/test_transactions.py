"""All of a transaction, or nothing; and who hears of it."""

from __future__ import annotations

import anyio
import pytest

from consul_onex import ConsulClient, Cursor, TransactionError
from consul_onex.testing import Clock, FakeAgent


async def test_what_was_rolled_back_answers_nobody() -> None:
    clock = Clock()
    agent = FakeAgent(clock=clock)
    async with ConsulClient(transport=agent) as c:
        await c.kv.put("a", "1")
        cursor = Cursor()
        await c.kv.get("a", cursor=cursor)
        woken: list[float] = []
        before = woken

        async def wait() -> None:
            await c.kv.get("a", cursor=cursor)
            woken.append(clock.time())

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait)
            await clock.advance(1)
            with pytest.raises(TransactionError):
                await c.txn.begin().kv.set("a", "2").kv.delete("b").kv.get("none").commit()
            await clock.advance(1)
            before = list(woken)
            await c.txn.begin().kv.set("a", "3").commit()

        pair = await c.kv.get("a")

    assert (before, woken) == ([], [2])
    assert pair is not None
    assert (pair.value, pair.modify_index) == (b"3", pair.create_index + 2)


async def test_an_index_that_is_still_the_one_is_no_error() -> None:
    async with ConsulClient(transport=FakeAgent()) as c:
        made = (await c.txn.begin().kv.cas("a", "1", 0).commit()).pairs[0]

        checked = await c.txn.begin().kv.check_index("a", made.modify_index).commit()

    assert checked.pairs == [made]


async def test_a_session_that_was_not_ended_after_all_still_expires() -> None:
    clock = Clock()
    node = {"Node": {"Verb": "delete", "Node": {"Node": "dev"}}}
    failing = {"KV": {"Verb": "get", "Key": "none"}}
    async with ConsulClient(transport=FakeAgent(clock=clock)) as c:
        session = await c.session.create(ttl=10)
        with pytest.raises(TransactionError):
            await c.request("PUT", "/v1/txn", json=[node, failing])

        await clock.advance(19)
        alive = await c.session.list()
        await clock.advance(1)

        assert [one.id for one in alive] == [session]
        assert await c.session.list() == []
