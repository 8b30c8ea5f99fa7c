"""What a real agent makes of the name of a service."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import uuid4

import anyio
import pytest

from consul_onex import BadRequestError, ConsulClient, Cursor, InvalidRequestError
from consul_onex.models.config import (
    ConfigEntry,
    Failover,
    HTTPMatch,
    RouteDestination,
    RouteMatch,
    ServiceDefaults,
    ServiceResolver,
    ServiceRoute,
    ServiceRouter,
    ServiceSplit,
    ServiceSplitter,
    Subset,
)
from tests.contract.conftest import Recorder
from tests.support.lossless import lost


@pytest.fixture
async def web(c: ConsulClient) -> AsyncIterator[str]:
    """A service with a router, a splitter and a resolver, which are gone afterwards."""
    name = f"web-{uuid4().hex}"
    entries: list[ConfigEntry] = [
        ServiceDefaults(name=name, protocol="http", meta={"team": "a"}),
        ServiceDefaults(name=f"{name}-admin", protocol="http"),
        ServiceResolver(
            name=name,
            subsets={"v1": Subset(filter="Service.Meta.version == v1"), "v2": Subset()},
            failover={"v1": Failover(datacenters=["dc2", "dc3"])},
            connect_timeout=15.0,
        ),
        ServiceSplitter(
            name=name,
            splits=[
                ServiceSplit(weight=90.5, service_subset="v1"),
                ServiceSplit(weight=9.5, service_subset="v2"),
            ],
        ),
        ServiceRouter(
            name=name,
            routes=[
                ServiceRoute(
                    match=RouteMatch(http=HTTPMatch(path_prefix="/admin")),
                    destination=RouteDestination(service=f"{name}-admin", request_timeout=1.5),
                )
            ],
        ),
    ]
    for entry in entries:
        await c.config.put(entry)
    yield name
    for entry in reversed(entries):
        await c.config.delete(entry.kind, entry.name)


async def test_a_chain_can_be_followed_from_its_start(c: ConsulClient, web: str) -> None:
    chain = await c.discovery_chain.get(web)

    assert (chain.service_name, chain.datacenter, chain.protocol) == (web, "dc1", "http")
    assert chain.default is False

    router = chain.nodes[chain.start_node]
    assert router.type == "router"
    admin, rest = router.routes
    assert admin.definition is not None
    assert admin.definition.destination is not None
    assert admin.definition.destination.request_timeout == 1.5
    assert chain.nodes[admin.next_node].type == "resolver"

    splitter = chain.nodes[rest.next_node]
    assert [split.weight for split in splitter.splits] == pytest.approx([90.5, 9.5])

    resolver = chain.nodes[splitter.splits[0].next_node].resolver
    assert resolver is not None
    assert resolver.connect_timeout == 15.0
    assert resolver.failover is not None
    subset = chain.targets[resolver.target].subset
    assert subset == Subset(filter="Service.Meta.version == v1")
    failover = [chain.targets[target].datacenter for target in resolver.failover.targets]
    assert failover == ["dc2", "dc3"]


async def test_nothing_that_consul_says_is_lost(c: ConsulClient, web: str) -> None:
    chain = await c.discovery_chain.get(web)
    answer = await c.request("GET", f"/v1/discovery-chain/{web}")

    assert lost(answer.json()["Chain"], chain) == []


@pytest.mark.parametrize("name", ["nobody", "a/b", "a b", "q?x#y", "100%", "caf\u00e9"])
async def test_a_service_that_nobody_knows_has_a_chain_of_one(c: ConsulClient, name: str) -> None:
    chain = await c.discovery_chain.get(name)

    assert (chain.service_name, chain.protocol) == (name, "tcp")
    (node,) = chain.nodes.values()
    assert chain.nodes[chain.start_node] is node
    assert node.resolver is not None
    assert node.resolver.default is True
    assert node.resolver.connect_timeout == 5.0
    assert chain.targets[node.resolver.target].service == name


async def test_overrides_hold_in_the_whole_chain(c: ConsulClient, web: str) -> None:
    plain = await c.discovery_chain.get(web)
    chain = await c.discovery_chain.get(
        web,
        override_connect_timeout=0.25,
        override_protocol="grpc",
        override_mesh_gateway="remote",
        compile_datacenter="dc9",
    )

    assert (chain.protocol, chain.datacenter) == ("grpc", "dc9")
    assert chain.customization_hash != plain.customization_hash == ""
    resolvers = [node.resolver for node in chain.nodes.values() if node.resolver is not None]
    assert {resolver.connect_timeout for resolver in resolvers} == {0.25}
    modes = {t.datacenter: t.mesh_gateway and t.mesh_gateway.mode for t in chain.targets.values()}
    assert modes["dc2"] == "remote"


async def test_a_chain_with_overrides_loses_nothing(c: ConsulClient, web: str) -> None:
    chain = await c.discovery_chain.get(web, override_protocol="grpc")
    answer = await c.request(
        "POST", f"/v1/discovery-chain/{web}", json={"OverrideProtocol": "grpc"}
    )

    assert lost(answer.json()["Chain"], chain) == []


async def test_a_mode_that_there_is_not_is_a_bad_request(c: ConsulClient) -> None:
    with pytest.raises(BadRequestError, match=r"OverrideMeshGateway\.Mode"):
        await c.discovery_chain.get("web", override_mesh_gateway="sideways")


@pytest.mark.parametrize(
    ("service", "options"),
    [
        ("", {}),
        ("a/../b", {}),
        ("web", {"override_connect_timeout": -1}),
        ("web", {"override_connect_timeout": "1s"}),
        ("web", {"override_protocol": 7}),
    ],
    ids=str,
)
async def test_what_cannot_be_meant_is_not_sent(
    observed: ConsulClient, recorder: Recorder, service: str, options: dict[str, object]
) -> None:
    with pytest.raises(InvalidRequestError):
        await observed.discovery_chain.get(service, **options)  # type: ignore[arg-type]

    assert recorder.requests == []


@pytest.mark.timeout(30)
@pytest.mark.parametrize("protocol", [None, "grpc"], ids=["plain", "with overrides"])
async def test_a_change_of_an_entry_ends_the_waiting(
    c: ConsulClient, observed: ConsulClient, recorder: Recorder, web: str, protocol: str | None
) -> None:
    cursor = Cursor(wait=20)
    before = await observed.discovery_chain.get(web, override_protocol=protocol, cursor=cursor)
    assert cursor.moved

    async with anyio.create_task_group() as tasks:

        async def change() -> None:
            await recorder.blocks()
            await c.config.delete("service-router", web)

        tasks.start_soon(change)
        after = await observed.discovery_chain.get(web, override_protocol=protocol, cursor=cursor)

        assert cursor.moved
        assert before.nodes[before.start_node].type == "router"
        assert after.nodes[after.start_node].type == "splitter"
