"""Followers that leave, errors that all must hear of, and what else is shared by accident."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import anyio
import anyio.lowlevel
import httpx
import pytest

from consul_onex import (
    BadRequestError,
    ClientClosedError,
    ConsulClient,
    ConsulConnectionError,
    ConsulError,
    Cursor,
    InvalidRequestError,
    NoLeaderError,
    OverloadedError,
    PermissionDeniedError,
    QueryMeta,
    ServerError,
    Watch,
)
from consul_onex._topic import Hub, Topic
from tests.test_cancellation import Bottom, Steps
from tests.test_cancellation import _Body as Body
from tests.test_topic import Clock, Store, followed, until
from tests.test_topic import follow as follow_to_end


@dataclass
class Slow:
    """A read that takes several steps, of which one sees the asker cancelled."""

    cancel_at: int
    scope: anyio.CancelScope
    value: str = "a"
    index: int = 7
    taken: int = 0
    at_once: int = 0
    inside: int = 0
    asked: list[int | None] = field(default_factory=list)
    failures: list[ConsulError] = field(default_factory=list)

    async def step(self, _: float = 0.0) -> None:
        self.taken += 1
        if self.taken == self.cancel_at:
            self.scope.cancel()
        await anyio.lowlevel.checkpoint()

    async def read(self, cursor: Cursor) -> str:
        self.asked.append(cursor.index)
        self.inside += 1
        self.at_once = max(self.at_once, self.inside)
        try:
            await self.step()
            if self.failures:
                cursor.restart()
                raise self.failures.pop(0)
            if cursor.index is not None and len(self.asked) > 2:
                self.value, self.index = "end", 9
            await self.step()
            cursor.advance(QueryMeta(index=self.index))
            return self.value
        finally:
            self.inside -= 1


@pytest.mark.parametrize("others", [0, 1, 20])
@pytest.mark.parametrize("failing", [False, True])
async def test_an_asker_cancelled_at_any_await_takes_nothing_from_the_others(
    others: int, failing: bool
) -> None:
    moment = cancelled = 0
    before = {task.id for task in anyio.get_running_tasks()}
    through = False
    while not through:
        moment += 1
        scope, hub = anyio.CancelScope(), Hub()
        slow = Slow(moment, scope)
        if failing:
            slow.failures += [ConsulConnectionError("refused") for _ in range(3)]
        clock = Clock()

        async def sleep(seconds: float, slow: Slow = slow, clock: Clock = clock) -> None:
            await slow.step()
            clock.time += seconds

        topic = Topic(slow.read, hub=hub, now=clock.now, sleep=sleep, dice=lambda: 1.0)
        seen: list[list[str]] = [[] for _ in range(others)]
        with anyio.fail_after(5):
            async with anyio.create_task_group() as tasks:
                for mine in seen:
                    tasks.start_soon(follow_to_end, Watch.of(topic), mine)
                with scope:
                    await follow_to_end(Watch.of(topic), [])
        cancelled += scope.cancelled_caught
        through = slow.taken < moment

        assert all(mine[-1] == "end" for mine in seen)
        assert slow.at_once == 1
        assert (slow.inside, hub.asking) == (0, 0)
        # Who left may come back, and so may anybody else.
        assert await anext(Watch.of(topic)) == slow.value

    assert cancelled > 0
    assert {task.id for task in anyio.get_running_tasks()} == before


class Server(Bottom):
    """An agent whose key changes once, as soon as somebody waits for it."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await self._steps.step()
        await self._steps.step()
        self.open_bodies += 1
        index, value = (8, b"ZW5k") if "index" in request.url.params else (7, b"YQ==")
        body = Body(self, self._steps, b'[{"Key": "k", "Value": "%s"}]' % value)
        return httpx.Response(200, headers={"X-Consul-Index": str(index)}, stream=body)


