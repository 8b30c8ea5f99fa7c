"""Instances of services together with their checks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from pydantic import BeforeValidator, Field

from ._base import Received, of_peer
from .catalog import Node
from .check import HealthCheck, aggregated
from .service import AgentService

__all__ = ["ServiceEntry"]


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
    # Ours alone: what Consul may one day call so is not read into it.
    remote: Annotated[bool, BeforeValidator(lambda _: False), Field(exclude=True)] = False

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
