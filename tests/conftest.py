"""What every test gets."""

from __future__ import annotations

from typing import Any

import pytest

pytest_plugins = ["tests.support.plugin", "tests.support.canary"]


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> Any:
    """Every asynchronous test runs on both."""
    return request.param