async def follow_key(c: ConsulClient, heard: list[str]) -> None:
    async for pair in c.kv.watch("k"):
        heard.append(pair.text() if pair is not None else "")
        if heard[-1] == "end":
            return


@pytest.mark.parametrize("others", [0, 1, 20])
async def test_through_all_layers_an_asker_cancelled_at_any_await_leaves_nothing(
    others: int,
) -> None:
    moment = awaits = cancelled = 0
    before = {task.id for task in anyio.get_running_tasks()}
    # Until everybody is through before the moment has come.
    while awaits >= moment:
        moment += 1
        steps = Steps(moment)
        server = Server(steps, busy=False)
        heard: list[list[str]] = [[] for _ in range(others)]
        async with ConsulClient("consul.example", transport=server) as c:
            with anyio.fail_after(5):
                async with anyio.create_task_group() as tasks:
                    # The asker is the first to come.
                    with steps.scope:
                        for mine in heard:
                            tasks.start_soon(follow_key, c, mine)
                        await follow_key(c, [])
            awaits = steps.taken

            limit = c.statistics().limit
            assert limit is not None
            assert (limit.plain, limit.control) == (0, 0)
            assert limit.blocking == limit.parked
            assert server.open_bodies == 0
            assert c._wire.line.hub.asking == 0
            assert [mine[-1] for mine in heard] == ["end"] * others
        cancelled += steps.scope.cancelled_caught

    assert cancelled > 0
    assert {task.id for task in anyio.get_running_tasks()} == before


async def test_a_follower_cancelled_as_the_news_arrives_gets_it_the_next_time() -> None:
    store = Store()
    topic = followed(store)
    watch, other = Watch.of(topic), Watch.of(topic)
    heard: list[str] = []

    with anyio.fail_after(5):
        await anext(watch)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(follow_to_end, other, heard)
            await store.blocked()
            with anyio.CancelScope() as scope:
                async with anyio.create_task_group() as leaving:
                    leaving.start_soon(watch.__anext__)
                    await anyio.lowlevel.checkpoint()
                    store.put("end")
                    await until(lambda: topic.version == 2)
                    scope.cancel()

        # It had it at the last moment, or it gets it now.
        last = watch.latest if watch.latest == "end" else await anext(watch)

    assert last == "end"
    assert heard == ["a", "end"]


async def test_who_leaves_in_a_pause_leaves_the_pause_to_the_next() -> None:
    clock, asked = Clock(), 0
    resting = anyio.Event()

    async def read(_: Cursor) -> str:
        nonlocal asked
        asked += 1
        raise ConsulConnectionError("refused")

    async def sleep(seconds: float) -> None:
        clock.pauses.append(seconds)
        resting.set()
        await anyio.sleep_forever()

    watch = Watch(read, now=clock.now, sleep=sleep, dice=lambda: 1.0)
    with anyio.fail_after(5):
        for _ in range(50):
            resting = anyio.Event()
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(watch.__anext__)
                await resting.wait()
                tasks.cancel_scope.cancel()

    # However often somebody comes and goes, an agent that is down is not asked more often.
    assert (asked, clock.pauses) == (1, [0.25] * 50)


async def test_a_read_of_two_requests_that_ends_between_them_loses_no_news() -> None:
    store = Store()
    ends: list[str] = []

    async def read(cursor: Cursor) -> str:
        value = await store.read(cursor)
        match ends.pop(0) if ends else "":
            case "fails":
                raise ConsulConnectionError("refused")
            case "cancelled":
                scope.cancel()
                await anyio.lowlevel.checkpoint()
        return value

    clock = Clock()
    watch = Watch(read, now=clock.now, sleep=clock.sleep, dice=lambda: 1.0)
    with anyio.fail_after(5):
        assert await anext(watch) == "a"
        for how in ("fails", "cancelled"):
            ends.append(how)
            store.put(how)
            with anyio.CancelScope() as scope:
                assert await anext(watch) == how
            if scope.cancelled_caught:
                assert await anext(watch) == how


