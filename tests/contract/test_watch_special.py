"""Watches that are unlike the others: without an index, without waiting, of other options."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import anyio
import pytest

from consul_onex import ClientClosedError, ConsulClient, InvalidRequestError, KVPair, Watch
from consul_onex.changes import Added, Change, Changed, Removed, Snapshot
from consul_onex.models.service import ServiceRegistration
from tests.contract.conftest import Recorder
from tests.support.agents import Agent


def unique() -> str:
    return f"special-{uuid4().hex}"


async def until(true: Callable[[], bool]) -> None:
    await anyio.wait_all_tasks_blocked()
    while not true():
        await anyio.wait_all_tasks_blocked()


async def take(watch: Watch[Any], into: list[Any], number: int) -> None:
    while len(into) < number:
        into.append(await anext(watch))


# -- by the hash of its content --------------------------------------------------------------------


async def test_an_agents_own_service_is_followed_by_its_content(
    c: ConsulClient, observed: ConsulClient, recorder: Recorder
) -> None:
    name = unique()
    red = ServiceRegistration(name=name, tags=["red"])
    blue = ServiceRegistration(name=name, tags=["blue"])
    watch = observed.using(wait=60).watch(observed.agent.service, name)
    tags: list[list[str] | None] = []

    async def step() -> None:
        service = await anext(watch)
        tags.append(service.tags if service is not None else None)

    with anyio.fail_after(20):
        await step()
        for registration in (red, blue):
            await c.agent.register(registration)
            await step()
        await c.agent.deregister(name)
        await step()
        # The very same content, which has the very same hash.
        await c.agent.register(blue)
        await step()
    await c.agent.deregister(name)

    assert tags == [None, ["red"], ["blue"], None, ["blue"]]
    assert any("hash" in request.url.params for request in recorder.requests)
    # What is not there is looked for once a second, and no oftener.
    assert len(recorder.requests) < 20


async def test_a_service_that_waits_hears_at_once(
    c: ConsulClient, observed: ConsulClient, recorder: Recorder
) -> None:
    name = unique()
    await c.agent.register(ServiceRegistration(name=name))
    watch = observed.watch(observed.agent.service, name)
    seen: list[Any] = []

    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(take, watch, seen, 2)
            await until(lambda: "hash" in recorder.last.url.params)
            await c.agent.deregister(name)

    assert [service is not None for service in seen] == [True, False]


# -- events and polls ------------------------------------------------------------------------------


async def test_events_are_followed_one_by_one(c: ConsulClient) -> None:
    name = unique()
    watch = c.watch(c.event.list, name=name)
    seen: list[list[bytes]] = []

    with anyio.fail_after(20):
        assert await anext(watch) == []
        for payload in ("1", "2", "3"):
            await c.event.fire(name, payload)
            seen.append([event.payload for event in await anext(watch)])

    assert seen == [[b"1"], [b"1", b"2"], [b"1", b"2", b"3"]]


async def test_the_changes_of_events_are_what_was_fired(c: ConsulClient) -> None:
    name = unique()
    changes = c.watch(c.event.list, name=name).changes()

    with anyio.fail_after(20):
        assert await anext(changes) == Snapshot({})
        event_id = await c.event.fire(name, "1")
        change = await anext(changes)

    assert isinstance(change, Added)
    assert change.new.payload == b"1"
    assert change.key == change.new.id == event_id.id


async def test_followers_of_one_poll_share_it_and_it_keeps_its_distance(
    c: ConsulClient, observed: ConsulClient, recorder: Recorder, prefix: str
) -> None:
    every, seen, others = 0.3, list[KVPair | None](), list[KVPair | None]()

    async def write() -> None:
        for number in itertools.count():
            await c.kv.put(prefix + "k", str(number))

    started = anyio.current_time()
    with anyio.fail_after(20):
        async with anyio.create_task_group() as writing:
            writing.start_soon(write)
            async with anyio.create_task_group() as tasks:
                for into in (seen, others):
                    watch = observed.poll(observed.kv.get, every, prefix + "k")
                    tasks.start_soon(take, watch, into, 3)
            writing.cancel_scope.cancel()
        took = anyio.current_time() - started

    assert [pair and pair.key for pair in seen[1:]] == [prefix + "k"] * 2
    assert seen[1:] == others[1:]
    # Everything is news to it, and yet it does not ask oftener.
    assert len(recorder.requests) <= 2 + took / every


# -- what is the same, and what is not -------------------------------------------------------------


@pytest.mark.parametrize("options", [{"wait": 30}, {"token": "other"}, {"timeout": 90}])
async def test_views_that_differ_share_no_query(
    observed: ConsulClient, recorder: Recorder, prefix: str, options: dict[str, Any]
) -> None:
    views = [observed, observed.using(**options), observed, observed.using(**options)]

    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            for view in views:
                tasks.start_soon(take, view.kv.watch(prefix + "k"), [], 2)
            await recorder.blocks(more_than=1)
            await anyio.wait_all_tasks_blocked()
            tasks.cancel_scope.cancel()

    assert len(recorder.blocking) == 2


async def test_a_refused_token_harms_no_other(acl_agent: Agent) -> None:
    key, seen = unique(), list[KVPair | None]()

    async with ConsulClient(acl_agent.url, token=acl_agent.token) as c:
        with anyio.fail_after(10):
            async with anyio.create_task_group() as tasks:
                refused = c.using(token="nobody").kv.watch(key)
                tasks.start_soon(take, refused, [], 1)
                tasks.start_soon(take, c.kv.watch(key), seen, 2)
                await until(lambda: refused.failures >= 2 and len(seen) == 1)
                await c.kv.put(key, b"v")
                await until(lambda: len(seen) == 2)
                assert not refused.state.live
                tasks.cancel_scope.cancel()
        await c.kv.delete(key)

    assert [pair and pair.value for pair in seen] == [None, b"v"]


async def test_lists_and_mappings_as_arguments_are_compared_by_what_is_in_them(
    observed: ConsulClient, recorder: Recorder
) -> None:
    def watch(tags: list[str], meta: dict[str, str]) -> Watch[Any]:
        return observed.watch(observed.health.service, "web", tag=tags, node_meta=meta)

    watches = [
        watch(["a", "b"], {"x": "1", "y": "2"}),
        watch(["a", "b"], {"y": "2", "x": "1"}),
        watch(["a"], {"x": "1", "y": "2"}),
    ]
    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            for one in watches:
                tasks.start_soon(take, one, [], 2)
            await recorder.blocks(more_than=1)
            await anyio.wait_all_tasks_blocked()
            tasks.cancel_scope.cancel()

    assert len(recorder.blocking) == 2


async def test_a_list_that_its_owner_changes_later_changes_no_watch(
    observed: ConsulClient, recorder: Recorder
) -> None:
    tags = ["a"]
    watch = observed.watch(observed.health.service, "web", tag=tags)
    tags.append("b")

    with anyio.fail_after(10):
        await anext(watch)

    assert recorder.last.url.params.get_list("tag") == ["a"]


async def test_what_cannot_be_compared_is_followed_alone(
    observed: ConsulClient, recorder: Recorder
) -> None:
    odd: Any = {1: "a", "b": "c"}

    with anyio.fail_after(10):
        for _ in range(2):
            await anext(observed.watch(observed.health.service, "web", tag={"a"}))  # type: ignore[arg-type]
        with pytest.raises(InvalidRequestError, match="node_meta"):
            await anext(observed.watch(observed.health.service, "web", node_meta=odd))

    assert len(recorder.requests) == 2


async def test_two_clients_reads_are_two_even_where_one_watches_both(
    agent: Agent, acl_agent: Agent
) -> None:
    key = unique()
    async with (
        ConsulClient(agent.url) as here,
        ConsulClient(acl_agent.url, token=acl_agent.token) as there,
    ):
        # The view's own token does not tell them apart, and neither does anything else.
        await here.kv.put(key, b"here")
        await there.kv.put(key, b"there")
        mine, other = here.watch(here.kv.get, key), here.watch(there.kv.get, key)
        with anyio.fail_after(5):
            values = [await anext(mine), await anext(other)]
        await here.kv.delete(key)
        await there.kv.delete(key)

    assert [value and value.value for value in values] == [b"here", b"there"]


async def test_a_read_of_ones_own_is_followed_like_any_other(c: ConsulClient, prefix: str) -> None:
    async def number(key: str, cursor: Any = None) -> int:
        pair = await c.kv.get(key, cursor=cursor)
        return int(pair.text()) if pair is not None else -1

    watch = c.watch(number, prefix + "k")
    with anyio.fail_after(10):
        numbers = [await anext(watch)]
        for value in (7, 8):
            await c.kv.put(prefix + "k", str(value))
            numbers.append(await anext(watch))

    assert numbers == [-1, 7, 8]


@pytest.mark.parametrize("not_a_read", [None, 7, "kv.get"])
async def test_only_a_method_can_be_watched(c: ConsulClient, not_a_read: Any) -> None:
    with pytest.raises(InvalidRequestError, match="a method and its arguments"):
        c.watch(not_a_read)
    with pytest.raises(InvalidRequestError, match="a method and its arguments"):
        c.poll(not_a_read, 1)


async def test_wrong_arguments_are_refused_before_anything_is_asked(
    observed: ConsulClient, recorder: Recorder
) -> None:
    call: Any = observed.kv.get

    with pytest.raises(InvalidRequestError, match="cannot be called so: missing"):
        observed.watch(call)
    with pytest.raises(InvalidRequestError, match="cannot be called so: .*unexpected"):
        observed.poll(call, 1, "k", nonsense=True)
    assert recorder.requests == []


async def test_a_cursor_given_by_position_is_refused_as_well(c: ConsulClient) -> None:
    async def read(cursor: Any = None) -> None:
        raise AssertionError("never called")

    with pytest.raises(InvalidRequestError, match="a cursor of its own"):
        c.watch(read, 7)


# -- the end ---------------------------------------------------------------------------------------


async def test_closing_is_told_to_each_follower_of_one_query(
    observed: ConsulClient, recorder: Recorder, prefix: str
) -> None:
    ended: list[ClientClosedError] = []

    async def follow() -> None:
        try:
            async for _ in observed.kv.watch(prefix + "k"):
                pass
        except ClientClosedError as error:
            ended.append(error)

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            for _ in range(20):
                tasks.start_soon(follow)
            await recorder.blocks()
            await anyio.wait_all_tasks_blocked()
            await observed.aclose()

    assert len({id(error) for error in ended}) == 20
    assert recorder.active == 0
    assert len(recorder.requests) == 2


# -- row by row ------------------------------------------------------------------------------------


async def test_the_rows_of_a_mapping_go_by_their_names(c: ConsulClient) -> None:
    name = unique()
    red = ServiceRegistration(name=name, tags=["red"])
    blue = ServiceRegistration(name=name, tags=["blue"])
    changes = c.watch(c.catalog.services).changes()
    seen: list[Change[list[str]]] = []

    async def until_it_is_told() -> None:
        # Other tests register services of their own meanwhile.
        async for change in changes:
            if isinstance(change, (Added, Changed, Removed)) and change.key == name:
                seen.append(change)
                return

    with anyio.fail_after(20):
        assert isinstance(await anext(changes), Snapshot)
        for registration in (red, blue):
            await c.agent.register(registration)
            await until_it_is_told()
        await c.agent.deregister(name)
        await until_it_is_told()

    assert seen == [
        Added(name, ["red"]),
        Changed(name, ["red"], ["blue"]),
        Removed(name, ["blue"]),
    ]
