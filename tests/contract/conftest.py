"""A client on a plain agent, a place of one's own in its store, and a look at what is sent."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from uuid import uuid4

import anyio
import httpx
import pytest

from consul_onex import ConsulClient
from consul_onex.transport import Connections
from tests.support.agents import Agent

NewSession = Callable[..., Awaitable[str]]
"""Creates a session with these options, and returns its id."""


class Recorder(httpx.AsyncBaseTransport):
    """The sockets of a client, and what went out on them."""

    def __init__(self) -> None:
        self.connections = Connections()
        self.requests: list[httpx.Request] = []
        self._news = anyio.Event()

    @property
    def active(self) -> int:
        """Connections on which an answer is being waited for."""
        return self.connections.statistics().active

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
        return await self.connections.handle_async_request(request)

    async def aclose(self) -> None:
        await self.connections.aclose()


@pytest.fixture
async def c(agent: Agent) -> AsyncIterator[ConsulClient]:
    """A client of the shared agent, as a newcomer would make it."""
    async with ConsulClient(agent.url) as client:
        yield client


@pytest.fixture
async def prefix(c: ConsulClient) -> AsyncIterator[str]:
    """A prefix for the keys of one test, which are gone afterwards."""
    mine = f"contract/{uuid4().hex}/"
    yield mine
    await c.kv.delete_tree(mine)


@pytest.fixture
async def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
async def observed(agent: Agent, recorder: Recorder) -> AsyncIterator[ConsulClient]:
    """A client of the same agent whose requests `recorder` has seen."""
    async with ConsulClient(agent.url, transport=recorder) as client:
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
