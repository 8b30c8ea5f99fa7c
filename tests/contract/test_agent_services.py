"""Services of an agent, as a real one keeps them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import pytest
from pydantic import SecretStr

from consul_onex import (
    BadRequestError,
    ConsulClient,
    InvalidRequestError,
    NotFoundError,
    PermissionDeniedError,
)
from consul_onex.models.agent import AgentHealth
from consul_onex.models.check import Check
from consul_onex.models.service import (
    AgentService,
    Connect,
    Expose,
    ExposePath,
    Locality,
    MeshGateway,
    Proxy,
    ServiceAddress,
    ServicePort,
    ServiceRegistration,
    Upstream,
    Weights,
)
from tests.contract.conftest import Recorder
from tests.support.agents import Agent
from tests.support.lossless import lost


@pytest.fixture
async def name(c: ConsulClient) -> AsyncIterator[str]:
    """A name of the test's own; what is registered under it, or begins with it, goes afterwards."""
    mine = f"web-{uuid4().hex}"
    yield mine
    for service_id in await c.agent.services(filter=f'ID matches "^{mine}"'):
        await c.agent.deregister(service_id)


def path_of(service_id: str) -> str:
    return f"/v1/agent/service/{quote(service_id, safe='')}"


async def read(c: ConsulClient, service_id: str) -> AgentService:
    """The service; nothing that Consul says of it is lost."""
    service = await c.agent.service(service_id)
    assert service is not None
    assert lost((await c.request("GET", path_of(service_id))).json(), service) == []
    return service


async def health(c: ConsulClient, service_id: str) -> AgentHealth:
    found = await c.agent.health(service_id)
    assert found is not None
    return found


# -- registered, changed, gone ---------------------------------------------------------------------


async def test_a_service_is_as_it_was_registered(c: ConsulClient, name: str) -> None:
    await c.agent.register(
        ServiceRegistration(
            name=name,
            id=f"{name}-1",
            tags=["v2", "käse"],
            address="10.0.0.5",
            port=8080,
            tagged_addresses={"wan": ServiceAddress(address="198.51.100.53", port=80)},
            meta={"version": "2"},
            weights=Weights(passing=10, warning=2),
            enable_tag_override=True,
        )
    )

    service = await read(c, f"{name}-1")

    assert (service.id, service.service, service.kind) == (f"{name}-1", name, "")
    assert (service.address, service.port) == ("10.0.0.5", 8080)
    assert service.tags == ["v2", "käse"]
    assert service.meta == {"version": "2"}
    assert service.weights == Weights(passing=10, warning=2)
    assert service.enable_tag_override is True
    assert service.tagged_addresses["wan"] == ServiceAddress(address="198.51.100.53", port=80)
    assert service.tagged_addresses["lan_ipv4"] == ServiceAddress(address="10.0.0.5", port=8080)
    assert service.content_hash


async def test_one_of_which_only_the_name_is_known(c: ConsulClient, name: str) -> None:
    await c.agent.register(ServiceRegistration(name=name))

    assert await read(c, name) == AgentService(
        id=name,
        service=name,
        weights=Weights(passing=1, warning=1),
        content_hash=(await read(c, name)).content_hash,
    )


async def test_services_are_listed_by_id_and_can_be_filtered(c: ConsulClient, name: str) -> None:
    for n in ("1", "2"):
        await c.agent.register(ServiceRegistration(name=name, id=name + n, tags=[n]))
    await c.agent.register(ServiceRegistration(name=f"{name}-other"))

    assert {name + "1", name + "2", f"{name}-other"} <= (await c.agent.services()).keys()
    expression = f'Service == "{name}" and "2" in Tags'
    found = await c.agent.services(filter=expression)
    assert found.keys() == {name + "2"}
    answer = await c.request("GET", "/v1/agent/services", params={"filter": expression})
    assert lost(answer.json(), found) == []
    assert await c.agent.services(filter=f'Service == "{name}-none"') == {}


async def test_a_filter_that_is_none_is_a_bad_request_and_sent_once(
    observed: ConsulClient, recorder: Recorder
) -> None:
    with pytest.raises(BadRequestError):
        await observed.agent.services(filter="bad ==")
    with pytest.raises(BadRequestError):
        await observed.agent.checks(filter="bad ==")

    assert len(recorder.requests) == 2


