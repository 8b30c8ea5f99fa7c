"""The catalog, as a real agent answers."""

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
    CatalogNode,
    CatalogRegistration,
    CatalogServiceDefinition,
)
from consul_onex.models.service import (
    Connect,
    Locality,
    Proxy,
    ServiceAddress,
    ServicePort,
    Weights,
)
from tests.contract.conftest import Recorder
from tests.support.agents import Agent, Datacenters
from tests.support.lossless import lost

HOSTILE = ["a/b", "a b", "a?b=c", "a#b", "100%", "a%2Fb", "a+b&c", "a:b", ".hidden", "ünï", "日本"]


@pytest.fixture
async def name(c: ConsulClient) -> AsyncIterator[str]:
    """The name of a node, which is not there afterwards."""
    mine = f"node-{uuid4().hex}"
    yield mine
    await c.catalog.deregister(mine)


def service(name: str, **fields: Any) -> CatalogServiceDefinition:
    return CatalogServiceDefinition(service=name, **fields)


def everything(node: str) -> CatalogRegistration:
    """A registration with all that 1.8 knows."""
    return CatalogRegistration(
        node=node,
        address="10.0.0.7",
        id=str(uuid4()),
        tagged_addresses={"lan": "10.0.0.7", "wan": "198.18.0.7"},
        node_meta={"rack": "7"},
        service=service(
            f"web-{node}",
            id="web:1",
            tags=["v1", "v2"],
            address="10.0.0.8",
            port=8080,
            tagged_addresses={"wan": ServiceAddress(address="198.18.0.8", port=80)},
            meta={"team": "a"},
            weights=Weights(passing=10, warning=2),
            enable_tag_override=True,
            connect=Connect(native=True),
        ),
        check=CatalogCheck(
            check_id="web:1:http",
            name="HTTP",
            node=node,
            status="warning",
            notes="asked by hand",
            output="429",
            service_id="web:1",
            definition=CatalogCheckDefinition(
                http="http://10.0.0.8:8080/",
                header={"Accept": ["*/*"]},
                method="PUT",
                body_text="{}",
                tls_skip_verify=True,
                tcp="10.0.0.8:8080",
                grpc="10.0.0.8:8081",
                grpc_use_tls=True,
                script_args=["true"],
                docker_container_id="f1",
                shell="/bin/sh",
                alias_node="other",
                alias_service="db",
                ttl=30,
                interval=10,
                timeout=0.25,
                deregister_critical_service_after=90,
                output_max_size=4096,
            ),
        ),
        checks=[CatalogCheck(name="disk", status="passing")],
    )


async def found(c: ConsulClient, node: str) -> CatalogNode:
    there = await c.catalog.node(node)
    assert there is not None
    return there


# -- registering -----------------------------------------------------------------------------------


async def test_what_is_registered_is_told_again(c: ConsulClient, name: str) -> None:
    registration = everything(name)

    assert await c.catalog.register(registration) is True

    there = await found(c, name)
    assert (there.node.node, there.node.id) == (name, registration.id)
    assert there.node.tagged_addresses == {"lan": "10.0.0.7", "wan": "198.18.0.7"}
    assert there.node.meta == {"rack": "7"}
    assert list(there.services) == ["web:1"]
    instance = there.services["web:1"]
    assert (instance.id, instance.service, instance.port) == ("web:1", f"web-{name}", 8080)
    assert (instance.tags, instance.meta) == (["v1", "v2"], {"team": "a"})
    assert instance.tagged_addresses == {"wan": ServiceAddress(address="198.18.0.8", port=80)}
    assert instance.weights == Weights(passing=10, warning=2)
    assert instance.connect == Connect(native=True)
    assert instance.enable_tag_override is True
    checks = {check.check_id: check for check in await c.health.node(name)}
    assert checks.keys() == {"web:1:http", "disk"}
    assert (checks["disk"].name, checks["disk"].service_id) == ("disk", "")
    assert checks["web:1:http"].output == "429"
    definition = checks["web:1:http"].definition
    assert definition is not None
    assert (definition.interval, definition.timeout) == (10.0, 0.25)
    assert definition.deregister_critical_service_after == 90.0


