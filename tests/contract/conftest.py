"""
A client on a plain agent, a place of one's own in its store, and a look at what is sent.

The tests of the modules in `ON_BOTH` run twice, on a real agent and on the fake one: what they say
of one is true of the other. That holds for those that know their agent only through `c` and
`observed`; a test that takes `agent` itself, or another of the real ones, means the real one.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from typing import Any, Final
from uuid import uuid4

import anyio
import httpx
import pytest

from consul_onex import ConsulClient
from consul_onex.testing import FakeAgent
from consul_onex.transport import Connections
from tests.support.served import Served

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
    "test_event",
    "test_acl",
    "test_acl_objects",
    "test_agent",
}

# Taken by tests that are about these very agents.
REAL: Final = {"agent", "fresh_agent", "datacenters", "cluster", "own", "new_agent", "denying"}

# What the fake has not got, and the tests that are about it; where only some of a test's cases are,
# those whose id has this in it. Without a name, such cases of any test.
LACKS: Final = {
    "the mesh": {
        ("test_a_proxy_and_what_it_makes_reachable", ""),
        ("test_a_service_whose_name_is_no_spiffe_id_has_no_certificate", ""),
        ("test_a_sidecar_is_registered_along", ""),
        ("test_certificates_can_be_waited_for", ""),
        ("test_the_certificate_of_a_service", ""),
        ("test_the_gateways_before_a_service_are_found", ""),
        ("test_the_services_of_gateways_are_told", ""),
        (
            "test_what_consul_does_not_take_is_a_bad_request_and_sent_once",
            "kind='mesh-gateway'",
        ),
        ("test_what_the_mesh_trusts", ""),
        ("test_who_is_let_in", ""),
        ("test_who_is_not_let_in", ""),
    },
    "config entries": {("test_an_error_says_what_kind_of_error_it_is", "missing config entry")},
    "a machine to tell of": {
        ("test_an_agent_knows_its_host", ""),
        ("test_an_agent_measures_itself", ""),
        ("test_an_agent_that_does_not_speak_to_prometheus_says_so", ""),
    },
    "a pool to join and to leave": {
        ("test_a_node_that_is_no_member_cannot_be_made_to_leave", ""),
        ("test_where_nobody_answers_nobody_can_be_joined", ""),
    },
    "roles and identities": {
        ("", "role"),
        ("test_a_role_that_consul_does_not_take_is_a_bad_request_and_sent_once", ""),
        ("test_a_role_that_was_read_can_be_changed_and_written", ""),
        ("test_a_token_that_consul_does_not_take_is_a_bad_request_and_sent_once", "identities"),
        ("test_lists_can_be_waited_on", ""),
        ("test_roles_are_listed_by_their_policy", ""),
        ("test_two_roles_of_one_name_are_a_bad_request", ""),
        ("test_watching_what_is_not_there_waits", ""),
        ("test_what_is_not_there_cannot_be_written_over", ""),
    },
    "ways to log in": {("", "auth method"), ("", "binding rule")},
    "templated policies": {("test_templated_policies_are_unknown_to_this_server", "")},
    "tokens from before 1.4": {("test_the_rules_of_a_legacy_token_are_kept", "")},
}

# The same, by what a test takes.
LACKS_FIXTURES: Final = {"roles and identities": {"role"}}


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
    on_fake = item.callspec.params.get("agent_kind") == "fake"
    return on_fake and lacking(item.originalname, item.callspec.id, item.fixturenames) is not None


def lacking(test: str, case: str, fixtures: Iterable[str]) -> str | None:
    """What a test needs that the fake has not got; None for nothing."""
    for what, tests in LACKS.items():
        if any(name in ("", test) and part in case for name, part in tests):
            return what
    taken = set(fixtures)
    return next((what for what, names in LACKS_FIXTURES.items() if names & taken), None)


@pytest.fixture
def agent_kind() -> str:
    """Which kind of agent a test has."""
    return "real"


@pytest.fixture(scope="session")
def fake_acl_agent() -> Iterator[Served]:
    """A fake agent with access control, behind a port as the real one is."""
    served = Served(token=str(uuid4()))
    yield served
    served.end()


@pytest.fixture
def acl_agent(agent_kind: str, request: pytest.FixtureRequest) -> Any:
    """An agent that denies by default, shared; `token` may do everything."""
    return request.getfixturevalue("fake_acl_agent" if agent_kind == "fake" else "acl_agent")


@pytest.fixture
def fake(agent_kind: str) -> FakeAgent | None:
    """The agent of one test, where it is not a real one."""
    return FakeAgent() if agent_kind == "fake" else None


@pytest.fixture
def agent_url(fake: FakeAgent | None, request: pytest.FixtureRequest) -> str:
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
async def c(agent_url: str, fake: FakeAgent | None) -> AsyncIterator[ConsulClient]:
    """A client of the agent, as a newcomer would make it."""
    async with ConsulClient(agent_url, transport=fake) as client:
        yield client


@pytest.fixture
async def prefix(c: ConsulClient) -> AsyncIterator[str]:
    """A prefix for the keys of one test, which are gone afterwards."""
    mine = f"contract/{uuid4().hex}/"
    yield mine
    await c.kv.delete_tree(mine)


@pytest.fixture
async def recorder(fake: FakeAgent | None, request: pytest.FixtureRequest) -> Recorder:
    # Agents with access control are behind a port.
    return Recorder(None if "acl_agent" in request.fixturenames else fake)


@pytest.fixture
async def observed(agent_url: str, recorder: Recorder) -> AsyncIterator[ConsulClient]:
    """A client of the same agent whose requests `recorder` has seen."""
    async with ConsulClient(agent_url, transport=recorder) as client:
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
