"""Snapshots."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

from consul_onex import ConsulClient
from consul_onex.models.snapshot import SnapshotInfo
from tests.support.archives import snapshot
from tests.test_snapshot_archive import INFO
from tests.walk.case import EMPTY, Case

WHOLE = snapshot()


async def save(c: ConsulClient) -> tuple[SnapshotInfo, bytes]:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "consul.snap")
        return await c.snapshot.save(path), path.read_bytes()  # noqa: ASYNC240


async def stream(c: ConsulClient) -> bytes:
    async with c.snapshot.stream() as chunks:
        return b"".join([chunk async for chunk in chunks])


async def restore(c: ConsulClient) -> None:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "consul.snap")
        path.write_bytes(WHOLE)  # noqa: ASYNC240
        await c.snapshot.restore(path)


async def pieces() -> AsyncIterator[bytes]:
    yield b"any"
    yield b"thing"


CASES = [
    Case(
        "snapshot.save",
        save,
        "GET /v1/snapshot",
        takes="dc consistency",
        answer=WHOLE,
        result=(INFO, WHOLE),
    ),
    Case(
        "snapshot.stream",
        stream,
        "GET /v1/snapshot",
        takes="dc consistency",
        answer=b"as it is",
        result=b"as it is",
    ),
    Case(
        "snapshot.restore",
        restore,
        "PUT /v1/snapshot",
        takes="dc",
        body=WHOLE,
        answer=EMPTY,
        result=None,
    ),
    Case(
        "snapshot.restore",
        lambda c: c.snapshot.restore(WHOLE),
        "PUT /v1/snapshot",
        takes="dc",
        body=WHOLE,
        answer=EMPTY,
        result=None,
    ),
    Case(
        "snapshot.restore",
        lambda c: c.snapshot.restore(pieces(), length=8),
        "PUT /v1/snapshot",
        takes="dc",
        body=b"anything",
        answer=EMPTY,
        result=None,
    ),
]
