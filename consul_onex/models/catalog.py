"""Nodes and services: as they are registered with the servers, and as these tell of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from pydantic import Field

from ._base import Definition, Duration, Nanoseconds, NoneIfEmpty, Received, named, of_peer
from .service import (
    AgentService,
    Connect,
    Locality,
    Proxy,
    ServiceAddress,
    ServicePort,
    Weights,
)

__all__ = [
    "CatalogCheck",
    "CatalogCheckDefinition",
    "CatalogDeregistration",
    "CatalogNode",
    "CatalogNodeServices",
    "CatalogRegistration",
    "CatalogService",
    "CatalogServiceDefinition",
    "CompoundServiceName",
    "GatewayService",
    "Node",
]

# -- what is registered ----------------------------------------------------------------------------


class CatalogServiceDefinition(Definition):
    """
    An instance of a service, to be registered with the servers.

    `service` is its name, and `id`, unique on its node, the name where it is not given. Nothing is
    added to it: a sidecar is an instance that is registered by itself.
    """

    service: str
    id: str | None = None
    kind: str | None = None
    """`connect-proxy`, `mesh-gateway` and so on; not given for a plain service."""
    tags: list[str] = []
    address: str | None = None
    """The node's address, where it is not given."""
    port: Annotated[int, Field(ge=0, le=65535)] | None = None
    ports: list[ServicePort] = []
    socket_path: str | None = None
    tagged_addresses: dict[str, ServiceAddress] = {}
    meta: dict[str, str] = {}
    weights: Weights | None = None
    enable_tag_override: bool = False
    proxy: Proxy | None = None
    connect: Connect | None = None
    locality: Locality | None = None
    namespace: str | None = None
    partition: str | None = None


class CatalogCheckDefinition(Definition):
    """
    How a check is to be done, by whoever does it: no server carries it out.

    Times are seconds. A server keeps the fields it knows, and drops the others.
    """

    http: str | None = None
    header: dict[str, list[str]] | None = None
    method: str | None = None
    body_text: Annotated[str | None, named("Body")] = None
    disable_redirects: bool | None = None
    tls_server_name: str | None = None
    tls_skip_verify: bool | None = None
    tcp: str | None = None
    tcp_use_tls: bool | None = None
    udp: str | None = None
    grpc: str | None = None
    grpc_use_tls: bool | None = None
    h2ping: Annotated[str | None, named("H2PING")] = None
    h2ping_use_tls: Annotated[bool | None, named("H2PingUseTLS")] = None
    os_service: Annotated[str | None, named("OSService")] = None
    script_args: list[str] | None = None
    docker_container_id: str | None = None
    shell: str | None = None
    alias_node: str | None = None
    alias_service: str | None = None
    ttl: Nanoseconds | None = None
    interval: Duration | None = None
    timeout: Duration | None = None
    deregister_critical_service_after: Duration | None = None
    output_max_size: int | None = None


class CatalogCheck(Definition):
    """
    A check, to be registered with the servers, and how it went.

    `check_id`, unique on its node, is the name where it is not given. With the `service_id` of a
    service on that node it is a check of that service, else of the node. A `status` that is not
    given is `critical`.
    """

    check_id: str | None = None
    name: str | None = None
    node: str | None = None
    """The node that is registered, where it is not given; it can be no other."""
    status: str | None = None
    """`passing`, `warning` or `critical`."""
    notes: str | None = None
    output: str | None = None
    service_id: str | None = None
    service_name: str | None = None
    type: str | None = None
    definition: CatalogCheckDefinition | None = None
    namespace: str | None = None
    partition: str | None = None


class CatalogRegistration(Definition):
    """
    A node, to be registered with the servers; with it a service, checks, or both.

        CatalogRegistration(
            node="db-7",
            address="10.0.0.7",
            service=CatalogServiceDefinition(service="postgres", port=5432),
        )

    What of the node is not given is forgotten, if it was known before; with `skip_node_update` all
    of the node stays as it is, and it needs no address. `id` is a UUID: a node that is registered
    with the same one and another name is renamed.

    https://developer.hashicorp.com/consul/api-docs/catalog#register-entity
    """

    node: str
    address: str | None = None
    id: str | None = None
    datacenter: str | None = None
    """That of the view, or the agent's own, where it is not given."""
    tagged_addresses: dict[str, str] = {}
    node_meta: dict[str, str] = {}
    service: CatalogServiceDefinition | None = None
    check: CatalogCheck | None = None
    checks: list[CatalogCheck] = []
    skip_node_update: bool = False
    locality: Locality | None = None
    namespace: str | None = None
    partition: str | None = None