@pytest.mark.parametrize(
    "odd",
    ["a/b", "a b", "a?b", "a#b", "100%", "%2F", "käse", "日本", "a+b&c=d;e", "'\"<>\\", ":80", "-"],
)
async def test_any_id_comes_back_as_it_was(c: ConsulClient, name: str, odd: str) -> None:
    service_id = name + odd
    await c.agent.register(
        ServiceRegistration(name=service_id, id=service_id, check=Check.ttl(60, status="passing"))
    )

    assert (await read(c, service_id)).service == service_id
    assert (await health(c, service_id)).aggregated_status == "passing"
    [by_name] = await c.agent.health_by_name(service_id)
    assert by_name.service is not None
    assert by_name.service.id == service_id

    await c.agent.check_warn(f"service:{service_id}", odd)
    await c.agent.service_maintenance(service_id, True, odd)
    notes = {check.check_id: check.notes for check in (await health(c, service_id)).checks}
    outputs = {check.check_id: check.output for check in (await health(c, service_id)).checks}
    assert notes[f"_service_maintenance:{service_id}"] == odd
    assert outputs[f"service:{service_id}"] == odd

    await c.agent.deregister(service_id)
    assert await c.agent.service(service_id) is None
    assert service_id not in await c.agent.services()


@pytest.mark.parametrize("wrong", ["", ".", "a/../b", "a//b", "/a", "a\n", "\ud800"])
async def test_an_id_that_no_url_can_name_is_refused(c: ConsulClient, wrong: str) -> None:
    for call in (
        c.agent.service,
        c.agent.health,
        c.agent.health_by_name,
        c.agent.deregister,
        c.agent.deregister_check,
        c.agent.check_pass,
        c.agent.force_leave,
        c.agent.join,
        c.agent.connect_ca_leaf,
    ):
        with pytest.raises(InvalidRequestError):
            await call(wrong)


async def test_registering_again_changes_what_was_there(c: ConsulClient, name: str) -> None:
    await c.agent.register(ServiceRegistration(name=name, port=1, tags=["old"]))
    before = await read(c, name)
    await c.agent.register(ServiceRegistration(name=name, port=2))
    after = await read(c, name)

    assert (after.port, after.tags) == (2, [])
    assert after.content_hash != before.content_hash


async def test_a_check_keeps_its_state_when_its_service_is_registered_again(
    c: ConsulClient, name: str
) -> None:
    registration = ServiceRegistration(name=name, check=Check.ttl(60))
    await c.agent.register(registration)
    await c.agent.check_pass(f"service:{name}")
    await c.agent.register(registration)

    assert (await health(c, name)).aggregated_status == "passing"


async def test_checks_that_are_not_named_any_more_stay_unless_replaced(
    c: ConsulClient, name: str
) -> None:
    async def ids() -> set[str]:
        return {check.check_id for check in (await health(c, name)).checks}

    two = [Check.ttl(60, id=f"{name}-a"), Check.ttl(60, id=f"{name}-b")]
    await c.agent.register(ServiceRegistration(name=name, checks=two))
    await c.agent.register(ServiceRegistration(name=name, checks=two[:1]))
    assert await ids() == {f"{name}-a", f"{name}-b"}

    await c.agent.register(
        ServiceRegistration(name=name, checks=two[:1]), replace_existing_checks=True
    )
    assert await ids() == {f"{name}-a"}


async def test_deregistering_what_is_not_there_is_fine(c: ConsulClient, acl_agent: Agent) -> None:
    await c.agent.deregister(f"none-{uuid4().hex}")

    # With ACLs the same agent says otherwise.
    async with ConsulClient(acl_agent.url, token=acl_agent.token) as denying:
        await denying.agent.deregister(f"none-{uuid4().hex}")
        await denying.agent.deregister_check(f"none-{uuid4().hex}")


