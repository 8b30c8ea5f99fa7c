"""The front door: what a client is made of, its views, raw requests, and its end."""

from __future__ import annotations

import copy
import inspect
import pickle
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable
from typing import Any, cast

import anyio
import httpx
import pytest

from consul_onex import (
    TLS,
    CircuitOpenError,
    ClientClosedError,
    ConfigurationError,
    ConsulClient,
    ConsulConnectionError,
    ConsulError,
    ConsulSettings,
    ConsulTimeoutError,
    Cursor,
    InvalidKeyError,
    InvalidRequestError,
    Safety,
    ServerError,
    ServiceRegistration,
)
from consul_onex._call import CARD
from consul_onex.client import Overrides
from consul_onex.transport import (
    Breaker,
    CircuitState,
    Connections,
    Deadline,
    Layer,
    Limit,
    Retry,
)
from tests.support.canary import CANARY, Bottom

YES = httpx.Response(200, json=True)


def unused_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


# -- a client --------------------------------------------------------------------------------------


def test_a_client_is_made_outside_of_a_loop_and_says_where_it_asks() -> None:
    assert repr(ConsulClient()) == "<ConsulClient http://127.0.0.1:8500>"
    assert repr(ConsulClient("consul:8501/p")) == "<ConsulClient http://consul:8501/p>"
    assert (
        repr(ConsulClient(datacenter="dc2", token=CANARY))
        == "<ConsulClient http://127.0.0.1:8500 datacenter=dc2>"
    )


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, pickle.dumps])
@pytest.mark.parametrize("view", [False, True])
def test_a_client_is_neither_copied_nor_pickled(
    copied: Callable[[object], object], view: bool
) -> None:
    client = ConsulClient(token=CANARY)

    with pytest.raises(TypeError, match="cannot be copied or pickled"):
        copied(client.using() if view else client)


def test_the_package_does_not_import_what_only_the_environment_needs() -> None:
    code = (
        "import sys, consul_onex; consul_onex.ConsulClient()\n"
        "assert 'pydantic_settings' not in sys.modules\n"
        "consul_onex.ConsulClient.from_env()\n"
        "assert 'pydantic_settings' in sys.modules"
    )

    subprocess.run([sys.executable, "-I", "-c", code], check=True)


def test_what_only_sockets_need_is_not_imported_before_there_are_any() -> None:
    code = (
        "import sys, httpx, consul_onex, consul_onex.transport\n"
        "consul_onex.ConsulClient(transport=httpx.MockTransport(lambda _: httpx.Response(200)))\n"
        "assert 'httpcore' not in sys.modules\n"
        "consul_onex.ConsulClient()\n"
        "assert 'httpcore' in sys.modules"
    )

    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(("scheme", "made"), [("http", False), ("https", True)])
async def test_a_tls_context_is_made_with_the_first_https_connection(
    scheme: str, made: bool
) -> None:
    sockets = Connections()
    address = f"{scheme}://127.0.0.1:{unused_port()}"

    async with ConsulClient(address, transport=sockets, layers=[]) as c:
        assert sockets._tls_context is None
        with pytest.raises(ConsulConnectionError):
            await c.kv.get("k")

    assert (sockets._tls_context is not None) is made


async def test_layers_of_ones_own_replace_the_usual_ones() -> None:
    bottom = Bottom(httpx.Response(500, text="No cluster leader"), httpx.Response(200, json=[]))

    async with ConsulClient(transport=bottom, layers=iter([Retry(initial=0)])) as c:
        await c.kv.get("k")
        statistics = c.statistics()

    assert len(bottom.requests) == 2
    assert statistics.retry is not None
    assert statistics.limit is None
    assert statistics.circuits == {}


async def test_a_transport_that_counts_as_false_is_used_all_the_same() -> None:
    class Empty(Bottom):
        def __len__(self) -> int:
            return 0

    bottom = Empty()

    async with ConsulClient(transport=bottom) as c:
        await c.kv.get("k")

    assert len(bottom.requests) == 1


NO_SECONDS: list[object] = ["5", 0, -1, float("nan"), float("inf"), True, []]

