"""Access control, as the documentation has it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import SecretStr, TypeAdapter

from consul_onex import InvalidRequestError
from consul_onex.models._base import Definition
from consul_onex.models.acl import (
    ACLAuthMethod,
    ACLBindingRule,
    ACLLink,
    ACLPolicy,
    ACLReplication,
    ACLRole,
    ACLToken,
    ACLTokenExpanded,
    AWSIAMConfig,
    JWTConfig,
    KubernetesConfig,
    LoginRequest,
    OIDCClientAssertion,
    OIDCConfig,
    OIDCPrivateKey,
    TemplatedPolicy,
)
from tests.support.canary import CANARY, leaks
from tests.support.lossless import lost

TOKEN = {
    "Name": "agent-token",
    "AccessorID": "6a1253d2-1785-24fd-91c2-f8e78c745511",
    "SecretID": "45a3bd52-07c7-47a4-52fd-0745e0cfe967",
    "Description": "Agent token for 'node1'",
    "Policies": [{"ID": "165d4317-e379-f732-ce70-86278c4558f7", "Name": "node1-write"}],
    "TemplatedPolicies": [
        {
            "TemplateID": "00000000-0000-0000-0000-000000000003",
            "TemplateName": "builtin/service",
            "TemplateVariables": {"Name": "api"},
        }
    ],
    "Local": False,
    "CreateTime": "2018-10-24T12:25:06.921933-04:00",
    "Hash": "UuiRkOQPRCvoRZHRtUxxbrmwZ5crYrOdZ0Z1FTFbTbA=",
    "CreateIndex": 59,
    "ModifyIndex": 59,
}
LOGIN = {
    "AccessorID": "926e2bd2-b344-d91b-0c83-ae89f372cd9b",
    "SecretID": "b78d37c7-0ca7-5f4d-99ee-6d9975ce4586",
    "Description": "token created via login",
    "Roles": [{"ID": "3356c67c-5535-403a-ad79-c1d5f9df8fc7", "Name": "demo"}],
    "ServiceIdentities": [{"ServiceName": "example"}],
    "Local": True,
    "AuthMethod": "minikube",
    "CreateTime": "2019-04-29T10:08:08.404370762-05:00",
    "Hash": "nLimyD+7l6miiHEBmN/tvCelAmE/SbIXxcnTzG3pbGY=",
    "CreateIndex": 36,
    "ModifyIndex": 36,
}
ANONYMOUS = {
    "AccessorID": "00000000-0000-0000-0000-000000000002",
    "SecretID": "<hidden>",
    "Description": "Anonymous Token",
    "Policies": None,
    "Local": False,
    "CreateTime": "0001-01-01T00:00:00Z",
    "CreateIndex": 5,
    "ModifyIndex": 5,
}
POLICY = {
    "ID": "e359bd81-baca-903e-7e64-1ccd9fdc78f5",
    "Name": "node-read",
    "Description": "Grants read access to all node information",
    "Rules": 'node_prefix "" { policy = "read"}',
    "Datacenters": ["dc1"],
    "Hash": "OtZUUKhInTLEqTPfNSSOYbRiSBKm3c4vI2p6MxZnGWc=",
    "CreateIndex": 14,
    "ModifyIndex": 14,
}
ROLE = {
    "ID": "aa770e5b-8b0b-7fcf-e5a1-8535fcc388b4",
    "Name": "example-role",
    "Description": "Showcases all input parameters",
    "Policies": [{"ID": "783beef3-783f-f41f-7422-7087dc272765", "Name": "node-read"}],
    "TemplatedPolicies": [
        {"TemplateName": "builtin/service", "TemplateVariables": {"Name": "api"}}
    ],
    "ServiceIdentities": [
        {"ServiceName": "web"},
        {"ServiceName": "db", "Datacenters": ["dc1"]},
    ],
    "NodeIdentities": [{"NodeName": "node-1", "Datacenter": "dc2"}],
    "Hash": "mBWMIeX9zyUTdDMq8vWB0iYod+mKBArJoAhj6oPz3BI=",
    "CreateIndex": 57,
    "ModifyIndex": 57,
}
# The page calls two of them `NamespaceDefaultPolicies` and `-Roles`; Consul's sources do not.
EXPANDED = TOKEN | {
    "ExpandedPolicies": [
        {
            "ID": "beb04680-815b-4d7c-9e33-3d707c24672c",
            "Name": "foo",
            "Description": "user policy on token",
            "Rules": 'service_prefix "" {\n  policy = "read"\n}',
            "Datacenters": None,
            "Hash": None,
            "CreateIndex": 0,
            "ModifyIndex": 0,
        }
    ],
    "ExpandedRoles": [ROLE],
    "NamespaceDefaultPolicyIDs": ["p"],
    "NamespaceDefaultRoleIDs": None,
    "AgentACLDefaultPolicy": "allow",
    "AgentACLDownPolicy": "deny",
    "ResolvedByAgent": "server-1",
}
TEMPLATE = {
    "TemplateName": "builtin/service",
    "Schema": '{\n\t"type": "object",\n\t"required": ["name"]\n}',
    "Template": '\nservice "{{.Name}}" {\n\tpolicy = "write"\n}',
    "Description": "Gives the token or role permissions to register a service",
}
RULE = {
    "ID": "000ed53c-e2d3-e7e6-31a5-c19bc3518a3d",
    "Description": "example rule",
    "AuthMethod": "minikube",
    "Selector": "serviceaccount.namespace==default",
    "BindType": "templated-policy",
    "BindName": "builtin/service",
    "BindVars": {"Name": "prefixed-${serviceaccount.name}"},
    "CreateIndex": 17,
    "ModifyIndex": 17,
}
METHOD = {
    "Name": "minikube",
    "Type": "kubernetes",
    "Description": "dev minikube cluster",
    "TokenNameFormat": "${auth_method_type}-${value.user}",
    "Config": {
        "Host": "https://192.0.2.42:8443",
        "CACert": "-----BEGIN CERTIFICATE-----\n...-----END CERTIFICATE-----\n",
        "ServiceAccountJWT": "eyJhbGciOiJSUzI1NiIsImtpZCI6IiJ9...",
    },
    "NamespaceRules": [
        {"Selector": "serviceaccount.name!=vault", "BindNamespace": "${serviceaccount.name}"}
    ],
    "CreateIndex": 15,
    "ModifyIndex": 224,
}
REPLICATION = {
    "Enabled": True,
    "Running": True,
    "SourceDatacenter": "dc1",
    "ReplicationType": "tokens",
    "ReplicatedIndex": 1976,
    "ReplicatedTokenIndex": 2018,
    "LastSuccess": "2018-11-03T06:28:58Z",
    "LastError": "2016-11-03T06:28:28Z",
    "LastErrorMessage": "failed to retrieve ACL policy updates: RPC rate limit exceeded",
}

EXAMPLES: list[tuple[type, dict[str, Any]]] = [
    (ACLToken, TOKEN),
    (ACLToken, LOGIN),
    (ACLToken, ANONYMOUS),
    (ACLTokenExpanded, EXPANDED),
    (ACLPolicy, POLICY),
    (ACLRole, ROLE),
    (ACLAuthMethod, METHOD),
    (ACLBindingRule, RULE),
    (TemplatedPolicy, TEMPLATE),
    (ACLReplication, REPLICATION),
]


@pytest.mark.parametrize(("model", "example"), EXAMPLES)
def test_nothing_of_an_example_is_lost(model: type, example: dict[str, Any]) -> None:
    assert lost(example, TypeAdapter(model).validate_json(json.dumps(example))) == []


# -- what auth methods are told --------------------------------------------------------------------

KUBERNETES = KubernetesConfig(
    host="https://192.0.2.42:8443",
    ca_cert="-----BEGIN CERTIFICATE-----\n...-----END CERTIFICATE-----\n",
    service_account_jwt=SecretStr("eyJhbGciOiJSUzI1NiIsImtpZCI6IiJ9..."),
)
JWT = JWTConfig(
    jwks_url="https://example.com/jwks",
    jwks_ca_cert="pem",
    jwt_validation_pub_keys=["pem"],
    oidc_discovery_url="https://example.com",
    oidc_discovery_ca_cert="pem",
    jwt_supported_algs=["RS256", "ES512"],
    bound_audiences=["V1RPi2MYptMV1RPi2MYptMV1RPi2MYpt"],
    bound_issuer="corp-issuer",
    claim_mappings={"http://example.com/first_name": "first_name"},
    list_claim_mappings={"http://consul.com/groups": "groups"},
    expiration_leeway=150,
    not_before_leeway=0.5,
    clock_skew_leeway=60,
)
OIDC = OIDCConfig(
    allowed_redirect_uris=["http://localhost:8550/oidc/callback"],
    bound_audiences=["V1RPi2MYptMV1RPi2MYptMV1RPi2MYpt"],
    claim_mappings={"http://example.com/first_name": "first_name"},
    list_claim_mappings={"http://consul.com/groups": "groups"},
    jwt_supported_algs=["RS256"],
    oidc_client_id="V1RPi2MYptMV1RPi2MYptMV1RPi2MYpt",
    oidc_client_secret=SecretStr("s3cret"),
    oidc_client_assertion=OIDCClientAssertion(
        audience=["a"], private_key=OIDCPrivateKey(pem_key=SecretStr("pem")), key_algorithm="RS256"
    ),
    oidc_client_use_pkce=False,
    oidc_discovery_url="https://my-corp-app-name.auth0.com/",
    oidc_discovery_ca_cert="pem",
    oidc_scopes=["profile"],
    oidc_acr_values=["acr"],
    verbose_oidc_logging=True,
)
AWS = AWSIAMConfig(
    bound_iam_principal_arns=["arn:aws:iam::123456789012:role/MyRoleName"],
    enable_iam_entity_details=True,
    iam_entity_tags=["consul-namespace"],
    server_id_header_value="my.consul.server.example.com",
    max_retries=3,
    iam_endpoint="https://iam.amazonaws.com/",
    sts_endpoint="https://sts.us-east-1.amazonaws.com/",
    allowed_sts_header_values=["X-Extra-Header"],
)

CONFIGS: list[tuple[Definition, dict[str, Any]]] = [
    (KUBERNETES, dict(METHOD["Config"])),  # type: ignore[call-overload]
    (
        JWT,
        {
            "JWKSURL": "https://example.com/jwks",
            "JWKSCACert": "pem",
            "JWTValidationPubKeys": ["pem"],
            "OIDCDiscoveryURL": "https://example.com",
            "OIDCDiscoveryCACert": "pem",
            "JWTSupportedAlgs": ["RS256", "ES512"],
            "BoundAudiences": ["V1RPi2MYptMV1RPi2MYptMV1RPi2MYpt"],
            "BoundIssuer": "corp-issuer",
            "ClaimMappings": {"http://example.com/first_name": "first_name"},
            "ListClaimMappings": {"http://consul.com/groups": "groups"},
            "ExpirationLeeway": 150_000_000_000,
            "NotBeforeLeeway": 500_000_000,
            "ClockSkewLeeway": 60_000_000_000,
        },
    ),
    (
        OIDC,
        {
            "AllowedRedirectURIs": ["http://localhost:8550/oidc/callback"],
            "BoundAudiences": ["V1RPi2MYptMV1RPi2MYptMV1RPi2MYpt"],
            "ClaimMappings": {"http://example.com/first_name": "first_name"},
            "ListClaimMappings": {"http://consul.com/groups": "groups"},
            "JWTSupportedAlgs": ["RS256"],
            "OIDCClientID": "V1RPi2MYptMV1RPi2MYptMV1RPi2MYpt",
            "OIDCClientSecret": "s3cret",
            "OIDCClientAssertion": {
                "Audience": ["a"],
                "PrivateKey": {"PemKey": "pem"},
                "KeyAlgorithm": "RS256",
            },
            "OIDCClientUsePKCE": False,
            "OIDCDiscoveryURL": "https://my-corp-app-name.auth0.com/",
            "OIDCDiscoveryCACert": "pem",
            "OIDCScopes": ["profile"],
            "OIDCACRValues": ["acr"],
            "VerboseOIDCLogging": True,
        },
    ),
    (
        AWS,
        {
            "BoundIAMPrincipalARNs": ["arn:aws:iam::123456789012:role/MyRoleName"],
            "EnableIAMEntityDetails": True,
            "IAMEntityTags": ["consul-namespace"],
            "ServerIDHeaderValue": "my.consul.server.example.com",
            "MaxRetries": 3,
            "IAMEndpoint": "https://iam.amazonaws.com/",
            "STSEndpoint": "https://sts.us-east-1.amazonaws.com/",
            "AllowedSTSHeaderValues": ["X-Extra-Header"],
        },
    ),
]


@pytest.mark.parametrize(
    ("config", "wire"), CONFIGS, ids=lambda value: getattr(type(value), "__name__", "")
)
def test_a_config_is_in_consuls_names(config: Definition, wire: dict[str, Any]) -> None:
    assert config.to_wire() == wire
    method = ACLAuthMethod(name="x", type="y", config=config.to_wire())
    assert json.loads(method.body()) == {"Name": "x", "Type": "y", "Config": wire}


def test_a_config_that_is_told_little_says_little() -> None:
    assert JWTConfig(jwks_url="https://x").to_wire() == {"JWKSURL": "https://x"}


# -- what is sent, and what shows ------------------------------------------------------------------


def test_what_only_the_server_writes_is_not_sent() -> None:
    token = TypeAdapter(ACLToken).validate_json(json.dumps(TOKEN | {"Legacy": True}))

    sent = json.loads(token.body())

    assert set(TOKEN) - set(sent) == {"CreateTime", "Hash", "CreateIndex", "ModifyIndex"}
    assert set(sent) <= set(TOKEN)


def test_a_token_that_lives_for_a_while_says_so_as_go_does() -> None:
    token = ACLToken(expiration_ttl=90.5, expiration_time=datetime(2030, 1, 1, tzinfo=UTC))

    assert json.loads(token.body()) == {
        "ExpirationTTL": "90500ms",
        "ExpirationTime": "2030-01-01T00:00:00Z",
    }


def test_a_time_is_read_to_the_microsecond() -> None:
    token = TypeAdapter(ACLToken).validate_json(json.dumps(LOGIN))

    assert token.create_time == datetime(2019, 4, 29, 15, 8, 8, 404370, UTC)


SECRETS: list[Definition] = [
    ACLToken(secret_id=CANARY),
    ACLAuthMethod(name="x", type="jwt", config={"Key": CANARY.get_secret_value()}),
    KubernetesConfig(host="x", service_account_jwt=CANARY),
    OIDCConfig(
        oidc_discovery_url="x",
        oidc_client_id="x",
        allowed_redirect_uris=[],
        oidc_client_secret=CANARY,
        oidc_client_assertion=OIDCClientAssertion(private_key=OIDCPrivateKey(pem_key=CANARY)),
    ),
    LoginRequest(auth_method="x", bearer_token=CANARY),
]


@pytest.mark.parametrize("secret", SECRETS, ids=lambda value: type(value).__name__)
def test_a_secret_is_sent_and_does_not_show(secret: Definition) -> None:
    assert leaks(secret.body().decode())
    assert not leaks(f"{secret!r} {secret}")


def test_a_secret_of_the_wrong_type_is_not_quoted() -> None:
    with pytest.raises(InvalidRequestError) as raised:
        ACLToken(secret_id=[CANARY.get_secret_value()])  # type: ignore[arg-type]

    assert not leaks(f"{raised.value!r} {raised.value}")
    assert raised.value.__context__ is None


def test_what_is_misspelt_is_told_at_once() -> None:
    with pytest.raises(InvalidRequestError, match=r"ACLToken\.policy: there is no such field"):
        ACLToken(policy=[ACLLink(name="x")])  # type: ignore[call-arg]
