"""Snapshots as Consul packs them, and as it never would."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Iterable, Mapping
from tarfile import USTAR_FORMAT, TarInfo
from typing import Any, Final

__all__ = ["META", "files", "packed", "snapshot", "tar"]

META: Final[Mapping[str, Any]] = {
    "Version": 1,
    "ID": "2-12-1795443282667",
    "Index": 12,
    "Term": 2,
    "Peers": "ka8xMjcuMC4wLjE6MjE0MzE=",
    "Configuration": {
        "Servers": [
            {
                "Suffrage": 0,
                "ID": "3831a99e-6613-1f93-9d0c-57dbdf5ec96e",
                "Address": "127.0.0.1:21431",
            }
        ]
    },
    "ConfigurationIndex": 1,
    "Size": 700,
}
"""What Consul 1.8.7 wrote."""


def files(state: bytes = b"state.." * 100) -> dict[str, bytes]:
    """The three files of a snapshot, in their order."""
    meta = json.dumps({**META, "Size": len(state)}).encode() + b"\n"
    sums = "".join(
        f"{hashlib.sha256(content).hexdigest()}  {name}\n"
        for name, content in (("meta.json", meta), ("state.bin", state))
    )
    return {"meta.json": meta, "state.bin": state, "SHA256SUMS": sums.encode()}


def tar(entries: Iterable[tuple[str, bytes]]) -> bytes:
    """A tar of these files, with no more at its end than Go writes."""
    blocks = bytearray()
    for name, content in entries:
        entry = TarInfo(name)
        entry.mode, entry.size = 0o600, len(content)
        blocks += entry.tobuf(USTAR_FORMAT) + content + bytes(-len(content) % 512)
    return bytes(blocks) + bytes(1024)


def packed(entries: Iterable[tuple[str, bytes]]) -> bytes:
    """An archive of these files."""
    return gzip.compress(tar(entries), mtime=0)


def snapshot(state: bytes = b"state.." * 100) -> bytes:
    """A whole snapshot of this state."""
    return packed(files(state).items())
