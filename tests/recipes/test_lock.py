"""A lock: who gets it, what the holder knows, when it is lost, what is left afterwards."""

# A block that is cancelled is what is tested here: it has more than one statement, and what it
# binds is bound.
# ruff: noqa: PT012
# pyright: reportPossiblyUnboundVariable=false

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import httpx
import pytest

from consul_onex import (
    BadRequestError,
    CircuitOpenError,
    ConsulClient,
    ConsulConnectionError,
    FencedError,
    InvalidKeyError,
    InvalidRequestError,
    KVPair,
    LockConflictError,
    LockLostError,
    LockTimeoutError,
    PermissionDeniedError,
    TransactionError,
)
from consul_onex.recipes import Held, Lock, SessionState
from consul_onex.recipes.lock import LOCK_FLAG
from consul_onex.testing import Clock as FakeClock
from consul_onex.testing import FakeAgent
from consul_onex.transport import Breaker, Limit
from tests.recipes.support import Bench, ByClock, Clock, Timed, down, lost
from tests.support.agents import HOST, Agent, clean_environment


async def read(c: ConsulClient, key: str) -> KVPair:
    pair = await c.kv.get(key)
    assert pair is not None
    return pair


async def sessions_of(c: ConsulClient, name: str) -> list[str]:
    return [entry.id for entry in await c.session.list() if entry.name.startswith(name)]


# -- who gets it -----------------------------------------------------------------------------------


async def test_a_lock_shows_its_holder_as_consuls_own_client_would(
    c: ConsulClient, key: str, terms: ByClock
) -> None:
    async with Lock(c, key, value="me", ttl=20, **terms) as held:
        pair = await read(c, key)
        session = await c.session.info(held.session)

    assert (pair.session, pair.flags, pair.text()) == (held.session, LOCK_FLAG, "me")
    assert LOCK_FLAG == 3304740253564472344
    assert held.token == pair.modify_index
    assert session is not None
    assert session.name.startswith("Consul API Lock ")
    assert (session.ttl, session.lock_delay, session.node_checks) == (20, 20, [])


async def test_one_at_a_time_holds_it(
    c: ConsulClient, other: ConsulClient, key: str, terms: ByClock
) -> None:
    inside = 0
    most = 0
    tokens: list[int] = []

    async def work(client: ConsulClient) -> None:
        nonlocal inside, most
        for _ in range(3):
            async with Lock(client, key, **terms) as held:
                inside += 1
                most = max(most, inside)
                await client.kv.put(f"{key}/side", b"")
                tokens.append(held.token)
                inside -= 1

    with anyio.fail_after(100):
        async with anyio.create_task_group() as tasks:
            for client in (c, other, c, other, c):
                tasks.start_soon(work, client)

    assert most == 1
    assert len(tokens) == 15
    assert tokens == sorted(set(tokens))


@pytest.mark.parametrize("behavior", ["release", "delete"])
async def test_tokens_rise_from_holder_to_holder_whatever_happens_to_the_key(
    agent: Agent, c: ConsulClient, key: str, behavior: str
) -> None:
    tokens: list[int] = []
    lock = Lock(c, key, behavior=behavior, name=key)
    for turn in range(100):
        async with lock as held:
            tokens.append(held.token)
        if turn % 3 == 0:
            await c.kv.delete(key)

    assert tokens == sorted(set(tokens))
    assert await sessions_of(c, key) == []


async def test_trying_gives_none_while_somebody_else_has_it(
    c: ConsulClient, other: ConsulClient, key: str, terms: ByClock
) -> None:
    lock = Lock(other, key, name=key, **terms)
    async with Lock(c, key, **terms) as held:
        async with lock.try_acquire() as second:
            during = await sessions_of(c, key)
        held.check()
    async with lock.try_acquire() as third:
        assert third is not None
        third.check()

    assert (second, during) == (None, [])
    assert await sessions_of(c, key) == []


async def test_waiting_too_long_is_an_error_and_the_block_does_not_run(
    c: ConsulClient, other: ConsulClient, key: str, terms: ByClock
) -> None:
    async with Lock(c, key, **terms):
        with pytest.raises(LockTimeoutError, match="not free within 0.1 s") as raised:
            async with Lock(other, key, name=key, **terms).acquire(timeout=0.1):
                pytest.fail("it is held by somebody else")

    assert raised.value.key == key
    assert await sessions_of(c, key) == []


