"""Transactions: one operation of many, and what came of all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Final

from pydantic import Field

from ._base import U64, Bytes, Definition, Nanoseconds, Received, named
from .catalog import Node
from .check import HealthCheck
from .kv import KVPair
from .service import AgentService

__all__ = ["KVOperation", "NodeOperation", "Operation", "TxnResult", "TxnRow"]

_READING: Final = frozenset(
    {"get", "get-or-empty", "get-tree", "check-index", "check-session", "check-not-exists"}
)


class KVOperation(Definition):
    """The key that an operation is about; `c.txn` says what the fields mean."""

    key: str
    value: Annotated[Bytes | None, Field(repr=False)] = None
    flags: U64 | None = None
    index: U64 | None = None
    session: str | None = None


class NodeOperation(Definition):
    """The node that an operation is about; `c.txn` says what the fields mean."""

    id: str | None = None
    node: str | None = None
    address: str | None = None
    tagged_addresses: dict[str, str] | None = None
    meta: dict[str, str] | None = None
    modify_index: U64 | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One operation of a transaction."""

    kind: str
    """What it is about: `KV`, `Node`, `Service` or `Check`."""
    verb: str
    """What it does: `set`, `get`, `delete-cas` and so on."""
    about: Mapping[str, Any] = field(repr=False)
    """Which one, and how it shall be, in Consul's names. Values of keys are base64."""
    node: str | None = None
    """Where a service is."""
    needs: tuple[tuple[str, str], ...] = ()
    """What of it a server drops without a word that is older than this."""

    @property
    def reads(self) -> bool:
        """Whether it changes nothing."""
        return self.verb in _READING

    def to_wire(self, **place: str) -> dict[str, Any]:
        """Consul's own JSON for this, in a `Namespace` and so on where it has none of its own."""
        about = place | dict(self.about)
        if self.kind == "KV":
            return {"KV": {"Verb": self.verb, **about}}
        node = {} if self.node is None else {"Node": self.node}
        return {self.kind: {"Verb": self.verb, **node, self.kind: about}}


@dataclass(frozen=True, slots=True, kw_only=True)
class TxnRow(Received):
    """One thing that an operation read, or left behind. All but one are None."""

    kv: Annotated[KVPair | None, named("KV")] = None
    node: Node | None = None
    service: AgentService | None = None
    check: HealthCheck | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TxnResult(Received):
    """
    What came of a transaction that was carried out.

    `results` are in the order of the operations, but not one for each: what deletes has none, nor
    has `check_not_exists`, and `get_tree` has one for each key. A pair has its value where it was
    read, and `b""` where it was written or only checked.

    The other fields are those of the server that answered, where nothing was to be written.
    """

    results: list[TxnRow] = field(default_factory=list)
    index: int = 0
    """Always 0, as such an answer cannot be waited on."""
    last_contact: Nanoseconds = 0.0
    """Seconds since that server last heard from the leader."""
    known_leader: bool | None = None
    consistency_level: str = ""
    filtered_by_acls: Annotated[bool, named("ResultsFilteredByACLs")] = False
    """Whether the token hid something. Servers before 1.11 do not say."""

    @property
    def pairs(self) -> list[KVPair]:
        """The keys among the results."""
        return [row.kv for row in self.results if row.kv is not None]
