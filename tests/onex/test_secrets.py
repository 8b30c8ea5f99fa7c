"""A token and a value are in no error, no log record and no traceback."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable
from typing import Any

import anyio
import httpx
import pytest

from consul_onex import ConsulClient
from consul_onex.onex.errors import RuntimeHostError
from consul_onex.onex.handlers import HandlerConsul
from consul_onex.onex.handlers.models.consul import ModelConsulHandlerConfig
from tests.onex.support import do, initialised
from tests.support.canary import CANARY, Bottom, leaks
from tests.support.fault_server import HANG, RESET, Answer, reply

VALUE = "v4lue-of-somebody's-password"

ENDS: list[Answer] = [
    RESET,
    HANG,
    reply(400, b"no"),
    reply(403, b"ACL not found"),
    reply(500, b"No cluster leader"),
    reply(500, b"nobody knows"),
    reply(503, b"slowly"),
    reply(200, b"not json"),
    reply(301, headers={"Location": "http://elsewhere/"}),
]

CALLS: list[tuple[str, dict[str, Any]]] = [
    ("kv_get", {"key": "a"}),
    ("kv_put", {"key": "a", "value": VALUE}),
    ("kv_put", {"key": "a", "value": VALUE, "cas": 7}),
    ("register", {"name": "web", "meta": {"password": VALUE}}),
    ("deregister", {"service_id": "web"}),
]


def leader_then(answer: Answer) -> Callable[..., Answer]:
    def script(seen: Any) -> Answer:
        return reply(body=b"{}") if "token/self" in seen.target else answer

    return script


@pytest.mark.parametrize("answer", ENDS)
async def test_however_an_operation_ends_nothing_is_told(
    answer: Answer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    config: dict[str, Any] = {"attempts": 2, "timeout_seconds": 1.0, "token": CANARY}
    told: list[str] = []

    async def fail(operation: str, payload: dict[str, Any]) -> None:
        try:
            await do(handler, operation, **payload)
        except RuntimeHostError as error:
            told.extend(["".join(traceback.format_exception(error)), error.to_json(), repr(error)])

    async with initialised(leader_then(answer), **config) as (handler, server):
        async with anyio.create_task_group() as tasks:
            for operation, payload in CALLS:
                tasks.start_soon(fail, operation, payload)
        assert server.requests[-1].headers["x-consul-token"] == CANARY.get_secret_value()

    text = "".join(told) + "".join(f"{one.getMessage()} {vars(one)!r}" for one in caplog.records)
    assert not leaks(text)
    assert VALUE not in text


@pytest.mark.parametrize(
    ("operation", "payload"),
    [
        ("kv_put", {"key": "a", "valeu": VALUE}),
        ("kv_put", {"key": "a", "value": VALUE, "cas": VALUE}),
        ("kv_put", {"key": 5, "value": VALUE}),
        ("kv_put", {"key": "../a", "value": VALUE}),
        ("register", {"name": "web", "meta": {"a": [VALUE]}}),
        ("register", {"name": "web", "check": {"HTTP": "u", "Header": VALUE}}),
        ("register", {"name": "web", "node_id": "n", "event_bus_config": {"topics": VALUE}}),
    ],
)
async def test_a_payload_that_is_refused_is_not_quoted(
    operation: str, payload: dict[str, Any]
) -> None:
    async with initialised([reply()]) as (handler, _):
        with pytest.raises(RuntimeHostError) as caught:
            await do(handler, operation, **payload)

    shown = "".join(traceback.format_exception(caught.value)) + caught.value.to_json()
    # The lines of this file are its own.
    assert VALUE not in shown


async def test_the_token_goes_into_one_header_of_each_request() -> None:
    bottom = Bottom(httpx.Response(200, json="10.0.0.1:8300"))
    handler = HandlerConsul(client=lambda *a, **k: ConsulClient(*a, **k, transport=bottom))
    await handler.initialize({"token": CANARY.get_secret_value()})

    for request in bottom.requests:
        assert request.headers.pop("X-Consul-Token") == CANARY.get_secret_value()
        assert not leaks(f"{request.url} {request.headers} {request.content!r}")
    assert not leaks(f"{handler.describe()} {handler.config} {handler.client!r}")
    await handler.shutdown()


async def test_an_empty_token_is_no_header() -> None:
    bottom = Bottom(httpx.Response(200, json="10.0.0.1:8300"))
    handler = HandlerConsul(client=lambda *a, **k: ConsulClient(*a, **k, transport=bottom))
    await handler.initialize(ModelConsulHandlerConfig.model_validate({"token": ""}))
    await handler.shutdown()

    assert len(bottom.requests) == 1
    assert "X-Consul-Token" not in bottom.last.headers


async def test_an_answer_does_not_show_the_value_it_holds() -> None:
    body = reply(body=b'[{"Key": "a", "Value": "djRsdWU=", "ModifyIndex": 1}]')
    async with initialised([body]) as (handler, _):
        response = await handler.execute({"operation": "consul.kv_get", "payload": {"key": "a"}})

    data: Any = response.payload.data
    assert data.value == "v4lue"
    assert "v4lue" not in repr(response)


async def test_the_environment_changes_nothing_that_was_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CONSUL_HTTP_ADDR", "http://configured.invalid:9999")
    monkeypatch.setenv("CONSUL_HTTP_TOKEN", "from-the-environment")
    async with initialised([reply(404, headers={"X-Consul-Index": "1"})]) as (handler, server):
        await do(handler, "kv_get", key="a")

    assert "x-consul-token" not in server.requests[0].headers
