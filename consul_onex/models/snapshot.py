"""What a snapshot says of itself."""

from __future__ import annotations

from dataclasses import dataclass, field

from ._base import Bytes, Received

__all__ = ["SnapshotConfiguration", "SnapshotInfo", "SnapshotServer"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotServer(Received):
    """A server of the raft cluster. Its `suffrage` is 0 for a voter, 1 for none, 2 for staging."""

    suffrage: int = 0
    id: str = ""
    address: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotConfiguration(Received):
    """Who was in the raft cluster."""

    servers: list[SnapshotServer] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class SnapshotInfo(Received):
    """
    What a snapshot says of itself.

    `index` and `term` are how far raft had come, `size` is that of the state in bytes, unpacked.
    `configuration` came into being at `configuration_index`; `peers` is the same in raft's older
    form.
    """

    version: int = 0
    id: str = ""
    index: int = 0
    term: int = 0
    peers: Bytes = b""
    configuration: SnapshotConfiguration = field(default_factory=SnapshotConfiguration)
    configuration_index: int = 0
    size: int = 0