async def test_what_a_token_may_not_register_or_remove_is_denied(acl_agent: Agent) -> None:
    name = f"web-{uuid4().hex}"
    async with (
        ConsulClient(acl_agent.url, token=acl_agent.token) as c,
        ConsulClient(acl_agent.url) as anonymous,
    ):
        with pytest.raises(PermissionDeniedError):
            await anonymous.agent.register(ServiceRegistration(name=name))
        await c.agent.register(ServiceRegistration(name=name, check=Check.ttl(60)))
        for call in (
            anonymous.agent.service,
            anonymous.agent.health,
            anonymous.agent.health_by_name,
            anonymous.agent.deregister,
        ):
            with pytest.raises(PermissionDeniedError):
                await call(name)
        with pytest.raises(PermissionDeniedError):
            await anonymous.agent.check_pass(f"service:{name}")
        assert await anonymous.agent.services() == {}

        await c.agent.deregister(name)
        assert await c.agent.service(name) is None


# -- kinds of services -----------------------------------------------------------------------------


async def test_a_sidecar_is_registered_along(c: ConsulClient, name: str) -> None:
    await c.agent.register(
        ServiceRegistration(
            name=name, port=8080, connect=Connect(sidecar_service=ServiceRegistration())
        )
    )

    service, sidecar = await read(c, name), await read(c, f"{name}-sidecar-proxy")

    assert service.connect is None
    assert sidecar.kind == "connect-proxy"
    assert sidecar.port > 0
    assert sidecar.proxy is not None
    assert sidecar.proxy.destination_service_id == name
    assert sidecar.proxy.local_service_port == 8080
    checks = await c.agent.checks(filter=f'ServiceID == "{name}-sidecar-proxy"')
    assert sorted(check.type for check in checks.values()) == ["alias", "tcp"]


async def test_a_service_that_speaks_the_meshs_tls_itself(c: ConsulClient, name: str) -> None:
    await c.agent.register(ServiceRegistration(name=name, connect=Connect(native=True)))

    assert (await read(c, name)).connect == Connect(native=True)


async def test_a_proxy_and_what_it_makes_reachable(c: ConsulClient, name: str) -> None:
    proxy = Proxy(
        destination_service_name="web",
        destination_service_id="web1",
        local_service_address="127.0.0.1",
        local_service_port=9090,
        config={"handshake_timeout_ms": 1000, "nested": {"list": [1, "two", None]}},
        upstreams=[
            Upstream(
                destination_type="service",
                destination_name="db",
                datacenter="dc1",
                local_bind_address="127.0.0.2",
                local_bind_port=9191,
                config={"connect_timeout_ms": 500},
                mesh_gateway=MeshGateway(mode="none"),
            ),
            Upstream(destination_type="prepared_query", destination_name="q", local_bind_port=9192),
        ],
        mesh_gateway=MeshGateway(mode="local"),
        expose=Expose(
            checks=True,
            paths=[ExposePath(path="/health", local_path_port=8080, listener_port=21500)],
        ),
    )
    await c.agent.register(
        ServiceRegistration(name=name, kind="connect-proxy", port=8443, proxy=proxy)
    )

    service = await read(c, name)

    assert service.kind == "connect-proxy"
    assert service.proxy is not None
    assert service.proxy.config == proxy.config
    assert [(u.destination_name, u.local_bind_port) for u in service.proxy.upstreams] == [
        ("db", 9191),
        ("q", 9192),
    ]
    assert service.proxy.upstreams[0] == proxy.upstreams[0]
    assert service.proxy.mesh_gateway == MeshGateway(mode="local")
    assert service.proxy.expose is not None
    assert service.proxy.expose.paths[0].path == "/health"


# -- what is refused -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wrong",
    [
        {"address": "0.0.0.0"},
        {"meta": {"a b": "c"}},
        {"meta": {"": "c"}},
        {"meta": {"a": "b" * 513}},
        {"weights": Weights(passing=0, warning=0)},
        {"weights": Weights(passing=-1, warning=1)},
        {"kind": "connect-proxy"},
        {"check": Check(notes="of no kind")},
        {"check": Check.ttl(1, token=SecretStr("5f"))},
        # Too new for 1.8.
        {"ports": [ServicePort(name="http", port=80)]},
        {"socket_path": "/run/web.sock"},
        {"locality": Locality(region="eu")},
        {"partition": "part"},
        {"namespace": "team"},
    ],
    ids=str,
)
async def test_what_an_agent_does_not_take_is_a_bad_request_and_sent_once(
    observed: ConsulClient, recorder: Recorder, name: str, wrong: dict[str, Any]
) -> None:
    with pytest.raises(BadRequestError):
        await observed.agent.register(ServiceRegistration(name=name, **wrong))

    assert len(recorder.requests) == 1
    assert await observed.agent.service(name) is None