WRONG: dict[str, list[object]] = {
    "address": [8500, "", "ftp://x"],
    "token": [5, b"abc", "two words"],
    "token_file": [5, "/there/is/no/such/file"],
    "auth": [5, ("ann", "pass")],
    "datacenter": [5, "a/b"],
    "namespace": [5, "a b"],
    "partition": [5, "a?"],
    "consistency": [5, "fresh", True],
    "timeout": NO_SECONDS,
    "attempt_timeout": NO_SECONDS,
    "connect_timeout": NO_SECONDS,
    "wait": [*NO_SECONDS, 601],
}

WRONG_FOR_A_VIEW: dict[str, list[object]] = {
    **{name: WRONG[name] for name in ("datacenter", "namespace", "partition", "token", "timeout")},
    "consistency": [*WRONG["consistency"], None],
    "wait": [*WRONG["wait"], None],
    "failover": [5, "dc2", ["a/b"], [None], [""], None],
    "retry": [0, "no", None],
    "paced": [1, "yes", None],
}


def each(wrong: dict[str, list[object]]) -> list[tuple[str, object]]:
    return [(name, value) for name, values in wrong.items() for value in values]


@pytest.mark.parametrize(("name", "value"), each(WRONG))
def test_a_wrong_argument_is_refused_by_its_name(name: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=f"^{name} ") as caught:
        ConsulClient(**{name: value})

    assert caught.value.setting == name


# -- views -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "query"),
    [
        ({}, ""),
        ({"datacenter": "dc2"}, "dc=dc2"),
        ({"consistency": "stale"}, "stale="),
        ({"namespace": "team"}, "ns=team"),
        ({"partition": "part"}, "partition=part"),
        ({"datacenter": "dc2", "consistency": "consistent"}, "dc=dc2&consistent="),
    ],
)
async def test_a_view_adds_its_options_and_leaves_its_client_as_it_is(
    options: dict[str, Any], query: str
) -> None:
    bottom = Bottom()

    async with ConsulClient(transport=bottom, check_server=False) as c:
        await c.using(**options).kv.get("k")
        await c.kv.get("k")

    assert [request.url.query.decode() for request in bottom.requests] == [query, ""]


async def test_a_view_of_a_view_keeps_what_it_is_not_told() -> None:
    bottom = Bottom()

    async with ConsulClient(transport=bottom, datacenter="dc1", namespace="team") as c:
        await c.using(datacenter="dc2", token="abc").using(consistency="stale").kv.get("k")

    assert bottom.last.url.query == b"dc=dc2&stale=&ns=team"
    assert bottom.last.headers["x-consul-token"] == "abc"


async def test_none_takes_an_option_back() -> None:
    bottom = Bottom()

    async with ConsulClient(transport=bottom, datacenter="dc1", namespace="n", token="own") as c:
        view = c.using(token="other", partition="p", timeout=1)
        await view.using(datacenter=None, namespace=None, partition=None, token=None).kv.get("k")

    assert bottom.last.url.query == b""
    assert bottom.last.headers["x-consul-token"] == "own"


async def test_the_time_of_a_view_bounds_its_calls() -> None:
    async def hang(request: httpx.Request) -> httpx.Response:
        await anyio.sleep_forever()
        raise AssertionError

    async with ConsulClient(transport=httpx.MockTransport(hang)) as c:
        with pytest.raises(ConsulError, match=r"kv\.get: no answer within 0\.01 s"):
            await c.using(timeout=0.01).kv.get("k")


async def test_a_call_of_a_view_that_is_paced_is_sent_once_and_past_an_open_circuit() -> None:
    bottom = Bottom(httpx.ConnectError("refused"))

    async with ConsulClient(transport=bottom, layers=[Retry(initial=0), Breaker()]) as c:
        paced = c.using(paced=True)
        with pytest.raises(ConsulConnectionError):
            await paced.kv.get("k")
        once = len(bottom.requests)
        with pytest.raises(ConsulConnectionError):
            await paced.using(paced=False).kv.get("k")
        again = len(bottom.requests)
        c.circuits["consul.default"].isolate()
        with pytest.raises(ConsulConnectionError):
            await paced.kv.get("k")

    assert (once, again, len(bottom.requests)) == (1, 4, 5)


