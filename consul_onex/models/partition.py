"""Admin partitions of Consul Enterprise."""

from __future__ import annotations

from typing import ClassVar

from ._base import Definition, Time

__all__ = ["Partition"]


class Partition(Definition):
    """
    An admin partition.

    `deleted_at` is when it was marked for deletion: it is there until all that is in it is gone.
    """

    _OF_THE_SERVER: ClassVar[frozenset[str]] = frozenset(
        {"deleted_at", "create_index", "modify_index"}
    )

    name: str
    description: str = ""
    disable_gossip: bool = False
    """Client agents cannot join it, which spares the servers work."""
    deleted_at: Time = None
    create_index: int = 0
    modify_index: int = 0
