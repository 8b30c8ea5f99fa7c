"""Watches on a real agent: one event for each change, none for anything else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import anyio
import pytest

from consul_onex import (
    BadRequestError,
    ClientClosedError,
    ConfigurationError,
    ConsulClient,
    InvalidRequestError,
    KVPair,
    Watch,
)
from tests.contract.conftest import Recorder
from tests.support.agents import Agent

T = TypeVar("T")


async def collect(watch: Watch[T], into: list[T], until: Callable[[T], bool]) -> None:
    """Note what a watch delivers, up to what it is to end with."""
    async for value in watch:
        into.append(value)
        if until(value):
            return


def is_last(pair: KVPair | None) -> bool:
    return pair is not None and pair.value == b"last"


def values(pairs: list[KVPair | None]) -> list[bytes | None]:
    return [pair.value if pair is not None else None for pair in pairs]


# -- one key -------------------------------------------------------------------------------------


async def test_the_first_value_comes_at_once(c: ConsulClient, prefix: str) -> None:
    await c.kv.put(prefix + "k", b"v", flags=3)

    with anyio.fail_after(5):
        there = await anext(c.kv.watch(prefix + "k"))
        missing = await anext(c.kv.watch(prefix + "missing"))

    assert there == await c.kv.get(prefix + "k")
    assert missing is None


async def test_every_kind_of_change_is_one_event(c: ConsulClient, prefix: str) -> None:
    key = prefix + "k"
    watch = c.kv.watch(key)

    with anyio.fail_after(10):
        nothing = await anext(watch)
        await c.kv.put(key, b"1")
        created = await anext(watch)
        await c.kv.put(key, b"2")
        changed = await anext(watch)
        await c.kv.put(key, b"2", flags=9)
        flagged = await anext(watch)
        await c.kv.delete(key)
        deleted = await anext(watch)
        await c.kv.put(key, b"2", flags=9)
        created_again = await anext(watch)

    assert nothing is None
    assert deleted is None
    assert created is not None
    assert changed is not None
    assert flagged is not None
    assert created_again is not None
    assert [created.value, changed.value, flagged.value] == [b"1", b"2", b"2"]
    assert (changed.flags, flagged.flags) == (0, 9)
    # The same content, but another entry.
    assert created_again.create_index > created.create_index


async def test_a_change_reaches_a_watch_that_waits(
    c: ConsulClient, observed: ConsulClient, recorder: Recorder, prefix: str
) -> None:
    key = prefix + "k"
    seen: list[KVPair | None] = []

    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(collect, observed.kv.watch(key), seen, is_last)
            await recorder.blocks()
            await c.kv.put(key, b"last")

    assert values(seen) == [None, b"last"]


async def test_rewriting_the_same_value_is_no_event(
    c: ConsulClient, observed: ConsulClient, recorder: Recorder, prefix: str
) -> None:
    key = prefix + "k"
    await c.kv.put(key, b"v")
    seen: list[KVPair | None] = []

    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(collect, observed.kv.watch(key), seen, is_last)
            await recorder.blocks()
            for _ in range(5):
                await c.kv.put(key, b"v")
            await c.kv.put(key, b"last")

    assert values(seen) == [b"v", b"last"]


async def test_neighbours_of_an_existing_key_are_no_events(
    c: ConsulClient, observed: ConsulClient, recorder: Recorder, prefix: str
) -> None:
    key = prefix + "k"
    await c.kv.put(key, b"v")
    seen: list[KVPair | None] = []

    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(collect, observed.kv.watch(key), seen, is_last)
            await recorder.blocks()
            for name in ("k/child", "k2", "j"):
                await c.kv.put(prefix + name, b"")
            await c.kv.put(key, b"last")

    assert values(seen) == [b"v", b"last"]


async def test_busy_neighbours_of_a_missing_key_cost_little(
    c: ConsulClient, observed: ConsulClient, recorder: Recorder, prefix: str
) -> None:
    """What is not there has the index of all that is (hashicorp/consul#3890)."""
    seen: list[KVPair | None] = []
    before: list[bytes | None] = []
    woken, seconds = 0, 0.0

    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(collect, observed.kv.watch(prefix + "k"), seen, is_last)
            await recorder.blocks()
            started = anyio.current_time()
            for number in range(150):
                await c.kv.put(prefix + "neighbour", str(number))
                await anyio.sleep(0.02)  # about 50 a second, for 3 seconds
            woken, seconds = len(recorder.blocking), anyio.current_time() - started
            before = values(seen)
            await c.kv.put(prefix + "k", b"last")

    # Each of the 150 would wake it; it lets two do so at once, then one a second.
    assert 3 <= woken <= 4 + seconds
    assert before == [None]
    assert values(seen) == [None, b"last"]


async def test_a_slow_reader_gets_the_latest_value(c: ConsulClient, prefix: str) -> None:
    watch = c.kv.watch(prefix + "k")

    with anyio.fail_after(10):
        await anext(watch)
        for number in range(10):
            await c.kv.put(prefix + "k", str(number))
        pair = await anext(watch)

    assert pair is not None
    assert pair.text() == "9"


async def test_values_never_go_back_under_many_writes(c: ConsulClient, prefix: str) -> None:
    key = prefix + "k"
    seen: list[KVPair | None] = []

    async def write() -> None:
        for number in range(200):
            await c.kv.put(key, str(number))
        await c.kv.put(key, b"last")

    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(collect, c.kv.watch(key), seen, is_last)
            tasks.start_soon(write)

    indexes = [pair.modify_index if pair else 0 for pair in seen]
    assert indexes == sorted(set(indexes))
    assert values(seen)[-1] == b"last"


async def test_many_watches_of_one_key_all_hear_of_it(c: ConsulClient, prefix: str) -> None:
    heard: list[list[KVPair | None]] = [[] for _ in range(20)]

    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            for seen in heard:
                tasks.start_soon(collect, c.kv.watch(prefix + "k"), seen, is_last)
            await c.kv.put(prefix + "k", b"last")

    assert all(is_last(seen[-1]) for seen in heard)


# -- a prefix, and any read ----------------------------------------------------------------------


async def test_a_prefix_is_watched_as_a_whole(c: ConsulClient, prefix: str) -> None:
    watch = c.kv.watch_prefix(prefix)

    with anyio.fail_after(10):
        nothing = await anext(watch)
        await c.kv.put(prefix + "b", b"1")
        one = await anext(watch)
        await c.kv.put(prefix + "a/deep", b"2")
        two = await anext(watch)
        await c.kv.put(prefix + "b", b"3")
        changed = await anext(watch)
        await c.kv.delete(prefix + "b")
        less = await anext(watch)
        await c.kv.delete_tree(prefix)
        emptied = await anext(watch)

    states = [{pair.key: pair.value for pair in pairs} for pairs in (one, two, changed, less)]
    assert nothing == emptied == []
    assert states == [
        {prefix + "b": b"1"},
        {prefix + "a/deep": b"2", prefix + "b": b"1"},
        {prefix + "a/deep": b"2", prefix + "b": b"3"},
        {prefix + "a/deep": b"2"},
    ]


async def test_writes_outside_of_a_prefix_are_no_events(
    c: ConsulClient, observed: ConsulClient, recorder: Recorder, prefix: str
) -> None:
    await c.kv.put(prefix + "in/a", b"")
    seen: list[list[KVPair]] = []

    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            watch = observed.kv.watch_prefix(prefix + "in/")
            tasks.start_soon(collect, watch, seen, lambda pairs: len(pairs) == 2)
            await recorder.blocks()
            await c.kv.put(prefix + "in", b"")
            await c.kv.put(prefix + "out/a", b"")
            await c.kv.put(prefix + "in/b", b"")

    assert [len(pairs) for pairs in seen] == [1, 2]


async def test_any_read_that_takes_a_cursor_can_be_watched(c: ConsulClient, prefix: str) -> None:
    watch = c.watch(c.kv.keys, prefix, separator="/")

    with anyio.fail_after(10):
        steps = [await anext(watch)]
        for name in ("a", "d/1", "b"):
            await c.kv.put(prefix + name, b"")
            steps.append(await anext(watch))

    names = [[key.removeprefix(prefix) for key in keys] for keys in steps]
    assert names == [[], ["a"], ["a", "d/"], ["a", "b", "d/"]]


async def test_a_change_of_value_is_no_event_for_a_watch_of_names(
    c: ConsulClient, observed: ConsulClient, recorder: Recorder, prefix: str
) -> None:
    await c.kv.put(prefix + "a", b"1")
    seen: list[list[str]] = []

    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            watch = observed.watch(observed.kv.keys, prefix)
            tasks.start_soon(collect, watch, seen, lambda keys: len(keys) == 2)
            await recorder.blocks()
            await c.kv.put(prefix + "a", b"2")
            await recorder.blocks(more_than=1)
            await c.kv.put(prefix + "b", b"")

    assert seen == [[prefix + "a"], [prefix + "a", prefix + "b"]]


async def test_a_watch_takes_no_cursor_of_another(c: ConsulClient, prefix: str) -> None:
    with pytest.raises(InvalidRequestError, match="a cursor of its own"):
        c.watch(c.kv.keys, prefix, cursor=None)


# -- what is sent --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wait", "sent", "least"), [(600, "600s", 637.5), (60, "60s", 63.75), (0.5, "500ms", 0.53125)]
)
async def test_the_read_time_out_is_longer_than_consul_may_take(
    observed: ConsulClient,
    recorder: Recorder,
    c: ConsulClient,
    prefix: str,
    wait: float,
    sent: str,
    least: float,
) -> None:
    watch = observed.using(wait=wait).kv.watch(prefix + "k")

    with anyio.fail_after(10):
        await anext(watch)
        await c.kv.put(prefix + "k", b"")
        await anext(watch)

    first, second = recorder.requests
    assert "wait" not in first.url.params
    assert second.url.params["wait"] == sent
    # Consul adds up to a sixteenth to the wait.
    assert second.extensions["timeout"]["read"] >= least
    assert first.extensions["timeout"]["read"] < 60