class CatalogDeregistration(Definition):
    """What is deregistered; `c.catalog.deregister` says how."""

    node: str
    service_id: str | None = None
    check_id: str | None = None
    datacenter: str | None = None


# -- what is told ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Node(Received):
    """
    A node: a machine with an agent, or one that was registered by hand, whose `id` may be empty.

    `node` is its name. `tagged_addresses` are `lan`, `wan` and others by protocol, such as
    `wan_ipv4`.
    """

    id: str = ""
    node: str = ""
    address: str = ""
    datacenter: str = ""
    tagged_addresses: dict[str, str] = field(default_factory=dict)
    meta: dict[str, str] = field(default_factory=dict)
    locality: Locality | None = None
    peer_name: str | None = None
    partition: str | None = None
    create_index: int = 0
    modify_index: int = 0

    @property
    def identity(self) -> str:
        """What tells it from other nodes: its name."""
        return self.node


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogService(Received):
    """
    An instance of a service and the node it runs on, in one.

    `id`, `node`, `address`, `tagged_addresses` and `node_meta` are the node's. `service_address` is
    empty where the instance is at the node's address.
    """

    id: str = ""
    node: str = ""
    address: str = ""
    datacenter: str = ""
    tagged_addresses: dict[str, str] = field(default_factory=dict)
    node_meta: dict[str, str] = field(default_factory=dict)
    service_kind: str = ""
    service_id: str = ""
    service_name: str = ""
    service_tags: list[str] = field(default_factory=list)
    service_address: str = ""
    service_tagged_addresses: dict[str, ServiceAddress] = field(default_factory=dict)
    service_weights: Weights | None = None
    service_meta: dict[str, str] = field(default_factory=dict)
    service_port: int = 0
    service_ports: list[ServicePort] = field(default_factory=list)
    service_socket_path: str = ""
    service_enable_tag_override: bool = False
    service_proxy: Annotated[Proxy | None, NoneIfEmpty] = None
    service_connect: Annotated[Connect | None, NoneIfEmpty] = None
    service_locality: Locality | None = None
    peer_name: str | None = None
    namespace: str | None = None
    partition: str | None = None
    create_index: int = 0
    modify_index: int = 0

    @property
    def identity(self) -> tuple[str, ...]:
        """What tells it from other instances: its node and its id there, after its peer if any."""
        return of_peer(self.peer_name, self.node, self.service_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogNode(Received):
    """A node and what runs on it, by the id of each instance."""

    node: Node = field(default_factory=Node)
    services: dict[str, AgentService] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class CatalogNodeServices(Received):
    """A node and what runs on it."""

    node: Node = field(default_factory=Node)
    services: list[AgentService] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class CompoundServiceName(Received):
    """The name of a service, and where it is."""

    name: str = ""
    namespace: str | None = None
    partition: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayService(Received):
    """
    A service that is reached through a gateway.

    `port`, `protocol` and `hosts` are where an ingress gateway listens for it. The three files and
    `sni` are what a terminating gateway speaks TLS to it with. `from_wildcard` is True where the
    gateway was configured for every service, and not for this one by name.
    """

    gateway: CompoundServiceName = field(default_factory=CompoundServiceName)
    service: CompoundServiceName = field(default_factory=CompoundServiceName)
    gateway_kind: str = ""
    service_kind: str = ""
    port: int = 0
    protocol: str = ""
    hosts: list[str] = field(default_factory=list)
    ca_file: str = ""
    cert_file: str = ""
    key_file: str = ""
    sni: str = ""
    from_wildcard: bool = False
    auto_host_rewrite: bool = False
    create_index: int = 0
    modify_index: int = 0
