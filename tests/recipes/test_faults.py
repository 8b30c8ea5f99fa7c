"""A lock while things break: agents that hang, leaders that die, processes that are stopped."""

# A block that is cancelled is what is tested here: it has more than one statement, and what it
# binds is bound.
# ruff: noqa: PT012
# pyright: reportPossiblyUnboundVariable=false

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from consul_onex import ConsulClient, LockLostError, OutcomeUnknownError, ServerError
from consul_onex.recipes import Lock
from consul_onex.recipes.session import boot_time
from tests.support.agents import Agent, Cluster

KEY = "locks/report"
HOLDER = Path(__file__).with_name("holder.py")


async def test_the_block_ends_in_time_when_the_only_agent_hangs(cluster: Cluster) -> None:
    agent = cluster.clients[0]
    stopped = 0.0
    async with ConsulClient(agent.url) as c, ConsulClient(cluster.servers[0].url) as other:
        with pytest.raises(LockLostError, match="not renewed in time"):
            async with Lock(c, KEY, ttl=10):
                # The last renewal was sent before.
                hung = boot_time()
                agent.pause()
                try:
                    await anyio.sleep_forever()
                finally:
                    stopped = boot_time()

        # Who waits gets it by itself only when the servers have ended the session.
        with anyio.move_on_after(5):
            async with Lock(other, KEY).try_acquire() as early:
                pass
        agent.resume()

    assert stopped - hung <= 9.2
    assert early is None


async def test_the_death_of_the_servers_leader_does_not_cost_the_lock(cluster: Cluster) -> None:
    written = 0
    async with ConsulClient(cluster.clients[0].url) as c:
        async with Lock(c, KEY, ttl=10) as held:
            await anyio.to_thread.run_sync(cluster.leader().kill)
            with anyio.fail_after(9):
                while not written:
                    try:
                        result = await held.txn().kv.set("report", b"1").commit()
                        written = len(result.pairs)
                    except (OutcomeUnknownError, ServerError):
                        await anyio.sleep(0.05)  # an election takes as long as it takes
            held.check()
            session = await c.session.info(held.session)
        pair = await c.kv.get(KEY)

    assert written == 2
    assert session is not None
    assert pair is not None
    assert pair.session is None


async def test_the_death_of_the_agent_does_not_cost_the_lock_when_it_comes_back(
    fresh_agent: Agent,
) -> None:
    async with ConsulClient(fresh_agent.url) as c:
        async with Lock(c, KEY, ttl=10) as held:
            await anyio.to_thread.run_sync(fresh_agent.restart)
            result = await held.txn().kv.set("report", b"1").commit()
            held.check()

        assert len(result.pairs) == 2
        assert await c.session.list() == []


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_a_holder_that_was_stopped_takes_one_step_at_most_and_writes_nothing(
    agent: Agent, backend: str
) -> None:
    key = f"{KEY}/{backend}"
    holder = subprocess.Popen(
        [sys.executable, HOLDER, agent.url, key, backend], stdout=subprocess.PIPE, text=True
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        holder.send_signal(signal.SIGSTOP)
        # As long as a session lives without being renewed.
        time.sleep(10.5)
        holder.send_signal(signal.SIGCONT)
        said, _ = holder.communicate(timeout=20)

    assert said.split() in (["0", "LockLostError"], ["1", "FencedError"])
    assert agent.request("GET", f"/v1/kv/{key}/data").status == 404
