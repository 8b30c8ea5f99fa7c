"""Services that clusters and partitions share with each other."""

from __future__ import annotations

from dataclasses import dataclass, field

from ._base import Received

__all__ = ["Consumers", "ImportedService", "ResolvedExportedService"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Consumers(Received):
    """Who may use a service: these peers, and these partitions."""

    peers: list[str] = field(default_factory=list)
    partitions: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedExportedService(Received):
    """A service that others may use; wildcards and sameness groups are resolved."""

    service: str = ""
    namespace: str | None = None
    partition: str | None = None
    consumers: Consumers = field(default_factory=Consumers)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportedService(Received):
    """A service of others that may be used here, and whose it is: a peer's or a partition's."""

    service: str = ""
    namespace: str | None = None
    partition: str | None = None
    source_peer: str | None = None
    source_partition: str | None = None
