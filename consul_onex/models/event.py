"""User events: what Consul tells of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from ._base import Bytes, Received, named

__all__ = ["UserEvent"]


@dataclass(frozen=True, slots=True, kw_only=True)
class UserEvent(Received):
    """
    An event that somebody fired.

    The filters are regular expressions that say which agents it is for: those of nodes, of
    services and of tags by that name; empty ones are for all. `ltime` is its place in the order in
    which an agent saw events, and 0 in the answer to firing one.
    """

    id: str = ""
    name: str = ""
    payload: Bytes = field(default=b"", repr=False)
    node_filter: str = ""
    service_filter: str = ""
    tag_filter: str = ""
    version: int = 0
    ltime: Annotated[int, named("LTime")] = 0

    @property
    def identity(self) -> str:
        """What tells it from other events: its id."""
        return self.id