ALIVE: dict[str, Callable[[ConsulClient], Awaitable[object]]] = {
    "session.renew": lambda c: c.session.renew("s"),
    "session.destroy": lambda c: c.session.destroy("s"),
    "kv.release": lambda c: c.kv.release("k", "s"),
    "agent.register": lambda c: c.agent.register(ServiceRegistration(name="web")),
    "agent.deregister": lambda c: c.agent.deregister("web"),
    "agent.service_maintenance": lambda c: c.agent.service_maintenance("web", True),
    "agent.check_update": lambda c: c.agent.check_update("web", "passing"),
}


@pytest.mark.parametrize("operation", ALIVE)
@pytest.mark.parametrize("paced", [False, True])
async def test_what_keeps_something_alive_passes_an_open_circuit_and_an_election_unless_paced(
    operation: str, paced: bool
) -> None:
    asked: list[str] = []

    def elects(request: httpx.Request) -> httpx.Response:
        asked.append(request.method)
        if asked.count(request.method) == 1:
            return httpx.Response(500, text="No cluster leader")
        if request.method == "GET":
            pair = {"Key": "k", "Value": None, "Flags": 0, "Session": "s", "ModifyIndex": 7}
            return httpx.Response(200, json=[pair | {"CreateIndex": 5, "LockIndex": 1}])
        return httpx.Response(200, json=[] if operation == "session.renew" else True)

    layers: list[Layer] = [Retry(initial=0), Breaker()]
    async with ConsulClient(transport=httpx.MockTransport(elects), layers=layers) as c:
        with pytest.raises(ServerError):
            await c.using(retry=False).kv.put("k", "")
        c.circuits["consul.default"].isolate()
        asked.clear()
        if paced:
            with pytest.raises(ServerError, match="No cluster leader"):
                await ALIVE[operation](c.using(paced=True))
        else:
            await ALIVE[operation](c)

    every = ["GET", "PUT"] if operation == "kv.release" else ["PUT"]
    assert asked == (every[:1] if paced else [method for method in every for _ in range(2)])


async def test_a_view_waits_as_long_as_it_is_told() -> None:
    bottom = Bottom(httpx.Response(200, json=[], headers={"X-Consul-Index": "7"}))

    async with ConsulClient(transport=bottom, wait=30) as c:
        assert c.kv.watch("k").cursor.wait == 30
        assert c.using(wait=5).kv.watch("k").cursor.wait == 5


async def test_closing_a_view_closes_nothing() -> None:
    bottom = Bottom()
    c = ConsulClient(transport=bottom)

    async with c.using(datacenter="dc2") as view:
        await view.kv.get("k")
    await view.aclose()
    await view.kv.get("k")
    await c.kv.get("k")

    assert len(bottom.requests) == 3
    assert bottom.closed == 0
    await c.aclose()
    assert bottom.closed == 1
    with pytest.raises(ClientClosedError):
        await view.kv.get("k")


async def test_views_share_circuits_and_counts() -> None:
    async with ConsulClient(transport=Bottom(httpx.Response(502)), layers=[Breaker(2)]) as c:
        for view in (c, c.using(token="abc")):
            with pytest.raises(ConsulError):
                await view.kv.get("k")

        with pytest.raises(CircuitOpenError):
            await c.using(consistency="stale").kv.get("k")

        assert c.using().statistics() == c.statistics()


@pytest.mark.parametrize(("name", "value"), each(WRONG_FOR_A_VIEW))
def test_a_wrong_option_is_refused_by_its_name(name: str, value: Any) -> None:
    with pytest.raises(ConfigurationError, match=f"^{name} ") as caught:
        ConsulClient().using(**{name: value})

    assert caught.value.setting == name


# -- arguments of methods --------------------------------------------------------------------------

Calling = Callable[[Any], Awaitable[object]]