async def test_it_waits_for_its_turn_and_has_no_session_until_then(
    c: ConsulClient, other: ConsulClient, key: str, terms: ByClock
) -> None:
    async def wait() -> None:
        async with Lock(other, key, name=key, **terms):
            order.append("got")

    order: list[str] = []
    async with anyio.create_task_group() as tasks, Lock(c, key, **terms):
        tasks.start_soon(wait)
        await waits(other)
        order.append("left")
        assert await sessions_of(c, key) == []

    assert order == ["left", "got"]
    assert await sessions_of(c, key) == []


async def test_who_waits_gets_it_at_once(
    c: ConsulClient,
    other: ConsulClient,
    key: str,
    terms: ByClock,
    now: Callable[[], float],
    at_once: float,
) -> None:
    left: list[float] = []
    got: list[float] = []

    async def wait() -> None:
        async with Lock(other, key, **terms).acquire(timeout=10):
            got.append(now())

    for _ in range(5):
        async with anyio.create_task_group() as tasks, Lock(c, key, **terms):
            tasks.start_soon(wait)
            await waits(other)
            left.append(now())

    assert max(b - a for a, b in zip(left, got, strict=True)) <= at_once


async def waits(c: ConsulClient) -> None:
    """Until a client waits for something to change."""
    while not blocking(c):
        await anyio.lowlevel.checkpoint()


def blocking(c: ConsulClient) -> int:
    limit = c.statistics().limit
    return limit.blocking if limit else 0


# -- the value of the key --------------------------------------------------------------------------


async def test_a_key_keeps_its_value_and_what_is_written_to_it_meanwhile(
    c: ConsulClient, key: str, terms: ByClock
) -> None:
    await c.kv.put(key, b"state", flags=LOCK_FLAG)
    async with Lock(c, key, **terms):
        first = (await read(c, key)).value
        await c.kv.put(key, b"new state", flags=LOCK_FLAG)
    pair = await read(c, key)

    assert first == b"state"
    assert (pair.value, pair.flags, pair.session) == (b"new state", LOCK_FLAG, None)


async def test_a_value_may_be_said_when_the_lock_is_taken(
    c: ConsulClient, key: str, terms: ByClock
) -> None:
    lock = Lock(c, key, value=lambda: str(len(turns)), **terms)
    turns: list[str] = []
    for _ in range(2):
        async with lock:
            turns.append((await read(c, key)).text())

    assert turns == ["0", "1"]
    assert (await read(c, key)).text() == "1"


async def test_a_key_that_is_no_lock_is_left_alone(
    c: ConsulClient, key: str, terms: ByClock
) -> None:
    await c.kv.put(key, b"data", flags=7)

    for context in (Lock(c, key, name=key, **terms), Lock(c, key, name=key, **terms).try_acquire()):
        with pytest.raises(LockConflictError, match="no lock: its flags are 0x7") as raised:
            async with context:
                pytest.fail("it is no lock")
        assert raised.value.key == key

    assert (await read(c, key)).value == b"data"
    assert await sessions_of(c, key) == []


@pytest.mark.parametrize("name", ["", "a//b", "../agent/leave", "/a"])
async def test_a_key_that_no_url_can_name_is_refused(c: ConsulClient, name: str) -> None:
    with pytest.raises(InvalidKeyError):
        async with Lock(c, name):
            pytest.fail("there is no such key")


async def test_a_ttl_that_consul_refuses_is_an_error(
    c: ConsulClient, key: str, terms: ByClock
) -> None:
    with pytest.raises(BadRequestError, match="Session TTL"):
        async with Lock(c, key, ttl=100_000, **terms):
            pytest.fail("it has no session")


async def test_an_error_in_saying_the_value_is_raised_as_it_is_and_leaves_nothing(
    c: ConsulClient, key: str, terms: ByClock
) -> None:
    def value() -> str:
        raise LookupError("mine")

    lock = Lock(c, key, value=value, name=key, **terms)
    for context in (lock, lock.acquire(timeout=60), lock.try_acquire()):
        with pytest.raises(LookupError, match="mine"):
            async with context:
                pytest.fail("it is not held")

    assert await sessions_of(c, key) == []


