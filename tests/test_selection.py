"""The options that choose: what is refused, so that Consul does not answer something else."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from consul_onex import ConsulClient, InvalidRequestError
from tests.support.canary import Bottom


def agent(version: str) -> httpx.Response:
    """What an agent of this version says of itself."""
    return httpx.Response(200, json={"Config": {"Version": version, "Datacenter": "dc1"}})


@pytest.mark.parametrize(
    "wrong",
    [
        {"tag": ""},
        {"tag": ["v1", ""]},
        {"tag": [7]},
        {"near": ""},
        {"near": 7},
        {"filter": ""},
        {"filter": b"x"},
        {"node_meta": {"": "x"}},
        {"node_meta": {"a:b": "x"}},
        {"node_meta": {7: "x"}},
        {"peer": ""},
        {"sameness_group": ""},
    ],
    ids=str,
)
async def test_what_consul_would_take_for_something_else_is_not_sent(wrong: dict[str, Any]) -> None:
    bottom = Bottom()
    async with ConsulClient(transport=bottom) as c:
        with pytest.raises(InvalidRequestError, match=r"^health\.service: "):
            await c.health.service("web", **wrong)

    assert bottom.requests == []


@pytest.mark.parametrize(
    ("version", "options", "problem"),
    [
        ("1.12.9", {"peer": "p"}, "peer, which came with Consul 1.13"),
        ("1.12.9", {"merge_central_config": True}, "merge_central_config, which came with"),
        ("1.15.9+ent", {"sameness_group": "g"}, "sameness_group, which came with Consul 1.16"),
    ],
)
async def test_what_an_old_server_would_ignore_is_not_sent(
    version: str, options: dict[str, Any], problem: str
) -> None:
    bottom = Bottom(agent(version))
    async with ConsulClient(transport=bottom) as c:
        for _ in range(2):
            with pytest.raises(InvalidRequestError, match=problem):
                await c.health.service("web", **options)

    assert [request.url.path for request in bottom.requests] == ["/v1/agent/self"]


async def test_a_newer_server_gets_it_and_is_asked_for_its_version_once() -> None:
    bottom = Bottom(agent("1.16.0"), httpx.Response(200, json=[]))
    async with ConsulClient(transport=bottom) as c:
        for _ in range(2):
            await c.health.service("web", peer="p", sameness_group="g", merge_central_config=True)

    asked, *sent = bottom.requests
    assert asked.url.path == "/v1/agent/self"
    for request in sent:
        assert dict(request.url.params) == {"peer": "p", "sg": "g", "merge-central-config": ""}


async def test_nobody_is_asked_for_a_version_that_does_not_matter() -> None:
    bottom = Bottom()
    async with ConsulClient(transport=bottom) as c:
        await c.health.service("web", True, "v1", "_agent", "x", node_meta={"a": "b"})

    assert [request.url.path for request in bottom.requests] == ["/v1/health/service/web"]
