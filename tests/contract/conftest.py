"""
A client on a plain agent, a place of one's own in its store, and a look at what is sent.

The tests of the modules in `ON_BOTH` run twice, on a real agent and on the fake one: what they say
of one is true of the other. That holds for those that know their agent only through `c` and
`observed`; a test that takes `agent` itself, or another of the real ones, means the real one.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from typing import Final
from uuid import uuid4

import anyio
import httpx
import pytest

from consul_onex import ConsulClient
from consul_onex.testing import FakeAgent
from consul_onex.transport import Connections

NewSession = Callable[..., Awaitable[str]]
"""Creates a session with these options, and returns its id."""


ON_BOTH: Final = {
    "test_kv",
    "test_kv_keys",
    "test_snapshot",
    "test_sessions_and_locks",
    "test_session",
    "test_status_and_catalog",
    "test_cursor",
    "test_views",
    "test_request",
    "test_watch",
    "test_txn",
    "test_agent_services",
    "test_agent_checks",
    "test_health",
    "test_catalog",
    "test_watch_topics",
}

# Taken by tests that are about these very agents.
REAL: Final = {"agent", "fresh_agent", "acl_agent", "datacenters", "cluster", "own"}

# What the fake has not got, and the tests that are about it; where only some of a test's parameters
# are, those that say this.
LACKS: Final = {
    "the mesh": {
        ("test_a_sidecar_is_registered_along", ""),
        ("test_a_proxy_and_what_it_makes_reachable", ""),
        ("test_the_gateways_before_a_service_are_found", ""),
        ("test_the_services_of_gateways_are_told", ""),
        (
            "test_what_consul_does_not_take_is_a_bad_request_and_sent_once",
            "kind='mesh-gateway'",
        ),
    },
    "config entries": {("test_an_error_says_what_kind_of_error_it_is", "missing config entry")},
    "events": {("test_after_a_hundred_writes_a_watch_has_what_a_read_has", "events")},
}

# The same, by what a test takes.
LACKS_FIXTURES: Final = {"transactions on nodes, services and checks": {"new_node"}}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    names = set(metafunc.fixturenames)
    module = metafunc.definition.path.stem
    if "agent_kind" in names and module in ON_BOTH and not names & REAL:
        metafunc.parametrize("agent_kind", ["real", "fake"])


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out what the fake has not got."""
    items[:] = [item for item in items if not _is_lacking(item)]


def _is_lacking(item: pytest.Item) -> bool:
    if not isinstance(item, pytest.Function) or not hasattr(item, "callspec"):
        return False
    params = item.callspec.params
    on_fake = params.get("agent_kind") == "fake"
    return on_fake and lacking(item.originalname, params, item.fixturenames) is not None


def lacking(test: str, params: Mapping[str, object], fixtures: Iterable[str]) -> str | None:
    """What a test needs that the fake has not got; None for nothing."""
    said = [str(value) for value in params.values()]
    for what, tests in LACKS.items():
        if any(test == name and any(part in one for one in said) for name, part in tests):
            return what
    taken = set(fixtures)
    return next((what for what, names in LACKS_FIXTURES.items() if names & taken), None)


@pytest.fixture
def agent_kind() -> str:
    """Which kind of agent a test has."""
    return "real"


@pytest.fixture
def fake(agent_kind: str) -> FakeAgent | None:
    """The agent of one test, where it is not a real one."""
    return FakeAgent() if agent_kind == "fake" else None


@pytest.fixture
def address(fake: FakeAgent | None, request: pytest.FixtureRequest) -> str:
    """Where the agent of this test is."""
    return "http://fake:8500" if fake else str(request.getfixturevalue("agent").url)


class Recorder(httpx.AsyncBaseTransport):
    """What is below a client, and what went out to it."""

    def __init__(self, fake: FakeAgent | None = None) -> None:
        self.connections = Connections()
        self._fake = fake
        self.requests: list[httpx.Request] = []
        self._news = anyio.Event()

    @property
    def active(self) -> int:
        """Connections on which an answer is being waited for."""
        return self._fake.active if self._fake else self.connections.statistics().active

    @property
    def blocking(self) -> list[httpx.Request]:
        """What was sent to wait for a change."""
        return [request for request in self.requests if "index" in request.url.params]

    @property
    def last(self) -> httpx.Request:
        return self.requests[-1]

    async def blocks(self, more_than: int = 0) -> httpx.Request:
        """Wait until more than so many blocking queries were sent; the last of them."""
        while len(self.blocking) <= more_than:
            await self._news.wait()
        return self.blocking[-1]

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        self._news.set()
        self._news = anyio.Event()
        return await (self._fake or self.connections).handle_async_request(request)

    async def aclose(self) -> None:
        await (self._fake or self.connections).aclose()


@pytest.fixture
async def c(address: str, fake: FakeAgent | None) -> AsyncIterator[ConsulClient]:
    """A client of the agent, as a newcomer would make it."""
    async with ConsulClient(address, transport=fake) as client:
        yield client


@pytest.fixture
async def prefix(c: ConsulClient) -> AsyncIterator[str]:
    """A prefix for the keys of one test, which are gone afterwards."""
    mine = f"contract/{uuid4().hex}/"
    yield mine
    await c.kv.delete_tree(mine)


@pytest.fixture
async def recorder(fake: FakeAgent | None) -> Recorder:
    return Recorder(fake)


@pytest.fixture
async def observed(address: str, recorder: Recorder) -> AsyncIterator[ConsulClient]:
    """A client of the same agent whose requests `recorder` has seen."""
    async with ConsulClient(address, transport=recorder) as client:
        yield client


@pytest.fixture
async def new_session(c: ConsulClient) -> AsyncIterator[NewSession]:
    """Makes sessions, and destroys them afterwards."""
    made: list[str] = []

    async def create(**options: object) -> str:
        answer = await c.request("PUT", "/v1/session/create", json=options)
        made.append(answer.parse(dict[str, str])["ID"])
        return made[-1]

    yield create
    for session in made:
        await c.request("PUT", f"/v1/session/destroy/{session}")
