"""Which instances are in another datacenter than the agent that is asked."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from consul_onex import ConsulClient
from tests.support.canary import Bottom

AGENT = httpx.Response(200, json={"Config": {"Version": "1.8.7", "Datacenter": "dc1"}})


def entries(*datacenters: str) -> httpx.Response:
    """A service with one instance in each of these datacenters."""
    rows = [{"Node": {"Datacenter": name}, "Service": {"Service": "web"}} for name in datacenters]
    return httpx.Response(200, json=rows)


def paths(bottom: Bottom) -> list[str]:
    return [request.url.path for request in bottom.requests]


@pytest.mark.parametrize("method", ["service", "connect", "ingress"])
async def test_a_view_of_a_datacenter_tells_which_are_elsewhere(method: str) -> None:
    bottom = Bottom(AGENT, entries("dc2", "dc1", ""))
    async with ConsulClient(transport=bottom) as c:
        read = getattr(c.using(datacenter="dc2").health, method)
        found = [await read("web") for _ in range(2)]

    for instances in found:
        assert [entry.remote for entry in instances] == [True, False, False]
    assert paths(bottom) == ["/v1/agent/self", *[f"/v1/health/{method}/web"] * 2]


@pytest.mark.parametrize("options", [{"datacenter": "dc2"}, {"failover": ["dc2"]}], ids=str)
async def test_so_does_one_that_may_be_answered_elsewhere(options: dict[str, Any]) -> None:
    bottom = Bottom(AGENT, entries("dc2"))
    async with ConsulClient(transport=bottom) as c:
        (entry,) = await c.using(**options).health.service("web")

    assert entry.remote is True


async def test_at_home_nobody_is_asked() -> None:
    bottom = Bottom(entries("dc2"))
    async with ConsulClient(transport=bottom) as c:
        (entry,) = await c.health.service("web")

    assert entry.remote is False
    assert paths(bottom) == ["/v1/health/service/web"]


@pytest.mark.parametrize(
    "unknown",
    [
        (httpx.Response(403, text="Permission denied"), httpx.Response(404)),
        (
            httpx.Response(403, text="Permission denied"),
            httpx.Response(200, json={"HumanVersion": "1.22.0"}),
        ),
        (httpx.Response(200, json={}),),
    ],
    ids=["old and denied", "new and denied", "says nothing"],
)
async def test_where_the_agent_does_not_say_where_it_is_nothing_counts_as_elsewhere(
    unknown: tuple[httpx.Response, ...],
) -> None:
    async with ConsulClient(transport=Bottom(*unknown, entries("dc2"))) as c:
        (entry,) = await c.using(datacenter="dc2").health.service("web")

    assert entry.remote is False


async def test_a_client_that_does_not_check_the_server_asks_nobody() -> None:
    bottom = Bottom(entries("dc2"))
    async with ConsulClient(transport=bottom, check_server=False) as c:
        (entry,) = await c.using(datacenter="dc2").health.service("web")

    assert entry.remote is False
    assert paths(bottom) == ["/v1/health/service/web"]
