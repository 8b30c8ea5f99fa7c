"""What holds for the mesh as a whole, and for what it shares with others."""

from __future__ import annotations

from typing import Literal

from pydantic import model_validator

from .._base import Definition
from ._parts import with_kind

__all__ = [
    "ExportedService",
    "ExportedServices",
    "Mesh",
    "MeshDirectionalHTTP",
    "MeshDirectionalTLS",
    "MeshHTTP",
    "MeshPeering",
    "MeshTLS",
    "MeshTransparentProxy",
    "RequestNormalization",
    "SamenessGroup",
    "SamenessGroupMember",
    "ServiceConsumer",
]


class MeshTransparentProxy(Definition):
    """What transparent proxies let through."""

    mesh_destinations_only: bool = False


class MeshDirectionalTLS(Definition):
    """Which TLS proxies speak, in one direction."""

    tls_min_version: str = ""
    """`TLSv1_2` and so on."""
    tls_max_version: str = ""
    cipher_suites: list[str] = []


class MeshTLS(Definition):
    """Which TLS proxies speak."""

    incoming: MeshDirectionalTLS | None = None
    outgoing: MeshDirectionalTLS | None = None


class RequestNormalization(Definition):
    """How paths and headers are tidied before intentions look at them."""

    insecure_disable_path_normalization: bool = False
    merge_slashes: bool = False
    path_with_escaped_slashes_action: str = ""
    headers_with_underscores_action: str = ""


class MeshDirectionalHTTP(Definition):
    """How proxies treat HTTP, in one direction."""

    request_normalization: RequestNormalization | None = None


class MeshHTTP(Definition):
    """How proxies treat HTTP."""

    sanitize_x_forwarded_client_cert: bool = False
    incoming: MeshDirectionalHTTP | None = None


class MeshPeering(Definition):
    """How peerings are made."""

    peer_through_mesh_gateways: bool = False


class Mesh(Definition):
    """
    What holds for the whole mesh. There is one such entry, `mesh` (since Consul 1.10).

    https://developer.hashicorp.com/consul/docs/reference/config-entry/mesh
    """

    kind: Literal["mesh"] = "mesh"
    transparent_proxy: MeshTransparentProxy | None = None
    allow_enabling_permissive_mutual_tls: bool = False
    validate_clusters: bool = False
    tls: MeshTLS | None = None
    http: MeshHTTP | None = None
    peering: MeshPeering | None = None
    meta: dict[str, str] = {}
    namespace: str | None = None
    partition: str | None = None
    create_index: int = 0
    modify_index: int = 0
    hash: int = 0

    _with_kind = model_validator(mode="after")(with_kind)

    @property
    def name(self) -> str:
        """Always `mesh`, and only in paths: Consul takes no entry that says so."""
        return "mesh"


class ServiceConsumer(Definition):
    """Who may use a service: one of the three."""

    partition: str | None = None
    peer: str | None = None
    sameness_group: str | None = None


class ExportedService(Definition):
    """A service, or all with `*`, and who may use it."""

    name: str
    namespace: str | None = None
    consumers: list[ServiceConsumer] = []


class ExportedServices(Definition):
    """
    What other clusters and partitions may use. There is one for each partition (since Consul 1.11).

    https://developer.hashicorp.com/consul/docs/reference/config-entry/exported-services
    """

    kind: Literal["exported-services"] = "exported-services"
    name: str = "default"
    services: list[ExportedService] = []
    meta: dict[str, str] = {}
    partition: str | None = None
    create_index: int = 0
    modify_index: int = 0
    hash: int = 0

    _with_kind = model_validator(mode="after")(with_kind)


class SamenessGroupMember(Definition):
    """A partition here, or a peer."""

    partition: str | None = None
    peer: str | None = None


class SamenessGroup(Definition):
    """
    Partitions and peers whose services of one name are the same (Enterprise, since Consul 1.16).

    https://developer.hashicorp.com/consul/docs/reference/config-entry/sameness-group
    """

    kind: Literal["sameness-group"] = "sameness-group"
    name: str
    default_for_failover: bool = False
    include_local: bool = False
    members: list[SamenessGroupMember] = []
    meta: dict[str, str] = {}
    partition: str | None = None
    create_index: int = 0
    modify_index: int = 0
    hash: int = 0

    _with_kind = model_validator(mode="after")(with_kind)
