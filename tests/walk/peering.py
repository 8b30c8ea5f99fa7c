"""Links to other clusters."""

from __future__ import annotations

from datetime import UTC, datetime

from pydantic import SecretStr

from consul_onex import Safety
from consul_onex.models.peering import Peering, PeeringRemote, PeeringStreamStatus
from consul_onex.models.service import Locality
from tests.walk.case import EMPTY, Case

READ = "consistency partition"
WRITE = "partition"

LINK = {
    "ID": "462c",
    "Name": "cluster-02",
    "Partition": "default",
    "State": "DELETING",
    "DeletedAt": "2022-12-14T23:00:00Z",
    "Meta": {"env": "production"},
    "PeerID": "e83a",
    "PeerCAPems": ["-----BEGIN CERTIFICATE-----\n"],
    "PeerServerName": "server.dc1.consul",
    "PeerServerAddresses": ["10.0.0.1:8300"],
    "StreamStatus": {
        "ImportedServices": ["db"],
        "ExportedServices": None,
        "LastHeartbeat": "2023-12-13T06:31:28.227392Z",
        "LastReceive": "2023-12-13T06:31:28Z",
        "LastSend": "0001-01-01T00:00:00Z",
    },
    "Remote": {
        "Partition": "",
        "Datacenter": "east",
        "Locality": {"Region": "us-east-1", "Zone": "us-east-1a"},
    },
    "CreateIndex": 89,
    "ModifyIndex": 90,
}
PEERING = Peering(
    id="462c",
    name="cluster-02",
    partition="default",
    state="DELETING",
    deleted_at=datetime(2022, 12, 14, 23, tzinfo=UTC),
    meta={"env": "production"},
    peer_id="e83a",
    peer_ca_pems=["-----BEGIN CERTIFICATE-----\n"],
    peer_server_name="server.dc1.consul",
    peer_server_addresses=["10.0.0.1:8300"],
    stream_status=PeeringStreamStatus(
        imported_services=["db"],
        last_heartbeat=datetime(2023, 12, 13, 6, 31, 28, 227392, tzinfo=UTC),
        last_receive=datetime(2023, 12, 13, 6, 31, 28, tzinfo=UTC),
    ),
    remote=PeeringRemote(
        datacenter="east", locality=Locality(region="us-east-1", zone="us-east-1a")
    ),
    create_index=89,
    modify_index=90,
)

CASES = [
    Case(
        "peering.generate_token",
        lambda c: c.peering.generate_token("cluster-02"),
        "POST /v1/peering/token",
        takes=WRITE,
        body={"PeerName": "cluster-02"},
        answer={"PeeringToken": "eyJDQSI6"},
        result=SecretStr("eyJDQSI6"),
    ),
    Case(
        "peering.generate_token",
        lambda c: c.peering.generate_token(
            "cluster-02",
            meta={"env": "production"},
            server_external_addresses=("10.0.0.1:8503",),
        ),
        "POST /v1/peering/token",
        takes=WRITE,
        body={
            "PeerName": "cluster-02",
            "Meta": {"env": "production"},
            "ServerExternalAddresses": ["10.0.0.1:8503"],
        },
        answer={"PeeringToken": "eyJDQSI6"},
        result=SecretStr("eyJDQSI6"),
    ),
    Case(
        "peering.establish",
        lambda c: c.peering.establish("cluster-01", SecretStr("eyJDQSI6")),
        "POST /v1/peering/establish",
        takes=WRITE,
        body={"PeerName": "cluster-01", "PeeringToken": "eyJDQSI6"},
        answer={},
        result=None,
    ),
    Case(
        "peering.establish",
        lambda c: c.peering.establish("cluster-01", "eyJDQSI6", meta={"env": "production"}),
        "POST /v1/peering/establish",
        takes=WRITE,
        body={
            "PeerName": "cluster-01",
            "PeeringToken": "eyJDQSI6",
            "Meta": {"env": "production"},
        },
        answer={},
        result=None,
    ),
    Case(
        "peering.get",
        lambda c: c.peering.get("a/b ?"),
        "GET /v1/peering/a%2Fb%20%3F",
        takes=READ,
        answer=LINK,
        result=PEERING,
    ),
    Case(
        "peering.get",
        lambda c: c.peering.get("cluster-02"),
        "GET /v1/peering/cluster-02",
        takes=READ,
        status=404,
        answer=b'Peering not found for "cluster-02"',
        result=None,
    ),
    Case(
        "peering.delete",
        lambda c: c.peering.delete("cluster-02"),
        "DELETE /v1/peering/cluster-02",
        takes=WRITE,
        answer=EMPTY,
        result=None,
        safety=Safety.IDEMPOTENT,
    ),
    Case(
        "peering.list",
        lambda c: c.peering.list(),
        "GET /v1/peerings",
        takes=READ,
        answer=[LINK],
        result=[PEERING],
    ),
    Case(
        "peering.list",
        lambda c: c.peering.list(),
        "GET /v1/peerings",
        takes=READ,
        answer=None,
        result=[],
    ),
]