async def test_a_lock_that_was_lost_can_be_had_again(
    c: ConsulClient, other: ConsulClient, key: str, terms: ByClock
) -> None:
    lock = Lock(c, key, name=key, **terms)
    with pytest.raises(LockLostError):
        async with lock as first:
            await other.kv.release(key, first.session)
            await anyio.sleep_forever()
    async with lock as second:
        second.check()

    assert second.token > first.token
    assert await sessions_of(c, key) == []


async def test_one_task_cannot_wait_for_itself(c: ConsulClient, key: str, terms: ByClock) -> None:
    lock = Lock(c, key, **terms)
    async with lock:
        with pytest.raises(InvalidRequestError, match="inside of this Lock already"):
            async with lock:
                pytest.fail("it would wait for ever")


# -- writing as the holder -------------------------------------------------------------------------


async def test_the_holder_writes_and_a_deposed_one_does_not(
    c: ConsulClient, other: ConsulClient, key: str, terms: ByClock
) -> None:
    data = f"{key}/data"
    with pytest.raises(FencedError, match="nothing was written") as raised:
        async with Lock(c, key, **terms) as first:
            result = await first.txn().kv.set(data, b"1").commit()
            fenced = first.txn().kv.set(data, b"old")
            # No lock-delay: the key is free at once, and so is the next one to lead.
            with anyio.CancelScope(shield=True):
                await other.kv.release(key, first.session)
                async with Lock(other, key, **terms) as second:
                    await second.txn().kv.set(data, b"2").commit()
                    await fenced.commit()

    assert [pair.key for pair in result.pairs] == [key, data]
    assert (await read(c, data)).value == b"2"
    assert (raised.value.key, raised.value.operation) == (key, "txn.commit")
    assert isinstance(raised.value, LockLostError)


async def test_a_fenced_write_that_fails_for_another_reason_says_so(
    c: ConsulClient, key: str, terms: ByClock
) -> None:
    async with Lock(c, key, **terms) as held:
        with pytest.raises(TransactionError) as raised:
            await held.txn().kv.cas(f"{key}/data", b"1", 12345).commit()
        held.check()

    assert not isinstance(raised.value, FencedError)
    assert [error.index for error in raised.value.errors] == [1]


async def test_a_fenced_write_that_the_token_may_not_make_is_no_loss(
    b: ConsulClient, bench: Bench, timed: Timed
) -> None:
    said = {"Errors": [{"OpIndex": 0, "What": "Permission denied"}]}
    async with Lock(b, "lock", **timed) as held:
        refused = bench.failing("txn", httpx.Response(409, json=said))
        with refused, pytest.raises(TransactionError) as raised:
            await held.txn().kv.set("data", b"").commit()
        held.check()

    assert not isinstance(raised.value, FencedError)


async def test_what_consul_refuses_as_fenced_is_a_loss(
    b: ConsulClient, bench: Bench, timed: Timed
) -> None:
    # The watch of the key hangs, so only the write tells.
    with pytest.raises(FencedError, match="failed session check") as raised:
        async with Lock(b, "lock", **timed) as held:
            bench.keys["lock"]["Session"] = "somebody else"
            await held.txn().kv.set("data", b"").commit()

    assert isinstance(raised.value.__cause__, TransactionError)
    assert held.lost.is_set()
    assert "data" not in bench.keys


