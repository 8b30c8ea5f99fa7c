"""Where an API gateway sends what comes in."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import model_validator

from .._base import Definition, Duration
from ._parts import (
    WITH_STATUS,
    EntryStatus,
    HTTPHeaderModifiers,
    JWTRequirement,
    ResourceReference,
    ServiceTLS,
    UpstreamLimits,
    with_kind,
)

__all__ = [
    "ExtProcDirection",
    "ExtProcFilter",
    "ExtProcMetadata",
    "ExtProcOverrides",
    "ExtProcProcessing",
    "HTTPRoute",
    "HTTPRouteFilters",
    "HTTPRouteMatch",
    "HTTPRouteResponseFilters",
    "HTTPRouteRule",
    "HTTPRouteService",
    "HTTPRouteValue",
    "RetryFilter",
    "RouteExtAuthz",
    "TCPRoute",
    "TCPRouteService",
    "TimeoutFilter",
    "URLRewrite",
]


class HTTPRouteValue(Definition):
    """A part of a request that must be so; `name` is of a header or a parameter."""

    match: str
    """`exact`, `prefix`, `suffix`, `regex` or `present`."""
    name: str = ""
    value: str = ""
    invert: bool = False


class HTTPRouteMatch(Definition):
    """Which requests a rule is for: all of this must be so."""

    headers: list[HTTPRouteValue] = []
    method: str = ""
    path: HTTPRouteValue | None = None
    query: list[HTTPRouteValue] = []


class URLRewrite(Definition):
    """What stands instead of the path that matched."""

    path: str = ""


class RetryFilter(Definition):
    """Whether a request is tried again."""

    num_retries: int = 0
    retry_on: list[str] = []
    retry_on_status_codes: list[int] = []
    retry_on_connect_failure: bool = False


class TimeoutFilter(Definition):
    """How long a request may take, in seconds."""

    request_timeout: Duration = 0.0
    idle_timeout: Duration = 0.0


class ExtProcDirection(Definition):
    """What of a request, or of a response, a processor gets to see."""

    headers_mode: str = ""
    body_mode: str = ""
    trailers_mode: str = ""
    max_body_bytes: int = 0


class ExtProcProcessing(Definition):
    """What a processor gets to see."""

    request: ExtProcDirection | None = None
    response: ExtProcDirection | None = None


class ExtProcMetadata(Definition):
    """What a processor is told beforehand."""

    key: str = ""
    value: str = ""


class ExtProcOverrides(Definition):
    """What is different on this route."""

    processing: ExtProcProcessing | None = None
    grpc_initial_metadata: list[ExtProcMetadata] = []


class ExtProcFilter(Definition):
    """How an outside processor takes part in a route."""

    stat_prefix: str = ""
    mode: str = ""
    overrides: ExtProcOverrides | None = None


class RouteExtAuthz(Definition):
    """Whether an outside authority is asked on this route (Enterprise)."""

    enabled: bool = False


class HTTPRouteFilters(Definition):
    """What is done with a request on the way."""

    headers: list[HTTPHeaderModifiers] = []
    url_rewrite: URLRewrite | None = None
    retry_filter: RetryFilter | None = None
    timeout_filter: TimeoutFilter | None = None
    jwt: JWTRequirement | None = None
    ext_proc: list[ExtProcFilter] = []
    ext_authz: RouteExtAuthz | None = None


class HTTPRouteResponseFilters(Definition):
    """What is done with a response on the way."""

    headers: list[HTTPHeaderModifiers] = []


class HTTPRouteService(Definition):
    """A service that a rule leads to, and its share compared with the others."""

    name: str
    weight: int = 0
    filters: HTTPRouteFilters | None = None
    response_filters: HTTPRouteResponseFilters | None = None
    tls: ServiceTLS | None = None
    limits: UpstreamLimits | None = None
    namespace: str | None = None
    partition: str | None = None


class HTTPRouteRule(Definition):
    """Which requests go where: one of the matches must fit."""

    filters: HTTPRouteFilters | None = None
    response_filters: HTTPRouteResponseFilters | None = None
    matches: list[HTTPRouteMatch] = []
    services: list[HTTPRouteService] = []


class HTTPRoute(Definition):
    """
    Where an API gateway sends HTTP requests (since Consul 1.15).

    https://developer.hashicorp.com/consul/docs/reference/config-entry/http-route
    """

    _OF_THE_SERVER: ClassVar[frozenset[str]] = WITH_STATUS

    kind: Literal["http-route"] = "http-route"
    name: str
    parents: list[ResourceReference] = []
    rules: list[HTTPRouteRule] = []
    hostnames: list[str] = []
    status: EntryStatus | None = None
    meta: dict[str, str] = {}
    namespace: str | None = None
    partition: str | None = None
    create_index: int = 0
    modify_index: int = 0
    hash: int = 0

    _with_kind = model_validator(mode="after")(with_kind)


class TCPRouteService(Definition):
    """The service that a route leads to."""

    name: str
    tls: ServiceTLS | None = None
    limits: UpstreamLimits | None = None
    namespace: str | None = None
    partition: str | None = None


class TCPRoute(Definition):
    """
    Where an API gateway sends TCP connections: to one service (since Consul 1.15).

    https://developer.hashicorp.com/consul/docs/reference/config-entry/tcp-route
    """

    _OF_THE_SERVER: ClassVar[frozenset[str]] = WITH_STATUS

    kind: Literal["tcp-route"] = "tcp-route"
    name: str
    parents: list[ResourceReference] = []
    services: list[TCPRouteService] = []
    status: EntryStatus | None = None
    meta: dict[str, str] = {}
    namespace: str | None = None
    partition: str | None = None
    create_index: int = 0
    modify_index: int = 0
    hash: int = 0

    _with_kind = model_validator(mode="after")(with_kind)
