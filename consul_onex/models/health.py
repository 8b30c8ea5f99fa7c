"""Instances of services together with their checks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from pydantic import BeforeValidator, Field

from ._base import Received, Tolerant, of_peer, within
from .catalog import Node
from .check import CheckStatus, HealthCheck, aggregated
from .service import AgentService

__all__ = ["ServiceEntry", "ServiceInstance"]

# Ours alone: what Consul may one day call so is not read into it.
Remote = Annotated[bool, BeforeValidator(lambda _: False), Field(exclude=True)]


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceEntry(Received):
    """
    An instance of a service, the node it runs on, and the checks of both.

    `remote` says that it is in another datacenter than the agent that was asked, as far as the
    client knows that. Consul says nothing of the kind; `address` and `port` depend on it.
    """

    node: Node = field(default_factory=Node)
    service: AgentService = field(default_factory=AgentService)
    checks: list[HealthCheck] = field(default_factory=list)
    remote: Remote = False

    @property
    def identity(self) -> tuple[str, ...]:
        """What tells it from other instances: its node and its id there, after its peer if any."""
        return of_peer(self.service.peer_name, self.node.node, self.service.id)

    @property
    def address(self) -> str:
        """
        Where it is reached: at its own address, or at the node's where it has none.

        From another datacenter the one that is tagged `wan` goes before the other, of each.
        """
        if not self.remote:
            return self.service.address or self.node.address
        wan = self.service.tagged_addresses.get("wan")
        return (
            (wan.address if wan is not None else "")
            or self.service.address
            or self.node.tagged_addresses.get("wan", "")
            or self.node.address
        )

    @property
    def port(self) -> int:
        """The port it listens on; from another datacenter that of its address tagged `wan`."""
        wan = self.service.tagged_addresses.get("wan") if self.remote else None
        return (wan.port if wan is not None else 0) or self.service.port

    @property
    def status(self) -> str:
        """The one status of all its checks: `maintenance`, else the worst of them."""
        return aggregated(self.checks)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceInstance(Tolerant):
    """
    Of an instance of a service what it takes to reach it, and nothing else.

    `node` and `id` say which one it is. `passing_weight` and `warning_weight` are how much traffic
    it gets, compared with others; `weight` is the one that counts. `remote` is as in
    `ServiceEntry`.
    """

    node: Annotated[str, within("Node", "Node")] = ""
    id: Annotated[str, within("Service", "ID")] = ""
    tags: Annotated[tuple[str, ...], within("Service", "Tags")] = ()
    passing_weight: Annotated[int, within("Service", "Weights", "Passing")] = 1
    warning_weight: Annotated[int, within("Service", "Weights", "Warning")] = 1
    checks: tuple[CheckStatus, ...] = ()
    datacenter: Annotated[str, within("Node", "Datacenter")] = ""
    peer_name: Annotated[str | None, within("Service", "PeerName")] = None
    remote: Remote = False
    node_address: Annotated[str, within("Node", "Address")] = ""
    node_wan_address: Annotated[str, within("Node", "TaggedAddresses", "wan")] = ""
    own_address: Annotated[str, within("Service", "Address")] = ""
    own_port: Annotated[int, within("Service", "Port")] = 0
    wan_address: Annotated[str, within("Service", "TaggedAddresses", "wan", "Address")] = ""
    wan_port: Annotated[int, within("Service", "TaggedAddresses", "wan", "Port")] = 0

    @property
    def identity(self) -> tuple[str, ...]:
        """What tells it from other instances: its node and its id there, after its peer if any."""
        return of_peer(self.peer_name, self.node, self.id)

    @property
    def address(self) -> str:
        """
        Where it is reached: at its own address, or at the node's where it has none.

        From another datacenter the one that is tagged `wan` goes before the other, of each.
        """
        if not self.remote:
            return self.own_address or self.node_address
        return self.wan_address or self.own_address or self.node_wan_address or self.node_address

    @property
    def port(self) -> int:
        """The port it listens on; from another datacenter that of its address tagged `wan`."""
        return (self.wan_port if self.remote else 0) or self.own_port

    @property
    def status(self) -> str:
        """The one status of all its checks: `maintenance`, else the worst of them."""
        return aggregated(self.checks)

    @property
    def weight(self) -> int:
        """The weight for its status; 0 where it neither passes nor warns."""
        match self.status:
            case "passing":
                return self.passing_weight
            case "warning":
                return self.warning_weight
        return 0
