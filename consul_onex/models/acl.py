"""Access control: tokens, what they may, and how one is had by logging in."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar

from pydantic import Field, ValidationInfo, model_validator

from ._base import Definition, Duration, FreeForm, Nanoseconds, Received, Secret, Time, named

__all__ = [
    "ACLAuthMethod",
    "ACLAuthorization",
    "ACLBindingRule",
    "ACLLink",
    "ACLPermission",
    "ACLPolicy",
    "ACLReplication",
    "ACLRole",
    "ACLToken",
    "ACLTokenExpanded",
    "AWSIAMConfig",
    "BootstrapRequest",
    "JWTConfig",
    "KubernetesConfig",
    "LoginRequest",
    "NamespaceRule",
    "NodeIdentity",
    "OIDCAuthURLRequest",
    "OIDCCallbackRequest",
    "OIDCClientAssertion",
    "OIDCConfig",
    "OIDCPrivateKey",
    "ServiceIdentity",
    "TemplateVariables",
    "TemplatedPolicy",
    "TemplatedPolicyLink",
]


# -- what is granted -----------------------------------------------------------------------------


class ACLLink(Definition):
    """A policy or a role that a token or a role has, by its id or by its name."""

    id: str = ""
    name: str = ""


class ServiceIdentity(Definition):
    """All that an instance of a service needs, in all datacenters where none is named."""

    service_name: str
    datacenters: list[str] = []


class NodeIdentity(Definition):
    """All that the agent of a node needs, in one datacenter."""

    node_name: str
    datacenter: str


class TemplateVariables(Definition):
    """What to put into a templated policy."""

    name: str = ""

    @model_validator(mode="before")
    @classmethod
    def _in_either_spelling(cls, said: Any, info: ValidationInfo) -> Any:
        # Documented as `Name`, which servers take, but send as `name`.
        if info.mode == "json" and isinstance(said, dict) and "name" in said:
            return {"Name": said["name"]} | said
        return said


class TemplatedPolicyLink(Definition):
    """A templated policy, filled in (since Consul 1.17)."""

    template_name: str
    """Such as `builtin/service`."""
    template_id: str = ""
    template_variables: TemplateVariables | None = None
    datacenters: list[str] = []


class ACLPolicy(Definition):
    """
    A set of rules, as HCL or JSON.

        ACLPolicy(name="config-read", rules='key_prefix "config/" { policy = "read" }')

    It holds in all datacenters where none is named. A list of policies has no `rules`.

    https://developer.hashicorp.com/consul/api-docs/acl/policies
    """

    name: str
    id: str = ""
    description: str = ""
    rules: str = ""
    datacenters: list[str] = []
    namespace: str | None = None
    partition: str | None = None
    hash: str = ""
    create_index: int = 0
    modify_index: int = 0


class ACLRole(Definition):
    """
    A set of policies and identities that many tokens can have.

    https://developer.hashicorp.com/consul/api-docs/acl/roles
    """

    name: str
    id: str = ""
    description: str = ""
    policies: list[ACLLink] = []
    service_identities: list[ServiceIdentity] = []
    node_identities: list[NodeIdentity] = []
    templated_policies: list[TemplatedPolicyLink] = []
    namespace: str | None = None
    partition: str | None = None
    hash: str = ""
    create_index: int = 0
    modify_index: int = 0


# -- tokens --------------------------------------------------------------------------------------


class ACLToken(Definition):
    """
    A token, and what it may.

        ACLToken(description="web", policies=[ACLLink(name="config-read")], expiration_ttl=3600)

    `secret_id` is what is sent with requests, `accessor_id` what the token is called. Whoever may
    read tokens but not write them gets `<hidden>` for the secret; lists of old servers have none.

    `expiration_ttl` (seconds, 60 to 86,400 unless the servers are set otherwise) is for creating
    one; Consul gives back `expiration_time`. A `local` token is of one datacenter. `legacy` tokens
    have `rules` of their own, which can only be read.

    https://developer.hashicorp.com/consul/api-docs/acl/tokens
    """

    _OF_THE_SERVER: ClassVar[frozenset[str]] = frozenset(
        {"create_index", "modify_index", "hash", "create_time", "legacy"}
    )

    accessor_id: str = ""
    secret_id: Secret | None = None
    name: str = ""
    """Since Consul 1.22."""
    description: str = ""
    policies: list[ACLLink] = []
    roles: list[ACLLink] = []
    service_identities: list[ServiceIdentity] = []
    node_identities: list[NodeIdentity] = []
    templated_policies: list[TemplatedPolicyLink] = []
    local: bool = False
    auth_method: str = ""
    auth_method_namespace: str | None = None
    expiration_ttl: Duration | None = None
    expiration_time: Time = None
    create_time: Time = None
    rules: str = ""
    legacy: bool = False
    namespace: str | None = None
    partition: str | None = None
    hash: str = ""
    create_index: int = 0
    modify_index: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ACLTokenExpanded(Received):
    """
    A token with the whole of all that it has.

    `expanded_policies` are its own and those of its roles. `agent_acl_default_policy` and
    `agent_acl_down_policy` are what `resolved_by_agent`, the agent that was asked, does with what
    no policy speaks of, and while no server answers.
    """

    accessor_id: str = ""
    secret_id: Secret | None = None
    name: str = ""
    description: str = ""
    policies: list[ACLLink] = field(default_factory=list)
    roles: list[ACLLink] = field(default_factory=list)
    service_identities: list[ServiceIdentity] = field(default_factory=list)
    node_identities: list[NodeIdentity] = field(default_factory=list)
    templated_policies: list[TemplatedPolicyLink] = field(default_factory=list)
    local: bool = False
    auth_method: str = ""
    auth_method_namespace: str | None = None
    expiration_time: Time = None
    create_time: Time = None
    namespace: str | None = None
    partition: str | None = None
    hash: str = ""
    create_index: int = 0
    modify_index: int = 0
    expanded_policies: list[ACLPolicy] = field(default_factory=list)
    expanded_roles: list[ACLRole] = field(default_factory=list)
    namespace_default_policy_ids: list[str] = field(default_factory=list)
    namespace_default_role_ids: list[str] = field(default_factory=list)
    agent_acl_default_policy: str = ""
    agent_acl_down_policy: str = ""
    resolved_by_agent: str = ""


class BootstrapRequest(Definition):
    """The secret that the first token shall have."""

    bootstrap_secret: Secret


# -- logging in ----------------------------------------------------------------------------------


class NamespaceRule(Definition):
    """Which namespace the tokens of an auth method are made in; the first that matches counts."""

    selector: str = ""
    bind_namespace: str = ""


class ACLAuthMethod(Definition):
    """
    A way to log in: who says who somebody is.

        ACLAuthMethod(name="ci", type="jwt", config=JWTConfig(jwks_url="https://...").to_wire())

    `config` is in Consul's names, secrets included; a list of auth methods has none. `JWTConfig`,
    `KubernetesConfig`, `AWSIAMConfig` and `OIDCConfig` know what each type takes.

    https://developer.hashicorp.com/consul/api-docs/acl/auth-methods
    """

    name: str
    type: str
    """`jwt`, `kubernetes`, `aws-iam` (since Consul 1.12), or `oidc` (Enterprise)."""
    display_name: str = ""
    description: str = ""
    max_token_ttl: Duration | None = None
    """How many seconds the tokens live."""
    token_locality: str = ""
    """`local`, the default, or `global`."""
    token_name_format: str = ""
    """Since Consul 1.22."""
    config: Annotated[FreeForm, Field(repr=False)] = {}
    namespace_rules: list[NamespaceRule] = []
    namespace: str | None = None
    partition: str | None = None
    create_index: int = 0
    modify_index: int = 0


class KubernetesConfig(Definition):
    """
    What an auth method of the type `kubernetes` is told.

    https://developer.hashicorp.com/consul/docs/secure/acl/auth-method/k8s
    """

    host: str
    """The URL of Kubernetes' API."""
    ca_cert: str = ""
    """PEM; old servers insist on it, others use the system's certificates."""
    service_account_jwt: Secret
    """What the servers check other tokens with."""
    map_namespaces: bool = False
    consul_namespace_prefix: str = ""
    consul_namespace_overrides: dict[str, str] = {}


