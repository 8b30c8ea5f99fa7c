"""From `initialize` to `shutdown`, and what comes between that goes wrong."""

from __future__ import annotations

import logging
import traceback
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from itertools import pairwise
from typing import Any
from uuid import uuid4

import anyio
import httpx
import pytest

from consul_onex import TLS, ConsulClient, ServerError
from consul_onex.onex.errors import (
    InfraAuthenticationError,
    InfraConnectionError,
    InfraTimeoutError,
    ProtocolConfigurationError,
    RuntimeHostError,
)
from consul_onex.onex.handlers import HandlerConsul
from consul_onex.onex.handlers.models.consul import ModelConsulHandlerConfig
from tests.onex.support import LEADER, do, initialised, pair, where
from tests.support.agents import Agent
from tests.support.canary import CANARY, Bottom, leaks
from tests.support.fault_server import HANG, HOST, fault_server, reply


def at(port: int, **config: Any) -> dict[str, Any]:
    return {"host": HOST, "port": port, **config}


@asynccontextmanager
async def ticking() -> AsyncIterator[list[float]]:
    """Counts the steps of a task that would stand still if the event loop did."""
    ticks: list[float] = []

    async def tick() -> None:
        while True:
            await anyio.sleep(0.01)
            ticks.append(anyio.current_time())

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(tick)
        yield ticks
        tasks.cancel_scope.cancel()


def longest(ticks: list[float]) -> float:
    """The seconds that the event loop stood still, at most."""
    return max(after - before for before, after in pairwise(ticks))


# -- initialize ------------------------------------------------------------------------------------


@pytest.mark.parametrize("as_model", [False, True])
async def test_a_handler_keeps_what_it_was_given(agent: Agent, as_model: bool) -> None:
    config = where(agent, datacenter="dc1", timeout_seconds=5)
    handler = HandlerConsul()

    await handler.initialize(ModelConsulHandlerConfig(**config) if as_model else config)

    assert (handler.config.host, handler.config.port) == (HOST, agent.port)
    assert handler.config.datacenter == "dc1"
    assert handler.describe()["timeout_seconds"] == 5.0
    assert (handler.config.max_concurrent_operations, handler.config.max_queue_size) == (10, 30)
    await handler.shutdown()


async def test_nothing_given_is_the_agent_of_this_machine() -> None:
    bottom, made = Bottom(LEADER_ANSWER), []

    def client(*args: Any, **options: Any) -> ConsulClient:
        made.append(args)
        return ConsulClient(*args, **options, transport=bottom)

    handler = HandlerConsul(client=client)
    await handler.initialize({})
    await handler.shutdown()

    assert made == [("http://localhost:8500",)]
    assert [str(one.url) for one in bottom.requests] == ["http://localhost:8500/v1/status/leader"]
    assert bottom.closed == 1


LEADER_ANSWER = httpx.Response(200, json="10.0.0.1:8300")


@pytest.mark.parametrize(
    ("config", "field"),
    [
        ({"port": 0}, "port"),
        ({"port": "8500"}, "port"),
        ({"scheme": "ftp"}, "scheme"),
        ({"timeout_seconds": 400}, "timeout_seconds"),
        ({"hots": "a"}, "hots"),
        ({"host": ""}, "host"),
        ({"host": "a b"}, "address"),
        ({"datacenter": "d c"}, "datacenter"),
        ({"retry": {"max_attempts": 0}}, r"retry.max_attempts"),
    ],
)
async def test_a_configuration_that_cannot_be_used_names_the_field(
    config: dict[str, Any], field: str
) -> None:
    handler = HandlerConsul()

    with pytest.raises(
        ProtocolConfigurationError, match=rf"validation failed for fields: .*{field}"
    ):
        await handler.initialize(config)

    assert handler.describe()["initialized"] is False


@pytest.mark.parametrize("name", ["token", "tokn", "Token"])
async def test_a_token_that_cannot_be_used_shows_nowhere(name: str) -> None:
    handler = HandlerConsul()
    value = f"{CANARY.get_secret_value()}\n"

    with pytest.raises(ProtocolConfigurationError) as caught:
        await handler.initialize({name: value, "port": 1})

    del value
    shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    # The test's own frame has it; it gave it.
    ours = [frame for frame in shown.stack if "consul_onex/onex" in frame.filename]
    assert ours
    assert not leaks("".join(str(frame.locals) for frame in ours))
    assert not leaks(caught.value.to_json() + str(caught.value))


async def test_a_refused_connection_is_told_at_once() -> None:
    handler = HandlerConsul()
    async with fault_server([LEADER]) as server:
        port = server.port

    with pytest.raises(InfraConnectionError, match="Consul connection failed") as caught:
        await handler.initialize(at(port))

    assert caught.value.error_code.name == "SERVICE_UNAVAILABLE"
    assert caught.value.__cause__ is not None


