"""Queries that wait for a change: what wakes them, what does not, and when they end."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import anyio
import httpx
import pytest

from consul_onex import ConsulClient, ConsulError, Cursor
from consul_onex.models.check import Check
from consul_onex.models.service import ServiceRegistration
from consul_onex.testing import Clock, FakeAgent


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def agent(clock: Clock) -> FakeAgent:
    return FakeAgent(clock=clock)


@pytest.fixture
async def c(agent: FakeAgent) -> AsyncIterator[ConsulClient]:
    async with ConsulClient(transport=agent) as client:
        yield client


class Waiting:
    """A query that was asked once, and then with the index of that answer."""

    def __init__(self, agent: FakeAgent, path: str, wait: str = "60s") -> None:
        self._agent = agent
        self._path = path
        self._wait = wait
        self.answers: list[httpx.Response] = []

    @property
    def index(self) -> int:
        return int(self.answers[-1].headers["x-consul-index"])

    async def ask(self) -> None:
        params = {"index": str(self.index), "wait": self._wait} if self.answers else {}
        url = httpx.URL(f"http://fake{self._path}").copy_merge_params(params)
        request = httpx.Request("GET", url)
        response = await self._agent.handle_async_request(request)
        await response.aread()
        self.answers.append(response)


async def woken_by(
    agent: FakeAgent, clock: Clock, path: str, *writes: tuple[str, Any]
) -> list[bool]:
    """Which of these writes a query for the path is answered after; it asks anew each time."""
    answered: list[bool] = []
    async with anyio.create_task_group() as tasks:
        query = Waiting(agent, path)
        await query.ask()
        for target, body in writes:
            before = len(query.answers)
            if not agent.blocked:
                tasks.start_soon(query.ask)
                await clock.advance(0)
            content = body if isinstance(body, bytes) else None
            method = "DELETE" if body is None else "PUT"
            json = None if content is not None or body is None else body
            request = httpx.Request(method, f"http://fake{target}", content=content, json=json)
            assert (await agent.handle_async_request(request)).status_code == 200
            await clock.advance(0)
            answered.append(len(query.answers) > before)
        tasks.cancel_scope.cancel()
    return answered


async def test_a_missing_key_hears_of_its_neighbours_and_not_of_far_ones(
    agent: FakeAgent, clock: Clock
) -> None:
    put = await agent_with(agent, "far/1", "far/2", "app/one", "app/two")

    assert put == [200] * 4
    assert await woken_by(
        agent,
        clock,
        "/v1/kv/app/none",
        ("/v1/kv/far/1", b"new"),
        ("/v1/kv/app/three", b""),
        ("/v1/kv/far/3", b""),
        ("/v1/kv/app/one", None),
        ("/v1/kv/app/none", b""),
    ) == [False, True, False, True, True]


async def agent_with(agent: FakeAgent, *keys: str) -> list[int]:
    return [
        (
            await agent.handle_async_request(httpx.Request("PUT", f"http://fake/v1/kv/{key}"))
        ).status_code
        for key in keys
    ]


async def test_a_key_that_is_there_hears_only_of_a_new_content(
    agent: FakeAgent, clock: Clock
) -> None:
    await agent_with(agent, "app/one")

    assert await woken_by(
        agent,
        clock,
        "/v1/kv/app/one",
        ("/v1/kv/app/two", b""),
        ("/v1/kv/app/one", b""),  # as it was
        ("/v1/kv/app", b""),
        ("/v1/kv/app/one?flags=1", b""),
        ("/v1/kv/app/one", None),
    ) == [False, False, False, True, True]


async def test_a_prefix_hears_of_everything_below_it(agent: FakeAgent, clock: Clock) -> None:
    await agent_with(agent, "app/one", "app/two", "b")

    assert await woken_by(
        agent,
        clock,
        "/v1/kv/app/?recurse",
        ("/v1/kv/app", b""),
        ("/v1/kv/b", b"new"),
        ("/v1/kv/app/three", b""),
        ("/v1/kv/app/one", None),
        ("/v1/kv/app/?recurse", None),
    ) == [False, False, True, True, True]


async def test_a_missing_service_hears_of_others_and_one_that_is_there_does_not(
    agent: FakeAgent, clock: Clock
) -> None:
    def register(name: str, **more: Any) -> tuple[str, Any]:
        return "/v1/agent/service/register", {"Name": name, **more}

    assert await woken_by(agent, clock, "/v1/health/service/web", register("db")) == [True]
    assert await woken_by(
        agent,
        clock,
        "/v1/health/service/db",
        register("web"),
        register("db"),  # as it was
        register("db", Port=80),
        ("/v1/agent/service/deregister/db", b""),
    ) == [False, False, True, True]


async def test_a_check_that_says_the_same_again_is_no_news(agent: FakeAgent, clock: Clock) -> None:
    await woken_by(
        agent,
        clock,
        "/v1/kv/x",
        ("/v1/agent/service/register", {"Name": "web", "Check": {"TTL": "1h"}}),
    )
    told = "/v1/agent/check/update/service:web"

    assert await woken_by(
        agent,
        clock,
        "/v1/health/service/web",
        (told, {"Status": "passing", "Output": "1"}),
        (told, {"Status": "passing", "Output": "1"}),
        (told, {"Status": "passing", "Output": "2"}),
        (told, {"Status": "warning", "Output": "2"}),
    ) == [True, False, False, True]


async def test_an_output_alone_is_told_to_the_servers_later(c: ConsulClient, clock: Clock) -> None:
    await c.agent.register(ServiceRegistration(name="web", check=Check.ttl(3600)))
    await c.agent.check_pass("service:web", "first")
    await c.agent.check_pass("service:web", "second")

    before = [check.output for check in await c.health.checks("web")]
    await clock.advance(300)
    after = [check.output for check in await c.health.checks("web")]

    assert (before, after) == (["first"], ["second"])


@pytest.mark.parametrize(
    ("wait", "seconds"),
    [("10s", 10.0), ("1m30s", 90.0), ("", 300.0), ("0s", 300.0), ("-5s", 300.0), ("1h", 600.0)],
)
async def test_a_query_without_news_ends_after_its_wait(
    agent: FakeAgent, clock: Clock, wait: str, seconds: float
) -> None:
    query = Waiting(agent, "/v1/kv/a", wait)
    await query.ask()
    before = after = 0

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(query.ask)
        await clock.advance(seconds - 0.001)
        before = len(query.answers)
        await clock.advance(0.001)
        after = len(query.answers)
        tasks.cancel_scope.cancel()

    assert (before, after) == (1, 2)
    assert query.answers[0].headers == query.answers[1].headers


async def test_with_jitter_it_takes_up_to_a_sixteenth_longer(clock: Clock) -> None:
    agent = FakeAgent(clock=clock, jitter=True)
    ended: list[float] = []

    async def ask() -> None:
        query = Waiting(agent, "/v1/kv/a", "16s")
        await query.ask()
        await query.ask()
        ended.append(clock.time())

    async with anyio.create_task_group() as tasks:
        for _ in range(20):
            tasks.start_soon(ask)
        await clock.advance(17)

    assert len(set(ended)) == 20
    assert 16 <= min(ended) < max(ended) <= 17


async def test_an_index_ahead_of_the_servers_waits_and_then_goes_back(
    agent: FakeAgent, clock: Clock
) -> None:
    request = httpx.Request("GET", "http://fake/v1/kv/a?index=9999&wait=10s")
    answers: list[httpx.Response] = []
    early: list[httpx.Response] = answers

    async def ask() -> None:
        answers.append(await agent.handle_async_request(request))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ask)
        await clock.advance(9)
        await agent_with(agent, "a")
        early = list(answers)
        await clock.advance(1)

    assert early == []
    assert int(answers[0].headers["x-consul-index"]) < 9999


async def test_it_can_be_seen_who_waits(agent: FakeAgent, clock: Clock, c: ConsulClient) -> None:
    cursor = Cursor()
    await c.kv.get("a", cursor=cursor)
    before = during = (agent.active, agent.blocked)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(lambda: c.kv.get("a", cursor=cursor))
        await clock.advance(0)
        during = (agent.active, agent.blocked)
        tasks.cancel_scope.cancel()

    assert (before, during, (agent.active, agent.blocked)) == ((0, 0), (1, 1), (0, 0))


async def test_a_service_can_be_waited_for_by_its_hash(
    agent: FakeAgent, clock: Clock, c: ConsulClient
) -> None:
    await c.agent.register(ServiceRegistration(name="web", port=1))
    first = await c.agent.service("web")
    assert first is not None
    path = f"http://fake/v1/agent/service/web?hash={first.content_hash}&wait=10s"
    ports: list[int] = []
    before = changed = ports

    async def ask() -> None:
        answer = await agent.handle_async_request(httpx.Request("GET", path))
        await answer.aread()
        ports.append(answer.json()["Port"])

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ask)
        await clock.advance(0)
        await c.agent.register(ServiceRegistration(name="other"))
        await clock.advance(0)
        await c.agent.deregister("nobody")
        before = list(ports)
        await c.agent.register(ServiceRegistration(name="web", port=2))
        await clock.advance(0)
        changed = list(ports)
        path = "http://fake/v1/agent/service/other?hash=x&wait=10s"
        await ask()

    assert (before, changed, ports) == ([], [2], [2, 0])


async def test_a_client_that_does_not_wait_so_long_gives_up(agent: FakeAgent, clock: Clock) -> None:
    given_up: list[float] = []

    async def ask() -> None:
        async with httpx.AsyncClient(transport=agent, timeout=5) as http:
            with pytest.raises(httpx.ReadTimeout):
                await http.get("http://fake/v1/kv/a?index=99&wait=60s")
        given_up.append(clock.time())

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ask)
        await clock.advance(60)

    assert given_up == [5]


async def test_an_agent_that_is_wiped_cuts_off_who_waits(
    agent: FakeAgent, clock: Clock, c: ConsulClient
) -> None:
    await c.kv.put("a", "1")
    cut: list[type[Exception]] = []

    async def ask() -> None:
        try:
            await agent.handle_async_request(
                httpx.Request("GET", "http://fake/v1/kv/a?index=99&wait=60s")
            )
        except httpx.TransportError as error:
            cut.append(type(error))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ask)
        await clock.advance(0)
        agent.wipe()

    assert cut == [httpx.RemoteProtocolError]
    assert await c.kv.get("a") is None
    with pytest.raises(ConsulError):
        await c.agent.check_pass("service:web")
