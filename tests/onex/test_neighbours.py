"""What the platform's other parts do with the handler, on an agent in memory and on a real one."""

from __future__ import annotations

import fnmatch
import inspect
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import partial
from typing import Any, Protocol, get_type_hints, runtime_checkable
from uuid import UUID, uuid4

import pytest

from consul_onex import ConsulClient
from consul_onex.onex.errors import (
    InfraAuthenticationError,
    InfraConnectionError,
    InfraTimeoutError,
    ProtocolConfigurationError,
    RuntimeHostError,
)
from consul_onex.onex.handlers import (
    HandlerConsul,
    HandlerServiceDiscoveryConsul,
    ServiceDiscoveryConsul,
)
from consul_onex.onex.handlers.service_discovery import (
    ModelDiscoveryQuery,
    ModelDiscoveryResult,
    ModelServiceInfo,
)
from consul_onex.onex.utils import sanitize_backend_error
from consul_onex.testing import FakeAgent
from tests.onex.support import do, initialised, pair, where
from tests.support.agents import Agent
from tests.support.fault_server import HANG, RESET, Answer, Seen, reply


@pytest.fixture(params=["in memory", "real"])
async def node(request: pytest.FixtureRequest) -> AsyncIterator[HandlerConsul]:
    """A handler, with either agent behind it."""
    made, config = HandlerConsul(client=partial(ConsulClient, transport=FakeAgent())), {}
    if request.param == "real":
        agent: Agent = request.getfixturevalue("agent")
        made, config = HandlerConsul(), where(agent)
    await made.initialize(config)
    yield made
    await made.shutdown()


# -- the protocols of the platform's core and of its plugins ---------------------------------------


@runtime_checkable
class OfTheCore(Protocol):
    async def register_service(
        self,
        service_id: str,
        service_name: str,
        address: str,
        port: int,
        tags: Sequence[str] | None = None,
        metadata: dict[str, str] | None = None,
        health_check_url: str | None = None,
        health_check_interval: str | None = None,
    ) -> bool: ...
    async def deregister_service(self, service_id: str) -> bool: ...
    async def discover_services(
        self, service_name: str, tags: Sequence[str] | None = None, healthy_only: bool = True
    ) -> list[dict[str, Any]]: ...
    async def get_service(self, service_id: str) -> dict[str, Any] | None: ...
    async def get_service_health(self, service_id: str) -> dict[str, Any]: ...
    async def list_services(self) -> list[str]: ...
    async def watch_service(
        self, service_name: str, callback: Callable[[list[dict[str, Any]]], Awaitable[None]]
    ) -> str: ...
    async def stop_watch(self, watch_id: str) -> bool: ...


@runtime_checkable
class OfThePlugins(Protocol):
    async def set_key_value(self, key: str, value: str) -> bool: ...
    async def get_key_value(self, key: str) -> str | None: ...
    async def delete_key(self, key: str) -> bool: ...
    async def list_keys(self, prefix: str = "") -> list[str]: ...
    async def health_check(self) -> bool: ...
    async def close(self, timeout_seconds: float = 30.0) -> None: ...


@runtime_checkable
class OfTheInfrastructure(Protocol):
    @property
    def handler_type(self) -> str: ...
    async def register_service(
        self, service_info: ModelServiceInfo, correlation_id: UUID | None = None
    ) -> object: ...
    async def deregister_service(
        self, service_id: UUID, correlation_id: UUID | None = None
    ) -> None: ...
    async def discover_services(
        self, query: ModelDiscoveryQuery, correlation_id: UUID | None = None
    ) -> ModelDiscoveryResult: ...
    async def health_check(self, correlation_id: UUID | None = None) -> object: ...


@pytest.mark.parametrize(
    ("kind", "protocols"),
    [
        (ServiceDiscoveryConsul, [OfTheCore, OfThePlugins]),
        (HandlerServiceDiscoveryConsul, [OfTheInfrastructure]),
    ],
)
def test_discovery_has_all_that_the_protocols_have(kind: Any, protocols: list[Any]) -> None:
    it = kind(HandlerConsul())
    for protocol in protocols:
        assert isinstance(it, protocol)
        for name, method in inspect.getmembers(protocol, inspect.isfunction):
            if not name.startswith("_"):
                ours = inspect.signature(getattr(kind, name)).parameters
                assert list(ours) == list(inspect.signature(method).parameters)
                assert inspect.iscoroutinefunction(getattr(kind, name))
                assert "return" in get_type_hints(method)