WRONG_KEYS: list[Calling] = [
    lambda c: c.kv.get(5),
    lambda c: c.kv.get(None),
    lambda c: c.kv.get(b"k"),
    lambda c: c.kv.get(""),
    lambda c: c.kv.get("../agent/leave"),
    lambda c: c.kv.list(5),
    lambda c: c.kv.list("/a"),
    lambda c: c.kv.keys(None),
    lambda c: c.kv.keys("a//"),
    lambda c: c.kv.put(5, b""),
    lambda c: c.kv.put("a\n", b""),
    lambda c: c.kv.put_json(5, {}),
    lambda c: c.kv.delete(5),
    lambda c: c.kv.delete(""),
    lambda c: c.kv.delete_tree(None),
    lambda c: c.kv.delete_tree("./"),
    lambda c: c.kv.acquire(5, "session"),
    lambda c: c.kv.release(5, "session"),
    lambda c: c.kv.update(5, bytes),
]

WRONG_ARGUMENTS: list[Calling] = [
    lambda c: c.kv.get("k", cursor=5),
    lambda c: c.kv.keys("k", 5),
    lambda c: c.kv.keys("k", ""),
    lambda c: c.kv.put("k", 5),
    lambda c: c.kv.put("k", None),
    lambda c: c.kv.put("k", "\ud800"),
    lambda c: c.kv.put("k", b"", flags="1"),
    lambda c: c.kv.put("k", b"", flags=None),
    lambda c: c.kv.put("k", b"", flags=-1),
    lambda c: c.kv.put("k", b"", flags=2**64),
    lambda c: c.kv.put("k", b"", cas="1"),
    lambda c: c.kv.put("k", b"", cas=True),
    lambda c: c.kv.put_json("k", object()),
    lambda c: c.kv.delete("k", cas=0),
    lambda c: c.kv.delete("k", cas=-1),
    lambda c: c.kv.delete("k", cas="1"),
    lambda c: c.kv.delete_tree(""),
    lambda c: c.kv.acquire("k", 5),
    lambda c: c.kv.acquire("k", ""),
    lambda c: c.kv.acquire("k", "session", 5),
    lambda c: c.kv.acquire("k", "session", flags=-1),
    lambda c: c.kv.release("k", None),
    lambda c: c.kv.release("k", "session", 5, flags=0),
    lambda c: c.kv.release("k", "session", b"", flags="1"),
    lambda c: c.request("get", "/v1/kv/k"),
    lambda c: c.request("HEAD", "/v1/kv/k"),
    lambda c: c.request("PATCH", "/v1/kv/k"),
    lambda c: c.request(5, "/v1/kv/k"),
    lambda c: c.request([], "/v1/kv/k"),
    lambda c: c.request("GET", 5),
    lambda c: c.request("GET", "http://other/v1/kv/k"),
    lambda c: c.request("GET", "/v1/kv/k?recurse"),
    lambda c: c.request("GET", "/v1/kv/../agent/self"),
    lambda c: c.request("GET", "/v1/kv/k", params=5),
    lambda c: c.request("GET", "/v1/kv/k", params=[("a", "b")]),
    lambda c: c.request("GET", "/v1/kv/k", params={5: "b"}),
    lambda c: c.request("GET", "/v1/kv/k", params={"a": 1.5}),
    lambda c: c.request("GET", "/v1/kv/k", params={"a": b"b"}),
    lambda c: c.request("GET", "/v1/kv/k", params={"a": [b"b"]}),
    lambda c: c.request("GET", "/v1/kv/k", params={"a": "\ud800"}),
    lambda c: c.request("PUT", "/v1/kv/k", content=5),
    lambda c: c.request("PUT", "/v1/kv/k", json=object()),
    lambda c: c.request("PUT", "/v1/kv/k", content=b"", json={}),
    lambda c: c.request("PUT", "/v1/kv/k", safety="safe"),
    lambda c: c.request("GET", "/v1/kv/k", cursor=5),
]