class JWTConfig(Definition):
    """
    What an auth method of the type `jwt` is told.

    One of `jwt_validation_pub_keys` (PEM), `jwks_url` and `oidc_discovery_url` says which keys
    sign. The leeways are seconds.

    https://developer.hashicorp.com/consul/docs/secure/acl/auth-method/jwt
    """

    jwt_validation_pub_keys: list[str] = []
    jwks_url: str = ""
    jwks_ca_cert: str = ""
    oidc_discovery_url: str = ""
    oidc_discovery_ca_cert: str = ""
    jwt_supported_algs: list[str] = []
    """`RS256` alone where it is not given."""
    bound_audiences: list[str] = []
    bound_issuer: str = ""
    claim_mappings: dict[str, str] = {}
    """From a claim to `value.<name>` of binding rules."""
    list_claim_mappings: dict[str, str] = {}
    """From a claim that is a list to `list.<name>`."""
    # Old servers take nothing but a number of nanoseconds.
    expiration_leeway: Nanoseconds | None = None
    not_before_leeway: Nanoseconds | None = None
    clock_skew_leeway: Nanoseconds | None = None


class OIDCPrivateKey(Definition):
    """The key that a client assertion is signed with."""

    pem_key: Annotated[Secret, named("PemKey")]


class OIDCClientAssertion(Definition):
    """A signature instead of a client secret."""

    audience: list[str] = []
    private_key: OIDCPrivateKey
    key_algorithm: str = ""


