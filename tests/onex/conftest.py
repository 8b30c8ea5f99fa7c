"""A handler on a plain agent, and names of a test's own there."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from uuid import uuid4

import pytest

from consul_onex.onex.handlers import HandlerConsul
from tests.onex.support import where
from tests.support.agents import Agent


@pytest.fixture
async def handler(agent: Agent) -> AsyncIterator[HandlerConsul]:
    """A handler that is initialised."""
    made = HandlerConsul()
    await made.initialize(where(agent))
    yield made
    await made.shutdown()


@pytest.fixture
def name(agent: Agent) -> Iterator[str]:
    """A name for the services, nodes, topics and keys of one test, which are gone afterwards."""
    mine = f"onex-{uuid4().hex[:12]}"
    yield mine
    for service_id in agent.request("GET", "/v1/agent/services").json():
        if mine in service_id:
            agent.request("PUT", f"/v1/agent/service/deregister/{service_id}")
    for key in agent.request("GET", "/v1/kv/?keys").json() or []:
        if mine in key:
            agent.request("DELETE", f"/v1/kv/{key}")
