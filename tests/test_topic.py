"""Many who follow one read: who asks, who waits along, and what each of them gets."""

from __future__ import annotations

import gc
from collections.abc import Callable
from dataclasses import dataclass, field

import anyio
import anyio.lowlevel
import pytest

from consul_onex import (
    BadRequestError,
    ConsulConnectionError,
    ConsulError,
    Cursor,
    OverloadedError,
    QueryMeta,
    ServerError,
    Watch,
)
from consul_onex._topic import Hub, Topic


@dataclass
class Store:
    """What is followed: a value with a place in history, that readers wait beyond."""

    value: str = "a"
    index: int = 7
    asked: list[int | None] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)
    waiting: int = 0
    at_once: int = 0
    """The most readers there were at the same time."""
    failures: list[ConsulError] = field(default_factory=list)
    _changed: anyio.Event = field(default_factory=anyio.Event)

    def put(self, value: str) -> None:
        self.value, self.index = value, self.index + 1
        self._wake()

    def touch(self) -> None:
        """Move on without news."""
        self.put(self.value)

    def fail(self, error: ConsulError) -> None:
        self.failures.append(error)
        self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = anyio.Event()

    async def read(self, cursor: Cursor) -> str:
        self.asked.append(cursor.index)
        self.waits.append(cursor.wait)
        self.waiting += 1
        self.at_once = max(self.at_once, self.waiting)
        try:
            if cursor.index == self.index and not self.failures:
                await self._changed.wait()
            await anyio.lowlevel.checkpoint()
            if self.failures:
                cursor.restart()
                raise self.failures.pop(0)
            cursor.advance(QueryMeta(index=self.index))
            return self.value
        finally:
            self.waiting -= 1

    async def blocked(self) -> None:
        """Come back when a reader waits for a change."""
        while not (self.waiting and self.asked[-1] == self.index):
            await anyio.lowlevel.checkpoint()


