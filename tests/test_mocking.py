"""How users test their own code: with respx or a transport of theirs, and all layers run."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import nullcontext
from typing import Any

import httpx
import pytest
import respx

from consul_onex import (
    CircuitOpenError,
    ConsulClient,
    ConsulConnectionError,
    Cursor,
    OutcomeUnknownError,
)
from tests.support.fault_server import fault_server, reply

AGENT = "http://consul.test:8500"

PAIR = {"Key": "config/web", "Value": "djE=", "Flags": 0, "ModifyIndex": 7}


def found(index: int = 7) -> httpx.Response:
    return httpx.Response(200, json=[PAIR], headers={"X-Consul-Index": str(index)})


def unstable() -> list[httpx.Response | type[Exception]]:
    """Two failures of different kinds, and then an answer."""
    return [httpx.Response(500, text="No cluster leader"), httpx.ConnectError, found()]


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a user's code has, wherever it runs; retries do not wait."""
    for name in os.environ:
        if name.startswith("CONSUL"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("CONSUL_HTTP_ADDR", AGENT)
    monkeypatch.setenv("CONSUL_ONEX_RETRY_INITIAL", "0")


async def read_the_configuration(**arguments: Any) -> tuple[str, ConsulClient]:
    """Somebody's function, which makes its own client; with that client, to look at afterwards."""
    async with ConsulClient.from_env(**arguments) as c:
        pair = await c.kv.get("config/web")
        assert pair is not None
        return pair.text(), c


def retried_and_counted(c: ConsulClient) -> None:
    statistics = c.statistics()
    assert statistics.retry is not None
    assert statistics.retry.retries == 2
    assert list(statistics.circuits) == ["consul.default"]


async def test_a_client_made_inside_of_respx_mock_is_intercepted() -> None:
    with respx.mock() as router:
        route = router.get(f"{AGENT}/v1/kv/config/web").mock(side_effect=[found()])

        text, _ = await read_the_configuration()

    assert text == "v1"
    assert route.call_count == 1


async def test_all_layers_run_under_respx_mock() -> None:
    with respx.mock() as router:
        route = router.get(f"{AGENT}/v1/kv/config/web").mock(side_effect=unstable())

        text, c = await read_the_configuration()

    assert text == "v1"
    assert route.call_count == 3
    retried_and_counted(c)


async def test_all_layers_run_over_a_mock_transport() -> None:
    steps: list[Any] = unstable()
    seen: list[str] = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(request.url.path)
        step = steps.pop(0)
        if isinstance(step, httpx.Response):
            return step
        raise step("refused")

    text, c = await read_the_configuration(transport=httpx.MockTransport(handler))

    assert text == "v1"
    assert seen == ["/v1/kv/config/web"] * 3
    retried_and_counted(c)


async def test_all_layers_run_over_a_router_in_a_mock_transport() -> None:
    router = respx.Router()
    route = router.get(f"{AGENT}/v1/kv/config/web").mock(side_effect=unstable())

    text, c = await read_the_configuration(transport=httpx.MockTransport(router.async_handler))

    assert text == "v1"
    assert route.call_count == 3
    retried_and_counted(c)


async def test_failures_open_the_circuit_under_respx_mock() -> None:
    with respx.mock() as router:
        route = router.get(f"{AGENT}/v1/kv/config/web").mock(side_effect=httpx.ConnectError)

        async with ConsulClient.from_env() as c:
            with pytest.raises(ConsulConnectionError):
                await c.kv.get("config/web")
            with pytest.raises(CircuitOpenError):
                await c.kv.get("config/web")
            circuit = c.circuits["consul.default"].statistics()

    # Three attempts of the first call and two of the second; the third of it finds it open.
    assert route.call_count == 5
    assert (circuit.state.value, circuit.failures) == ("open", 5)


async def test_a_write_is_seen_with_its_body_and_sent_once_where_that_matters() -> None:
    with respx.mock() as router:
        route = router.put(f"{AGENT}/v1/kv/k", params={"cas": "7"}).mock(
            side_effect=[httpx.ReadError]
        )

        async with ConsulClient.from_env() as c:
            with pytest.raises(OutcomeUnknownError):
                await c.kv.put("k", b"v", cas=7)

    assert [call.request.content for call in route.calls] == [b"v"]


@pytest.mark.parametrize("way", ["mock", "router"])
async def test_blocking_reads_are_intercepted_as_well(way: str) -> None:
    with respx.mock(assert_all_called=False, assert_all_mocked=True) as patched:
        router = patched if way == "mock" else respx.Router()
        transport = None if way == "mock" else httpx.MockTransport(router.async_handler)
        blocking = router.get(f"{AGENT}/v1/kv/config/web", params={"index": "7", "wait": "60s"})
        blocking.mock(side_effect=[found(9)])
        first = router.get(f"{AGENT}/v1/kv/config/web").mock(side_effect=[found(7)])
        cursor = Cursor()

        async with ConsulClient.from_env(transport=transport) as c:
            for _ in range(2):
                await c.kv.get("config/web", cursor=cursor)

    assert (first.call_count, blocking.call_count, cursor.index) == (1, 1, 9)


async def test_a_watch_is_fed_by_respx_mock() -> None:
    changed = PAIR | {"Value": "djI=", "ModifyIndex": 9}
    with respx.mock() as router:
        router.get(f"{AGENT}/v1/kv/config/web").mock(
            side_effect=[
                found(7),
                httpx.Response(200, json=[changed], headers={"X-Consul-Index": "9"}),
            ]
        )

        async with ConsulClient.from_env() as c:
            watch = c.kv.watch("config/web")
            values = [await anext(watch) for _ in range(2)]

    assert [pair.text() for pair in values if pair is not None] == ["v1", "v2"]


async def test_what_is_not_mocked_is_not_sent() -> None:
    with respx.mock(), pytest.raises(AssertionError, match="not mocked"):
        await read_the_configuration()


async def test_a_client_that_has_been_used_is_intercepted_for_as_long_as_that_lasts() -> None:
    real = reply(body=b'[{"Key": "config/web", "Value": "djI=", "ModifyIndex": 7}]')
    async with fault_server([real]) as server, ConsulClient(server.url) as c:
        texts = []
        for mocked in (False, True, False):
            with respx.mock(assert_all_called=False) if mocked else nullcontext() as router:
                if router is not None:
                    router.get(f"{server.url}/v1/kv/config/web").mock(side_effect=[found()])
                pair = await c.kv.get("config/web")
            assert pair is not None
            texts.append(pair.text())

    assert texts == ["v2", "v1", "v2"]
    assert len(server.requests) == 2


async def test_what_is_let_through_goes_to_the_agent() -> None:
    async with fault_server([reply(body=b'"leader"')]) as server, ConsulClient(server.url) as c:
        with respx.mock() as router:
            router.get(f"{server.url}/v1/status/leader").pass_through()

            assert await c.status.leader() == "leader"

        assert await c.status.leader() == "leader"
    assert len(server.requests) == 2


def test_a_client_that_is_imported_inside_of_respx_mock_is_intercepted() -> None:
    program = (
        "import anyio, respx\n"
        "with respx.mock() as router:\n"
        "    router.get('http://127.0.0.1:1/v1/status/leader').respond(json='mocked')\n"
        "    from consul_onex import ConsulClient\n"
        "    print(anyio.run(ConsulClient('127.0.0.1:1').status.leader))\n"
    )

    said = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)

    assert said.stdout == b"mocked\n"
