"""
Typical uses of every part of the API, with the types they have, and wrong ones.

Only mypy and pyright read this. To both, an ignored error that is none is an error.
"""

from __future__ import annotations

# pyright: reportUnnecessaryTypeIgnoreComment=true
from datetime import datetime
from pathlib import Path
from typing import Any, assert_type

from pydantic import SecretStr

from consul_onex import ConsulClient, Cursor, KVPair, Watch
from consul_onex.api.txn import Transaction
from consul_onex.models.acl import (
    ACLAuthMethod,
    ACLAuthorization,
    ACLBindingRule,
    ACLPolicy,
    ACLReplication,
    ACLRole,
    ACLToken,
    ACLTokenExpanded,
    TemplatedPolicy,
)
from consul_onex.models.agent import (
    AgentHealth,
    AgentHost,
    AgentMember,
    AgentMetrics,
    AgentSelf,
    AgentVersion,
    CertificateReport,
    ConnectAuthorization,
)
from consul_onex.models.catalog import (
    CatalogNode,
    CatalogNodeServices,
    CatalogRegistration,
    CatalogService,
    GatewayService,
    Node,
)
from consul_onex.models.check import Check, HealthCheck
from consul_onex.models.config import (
    ConfigEntry,
    OtherConfigEntry,
    ServiceDefaults,
    ServiceResolver,
)
from consul_onex.models.connect import CAConfiguration, CARoots, Intention, LeafCert
from consul_onex.models.coordinate import CoordinateDatacenter, CoordinateEntry
from consul_onex.models.discovery_chain import DiscoveryChain
from consul_onex.models.event import UserEvent
from consul_onex.models.health import ServiceEntry, ServiceInstance
from consul_onex.models.namespace import Namespace
from consul_onex.models.operator import (
    AutopilotConfiguration,
    AutopilotHealth,
    AutopilotState,
    RaftConfiguration,
)
from consul_onex.models.partition import Partition
from consul_onex.models.peering import Peering
from consul_onex.models.query import PreparedQuery, QueryResult, ServiceQuery
from consul_onex.models.service import AgentService, ServiceRegistration
from consul_onex.models.session import ServiceCheck, SessionEntry
from consul_onex.models.snapshot import SnapshotInfo
from consul_onex.models.txn import TxnResult


async def the_agent(c: ConsulClient) -> None:
    assert_type(await c.agent.self(), AgentSelf)
    assert_type(await c.agent.host(), AgentHost)
    assert_type(await c.agent.version(), AgentVersion)
    assert_type(await c.agent.members(wan=True), list[AgentMember])
    assert_type(await c.agent.metrics(), AgentMetrics)
    assert_type(await c.agent.prometheus(), str)
    assert_type(await c.agent.metrics_certificates(), CertificateReport)
    assert_type(await c.agent.services(filter="Service == web"), dict[str, AgentService])
    assert_type(await c.agent.service("web-1"), AgentService | None)
    assert_type(await c.agent.health("web-1"), AgentHealth | None)
    assert_type(await c.agent.health_by_name("web"), list[AgentHealth])
    assert_type(await c.agent.checks(), dict[str, HealthCheck])
    assert_type(await c.agent.connect_authorize("db", "spiffe://x", "01"), ConnectAuthorization)
    assert_type(await c.agent.connect_ca_roots(), CARoots)
    assert_type(await c.agent.connect_ca_leaf("web", cursor=Cursor()), LeafCert)
    await c.agent.set_token("default", SecretStr("t"))
    await c.agent.maintenance(True, "upgrade")
    await c.agent.check_pass("web-1", note="fine")
    async with c.agent.monitor(level="debug") as lines:
        async for line in lines:
            assert_type(line, str)
    async with c.agent.metrics_stream() as documents:
        async for document in documents:
            assert_type(document, AgentMetrics)

    (await c.agent.service("web-1")).address  # type: ignore[union-attr]  # noqa: B018
    await c.agent.service(5)  # type: ignore[arg-type]
    await c.agent.check_update("web-1", status=None)  # type: ignore[arg-type]
    await c.agent.register({"Name": "web"})  # type: ignore[arg-type]
    c.agent.monitor("debug")  # type: ignore[call-arg]


async def registrations(c: ConsulClient) -> None:
    check = assert_type(Check.http("http://10.0.0.5/health", interval=10, timeout=2), Check)
    web = ServiceRegistration(name="web", port=8080, tags=["v1"], checks=[check])
    assert_type(web.replace(port=8081), ServiceRegistration)
    assert_type(web.body(), bytes)
    assert_type(web.to_wire(), dict[str, Any])
    await c.agent.register(web, replace_existing_checks=True)
    await c.agent.register_check(Check.ttl(15, name="beat"))

    Check.http("http://10.0.0.5/health")  # type: ignore[call-arg]
    Check.ttl("15s")  # type: ignore[arg-type]
    Check.ttl(15, sattus="passing")  # type: ignore[call-arg]
    ServiceRegistration(name="web", port="8080")  # type: ignore[arg-type]
    ServiceRegistration(name="web", prot=8080)  # type: ignore[call-arg]
    ServiceRegistration(name=None)  # type: ignore[arg-type]
    web.replace().register()  # type: ignore[attr-defined]
    Check(interval="10s")  # type: ignore[arg-type]


