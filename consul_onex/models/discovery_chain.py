"""What the entries about a service come to."""

from __future__ import annotations

from dataclasses import dataclass, field

from ._base import Definition, Duration, Received
from .config import (
    FailoverPolicy,
    LoadBalancer,
    PrioritizeByLocality,
    ServiceRoute,
    ServiceSplit,
    Subset,
)
from .service import EnvoyExtension, Locality, MeshGateway, TransparentProxy

__all__ = [
    "ChainFailover",
    "ChainNode",
    "ChainOverrides",
    "ChainResolver",
    "ChainRoute",
    "ChainSplit",
    "ChainTarget",
    "DiscoveryChain",
]


class ChainOverrides(Definition):
    """What to say otherwise than the entries do; `c.discovery_chain.get` says what it means."""

    override_connect_timeout: Duration | None = None
    override_protocol: str | None = None
    override_mesh_gateway: MeshGateway | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainRoute(Received):
    """A route of a router, and the node that it leads to."""

    definition: ServiceRoute | None = None
    next_node: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainSplit(Received):
    """
    A share of a splitter, in per cent, and the node that it leads to.

    The weight need not be that of the definition: splitters behind each other become one.
    """

    definition: ServiceSplit | None = None
    weight: float = 0.0
    next_node: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainFailover(Received):
    """The targets to try one after the other, when nobody is healthy in the first."""

    targets: list[str] = field(default_factory=list)
    policy: FailoverPolicy | None = None
    regions: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainResolver(Received):
    """
    Which target a resolver finds. Timeouts are seconds.

    It is a `default` one where no entry says how the service is resolved.
    """

    default: bool = False
    connect_timeout: Duration = 0.0
    request_timeout: Duration = 0.0
    target: str = ""
    failover: ChainFailover | None = None
    prioritize_by_locality: PrioritizeByLocality | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainNode(Received):
    """
    A step of a chain: a `router`, a `splitter` or a `resolver`, as the `type` says.

    It has `routes`, `splits` or a `resolver` accordingly.
    """

    type: str = ""
    name: str = ""
    routes: list[ChainRoute] = field(default_factory=list)
    splits: list[ChainSplit] = field(default_factory=list)
    resolver: ChainResolver | None = None
    load_balancer: LoadBalancer | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainTarget(Received):
    """
    Where a chain ends: some instances of a service, in a datacenter or at a peer.

    `sni` is what its instances are called in TLS, `name` what a proxy should call it.
    """

    id: str = ""
    service: str = ""
    service_subset: str = ""
    namespace: str | None = None
    partition: str | None = None
    datacenter: str = ""
    peer: str | None = None
    locality: Locality | None = None
    mesh_gateway: MeshGateway | None = None
    subset: Subset | None = None
    transparent_proxy: TransparentProxy | None = None
    connect_timeout: Duration = 0.0
    external: bool = False
    sni: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscoveryChain(Received):
    """
    What the entries about a service come to.

    Follow it from `nodes[start_node]`; resolvers end in `targets`. The names of both are opaque.
    It is a `default` one where there are no such entries. Chains with overrides have a
    `customization_hash`, so that they can be told from others.
    """

    service_name: str = ""
    namespace: str | None = None
    partition: str | None = None
    datacenter: str = ""
    customization_hash: str = ""
    default: bool = False
    protocol: str = ""
    service_meta: dict[str, str] = field(default_factory=dict)
    envoy_extensions: list[EnvoyExtension] = field(default_factory=list)
    start_node: str = ""
    nodes: dict[str, ChainNode] = field(default_factory=dict)
    targets: dict[str, ChainTarget] = field(default_factory=dict)
    auto_virtual_ips: list[str] = field(default_factory=list)
    manual_virtual_ips: list[str] = field(default_factory=list)
