"""Where the requests to a service go: by path, by share, by instance."""

from __future__ import annotations

from typing import Literal

from pydantic import model_validator

from .._base import Definition, Duration
from ._parts import FailoverPolicy, HTTPHeaderModifiers, PrioritizeByLocality, with_kind

__all__ = [
    "CookieConfig",
    "Failover",
    "FailoverTarget",
    "HTTPHeaderMatch",
    "HTTPMatch",
    "HTTPQueryMatch",
    "HashPolicy",
    "LeastRequestConfig",
    "LoadBalancer",
    "Redirect",
    "RingHashConfig",
    "RouteDestination",
    "RouteMatch",
    "ServiceResolver",
    "ServiceRoute",
    "ServiceRouter",
    "ServiceSplit",
    "ServiceSplitter",
    "Subset",
]


class HTTPHeaderMatch(Definition):
    """A header that a request must have; one of the others says with what value."""

    name: str
    present: bool = False
    exact: str = ""
    prefix: str = ""
    suffix: str = ""
    regex: str = ""
    invert: bool = False


class HTTPQueryMatch(Definition):
    """A parameter that a request must have; one of the others says with what value."""

    name: str
    present: bool = False
    exact: str = ""
    regex: str = ""


class HTTPMatch(Definition):
    """Which requests are meant: all of this must be so. At most one of the paths is given."""

    path_exact: str = ""
    path_prefix: str = ""
    path_regex: str = ""
    case_insensitive: bool = False
    header: list[HTTPHeaderMatch] = []
    query_param: list[HTTPQueryMatch] = []
    methods: list[str] = []


class RouteMatch(Definition):
    """Which requests a route is for; all of them, where nothing is given."""

    http: HTTPMatch | None = None


class RouteDestination(Definition):
    """Where a route leads, and what is done on the way. Timeouts are seconds."""

    service: str = ""
    service_subset: str = ""
    namespace: str | None = None
    partition: str | None = None
    prefix_rewrite: str = ""
    request_timeout: Duration = 0.0
    idle_timeout: Duration = 0.0
    num_retries: int = 0
    retry_on_connect_failure: bool = False
    retry_on: list[str] = []
    retry_on_status_codes: list[int] = []
    request_headers: HTTPHeaderModifiers | None = None
    response_headers: HTTPHeaderModifiers | None = None


class ServiceRoute(Definition):
    """Which requests go where."""

    match: RouteMatch | None = None
    destination: RouteDestination | None = None


class ServiceRouter(Definition):
    """
    Which requests to a service go where; the first route that matches decides.

    https://developer.hashicorp.com/consul/docs/reference/config-entry/service-router
    """

    kind: Literal["service-router"] = "service-router"
    name: str
    routes: list[ServiceRoute] = []
    meta: dict[str, str] = {}
    namespace: str | None = None
    partition: str | None = None
    create_index: int = 0
    modify_index: int = 0
    hash: int = 0

    _with_kind = model_validator(mode="after")(with_kind)


class ServiceSplit(Definition):
    """A share of the requests, in per cent, and where it goes."""

    weight: float
    service: str = ""
    service_subset: str = ""
    namespace: str | None = None
    partition: str | None = None
    request_headers: HTTPHeaderModifiers | None = None
    response_headers: HTTPHeaderModifiers | None = None


class ServiceSplitter(Definition):
    """
    How the requests to a service are divided. The weights add up to 100.

    https://developer.hashicorp.com/consul/docs/reference/config-entry/service-splitter
    """

    kind: Literal["service-splitter"] = "service-splitter"
    name: str
    splits: list[ServiceSplit] = []
    meta: dict[str, str] = {}
    namespace: str | None = None
    partition: str | None = None
    create_index: int = 0
    modify_index: int = 0
    hash: int = 0

    _with_kind = model_validator(mode="after")(with_kind)


class Subset(Definition):
    """Some instances of a service: those that a filter expression finds."""

    filter: str = ""
    only_passing: bool = False


class Redirect(Definition):
    """Another service, or the same elsewhere, to be asked instead."""

    service: str = ""
    service_subset: str = ""
    namespace: str | None = None
    partition: str | None = None
    datacenter: str = ""
    peer: str = ""
    sameness_group: str = ""


class FailoverTarget(Definition):
    """A place to go to when nobody is healthy here (since Consul 1.14)."""

    service: str = ""
    service_subset: str = ""
    namespace: str | None = None
    partition: str | None = None
    datacenter: str = ""
    peer: str = ""


class Failover(Definition):
    """Where requests go when nobody is healthy here. `targets` exclude the others."""

    service: str = ""
    service_subset: str = ""
    namespace: str | None = None
    datacenters: list[str] = []
    targets: list[FailoverTarget] = []
    policy: FailoverPolicy | None = None
    sameness_group: str = ""


class RingHashConfig(Definition):
    """How large the ring is, where instances are chosen by `ring_hash`."""

    minimum_ring_size: int = 0
    maximum_ring_size: int = 0


class LeastRequestConfig(Definition):
    """Among how many instances the least busy is chosen, by `least_request`."""

    choice_count: int = 0


class CookieConfig(Definition):
    """A cookie that Envoy makes, so that a client stays with its instance. `ttl` is seconds."""

    session: bool = False
    ttl: Duration = 0.0
    path: str = ""


class HashPolicy(Definition):
    """What of a request its instance depends on."""

    field: str = ""
    """`header`, `cookie` or `query_parameter`; its name is the `field_value`."""
    field_value: str = ""
    cookie_config: CookieConfig | None = None
    source_ip: bool = False
    terminal: bool = False


class LoadBalancer(Definition):
    """How an instance is chosen for a request (since Consul 1.9)."""

    policy: str = ""
    """`random`, `round_robin`, `least_request`, `ring_hash` or `maglev`."""
    ring_hash_config: RingHashConfig | None = None
    least_request_config: LeastRequestConfig | None = None
    hash_policies: list[HashPolicy] = []


class ServiceResolver(Definition):
    """
    Which instances answer for a service.

    `subsets` have names, and `failover` is said for each of them, or for `*`. Timeouts are
    seconds.

    https://developer.hashicorp.com/consul/docs/reference/config-entry/service-resolver
    """

    kind: Literal["service-resolver"] = "service-resolver"
    name: str
    default_subset: str = ""
    subsets: dict[str, Subset] = {}
    redirect: Redirect | None = None
    failover: dict[str, Failover] = {}
    connect_timeout: Duration = 0.0
    request_timeout: Duration = 0.0
    prioritize_by_locality: PrioritizeByLocality | None = None
    load_balancer: LoadBalancer | None = None
    meta: dict[str, str] = {}
    namespace: str | None = None
    partition: str | None = None
    create_index: int = 0
    modify_index: int = 0
    hash: int = 0

    _with_kind = model_validator(mode="after")(with_kind)
