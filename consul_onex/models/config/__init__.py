"""
Configuration entries, a model for each kind.

`ConfigEntry` is any of them; an entry that was read is of the model of its kind, and an
`OtherConfigEntry` where there is none.
"""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias, get_args

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from ._defaults import (
    Destination,
    InstanceLevelRateLimits,
    ProxyDefaults,
    RateLimits,
    RouteRateLimits,
    ServiceDefaults,
    UpstreamConfig,
    UpstreamConfiguration,
)
from ._gateways import (
    APIGateway,
    APIGatewayExtAuthz,
    APIGatewayListener,
    APIGatewayPolicy,
    APIGatewayTLS,
    BoundAPIGateway,
    BoundAPIGatewayListener,
    CredentialInjection,
    FileSystemCertificate,
    IngressDefaults,
    IngressGateway,
    IngressListener,
    IngressService,
    InlineCertificate,
    LinkedService,
    ServiceCredential,
    TerminatingGateway,
)
from ._intentions import (
    CertificateProvider,
    JSONWebKeySet,
    JWKSCluster,
    JWKSRetryBackOff,
    JWKSRetryPolicy,
    JWKSTLSCertificates,
    JWTCacheConfig,
    JWTForwarding,
    JWTHeader,
    JWTLocation,
    JWTParameter,
    JWTProvider,
    LocalJWKS,
    RemoteJWKS,
    ServiceIntentions,
    SourceIntention,
    TrustedCA,
)
from ._limits import ControlPlaneRequestLimit, RateLimit, RateLimitConfig, Rates
from ._mesh import (
    ExportedService,
    ExportedServices,
    Mesh,
    MeshDirectionalHTTP,
    MeshDirectionalTLS,
    MeshHTTP,
    MeshPeering,
    MeshTLS,
    MeshTransparentProxy,
    RequestNormalization,
    SamenessGroup,
    SamenessGroupMember,
    ServiceConsumer,
)
from ._other import OtherConfigEntry
from ._parts import (
    ClaimVerification,
    Condition,
    EntryStatus,
    FailoverPolicy,
    GatewayTLS,
    HTTPHeaderModifiers,
    JWTRequirement,
    PassiveHealthCheck,
    PrioritizeByLocality,
    RequiredJWTProvider,
    ResourceReference,
    SDSCertificate,
    ServiceTLS,
    UpstreamLimits,
)
from ._routes import (
    ExtProcDirection,
    ExtProcFilter,
    ExtProcMetadata,
    ExtProcOverrides,
    ExtProcProcessing,
    HTTPRoute,
    HTTPRouteFilters,
    HTTPRouteMatch,
    HTTPRouteResponseFilters,
    HTTPRouteRule,
    HTTPRouteService,
    HTTPRouteValue,
    RetryFilter,
    RouteExtAuthz,
    TCPRoute,
    TCPRouteService,
    TimeoutFilter,
    URLRewrite,
)
from ._traffic import (
    CookieConfig,
    Failover,
    FailoverTarget,
    HashPolicy,
    HTTPHeaderMatch,
    HTTPMatch,
    HTTPQueryMatch,
    LeastRequestConfig,
    LoadBalancer,
    Redirect,
    RingHashConfig,
    RouteDestination,
    RouteMatch,
    ServiceResolver,
    ServiceRoute,
    ServiceRouter,
    ServiceSplit,
    ServiceSplitter,
    Subset,
)

__all__ = [
    "APIGateway",
    "APIGatewayExtAuthz",
    "APIGatewayListener",
    "APIGatewayPolicy",
    "APIGatewayTLS",
    "BoundAPIGateway",
    "BoundAPIGatewayListener",
    "CertificateProvider",
    "ClaimVerification",
    "Condition",
    "ConfigEntry",
    "ControlPlaneRequestLimit",
    "CookieConfig",
    "CredentialInjection",
    "Destination",
    "EntryStatus",
    "ExportedService",
    "ExportedServices",
    "ExtProcDirection",
    "ExtProcFilter",
    "ExtProcMetadata",
    "ExtProcOverrides",
    "ExtProcProcessing",
    "Failover",
    "FailoverPolicy",
    "FailoverTarget",
    "FileSystemCertificate",
    "GatewayTLS",
    "HTTPHeaderMatch",
    "HTTPHeaderModifiers",
    "HTTPMatch",
    "HTTPQueryMatch",
    "HTTPRoute",
    "HTTPRouteFilters",
    "HTTPRouteMatch",
    "HTTPRouteResponseFilters",
    "HTTPRouteRule",
    "HTTPRouteService",
    "HTTPRouteValue",
    "HashPolicy",
    "IngressDefaults",
    "IngressGateway",
    "IngressListener",
    "IngressService",
    "InlineCertificate",
    "InstanceLevelRateLimits",
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
    "JWTRequirement",
    "LeastRequestConfig",
    "LinkedService",
    "LoadBalancer",
    "LocalJWKS",
    "Mesh",
    "MeshDirectionalHTTP",
    "MeshDirectionalTLS",
    "MeshHTTP",
    "MeshPeering",
    "MeshTLS",
    "MeshTransparentProxy",
    "OtherConfigEntry",
    "PassiveHealthCheck",
    "PrioritizeByLocality",
    "ProxyDefaults",
    "RateLimit",
    "RateLimitConfig",
    "RateLimits",
    "Rates",
    "Redirect",
    "RemoteJWKS",
    "RequestNormalization",
    "RequiredJWTProvider",
    "ResourceReference",
    "RetryFilter",
    "RingHashConfig",
    "RouteDestination",
    "RouteExtAuthz",
    "RouteMatch",
    "RouteRateLimits",
    "SDSCertificate",
    "SamenessGroup",
    "SamenessGroupMember",
    "ServiceConsumer",
    "ServiceCredential",
    "ServiceDefaults",
    "ServiceIntentions",
    "ServiceResolver",
    "ServiceRoute",
    "ServiceRouter",
    "ServiceSplit",
    "ServiceSplitter",
    "ServiceTLS",
    "SourceIntention",
    "Subset",
    "TCPRoute",
    "TCPRouteService",
    "TerminatingGateway",
    "TimeoutFilter",
    "TrustedCA",
    "URLRewrite",
    "UpstreamConfig",
    "UpstreamConfiguration",
    "UpstreamLimits",
]


class _ByKind:
    """Reads an entry into the model of its kind, or into the last one."""

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        *known, other = get_args(source)
        models = {model.model_fields["kind"].default: model for model in known}

        def kind_of(document: Any) -> str:
            kind = document.get("Kind") if isinstance(document, dict) else None
            return kind if isinstance(kind, str) and kind in models else ""

        return core_schema.tagged_union_schema(
            {kind: handler.generate_schema(model) for kind, model in models.items()}
            | {"": handler.generate_schema(other)},
            discriminator=kind_of,
        )


ConfigEntry: TypeAlias = Annotated[
    ServiceDefaults
    | ProxyDefaults
    | ServiceRouter
    | ServiceSplitter
    | ServiceResolver
    | IngressGateway
    | TerminatingGateway
    | ServiceIntentions
    | Mesh
    | ExportedServices
    | SamenessGroup
    | APIGateway
    | BoundAPIGateway
    | HTTPRoute
    | TCPRoute
    | InlineCertificate
    | FileSystemCertificate
    | JWTProvider
    | ControlPlaneRequestLimit
    | RateLimit
    | OtherConfigEntry,
    _ByKind,
]
"""An entry of any kind."""
