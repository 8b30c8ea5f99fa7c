"""How fresh a read must be, what an answer says about itself, and a place in Consul's history."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass

from ._numbers import seconds
from .errors import ConfigurationError

__all__ = ["Consistency", "Cursor", "QueryMeta"]


class Consistency(enum.Enum):
    """
    How fresh a read must be.

    https://developer.hashicorp.com/consul/api-docs/features/consistency
    """

    DEFAULT = "default"
    """
    The leader answers. For a moment after a partition, an old leader may answer too; and a server
    that was restarted may, for a moment, answer as if it were empty.
    """
    CONSISTENT = "consistent"
    """The leader answers once a majority has confirmed that it still leads. One round trip more."""
    STALE = "stale"
    """Any server answers, even without a leader. `QueryMeta.last_contact` says how old it is."""


@dataclass(frozen=True, slots=True)
class QueryMeta:
    """
    What an answer says about itself. A field is None when the server did not say.

    `known_leader` is information, not an error: several healthy endpoints always say False.
    """

    index: int | None = None
    """The place of this answer in Consul's history: what a blocking query waits beyond."""
    last_contact: float | None = None
    """Seconds since the answering server last heard from the leader."""
    known_leader: bool | None = None
    content_hash: str | None = None
    """What a hash-based blocking query waits beyond."""
    effective_consistency: str | None = None
    query_backend: str | None = None
    filtered_by_acls: bool | None = None
    """Whether the token hid something. Servers before 1.11 do not say."""
    default_acl_policy: str | None = None
    cache_hit: bool | None = None
    cache_age: float | None = None
    """Seconds since the agent's cache fetched this answer."""
    translated_addresses: bool = False
    reason: str | None = None
    datacenter: str | None = None
    """The datacenter that was asked, where this client chose one; None is the agent's own."""

    @staticmethod
    def from_headers(
        headers: Iterable[tuple[bytes, bytes]], *, datacenter: str | None = None
    ) -> QueryMeta:
        """Read each header for itself: one that is missing or garbled hides no other."""
        # One scan: this runs for each answer to a blocking query.
        found = {
            name: value.decode("latin-1")
            for raw, value in headers
            if (name := raw.lower()) in _META_HEADERS
        }
        contact = _number(found.get(b"x-consul-lastcontact"))
        age = _number(found.get(b"age"))
        return QueryMeta(
            index=_number(found.get(b"x-consul-index")),
            last_contact=None if contact is None else contact / 1000,
            known_leader=_flag(found.get(b"x-consul-knownleader")),
            content_hash=found.get(b"x-consul-contenthash"),
            effective_consistency=found.get(b"x-consul-effective-consistency"),
            query_backend=found.get(b"x-consul-query-backend"),
            filtered_by_acls=_flag(found.get(b"x-consul-results-filtered-by-acls")),
            default_acl_policy=found.get(b"x-consul-default-acl-policy"),
            cache_hit=None if b"x-cache" not in found else found[b"x-cache"] == "HIT",
            cache_age=None if age is None else float(age),
            translated_addresses=_flag(found.get(b"x-consul-translate-addresses")) is True,
            reason=found.get(b"x-consul-reason"),
            datacenter=datacenter,
        )


_META_HEADERS = frozenset(
    {
        b"x-consul-index",
        b"x-consul-lastcontact",
        b"x-consul-knownleader",
        b"x-consul-contenthash",
        b"x-consul-effective-consistency",
        b"x-consul-query-backend",
        b"x-consul-results-filtered-by-acls",
        b"x-consul-default-acl-policy",
        b"x-consul-translate-addresses",
        b"x-consul-reason",
        b"x-cache",
        b"age",
    }
)


def _number(text: str | None) -> int | None:
    # int() also takes signs, underscores and other scripts' digits; Consul's are uint64.
    if text is None or not (text.isascii() and text.isdigit() and len(text) <= 20):
        return None
    number = int(text)
    return number if number < 2**64 else None


def _flag(text: str | None) -> bool | None:
    return {"true": True, "false": False}.get(text) if text is not None else None


class Cursor:
    """
    A place in Consul's history.

    Pass one to a read that takes it: the first time that answers at once, and again with the same
    cursor it waits until something may have changed, or `wait` seconds are over (at most 600;
    Consul adds up to a sixteenth).

        cursor = Cursor()
        while True:
            pair = await c.kv.get("config/web", cursor=cursor)

    It is also where a read leaves its metadata. One cursor follows one query; where only the
    values matter, `c.watch` does all of this.
    """

    __slots__ = ("_seen", "hash", "index", "meta", "moved", "paced", "resynchronised", "wait")

    def __init__(self, wait: float = 60.0) -> None:
        self.wait = seconds("wait", wait, setting="wait", above_zero=True)
        if wait > 600:
            # Consul would silently wait these 600 only.
            raise ConfigurationError("wait is at most 600 seconds", setting="wait")
        self.index: int | None = None
        """What the next read waits beyond; None and it answers at once."""
        self.hash: str | None = None
        """The same, of the one endpoint that has no index: an agent's own service."""
        self.meta = QueryMeta()
        """What the last answer said about itself."""
        self.moved = False
        """Whether the last answer may carry news. Compare it: Consul also wakes for neighbours."""
        self.resynchronised = False
        """Whether history broke before the last answer: a restore, a wipe, another datacenter."""
        self.paced = False
        """
        Whether the reader waits between failures by itself, as a watch does. Its reads are then
        neither repeated nor refused by an open circuit, so that it hears of a recovery at once.
        """
        self._seen: int | None = None

    def __repr__(self) -> str:
        return f"<Cursor index={self.index} wait={self.wait:g}>"

    @property
    def waits(self) -> bool:
        """Whether the next read waits; otherwise it answers at once."""
        return self.index is not None or self.hash is not None

    @property
    def datacenter(self) -> str | None:
        """The datacenter whose history this is. Each has its own."""
        return self.meta.datacenter

    def goes_back(self, meta: QueryMeta) -> bool:
        """Whether an answer comes from before what was seen of the same history."""
        return (
            self._seen is not None
            and meta.index is not None
            and max(1, meta.index) < self._seen
            and meta.datacenter == self.datacenter
        )

    def advance(self, meta: QueryMeta, *, ordered: bool = True) -> None:
        """
        Take note of an answer.

        Where indexes are not `ordered`, since they are hashes, a lower one is no way back.

        https://developer.hashicorp.com/consul/api-docs/features/blocking
        """
        asked, rewound = self.index, ordered and self.goes_back(meta)
        elsewhere = meta.datacenter != self.datacenter
        self.meta = meta
        if meta.index is None and meta.content_hash is not None:
            self.index, self.resynchronised = None, False
            self.moved, self.hash = meta.content_hash != self.hash, meta.content_hash
            return
        if meta.index is None:
            # Not an endpoint that blocks, or a header we cannot read: the next read starts over.
            self.restart()
            self.moved, self.resynchronised = True, False
            return
        # Blocking on 0 would not block at all: a busy loop.
        index = max(1, meta.index)
        self.resynchronised = rewound or (self._seen is not None and elsewhere)
        self.moved = index != asked or elsewhere
        # An index that went back while we waited starts over. After a fresh read there is nothing
        # to start over from: the answer is what the server has now.
        self.index = None if rewound and asked is not None else index
        self._seen = index

    def restart(self) -> None:
        """
        Forget the place, so that the next read answers at once.

        Called after every failed read: an agent that comes back empty would keep an old, high
        index waiting.
        """
        self.index = self.hash = None
