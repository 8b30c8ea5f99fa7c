"""The ASGI application: what it does with what a server tells it."""

from __future__ import annotations

from typing import Any

import anyio
import httpx
import pytest

from consul_onex.testing import Clock, FakeAgent


@pytest.fixture
def agent() -> FakeAgent:
    return FakeAgent(clock=Clock())


class Exchange:
    """One request as a server hands it on, and what it is told to send."""

    def __init__(
        self, method: str, path: str, *pieces: bytes, query: bytes = b"", ends: bool = True
    ) -> None:
        self.scope: dict[str, Any] = {
            "type": "http",
            "method": method,
            "path": path,
            "query_string": query,
            "headers": [(b"host", b"x")],
        }
        self.sent: list[Any] = []
        self.gone = anyio.Event()
        self._pieces = list(pieces or (b"",))
        self._ends = ends

    async def receive(self) -> Any:
        if self._pieces:
            body = self._pieces.pop(0)
            more = bool(self._pieces) or not self._ends
            return {"type": "http.request", "body": body, "more_body": more}
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        self.sent.append(message)

    async def run(self, agent: FakeAgent) -> None:
        await agent.asgi()(self.scope, self.receive, self.send)

    @property
    def status(self) -> int:
        return int(self.sent[0]["status"])

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.sent[1:])


async def test_it_answers_as_the_agent_does(agent: FakeAgent) -> None:
    put = Exchange("PUT", "/v1/kv/a b/ü", b"one ", b"two", query=b"flags=3")
    get = Exchange("GET", "/v1/kv/a b/ü", query=b"raw")

    await put.run(agent)
    await get.run(agent)

    assert (put.status, put.body, get.status, get.body) == (200, b"true", 200, b"one two")
    assert [request.url.path for request in agent.requests] == ["/v1/kv/a b/ü"] * 2
    assert (b"x-consul-index", b"13") in get.sent[0]["headers"]


async def test_it_can_stand_below_a_plain_client(agent: FakeAgent) -> None:
    transport = httpx.ASGITransport(agent.asgi())
    async with httpx.AsyncClient(transport=transport, base_url="http://fake") as http:
        await http.put("/v1/kv/big", content=b"x" * 300_000)
        answer = await http.get("/v1/kv/big?raw")

    assert answer.content == b"x" * 300_000


async def test_a_query_that_waits_ends_with_its_client(agent: FakeAgent) -> None:
    exchange = Exchange("GET", "/v1/kv/a", query=b"index=99")
    waiting = []

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(exchange.run, agent)
        await anyio.wait_all_tasks_blocked()
        waiting.append((agent.active, agent.blocked))
        exchange.gone.set()

    assert waiting == [(1, 1)]
    assert (agent.active, agent.blocked, exchange.sent) == (0, 0, [])


async def test_a_request_that_breaks_off_is_none(agent: FakeAgent) -> None:
    exchange = Exchange("PUT", "/v1/kv/a", b"half", ends=False)
    exchange.gone.set()

    await exchange.run(agent)

    assert (agent.requests, exchange.sent) == ([], [])


async def test_a_connection_that_is_lost_is_an_answer_that_ends_too_early(
    agent: FakeAgent,
) -> None:
    agent.drop_after(times=1, write=True)
    agent.cut_body(times=1)
    lost, cut = Exchange("PUT", "/v1/kv/a", b"12345678"), Exchange("GET", "/v1/kv/a", query=b"raw")

    await lost.run(agent)
    await cut.run(agent)

    for exchange, said in ((lost, b"1"), (cut, b"8")):
        assert (b"content-length", said) in exchange.sent[0]["headers"]
        assert not any(message.get("more_body") is False for message in exchange.sent)
    assert (lost.status, lost.body, cut.status, cut.body) == (500, b"", 200, b"1234")


async def test_it_lives_as_long_as_its_server(agent: FakeAgent) -> None:
    told = iter([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])
    sent: list[Any] = []

    async def receive() -> Any:
        return next(told)

    async def send(message: Any) -> None:
        sent.append(message)

    await agent.asgi()({"type": "lifespan"}, receive, send)

    assert sent == [{"type": "lifespan.startup.complete"}, {"type": "lifespan.shutdown.complete"}]


async def test_it_speaks_nothing_but_http(agent: FakeAgent) -> None:
    exchange = Exchange("GET", "/")

    with pytest.raises(ValueError, match="an agent speaks HTTP, and not websocket"):
        await agent.asgi()({"type": "websocket"}, exchange.receive, exchange.send)


async def test_what_came_in_need_not_be_kept() -> None:
    agent = FakeAgent(record=False)

    await Exchange("GET", "/v1/kv/a").run(agent)

    assert agent.requests == []
