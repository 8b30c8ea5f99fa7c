"""
What others ran into, and this client must not: each by what would happen.

Some need more than this page has, and are elsewhere; `ALL` says where.
"""

from __future__ import annotations

import ast
import ssl
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Final

import anyio
import anyio.lowlevel
import httpx
import pytest
import trustme
from anyio.abc import ByteStream, SocketAttribute
from anyio.streams.tls import TLSAttribute, TLSListener

from consul_onex import TLS, ConsulClient, KVPair, Watch
from consul_onex.transport._connection import HTTP
from tests.support.canary import Bottom
from tests.support.fault_server import HOST, fault_server, reply

ALL: Final = {
    "hashicorp/consul#3890": "contract/test_watch.py::busy_neighbours_of_a_missing_key_cost_little",
    "hashicorp/consul#5358": "test_regressions.py::an_index_of_zero_is_no_busy_loop",
    "hashicorp/consul#7939": "test_regressions.py::a_follower_that_is_behind_hides_no_news",
    "hashicorp/consul#8312": (
        "test_regressions.py::queries_that_end_in_an_error_leave_no_connection_behind"
    ),
    "hashicorp/consul#8524": (
        "test_watch_storm.py::a_thousand_watches_started_and_cancelled_disturb_nobody"
    ),
    "hashicorp/consul#9647": (
        "test_watch_storm.py::a_thousand_watches_started_and_cancelled_disturb_nobody"
    ),
    "hashicorp/consul#11704": "test_watch.py::a_refusal_is_raised_once_it_has_lasted_35_seconds",
    "hashicorp/consul#23732": "recipes/test_lock.py::errors_of_consul_are_no_loss",
    "hashicorp/consul#2371": "recipes/test_lock.py::a_lock_that_is_lost_keeps_no_session_alive",
    "hashicorp/vault#23013": (
        "recipes/test_lock.py::what_a_former_holder_remembers_is_not_written_over_the_next_ones"
    ),
    "encode/httpcore#1093": (
        "chaos/test_cancelled.py::ten_thousand_cancelled_calls_take_nothing_with_them"
    ),
    "encode/httpcore#1098": (
        "test_regressions.py::http_2_is_not_spoken_even_with_a_server_that_would"
    ),
    "openai/openai-python#3516": (
        "chaos/test_second_origin.py::an_answer_that_points_elsewhere_is_not_followed"
    ),
}
"""Which test shows each, by where it was reported."""

TESTS: Final = Path(__file__).parent


@pytest.mark.parametrize("issue", ALL)
def test_each_is_named_by_a_test(issue: str) -> None:
    file, _, name = ALL[issue].partition("::")
    named = [
        ast.get_docstring(node) or ""
        for node in ast.parse((TESTS / file).read_text("utf-8")).body
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name == f"test_{name}"
    ]

    assert [issue in docstring for docstring in named] == [True]


# -- watches ---------------------------------------------------------------------------------------


class Pauses:
    """Time that passes in pauses alone."""

    def __init__(self) -> None:
        self.pauses: list[float] = []

    def now(self) -> float:
        return sum(self.pauses)

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        await anyio.lowlevel.checkpoint()


def watched(c: ConsulClient, clock: Pauses) -> Watch[KVPair | None]:
    read = partial(c.kv.get, "k")
    return Watch(read, wait=60.0, now=clock.now, sleep=clock.sleep, dice=lambda: 1.0)


def told(index: int, value: str) -> httpx.Response:
    pair = f'[{{"Key": "k", "Value": "{value}"}}]'
    return httpx.Response(200, headers={"X-Consul-Index": str(index)}, text=pair)


def indexes(bottom: Bottom) -> Iterator[str | None]:
    return (request.url.params.get("index") for request in bottom.requests)


async def test_an_index_of_zero_is_no_busy_loop() -> None:
    """A query beyond index 0 does not wait (hashicorp/consul#5358)."""
    clock, bottom = Pauses(), Bottom(*[told(0, "b2xk")] * 12, told(9, "bmV3"))
    async with ConsulClient(transport=bottom) as c:
        watch = watched(c, clock)
        values = [(await anext(watch)) for _ in range(2)]

    assert [pair and pair.text() for pair in values] == ["old", "new"]
    assert len(bottom.requests) == 13
    # But for the two wakes that are free, one a second, and none that asks beyond 0.
    assert sum(clock.pauses) >= 9
    assert "0" not in indexes(bottom)


async def test_a_follower_that_is_behind_hides_no_news() -> None:
    """Servers give one query different indexes (hashicorp/consul#7939)."""
    one, another, news = told(20, "b2xk"), told(12, "b2xk"), told(21, "bmV3")
    clock, bottom = Pauses(), Bottom(one, another, another, news)
    async with ConsulClient(transport=bottom) as c:
        watch = watched(c.using(consistency="stale"), clock)
        values = [(await anext(watch)) for _ in range(2)]

    assert [pair and pair.text() for pair in values] == ["old", "new"]
    # Beyond the first one's index the other would have had nothing to say for a while.
    assert list(indexes(bottom)) == [None, "20", None, "12"]


async def test_queries_that_end_in_an_error_leave_no_connection_behind() -> None:
    """Each left its clients a socket (hashicorp/consul#8312)."""
    failed = reply(500, b"rpc error making call: EOF")
    good = reply(body=b'[{"Key": "k", "Value": "bmV3"}]', headers={"X-Consul-Index": "9"})
    clock = Pauses()

    async with fault_server([*[failed] * 50, good]) as server:
        async with ConsulClient(server.url) as c:
            with anyio.fail_after(30):
                pair = await anext(watched(c, clock))
            connections = c.statistics().connections

        assert pair is not None
        assert pair.text() == "new"
        assert connections is not None
        assert (connections.active, connections.idle, server.accepted) == (0, 1, 1)


# -- connections -----------------------------------------------------------------------------------


@pytest.mark.parametrize("http", ["h11", "fast"])
async def test_http_2_is_not_spoken_even_with_a_server_that_would(
    http: HTTP, tmp_path: Path
) -> None:
    """There a connection is used up by streams that were cancelled (encode/httpcore#1098)."""
    authority, spoken = trustme.CA(), list[str | None]()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.set_alpn_protocols(["h2", "http/1.1"])
    authority.issue_cert(HOST).configure_cert(context)

    async def answer(stream: ByteStream) -> None:
        async with stream:
            spoken.append(stream.extra(TLSAttribute.alpn_protocol))
            assert (await stream.receive()).startswith(b"GET /v1/kv/k")
            await stream.send(b"HTTP/1.1 404 -\r\nX-Consul-Index: 9\r\nContent-Length: 0\r\n\r\n")

    listener = await anyio.create_tcp_listener(local_host=HOST)
    port = listener.extra(SocketAttribute.local_port)
    async with listener, anyio.create_task_group() as tasks:
        tls = TLSListener(listener, context, standard_compatible=False)
        tasks.start_soon(tls.serve, answer)
        url, ca_file = f"https://{HOST}:{port}", tmp_path / "ca.pem"
        async with ConsulClient(url, tls=TLS(ca_file=ca_file), http=http) as c:
            assert await c.kv.get("k") is None
        tasks.cancel_scope.cancel()

    assert spoken == ["http/1.1"]
