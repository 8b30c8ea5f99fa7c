"""The doors of the mesh, and the certificates they show."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from .._base import Definition, Duration, Secret, named
from ._parts import (
    WITH_STATUS,
    EntryStatus,
    GatewayTLS,
    HeadersKB,
    HTTPHeaderModifiers,
    JWTRequirement,
    PassiveHealthCheck,
    ResourceReference,
    SDSCertificate,
    ServiceTLS,
    UpstreamLimits,
    with_kind,
)

__all__ = [
    "APIGateway",
    "APIGatewayExtAuthz",
    "APIGatewayListener",
    "APIGatewayPolicy",
    "APIGatewayTLS",
    "BoundAPIGateway",
    "BoundAPIGatewayListener",
    "CredentialInjection",
    "FileSystemCertificate",
    "IngressDefaults",
    "IngressGateway",
    "IngressListener",
    "IngressService",
    "InlineCertificate",
    "LinkedService",
    "ServiceCredential",
    "TerminatingGateway",
]


class IngressDefaults(Definition):
    """How much is asked of each service behind a gateway."""

    max_connections: int | None = None
    max_pending_requests: int | None = None
    max_concurrent_requests: int | None = None
    passive_health_check: PassiveHealthCheck | None = None


class IngressService(Definition):
    """A service behind a listener; `*` is every one. `hosts` are the names it is asked for by."""

    name: str
    hosts: list[str] = []
    tls: ServiceTLS | None = None
    request_headers: HTTPHeaderModifiers | None = None
    response_headers: HTTPHeaderModifiers | None = None
    max_connections: int | None = None
    max_pending_requests: int | None = None
    max_concurrent_requests: int | None = None
    passive_health_check: PassiveHealthCheck | None = None
    meta: dict[str, str] = {}
    namespace: str | None = None
    partition: str | None = None


class IngressListener(Definition):
    """A port of a gateway, and the services behind it: one, unless it speaks HTTP."""

    port: int
    protocol: str = ""
    """`tcp`, which is the default, `http`, `http2` or `grpc`."""
    services: list[IngressService] = []
    tls: GatewayTLS | None = None


class IngressGateway(Definition):
    """
    What of the mesh can be reached from outside.

    https://developer.hashicorp.com/consul/docs/reference/config-entry/ingress-gateway
    """

    kind: Literal["ingress-gateway"] = "ingress-gateway"
    name: str
    tls: GatewayTLS | None = None
    listeners: list[IngressListener] = []
    defaults: IngressDefaults | None = None
    meta: dict[str, str] = {}
    namespace: str | None = None
    partition: str | None = None
    create_index: int = 0
    modify_index: int = 0
    hash: int = 0

    _with_kind = model_validator(mode="after")(with_kind)


class ServiceCredential(Definition):
    """Which credential is added to the requests to a service."""

    mode: str = ""
    binding_id: str = ""


class LinkedService(Definition):
    """A service outside the mesh; `*` is every one. Files are paths on the gateway's machine."""

    name: str
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    sni: str = ""
    disable_auto_host_rewrite: bool = False
    credential: ServiceCredential | None = None
    namespace: str | None = None
    partition: str | None = None


class CredentialInjection(Definition):
    """Who adds credentials to requests that leave the mesh."""

    uds_path: Annotated[str, named("UDSPath")] = ""
    message_timeout: Duration = 0.0


class TerminatingGateway(Definition):
    """
    What outside the mesh can be reached from within.

    https://developer.hashicorp.com/consul/docs/reference/config-entry/terminating-gateway
    """

    kind: Literal["terminating-gateway"] = "terminating-gateway"
    name: str
    services: list[LinkedService] = []
    credential_injection: CredentialInjection | None = None
    meta: dict[str, str] = {}
    namespace: str | None = None
    partition: str | None = None
    create_index: int = 0
    modify_index: int = 0
    hash: int = 0

    _with_kind = model_validator(mode="after")(with_kind)


class APIGatewayTLS(Definition):
    """How a listener does TLS: `certificates`, or `sds`."""

    certificates: list[ResourceReference] = []
    sds: SDSCertificate | None = None
    min_version: str = ""
    max_version: str = ""
    cipher_suites: list[str] = []


class APIGatewayPolicy(Definition):
    """What a listener asks of a request."""

    jwt: JWTRequirement | None = None


class APIGatewayListener(Definition):
    """
    A port of an API gateway.

    Routes may say otherwise than its `default`, and not otherwise than its `override`.
    """

    name: str
    port: int
    protocol: str
    """`http` or `tcp`."""
    hostname: str = ""
    max_request_headers_kb: HeadersKB = None
    tls: APIGatewayTLS | None = None
    override: APIGatewayPolicy | None = None
    default: APIGatewayPolicy | None = None


class APIGatewayExtAuthz(Definition):
    """Whether an outside authority is asked about each request (Enterprise)."""

    enabled: bool = False


class APIGateway(Definition):
    """
    A gateway whose routes are entries of their own (since Consul 1.15).

    https://developer.hashicorp.com/consul/docs/reference/config-entry/api-gateway
    """

    _OF_THE_SERVER: ClassVar[frozenset[str]] = WITH_STATUS

    kind: Literal["api-gateway"] = "api-gateway"
    name: str
    tls: GatewayTLS | None = None
    listeners: list[APIGatewayListener] = []
    defaults: UpstreamLimits | None = None
    ext_authz: APIGatewayExtAuthz | None = None
    status: EntryStatus | None = None
    meta: dict[str, str] = {}
    namespace: str | None = None
    partition: str | None = None
    create_index: int = 0
    modify_index: int = 0
    hash: int = 0

    _with_kind = model_validator(mode="after")(with_kind)


class BoundAPIGatewayListener(Definition):
    """A listener, with the routes and certificates that found to it."""

    name: str = ""
    routes: list[ResourceReference] = []
    certificates: list[ResourceReference] = []


class BoundAPIGateway(Definition):
    """
    What came of an API gateway and its routes (since Consul 1.15). Only Consul writes it.

    `services` names the routes that lead to each service.
    """

    kind: Literal["bound-api-gateway"] = "bound-api-gateway"
    name: str
    listeners: list[BoundAPIGatewayListener] = []
    services: dict[str, list[ResourceReference]] = {}
    meta: dict[str, str] = {}
    namespace: str | None = None
    partition: str | None = None
    create_index: int = 0
    modify_index: int = 0
    hash: int = 0

    _with_kind = model_validator(mode="after")(with_kind)


class InlineCertificate(Definition):
    """
    A certificate and its key, both as PEM (since Consul 1.15).

    https://developer.hashicorp.com/consul/docs/reference/config-entry/inline-certificate
    """

    kind: Literal["inline-certificate"] = "inline-certificate"
    name: str
    certificate: Annotated[str, Field(repr=False)] = ""
    private_key: Secret | None = None
    meta: dict[str, str] = {}
    namespace: str | None = None
    partition: str | None = None
    create_index: int = 0
    modify_index: int = 0
    hash: int = 0

    _with_kind = model_validator(mode="after")(with_kind)


class FileSystemCertificate(Definition):
    """
    Where a gateway finds a certificate and its key: two paths (since Consul 1.19).

    https://developer.hashicorp.com/consul/docs/reference/config-entry/file-system-certificate
    """

    kind: Literal["file-system-certificate"] = "file-system-certificate"
    name: str
    certificate: str = ""
    private_key: str = ""
    meta: dict[str, str] = {}
    namespace: str | None = None
    partition: str | None = None
    create_index: int = 0
    modify_index: int = 0
    hash: int = 0

    _with_kind = model_validator(mode="after")(with_kind)
