"""Thirty sequences for either backend; `python -m tests.testing.sequences` tries more."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from consul_onex.testing import Clock, FakeAgent
from tests.support import agents
from tests.support.agents import Agent

from .both import Ask
from .sequences import SEQUENCES, begin_alike, begun, compare


@pytest.fixture(scope="module")
def real(consul_binary: Path) -> Iterator[Agent]:
    """A real agent that nobody else asks anything."""
    with agents.dev_agent(binary=consul_binary) as started:
        begun(started)
        yield started


@pytest.fixture(scope="module")
def fake() -> FakeAgent:
    """In step with the real one: all that is asked of one is asked of the other."""
    return FakeAgent(clock=Clock(automatic=True))


@settings(
    max_examples=30,
    deadline=None,
    # What is found says enough; to make it smaller takes minutes.
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(steps=SEQUENCES)
async def test_any_sequence_is_answered_alike(
    real: Agent, fake: FakeAgent, steps: list[Ask]
) -> None:
    if not fake.requests:
        await begin_alike(fake)

    await compare(real, fake, steps)