# -- the first value -------------------------------------------------------------------------------


async def test_who_comes_while_a_first_answer_is_under_way_gets_that_one() -> None:
    store = Store()
    topic = followed(store)
    early = Watch.of(topic)
    assert await anext(early) == "a"
    # Nobody asks for long, and meanwhile everything changes.
    topic._left -= 3600
    gate = anyio.Event()
    read = store.read

    async def slow(cursor: Cursor) -> str:
        await gate.wait()
        return await read(cursor)

    topic._read = slow
    store.put("end")
    seen: list[str] = []
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(follow_to_end, early, [])
            await anyio.lowlevel.checkpoint()
            tasks.start_soon(follow_to_end, Watch.of(topic), seen)
            for _ in range(5):
                await anyio.lowlevel.checkpoint()
            assert seen == []
            gate.set()

    # Not what it was an hour ago.
    assert seen == ["end"]
    assert store.at_once == 1


async def test_who_comes_during_an_outage_waits_for_an_answer() -> None:
    store, down = Store(), anyio.Event()

    async def sleep(_: float) -> None:
        await down.wait()
        clock.time += 60

    clock = Clock()
    topic = Topic(store.read, now=clock.now, sleep=sleep, dice=lambda: 1.0)
    seen: list[str] = []
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(follow_to_end, Watch.of(topic), [])
            await store.blocked()
            store.fail(ConsulConnectionError("refused"))
            await until(lambda: topic.failures == 1)
            tasks.start_soon(follow_to_end, Watch.of(topic), seen)
            for _ in range(5):
                await anyio.lowlevel.checkpoint()
            assert seen == []
            store.value, store.index = "end", 8
            down.set()

    assert seen == ["end"]


async def test_who_wants_only_an_answer_gets_it_also_where_it_is_no_news() -> None:
    store, down = Store(), anyio.Event()

    async def sleep(_: float) -> None:
        await down.wait()
        clock.time += 60

    clock = Clock()
    topic = Topic(store.read, now=clock.now, sleep=sleep, dice=lambda: 1.0)
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(follow_to_end, Watch.of(topic), [])
            await store.blocked()
            store.fail(ConsulConnectionError("refused"))
            await until(lambda: topic.failures == 1)
            seen: list[str] = []
            tasks.start_soon(follow_to_end, Watch.of(topic), seen, "a")
            await anyio.lowlevel.checkpoint()
            down.set()
            await until(lambda: seen == ["a"])
            tasks.cancel_scope.cancel()


async def test_a_break_before_the_first_value_is_none() -> None:
    store = Store()
    topic = followed(store)
    assert await anext(Watch.of(topic)) == "a"

    early = Watch.of(topic)
    store.value, store.index = "b", 3
    assert await anext(Watch.of(topic)) == "b"
    assert topic.breaks == 1

    assert await anext(early) == "b"
    assert not early.resynchronised


# -- errors ----------------------------------------------------------------------------------------


async def fails(
    topic: Topic[str], raised: list[ConsulError], seen: list[str] | None = None
) -> None:
    try:
        await follow_to_end(Watch.of(topic), [] if seen is None else seen)
    except ConsulError as error:
        raised.append(error)


async def test_an_error_that_stays_is_asked_for_once_and_each_gets_one_of_its_own() -> None:
    store = Store()
    topic = followed(store)
    raised: list[ConsulError] = []

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            for _ in range(20):
                tasks.start_soon(fails, topic, raised)
            await store.blocked()
            error = BadRequestError("no", status=400, detail="why", operation="kv.get")
            error.__cause__ = ValueError("below")
            store.fail(error)

    assert len({id(one) for one in raised}) == 20
    assert {(type(e), str(e), str(e.__cause__)) for e in raised} == {
        (BadRequestError, "kv.get: no", "below")
    }
    assert all(isinstance(e, BadRequestError) and e.detail == "why" for e in raised)
    assert store.asked == [None, 7]


