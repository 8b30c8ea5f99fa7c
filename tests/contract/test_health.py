"""Health, as a real agent answers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any
from uuid import uuid4

import anyio
import pytest

from consul_onex import (
    BadRequestError,
    ConsulClient,
    Cursor,
    InvalidRequestError,
    PermissionDeniedError,
    UnknownDatacenterError,
)
from consul_onex.models.catalog import (
    CatalogCheck,
    CatalogCheckDefinition,
    CatalogRegistration,
    CatalogServiceDefinition,
)
from consul_onex.models.service import Connect, ServiceAddress
from tests.contract.conftest import Recorder
from tests.support.agents import Agent, Datacenters
from tests.support.lossless import lost

HOSTILE = ["a/b", "a b", "a?b=c", "a#b", "100%", "a%2Fb", "a+b&c", "a:b", ".hidden", "ünï", "日本"]


@pytest.fixture
async def three(c: ConsulClient) -> AsyncIterator[str]:
    """
    A service on three nodes; its name, and the beginning of theirs.

    The one on node a passes, that on b warns and that on c is critical.
    """
    name = f"web-{uuid4().hex}"
    nodes = {
        "a": ("passing", ["v1", "blue"], {"rack": "7"}),
        "b": ("warning", ["v1"], {"rack": "7"}),
        "c": ("critical", [], {"rack": "8"}),
    }
    for node, (status, tags, meta) in nodes.items():
        await c.catalog.register(
            CatalogRegistration(
                node=f"{name}-{node}",
                address=f"10.0.0.{ord(node)}",
                node_meta={"test": name, **meta},
                service=CatalogServiceDefinition(
                    service=name, port=80, tags=tags, connect=Connect(native=True)
                ),
                check=CatalogCheck(
                    check_id=f"{name}:{status}",
                    name="asked by hand",
                    status=status,
                    output="so it is",
                    notes="not by an agent",
                    service_id=name,
                    definition=CatalogCheckDefinition(
                        http="http://localhost/",
                        header={"Accept": ["*/*"]},
                        method="PUT",
                        body_text="{}",
                        tls_skip_verify=True,
                        script_args=["true"],
                        ttl=30,
                        interval=10,
                        timeout=0.25,
                        deregister_critical_service_after=90,
                        output_max_size=4096,
                    ),
                ),
                checks=[CatalogCheck(name="disk", status="passing")],
            )
        )
    yield name
    for node in nodes:
        await c.catalog.deregister(f"{name}-{node}")


# -- instances -------------------------------------------------------------------------------------


async def test_an_entry_has_the_node_the_service_and_the_checks_of_both(
    c: ConsulClient, three: str
) -> None:
    (entry,) = await c.health.service(three, passing=True)

    assert (entry.node.node, entry.node.address) == (f"{three}-a", "10.0.0.97")
    assert (entry.service.service, entry.service.tags) == (three, ["v1", "blue"])
    assert {check.check_id for check in entry.checks} == {f"{three}:passing", "disk"}
    assert (entry.address, entry.port, entry.status) == ("10.0.0.97", 80, "passing")
    assert entry.remote is False


async def test_entries_know_the_worst_of_their_checks(c: ConsulClient, three: str) -> None:
    entries = await c.health.service(three)

    assert {entry.node.node[-1]: entry.status for entry in entries} == {
        "a": "passing",
        "b": "warning",
        "c": "critical",
    }


async def test_slim_instances_are_the_entries_in_short(c: ConsulClient, three: str) -> None:
    entries = await c.health.service(three)
    slim = await c.health.instances(three)

    assert [
        (one.identity, one.address, one.port, one.status, [*one.tags], one.datacenter)
        for one in slim
    ] == [
        (e.identity, e.address, e.port, e.status, e.service.tags, e.node.datacenter)
        for e in entries
    ]
    assert [one.weight for one in await c.health.instances(three, passing=True)] == [1]


async def test_nothing_that_consul_says_is_lost(c: ConsulClient, three: str) -> None:
    mine = f'"{three}" in Node'

    for path, params, typed in (
        (f"service/{three}", {}, await c.health.service(three)),
        (f"connect/{three}", {}, await c.health.connect(three)),
        (f"node/{three}-a", {}, await c.health.node(f"{three}-a")),
        (f"checks/{three}", {}, await c.health.checks(three)),
        ("state/any", {"filter": mine}, await c.health.state(filter=mine)),
    ):
        answer = await c.request("GET", f"/v1/health/{path}", params=params)

        assert typed
        assert lost(answer.json(), typed) == []


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, "abc"),
        ({"passing": True}, "a"),
        ({"passing": False}, "abc"),
        ({"tag": "v1"}, "ab"),
        ({"tag": ["v1", "blue"]}, "a"),
        ({"tag": ()}, "abc"),
        ({"tag": "v1", "passing": True}, "a"),
        ({"tag": "v3"}, ""),
        ({"node_meta": {"rack": "7"}}, "ab"),
        ({"node_meta": {"rack": "7", "test": "another"}}, ""),
        ({"filter": '"blue" in Service.Tags'}, "a"),
        ({"filter": 'Node.Meta.rack == "8" or\nChecks.Status == "warning"'}, "bc"),
        ({"filter": "Service.Tags is empty", "passing": True}, ""),
        ({"near": "_agent"}, "abc"),
        ({"near": "nobody"}, "abc"),
    ],
    ids=str,
)
async def test_instances_can_be_chosen(
    c: ConsulClient, three: str, options: dict[str, Any], expected: str
) -> None:
    entries = await c.health.service(three, **options)

    assert "".join(sorted(entry.node.node[-1] for entry in entries)) == expected
    if "tag" not in options:
        assert await c.health.connect(three, **options) == entries


async def test_the_first_arguments_may_be_given_by_position(c: ConsulClient, three: str) -> None:
    cursor = Cursor()

    entries = await c.health.service(
        three, False, "v1", "_agent", 'Checks.Status == "warning"', cursor
    )

    assert [entry.node.node[-1] for entry in entries] == ["b"]
    assert cursor.index is not None


async def test_the_gateways_before_a_service_are_found(c: ConsulClient, three: str) -> None:
    gateway = f"in-{three}"
    entry = {
        "Kind": "ingress-gateway",
        "Name": gateway,
        "Listeners": [{"Port": 8888, "Protocol": "tcp", "Services": [{"Name": three}]}],
    }
    await c.request("PUT", "/v1/config", json=entry)
    await c.catalog.register(
        CatalogRegistration(
            node=f"{three}-a",
            address="10.0.0.97",
            service=CatalogServiceDefinition(
                service=gateway, kind="ingress-gateway", port=8888, tags=["edge"]
            ),
        )
    )

    found = await c.health.ingress(three, passing=True)
    by_tag = await c.health.ingress(three, filter='"edge" in Service.Tags', near="_agent")
    elsewhere = await c.health.ingress(three, node_meta={"rack": "8"})
    said = (await c.request("GET", f"/v1/health/ingress/{three}")).json()
    await c.request("DELETE", f"/v1/config/ingress-gateway/{gateway}")

    assert [(one.service.service, one.service.kind) for one in found] == [
        (gateway, "ingress-gateway")
    ]
    assert (by_tag, elsewhere) == (found, [])
    assert lost(said, found) == []


# -- checks ----------------------------------------------------------------------------------------


async def test_checks_are_found_by_service_node_and_state(c: ConsulClient, three: str) -> None:
    def ids(checks: Any) -> set[str]:
        return {check.check_id.removeprefix(f"{three}:") for check in checks}

    assert ids(await c.health.checks(three)) == {"passing", "warning", "critical"}
    assert ids(await c.health.node(f"{three}-b")) == {"warning", "disk"}
    assert ids(await c.health.node(f"{three}-b", filter='Status != "passing"')) == {"warning"}
    for state in ("passing", "warning", "critical"):
        assert state in ids(await c.health.state(state))
    mine = {"test": three}
    assert ids(await c.health.state("any", node_meta=mine)) == {
        *("passing", "warning", "critical", "disk")
    }
    assert ids(await c.health.state("passing", node_meta=mine)) == {"passing", "disk"}
    assert ids(await c.health.state(node_meta=mine, near="_agent", filter='Name == "disk"')) == {
        "disk"
    }
    assert ids(await c.health.checks(three, node_meta={"rack": "7"})) == {"passing", "warning"}
    assert ids(await c.health.checks(three, near="_agent", filter='Status == "passing"')) == {
        "passing"
    }
    assert await c.health.state("maintenance") == []


async def test_what_is_not_there_is_empty(c: ConsulClient) -> None:
    nobody = uuid4().hex

    assert await c.health.service(nobody) == []
    assert await c.health.service(nobody, passing=True) == []
    assert await c.health.connect(nobody) == []
    assert await c.health.ingress(nobody) == []
    assert await c.health.checks(nobody) == []
    assert await c.health.node(nobody) == []
    assert await c.health.state(nobody) == []


@pytest.mark.parametrize("hostile", HOSTILE)
async def test_a_name_arrives_as_it_is(c: ConsulClient, hostile: str) -> None:
    node, web = f"{uuid4().hex}{hostile}", f"{hostile}{uuid4().hex}"
    await c.catalog.register(
        CatalogRegistration(
            node=node,
            address="10.0.0.1",
            service=CatalogServiceDefinition(service=web, tags=[hostile]),
            check=CatalogCheck(check_id=hostile, service_id=web),
        )
    )

    entries = await c.health.service(web, tag=hostile, near=node)
    checks = await c.health.checks(web)
    there = await c.health.node(node)
    await c.catalog.deregister(node)

    assert [(entry.node.node, entry.service.service) for entry in entries] == [(node, web)]
    assert [check.check_id for check in checks] == [hostile]
    assert there == checks == entries[0].checks


# -- what is wrong ---------------------------------------------------------------------------------

READS: dict[str, Callable[..., Awaitable[object]]] = {
    "service": lambda c, **options: c.health.service("consul", **options),
    "connect": lambda c, **options: c.health.connect("consul", **options),
    "ingress": lambda c, **options: c.health.ingress("consul", **options),
    "node": lambda c, **options: c.health.node("dev", **options),
    "checks": lambda c, **options: c.health.checks("consul", **options),
    "state": lambda c, **options: c.health.state("any", **options),
}


@pytest.mark.parametrize("wrong", ["bad bad", 'Nope == "x"', '"'])
@pytest.mark.parametrize("read", READS)
async def test_a_wrong_filter_is_a_bad_request_and_sent_once(
    observed: ConsulClient, recorder: Recorder, read: str, wrong: str
) -> None:
    with pytest.raises(BadRequestError):
        await READS[read](observed, filter=wrong)

    assert len(recorder.requests) == 1


@pytest.mark.parametrize("read", READS)
async def test_an_unknown_datacenter_is_an_error(c: ConsulClient, read: str) -> None:
    with pytest.raises(UnknownDatacenterError):
        await READS[read](c.using(datacenter="nowhere"))


@pytest.mark.parametrize(
    ("read", "options", "what", "since"),
    [
        *((read, {"peer": "p"}, "peer", "1.13") for read in ("service", "connect")),
        *((read, {"peer": "p"}, "peer", "1.13") for read in ("node", "checks")),
        *(
            (read, {"merge_central_config": True}, "merge_central_config", "1.13")
            for read in ("service", "connect", "ingress")
        ),
        *(
            (read, {"sameness_group": "g"}, "sameness_group", "1.16")
            for read in ("service", "connect", "ingress")
        ),
    ],
)
async def test_what_the_server_would_ignore_is_not_sent(
    observed: ConsulClient,
    recorder: Recorder,
    read: str,
    options: dict[str, Any],
    what: str,
    since: str,
) -> None:
    said = rf"^health\.{read}: Consul 1\.8\.\d+ ignores {what}, which came with Consul {since}$"

    with pytest.raises(InvalidRequestError, match=said):
        await READS[read](observed, **options)

    assert [request.url.path for request in recorder.requests] == ["/v1/agent/self"]


async def test_a_client_that_does_not_check_the_server_sends_what_is_new(
    agent: Agent, recorder: Recorder
) -> None:
    async with ConsulClient(agent.url, transport=recorder, check_server=False) as c:
        entries = await c.health.service("consul", peer="p", merge_central_config=True)

    # It is ignored indeed.
    assert [entry.service.service for entry in entries] == ["consul"]
    assert dict(recorder.last.url.params) == {"peer": "p", "merge-central-config": ""}


# -- following -------------------------------------------------------------------------------------


async def test_an_instance_that_gets_well_is_told(
    c: ConsulClient, observed: ConsulClient, recorder: Recorder, three: str
) -> None:
    cursor = Cursor()
    seen = [await observed.health.service(three, passing=True, cursor=cursor)]

    async def wait() -> None:
        while len(seen[-1]) < 2:
            seen.append(await observed.health.service(three, passing=True, cursor=cursor))

    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait)
            await recorder.blocks()
            await c.catalog.register(
                CatalogRegistration(
                    node=f"{three}-b",
                    skip_node_update=True,
                    check=CatalogCheck(
                        check_id=f"{three}:warning", status="passing", service_id=three
                    ),
                )
            )

    assert [len(entries) for entries in seen] == [1, 2]


# -- who may ---------------------------------------------------------------------------------------


async def test_without_a_token_nobody_is_there_to_see(acl_agent: Agent) -> None:
    async with ConsulClient(acl_agent.url, token=acl_agent.token) as management:
        assert len(await management.health.service("consul", passing=True)) == 1
        assert [check.check_id for check in await management.health.node(acl_agent.name)] == [
            "serfHealth"
        ]
    async with ConsulClient(acl_agent.url) as anonymous:
        assert await anonymous.health.service("consul") == []
        assert await anonymous.health.checks("consul") == []
        assert await anonymous.health.node(acl_agent.name) == []
        assert await anonymous.health.state() == []


async def test_an_unknown_token_is_refused(acl_agent: Agent) -> None:
    async with ConsulClient(acl_agent.url, token=str(uuid4())) as stranger:
        for read in READS.values():
            with pytest.raises(PermissionDeniedError):
                await read(stranger)


# -- elsewhere -------------------------------------------------------------------------------------


@pytest.fixture
async def in_dc2(datacenters: Datacenters) -> AsyncIterator[str]:
    """A service in dc2 that has addresses for others in the WAN; its name, and that of its node."""
    name = f"web-{uuid4().hex}"
    async with ConsulClient(datacenters.dc2.url) as dc2:
        await dc2.catalog.register(
            CatalogRegistration(
                node=name,
                address="10.0.0.1",
                tagged_addresses={"wan": "198.18.0.1"},
                service=CatalogServiceDefinition(
                    service=name,
                    address="10.0.0.2",
                    port=8080,
                    tagged_addresses={"wan": ServiceAddress(address="198.18.0.2", port=80)},
                ),
            )
        )
        yield name
        await dc2.catalog.deregister(name)


async def test_from_another_datacenter_an_instance_has_its_wan_address(
    datacenters: Datacenters, in_dc2: str
) -> None:
    async with ConsulClient(datacenters.dc1.url) as dc1, ConsulClient(datacenters.dc2.url) as dc2:
        views = [dc1.using(datacenter="dc2"), dc2.using(datacenter="dc2"), dc2]
        (away,), (named,), (home,) = [await view.health.service(in_dc2) for view in views]

    assert (away.remote, away.address, away.port) == (True, "198.18.0.2", 80)
    assert (named.remote, named.address, named.port) == (False, "10.0.0.2", 8080)
    assert home == named
    # It is what this client knows of itself, and nothing that Consul says.
    assert away.to_wire() == home.to_wire()


async def test_from_another_datacenter_a_slim_instance_has_its_wan_address_too(
    datacenters: Datacenters, in_dc2: str
) -> None:
    async with ConsulClient(datacenters.dc1.url) as dc1, ConsulClient(datacenters.dc2.url) as dc2:
        views = [dc1.using(datacenter="dc2"), dc2]
        (away,), (home,) = [await view.health.instances(in_dc2) for view in views]

    assert (away.remote, away.address, away.port) == (True, "198.18.0.2", 80)
    assert (home.remote, home.address, home.port) == (False, "10.0.0.2", 8080)


async def test_an_instance_found_in_place_of_others_is_known_to_be_elsewhere(
    datacenters: Datacenters, in_dc2: str
) -> None:
    async with ConsulClient(datacenters.dc1.url) as dc1:
        (entry,) = await dc1.using(datacenter="dc3", failover=["dc2"]).health.service(in_dc2)

    assert (entry.remote, entry.address) == (True, "198.18.0.2")
