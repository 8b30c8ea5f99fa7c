"""As a plugin: no test leaves a socket open, its own or one of what it tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest


def sockets() -> set[str]:
    """The sockets that this process has, by names that no two of them ever have."""
    found = set[str]()
    for entry in Path("/dev/fd").iterdir():
        try:
            found.add(str(entry.readlink()))
        except OSError:
            # It is the one that the folder was read by.
            continue
    return {name for name in found if name.startswith("socket:")}


@pytest.fixture(autouse=True)
def no_socket_is_left() -> Iterator[None]:
    # What lives longer than a test is made before this, and what a test makes is gone again.
    before = sockets()
    yield
    assert not sockets() - before
