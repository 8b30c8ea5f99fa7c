"""The certificate authority of the mesh, and intentions."""

from __future__ import annotations

from datetime import UTC, datetime

from consul_onex import Safety
from consul_onex.models.connect import (
    CAConfiguration,
    CARoot,
    CARoots,
    Intention,
    IntentionHTTP,
    IntentionPermission,
)
from tests.walk.case import EMPTY, Case

READ = "dc consistency ns partition"
WRITE = "dc ns partition"

ROOTS = {
    "ActiveRootID": "c7:bd",
    "TrustDomain": "7f42.consul",
    "Roots": [
        {
            "ID": "c7:bd",
            "Name": "Consul CA Root Cert",
            "SerialNumber": 2**64 - 1,
            "SigningKeyID": "2d:09",
            "ExternalTrustDomain": "a149",
            "NotBefore": "2018-05-25T21:39:23Z",
            "NotAfter": "2028-05-22T21:39:23Z",
            "RootCert": "-----BEGIN CERTIFICATE-----\n",
            "IntermediateCerts": None,
            "Active": True,
            "PrivateKeyType": "ec",
            "PrivateKeyBits": 256,
            "CreateIndex": 8,
            "ModifyIndex": 9,
        }
    ],
}

CONFIGURATION = {
    "Provider": "vault",
    "Config": {"Token": "a secret", "LeafCertTTL": "72h", "CSRMaxPerSecond": 50},
    "State": {"id": "5f"},
    "ForceWithoutCrossSigning": True,
    "CreateIndex": 5,
    "ModifyIndex": 6,
}

INTENTION = {
    "ID": "5f",
    "Description": "for the shop",
    "SourceNS": "default",
    "SourceName": "web",
    "DestinationNS": "default",
    "DestinationName": "db",
    "SourceType": "consul",
    "Action": "allow",
    "DefaultAddr": "",
    "DefaultPort": 0,
    "Meta": {"team": "a"},
    "Precedence": 9,
    "CreatedAt": "2018-05-21T16:41:27.977155457Z",
    "UpdatedAt": "2018-05-21T16:41:28Z",
    "Hash": "Ejrh",
    "CreateIndex": 11,
    "ModifyIndex": 12,
}
READ_BACK = Intention(
    id="5f",
    description="for the shop",
    source_namespace="default",
    source_name="web",
    destination_namespace="default",
    destination_name="db",
    source_type="consul",
    action="allow",
    default_addr="",
    default_port=0,
    meta={"team": "a"},
    precedence=9,
    created_at=datetime(2018, 5, 21, 16, 41, 27, 977155, tzinfo=UTC),
    updated_at=datetime(2018, 5, 21, 16, 41, 28, tzinfo=UTC),
    hash="Ejrh",
    create_index=11,
    modify_index=12,
)
WRITTEN_BACK = {
    "Description": "for the shop",
    "SourceNS": "default",
    "SourceName": "web",
    "DestinationNS": "default",
    "DestinationName": "db",
    "SourceType": "consul",
    "Action": "deny",
    "DefaultAddr": "",
    "DefaultPort": 0,
    "Meta": {"team": "a"},
}

