"""Counters, barriers, and what is done once."""

# pyright: reportPossiblyUnboundVariable=false

from __future__ import annotations

from collections.abc import AsyncIterator

import anyio
import anyio.lowlevel
import httpx
import pytest

from consul_onex import (
    ConsulClient,
    ConsulConnectionError,
    FencedError,
    InvalidRequestError,
    LockConflictError,
    LockLostError,
    LockTimeoutError,
)
from consul_onex.recipes import Barrier, Counter, Held, Lock, Once
from consul_onex.testing import FakeAgent
from consul_onex.transport import Breaker, Deadline, Layer, Limit
from tests.recipes.support import GuardedClock, Timed
from tests.recipes.test_lock import blocking, sessions_of


@pytest.fixture
def fake() -> FakeAgent:
    return FakeAgent(clock=GuardedClock())


@pytest.fixture
async def f(fake: FakeAgent) -> AsyncIterator[ConsulClient]:
    """A client of `fake` that waits for nothing by any other clock."""
    layers: list[Layer] = [Deadline(), Breaker(failures=100), Limit()]
    async with ConsulClient(transport=fake, layers=layers) as client:
        yield client


@pytest.fixture
def by(fake: FakeAgent) -> Timed:
    """What makes a recipe go by the clock of `fake`."""
    return {"now": fake.clock.time, "sleep": fake.clock.sleep, "dice": lambda: 0.0}


# -- counters --------------------------------------------------------------------------------------


async def test_a_counter_loses_nothing_and_gives_each_value_once(
    c: ConsulClient, other: ConsulClient, key: str
) -> None:
    made: list[int] = []

    async def add(client: ConsulClient) -> None:
        made.extend([await Counter(client, key).add() for _ in range(5)])

    async with anyio.create_task_group() as tasks:
        for client in (c, other, c, other):
            tasks.start_soon(add, client)

    assert sorted(made) == list(range(1, 21))
    assert await Counter(c, key).value() == 20


async def test_a_counter_begins_at_nothing_and_goes_either_way(c: ConsulClient, key: str) -> None:
    counter = Counter(c, key)

    assert repr(counter) == f"<Counter {key!r}>"
    assert await counter.value() == 0
    assert [await counter.add(n) for n in (7, -10, 0)] == [7, -3, -3]
    pair = await c.kv.get(key)
    assert pair is not None
    assert pair.text() == "-3"


async def test_what_holds_something_else_is_no_counter(c: ConsulClient, key: str) -> None:
    await c.kv.put(key, "many")
    counter = Counter(c, key)
    with pytest.raises(LockConflictError, match="is no counter") as raised:
        await counter.value()
    with pytest.raises(LockConflictError, match="is no counter"):
        await counter.add()

    assert raised.value.key == key


@pytest.mark.parametrize("number", [True, 1.5, "1"])
async def test_what_is_no_whole_number_is_not_added(c: ConsulClient, number: int) -> None:
    with pytest.raises(InvalidRequestError, match="whole number"):
        await Counter(c, "hits").add(number)


async def test_a_counter_that_others_change_all_the_time_is_an_error_that_added_nothing(
    c: ConsulClient, key: str
) -> None:
    # Asked for the time before each try, it goes on by four seconds.
    times = iter(range(0, 100, 4))
    transport = _Rival(c, key)
    async with ConsulClient(transport=transport) as slow:
        with (
            anyio.fail_after(30),
            pytest.raises(LockTimeoutError, match="changed by others for 10 s") as raised,
        ):
            await Counter(slow, key, now=lambda: float(next(times))).add(1000)

    assert raised.value.key == key
    assert await Counter(c, key).value() == transport.wrote == 2


class _Rival(httpx.AsyncBaseTransport):
    """Answers as the agent does, and adds to a key between each look and each write."""

    def __init__(self, c: ConsulClient, key: str) -> None:
        self.wrote = 0
        self._c = c
        self._key = key

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.method == "PUT":
            self.wrote += 1
            await self._c.kv.put(self._key, str(self.wrote))
            return httpx.Response(200, json=False)
        pair = await self._c.kv.get(self._key)
        if pair is None:
            return httpx.Response(404, headers={"X-Consul-Index": "1"})
        return httpx.Response(200, json=[pair.to_wire()], headers={"X-Consul-Index": "1"})


