"""The documentation's own examples of what operators are told: nothing of them is lost."""

from __future__ import annotations

import json
from typing import Any

import pytest

from consul_onex import InvalidRequestError
from consul_onex._json import adapter_of
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
    LicenseReply,
    RaftConfiguration,
    Usage,
)
from tests.support.lossless import lost

GATE = {
    "Name": "peering-multiport-upstreams",
    "Stage": "experimental",
    "MinVersion": "2.1.0",
    "DefaultEnabled": False,
    "BeforeMinimumVersion": "disabled",
    "Description": "Enable multiport peering upstream expansion for proxycfg/xDS",
    "Owner": "xds",
    "DesiredEnabled": True,
    "EffectiveEnabled": True,
    "Eligible": True,
    "Source": "operator",
    "Reason": "operator-enabled",
    "PolicyIndex": 24,
    "StatusIndex": 24,
}

CONNECT = {
    "connect-native": 0,
    "connect-proxy": 1,
    "ingress-gateway": 0,
    "mesh-gateway": 2,
    "terminating-gateway": 0,
}

DOCUMENTED: list[tuple[type, Any]] = [
    (
        RaftConfiguration,
        {
            "Servers": [
                {
                    "ID": "127.0.0.1:8300",
                    "Node": "alice",
                    "Address": "127.0.0.1:8300",
                    "Leader": True,
                    "Voter": True,
                    "ProtocolVersion": "3",
                    "LastIndex": 22,
                },
                {"ID": "127.0.0.2:8300", "Node": "bob", "Leader": False, "Voter": True},
            ],
            "Index": 22,
        },
    ),
    (
        KeyringResponse,
        {
            "WAN": False,
            "Datacenter": "dc1",
            "Segment": "alpha",
            "Partition": "default",
            "Messages": {"node1": "no answer"},
            "Keys": {
                "pUqJrVyVRj5jsiYEkM/tFQYfWyJIv4s3XkvDwy7Cu5s=": 1,
                "ZWTL+bgjHyQPhJRKcFe3ccirc2SFHmc/Nw67l8NQfdk=": 1,
            },
            "PrimaryKeys": {"pUqJrVyVRj5jsiYEkM/tFQYfWyJIv4s3XkvDwy7Cu5s=": 1},
            "NumNodes": 3,
        },
    ),
    (
        AutopilotConfiguration,
        {
            "CleanupDeadServers": True,
            "LastContactThreshold": "200ms",
            "MaxTrailingLogs": 250,
            "MinQuorum": 3,
            "ServerStabilizationTime": "10s",
            "RedundancyZoneTag": "zone",
            "DisableUpgradeMigration": True,
            "UpgradeVersionTag": "version",
            "CreateIndex": 4,
            "ModifyIndex": 4,
        },
    ),
    (
        AutopilotHealth,
        {
            "Healthy": True,
            "FailureTolerance": 0,
            "Servers": [
                {
                    "ID": "e36ee410-cc3c-0a0c-c724-63817ab30303",
                    "Name": "node2",
                    "Address": "127.0.0.1:8205",
                    "SerfStatus": "alive",
                    "Version": "0.7.4",
                    "Leader": True,
                    "LastContact": "27.291304ms",
                    "LastTerm": 2,
                    "LastIndex": 46,
                    "Healthy": True,
                    "Voter": True,
                    "StableSince": "2017-03-06T22:18:26Z",
                }
            ],
        },
    ),
    (
        AutopilotState,
        {
            "Healthy": True,
            "FailureTolerance": 1,
            "OptimisticFailureTolerance": 4,
            "Servers": {"5e26a3af-f4fc-4104-a8bb-4da9f19cb278": {}},
            "Leader": "5e26a3af-f4fc-4104-a8bb-4da9f19cb278",
            "Voters": ["5e26a3af-f4fc-4104-a8bb-4da9f19cb278"],
            "RedundancyZones": {"az1": {}, "az2": {}},
            "ReadReplicas": ["63783741-abd7-48a9-895a-33d01bf7cb30"],
            "Upgrade": {},
        },
    ),
    (
        AutopilotServer,
        {
            "ID": "1c3e3278-3f88-4a97-9f6a-1058584e8058",
            "Name": "node1",
            "Address": "198.18.0.1:8300",
            "NodeStatus": "alive",
            "Version": "1.9.0+ent",
            "LastContact": "1.321ms",
            "LastTerm": 4,
            "LastIndex": 42,
            "Healthy": True,
            "StableSince": "2020-08-12T12:13:14Z",
            "RedundancyZone": "az1",
            "UpgradeVersion": "1.2.3",
            "ReadReplica": True,
            "Status": "voter",
            "Meta": {"build": "1.2.3", "zone": "az1"},
            "NodeType": "redundancy-zone-voter",
        },
    ),
    (
        AutopilotZone,
        {
            "Servers": ["10b71f14-4b08-4ae5-840c-f86d39e7d330"],
            "Voters": ["b007061c-6d15-4c90-b3d6-2fef276a0650"],
            "FailureTolerance": 1,
        },
    ),
    (
        AutopilotUpgrade,
        {
            "Status": "awaiting-new-servers",
            "TargetVersion": "1.9.1+ent",
            "TargetVersionVoters": ["f0344689-3e1f-4125-b55d-e888d3abf514"],
            "TargetVersionNonVoters": ["619a4ba6-1a0b-476e-8a1a-28aeee7735a2"],
            "TargetVersionReadReplicas": ["9f1e27ae-1129-45ef-97dd-6d8c3ec47e6a"],
            "OtherVersionVoters": ["0cbdd493-235f-48f2-98d9-1bf2443b9d72"],
            "OtherVersionNonVoters": ["6d973f11-6bdb-4f7d-8a90-c1300066da4c"],
            "OtherVersionReadReplicas": ["42d10fc3-581b-4403-832d-945b3a0d8841"],
            "RedundancyZones": {
                "az1": {
                    "TargetVersionVoters": ["f0344689-3e1f-4125-b55d-e888d3abf514"],
                    "TargetVersionNonVoters": ["619a4ba6-1a0b-476e-8a1a-28aeee7735a2"],
                    "OtherVersionVoters": ["0cbdd493-235f-48f2-98d9-1bf2443b9d72"],
                    "OtherVersionNonVoters": ["6d973f11-6bdb-4f7d-8a90-c1300066da4c"],
                }
            },
        },
    ),
    (
        Usage,
        {
            "Usage": {
                "dc1": {
                    "Services": 1,
                    "ServiceInstances": 1,
                    "ConnectServiceInstances": CONNECT,
                    "BillableServiceInstances": 3,
                    "Nodes": 1,
                    "PartitionNamespaceServices": {"default": {"default": 1}},
                    "PartitionNamespaceServiceInstances": {"default": {"default": 1}},
                    "PartitionNamespaceBillableServiceInstances": {"default": {"default": 1}},
                    "PartitionNamespaceConnectServiceInstances": {"default": {"default": CONNECT}},
                }
            },
            "Index": 13,
            "LastContact": 5_000_000,
            "KnownLeader": True,
            "ConsistencyLevel": "leader",
            "NotModified": True,
            "Backend": 1,
            "ResultsFilteredByACLs": True,
        },
    ),
    (FeatureGate, GATE),
    (FeatureGateChange, {"Applied": True, "Feature": GATE}),
    (
        LicenseReply,
        {
            "Valid": True,
            "License": {
                "license_id": "2afbf681-0d1a-0649-cb6c-333ec9f0989c",
                "customer_id": "0259271d-8ffc-e85e-0830-c0822c1f5f2b",
                "installation_id": "*",
                "issue_time": "2018-05-21T20:03:35.911567355Z",
                "start_time": "2018-05-21T04:00:00Z",
                "expiration_time": "2019-05-22T03:59:59.999Z",
                "termination_time": "2029-05-22T03:59:59.999Z",
                "product": "consul",
                "flags": {"package": "premium"},
                "modules": ["Global Visibility, Routing and Scale"],
                "features": ["Automated Backups", "Automated Upgrades"],
                "temporary": True,
            },
            "Warnings": ["soon over"],
        },
    ),
    (
        Area,
        {
            "ID": "8f246b77-f3e1-ff88-5b48-8ec93abf3e05",
            "PeerDatacenter": "dc2",
            "RetryJoin": ["10.1.2.3", "10.1.2.4"],
            "UseTLS": True,
        },
    ),
    (AreaJoin, {"Address": "10.1.2.3", "Joined": True, "Error": "none"}),
    (
        AreaMember,
        {
            "ID": "afc5d95c-1eee-4b46-b85b-0efe4c76dd48",
            "Name": "node-2.dc1",
            "Addr": "127.0.0.2",
            "Port": 8300,
            "Datacenter": "dc1",
            "Role": "server",
            "Build": "0.8.0",
            "Protocol": 2,
            "Status": "alive",
            "RTT": 256478,
        },
    ),
]