async def test_nothing_that_consul_says_is_lost(c: ConsulClient, name: str) -> None:
    await c.catalog.register(everything(name))
    mine = f'Node == "{name}"'

    for path, params, typed in (
        ("nodes", {"filter": mine}, await c.catalog.nodes(filter=mine)),
        (f"node/{name}", {}, await c.catalog.node(name)),
        (f"node-services/{name}", {}, await c.catalog.node_services(name)),
        (f"service/web-{name}", {}, await c.catalog.service(f"web-{name}")),
        (f"connect/web-{name}", {}, await c.catalog.connect(f"web-{name}")),
    ):
        answer = await c.request("GET", f"/v1/catalog/{path}", params=params)

        assert typed
        assert lost(answer.json(), typed) == []


async def test_a_registration_replaces_the_one_before(c: ConsulClient, name: str) -> None:
    await c.catalog.register(
        CatalogRegistration(node=name, address="10.0.0.1", node_meta={"rack": "7"})
    )
    await c.catalog.register(CatalogRegistration(node=name, address="10.0.0.2"))

    there = await found(c, name)
    assert (there.node.address, there.node.meta) == ("10.0.0.2", {})


async def test_a_node_can_be_left_as_it_is(c: ConsulClient, name: str) -> None:
    await c.catalog.register(
        CatalogRegistration(node=name, address="10.0.0.1", node_meta={"rack": "7"})
    )
    await c.catalog.register(
        CatalogRegistration(node=name, skip_node_update=True, service=service("web"))
    )

    there = await found(c, name)
    assert (there.node.address, there.node.meta) == ("10.0.0.1", {"rack": "7"})
    assert list(there.services) == ["web"]


async def test_a_node_with_a_known_id_is_renamed(c: ConsulClient, name: str) -> None:
    known = str(uuid4())
    await c.catalog.register(CatalogRegistration(node="old-" + name, address="10.0.0.1", id=known))
    await c.catalog.register(CatalogRegistration(node=name, address="10.0.0.1", id=known))

    assert await c.catalog.node("old-" + name) is None
    assert (await found(c, name)).node.id == known


@pytest.mark.parametrize(
    "wrong",
    [
        {"address": None},
        {"node": ""},
        {"id": "no uuid"},
        {"service": service("")},
        {"service": service("", id="web:1")},
        {"service": service("web", address="0.0.0.0")},
        {"service": service("web", meta={"x" * 200: ""})},
        {"service": service("web", kind="connect-proxy")},
        {"service": service("web", kind="mesh-gateway", proxy=Proxy(local_service_port=1))},
        {"check": CatalogCheck(status="passing")},
        {"check": CatalogCheck(name="disk", node="another")},
        {"check": CatalogCheck(name="http", service_id="nobody")},
        # What 1.8 does not know yet.
        {"locality": Locality(region="eu")},
        {"partition": "part"},
        {"namespace": "team"},
        {"service": service("web", ports=[ServicePort(name="admin", port=1)])},
        {"service": service("web", socket_path="/run/web.sock")},
        {"service": service("web", locality=Locality(region="eu"))},
    ],
    ids=str,
)
async def test_what_consul_does_not_take_is_a_bad_request_and_sent_once(
    observed: ConsulClient, recorder: Recorder, name: str, wrong: dict[str, Any]
) -> None:
    fields: dict[str, Any] = {"node": name, "address": "10.0.0.1"} | wrong

    with pytest.raises(BadRequestError):
        await observed.catalog.register(CatalogRegistration(**fields))

    assert len(recorder.requests) == 1


