"""Consul's key-value store: what it sends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic_core import from_json

from .._json import adapter_of, problem_of
from ..errors import DecodeError
from ._base import Bytes, Received

__all__ = ["KVPair"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class KVPair(Received):
    """
    One key and what it holds.

    `value` is the bytes that were put; Consul does not tell an empty value from none. `flags` is
    a number of the writer's own. `session` is the session that holds the key's lock, or None.
    `modify_index` changes with every change of the entry and is what `cas` compares. `lock_index`
    counts acquisitions, but starts over when the key is deleted or overwritten: it is no fencing
    token.
    """

    key: str
    value: Bytes = b""
    flags: int = 0
    session: str | None = None
    lock_index: int = 0
    create_index: int = 0
    modify_index: int = 0
    namespace: str | None = None
    partition: str | None = None

    def __repr__(self) -> str:
        # Values may be secrets, and may be large.
        return (
            f"KVPair(key={self.key!r}, value=<{len(self.value)} bytes>, flags={self.flags}, "
            f"session={self.session!r}, modify_index={self.modify_index})"
        )

    @property
    def identity(self) -> str:
        """What tells it from other pairs: its key."""
        return self.key

    def text(self) -> str:
        """The value as UTF-8 text. DecodeError where it is not."""
        try:
            return self.value.decode("utf-8")
        except UnicodeDecodeError:
            pass
        raise DecodeError(f"{self._named} is not UTF-8 text")

    def json(self) -> Any:
        """The value as JSON. DecodeError where it is not."""
        try:
            return from_json(self.value)
        except ValueError:
            pass
        raise DecodeError(f"{self._named} is not JSON")

    def parse(self, type_: type[T]) -> T:
        """The value as JSON of a type: a pydantic model, a dataclass, `dict[str, int]`."""
        try:
            return adapter_of(type_).validate_json(self.value)
        except ValidationError as error:
            problem = problem_of(error)
        raise DecodeError(f"{self._named} is not a {_name(type_)} ({problem})")

    @property
    def _named(self) -> str:
        return f"the value of {self.key!r} (modify index {self.modify_index})"


def _name(type_: Any) -> str:
    return getattr(type_, "__name__", None) or str(type_)
