"""Instances of services: as they are registered, and as Consul tells of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from ._base import Definition, FreeForm, NoneIfEmpty, Received, Secret, Small, named
from .check import Check

__all__ = [
    "AccessLogs",
    "AgentService",
    "Connect",
    "EnvoyExtension",
    "Expose",
    "ExposePath",
    "Locality",
    "MeshGateway",
    "Proxy",
    "ServiceAddress",
    "ServicePort",
    "ServiceRegistration",
    "TransparentProxy",
    "Upstream",
    "Weights",
]


class _Port:
    """
    Of 16 bits where it is written here.

    Consul takes any number, and gives back what anybody registered.
    """

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.json_or_python_schema(
            json_schema=core_schema.int_schema(),
            python_schema=core_schema.int_schema(ge=0, le=65535, strict=True),
        )


Port = Annotated[int, _Port]


class Weights(Small):
    """
    How much traffic an instance gets, compared with others, while it passes or warns.

    Consul's own are 1 and 1, but where one of the two is not given it is 0.
    """

    passing: int
    warning: int


class ServiceAddress(Small):
    """An address of an instance under one of its tags, such as `lan` or `wan`."""

    address: str = ""
    port: Port = 0


class ServicePort(Definition):
    """One of several named ports of an instance (since Consul 1.22)."""

    name: Annotated[str, named("name")]
    port: Annotated[int, named("port")]
    default: Annotated[bool, named("default")] = False


class Locality(Definition):
    """Where an instance or a node runs (since Consul 1.17)."""

    region: str = ""
    zone: str = ""


class MeshGateway(Definition):
    """Which gateway the traffic to other datacenters takes: `none`, `local`, `remote`."""

    mode: str = ""


class ExposePath(Definition):
    """A path of HTTP that is reachable without mutual TLS."""

    listener_port: Port = 0
    path: str = ""
    local_path_port: Port = 0
    protocol: str = ""
    parsed_from_check: bool = False


class Expose(Definition):
    """What of a service is reachable without mutual TLS."""

    checks: bool = False
    paths: list[ExposePath] = []


class TransparentProxy(Definition):
    """How a transparent proxy catches traffic (since Consul 1.10)."""

    outbound_listener_port: Port = 0
    dialed_directly: bool = False


class AccessLogs(Definition):
    """Which accesses a proxy logs, and where to (since Consul 1.15)."""

    enabled: bool = False
    disable_listener_logs: bool = False
    type: str = ""
    """`stdout`, `stderr` or `file`, which needs `path`."""
    path: str = ""
    json_format: str = ""
    text_format: str = ""


class EnvoyExtension(Definition):
    """A change to a proxy's own configuration (since Consul 1.14)."""

    name: str
    required: bool = False
    arguments: FreeForm = {}
    consul_version: str = ""
    envoy_version: str = ""


class Upstream(Definition):
    """A service that a proxy makes reachable at a local address."""

    destination_type: str = ""
    """`service` or `prepared_query`."""
    destination_partition: str = ""
    destination_namespace: str = ""
    destination_peer: str = ""
    destination_name: str = ""
    datacenter: str = ""
    local_bind_address: str = ""
    local_bind_port: Port = 0
    local_bind_socket_path: str = ""
    local_bind_socket_mode: str = ""
    config: FreeForm = {}
    mesh_gateway: MeshGateway | None = None
    centrally_configured: bool = False


class Proxy(Definition):
    """What a proxy stands before, and what it makes reachable."""

    destination_service_name: str = ""
    destination_service_id: str = ""
    local_service_address: str = ""
    local_service_port: Port = 0
    local_service_socket_path: str = ""
    mode: str = ""
    """`transparent`, `direct`, or empty for what the mesh is configured for."""
    transparent_proxy: TransparentProxy | None = None
    mutual_tls_mode: str = ""
    config: FreeForm = {}
    """Free-form options of the proxy's own."""
    upstreams: list[Upstream] = []
    mesh_gateway: MeshGateway | None = None
    expose: Expose | None = None
    access_logs: AccessLogs | None = None
    envoy_extensions: list[EnvoyExtension] = []


class Connect(Definition):
    """How an instance takes part in the service mesh."""

    native: bool = False
    """It speaks the mesh's TLS itself."""
    sidecar_service: ServiceRegistration | None = None
    """A proxy to register along with it; an empty registration takes every default."""


class ServiceRegistration(Definition):
    """
    An instance of a service, to be registered with an agent.

        ServiceRegistration(name="web", port=8080, check=Check.ttl(15))

    `id` is unique per agent, and the name where it is not given. `port` and `ports` exclude each
    other. `token` is what the agent keeps registering it with, instead of its own.

    https://developer.hashicorp.com/consul/api-docs/agent/service#register-service
    """

    name: str = ""
    id: str | None = None
    kind: str | None = None
    """`connect-proxy`, `mesh-gateway` and so on; not given for a plain service."""
    tags: list[str] = []
    address: str | None = None
    port: Port | None = None
    ports: list[ServicePort] = []
    socket_path: str | None = None
    tagged_addresses: dict[str, ServiceAddress] = {}
    meta: dict[str, str] = {}
    weights: Weights | None = None
    enable_tag_override: bool = False
    check: Check | None = None
    checks: list[Check] = []
    proxy: Proxy | None = None
    connect: Connect | None = None
    locality: Locality | None = None
    token: Secret | None = None
    namespace: str | None = None
    partition: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentService(Received):
    """
    An instance of a service, as Consul tells of it.

    `service` is its name, and `id` which of the instances it is. `content_hash` is given where one
    instance was asked for; the indexes where the servers were asked. `proxy` and `connect` are None
    where it is no proxy, and takes no part in the mesh by itself.
    """

    kind: str = ""
    id: str = ""
    service: str = ""
    tags: list[str] = field(default_factory=list)
    meta: dict[str, str] = field(default_factory=dict)
    namespace: str | None = None
    partition: str | None = None
    address: str = ""
    port: int = 0
    ports: list[ServicePort] = field(default_factory=list)
    socket_path: str | None = None
    tagged_addresses: dict[str, ServiceAddress] = field(default_factory=dict)
    weights: Weights | None = None
    enable_tag_override: bool = False
    proxy: Annotated[Proxy | None, NoneIfEmpty] = None
    connect: Annotated[Connect | None, NoneIfEmpty] = None
    locality: Locality | None = None
    peer_name: str | None = None
    datacenter: str | None = None
    content_hash: str | None = None
    create_index: int = 0
    modify_index: int = 0