@pytest.mark.parametrize(
    ("call", "error"),
    [
        *(pytest.param(call, InvalidKeyError, id=f"key{n}") for n, call in enumerate(WRONG_KEYS)),
        *(
            pytest.param(call, InvalidRequestError, id=f"argument{n}")
            for n, call in enumerate(WRONG_ARGUMENTS)
        ),
    ],
)
async def test_a_wrong_argument_is_refused_before_anything_is_sent(
    call: Calling, error: type[ConsulError]
) -> None:
    bottom = Bottom(YES)

    async with ConsulClient(transport=bottom) as c:
        with pytest.raises(error) as caught:
            await call(c)

    assert type(caught.value) is error
    assert bottom.requests == []


@pytest.mark.parametrize("key", ["", "/k", 5, None])
def test_a_watch_of_a_wrong_key_is_refused_where_it_is_made(key: Any) -> None:
    c = ConsulClient()

    with pytest.raises(InvalidKeyError):
        c.kv.watch(key)
    with pytest.raises(InvalidKeyError):
        c.kv.watch_prefix(key or cast(Any, 5))


# -- watches of any read ---------------------------------------------------------------------------


async def test_a_watch_follows_any_read_with_its_arguments() -> None:
    bottom = Bottom(httpx.Response(200, json=["a/b"], headers={"X-Consul-Index": "7"}))

    async with ConsulClient(transport=bottom) as c:
        keys = await anext(c.watch(c.kv.keys, "a/", separator="/"))

    assert keys == ["a/b"]
    assert bottom.last.url.raw_path == b"/v1/kv/a/?keys=&separator=%2F"


def test_a_watch_has_a_cursor_of_its_own() -> None:
    c = ConsulClient()

    with pytest.raises(InvalidRequestError, match="a watch has a cursor of its own"):
        c.watch(c.kv.get, "k", cursor=Cursor())


def test_a_watch_takes_a_method_and_not_its_result() -> None:
    c = ConsulClient()
    result = c.kv.get("k")

    with pytest.raises(InvalidRequestError, match="a watch takes a method"):
        c.watch(result, "k")  # type: ignore[arg-type]

    result.close()


# -- raw requests ----------------------------------------------------------------------------------


async def test_a_raw_request_returns_what_was_answered() -> None:
    bottom = Bottom(httpx.Response(200, json={"a": 1}, headers={"X-Consul-Index": "7"}))

    async with ConsulClient(transport=bottom) as c:
        answer = await c.request("GET", "/v1/agent/self")

    assert (answer.status, answer.operation) == (200, "GET /v1/agent")
    assert (answer.json(), answer.text()) == ({"a": 1}, answer.content.decode())
    assert answer.parse(dict[str, int]) == {"a": 1}
    assert answer.meta.index == 7


@pytest.mark.parametrize(
    ("params", "query"),
    [
        ({"recurse": True, "keys": False, "filter": None}, "recurse="),
        ({"separator": "/", "n": 5}, "separator=%2F&n=5"),
        ({"node-meta": ["a:1", "b:2"]}, "node-meta=a%3A1&node-meta=b%3A2"),
        ({"empty": []}, ""),
        ({"filter": 'Service == "a b"'}, "filter=Service%20%3D%3D%20%22a%20b%22"),
    ],
)
async def test_parameters_of_a_raw_request(params: dict[str, Any], query: str) -> None:
    bottom = Bottom()

    async with ConsulClient(transport=bottom) as c:
        await c.request("GET", "/v1/catalog/nodes", params=params)

    assert bottom.last.url.query.decode() == query


@pytest.mark.parametrize(
    "name", ["dc", "ns", "partition", "stale", "consistent", "index", "wait", "token"]
)
async def test_a_parameter_that_a_view_or_a_header_says_is_refused(name: str) -> None:
    bottom = Bottom()

    async with ConsulClient(transport=bottom) as c:
        with pytest.raises(InvalidRequestError, match=f"'{name}' is not a parameter here: use "):
            await c.request("GET", "/v1/kv/k", params={name: "s3cret"})

    assert bottom.requests == []