async def test_any_discovery_finds_what_it_registered(node: HandlerConsul, name: str) -> None:
    core: OfTheCore = ServiceDiscoveryConsul(node)
    infrastructure: OfTheInfrastructure = HandlerServiceDiscoveryConsul(node)
    await core.register_service(name, name, "10.0.0.1", 80, ["x", "y"])
    async for entries in node.client.watch(node.client.health.service, name):
        if entries:
            break

    for tags, count in ((["x"], 1), (["y", "x"], 1), (["x", "zzz"], 0)):
        assert len(await core.discover_services(name, tags)) == count
        query = ModelDiscoveryQuery(service_name=name, tags=tuple(tags))
        assert len((await infrastructure.discover_services(query)).services) == count
    assert await infrastructure.health_check()
    for _ in range(2):
        assert await core.deregister_service(name) is True


def test_an_instance_tells_no_time_that_consul_does_not_know() -> None:
    assert not {"registered_at", "last_check_at"} & set(ModelServiceInfo.model_fields)


# -- the effects that register a node --------------------------------------------------------------


INTENT: dict[str, Any] = {
    "service_id": "onex-effect-1",
    "service_name": "onex-effect",
    "tags": [],
    "check": None,
    "node_id": None,
    "event_bus_config": None,
    "correlation_id": None,
}


async def registered(handler: HandlerConsul, intent: dict[str, Any]) -> Any:
    """The effect of an intent: an envelope, whose errors are the platform's already."""
    service = {name: intent[name] for name in ("service_id", "service_name", "tags")}
    extras = {
        name: intent[name] for name in ("check", "node_id", "event_bus_config") if intent[name]
    }
    return await handler.execute(
        {
            "operation": "consul.register",
            "payload": service | extras,
            "correlation_id": intent["correlation_id"],
        },
        retry=False,
    )


async def test_an_intent_becomes_a_registration(node: HandlerConsul, name: str) -> None:
    correlation_id = uuid4()
    intent: dict[str, Any] = {
        "service_id": f"onex-effect-{name}",
        "service_name": f"onex-effect-{name}",
        "tags": ["node_type:effect", "node_version:1.0.0"],
        "check": {"HTTP": "http://127.0.0.1:1/health", "Interval": "10s", "Timeout": "5s"},
        "node_id": name,
        "event_bus_config": {"subscribe_topics": [{"topic": f"{name}.b"}, {"topic": f"{name}.a"}]},
        "correlation_id": str(correlation_id),
    }

    response = await registered(node, intent)
    again = await registered(node, intent | {"check": None})

    # What the event of a changed catalog is made of; without changes there is none.
    assert sorted(response.payload.data.topics_added) == [f"{name}.a", f"{name}.b"]
    assert not again.payload.data.topics_added | again.payload.data.topics_removed
    assert response.correlation_id == correlation_id
    service = await node.client.agent.service(intent["service_id"])
    assert service is not None
    assert service.tags == intent["tags"]
    await do(node, "deregister", service_id=intent["service_id"])


CODES: dict[type[RuntimeHostError], str] = {
    InfraTimeoutError: "CONSUL_TIMEOUT_ERROR",
    InfraAuthenticationError: "CONSUL_AUTH_ERROR",
    InfraConnectionError: "CONSUL_CONNECTION_ERROR",
}


@pytest.mark.parametrize(
    ("answer", "code", "told"),
    [
        (HANG, "CONSUL_TIMEOUT_ERROR", "consul operation failed: timeout"),
        (reply(403, b"no"), "CONSUL_AUTH_ERROR", "consul operation failed: permission denied"),
        (RESET, "CONSUL_CONNECTION_ERROR", "consul operation failed: unavailable"),
        (reply(400, b"no"), "CONSUL_REGISTRATION_ERROR", "consul operation failed"),
    ],
)
async def test_an_effect_knows_the_code_by_the_class(answer: Answer, code: str, told: str) -> None:
    async with initialised([answer], timeout_seconds=1.0) as (handler, server):
        with pytest.raises(RuntimeHostError) as caught:
            await registered(handler, INTENT)

        assert len(server.requests) == 1
    assert CODES.get(type(caught.value), "CONSUL_REGISTRATION_ERROR") == code
    assert sanitize_backend_error("consul", caught.value) == told


async def test_a_payload_of_a_wrong_type_is_refused(node: HandlerConsul) -> None:
    with pytest.raises(RuntimeHostError, match="'payload'"):
        await node.execute({"operation": "consul.register", "payload": ["name"]})
    with pytest.raises(ProtocolConfigurationError):
        await node.execute({"operation": "consul.register", "payload": {"name": 5}})


# -- the catalog of topics, and the routing by it --------------------------------------------------


async def raised(handler: HandlerConsul, key: str) -> int:
    """The catalog's version, one higher than it was; -1 where others always were faster."""
    for _ in range(3):
        old = await do(handler, "kv_get", key=key)
        version, index = (int(old.value) + 1, old.modify_index) if old.found else (1, 0)
        if (await do(handler, "kv_put", key=key, value=str(version), cas=index)).success:
            return version
    return -1