async def test_what_a_former_holder_remembers_is_not_written_over_the_next_ones(
    c: ConsulClient, other: ConsulClient, key: str, terms: ByClock
) -> None:
    """Two nodes of Vault were active, each with a memory of its own (hashicorp/vault#23013)."""
    data, acknowledged = f"{key}-data", dict[str, int]()

    async def remembered() -> dict[str, int]:
        pair = await c.using(consistency="consistent").kv.get(data)
        return pair.parse(dict[str, int]) if pair is not None else {}

    async def patch(held: Held, memory: dict[str, int], name: str) -> None:
        memory[name] = 1
        await held.txn().kv.set(data, json.dumps(memory)).commit()
        acknowledged[name] = 1

    with pytest.raises(LockLostError):
        async with Lock(c, key, **terms) as held:
            memory = await remembered()
            # It goes on as long as it can, and does not look whether it still may.
            with anyio.CancelScope(shield=True):
                await patch(held, memory, "a")
                await other.kv.release(key, held.session)
                async with Lock(other, key, **terms) as others:
                    await patch(others, await remembered(), "b")
                    with pytest.raises(FencedError):
                        await patch(held, memory, "c")
                with pytest.raises(LockLostError):
                    await patch(held, memory, "d")
    async with Lock(c, key, **terms) as held:
        await patch(held, await remembered(), "e")

    assert await remembered() == acknowledged == {"a": 1, "b": 1, "e": 1}


async def test_a_lock_that_was_given_back_writes_nothing_and_sends_nothing(
    b: ConsulClient, bench: Bench, timed: Timed
) -> None:
    async with Lock(b, "lock", **timed) as held:
        fenced = held.txn().kv.set("data", b"")
    sent = len(bench.requests)

    with pytest.raises(FencedError, match="given back"):
        await fenced.commit()
    with pytest.raises(LockLostError, match="given back"):
        held.check()

    assert len(bench.requests) == sent
    assert (held.state, held.left, held.lost.is_set()) == (SessionState.LOST, 0, True)


# -- how it is lost --------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["destroy", "release", "delete", "take away"])
async def test_the_block_is_cancelled_at_once_when_an_operator_ends_it(
    c: ConsulClient,
    other: ConsulClient,
    key: str,
    how: str,
    terms: ByClock,
    now: Callable[[], float],
    at_once: float,
) -> None:
    took = 0.0
    with pytest.raises(LockLostError, match="does not hold it"):
        # It is not the next renewal that tells.
        async with Lock(c, key, ttl=60, **terms) as held:
            await waits(c)
            started = now()
            match how:
                case "destroy":
                    await other.session.destroy(held.session)
                case "release":
                    await other.kv.release(key, held.session)
                case "delete":
                    await other.kv.delete(key)
                case _:
                    await other.kv.release(key, held.session)
                    await other.kv.acquire(key, await other.session.create(ttl=10))
            try:
                await anyio.sleep_forever()
            finally:
                took = now() - started

    assert took <= at_once


async def test_errors_of_consul_are_no_loss(
    b: ConsulClient, bench: Bench, clock: Clock, timed: Timed
) -> None:
    """Nor is a token refused that is good (hashicorp/consul#23732)."""
    async with Lock(b, "lock", ttl=15, **timed) as held:
        with bench.failing("/v1", httpx.Response(403, text="Permission denied")):
            bench.change()
            await clock.advance(13)
            held.check()
            states, lefts = [held.state], [held.left]
        await clock.advance(1)
        held.check()
        states.append(held.state)
        lefts.append(held.left)

    assert states == [SessionState.JEOPARDY, SessionState.HELD]
    assert lefts == pytest.approx([0.5, 12.75])
    assert "Session" not in bench.keys["lock"]


@pytest.mark.parametrize("reached", [True, False])
async def test_a_lock_that_is_lost_keeps_no_session_alive(
    b: ConsulClient, bench: Bench, clock: Clock, timed: Timed, reached: bool
) -> None:
    """One that is still renewed keeps everybody out for ever (hashicorp/consul#2371)."""
    with pytest.raises(LockLostError):
        async with Lock(b, "lock", ttl=15, **timed) as held:
            if reached:
                bench.keys["lock"]["Session"] = "somebody else's"
                bench.change("lock")
            else:
                bench.fault = lambda method, path: httpx.ConnectError("")
                await clock.advance(15)
            await anyio.sleep_forever()
    bench.fault = lambda method, path: None
    sent = len(bench.requests)

    await clock.advance(60)

    assert len(bench.requests) == sent
    assert list(bench.sessions) == ([] if reached else [held.session])