@pytest.mark.parametrize(
    ("arguments", "content", "content_type"),
    [
        ({"content": b"\x00\xff"}, b"\x00\xff", "application/octet-stream"),
        ({"content": "é"}, "é".encode(), "application/octet-stream"),
        ({"json": {"a": [1, None]}}, b'{"a":[1,null]}', "application/json"),
        ({"json": []}, b"[]", "application/json"),
        ({}, b"", "application/octet-stream"),
    ],
)
async def test_bodies_of_a_raw_request(
    arguments: dict[str, Any], content: bytes, content_type: str
) -> None:
    bottom = Bottom(YES)

    async with ConsulClient(transport=bottom) as c:
        await c.request("PUT", "/v1/kv/k", **arguments)

    assert bottom.last.content == content
    assert bottom.last.headers["content-type"] == content_type


@pytest.mark.parametrize(
    ("method", "path", "query"),
    [
        ("GET", "/v1/kv/k", "dc=dc2&stale=&ns=team"),
        ("PUT", "/v1/kv/k", "dc=dc2&ns=team"),
        ("GET", "/v1/agent/self", ""),
        ("PUT", "/v1/agent/reload", ""),
        ("GET", "/v1/status/leader", ""),
    ],
)
async def test_a_raw_request_gets_of_a_view_what_its_endpoint_takes(
    method: str, path: str, query: str
) -> None:
    bottom = Bottom(YES)

    async with ConsulClient(transport=bottom) as c:
        view = c.using(datacenter="dc2", consistency="stale", namespace="team")
        await view.request(method, path)

    assert bottom.last.url.query.decode() == query


@pytest.mark.parametrize(
    ("method", "safety", "sent"),
    [
        ("GET", None, 2),
        ("GET", Safety.UNSAFE, 1),
        ("PUT", None, 1),
        ("POST", None, 1),
        ("DELETE", None, 1),
        ("PUT", Safety.IDEMPOTENT, 2),
    ],
)
async def test_a_raw_request_is_repeated_only_where_that_is_safe(
    method: str, safety: Safety | None, sent: int
) -> None:
    bottom = Bottom(httpx.ReadError("cut"))

    async with ConsulClient(transport=bottom, layers=[Retry(attempts=2, initial=0)]) as c:
        with pytest.raises(ConsulError):
            await c.request(method, "/v1/kv/k", safety=safety)

    assert len(bottom.requests) == sent


async def test_a_raw_request_with_a_cursor_waits_the_second_time() -> None:
    bottom = Bottom(httpx.Response(200, json=[], headers={"X-Consul-Index": "7"}))
    cursor = Cursor(wait=5)

    async with ConsulClient(transport=bottom) as c:
        for _ in range(2):
            await c.request("GET", "/v1/catalog/nodes", cursor=cursor)

    assert [r.url.query for r in bottom.requests] == [b"", b"index=7&wait=5s"]
    assert cursor.meta.index == 7


# -- how it is doing -------------------------------------------------------------------------------


async def test_statistics_are_those_of_the_layers_in_use() -> None:
    async with ConsulClient(transport=Bottom()) as c:
        fresh = c.statistics()
        await c.kv.get("k")
        await c.using(datacenter="dc2").kv.get("k")
        used = c.statistics()

    assert fresh.circuits == {}
    assert sorted(used.circuits) == ["consul.dc2", "consul.default"]
    assert used.circuits["consul.dc2"].state is CircuitState.CLOSED
    assert used.limit is not None
    assert used.limit.plain == 0
    assert used.retry is not None
    assert used.retry.retries == 0
    assert used.connections is None
    assert ConsulClient().statistics().connections is not None


async def test_a_circuit_is_isolated_and_reset_by_hand() -> None:
    bottom = Bottom()

    async with ConsulClient(transport=bottom) as c:
        await c.kv.get("k")
        c.circuits["consul.default"].isolate()
        with pytest.raises(CircuitOpenError, match=r"^kv\.get: not sent: .* isolated by hand"):
            await c.kv.get("k")
        c.using().circuits["consul.default"].reset()
        await c.kv.get("k")

    assert len(bottom.requests) == 2


def test_without_a_breaker_there_is_no_circuit() -> None:
    client = ConsulClient(layers=[Limit()])

    assert dict(client.circuits) == {}