@pytest.mark.parametrize(("lasts", "raises"), [(30.0, False), (60.0, True)])
async def test_a_refusal_lasts_as_long_for_many_as_for_one(lasts: float, raises: bool) -> None:
    clock = Clock()
    store = Store()

    async def read(cursor: Cursor) -> str:
        if clock.time < 1000 + lasts:
            await anyio.lowlevel.checkpoint()
            raise PermissionDeniedError("no", status=403)
        store.value = "end"
        return await store.read(cursor)

    topic = Topic(read, now=clock.now, sleep=clock.sleep, dice=lambda: 1.0)
    raised: list[ConsulError] = []
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            for _ in range(20):
                tasks.start_soon(fails, topic, raised)

    assert [type(error) for error in raised] == [PermissionDeniedError] * (20 if raises else 0)
    assert clock.time < 1000 + 45


async def test_a_refusal_is_counted_anew_after_an_outage_and_after_nobody_asked() -> None:
    clock = Clock()
    script: list[ConsulError | str] = []

    async def read(cursor: Cursor) -> str:
        await anyio.lowlevel.checkpoint()
        step = script.pop(0)
        if isinstance(step, ConsulError):
            raise step
        cursor.advance(QueryMeta(index=7))
        return step

    def refused() -> PermissionDeniedError:
        return PermissionDeniedError("no", status=403)

    outage = [ConsulConnectionError("refused") for _ in range(30)]
    script += [refused(), *outage, refused(), "a"]
    topic = Topic(read, now=clock.now, sleep=clock.sleep, dice=lambda: 1.0)
    assert await anext(Watch.of(topic)) == "a"

    script += [refused()]
    with pytest.raises(IndexError):
        await anext(Watch.of(topic))
    clock.time += 3600
    script += [refused(), "b"]
    assert await anext(Watch.of(topic)) == "b"


async def test_what_cannot_be_watched_is_said_to_each_follower() -> None:
    async def read(cursor: Cursor) -> str:
        await anyio.lowlevel.checkpoint()
        cursor.advance(QueryMeta())
        return "a"

    topic = Topic(read)
    raised: list[ConsulError] = []
    seen: list[str] = []
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(fails, topic, raised, seen)

    assert [type(error) for error in raised] == [InvalidRequestError] * 3
    assert seen == []


async def test_what_is_no_error_of_ours_is_met_by_each_for_itself() -> None:
    asked = 0

    async def read(_: Cursor) -> str:
        nonlocal asked
        asked += 1
        await anyio.lowlevel.checkpoint()
        raise LookupError(str(asked))

    topic = Topic(read)
    raised: list[str] = []

    async def meets_it() -> None:
        with pytest.raises(LookupError) as error:
            await anext(Watch.of(topic))
        raised.append(str(error.value))

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(meets_it)

    assert sorted(raised) == ["1", "2", "3"]


# -- closing ---------------------------------------------------------------------------------------


def answering(status: int) -> Callable[[httpx.Request], httpx.Response]:
    def answer(_: httpx.Request) -> httpx.Response:
        return httpx.Response(status, json=[], headers={"X-Consul-Index": "7"})

    return answer


@pytest.mark.parametrize("kind", ["in a failure's pause", "between two polls"])
async def test_closing_ends_every_follower_that_pauses_at_once(kind: str) -> None:
    raised: list[ConsulError] = []

    async def meets_it(watch: Watch[object]) -> None:
        try:
            async for _ in watch:
                pass
        except ClientClosedError as error:
            raised.append(error)

    failing = kind == "in a failure's pause"
    c = ConsulClient(transport=httpx.MockTransport(answering(500 if failing else 200)))
    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            for _ in range(20):
                watch: Watch[object] = c.poll(c.catalog.datacenters, 600)
                tasks.start_soon(meets_it, watch)
            await anyio.wait_all_tasks_blocked()
            await c.aclose()

    assert len(raised) == 20
    with pytest.raises(ClientClosedError):
        await anext(c.poll(c.catalog.datacenters, 600))


