"""What changes from one value of a watch to the next, row by row."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Hashable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from .errors import InvalidRequestError

__all__ = ["Added", "Change", "Changed", "Changes", "Removed", "Resync", "Snapshot"]

R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Snapshot(Generic[R]):
    """Every row there is at the beginning, by what identifies it."""

    rows: Mapping[Hashable, R]


@dataclass(frozen=True, slots=True)
class Added(Generic[R]):
    """A row that was not there before."""

    key: Hashable
    new: R


@dataclass(frozen=True, slots=True)
class Changed(Generic[R]):
    """A row that is another now."""

    key: Hashable
    old: R
    new: R


@dataclass(frozen=True, slots=True)
class Removed(Generic[R]):
    """A row that is gone."""

    key: Hashable
    old: R


@dataclass(frozen=True, slots=True)
class Resync:
    """
    Consul's history broke: a snapshot was restored, an agent wiped, another datacenter asked.

    What changed by it follows as with any other value. What came and went meanwhile is not told.
    """


Change = Snapshot[R] | Added[R] | Changed[R] | Removed[R] | Resync


class _Values(Protocol):
    """A watch, as far as it matters here."""

    @property
    def resynchronised(self) -> bool: ...

    async def __anext__(self) -> Any: ...


class Changes(Generic[R]):
    """The changes of a watch, one at a time; `Watch.changes` makes it."""

    def __init__(self, watch: _Values, key: Callable[[R], Hashable] | None = None) -> None:
        self._watch = watch
        self._key = key
        self._rows: dict[Hashable, R] | None = None
        self._pending: Iterator[Change[R]] = iter(())

    def __aiter__(self) -> AsyncIterator[Change[R]]:
        return self

    async def __anext__(self) -> Change[R]:
        while True:
            for change in self._pending:
                return change
            rows = _by_key(await self._watch.__anext__(), self._key)
            before, self._rows = self._rows, rows
            if before is None:
                return Snapshot(dict(rows))
            self._pending = _differences(before, rows, broken=self._watch.resynchronised)


def _differences(
    before: dict[Hashable, R], after: dict[Hashable, R], *, broken: bool
) -> Iterator[Change[R]]:
    if broken:
        yield Resync()
    for key, old in before.items():
        if key not in after:
            yield Removed(key, old)
    for key, new in after.items():
        if key in before and before[key] != new:
            yield Changed(key, before[key], new)
    for key, new in after.items():
        if key not in before:
            yield Added(key, new)


def _by_key(value: Any, key: Callable[[Any], Hashable] | None) -> dict[Hashable, Any]:
    if value is None:
        return {}
    if isinstance(value, Mapping):
        if key is None:
            return dict(value)
        value = list(value.values())
    rows = value if isinstance(value, list) else [value]
    by_key = {(key or _identity)(row): row for row in rows}
    if len(by_key) < len(rows):
        raise InvalidRequestError(
            "two rows are the same by what identifies them: give changes() a key function that "
            "tells each from each"
        )
    return by_key


def _identity(row: Any) -> Hashable:
    if isinstance(row, str):
        return row
    identity: Hashable = getattr(row, "identity", None)
    if identity is None:
        raise InvalidRequestError(
            f"nothing tells one {type(row).__name__} from another: give changes() a key function"
        )
    return identity
