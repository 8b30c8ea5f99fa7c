"""
A sorted map that tells who looked at a place when it changes.

Consul keeps its state in radix trees, and a blocking query wakes when a node of the tree that it
has seen is written. Which nodes those are decides which queries wake for nothing: a query for a
missing key waits at the last node on the way there, and so hears of its neighbours. This tree has
its nodes where Consul's has them, so that the same queries wake.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Generic, TypeVar

import anyio

__all__ = ["Tree", "Undo", "Watch"]

T = TypeVar("T")


class Watch:
    """The places that one query has seen, and the event that is set when one of them changes."""

    def __init__(self) -> None:
        self.event = anyio.Event()
        self._places: list[set[anyio.Event]] = []

    def add(self, place: _Place) -> None:
        place.listeners.add(self.event)
        self._places.append(place.listeners)

    def close(self) -> None:
        for listeners in self._places:
            listeners.discard(self.event)


class Undo:
    """How to take back what was written since `begin`."""

    def __init__(self) -> None:
        self._steps: list[Callable[[], None]] | None = None

    def begin(self) -> None:
        self._steps = []

    def note(self, step: Callable[[], None]) -> None:
        if self._steps is not None:
            self._steps.append(step)

    def end(self, *, keep: bool) -> None:
        steps, self._steps = self._steps or [], None
        for step in [] if keep else reversed(steps):
            step()


class _Place:
    """Something that can be waited at."""

    __slots__ = ("listeners",)

    def __init__(self) -> None:
        self.listeners: set[anyio.Event] = set()

    def stir(self) -> None:
        for event in self.listeners:
            event.set()
        self.listeners.clear()


class _Leaf(_Place, Generic[T]):
    __slots__ = ("value",)

    def __init__(self, value: T) -> None:
        super().__init__()
        self.value = value


class _Node(_Place, Generic[T]):
    __slots__ = ("edges", "leaf", "prefix")

    def __init__(self, prefix: bytes, leaf: _Leaf[T] | None = None) -> None:
        super().__init__()
        self.prefix = prefix
        self.leaf = leaf
        self.edges: dict[int, _Node[T]] = {}

    def absorb(self) -> None:
        """Be one with the only child."""
        (child,) = self.edges.values()
        child.stir()
        self.prefix += child.prefix
        self.leaf = child.leaf
        self.edges = child.edges


class Tree(Generic[T]):
    """A map from bytes, in their order."""

    def __init__(self, undo: Undo) -> None:
        self._root: _Node[T] = _Node(b"")
        self._undo = undo

    def get(self, key: bytes, watch: Watch | None = None) -> T | None:
        """What is there; None for nothing."""
        leaf = self._leaf(key, watch)
        return leaf.value if leaf is not None else None

    def _leaf(self, key: bytes, watch: Watch | None = None) -> _Leaf[T] | None:
        node: _Node[T] = self._root
        place: _Place = node
        rest = key
        while rest:
            child = node.edges.get(rest[0])
            if child is None:
                break
            place = node = child
            if not rest.startswith(node.prefix):
                break
            rest = rest[len(node.prefix) :]
        leaf = None if rest else node.leaf
        if watch is not None:
            watch.add(leaf or place)
        return leaf

    def items(self, prefix: bytes = b"", watch: Watch | None = None) -> Iterator[T]:
        """Everything whose key begins so, in the order of the keys. Do not write meanwhile."""
        node: _Node[T] = self._root
        found: _Node[T] | None = node
        rest = prefix
        while rest:
            child = node.edges.get(rest[0])
            if child is None:
                found = None
                break
            node = child
            if not rest.startswith(node.prefix):
                found = node if node.prefix.startswith(rest) else None
                break
            rest = rest[len(node.prefix) :]
            found = node
        if watch is not None:
            watch.add(node)
        return _below(found) if found is not None else iter(())

    def entries(self) -> list[tuple[bytes, T]]:
        """Everything with its key, in the order of the keys."""
        return list(_entries(self._root, b""))

    def replace(self, entries: Iterable[tuple[bytes, T]]) -> None:
        """Hold these instead, for good; who looked at anything hears of it."""
        _stir(self._root)
        self._root = _Node(b"")
        for key, value in entries:
            self.put(key, value)

    def put(self, key: bytes, value: T) -> None:
        old = self.get(key)
        self._undo.note(lambda: self.delete(key) if old is None else self.put(key, old))
        node, rest = self._root, key
        node.stir()
        while rest:
            child = node.edges.get(rest[0])
            if child is None:
                node.edges[rest[0]] = _Node(rest, _Leaf(value))
                return
            common = _common(rest, child.prefix)
            child.stir()
            if common < len(child.prefix):
                fork: _Node[T] = _Node(child.prefix[:common])
                child.prefix = child.prefix[common:]
                fork.edges[child.prefix[0]] = child
                node.edges[rest[0]] = fork
                child = fork
            node, rest = child, rest[common:]
        if node.leaf is not None:
            node.leaf.stir()
        node.leaf = _Leaf(value)

    def delete(self, key: bytes) -> None:
        """Take away what is there; nothing happens where there is nothing."""
        leaf = self._leaf(key)
        if leaf is None:
            return
        self._undo.note(lambda: self.put(key, leaf.value))
        path, rest = [self._root], key
        while rest:
            path.append(path[-1].edges[rest[0]])
            rest = rest[len(path[-1].prefix) :]
        for node in path:
            node.stir()
        leaf.stir()
        last = path.pop()
        last.leaf = None
        if path and not last.edges:
            parent = path[-1]
            del parent.edges[last.prefix[0]]
            if len(path) > 1 and parent.leaf is None and len(parent.edges) == 1:
                parent.absorb()
        elif path and len(last.edges) == 1:
            last.absorb()


def _below(node: _Node[T]) -> Iterator[T]:
    if node.leaf is not None:
        yield node.leaf.value
    for label in sorted(node.edges):
        yield from _below(node.edges[label])


def _entries(node: _Node[T], before: bytes) -> Iterator[tuple[bytes, T]]:
    key = before + node.prefix
    if node.leaf is not None:
        yield key, node.leaf.value
    for label in sorted(node.edges):
        yield from _entries(node.edges[label], key)


def _stir(node: _Node[T]) -> None:
    node.stir()
    if node.leaf is not None:
        node.leaf.stir()
    for child in node.edges.values():
        _stir(child)


def _common(one: bytes, other: bytes) -> int:
    """How many bytes two begin alike with."""
    least = min(len(one), len(other))
    for at in range(least):
        if one[at] != other[at]:
            return at
    return least
