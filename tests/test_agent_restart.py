"""An agent that is killed, restarted and wiped while a client uses it."""

from __future__ import annotations

from functools import partial

import anyio
import anyio.to_thread
import pytest

from consul_onex import (
    CircuitOpenError,
    ConsulClient,
    ConsulConnectionError,
    KVPair,
    OutcomeUnknownError,
    Watch,
)
from tests.support.agents import Agent

WAIT = 600.0  # as long as Consul allows: what arrives in seconds did not arrive by waiting

# Between an agent's first answer and the value: the longest pause there can be by then, and the
# time a busy machine takes.
SOON = 10.0


class Followed:
    """What a watch delivers, when, and whether it says that history broke before."""

    def __init__(self, watch: Watch[KVPair | None]) -> None:
        self.seen: list[tuple[bytes | None, bool]] = []
        self.times: list[float] = []
        self._watch = watch
        self._news = anyio.Event()

    async def until(self, last: bytes) -> None:
        """Note everything up to this value."""
        async for pair in self._watch:
            value = pair.value if pair is not None else None
            self.seen.append((value, self._watch.resynchronised))
            self.times.append(anyio.current_time())
            self._news.set()
            self._news = anyio.Event()
            if value == last:
                return

    async def delivered(self, number: int) -> None:
        while len(self.seen) < number:
            await self._news.wait()


async def put(agent: Agent, key: str, value: bytes) -> None:
    """Not through the client, whose circuit may be open."""
    await anyio.to_thread.run_sync(partial(agent.request, "PUT", f"/v1/kv/{key}", value))


# A server that has just become leader may answer before it has read its log, as if it had nothing.
# Consul's default consistency allows that; a watch asks again before it believes it.
@pytest.mark.parametrize("consistency", ["consistent", "default"])
async def test_a_watch_outlives_a_restart_and_tells_of_no_deletion(
    fresh_agent: Agent, consistency: str
) -> None:
    back_at = 0.0

    async with ConsulClient(fresh_agent.url, wait=WAIT, consistency=consistency) as c:
        await c.kv.put("k", b"before")
        followed = Followed(c.kv.watch("k"))

        with anyio.fail_after(60):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(followed.until, b"after")
                await followed.delivered(1)
                await anyio.to_thread.run_sync(fresh_agent.restart)
                back_at = anyio.current_time()
                await put(fresh_agent, "k", b"after")

    assert followed.seen == [(b"before", False), (b"after", False)]
    assert followed.times[-1] - back_at < SOON


async def test_a_watch_tells_that_an_agent_came_back_empty(fresh_agent: Agent) -> None:
    back_at = 0.0

    async with ConsulClient(fresh_agent.url, wait=WAIT) as c:
        # History must have become longer than that of an empty agent.
        for number in range(200):
            await c.kv.put("k", str(number))
        followed = Followed(c.kv.watch("k"))

        with anyio.fail_after(60):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(followed.until, b"new")
                await followed.delivered(1)
                await anyio.to_thread.run_sync(partial(fresh_agent.restart, wipe=True))
                back_at = anyio.current_time()
                await followed.delivered(2)
                await put(fresh_agent, "k", b"new")

    assert followed.seen == [(b"199", False), (None, True), (b"new", False)]
    assert followed.times[1] - back_at < SOON


async def test_a_wipe_that_no_watch_waited_through_is_told_at_the_next_step(
    fresh_agent: Agent,
) -> None:
    # Between two steps there is no request that could fail, and the new life's history is shorter:
    # the old, high index would wait.
    async with ConsulClient(fresh_agent.url, wait=WAIT) as c:
        for number in range(200):
            await c.kv.put("app/k", str(number))
        watch = c.watch(c.kv.keys, "app/")

        with anyio.fail_after(60):
            before = await anext(watch)
            await anyio.to_thread.run_sync(partial(fresh_agent.restart, wipe=True))
            after = await anext(watch)

    assert (before, after, watch.resynchronised) == (["app/k"], [], True)


async def test_a_read_outlives_a_restart_between_two_calls(fresh_agent: Agent) -> None:
    async with ConsulClient(fresh_agent.url) as c:
        await c.kv.put("k", b"v")
        await anyio.to_thread.run_sync(fresh_agent.restart)

        # The connection of the first call is dead: nobody should notice.
        with anyio.fail_after(20):
            pair = await c.kv.get("k")

    assert pair is not None
    assert pair.value == b"v"
    statistics = c.statistics()
    assert statistics.retry is not None
    assert statistics.retry.retries == 0


async def test_calls_to_a_dead_agent_end_as_errors_of_this_package(fresh_agent: Agent) -> None:
    async with ConsulClient(fresh_agent.url, timeout=2) as c:
        await c.kv.put("k", b"v")
        fresh_agent.kill()

        with anyio.fail_after(20):
            with pytest.raises(ConsulConnectionError) as raised:
                await c.kv.get("k")
            with pytest.raises((ConsulConnectionError, CircuitOpenError)):
                await c.kv.put("k", b"w", cas=0)

    assert raised.value.operation == "kv.get"


async def test_a_write_that_was_cut_off_is_in_doubt(fresh_agent: Agent) -> None:
    errors: list[type[Exception]] = []

    async with ConsulClient(fresh_agent.url, timeout=20) as c:
        await c.kv.put("k", b"v")
        # It takes the request, and will never answer it.
        fresh_agent.pause()

        async def write() -> None:
            try:
                await c.kv.put("k", b"w", cas=0)
            except OutcomeUnknownError as error:
                errors.append(type(error))

        with anyio.fail_after(20):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(write)
                with anyio.move_on_after(0.3):  # time for the request to leave
                    await anyio.sleep_forever()
                fresh_agent.kill()

    assert errors == [OutcomeUnknownError]
