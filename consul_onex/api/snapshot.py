"""The whole state of the servers, as an archive."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from pathlib import Path
from tempfile import mkstemp
from typing import BinaryIO, Final

from anyio.lowlevel import checkpoint

from .._archive import Archive, DamagedArchiveError, opened, pieces, refused
from .._wire import Stream, Takes, Upload, Wire
from ..errors import DecodeError, InvalidRequestError
from ..models.snapshot import SnapshotInfo

__all__ = ["Snapshot"]

_SYNCED_AT_ONCE: Final = 8 * 1024 * 1024


class Snapshot:
    """
    The whole state of the servers, as an archive: keys, catalog, sessions, tokens.

    It is read and written piece by piece, so its size does not matter. Whoever can read it can
    read every secret of the cluster. `consul_onex.verify_snapshot` checks one that was saved.

    https://developer.hashicorp.com/consul/api-docs/snapshot
    """

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    async def save(
        self, path: str | os.PathLike[str], *, progress: Callable[[int], None] | None = None
    ) -> SnapshotInfo:
        """
        Save a snapshot in a file, and return what it says of itself.

        It is checked on its way and takes its place, instead of what is there, when it is whole
        and on the disk. Whatever goes wrong before leaves nothing behind. Only its owner can read
        the file. `progress` is called with the number of bytes so far.

        DecodeError when what arrived is damaged, OSError when the file cannot be written. A view
        that reads `stale` may ask any server, also while there is no leader. The snapshot must
        begin within the call's time-out (`c.using(timeout=...)`).

        GET /v1/snapshot
        https://developer.hashicorp.com/consul/api-docs/snapshot#generate-snapshot
        """
        archive, size = Archive(), 0
        with _replacing(path) as write:
            try:
                async with self._stream("snapshot.save") as chunks:
                    async for chunk in chunks:
                        archive.feed(chunk)
                        write(chunk)
                        size += len(chunk)
                        if progress is not None:
                            progress(size)
                return archive.finish()
            except DamagedArchiveError as error:
                problem = str(error)
            raise DecodeError(f"the snapshot is damaged: {problem}", operation="snapshot.save")

    def stream(self) -> AbstractAsyncContextManager[Stream]:
        """
        Read a snapshot piece by piece, as bytes. Nobody checks it.

            async with c.snapshot.stream() as chunks:
                async for chunk in chunks:
                    ...

        `chunks.meta` says how old it is. Leaving the block early closes the connection.

        GET /v1/snapshot
        https://developer.hashicorp.com/consul/api-docs/snapshot#generate-snapshot
        """
        return self._stream("snapshot.stream")

    async def restore(
        self,
        source: str | os.PathLike[str] | bytes | AsyncIterable[bytes],
        *,
        length: int | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> None:
        """
        Make a snapshot the state of the servers, in place of all they have.

        It is the path of a file, bytes, or an async iterable of bytes with its `length`. A file and
        bytes are checked first: InvalidRequestError when they are damaged, and nothing is sent. Of
        an iterable only Consul can tell, at its end: BadRequestError. `progress` is called with the
        number of bytes sent so far.

        It is sent once, and must be sent and restored within the call's time-out, which is 30 s
        unless set otherwise (`c.using(timeout=600)`). An OutcomeUnknownError leaves it open whether
        it was restored.

        PUT /v1/snapshot
        https://developer.hashicorp.com/consul/api-docs/snapshot#restore-snapshot
        """
        if isinstance(source, (str, os.PathLike, bytes)):
            if length is not None:
                raise InvalidRequestError(
                    "only an async iterable comes with a length", operation="snapshot.restore"
                )
            with opened(source) as file:
                await _verify(file)
                length = file.tell()
                file.seek(0)
                await self._send(_read(file), length, progress)
        elif isinstance(source, AsyncIterable):
            if not isinstance(length, int) or isinstance(length, bool) or length < 1:
                raise InvalidRequestError(
                    "an async iterable needs its length in bytes", operation="snapshot.restore"
                )
            await self._send(aiter(source), length, progress)
        else:
            raise InvalidRequestError(
                f"a snapshot is a path, bytes or an async iterable, not {type(source).__name__}",
                operation="snapshot.restore",
            )

    def _stream(self, operation: str) -> AbstractAsyncContextManager[Stream]:
        return self._wire.stream(
            operation,
            "/v1/snapshot",
            takes=Takes.DATACENTER | Takes.CONSISTENCY,
            # The server has all of it when it begins to send.
            silence=self._wire.line.attempt_timeout,
        )

    async def _send(
        self, chunks: AsyncIterator[bytes], length: int, progress: Callable[[int], None] | None
    ) -> None:
        try:
            await self._wire.ask(
                *("snapshot.restore", "PUT", "/v1/snapshot"),
                content=Upload(chunks, length, progress),
                takes=Takes.DATACENTER,
            )
        finally:
            # Consul may refuse what it has not read to the end.
            if isinstance(chunks, AsyncGenerator):
                await chunks.aclose()


# -- files ---------------------------------------------------------------------------------------

# Read and written in the event loop: 64 KiB take some 20 µs, a seventh of the way to a thread and
# back. To wait for the disk at the end would take long, so that is done every few megabytes.


@contextmanager
def _replacing(path: str | os.PathLike[str]) -> Iterator[Callable[[bytes], None]]:
    """Write a file that takes its place when the block ends well, and is gone otherwise."""
    target = Path(path)
    # Readable by its owner only.
    descriptor, name = mkstemp(prefix=".snapshot-", dir=target.parent)
    try:
        with open(descriptor, "wb") as file:  # noqa: PTH123 (Path takes no descriptor)
            unsynced = 0

            def write(chunk: bytes) -> None:
                nonlocal unsynced
                file.write(chunk)
                unsynced += len(chunk)
                if unsynced >= _SYNCED_AT_ONCE:
                    _sync(file)
                    unsynced = 0

            yield write
            _sync(file)
        Path(name).replace(target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _sync(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


async def _verify(file: BinaryIO) -> None:
    archive = Archive()
    with refused("snapshot.restore"):
        for piece in pieces(file):
            archive.feed(piece)
            await checkpoint()
        archive.finish()


async def _read(file: BinaryIO) -> AsyncGenerator[bytes, None]:
    for piece in pieces(file):
        yield piece
