"""Every block of Python in the platform's page about Consul runs, with one word changed."""

from __future__ import annotations

import ast
import asyncio
import hashlib
import inspect
import os
import re
import textwrap
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import anyio
import anyio.from_thread
import httpx
import pytest
from pydantic import SecretStr

from consul_onex import ConsulClient, ConsulTimeoutError, PermissionDeniedError, ServiceRegistration
from consul_onex.onex import consul, errors
from consul_onex.onex.enums import EnumInfraTransportType, EnumRetryErrorCategory
from consul_onex.onex.handlers import HandlerConsul
from consul_onex.onex.mixins import ModelRetryErrorClassification
from consul_onex.transport import Connections
from tests.support.agents import Agent

PAGE = Path(__file__).parent / "consul_integration.txt"
DIGEST = "1fce82325d50fcec6479164a94e81e56ee25311e8b2a6591a57b05b62409de34"
BLOCKS = [
    block.replace("omnibase_infra", "consul_onex.onex")
    for block in re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
]

Names = dict[str, Any]


class Elsewhere(httpx.AsyncBaseTransport):
    """The addresses of the page, at a real agent."""

    def __init__(self, agent: Agent) -> None:
        self._url = agent.url
        self._connections = Connections()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        url = httpx.URL(self._url + request.url.raw_path.decode())
        headers = [(b"Host", url.netloc), *request.headers.raw[1:]]
        there = httpx.Request(
            request.method,
            url,
            headers=headers,
            stream=request.stream,
            extensions=request.extensions,
        )
        return await self._connections.handle_async_request(there)

    async def aclose(self) -> None:
        await self._connections.aclose()


class OldClient:
    """The synchronous client that fragments of the page assume: it waits for ours, in a thread."""

    def __init__(self, client: ConsulClient) -> None:
        self.asked: list[str] = []
        self._client = client
        self.catalog = SimpleNamespace(datacenters=self._datacenters)
        self.health = SimpleNamespace(service=self._service)

    def _datacenters(self) -> list[str]:
        self.asked.append("datacenters")
        return anyio.from_thread.run(self._client.catalog.datacenters)

    def _service(self, name: str, *, passing: bool) -> tuple[int, list[Any]]:
        self.asked.append(name)
        read = partial(self._client.health.service, name, passing=passing)
        return 0, anyio.from_thread.run(read)


async def run(block: str, names: Names) -> None:
    """As it stands, with `await` allowed."""
    result = eval(compile(block, PAGE, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT), names)
    if inspect.isawaitable(result):
        await result


async def initialise(block: str, names: Names) -> None:
    await run(block, names)
    assert names["handler"].describe()["initialized"] is True
    await names["handler"].shutdown()


async def verify(block: str, names: Names) -> None:
    await run(block, names)
    client = OldClient(names["handler"].client)
    call = partial(names["_verify_consul_connection"], None, client, names["correlation_id"])
    await anyio.to_thread.run_sync(call)
    assert client.asked == ["datacenters"]
    broken = SimpleNamespace(catalog=None)
    with pytest.raises(errors.InfraConnectionError) as caught:
        names["_verify_consul_connection"](None, broken, names["correlation_id"])
    assert isinstance(caught.value.__cause__, AttributeError)


async def count(block: str, names: Names) -> None:
    client: ConsulClient = names["handler"].client
    await client.agent.register(ServiceRegistration(name="my-service", id="my-service-1"))
    names["client"] = OldClient(client)
    await anyio.to_thread.run_sync(eval, compile(block, PAGE, "exec"), names)
    await client.agent.deregister("my-service-1")
    assert names["healthy_instances"] == 1


async def describe(block: str, names: Names) -> None:
    await run(block, names)
    # What the comment says, with its dots filled in.
    assert names["info"] == {
        "handler_type": "infra_handler",
        "handler_category": "effect",
        "supported_operations": [
            "consul.deregister",
            "consul.kv_get",
            "consul.kv_put",
            "consul.register",
        ],
        "timeout_seconds": 30.0,
        "initialized": True,
        "version": "0.1.0-mvp",
    }


async def payload(block: str, names: Names) -> None:
    await run(block, names)
    made = names["payload"]
    assert made.consul_service_id == "node-effect-123"
    response = await names["handler"].execute(
        {"operation": "consul.register", "payload": made.model_dump()}
    )
    assert response.payload.data.registered is True
    found = await names["handler"].client.agent.service("node-effect-123")
    assert (found.service, found.tags, found.meta) == (
        "my-onex-node",
        ["onex", "effect-node"],
        {"version": "1.0.0"},
    )


async def register(block: str, names: Names) -> None:
    await run(block, names)
    found = await names["handler"].client.agent.service("node-effect-123")
    assert (found.service, found.address, found.port) == ("my-onex-node", "192.168.1.100", 8080)
    assert await names["handler"].client.agent.service("my-onex-node") is None


async def deregister(block: str, names: Names) -> None:
    await run(block, names)
    assert await names["handler"].client.agent.service("node-effect-123") is None
    assert names["response"].result.payload.data.deregistered is True


async def get(block: str, names: Names) -> None:
    await run(block, names)
    assert names["response"].payload.data.found is False
    # As its comment says.
    await names["handler"].client.kv.put("config/my-service/settings", "old")
    await run(block.replace("False,", "True,"), names)
    await names["handler"].client.kv.delete("config/my-service/settings")
    (item,) = names["response"].payload.data.items
    assert (item.key, item.value) == ("config/my-service/settings", "old")


