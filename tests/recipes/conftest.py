"""Clients of a real agent, and one of a Consul in memory whose time a test moves."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import uuid4

import pytest

from consul_onex import ConsulClient
from consul_onex.transport import Breaker, Deadline, Layer, Limit
from tests.recipes.support import Bench, Clock, Timed
from tests.support.agents import Agent


@pytest.fixture
async def c(agent: Agent) -> AsyncIterator[ConsulClient]:
    async with ConsulClient(agent.url) as client:
        yield client


@pytest.fixture
async def other(agent: Agent) -> AsyncIterator[ConsulClient]:
    """A client of somebody else."""
    async with ConsulClient(agent.url) as client:
        yield client


@pytest.fixture
async def key(c: ConsulClient) -> AsyncIterator[str]:
    """The key of a lock that no other test has, gone afterwards, with all below it."""
    mine = f"recipes/{uuid4().hex}"
    yield mine
    await c.kv.delete_tree(mine)


@pytest.fixture
async def clock() -> Clock:
    return Clock()


@pytest.fixture
async def bench() -> Bench:
    return Bench()


@pytest.fixture
async def b(bench: Bench) -> AsyncIterator[ConsulClient]:
    """A client of `bench` that waits for nothing by any other clock."""
    layers: list[Layer] = [Deadline(), Breaker(failures=100), Limit()]
    async with ConsulClient(transport=bench, layers=layers) as client:
        yield client


@pytest.fixture
def timed(clock: Clock) -> Timed:
    """What makes a recipe go by `clock`, always at the end of a pause that is drawn."""
    return {"now": clock.now, "sleep": clock.sleep, "dice": lambda: 0.0}
