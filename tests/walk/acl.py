"""Access control."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

from pydantic import SecretStr

from consul_onex import Safety
from consul_onex.models.acl import (
    ACLAuthMethod,
    ACLAuthorization,
    ACLBindingRule,
    ACLLink,
    ACLPermission,
    ACLPolicy,
    ACLReplication,
    ACLRole,
    ACLToken,
    ACLTokenExpanded,
    KubernetesConfig,
    NamespaceRule,
    NodeIdentity,
    ServiceIdentity,
    TemplatedPolicy,
    TemplatedPolicyLink,
    TemplateVariables,
)
from tests.walk.case import Case

READ = "dc consistency ns partition"
WRITE = "dc ns partition"
TENANCY = "ns partition"

TOKEN = {
    "Name": "agent-token",
    "AccessorID": "6a12",
    "SecretID": "45a3",
    "Description": "Agent token",
    "Policies": [{"ID": "165d", "Name": "node1-write"}],
    "Roles": [{"ID": "3356", "Name": "demo"}],
    "ServiceIdentities": [{"ServiceName": "web", "Datacenters": ["dc1"]}],
    "NodeIdentities": [{"NodeName": "node-1", "Datacenter": "dc2"}],
    "TemplatedPolicies": [
        {
            "TemplateID": "0003",
            "TemplateName": "builtin/service",
            "TemplateVariables": {"Name": "api"},
        }
    ],
    "Local": True,
    "AuthMethod": "minikube",
    "ExpirationTime": "2018-10-24T17:25:06.921933123-04:00",
    "CreateTime": "2018-10-24T12:25:06.921933-04:00",
    "Hash": "UuiR=",
    "CreateIndex": 59,
    "ModifyIndex": 60,
}
EASTERN = timezone(timedelta(hours=-4))
CREATED = datetime(2018, 10, 24, 12, 25, 6, 921933, EASTERN)
TOKEN_READ = ACLToken(
    name="agent-token",
    accessor_id="6a12",
    secret_id=SecretStr("45a3"),
    description="Agent token",
    policies=[ACLLink(id="165d", name="node1-write")],
    roles=[ACLLink(id="3356", name="demo")],
    service_identities=[ServiceIdentity(service_name="web", datacenters=["dc1"])],
    node_identities=[NodeIdentity(node_name="node-1", datacenter="dc2")],
    templated_policies=[
        TemplatedPolicyLink(
            template_id="0003",
            template_name="builtin/service",
            template_variables=TemplateVariables(name="api"),
        )
    ],
    local=True,
    auth_method="minikube",
    expiration_time=CREATED + timedelta(hours=5),
    create_time=CREATED,
    hash="UuiR=",
    create_index=59,
    modify_index=60,
)
EXPANDED = {
    "AccessorID": "fbd2",
    "SecretID": "869c",
    "Description": "test token",
    "Policies": [{"ID": "beb0", "Name": "foo"}],
    "Local": False,
    "CreateTime": "2020-05-22T18:52:31Z",
    "Hash": "YWJjZGVmZ2g=",
    "ExpandedPolicies": [
        {
            "ID": "beb0",
            "Name": "foo",
            "Description": "user policy on token",
            "Rules": 'operator = "read"',
            "Datacenters": None,
            "Hash": None,
            "CreateIndex": 0,
            "ModifyIndex": 0,
        }
    ],
    "ExpandedRoles": [{"ID": "3b0a", "Name": "admin"}],
    "NamespaceDefaultPolicyIDs": None,
    "NamespaceDefaultRoleIDs": ["77"],
    "AgentACLDefaultPolicy": "allow",
    "AgentACLDownPolicy": "deny",
    "ResolvedByAgent": "server-1",
    "CreateIndex": 42,
    "ModifyIndex": 100,
}
EXPANDED_READ = ACLTokenExpanded(
    accessor_id="fbd2",
    secret_id=SecretStr("869c"),
    description="test token",
    policies=[ACLLink(id="beb0", name="foo")],
    create_time=datetime(2020, 5, 22, 18, 52, 31, tzinfo=UTC),
    hash="YWJjZGVmZ2g=",
    expanded_policies=[
        ACLPolicy(
            id="beb0",
            name="foo",
            description="user policy on token",
            rules='operator = "read"',
            datacenters=[],
            hash="",
            create_index=0,
            modify_index=0,
        )
    ],
    expanded_roles=[ACLRole(id="3b0a", name="admin")],
    namespace_default_role_ids=["77"],
    agent_acl_default_policy="allow",
    agent_acl_down_policy="deny",
    resolved_by_agent="server-1",
    create_index=42,
    modify_index=100,
)

POLICY = {
    "ID": "e359",
    "Name": "node-read",
    "Description": "Reads nodes",
    "Rules": 'node_prefix "" { policy = "read"}',
    "Datacenters": ["dc1"],
    "Hash": "OtZU=",
    "CreateIndex": 14,
    "ModifyIndex": 28,
}
POLICY_READ = ACLPolicy(
    id="e359",
    name="node-read",
    description="Reads nodes",
    rules='node_prefix "" { policy = "read"}',
    datacenters=["dc1"],
    hash="OtZU=",
    create_index=14,
    modify_index=28,
)

ROLE = {
    "ID": "aa77",
    "Name": "example-role",
    "Description": "All of it",
    "Policies": [{"ID": "783b", "Name": "node-read"}],
    "ServiceIdentities": [{"ServiceName": "web"}],
    "NodeIdentities": [{"NodeName": "node-1", "Datacenter": "dc2"}],
    "TemplatedPolicies": [{"TemplateName": "builtin/dns"}],
    "Hash": "mBWM=",
    "CreateIndex": 57,
    "ModifyIndex": 58,
}
ROLE_READ = ACLRole(
    id="aa77",
    name="example-role",
    description="All of it",
    policies=[ACLLink(id="783b", name="node-read")],
    service_identities=[ServiceIdentity(service_name="web")],
    node_identities=[NodeIdentity(node_name="node-1", datacenter="dc2")],
    templated_policies=[TemplatedPolicyLink(template_name="builtin/dns")],
    hash="mBWM=",
    create_index=57,
    modify_index=58,
)

METHOD = {
    "Name": "minikube",
    "Type": "kubernetes",
    "DisplayName": "Minikube",
    "Description": "dev minikube cluster",
    "MaxTokenTTL": "5m0s",
    "TokenLocality": "global",
    "TokenNameFormat": "${auth_method_type}-${value.user}",
    "Config": {"Host": "https://192.0.2.42:8443", "CACert": "pem", "ServiceAccountJWT": "eyJh"},
    "NamespaceRules": [{"Selector": "a==b", "BindNamespace": "team"}],
    "CreateIndex": 15,
    "ModifyIndex": 224,
}
METHOD_READ = ACLAuthMethod(
    name="minikube",
    type="kubernetes",
    display_name="Minikube",
    description="dev minikube cluster",
    max_token_ttl=300.0,
    token_locality="global",
    token_name_format="${auth_method_type}-${value.user}",
    config=KubernetesConfig(
        host="https://192.0.2.42:8443", ca_cert="pem", service_account_jwt=SecretStr("eyJh")
    ).to_wire(),
    namespace_rules=[NamespaceRule(selector="a==b", bind_namespace="team")],
    create_index=15,
    modify_index=224,
)
METHOD_SENT = {
    name: value for name, value in METHOD.items() if name not in ("CreateIndex", "ModifyIndex")
} | {"MaxTokenTTL": "300s"}

RULE = {
    "ID": "000e",
    "Description": "example rule",
    "AuthMethod": "minikube",
    "Selector": "serviceaccount.namespace==default",
    "BindType": "templated-policy",
    "BindName": "builtin/service",
    "BindVars": {"Name": "prefixed-${serviceaccount.name}"},
    "CreateIndex": 17,
    "ModifyIndex": 18,
}
RULE_READ = ACLBindingRule(
    id="000e",
    description="example rule",
    auth_method="minikube",
    selector="serviceaccount.namespace==default",
    bind_type="templated-policy",
    bind_name="builtin/service",
    bind_vars=TemplateVariables(name="prefixed-${serviceaccount.name}"),
    create_index=17,
    modify_index=18,
)

TEMPLATE = {
    "TemplateName": "builtin/service",
    "Schema": '{"type": "object"}',
    "Template": 'service "{{.Name}}" {}',
    "Description": "for services",
}
TEMPLATE_READ = TemplatedPolicy(
    template_name="builtin/service",
    schema='{"type": "object"}',
    template='service "{{.Name}}" {}',
    description="for services",
)

CASES = [
    # -- the system ------------------------------------------------------------------------------
    Case(
        "acl.bootstrap",
        lambda c: c.acl.bootstrap(),
        "PUT /v1/acl/bootstrap",
        # Old servers say the secret twice.
        answer={"ID": "45a3"} | TOKEN,
        result=TOKEN_READ,
    ),
    Case(
        "acl.bootstrap",
        lambda c: c.acl.bootstrap(SecretStr("2b77")),
        "PUT /v1/acl/bootstrap",
        body={"BootstrapSecret": "2b77"},
        answer=TOKEN,
        result=TOKEN_READ,
    ),
    Case(
        "acl.replication",
        lambda c: c.acl.replication(),
        "GET /v1/acl/replication",
        takes="dc",
        answer={
            "Enabled": True,
            "Running": True,
            "SourceDatacenter": "dc1",
            "ReplicationType": "tokens",
            "ReplicatedIndex": 1976,
            "ReplicatedRoleIndex": 1977,
            "ReplicatedTokenIndex": 2018,
            "LastSuccess": "2018-11-03T06:28:58Z",
            "LastError": "0001-01-01T00:00:00Z",
            "LastErrorMessage": "RPC rate limit exceeded",
        },
        result=ACLReplication(
            enabled=True,
            running=True,
            source_datacenter="dc1",
            replication_type="tokens",
            replicated_index=1976,
            replicated_role_index=1977,
            replicated_token_index=2018,
            last_success=datetime(2018, 11, 3, 6, 28, 58, tzinfo=UTC),
            last_error=None,
            last_error_message="RPC rate limit exceeded",
        ),
    ),
    Case(
        "acl.login",
        lambda c: c.acl.login("minikube", "eyJh"),
        "POST /v1/acl/login",
        takes=WRITE,
        body={"AuthMethod": "minikube", "BearerToken": "eyJh"},
        answer=TOKEN,
        result=TOKEN_READ,
    ),
    Case(
        "acl.login",
        lambda c: c.acl.login("minikube", SecretStr("eyJh"), meta={"pod": "web-1"}),
        "POST /v1/acl/login",
        takes=WRITE,
        body={"AuthMethod": "minikube", "BearerToken": "eyJh", "Meta": {"pod": "web-1"}},
        answer=TOKEN,
        result=TOKEN_READ,
    ),
    Case(
        "acl.logout",
        lambda c: c.acl.logout(),
        "POST /v1/acl/logout",
        takes="dc",
        answer=True,
        result=None,
    ),
    Case(
        "acl.oidc_auth_url",
        lambda c: c.acl.oidc_auth_url("auth0", "http://localhost:8550/oidc/callback"),
        "POST /v1/acl/oidc/auth-url",
        takes=WRITE,
        body={"AuthMethod": "auth0", "RedirectURI": "http://localhost:8550/oidc/callback"},
        answer={"AuthURL": "https://myprovider.com/authorize?client_id=1"},
        result="https://myprovider.com/authorize?client_id=1",
    ),
    Case(
        "acl.oidc_auth_url",
        lambda c: c.acl.oidc_auth_url(
            "auth0", "http://localhost", client_nonce="n", meta={"a": "b"}
        ),
        "POST /v1/acl/oidc/auth-url",
        takes=WRITE,
        body={
            "AuthMethod": "auth0",
            "RedirectURI": "http://localhost",
            "ClientNonce": "n",
            "Meta": {"a": "b"},
        },
        answer={"AuthURL": "https://myprovider.com"},
        result="https://myprovider.com",
    ),
    Case(
        "acl.oidc_callback",
        lambda c: c.acl.oidc_callback("auth0", "st", SecretStr("co"), client_nonce="n"),
        "POST /v1/acl/oidc/callback",
        takes=WRITE,
        body={"AuthMethod": "auth0", "State": "st", "Code": "co", "ClientNonce": "n"},
        answer=TOKEN,
        result=TOKEN_READ,
    ),
    Case(
        "acl.authorize",
        lambda c: c.acl.authorize(
            [
                ACLPermission(resource="key", access="read", segment="a"),
                ACLPermission(resource="acl", access="write"),
            ]
        ),
        "POST /v1/internal/acl/authorize",
        takes="dc",
        body=[
            {"Resource": "key", "Access": "read", "Segment": "a"},
            {"Resource": "acl", "Access": "write"},
        ],
        answer=[
            {"Resource": "key", "Access": "read", "Segment": "a", "Allow": True},
            {"Resource": "acl", "Access": "write", "Allow": False},
        ],
        result=[
            ACLAuthorization(resource="key", access="read", segment="a", allow=True),
            ACLAuthorization(resource="acl", access="write"),
        ],
        safety=Safety.SAFE,
    ),
    # -- tokens ----------------------------------------------------------------------------------
    Case(
        "acl.token.create",
        lambda c: c.acl.token.create(),
        "PUT /v1/acl/token",
        takes=TENANCY,
        body={},
        answer=TOKEN,
        result=TOKEN_READ,
    ),
    Case(
        "acl.token.create",
        lambda c: c.acl.token.create(
            ACLToken(
                accessor_id="6a12",
                secret_id=SecretStr("45a3"),
                description="web",
                policies=[ACLLink(name="node-read")],
                templated_policies=[
                    TemplatedPolicyLink(
                        template_name="builtin/service",
                        template_variables=TemplateVariables(name="api"),
                    )
                ],
                expiration_ttl=90.5,
                expiration_time=datetime(2030, 1, 1, tzinfo=UTC),
            )
        ),
        "PUT /v1/acl/token",
        takes=TENANCY,
        body={
            "AccessorID": "6a12",
            "SecretID": "45a3",
            "Description": "web",
            "Policies": [{"Name": "node-read"}],
            "TemplatedPolicies": [
                {"TemplateName": "builtin/service", "TemplateVariables": {"Name": "api"}}
            ],
            "ExpirationTTL": "90500ms",
            "ExpirationTime": "2030-01-01T00:00:00Z",
        },
        answer=TOKEN,
        result=TOKEN_READ,
    ),
    Case(
        "acl.token.get",
        lambda c: c.acl.token.get("6a 12"),
        "GET /v1/acl/token/6a%2012",
        takes=READ,
        status=404,
        answer=b"Requested token does not exist: ACL not found",
        result=None,
    ),
    Case(
        "acl.token.get",
        lambda c: c.acl.token.get("6a12"),
        "GET /v1/acl/token/6a12",
        takes=READ,
        answer=TOKEN,
        result=TOKEN_READ,
    ),
    Case(
        "acl.token.expanded",
        lambda c: c.acl.token.expanded("fbd2"),
        "GET /v1/acl/token/fbd2?expanded=",
        takes=READ,
        answer=EXPANDED,
        result=EXPANDED_READ,
    ),
    Case(
        "acl.token.expanded",
        lambda c: c.acl.token.expanded("fbd2"),
        "GET /v1/acl/token/fbd2?expanded=",
        takes=READ,
        status=404,
        answer=b"Requested token does not exist: ACL not found",
        result=None,
    ),
    Case(
        "acl.token.self",
        lambda c: c.acl.token.self(),
        "GET /v1/acl/token/self",
        takes="dc consistency",
        answer=TOKEN,
        result=TOKEN_READ,
    ),
    Case(
        "acl.token.update",
        lambda c: c.acl.token.update(TOKEN_READ.replace(description="new")),
        "PUT /v1/acl/token/6a12",
        takes=TENANCY,
        body={
            name: value
            for name, value in TOKEN.items()
            if name
            not in (
                *("SecretID", "ExpirationTime", "CreateTime", "Hash"),
                *("CreateIndex", "ModifyIndex"),
            )
        }
        | {"Description": "new"},
        answer=TOKEN,
        result=TOKEN_READ,
        safety=Safety.IDEMPOTENT,
    ),
    Case(
        "acl.token.clone",
        lambda c: c.acl.token.clone("6a12"),
        "PUT /v1/acl/token/6a12/clone",
        takes=TENANCY,
        body={},
        answer=TOKEN,
        result=TOKEN_READ,
    ),
    Case(
        "acl.token.clone",
        lambda c: c.acl.token.clone("6a12", "another"),
        "PUT /v1/acl/token/6a12/clone",
        takes=TENANCY,
        body={"Description": "another"},
        answer=TOKEN,
        result=TOKEN_READ,
    ),
    Case(
        "acl.token.delete",
        lambda c: c.acl.token.delete("6a12"),
        "DELETE /v1/acl/token/6a12",
        takes=TENANCY,
        answer=True,
        result=True,
        safety=Safety.IDEMPOTENT,
    ),
    Case(
        "acl.token.delete",
        lambda c: c.acl.token.delete("6a12"),
        "DELETE /v1/acl/token/6a12",
        takes=TENANCY,
        status=404,
        answer=b"Cannot find token to delete",
        result=True,
        safety=Safety.IDEMPOTENT,
    ),
    Case(
        "acl.token.list",
        lambda c: c.acl.token.list(
            policy="165d", role="3356", auth_method="mini kube", service_name="web"
        ),
        "GET /v1/acl/tokens?policy=165d&role=3356&authmethod=mini%20kube&servicename=web",
        takes=READ,
        answer=[TOKEN],
        result=[TOKEN_READ],
    ),
    Case(
        "acl.token.list",
        lambda c: c.acl.token.list(),
        "GET /v1/acl/tokens",
        takes=READ,
        answer=None,
        result=[],
    ),
    # -- policies --------------------------------------------------------------------------------
    Case(
        "acl.policy.create",
        lambda c: c.acl.policy.create(ACLPolicy(name="node-read", datacenters=["dc1"])),
        "PUT /v1/acl/policy",
        takes=TENANCY,
        body={"Name": "node-read", "Datacenters": ["dc1"]},
        answer=POLICY,
        result=POLICY_READ,
    ),
    Case(
        "acl.policy.get",
        lambda c: c.acl.policy.get("e359"),
        "GET /v1/acl/policy/e359",
        takes=READ,
        answer=POLICY,
        result=POLICY_READ,
    ),
    Case(
        "acl.policy.get_by_name",
        lambda c: c.acl.policy.get_by_name("team/node read"),
        "GET /v1/acl/policy/name/team%2Fnode%20read",
        takes=READ,
        answer=POLICY,
        result=POLICY_READ,
    ),
    Case(
        "acl.policy.update",
        lambda c: c.acl.policy.update(POLICY_READ.replace(description="", rules="")),
        "PUT /v1/acl/policy/e359",
        takes=TENANCY,
        body={
            "ID": "e359",
            "Name": "node-read",
            "Description": "",
            "Rules": "",
            "Datacenters": ["dc1"],
        },
        answer=POLICY,
        result=POLICY_READ,
        safety=Safety.IDEMPOTENT,
    ),
    Case(
        "acl.policy.delete",
        lambda c: c.acl.policy.delete("e3/59"),
        "DELETE /v1/acl/policy/e3%2F59",
        takes=TENANCY,
        answer=True,
        result=True,
        safety=Safety.IDEMPOTENT,
    ),
    Case(
        "acl.policy.list",
        lambda c: c.acl.policy.list(),
        "GET /v1/acl/policies",
        takes=READ,
        answer=[POLICY],
        result=[POLICY_READ],
    ),
    # -- roles -----------------------------------------------------------------------------------
    Case(
        "acl.role.create",
        lambda c: c.acl.role.create(
            ACLRole(
                name="example-role",
                policies=[ACLLink(id="783b")],
                service_identities=[ServiceIdentity(service_name="web")],
                node_identities=[NodeIdentity(node_name="n1", datacenter="dc1")],
            )
        ),
        "PUT /v1/acl/role",
        takes=TENANCY,
        body={
            "Name": "example-role",
            "Policies": [{"ID": "783b"}],
            "ServiceIdentities": [{"ServiceName": "web"}],
            "NodeIdentities": [{"NodeName": "n1", "Datacenter": "dc1"}],
        },
        answer=ROLE,
        result=ROLE_READ,
    ),
    Case(
        "acl.role.get",
        lambda c: c.acl.role.get("aa77"),
        "GET /v1/acl/role/aa77",
        takes=READ,
        answer=ROLE,
        result=ROLE_READ,
    ),
    Case(
        "acl.role.get_by_name",
        lambda c: c.acl.role.get_by_name("a/b ?"),
        "GET /v1/acl/role/name/a%2Fb%20%3F",
        takes=READ,
        answer=ROLE,
        result=ROLE_READ,
    ),
    Case(
        "acl.role.update",
        lambda c: c.acl.role.update(ROLE_READ.replace(description="new")),
        "PUT /v1/acl/role/aa77",
        takes=TENANCY,
        body={
            name: value
            for name, value in ROLE.items()
            if name not in ("Hash", "CreateIndex", "ModifyIndex")
        }
        | {"Description": "new"},
        answer=ROLE,
        result=ROLE_READ,
        safety=Safety.IDEMPOTENT,
    ),
    Case(
        "acl.role.delete",
        lambda c: c.acl.role.delete("aa77"),
        "DELETE /v1/acl/role/aa77",
        takes=TENANCY,
        answer=True,
        result=True,
        safety=Safety.IDEMPOTENT,
    ),
    Case(
        "acl.role.list",
        lambda c: c.acl.role.list(policy="783b"),
        "GET /v1/acl/roles?policy=783b",
        takes=READ,
        answer=[ROLE],
        result=[ROLE_READ],
    ),
    Case(
        "acl.role.list",
        lambda c: c.acl.role.list(),
        "GET /v1/acl/roles",
        takes=READ,
        answer=[],
        result=[],
    ),
    # -- auth methods ----------------------------------------------------------------------------
    Case(
        "acl.auth_method.create",
        lambda c: c.acl.auth_method.create(METHOD_READ),
        "PUT /v1/acl/auth-method",
        takes=WRITE,
        body=METHOD_SENT,
        answer=METHOD,
        result=METHOD_READ,
        safety=Safety.IDEMPOTENT,
    ),
    Case(
        "acl.auth_method.get",
        lambda c: c.acl.auth_method.get("mini/kube"),
        "GET /v1/acl/auth-method/mini%2Fkube",
        takes=READ,
        answer=METHOD,
        result=METHOD_READ,
    ),
    Case(
        "acl.auth_method.update",
        lambda c: c.acl.auth_method.update(METHOD_READ.replace(display_name="Kube")),
        "PUT /v1/acl/auth-method/minikube",
        takes=WRITE,
        body=METHOD_SENT | {"DisplayName": "Kube"},
        answer=METHOD,
        result=METHOD_READ,
        safety=Safety.IDEMPOTENT,
    ),
    Case(
        "acl.auth_method.delete",
        lambda c: c.acl.auth_method.delete("minikube"),
        "DELETE /v1/acl/auth-method/minikube",
        takes=WRITE,
        answer=True,
        result=True,
        safety=Safety.IDEMPOTENT,
    ),
    Case(
        "acl.auth_method.list",
        lambda c: c.acl.auth_method.list(),
        "GET /v1/acl/auth-methods",
        takes=READ,
        answer=[METHOD],
        result=[METHOD_READ],
    ),
    # -- binding rules ---------------------------------------------------------------------------
    Case(
        "acl.binding_rule.create",
        lambda c: c.acl.binding_rule.create(
            ACLBindingRule(auth_method="minikube", bind_type="service", bind_name="web")
        ),
        "PUT /v1/acl/binding-rule",
        takes=WRITE,
        body={"AuthMethod": "minikube", "BindType": "service", "BindName": "web"},
        answer=RULE,
        result=RULE_READ,
    ),
    Case(
        "acl.binding_rule.get",
        lambda c: c.acl.binding_rule.get("000e"),
        "GET /v1/acl/binding-rule/000e",
        takes=READ,
        answer=RULE,
        result=RULE_READ,
    ),
    Case(
        "acl.binding_rule.update",
        lambda c: c.acl.binding_rule.update(RULE_READ.replace(selector="")),
        "PUT /v1/acl/binding-rule/000e",
        takes=WRITE,
        body={
            name: value
            for name, value in RULE.items()
            if name not in ("CreateIndex", "ModifyIndex")
        }
        | {"Selector": ""},
        answer=RULE,
        result=RULE_READ,
        safety=Safety.IDEMPOTENT,
    ),
    Case(
        "acl.binding_rule.delete",
        lambda c: c.acl.binding_rule.delete("000e"),
        "DELETE /v1/acl/binding-rule/000e",
        takes=WRITE,
        answer=True,
        result=True,
        safety=Safety.IDEMPOTENT,
    ),
    Case(
        "acl.binding_rule.list",
        lambda c: c.acl.binding_rule.list(auth_method="minikube"),
        "GET /v1/acl/binding-rules?authmethod=minikube",
        takes=READ,
        answer=[RULE],
        result=[RULE_READ],
    ),
    Case(
        "acl.binding_rule.list",
        lambda c: c.acl.binding_rule.list(),
        "GET /v1/acl/binding-rules",
        takes=READ,
        answer=[],
        result=[],
    ),
    # -- templated policies ----------------------------------------------------------------------
    Case(
        "acl.templated_policy.list",
        lambda c: c.acl.templated_policy.list(),
        "GET /v1/acl/templated-policies",
        takes=TENANCY,
        answer={"builtin/service": TEMPLATE},
        result={"builtin/service": TEMPLATE_READ},
    ),
    Case(
        "acl.templated_policy.get",
        lambda c: c.acl.templated_policy.get("builtin/service"),
        "GET /v1/acl/templated-policy/name/builtin/service",
        takes=TENANCY,
        answer=TEMPLATE,
        result=TEMPLATE_READ,
    ),
    Case(
        "acl.templated_policy.get",
        lambda c: c.acl.templated_policy.get("a b/c?"),
        "GET /v1/acl/templated-policy/name/a%20b/c%3F",
        takes=TENANCY,
        status=400,
        answer=b"Invalid templated policy Name: a b/c?",
        result=None,
    ),
    Case(
        "acl.templated_policy.preview",
        lambda c: c.acl.templated_policy.preview("builtin/service", "web"),
        "POST /v1/acl/templated-policy/preview/builtin/service",
        takes=TENANCY,
        body={"Name": "web"},
        answer=POLICY,
        result=POLICY_READ,
        safety=Safety.SAFE,
    ),
    Case(
        "acl.templated_policy.preview",
        lambda c: c.acl.templated_policy.preview("builtin/dns"),
        "POST /v1/acl/templated-policy/preview/builtin/dns",
        takes=TENANCY,
        body={},
        answer=POLICY,
        result=POLICY_READ,
        safety=Safety.SAFE,
    ),
]
