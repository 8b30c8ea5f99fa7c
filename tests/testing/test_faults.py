"""What can be made to go wrong."""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator

import anyio
import httpx
import pytest

from consul_onex import (
    ConsulClient,
    ConsulConnectionError,
    NoLeaderError,
    OutcomeUnknownError,
    ServerError,
    UnsupportedEndpointError,
)
from consul_onex.testing import Clock, FakeAgent


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def agent(clock: Clock) -> FakeAgent:
    return FakeAgent(clock=clock)


@pytest.fixture
async def c(agent: FakeAgent) -> AsyncIterator[ConsulClient]:
    """A client that tries everything once."""
    async with ConsulClient(transport=agent, layers=[]) as client:
        yield client


async def test_what_comes_in_is_recorded(agent: FakeAgent, c: ConsulClient) -> None:
    agent.refuse(times=1)
    with pytest.raises(ConsulConnectionError):
        await c.kv.get("a")
    await c.kv.put("a", "1")

    assert [(one.method, one.url.path, one.content) for one in agent.requests] == [
        ("GET", "/v1/kv/a", b""),
        ("PUT", "/v1/kv/a", b"1"),
    ]


async def test_a_fault_happens_as_often_as_it_was_told(agent: FakeAgent, c: ConsulClient) -> None:
    agent.refuse(times=2)

    for _ in range(2):
        with pytest.raises(ConsulConnectionError):
            await c.kv.put("a", "1")

    assert await c.kv.get("a") is None


async def test_a_fault_without_a_number_lasts_until_the_agent_recovers(
    agent: FakeAgent, c: ConsulClient
) -> None:
    agent.answer(500, "No cluster leader")
    for _ in range(3):
        with pytest.raises(NoLeaderError):
            await c.kv.get("a")

    agent.recover()

    assert await c.kv.get("a") is None


async def test_a_fault_is_for_the_requests_that_it_is_meant_for(
    agent: FakeAgent, c: ConsulClient
) -> None:
    agent.refuse(method="PUT", path="/v1/kv/a/*")
    agent.answer(503, write=False, path="/v1/status/*")

    await c.kv.put("b", "")
    await c.kv.get("a/1")
    with pytest.raises(ConsulConnectionError):
        await c.kv.put("a/1", "")
    with pytest.raises(ServerError):
        await c.status.leader()


async def test_a_lost_answer_is_of_a_write_that_was_made(agent: FakeAgent, c: ConsulClient) -> None:
    agent.drop_after(write=True, times=1)

    with pytest.raises(OutcomeUnknownError):
        await c.kv.put("a", "1", cas=0)

    pair = await c.kv.get("a")
    assert pair is not None
    assert pair.value == b"1"


async def test_a_body_can_end_too_early(agent: FakeAgent) -> None:
    agent.cut_body()

    async with httpx.AsyncClient(transport=agent, base_url="http://fake") as http:
        with pytest.raises(httpx.RemoteProtocolError, match=r"received \d+ bytes, expected \d+"):
            await http.get("/v1/agent/self")


async def test_a_long_body_comes_in_pieces(agent: FakeAgent, c: ConsulClient) -> None:
    await c.kv.put("a", b"x" * 300_000)

    request = httpx.Request("GET", "http://fake/v1/kv/a?raw", headers={"Accept-Encoding": "gzip"})
    response = await agent.handle_async_request(request)
    assert isinstance(response.stream, httpx.AsyncByteStream)
    packed = b"".join([piece async for piece in response.stream])
    plain = await agent.handle_async_request(httpx.Request("GET", "http://fake/v1/kv/a?raw"))
    assert isinstance(plain.stream, httpx.AsyncByteStream)
    pieces = [len(piece) async for piece in plain.stream]

    assert gzip.decompress(packed) == b"x" * 300_000
    assert (sum(pieces), len(pieces)) == (300_000, 5)


async def test_an_agent_that_hangs_answers_nobody_and_does_nothing(
    agent: FakeAgent, clock: Clock, c: ConsulClient
) -> None:
    agent.hang(times=2)
    ended: list[str] = []
    waiting = 0

    async def write() -> None:
        async with httpx.AsyncClient(transport=agent, timeout=5) as http:
            with pytest.raises(httpx.ReadTimeout):
                await http.put("http://fake/v1/kv/a", content=b"1")
        ended.append("by itself")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(write)
        tasks.start_soon(agent.handle_async_request, httpx.Request("GET", "http://fake/v1/kv/a"))
        await clock.advance(1_000)
        waiting = agent.active
        tasks.cancel_scope.cancel()

    assert (ended, waiting) == (["by itself"], 1)
    assert await c.kv.get("a") is None


async def test_an_answer_can_take_its_time(agent: FakeAgent, clock: Clock, c: ConsulClient) -> None:
    agent.latency(2.5, times=1)
    took: list[float] = []

    async def read() -> None:
        await c.kv.get("a")
        took.append(clock.time())

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(read)
        await clock.advance(10)

    assert took == [2.5]


async def test_without_a_leader_requests_are_held_and_then_refused(
    agent: FakeAgent, clock: Clock, c: ConsulClient
) -> None:
    agent.lose_leader(seconds=20)
    failed: list[float] = []

    async def read() -> None:
        with pytest.raises(NoLeaderError):
            await c.kv.get("a")
        failed.append(clock.time())

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(read)
        await clock.advance(8)

    leader = await c.status.leader()
    assert failed == [7]
    assert leader is None
    assert await c.agent.services() == {}
    stale = await c.using(consistency="stale").request("GET", "/v1/catalog/nodes")
    assert stale.meta.known_leader is False


