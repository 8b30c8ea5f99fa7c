"""
Clients of a real agent and of the fake one, and one of a Consul in memory whose time a test moves.

The tests of the modules in `ON_BOTH` that know their agent only through `c` and `other` run on both
agents. Whatever they make goes by `terms`: on the fake by its clock, which is at the next moment
when nothing else is left to do.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Final
from uuid import uuid4

import anyio
import pytest

from consul_onex import ConsulClient
from consul_onex.testing import Clock as FakeClock
from consul_onex.testing import FakeAgent
from consul_onex.transport import Breaker, Deadline, Layer, Limit
from tests.recipes.support import Bench, ByClock, Clock, Timed

ON_BOTH: Final = {"test_lock", "test_semaphore", "test_election", "test_session"}

# Taken by tests that are about these very agents.
REAL: Final = {"agent", "fresh_agent", "cluster"}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    names = set(metafunc.fixturenames)
    if metafunc.definition.path.stem in ON_BOTH and "agent_kind" in names and not names & REAL:
        metafunc.parametrize("agent_kind", ["real", "fake"])


@pytest.fixture
def agent_kind() -> str:
    """Which kind of agent a test has."""
    return "real"


@pytest.fixture
def fake(agent_kind: str) -> FakeAgent | None:
    """The agent of one test, where it is not a real one."""
    return FakeAgent(clock=FakeClock(automatic=True)) if agent_kind == "fake" else None


@pytest.fixture
def address(fake: FakeAgent | None, request: pytest.FixtureRequest) -> str:
    """Where the agent of this test is."""
    return "http://fake:8500" if fake else str(request.getfixturevalue("agent").url)


@pytest.fixture
def terms(fake: FakeAgent | None) -> ByClock:
    """What makes a recipe go by the agent's clock, where it has one of its own."""
    return {"now": fake.clock.time, "sleep": fake.clock.sleep} if fake else {}


@pytest.fixture
def now(fake: FakeAgent | None) -> Callable[[], float]:
    """The clock that all wait by."""
    return fake.clock.time if fake else anyio.current_time


@pytest.fixture
def at_once(fake: FakeAgent | None) -> float:
    """
    How many seconds are no waiting.

    The fake's clock stands still while anybody does something. On a real agent this is far from
    what the machine needs, however busy, and far from any pause: `trials` measures it.
    """
    return 0.0 if fake else 12.0


@pytest.fixture
async def c(address: str, fake: FakeAgent | None) -> AsyncIterator[ConsulClient]:
    async with ConsulClient(address, transport=fake) as client:
        yield client


@pytest.fixture
async def other(address: str, fake: FakeAgent | None) -> AsyncIterator[ConsulClient]:
    """A client of somebody else."""
    async with ConsulClient(address, transport=fake) as client:
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