async def test_a_service_without_a_name_is_refused_here(
    observed: ConsulClient, recorder: Recorder
) -> None:
    with pytest.raises(InvalidRequestError, match=r"^agent\.register: .* must have a name"):
        await observed.agent.register(ServiceRegistration(port=80))

    assert recorder.requests == []


async def test_a_port_that_is_none_can_be_read_all_the_same(c: ConsulClient, name: str) -> None:
    # Somebody else's registration, which must not spoil the list for all.
    body = {"Name": name, "Address": "10.0.0.5", "Port": 99_999}
    await c.request("PUT", "/v1/agent/service/register", json=body)

    assert (await c.agent.services())[name].tagged_addresses["lan_ipv4"].port == 99_999


# -- how they are ----------------------------------------------------------------------------------


async def test_a_service_is_as_its_worst_check(c: ConsulClient, name: str) -> None:
    first, second = f"{name}-a", f"{name}-b"
    await c.agent.register(
        ServiceRegistration(
            name=name,
            checks=[
                Check.ttl(60, id=first, status="passing"),
                Check.ttl(60, id=second, status="passing"),
            ],
        )
    )

    async def status() -> str:
        found = await health(c, name)
        assert found.service == (await c.agent.services())[name]
        return found.aggregated_status

    assert await status() == "passing"
    await c.agent.check_warn(first)
    assert await status() == "warning"
    await c.agent.check_fail(second)
    assert await status() == "critical"
    await c.agent.service_maintenance(name, True)
    assert await status() == "maintenance"
    await c.agent.service_maintenance(name, False)
    await c.agent.check_pass(first)
    await c.agent.check_pass(second)
    assert await status() == "passing"


async def test_nothing_of_a_services_health_is_lost(c: ConsulClient, name: str) -> None:
    await c.agent.register(ServiceRegistration(name=name, check=Check.ttl(60, status="passing")))

    by_id = (await c.request("GET", f"/v1/agent/health/service/id/{name}")).json()
    by_name = (await c.request("GET", f"/v1/agent/health/service/name/{name}")).json()

    assert lost(by_id, await c.agent.health(name)) == []
    assert lost(by_name, await c.agent.health_by_name(name)) == []


async def test_the_health_of_all_that_have_a_name(
    observed: ConsulClient, recorder: Recorder, name: str
) -> None:
    for n, status in (("1", "passing"), ("2", "critical")):
        await observed.agent.register(
            ServiceRegistration(name=name, id=name + n, check=Check.ttl(60, status=status))
        )
    sent = len(recorder.requests)

    found = await observed.agent.health_by_name(name)

    assert {one.service and one.service.id: one.aggregated_status for one in found} == {
        name + "1": "passing",
        name + "2": "critical",
    }
    assert len(recorder.requests) == sent + 1


async def test_a_service_without_checks_is_well(c: ConsulClient, name: str) -> None:
    await c.agent.register(ServiceRegistration(name=name))

    found = await health(c, name)

    assert (found.aggregated_status, found.checks) == ("passing", [])


async def test_what_is_not_there_has_no_health(c: ConsulClient) -> None:
    nobody = f"none-{uuid4().hex}"

    assert await c.agent.service(nobody) is None
    assert await c.agent.health(nobody) is None
    assert await c.agent.health_by_name(nobody) == []


async def test_what_is_not_there_cannot_be_put_out_of_service(
    c: ConsulClient, acl_agent: Agent
) -> None:
    async with ConsulClient(acl_agent.url, token=acl_agent.token) as denying:
        for client in (c, denying):
            for enable in (True, False):
                with pytest.raises(NotFoundError):
                    await client.agent.service_maintenance(f"none-{uuid4().hex}", enable)
