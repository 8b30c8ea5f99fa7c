"""What the four operations take, send and answer, on a real agent."""

from __future__ import annotations

import json
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import anyio
import httpx
import pytest

from consul_onex import ConsulClient
from consul_onex.onex.errors import (
    InfraConnectionError,
    ProtocolConfigurationError,
    RuntimeHostError,
)
from consul_onex.onex.handlers import HandlerConsul
from consul_onex.onex.handlers.models import ModelConsulHandlerResponse
from consul_onex.onex.handlers.models.consul import ModelConsulRegisterPayload
from tests.onex.support import TRUE, do, initialised, pair, where
from tests.support.agents import Agent
from tests.support.canary import Bottom
from tests.support.fault_server import RESET, Answer, Seen, reply

# -- keys ------------------------------------------------------------------------------------------


async def test_what_was_put_is_got_with_its_flags_and_index(
    handler: HandlerConsul, name: str
) -> None:
    put = await do(handler, "kv_put", key=name, value="v", flags=42)
    got = await do(handler, "kv_get", key=name)

    assert (put.operation_type, put.success, put.key) == ("kv_put", True, name)
    assert (got.operation_type, got.found, got.key) == ("kv_get_found", True, name)
    assert (got.value, got.raw, got.flags) == ("v", b"v", 42)
    assert got.index == got.modify_index > 0


async def test_a_key_is_written_over(handler: HandlerConsul, name: str) -> None:
    for value in ("one", "two"):
        await do(handler, "kv_put", key=name, value=value)

    assert (await do(handler, "kv_get", key=name)).value == "two"


@pytest.mark.parametrize("recurse", [False, True, "true"])
async def test_a_key_that_is_not_there_is_no_error(
    handler: HandlerConsul, name: str, recurse: bool | str
) -> None:
    got = await do(handler, "kv_get", key=name, recurse=recurse)

    assert (got.operation_type, got.found, got.key) == ("kv_get_not_found", False, name)
    assert got.value is None
    assert got.index > 0


@pytest.mark.parametrize("recurse", [True, "true"])
async def test_all_keys_that_begin_so_are_got(
    handler: HandlerConsul, name: str, recurse: bool | str
) -> None:
    for key in ("a", "b"):
        await do(handler, "kv_put", key=f"{name}/{key}", value=key)

    got = await do(handler, "kv_get", key=f"{name}/", recurse=recurse)

    assert (got.operation_type, got.found, got.count) == ("kv_get_recurse", True, 2)
    assert [(item.key, item.value) for item in got.items] == [
        (f"{name}/a", "a"),
        (f"{name}/b", "b"),
    ]
    assert got.index >= max(item.modify_index for item in got.items)


async def test_an_empty_value_is_empty_text(handler: HandlerConsul, name: str) -> None:
    await do(handler, "kv_put", key=name, value="")

    assert (await do(handler, "kv_get", key=name)).value == ""


async def test_a_value_that_is_no_text_is_there_as_bytes(handler: HandlerConsul, name: str) -> None:
    await handler.client.kv.put(name, b"\xff\x00")

    response = await handler.execute({"operation": "consul.kv_get", "payload": {"key": name}})

    data: Any = response.payload.data
    assert (data.value, data.raw) == (None, b"\xff\x00")
    assert ModelConsulHandlerResponse.model_validate_json(response.model_dump_json()) == response


async def test_a_check_and_set_is_kept_and_a_late_one_loses(
    handler: HandlerConsul, name: str
) -> None:
    first = await do(handler, "kv_put", key=name, value="1", cas=0)
    late = await do(handler, "kv_put", key=name, value="2", cas=0)
    index = (await do(handler, "kv_get", key=name)).modify_index
    right = await do(handler, "kv_put", key=name, value="3", cas=index)

    assert [first.success, late.success, right.success] == [True, False, True]


async def test_a_check_and_set_whose_answer_was_lost_is_looked_up_and_sent_once() -> None:
    async with initialised([RESET, pair("mine", index=8)]) as (handler, server):
        done = await do(handler, "kv_put", key="a", value="mine", cas=7)

        assert done.success is True
        assert [seen.method for seen in server.requests] == ["PUT", "GET"]


