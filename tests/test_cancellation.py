"""Calls that are cancelled at any moment, and clients that are closed at any moment."""

from __future__ import annotations

import os
import random
import socket
import stat
from collections.abc import AsyncIterator
from typing import Final

import anyio
import httpx
import pytest

from consul_onex import ClientClosedError, ConsulClient, Cursor, KVPair, Statistics
from consul_onex.transport import (
    Breaker,
    ConnectionStatistics,
    Datacenters,
    Deadline,
    Events,
    Layer,
    Limit,
    LimitStatistics,
    Retry,
)
from tests.support.agents import HOST, Agent
from tests.support.fault_server import HANG, Answer, Seen, fault_server, reply

PAIR: Final = reply(
    body=b'[{"Key": "k", "Value": "djE=", "ModifyIndex": 7}]', headers={"X-Consul-Index": "7"}
)

NOTHING_TAKEN: Final = LimitStatistics(plain=0, blocking=0, control=0, parked=0)


def stack(limit: Limit | None = None) -> list[Layer]:
    retry = Retry(initial=0.01)
    return [Deadline(10), Events(), retry, Datacenters(), Breaker(), limit or Limit()]


def connections_of(c: ConsulClient) -> ConnectionStatistics:
    connections = c.statistics().connections
    assert connections is not None
    return connections


def sockets_to(port: int) -> int:
    """How many open sockets of this process have that port at their other end."""
    count = 0
    for name in os.listdir("/dev/fd"):  # noqa: PTH208 (a path for each would be a file too many)
        try:
            # fromfd leaves a copy behind where it is no socket.
            if not stat.S_ISSOCK(os.fstat(int(name)).st_mode):
                continue
            with socket.fromfd(int(name), socket.AF_INET, socket.SOCK_STREAM) as copy:
                count += copy.getpeername()[:2] == (HOST, port)
        except OSError:
            pass
    return count


# -- a storm ---------------------------------------------------------------------------------------


async def test_after_a_storm_of_cancellations_everything_still_works(agent: Agent) -> None:
    chance = random.Random(20)
    before = {task.id for task in anyio.get_running_tasks()}
    answered = cancelled = 0
    c = ConsulClient(agent.url, layers=stack(Limit(plain=3)))

    async def cancel_after(scope: anyio.CancelScope, checkpoints: int) -> None:
        for _ in range(checkpoints):
            await anyio.lowlevel.checkpoint()
        scope.cancel()

    async def call(key: str) -> bool:
        """One call that is cancelled at some point, unless it is faster."""
        done = False
        async with anyio.create_task_group() as tasks:
            if chance.random() < 0.5:
                tasks.start_soon(cancel_after, tasks.cancel_scope, chance.randrange(40))
            else:
                tasks.cancel_scope.deadline = anyio.current_time() + chance.random() * 0.002
            if chance.random() < 0.5:
                await c.kv.get(key)
            else:
                await c.kv.put(key, b"v")
            done = True
            tasks.cancel_scope.cancel()
        return done

    async def hundred_calls(key: str) -> None:
        nonlocal answered, cancelled
        for _ in range(100):
            if await call(key):
                answered += 1
            else:
                cancelled += 1

    with anyio.fail_after(50):
        async with anyio.create_task_group() as tasks:
            for number in range(30):
                tasks.start_soon(hundred_calls, f"storm/{number}")
        after_storm = c.statistics()
        afterwards = [await c.kv.put(f"storm/{n}", b"after") for n in range(100)]
    await c.kv.delete_tree("storm/")

    assert answered + cancelled == 3000
    assert min(answered, cancelled) > 0
    assert after_storm.limit == NOTHING_TAKEN
    assert afterwards == [True] * 100
    assert c.statistics().limit == NOTHING_TAKEN
    connections = connections_of(c)
    assert connections.active == 0
    # Nothing is left but what is idle, and no more of those than there were places.
    assert sockets_to(agent.port) == connections.idle <= 3
    await c.aclose()
    await anyio.wait_all_tasks_blocked()
    assert sockets_to(agent.port) == 0
    assert {task.id for task in anyio.get_running_tasks()} == before


# -- at every await --------------------------------------------------------------------------------