async def put(block: str, names: Names) -> None:
    await run(block, names)
    assert names["response"].status == "success"
    pair = await names["handler"].client.kv.get("config/my-service/settings")
    await names["handler"].client.kv.delete("config/my-service/settings")
    assert pair.json() == {"timeout": 30}


async def refuse(block: str, names: Names) -> None:
    names["ctx"] = errors.ModelInfraErrorContext.with_correlation(names["correlation_id"])
    with pytest.raises(errors.InfraAuthenticationError) as caught:
        await run(block, names)
    assert str(caught.value) == (
        "[ONEX_CORE_163_AUTHENTICATION_ERROR] "
        "Consul ACL permission denied - check token permissions"
    )
    assert caught.value.correlation_id == names["correlation_id"]


async def context(block: str, names: Names) -> None:
    await run(block, names)
    assert names["ctx"].transport_type is EnumInfraTransportType.CONSUL
    assert names["ctx"].correlation_id == names["correlation_id"]


async def classify(block: str, names: Names) -> None:
    # It returns, and so is the body of a function.
    await run(f"def classified(error):\n{textwrap.indent(block, '    ')}", names)
    for error, category, retried in (
        (TimeoutError(), EnumRetryErrorCategory.TIMEOUT, True),
        (ConsulTimeoutError(), EnumRetryErrorCategory.TIMEOUT, True),
        (PermissionDeniedError(), EnumRetryErrorCategory.AUTHENTICATION, False),
    ):
        said = names["classified"](error)
        assert said == ModelRetryErrorClassification(category=category, should_retry=retried)
        assert said.record_circuit_failure is retried


async def pool(block: str, names: Names) -> None:
    # It speaks of asyncio and of threads: in a loop of its own, for both of ours.
    with ThreadPoolExecutor(1) as executor:
        names |= {"self": SimpleNamespace(_executor=executor), "func": lambda: "done"}
        await anyio.to_thread.run_sync(lambda: asyncio.run(run(block, names)))
    assert names["result"] == "done"
    assert names["max_concurrent_operations"] == names["handler"].config.max_concurrent_operations


async def shut_down(block: str, names: Names) -> None:
    await run(block, names)
    executor = ThreadPoolExecutor(1)
    await names["shutdown"](SimpleNamespace(_executor=executor))
    with pytest.raises(RuntimeError):
        executor.submit(print)


async def models(block: str, names: Names) -> None:
    await run(block, names)
    assert (names["config"].host, names["config"].datacenter) == ("consul.dc1.example.com", "dc1")


async def just(block: str, names: Names) -> None:
    await run(block, names)


COMPLETED: list[Callable[[str, Names], Awaitable[None]]] = [
    just,  # a configuration
    just,  # a configuration from the environment
    initialise,
    verify,
    count,
    describe,
    payload,
    register,
    deregister,
    get,
    put,
    just,  # a token, well and badly kept
    just,  # a token from the environment
    refuse,
    context,
    just,  # a configuration of retries
    classify,
    pool,
    shut_down,
    models,
]


def test_every_block_has_its_completion() -> None:
    assert len(BLOCKS) == len(COMPLETED) == PAGE.read_text().count("```python") == 20


def test_the_page_is_as_it_was() -> None:
    assert hashlib.sha256(PAGE.read_bytes()).hexdigest() == DIGEST


@pytest.fixture
def names(agent: Agent, handler: HandlerConsul, monkeypatch: pytest.MonkeyPatch) -> Names:
    """What the blocks assume to be there."""
    for variable in list(os.environ):
        if variable.startswith("CONSUL_"):
            monkeypatch.delenv(variable)
    there = partial(ConsulClient, transport=Elsewhere(agent))
    monkeypatch.setattr(HandlerConsul.__init__, "__kwdefaults__", {"client": there})
    return {
        "SecretStr": SecretStr,
        "UUID": UUID,
        "asyncio": asyncio,
        "consul": consul,
        "correlation_id": uuid4(),
        "handler": handler,
        "os": os,
        "uuid4": uuid4,
        **{error: getattr(errors, error) for error in errors.__all__},
    }


IMPORTS = "\n".join(
    line for block in BLOCKS for line in block.splitlines() if line.startswith("from consul_onex")
)


@pytest.mark.parametrize("number", range(len(BLOCKS)))
async def test_a_block_of_the_page_runs(number: int, names: Names) -> None:
    await run(IMPORTS, names)  # of the page, from its top
    names |= {"EnumRetryErrorCategory": EnumRetryErrorCategory}
    names |= {"ModelRetryErrorClassification": ModelRetryErrorClassification}

    await COMPLETED[number](BLOCKS[number], names)


async def test_the_page_runs_from_its_top_to_its_end(names: Names) -> None:
    await run(IMPORTS, names)
    names |= {"EnumRetryErrorCategory": EnumRetryErrorCategory}
    names |= {"ModelRetryErrorClassification": ModelRetryErrorClassification}
    given = names["handler"]

    for block, completed in zip(BLOCKS, COMPLETED, strict=True):
        # Its own handler is one at an address of the page, and shut down again.
        await completed(block, names)
        names["handler"] = given


async def test_the_operations_of_the_page_are_those_that_there_are() -> None:
    listed = re.findall(r"^\| `(consul\.\w+)` \|", PAGE.read_text(), re.MULTILINE)

    assert sorted(listed) == HandlerConsul().describe()["supported_operations"]