async def the_catalog(c: ConsulClient) -> None:
    registration = CatalogRegistration(node="n1", address="10.0.0.5")
    assert_type(await c.catalog.register(registration), bool)
    assert_type(await c.catalog.deregister("n1", service_id="web-1"), bool)
    assert_type(await c.catalog.nodes(near="_agent", node_meta={"rack": "1"}), list[Node])
    assert_type(await c.catalog.services(), dict[str, list[str]])
    assert_type(await c.catalog.service("web", tag=["a", "b"]), list[CatalogService])
    assert_type(await c.catalog.connect("web"), list[CatalogService])
    assert_type(await c.catalog.node("n1"), CatalogNode | None)
    assert_type(await c.catalog.node_services("n1"), CatalogNodeServices | None)
    assert_type(await c.catalog.gateway_services("edge"), list[GatewayService])

    await c.catalog.service("web", tags="a")  # type: ignore[call-arg]
    await c.catalog.service()  # type: ignore[call-arg]
    await c.catalog.nodes(node_meta="rack:1")  # type: ignore[arg-type]
    await c.catalog.deregister("n1", "web-1")  # type: ignore[call-arg]


async def who_is_well(c: ConsulClient) -> None:
    entries = assert_type(await c.health.service("web", passing=True), list[ServiceEntry])
    assert_type(entries[0].node, Node)
    assert_type(entries[0].service, AgentService)
    assert_type(entries[0].checks, list[HealthCheck])
    assert_type((entries[0].address, entries[0].port, entries[0].status), tuple[str, int, str])
    assert_type(await c.health.service("web", True, "v1", "_agent"), list[ServiceEntry])
    slim = assert_type(await c.health.instances("web", passing=True), list[ServiceInstance])
    assert_type((slim[0].address, slim[0].port, slim[0].weight), tuple[str, int, int])
    assert_type(c.watch(c.health.instances, "web"), Watch[list[ServiceInstance]])
    assert_type(await c.health.connect("web"), list[ServiceEntry])
    assert_type(await c.health.ingress("web"), list[ServiceEntry])
    assert_type(await c.health.node("n1"), list[HealthCheck])
    assert_type(await c.health.checks("web"), list[HealthCheck])
    assert_type(await c.health.state("critical"), list[HealthCheck])
    assert_type(c.watch(c.health.service, "web", passing=True), Watch[list[ServiceEntry]])

    await c.health.service("web", passing="yes")  # type: ignore[arg-type]
    c.watch(c.health.service, "web", passed=True)  # type: ignore[call-arg]
    entries[0].node = None  # type: ignore[assignment, misc]


async def sessions_and_events(c: ConsulClient) -> None:
    checks = [ServiceCheck(id="web-1")]
    assert_type(await c.session.create("job", ttl=15, service_checks=checks), str)
    assert_type(await c.session.renew("5f"), SessionEntry | None)
    assert_type(await c.session.info("5f"), SessionEntry | None)
    assert_type(await c.session.destroy("5f"), bool)
    assert_type(await c.session.list(), list[SessionEntry])
    assert_type(await c.event.fire("deploy", b"v2", service="web"), UserEvent)
    assert_type(await c.event.list(name="deploy"), list[UserEvent])
    assert_type(await c.coordinate.datacenters(), list[CoordinateDatacenter])
    assert_type(await c.coordinate.node("n1"), list[CoordinateEntry])

    await c.session.create(ttl="15s")  # type: ignore[arg-type]
    await c.session.create("job", 15)  # type: ignore[call-arg]
    await c.event.fire("deploy", {"v": 2})  # type: ignore[arg-type]


async def transactions_and_queries(c: ConsulClient) -> None:
    t = assert_type(c.txn.begin(), Transaction)
    t = assert_type(t.kv.set("a", b"1").kv.cas("b", "2", 7).kv.check_not_exists("c"), Transaction)
    result = assert_type(await t.commit(), TxnResult)
    assert_type(result.pairs, list[KVPair])
    assert_type(len(t), int)
    web = PreparedQuery(name="web", service=ServiceQuery(service="web"))
    assert_type(await c.query.create(web), str)
    assert_type(await c.query.get("5f"), PreparedQuery | None)
    assert_type(await c.query.list(), list[PreparedQuery])
    found = assert_type(await c.query.execute("web", near="_agent", limit=3), QueryResult)
    assert_type(found.nodes, list[ServiceEntry])
    assert_type(c.poll(c.query.execute, 10, "web"), Watch[QueryResult])

    t.kv.set("a", 1)  # type: ignore[arg-type]
    t.kv.cas("a", b"1")  # type: ignore[call-arg]
    await c.query.execute("web", limit="3")  # type: ignore[arg-type]
    c.poll(c.query.execute, "10", "web")  # type: ignore[arg-type]
    PreparedQuery(name="web", service="web")  # type: ignore[arg-type]


