"""What is done to a cluster, drawn from a seed: one fault after the other, each healed."""

from __future__ import annotations

import contextlib
import http.client
from collections.abc import Callable, Iterator
from random import Random
from typing import Final

import anyio
import anyio.to_thread

from tests.support.agents import Agent, Cluster

__all__ = ["NEMESES", "torment"]

# Each says what it did, and how to undo it.
Undo = Callable[[], None]


def _killed(*agents: Agent) -> Undo:
    for agent in agents:
        agent.kill()

    def undo() -> None:
        for agent in agents:
            agent.launch()

    return undo


def _paused(*agents: Agent) -> Undo:
    for agent in agents:
        agent.pause()

    def undo() -> None:
        for agent in agents:
            agent.resume()

    return undo


def _terminated(agent: Agent) -> Undo:
    agent.terminate()
    agent.wait_exit()
    return agent.launch


def _left(agent: Agent) -> Undo:
    # It says so to the others first, and ends by itself; nobody counts on its answer.
    with contextlib.suppress(OSError, http.client.HTTPException):
        agent.request("PUT", "/v1/agent/leave")
    agent.wait_exit()
    return agent.launch


NEMESES: Final[dict[str, Callable[[Cluster, Random], Undo]]] = {
    "the leader is killed": lambda cluster, _: _killed(cluster.leader()),
    "the leader hangs": lambda cluster, _: _paused(cluster.leader()),
    "the leader is terminated": lambda cluster, _: _terminated(cluster.leader()),
    "the leader leaves": lambda cluster, _: _left(cluster.leader()),
    "a follower is killed": lambda cluster, chance: _killed(chance.choice(cluster.followers())),
    "a follower hangs": lambda cluster, chance: _paused(chance.choice(cluster.followers())),
    "two of three servers are killed": lambda cluster, _: _killed(*cluster.servers[:2]),
    "all servers are killed": lambda cluster, _: _killed(*cluster.servers),
    "the client agent hangs": lambda cluster, _: _paused(*cluster.clients),
    "the client agent is killed": lambda cluster, _: _killed(*cluster.clients),
    "the client agent leaves": lambda cluster, _: _left(cluster.clients[0]),
}


def _order(chance: Random) -> Iterator[str]:
    """All of them in some order, again and again."""
    while True:
        names = list(NEMESES)
        chance.shuffle(names)
        yield from names


async def torment(cluster: Cluster, chance: Random, seconds: float) -> list[str]:
    """Do so for so long, leave the cluster well, and say what was done."""
    until, done = anyio.current_time() + seconds, list[str]()
    for name in _order(chance):
        if anyio.current_time() > until:
            return done
        undo = await anyio.to_thread.run_sync(NEMESES[name], cluster, chance)
        done.append(name)
        await anyio.sleep(chance.uniform(1, 4))
        await anyio.to_thread.run_sync(undo)
        await anyio.to_thread.run_sync(_wait_well, cluster)
        await anyio.sleep(chance.uniform(0, 1))
    raise AssertionError("unreachable: there is always another")


def _wait_well(cluster: Cluster) -> None:
    cluster.wait_leader()
    for agent in cluster.agents:
        agent.wait_writable()
