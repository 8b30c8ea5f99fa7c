"""The agent itself, as a real one answers."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote
from uuid import uuid4

import pytest
from pydantic import SecretStr

from consul_onex import (
    BadRequestError,
    ConsulClient,
    Cursor,
    InvalidRequestError,
    NotFoundError,
    PermissionDeniedError,
    ServerError,
    UnsupportedEndpointError,
)
from consul_onex.models.agent import AgentHost, AgentMetrics
from consul_onex.models.check import HealthCheck
from tests.contract.conftest import Recorder
from tests.support import agents
from tests.support.agents import Agent, Cluster
from tests.support.lossless import lost


@pytest.fixture(scope="module")
def own(consul_binary: Path) -> Iterator[Agent]:
    """An agent that these tests may put out of service, and that speaks to Prometheus."""
    telemetry = {"telemetry": {"prometheus_retention_time": "60s"}}
    with agents.dev_agent(binary=consul_binary, extra=telemetry) as started:
        yield started


@pytest.fixture
async def mine(own: Agent) -> AsyncIterator[ConsulClient]:
    async with ConsulClient(own.url) as client:
        yield client


# -- what it says of itself ------------------------------------------------------------------------


async def test_an_agent_knows_itself(c: ConsulClient) -> None:
    myself = await c.agent.self()

    assert (myself.config.datacenter, myself.config.version) == ("dc1", "1.8.7")
    assert myself.config.server is True
    assert myself.member.name == myself.config.node_name
    assert myself.member.tags["role"] == "consul"
    assert myself.coord is not None
    assert len(myself.coord.vec) == 8
    assert myself.stats["consul"]["server"] == "true"
    assert myself.debug_config["ACLsEnabled"] is False
    assert myself.xds is None


async def test_nothing_it_says_of_itself_is_lost(mine: ConsulClient) -> None:
    said = (await mine.request("GET", "/v1/agent/self")).json()
    myself = await mine.agent.self()

    # What counts goes on counting between two reads.
    for changing in ("Stats", "Coord"):
        assert said.pop(changing).keys() == myself.to_wire().pop(changing).keys()
    assert [lack for lack in lost(said, myself) if not lack.startswith((".Stats", ".Coord"))] == []


async def test_an_agent_knows_its_host(c: ConsulClient) -> None:
    host = await c.agent.host()

    assert host.memory["total"] > 0
    assert host.cpu[0]["cpu"] == 0
    assert host.host["os"] == "linux"
    assert host.disk["path"] == "/"
    assert host.collection_time > 1.7e18
    assert host.errors == []

    answer = await c.request("GET", "/v1/agent/host")
    assert lost(answer.json(), answer.parse(AgentHost)) == []


async def test_what_an_old_agent_does_not_have_is_unsupported(c: ConsulClient) -> None:
    for call in (c.agent.version, c.agent.metrics_certificates):
        with pytest.raises(UnsupportedEndpointError):
            await call()
    with pytest.raises(UnsupportedEndpointError):
        await c.agent.metrics_stream().__aenter__()


# -- what it measures ------------------------------------------------------------------------------


async def test_an_agent_measures_itself(c: ConsulClient) -> None:
    answer = await c.request("GET", "/v1/agent/metrics")
    metrics = await c.agent.metrics()

    assert metrics.timestamp is not None
    assert timedelta(0) <= datetime.now(UTC) - metrics.timestamp < timedelta(minutes=1)
    assert metrics.gauges
    assert any(counter.count and counter.rate for counter in metrics.counters)
    assert any(sample.mean > 0 for sample in metrics.samples)
    assert lost(answer.json(), answer.parse(AgentMetrics)) == []


async def test_prometheus_reads_text(mine: ConsulClient) -> None:
    assert "# TYPE consul_" in await mine.agent.prometheus()


async def test_an_agent_that_does_not_speak_to_prometheus_says_so(
    observed: ConsulClient, recorder: Recorder
) -> None:
    with pytest.raises(BadRequestError, match="retention time"):
        await observed.agent.prometheus()

    assert len(recorder.requests) == 1


# -- its cluster -----------------------------------------------------------------------------------


async def test_the_members_of_a_pool(c: ConsulClient, agent: Agent) -> None:
    members = await c.agent.members()

    assert [(member.name, member.port) for member in members] == [("dev", agent.ports.serf_lan)]
    assert members[0].status == 1
    assert lost((await c.request("GET", "/v1/agent/members")).json(), members) == []


async def test_the_members_of_the_wan_are_others(c: ConsulClient, agent: Agent) -> None:
    # They are not where the flag is empty, as other flags are.
    members = await c.agent.members(wan=True)

    assert [(m.name, m.port) for m in members] == [("dev.dc1", agent.ports.serf_wan)]


async def test_segments_are_not_for_everybody(observed: ConsulClient, recorder: Recorder) -> None:
    assert len(await observed.agent.members(segment="_all")) == 1

    with pytest.raises(BadRequestError, match="Network segments are not supported"):
        await observed.agent.members(segment="alpha")
    assert len(recorder.requests) == 2


async def test_what_an_old_agent_would_ignore_is_refused(c: ConsulClient) -> None:
    with pytest.raises(InvalidRequestError, match="a filter of members"):
        await c.agent.members(filter="Status == 1")
    with pytest.raises(InvalidRequestError, match="wan=True of a forced leave"):
        await c.agent.force_leave("n1.dc1", wan=True)


async def test_joining_a_member_again_is_fine(mine: ConsulClient, own: Agent) -> None:
    await mine.agent.join(f"127.0.0.1:{own.ports.serf_lan}")
    await mine.agent.join(f"127.0.0.1:{own.ports.serf_wan}", wan=True)

    assert len(await mine.agent.members()) == 1


@pytest.mark.parametrize(
    ("nowhere", "problem"),
    [
        ("127.0.0.1:1", "Failed to join"),
        ("[::1]:1", "Failed to join"),
        ("not a host.invalid", "Failed to "),
        ("a?b#c%", "Failed to "),
    ],
)
async def test_where_nobody_answers_nobody_can_be_joined(
    observed: ConsulClient, recorder: Recorder, nowhere: str, problem: str
) -> None:
    with pytest.raises(ServerError, match=problem):
        await observed.agent.join(nowhere)

    assert len(recorder.requests) == 1


@pytest.mark.parametrize("node", [{"prune": True}, {"prune": False}], ids=str)
async def test_a_node_that_is_no_member_cannot_be_made_to_leave(
    c: ConsulClient, node: dict[str, bool]
) -> None:
    with pytest.raises(BadRequestError, match=re.escape("name 'a/b ?#%ü'")):
        await c.agent.force_leave("a/b ?#%ü", **node)


async def test_a_client_agent_joins_leaves_and_is_forgotten(cluster: Cluster) -> None:
    server, client = cluster.servers[0], cluster.clients[0]
    async with ConsulClient(server.url) as at_server, ConsulClient(client.url) as at_client:
        assert await at_client.agent.members(wan=True) == []
        assert (await at_client.agent.self()).config.server is False
        with pytest.raises(BadRequestError, match="Must be a server"):
            await at_client.agent.join("127.0.0.1:1", wan=True)
        with pytest.raises(BadRequestError, match='segment "alpha" not found'):
            await at_client.agent.members(segment="alpha")
        with pytest.raises(BadRequestError, match="Connect must be enabled"):
            await at_client.agent.connect_ca_roots()

        await at_client.agent.leave()

        assert client.wait_exit() == 0
        status = {member.name: member.status for member in await at_server.agent.members()}
        assert status["client-1"] == 3
        await at_server.agent.force_leave("client-1", prune=True)
        assert "client-1" not in [member.name for member in await at_server.agent.members()]


async def test_a_server_has_the_time_it_takes_to_leave(consul_binary: Path) -> None:
    extra = {"performance": {"leave_drain_time": "500ms"}}
    with agents.single_agent(binary=consul_binary, extra=extra) as leaving:
        # It takes longer than any other answer may.
        async with ConsulClient(leaving.url, attempt_timeout=0.9) as c:
            await c.agent.leave()

        assert leaving.wait_exit() == 0


# -- its state -------------------------------------------------------------------------------------


async def node_maintenance(c: ConsulClient) -> HealthCheck | None:
    return (await c.agent.checks()).get("_node_maintenance")


async def test_a_node_is_put_out_of_service_and_back(mine: ConsulClient) -> None:
    await mine.agent.maintenance(True, "new disk & fan?")
    await mine.agent.maintenance(True, "another reason")
    check = await node_maintenance(mine)
    await mine.agent.maintenance(False)
    await mine.agent.maintenance(False)

    assert check is not None
    assert (check.status, check.notes, check.type) == (
        "critical",
        "new disk & fan?",
        "maintenance",
    )
    assert await node_maintenance(mine) is None


async def test_without_a_reason_consul_gives_one(mine: ConsulClient) -> None:
    await mine.agent.maintenance(True)
    check = await node_maintenance(mine)
    await mine.agent.maintenance(False)

    assert check is not None
    assert "no reason was provided" in check.notes


async def test_an_agent_reads_its_configuration_again(fresh_agent: Agent) -> None:
    file = fresh_agent.directory / "agent.json"
    async with ConsulClient(fresh_agent.url) as c:
        file.write_text(json.dumps({**fresh_agent.config, "services": [{"name": "configured"}]}))
        await c.agent.reload()
        assert set(await c.agent.services()) == {"configured"}

        file.write_text(json.dumps({**fresh_agent.config, "bogus": 1}))
        with pytest.raises(ServerError, match="invalid config key bogus"):
            await c.agent.reload()

        file.write_text(json.dumps({**fresh_agent.config, "services": [{"name": ""}]}))
        with pytest.raises(ServerError, match="Failed reloading services"):
            await c.agent.reload()


# -- its tokens ------------------------------------------------------------------------------------


@pytest.fixture
def denying(consul_binary: Path) -> Iterator[Agent]:
    """An agent that denies by default, whose own tokens a test may change."""
    with agents.acl_agent(binary=consul_binary) as started:
        yield started


async def test_an_agent_uses_the_token_that_it_is_given(denying: Agent) -> None:
    assert denying.token is not None
    async with ConsulClient(denying.url, token=denying.token) as c, ConsulClient(denying.url) as no:
        await c.agent.set_token("default", SecretStr(denying.token))
        assert (await no.agent.host()).memory

        await c.agent.set_token("default", "")
        with pytest.raises(PermissionDeniedError):
            await no.agent.host()


async def test_the_recovery_token_has_another_name_at_old_agents(denying: Agent) -> None:
    recovery = str(uuid4())
    async with ConsulClient(denying.url, token=denying.token) as c:
        await c.agent.set_token("agent_recovery", recovery)

        assert (await c.using(token=recovery).agent.self()).config.version == "1.8.7"


async def test_a_kind_of_token_that_the_agent_does_not_know(denying: Agent) -> None:
    async with ConsulClient(denying.url, token=denying.token) as c:
        for kind in ("dns", "config_file_service_registration", "a/b ?#%ü"):
            with pytest.raises(NotFoundError, match="is unknown"):
                await c.agent.set_token(kind, "5f")


async def test_without_acls_an_agent_takes_no_token(c: ConsulClient) -> None:
    with pytest.raises(PermissionDeniedError, match="ACL support disabled"):
        await c.agent.set_token("agent_recovery", "5f")


async def test_what_a_token_may_not_do_is_denied(acl_agent: Agent) -> None:
    async with ConsulClient(acl_agent.url, token=str(uuid4())) as c:
        for call in (
            c.agent.self,
            c.agent.host,
            c.agent.metrics,
            c.agent.prometheus,
            c.agent.members,
            c.agent.services,
            c.agent.checks,
            c.agent.reload,
            c.agent.leave,
        ):
            with pytest.raises(PermissionDeniedError):
                await call()


# -- the service mesh ------------------------------------------------------------------------------


async def test_what_the_mesh_trusts(c: ConsulClient) -> None:
    cursor = Cursor()
    roots = await c.agent.connect_ca_roots(cursor)

    assert cursor.index is not None
    assert [root.id for root in roots.roots if root.active] == [roots.active_root_id]
    assert lost((await c.request("GET", "/v1/agent/connect/ca/roots")).json(), roots) == []


@pytest.mark.parametrize("service", ["web", "a b?#%ü"])
async def test_the_certificate_of_a_service(c: ConsulClient, service: str) -> None:
    cursor = Cursor()
    leaf = await c.agent.connect_ca_leaf(service, cursor)

    assert cursor.index is not None
    assert leaf.service == service
    assert leaf.cert_pem.startswith("-----BEGIN CERTIFICATE-----")
    assert "PRIVATE KEY" in leaf.private_key_pem.get_secret_value()
    assert "PRIVATE KEY" not in repr(leaf)
    path = f"/v1/agent/connect/ca/leaf/{quote(service, safe='')}"
    assert lost((await c.request("GET", path)).json(), leaf) == []


async def test_certificates_can_be_waited_for(observed: ConsulClient, recorder: Recorder) -> None:
    roots, leaf = Cursor(wait=0.1), Cursor(wait=0.1)

    trusted = await observed.agent.connect_ca_roots(roots)
    mine = await observed.agent.connect_ca_leaf("web", leaf)

    assert await observed.agent.connect_ca_roots(roots) == trusted
    assert await observed.agent.connect_ca_leaf("web", leaf) == mine
    assert [request.url.params["wait"] for request in recorder.blocking] == ["100ms", "100ms"]


async def test_a_service_whose_name_is_no_spiffe_id_has_no_certificate(c: ConsulClient) -> None:
    with pytest.raises(BadRequestError, match="SPIFFE ID is not in the expected format"):
        await c.agent.connect_ca_leaf("a/b")


async def test_who_is_let_in(c: ConsulClient) -> None:
    roots = await c.agent.connect_ca_roots()
    web = f"spiffe://{roots.trust_domain}/ns/default/dc/dc1/svc/web"

    decision = await c.agent.connect_authorize("db", web, "04:0a")

    assert decision.authorized is True
    assert decision.reason
    for target, uri in (("", web), ("db", "web")):
        with pytest.raises(BadRequestError):
            await c.agent.connect_authorize(target, uri, "04:0a")


async def test_who_is_not_let_in(acl_agent: Agent) -> None:
    async with ConsulClient(acl_agent.url, token=acl_agent.token) as c:
        roots = await c.agent.connect_ca_roots()
        web = f"spiffe://{roots.trust_domain}/ns/default/dc/dc1/svc/web"

        decision = await c.agent.connect_authorize(f"db-{uuid4().hex}", web, "04:0a")

    assert decision.authorized is False