async def test_a_cluster_without_a_leader_is_refused() -> None:
    async with fault_server([reply(body=b'""'), reply(500, b"No cluster leader")]) as server:
        handler = HandlerConsul()
        with pytest.raises(InfraConnectionError, match="expected a leader"):
            await handler.initialize(at(server.port))
        with pytest.raises(InfraConnectionError) as caught:
            await handler.initialize(at(server.port))

        # Tried once each time.
        assert len(server.requests) == 2
        await server.wait_open(0)
    assert isinstance(caught.value.__cause__, ServerError)


async def test_a_token_that_consul_does_not_know_is_refused(acl_agent: Agent) -> None:
    handler = HandlerConsul()
    with pytest.raises(InfraAuthenticationError, match="permission denied"):
        await handler.initialize(where(acl_agent, token=CANARY))
    await handler.initialize(where(acl_agent, token=acl_agent.token, datacenter="dc1"))
    await handler.shutdown()


@pytest.mark.parametrize("token", [None, "", CANARY])
async def test_without_acls_any_token_is_fine(agent: Agent, token: Any) -> None:
    handler = HandlerConsul()
    await handler.initialize(where(agent, token=token))
    await handler.shutdown()


async def test_a_datacenter_that_there_is_not_is_refused(agent: Agent) -> None:
    with pytest.raises(ProtocolConfigurationError, match="no such datacenter") as caught:
        await HandlerConsul().initialize(where(agent, datacenter="dc9"))

    assert caught.value.model.context["parameter"] == "datacenter"


async def test_a_handler_can_be_tried_again_after_it_failed(agent: Agent) -> None:
    handler = HandlerConsul()
    async with fault_server([reply(body=b'""')]) as server:
        with pytest.raises(InfraConnectionError):
            await handler.initialize(at(server.port))
    await handler.initialize(where(agent))

    assert handler.describe()["initialized"] is True
    await handler.shutdown()


async def test_a_second_initialize_leaves_no_connection_behind(agent: Agent) -> None:
    async with fault_server([LEADER]) as first, fault_server([LEADER]) as second:
        handler = HandlerConsul()
        await handler.initialize(at(first.port))
        old = handler.client
        await handler.initialize(at(second.port))

        await first.wait_open(0)
        assert handler.client is not old
        assert handler.config.port == second.port
        await handler.shutdown()
        await second.wait_open(0)


async def test_a_second_initialize_that_fails_leaves_the_first_in_use(agent: Agent) -> None:
    async with fault_server([LEADER]) as first, fault_server([reply(body=b'""')]) as second:
        handler = HandlerConsul()
        await handler.initialize(at(first.port))
        with pytest.raises(InfraConnectionError):
            await handler.initialize(at(second.port))

        assert handler.config.port == first.port
        await second.wait_open(0)
        await handler.shutdown()


async def test_a_hanging_server_does_not_stop_the_loop_nor_outlast_the_timeout() -> None:
    async with fault_server([HANG]) as server, ticking() as ticks:
        began = anyio.current_time()
        with pytest.raises(InfraTimeoutError, match=r"timed out after 1\.0s"):
            await HandlerConsul().initialize(at(server.port, timeout_seconds=1.0))
        took = anyio.current_time() - began
        await server.wait_open(0)

    assert 0.9 < took < 1.5
    assert longest(ticks) < 0.5


async def test_several_slow_answers_do_not_outlast_the_timeout_together() -> None:
    # Each of them takes less than half of it, and all of them more.
    leader = reply(body=b'"10.0.0.1:8300"', pause=0.03)
    datacenters = reply(body=b'["dc1", "dc2"]', pause=0.03)
    token = reply(body=b'{"Policies":[]}', pause=0.03)
    async with fault_server([leader, datacenters, token]) as server:
        config = at(server.port, timeout_seconds=1.0, datacenter="dc1", token=CANARY)
        with pytest.raises(InfraTimeoutError):
            await HandlerConsul().initialize(config)
        await server.wait_open(0)


async def test_a_client_can_be_made_by_others(tls_agent: Agent) -> None:
    assert tls_agent.tls is not None
    files = tls_agent.tls
    tls = TLS(ca_file=files.ca_file, client_cert=files.client_cert, client_key=files.client_key)
    handler = HandlerConsul(client=partial(ConsulClient, tls=tls))

    await handler.initialize(where(tls_agent, scheme="https"))

    assert await handler.health_check()
    await handler.shutdown()


# -- shutdown --------------------------------------------------------------------------------------