async def access(c: ConsulClient) -> None:
    token = assert_type(await c.acl.token.create(ACLToken(description="job")), ACLToken)
    assert_type(await c.acl.token.get("5f"), ACLToken | None)
    assert_type(await c.acl.token.expanded("5f"), ACLTokenExpanded | None)
    assert_type(await c.acl.token.update(token.replace(description="other")), ACLToken)
    assert_type(await c.acl.token.delete("5f"), bool)
    assert_type(await c.acl.token.list(policy="5f"), list[ACLToken])
    assert_type(await c.acl.policy.create(ACLPolicy(name="p", rules="")), ACLPolicy)
    assert_type(await c.acl.policy.get_by_name("p"), ACLPolicy | None)
    assert_type(await c.acl.role.list(), list[ACLRole])
    assert_type(await c.acl.auth_method.get("k8s"), ACLAuthMethod | None)
    assert_type(await c.acl.binding_rule.list(auth_method="k8s"), list[ACLBindingRule])
    assert_type(await c.acl.templated_policy.list(), dict[str, TemplatedPolicy])
    assert_type(await c.acl.login("k8s", SecretStr("jwt")), ACLToken)
    assert_type(await c.acl.replication(), ACLReplication)
    assert_type(await c.acl.authorize([]), list[ACLAuthorization])

    await c.acl.policy.create("p")  # type: ignore[arg-type]
    await c.acl.token.update("5f")  # type: ignore[arg-type]
    ACLPolicy(nmae="p")  # type: ignore[call-arg]
    ACLPolicy(rules="")  # type: ignore[call-arg]


async def the_mesh(c: ConsulClient) -> None:
    entry = assert_type(await c.config.get("service-defaults", "web"), ConfigEntry | None)
    if isinstance(entry, ServiceDefaults):
        assert_type(await c.config.put(entry.replace(protocol="http"), cas=7), bool)
    elif isinstance(entry, OtherConfigEntry):
        assert_type(entry.kind, str)
    assert_type(await c.config.list("service-resolver"), list[ConfigEntry])
    assert_type(await c.config.delete("service-defaults", "web"), bool)
    assert_type(await c.discovery_chain.get("web", override_protocol="http"), DiscoveryChain)
    assert_type(await c.connect.ca.roots(), CARoots)
    assert_type(await c.connect.ca.roots_pem(), str)
    assert_type(await c.connect.ca.configuration(), CAConfiguration)
    allow = Intention(source_name="web", destination_name="db", action="allow")
    assert_type(await c.connect.intention.put(allow), bool)
    assert_type(await c.connect.intention.get("web", "db"), Intention | None)
    assert_type(await c.connect.intention.list(), list[Intention])
    assert_type(await c.connect.intention.check("web", "db"), bool)
    assert_type(await c.connect.intention.match(["web", "db"]), dict[str, list[Intention]])

    ServiceResolver(name="web", connect_timeout="5s")  # type: ignore[arg-type]
    ServiceDefaults(protocol="http")  # type: ignore[call-arg]
    await c.config.put({"Kind": "service-defaults", "Name": "web"})  # type: ignore[arg-type]
    await c.connect.intention.get("web")  # type: ignore[call-arg]


async def the_cluster(c: ConsulClient) -> None:
    assert_type(await c.operator.raft.configuration(), RaftConfiguration)
    assert_type(await c.operator.raft.transfer_leader(), bool)
    autopilot = assert_type(await c.operator.autopilot.configuration(), AutopilotConfiguration)
    assert_type(await c.operator.autopilot.configure(autopilot, cas=7), bool)
    assert_type(await c.operator.autopilot.health(), AutopilotHealth)
    assert_type(await c.operator.autopilot.state(), AutopilotState)
    assert_type(await c.operator.segments(), list[str])
    assert_type(await c.peering.generate_token("west"), SecretStr)
    peering = assert_type(await c.peering.get("west"), Peering | None)
    if peering is not None:
        assert_type(peering.deleted_at, datetime | None)
    assert_type(await c.namespace.create(Namespace(name="team")), Namespace)
    assert_type(await c.partition.list(), list[Partition])

    await c.operator.raft.remove_peer("10.0.0.5:8300")  # type: ignore[call-arg]
    await c.operator.keyring.install(b"key")  # type: ignore[arg-type]
    await c.peering.establish("west")  # type: ignore[call-arg]
    await c.namespace.create("team")  # type: ignore[arg-type]


async def snapshots(c: ConsulClient) -> None:
    assert_type(await c.snapshot.save(Path("backup.snap")), SnapshotInfo)
    await c.snapshot.restore("backup.snap", progress=lambda sent: print(assert_type(sent, int)))
    async with c.snapshot.stream() as chunks:
        async for chunk in chunks:
            assert_type(chunk, bytes)

    await c.snapshot.save(5)  # type: ignore[arg-type]
    await c.snapshot.restore(None)  # type: ignore[arg-type]
