"""Who subscribes to which topic, on a real agent."""

from __future__ import annotations

import json
from contextlib import AsyncExitStack
from functools import partial
from typing import Any
from uuid import uuid4

import anyio
import httpx
import pytest

from consul_onex import ConsulClient
from consul_onex.onex.errors import (
    InfraAuthenticationError,
    InfraConsulError,
    InfraRequestRejectedError,
    ProtocolConfigurationError,
)
from consul_onex.onex.handlers import HandlerConsul
from consul_onex.onex.handlers._topics import TopicIndex, entries_of
from consul_onex.onex.handlers.models.consul import (
    ModelEventBusTopicEntry,
    ModelNodeEventBusConfig,
)
from consul_onex.transport import Connections
from tests.onex.support import do, initialised, pair, where
from tests.support.agents import Agent
from tests.support.fault_server import Answer, Seen, reply
from tests.transport.support import Clock


def topics(*names: str) -> dict[str, Any]:
    return {"subscribe_topics": [{"topic": name} for name in names]}


async def register(handler: HandlerConsul, node: str, *names: str) -> Any:
    return await do(handler, "register", name=node, node_id=node, event_bus_config=topics(*names))


def under(agent: Agent, prefix: str) -> dict[str, Any]:
    """What the keys with this prefix hold."""
    keys = agent.request("GET", f"/v1/kv/{prefix}?keys")
    found = keys.json() if keys.status == 200 else []
    return {key: agent.request("GET", f"/v1/kv/{key}?raw").json() for key in found}


async def test_a_node_has_four_keys_of_names_and_of_entries(
    handler: HandlerConsul, agent: Agent, name: str
) -> None:
    config = topics(f"{name}.a") | {
        "publish_topics": [
            {"topic": f"{name}.b", "event_type": "made", "message_category": "command"}
        ]
    }
    await do(handler, "register", name=name, node_id=name, event_bus_config=config)

    folder = f"onex/nodes/{name}/event_bus/"
    assert under(agent, folder) == {
        f"{folder}subscribe_topics": [f"{name}.a"],
        f"{folder}publish_topics": [f"{name}.b"],
        f"{folder}subscribe_entries": [
            {
                "topic": f"{name}.a",
                "event_type": None,
                "message_category": "EVENT",
                "description": None,
            }
        ],
        f"{folder}publish_entries": [
            {
                "topic": f"{name}.b",
                "event_type": "made",
                "message_category": "COMMAND",
                "description": None,
            }
        ],
    }
    assert await handler.get_subscribers_for_topic(f"{name}.a") == [name]
    assert await handler.get_subscribers_for_topic(f"{name}.b") == []


async def test_without_topics_no_key_is_written(
    handler: HandlerConsul, agent: Agent, name: str
) -> None:
    answer = await do(handler, "register", name=name, node_id=name)

    assert (answer.topics_added, answer.topics_removed) == (frozenset(), frozenset())
    assert under(agent, f"onex/nodes/{name}/") == {}


async def test_the_answer_says_which_topics_came_and_went(
    handler: HandlerConsul, name: str
) -> None:
    a, b, c = (f"{name}.{letter}" for letter in "abc")

    first = await register(handler, name, a, b)
    again = await register(handler, name, a, b)
    other = await register(handler, name, b, c)

    assert (first.topics_added, first.topics_removed) == ({a, b}, frozenset())
    assert (again.topics_added, again.topics_removed) == (frozenset(), frozenset())
    assert (other.topics_added, other.topics_removed) == ({c}, {a})
    assert isinstance(other.topics_added, frozenset)
    assert [await handler.get_subscribers_for_topic(one) for one in (a, b, c)] == [
        [],
        [name],
        [name],
    ]


async def test_many_nodes_subscribe_to_a_topic_in_order(handler: HandlerConsul, name: str) -> None:
    nodes = [f"{name}-{number}" for number in (3, 1, 2)]
    for node in nodes:
        await register(handler, node, f"{name}.t")

    assert await handler.get_subscribers_for_topic(f"{name}.t") == sorted(nodes)


async def test_to_deregister_forgets_the_topics(
    handler: HandlerConsul, agent: Agent, name: str
) -> None:
    await register(handler, f"{name}-1", f"{name}.t")
    await register(handler, f"{name}-2", f"{name}.t")

    await do(handler, "deregister", service_id=f"{name}-1")

    assert await handler.get_subscribers_for_topic(f"{name}.t") == [f"{name}-2"]
    assert under(agent, f"onex/nodes/{name}-1/") == {}
    # Somebody took the service away in another manner.
    await handler.client.agent.deregister(f"{name}-2")
    await do(handler, "deregister", service_id=f"{name}-2", node_id=f"{name}-2")
    assert under(agent, f"onex/topics/{name}.t/") == {}


