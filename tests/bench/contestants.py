"""Who takes part: each can get and put a key, some can follow one; and how it was set up."""

import importlib
import importlib.util
import json
import os
import shutil
import subprocess
import tempfile
from base64 import b64decode
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    asynccontextmanager,
    contextmanager,
)
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import anyio
import httpcore
import httpx
from anyio.streams.buffered import BufferedByteReceiveStream

from consul_onex import ConsulClient
from consul_onex.transport import Breaker, Datacenters, Deadline, Events, Layer, Limit, Retry
from consul_onex.transport._connection import HTTP
from tests.support.agents import HOST

KEY: Final = "bench/key"
VALUE: Final = b"x" * 64

ONEX: Final = "consul_onex"
FAST: Final = "consul_onex, fast"
NO_LAYERS: Final = "no layers"
USUAL_LIMITS: Final = "usual limits"
REFERENCE: Final = "httpx"
HTTPCORE: Final = "httpcore"
AIOHTTP: Final = "aiohttp"
PY_CONSUL: Final = "py-consul"
PY_CONSUL_SYNC: Final = "py-consul, sync"
GO: Final = "Go"

Operation = Callable[[], Awaitable[object]]


@dataclass(frozen=True)
class Elsewhere:
    """An operation of another process, which measures it: so many at once, for so many seconds."""

    burst: Callable[[int, float], Awaitable[Mapping[str, float]]]

    async def __call__(self) -> object:
        return await self.burst(1, 0)


@dataclass(frozen=True)
class Setting:
    """Whom to ask, over how many connections at most, and how long a query may wait."""

    url: str
    connections: int = 100
    wait: int = 60


def nothing_to_follow(_: str) -> Operation:
    raise NotImplementedError("this one takes no part where keys are followed")


@dataclass(frozen=True)
class Contestant:
    name: str
    get: Operation
    put: Operation
    follow: Callable[[str], Operation] = nothing_to_follow
    """Given a key, what waits for its next value; the first one is there at once."""
    alone: bool = False
    """It cannot do two things at once."""


@asynccontextmanager
async def contestants(setting: Setting, *names: str) -> AsyncIterator[list[Contestant]]:
    """These, open; those only that are installed."""
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(KNOWN[name](setting)) for name in present(*names)]


def present(*names: str) -> list[str]:
    return [name for name in names if name not in NEEDS or NEEDS[name]()]


def has(*modules: str) -> bool:
    return all(importlib.util.find_spec(module) is not None for module in modules)


NEEDS: Final[dict[str, Callable[[], bool]]] = {
    FAST: lambda: has("httptools"),
    AIOHTTP: lambda: has("aiohttp"),
    PY_CONSUL: lambda: has("consul", "aiohttp"),
    PY_CONSUL_SYNC: lambda: has("consul"),
    GO: lambda: shutil.which("go") is not None,
}


@asynccontextmanager
async def onex(
    name: str,
    layers: Callable[[Setting], list[Layer] | None],
    setting: Setting,
    *,
    http: HTTP = "h11",
) -> AsyncIterator[Contestant]:
    """Our client; WholeBody and Authorize are below any layers."""
    async with ConsulClient(setting.url, layers=layers(setting), http=http) as client:
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


@asynccontextmanager
async def bare_httpcore(setting: Setting) -> AsyncIterator[Contestant]:
    """The same with httpcore's own pool: what httpx stands on."""
    most = setting.connections
    async with httpcore.AsyncConnectionPool(
        max_connections=most, max_keepalive_connections=most
    ) as pool:
        url, headers = f"{setting.url}/v1/kv/{KEY}", [("Accept-Encoding", "identity")]

        async def get() -> bytes:
            response = await pool.request("GET", url, headers=headers)
            return b64decode(json.loads(response.content)[0]["Value"])

        async def put() -> bool:
            response = await pool.request("PUT", url, headers=headers, content=VALUE)
            return json.loads(response.content) is True

        yield Contestant(HTTPCORE, get, put)


@asynccontextmanager
async def bare_aiohttp(setting: Setting) -> AsyncIterator[Contestant]:
    """The same with aiohttp: what py-consul stands on."""
    aiohttp: Any = importlib.import_module("aiohttp")
    connector = aiohttp.TCPConnector(limit=setting.connections)
    headers = {"Accept-Encoding": "identity"}
    async with aiohttp.ClientSession(connector=connector, headers=headers) as session:
        url = f"{setting.url}/v1/kv/{KEY}"

        async def get() -> bytes:
            async with session.get(url) as response:
                return b64decode(json.loads(await response.read())[0]["Value"])

        async def put() -> bool:
            async with session.put(url, data=VALUE) as response:
                return json.loads(await response.read()) is True

        yield Contestant(AIOHTTP, get, put)