class Steps:
    """Counts the moments at which a call may be cancelled, and cancels it at one of them."""

    def __init__(self, cancel_at: int) -> None:
        self.scope = anyio.CancelScope()
        self.taken = 0
        self._cancel_at = cancel_at

    async def step(self, _: float = 0.0) -> None:
        self.taken += 1
        if self.taken == self._cancel_at:
            self.scope.cancel()
        await anyio.lowlevel.checkpoint()


class Bottom(httpx.AsyncBaseTransport):
    """An agent, every part of whose answers takes a while. A `busy` one refuses the first call."""

    def __init__(self, steps: Steps, *, busy: bool) -> None:
        self.open_bodies = 0
        self._busy = busy
        self._steps = steps

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await self._steps.step()
        await self._steps.step()
        self.open_bodies += 1
        if self._busy:
            self._busy = False
            return httpx.Response(503, stream=_Body(self, self._steps, b"rate limit exceeded"))
        content = PAIR.data.partition(b"\r\n\r\n")[2] if request.method == "GET" else b"true"
        return httpx.Response(
            200, headers={"X-Consul-Index": "7"}, stream=_Body(self, self._steps, content)
        )


class _Body(httpx.AsyncByteStream, AsyncIterator[bytes]):
    def __init__(self, bottom: Bottom, steps: Steps, content: bytes) -> None:
        self._bottom = bottom
        self._steps = steps
        self._chunks = [content[:5], content[5:]]

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        await self._steps.step()
        if not self._chunks:
            raise StopAsyncIteration
        return self._chunks.pop(0)

    async def aclose(self) -> None:
        await self._steps.step()
        self._bottom.open_bodies -= 1


@pytest.mark.parametrize("kind", ["get", "put", "cas", "blocking get"])
async def test_a_call_cancelled_at_any_await_leaves_nothing(kind: str) -> None:
    moment = awaits = cancelled = 0
    # Until a call is through before its moment has come.
    while awaits >= moment:
        moment += 1
        steps = Steps(moment)
        bottom = Bottom(steps, busy=kind != "blocking get")
        layers = stack()
        layers[2] = Retry(sleep=steps.step)
        cursor = Cursor(wait=0.01)
        cursor.index = 5
        async with ConsulClient("consul.example", transport=bottom, layers=layers) as c:
            with anyio.fail_after(5), steps.scope:
                match kind:
                    case "get":
                        await c.kv.get("k")
                    case "put":
                        await c.kv.put("k", b"v")
                    case "cas":
                        await c.kv.put("k", b"v", cas=1)
                    case _:
                        await c.kv.get("k", cursor=cursor)
            awaits = steps.taken

            limit = c.statistics().limit
            assert limit is not None
            assert (limit.plain, limit.control) == (0, 0)
            assert limit.blocking == limit.parked
            assert bottom.open_bodies == 0
            assert c.circuits["consul.default"].statistics().failures == 0
            # A query that was cancelled has seen nothing: the next one starts where it did.
            answered = kind == "blocking get" and not steps.scope.cancelled_caught
            assert cursor.index == (7 if answered else 5)
            assert await c.kv.get("k") == KVPair(key="k", value=b"v1", modify_index=7)
        cancelled += steps.scope.cancelled_caught

    # Six for an attempt: two before the head, three in the body, its closing. With two attempts
    # there is a pause between. The last closing is shielded, and nothing comes after it.
    assert awaits == (6 if kind == "blocking get" else 13)
    assert cancelled == awaits - 1


async def test_a_cancelled_blocking_query_closes_its_connection_at_once() -> None:
    def script(seen: Seen) -> Answer:
        return HANG if "index=" in seen.target else PAIR

    cursor = Cursor()
    async with fault_server(script) as server, ConsulClient(server.url, layers=stack()) as c:
        await c.kv.get("k", cursor=cursor)
        async with anyio.create_task_group() as tasks:

            async def poll() -> None:
                await c.kv.get("k", cursor=cursor)

            tasks.start_soon(poll)
            await server.wait_requests(2)
            tasks.cancel_scope.cancel()

        await server.wait_open(0)
        assert connections_of(c) == ConnectionStatistics(active=0, idle=0, opened=1)
        # The agent goes on with it for as long as it was asked to wait, and so does its place.
        assert c.statistics().limit == LimitStatistics(plain=0, blocking=1, control=0, parked=1)
        assert cursor.index == 7


# -- many long polls -------------------------------------------------------------------------------