@pytest.mark.parametrize("found", [pair("mine", index=7), pair("other", index=8), reply(404)])
async def test_a_check_and_set_that_cannot_be_told_is_an_error_that_says_so(found: Answer) -> None:
    if found.data.startswith(b"HTTP/1.1 404"):
        found = reply(404, headers={"X-Consul-Index": "9"})
    async with initialised([RESET, found]) as (handler, _):
        with pytest.raises(InfraConnectionError) as caught:
            await do(handler, "kv_put", key="a", value="mine", cas=7)

    assert caught.value.model.context["outcome_unknown"] is True


@pytest.mark.parametrize("key", ["../agent/leave", "a/../b", "/a", "a//b", "a\n"])
@pytest.mark.parametrize("operation", ["kv_get", "kv_put"])
async def test_a_key_that_would_reach_something_else_is_refused(operation: str, key: str) -> None:
    payload = {"key": key} if operation == "kv_get" else {"key": key, "value": ""}
    async with initialised([TRUE]) as (handler, server):
        with pytest.raises(ProtocolConfigurationError, match="'key'"):
            await do(handler, operation, **payload)

        assert server.requests == []


# -- services --------------------------------------------------------------------------------------


async def test_a_service_has_all_that_it_was_given(
    handler: HandlerConsul, agent: Agent, name: str
) -> None:
    answer = await do(
        handler,
        "register",
        name="web",
        consul_service_id=name,
        address="10.0.0.1",
        port=80,
        tags=["a", "b"],
        meta={"version": "1"},
        check={"TTL": "30s", "Status": "passing"},
    )

    found = agent.request("GET", f"/v1/agent/service/{name}").json()
    assert (answer.registered, answer.name, answer.consul_service_id) == (True, "web", name)
    assert (found["Service"], found["Address"], found["Port"]) == ("web", "10.0.0.1", 80)
    assert (found["Tags"], found["Meta"]) == (["a", "b"], {"version": "1"})
    assert agent.request("GET", "/v1/agent/checks").json()[f"service:{name}"]["Type"] == "ttl"


async def test_two_instances_of_one_name_are_two(handler: HandlerConsul, name: str) -> None:
    await do(handler, "register", name=name, consul_service_id=f"{name}-1")
    await do(handler, "register", name=name, service_id=f"{name}-2")

    entries = await handler.client.health.service(name)

    assert {entry.service.id for entry in entries} == {f"{name}-1", f"{name}-2"}


@pytest.mark.parametrize("field", ["name", "service_name"])
async def test_the_id_is_the_name_where_none_is_given(
    handler: HandlerConsul, name: str, field: str
) -> None:
    answer = await do(handler, "register", **{field: name})

    assert (answer.name, answer.consul_service_id) == (name, name)
    assert await handler.client.agent.service(name) is not None


async def test_a_payload_may_be_the_model_itself(handler: HandlerConsul, name: str) -> None:
    payload = ModelConsulRegisterPayload(name=name, port=80)

    response = await handler.execute({"operation": "consul.register", "payload": payload})

    assert response.payload.data == payload.model_copy(update={"registered": True})


async def test_a_check_that_is_not_named_again_is_gone(
    handler: HandlerConsul, agent: Agent, name: str
) -> None:
    await do(handler, "register", name=name, check={"ttl": "30s"})
    await do(handler, "register", name=name)

    assert f"service:{name}" not in agent.request("GET", "/v1/agent/checks").json()


@pytest.mark.parametrize("field", ["consul_service_id", "service_id"])
async def test_a_service_is_deregistered_by_either_name_of_its_id(
    handler: HandlerConsul, name: str, field: str
) -> None:
    await do(handler, "register", name=name)

    answer = await do(handler, "deregister", **{field: name})

    assert (answer.operation_type, answer.deregistered, answer.consul_service_id) == (
        "deregister",
        True,
        name,
    )
    assert await handler.client.agent.service(name) is None


@pytest.mark.parametrize("which", ["agent", "acl_agent"])
async def test_to_deregister_what_is_not_there_is_fine(
    which: str, request: pytest.FixtureRequest, name: str
) -> None:
    agent: Agent = request.getfixturevalue(which)
    handler = HandlerConsul()
    await handler.initialize(where(agent, token=agent.token))

    answer = await do(handler, "deregister", service_id=name)
    await handler.shutdown()

    assert answer.deregistered is True