@asynccontextmanager
async def open_py_consul(setting: Setting) -> AsyncIterator[Any]:
    """py-consul's client for asyncio, over aiohttp."""
    aio: Any = importlib.import_module("consul.aio")
    port, most = httpx.URL(setting.url).port, setting.connections
    c = aio.Consul(host=HOST, port=port, connections_limit=most)
    try:
        yield c
    finally:
        await c.close()


@asynccontextmanager
async def py_consul(setting: Setting) -> AsyncIterator[Contestant]:
    async with open_py_consul(setting) as c:
        yield py_consul_of(setting, c)


def py_consul_of(setting: Setting, c: Any) -> Contestant:
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

    return Contestant(PY_CONSUL, lambda: c.kv.get(KEY), lambda: c.kv.put(KEY, VALUE), follow)


@asynccontextmanager
async def py_consul_sync(setting: Setting) -> AsyncIterator[Contestant]:
    """py-consul's client without asyncio, over requests: it blocks, and so is alone."""
    consul: Any = importlib.import_module("consul")
    c = consul.Consul(host=HOST, port=httpx.URL(setting.url).port)

    async def get() -> object:
        return c.kv.get(KEY)

    async def put() -> object:
        return c.kv.put(KEY, VALUE)

    try:
        yield Contestant(PY_CONSUL_SYNC, get, put, alone=True)
    finally:
        # It cannot be closed itself.
        c.http.session.close()


@asynccontextmanager
async def go(setting: Setting) -> AsyncIterator[Contestant]:
    with go_program() as program:
        command = [program, setting.url, KEY, VALUE.decode(), str(setting.connections)]
        async with elsewhere(GO, command) as one:
            yield one


@contextmanager
def go_program() -> Iterator[str]:
    """
    Ours, built: with HashiCorp's package where Debian's is there, else with Go's own net/http.

    Other packages would have to be fetched, and these need none.
    """
    sources = [SOURCES / "calls.go"]
    if (DEBIANS_PACKAGES / "src/github.com/hashicorp/consul/api").exists():
        sources.append(SOURCES / "hashicorp.go")
    environment = {**os.environ, "GO111MODULE": "off", "GOPATH": str(DEBIANS_PACKAGES)}
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        program = f"{directory}/calls"
        subprocess.run(["go", "build", "-o", program, *sources], check=True, env=environment)
        yield program


SOURCES: Final = Path(__file__).parent / "go"
DEBIANS_PACKAGES: Final = Path("/usr/share/gocode")


@asynccontextmanager
async def elsewhere(name: str, command: Sequence[str]) -> AsyncIterator[Contestant]:
    """
    A program that first says with what it calls, and then does the bursts that it is told.

    A burst is a line like `get 16 0.2`, and the answer the seconds of CPU and of time of each call.
    """
    # What it complains of is for who looks on.
    async with await anyio.open_process(command, stderr=None) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        told, said = process.stdin, BufferedByteReceiveStream(process.stdout)

        async def line() -> str:
            return (await said.receive_until(b"\n", max_bytes=1000)).decode()

        def operation(what: str) -> Elsewhere:
            async def burst(level: int, seconds: float) -> Mapping[str, float]:
                await told.send(f"{what} {level} {seconds}\n".encode())
                cpu, wall = map(float, (await line()).split())
                return {"CPU": cpu, "time": wall}

            return Elsewhere(burst)

        yield Contestant(f"{name}, {await line()}", operation("get"), operation("put"))


def only(layer: Layer) -> Callable[[Setting], list[Layer]]:
    return lambda _: [layer]


LAYERS: Final[list[Layer]] = [Deadline(), Events(), Retry(), Datacenters(), Breaker(), Limit()]

KNOWN: Final[dict[str, Callable[[Setting], AbstractAsyncContextManager[Contestant]]]] = {
    ONEX: partial(onex, ONEX, roomy_layers),
    FAST: partial(onex, FAST, roomy_layers, http="fast"),
    USUAL_LIMITS: partial(onex, USUAL_LIMITS, lambda _: None),
    NO_LAYERS: partial(onex, NO_LAYERS, lambda _: []),
    **{
        f"only {type(layer).__name__}": partial(onex, f"only {type(layer).__name__}", only(layer))
        for layer in LAYERS
    },
    REFERENCE: plain_httpx,
    HTTPCORE: bare_httpcore,
    AIOHTTP: bare_aiohttp,
    PY_CONSUL: py_consul,
    PY_CONSUL_SYNC: py_consul_sync,
    GO: go,
}