async def test_64_open_polls_neither_delay_plain_calls_nor_make_them_reconnect(
    agent: Agent,
) -> None:
    values: list[KVPair | None] = []
    during: list[Statistics] = []
    cursors = [Cursor(wait=30) for _ in range(64)]
    async with ConsulClient(agent.url) as c:
        await c.kv.put("polls/key", b"before")
        for cursor in cursors:
            await c.kv.get("polls/key", cursor=cursor)

        async def poll(cursor: Cursor) -> None:
            values.append(await c.kv.get("polls/key", cursor=cursor))

        with anyio.fail_after(20):
            async with anyio.create_task_group() as tasks:
                for cursor in cursors:
                    tasks.start_soon(poll, cursor)
                while connections_of(c).active < 64:
                    await anyio.wait_all_tasks_blocked()
                with anyio.fail_after(5):
                    for _ in range(50):
                        await c.kv.get("polls/other")
                during.append(c.statistics())
                await c.kv.put("polls/key", b"after")
        await c.kv.delete_tree("polls/")

    (statistics,) = during
    assert statistics.connections == ConnectionStatistics(active=64, idle=1, opened=65)
    assert statistics.limit == LimitStatistics(plain=0, blocking=64, control=0, parked=0)
    assert [value.value for value in values if value] == [b"after"] * 64


# -- closing ---------------------------------------------------------------------------------------


async def poll_until_closed(c: ConsulClient, ended: list[str]) -> None:
    cursor = Cursor()
    cursor.index = 7
    with pytest.raises(ClientClosedError):
        await c.kv.get("k", cursor=cursor)
    ended.append("poll")


async def test_closing_ends_polls_at_once_and_lets_a_plain_call_finish() -> None:
    release = anyio.Event()
    ended: list[str] = []

    def script(seen: Seen) -> Answer:
        if "index=" in seen.target:
            return HANG
        return reply(body=b"[]", hold=release)

    async with fault_server(script) as server:
        c = ConsulClient(server.url)

        async def plain_call() -> None:
            assert await c.kv.get("slow") is None
            ended.append("plain")

        with anyio.fail_after(4):
            async with anyio.create_task_group() as tasks:
                for _ in range(5):
                    tasks.start_soon(poll_until_closed, c, ended)
                tasks.start_soon(plain_call)
                await server.wait_requests(6)
                tasks.start_soon(c.aclose)
                # Only the plain call's connection is left.
                await server.wait_open(1)
                with pytest.raises(ClientClosedError):
                    await c.kv.get("late")
                ended.append("released")
                release.set()

        await server.wait_open(0)
        await c.aclose()
        assert ended == [*["poll"] * 5, "released", "plain"]
        assert [seen.target for seen in server.requests].count("/v1/kv/late") == 0


async def test_what_does_not_finish_in_time_is_ended() -> None:
    ended: list[str] = []
    async with fault_server([HANG]) as server:
        c = ConsulClient(server.url, layers=stack())

        async def plain_call() -> None:
            with pytest.raises(ClientClosedError):
                await c.kv.get("k")
            ended.append("plain")

        with anyio.fail_after(4):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(plain_call)
                await server.wait_requests(1)
                await c.aclose(grace=0.01)

        await server.wait_open(0)
        assert ended == ["plain"]
        assert len(server.requests) == 1


async def test_closing_that_is_cancelled_still_closes_every_connection() -> None:
    async with fault_server([PAIR, HANG]) as server:
        c = ConsulClient(server.url, layers=stack())

        async def plain_call() -> None:
            with pytest.raises(ClientClosedError):
                await c.kv.get("k")

        with anyio.fail_after(4):
            await c.kv.get("k")
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(plain_call)
                await server.wait_requests(2)
                with anyio.CancelScope() as scope:
                    scope.cancel()
                    await c.aclose()

            await server.wait_open(0)


async def test_a_call_after_closing_is_refused_without_a_connection() -> None:
    async with fault_server([PAIR]) as server:
        c = ConsulClient(server.url)
        view = c.using(datacenter="dc2")
        await c.aclose()
        await c.aclose()

        for late in (c, view):
            with pytest.raises(ClientClosedError):
                await late.kv.get("k")

        assert server.accepted == 0


async def test_closing_a_view_closes_nothing() -> None:
    async with fault_server([PAIR]) as server, ConsulClient(server.url) as c:
        async with c.using(datacenter="dc2") as view:
            await view.kv.get("k")
        await c.kv.get("k")

        assert server.accepted == 1
