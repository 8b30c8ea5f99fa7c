"""Raft, gossip keys, autopilot, and what Consul Enterprise has for operators."""

from __future__ import annotations

from datetime import UTC, datetime

from pydantic import SecretStr

from consul_onex import Safety
from consul_onex.models.operator import (
    Area,
    AreaJoin,
    AreaMember,
    AutopilotConfiguration,
    AutopilotHealth,
    AutopilotServer,
    AutopilotState,
    AutopilotUpgrade,
    AutopilotZone,
    FeatureGate,
    FeatureGateChange,
    KeyringResponse,
    License,
    LicenseReply,
    RaftConfiguration,
    RaftServer,
    ServerHealth,
    ServiceUsage,
    Usage,
)
from tests.walk.case import EMPTY, Case

DC = "dc"
READ = "dc consistency"

RAFT = {
    "Servers": [
        {
            "ID": "cf83",
            "Node": "alice",
            "Address": "127.0.0.1:8300",
            "Leader": True,
            "ProtocolVersion": "3",
            "Voter": True,
            "LastIndex": 2**64 - 1,
        }
    ],
    "Index": 22,
}
RAFT_READ = RaftConfiguration(
    servers=[
        RaftServer(
            id="cf83",
            node="alice",
            address="127.0.0.1:8300",
            leader=True,
            protocol_version="3",
            voter=True,
            last_index=2**64 - 1,
        )
    ],
    index=22,
)

KEY = "pUqJrVyVRj5jsiYEkM/tFQYfWyJIv4s3XkvDwy7Cu5s="
RING = {
    "WAN": True,
    "Datacenter": "dc1",
    "Segment": "",
    "Messages": {"n1": "slow"},
    "Keys": {KEY: 3},
    "PrimaryKeys": {KEY: 2},
    "NumNodes": 3,
}
RING_READ = KeyringResponse(
    wan=True,
    datacenter="dc1",
    messages={"n1": "slow"},
    keys={KEY: 3},
    primary_keys={KEY: 2},
    num_nodes=3,
)

AUTOPILOT = {
    "CleanupDeadServers": True,
    "LastContactThreshold": "200ms",
    "MaxTrailingLogs": 250,
    "MinQuorum": 3,
    "ServerStabilizationTime": "10s",
    "RedundancyZoneTag": "",
    "DisableUpgradeMigration": False,
    "UpgradeVersionTag": "",
    "CreateIndex": 4,
    "ModifyIndex": 5,
}
AUTOPILOT_READ = AutopilotConfiguration(
    cleanup_dead_servers=True,
    last_contact_threshold=0.2,
    max_trailing_logs=250,
    min_quorum=3,
    server_stabilization_time=10.0,
    redundancy_zone_tag="",
    disable_upgrade_migration=False,
    upgrade_version_tag="",
    create_index=4,
    modify_index=5,
)
SENT = {name: value for name, value in AUTOPILOT.items() if not name.endswith("Index")}

HEALTH = {
    "Healthy": False,
    "FailureTolerance": 0,
    "Servers": [
        {
            "ID": "cf83",
            "Name": "alice",
            "Address": "127.0.0.1:8300",
            "SerfStatus": "failed",
            "Version": "1.8.7",
            "Leader": False,
            "LastContact": "-1ns",
            "LastTerm": 2,
            "LastIndex": 46,
            "Healthy": False,
            "Voter": True,
            "StableSince": "2017-03-06T22:07:51Z",
        }
    ],
}
HEALTH_READ = AutopilotHealth(
    servers=[
        ServerHealth(
            id="cf83",
            name="alice",
            address="127.0.0.1:8300",
            serf_status="failed",
            version="1.8.7",
            last_contact=-1e-9,
            last_term=2,
            last_index=46,
            voter=True,
            stable_since=datetime(2017, 3, 6, 22, 7, 51, tzinfo=UTC),
        )
    ]
)