class OIDCConfig(Definition):
    """
    What an auth method of the type `oidc` is told (Enterprise).

    https://developer.hashicorp.com/consul/docs/reference/acl/auth-method/oidc
    """

    oidc_discovery_url: str
    oidc_discovery_ca_cert: str = ""
    oidc_client_id: str
    oidc_client_secret: Secret | None = None
    oidc_client_assertion: OIDCClientAssertion | None = None
    oidc_client_use_pkce: Annotated[bool | None, named("OIDCClientUsePKCE")] = None
    oidc_scopes: list[str] = []
    oidc_acr_values: Annotated[list[str], named("OIDCACRValues")] = []
    allowed_redirect_uris: Annotated[list[str], named("AllowedRedirectURIs")]
    jwt_supported_algs: list[str] = []
    bound_audiences: list[str] = []
    claim_mappings: dict[str, str] = {}
    list_claim_mappings: dict[str, str] = {}
    verbose_oidc_logging: bool = False


class AWSIAMConfig(Definition):
    """
    What an auth method of the type `aws-iam` is told (since Consul 1.12).

    https://developer.hashicorp.com/consul/docs/secure/acl/auth-method/aws
    """

    bound_iam_principal_arns: Annotated[list[str], named("BoundIAMPrincipalARNs")]
    enable_iam_entity_details: Annotated[bool, named("EnableIAMEntityDetails")] = False
    iam_entity_tags: Annotated[list[str], named("IAMEntityTags")] = []
    server_id_header_value: str = ""
    max_retries: int = 0
    iam_endpoint: Annotated[str, named("IAMEndpoint")] = ""
    sts_endpoint: Annotated[str, named("STSEndpoint")] = ""
    allowed_sts_header_values: Annotated[list[str], named("AllowedSTSHeaderValues")] = []


class ACLBindingRule(Definition):
    """
    What somebody who logs in is given.

        ACLBindingRule(auth_method="ci", bind_type="service", bind_name="ci-${value.user}")

    It counts for those whom the `selector` fits; for all where there is none.

    https://developer.hashicorp.com/consul/api-docs/acl/binding-rules
    """

    auth_method: str
    id: str = ""
    description: str = ""
    selector: str = ""
    bind_type: str = ""
    """`service`, `node`, `role`, `policy` (since 1.15), `templated-policy` (since 1.17)."""
    bind_name: str = ""
    bind_vars: TemplateVariables | None = None
    namespace: str | None = None
    partition: str | None = None
    create_index: int = 0
    modify_index: int = 0


class LoginRequest(Definition):
    """What a login sends."""

    auth_method: str
    bearer_token: Secret
    meta: dict[str, str] | None = None


class OIDCAuthURLRequest(Definition):
    """What begins a login in a browser."""

    auth_method: str
    redirect_uri: str
    client_nonce: str | None = None
    meta: dict[str, str] | None = None


class OIDCCallbackRequest(Definition):
    """What ends a login in a browser."""

    auth_method: str
    state: Secret
    code: Secret
    client_nonce: str | None = None


# -- what Consul says ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class ACLReplication(Received):
    """
    How the replication from the primary datacenter is doing.

    `replication_type` is `tokens`, or `policies` where only these and roles are replicated. An
    error later than the last success is one that lasts.
    """

    enabled: bool = False
    running: bool = False
    source_datacenter: str = ""
    replication_type: str = ""
    replicated_index: int = 0
    replicated_role_index: int = 0
    replicated_token_index: int = 0
    last_success: Time = None
    last_error: Time = None
    last_error_message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplatedPolicy(Received):
    """
    A policy with holes in it, which come with Consul.

    `schema` is a JSON schema of what it takes; empty where it takes nothing.
    """

    template_name: str = ""
    schema: str = ""
    template: str = ""
    description: str = ""


class ACLPermission(Definition):
    """Something that a token may be allowed: `ACLPermission(resource="key", access="read")`."""

    resource: str
    access: str
    segment: str | None = None
    """The key, the service and so on that it is about."""
    namespace: str | None = None
    partition: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ACLAuthorization(Received):
    """A permission, and whether the token has it."""

    resource: str = ""
    access: str = ""
    segment: str = ""
    namespace: str | None = None
    partition: str | None = None
    allow: bool = False