@pytest.mark.parametrize(
    "config",
    [
        topics(".."),
        topics("a", "b/c"),
        {"subscribe_topics": ["a"]},
        {"subscribe_topics": [{"topic": "a", "message_category": "LETTER"}]},
        {"subscribed_topics": []},
        "a",
    ],
)
async def test_wrong_topics_are_refused_before_the_first_write(
    handler: HandlerConsul, agent: Agent, name: str, config: Any
) -> None:
    with pytest.raises(ProtocolConfigurationError):
        await do(handler, "register", name=name, node_id=name, event_bus_config=config)

    assert await handler.client.agent.service(name) is None
    assert under(agent, f"onex/nodes/{name}/") == {}


async def test_a_wrong_topic_is_named_by_its_place(handler: HandlerConsul, name: str) -> None:
    with pytest.raises(ProtocolConfigurationError) as caught:
        await register(handler, name, "a", "b/c")

    parameter = caught.value.model.context["parameter"]
    assert parameter == "event_bus_config.subscribe_topics[1].topic"


@pytest.mark.parametrize("before", [(), ("old",)])
async def test_a_registration_that_fails_leaves_the_topics_as_they_were(
    handler: HandlerConsul, agent: Agent, name: str, before: tuple[str, ...]
) -> None:
    old = [f"{name}.{one}" for one in before]
    if old:
        await register(handler, name, *old)
    was = under(agent, f"onex/nodes/{name}/")

    with pytest.raises(InfraRequestRejectedError):
        # A name of meta that Consul does not take.
        await do(
            handler,
            "register",
            name=name,
            node_id=name,
            meta={"a b": ""},
            event_bus_config=topics(f"{name}.new"),
        )

    assert under(agent, f"onex/nodes/{name}/") == was
    assert await handler.get_subscribers_for_topic(f"{name}.new") == []
    for one in old:
        assert await handler.get_subscribers_for_topic(one) == [name]


async def test_what_is_no_list_of_names_is_left_alone(
    handler: HandlerConsul, agent: Agent, name: str
) -> None:
    key = f"onex/topics/{name}.t/subscribers"
    for damaged in ("not json", '{"a": 1}', "[1]"):
        agent.request("PUT", f"/v1/kv/{key}", damaged.encode())
        with pytest.raises(InfraConsulError, match="Invalid JSON") as caught:
            await register(handler, name, f"{name}.t")
        assert agent.request("GET", f"/v1/kv/{key}?raw").body == damaged.encode()
        assert name not in caught.value.to_json()
    assert await handler.client.agent.service(name) is None


async def test_more_topics_than_a_transaction_holds_come_in_several(
    handler: HandlerConsul, agent: Agent, name: str
) -> None:
    many = [f"{name}.{number:03}" for number in range(70)]

    first = await register(handler, name, *many)
    second = await register(handler, name)

    assert (first.topics_added, second.topics_removed) == (set(many), set(many))
    assert under(agent, f"onex/topics/{name}.") == {}


class Counting(httpx.AsyncBaseTransport):
    """Counts the transactions that are tried."""

    def __init__(self) -> None:
        self.transactions = 0
        self._connections = Connections()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.transactions += request.url.path == "/v1/txn"
        return await self._connections.handle_async_request(request)

    async def aclose(self) -> None:
        await self._connections.aclose()


@pytest.mark.parametrize("handlers", [1, 4])
async def test_writers_at_once_lose_nothing(agent: Agent, name: str, handlers: int) -> None:
    bottoms = [Counting() for _ in range(handlers)]
    made = [HandlerConsul(client=partial(ConsulClient, transport=bottom)) for bottom in bottoms]
    nodes = [f"{name}-{number:02}" for number in range(32)]
    async with AsyncExitStack() as stack:
        for one in made:
            await one.initialize(where(agent))
            stack.push_async_callback(one.shutdown)

        async with anyio.create_task_group() as tasks:
            for number, node in enumerate(nodes):
                tasks.start_soon(register, made[number % handlers], node, f"{name}.t", f"{name}.u")

        for topic in (f"{name}.t", f"{name}.u"):
            assert await made[0].get_subscribers_for_topic(topic) == nodes
    # Who all lose together each time would need half a thousand.
    assert sum(bottom.transactions for bottom in bottoms) <= 32 * (1 + 2 * (handlers - 1))


# -- on a server that follows a script -------------------------------------------------------------