async def test_a_wait_that_ends_without_news_goes_on_unseen(
    c: ConsulClient, observed: ConsulClient, recorder: Recorder, prefix: str
) -> None:
    await c.kv.put(prefix + "k", b"v")
    seen: list[KVPair | None] = []

    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            watch = observed.using(wait=0.2).kv.watch(prefix + "k")
            tasks.start_soon(collect, watch, seen, is_last)
            await recorder.blocks(more_than=2)
            await c.kv.put(prefix + "k", b"last")

    assert values(seen) == [b"v", b"last"]


@pytest.mark.parametrize("wait", [0, -1, 601, float("nan"), float("inf"), "60"])
async def test_a_wait_that_consul_would_change_is_refused(c: ConsulClient, wait: Any) -> None:
    with pytest.raises(ConfigurationError, match="wait"):
        c.using(wait=wait)


# -- the end -------------------------------------------------------------------------------------


async def test_leaving_the_loop_leaves_nothing_behind(
    observed: ConsulClient, recorder: Recorder, prefix: str
) -> None:
    async for _ in observed.kv.watch(prefix + "k"):
        break

    limit = observed.statistics().limit
    assert recorder.active == 0
    assert limit is not None
    assert (limit.plain, limit.blocking, limit.parked) == (0, 0, 0)
    assert len(recorder.requests) == 1