# -- time ------------------------------------------------------------------------------------------


async def test_a_poll_keeps_its_distance_whether_there_is_news_or_not() -> None:
    clock = Clock()
    asked: list[float] = []

    async def read(_: Cursor) -> int:
        asked.append(clock.time)
        clock.time += 1
        return len(asked) // 2

    watch = Watch.of(Topic(read, every=10, now=clock.now, sleep=clock.sleep))
    values = [await anext(watch) for _ in range(4)]

    assert values == [0, 1, 2, 3]
    assert [later - asked[0] for later in asked] == [11.0 * n for n in range(len(asked))]


async def test_a_late_follower_of_a_poll_does_not_wait_for_its_turn() -> None:
    clock = Clock()

    async def read(_: Cursor) -> float:
        return clock.time

    topic = Topic(read, every=600, now=clock.now, sleep=clock.sleep)
    await anext(Watch.of(topic))
    clock.time += 5

    assert await anext(Watch.of(topic)) == 1005
    assert clock.pauses == []


async def test_a_settled_follower_does_not_wait_for_the_next_poll() -> None:
    clock, values = Clock(), iter(["a", "b", "c"])

    async def read(_: Cursor) -> str:
        return next(values)

    topic = Topic(read, every=10, now=clock.now, sleep=clock.sleep)
    watch = Watch.of(topic, (0.5, 2.0))

    assert [await anext(watch), await anext(watch)] == ["a", "b"]
    assert clock.pauses == [10, 0.5]


async def test_a_burst_without_an_end_is_delivered_in_time() -> None:
    clock, value = Clock(), 0

    async def read(cursor: Cursor) -> int:
        nonlocal value
        value += 1
        clock.time += 1
        cursor.advance(QueryMeta(index=value))
        return value

    watch = Watch(read, now=clock.now, sleep=clock.sleep).settled(2, at_most=3)

    # The first at once, and then each third second's.
    assert [await anext(watch) for _ in range(3)] == [1, 5, 9]


async def test_followers_of_one_topic_may_settle_as_each_likes() -> None:
    store = Store()
    topic = Topic(store.read, wait=20)
    plain: list[str] = []
    short: list[str] = []
    long: list[str] = []

    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(follow_to_end, Watch.of(topic), plain)
            tasks.start_soon(follow_to_end, Watch.of(topic, (0.05, 5.0)), short)
            tasks.start_soon(follow_to_end, Watch.of(topic, (5.0, 0.3)), long)
            for value in ("b", "c", "end"):
                await until(lambda: bool(plain) and plain[-1] == store.value)
                await store.blocked()
                store.put(value)
            await until(lambda: plain[-1] == "end")
            while len(long) < 2 or len(short) < 2:
                # The store does not know how to end a wait by itself.
                await anyio.sleep(0.02)
                store.touch()

    assert plain == ["a", "b", "c", "end"]
    assert short == long == ["a", "end"]
    assert store.at_once == 1


async def test_a_crowd_never_makes_anybody_wait_longer() -> None:
    hub = Hub(places=10)
    hub.asking = 1000

    assert [hub.share(0.2), hub.share(60.0)] == [0.2, 1.0]


@pytest.mark.parametrize("kind", [NoLeaderError, OverloadedError])
async def test_what_no_proxy_did_does_not_shorten_the_wait(kind: type[ConsulError]) -> None:
    clock = Clock()
    steps = 0

    async def read(cursor: Cursor) -> str:
        nonlocal steps
        steps += 1
        if cursor.waits and steps < 8:
            clock.time += 7.4
            raise kind("again")
        cursor.advance(QueryMeta(index=7))
        return "a" if steps < 8 else "b"

    watch = Watch(read, now=clock.now, sleep=clock.sleep, dice=lambda: 1.0)
    assert [await anext(watch), await anext(watch)] == ["a", "b"]

    assert watch.cursor.wait == 60


