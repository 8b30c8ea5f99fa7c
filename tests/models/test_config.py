"""Configuration entries of every kind, with everything that one can be given, both ways."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from pydantic import BaseModel, SecretStr, TypeAdapter

from consul_onex import ConsulClient, DecodeError, InvalidRequestError
from consul_onex.models import config
from consul_onex.models.config import (
    APIGateway,
    APIGatewayExtAuthz,
    APIGatewayListener,
    APIGatewayPolicy,
    APIGatewayTLS,
    BoundAPIGateway,
    BoundAPIGatewayListener,
    CertificateProvider,
    ClaimVerification,
    Condition,
    ConfigEntry,
    ControlPlaneRequestLimit,
    CookieConfig,
    CredentialInjection,
    Destination,
    EntryStatus,
    ExportedService,
    ExportedServices,
    ExtProcDirection,
    ExtProcFilter,
    ExtProcMetadata,
    ExtProcOverrides,
    ExtProcProcessing,
    Failover,
    FailoverPolicy,
    FailoverTarget,
    FileSystemCertificate,
    GatewayTLS,
    HashPolicy,
    HTTPHeaderMatch,
    HTTPHeaderModifiers,
    HTTPMatch,
    HTTPQueryMatch,
    HTTPRoute,
    HTTPRouteFilters,
    HTTPRouteMatch,
    HTTPRouteResponseFilters,
    HTTPRouteRule,
    HTTPRouteService,
    HTTPRouteValue,
    IngressDefaults,
    IngressGateway,
    IngressListener,
    IngressService,
    InlineCertificate,
    InstanceLevelRateLimits,
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
    JWTRequirement,
    LeastRequestConfig,
    LinkedService,
    LoadBalancer,
    LocalJWKS,
    Mesh,
    MeshDirectionalHTTP,
    MeshDirectionalTLS,
    MeshHTTP,
    MeshPeering,
    MeshTLS,
    MeshTransparentProxy,
    OtherConfigEntry,
    PassiveHealthCheck,
    PrioritizeByLocality,
    ProxyDefaults,
    RateLimit,
    RateLimitConfig,
    RateLimits,
    Rates,
    Redirect,
    RemoteJWKS,
    RequestNormalization,
    RequiredJWTProvider,
    ResourceReference,
    RetryFilter,
    RingHashConfig,
    RouteDestination,
    RouteExtAuthz,
    RouteMatch,
    RouteRateLimits,
    SamenessGroup,
    SamenessGroupMember,
    SDSCertificate,
    ServiceConsumer,
    ServiceCredential,
    ServiceDefaults,
    ServiceIntentions,
    ServiceResolver,
    ServiceRoute,
    ServiceRouter,
    ServiceSplit,
    ServiceSplitter,
    ServiceTLS,
    SourceIntention,
    Subset,
    TCPRoute,
    TCPRouteService,
    TerminatingGateway,
    TimeoutFilter,
    TrustedCA,
    UpstreamConfig,
    UpstreamConfiguration,
    UpstreamLimits,
    URLRewrite,
)
from consul_onex.models.connect import (
    IntentionHeader,
    IntentionHTTP,
    IntentionJWT,
    IntentionJWTClaim,
    IntentionJWTProvider,
    IntentionPermission,
)
from consul_onex.models.service import (
    AccessLogs,
    EnvoyExtension,
    Expose,
    ExposePath,
    MeshGateway,
    TransparentProxy,
)
from tests.support.canary import Bottom
from tests.support.lossless import lost

ENTRY: TypeAdapter[ConfigEntry] = TypeAdapter(ConfigEntry)

Document = dict[str, Any]

# -- parts ---------------------------------------------------------------------------------------

TENANCY: Document = {"Namespace": "billing", "Partition": "part1"}
OF_THE_SERVER: Document = {"CreateIndex": 7, "ModifyIndex": 9, "Hash": 13069442106309955000}
COMMON: Document = {"Meta": {"team": "a"}} | TENANCY | OF_THE_SERVER
COMMON_FIELDS: dict[str, Any] = {
    "meta": {"team": "a"},
    "namespace": "billing",
    "partition": "part1",
    "create_index": 7,
    "modify_index": 9,
    "hash": 13069442106309955000,
}
# Two kinds live in a partition, and in no namespace.
NO_NAMESPACE = {name: value for name, value in COMMON.items() if name != "Namespace"}
NO_NAMESPACE_FIELDS = {k: v for k, v in COMMON_FIELDS.items() if k != "namespace"}

LIMITS: Document = {"MaxConnections": 0, "MaxPendingRequests": 20, "MaxConcurrentRequests": 30}
THE_LIMITS = UpstreamLimits(max_connections=0, max_pending_requests=20, max_concurrent_requests=30)

HEALTH: Document = {
    "Interval": "10s",
    "MaxFailures": 3,
    "EnforcingConsecutive5xx": 0,
    "MaxEjectionPercent": 50,
    "BaseEjectionTime": "500ms",
}
THE_HEALTH = PassiveHealthCheck(
    interval=10.0,
    max_failures=3,
    enforcing_consecutive_5xx=0,
    max_ejection_percent=50,
    base_ejection_time=0.5,
)

EXTENSIONS: list[Document] = [
    {
        "Name": "builtin/lua",
        "Required": True,
        "Arguments": {"Script": "x", "Listener": "inbound"},
        "ConsulVersion": ">= 1.15",
        "EnvoyVersion": ">= 1.24",
    }
]
THE_EXTENSIONS = [
    EnvoyExtension(
        name="builtin/lua",
        required=True,
        arguments={"Script": "x", "Listener": "inbound"},
        consul_version=">= 1.15",
        envoy_version=">= 1.24",
    )
]

EXPOSE: Document = {
    "Checks": True,
    "Paths": [
        {
            "ListenerPort": 81,
            "Path": "/health",
            "LocalPathPort": 80,
            "Protocol": "http2",
            "ParsedFromCheck": True,
        }
    ],
}
THE_EXPOSE = Expose(
    checks=True,
    paths=[
        ExposePath(
            listener_port=81,
            path="/health",
            local_path_port=80,
            protocol="http2",
            parsed_from_check=True,
        )
    ],
)

HEADERS: Document = {"Add": {"a": "1"}, "Set": {"b": "2"}, "Remove": ["c"]}
THE_HEADERS = HTTPHeaderModifiers(add={"a": "1"}, set={"b": "2"}, remove=["c"])

SDS: Document = {"SDS": {"ClusterName": "sds", "CertResource": "cert"}}
THE_SDS = SDSCertificate(cluster_name="sds", cert_resource="cert")

TLS: Document = SDS | {
    "Enabled": True,
    "TLSMinVersion": "TLSv1_2",
    "TLSMaxVersion": "TLSv1_3",
    "CipherSuites": ["TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"],
}
THE_TLS = GatewayTLS(
    enabled=True,
    sds=THE_SDS,
    tls_min_version="TLSv1_2",
    tls_max_version="TLSv1_3",
    cipher_suites=["TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"],
)

JWT: Document = {
    "Providers": [{"Name": "okta", "VerifyClaims": [{"Path": ["perms", "role"], "Value": "admin"}]}]
}
THE_JWT = JWTRequirement(
    providers=[
        RequiredJWTProvider(
            name="okta",
            verify_claims=[ClaimVerification(path=["perms", "role"], value="admin")],
        )
    ]
)

REFERENCE: Document = {"Kind": "api-gateway", "Name": "gate", "SectionName": "one"} | TENANCY
THE_REFERENCE = ResourceReference(
    kind="api-gateway", name="gate", section_name="one", namespace="billing", partition="part1"
)

STATUS: Document = {
    "Conditions": [
        {
            "Type": "Accepted",
            "Status": "True",
            "Reason": "Accepted",
            "Message": "gateway is valid",
            "Resource": REFERENCE,
            "LastTransitionTime": "2023-06-01T12:00:00.123456Z",
        }
    ]
}
THE_STATUS = EntryStatus(
    conditions=[
        Condition(
            type="Accepted",
            status="True",
            reason="Accepted",
            message="gateway is valid",
            resource=THE_REFERENCE,
            last_transition_time=datetime(2023, 6, 1, 12, 0, 0, 123456, tzinfo=UTC),
        )
    ]
)

RATES: Document = {"ReadRate": 0.0, "WriteRate": 50.5}
THE_RATES = Rates(read_rate=0.0, write_rate=50.5)

# -- kinds ---------------------------------------------------------------------------------------

EXAMPLES: list[tuple[Document, ConfigEntry]] = [
    (
        {
            "Kind": "service-defaults",
            "Name": "web",
            "Protocol": "http",
            "Mode": "transparent",
            "TransparentProxy": {"OutboundListenerPort": 15001, "DialedDirectly": True},
            "MutualTLSMode": "strict",
            "MeshGateway": {"Mode": "local"},
            "Expose": EXPOSE,
            "ExternalSNI": "web.example.com",
            "UpstreamConfig": {
                "Overrides": [
                    {
                        "Name": "db",
                        "Peer": "east",
                        "EnvoyListenerJSON": "{}",
                        "EnvoyClusterJSON": "{}",
                        "Protocol": "tcp",
                        "ConnectTimeoutMs": 5000,
                        "Limits": LIMITS,
                        "PassiveHealthCheck": HEALTH,
                        "MeshGateway": {"Mode": "remote"},
                        "BalanceOutboundConnections": "exact_balance",
                    }
                    | TENANCY
                ],
                "Defaults": {"Protocol": "http2"},
            },
            "Destination": {"Addresses": ["a.example.com"], "Port": 443},
            "MaxInboundConnections": 100,
            "MaxRequestHeadersKB": 96,
            "LocalConnectTimeoutMs": 5000,
            "LocalRequestTimeoutMs": 15000,
            "BalanceInboundConnections": "exact_balance",
            "RateLimits": {
                "InstanceLevel": {
                    "RequestsPerSecond": 10,
                    "RequestsMaxBurst": 20,
                    "Routes": [
                        {
                            "PathExact": "/a",
                            "PathPrefix": "/b",
                            "PathRegex": "/c.*",
                            "RequestsPerSecond": 1,
                            "RequestsMaxBurst": 2,
                        }
                    ],
                }
            },
            "EnvoyExtensions": EXTENSIONS,
        }
        | COMMON,
        ServiceDefaults(
            name="web",
            protocol="http",
            mode="transparent",
            transparent_proxy=TransparentProxy(outbound_listener_port=15001, dialed_directly=True),
            mutual_tls_mode="strict",
            mesh_gateway=MeshGateway(mode="local"),
            expose=THE_EXPOSE,
            external_sni="web.example.com",
            upstream_config=UpstreamConfiguration(
                overrides=[
                    UpstreamConfig(
                        name="db",
                        peer="east",
                        envoy_listener_json="{}",
                        envoy_cluster_json="{}",
                        protocol="tcp",
                        connect_timeout_ms=5000,
                        limits=THE_LIMITS,
                        passive_health_check=THE_HEALTH,
                        mesh_gateway=MeshGateway(mode="remote"),
                        balance_outbound_connections="exact_balance",
                        namespace="billing",
                        partition="part1",
                    )
                ],
                defaults=UpstreamConfig(protocol="http2"),
            ),
            destination=Destination(addresses=["a.example.com"], port=443),
            max_inbound_connections=100,
            max_request_headers_kb=96,
            local_connect_timeout_ms=5000,
            local_request_timeout_ms=15000,
            balance_inbound_connections="exact_balance",
            rate_limits=RateLimits(
                instance_level=InstanceLevelRateLimits(
                    requests_per_second=10,
                    requests_max_burst=20,
                    routes=[
                        RouteRateLimits(
                            path_exact="/a",
                            path_prefix="/b",
                            path_regex="/c.*",
                            requests_per_second=1,
                            requests_max_burst=2,
                        )
                    ],
                )
            ),
            envoy_extensions=THE_EXTENSIONS,
            **COMMON_FIELDS,
        ),
    ),
    (
        {
            "Kind": "proxy-defaults",
            "Name": "global",
            "Config": {"protocol": "http", "deep": [{"a": 1.5}]},
            "Mode": "direct",
            "TransparentProxy": {"OutboundListenerPort": 15001, "DialedDirectly": False},
            "MutualTLSMode": "permissive",
            "MeshGateway": {"Mode": "none"},
            "Expose": EXPOSE,
            "AccessLogs": {
                "Enabled": True,
                "DisableListenerLogs": True,
                "Type": "file",
                "Path": "/var/log/envoy",
                "JSONFormat": "{}",
                "TextFormat": "%x",
            },
            "EnvoyExtensions": EXTENSIONS,
            "FailoverPolicy": {"Mode": "order-by-locality", "Regions": ["us-west-1"]},
            "PrioritizeByLocality": {"Mode": "failover"},
        }
        | COMMON,
        ProxyDefaults(
            name="global",
            config={"protocol": "http", "deep": [{"a": 1.5}]},
            mode="direct",
            transparent_proxy=TransparentProxy(outbound_listener_port=15001, dialed_directly=False),
            mutual_tls_mode="permissive",
            mesh_gateway=MeshGateway(mode="none"),
            expose=THE_EXPOSE,
            access_logs=AccessLogs(
                enabled=True,
                disable_listener_logs=True,
                type="file",
                path="/var/log/envoy",
                json_format="{}",
                text_format="%x",
            ),
            envoy_extensions=THE_EXTENSIONS,
            failover_policy=FailoverPolicy(mode="order-by-locality", regions=["us-west-1"]),
            prioritize_by_locality=PrioritizeByLocality(mode="failover"),
            **COMMON_FIELDS,
        ),
    ),
    (
        {
            "Kind": "service-router",
            "Name": "web",
            "Routes": [
                {
                    "Match": {
                        "HTTP": {
                            "PathExact": "/a",
                            "PathPrefix": "/b",
                            "PathRegex": "/c.*",
                            "CaseInsensitive": True,
                            "Header": [
                                {
                                    "Name": "h",
                                    "Present": True,
                                    "Exact": "e",
                                    "Prefix": "p",
                                    "Suffix": "s",
                                    "Regex": "r",
                                    "Invert": True,
                                }
                            ],
                            "QueryParam": [
                                {"Name": "q", "Present": True, "Exact": "e", "Regex": "r"}
                            ],
                            "Methods": ["GET"],
                        }
                    },
                    "Destination": {
                        "Service": "admin",
                        "ServiceSubset": "v1",
                        "PrefixRewrite": "/",
                        "RequestTimeout": "15s",
                        "IdleTimeout": "250ms",
                        "NumRetries": 5,
                        "RetryOnConnectFailure": True,
                        "RetryOn": ["reset"],
                        "RetryOnStatusCodes": [500, 502],
                        "RequestHeaders": HEADERS,
                        "ResponseHeaders": HEADERS,
                    }
                    | TENANCY,
                }
            ],
        }
        | COMMON,
        ServiceRouter(
            name="web",
            routes=[
                ServiceRoute(
                    match=RouteMatch(
                        http=HTTPMatch(
                            path_exact="/a",
                            path_prefix="/b",
                            path_regex="/c.*",
                            case_insensitive=True,
                            header=[
                                HTTPHeaderMatch(
                                    name="h",
                                    present=True,
                                    exact="e",
                                    prefix="p",
                                    suffix="s",
                                    regex="r",
                                    invert=True,
                                )
                            ],
                            query_param=[
                                HTTPQueryMatch(name="q", present=True, exact="e", regex="r")
                            ],
                            methods=["GET"],
                        )
                    ),
                    destination=RouteDestination(
                        service="admin",
                        service_subset="v1",
                        prefix_rewrite="/",
                        request_timeout=15.0,
                        idle_timeout=0.25,
                        num_retries=5,
                        retry_on_connect_failure=True,
                        retry_on=["reset"],
                        retry_on_status_codes=[500, 502],
                        request_headers=THE_HEADERS,
                        response_headers=THE_HEADERS,
                        namespace="billing",
                        partition="part1",
                    ),
                )
            ],
            **COMMON_FIELDS,
        ),
    ),
    (
        {
            "Kind": "service-splitter",
            "Name": "web",
            "Splits": [
                {
                    "Weight": 90.5,
                    "Service": "web",
                    "ServiceSubset": "v1",
                    "RequestHeaders": HEADERS,
                    "ResponseHeaders": HEADERS,
                }
                | TENANCY,
                {"Weight": 9.5, "ServiceSubset": "v2"},
            ],
        }
        | COMMON,
        ServiceSplitter(
            name="web",
            splits=[
                ServiceSplit(
                    weight=90.5,
                    service="web",
                    service_subset="v1",
                    request_headers=THE_HEADERS,
                    response_headers=THE_HEADERS,
                    namespace="billing",
                    partition="part1",
                ),
                ServiceSplit(weight=9.5, service_subset="v2"),
            ],
            **COMMON_FIELDS,
        ),
    ),
    (
        {
            "Kind": "service-resolver",
            "Name": "web",
            "DefaultSubset": "v1",
            "Subsets": {"v1": {"Filter": "Service.Meta.version == v1", "OnlyPassing": True}},
            "Redirect": {
                "Service": "api",
                "ServiceSubset": "v2",
                "Datacenter": "dc2",
                "Peer": "east",
                "SamenessGroup": "same",
            }
            | TENANCY,
            "Failover": {
                "*": {
                    "Service": "api",
                    "ServiceSubset": "v2",
                    "Namespace": "billing",
                    "Datacenters": ["dc2"],
                    "Targets": [
                        {
                            "Service": "api",
                            "ServiceSubset": "v2",
                            "Datacenter": "dc2",
                            "Peer": "east",
                        }
                        | TENANCY
                    ],
                    "Policy": {"Mode": "sequential", "Regions": ["us-west-1"]},
                    "SamenessGroup": "same",
                }
            },
            "ConnectTimeout": "15s",
            "RequestTimeout": "1500ms",
            "PrioritizeByLocality": {"Mode": "none"},
            "LoadBalancer": {
                "Policy": "ring_hash",
                "RingHashConfig": {"MinimumRingSize": 1024, "MaximumRingSize": 8192},
                "LeastRequestConfig": {"ChoiceCount": 2},
                "HashPolicies": [
                    {
                        "Field": "cookie",
                        "FieldValue": "session",
                        "CookieConfig": {"Session": False, "TTL": "30s", "Path": "/"},
                        "SourceIP": True,
                        "Terminal": True,
                    }
                ],
            },
        }
        | COMMON,
        ServiceResolver(
            name="web",
            default_subset="v1",
            subsets={"v1": Subset(filter="Service.Meta.version == v1", only_passing=True)},
            redirect=Redirect(
                service="api",
                service_subset="v2",
                datacenter="dc2",
                peer="east",
                sameness_group="same",
                namespace="billing",
                partition="part1",
            ),
            failover={
                "*": Failover(
                    service="api",
                    service_subset="v2",
                    namespace="billing",
                    datacenters=["dc2"],
                    targets=[
                        FailoverTarget(
                            service="api",
                            service_subset="v2",
                            datacenter="dc2",
                            peer="east",
                            namespace="billing",
                            partition="part1",
                        )
                    ],
                    policy=FailoverPolicy(mode="sequential", regions=["us-west-1"]),
                    sameness_group="same",
                )
            },
            connect_timeout=15.0,
            request_timeout=1.5,
            prioritize_by_locality=PrioritizeByLocality(mode="none"),
            load_balancer=LoadBalancer(
                policy="ring_hash",
                ring_hash_config=RingHashConfig(minimum_ring_size=1024, maximum_ring_size=8192),
                least_request_config=LeastRequestConfig(choice_count=2),
                hash_policies=[
                    HashPolicy(
                        field="cookie",
                        field_value="session",
                        cookie_config=CookieConfig(session=False, ttl=30.0, path="/"),
                        source_ip=True,
                        terminal=True,
                    )
                ],
            ),
            **COMMON_FIELDS,
        ),
    ),
    (
        {
            "Kind": "ingress-gateway",
            "Name": "in",
            "TLS": TLS,
            "Listeners": [
                {
                    "Port": 8443,
                    "Protocol": "http",
                    "Services": [
                        {
                            "Name": "web",
                            "Hosts": ["web.example.com"],
                            "TLS": SDS,
                            "RequestHeaders": HEADERS,
                            "ResponseHeaders": HEADERS,
                            "PassiveHealthCheck": HEALTH,
                            "Meta": {"a": "b"},
                        }
                        | LIMITS
                        | TENANCY
                    ],
                    "TLS": TLS,
                }
            ],
            "Defaults": LIMITS | {"PassiveHealthCheck": HEALTH},
        }
        | COMMON,
        IngressGateway(
            name="in",
            tls=THE_TLS,
            listeners=[
                IngressListener(
                    port=8443,
                    protocol="http",
                    services=[
                        IngressService(
                            name="web",
                            hosts=["web.example.com"],
                            tls=ServiceTLS(sds=THE_SDS),
                            request_headers=THE_HEADERS,
                            response_headers=THE_HEADERS,
                            passive_health_check=THE_HEALTH,
                            max_connections=0,
                            max_pending_requests=20,
                            max_concurrent_requests=30,
                            meta={"a": "b"},
                            namespace="billing",
                            partition="part1",
                        )
                    ],
                    tls=THE_TLS,
                )
            ],
            defaults=IngressDefaults(
                max_connections=0,
                max_pending_requests=20,
                max_concurrent_requests=30,
                passive_health_check=THE_HEALTH,
            ),
            **COMMON_FIELDS,
        ),
    ),
    (
        {
            "Kind": "terminating-gateway",
            "Name": "out",
            "Services": [
                {
                    "Name": "db",
                    "CAFile": "/ca.pem",
                    "CertFile": "/cert.pem",
                    "KeyFile": "/key.pem",
                    "SNI": "db.example.com",
                    "DisableAutoHostRewrite": True,
                    "Credential": {"Mode": "inject", "BindingID": "db-a"},
                }
                | TENANCY
            ],
            "CredentialInjection": {"UDSPath": "/run/auth.sock", "MessageTimeout": "250ms"},
        }
        | COMMON,
        TerminatingGateway(
            name="out",
            services=[
                LinkedService(
                    name="db",
                    ca_file="/ca.pem",
                    cert_file="/cert.pem",
                    key_file="/key.pem",
                    sni="db.example.com",
                    disable_auto_host_rewrite=True,
                    credential=ServiceCredential(mode="inject", binding_id="db-a"),
                    namespace="billing",
                    partition="part1",
                )
            ],
            credential_injection=CredentialInjection(
                uds_path="/run/auth.sock", message_timeout=0.25
            ),
            **COMMON_FIELDS,
        ),
    ),
    (
        {
            "Kind": "service-intentions",
            "Name": "db",
            "Sources": [
                {
                    "Name": "web",
                    "Action": "allow",
                    "Permissions": [
                        {
                            "Action": "deny",
                            "HTTP": {
                                "PathExact": "/a",
                                "Header": [{"Name": "h", "Exact": "e", "Invert": True}],
                                "Methods": ["GET"],
                            },
                            "JWT": JWT,
                        }
                    ],
                    "Type": "consul",
                    "Description": "the shop",
                    "Peer": "east",
                    "SamenessGroup": "same",
                    "Precedence": 9,
                    "LegacyID": "5f",
                    "LegacyMeta": {"a": "b"},
                    "LegacyCreateTime": "2020-01-02T03:04:05Z",
                    "LegacyUpdateTime": "2020-01-02T03:04:06Z",
                }
                | TENANCY
            ],
            "JWT": JWT,
        }
        | COMMON,
        ServiceIntentions(
            name="db",
            sources=[
                SourceIntention(
                    name="web",
                    action="allow",
                    permissions=[
                        IntentionPermission(
                            action="deny",
                            http=IntentionHTTP(
                                path_exact="/a",
                                header=[IntentionHeader(name="h", exact="e", invert=True)],
                                methods=["GET"],
                            ),
                            jwt=IntentionJWT(
                                providers=[
                                    IntentionJWTProvider(
                                        name="okta",
                                        verify_claims=[
                                            IntentionJWTClaim(path=["perms", "role"], value="admin")
                                        ],
                                    )
                                ]
                            ),
                        )
                    ],
                    type="consul",
                    description="the shop",
                    peer="east",
                    sameness_group="same",
                    precedence=9,
                    legacy_id="5f",
                    legacy_meta={"a": "b"},
                    legacy_create_time=datetime(2020, 1, 2, 3, 4, 5, tzinfo=UTC),
                    legacy_update_time=datetime(2020, 1, 2, 3, 4, 6, tzinfo=UTC),
                    namespace="billing",
                    partition="part1",
                )
            ],
            jwt=IntentionJWT(
                providers=[
                    IntentionJWTProvider(
                        name="okta",
                        verify_claims=[IntentionJWTClaim(path=["perms", "role"], value="admin")],
                    )
                ]
            ),
            **COMMON_FIELDS,
        ),
    ),
    (
        {
            "Kind": "mesh",
            "TransparentProxy": {"MeshDestinationsOnly": True},
            "AllowEnablingPermissiveMutualTLS": True,
            "ValidateClusters": True,
            "TLS": {
                "Incoming": {
                    "TLSMinVersion": "TLSv1_2",
                    "TLSMaxVersion": "TLSv1_3",
                    "CipherSuites": ["TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"],
                },
                "Outgoing": {"TLSMinVersion": "TLSv1_3"},
            },
            "HTTP": {
                "SanitizeXForwardedClientCert": True,
                "Incoming": {
                    "RequestNormalization": {
                        "InsecureDisablePathNormalization": True,
                        "MergeSlashes": True,
                        "PathWithEscapedSlashesAction": "REJECT_REQUEST",
                        "HeadersWithUnderscoresAction": "DROP_HEADER",
                    }
                },
            },
            "Peering": {"PeerThroughMeshGateways": True},
        }
        | COMMON,
        Mesh(
            transparent_proxy=MeshTransparentProxy(mesh_destinations_only=True),
            allow_enabling_permissive_mutual_tls=True,
            validate_clusters=True,
            tls=MeshTLS(
                incoming=MeshDirectionalTLS(
                    tls_min_version="TLSv1_2",
                    tls_max_version="TLSv1_3",
                    cipher_suites=["TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"],
                ),
                outgoing=MeshDirectionalTLS(tls_min_version="TLSv1_3"),
            ),
            http=MeshHTTP(
                sanitize_x_forwarded_client_cert=True,
                incoming=MeshDirectionalHTTP(
                    request_normalization=RequestNormalization(
                        insecure_disable_path_normalization=True,
                        merge_slashes=True,
                        path_with_escaped_slashes_action="REJECT_REQUEST",
                        headers_with_underscores_action="DROP_HEADER",
                    )
                ),
            ),
            peering=MeshPeering(peer_through_mesh_gateways=True),
            **COMMON_FIELDS,
        ),
    ),
    (
        {
            "Kind": "exported-services",
            "Name": "default",
            "Services": [
                {
                    "Name": "payments",
                    "Namespace": "billing",
                    "Consumers": [
                        {"Peer": "web-shop"},
                        {"Partition": "part2"},
                        {"SamenessGroup": "same"},
                    ],
                }
            ],
        }
        | NO_NAMESPACE,
        ExportedServices(
            name="default",
            services=[
                ExportedService(
                    name="payments",
                    namespace="billing",
                    consumers=[
                        ServiceConsumer(peer="web-shop"),
                        ServiceConsumer(partition="part2"),
                        ServiceConsumer(sameness_group="same"),
                    ],
                )
            ],
            **NO_NAMESPACE_FIELDS,
        ),
    ),
    (
        {
            "Kind": "sameness-group",
            "Name": "products",
            "DefaultForFailover": True,
            "IncludeLocal": True,
            "Members": [{"Partition": "store-east"}, {"Peer": "dc2-store-west"}],
        }
        | NO_NAMESPACE,
        SamenessGroup(
            name="products",
            default_for_failover=True,
            include_local=True,
            members=[
                SamenessGroupMember(partition="store-east"),
                SamenessGroupMember(peer="dc2-store-west"),
            ],
            **NO_NAMESPACE_FIELDS,
        ),
    ),
    (
        {
            "Kind": "api-gateway",
            "Name": "gate",
            "TLS": TLS,
            "Listeners": [
                {
                    "Name": "one",
                    "Hostname": "*.example.com",
                    "Port": 8443,
                    "Protocol": "http",
                    "MaxRequestHeadersKB": 96,
                    "TLS": SDS
                    | {
                        "Certificates": [{"Kind": "inline-certificate", "Name": "cert"} | TENANCY],
                        "MaxVersion": "TLSv1_3",
                        "MinVersion": "TLSv1_2",
                        "CipherSuites": ["TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"],
                    },
                    "Override": {"JWT": JWT},
                    "Default": {"JWT": JWT},
                }
            ],
            "Defaults": LIMITS,
            "ExtAuthz": {"Enabled": True},
            "Status": STATUS,
        }
        | COMMON,
        APIGateway(
            name="gate",
            tls=THE_TLS,
            listeners=[
                APIGatewayListener(
                    name="one",
                    hostname="*.example.com",
                    port=8443,
                    protocol="http",
                    max_request_headers_kb=96,
                    tls=APIGatewayTLS(
                        sds=THE_SDS,
                        certificates=[
                            ResourceReference(
                                kind="inline-certificate",
                                name="cert",
                                namespace="billing",
                                partition="part1",
                            )
                        ],
                        max_version="TLSv1_3",
                        min_version="TLSv1_2",
                        cipher_suites=["TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256"],
                    ),
                    override=APIGatewayPolicy(jwt=THE_JWT),
                    default=APIGatewayPolicy(jwt=THE_JWT),
                )
            ],
            defaults=THE_LIMITS,
            ext_authz=APIGatewayExtAuthz(enabled=True),
            status=THE_STATUS,
            **COMMON_FIELDS,
        ),
    ),
    (
        {
            "Kind": "bound-api-gateway",
            "Name": "gate",
            "Listeners": [{"Name": "one", "Routes": [REFERENCE], "Certificates": [REFERENCE]}],
            "Services": {"default/default/web": [REFERENCE]},
        }
        | COMMON,
        BoundAPIGateway(
            name="gate",
            listeners=[
                BoundAPIGatewayListener(
                    name="one", routes=[THE_REFERENCE], certificates=[THE_REFERENCE]
                )
            ],
            services={"default/default/web": [THE_REFERENCE]},
            **COMMON_FIELDS,
        ),
    ),
    (
        {
            "Kind": "http-route",
            "Name": "route",
            "Parents": [REFERENCE],
            "Rules": [
                {
                    "Filters": {
                        "Headers": [HEADERS],
                        "URLRewrite": {"Path": "/"},
                        "RetryFilter": {
                            "NumRetries": 1,
                            "RetryOn": ["5xx"],
                            "RetryOnStatusCodes": [429],
                            "RetryOnConnectFailure": True,
                        },
                        "TimeoutFilter": {"RequestTimeout": "15s", "IdleTimeout": "1500ms"},
                        "JWT": JWT,
                        "ExtProc": [
                            {
                                "StatPrefix": "a",
                                "Mode": "override",
                                "Overrides": {
                                    "Processing": {
                                        "Request": {
                                            "HeadersMode": "SEND",
                                            "BodyMode": "NONE",
                                            "TrailersMode": "SKIP",
                                            "MaxBodyBytes": 1024,
                                        },
                                        "Response": {"HeadersMode": "SKIP"},
                                    },
                                    "GRPCInitialMetadata": [{"Key": "k", "Value": "v"}],
                                },
                            }
                        ],
                        "ExtAuthz": {"Enabled": False},
                    },
                    "ResponseFilters": {"Headers": [HEADERS]},
                    "Matches": [
                        {
                            "Headers": [
                                {"Match": "exact", "Name": "h", "Value": "v", "Invert": True}
                            ],
                            "Method": "GET",
                            "Path": {"Match": "prefix", "Value": "/"},
                            "Query": [{"Match": "present", "Name": "q", "Value": ""}],
                        }
                    ],
                    "Services": [
                        {
                            "Name": "web",
                            "Weight": 2,
                            "Filters": {"URLRewrite": {"Path": "/x"}},
                            "ResponseFilters": {"Headers": []},
                            "TLS": SDS,
                            "Limits": LIMITS,
                        }
                        | TENANCY
                    ],
                }
            ],
            "Hostnames": ["web.example.com"],
            "Status": STATUS,
        }
        | COMMON,
        HTTPRoute(
            name="route",
            parents=[THE_REFERENCE],
            rules=[
                HTTPRouteRule(
                    filters=HTTPRouteFilters(
                        headers=[THE_HEADERS],
                        url_rewrite=URLRewrite(path="/"),
                        retry_filter=RetryFilter(
                            num_retries=1,
                            retry_on=["5xx"],
                            retry_on_status_codes=[429],
                            retry_on_connect_failure=True,
                        ),
                        timeout_filter=TimeoutFilter(request_timeout=15.0, idle_timeout=1.5),
                        jwt=THE_JWT,
                        ext_proc=[
                            ExtProcFilter(
                                stat_prefix="a",
                                mode="override",
                                overrides=ExtProcOverrides(
                                    processing=ExtProcProcessing(
                                        request=ExtProcDirection(
                                            headers_mode="SEND",
                                            body_mode="NONE",
                                            trailers_mode="SKIP",
                                            max_body_bytes=1024,
                                        ),
                                        response=ExtProcDirection(headers_mode="SKIP"),
                                    ),
                                    grpc_initial_metadata=[ExtProcMetadata(key="k", value="v")],
                                ),
                            )
                        ],
                        ext_authz=RouteExtAuthz(enabled=False),
                    ),
                    response_filters=HTTPRouteResponseFilters(headers=[THE_HEADERS]),
                    matches=[
                        HTTPRouteMatch(
                            headers=[
                                HTTPRouteValue(match="exact", name="h", value="v", invert=True)
                            ],
                            method="GET",
                            path=HTTPRouteValue(match="prefix", value="/"),
                            query=[HTTPRouteValue(match="present", name="q", value="")],
                        )
                    ],
                    services=[
                        HTTPRouteService(
                            name="web",
                            weight=2,
                            filters=HTTPRouteFilters(url_rewrite=URLRewrite(path="/x")),
                            response_filters=HTTPRouteResponseFilters(headers=[]),
                            tls=ServiceTLS(sds=THE_SDS),
                            limits=THE_LIMITS,
                            namespace="billing",
                            partition="part1",
                        )
                    ],
                )
            ],
            hostnames=["web.example.com"],
            status=THE_STATUS,
            **COMMON_FIELDS,
        ),
    ),
    (
        {
            "Kind": "tcp-route",
            "Name": "route",
            "Parents": [REFERENCE],
            "Services": [{"Name": "db", "TLS": SDS, "Limits": LIMITS} | TENANCY],
            "Status": STATUS,
        }
        | COMMON,
        TCPRoute(
            name="route",
            parents=[THE_REFERENCE],
            services=[
                TCPRouteService(
                    name="db",
                    tls=ServiceTLS(sds=THE_SDS),
                    limits=THE_LIMITS,
                    namespace="billing",
                    partition="part1",
                )
            ],
            status=THE_STATUS,
            **COMMON_FIELDS,
        ),
    ),
    (
        {
            "Kind": "inline-certificate",
            "Name": "cert",
            "Certificate": "-----BEGIN CERTIFICATE-----",
            "PrivateKey": "-----BEGIN PRIVATE KEY-----",
        }
        | COMMON,
        InlineCertificate(
            name="cert",
            certificate="-----BEGIN CERTIFICATE-----",
            private_key=SecretStr("-----BEGIN PRIVATE KEY-----"),
            **COMMON_FIELDS,
        ),
    ),
    (
        {
            "Kind": "file-system-certificate",
            "Name": "cert",
            "Certificate": "/opt/cert.pem",
            "PrivateKey": "/opt/key.pem",
        }
        | COMMON,
        FileSystemCertificate(
            name="cert", certificate="/opt/cert.pem", private_key="/opt/key.pem", **COMMON_FIELDS
        ),
    ),
    (
        {
            "Kind": "jwt-provider",
            "Name": "okta",
            "Issuer": "okta",
            "JSONWebKeySet": {
                "Local": {"JWKS": "eyJrZXlzIjpbXX0=", "Filename": "/jwks.json"},
                "Remote": {
                    "URI": "https://okta.example.com/keys",
                    "RequestTimeoutMs": 1500,
                    "CacheDuration": "300s",
                    "FetchAsynchronously": True,
                    "UseSNI": True,
                    "RetryPolicy": {
                        "NumRetries": 3,
                        "RetryPolicyBackOff": {"BaseInterval": "1s", "MaxInterval": "10s"},
                    },
                    "JWKSCluster": {
                        "DiscoveryType": "STATIC",
                        "TLSCertificates": {
                            "CaCertificateProviderInstance": {
                                "InstanceName": "default",
                                "CertificateName": "ROOTCA",
                            },
                            "TrustedCA": {
                                "Filename": "/ca.pem",
                                "EnvironmentVariable": "CA",
                                "InlineString": "pem",
                                "InlineBytes": "cGVt",
                            },
                        },
                        "ConnectTimeout": "10s",
                    },
                },
            },
            "Audiences": ["aud"],
            "Locations": [
                {"Header": {"Name": "Authorization", "ValuePrefix": "Bearer ", "Forward": True}},
                {"QueryParam": {"Name": "token"}},
                {"Cookie": {"Name": "token"}},
            ],
            "Forwarding": {"HeaderName": "x-jwt", "PadForwardPayloadHeader": True},
            "ClockSkewSeconds": 30,
            "CacheConfig": {"Size": 100},
        }
        | COMMON,
        JWTProvider(
            name="okta",
            issuer="okta",
            json_web_key_set=JSONWebKeySet(
                local=LocalJWKS(jwks="eyJrZXlzIjpbXX0=", filename="/jwks.json"),
                remote=RemoteJWKS(
                    uri="https://okta.example.com/keys",
                    request_timeout_ms=1500,
                    cache_duration=300.0,
                    fetch_asynchronously=True,
                    use_sni=True,
                    retry_policy=JWKSRetryPolicy(
                        num_retries=3,
                        retry_policy_back_off=JWKSRetryBackOff(
                            base_interval=1.0, max_interval=10.0
                        ),
                    ),
                    jwks_cluster=JWKSCluster(
                        discovery_type="STATIC",
                        tls_certificates=JWKSTLSCertificates(
                            ca_certificate_provider_instance=CertificateProvider(
                                instance_name="default", certificate_name="ROOTCA"
                            ),
                            trusted_ca=TrustedCA(
                                filename="/ca.pem",
                                environment_variable="CA",
                                inline_string="pem",
                                inline_bytes=b"pem",
                            ),
                        ),
                        connect_timeout=10.0,
                    ),
                ),
            ),
            audiences=["aud"],
            locations=[
                JWTLocation(
                    header=JWTHeader(name="Authorization", value_prefix="Bearer ", forward=True)
                ),
                JWTLocation(query_param=JWTParameter(name="token")),
                JWTLocation(cookie=JWTParameter(name="token")),
            ],
            forwarding=JWTForwarding(header_name="x-jwt", pad_forward_payload_header=True),
            clock_skew_seconds=30,
            cache_config=JWTCacheConfig(size=100),
            **COMMON_FIELDS,
        ),
    ),
    (
        {
            "Kind": "control-plane-request-limit",
            "Name": "limits",
            "Mode": "permissive",
            "ReadRate": 100.0,
            "WriteRate": 0.0,
            "ACL": RATES,
            "Catalog": RATES,
            "ConfigEntry": RATES,
            "ConnectCA": RATES,
            "Coordinate": RATES,
            "DiscoveryChain": RATES,
            "Health": RATES,
            "Intention": RATES,
            "KV": RATES,
            "Tenancy": RATES,
            "PreparedQuery": RATES,
            "Session": RATES,
            "Txn": RATES,
        }
        | COMMON,
        ControlPlaneRequestLimit(
            name="limits",
            mode="permissive",
            read_rate=100.0,
            write_rate=0.0,
            acl=THE_RATES,
            catalog=THE_RATES,
            config_entry=THE_RATES,
            connect_ca=THE_RATES,
            coordinate=THE_RATES,
            discovery_chain=THE_RATES,
            health=THE_RATES,
            intention=THE_RATES,
            kv=THE_RATES,
            tenancy=THE_RATES,
            prepared_query=THE_RATES,
            session=THE_RATES,
            txn=THE_RATES,
            **COMMON_FIELDS,
        ),
    ),
    (
        {
            "Kind": "rate-limit",
            "Name": "global",
            "config": RATES | {"priority": True, "exclude_endpoints": ["Health.Check"]},
        }
        | COMMON,
        RateLimit(
            name="global",
            config=RateLimitConfig(
                read_rate=0.0,
                write_rate=50.5,
                priority=True,
                exclude_endpoints=["Health.Check"],
            ),
            **COMMON_FIELDS,
        ),
    ),
]

each_kind = pytest.mark.parametrize(
    ("document", "entry"), [pytest.param(d, e, id=d["Kind"]) for d, e in EXAMPLES]
)


def parsed(document: object) -> ConfigEntry:
    return ENTRY.validate_json(json.dumps(document))


@each_kind
def test_an_entry_is_read_into_the_model_of_its_kind(
    document: Document, entry: ConfigEntry
) -> None:
    read = parsed(document)

    assert type(read) is type(entry)
    assert read == entry
    assert lost(document, read) == []


@each_kind
def test_an_entry_is_written_as_it_is_read(document: Document, entry: ConfigEntry) -> None:
    assert entry.to_wire() == document
    assert parsed(document).to_wire() == document


@each_kind
def test_a_body_is_without_what_only_the_server_writes(
    document: Document, entry: ConfigEntry
) -> None:
    of_the_server = {*OF_THE_SERVER, "Status"}

    assert json.loads(entry.body()) == {
        name: value for name, value in document.items() if name not in of_the_server
    }


def models_of(value: object) -> set[type[BaseModel]]:
    if isinstance(value, BaseModel):
        below = [getattr(value, name) for name in value.model_fields_set]
        return {type(value)}.union(*(models_of(one) for one in below))
    if isinstance(value, (list, dict)):
        ones = value.values() if isinstance(value, dict) else value
        return set[type[BaseModel]]().union(*(models_of(one) for one in ones))
    return set()


def set_of(value: object, model: type[BaseModel]) -> set[str]:
    """The fields that are given anywhere, of one model."""
    if isinstance(value, BaseModel):
        own = set(value.model_fields_set) if type(value) is model else set()
        return own.union(*(set_of(getattr(value, n), model) for n in value.model_fields_set))
    if isinstance(value, (list, dict)):
        ones = value.values() if isinstance(value, dict) else value
        return set[str]().union(*(set_of(one, model) for one in ones))
    return set()


MODELS = [
    model
    for name in config.__all__
    if isinstance(model := getattr(config, name), type) and model is not OtherConfigEntry
]


@pytest.mark.parametrize("model", MODELS, ids=lambda model: str(model.__name__))
def test_every_field_is_in_an_example(model: type[BaseModel]) -> None:
    given = set[str]().union(*(set_of(entry, model) for _, entry in EXAMPLES))

    assert given == set(model.model_fields)


def test_every_kind_is_in_an_example() -> None:
    kinds = [document["Kind"] for document, _ in EXAMPLES]

    assert len(kinds) == len(set(kinds)) == 20


@pytest.mark.parametrize(
    ("entry", "body"),
    [
        (ServiceDefaults(name="web"), {"Kind": "service-defaults", "Name": "web"}),
        (ProxyDefaults(), {"Kind": "proxy-defaults", "Name": "global"}),
        (ExportedServices(), {"Kind": "exported-services", "Name": "default"}),
        (RateLimit(), {"Kind": "rate-limit", "Name": "global"}),
        (Mesh(), {"Kind": "mesh"}),
    ],
    ids=["service-defaults", "proxy-defaults", "exported-services", "rate-limit", "mesh"],
)
def test_kind_and_name_are_sent_also_where_nobody_gave_them(
    entry: ConfigEntry, body: Document
) -> None:
    assert json.loads(entry.body()) == body


def test_numbers_of_nanoseconds_are_durations_as_well() -> None:
    read = parsed(
        {
            "Kind": "service-defaults",
            "Name": "web",
            "UpstreamConfig": {
                "Defaults": {
                    "PassiveHealthCheck": {
                        "Interval": 10_000_000_000,
                        "BaseEjectionTime": 30_000_000_000,
                    }
                }
            },
        }
    )

    assert isinstance(read, ServiceDefaults)
    assert read.upstream_config == UpstreamConfiguration(
        defaults=UpstreamConfig(
            passive_health_check=PassiveHealthCheck(interval=10.0, base_ejection_time=30.0)
        )
    )


def test_what_is_new_or_null_does_no_harm() -> None:
    read = parsed({"Kind": "mesh", "New": {"a": 1}, "Meta": None, "TLS": None, "Peering": {}})

    assert read == Mesh(peering=MeshPeering())
    assert read.name == "mesh"


# -- other kinds ---------------------------------------------------------------------------------

NEW: Document = {
    "Kind": "ai-gateway",
    "Name": "a",
    "Fields": [1],
    "Rules": [{"X": None, "y": {"kind": "z"}}],
    "nothing": None,
    "Status": {},
    "CreateIndex": 7,
    "ModifyIndex": 9,
}


def test_an_entry_of_a_kind_that_is_not_known_is_kept_whole() -> None:
    read = parsed(NEW)

    assert isinstance(read, OtherConfigEntry)
    assert (read.kind, read.name, read.create_index, read.modify_index) == ("ai-gateway", "a", 7, 9)
    assert read.fields == {name: NEW[name] for name in ("Fields", "Rules", "nothing", "Status")}
    assert read.to_wire() == NEW
    assert lost(NEW, read) == []


def test_it_can_be_changed_and_sent() -> None:
    read = parsed(NEW)
    assert isinstance(read, OtherConfigEntry)

    changed = read.replace(fields=read.fields | {"Rules": []})

    assert json.loads(changed.body()) == {
        "Kind": "ai-gateway",
        "Name": "a",
        "Fields": [1],
        "Rules": [],
        "nothing": None,
        "Status": {},
    }
    assert json.loads(OtherConfigEntry(kind="a", fields={"B": 1}).body()) == {"Kind": "a", "B": 1}


@pytest.mark.parametrize("kind", ["new", "", None])
async def test_one_strange_entry_does_not_spoil_a_list(kind: str | None) -> None:
    documents = [{"Kind": "mesh"}, {"Kind": kind, "A": 1}]
    async with ConsulClient(transport=Bottom(httpx.Response(200, json=documents))) as c:
        entries = await c.config.list("mesh")

    assert entries == [Mesh(), OtherConfigEntry(kind=kind or "", fields={"A": 1})]


@pytest.mark.parametrize(
    "document",
    [7, None, [], "x", {"Kind": "mesh", "TLS": 7}, {"Kind": 7}, {"Kind": ["mesh"]}],
    ids=str,
)
async def test_an_answer_that_is_no_entry_is_damaged(document: object) -> None:
    async with ConsulClient(transport=Bottom(httpx.Response(200, json=document))) as c:
        with pytest.raises(DecodeError, match=r"^config\.get: the answer is not what "):
            await c.config.get("mesh", "mesh")


# -- secrets, and what must not be said ----------------------------------------------------------


def test_what_may_be_secret_is_not_shown() -> None:
    shown = [
        repr(InlineCertificate(name="a", certificate="s3cret", private_key=SecretStr("s3cret"))),
        repr(LocalJWKS(jwks="s3cret")),
        repr(UpstreamConfig(envoy_cluster_json="s3cret", envoy_listener_json="s3cret")),
        repr(OtherConfigEntry(kind="a", fields={"Key": "s3cret"})),
    ]

    assert "s3cret" not in "".join(shown)


@pytest.mark.parametrize(
    "options", [{"a": None}, {"a": [None]}, {"a": {"b": [{"c": None}]}}, {"a": (1, None)}], ids=str
)
def test_a_server_is_not_told_a_null_that_it_does_not_survive(options: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequestError, match=r"ProxyDefaults\.config: None cannot be part"):
        ProxyDefaults(config=options)


def test_a_null_that_a_server_tells_says_nothing() -> None:
    told = {"a": None, "b": 1, "c": [None, {"d": None, "e": False}]}
    read = parsed({"Kind": "proxy-defaults", "Name": "global", "Config": told})

    assert isinstance(read, ProxyDefaults)
    assert read.config == {"b": 1, "c": [{"e": False}]}
    assert read.replace(meta={"x": "y"}).config == read.config
    assert b"null" not in read.body()
