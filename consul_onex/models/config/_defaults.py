"""What holds for a service, and for every proxy, unless something else is said."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationInfo, model_validator

from .._base import Definition, FreeForm
from ..service import AccessLogs, EnvoyExtension, Expose, MeshGateway, TransparentProxy
from ._parts import (
    FailoverPolicy,
    HeadersKB,
    PassiveHealthCheck,
    PrioritizeByLocality,
    UpstreamLimits,
    with_kind,
)

__all__ = [
    "Destination",
    "InstanceLevelRateLimits",
    "ProxyDefaults",
    "RateLimits",
    "RouteRateLimits",
    "ServiceDefaults",
    "UpstreamConfig",
    "UpstreamConfiguration",
]


def _without_null(config: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
    # Every server of Consul 1.8 that applies such an entry panics, and again when it is started.
    if info.mode != "python":
        # A newer server's, which may be told to another. What is null there says nothing.
        cleared: dict[str, Any] = _cleared(config)
        return cleared
    if _has_null(config):
        raise ValueError("None cannot be part of it: there are servers that do not survive that")
    return config


def _cleared(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _cleared(one) for name, one in value.items() if one is not None}
    if isinstance(value, list):
        return [_cleared(one) for one in value if one is not None]
    return value


def _has_null(value: Any) -> bool:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        return any(_has_null(one) for one in value)
    return value is None


class UpstreamConfig(Definition):
    """How a service reaches another, or all others. `name` and so on say which one."""

    name: str = ""
    namespace: str | None = None
    partition: str | None = None
    peer: str | None = None
    envoy_listener_json: Annotated[str, Field(repr=False)] = ""
    envoy_cluster_json: Annotated[str, Field(repr=False)] = ""
    protocol: str = ""
    connect_timeout_ms: int = 0
    limits: UpstreamLimits | None = None
    passive_health_check: PassiveHealthCheck | None = None
    mesh_gateway: MeshGateway | None = None
    balance_outbound_connections: str = ""


class UpstreamConfiguration(Definition):
    """How a service reaches those it needs: each of them, and these differently."""

    overrides: list[UpstreamConfig] = []
    defaults: UpstreamConfig | None = None


class Destination(Definition):
    """Where a service is that runs outside the mesh (since Consul 1.13)."""

    addresses: list[str] = []
    port: int = 0


class RouteRateLimits(Definition):
    """How many requests an instance takes on one route; one of the paths says which."""

    path_exact: str = ""
    path_prefix: str = ""
    path_regex: str = ""
    requests_per_second: int = 0
    requests_max_burst: int = 0


class InstanceLevelRateLimits(Definition):
    """How many requests each instance of a service takes."""

    requests_per_second: int = 0
    requests_max_burst: int = 0
    routes: list[RouteRateLimits] = []


class RateLimits(Definition):
    """How many requests a service takes (Enterprise, since Consul 1.17)."""

    instance_level: InstanceLevelRateLimits | None = None


class ServiceDefaults(Definition):
    """
    What holds for all instances of a service: its protocol, before all.

    Fields that end in `_ms` are milliseconds.

    https://developer.hashicorp.com/consul/docs/reference/config-entry/service-defaults
    """

    kind: Literal["service-defaults"] = "service-defaults"
    name: str
    protocol: str = ""
    """`tcp`, which is the default, `http`, `http2` or `grpc`."""
    mode: str = ""
    transparent_proxy: TransparentProxy | None = None
    mutual_tls_mode: str = ""
    mesh_gateway: MeshGateway | None = None
    expose: Expose | None = None
    external_sni: str = ""
    upstream_config: UpstreamConfiguration | None = None
    destination: Destination | None = None
    max_inbound_connections: int = 0
    max_request_headers_kb: HeadersKB = None
    local_connect_timeout_ms: int = 0
    local_request_timeout_ms: int = 0
    balance_inbound_connections: str = ""
    rate_limits: RateLimits | None = None
    envoy_extensions: list[EnvoyExtension] = []
    meta: dict[str, str] = {}
    namespace: str | None = None
    partition: str | None = None
    create_index: int = 0
    modify_index: int = 0
    hash: int = 0

    _with_kind = model_validator(mode="after")(with_kind)


class ProxyDefaults(Definition):
    """
    What holds for every proxy. There is one such entry, `global`.

    https://developer.hashicorp.com/consul/docs/reference/config-entry/proxy-defaults
    """

    kind: Literal["proxy-defaults"] = "proxy-defaults"
    name: str = "global"
    config: Annotated[FreeForm, AfterValidator(_without_null)] = {}
    """Free-form options of the proxy's own. There must be no None in it."""
    mode: str = ""
    transparent_proxy: TransparentProxy | None = None
    mutual_tls_mode: str = ""
    mesh_gateway: MeshGateway | None = None
    expose: Expose | None = None
    access_logs: AccessLogs | None = None
    envoy_extensions: list[EnvoyExtension] = []
    failover_policy: FailoverPolicy | None = None
    prioritize_by_locality: PrioritizeByLocality | None = None
    meta: dict[str, str] = {}
    namespace: str | None = None
    partition: str | None = None
    create_index: int = 0
    modify_index: int = 0
    hash: int = 0

    _with_kind = model_validator(mode="after")(with_kind)