async def test_what_another_follower_saw_before_is_no_loss(
    b: ConsulClient, bench: Bench, clock: Clock, timed: Timed
) -> None:
    # Equal watches of one client share a query: here one that began before the lock was taken.
    watch = b.using(wait=15, consistency="consistent").kv.watch("lock")
    seen = [await anext(watch)]
    late = anyio.Event()
    bench.after = lambda method, path: late if method == "GET" and "lock" in bench.keys else None

    async def follow() -> None:
        seen.append(await anext(watch))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(follow)
        await anyio.wait_all_tasks_blocked()
        with pytest.raises(LockLostError, match="does not hold it"):
            await hold_until_lost(Lock(b, "lock", **timed), bench, clock, late)

    assert [pair and pair.session is not None for pair in seen] == [None, True]


async def hold_until_lost(lock: Lock, bench: Bench, clock: Clock, late: anyio.Event) -> None:
    async with lock.try_acquire() as held:
        assert held is not None
        await clock.advance(1)
        held.check()
        late.set()
        await clock.advance(1)
        held.check()
        # Somebody writes to the key.
        bench.keys["lock"]["Value"] = "bmV3"
        bench.change("lock")
        await clock.advance(1)
        held.check()
        bench.end(held.session)
        await anyio.sleep_forever()


async def test_a_key_that_cannot_be_followed_is_followed_again(
    b: ConsulClient, bench: Bench, clock: Clock, timed: Timed
) -> None:
    with pytest.raises(LockLostError, match="does not hold it"):
        async with Lock(b, "lock", ttl=15, **timed) as held:
            with bench.failing("/kv/", httpx.Response(400, text="what?")):
                bench.change()
                await clock.advance(3)
            bench.end(held.session)
            await clock.advance(1.5)
            await anyio.sleep_forever()


async def test_the_block_ends_at_the_deadline_when_nothing_answers(
    b: ConsulClient, bench: Bench, clock: Clock, timed: Timed
) -> None:
    started, times = clock.time, []

    async def hold() -> None:
        with pytest.raises(LockLostError, match="not renewed in time"):
            async with Lock(b, "lock", ttl=10, **timed):
                bench.fault = lambda method, path: anyio.Event()
                try:
                    await anyio.sleep_forever()
                finally:
                    times.append(clock.time - started)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(hold)
        await clock.advance(20)

    assert times == [pytest.approx(9)]


# -- waiting while things go wrong -----------------------------------------------------------------


class Contender:
    """One who wants the lock, in a task of its own, and lets go of it when told."""

    def __init__(self, lock: Lock) -> None:
        self.held: Held | None = None
        self.let_go = anyio.Event()
        self.error: Exception | None = None
        self._lock = lock

    async def run(self) -> None:
        try:
            async with self._lock.acquire(timeout=100) as self.held:
                await self.let_go.wait()
        except Exception as error:  # noqa: BLE001
            self.error = error


async def test_a_lock_that_is_held_back_is_tried_now_and_then(
    b: ConsulClient, bench: Bench, clock: Clock, timed: Timed
) -> None:
    contender = Contender(Lock(b, "lock", ttl=15, **timed))
    bench.delayed = True
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(contender.run)
        await clock.advance(12.1)
        tried, renewed, waiting = bench.count("txn"), bench.count("renew"), contender.held
        bench.delayed = False
        await clock.advance(0.5)
        won = contender.held
        contender.let_go.set()

    # Every half second, and never twice at once; its session is renewed meanwhile.
    assert (tried, renewed, waiting) == (25, 2, None)
    assert won is not None
    assert (bench.count("create"), bench.sessions) == (1, {})


@pytest.mark.parametrize(
    ("part", "fault"),
    [
        ("create", httpx.Response(500, text="No cluster leader")),
        ("create", httpx.Response(500, text="EOF")),
        ("txn", httpx.Response(500, text="No cluster leader")),
        ("txn", httpx.Response(500, text="EOF")),
        ("txn", lost()),
        ("txn", httpx.Response(409, json={"Errors": [{"OpIndex": 0, "What": "invalid session"}]})),
    ],
    ids=repr,
)
async def test_what_passes_is_waited_out(
    b: ConsulClient, bench: Bench, clock: Clock, timed: Timed, part: str, fault: Any
) -> None:
    contender = Contender(Lock(b, "lock", **timed))
    async with anyio.create_task_group() as tasks:
        with bench.failing(part, fault):
            tasks.start_soon(contender.run)
            await clock.advance(2)
            waiting = contender.held
        await clock.advance(1)
        won = contender.held
        contender.let_go.set()

    assert waiting is None
    assert won is not None
    assert bench.sessions == {}