async def test_another_nodes_name_cannot_be_taken(c: ConsulClient, agent: Agent) -> None:
    with pytest.raises(BadRequestError, match="is reserved by node"):
        await c.catalog.register(
            CatalogRegistration(node=agent.name, address="10.0.0.1", id=str(uuid4()))
        )


# -- deregistering ---------------------------------------------------------------------------------


async def test_a_service_goes_with_its_checks_and_leaves_the_node(
    c: ConsulClient, name: str
) -> None:
    await c.catalog.register(everything(name))

    assert await c.catalog.deregister(name, service_id="web:1") is True

    assert (await found(c, name)).services == {}
    assert [check.check_id for check in await c.health.node(name)] == ["disk"]


async def test_a_check_goes_alone(c: ConsulClient, name: str) -> None:
    await c.catalog.register(everything(name))

    assert await c.catalog.deregister(name, check_id="web:1:http") is True

    assert list((await found(c, name)).services) == ["web:1"]
    assert [check.check_id for check in await c.health.node(name)] == ["disk"]


async def test_a_node_goes_with_all_that_is_on_it(c: ConsulClient, name: str) -> None:
    await c.catalog.register(everything(name))

    assert await c.catalog.deregister(name) is True

    assert await c.catalog.node(name) is None
    assert await c.health.node(name) == []
    assert await c.catalog.service(f"web-{name}") == []


async def test_what_is_gone_can_be_deregistered_again(c: ConsulClient, name: str) -> None:
    for _ in range(2):
        assert await c.catalog.deregister(name) is True
        assert await c.catalog.deregister(name, service_id="web") is True
        assert await c.catalog.deregister(name, check_id="web") is True


@pytest.mark.parametrize(
    "wrong",
    [
        {"service_id": "web", "check_id": "disk"},
        {"service_id": ""},
        {"check_id": ""},
        {"service_id": 7},
    ],
    ids=str,
)
async def test_what_would_deregister_more_than_was_meant_is_not_sent(
    observed: ConsulClient, recorder: Recorder, wrong: dict[str, Any]
) -> None:
    with pytest.raises(InvalidRequestError):
        await observed.catalog.deregister("nobody", **wrong)

    assert recorder.requests == []


async def test_a_node_without_a_name_is_a_bad_request(c: ConsulClient) -> None:
    with pytest.raises(BadRequestError):
        await c.catalog.deregister("")


# -- reading ---------------------------------------------------------------------------------------


async def test_what_is_not_there_is_none_or_empty(c: ConsulClient, name: str) -> None:
    assert await c.catalog.node(name) is None
    assert await c.catalog.node_services(name) is None
    assert await c.catalog.service(name) == []
    assert await c.catalog.connect(name) == []
    assert await c.catalog.gateway_services(name) == []
    assert name not in await c.catalog.services()
    assert name not in [node.node for node in await c.catalog.nodes()]


@pytest.mark.parametrize("hostile", HOSTILE)
async def test_a_name_arrives_as_it_is(c: ConsulClient, name: str, hostile: str) -> None:
    node, web = f"{name}{hostile}", f"{hostile}{name}"
    await c.catalog.register(
        CatalogRegistration(node=node, address="10.0.0.1", service=service(web, id=hostile))
    )

    by_name = await c.catalog.node(node)
    listed = await c.catalog.node_services(node)
    instances = await c.catalog.service(web)
    tags = (await c.catalog.services())[web]
    await c.catalog.deregister(node, service_id=hostile)
    left = await c.catalog.node(node)
    await c.catalog.deregister(node)

    assert by_name is not None
    assert listed is not None
    assert left is not None
    assert (by_name.node.node, list(by_name.services)) == (node, [hostile])
    assert [one.service for one in listed.services] == [web]
    assert [(one.node, one.service_name) for one in instances] == [(node, web)]
    assert (tags, left.services) == ([], {})
    assert await c.catalog.node(node) is None


