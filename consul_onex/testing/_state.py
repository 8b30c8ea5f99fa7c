"""
What Consul remembers, and the number that says how often it was written.

Rows are never changed in place: who holds one holds what was true when it was read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from ._timers import Timer, Timers
from ._tree import Tree, Undo, Watch

__all__ = ["Pair", "Row", "Session", "State", "Tables", "key_of"]

Row: TypeAlias = "dict[str, Any]"
"""A node, a service, a check, a policy or a token, in the names that JSON has for it."""

Tables: TypeAlias = "Mapping[str, tuple[tuple[bytes, Any], ...]]"
"""What stands in the tables of a state, by their names."""

# How long it is remembered that a key was deleted, and how exactly that is kept.
_TOMBSTONES: Final = 900.0
_GRAIN: Final = 30.0


@dataclass(frozen=True, slots=True)
class Pair:
    key: str
    value: bytes = b""
    flags: int = 0
    session: str = ""
    lock_index: int = 0
    create_index: int = 0
    modify_index: int = 0


@dataclass(frozen=True, slots=True)
class Session:
    """Times in nanoseconds; `ttl` in the words that it was given in, "" for none."""

    id: str
    node: str
    name: str = ""
    lock_delay: int = 0
    behavior: str = "release"
    ttl: str = ""
    node_checks: tuple[str, ...] | None = None
    service_checks: tuple[str, ...] | None = None
    create_index: int = 0
    modify_index: int = 0

    @property
    def checks(self) -> tuple[str, ...]:
        return (self.node_checks or ()) + (self.service_checks or ())


def key_of(*parts: str) -> bytes:
    """Where a row with these names stands."""
    return b"".join(part.encode("utf-8", "surrogateescape") + b"\0" for part in parts)


class State:
    """The tables of one datacenter."""

    def __init__(self, timers: Timers, index: int = 0) -> None:
        self.timers = timers
        self.index = index
        """The place of the last write in the log."""
        self._undo = Undo()
        self.pairs: Tree[Pair] = self._tree()
        self.tombstones: Tree[tuple[str, int]] = self._tree()
        self.sessions: Tree[Session] = self._tree()
        self.nodes: Tree[Row] = self._tree()
        self.services: Tree[Row] = self._tree()
        self.services_by_name: Tree[Row] = self._tree()
        self.checks: Tree[Row] = self._tree()
        self.checks_by_service: Tree[Row] = self._tree()
        self.checks_by_status: Tree[Row] = self._tree()
        self.policies: Tree[Row] = self._tree()
        self.tokens: Tree[Row] = self._tree()
        self._indexes: Tree[int] = self._tree()
        self.lock_delays: dict[str, float] = {}
        self.session_timers: dict[str, Timer] = {}
        self._graves: dict[float, int] = {}

    def _tree(self) -> Tree[Any]:
        return Tree(self._undo)

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """All of what is written in the block, or, where it raises, nothing."""
        self._undo.begin()
        kept = False
        try:
            yield
            kept = True
        finally:
            self._undo.end(keep=kept)

    def on_undo(self, step: Callable[[], None]) -> None:
        """What is to be done too, where what is being written is taken back."""
        self._undo.note(step)

    # -- snapshots ----------------------------------------------------------------------------

    def tables(self) -> Tables:
        return {name: tuple(tree.entries()) for name, tree in self._trees()}

    def restore(self, tables: Tables) -> None:
        """
        Hold these tables, and nothing of before. The log goes on from where it is.

        What is deleted there is remembered from now on. No session has a timer.
        """
        for name, tree in self._trees():
            tree.replace(tables.get(name, ()))
        self.index = max([self.index, *self._indexes.items()]) + 1
        for timer in self.session_timers.values():
            timer.cancel()
        self.session_timers.clear()
        self.lock_delays.clear()
        self._graves.clear()
        if tables.get("tombstones"):
            self._forget_later()

    def _trees(self) -> Iterator[tuple[str, Tree[Any]]]:
        return ((name, tree) for name, tree in vars(self).items() if isinstance(tree, Tree))

    # -- indexes ------------------------------------------------------------------------------

    def next(self) -> int:
        """The index of a new write. It is used up even by one that changes nothing."""
        self.index += 1
        return self.index

    def touch(self, *tables: str) -> None:
        for table in tables:
            self._indexes.put(table.encode(), self.index)

    def forget(self, table: str) -> None:
        self._indexes.delete(table.encode())

    def touched(self, *tables: str, watch: Watch | None = None) -> int:
        """When one of these was written last."""
        return max(self._indexes.get(table.encode(), watch) or 0 for table in tables)

    # -- what was deleted ---------------------------------------------------------------------

    def bury(self, key: str) -> None:
        """Remember for a while that a key, or all below it, was deleted now."""
        self.tombstones.put(key.encode("utf-8", "surrogateescape"), (key, self.index))
        self.touch("tombstones")
        self._forget_later()

    def _forget_later(self) -> None:
        later = _TOMBSTONES + _GRAIN - self.timers.now % _GRAIN
        due = self.timers.now + later
        if due not in self._graves:
            self.timers.after(later, lambda: self._reap(due))
        self._graves[due] = self.index

    def _reap(self, due: float) -> None:
        if due not in self._graves:
            return
        index = self._graves.pop(due)
        self.next()
        for key, buried in list(self.tombstones.items()):
            if buried <= index:
                self.tombstones.delete(key.encode("utf-8", "surrogateescape"))
        self.touch("tombstones")