# -- the end ---------------------------------------------------------------------------------------


async def test_a_closed_client_refuses_without_sending() -> None:
    bottom = Bottom()
    c = ConsulClient(transport=bottom)
    await c.aclose()

    with pytest.raises(ClientClosedError, match=r"^kv\.get: this client is closed"):
        await c.kv.get("k")

    assert bottom.requests == []


async def test_a_client_may_be_closed_twice() -> None:
    async with ConsulClient(transport=Bottom()) as c:
        await c.aclose()
        await c.aclose()

    with pytest.raises(ClientClosedError):
        await c.status.leader()


async def test_a_client_that_was_never_used_is_closed() -> None:
    await ConsulClient("https://consul:8501", tls=TLS(verify=True)).aclose()


async def test_an_error_in_the_block_closes_the_client_and_goes_on() -> None:
    bottom = Bottom()

    with pytest.raises(KeyError):
        async with ConsulClient(transport=bottom):
            raise KeyError

    assert bottom.closed == 1


async def test_closing_ends_blocking_queries_at_once_and_lets_others_finish() -> None:
    waiting, go_on = [anyio.Event(), anyio.Event()], anyio.Event()

    async def answer(request: httpx.Request) -> httpx.Response:
        if "index" in request.url.params:
            waiting[0].set()
            await anyio.sleep_forever()
        waiting[1].set()
        await go_on.wait()
        return httpx.Response(200, json=[])

    ends: list[object] = []

    async def blocks(c: ConsulClient) -> None:
        cursor = Cursor()
        cursor.index = 7
        with pytest.raises(ClientClosedError, match="this client was closed") as caught:
            await c.kv.get("k", cursor=cursor)
        ends.append(type(caught.value))
        go_on.set()

    async def plain(c: ConsulClient) -> None:
        ends.append(await c.kv.get("k"))

    c = ConsulClient(transport=httpx.MockTransport(answer))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(blocks, c)
        tasks.start_soon(plain, c)
        for one in waiting:
            await one.wait()
        await c.aclose()

    assert ends == [ClientClosedError, None]


def test_from_env_takes_every_argument_and_every_setting() -> None:
    arguments = inspect.signature(ConsulClient).parameters.keys() - {"settings"}

    assert Overrides.__annotations__.keys() == arguments | ConsulSettings.model_fields.keys()


# -- what nothing would heed -----------------------------------------------------------------------


@pytest.mark.parametrize("wrong", [{"transport": object()}, {"tls": {}}, {"gzip": "no"}])
def test_an_argument_of_another_kind_is_refused_by_its_name(wrong: dict[str, Any]) -> None:
    (name,) = wrong

    with pytest.raises(ConfigurationError, match=rf"^{name} is ") as caught:
        ConsulClient(**wrong)

    assert caught.value.setting == name


@pytest.mark.parametrize("layers", [Retry(), [Retry], [Retry(), None], [lambda inner: inner], 5])
def test_what_is_no_list_of_layers_is_refused(layers: Any) -> None:
    with pytest.raises(ConfigurationError) as caught:
        ConsulClient(layers=layers)

    assert caught.value.setting == "layers"


def test_a_time_out_without_the_layer_that_heeds_it_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="needs the layer Deadline"):
        ConsulClient(layers=[Retry()], timeout=5.0)
    with pytest.raises(ConfigurationError, match="needs the layer Deadline"):
        ConsulClient(layers=[Retry()]).using(timeout=5.0)


def test_a_failover_without_the_layer_that_heeds_it_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="needs the layer Datacenters"):
        ConsulClient(layers=[Retry()]).using(failover=["dc2"])


def test_a_view_retries_again_only_where_there_is_a_layer_for_it() -> None:
    once = ConsulClient(layers=[]).using(retry=False)

    with pytest.raises(ConfigurationError, match="needs the layer Retry"):
        once.using(retry=True)