async def test_shutdown_refuses_what_is_new_and_answers_what_is_under_way() -> None:
    gate = anyio.Event()
    body = pair().data.partition(b"\r\n\r\n")[2]
    got: list[Any] = []
    async with initialised(lambda _: reply(body=body, hold=gate)) as (handler, server):

        async def ask() -> None:
            got.append(await do(handler, "kv_get", key="a"))

        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(ask)
            await server.wait_requests(3)
            tasks.start_soon(handler.shutdown)
            await anyio.wait_all_tasks_blocked()
            with pytest.raises(RuntimeHostError, match="not initialized"):
                await do(handler, "kv_get", key="a")
            assert got == []
            gate.set()

        await server.wait_open(0)
    assert [one.value for one in got] == ["v", "v", "v"]


async def test_shutdown_waits_no_longer_than_it_is_told_and_stops_no_loop() -> None:
    ended: list[RuntimeHostError] = []
    async with initialised([HANG]) as (handler, server):

        async def ask() -> None:
            with pytest.raises(InfraConnectionError, match="has been shut down") as caught:
                await do(handler, "kv_get", key="a")
            ended.append(caught.value)

        took = 0.0
        async with ticking() as ticks, anyio.create_task_group() as tasks:
            tasks.start_soon(ask)
            await server.wait_requests(1)
            began = anyio.current_time()
            await handler.shutdown(1.0)
            took = anyio.current_time() - began

        await server.wait_open(0)
    assert 0.9 < took < 1.5
    assert longest(ticks) < 0.5
    assert len(ended) == 1


async def test_shutdown_may_come_again_and_so_may_initialize(agent: Agent, name: str) -> None:
    handler = HandlerConsul()
    await handler.shutdown()
    for _ in range(2):
        await handler.initialize(where(agent))
        assert (await do(handler, "kv_get", key=name)).found is False
        await handler.shutdown()
        await handler.shutdown()

    assert handler.describe()["initialized"] is False
    for what in ("client", "config"):
        with pytest.raises(RuntimeHostError, match="not initialized"):
            getattr(handler, what)


async def test_a_cancelled_shutdown_hangs_up_all_the_same() -> None:
    async with initialised([HANG]) as (handler, server), anyio.create_task_group() as tasks:

        async def ask() -> None:
            with pytest.raises(InfraConnectionError):
                await do(handler, "kv_get", key="a")

        tasks.start_soon(ask)
        await server.wait_requests(1)
        with anyio.move_on_after(0.05):
            await handler.shutdown()

        await server.wait_open(0)


# -- what it tells of itself -----------------------------------------------------------------------


def test_a_handler_describes_itself_before_it_is_initialised() -> None:
    assert HandlerConsul().describe() == {
        "handler_type": "infra_handler",
        "handler_category": "effect",
        "supported_operations": [
            "consul.deregister",
            "consul.kv_get",
            "consul.kv_put",
            "consul.register",
        ],
        "timeout_seconds": 30.0,
        "initialized": False,
        "version": "0.1.0-mvp",
    }


async def test_its_health_is_consuls(handler: HandlerConsul) -> None:
    health = await handler.health_check()

    assert health
    assert (health.reason, health.error_type) == ("ok", None)
    assert health.latency_ms > 0
    assert health.details["leader"]


async def test_ill_health_is_an_answer_and_no_error() -> None:
    before = await HandlerConsul().health_check()
    async with fault_server(
        [LEADER, reply(500, b"No cluster leader"), reply(body=b'""')]
    ) as server:
        handler = HandlerConsul()
        await handler.initialize(at(server.port))
        failed, without = await handler.health_check(), await handler.health_check()
        await handler.shutdown()

    assert not any((before, failed, without))
    assert before.error_type == "RuntimeHostError"
    assert (failed.error_type, failed.reason) == (
        "InfraConnectionError",
        "Consul error: NoLeaderError",
    )
    assert (without.error_type, without.details) == (None, {})


async def test_every_log_record_has_the_ids_and_the_place(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG, logger="consul_onex.onex")
    correlation_id = uuid4()
    failure = reply(500, b"No cluster leader")
    async with initialised([failure, failure, pair()], datacenter=None) as (handler, _):
        await handler.execute(
            {
                "operation": "consul.kv_get",
                "payload": {"key": "a"},
                "correlation_id": correlation_id,
            }
        )

    records = [one for one in caplog.records if one.name == "consul_onex.onex"]
    said = [one.getMessage() for one in records]
    assert said == [
        "Initializing HandlerConsul",
        "HandlerConsul initialized successfully",
        "Retrying operation",
        "Retrying operation",
        "HandlerConsul shutdown complete",
    ]
    for record in records:
        assert vars(record)["handler"] == "HandlerConsul"
        assert vars(record)["datacenter"] is None
    (first, second) = (vars(one) for one in records if one.getMessage() == "Retrying operation")
    assert first["correlation_id"] == second["correlation_id"] == str(correlation_id)
    assert (first["attempt"], second["attempt"], first["max_attempts"]) == (1, 2, 3)
    assert 0.085 <= first["backoff_seconds"] <= 0.1
    assert 0.17 <= second["backoff_seconds"] <= 0.2
