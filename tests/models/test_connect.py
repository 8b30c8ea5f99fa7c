"""The mesh, as the documentation of newer servers has it."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from pydantic import TypeAdapter

from consul_onex import BadRequestError, ConsulClient, DecodeError, OutcomeUnknownError
from consul_onex.models.connect import (
    CAConfiguration,
    Intention,
    IntentionHeader,
    IntentionHTTP,
    IntentionJWT,
    IntentionJWTClaim,
    IntentionJWTProvider,
    IntentionPermission,
    LeafCert,
)
from tests.support.canary import CANARY, Bottom, leaks
from tests.support.lossless import lost

LEAF = {
    "SerialNumber": "08",
    "CertPEM": "-----BEGIN CERTIFICATE-----\n",
    "PrivateKeyPEM": "-----BEGIN EC PRIVATE KEY-----\n",
    "Service": "test",
    "ServiceURI": "spiffe://7f42f496.consul/ns/default/dc/dc1/svc/test",
    "ValidAfter": "2018-05-21T16:33:28Z",
    "ValidBefore": "2018-05-24T16:33:28Z",
    "CreateIndex": 5,
    "ModifyIndex": 6,
}

GATEWAY_LEAF = {
    "SerialNumber": "09",
    "Agent": "node-1",
    "AgentURI": "spiffe://7f42f496.consul/agent/client/dc/dc1/id/node-1",
    "ServerURI": "spiffe://7f42f496.consul/agent/server/dc/dc1",
    "Kind": "mesh-gateway",
    "KindURI": "spiffe://7f42f496.consul/gateway/mesh/dc/dc1",
    "Namespace": "default",
    "Partition": "default",
}

PERMISSIONS = [
    {
        "Action": "deny",
        "HTTP": {
            "PathPrefix": "/admin",
            "Header": [
                {"Name": "x-debug", "Present": True, "Invert": True},
                {"Name": "x-exact", "Exact": "1", "IgnoreCase": True},
                {"Name": "x-prefix", "Prefix": "a"},
                {"Name": "x-suffix", "Suffix": "b"},
                {"Name": "x-contains", "Contains": "c"},
                {"Name": "x-regex", "Regex": "^d$"},
            ],
            "Methods": ["GET", "POST"],
        },
    },
    {
        "Action": "allow",
        "HTTP": {"PathExact": "/login"},
        "JWT": {
            "Providers": [
                {
                    "Name": "auth0",
                    "VerifyClaims": [{"Path": ["perms", "role"], "Value": "admin"}],
                }
            ]
        },
    },
    {"Action": "allow", "HTTP": {"PathRegex": "/v[0-9]+"}},
]

IN_TYPES = [
    IntentionPermission(
        action="deny",
        http=IntentionHTTP(
            path_prefix="/admin",
            header=[
                IntentionHeader(name="x-debug", present=True, invert=True),
                IntentionHeader(name="x-exact", exact="1", ignore_case=True),
                IntentionHeader(name="x-prefix", prefix="a"),
                IntentionHeader(name="x-suffix", suffix="b"),
                IntentionHeader(name="x-contains", contains="c"),
                IntentionHeader(name="x-regex", regex="^d$"),
            ],
            methods=["GET", "POST"],
        ),
    ),
    IntentionPermission(
        action="allow",
        http=IntentionHTTP(path_exact="/login"),
        jwt=IntentionJWT(
            providers=[
                IntentionJWTProvider(
                    name="auth0",
                    verify_claims=[IntentionJWTClaim(path=["perms", "role"], value="admin")],
                )
            ]
        ),
    ),
    IntentionPermission(action="allow", http=IntentionHTTP(path_regex="/v[0-9]+")),
]

NEWER = {
    "SourceName": "web",
    "SourcePeer": "east",
    "SourceSamenessGroup": "group",
    "SourcePartition": "part",
    "SourceNS": "default",
    "DestinationName": "db",
    "DestinationPartition": "default",
    "DestinationNS": "team",
    "SourceType": "consul",
    "Permissions": PERMISSIONS,
    "JWT": {"Providers": [{"Name": "okta"}]},
    "Precedence": 9,
    "CreateIndex": 11,
    "ModifyIndex": 12,
}


def read(type_: type, document: object) -> Any:
    return TypeAdapter(type_).validate_json(json.dumps(document))


def answering(status: int, body: object) -> ConsulClient:
    text = body if isinstance(body, str) else json.dumps(body)
    return ConsulClient(transport=Bottom(httpx.Response(status, text=text)))


@pytest.mark.parametrize("document", [LEAF, GATEWAY_LEAF])
def test_nothing_of_a_leaf_certificate_is_lost(document: dict[str, object]) -> None:
    assert lost(document, read(LeafCert, document)) == []


def test_a_private_key_is_not_shown_but_can_be_taken_out() -> None:
    leaf = read(LeafCert, LEAF)

    assert leaf.private_key_pem.get_secret_value() == LEAF["PrivateKeyPEM"]
    assert "PRIVATE KEY" not in f"{leaf} {leaf!r}"


@pytest.mark.parametrize("token", [CANARY, CANARY.get_secret_value()], ids=["hidden", "plain"])
def test_what_a_certificate_authority_is_configured_with_is_sent_and_not_shown(token: Any) -> None:
    config = {"Token": token, "AuthMethod": {"Params": [token]}, "LeafCertTTL": "72h"}
    configuration = CAConfiguration(provider="vault", config=config)

    assert not leaks(f"{configuration} {configuration!r}")
    plain = CANARY.get_secret_value()
    assert json.loads(configuration.body()) == {
        "Provider": "vault",
        "Config": {"Token": plain, "AuthMethod": {"Params": [plain]}, "LeafCertTTL": "72h"},
    }


async def test_what_consul_quotes_of_a_configuration_is_in_no_error() -> None:
    text = 'a text of a newer server: "s3cret": and "more'
    bottom = Bottom(httpx.Response(500, text=text))
    async with ConsulClient(transport=bottom, layers=[]) as c:
        with pytest.raises(OutcomeUnknownError, match='a newer server: "...": and "..."') as caught:
            await c.connect.ca.configure(CAConfiguration(provider="consul"))

    assert "s3cret" not in f"{caught.value!r} {caught.value}"


def test_nothing_of_an_intention_of_a_newer_server_is_lost() -> None:
    intention = read(Intention, NEWER)

    assert lost(NEWER, intention) == []
    assert intention.permissions == IN_TYPES
    assert intention.jwt == IntentionJWT(providers=[IntentionJWTProvider(name="okta")])
    assert (intention.source_peer, intention.source_sameness_group) == ("east", "group")


def test_permissions_are_written_as_they_were_read() -> None:
    intention = Intention(source_name="web", destination_name="db", permissions=IN_TYPES)

    assert intention.to_wire() == {
        "SourceName": "web",
        "DestinationName": "db",
        "Permissions": PERMISSIONS,
    }


async def test_an_intention_can_be_read_changed_and_written_by_name() -> None:
    bottom = Bottom(httpx.Response(200, json=NEWER))
    async with ConsulClient(transport=bottom) as c:
        intention = await c.connect.intention.get("part/default/web", "team/db")
    assert intention is not None

    bottom = Bottom(httpx.Response(200, json=True))
    async with ConsulClient(transport=bottom) as c:
        assert await c.connect.intention.put(intention.replace(description="for the shop")) is True

    of_the_server = {"JWT", "Precedence", "CreateIndex", "ModifyIndex"}
    kept = {name: value for name, value in NEWER.items() if name not in of_the_server}
    written = json.loads(bottom.last.content)
    assert written == kept | {"Description": "for the shop"}
    assert bottom.last.url.params.multi_items() == [
        ("source", "part/default/web"),
        ("destination", "default/team/db"),
    ]


async def test_a_refusal_for_another_reason_is_a_bad_request() -> None:
    async with answering(400, "Request decode failed: EOF") as c:
        with pytest.raises(BadRequestError, match="decode failed"):
            await c.connect.intention.put(Intention(source_name="web", destination_name="db"))


@pytest.mark.parametrize("body", [{}, {"ID": 7}, {"ID": None}, [], "null", "created"])
async def test_a_creation_without_an_id_is_damaged(body: object) -> None:
    async with answering(200, body) as c:
        with pytest.raises(DecodeError, match=r"^connect\.intention\.create: "):
            await c.connect.intention.create(Intention(source_name="web", destination_name="db"))


@pytest.mark.parametrize("body", [{}, {"Allowed": 1}, {"Allowed": None}, [], "true"])
async def test_a_check_without_a_verdict_is_damaged(body: object) -> None:
    async with answering(200, body) as c:
        with pytest.raises(DecodeError, match=r"^connect\.intention\.check: "):
            await c.connect.intention.check("web", "db")