@pytest.mark.parametrize(("model", "example"), DOCUMENTED, ids=lambda v: getattr(v, "__name__", ""))
def test_nothing_of_the_documented_example_is_lost(model: type, example: Any) -> None:
    assert lost(example, adapter_of(model).validate_json(json.dumps(example))) == []


@pytest.mark.parametrize(("model", "example"), DOCUMENTED, ids=lambda v: getattr(v, "__name__", ""))
def test_every_field_is_in_the_documented_example(model: type, example: Any) -> None:
    fields = adapter_of(model).dump_python(adapter_of(model).validate_json("{}"), by_alias=True)

    assert fields.keys() <= example.keys()


def test_gossip_keys_are_in_no_repr() -> None:
    ring = KeyringResponse(keys={"c2VjcmV0": 1}, primary_keys={"c2VjcmV0": 1}, num_nodes=1)

    assert "c2VjcmV0" not in repr(ring)
    assert "num_nodes=1" in repr(ring)


@pytest.mark.parametrize(
    "wrong",
    [
        {"min_quorum": -1},
        {"min_quorum": 2**32},
        {"max_trailing_logs": -1},
        {"last_contact_threshold": -0.1},
        {"server_stabilization_time": "10s"},
        {"min_quorom": 3},
    ],
    ids=str,
)
def test_autopilot_is_not_told_what_makes_no_sense(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequestError, match="AutopilotConfiguration"):
        AutopilotConfiguration(**wrong)
