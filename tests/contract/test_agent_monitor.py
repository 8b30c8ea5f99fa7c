"""The log of an agent, while it is being written."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from uuid import uuid4

import anyio
import pytest

from consul_onex import (
    BadRequestError,
    ConsulClient,
    ConsulConnectionError,
    PermissionDeniedError,
)
from consul_onex.models.check import Check
from tests.support.agents import Agent


async def line_with(lines: AsyncIterator[str], text: str) -> str:
    """The first line that has this in it, without those before it."""
    with anyio.fail_after(10):
        async for line in lines:
            if text in line:
                return line
    raise AssertionError("the log ended")


def open_connections(c: ConsulClient) -> int:
    """Connections on which an answer is being read; what else is open is idle."""
    connections = c.statistics().connections
    assert connections is not None
    return connections.active


async def test_what_an_agent_does_can_be_read_along(c: ConsulClient) -> None:
    key = f"monitor-{uuid4().hex}"
    async with c.agent.monitor(level="debug") as lines:
        await c.kv.get(key)
        line = await line_with(lines, key)

    assert "[DEBUG] agent.http: Request finished: method=GET" in line
    assert not line.endswith("\n")


async def test_a_level_keeps_out_what_is_below_it(c: ConsulClient) -> None:
    check = f"monitor-{uuid4().hex}"
    async with c.agent.monitor(level="warn") as lines:
        # It is registered, told to the servers, and then not told how it is, of which it warns.
        await c.agent.register_check(Check.ttl(0.01, name=check))
        line = await line_with(lines, check)
    await c.agent.deregister_check(check)

    assert "[WARN]" in line


async def test_a_line_can_be_json(c: ConsulClient) -> None:
    key = f"monitor-{uuid4().hex}"
    async with c.agent.monitor(level="debug", json=True) as lines:
        await c.kv.get(key)
        entry = json.loads(await line_with(lines, key))

    assert (entry["@level"], entry["method"]) == ("debug", "GET")


async def test_a_level_that_is_none_is_a_bad_request(c: ConsulClient) -> None:
    with pytest.raises(BadRequestError, match="Unknown log level: zz"):
        await c.agent.monitor(level="zz").__aenter__()

    assert open_connections(c) == 0


async def test_who_may_not_read_the_log_is_denied(acl_agent: Agent) -> None:
    async with ConsulClient(acl_agent.url, token=str(uuid4())) as c:
        with pytest.raises(PermissionDeniedError):
            await c.agent.monitor().__aenter__()


async def test_leaving_in_the_middle_closes_the_connection(c: ConsulClient) -> None:
    async with c.agent.monitor(level="debug") as lines:
        await c.kv.get("monitor")
        await anext(lines)
        assert open_connections(c) == 1

    assert open_connections(c) == 0


async def test_being_cancelled_in_the_middle_closes_the_connection(c: ConsulClient) -> None:
    reading = anyio.Event()

    async def read() -> None:
        async with c.agent.monitor(level="err") as lines:
            reading.set()
            async for _ in lines:
                pass

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(read)
        with anyio.fail_after(10):
            await reading.wait()
            await anyio.wait_all_tasks_blocked()
        assert open_connections(c) == 1
        tasks.cancel_scope.cancel()

    assert open_connections(c) == 0


async def test_two_can_read_at_the_same_time(c: ConsulClient) -> None:
    key = f"monitor-{uuid4().hex}"
    async with (
        c.agent.monitor(level="debug") as lines,
        c.agent.monitor(level="debug", json=True) as others,
    ):
        await c.kv.get(key)
        assert key in await line_with(lines, key)
        assert key in await line_with(others, key)


async def test_an_agent_that_dies_is_an_error(fresh_agent: Agent) -> None:
    async with ConsulClient(fresh_agent.url) as c:
        async with c.agent.monitor(level="debug") as lines:
            await c.kv.get("monitor")
            await anext(lines)
            fresh_agent.kill()

            with pytest.raises(ConsulConnectionError, match=r"^agent\.monitor: "):
                await line_with(lines, "what no log says")

        assert open_connections(c) == 0
