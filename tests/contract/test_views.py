"""Views: the same client, with other options for its calls."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import httpx
import pytest

from consul_onex import (
    BadRequestError,
    ClientClosedError,
    ConfigurationError,
    Consistency,
    ConsulClient,
    ConsulTimeoutError,
    Cursor,
    InvalidRequestError,
)
from tests.contract.conftest import Recorder
from tests.support.agents import Agent

Call = Callable[[ConsulClient], Awaitable[object]]

READS: dict[str, Call] = {
    "get": lambda c: c.kv.get("views/k"),
    "list": lambda c: c.kv.list("views/"),
    "keys": lambda c: c.kv.keys("views/"),
    "request": lambda c: c.request("GET", "/v1/catalog/nodes"),
}
WRITES: dict[str, Call] = {
    "put": lambda c: c.kv.put("views/k", b"", cas=2**63),
    "delete": lambda c: c.kv.delete("views/k"),
    "delete_tree": lambda c: c.kv.delete_tree("views/"),
    "request": lambda c: c.request("DELETE", "/v1/kv/views/k"),
}
LOCAL: dict[str, Call] = {
    "agent": lambda c: c.request("GET", "/v1/agent/self"),
    "status": lambda c: c.request("GET", "/v1/status/peers"),
    "leader": lambda c: c.status.leader(),
    "peers": lambda c: c.status.peers(),
    "datacenters": lambda c: c.catalog.datacenters(),
}


class Silent(httpx.AsyncBaseTransport):
    """An agent that hangs."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await anyio.sleep_forever()
        raise AssertionError("never")


@pytest.mark.parametrize("name", READS)
@pytest.mark.parametrize(
    ("consistency", "flags"),
    [
        ("default", set()),
        ("consistent", {"consistent"}),
        ("stale", {"stale"}),
        (Consistency.STALE, {"stale"}),
    ],
)
async def test_a_read_is_as_fresh_as_its_view_says(
    observed: ConsulClient,
    recorder: Recorder,
    name: str,
    consistency: Consistency | str,
    flags: set[str],
) -> None:
    await READS[name](observed.using(consistency=consistency))

    assert {"consistent", "stale", "default"} & set(recorder.last.url.params) == flags


@pytest.mark.parametrize("name", WRITES)
async def test_a_write_has_no_consistency(
    observed: ConsulClient, recorder: Recorder, name: str
) -> None:
    await WRITES[name](observed.using(consistency="stale"))

    assert "stale" not in recorder.last.url.params


async def test_a_stale_read_says_how_old_it_is(c: ConsulClient, prefix: str) -> None:
    cursor = Cursor()

    await c.using(consistency="stale").kv.get(prefix + "k", cursor=cursor)

    assert cursor.meta.last_contact == 0.0
    assert cursor.meta.known_leader is True


@pytest.mark.parametrize("call", [*READS.values(), *WRITES.values()], ids=[*READS, *WRITES])
async def test_a_datacenter_is_asked_for_by_name(
    observed: ConsulClient, recorder: Recorder, call: Call
) -> None:
    await call(observed.using(datacenter="dc1"))

    assert recorder.last.url.params.get_list("dc") == ["dc1"]


@pytest.mark.parametrize("name", LOCAL)
async def test_what_is_about_the_agent_itself_gets_no_options(
    observed: ConsulClient, recorder: Recorder, name: str
) -> None:
    view = observed.using(datacenter="dc2", consistency="stale", namespace="team", partition="part")

    await LOCAL[name](view)

    assert dict(recorder.last.url.params) == {}


async def test_namespace_and_partition_are_sent_by_name(
    agent: Agent, recorder: Recorder, prefix: str
) -> None:
    async with ConsulClient(agent.url, transport=recorder, check_server=False) as c:
        view = c.using(namespace="team", partition="part")

        with pytest.raises(BadRequestError):  # this edition has none
            await view.kv.get(prefix + "k")

    assert dict(recorder.last.url.params) == {"ns": "team", "partition": "part"}