STALE = json.dumps(
    {"Results": None, "Errors": [{"OpIndex": 0, "What": 'failed to set key "k", index is stale'}]}
).encode()
NONE = reply(404, headers={"X-Consul-Index": "1"})
CONFIG = ModelNodeEventBusConfig(subscribe_topics=[ModelEventBusTopicEntry(topic="t")])


async def test_who_is_always_slower_gives_up_and_tells_no_key() -> None:
    def answer(seen: Seen) -> Answer:
        return reply(409, STALE) if seen.method == "PUT" else NONE

    clock, correlation_id = Clock(), uuid4()
    async with initialised(answer) as (handler, server):
        index = TopicIndex(handler.client, anyio.Lock(), sleep=clock.sleep, dice=lambda: 1.0)
        with (
            pytest.raises(InfraConsulError, match="others always were faster") as caught,
            handler.operation("consul.register", correlation_id),
        ):
            await index.write("node-1", entries_of(CONFIG))

        assert sum(seen.method == "PUT" for seen in server.requests) == 40
    assert clock.pauses[:5] == [0.01, 0.02, 0.04, 0.08, 0.16]
    assert max(clock.pauses) == 0.2
    assert caught.value.model.context["consul_key"] == "onex/***/***"
    assert caught.value.correlation_id == correlation_id
    assert "node-1" not in caught.value.to_json()


async def test_what_cannot_be_put_back_is_logged_and_the_first_error_raised(
    caplog: pytest.LogCaptureFixture,
) -> None:
    written = 0

    def answer(seen: Seen) -> Answer:
        nonlocal written
        if seen.target.startswith("/v1/agent/"):
            return reply(400, b"no")
        if seen.method == "GET":
            there = written and "recurse" in seen.target
            key = "onex/nodes/n/event_bus/subscribe_topics"
            return pair('["t"]', key) if there else NONE
        written += 1
        return reply(body=b'{"Results": []}') if written == 1 else reply(400, b"no")

    async with initialised(answer) as (handler, server):
        with pytest.raises(InfraRequestRejectedError):
            await register(handler, "n", "t")

        assert [seen.target for seen in server.requests if seen.method == "PUT"] == [
            "/v1/txn",
            "/v1/agent/service/register?replace-existing-checks=true",
            "/v1/txn",
        ]
    assert "The topics of a node could not be put back" in caplog.messages


async def test_a_cancelled_registration_leaves_no_topics(agent: Agent, name: str) -> None:
    sent = anyio.Event()

    class Deaf(Forgetful):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            if request.url.path == "/v1/agent/service/register":
                sent.set()
                await anyio.sleep_forever()
            return await self._connections.handle_async_request(request)

    handler = HandlerConsul(client=partial(ConsulClient, transport=Deaf()))
    await handler.initialize(where(agent))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(register, handler, name, f"{name}.t")
        await sent.wait()
        assert await handler.get_subscribers_for_topic(f"{name}.t") == [name]
        tasks.cancel_scope.cancel()

    assert await handler.get_subscribers_for_topic(f"{name}.t") == []
    assert under(agent, f"onex/nodes/{name}/") == {}
    await handler.shutdown()


async def test_a_token_that_may_not_write_is_told_at_once() -> None:
    refused = json.dumps({"Errors": [{"OpIndex": 0, "What": "Permission denied"}]}).encode()

    def answer(seen: Seen) -> Answer:
        return reply(409, refused) if seen.method == "PUT" else NONE

    async with initialised(answer) as (handler, _):
        with pytest.raises(InfraAuthenticationError):
            await register(handler, "node-1", "t")


class Forgetful(httpx.AsyncBaseTransport):
    """Loses the answer to the first transaction, which was carried out."""

    def __init__(self) -> None:
        self.lost = 0
        self._connections = Connections()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await self._connections.handle_async_request(request)
        if request.url.path == "/v1/txn" and not self.lost:
            self.lost += 1
            await response.aclose()
            raise httpx.ReadError("gone")
        return response

    async def aclose(self) -> None:
        await self._connections.aclose()


async def test_a_transaction_whose_answer_was_lost_is_looked_up(agent: Agent, name: str) -> None:
    bottom = Forgetful()
    handler = HandlerConsul(client=partial(ConsulClient, transport=bottom))
    await handler.initialize(where(agent))

    answer = await register(handler, name, f"{name}.t")

    assert bottom.lost == 1
    assert answer.topics_added == {f"{name}.t"}
    assert await handler.get_subscribers_for_topic(f"{name}.t") == [name]
    await handler.shutdown()
