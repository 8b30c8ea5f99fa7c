"""
Fixtures for tests of code that uses Consul: an agent in memory, and a real one.

This module stands beside the package, and imports it where a fixture is used: pytest loads it in
every project where the package is installed, and nobody else should wait for that.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from consul_onex import ConsulClient
    from consul_onex.testing import FakeAgent

__all__ = ["consul_agent", "consul_client", "consul_kind", "consul_server"]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.getgroup("consul").addoption(
        "--consul",
        choices=["fake", "real", "both"],
        default="fake",
        help="which agent `consul_client` is a client of (fake)",
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    kinds = _kinds(metafunc.config, metafunc.fixturenames)
    if "consul_kind" in metafunc.fixturenames and len(kinds) > 1:
        metafunc.parametrize("consul_kind", kinds)


def _kinds(config: pytest.Config, names: list[str]) -> list[str]:
    """What a test that takes these fixtures runs on; one that takes an agent itself, on that."""
    if "consul_agent" in names:
        return ["fake"]
    if "consul_server" in names:
        return ["real"]
    chosen = str(config.getoption("--consul"))
    return ["fake", "real"] if chosen == "both" else [chosen]


@pytest.fixture
def consul_kind(request: pytest.FixtureRequest) -> str:
    """Which agent a test has: "fake" or "real"."""
    return _kinds(request.config, request.fixturenames)[0]


@pytest.fixture
def consul_agent() -> FakeAgent:
    """An agent in memory, a new one for each test."""
    from consul_onex.testing import FakeAgent

    return FakeAgent()


@pytest.fixture(scope="session")
def consul_server(request: pytest.FixtureRequest) -> Iterator[str]:
    """
    The address of a real `consul agent -dev`, which starts when it is first asked for.

    It is the consul of CONSUL_BIN or of PATH. Where there is none, the test is skipped; it fails
    where a real one was asked for, since a skip would look like a success.
    """
    from consul_onex.testing._process import dev_agent, find

    binary = find()
    if binary is None:
        reason = "there is no consul here: install one, or set CONSUL_BIN to its path"
        if request.config.getoption("--consul") != "fake":
            pytest.fail(reason, pytrace=False)
        pytest.skip(reason)
    with dev_agent(binary) as address:
        yield address


@pytest.fixture
def _consul_place(consul_kind: str, request: pytest.FixtureRequest) -> dict[str, Any]:
    """What a client of this test's agent is made with."""
    if consul_kind == "fake":
        return {"transport": request.getfixturevalue("consul_agent")}
    return {"address": request.getfixturevalue("consul_server")}


@pytest.fixture
async def consul_client(
    _consul_place: dict[str, Any], consul_kind: str, anyio_backend: Any
) -> AsyncIterator[ConsulClient]:
    """
    A client of `consul_agent` or of `consul_server`, as `--consul` says.

    It begins with nothing: from a real agent everything is deleted before. A test that takes it
    runs on anyio's backends.
    """
    from consul_onex import ConsulClient

    async with ConsulClient(**_consul_place) as client:
        if consul_kind == "real":
            await _clear(client)
        yield client


async def _clear(client: ConsulClient) -> None:
    """Delete what other tests have left behind."""
    await client.kv.delete_tree("", everything=True)
    for session in await client.session.list():
        await client.session.destroy(session.id)
    for service in await client.agent.services():
        await client.agent.deregister(service)
    for check in await client.agent.checks():
        await client.agent.deregister_check(check)
    own = (await client.agent.self()).config.node_name
    for node in await client.catalog.nodes():
        if node.node != own:
            await client.catalog.deregister(node.node)