async def test_services_have_the_tags_of_all_their_instances(c: ConsulClient, name: str) -> None:
    web = f"web-{name}"
    for one, tags in (("1", ["a", "b"]), ("2", ["b", "c"]), ("3", [])):
        await c.catalog.register(
            CatalogRegistration(
                node=name, address="10.0.0.1", service=service(web, id=one, tags=tags)
            )
        )

    services = await c.catalog.services()

    assert sorted(services[web]) == ["a", "b", "c"]
    assert services["consul"] == []


@pytest.fixture
async def three(c: ConsulClient, name: str) -> AsyncIterator[str]:
    """A service on three nodes, which differ in tags and metadata; its name."""
    nodes = {
        "a": (["v1", "blue"], {"rack": "7", "os": "x:y"}),
        "b": (["v1"], {"rack": "7"}),
        "c": ([], {"rack": "8"}),
    }
    for node, (tags, meta) in nodes.items():
        await c.catalog.register(
            CatalogRegistration(
                node=f"{name}-{node}",
                address="10.0.0.1",
                node_meta={"test": name, **meta},
                service=service(f"web-{name}", tags=tags, connect=Connect(native=True)),
            )
        )
    yield f"web-{name}"
    for node in nodes:
        await c.catalog.deregister(f"{name}-{node}")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, "abc"),
        ({"tag": "v1"}, "ab"),
        ({"tag": ["v1", "blue"]}, "a"),
        ({"tag": []}, "abc"),
        ({"tag": "v3"}, ""),
        ({"node_meta": {"rack": "7"}}, "ab"),
        ({"node_meta": {"rack": "7", "os": "x:y"}}, "a"),
        ({"filter": '"blue" in ServiceTags'}, "a"),
        ({"filter": 'NodeMeta.rack == "8" or\n"blue" in ServiceTags'}, "ac"),
        ({"filter": "ServiceTags is empty", "node_meta": {"rack": "7"}}, ""),
        ({"near": "_agent"}, "abc"),
        ({"near": "nobody"}, "abc"),
    ],
    ids=str,
)
async def test_instances_can_be_chosen(
    c: ConsulClient, three: str, options: dict[str, Any], expected: str
) -> None:
    instances = await c.catalog.service(three, **options)

    assert "".join(sorted(one.node[-1] for one in instances)) == expected
    if "tag" not in options:
        assert await c.catalog.connect(three, **options) == instances


async def test_nodes_can_be_chosen(c: ConsulClient, three: str) -> None:
    name = three.removeprefix("web-")

    async def chosen(**options: Any) -> list[str]:
        return [node.node[-1] for node in await c.catalog.nodes(**options)]

    assert await chosen(node_meta={"test": name}) == ["a", "b", "c"]
    assert await chosen(node_meta={"test": name, "rack": "7"}) == ["a", "b"]
    assert await chosen(filter=f'Meta.test == "{name}" and Meta.rack == "8"') == ["c"]
    assert await chosen(node_meta={"test": name}, near="_agent") == ["a", "b", "c"]
    services = await c.catalog.services(node_meta={"test": name, "os": "x:y"})
    assert {web: sorted(tags) for web, tags in services.items()} == {three: ["blue", "v1"]}


async def test_a_filter_of_a_node_is_about_its_services(c: ConsulClient, name: str) -> None:
    await c.catalog.register(everything(name))

    for tag, left in (("v1", 1), ("v9", 0)):
        by_id = await c.catalog.node(name, filter=f'"{tag}" in Tags')
        listed = await c.catalog.node_services(name, filter=f'"{tag}" in Tags')
        assert by_id is not None
        assert listed is not None
        assert (len(by_id.services), len(listed.services)) == (left, left)


