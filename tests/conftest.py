"""What every test gets."""

from __future__ import annotations

from typing import Any

import hypothesis
import pytest

pytest_plugins = [
    "pytester",
    "tests.support.plugin",
    "tests.support.canary",
    "tests.support.leftovers",
]

# How long an example takes says something of the machine, not of the code.
hypothesis.settings.register_profile(
    "tests", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
# By hand: pytest --hypothesis-profile=thorough
hypothesis.settings.register_profile(
    "thorough", hypothesis.settings.get_profile("tests"), max_examples=2000
)
hypothesis.settings.load_profile("tests")


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    """Every asynchronous test runs on both."""
    return request.param
