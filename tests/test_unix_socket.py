"""An agent on a unix socket, as `CONSUL_HTTP_ADDR=unix:///path` names it."""

from __future__ import annotations

from pathlib import Path

import anyio
import pytest

from consul_onex import ClientClosedError, ConsulClient, ConsulConnectionError, Cursor
from consul_onex.transport import (
    Breaker,
    ConnectionStatistics,
    Datacenters,
    Deadline,
    Layer,
    Limit,
    Retry,
)
from tests.support.agents import Agent
from tests.support.fault_server import HANG, RESET, fault_server, reply


def client(path: Path | None) -> ConsulClient:
    layers: list[Layer] = [
        Deadline(10),
        Retry(initial=0.01),
        Datacenters(),
        Breaker(),
        Limit(),
    ]
    return ConsulClient(f"unix://{path}", layers=layers)


async def test_reads_and_writes_go_over_the_socket(agent: Agent) -> None:
    async with client(agent.unix_socket) as c:
        await c.kv.put("socket/key", b"value")
        pair = await c.kv.get("socket/key")
        await c.kv.delete("socket/key")

        assert pair is not None
        assert pair.value == b"value"
        assert c.statistics().connections == ConnectionStatistics(active=0, idle=1, opened=1)


async def test_a_blocking_query_wakes_over_the_socket(agent: Agent) -> None:
    values: list[bytes | None] = []
    cursor = Cursor(wait=30)
    async with client(agent.unix_socket) as c:
        await c.kv.put("socket/watched", b"before")
        await c.kv.get("socket/watched", cursor=cursor)

        async def poll() -> None:
            pair = await c.kv.get("socket/watched", cursor=cursor)
            values.append(pair.value if pair else None)

        with anyio.fail_after(20):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(poll)
                await anyio.wait_all_tasks_blocked()
                await c.kv.put("socket/watched", b"after")
        await c.kv.delete("socket/watched")

    assert values == [b"after"]


async def test_a_socket_that_is_not_there_is_no_connection(tmp_path: Path) -> None:
    async with client(tmp_path / "missing.sock") as c:
        with anyio.fail_after(5), pytest.raises(ConsulConnectionError) as raised:
            await c.kv.put("k", b"v", cas=1)

    # Nothing was sent, so even this was tried three times.
    assert "gave up after 3 attempts" in str(raised.value)


async def test_a_fault_on_the_socket_is_survived_as_on_any_connection(tmp_path: Path) -> None:
    path = tmp_path / "s"
    async with fault_server([RESET, reply(body=b"[]")], unix=path) as server:
        async with client(path) as c:
            assert await c.kv.get("k") is None

        await server.wait_open(0)
        assert [seen.headers["host"] for seen in server.requests] == ["localhost"] * 2


async def test_closing_ends_what_waits_on_the_socket(tmp_path: Path) -> None:
    path = tmp_path / "s"
    async with fault_server([HANG], unix=path) as server:
        c = client(path)

        async def wait() -> None:
            with pytest.raises(ClientClosedError):
                await c.kv.get("k")

        with anyio.fail_after(4):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(wait)
                await server.wait_requests(1)
                await c.aclose(grace=0.01)

        await server.wait_open(0)
        assert len(server.requests) == 1