async def test_a_view_without_retries_sends_once_and_the_client_goes_on_retrying() -> None:
    sent: list[str] = []

    class Down(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            sent.append(request.url.path)
            raise httpx.ConnectError("refused")

    async with ConsulClient(layers=[Retry(attempts=3, initial=0.0)], transport=Down()) as c:
        once = c.using(retry=False)
        for view, count in ((once, 1), (c, 3), (once.using(retry=True), 3)):
            sent.clear()
            with pytest.raises(ConsulConnectionError):
                await view.kv.get("a")
            assert len(sent) == count


async def test_a_time_out_beside_layers_is_the_deadline_of_their_calls() -> None:
    deadlines: list[float] = []

    class Bottomless(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            deadlines.append(request.extensions[CARD].deadline - anyio.current_time())
            return httpx.Response(200, json=[])

    async with ConsulClient(layers=[Deadline(99.0)], timeout=5.0, transport=Bottomless()) as c:
        await c.kv.list()

    assert 0 < deadlines[0] <= 5.0


async def test_a_time_out_in_the_queue_says_what_to_do_about_it() -> None:
    arrived, held = anyio.Event(), anyio.Event()

    async def hold(request: httpx.Request) -> httpx.Response:
        arrived.set()
        await held.wait()
        return httpx.Response(200, json=[])

    layers: list[Layer] = [Deadline(5.0), Limit(plain=1)]
    async with (
        ConsulClient(layers=layers, transport=httpx.MockTransport(hold)) as c,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(c.kv.list)
        await arrived.wait()
        with pytest.raises(ConsulTimeoutError, match="too many calls in flight"):
            await c.using(timeout=0.05).kv.list()
        held.set()


def test_what_takes_no_cursor_cannot_be_watched() -> None:
    c = ConsulClient()

    with pytest.raises(InvalidRequestError, match="takes no cursor"):
        c.watch(c.catalog.datacenters)


async def test_only_a_read_can_wait() -> None:
    bottom = Bottom()

    async with ConsulClient(transport=bottom) as c:
        with pytest.raises(InvalidRequestError, match="only a GET"):
            await c.request("PUT", "/v1/kv/a", cursor=Cursor())

    assert bottom.requests == []


async def test_parameters_too_long_for_a_url_are_refused() -> None:
    bottom = Bottom()

    async with ConsulClient(transport=bottom) as c:
        with pytest.raises(InvalidRequestError, match="too long for a URL"):
            await c.request("GET", "/v1/catalog/nodes", params={"filter": "x" * 70_000})

    assert bottom.requests == []


async def test_an_update_takes_a_function() -> None:
    bottom = Bottom()

    async with ConsulClient(transport=bottom) as c:
        with pytest.raises(InvalidRequestError, match="a change is a function"):
            await c.kv.update("a", b"v1")  # type: ignore[arg-type]

    assert bottom.requests == []


@pytest.mark.parametrize("value", [bytearray(b"v1"), memoryview(b"v1")])
async def test_bytes_may_come_in_any_container(value: Any) -> None:
    bottom = Bottom(YES)

    async with ConsulClient(transport=bottom) as c:
        await c.kv.put("a", value)

    assert bottom.last.content == b"v1"


def test_a_watch_and_its_cursor_show_where_they_are() -> None:
    watch = ConsulClient(wait=30.0).kv.watch("a")

    assert repr(watch) == "<Watch <Cursor index=None wait=30> failures=0>"


def test_a_token_and_a_token_file_are_one_too_many() -> None:
    with pytest.raises(ConfigurationError, match="not both"):
        ConsulSettings(token="t", token_file="f")


async def test_a_read_that_is_cut_off_by_closing_says_so() -> None:
    arrived, cut = anyio.Event(), anyio.Event()
    errors: list[type[Exception]] = []

    async def hold(request: httpx.Request) -> httpx.Response:
        arrived.set()
        await cut.wait()
        raise httpx.ReadError("cut")

    c = ConsulClient(layers=[], transport=httpx.MockTransport(hold))

    async def read() -> None:
        with pytest.raises(ClientClosedError) as caught:
            await c.kv.get("a")
        errors.append(caught.type)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(read)
        await arrived.wait()
        await c.aclose(grace=0)
        cut.set()

    assert errors == [ClientClosedError]
