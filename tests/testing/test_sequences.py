"""Five hundred runs; `python -m tests.testing.sequences` tries others."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from consul_onex.testing import Clock, FakeAgent
from tests.support import agents
from tests.support.agents import Agent

from .both import Ask
from .sequences import SEQUENCES, begin_alike, begun, compare


class Pair(NamedTuple):
    """Two in step: all that is asked of one is asked of the other."""

    real: Agent
    fake: FakeAgent


@pytest.fixture(scope="module")
def pairs(consul_binary: Path) -> Iterator[Callable[[str], Pair]]:
    """A pair for each backend, whom nobody else asks anything."""
    with ExitStack() as stack:

        @cache
        def pair_of(backend: str) -> Pair:
            real = stack.enter_context(agents.dev_agent(binary=consul_binary))
            begun(real)
            return Pair(real, FakeAgent(clock=Clock(automatic=True)))

        yield pair_of


@pytest.fixture
def pair(pairs: Callable[[str], Pair], anyio_backend_name: str) -> Pair:
    return pairs(anyio_backend_name)


@pytest.mark.timeout(600)
@settings(
    max_examples=250,
    deadline=None,
    # The same ones each time: what is found by chance is found by hand.
    derandomize=True,
    database=None,
    # What is found says enough; to make it smaller takes minutes.
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(steps=SEQUENCES)
async def test_any_sequence_is_answered_alike(pair: Pair, steps: list[Ask]) -> None:
    if not pair.fake.requests:
        await begin_alike(pair.fake)

    await compare(pair.real, pair.fake, steps)