CASES = [
    Case(
        "connect.ca.roots",
        lambda c: c.connect.ca.roots(),
        "GET /v1/connect/ca/roots",
        takes="dc consistency",
        answer=ROOTS,
        result=CARoots(
            active_root_id="c7:bd",
            trust_domain="7f42.consul",
            roots=[
                CARoot(
                    id="c7:bd",
                    name="Consul CA Root Cert",
                    serial_number=2**64 - 1,
                    signing_key_id="2d:09",
                    external_trust_domain="a149",
                    not_before=datetime(2018, 5, 25, 21, 39, 23, tzinfo=UTC),
                    not_after=datetime(2028, 5, 22, 21, 39, 23, tzinfo=UTC),
                    root_cert="-----BEGIN CERTIFICATE-----\n",
                    active=True,
                    private_key_type="ec",
                    private_key_bits=256,
                    create_index=8,
                    modify_index=9,
                )
            ],
        ),
    ),
    Case(
        "connect.ca.roots_pem",
        lambda c: c.connect.ca.roots_pem(),
        "GET /v1/connect/ca/roots?pem=true",
        takes="dc consistency",
        answer=b"-----BEGIN CERTIFICATE-----\n",
        result="-----BEGIN CERTIFICATE-----\n",
    ),
    Case(
        "connect.ca.configuration",
        lambda c: c.connect.ca.configuration(),
        "GET /v1/connect/ca/configuration",
        takes="dc consistency",
        answer=CONFIGURATION,
        result=CAConfiguration(
            provider="vault",
            config={"Token": "a secret", "LeafCertTTL": "72h", "CSRMaxPerSecond": 50},
            state={"id": "5f"},
            force_without_cross_signing=True,
            create_index=5,
            modify_index=6,
        ),
    ),
    Case(
        "connect.ca.configure",
        lambda c: c.connect.ca.configure(
            CAConfiguration(
                provider="consul", config={"LeafCertTTL": "1h"}, state={"id": "5f"}, modify_index=6
            )
        ),
        "PUT /v1/connect/ca/configuration",
        takes="dc",
        body={"Provider": "consul", "Config": {"LeafCertTTL": "1h"}},
        answer=EMPTY,
        result=None,
        safety=Safety.IDEMPOTENT,
    ),
    Case(
        "connect.intention.list",
        lambda c: c.connect.intention.list(),
        "GET /v1/connect/intentions",
        takes=READ,
        answer=None,
        result=[],
    ),
    Case(
        "connect.intention.list",
        lambda c: c.connect.intention.list(filter='SourceName == "web"'),
        "GET /v1/connect/intentions?filter=SourceName%20%3D%3D%20%22web%22",
        takes=READ,
        answer=[INTENTION],
        result=[READ_BACK],
    ),
    Case(
        "connect.intention.check",
        lambda c: c.connect.intention.check("team/web", "a&b"),
        "GET /v1/connect/intentions/check?source=team%2Fweb&destination=a%26b",
        takes=WRITE,
        answer={"Allowed": True},
        result=True,
    ),
    Case(
        "connect.intention.check",
        lambda c: c.connect.intention.check("web", "db", source_type="other"),
        "GET /v1/connect/intentions/check?source=web&destination=db&source-type=other",
        takes=WRITE,
        answer={"Allowed": False},
        result=False,
    ),
    Case(
        "connect.intention.match",
        lambda c: c.connect.intention.match("db"),
        "GET /v1/connect/intentions/match?by=destination&name=db",
        takes=READ,
        answer={"db": [INTENTION]},
        result={"db": [READ_BACK]},
    ),
    Case(
        "connect.intention.match",
        lambda c: c.connect.intention.match(["web", "ä"], by="source"),
        "GET /v1/connect/intentions/match?by=source&name=web&name=%C3%A4",
        takes=READ,
        answer={"web": [], "ä": None},
        result={"web": [], "ä": []},
    ),
    Case(
        "connect.intention.get",
        lambda c: c.connect.intention.get("peer:east/web", "db"),
        "GET /v1/connect/intentions/exact?source=peer%3Aeast%2Fweb&destination=db",
        takes=READ,
        answer=INTENTION,
        result=READ_BACK,
    ),
    Case(
        "connect.intention.get",
        lambda c: c.connect.intention.get("web", "db"),
        "GET /v1/connect/intentions/exact?source=web&destination=db",
        takes=READ,
        status=404,
        answer=b"Intention not found",
        result=None,
    ),
    Case(
        "connect.intention.put",
        lambda c: c.connect.intention.put(READ_BACK.replace(action="deny")),
        "PUT /v1/connect/intentions/exact?source=default%2Fweb&destination=default%2Fdb",
        takes=WRITE,
        body=WRITTEN_BACK,
        answer=True,
        result=True,
        safety=Safety.IDEMPOTENT,
    ),
    Case(
        "connect.intention.put",
        lambda c: c.connect.intention.put(
            Intention(
                source_name="*",
                source_partition="part",
                destination_partition="part",
                destination_namespace="team",
                destination_name="db",
                permissions=[
                    IntentionPermission(action="deny", http=IntentionHTTP(path_prefix="/admin"))
                ],
            )
        ),
        "PUT /v1/connect/intentions/exact?source=part%2Fdefault%2F%2A&destination=part%2Fteam%2Fdb",
        takes=WRITE,
        body={
            "SourceName": "*",
            "SourcePartition": "part",
            "DestinationPartition": "part",
            "DestinationNS": "team",
            "DestinationName": "db",
            "Permissions": [{"Action": "deny", "HTTP": {"PathPrefix": "/admin"}}],
        },
        answer=True,
        result=True,
        safety=Safety.IDEMPOTENT,
    ),
    Case(
        "connect.intention.delete",
        lambda c: c.connect.intention.delete("web", "db"),
        "DELETE /v1/connect/intentions/exact?source=web&destination=db",
        takes=WRITE,
        answer=True,
        result=True,
        safety=Safety.IDEMPOTENT,
    ),
    Case(
        "connect.intention.create",
        lambda c: c.connect.intention.create(
            Intention(source_name="web", destination_name="db", action="allow", id="none of ours")
        ),
        "POST /v1/connect/intentions",
        takes=WRITE,
        body={"SourceName": "web", "DestinationName": "db", "Action": "allow"},
        answer={"ID": "5f"},
        result="5f",
    ),
    Case(
        "connect.intention.get_by_id",
        lambda c: c.connect.intention.get_by_id("a/b ?"),
        "GET /v1/connect/intentions/a%2Fb%20%3F",
        takes="dc consistency",
        answer=INTENTION,
        result=READ_BACK,
    ),
    Case(
        "connect.intention.get_by_id",
        lambda c: c.connect.intention.get_by_id("5f"),
        "GET /v1/connect/intentions/5f",
        takes="dc consistency",
        status=404,
        answer=b"Intention not found",
        result=None,
    ),
    Case(
        "connect.intention.update_by_id",
        lambda c: c.connect.intention.update_by_id("5f", READ_BACK.replace(action="deny")),
        "PUT /v1/connect/intentions/5f",
        takes=WRITE,
        body=WRITTEN_BACK,
        answer={"ID": "5f"},
        result=None,
        safety=Safety.IDEMPOTENT,
    ),
    Case(
        "connect.intention.delete_by_id",
        lambda c: c.connect.intention.delete_by_id("5f"),
        "DELETE /v1/connect/intentions/5f",
        takes="dc",
        answer=True,
        result=True,
        safety=Safety.IDEMPOTENT,
    ),
]
