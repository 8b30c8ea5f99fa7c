"""Watches while the cluster loses its leader: no error, no busy loop, and soon up to date again."""

from __future__ import annotations

from collections.abc import Callable

import anyio
import anyio.to_thread
import httpx

from consul_onex import ConsulClient, ConsulError
from consul_onex.transport import Connections
from tests.support.agents import Cluster

KEYS = 10

# After a new leader is there: the longest pause of a watch by then, and a busy machine's time.
SOON = 4.0


class Counting(httpx.AsyncBaseTransport):
    """The sockets of a client, and how many requests went out on them."""

    def __init__(self) -> None:
        self.requests = 0
        self._connections = Connections()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.requests += 1
        return await self._connections.handle_async_request(request)

    async def aclose(self) -> None:
        await self._connections.aclose()


async def put(c: ConsulClient, key: str, value: bytes) -> None:
    """As soon as there is a leader again."""
    while True:
        try:
            await c.kv.put(key, value)
            return
        except ConsulError:
            c.circuits["consul.default"].reset()
            await anyio.sleep(0.1)


async def test_every_watch_lives_through_an_election(
    cluster: Cluster, record_property: Callable[[str, object], None]
) -> None:
    counting, ended, before = Counting(), 0, 0
    killed = back = converged = 0.0
    url = cluster.clients[0].url

    async def follow(c: ConsulClient, key: str) -> None:
        nonlocal ended
        async for pair in c.kv.watch(key):
            if pair is not None and pair.value == b"end":
                ended += 1
                return

    async with ConsulClient(url, transport=counting) as c, ConsulClient(url) as writer:
        with anyio.fail_after(90):
            async with anyio.create_task_group() as tasks:
                for number in range(KEYS):
                    tasks.start_soon(follow, c, f"k{number}")
                leader = await anyio.to_thread.run_sync(cluster.leader)
                before = counting.requests
                await anyio.to_thread.run_sync(leader.kill)
                killed = anyio.current_time()
                await anyio.to_thread.run_sync(cluster.wait_leader)
                for number in range(KEYS):
                    await put(writer, f"k{number}", b"end")
                back = anyio.current_time()
            converged = anyio.current_time()

    print(
        f"\nno leader for {back - killed:.1f} s, {(counting.requests - before) / KEYS:.1f} "
        f"requests a watch; the last of {KEYS} was up to date {converged - back:.2f} s later"
    )
    record_property("R10 s from a new leader to the last of the watches", converged - back)
    assert ended == KEYS
    assert converged - back < SOON
    # Failed reads are half a second apart on average, and farther the longer it lasts.
    assert counting.requests - before < KEYS * (8 + 2 * (converged - killed))