async def test_a_try_whose_answer_was_lost_has_won_when_the_key_says_so(
    b: ConsulClient, bench: Bench, clock: Clock, timed: Timed
) -> None:
    contender = Contender(Lock(b, "lock", **timed))
    async with anyio.create_task_group() as tasks:
        bench.after = lambda method, path: lost() if "txn" in path else None
        tasks.start_soon(contender.run)
        await clock.advance(0.1)
        taken = bench.keys["lock"]["Session"]
        bench.after = lambda method, path: None
        await clock.advance(1)
        won = contender.held
        contender.let_go.set()

    assert won is not None
    assert (won.session, bench.count("create")) == (taken, 1)


async def test_an_open_circuit_keeps_nobody_from_a_lock_and_nobody_in_it(
    bench: Bench, timed: Timed
) -> None:
    async with ConsulClient(transport=bench, layers=[Breaker(1, 1e6), Limit()]) as b:
        with bench.failing("/kv/", lost()), pytest.raises(ConsulConnectionError):
            await b.kv.get("other")
        async with Lock(b, "lock", **timed) as held:
            held.check()
            # What is written is not the lock's to decide.
            with pytest.raises(CircuitOpenError):
                await held.txn().kv.set("data", b"").commit()

    assert "Session" not in bench.keys["lock"]
    assert bench.sessions == {}


@pytest.mark.parametrize("renewable", [True, False])
async def test_a_contender_whose_session_ended_makes_another(
    b: ConsulClient, bench: Bench, clock: Clock, timed: Timed, renewable: bool
) -> None:
    contender = Contender(Lock(b, "lock", ttl=15, **timed))
    bench.delayed = True
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(contender.run)
        await clock.advance(2 if renewable else 4.9)
        bench.end(next(iter(bench.sessions)))
        await clock.advance(1)
        bench.delayed = False
        await clock.advance(1)
        won = contender.held
        contender.let_go.set()

    assert won is not None
    assert (bench.count("create"), bench.sessions) == (2, {})


@pytest.mark.parametrize("part", ["/kv/", "create", "txn"])
async def test_what_does_not_pass_is_raised_and_leaves_nothing(
    b: ConsulClient, bench: Bench, timed: Timed, part: str
) -> None:
    answer = httpx.Response(400, text="what?")
    for context in (Lock(b, "lock", **timed), Lock(b, "lock", **timed).try_acquire()):
        with bench.failing(part, answer), pytest.raises(BadRequestError):
            async with context:
                pytest.fail("it is not held")

    assert bench.sessions == {}


async def test_a_refused_token_is_raised(b: ConsulClient, bench: Bench, timed: Timed) -> None:
    with (
        bench.failing("create", httpx.Response(403, text="Permission denied")),
        pytest.raises(PermissionDeniedError),
    ):
        async with Lock(b, "lock", **timed):
            pytest.fail("it is not held")


async def test_trying_loses_against_who_is_faster(
    b: ConsulClient, bench: Bench, timed: Timed
) -> None:
    bench.delayed = True
    async with Lock(b, "lock", **timed).try_acquire() as held:
        pass

    assert held is None
    assert bench.sessions == {}


async def test_the_time_of_waiting_goes_by_the_clock(
    b: ConsulClient, bench: Bench, clock: Clock, timed: Timed
) -> None:
    contender = Contender(Lock(b, "lock", **timed))
    async with Lock(b, "lock", **timed), anyio.create_task_group() as tasks:
        tasks.start_soon(contender.run)
        await clock.advance(99.9)
        before = contender.error
        await clock.advance(0.2)

    assert before is None
    assert isinstance(contender.error, LockTimeoutError)