# -- barriers --------------------------------------------------------------------------------------


async def test_nobody_passes_a_barrier_until_all_are_there(
    c: ConsulClient, other: ConsulClient, key: str
) -> None:
    passed: list[int] = []

    async def come(n: int) -> None:
        await Barrier((c, other)[n % 2], key, 3, name=key).wait()
        passed.append(n)

    with anyio.fail_after(30):
        async with anyio.create_task_group() as tasks:
            for n in (1, 2):
                tasks.start_soon(come, n)
            while len(await c.kv.keys(f"{key}/")) < 2:
                await anyio.lowlevel.checkpoint()
            before = (list(passed), await Barrier(c, key, 3).is_open())
            tasks.start_soon(come, 3)
        await Barrier(c, key, 3).wait()

    assert before == ([], False)
    assert sorted(passed) == [1, 2, 3]
    assert await c.kv.keys(f"{key}/") == [f"{key}/.open"]
    assert await sessions_of(c, key) == []


async def test_who_has_died_does_not_count(f: ConsulClient, fake: FakeAgent, by: Timed) -> None:
    # Whose process ended: nobody renews it.
    dead = await f.session.create(ttl=10, behavior="delete", node_checks=[])
    await f.kv.acquire(f"meet/{dead}", dead)
    # Nor does what nobody waits behind.
    await f.kv.put("meet/note", "by hand")
    barrier = Barrier(f, "meet", 2, **by)
    passed: list[int] = []

    async def come(n: int) -> None:
        await barrier.wait()
        passed.append(n)

    await fake.clock.advance(20)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(come, 1)
        await fake.clock.advance(60)
        alone = list(passed)
        tasks.start_soon(come, 2)
        await fake.clock.advance(1)

    assert alone == []
    assert sorted(passed) == [1, 2]


async def test_a_barrier_can_be_opened_by_hand(c: ConsulClient, key: str) -> None:
    gate = Barrier(c, f"{key}/", 1000)
    with anyio.fail_after(30):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(gate.wait)
            while not await c.kv.keys(f"{key}/"):
                await anyio.lowlevel.checkpoint()
            await gate.open()

    assert await gate.is_open()
    assert repr(gate) == f"<Barrier {key!r} parties=1000>"


async def test_who_waited_too_long_does_not_count_any_more(c: ConsulClient, key: str) -> None:
    with pytest.raises(LockTimeoutError, match="did not open within 0.2 s") as raised:
        await Barrier(c, key, 2, name=key).wait(timeout=0.2)

    assert raised.value.key == f"{key}/.open"
    assert await c.kv.keys(f"{key}/") == []
    assert await sessions_of(c, key) == []


async def test_a_barrier_is_come_to_again_when_consul_fails_or_ends_the_session(
    f: ConsulClient, fake: FakeAgent, by: Timed
) -> None:
    passed: list[int] = []

    async def come(n: int) -> None:
        await Barrier(f, "meet", 2, **by).wait()
        passed.append(n)

    fake.refuse(times=3)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(come, 1)
        await fake.clock.advance(5)
        (session,) = await f.session.list()
        await f.session.destroy(session.id)
        await fake.clock.advance(10)
        tasks.start_soon(come, 2)
        await fake.clock.advance(5)

    assert sorted(passed) == [1, 2]


async def test_a_session_that_ends_before_it_counts_is_replaced(
    f: ConsulClient, fake: FakeAgent, by: Timed
) -> None:
    passed: list[int] = []

    async def come() -> None:
        await Barrier(f, "meet", 1, **by).wait()
        passed.append(1)

    fake.latency(1.0, path="/v1/session/create", times=1)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(come)
        await fake.clock.advance(0.5)
        # What comes next is to say that it is there.
        fake.latency(1.0, path="/v1/kv/meet/*", times=1)
        await fake.clock.advance(1)
        (session,) = await f.session.list()
        await f.session.destroy(session.id)
        await fake.clock.advance(5)

    assert passed == [1]


