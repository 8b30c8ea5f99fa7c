"""What is done to a cluster, drawn from a seed: one fault after the other, each healed."""

from __future__ import annotations

import contextlib
import http.client
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Final, TypeAlias

import anyio
import anyio.to_thread

from tests.support.agents import Agent, Cluster, Guarded

__all__ = [
    "AUTHORITY",
    "CLUSTER",
    "HANGS",
    "REMOTE",
    "Nemeses",
    "Torment",
    "healed",
    "rejoined",
    "torment",
]

Undo: TypeAlias = Callable[[], None]

# Each does it to such a topology, and says how to undo it.
Nemeses: TypeAlias = Mapping[str, Callable[[], Undo]]


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


def _forgotten(authority: Agent, other: Agent) -> Undo:
    """Who knows the tokens is gone, and the other one has forgotten what it was told of them."""
    authority.kill()
    other.kill()
    other.launch()
    return authority.launch


def _revoked(guarded: Guarded) -> Undo:
    guarded.revoke()
    return guarded.grant


CLUSTER: Final[dict[str, Callable[[Cluster, Random], Undo]]] = {
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

HANGS: Final = "the remote datacenter hangs"
FORGOTTEN: Final = "who knows the tokens is killed, and the remote datacenter has forgotten them"

# The own datacenter, dc1, must not notice.
REMOTE: Final[dict[str, Callable[[Guarded], Undo]]] = {
    "the remote datacenter is killed": lambda guarded: _killed(guarded.dc2),
    HANGS: lambda guarded: _paused(guarded.dc2),
    "the remote datacenter is terminated": lambda guarded: _terminated(guarded.dc2),
    "the remote datacenter leaves": lambda guarded: _left(guarded.dc2),
}

# dc1 knows the tokens; its client agent and dc2 ask it, and remember for a while.
AUTHORITY: Final[dict[str, Callable[[Guarded], Undo]]] = {
    "who knows the tokens is killed": lambda guarded: _killed(guarded.dc1),
    "who knows the tokens hangs": lambda guarded: _paused(guarded.dc1),
    "who knows the tokens is killed, and the client agent has forgotten them": lambda guarded: (
        _forgotten(guarded.dc1, guarded.client)
    ),
    FORGOTTEN: lambda guarded: _forgotten(guarded.dc1, guarded.dc2),
    "the token is deleted, and made again": _revoked,
}


@dataclass
class Torment:
    """What is being done, and what was."""

    now: str | None = None
    """The fault of the moment; None where all is well, and None is under way."""
    done: list[str] = field(default_factory=list)
    ended: dict[str, float] = field(default_factory=dict)
    """When all was well again, for the last time, after each of them."""


def _order(nemeses: Nemeses, chance: Random) -> Iterator[str]:
    """All of them in some order, again and again."""
    while True:
        names = list(nemeses)
        chance.shuffle(names)
        yield from names


async def torment(
    nemeses: Nemeses,
    wait_well: Callable[[], None],
    chance: Random,
    seconds: float,
    story: Torment,
) -> None:
    """Do so for so long, and leave all well."""
    until = anyio.current_time() + seconds
    for name in _order(nemeses, chance):
        if anyio.current_time() > until:
            return
        story.now = name
        undo = await anyio.to_thread.run_sync(nemeses[name])
        story.done.append(name)
        await anyio.sleep(chance.uniform(1, 4))
        await anyio.to_thread.run_sync(undo)
        await anyio.to_thread.run_sync(wait_well)
        story.now, story.ended[name] = None, anyio.current_time()
        await anyio.sleep(chance.uniform(0, 1))


def healed(cluster: Cluster) -> None:
    """Wait until every agent of it can write."""
    cluster.wait_leader()
    for agent in cluster.agents:
        agent.wait_writable()


def rejoined(guarded: Guarded) -> None:
    """Wait until every agent can write in both datacenters, with the token of the clients."""
    for agent in guarded.agents:
        for datacenter in ("dc1", "dc2"):
            agent.wait_writable(datacenter)
