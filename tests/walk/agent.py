"""The agent itself."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from typing import Any, TypeVar

from pydantic import SecretStr

from consul_onex import Safety
from consul_onex.models.agent import (
    AgentConfig,
    AgentHealth,
    AgentHost,
    AgentMember,
    AgentMetrics,
    AgentSelf,
    AgentVersion,
    AgentXDS,
    AgentXDSPorts,
    CertificateExpiry,
    CertificateReport,
    CertificateSummary,
    CertificateThresholds,
    ConnectAuthorization,
    Gauge,
    Point,
    RenewalFailure,
    Sample,
)
from consul_onex.models.check import Check, HealthCheck
from consul_onex.models.connect import CARoot, CARoots
from consul_onex.models.coordinate import Coordinate
from consul_onex.models.service import (
    AgentService,
    Connect,
    ServiceAddress,
    ServiceRegistration,
    Weights,
)
from tests.walk.case import EMPTY, Case

T = TypeVar("T")

TENANCY = "ns partition"


async def all_of(opening: AbstractAsyncContextManager[AsyncIterator[T]]) -> list[T]:
    async with opening as pieces:
        return [piece async for piece in pieces]


def told(method: str, call: Any, sent: str, takes: str = TENANCY, **more: Any) -> Case:
    """A call that the agent answers with nothing."""
    more = {"answer": EMPTY, "result": None, "safety": Safety.IDEMPOTENT} | more
    return Case(method, call, f"PUT {sent}", takes=takes, local=True, **more)


MEMBER = {
    "Name": "n1",
    "Addr": "10.1.10.12",
    "Port": 8301,
    "Tags": {"role": "consul", "dc": "dc1"},
    "Status": 1,
    "ProtocolMin": 1,
    "ProtocolMax": 5,
    "ProtocolCur": 2,
    "DelegateMin": 2,
    "DelegateMax": 5,
    "DelegateCur": 4,
}
A_MEMBER = AgentMember(
    name="n1",
    addr="10.1.10.12",
    port=8301,
    tags={"role": "consul", "dc": "dc1"},
    status=1,
    protocol_min=1,
    protocol_max=5,
    protocol_cur=2,
    delegate_min=2,
    delegate_max=5,
    delegate_cur=4,
)

SERVICE = {
    "ID": "web1",
    "Service": "web",
    "Tags": ["rails"],
    "Meta": {},
    "Port": 80,
    "Address": "",
    "SocketPath": "",
    "TaggedAddresses": {"lan": {"Address": "127.0.0.1", "Port": 8000}},
    "Weights": {"Passing": 10, "Warning": 1},
    "EnableTagOverride": False,
    "Datacenter": "dc1",
}
A_SERVICE = AgentService(
    id="web1",
    service="web",
    tags=["rails"],
    port=80,
    socket_path="",
    tagged_addresses={"lan": ServiceAddress(address="127.0.0.1", port=8000)},
    weights=Weights(passing=10, warning=1),
    datacenter="dc1",
)

CHECK = {
    "Node": "n1",
    "CheckID": "service:web1",
    "Name": "Service 'web' check",
    "Status": "warning",
    "Notes": "",
    "Output": "TTL expired",
    "ServiceID": "web1",
    "ServiceName": "web",
    "ServiceTags": ["rails"],
    "Type": "ttl",
    "Interval": "10s",
    "Timeout": "1s",
    "ExposedPort": 0,
    "Definition": {},
    "CreateIndex": 0,
    "ModifyIndex": 0,
}
A_CHECK = HealthCheck(
    node="n1",
    check_id="service:web1",
    name="Service 'web' check",
    status="warning",
    output="TTL expired",
    service_id="web1",
    service_name="web",
    service_tags=["rails"],
    type="ttl",
    interval=10.0,
    timeout=1.0,
)

HEALTH = {"AggregatedStatus": "warning", "Service": SERVICE, "Checks": [CHECK]}
A_HEALTH = AgentHealth(aggregated_status="warning", service=A_SERVICE, checks=[A_CHECK])

METRICS = {
    "Timestamp": "2026-11-23 07:56:50 +0000 UTC",
    "Gauges": [{"Name": "consul.runtime.alloc_bytes", "Value": 4704344, "Labels": {"a": "{"}}],
    "Points": [{"Name": "consul.p", "Points": [1, 2.5]}],
    "Counters": [
        {
            "Name": "consul.raft.apply",
            "Count": 1,
            "Rate": 0.1,
            "Sum": 1,
            "Min": 1,
            "Max": 1,
            "Mean": 1,
            "Stddev": 0,
            "Labels": {},
        }
    ],
    "Samples": None,
}
A_METRICS = AgentMetrics(
    timestamp=datetime(2026, 11, 23, 7, 56, 50, tzinfo=UTC),
    gauges=[Gauge(name="consul.runtime.alloc_bytes", value=4704344.0, labels={"a": "{"})],
    points=[Point(name="consul.p", points=[1.0, 2.5])],
    counters=[
        Sample(name="consul.raft.apply", count=1, rate=0.1, sum=1.0, min=1.0, max=1.0, mean=1.0)
    ],
)

SELF = Case(
    "agent.self",
    lambda c: c.agent.self(),
    "GET /v1/agent/self",
    answer={
        "Config": {
            "Datacenter": "dc1",
            "PrimaryDatacenter": "dc0",
            "NodeName": "n1",
            "NodeID": "9d75",
            "Partition": "part",
            "Revision": "deadbeef",
            "Server": True,
            "Version": "1.22.0+ent",
            "BuildDate": "2025-10-24T15:30:00Z",
        },
        "DebugConfig": {"ACLToken": "hidden"},
        "Coord": {"Adjustment": 0, "Error": 1.5, "Vec": [0, 0], "Height": 1e-05},
        "Member": MEMBER,
        "Stats": {"agent": {"checks": "0"}},
        "Meta": {"rack": "7"},
        "xDS": {
            "SupportedProxies": {"envoy": ["1.34.1"]},
            "Port": 8503,
            "Ports": {"Plaintext": 8502, "TLS": 8503},
        },
    },
    result=AgentSelf(
        config=AgentConfig(
            datacenter="dc1",
            primary_datacenter="dc0",
            node_name="n1",
            node_id="9d75",
            partition="part",
            revision="deadbeef",
            server=True,
            version="1.22.0+ent",
            build_date=datetime(2025, 10, 24, 15, 30, tzinfo=UTC),
        ),
        debug_config={"ACLToken": "hidden"},
        coord=Coordinate(vec=[0.0, 0.0], error=1.5, adjustment=0.0, height=1e-05),
        member=A_MEMBER,
        stats={"agent": {"checks": "0"}},
        meta={"rack": "7"},
        xds=AgentXDS(
            supported_proxies={"envoy": ["1.34.1"]},
            port=8503,
            ports=AgentXDSPorts(plaintext=8502, tls=8503),
        ),
    ),
    local=True,
)

CERTIFICATES = Case(
    "agent.metrics_certificates",
    lambda c: c.agent.metrics_certificates(),
    "GET /v1/agent/metrics/certificates",
    answer={
        "certificates": [
            {
                "id": "web",
                "name": "web",
                "type": "leaf",
                "subtype": "service",
                "not_after": "2026-02-01T07:00:00Z",
                "days_remaining": 2,
                "seconds_remaining": 172800,
                "severity": "CRITICAL",
                "severity_score": 90,
                "color": "red",
                "auto_renewable": True,
                "renewal_failure": {
                    "failure_reason": "rate_limited",
                    "failure_count": 3,
                    "last_attempt": "2026-01-30T07:00:00Z",
                    "consecutive_rate_limits": 2,
                },
            }
        ],
        "summary": {
            "total": 3,
            "by_severity": {"critical": 1, "warning": 0, "info": 2},
            "by_type": {"ca": 2, "leaf": 1},
            "total_with_failures": 1,
            "expiring_soon_with_failures": 1,
            "failures_by_reason": {"rate_limited": 1},
        },
        "thresholds": {"critical_days": 7, "warning_days": 30},
        "cached": True,
        "cache_expires_at": "2026-01-30T07:05:00Z",
    },
    result=CertificateReport(
        certificates=[
            CertificateExpiry(
                id="web",
                name="web",
                type="leaf",
                subtype="service",
                not_after=datetime(2026, 2, 1, 7, tzinfo=UTC),
                days_remaining=2,
                seconds_remaining=172800,
                severity="CRITICAL",
                severity_score=90,
                color="red",
                auto_renewable=True,
                renewal_failure=RenewalFailure(
                    failure_reason="rate_limited",
                    failure_count=3,
                    last_attempt=datetime(2026, 1, 30, 7, tzinfo=UTC),
                    consecutive_rate_limits=2,
                ),
            )
        ],
        summary=CertificateSummary(
            total=3,
            by_severity={"critical": 1, "warning": 0, "info": 2},
            by_type={"ca": 2, "leaf": 1},
            total_with_failures=1,
            expiring_soon_with_failures=1,
            failures_by_reason={"rate_limited": 1},
        ),
        thresholds=CertificateThresholds(critical_days=7, warning_days=30),
        cached=True,
        cache_expires_at=datetime(2026, 1, 30, 7, 5, tzinfo=UTC),
    ),
    local=True,
)

THE_AGENT = [
    SELF,
    Case(
        "agent.host",
        lambda c: c.agent.host(),
        "GET /v1/agent/host",
        answer={
            "Memory": {"total": 8192864256},
            "CPU": [{"cpu": 0, "flags": ["fp"]}],
            "Host": {"hostname": "n1"},
            "Disk": {"path": "/"},
            "CollectionTime": 1627082496166088783,
            "Errors": None,
        },
        result=AgentHost(
            memory={"total": 8192864256},
            cpu=[{"cpu": 0, "flags": ["fp"]}],
            host={"hostname": "n1"},
            disk={"path": "/"},
            collection_time=1627082496166088783,
        ),
        local=True,
    ),
    Case(
        "agent.version",
        lambda c: c.agent.version(),
        "GET /v1/agent/version",
        answer={
            "SHA": "e8d4d78",
            "BuildDate": "2025-10-24T15:30:00Z",
            "HumanVersion": "1.22.0",
            "FIPS": "",
        },
        result=AgentVersion(
            sha="e8d4d78",
            build_date=datetime(2025, 10, 24, 15, 30, tzinfo=UTC),
            human_version="1.22.0",
        ),
        local=True,
    ),
    Case(
        "agent.members",
        lambda c: c.agent.members(),
        "GET /v1/agent/members",
        takes="partition",
        answer=[MEMBER],
        result=[A_MEMBER],
        local=True,
    ),
    Case(
        "agent.members",
        lambda c: c.agent.members(wan=True, segment="_all", filter="Status == 1"),
        "GET /v1/agent/members?wan=true&segment=_all&filter=Status%20%3D%3D%201",
        takes="partition",
        answer=None,
        result=[],
        local=True,
    ),
    told(
        "agent.join",
        lambda c: c.agent.join("[::1]:8301"),
        "/v1/agent/join/%5B%3A%3A1%5D%3A8301",
        "",
    ),
    told(
        "agent.join",
        lambda c: c.agent.join("10.0.0.2", wan=True),
        "/v1/agent/join/10.0.0.2?wan=true",
        "",
    ),
    Case(
        "agent.leave",
        lambda c: c.agent.leave(),
        "PUT /v1/agent/leave",
        answer=EMPTY,
        result=None,
        local=True,
    ),
    told(
        "agent.force_leave",
        lambda c: c.agent.force_leave("a/b ?"),
        "/v1/agent/force-leave/a%2Fb%20%3F",
        "",
    ),
    told(
        "agent.force_leave",
        lambda c: c.agent.force_leave("n1.dc1", prune=True, wan=True),
        "/v1/agent/force-leave/n1.dc1?prune=&wan=",
        "",
    ),
    told("agent.reload", lambda c: c.agent.reload(), "/v1/agent/reload", ""),
    told(
        "agent.maintenance",
        lambda c: c.agent.maintenance(True, "new disk & fan"),
        "/v1/agent/maintenance?enable=true&reason=new%20disk%20%26%20fan",
        "",
    ),
    told(
        "agent.maintenance",
        lambda c: c.agent.maintenance(False),
        "/v1/agent/maintenance?enable=false",
        "",
    ),
    told(
        "agent.set_token",
        lambda c: c.agent.set_token("agent_recovery", "5f"),
        "/v1/agent/token/agent_recovery",
        "",
        body={"Token": "5f"},
    ),
    told(
        "agent.set_token",
        lambda c: c.agent.set_token("default", ""),
        "/v1/agent/token/default",
        "",
        body={"Token": ""},
    ),
    Case(
        "agent.metrics",
        lambda c: c.agent.metrics(),
        "GET /v1/agent/metrics",
        answer=METRICS,
        result=A_METRICS,
        local=True,
    ),
    Case(
        "agent.prometheus",
        lambda c: c.agent.prometheus(),
        "GET /v1/agent/metrics?format=prometheus",
        answer=b"consul_client_rpc 3\n",
        result="consul_client_rpc 3\n",
        local=True,
    ),
    Case(
        "agent.metrics_stream",
        lambda c: all_of(c.agent.metrics_stream()),
        "GET /v1/agent/metrics/stream",
        answer=b'{"Timestamp": "2026-11-23 07:56:50 +0000 UTC"}\n{}\n',
        result=[
            AgentMetrics(timestamp=datetime(2026, 11, 23, 7, 56, 50, tzinfo=UTC)),
            AgentMetrics(),
        ],
        local=True,
    ),
    CERTIFICATES,
    Case(
        "agent.monitor",
        lambda c: all_of(c.agent.monitor()),
        "GET /v1/agent/monitor?loglevel=info",
        answer=b"[INFO] one\n[INFO] two\n",
        result=["[INFO] one", "[INFO] two"],
        local=True,
    ),
    Case(
        "agent.monitor",
        lambda c: all_of(c.agent.monitor(level="trace", json=True)),
        "GET /v1/agent/monitor?loglevel=trace&logjson=",
        answer=b"{}",
        result=["{}"],
        local=True,
    ),
]

SERVICES = [
    Case(
        "agent.services",
        lambda c: c.agent.services(),
        "GET /v1/agent/services",
        takes=TENANCY,
        answer={"web1": SERVICE},
        result={"web1": A_SERVICE},
        local=True,
    ),
    Case(
        "agent.services",
        lambda c: c.agent.services(filter='Service == "web"'),
        "GET /v1/agent/services?filter=Service%20%3D%3D%20%22web%22",
        takes=TENANCY,
        answer={},
        result={},
        local=True,
    ),
    Case(
        "agent.service",
        lambda c: c.agent.service("a/b ?"),
        "GET /v1/agent/service/a%2Fb%20%3F",
        takes=TENANCY,
        answer=SERVICE,
        result=A_SERVICE,
        local=True,
    ),
    Case(
        "agent.service",
        lambda c: c.agent.service("web9"),
        "GET /v1/agent/service/web9",
        takes=TENANCY,
        status=404,
        answer=b"unknown service ID: web9",
        result=None,
        local=True,
    ),
    *(
        Case(
            "agent.health",
            lambda c: c.agent.health("web1"),
            "GET /v1/agent/health/service/id/web1",
            takes=TENANCY,
            status=status,
            answer=HEALTH,
            result=A_HEALTH,
            local=True,
        )
        for status in (200, 429, 503)
    ),
    Case(
        "agent.health",
        lambda c: c.agent.health("web9"),
        "GET /v1/agent/health/service/id/web9",
        takes=TENANCY,
        status=404,
        answer={"AggregatedStatus": "critical", "Service": None, "Checks": None},
        result=None,
        local=True,
    ),
    *(
        Case(
            "agent.health_by_name",
            lambda c: c.agent.health_by_name("w eb"),
            "GET /v1/agent/health/service/name/w%20eb",
            takes=TENANCY,
            status=status,
            answer=[HEALTH],
            result=[A_HEALTH],
            local=True,
        )
        for status in (200, 429, 503)
    ),
    Case(
        "agent.health_by_name",
        lambda c: c.agent.health_by_name("none"),
        "GET /v1/agent/health/service/name/none",
        takes=TENANCY,
        status=404,
        answer=b"[]\n",
        result=[],
        local=True,
    ),
    told(
        "agent.register",
        lambda c: c.agent.register(
            ServiceRegistration(name="web", port=80, check=Check.ttl(15, id="alive"))
        ),
        "/v1/agent/service/register",
        body={"Name": "web", "Port": 80, "Check": {"TTL": "15s", "CheckID": "alive"}},
    ),
    told(
        "agent.register",
        lambda c: c.agent.register(
            ServiceRegistration(name="w", connect=Connect(sidecar_service=ServiceRegistration())),
            replace_existing_checks=True,
        ),
        "/v1/agent/service/register?replace-existing-checks=true",
        body={"Name": "w", "Connect": {"SidecarService": {}}},
    ),
    told(
        "agent.deregister",
        lambda c: c.agent.deregister("a/b ?"),
        "/v1/agent/service/deregister/a%2Fb%20%3F",
    ),
    told(
        "agent.deregister",
        lambda c: c.agent.deregister("web9"),
        "/v1/agent/service/deregister/web9",
        status=404,
        answer=b'Unknown service ID "web9"',
    ),
    told(
        "agent.service_maintenance",
        lambda c: c.agent.service_maintenance("web1", True, "why"),
        "/v1/agent/service/maintenance/web1?enable=true&reason=why",
    ),
    told(
        "agent.service_maintenance",
        lambda c: c.agent.service_maintenance("a/b", False),
        "/v1/agent/service/maintenance/a%2Fb?enable=false",
    ),
]

CHECKS = [
    Case(
        "agent.checks",
        lambda c: c.agent.checks(),
        "GET /v1/agent/checks",
        takes=TENANCY,
        answer={"service:web1": CHECK},
        result={"service:web1": A_CHECK},
        local=True,
    ),
    Case(
        "agent.checks",
        lambda c: c.agent.checks(filter='Status != "passing"'),
        "GET /v1/agent/checks?filter=Status%20%21%3D%20%22passing%22",
        takes=TENANCY,
        answer={},
        result={},
        local=True,
    ),
    told(
        "agent.register_check",
        lambda c: c.agent.register_check(Check.ttl(1.5, name="alive")),
        "/v1/agent/check/register",
        body={"Name": "alive", "TTL": "1500ms"},
    ),
    told(
        "agent.register_check",
        lambda c: c.agent.register_check(
            Check.alias(service="w1", name="alive", id="a", service_id="p1", token=SecretStr("5f"))
        ),
        "/v1/agent/check/register",
        body={
            "Name": "alive",
            "ID": "a",
            "ServiceID": "p1",
            "AliasService": "w1",
            "Token": "5f",
        },
    ),
    told(
        "agent.deregister_check",
        lambda c: c.agent.deregister_check("a/b ?"),
        "/v1/agent/check/deregister/a%2Fb%20%3F",
    ),
    told(
        "agent.deregister_check",
        lambda c: c.agent.deregister_check("none"),
        "/v1/agent/check/deregister/none",
        status=500,
        answer=b'Unknown check "none"',
    ),
    told(
        "agent.check_pass",
        lambda c: c.agent.check_pass("service:web"),
        "/v1/agent/check/pass/service%3Aweb",
    ),
    told(
        "agent.check_pass",
        lambda c: c.agent.check_pass("a", "all's well"),
        "/v1/agent/check/pass/a?note=all%27s%20well",
    ),
    told(
        "agent.check_warn",
        lambda c: c.agent.check_warn("a", "hm"),
        "/v1/agent/check/warn/a?note=hm",
    ),
    told(
        "agent.check_fail",
        lambda c: c.agent.check_fail("a/b", ""),
        "/v1/agent/check/fail/a%2Fb?note=",
    ),
    told(
        "agent.check_update",
        lambda c: c.agent.check_update("a", "warning", "hm"),
        "/v1/agent/check/update/a",
        body={"Status": "warning", "Output": "hm"},
    ),
]

MESH = [
    Case(
        "agent.connect_authorize",
        lambda c: c.agent.connect_authorize("db", "spiffe://x/ns/default/dc/dc1/svc/web", "04:0a"),
        "POST /v1/agent/connect/authorize",
        takes=TENANCY,
        body={
            "Target": "db",
            "ClientCertURI": "spiffe://x/ns/default/dc/dc1/svc/web",
            "ClientCertSerial": "04:0a",
        },
        answer={"Authorized": True, "Reason": "Matched intention: web => db (allow)"},
        result=ConnectAuthorization(authorized=True, reason="Matched intention: web => db (allow)"),
        safety=Safety.SAFE,
        local=True,
    ),
    Case(
        "agent.connect_ca_roots",
        lambda c: c.agent.connect_ca_roots(),
        "GET /v1/agent/connect/ca/roots",
        answer={"ActiveRootID": "15", "TrustDomain": "x.consul", "Roots": [{"ID": "15"}]},
        result=CARoots(active_root_id="15", trust_domain="x.consul", roots=[CARoot(id="15")]),
        local=True,
    ),
    Case(
        "agent.connect_ca_leaf",
        lambda c: c.agent.connect_ca_leaf("w eb"),
        "GET /v1/agent/connect/ca/leaf/w%20eb",
        takes=TENANCY,
        answer={"SerialNumber": "08", "Service": "w eb", "PrivateKeyPEM": "-----BEGIN"},
        local=True,
    ),
]

CASES = [*THE_AGENT, *SERVICES, *CHECKS, *MESH]
