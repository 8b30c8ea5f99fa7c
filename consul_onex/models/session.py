"""Sessions: as they are created, and as Consul tells of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated

from pydantic import Field

from ._base import Definition, Duration, Nanoseconds, Received

__all__ = ["ServiceCheck", "SessionDefinition", "SessionEntry"]


class ServiceCheck(Definition):
    """A check of a service that a session depends on."""

    id: str
    namespace: str | None = None


class SessionDefinition(Definition):
    """A session to create; `c.session.create` says what the fields mean."""

    name: str | None = None
    node: str | None = None
    ttl: Annotated[Duration, Field(gt=0)] | None = None
    lock_delay: Duration | None = None
    behavior: str | None = None
    node_checks: list[str] | None = None
    service_checks: list[ServiceCheck] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionEntry(Received):
    """
    A session, which locks are held by.

    `ttl` is in seconds, and 0 where it has none; the server waits twice as long before it ends the
    session. `lock_delay` is how many seconds its locks stay closed when it is invalidated.
    `behavior` is what then happens to the keys it holds: `release` or `delete`.
    """

    id: str = ""
    name: str = ""
    node: str = ""
    lock_delay: Nanoseconds = 0.0
    behavior: str = ""
    ttl: Duration = 0.0
    node_checks: list[str] = field(default_factory=list)
    service_checks: list[ServiceCheck] = field(default_factory=list)
    checks: list[str] = field(default_factory=list)
    namespace: str | None = None
    partition: str | None = None
    create_index: int = 0
    modify_index: int = 0

    @property
    def identity(self) -> str:
        """What tells it from other sessions: its id."""
        return self.id