async def test_a_request_that_is_held_goes_on_with_a_new_leader(
    agent: FakeAgent, clock: Clock, c: ConsulClient
) -> None:
    agent.lose_leader(seconds=5)
    written: list[float] = []

    async def write() -> None:
        await c.kv.put("a", "1")
        written.append(clock.time())

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(write)
        await clock.advance(8)

    assert written == [5]
    assert await c.status.leader() == "127.0.0.1:8300"


async def test_who_waits_for_a_change_hears_of_a_lost_leader_at_once(
    agent: FakeAgent, clock: Clock
) -> None:
    path = "http://fake/v1/kv/a?index=99&wait=60s"
    statuses: list[tuple[int, float]] = []

    async def ask() -> None:
        answer = await agent.handle_async_request(httpx.Request("GET", path))
        statuses.append((answer.status_code, clock.time()))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ask)
        await clock.advance(1)
        agent.lose_leader()
        await clock.advance(1)

    assert statuses == [(500, 1)]


async def test_there_are_so_many_connections_and_no_more(
    agent: FakeAgent, clock: Clock, c: ConsulClient
) -> None:
    agent.limit_connections(2)
    ended: list[str] = []

    async def wait(key: str) -> None:
        await ask(agent, f"/v1/kv/{key}?index=9999&wait=60s")
        ended.append(key)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(wait, "a")
        await clock.advance(1)
        assert await c.kv.get("b") is None
        tasks.start_soon(wait, "b")
        await clock.advance(1)
        with pytest.raises(ConsulConnectionError):
            await c.kv.get("b")
        agent.recover()
        assert await c.kv.get("b") is None
        tasks.cancel_scope.cancel()

    assert ended == []


async def test_a_query_that_was_left_keeps_its_connection(
    agent: FakeAgent, clock: Clock, c: ConsulClient
) -> None:
    for key in ("a", "other"):
        await c.kv.put(key, "1")
        pair = await c.kv.get(key)
        assert pair is not None
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask, agent, f"/v1/kv/{key}?index={pair.modify_index}&wait=60s")
            await clock.advance(1)
            tasks.cancel_scope.cancel()
    agent.limit_connections(2)

    with pytest.raises(ConsulConnectionError):
        await c.kv.get("a")
    # Something happens to what one of them waits for.
    agent.recover()
    await c.kv.put("a", "2")
    agent.limit_connections(2)
    assert await c.kv.get("a") is not None
    agent.limit_connections(1)
    with pytest.raises(ConsulConnectionError):
        await c.kv.get("a")
    await clock.advance(60)
    assert await c.kv.get("a") is not None


async def ask(agent: FakeAgent, path: str) -> None:
    await agent.handle_async_request(httpx.Request("GET", f"http://fake{path}"))


def test_there_is_a_connection_at_least(agent: FakeAgent) -> None:
    with pytest.raises(ValueError, match="at least one"):
        agent.limit_connections(0)


@pytest.mark.parametrize("times", [0, -1])
def test_a_fault_that_never_happens_is_refused(agent: FakeAgent, times: int) -> None:
    with pytest.raises(ValueError, match="at least once"):
        agent.refuse(times=times)


def test_time_does_not_go_back(agent: FakeAgent) -> None:
    with pytest.raises(ValueError, match="from 0"):
        agent.latency(-1)


async def test_the_layers_above_do_what_they_do_in_production() -> None:
    clock = Clock(automatic=True)
    agent = FakeAgent(clock=clock)
    agent.hang(times=1)

    async with ConsulClient(transport=agent) as c:
        with anyio.fail_after(5), pytest.raises(OutcomeUnknownError):
            await c.kv.put("a", "1", cas=0)
        # It was given its time, but that took none.
        assert clock.time() > 1


async def test_what_it_has_not_got_is_asked_for_once_and_was_not_done() -> None:
    agent = FakeAgent()
    async with ConsulClient(transport=agent) as c:
        with pytest.raises(
            UnsupportedEndpointError, match="fake agent does not have POST"
        ) as raised:
            await c.request("POST", "/v1/query", json={})
        with pytest.raises(UnsupportedEndpointError):
            await c.request("GET", "/v1/query")

    assert raised.value.status == 501
    assert len(agent.requests) == 2


async def test_what_it_has_not_got_it_says() -> None:
    agent = FakeAgent(node="n", datacenter="dc2")
    async with httpx.AsyncClient(transport=agent, base_url="http://fake") as http:
        missing = await http.get("/v1/operator/autopilot/health")
        mesh = await http.put(
            "/v1/agent/service/register", json={"Name": "x", "Kind": "mesh-gateway"}
        )
        proxy = await http.put(
            "/v1/agent/service/register",
            json={
                "Name": "x",
                "Kind": "connect-proxy",
                "Port": 1,
                "Proxy": {"DestinationServiceName": "y"},
            },
        )
        members = await http.get("/v1/agent/members")
        rubbish = await http.get("/v1/kv/%zz")
        mine = await http.get("/v1/catalog/datacenters")

    assert (missing.status_code, missing.text) == (
        501,
        "The fake agent does not have GET /v1/operator/autopilot/health.",
    )
    assert [mesh.status_code, proxy.status_code] == [501] * 2
    assert [(one["Name"], one["Tags"]["dc"]) for one in members.json()] == [("n", "dc2")]
    assert (rubbish.status_code, mine.json()) == (400, ["dc2"])
    assert repr(agent) == "<FakeAgent n in dc2>"