async def test_an_open_circuit_keeps_nobody_at_a_barrier(
    f: ConsulClient, fake: FakeAgent, by: Timed
) -> None:
    passed: list[int] = []

    async def come(n: int) -> None:
        await Barrier(f, "meet", 2, **by).wait()
        passed.append(n)

    await f.kv.get("anything")
    f.circuits["consul.default"].isolate()
    async with anyio.create_task_group() as tasks:
        for n in (1, 2):
            tasks.start_soon(come, n)
        await fake.clock.advance(5)
        arrived = sorted(passed)
        f.circuits["consul.default"].reset()
        await fake.clock.advance(5)

    assert arrived == [1, 2]


async def test_who_comes_to_an_open_barrier_needs_no_session(
    f: ConsulClient, fake: FakeAgent, by: Timed
) -> None:
    barrier = Barrier(f, "meet", 2, **by)
    await barrier.open()
    await barrier.wait()

    assert not any("/session/" in one.url.path for one in fake.requests)


@pytest.mark.parametrize("parties", [0, True, 1.5])
async def test_a_barrier_has_a_whole_number_of_parties(c: ConsulClient, parties: int) -> None:
    with pytest.raises(InvalidRequestError, match="whole number"):
        Barrier(c, "meet", parties)


# -- once ------------------------------------------------------------------------------------------


async def test_one_does_it_and_all_get_the_result(
    c: ConsulClient, other: ConsulClient, key: str
) -> None:
    did: list[int] = []
    results: list[bytes] = []

    async def come(n: int) -> None:
        async def work(held: Held) -> str:
            held.check()
            did.append(n)
            await anyio.sleep(0.1)
            return f"by {n}"

        results.append(await Once((c, other)[n % 2], key, name=key).run(work))

    with anyio.fail_after(30):
        async with anyio.create_task_group() as tasks:
            for n in range(6):
                tasks.start_soon(come, n)
        await come(7)

    (first,) = did
    assert results == [f"by {first}".encode()] * 7
    assert await Once(c, key).done() == f"by {first}".encode()
    assert repr(Once(c, f"{key}/")) == f"<Once {key!r}>"
    assert await sessions_of(c, key) == []


async def fine(held: Held) -> None:
    held.check()


async def test_nothing_is_a_result_too(c: ConsulClient, key: str) -> None:
    once = Once(c, key)
    before = await once.done()

    assert (before, await once.run(fine), await once.done()) == (None, b"", b"")


async def test_a_work_that_fails_is_taken_up_by_another(
    c: ConsulClient, other: ConsulClient, key: str
) -> None:
    done: list[bytes] = []
    begun = anyio.Event()
    go_on = anyio.Event()

    async def fails(_: Held) -> None:
        begun.set()
        await go_on.wait()
        raise ConsulConnectionError("mine")

    async def second() -> None:
        done.append(await Once(other, key).run(fine))

    with anyio.fail_after(30):
        async with anyio.create_task_group() as tasks:

            async def first() -> None:
                with pytest.raises(ConsulConnectionError, match="mine"):
                    await Once(c, key).run(fails)

            tasks.start_soon(first)
            await begun.wait()
            tasks.start_soon(second)
            while not blocking(other):
                await anyio.lowlevel.checkpoint()
            go_on.set()

    assert done == [b""]


async def test_the_work_of_one_who_died_is_taken_up_after_its_session_and_the_lock_delay(
    f: ConsulClient, fake: FakeAgent, by: Timed
) -> None:
    took: list[float] = []
    dead = await f.session.create(ttl=10, lock_delay=15, node_checks=[])
    await f.kv.acquire("job/.lock", dead, flags=0x2DDCCBC058A50C18)

    async def come() -> None:
        await Once(f, "job", **by).run(fine)
        took.append(fake.clock.time())

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(come)
        await fake.clock.advance(60)

    assert 35 <= took[0] <= 36