async def test_a_contender_that_is_cancelled_after_its_try_gives_back_what_it_may_have(
    b: ConsulClient, bench: Bench, clock: Clock, timed: Timed
) -> None:
    bench.after = lambda method, path: anyio.Event() if "txn" in path else None
    contender = Contender(Lock(b, "lock", **timed))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(contender.run)
        await anyio.wait_all_tasks_blocked()
        taken = dict(bench.keys["lock"])
        tasks.cancel_scope.cancel()

    assert "Session" in taken
    assert "Session" not in bench.keys["lock"]
    # Released before its session ended, or it would stay closed for a while.
    order = [one for one in bench.requests if "release" in one or "destroy" in one]
    assert "release" in order[0]
    assert bench.sessions == {}


async def test_what_is_won_too_late_is_not_won(
    b: ConsulClient, bench: Bench, clock: Clock, timed: Timed
) -> None:
    def late(method: str, path: str) -> None:
        if "txn" in path and bench.count("txn") == 1:
            clock.time += 14

    bench.after = late
    contender = Contender(Lock(b, "lock", ttl=15, **timed))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(contender.run)
        await clock.advance(0)
        await clock.advance(3)
        won = contender.held
        contender.let_go.set()

    assert won is not None
    assert won.session == bench.made[1]
    assert bench.sessions == {}


async def test_what_is_tried_for_and_won_too_late_is_none(
    b: ConsulClient, bench: Bench, clock: Clock, timed: Timed
) -> None:
    def late(method: str, path: str) -> None:
        clock.time += 14 * ("txn" in path)

    bench.after = late
    async with Lock(b, "lock", ttl=15, **timed).try_acquire() as held:
        pass

    assert held is None
    assert bench.sessions == {}
    assert "Session" not in bench.keys["lock"]


@pytest.mark.parametrize("outage", [0.0, 3.0])
async def test_what_could_not_be_given_back_is_given_back_by_the_next_who_wants_it(
    b: ConsulClient, bench: Bench, clock: Clock, timed: Timed, outage: float
) -> None:
    lock = Lock(b, "lock", **timed)
    first, contender = Contender(lock), Contender(lock)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(first.run)
        await clock.advance(1)
        bench.fault = lambda method, path: down()
        first.let_go.set()
        await clock.advance(5)
    left = bench.keys["lock"]["Session"]

    # The session is not over for Consul, which shows it as the holder.
    until = clock.time + outage
    bench.fault = lambda method, path: down() if method == "PUT" and clock.time < until else None
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(contender.run)
        await clock.advance(outage + 2)
        won = contender.held
        contender.let_go.set()

    assert first.held is not None
    assert won is not None
    assert left == first.held.session
    assert bench.sessions == {}


# -- how it ends -----------------------------------------------------------------------------------


async def free_at_once(c: ConsulClient, key: str, terms: ByClock) -> None:
    async with Lock(c, key, **terms).try_acquire() as held:
        assert held is not None
    assert await sessions_of(c, key) == []


async def test_an_error_of_the_block_goes_through_and_the_next_one_gets_it(
    c: ConsulClient, other: ConsulClient, key: str, terms: ByClock
) -> None:
    error = ValueError("mine")
    with pytest.raises(ValueError, match="mine") as raised:
        async with Lock(c, key, name=key, **terms):
            raise error

    assert raised.value is error
    await free_at_once(other, key, terms)


async def test_a_cancellation_from_outside_stays_one_and_the_next_one_gets_it(
    c: ConsulClient, other: ConsulClient, key: str, terms: ByClock
) -> None:
    with anyio.CancelScope() as scope:
        async with Lock(c, key, name=key, **terms):
            scope.cancel()
            await anyio.sleep_forever()

    assert scope.cancelled_caught
    await free_at_once(other, key, terms)


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_time_out_of_asyncio_stays_one_and_the_next_one_gets_it(
    c: ConsulClient, other: ConsulClient, key: str, terms: ByClock
) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(None) as timeout, Lock(c, key, name=key, **terms):
            timeout.reschedule(0)
            await anyio.sleep_forever()

    await free_at_once(other, key, terms)