async def test_a_cancelled_step_closes_its_connection(
    observed: ConsulClient, recorder: Recorder, prefix: str
) -> None:
    watch = observed.kv.watch(prefix + "k")
    never: list[KVPair | None] = []
    while_waiting = 0

    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(collect, watch, never, is_last)
            await recorder.blocks()
            while_waiting = recorder.active
            tasks.cancel_scope.cancel()

    assert (while_waiting, recorder.active) == (1, 0)


async def test_a_watch_goes_on_after_a_cancelled_step(
    c: ConsulClient, observed: ConsulClient, recorder: Recorder, prefix: str
) -> None:
    watch = observed.kv.watch(prefix + "k")
    seen: list[KVPair | None] = []

    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(collect, watch, seen, is_last)
            await recorder.blocks()
            tasks.cancel_scope.cancel()
        await c.kv.put(prefix + "k", b"last")
        pair = await anext(watch)

    assert values(seen) == [None]
    assert is_last(pair)


async def test_closing_the_client_ends_a_watch_that_waits(
    observed: ConsulClient, recorder: Recorder, prefix: str
) -> None:
    ended: list[type[Exception]] = []

    async def follow() -> None:
        try:
            await collect(observed.kv.watch(prefix + "k"), [], is_last)
        except ClientClosedError as error:
            ended.append(type(error))

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(follow)
            await recorder.blocks()
            await observed.aclose()

    assert ended == [ClientClosedError]
    assert recorder.active == 0


async def test_a_wrong_request_is_raised_and_not_repeated(
    agent: Agent, recorder: Recorder, prefix: str
) -> None:
    async with ConsulClient(agent.url, transport=recorder, check_server=False) as c:
        watch = c.using(namespace="team").kv.watch(prefix + "k")

        with anyio.fail_after(5), pytest.raises(BadRequestError):
            await anext(watch)

    assert len(recorder.requests) == 1