async def test_a_result_that_was_written_meanwhile_is_taken(
    f: ConsulClient, fake: FakeAgent, by: Timed
) -> None:
    results: list[bytes] = []

    async def come() -> None:
        results.append(await Once(f, "job", **by).run(fine))

    async with anyio.create_task_group() as tasks:
        # Between its look and its lock.
        fake.latency(1.0, path="/v1/session/create")
        tasks.start_soon(come)
        await fake.clock.advance(0.5)
        await f.kv.put("job/.done", "theirs")
        await fake.clock.advance(5)

    assert results == [b"theirs"]


async def test_nobody_writes_a_result_who_does_not_hold_the_lock(
    c: ConsulClient, other: ConsulClient, key: str
) -> None:
    async def loses(held: Held) -> bytes:
        with anyio.CancelScope(shield=True):
            await other.session.destroy(held.session)
        return b"late"

    with pytest.raises(LockLostError) as raised:
        await Once(c, key).run(loses)

    assert isinstance(raised.value, FencedError) or await Once(c, key).done() is None
    assert await Once(c, key).done() is None


async def test_who_has_not_heard_that_the_lock_is_lost_writes_no_result(
    fake: FakeAgent, f: ConsulClient, by: Timed
) -> None:
    way = _Way(fake)

    async def loses(held: Held) -> bytes:
        await anyio.wait_all_tasks_blocked()
        way.hears = anyio.Event()
        await f.session.destroy(held.session)
        held.check()
        return b"late"

    async with ConsulClient(transport=way) as c:
        with pytest.raises(FencedError):
            await Once(c, "job", **by).run(loses)

    assert await Once(f, "job").done() is None
    # A server that was restarted just now may not know of a result yet.
    assert "consistent" in fake.requests[-1].url.params


class _Way(httpx.AsyncBaseTransport):
    """To an agent, and back; who waits for news is told none until `hears`, or a write."""

    def __init__(self, fake: FakeAgent) -> None:
        self.hears = anyio.Event()
        self._fake = fake

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await self._fake.handle_async_request(request)
        if request.method == "PUT":
            self.hears.set()
        elif "index" in request.url.params:
            await self.hears.wait()
        return response


async def test_a_result_is_seen_past_an_open_circuit(
    f: ConsulClient, fake: FakeAgent, by: Timed
) -> None:
    results: list[bytes] = []

    async def come() -> None:
        results.append(await Once(f, "job", **by).run(fine))

    await f.kv.get("anything")
    f.circuits["consul.default"].isolate()
    async with ConsulClient(transport=fake) as other, anyio.create_task_group() as tasks:
        tasks.start_soon(come)
        await fake.clock.advance(2)
        await other.kv.put("job/.done", "theirs")
        await fake.clock.advance(2)
        seen = list(results)
        f.circuits["consul.default"].reset()
        await fake.clock.advance(5)

    assert seen == [b"theirs"]


async def test_what_fails_before_and_after_the_work_is_waited_out(
    f: ConsulClient, fake: FakeAgent, by: Timed
) -> None:
    did: list[float] = []

    async def work(_: Held) -> str:
        did.append(fake.clock.time())
        # What follows is the write of the result.
        fake.drop_after(path="/v1/txn", times=1)
        return "done"

    async def come() -> None:
        await Once(f, "job", **by).run(work)

    fake.latency(1.0, path="/v1/session/create", times=1)
    fake.answer(500, "No cluster leader", path="/v1/session/create", times=1)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(come)
        await fake.clock.advance(0.5)
        # Whether somebody was faster is not known at first.
        fake.refuse(path="/v1/kv/job/", times=1)
        await fake.clock.advance(5)

    assert len(did) == 1
    assert await Once(f, "job", **by).done() == b"done"


async def test_a_lock_below_the_prefix_is_the_one_that_everybody_knows(
    c: ConsulClient, other: ConsulClient, key: str
) -> None:
    done: list[bytes] = []
    async with anyio.create_task_group() as tasks:

        async def come() -> None:
            done.append(await Once(other, key).run(fine))

        async with Lock(c, f"{key}/.lock"):
            tasks.start_soon(come)
            while not blocking(other):
                await anyio.lowlevel.checkpoint()
            during = list(done)

    assert (during, done) == ([], [b""])