READS: dict[str, Callable[..., Awaitable[object]]] = {
    "nodes": lambda c, node, **options: c.catalog.nodes(**options),
    "node": lambda c, node, **options: c.catalog.node(node, **options),
    "node_services": lambda c, node, **options: c.catalog.node_services(node, **options),
    "services": lambda c, node, **options: c.catalog.services(**options),
    "service": lambda c, node, **options: c.catalog.service("consul", **options),
    "connect": lambda c, node, **options: c.catalog.connect("consul", **options),
}


@pytest.mark.parametrize("wrong", ["bad bad", 'Nope == "x"', '"'])
@pytest.mark.parametrize("read", ["nodes", "node", "node_services", "service", "connect"])
async def test_a_wrong_filter_is_a_bad_request_and_sent_once(
    observed: ConsulClient, recorder: Recorder, agent: Agent, read: str, wrong: str
) -> None:
    with pytest.raises(BadRequestError):
        await READS[read](observed, agent.name, filter=wrong)

    assert len(recorder.requests) == 1


@pytest.mark.parametrize(
    ("read", "options", "what", "since"),
    [
        ("nodes", {"peer": "p"}, "peer", "1.13"),
        ("node", {"peer": "p"}, "peer", "1.13"),
        ("node_services", {"merge_central_config": True}, "merge_central_config", "1.13"),
        ("services", {"peer": "p"}, "peer", "1.13"),
        ("services", {"filter": "x"}, "a filter of services", "1.13"),
        ("service", {"peer": "p"}, "peer", "1.13"),
        ("service", {"merge_central_config": True}, "merge_central_config", "1.13"),
        ("connect", {"peer": "p"}, "peer", "1.13"),
        ("connect", {"merge_central_config": True}, "merge_central_config", "1.13"),
    ],
)
async def test_what_the_server_would_ignore_is_not_sent(
    observed: ConsulClient,
    recorder: Recorder,
    agent: Agent,
    read: str,
    options: dict[str, Any],
    what: str,
    since: str,
) -> None:
    said = rf"^catalog\.{read}: Consul 1\.8\.\d+ ignores {what}, which came with Consul {since}$"

    with pytest.raises(InvalidRequestError, match=said):
        await READS[read](observed, agent.name, **options)

    assert [request.url.path for request in recorder.requests] == ["/v1/agent/self"]


async def test_a_client_that_does_not_check_the_server_sends_what_is_new(
    agent: Agent, recorder: Recorder
) -> None:
    async with ConsulClient(agent.url, transport=recorder, check_server=False) as c:
        services = await c.catalog.services(filter='ServiceName == "nobody"', peer="p")

    # It is ignored indeed.
    assert "consul" in services
    assert dict(recorder.last.url.params) == {"filter": 'ServiceName == "nobody"', "peer": "p"}


async def test_the_services_of_gateways_are_told(c: ConsulClient, name: str) -> None:
    web, ingress, terminating = f"web-{name}", f"in-{name}", f"out-{name}"
    await c.catalog.register(
        CatalogRegistration(node=name, address="10.0.0.1", service=service(web))
    )
    files = {"CAFile": "/ca", "CertFile": "/cert", "KeyFile": "/key", "SNI": "sni"}
    entries: list[dict[str, Any]] = [
        {
            "Kind": "ingress-gateway",
            "Name": ingress,
            "Listeners": [{"Port": 8888, "Protocol": "tcp", "Services": [{"Name": web}]}],
        },
        {"Kind": "terminating-gateway", "Name": terminating, "Services": [{"Name": web, **files}]},
    ]
    for entry in entries:
        await c.request("PUT", "/v1/config", json=entry)

    (into,) = await c.catalog.gateway_services(ingress)
    (out,) = await c.catalog.gateway_services(terminating)
    said = [
        (await c.request("GET", f"/v1/catalog/gateway-services/{gateway}")).json()
        for gateway in (ingress, terminating)
    ]
    for entry in entries:
        await c.request("DELETE", f"/v1/config/{entry['Kind']}/{entry['Name']}")

    assert (into.gateway.name, into.service.name) == (ingress, web)
    assert (into.gateway_kind, into.port, into.protocol) == ("ingress-gateway", 8888, "tcp")
    assert (out.gateway_kind, out.from_wildcard) == ("terminating-gateway", False)
    assert (out.ca_file, out.cert_file, out.key_file, out.sni) == ("/ca", "/cert", "/key", "sni")
    assert lost(said, [[into], [out]]) == []


