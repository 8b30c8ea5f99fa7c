"""
A snapshot's archive, checked while it passes by.

It is a packed tar of three files: what the snapshot says of itself, the state of the servers, and
the sums of both. However large it is, checking it takes the memory of a few pieces.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tarfile import HeaderError, TarInfo
from typing import BinaryIO, Final

from pydantic import TypeAdapter, ValidationError

from .errors import InvalidRequestError
from .models.snapshot import SnapshotInfo

__all__ = ["Archive", "DamagedArchiveError", "opened", "pieces", "refused", "verify_snapshot"]

_PIECE: Final = 64 * 1024

_META: Final = "meta.json"
_STATE: Final = "state.bin"
_SUMS: Final = "SHA256SUMS"

_BLOCK: Final = 512
_LAST: Final = 2  # so many empty blocks are the end
_MOST_AT_ONCE: Final = 256 * 1024
# Of a file that is kept. None has a tenth of it.
_MOST_KEPT: Final = 1024 * 1024

_SUM: Final = re.compile(r"([0-9a-f]{64})  (.+)")
# A state of 8 GiB and more has its size in a header of its own.
_EXTENDED: Final = "extended header"
_SIZE: Final = re.compile(rb"^\d+ size=(\d{1,19})$", re.MULTILINE)

_INFO: Final = TypeAdapter(SnapshotInfo)


class DamagedArchiveError(ValueError):
    """This is not a whole snapshot; the text says why."""


class Archive:
    """
    Takes an archive piece by piece, and says at its end whether it was a whole snapshot.

    DamagedArchiveError as soon as it cannot be one.
    """

    def __init__(self) -> None:
        self._gzip = zlib.decompressobj(zlib.MAX_WBITS | 16)
        self._header = bytearray()
        self._file = _File(0, kept=False)
        self._files: dict[str, _File] = {}
        self._empty = 0

    def feed(self, piece: bytes) -> None:
        """Take the next piece."""
        if self._gzip.eof and piece:
            raise DamagedArchiveError("it goes on after its end")
        while piece:
            try:
                unpacked = self._gzip.decompress(piece, _MOST_AT_ONCE)
            except zlib.error:
                raise DamagedArchiveError("it cannot be unpacked") from None
            self._take(memoryview(unpacked))
            if self._gzip.unused_data:
                raise DamagedArchiveError("it goes on after its end")
            piece = self._gzip.unconsumed_tail

    def finish(self) -> SnapshotInfo:
        """There is no further piece: what the snapshot says of itself."""
        if not (self._gzip.eof and self._empty == _LAST):
            raise DamagedArchiveError("it ends before its end")
        for name in (_META, _STATE, _SUMS):
            if name not in self._files:
                raise DamagedArchiveError(f"it has no {name}")
        lines = self._files[_SUMS].content.decode("latin-1").splitlines()
        sums = {line[2]: line[1] for line in map(_SUM.fullmatch, lines) if line is not None}
        for name in (_META, _STATE):
            if sums.get(name) != self._files[name].sum.hexdigest():
                raise DamagedArchiveError(f"its {name} has another sum than {_SUMS} says")
        try:
            return _INFO.validate_json(bytes(self._files[_META].content))
        except ValidationError:
            pass
        # Raised out here: pydantic's error quotes the file.
        raise DamagedArchiveError(f"its {_META} cannot be read")

    def _take(self, data: memoryview) -> None:
        while data:
            taken = self._file.take(data) or self._take_header(data)
            data = data[taken:]

    def _take_header(self, data: memoryview) -> int:
        if self._empty == _LAST:
            # Consul refuses even the padding that tar would add.
            raise DamagedArchiveError("it goes on after its end")
        part = data[: _BLOCK - len(self._header)]
        self._header += part
        if len(self._header) == _BLOCK:
            self._begin(bytes(self._header))
            self._header.clear()
        return len(part)

    def _begin(self, header: bytes) -> None:
        """A block that is no part of a file: the header of the next one, or the end of all."""
        if not any(header):
            self._empty += 1
            return
        try:
            entry = TarInfo.frombuf(header, "latin-1", "strict")
        except HeaderError:
            raise DamagedArchiveError("it has a header that cannot be read") from None
        name, size = entry.name, entry.size
        if entry.type == b"x":
            name = _EXTENDED
        elif (extended := self._files.pop(_EXTENDED, None)) is not None:
            found = _SIZE.search(extended.content)
            size = int(found[1]) if found is not None else size
        if (
            name not in (_META, _STATE, _SUMS, _EXTENDED)
            or name in self._files
            or size < 0
            or self._empty
        ):
            raise DamagedArchiveError("it has a file that no snapshot has")
        if name != _STATE and size > _MOST_KEPT:
            raise DamagedArchiveError(f"its {name} is too large")
        self._file = self._files[name] = _File(size, kept=name != _STATE)


class _File:
    """A file of the archive, as far as it has come."""

    def __init__(self, size: int, *, kept: bool) -> None:
        self.sum = hashlib.sha256()
        self.content = bytearray()
        self._kept = kept
        self._left = size
        self._padding = -size % _BLOCK

    def take(self, data: memoryview) -> int:
        """Take what belongs to this file; how much that was."""
        part = data[: self._left]
        if part:
            self._left -= len(part)
            self.sum.update(part)
            if self._kept:
                self.content += part
            return len(part)
        padding = min(self._padding, len(data))
        self._padding -= padding
        return padding


def verify_snapshot(source: str | os.PathLike[str] | bytes) -> SnapshotInfo:
    """
    Check a snapshot that was saved, and return what it says of itself. Nobody is asked.

    InvalidRequestError when it is damaged, OSError when the file cannot be read.
    """
    archive = Archive()
    with opened(source) as file, refused():
        for piece in pieces(file):
            archive.feed(piece)
        return archive.finish()


def opened(source: str | os.PathLike[str] | bytes) -> BinaryIO:
    """A snapshot as a file: the one at this path, or one of these bytes."""
    return io.BytesIO(source) if isinstance(source, bytes) else Path(source).open("rb")


def pieces(file: BinaryIO) -> Iterator[bytes]:
    """What there is to read in a file, piece by piece."""
    while piece := file.read(_PIECE):
        yield piece


@contextmanager
def refused(operation: str | None = None) -> Iterator[None]:
    """Make damage what a caller did wrong."""
    try:
        yield
        return
    except DamagedArchiveError as error:
        problem = str(error)
    raise InvalidRequestError(f"the snapshot is damaged: {problem}", operation=operation)
