"""What the client knows of the server, and what it does not send because of that."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import httpx
import pytest

from consul_onex import (
    ConsulClient,
    ConsulConnectionError,
    InvalidRequestError,
    NoLeaderError,
    PermissionDeniedError,
    UnsupportedEndpointError,
)
from consul_onex._server import Server
from consul_onex._wire import Takes
from tests.support.canary import Bottom

# -- versions --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("version", "other", "since"),
    [
        ("1.8.7", "1.8.7", True),
        ("1.8.7", "1.8", True),
        ("1.8.7", "1.8.8", False),
        ("1.8.7", "1.9", False),
        ("1.10.0", "1.9", True),
        ("1.9.0", "1.10", False),
        ("2.0.0", "1.22", True),
        ("1.8", "1.8.1", False),
        ("v1.17.1", "1.17", True),
        ("1.22.0+ent", "1.22", True),
        ("1.22.0+ent.fips1402", "1.22.1", False),
        ("1.22.0-rc1", "1.22", True),
        # What cannot be told is not refused.
        ("", "1.9", True),
        ("main", "1.9", True),
        ("one.two", "1.9", True),
        ("٢.0", "1.9", True),
        ("1.8.7", "newest", True),
    ],
)
def test_a_version_is_compared_by_its_numbers(version: str, other: str, since: bool) -> None:
    assert Server(version).since(other) is since


@pytest.mark.parametrize(
    ("version", "enterprise"),
    [
        ("1.8.7", False),
        ("1.8.7+ent", True),
        ("1.22.0+ent.fips1402", True),
        ("1.22.0+fips1402", False),
        ("1.8.7-dev", False),
    ],
)
def test_an_edition_is_in_the_version(version: str, enterprise: bool) -> None:
    assert Server(version).enterprise is enterprise


def test_a_server_is_called_by_its_version() -> None:
    assert str(Server("1.22.0+ent")) == "Consul 1.22.0+ent"


# -- asking ----------------------------------------------------------------------------------------


def told(version: str, datacenter: str = "dc1") -> httpx.Response:
    """What `/v1/agent/self` answers."""
    return httpx.Response(200, json={"Config": {"Version": version, "Datacenter": datacenter}})


def refused(status: int, text: str = "") -> httpx.Response:
    return httpx.Response(status, text=text)


ROWS = httpx.Response(200, json=[])
COMMUNITY, ENTERPRISE = told("1.8.7"), told("1.8.7+ent")


def paths(bottom: Bottom) -> list[str]:
    return [request.url.path for request in bottom.requests]


async def test_it_is_asked_once_and_without_the_options_of_a_view() -> None:
    bottom = Bottom(told("1.22.0+ent", "dc2"), ROWS)
    async with ConsulClient(transport=bottom) as c:
        for view in (c.using(datacenter="dc2", consistency="stale", namespace="team"), c, c):
            assert await view.server() == Server("1.22.0+ent", "dc2")

    assert [str(request.url) for request in bottom.requests] == [
        "http://127.0.0.1:8500/v1/agent/self"
    ]


async def test_nobody_is_asked_before_it_matters() -> None:
    bottom = Bottom(ROWS)
    async with ConsulClient(transport=bottom) as c:
        await c.kv.get("k")
        await c.using(datacenter="dc2").session.list()

    assert paths(bottom) == ["/v1/kv/k", "/v1/session/list"]


async def test_calls_that_come_first_together_are_all_told() -> None:
    bottom = Bottom(COMMUNITY)
    said: list[Server | None] = []

    async def ask(c: ConsulClient) -> None:
        said.append(await c.server())

    async with ConsulClient(transport=bottom) as c:
        async with anyio.create_task_group() as tasks:
            for _ in range(10):
                tasks.start_soon(ask, c)
        sent = len(bottom.requests)
        await ask(c)

    assert said == [Server("1.8.7", "dc1")] * 11
    assert len(bottom.requests) == sent <= 10


async def test_an_agent_that_refuses_may_say_it_to_everybody() -> None:
    newer = httpx.Response(200, json={"HumanVersion": "1.22.0+ent", "SHA": "x"})
    bottom = Bottom(refused(403, "Permission denied"), newer)
    async with ConsulClient(transport=bottom) as c:
        assert await c.server() == await c.server() == Server("1.22.0+ent")

    assert paths(bottom) == ["/v1/agent/self", "/v1/agent/version"]


@pytest.mark.parametrize(
    "answers",
    [
        [refused(403, "Permission denied"), refused(404)],
        [refused(403, "ACL not found"), refused(403, "ACL not found")],
        [refused(404)],
        [refused(404, "not here")],
        [httpx.Response(200, text="<html>")],
        [httpx.Response(200, json=[])],
        [httpx.Response(200, json={"Config": {}})],
        [httpx.Response(200, json={"Config": None})],
    ],
    ids=str,
)
async def test_one_that_does_not_say_is_asked_once_and_then_nothing_is_refused(
    answers: list[httpx.Response],
) -> None:
    bottom = Bottom(*answers, ROWS)
    async with ConsulClient(transport=bottom) as c:
        view = c.using(namespace="team", partition="part")
        for _ in range(2):
            assert await view.server() is None
            await view.kv.get("k")

    assert paths(bottom)[len(answers) :] == ["/v1/kv/k"] * 2
    assert bottom.last.url.query == b"ns=team&partition=part"


@pytest.mark.parametrize(
    "trouble",
    [
        httpx.ConnectError("refused"),
        httpx.ReadTimeout("late"),
        refused(500, "No cluster leader"),
        refused(503),
        refused(429, "too many"),
    ],
    ids=str,
)
async def test_trouble_is_not_remembered(trouble: httpx.Response | Exception) -> None:
    bottom = Bottom(trouble, COMMUNITY)
    async with ConsulClient(transport=bottom, layers=[]) as c:
        assert await c.server() is None
        assert await c.server() == Server("1.8.7", "dc1")


async def test_a_call_that_could_not_ask_is_sent_and_says_what_the_trouble_is() -> None:
    async with ConsulClient(transport=Bottom(httpx.ConnectError("refused")), layers=[]) as c:
        with pytest.raises(ConsulConnectionError, match=r"^kv\.get: no answer"):
            await c.using(namespace="team").kv.get("k")

    bottom = Bottom(refused(500, "No cluster leader"))
    async with ConsulClient(transport=bottom, layers=[]) as c:
        with pytest.raises(NoLeaderError, match=r"^kv\.get: "):
            await c.using(namespace="team").kv.get("k")
    assert paths(bottom) == ["/v1/agent/self", "/v1/kv/k"]


async def test_a_setting_turns_it_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONSUL_ONEX_CHECK_SERVER", "false")
    for c, bottom in (
        (ConsulClient(transport=(one := Bottom(ROWS)), check_server=False), one),
        (ConsulClient.from_env(transport=(two := Bottom(ROWS))), two),
    ):
        async with c:
            view = c.using(namespace="team")
            assert await view.server() is None
            await view.kv.get("k")
            await view._wire.needs("a thing", "99.0", "kv.get")
        assert paths(bottom) == ["/v1/kv/k"]


async def test_an_argument_comes_before_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONSUL_ONEX_CHECK_SERVER", "false")

    async with ConsulClient.from_env(transport=Bottom(COMMUNITY), check_server=True) as c:
        assert await c.server() == Server("1.8.7", "dc1")


async def test_the_token_of_the_view_asks() -> None:
    bottom = Bottom(COMMUNITY)
    async with ConsulClient(transport=bottom, token="own") as c:
        await c.using(token="other").server()

    assert bottom.last.headers["x-consul-token"] == "other"


# -- what is refused -------------------------------------------------------------------------------

READ: Callable[[ConsulClient], Awaitable[Any]] = lambda c: c.kv.get("k")  # noqa: E731
RAW: Callable[[ConsulClient], Awaitable[Any]] = lambda c: c.request("GET", "/v1/kv/k")  # noqa: E731
AGENT: Callable[[ConsulClient], Awaitable[Any]] = lambda c: c.status.peers()  # noqa: E731


@pytest.mark.parametrize("call", [READ, RAW])
@pytest.mark.parametrize(
    ("answer", "options", "problem"),
    [
        (COMMUNITY, {"namespace": "team"}, "Consul 1.8.7 has no namespaces: they are a feature"),
        (COMMUNITY, {"partition": "part"}, "Consul 1.8.7 has no partitions: they are a feature"),
        (COMMUNITY, {"namespace": "team", "partition": "part"}, "Consul 1.8.7 has no partitions"),
        (
            ENTERPRISE,
            {"partition": "part"},
            r"Consul 1.8.7\+ent ignores partitions, which came with Consul 1.11",
        ),
    ],
)
async def test_what_the_server_would_not_heed_is_refused_and_not_sent(
    call: Callable[[ConsulClient], Awaitable[Any]],
    answer: httpx.Response,
    options: dict[str, Any],
    problem: str,
) -> None:
    bottom = Bottom(answer, ROWS)
    async with ConsulClient(transport=bottom) as c:
        for _ in range(2):
            with pytest.raises(InvalidRequestError, match=problem) as caught:
                await call(c.using(**options))
            assert caught.value.operation

    assert paths(bottom) == ["/v1/agent/self"]


@pytest.mark.parametrize(
    ("answer", "options", "query"),
    [
        (ENTERPRISE, {"namespace": "team"}, "ns=team"),
        (told("1.11.0+ent"), {"partition": "part"}, "partition=part"),
        (told("2.0.0+ent"), {"namespace": "n", "partition": "p"}, "ns=n&partition=p"),
    ],
)
async def test_what_the_server_heeds_is_sent(
    answer: httpx.Response, options: dict[str, Any], query: str
) -> None:
    bottom = Bottom(answer, ROWS)
    async with ConsulClient(transport=bottom) as c:
        await c.using(**options).kv.get("k")

    assert bottom.last.url.query.decode() == query


async def test_what_an_endpoint_does_not_take_is_no_question() -> None:
    bottom = Bottom(ROWS)
    async with ConsulClient(transport=bottom) as c:
        await AGENT(c.using(namespace="team", partition="part"))
        await c.using(namespace="team")._wire.ask("x", "GET", "/v1/x", takes=Takes.PARTITION)

    assert paths(bottom) == ["/v1/status/peers", "/v1/x"]


async def test_an_endpoint_that_takes_namespaces_alone_is_asked_of_them_alone() -> None:
    bottom = Bottom(COMMUNITY, ROWS)
    async with ConsulClient(transport=bottom) as c:
        wire = c.using(namespace="team", partition="part")._wire
        with pytest.raises(InvalidRequestError, match="has no namespaces"):
            await wire.ask("x", "GET", "/v1/x", takes=Takes.NAMESPACE)


@pytest.mark.parametrize("since", ["1.9", "1.8.8", "2.0"])
async def test_an_option_that_came_later_is_refused(since: str) -> None:
    async with ConsulClient(transport=Bottom(COMMUNITY)) as c:
        with pytest.raises(InvalidRequestError) as caught:
            await c._wire.needs("a filter", since, "catalog.services")

    assert str(caught.value) == (
        f"catalog.services: Consul 1.8.7 ignores a filter, which came with Consul {since}"
    )


@pytest.mark.parametrize("since", ["1.8", "1.8.7", "0.7"])
async def test_an_option_that_is_there_is_not(since: str) -> None:
    bottom = Bottom(COMMUNITY)
    async with ConsulClient(transport=bottom) as c:
        await c._wire.needs("a filter", since, "catalog.services")

    assert paths(bottom) == ["/v1/agent/self"]


# -- what it lacks ---------------------------------------------------------------------------------


async def test_a_missing_endpoint_is_told_with_the_version_where_it_is_known() -> None:
    bottom = Bottom(refused(404), COMMUNITY, refused(404))
    async with ConsulClient(transport=bottom, layers=[]) as c:
        with pytest.raises(UnsupportedEndpointError, match=r"this server has no such endpoint"):
            await c.session.list()
        await c.server()
        with pytest.raises(UnsupportedEndpointError, match=r"Consul 1\.8\.7 has no such endpoint"):
            await c.session.list()


async def test_a_refusal_of_the_call_itself_stays_what_it_is() -> None:
    bottom = Bottom(refused(403, "Permission denied"))
    async with ConsulClient(transport=bottom) as c:
        with pytest.raises(PermissionDeniedError, match=r"^kv\.get: "):
            await c.using(namespace="team").kv.get("k")

    assert paths(bottom) == ["/v1/agent/self", "/v1/agent/version", "/v1/kv/k"]
