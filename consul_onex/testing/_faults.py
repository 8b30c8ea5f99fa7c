"""What goes wrong on purpose."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TypedDict

import httpx

__all__ = ["Fault", "Faults", "Which"]


class Which(TypedDict, total=False):
    """
    The requests for which something goes wrong: all, where nothing is said.

    `times`: the next so many. `method`: `"GET"`, say. `path`: without the query, `*` for anything.
    `write`: those that may change something, or with False those that may not.
    """

    times: int
    method: str
    path: str
    write: bool


@dataclass
class Fault:
    """One thing that goes wrong, and how often it still does; None for always."""

    kind: str
    times: int | None = None
    method: str | None = None
    path: str | None = None
    write: bool | None = None
    status: int = 0
    text: str = ""
    seconds: float = 0.0

    def __post_init__(self) -> None:
        if self.times is not None and self.times < 1:
            raise ValueError(f"a fault happens at least once, not {self.times} times")
        if self.seconds < 0:
            raise ValueError(f"{self.kind} takes a number of seconds from 0, not {self.seconds}")

    def is_for(self, request: httpx.Request) -> bool:
        return (
            self.times != 0
            and self.method in {None, request.method}
            and (self.path is None or fnmatchcase(request.url.path, self.path))
            and self.write in {None, request.method not in {"GET", "HEAD", "OPTIONS"}}
        )


class Faults:
    """Those that are still to come."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []

    def add(self, fault: Fault) -> None:
        self._faults.append(fault)

    def clear(self) -> None:
        self._faults.clear()

    def take(self, request: httpx.Request, *kinds: str) -> Fault | None:
        """The first that is for this request, which then has happened once more."""
        for fault in self._faults:
            if fault.kind in kinds and fault.is_for(request):
                if fault.times is not None:
                    fault.times -= 1
                return fault
        return None