async def test_what_a_proxy_answers_for_a_server_shortens_the_wait() -> None:
    clock, waits = Clock(), list[float]()

    async def read(cursor: Cursor) -> str:
        if not cursor.waits:
            cursor.advance(QueryMeta(index=7))
            return "a"
        waits.append(cursor.wait)
        clock.time += min(cursor.wait, 30)
        if cursor.wait > 30:
            raise ServerError("gateway", status=504)
        cursor.advance(QueryMeta(index=8))
        return "b"

    watch = Watch(read, now=clock.now, sleep=clock.sleep, dice=lambda: 1.0)
    assert [await anext(watch), await anext(watch)] == ["a", "b"]
    assert waits == [60, 60, 24]


async def test_one_long_answer_between_two_cuts_says_that_they_were_no_rule() -> None:
    clock = Clock()
    # How long each wait lasts, and whether it is cut then.
    script = [(30.0, True), (50.0, False), (30.0, True), (1.0, False)]
    value = 0

    async def read(cursor: Cursor) -> int:
        nonlocal value
        if cursor.waits:
            lasts, cut = script.pop(0)
            clock.time += lasts
            if cut:
                raise ConsulConnectionError("Server disconnected")
            value += 1
        cursor.advance(QueryMeta(index=7 + value))
        return value

    watch = Watch(read, now=clock.now, sleep=clock.sleep, dice=lambda: 1.0)
    assert [await anext(watch) for _ in range(3)] == [0, 1, 2]
    assert watch.cursor.wait == 60


async def test_now_and_then_a_read_does_not_wait() -> None:
    clock = Clock()
    asked: list[int | None] = []

    async def read(cursor: Cursor) -> str:
        asked.append(cursor.index)
        clock.time += 64 if cursor.waits else 0
        cursor.advance(QueryMeta(index=7))
        return "a" if len(asked) < 14 else "b"

    watch = Watch(read, now=clock.now, sleep=clock.sleep)
    assert [await anext(watch), await anext(watch)] == ["a", "b"]
    assert [n for n, index in enumerate(asked) if index is None] == [0, 11]


# -- values ----------------------------------------------------------------------------------------


async def test_what_one_follower_does_to_its_list_nobody_else_sees() -> None:
    index = 7

    async def read(cursor: Cursor) -> list[str]:
        cursor.advance(QueryMeta(index=index))
        return ["b", "a"]

    topic = Topic(read)
    mine, other = Watch.of(topic), Watch.of(topic)
    got = await anext(mine)
    got.sort()
    got.append("c")

    assert await anext(other) == ["b", "a"]
    assert topic.version == 1
    assert mine.latest is got


async def test_a_value_unlike_itself_is_news_each_time_and_no_busy_loop() -> None:
    store = Store()

    async def read(cursor: Cursor) -> float:
        await store.read(cursor)
        return float("nan")

    clock = Clock()
    watch = Watch(read, now=clock.now, sleep=clock.sleep)
    with anyio.fail_after(5):
        await anext(watch)
        for _ in range(3):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(watch.__anext__)
                await store.blocked()
                store.touch()

    # One query for each time that something moved.
    assert store.asked == [None, 7, 8, 9]


async def test_an_early_look_is_a_checkpoint_too() -> None:
    store = Store()
    topic = followed(store)
    looks = 0

    async def look() -> None:
        nonlocal looks
        while True:
            await anext(Watch.of(topic))
            looks += 1

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(follow_to_end, Watch.of(topic), [])
            await store.blocked()
            tasks.start_soon(look)
            await until(lambda: looks > 3)
            tasks.cancel_scope.cancel()