async def test_an_id_stays_in_its_place(handler: HandlerConsul, agent: Agent, name: str) -> None:
    for service_id in (f"{name}/a b?c#d", f"{name}-é"):
        await do(handler, "register", name="web", service_id=service_id)
        assert service_id in agent.request("GET", "/v1/agent/services").json()
        await do(handler, "deregister", service_id=service_id)
        assert service_id not in agent.request("GET", "/v1/agent/services").json()
    with pytest.raises(ProtocolConfigurationError):
        await do(handler, "deregister", service_id="../../force-leave/node1")


@pytest.mark.parametrize(
    ("check", "sent"),
    [
        ({"HTTP": "http://a/", "Interval": "10s", "Timeout": "5s"}, {"Interval": "10s"}),
        ({"http": "http://a/", "interval": "10s"}, {"Interval": "10s"}),
        ({"http_url": "http://a/"}, {"HTTP": "http://a/", "Interval": "7s"}),
        ({"tcp": "a:1"}, {"TCP": "a:1", "Interval": "7s"}),
        (
            {"ttl": "15s", "deregister_critical_service_after": "2m"},
            {"TTL": "15s", "DeregisterCriticalServiceAfter": "120s"},
        ),
        ({"CheckID": "c", "ScriptArgs": ["/bin/true"]}, {"CheckID": "c", "Args": ["/bin/true"]}),
    ],
)
async def test_a_check_is_understood_in_all_its_spellings(
    check: dict[str, Any], sent: dict[str, Any]
) -> None:
    bottom = Bottom(httpx.Response(200, json="10.0.0.1:8300"), httpx.Response(200))
    handler = HandlerConsul(client=partial(ConsulClient, transport=bottom))
    await handler.initialize({"health_check_interval_seconds": 7.0})

    await do(handler, "register", name="web", check=check)
    await handler.shutdown()

    assert sent.items() <= json.loads(bottom.last.content)["Check"].items()


# -- what is refused before anything is sent -------------------------------------------------------

WRONG: list[tuple[str, dict[str, Any], str]] = [
    ("kv_get", {}, "key"),
    ("kv_get", {"key": ""}, "key"),
    ("kv_get", {"key": 5}, "key"),
    ("kv_get", {"key": "a", "recurse": "yes"}, "recurse"),
    ("kv_get", {"key": "a", "recursive": True}, "recursive"),
    ("kv_put", {"value": "v"}, "key"),
    ("kv_put", {"key": "a"}, "value"),
    ("kv_put", {"key": "a", "value": None}, "value"),
    ("kv_put", {"key": "a", "value": 5}, "value"),
    ("kv_put", {"key": "a", "value": "v", "cas": "7"}, "cas"),
    ("kv_put", {"key": "a", "value": "v", "flags": True}, "flags"),
    ("kv_put", {"key": "a", "value": "v", "flags": -1}, "flags"),
    ("register", {}, "name"),
    ("register", {"name": " "}, "name"),
    ("register", {"name": "web", "port": "8080"}, "port"),
    ("register", {"name": "web", "port": 0}, "port"),
    ("register", {"name": "web", "address": 5}, "address"),
    ("register", {"name": "web", "tags": [1]}, "tags"),
    ("register", {"name": "web", "service_id": "a", "consul_service_id": "b"}, "service_id"),
    ("register", {"name": "web", "adress": "10.0.0.1"}, "adress"),
    ("register", {"name": "web", "check": {"URL": "http://a/"}}, "field"),
    ("register", {"name": "web", "check": {"HTTP": "http://a/", "Timeout": "soon"}}, "field"),
    ("register", {"name": "web", "check": {"HTTP": {1}}}, "field"),
    ("register", {"name": "web", "event_bus_config": {}}, "node_id"),
    ("register", {"name": "web", "tags": [1] * 2000}, "wrong in 2000 places"),
    ("deregister", {}, "service_id"),
    ("deregister", {"service_id": " "}, "service_id"),
    ("deregister", {"service_id": "a", "node_id": ".."}, "node_id"),
]


@pytest.mark.parametrize(("operation", "payload", "field"), WRONG)
async def test_a_wrong_payload_is_refused_and_names_the_field(
    operation: str, payload: dict[str, Any], field: str
) -> None:
    correlation_id = uuid4()
    envelope = {"operation": f"consul.{operation}", "payload": payload}
    async with initialised([TRUE]) as (handler, server):
        with pytest.raises(ProtocolConfigurationError, match=field) as caught:
            await handler.execute(envelope | {"correlation_id": correlation_id})

        assert server.requests == []
    assert caught.value.correlation_id == correlation_id
    assert caught.value.model.context["operation"] == f"consul.{operation}"


