"""Links to other clusters: as they are asked for, and as Consul tells of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from ._base import Definition, Received, Secret, Time, named
from .service import Locality

__all__ = [
    "Peering",
    "PeeringEstablishment",
    "PeeringRemote",
    "PeeringStreamStatus",
    "PeeringTokenRequest",
]


class PeeringTokenRequest(Definition):
    """A token to make; `c.peering.generate_token` says what the fields mean."""

    peer_name: str
    server_external_addresses: list[str] | None = None
    meta: dict[str, str] | None = None


class PeeringEstablishment(Definition):
    """A link to make; `c.peering.establish` says what the fields mean."""

    peer_name: str
    peering_token: Secret
    meta: dict[str, str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PeeringStreamStatus(Received):
    """What goes over a link, and when something went over it last."""

    imported_services: list[str] = field(default_factory=list)
    exported_services: list[str] = field(default_factory=list)
    last_heartbeat: Time = None
    last_receive: Time = None
    last_send: Time = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PeeringRemote(Received):
    """Where the other end of a link is."""

    partition: str = ""
    datacenter: str = ""
    locality: Locality | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Peering(Received):
    """
    A link to another cluster, which is called `name` here.

    `state` is `PENDING` until the other end uses the token, `ESTABLISHING` until this end has
    dialled, then `ACTIVE` or `FAILING`; `DELETING` here, or `TERMINATED` by the other end.
    `deleted_at` is when it was marked for deletion.
    """

    id: str = ""
    name: str = ""
    partition: str | None = None
    state: str = ""
    deleted_at: Time = None
    meta: dict[str, str] = field(default_factory=dict)
    peer_id: str = ""
    peer_ca_pems: Annotated[list[str], named("PeerCAPems")] = field(default_factory=list)
    peer_server_name: str = ""
    peer_server_addresses: list[str] = field(default_factory=list)
    stream_status: PeeringStreamStatus = field(default_factory=PeeringStreamStatus)
    remote: PeeringRemote = field(default_factory=PeeringRemote)
    create_index: int = 0
    modify_index: int = 0