class Clock:
    def __init__(self) -> None:
        self.time = 1000.0
        self.pauses: list[float] = []

    def now(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.time += seconds
        await anyio.lowlevel.checkpoint()


def followed(store: Store, *, hub: Hub | None = None, wait: float = 60.0) -> Topic[str]:
    clock = Clock()
    return Topic(store.read, wait=wait, hub=hub, now=clock.now, sleep=clock.sleep, dice=lambda: 1.0)


async def follow(watch: Watch[str], into: list[str], last: str = "end") -> None:
    async for value in watch:
        into.append(value)
        if value == last:
            return


async def until(true: Callable[[], bool]) -> None:
    while not true():
        await anyio.lowlevel.checkpoint()


async def test_many_followers_are_one_reader() -> None:
    store = Store()
    topic = followed(store)
    seen: list[list[str]] = [[] for _ in range(50)]

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            for mine in seen:
                tasks.start_soon(follow, Watch.of(topic), mine)
            for value in ("b", "c", "end"):
                await until(lambda: all(mine and mine[-1] == store.value for mine in seen))
                await store.blocked()
                store.put(value)

    assert seen == [["a", "b", "c", "end"]] * 50
    assert store.at_once == 1
    assert store.asked == [None, 7, 8, 9]


async def test_when_the_one_who_asks_is_cancelled_another_asks_on() -> None:
    store = Store()
    topic = followed(store)
    first: list[str] = []
    second: list[str] = []

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            scope = anyio.CancelScope()

            async def leaves() -> None:
                with scope:
                    await follow(Watch.of(topic), first)

            tasks.start_soon(leaves)
            await store.blocked()
            tasks.start_soon(follow, Watch.of(topic), second)
            await until(lambda: second == ["a"])
            await anyio.lowlevel.checkpoint()
            scope.cancel()
            await until(lambda: store.asked == [None, 7, 7])
            await store.blocked()
            store.put("end")

    assert (first, second) == (["a"], ["a", "end"])
    assert store.waiting == 0


async def test_who_waits_along_may_leave_and_nobody_notices() -> None:
    store = Store()
    topic = followed(store)
    stays: list[str] = []

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(follow, Watch.of(topic), stays)
            await store.blocked()
            scope = anyio.CancelScope()

            async def leaves() -> None:
                with scope:
                    await follow(Watch.of(topic), [])

            tasks.start_soon(leaves)
            await anyio.lowlevel.checkpoint()
            scope.cancel()
            await anyio.lowlevel.checkpoint()
            store.put("end")

    assert stays == ["a", "end"]
    assert store.asked == [None, 7]


async def test_a_stalled_follower_holds_up_nobody_and_gets_the_latest() -> None:
    store = Store()
    topic = followed(store)
    stalled = Watch.of(topic)
    busy: list[str] = []

    with anyio.fail_after(5):
        first = await anext(stalled)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(follow, Watch.of(topic), busy)
            for value in ("b", "c", "end"):
                await until(lambda: bool(busy) and busy[-1] == store.value)
                await store.blocked()
                store.put(value)
        latest = await anext(stalled)

    assert busy == ["a", "b", "c", "end"]
    assert (first, latest) == ("a", "end")


async def test_what_changed_and_changed_back_is_no_news() -> None:
    store = Store()
    topic = followed(store)
    slow = Watch.of(topic)
    busy = Watch.of(topic)

    with anyio.fail_after(5):
        assert await anext(slow) == "a"
        assert await anext(busy) == "a"
        for value in ("b", "a"):
            store.put(value)
            assert await anext(busy) == value
        store.put("c")
        assert await anext(slow) == "c"


async def test_a_late_follower_gets_what_is_there_without_asking_again() -> None:
    store = Store()
    topic = followed(store)
    late = Watch.of(topic)

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(follow, Watch.of(topic), [])
            await store.blocked()
            assert await anext(late) == "a"
            assert store.asked == [None, 7]
            store.put("end")


async def test_a_late_follower_of_what_nobody_asks_for_asks_anew() -> None:
    store = Store()
    topic = followed(store)
    assert await anext(Watch.of(topic)) == "a"
    # Nobody heard of it, and the index that they had is that of a former life.
    store.value, store.index = "b", 3

    with anyio.fail_after(5):
        assert await anext(Watch.of(topic)) == "b"

    assert store.asked == [None, None]


async def test_after_a_long_step_of_the_follower_it_asks_anew() -> None:
    store, clock = Store(), Clock()
    watch = Watch(store.read, now=clock.now, sleep=clock.sleep, dice=lambda: 1.0)
    assert await anext(watch) == "a"
    # The agent was wiped and restarted meanwhile: it would keep the old index waiting.
    clock.time += 1.5
    store.value, store.index = "b", 3

    with anyio.fail_after(5):
        assert await anext(watch) == "b"

    assert store.asked == [None, None]
    assert watch.resynchronised


async def test_an_error_that_stays_is_raised_to_each_follower() -> None:
    store = Store()
    topic = followed(store)
    raised: list[str] = []

    async def meets_it() -> None:
        with pytest.raises(BadRequestError):
            await follow(Watch.of(topic), [])
        raised.append("raised")

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(meets_it)
            await store.blocked()
            for _ in range(3):
                store.failures.append(BadRequestError("no", status=400))
            store.fail(BadRequestError("no", status=400))

    assert raised == ["raised"] * 3


async def test_a_break_is_told_to_each_follower_once() -> None:
    store = Store()
    topic = followed(store)
    one, other = Watch.of(topic), Watch.of(topic)
    assert await anext(one) == await anext(other) == "a"

    store.value, store.index = "b", 3
    topic.cursor.restart()
    assert await anext(one) == await anext(other) == "b"
    assert one.resynchronised
    assert other.resynchronised

    store.put("c")
    assert await anext(one) == await anext(other) == "c"
    assert not one.resynchronised
    assert not other.resynchronised


# -- state ---------------------------------------------------------------------------------------


async def test_the_state_says_how_it_is_doing_and_how_old_the_latest_is() -> None:
    store, clock = Store(), Clock()
    states = []

    async def sleep(seconds: float) -> None:
        states.append(watch.state)
        await clock.sleep(seconds)

    watch = Watch(store.read, now=clock.now, sleep=sleep, dice=lambda: 1.0)
    assert (watch.state.live, watch.state.age, watch.latest) == (False, None, None)

    await anext(watch)
    clock.time += 0.5
    assert (watch.state.live, watch.state.age, watch.latest) == (True, 0.5, "a")

    store.failures += [ServerError("EOF", status=500), ServerError("EOF", status=500)]
    store.put("b")
    await anext(watch)

    assert [(s.live, s.failures, s.degraded, s.age) for s in states] == [
        (False, 1, 0.0, 0.5),
        (False, 2, 0.25, 0.75),
    ]
    assert (watch.state.live, watch.state.degraded, watch.latest) == (True, None, "b")


# -- bursts --------------------------------------------------------------------------------------


async def test_a_burst_is_delivered_as_one_when_it_has_settled() -> None:
    store = Store()
    watch = Watch(store.read, wait=20).settled(0.1, 5)
    seen: list[str] = []

    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(follow, watch, seen)
            await store.blocked()
            for value in ("b", "c", "d", "end"):
                store.put(value)
                await store.blocked()
            # The store does not know how to end a wait by itself.
            await anyio.sleep(0.12)
            store.touch()

    assert seen == ["a", "end"]
    assert store.waits[-1] <= 0.1


# -- the hub -------------------------------------------------------------------------------------


async def test_equal_topics_are_one_as_long_as_somebody_follows_them() -> None:
    hub, store = Hub(), Store()
    one = hub.topic(("k", 1), lambda: followed(store))

    assert hub.topic(("k", 1), lambda: followed(store)) is one
    assert hub.topic(("k", 2), lambda: followed(store)) is not one

    del one
    gc.collect()
    assert len(hub) == 0


async def test_where_places_are_scarce_every_topic_waits_less() -> None:
    hub = Hub(places=10)
    assert hub.share(60.0) == 60.0

    hub.asking = 40
    assert hub.share(60.0) == 7.5
    assert hub.share(600.0) == 7.5
    hub.asking = 100_000
    assert hub.share(60.0) == 1.0


@pytest.mark.parametrize("queue", [True, False])
async def test_without_a_place_a_topic_queues_or_fails_as_it_is_set(queue: bool) -> None:
    store = Store(failures=[OverloadedError("full")])
    watch = Watch.of(followed(store, hub=Hub(queue=queue)))

    if queue:
        assert await anext(watch) == "a"
    else:
        with pytest.raises(OverloadedError):
            await anext(watch)


# -- a server that cuts long polls -----------------------------------------------------------------


class Cuts:
    """A server, or a proxy before it, that lets no request take longer than so many seconds."""

    def __init__(self, clock: Clock, after: float) -> None:
        self.waits: list[float] = []
        self._clock = clock
        self._after = after

    async def read(self, cursor: Cursor) -> str:
        if not cursor.waits:
            cursor.advance(QueryMeta(index=7))
            return "a"
        self.waits.append(cursor.wait)
        self._clock.time += min(cursor.wait, self._after)
        if cursor.wait > self._after:
            cursor.restart()
            raise ConsulConnectionError("Server disconnected")
        cursor.advance(QueryMeta(index=8))
        return "b"


async def test_two_cuts_after_the_same_time_shorten_the_wait() -> None:
    clock = Clock()
    cuts = Cuts(clock, after=30)
    watch = Watch(cuts.read, now=clock.now, sleep=clock.sleep, dice=lambda: 1.0)

    with anyio.fail_after(5):
        values = [await anext(watch), await anext(watch)]

    assert values == ["a", "b"]
    assert cuts.waits == [60.0, 60.0, 24.0]
    assert watch.cursor.wait == 24.0


async def test_connections_that_die_young_do_not_shorten_the_wait() -> None:
    clock = Clock()
    cuts = Cuts(clock, after=2)
    watch = Watch(cuts.read, wait=10, now=clock.now, sleep=clock.sleep, dice=lambda: 1.0)
    await anext(watch)

    with anyio.move_on_after(0):
        await anext(watch)

    assert watch.cursor.wait == 10.0
