"""Who takes part: each can get, put and follow a key, and says how it was set up."""

import importlib
import importlib.util
from base64 import b64decode
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import httpx

from consul_onex import ConsulClient
from consul_onex.transport import Breaker, Datacenters, Deadline, Events, Layer, Limit, Retry
from tests.support.agents import HOST

KEY: Final = "bench/key"
VALUE: Final = b"x" * 64

ONEX: Final = "consul_onex"
NO_LAYERS: Final = "no layers"
USUAL_LIMITS: Final = "usual limits"
REFERENCE: Final = "httpx"
PY_CONSUL: Final = "py-consul"

Operation = Callable[[], Awaitable[object]]


@dataclass(frozen=True)
class Setting:
    """Whom to ask, over how many connections at most, and how long a query may wait."""

    url: str
    connections: int = 100
    wait: int = 60


@dataclass(frozen=True)
class Contestant:
    name: str
    get: Operation
    put: Operation
    follow: Callable[[str], Operation]
    """Given a key, what waits for its next value; the first one is there at once."""


@asynccontextmanager
async def contestants(setting: Setting, *names: str) -> AsyncIterator[list[Contestant]]:
    """These, open; py-consul only where it is installed."""
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(KNOWN[name](setting)) for name in present(*names)]


def present(*names: str) -> list[str]:
    return [name for name in names if name != PY_CONSUL or has_py_consul()]


@asynccontextmanager
async def onex(
    name: str, layers: Callable[[Setting], list[Layer] | None], setting: Setting
) -> AsyncIterator[Contestant]:
    """Our client; WholeBody and Authorize are below any layers."""
    async with ConsulClient(setting.url, layers=layers(setting)) as client:
        c = client.using(wait=setting.wait)

        def follow(key: str) -> Operation:
            watch = c.kv.watch(key)
            return lambda: anext(watch)

        yield Contestant(name, lambda: c.kv.get(KEY), lambda: c.kv.put(KEY, VALUE), follow)


def roomy_layers(setting: Setting) -> list[Layer]:
    """The usual ones, with as many places as there may be connections."""
    limit = Limit(blocking=setting.connections)
    return [Deadline(), Events(), Retry(), Datacenters(), Breaker(), limit]


@asynccontextmanager
async def plain_httpx(setting: Setting) -> AsyncIterator[Contestant]:
    """What one would write with httpx alone: no layers, and the value decoded."""
    async with httpx_client(setting) as http:

        async def get() -> bytes:
            response = await http.get(f"/v1/kv/{KEY}")
            response.raise_for_status()
            return b64decode(response.json()[0]["Value"])

        async def put() -> bool:
            response = await http.put(f"/v1/kv/{KEY}", content=VALUE)
            response.raise_for_status()
            return response.json() is True

        def follow(key: str) -> Operation:
            index = "0"

            async def changed() -> bytes:
                nonlocal index
                before = index
                while True:
                    query = f"index={before}&wait={setting.wait}s"
                    response = await http.get(f"/v1/kv/{key}?{query}")
                    response.raise_for_status()
                    index = response.headers["X-Consul-Index"]
                    if index != before:
                        return b64decode(response.json()[0]["Value"])

            return changed

        yield Contestant(REFERENCE, get, put, follow)


def httpx_client(setting: Setting) -> httpx.AsyncClient:
    """Kept connections for every call, and unpacked answers, as ours has them."""
    most = setting.connections
    return httpx.AsyncClient(
        base_url=setting.url,
        headers={"Accept-Encoding": "identity"},
        limits=httpx.Limits(max_connections=most, max_keepalive_connections=most),
        timeout=30 + setting.wait,
        trust_env=False,
    )


def has_py_consul() -> bool:
    return all(importlib.util.find_spec(name) for name in ("consul", "aiohttp"))


@asynccontextmanager
async def py_consul(setting: Setting) -> AsyncIterator[Contestant]:
    """py-consul's client for asyncio, over aiohttp."""
    aio: Any = importlib.import_module("consul.aio")
    port, most = httpx.URL(setting.url).port, setting.connections
    c = aio.Consul(host=HOST, port=port, connections_limit=most)

    def follow(key: str) -> Operation:
        index: str | None = None

        async def changed() -> bytes:
            nonlocal index
            before = index
            while True:
                index, pair = await c.kv.get(key, index=before, wait=f"{setting.wait}s")
                if index != before:
                    value: bytes = pair["Value"]
                    return value

        return changed

    try:
        yield Contestant(PY_CONSUL, lambda: c.kv.get(KEY), lambda: c.kv.put(KEY, VALUE), follow)
    finally:
        await c.close()


KNOWN: Final[dict[str, Callable[[Setting], AbstractAsyncContextManager[Contestant]]]] = {
    ONEX: partial(onex, ONEX, roomy_layers),
    USUAL_LIMITS: partial(onex, USUAL_LIMITS, lambda _: None),
    NO_LAYERS: partial(onex, NO_LAYERS, lambda _: []),
    REFERENCE: plain_httpx,
    PY_CONSUL: py_consul,
}
