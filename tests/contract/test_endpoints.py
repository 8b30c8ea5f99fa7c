"""What a real agent has of the API: just what the docstrings say."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from itertools import groupby
from pathlib import Path
from typing import Final

import anyio
import pytest

from consul_onex import ConsulClient, ConsulError, InvalidRequestError, UnsupportedEndpointError
from tests.support import agents
from tests.support.agents import Agent
from tests.support.endpoints import endpoints
from tests.walk.case import Case
from tests.walk.test_walk import CASES

# Not called here, and why. Each has contract tests of its own.
ELSEWHERE: Final = {
    "agent.leave": "the agent would be gone",
    "agent.join": "it takes until somebody answers at the address",
    "agent.monitor": "it has no end",
    "snapshot.restore": "the agent would have the state of the case",
}

METHODS: Final = {
    name: list(cases)
    for name, cases in groupby(sorted(CASES, key=lambda case: case.method), lambda c: c.method)
    if name not in ELSEWHERE
}

IN_1_8: Final = {endpoint.name for endpoint in endpoints() if endpoint.in_1_8}

# The endpoint is there, and ignores what this method asks of it.
OPTIONS: Final = {endpoint.name for endpoint in endpoints() if "?" in endpoint.path} - IN_1_8


@pytest.fixture(scope="module")
def victim(consul_binary: Path) -> Iterator[Agent]:
    """An agent to be asked anything; what becomes of it does not matter."""
    with agents.dev_agent(binary=consul_binary) as started:
        yield started


@pytest.fixture
async def old(victim: Agent) -> AsyncIterator[ConsulClient]:
    """A client of it, where it is a 1.8."""
    async with ConsulClient(victim.url, layers=[]) as c:
        server = await c.server()
        if server is None or server.since("1.9"):
            pytest.skip("a later Consul has more")
        yield c


async def outcome(c: ConsulClient, case: Case) -> type[ConsulError] | None:
    try:
        with anyio.fail_after(20):
            await case.call(c)
    except ConsulError as error:
        return type(error)
    return None


@pytest.mark.parametrize("name", sorted(IN_1_8 & METHODS.keys()))
async def test_what_is_not_marked_as_newer_is_there(victim: Agent, name: str) -> None:
    async with ConsulClient(victim.url, layers=[]) as c:
        outcomes = [await outcome(c, case) for case in METHODS[name]]

    assert UnsupportedEndpointError not in outcomes
    # One of the cases at least was sent.
    assert any(one is not InvalidRequestError for one in outcomes)


@pytest.mark.parametrize("name", sorted(METHODS.keys() - IN_1_8))
async def test_what_is_marked_as_newer_is_not_there_and_that_is_said(
    old: ConsulClient, name: str
) -> None:
    outcomes = [await outcome(old, case) for case in METHODS[name]]

    # An option that the server would ignore is refused before it is sent.
    expected = InvalidRequestError if name in OPTIONS else UnsupportedEndpointError
    assert set(outcomes) == {expected}


def test_nothing_is_left_out_without_a_reason() -> None:
    assert ELSEWHERE.keys() <= {endpoint.name for endpoint in endpoints()}
    assert METHODS.keys() | ELSEWHERE.keys() == {endpoint.name for endpoint in endpoints()}
