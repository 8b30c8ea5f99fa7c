"""What is known of the server: its version and its edition."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

__all__ = ["Server"]

_VERSION: Final = re.compile(r"v?(\d{1,6})\.(\d{1,6})(?:\.(\d{1,6}))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Server:
    """
    The agent that is asked.

    `version` is in its own words, such as `"1.22.0+ent"`; `datacenter` is its own, and None where
    it does not say.
    """

    version: str
    datacenter: str | None = None

    def __str__(self) -> str:
        return f"Consul {self.version}"

    @property
    def enterprise(self) -> bool:
        """Whether this is Consul Enterprise."""
        return "+ent" in self.version

    def since(self, version: str) -> bool:
        """Whether this is that version or a later one. True where it cannot be told."""
        mine, other = _numbers(self.version), _numbers(version)
        return mine is None or other is None or mine >= other


def _numbers(version: str) -> tuple[int, int, int] | None:
    found = _VERSION.match(version)
    return (int(found[1]), int(found[2]), int(found[3] or 0)) if found else None
