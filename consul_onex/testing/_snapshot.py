"""The state of the servers as an archive: `/v1/snapshot`."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import zlib
from collections.abc import Iterator
from dataclasses import asdict
from tarfile import BLOCKSIZE, HeaderError, TarInfo
from typing import Any, Final

from ._go import GoError, quoted
from ._http import Answer, Asked, RefusedError, Router, options_of
from ._presence import Presence
from ._server import Server
from ._state import Pair, Row, Session, Tables

__all__ = ["Snapshots"]

_FOREIGN: Final = "The fake agent reads no snapshots but those of its own kind."
_UNREADABLE: Final = "failed to read snapshot file: failed reading snapshot: "
_UNWRITABLE: Final = "failed to read snapshot file: failed to read or write snapshot data: "
_BROKEN: Final = "failed to read snapshot file: failed checking integrity of snapshot: "

_META, _STATE, _SUMS = "meta.json", "state.bin", "SHA256SUMS"
_END: Final = bytes(2 * BLOCKSIZE)
_GZIP: Final = b"\x1f\x8b"
_GZIP_HEADER: Final = 10


class Snapshots:
    """`/v1/snapshot`. What an agent knows itself is no part of it: its services, and events."""

    def __init__(self, server: Server, presence: Presence) -> None:
        self._server = server
        self._presence = presence

    def open(self, router: Router) -> None:
        router.add("GET,PUT", "/v1/snapshot", self.answer)

    async def answer(self, asked: Asked) -> Answer:
        options = options_of(asked, strict=False)
        await self._server.ready(options)
        # A snapshot has every token.
        self._server.rights(asked).need("write", "acl")
        state = self._server.state
        if asked.method == "GET":
            headers = {"Content-Type": "application/x-gzip", **self._server.meta(state.index)}
            mine = {"Suffrage": 0, "ID": self._presence.id, "Address": self._presence.raft_address}
            return Answer(200, _packed(state.tables(), state.index, mine), headers)
        try:
            content = _unpacked(asked.body)
        except GoError as error:
            raise RefusedError(500, str(error)) from None
        try:
            tables = _read(content)
        except (ValueError, TypeError, AttributeError, KeyError):
            raise RefusedError(501, _FOREIGN) from None
        self._server.restore(tables)
        return Answer()


# -- the archive -----------------------------------------------------------------------------------


def _packed(tables: Tables, index: int, server: Row) -> bytes:
    content = _written(tables)
    meta = {
        "Version": 1,
        "ID": f"2-{index}-0",
        "Index": index,
        "Term": 2,
        "Peers": "",
        "Configuration": {"Servers": [server]},
        "ConfigurationIndex": 1,
        "Size": len(content),
    }
    files = {_META: json.dumps(meta).encode(), _STATE: content}
    sums = [f"{hashlib.sha256(file).hexdigest()}  {name}\n" for name, file in files.items()]
    files[_SUMS] = "".join(sums).encode()
    # Consul refuses the padding that tar would add.
    return gzip.compress(b"".join(_entries(files)) + _END, mtime=0)


def _entries(files: dict[str, bytes]) -> Iterator[bytes]:
    for name, file in files.items():
        header = TarInfo(name)
        header.size, header.mode = len(file), 0o600
        yield header.tobuf()
        yield file + bytes(-len(file) % BLOCKSIZE)


def _unpacked(body: bytes) -> bytes:
    """The state in an archive, which is whole."""
    if len(body) < _GZIP_HEADER:
        said = "unexpected EOF" if body else "EOF"
        raise GoError(f"failed to decompress snapshot: {said}")
    if not body.startswith(_GZIP):
        raise GoError("failed to decompress snapshot: gzip: invalid header")
    stream = zlib.decompressobj(zlib.MAX_WBITS | 16)
    try:
        data = stream.decompress(body)
    except zlib.error:
        raise GoError(f"{_UNREADABLE}flate: corrupt input") from None
    files = _files(data, cut=not stream.eof)
    _check(files)
    if not stream.eof or stream.unused_data:
        raise GoError("unexpected EOF")
    return files.get(_STATE, b"")


def _files(data: bytes, *, cut: bool) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    while data and any(data[:BLOCKSIZE]):
        try:
            header = TarInfo.frombuf(data[:BLOCKSIZE], "utf-8", "replace")
        except HeaderError:
            said = "unexpected EOF" if len(data) < BLOCKSIZE else "archive/tar: invalid tar header"
            raise GoError(f"{_UNREADABLE}{said}") from None
        data = data[BLOCKSIZE:]
        if header.size > len(data):
            raise GoError(f"{_UNWRITABLE}unexpected EOF")
        files[header.name] = data[: header.size]
        data = data[header.size + -header.size % BLOCKSIZE :]
    if cut and not data:
        raise GoError(f"{_UNREADABLE}unexpected EOF")
    return files


def _check(files: dict[str, bytes]) -> None:
    seen = set()
    for line in files.get(_SUMS, b"").decode("utf-8", "replace").splitlines():
        digest, _, name = line.partition("  ")
        if digest != hashlib.sha256(files.get(name, b"")).hexdigest():
            raise GoError(f"{_BROKEN}hash check failed for {quoted(name)}")
        seen.add(name)
    for name in (_META, _STATE):
        if name not in seen:
            raise GoError(f"{_BROKEN}file missing for {quoted(name)}")


# -- the state -------------------------------------------------------------------------------------

_KIND: Final = "of a fake agent"
_CLASSES: Final = {"pair": Pair, "session": Session}


def _written(tables: Tables) -> bytes:
    """The tables as JSON. A key is one character per byte."""
    written = {
        name: [[key.decode("latin-1"), value] for key, value in entries]
        for name, entries in tables.items()
    }
    return json.dumps({_KIND: written}, default=_plain).encode()


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return {type(value).__name__.lower(): asdict(value)}


def _read(content: bytes) -> Tables:
    return {
        name: tuple((key.encode("latin-1"), _whole(value)) for key, value in entries)
        for name, entries in json.loads(content)[_KIND].items()
    }


def _whole(value: Any) -> Any:
    """A pair or a session as it was; rows and numbers are what they are."""
    if not isinstance(value, dict) or len(value) != 1:
        return value
    [(kind, fields)] = value.items()
    if "value" in fields:
        fields["value"] = base64.b64decode(fields["value"])
    made = {name: tuple(one) if isinstance(one, list) else one for name, one in fields.items()}
    return _CLASSES[kind](**made)