@pytest.mark.parametrize("option", ["namespace", "partition"])
async def test_what_this_edition_would_not_heed_is_refused_and_not_sent(
    observed: ConsulClient, recorder: Recorder, prefix: str, option: str
) -> None:
    view = observed.using(**{option: "team"})  # type: ignore[arg-type]

    for _ in range(2):
        with pytest.raises(InvalidRequestError, match=rf"^kv\.delete: Consul .* no {option}s"):
            await view.kv.delete(prefix + "k")

    assert [request.url.path for request in recorder.requests] == ["/v1/agent/self"]


async def test_a_views_token_comes_before_the_clients(agent: Agent, recorder: Recorder) -> None:
    own, other = "0" * 8, "1" * 8
    async with ConsulClient(agent.url, token=own, transport=recorder) as c:
        for view in (c, c.using(token=other), c.using(token=other).using(token=None)):
            await view.status.leader()

    sent = [request.headers["x-consul-token"] for request in recorder.requests]
    assert sent == [own, other, own]


async def test_a_token_is_in_no_url(agent: Agent, recorder: Recorder, prefix: str) -> None:
    async with ConsulClient(agent.url, token="s3cret", transport=recorder) as c:
        await c.kv.get(prefix + "k")

    assert "s3cret" not in str(recorder.last.url)


async def test_a_views_time_out_bounds_the_whole_call() -> None:
    async with ConsulClient(transport=Silent()) as c:
        with anyio.fail_after(5), pytest.raises(ConsulTimeoutError, match=r"0\.05 s"):
            await c.using(timeout=0.05).kv.get("k")


async def test_a_view_goes_back_to_the_clients_time_out() -> None:
    async with ConsulClient(transport=Silent(), timeout=0.05) as c:
        with anyio.fail_after(5), pytest.raises(ConsulTimeoutError, match=r"0\.05 s"):
            await c.using(timeout=60).using(timeout=None).kv.get("k")


async def test_views_add_up_and_change_nothing_above_them(
    observed: ConsulClient, recorder: Recorder, prefix: str
) -> None:
    stale = observed.using(consistency="stale")
    both = stale.using(datacenter="dc1")
    neither = both.using(consistency="default", datacenter=None)

    for view in (observed, stale, both, neither):
        await view.kv.get(prefix + "k")

    assert [set(request.url.params) for request in recorder.requests] == [
        set(),
        {"stale"},
        {"stale", "dc"},
        set(),
    ]


async def test_the_client_may_have_options_itself(
    agent: Agent, recorder: Recorder, prefix: str
) -> None:
    async with ConsulClient(
        agent.url, datacenter="dc1", consistency="consistent", wait=5, transport=recorder
    ) as c:
        watch = c.kv.watch(prefix + "k")
        await anext(watch)

    assert dict(recorder.last.url.params) == {"dc": "dc1", "consistent": ""}
    assert watch.cursor.wait == 5


async def test_closing_a_view_closes_nothing(c: ConsulClient, prefix: str) -> None:
    async with c.using(consistency="stale") as view:
        await view.kv.get(prefix + "k")

    assert await c.kv.get(prefix + "k") is None
    assert await view.kv.get(prefix + "k") is None


async def test_a_view_of_a_closed_client_is_closed(agent: Agent) -> None:
    async with ConsulClient(agent.url) as c:
        view = c.using(consistency="stale")

    with pytest.raises(ClientClosedError):
        await view.kv.get("k")


@pytest.mark.parametrize(
    "options",
    [
        {"datacenter": "dc 2"},
        {"datacenter": "dc2&recurse"},
        {"datacenter": "x" * 65},
        {"datacenter": 2},
        {"namespace": "a/b"},
        {"partition": "dü"},
        {"consistency": "strong"},
        {"consistency": None},
        {"timeout": 0},
        {"timeout": -1},
        {"timeout": float("nan")},
        {"timeout": float("inf")},
        {"timeout": "5"},
        {"timeout": True},
        {"wait": None},
        {"token": 7},
        {"token": "two\nlines"},
        {"token": "zwölf"},
        {"failover": "dc2"},
        {"failover": ["dc 2"]},
        {"failover": [""]},
        {"failover": [None]},
    ],
    ids=str,
)
def test_an_option_that_makes_no_sense_is_refused(options: dict[str, Any]) -> None:
    c = ConsulClient()

    with pytest.raises(ConfigurationError) as raised:
        c.using(**options)

    assert next(iter(options)) in str(raised.value)