async def test_a_hundred_cycles_leave_no_session_no_task_and_no_query(
    agent: Agent, c: ConsulClient, key: str
) -> None:
    before = {task.id for task in anyio.get_running_tasks()}
    lock = Lock(c, key, name=key)
    for _ in range(100):
        async with lock:
            pass

    statistics = c.statistics()
    assert statistics.limit is not None
    assert statistics.connections is not None
    assert (statistics.limit.blocking, statistics.limit.parked) == (0, 0)
    assert statistics.connections.active == 0
    assert statistics.connections.idle <= 3
    assert await sessions_of(c, key) == []
    assert {task.id for task in anyio.get_running_tasks()} == before


# -- beside Consul's own ---------------------------------------------------------------------------


def consul_lock(agent: Agent, key: str, *command: str) -> list[str | Path]:
    """Consul's own lock on `key`, which it calls by its prefix."""
    prefix = key.removesuffix("/.lock")
    address = f"-http-addr={HOST}:{agent.port}"
    return [agent.binary, "lock", address, *command[:-1], prefix, command[-1]]


async def test_consuls_own_lock_does_not_get_what_is_held_here(
    agent: Agent, c: ConsulClient, key: str
) -> None:
    lock = f"{key}/.lock"
    async with Lock(c, lock) as held:
        command = consul_lock(agent, lock, "-try=500ms", "echo ran")
        theirs = await anyio.run_process(command, check=False, env=clean_environment())
        held.check()
    command = consul_lock(agent, lock, "-try=60s", "echo ran")
    free = await anyio.run_process(command, check=False, env=clean_environment())

    assert (theirs.returncode, b"ran" in theirs.stdout) == (1, False)
    assert (free.returncode, b"ran" in free.stdout) == (0, True)


async def test_what_consuls_own_lock_holds_is_not_got_here(
    agent: Agent, c: ConsulClient, key: str
) -> None:
    lock = f"{key}/.lock"
    command = consul_lock(agent, lock, "echo running; sleep 30")
    order: list[str] = []
    with anyio.fail_after(100):
        async with await anyio.open_process(command, env=clean_environment()) as theirs:
            assert theirs.stdout is not None
            assert await theirs.stdout.receive() == b"running\n"
            async with Lock(c, lock).try_acquire() as held:
                order.append("free" if held else "held")
            async with anyio.create_task_group() as tasks:

                async def wait() -> None:
                    async with Lock(c, lock):
                        order.append("ours")

                tasks.start_soon(wait)
                await waits(c)
                order.append("theirs ends")
                # It takes its child with it, and lets go.
                theirs.terminate()

    assert order == ["held", "theirs ends", "ours"]


def test_a_lock_says_what_it_is() -> None:
    lock = Lock(ConsulClient(), "locks/report")

    assert repr(lock) == "<Lock 'locks/report'>"


async def test_what_is_held_says_how_it_is(b: ConsulClient, timed: Timed) -> None:
    async with Lock(b, "lock", ttl=15, **timed) as held:
        shown = repr(held)

    assert shown == f"<Held 'lock' token={held.token} held left=13.5>"


# -- cancelled anywhere ----------------------------------------------------------------------------


class Distant(httpx.AsyncBaseTransport):
    """An agent whose answers take a moment, in which one may be cancelled."""

    def __init__(self, agent: FakeAgent) -> None:
        self._agent = agent

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await self._agent.handle_async_request(request)
        for _ in range(3):
            await anyio.lowlevel.checkpoint()
        return response


async def test_a_cancellation_at_any_step_leaves_neither_a_session_nor_a_closed_lock() -> None:
    agent = FakeAgent(clock=FakeClock(automatic=True))
    ended = False

    async def hold(c: ConsulClient, scope: anyio.CancelScope) -> None:
        nonlocal ended
        with scope:
            async with Lock(c, "lock", now=agent.clock.time, sleep=agent.clock.sleep):
                for _ in range(5):
                    await anyio.lowlevel.checkpoint()
            ended = True

    async with ConsulClient(transport=Distant(agent)) as c:
        steps = 0
        while not ended:
            scope = anyio.CancelScope()
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(hold, c, scope)
                for _ in range(steps):
                    await anyio.lowlevel.checkpoint()
                scope.cancel()
            pair = await c.kv.get("lock")
            assert await c.session.list() == []
            assert pair is None or pair.session is None
            async with Lock(c, "lock").try_acquire() as free:
                assert free is not None
            steps += 1

    assert steps > 10