STATE = {
    "Healthy": True,
    "FailureTolerance": 1,
    "OptimisticFailureTolerance": 4,
    "Servers": {
        "5e26": {
            "ID": "5e26",
            "Name": "node1",
            "LastContact": "1.321ms",
            "StableSince": "2020-08-12T12:13:14Z",
            "RedundancyZone": "az1",
            "ReadReplica": False,
            "Status": "voter",
            "Meta": {"zone": "az1"},
            "NodeType": "zone-voter",
        }
    },
    "Leader": "5e26",
    "Voters": ["5e26"],
    "ReadReplicas": ["6378"],
    "RedundancyZones": {"az1": {"Servers": ["5e26"], "Voters": ["5e26"], "FailureTolerance": 1}},
    "Upgrade": {"Status": "idle"},
}
STATE_READ = AutopilotState(
    healthy=True,
    failure_tolerance=1,
    optimistic_failure_tolerance=4,
    servers={
        "5e26": AutopilotServer(
            id="5e26",
            name="node1",
            last_contact=0.001321,
            stable_since=datetime(2020, 8, 12, 12, 13, 14, tzinfo=UTC),
            redundancy_zone="az1",
            status="voter",
            meta={"zone": "az1"},
            node_type="zone-voter",
        )
    },
    leader="5e26",
    voters=["5e26"],
    read_replicas=["6378"],
    redundancy_zones={"az1": AutopilotZone(servers=["5e26"], voters=["5e26"], failure_tolerance=1)},
    upgrade=AutopilotUpgrade(status="idle"),
)

USAGE = {"Usage": {"dc1": {"Services": 1, "Nodes": 2}}, "Index": 13, "KnownLeader": True}
USAGE_READ = Usage(usage={"dc1": ServiceUsage(services=1, nodes=2)}, index=13, known_leader=True)

BUNDLE = b'{"version": "2", "checksum": 17512992959032736032}'

GATE = {
    "Name": "localized-dns",
    "Stage": "experimental",
    "MinVersion": "2.1.0",
    "DesiredEnabled": True,
    "Source": "operator",
    "Reason": "below-min-version",
    "PolicyIndex": 25,
}
GATE_READ = FeatureGate(
    name="localized-dns",
    stage="experimental",
    min_version="2.1.0",
    desired_enabled=True,
    source="operator",
    reason="below-min-version",
    policy_index=25,
)

LICENSE = {
    "Valid": True,
    "License": {"license_id": "2afb", "start_time": "2018-05-21T04:00:00Z"},
    "Warnings": ["soon over"],
}
LICENSE_READ = LicenseReply(
    valid=True,
    license=License(license_id="2afb", start_time=datetime(2018, 5, 21, 4, tzinfo=UTC)),
    warnings=["soon over"],
)

AREA = {"ID": "8f24", "PeerDatacenter": "dc2", "RetryJoin": ["10.1.2.3"], "UseTLS": True}
AREA_READ = Area(id="8f24", peer_datacenter="dc2", retry_join=["10.1.2.3"], use_tls=True)

