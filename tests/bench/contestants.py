"""Who takes part: each can get and put one key, and says how it was set up."""

import importlib
import importlib.util
from base64 import b64decode
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from consul_onex import ConsulClient
from consul_onex.transport import Layer
from tests.support.agents import HOST, Agent

KEY = "bench/key"
VALUE = b"x" * 64
REFERENCE = "httpx"

Operation = Callable[[], Awaitable[object]]


@dataclass(frozen=True)
class Contestant:
    name: str
    get: Operation
    put: Operation


@asynccontextmanager
async def contestants(agent: Agent) -> AsyncIterator[list[Contestant]]:
    """All of them, open; py-consul only where it is installed."""
    opening = [onex("consul_onex", agent), onex("no layers", agent, layers=[]), plain_httpx(agent)]
    if has_py_consul():
        opening.append(py_consul(agent))
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(one) for one in opening]


@asynccontextmanager
async def onex(
    name: str, agent: Agent, layers: list[Layer] | None = None
) -> AsyncIterator[Contestant]:
    """Our client; WholeBody and Authorize are below any layers."""
    async with ConsulClient(agent.url, layers=layers) as c:
        yield Contestant(name, lambda: c.kv.get(KEY), lambda: c.kv.put(KEY, VALUE))


@asynccontextmanager
async def plain_httpx(agent: Agent) -> AsyncIterator[Contestant]:
    """What one would write with httpx alone: no layers, and the value decoded."""
    async with httpx_client(agent) as http:

        async def get() -> bytes:
            response = await http.get(f"/v1/kv/{KEY}")
            response.raise_for_status()
            return b64decode(response.json()[0]["Value"])

        async def put() -> bool:
            response = await http.put(f"/v1/kv/{KEY}", content=VALUE)
            response.raise_for_status()
            return response.json() is True

        yield Contestant(REFERENCE, get, put)


def httpx_client(agent: Agent) -> httpx.AsyncClient:
    """Kept connections for every call, and unpacked answers, as ours has them."""
    return httpx.AsyncClient(
        base_url=agent.url,
        headers={"Accept-Encoding": "identity"},
        limits=httpx.Limits(max_connections=100, max_keepalive_connections=100),
        timeout=30,
        trust_env=False,
    )


def has_py_consul() -> bool:
    return importlib.util.find_spec("consul") is not None


@asynccontextmanager
async def py_consul(agent: Agent) -> AsyncIterator[Contestant]:
    """py-consul's client for asyncio, over aiohttp."""
    aio: Any = importlib.import_module("consul.aio")
    c = aio.Consul(host=HOST, port=agent.port)
    try:
        yield Contestant("py-consul", lambda: c.kv.get(KEY), lambda: c.kv.put(KEY, VALUE))
    finally:
        await c.close()