async def test_a_service_can_be_waited_for(
    c: ConsulClient, observed: ConsulClient, recorder: Recorder, name: str
) -> None:
    cursor = Cursor()
    seen = [await observed.catalog.service(f"web-{name}", cursor=cursor)]

    async def wait() -> None:
        while not seen[-1]:
            seen.append(await observed.catalog.service(f"web-{name}", cursor=cursor))

    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait)
            await recorder.blocks()
            await c.catalog.register(everything(name))

    assert seen[0] == []
    assert [one.node for one in seen[-1]] == [name]


# -- who may ---------------------------------------------------------------------------------------


async def test_without_a_token_nothing_is_there_to_see(acl_agent: Agent) -> None:
    node = acl_agent.name
    async with ConsulClient(acl_agent.url, token=acl_agent.token) as management:
        assert [one.node for one in await management.catalog.nodes()] == [node]
        assert (await found(management, node)).services.keys() == {"consul"}
    async with ConsulClient(acl_agent.url) as anonymous:
        assert await anonymous.catalog.nodes() == []
        assert await anonymous.catalog.services() == {}
        assert await anonymous.catalog.service("consul") == []
        assert await anonymous.catalog.node(node) is None
        assert await anonymous.catalog.node_services(node) is None
        assert await anonymous.catalog.datacenters() == ["dc1"]


async def test_without_a_token_nothing_can_be_changed(acl_agent: Agent) -> None:
    async with ConsulClient(acl_agent.url) as anonymous:
        with pytest.raises(PermissionDeniedError):
            await anonymous.catalog.register(CatalogRegistration(node="n", address="10.0.0.1"))
        with pytest.raises(PermissionDeniedError):
            await anonymous.catalog.deregister(acl_agent.name)
        with pytest.raises(PermissionDeniedError):
            await anonymous.catalog.gateway_services("gateway")


# -- elsewhere -------------------------------------------------------------------------------------


async def test_a_view_registers_and_deregisters_in_its_datacenter(
    datacenters: Datacenters, name: str
) -> None:
    async with ConsulClient(datacenters.dc1.url) as c:
        away = c.using(datacenter="dc2")
        registration = CatalogRegistration(node=name, address="10.0.0.1")

        await away.catalog.register(registration)
        there, here = await away.catalog.node(name), await c.catalog.node(name)
        await away.catalog.deregister(name)

        assert there is not None
        assert (there.node.datacenter, here) == ("dc2", None)
        assert await away.catalog.node(name) is None


async def test_a_registration_that_names_its_datacenter_goes_there(
    datacenters: Datacenters, name: str
) -> None:
    async with ConsulClient(datacenters.dc1.url) as c:
        for view in (c, c.using(datacenter="dc1")):
            await view.catalog.register(
                CatalogRegistration(node=name, address="10.0.0.1", datacenter="dc2")
            )
            there = await c.using(datacenter="dc2").catalog.node(name)
            await c.using(datacenter="dc2").catalog.deregister(name)

            assert there is not None
            assert await c.catalog.node(name) is None


async def test_an_unknown_datacenter_is_an_error(c: ConsulClient) -> None:
    nowhere = c.using(datacenter="nowhere")

    with pytest.raises(UnknownDatacenterError):
        await nowhere.catalog.register(CatalogRegistration(node="n", address="10.0.0.1"))
    with pytest.raises(UnknownDatacenterError):
        await nowhere.catalog.deregister("n")
    with pytest.raises(UnknownDatacenterError):
        await nowhere.catalog.nodes()