@pytest.mark.parametrize(
    ("envelope", "said"),
    [
        ({"payload": {}}, "'operation'"),
        ({"operation": 5, "payload": {}}, "'operation'"),
        ({"operation": "consul.kv_delete", "payload": {}}, "not supported in MVP. Available: cons"),
        ({"operation": "consul.kv_get"}, "'payload'"),
        ({"operation": "consul.kv_get", "payload": "a"}, "'payload'"),
    ],
)
async def test_a_wrong_envelope_is_refused(envelope: dict[str, Any], said: str) -> None:
    async with initialised([TRUE]) as (handler, server):
        with pytest.raises(RuntimeHostError, match=said):
            await handler.execute(envelope)

        assert server.requests == []


async def test_a_handler_that_is_not_initialised_says_so_first() -> None:
    correlation_id = uuid4()
    with pytest.raises(RuntimeHostError, match="not initialized") as caught:
        await HandlerConsul().execute({"correlation_id": str(correlation_id)})

    assert caught.value.correlation_id == correlation_id


# -- envelopes and ids -----------------------------------------------------------------------------

ID = UUID("12345678-1234-4678-9234-567812345678")


@pytest.mark.parametrize("given", [ID, str(ID)])
async def test_the_ids_of_an_envelope_come_back(
    handler: HandlerConsul, name: str, given: UUID | str
) -> None:
    response = await handler.execute(
        {
            "operation": "consul.kv_get",
            "payload": {"key": name},
            "correlation_id": given,
            "envelope_id": given,
        }
    )

    assert response.correlation_id == response.input_envelope_id == ID
    assert response.handler_id == "consul-handler"


@pytest.mark.parametrize("given", [None, 5, "not-a-uuid"])
async def test_an_id_that_is_none_is_made(handler: HandlerConsul, name: str, given: object) -> None:
    envelope = {"operation": "consul.kv_get", "payload": {"key": name}, "correlation_id": given}

    one, two = await handler.execute(envelope), await handler.execute(envelope)

    assert isinstance(one.correlation_id, UUID)
    assert one.correlation_id != two.correlation_id


async def test_a_response_is_used_as_it_always_was(handler: HandlerConsul, name: str) -> None:
    response = await handler.execute({"operation": "consul.kv_get", "payload": {"key": name}})

    assert response.status == "success"
    assert (response.is_success, response.is_error) == (True, False)
    assert response.result.payload.data == response.payload.data


# -- many at once ----------------------------------------------------------------------------------


async def test_never_more_than_ten_requests_are_on_the_wire() -> None:
    gate, most, now = anyio.Event(), 0, 0

    def answer(seen: Seen) -> Answer:
        return reply(body=pair().data.partition(b"\r\n\r\n")[2], hold=gate)

    answered: list[Any] = []
    async with initialised(answer, max_queue_size_multiplier=10) as (handler, server):

        async def ask() -> None:
            answered.append(await do(handler, "kv_get", key="a"))

        async with anyio.create_task_group() as tasks:
            for _ in range(100):
                tasks.start_soon(ask)
            await server.wait_requests(10)
            await anyio.wait_all_tasks_blocked()
            most = len(server.requests)
            now = server.open
            gate.set()

        assert (most, now) == (10, 10)
        assert server.accepted == 10
        assert len(answered) == len(server.requests) == 100


async def test_who_comes_when_the_queue_is_full_is_told_at_once() -> None:
    gate = anyio.Event()
    body = pair().data.partition(b"\r\n\r\n")[2]
    answered: list[Any] = []
    async with initialised(lambda _: reply(body=body, hold=gate)) as (handler, server):

        async def ask() -> None:
            answered.append(await do(handler, "kv_get", key="a"))

        async with anyio.create_task_group() as tasks:
            for _ in range(40):
                tasks.start_soon(ask)
            await server.wait_requests(10)
            await anyio.wait_all_tasks_blocked()
            began = anyio.current_time()
            with pytest.raises(RuntimeHostError, match="40 operations are on their way") as caught:
                await do(handler, "kv_get", key="a")
            assert anyio.current_time() - began < 0.1
            assert caught.value.error_code.name == "SERVICE_UNAVAILABLE"
            gate.set()

        assert len(answered) == len(server.requests) == 40