async def test_a_version_counts_up_and_gives_up_where_others_are_faster(
    node: HandlerConsul, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert [await raised(node, name) for _ in range(3)] == [1, 2, 3]
    execute = node.execute

    async def late(envelope: dict[str, Any]) -> Any:
        response: Any = await execute(envelope)
        if envelope["operation"] == "consul.kv_get":
            # Another value each time: to write the same again does not count as a change.
            version = int(response.payload.data.value) + 10
            await node.client.kv.put(name, str(version))
        return response

    monkeypatch.setattr(node, "execute", late)
    assert await raised(node, name) == -1
    assert (await do(node, "kv_get", key=name)).value == "33"


async def test_the_topics_of_all_nodes_are_read_at_once(node: HandlerConsul, name: str) -> None:
    for number in range(3):
        await do(
            node,
            "register",
            name=f"{name}-{number}",
            node_id=f"{name}-{number}",
            event_bus_config={"subscribe_topics": [{"topic": f"{name}.{number}"}]},
        )

    found = await do(node, "kv_get", key=f"onex/nodes/{name}", recurse=True)
    topics = sorted(
        topic
        for item in found.items
        if item.key.endswith("/subscribe_topics")
        for topic in json.loads(item.value)
    )

    assert found.count == 12
    assert fnmatch.filter(topics, f"{name}.[12]") == [f"{name}.1", f"{name}.2"]
    assert await node.get_subscribers_for_topic(f"{name}.1") == [f"{name}-1"]
    for number in range(3):
        await do(node, "deregister", service_id=f"{name}-{number}")
    assert not (await do(node, "kv_get", key=f"onex/nodes/{name}", recurse=True)).found


async def subscribers(handler: HandlerConsul, topic: str) -> list[UUID]:
    """Whom to send a message of this topic; nobody where that cannot be told."""
    try:
        return [UUID(node) for node in await handler.get_subscribers_for_topic(topic)]
    except (RuntimeHostError, ValueError):
        return []


async def test_routing_finds_nobody_where_it_cannot_tell() -> None:
    one = uuid4()
    assert await subscribers(HandlerConsul(), "t") == []
    for answer, found in (
        (pair(json.dumps([str(one)])), [one]),
        (pair('["no uuid"]'), []),
        (pair("no json"), []),
        (reply(500, b"no"), []),
    ):
        async with initialised([answer], attempts=1) as (handler, server):
            assert await subscribers(handler, "t") == found
            assert server.requests[0].target.startswith("/v1/kv/onex/topics/t/subscribers")


# -- contracts kept as keys ------------------------------------------------------------------------


async def test_contracts_are_stored_listed_and_deleted(node: HandlerConsul, name: str) -> None:
    folder = f"onex/contracts/handlers/{name}/"
    text = "name: wörter\n"
    await do(node, "kv_put", key=f"{folder}a", value=text)
    await do(node, "kv_put", key=f"{folder}b", value="")

    found = await do(node, "kv_get", key=folder, recurse=True)
    assert {one.key: one.value for one in found.items} == {
        f"{folder}a": text,
        f"{folder}b": "",
    }
    with node.operation("contracts.delete") as client:
        assert await client.kv.keys(folder) == [f"{folder}a", f"{folder}b"]
        await client.kv.delete_tree(folder)
    assert not (await do(node, "kv_get", key=folder, recurse=True)).found


# -- two writers of one topic ----------------------------------------------------------------------


async def test_a_late_writer_reads_again_and_keeps_what_the_other_wrote() -> None:
    key = "onex/topics/t/subscribers"
    seen: list[list[Any]] = []

    def row(index: int, *nodes: str) -> Answer:
        return pair(json.dumps(list(nodes)), key, index)

    def answer(request: Seen) -> Answer:
        if request.target.startswith("/v1/agent/"):
            return reply()
        if request.target.startswith("/v1/kv/onex/nodes/"):
            return reply(404, headers={"X-Consul-Index": "1"})
        if request.method == "GET":
            return row(7, "first") if not seen else row(8, "first", "other")
        seen.append(json.loads(request.body))
        if len(seen) > 1:
            return reply(body=b'{"Results": []}')
        stale = {"OpIndex": 0, "What": f'failed to set key "{key}", index is stale'}
        return reply(409, json.dumps({"Results": None, "Errors": [stale]}).encode())

    async with initialised(answer) as (handler, _):
        await do(
            handler,
            "register",
            name="n",
            node_id="mine",
            event_bus_config={"subscribe_topics": [{"topic": "t"}]},
        )

    tried = [next(one["KV"] for one in body if one["KV"]["Key"] == key) for body in seen]
    assert [one["Index"] for one in tried] == [7, 8]
    assert len(seen) == 2
