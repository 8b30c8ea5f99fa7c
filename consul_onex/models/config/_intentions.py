"""Who may talk to a service, and how it is known who they are."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from .._base import Bytes, Definition, Duration, Time, named
from ..connect import IntentionJWT, IntentionPermission
from ._parts import with_kind

__all__ = [
    "CertificateProvider",
    "JSONWebKeySet",
    "JWKSCluster",
    "JWKSRetryBackOff",
    "JWKSRetryPolicy",
    "JWKSTLSCertificates",
    "JWTCacheConfig",
    "JWTForwarding",
    "JWTHeader",
    "JWTLocation",
    "JWTParameter",
    "JWTProvider",
    "LocalJWKS",
    "RemoteJWKS",
    "ServiceIntentions",
    "SourceIntention",
    "TrustedCA",
]


class SourceIntention(Definition):
    """
    Whether a service may talk to another; `*` is every service.

    Either `action` says it, `allow` or `deny`, or `permissions` do, the first that fits. Consul
    computes the `precedence`, and keeps what is `legacy` of older intentions.
    """

    name: str
    action: str = ""
    permissions: list[IntentionPermission] = []
    type: str = ""
    description: str = ""
    peer: str | None = None
    sameness_group: str | None = None
    namespace: str | None = None
    partition: str | None = None
    precedence: int = 0
    legacy_id: str = ""
    legacy_meta: dict[str, str] = {}
    legacy_create_time: Time = None
    legacy_update_time: Time = None


class ServiceIntentions(Definition):
    """
    Who may talk to a service; the name `*` is every service (since Consul 1.9).

    https://developer.hashicorp.com/consul/docs/reference/config-entry/service-intentions
    """

    kind: Literal["service-intentions"] = "service-intentions"
    name: str
    sources: list[SourceIntention] = []
    jwt: IntentionJWT | None = None
    meta: dict[str, str] = {}
    namespace: str | None = None
    partition: str | None = None
    create_index: int = 0
    modify_index: int = 0
    hash: int = 0

    _with_kind = model_validator(mode="after")(with_kind)


class LocalJWKS(Definition):
    """A key set: itself, in base64, or a file on every proxy's machine."""

    jwks: Annotated[str, Field(repr=False)] = ""
    filename: str = ""


class JWKSRetryBackOff(Definition):
    """How long to wait between tries, in seconds."""

    base_interval: Duration = 0.0
    max_interval: Duration = 0.0


class JWKSRetryPolicy(Definition):
    """How often to try again."""

    num_retries: int = 0
    retry_policy_back_off: JWKSRetryBackOff | None = None


class CertificateProvider(Definition):
    """An instance of Envoy's own that has certificates."""

    instance_name: str = ""
    certificate_name: str = ""


class TrustedCA(Definition):
    """Certificates to trust, in one of four ways."""

    filename: str = ""
    environment_variable: str = ""
    inline_string: str = ""
    inline_bytes: Bytes | None = None


class JWKSTLSCertificates(Definition):
    """Whom to trust when keys are fetched: one of the two."""

    ca_certificate_provider_instance: Annotated[
        CertificateProvider | None, named("CaCertificateProviderInstance")
    ] = None
    trusted_ca: TrustedCA | None = None


class JWKSCluster(Definition):
    """How Envoy finds the server of a key set."""

    discovery_type: str = ""
    """`STRICT_DNS`, which is the default, `STATIC`, `LOGICAL_DNS`, `EDS` or `ORIGINAL_DST`."""
    tls_certificates: JWKSTLSCertificates | None = None
    connect_timeout: Duration = 0.0


class RemoteJWKS(Definition):
    """A key set that is fetched. `request_timeout_ms` is milliseconds, the others seconds."""

    uri: str
    request_timeout_ms: int = 0
    cache_duration: Duration = 0.0
    fetch_asynchronously: bool = False
    use_sni: bool = False
    retry_policy: JWKSRetryPolicy | None = None
    jwks_cluster: JWKSCluster | None = None


class JSONWebKeySet(Definition):
    """The keys that tokens are verified with: `local` ones, or `remote`."""

    local: LocalJWKS | None = None
    remote: RemoteJWKS | None = None


class JWTHeader(Definition):
    """A header that holds a token, behind this prefix."""

    name: str
    value_prefix: str = ""
    forward: bool = False


class JWTParameter(Definition):
    """A parameter or a cookie that holds a token."""

    name: str


class JWTLocation(Definition):
    """Where in a request a token is: one of the three."""

    header: JWTHeader | None = None
    query_param: JWTParameter | None = None
    cookie: JWTParameter | None = None


class JWTForwarding(Definition):
    """In which header a service gets the token that was verified."""

    header_name: str = ""
    pad_forward_payload_header: bool = False


class JWTCacheConfig(Definition):
    """How many verified tokens are remembered."""

    size: int = 0


class JWTProvider(Definition):
    """
    Whose tokens are accepted, and how they are verified (since Consul 1.16).

    https://developer.hashicorp.com/consul/docs/reference/config-entry/jwt-provider
    """

    kind: Literal["jwt-provider"] = "jwt-provider"
    name: str
    issuer: str = ""
    json_web_key_set: JSONWebKeySet | None = None
    audiences: list[str] = []
    locations: list[JWTLocation] = []
    forwarding: JWTForwarding | None = None
    clock_skew_seconds: int = 0
    cache_config: JWTCacheConfig | None = None
    meta: dict[str, str] = {}
    namespace: str | None = None
    partition: str | None = None
    create_index: int = 0
    modify_index: int = 0
    hash: int = 0

    _with_kind = model_validator(mode="after")(with_kind)