CASES = [
    # -- raft ----------------------------------------------------------------------------------
    Case(
        "operator.raft.configuration",
        lambda c: c.operator.raft.configuration(),
        "GET /v1/operator/raft/configuration",
        takes=READ,
        answer=RAFT,
        result=RAFT_READ,
    ),
    Case(
        "operator.raft.remove_peer",
        lambda c: c.operator.raft.remove_peer(id="a b"),
        "DELETE /v1/operator/raft/peer?id=a%20b",
        takes=DC,
        answer=EMPTY,
        result=None,
    ),
    Case(
        "operator.raft.remove_peer",
        lambda c: c.operator.raft.remove_peer(address="10.1.2.3:8300"),
        "DELETE /v1/operator/raft/peer?address=10.1.2.3%3A8300",
        takes=DC,
        answer=EMPTY,
        result=None,
    ),
    Case(
        "operator.raft.transfer_leader",
        lambda c: c.operator.raft.transfer_leader(),
        "POST /v1/operator/raft/transfer-leader",
        takes=DC,
        answer={"Success": True},
        result=True,
    ),
    Case(
        "operator.raft.transfer_leader",
        lambda c: c.operator.raft.transfer_leader("cf83"),
        "POST /v1/operator/raft/transfer-leader?id=cf83",
        takes=DC,
        answer={"Success": False},
        result=False,
    ),
    # -- keyring -------------------------------------------------------------------------------
    Case(
        "operator.keyring.list",
        lambda c: c.operator.keyring.list(),
        "GET /v1/operator/keyring",
        answer=[RING],
        result=[RING_READ],
    ),
    Case(
        "operator.keyring.list",
        lambda c: c.operator.keyring.list(relay_factor=2, local_only=True),
        "GET /v1/operator/keyring?relay-factor=2&local-only=true",
        answer=None,
        result=[],
    ),
    Case(
        "operator.keyring.install",
        lambda c: c.operator.keyring.install(KEY),
        "POST /v1/operator/keyring",
        body={"Key": KEY},
        answer=EMPTY,
        result=None,
        safety=Safety.IDEMPOTENT,
    ),
    Case(
        "operator.keyring.use",
        lambda c: c.operator.keyring.use(SecretStr(KEY), relay_factor=0),
        "PUT /v1/operator/keyring?relay-factor=0",
        body={"Key": KEY},
        answer=EMPTY,
        result=None,
        safety=Safety.IDEMPOTENT,
    ),
    Case(
        "operator.keyring.remove",
        lambda c: c.operator.keyring.remove(KEY, relay_factor=5),
        "DELETE /v1/operator/keyring?relay-factor=5",
        body={"Key": KEY},
        answer=EMPTY,
        result=None,
        safety=Safety.IDEMPOTENT,
    ),
    # -- autopilot -----------------------------------------------------------------------------
    Case(
        "operator.autopilot.configuration",
        lambda c: c.operator.autopilot.configuration(),
        "GET /v1/operator/autopilot/configuration",
        takes=READ,
        answer=AUTOPILOT,
        result=AUTOPILOT_READ,
    ),
    Case(
        "operator.autopilot.configure",
        lambda c: c.operator.autopilot.configure(AUTOPILOT_READ),
        "PUT /v1/operator/autopilot/configuration",
        takes=DC,
        body=SENT,
        answer=True,
        result=True,
        safety=Safety.IDEMPOTENT,
    ),
    Case(
        "operator.autopilot.configure",
        lambda c: c.operator.autopilot.configure(AutopilotConfiguration(min_quorum=5), cas=7),
        "PUT /v1/operator/autopilot/configuration?cas=7",
        takes=DC,
        body={"MinQuorum": 5},
        answer=False,
        result=False,
    ),
    Case(
        "operator.autopilot.health",
        lambda c: c.operator.autopilot.health(),
        "GET /v1/operator/autopilot/health",
        takes=DC,
        status=429,
        answer=HEALTH,
        result=HEALTH_READ,
    ),
    Case(
        "operator.autopilot.state",
        lambda c: c.operator.autopilot.state(),
        "GET /v1/operator/autopilot/state",
        takes=READ,
        answer=STATE,
        result=STATE_READ,
    ),
    # -- feature gates -------------------------------------------------------------------------
    Case(
        "operator.feature.list",
        lambda c: c.operator.feature.list(),
        "GET /v1/operator/features",
        takes=READ,
        answer=[GATE],
        result=[GATE_READ],
    ),
    Case(
        "operator.feature.get",
        lambda c: c.operator.feature.get("none"),
        "GET /v1/operator/feature/none",
        takes=READ,
        status=404,
        answer=b'feature gate "none" not found',
        result=None,
    ),
    Case(
        "operator.feature.get",
        lambda c: c.operator.feature.get("none"),
        "GET /v1/operator/feature/none",
        takes=READ,
        status=500,
        answer=b'unknown feature gate "none"',
        result=None,
    ),
    Case(
        "operator.feature.get",
        lambda c: c.operator.feature.get("a/b ?"),
        "GET /v1/operator/feature/a%2Fb%20%3F",
        takes=READ,
        answer=GATE,
        result=GATE_READ,
    ),
    Case(
        "operator.feature.set",
        lambda c: c.operator.feature.set("localized-dns", True),
        "PUT /v1/operator/feature/localized-dns",
        takes=DC,
        body={"Enabled": True},
        answer={"Applied": True, "Feature": GATE},
        result=FeatureGateChange(applied=True, feature=GATE_READ),
        safety=Safety.IDEMPOTENT,
    ),
    Case(
        "operator.feature.set",
        lambda c: c.operator.feature.set("localized-dns", False, cas=24),
        "PUT /v1/operator/feature/localized-dns?cas=24",
        takes=DC,
        body={"Enabled": False},
        answer={"Applied": False, "Feature": GATE},
        result=FeatureGateChange(applied=False, feature=GATE_READ),
    ),
    # -- Consul Enterprise ---------------------------------------------------------------------
    Case(
        "operator.area.create",
        lambda c: c.operator.area.create("dc2"),
        "POST /v1/operator/area",
        takes=DC,
        body={"PeerDatacenter": "dc2"},
        answer={"ID": "8f24"},
        result="8f24",
    ),
    Case(
        "operator.area.create",
        lambda c: c.operator.area.create("dc2", retry_join=("10.1.2.3",), use_tls=False),
        "POST /v1/operator/area",
        takes=DC,
        body={"PeerDatacenter": "dc2", "RetryJoin": ["10.1.2.3"], "UseTLS": False},
        answer={"ID": "8f24"},
        result="8f24",
    ),
    Case(
        "operator.area.list",
        lambda c: c.operator.area.list(),
        "GET /v1/operator/area",
        takes=READ,
        answer=[AREA],
        result=[AREA_READ],
    ),
    Case(
        "operator.area.get",
        lambda c: c.operator.area.get("a b"),
        "GET /v1/operator/area/a%20b",
        takes=READ,
        answer=[AREA],
        result=AREA_READ,
    ),
    Case(
        "operator.area.get",
        lambda c: c.operator.area.get("none"),
        "GET /v1/operator/area/none",
        takes=READ,
        status=404,
        answer=EMPTY,
        result=None,
    ),
    Case(
        "operator.area.update",
        lambda c: c.operator.area.update("8f24", use_tls=True),
        "PUT /v1/operator/area/8f24",
        takes=DC,
        body={"UseTLS": True},
        answer=EMPTY,
        result=None,
        safety=Safety.IDEMPOTENT,
    ),
    Case(
        "operator.area.delete",
        lambda c: c.operator.area.delete("8f24"),
        "DELETE /v1/operator/area/8f24",
        takes=DC,
        answer=EMPTY,
        result=None,
        safety=Safety.IDEMPOTENT,
    ),
    Case(
        "operator.area.join",
        lambda c: c.operator.area.join("8f24", ("10.1.2.3",)),
        "PUT /v1/operator/area/8f24/join",
        takes=DC,
        body=["10.1.2.3"],
        answer=[{"Address": "10.1.2.3", "Joined": False, "Error": "refused"}],
        result=[AreaJoin(address="10.1.2.3", error="refused")],
        safety=Safety.IDEMPOTENT,
    ),
    Case(
        "operator.area.members",
        lambda c: c.operator.area.members("8f24"),
        "GET /v1/operator/area/8f24/members",
        takes=DC,
        answer=[{"ID": "afc5", "Name": "n.dc1", "Addr": "127.0.0.2", "Port": 8300, "RTT": 256478}],
        result=[AreaMember(id="afc5", name="n.dc1", addr="127.0.0.2", port=8300, rtt=0.000256478)],
    ),
    Case(
        "operator.license.get",
        lambda c: c.operator.license.get(),
        "GET /v1/operator/license",
        takes=READ,
        answer=LICENSE,
        result=LICENSE_READ,
    ),
    Case(
        "operator.license.put",
        lambda c: c.operator.license.put("01ABC"),
        "PUT /v1/operator/license",
        takes=DC,
        body=b"01ABC",
        answer=LICENSE,
        result=LICENSE_READ,
        safety=Safety.IDEMPOTENT,
    ),
    Case(
        "operator.license.reset",
        lambda c: c.operator.license.reset(),
        "DELETE /v1/operator/license",
        takes=DC,
        answer=LICENSE,
        result=LICENSE_READ,
        safety=Safety.IDEMPOTENT,
    ),
    Case(
        "operator.usage",
        lambda c: c.operator.usage(),
        "GET /v1/operator/usage",
        takes=READ,
        answer=USAGE,
        result=USAGE_READ,
    ),
    Case(
        "operator.usage",
        lambda c: c.operator.usage(everywhere=True),
        "GET /v1/operator/usage?global=",
        takes=READ,
        answer={"Usage": None},
        result=Usage(),
    ),
    Case(
        "operator.utilization",
        lambda c: c.operator.utilization(),
        "GET /v1/operator/utilization",
        answer=BUNDLE,
        result=BUNDLE,
    ),
    Case(
        "operator.utilization",
        lambda c: c.operator.utilization(message="why not", today_only=True, send_report=True),
        "GET /v1/operator/utilization?message=why%20not&today_only=true&send_report=true",
        answer=BUNDLE,
        result=BUNDLE,
        safety=Safety.UNSAFE,
    ),
    Case(
        "operator.segments",
        lambda c: c.operator.segments(),
        "GET /v1/operator/segment",
        takes=DC,
        answer=["", "alpha"],
        result=["", "alpha"],
    ),
    Case(
        "operator.audit_hash",
        lambda c: c.operator.audit_hash("test"),
        "POST /v1/operator/audit-hash",
        body={"Input": "test"},
        answer={"Hash": "hmac_sha256:794c"},
        result="hmac_sha256:794c",
        safety=Safety.SAFE,
    ),
]
