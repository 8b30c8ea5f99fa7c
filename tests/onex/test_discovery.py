"""Service discovery over a handler, on a real agent."""

from __future__ import annotations

import inspect
import logging
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID, uuid4

import anyio
import pytest

from consul_onex.onex.enums import EnumHealthStatus
from consul_onex.onex.errors import (
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
from consul_onex.onex.handlers.service_discovery import ModelDiscoveryQuery, ModelServiceInfo
from tests.onex.support import initialised
from tests.support.agents import Agent
from tests.support.fault_server import HANG, RESET, reply


@pytest.fixture
async def plain(handler: HandlerConsul) -> ServiceDiscoveryConsul:
    return ServiceDiscoveryConsul(handler)


@pytest.fixture
async def modelled(
    handler: HandlerConsul, agent: Agent
) -> AsyncIterator[HandlerServiceDiscoveryConsul]:
    """By models; what has a UUID for its id is gone afterwards."""
    yield HandlerServiceDiscoveryConsul(handler)
    for service_id in agent.request("GET", "/v1/agent/services").json():
        if len(service_id) == 36:
            await handler.client.agent.deregister(service_id)


async def follow(
    handler: HandlerConsul, name: str, *, tag: str | None = None
) -> list[dict[str, Any]]:
    """The instances of a service once the servers know of it."""
    async for entries in handler.client.watch(handler.client.health.service, name, tag=tag):
        if entries:
            break
    return await ServiceDiscoveryConsul(handler).discover_services(name, healthy_only=False)


# -- by plain values -------------------------------------------------------------------------------


async def test_what_was_registered_is_found(
    plain: ServiceDiscoveryConsul, handler: HandlerConsul, name: str
) -> None:
    assert await plain.register_service(name, name, "10.0.0.1", 80, ["a", "b"], {"k": "v"}) is True

    assert await follow(handler, name) == [
        {
            "id": name,
            "name": name,
            "address": "10.0.0.1",
            "port": 80,
            "tags": ["a", "b"],
            "metadata": {"k": "v"},
            "health": "passing",
        }
    ]
    found = await plain.get_service(name)
    assert found is not None
    assert (found["id"], found["port"], found["metadata"]) == (name, 80, {"k": "v"})
    assert name in await plain.list_services()

    assert await plain.deregister_service(name) is True
    assert await plain.deregister_service(name) is True
    assert await plain.get_service(name) is None


async def test_all_tags_are_wanted_and_not_any(
    plain: ServiceDiscoveryConsul, handler: HandlerConsul, name: str
) -> None:
    await plain.register_service(name, name, "10.0.0.1", 80, ["x", "y"])
    await follow(handler, name)

    for tags, found in ((["x"], 1), (["x", "y"], 1), (["x", "zzz"], 0), ([], 1), (None, 1)):
        assert len(await plain.discover_services(name, tags)) == found


async def test_an_instance_is_as_well_as_its_worst_check(
    plain: ServiceDiscoveryConsul, handler: HandlerConsul, name: str
) -> None:
    await plain.register_service(
        name,
        name,
        "10.0.0.1",
        80,
        health_check_url="http://127.0.0.1:1/",
        health_check_interval="9s",
    )
    (one,) = await follow(handler, name)

    # The node passes, and stands first among the checks.
    assert one["health"] == "critical"
    assert await plain.discover_services(name) == []
    health = await plain.get_service_health(name)
    assert (health["status"], health["last_check"]) == ("critical", None)
    checks = await handler.client.agent.checks()
    assert checks[f"service:{name}"].type == "http"


async def test_the_health_of_what_is_in_maintenance_and_of_what_is_not_there(
    plain: ServiceDiscoveryConsul, handler: HandlerConsul, name: str
) -> None:
    await plain.register_service(name, name, "10.0.0.1", 80)
    assert (await plain.get_service_health(name))["status"] == "passing"

    await handler.client.agent.service_maintenance(name, enable=True)

    assert (await plain.get_service_health(name))["status"] == "critical"
    missing = await plain.get_service_health(f"{name}-other")
    assert missing == {"status": "unknown", "message": "", "last_check": None}


async def test_keys_are_kept_listed_and_deleted(plain: ServiceDiscoveryConsul, name: str) -> None:
    assert await plain.get_key_value(name) is None
    assert await plain.set_key_value(name, "v") is True
    assert await plain.get_key_value(name) == "v"
    assert await plain.list_keys(name) == [name]
    assert await plain.delete_key(name) is True
    assert await plain.delete_key(name) is True
    assert await plain.list_keys(name) == []


async def test_a_watch_calls_back_until_it_is_stopped(handler: HandlerConsul, name: str) -> None:
    seen: list[list[str]] = []
    news = anyio.Event()

    async def changed(services: list[dict[str, Any]]) -> None:
        nonlocal news
        seen.append([one["id"] for one in services])
        news.set()
        news = anyio.Event()

    async with ServiceDiscoveryConsul(handler) as discovery:
        first = news
        watch_id = await discovery.watch_service(name, changed)
        await first.wait()
        second = news
        await discovery.register_service(name, name, "10.0.0.1", 80)
        await second.wait()

        assert await discovery.stop_watch(watch_id) is True
        assert await discovery.stop_watch(watch_id) is False
        assert await discovery.stop_watch("not-there") is False

    assert seen == [[], [name]]


async def test_a_callback_that_fails_is_logged_and_called_again(
    handler: HandlerConsul, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    called = [anyio.Event(), anyio.Event()]
    count = 0

    async def fails(services: list[dict[str, Any]]) -> None:
        nonlocal count
        called[count].set()
        count += 1
        raise ValueError("words of the caller's own")

    async with ServiceDiscoveryConsul(handler) as discovery:
        await discovery.watch_service(name, fails)
        await called[0].wait()
        await discovery.register_service(name, name, "10.0.0.1", 80)
        await called[1].wait()

    assert caplog.messages == ["A callback of a watch failed: ValueError"] * 2


async def test_what_ends_a_watch_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING)

    async def never(services: list[dict[str, Any]]) -> None:
        raise AssertionError

    async with (
        initialised([reply(400, b"no")]) as (handler, server),
        ServiceDiscoveryConsul(handler) as discovery,
    ):
        await discovery.watch_service("web", never)
        await server.wait_requests(1)
        await anyio.wait_all_tasks_blocked()

    assert caplog.messages == [
        "A watch of a service has ended: Consul refused the request: BadRequestError"
    ]


async def test_a_watch_needs_a_place_for_its_task(plain: ServiceDiscoveryConsul) -> None:
    async def never(services: list[dict[str, Any]]) -> None:
        raise AssertionError

    with pytest.raises(RuntimeHostError, match="async with"):
        await plain.watch_service("web", never)


async def test_leaving_ends_the_watches_and_leaves_the_handler(
    handler: HandlerConsul, name: str
) -> None:
    started = anyio.Event()

    async def first(services: list[dict[str, Any]]) -> None:
        started.set()

    discovery = ServiceDiscoveryConsul(handler)

    async def leave() -> None:
        async with discovery:
            await discovery.watch_service(name, first)
            await started.wait()
            raise ZeroDivisionError

    with pytest.raises(BaseExceptionGroup) as caught:
        await leave()

    assert [type(one) for one in caught.value.exceptions] == [ZeroDivisionError]
    with pytest.raises(InfraConnectionError, match="Handler has been shut down"):
        await discovery.list_services()
    assert await discovery.health_check() is False
    assert await handler.health_check()


async def test_close_ends_what_was_not_entered(plain: ServiceDiscoveryConsul) -> None:
    assert await plain.health_check() is True
    await plain.close()
    await plain.close(1.0)

    with pytest.raises(InfraConnectionError):
        await plain.get_key_value("a")


# -- by models -------------------------------------------------------------------------------------


async def test_an_instance_comes_back_as_it_was_registered(
    modelled: HandlerServiceDiscoveryConsul, handler: HandlerConsul, name: str
) -> None:
    info = ModelServiceInfo(
        service_name=name, address="10.0.0.1", port=80, tags=("a",), metadata={"k": "v"}
    )
    correlation_id = uuid4()

    registered = await modelled.register_service(info, correlation_id)
    await follow(handler, name)
    (found,) = await modelled.get_all_service_instances(name)

    assert (registered.service_id, registered.correlation_id) == (info.service_id, correlation_id)
    assert found.service_id == info.service_id
    assert (found.address, found.port, found.tags) == ("10.0.0.1", 80, ("a",))
    assert (found.metadata, found.health_status) == ({"k": "v"}, EnumHealthStatus.HEALTHY)
    assert found.health_output == "Agent alive and reachable"
    assert modelled.handler_type == "consul"

    await modelled.deregister_service(info.service_id)
    await modelled.deregister_service(info.service_id)
    assert await handler.client.agent.service(str(info.service_id)) is None


async def test_health_is_a_choice_and_the_worst_check_decides(
    modelled: HandlerServiceDiscoveryConsul, handler: HandlerConsul, name: str
) -> None:
    ill = ModelServiceInfo(service_name=name, health_check_url="http://127.0.0.1:1/")
    well = ModelServiceInfo(service_name=name)
    for info in (ill, well):
        await modelled.register_service(info)
    async for entries in handler.client.watch(handler.client.health.service, name):
        if len(entries) == 2:
            break

    async def found(wanted: EnumHealthStatus | None) -> set[UUID]:
        query = ModelDiscoveryQuery(service_name=name, health_filter=wanted)
        return {one.service_id for one in (await modelled.discover_services(query)).services}

    assert await found(None) == {ill.service_id, well.service_id}
    assert await found(EnumHealthStatus.HEALTHY) == {well.service_id}
    assert await found(EnumHealthStatus.UNHEALTHY) == {ill.service_id}
    assert await found(EnumHealthStatus.UNKNOWN) == set()
    healthy = await modelled.get_all_service_instances(name, include_unhealthy=False)
    assert [one.service_id for one in healthy] == [well.service_id]


async def test_without_a_name_all_services_are_asked_for(
    modelled: HandlerServiceDiscoveryConsul, plain: ServiceDiscoveryConsul, name: str
) -> None:
    await plain.register_service(name, name, "10.0.0.1", 80, [name])
    await follow(plain._handler, name)
    correlation_id = uuid4()

    result = await modelled.discover_services(
        ModelDiscoveryQuery(tags=(name,), correlation_id=correlation_id)
    )

    (found,) = result.services
    assert result.correlation_id == found.correlation_id == correlation_id
    # Made of an id that is none, and always the same.
    assert found.service_id.version == 5


async def test_an_instance_without_checks_and_port_is_found_and_unknown() -> None:
    row = b'[{"Node": {"Node": "n"}, "Service": {"ID": "w", "Service": "web"}, "Checks": []}]'
    async with initialised([reply(body=row)]) as (handler, _):
        (found,) = await HandlerServiceDiscoveryConsul(handler).get_all_service_instances("web")

    assert (found.health_status, found.port, found.address) == (
        EnumHealthStatus.UNKNOWN,
        None,
        None,
    )


async def test_services_are_listed_with_their_tags(
    modelled: HandlerServiceDiscoveryConsul, plain: ServiceDiscoveryConsul, name: str
) -> None:
    await plain.register_service(name, name, "10.0.0.1", 80, [name])
    await follow(plain._handler, name)

    assert (await modelled.list_all_services())[name] == [name]
    assert await modelled.list_all_services(name) == {name: [name]}
    assert await modelled.list_all_services("not-there") == {}


@pytest.mark.parametrize(
    ("answer", "error"), [(RESET, InfraConnectionError), (HANG, InfraTimeoutError)]
)
async def test_what_goes_wrong_is_the_platforms_error(
    answer: Any, error: type[RuntimeHostError]
) -> None:
    async with initialised([answer], attempts=1, timeout_seconds=1.0) as (handler, _):
        with pytest.raises(error) as caught:
            await HandlerServiceDiscoveryConsul(handler).list_all_services()

    assert caught.value.model.context["operation"] == "discovery.list_all_services"


async def test_after_its_end_nothing_is_asked(modelled: HandlerServiceDiscoveryConsul) -> None:
    assert await modelled.health_check()
    await modelled.shutdown()

    with pytest.raises(InfraConnectionError, match="Handler has been shut down"):
        await modelled.list_all_services()


async def test_a_wrong_argument_is_refused(plain: ServiceDiscoveryConsul) -> None:
    with pytest.raises(ProtocolConfigurationError):
        await plain.register_service("a", "", "10.0.0.1", 80)
    with pytest.raises(ProtocolConfigurationError):
        await plain.get_service("../leave")


@pytest.mark.parametrize("kind", [ServiceDiscoveryConsul, HandlerServiceDiscoveryConsul])
def test_every_method_is_awaited_and_typed(kind: type) -> None:
    for name, method in inspect.getmembers(kind, inspect.isfunction):
        if not name.startswith("_"):
            assert inspect.iscoroutinefunction(method), name
            assert "return" in inspect.get_annotations(method), name
