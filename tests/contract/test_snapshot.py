"""Snapshots of a real server: saved, checked, restored, and damaged on the way."""

from __future__ import annotations

import gzip
import io
import json
import os
import stat
import subprocess
import sys
import tarfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import anyio
import pytest

from consul_onex import (
    TLS,
    BadRequestError,
    ConsulClient,
    ConsulConnectionError,
    DecodeError,
    InvalidRequestError,
    NoLeaderError,
    OutcomeUnknownError,
    PermissionDeniedError,
    UnknownDatacenterError,
)
from consul_onex._archive import verify_snapshot
from consul_onex.transport import Deadline
from tests.contract.conftest import Recorder
from tests.support.agents import Agent, Cluster
from tests.support.archives import files as archive_files
from tests.support.archives import packed, snapshot, tar
from tests.support.fault_server import Answer, Seen, Then, fault_server, reply
from tests.support.lossless import lost
from tests.test_cancellation import sockets_to

MIB: Final = 1024 * 1024


@pytest.fixture
async def fresh(fresh_agent: Agent) -> AsyncIterator[ConsulClient]:
    """A client of a server of its own."""
    async with ConsulClient(fresh_agent.url) as client:
        yield client


async def stored(c: ConsulClient) -> dict[str, bytes]:
    return {pair.key: pair.value for pair in await c.kv.list("")}


def names(directory: Path) -> list[str]:
    return sorted(os.listdir(directory))  # noqa: PTH208


async def read(c: ConsulClient) -> bytes:
    async with c.snapshot.stream() as chunks:
        return b"".join([chunk async for chunk in chunks])


# -- saved and restored --------------------------------------------------------------------------


async def test_what_was_saved_is_what_there_is_again(fresh: ConsulClient, tmp_path: Path) -> None:
    path = tmp_path / "consul.snap"
    await fresh.kv.put("a", b"old")
    for number in range(20):
        await fresh.kv.put(f"large/{number}", os.urandom(500_000))
    before = await stored(fresh)

    info = await fresh.snapshot.save(path)
    await fresh.kv.put("a", b"new")
    await fresh.kv.delete("large/7")
    await fresh.kv.put("b", b"new")
    await fresh.snapshot.restore(path)

    assert await stored(fresh) == before
    assert info.size > 10_000_000
    assert verify_snapshot(path) == info
    assert names(tmp_path) == ["consul.snap"]
    with tarfile.open(path) as archive:
        meta = archive.extractfile("meta.json")
        assert meta is not None
        assert lost(json.load(meta), info) == []


async def test_only_its_owner_can_read_a_snapshot(c: ConsulClient, tmp_path: Path) -> None:
    path = tmp_path / "consul.snap"
    path.write_bytes(b"before")
    path.chmod(0o644)

    await c.snapshot.save(str(path))

    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_bytes() != b"before"


async def test_a_snapshot_can_be_restored_from_memory_and_from_a_stream(
    fresh: ConsulClient,
) -> None:
    await fresh.kv.put("a", b"old")
    data = await read(fresh)

    async def pieces() -> AsyncIterator[bytes]:
        for at in range(0, len(data), 100):
            yield data[at : at + 100]

    await fresh.kv.put("a", b"new")
    await fresh.snapshot.restore(data)
    assert await stored(fresh) == {"a": b"old"}
    await fresh.kv.put("a", b"new")
    await fresh.snapshot.restore(pieces(), length=len(data))
    assert await stored(fresh) == {"a": b"old"}
    # Neither is every iterable a generator.
    send, receive = anyio.create_memory_object_stream[bytes](1)
    await send.send(data)
    await send.aclose()
    await fresh.kv.put("a", b"new")
    async with receive:
        await fresh.snapshot.restore(receive, length=len(data))
    assert await stored(fresh) == {"a": b"old"}


async def test_progress_is_told_in_bytes(fresh: ConsulClient, tmp_path: Path) -> None:
    path = tmp_path / "consul.snap"
    await fresh.kv.put("a", os.urandom(500_000))
    saved: list[int] = []
    restored: list[int] = []

    await fresh.snapshot.save(path, progress=saved.append)
    await fresh.snapshot.restore(path, progress=restored.append)

    for seen in (saved, restored):
        assert len(seen) > 5
        assert seen == sorted(seen)
        assert seen[-1] == path.stat().st_size


async def test_a_stream_says_how_old_it_is(c: ConsulClient) -> None:
    async with c.using(consistency="stale").snapshot.stream() as chunks:
        meta = chunks.meta

    assert (meta.index or 0) > 0
    assert meta.last_contact == 0.0


async def test_any_server_has_a_snapshot_while_there_is_no_leader(
    cluster: Cluster, tmp_path: Path
) -> None:
    leader = cluster.wait_leader()
    other, last = cluster.followers()
    leader.kill()
    other.kill()

    async with ConsulClient(last.url, layers=[Deadline(30)]) as c:
        with anyio.fail_after(60):
            async for leader_address in c.poll(c.status.leader, 0.1):
                if leader_address is None:
                    break
        with pytest.raises(NoLeaderError):
            await c.snapshot.save(tmp_path / "consul.snap")
        info = await c.using(consistency="stale").snapshot.save(tmp_path / "stale.snap")

    assert len(info.configuration.servers) == 3
    assert names(tmp_path) == ["stale.snap"]


async def test_a_datacenter_that_is_none_has_no_snapshot(c: ConsulClient, tmp_path: Path) -> None:
    view = c.using(datacenter="nowhere")

    with pytest.raises(UnknownDatacenterError):
        await view.snapshot.save(tmp_path / "consul.snap")
    with pytest.raises(UnknownDatacenterError):
        await view.snapshot.restore(snapshot())
    assert names(tmp_path) == []


@pytest.mark.parametrize("size", [1, 50])
async def test_who_may_not_is_told_so_however_much_there_is_to_send(
    acl_agent: Agent, tmp_path: Path, size: int
) -> None:
    """Consul refuses it before it has read it, and does not read on."""

    async def zeros() -> AsyncIterator[bytes]:
        for _ in range(size * 16):
            yield bytes(MIB // 16)

    async with ConsulClient(acl_agent.url) as c:
        with pytest.raises(PermissionDeniedError):
            await c.snapshot.save(tmp_path / "consul.snap")
        with pytest.raises(PermissionDeniedError):
            await c.snapshot.restore(snapshot())
        with pytest.raises(PermissionDeniedError):
            await c.snapshot.restore(zeros(), length=size * MIB)
    assert names(tmp_path) == []


async def test_a_snapshot_goes_over_tls(tls_agent: Agent) -> None:
    """Read to its end, and only then refused: the agent is shared, and keeps its state."""
    assert tls_agent.tls is not None
    files = tls_agent.tls
    tls = TLS(ca_file=files.ca_file, client_cert=files.client_cert, client_key=files.client_key)
    other = archive_files(os.urandom(MIB)) | {"state.bin": os.urandom(MIB)}
    damaged = packed(other.items())

    async def pieces() -> AsyncIterator[bytes]:
        for at in range(0, len(damaged), 10_000):
            yield damaged[at : at + 10_000]

    async with ConsulClient(tls_agent.url, tls=tls) as c:
        await read(c)
        with pytest.raises(BadRequestError, match="hash check failed"):
            await c.snapshot.restore(pieces(), length=len(damaged))


# -- damaged -------------------------------------------------------------------------------------


@pytest.mark.parametrize("given", ["a path", "bytes"])
async def test_a_damaged_snapshot_is_not_sent(
    observed: ConsulClient, recorder: Recorder, tmp_path: Path, given: str
) -> None:
    whole = await read(observed)
    content = gzip.decompress(whole)
    recorder.requests.clear()
    damaged = {
        "cut": whole[:-5],
        "half": whole[: len(whole) // 2],
        "a flipped bit in its packing": flipped(whole, len(whole) // 2),
        "a flipped bit in its state": gzip.compress(flipped(content, 1500)),
        "a wrong sum": gzip.compress(flipped(content, len(content) - 1500)),
        "no SHA256SUMS": gzip.compress(content[:-2048] + bytes(1024)),
        "empty": b"",
        "not packed": content,
        "another tar": packed([("other", b"file")]),
        "more after it": whole + whole,
    }

    for name, data in damaged.items():
        path = tmp_path / "damaged.snap"
        path.write_bytes(data)
        with pytest.raises(InvalidRequestError, match="the snapshot is damaged") as caught:
            await observed.snapshot.restore(path if given == "a path" else data)
        assert caught.value.operation == "snapshot.restore", name
        with pytest.raises(InvalidRequestError, match="the snapshot is damaged"):
            verify_snapshot(path if given == "a path" else data)

    assert recorder.requests == []


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


async def test_of_a_stream_consul_tells_that_it_is_damaged_and_keeps_what_it_has(
    fresh: ConsulClient,
) -> None:
    await fresh.kv.put("a", b"old")
    whole = await read(fresh)
    await fresh.kv.put("a", b"new")
    content = gzip.decompress(whole)
    damaged = [
        whole[: len(whole) // 2],
        whole[:-8] + bytes(4) + whole[-4:],
        whole[:-10] + bytes(10),
        whole + bytes(100),
        gzip.compress(flipped(content, 1500)),
        gzip.compress(content[:-2048] + bytes(1024)),
        gzip.compress(content + bytes(512)),
        b"not packed",
    ]

    for data in damaged:

        async def pieces(data: bytes = data) -> AsyncIterator[bytes]:
            yield data

        with pytest.raises(BadRequestError):
            await fresh.snapshot.restore(pieces(), length=len(data))
        # Ours are no worse than Consul's eyes.
        with pytest.raises(InvalidRequestError):
            verify_snapshot(data)

    assert await stored(fresh) == {"a": b"new"}


async def test_consul_looks_at_nothing_but_the_sums(fresh: ConsulClient) -> None:
    """Built anew, file by file, in another order."""
    await fresh.kv.put("a", b"old")
    whole = await read(fresh)
    with tarfile.open(fileobj=io.BytesIO(whole)) as archive:
        files = [(m.name, content.read()) for m in archive if (content := archive.extractfile(m))]
    await fresh.kv.put("a", b"new")

    await fresh.snapshot.restore(gzip.compress(tar(reversed(files))))

    assert await stored(fresh) == {"a": b"old"}


async def test_a_stream_of_another_length_is_not_restored(fresh: ConsulClient) -> None:
    whole = await read(fresh)
    await fresh.kv.put("a", b"new")

    async def pieces() -> AsyncIterator[bytes]:
        yield whole

    for length in (len(whole) - 1, len(whole) + 1):
        with pytest.raises(InvalidRequestError, match=f"the {length} bytes that were promised"):
            await fresh.snapshot.restore(pieces(), length=length)

    assert await stored(fresh) == {"a": b"new"}


class OopsError(Exception):
    pass


async def test_a_stream_that_fails_is_not_restored(fresh: ConsulClient) -> None:
    whole = await read(fresh)
    await fresh.kv.put("a", b"new")

    async def pieces() -> AsyncIterator[bytes]:
        yield whole[:100]
        raise OopsError

    with pytest.raises(OopsError):
        await fresh.snapshot.restore(pieces(), length=len(whole))

    assert await stored(fresh) == {"a": b"new"}


@pytest.mark.parametrize(
    ("source", "length", "problem"),
    [
        (b"", 5, "only an async iterable comes with a length"),
        ("x.snap", 5, "only an async iterable comes with a length"),
        (5, None, "not int"),
        ([b"x"], 1, "not list"),
        (None, None, "not NoneType"),
    ],
)
async def test_what_is_no_snapshot_is_not_sent(
    observed: ConsulClient, recorder: Recorder, source: object, length: int | None, problem: str
) -> None:
    with pytest.raises(InvalidRequestError, match=problem):
        await observed.snapshot.restore(source, length=length)  # type: ignore[arg-type]

    assert recorder.requests == []


@pytest.mark.parametrize("length", [None, 0, -1, True, 1.0])
async def test_a_stream_needs_a_length(
    observed: ConsulClient, recorder: Recorder, length: int | None
) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b""

    with pytest.raises(InvalidRequestError, match="needs its length"):
        await observed.snapshot.restore(pieces(), length=length)

    assert recorder.requests == []


# -- files ---------------------------------------------------------------------------------------


async def test_a_place_that_cannot_be_written_is_told_before_anybody_is_asked(
    observed: ConsulClient, recorder: Recorder, tmp_path: Path
) -> None:
    with pytest.raises(FileNotFoundError):
        await observed.snapshot.save(tmp_path / "none" / "consul.snap")
    with pytest.raises(FileNotFoundError):
        await observed.snapshot.restore(tmp_path / "none.snap")
    with pytest.raises(FileNotFoundError):
        verify_snapshot(tmp_path / "none.snap")

    assert recorder.requests == []


async def test_a_place_that_is_taken_by_a_directory_stays_as_it_is(
    c: ConsulClient, tmp_path: Path
) -> None:
    directory = tmp_path / "consul.snap"
    directory.mkdir()

    with pytest.raises(OSError, match="irectory"):
        await c.snapshot.save(directory)

    assert names(tmp_path) == ["consul.snap"]
    assert directory.is_dir()


# -- broken off ----------------------------------------------------------------------------------

WHOLE: Final = snapshot(os.urandom(200_000))


async def test_a_snapshot_that_arrives_damaged_is_not_kept(tmp_path: Path) -> None:
    path = tmp_path / "consul.snap"
    path.write_bytes(b"before")
    answers = [
        reply(body=WHOLE[:-100]),
        # As when the server fails after it has begun, and says so.
        reply(body=WHOLE[:-100] + b"failed to stream snapshot"),
        reply(body=b""),
    ]

    async with fault_server(answers) as server, ConsulClient(server.url) as c:
        for _ in answers:
            with pytest.raises(DecodeError, match="the snapshot is damaged") as caught:
                await c.snapshot.save(path)
            assert caught.value.operation == "snapshot.save"

    assert path.read_bytes() == b"before"
    assert names(tmp_path) == ["consul.snap"]


async def test_a_save_that_is_cancelled_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "consul.snap"
    half = reply(body=WHOLE, cut=100_000, then=Then.HANG)
    during: list[str] = []

    def look(_: int) -> None:
        during[:] = names(tmp_path)
        begun.set()

    begun = anyio.Event()
    async with (
        fault_server([half, reply(body=WHOLE)]) as server,
        ConsulClient(server.url) as c,
    ):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: c.snapshot.save(path, progress=look))
            await begun.wait()
            tasks.cancel_scope.cancel()
        left = names(tmp_path)
        await server.wait_open(0)
        sockets = sockets_to(server.port)
        await c.snapshot.save(path)

    assert len(during) == 1
    assert during[0].startswith(".snapshot-")
    assert left == []
    assert sockets == 0
    assert path.read_bytes() == WHOLE


async def test_a_restore_that_is_cancelled_leaves_no_connection(
    fresh: ConsulClient, fresh_agent: Agent
) -> None:
    whole = await read(fresh)
    await fresh.kv.put("a", b"new")
    begun = anyio.Event()
    closed = False

    async def pieces() -> AsyncIterator[bytes]:
        nonlocal closed
        try:
            yield whole[:100]
            begun.set()
            await anyio.sleep_forever()
        finally:
            closed = True

    async with ConsulClient(fresh_agent.url) as c:
        sockets = sockets_to(fresh_agent.port)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lambda: c.snapshot.restore(pieces(), length=len(whole)))
            await begun.wait()
            assert sockets_to(fresh_agent.port) == sockets + 1
            tasks.cancel_scope.cancel()

        assert closed
        assert sockets_to(fresh_agent.port) == sockets
    assert await stored(fresh) == {"a": b"new"}


async def test_an_agent_that_dies_in_the_middle_leaves_nothing(
    fresh_agent: Agent, tmp_path: Path
) -> None:
    async with ConsulClient(fresh_agent.url) as c:
        for number in range(20):
            await c.kv.put(f"large/{number}", os.urandom(500_000))
        path = tmp_path / "consul.snap"

        with pytest.raises(ConsulConnectionError) as caught:
            # More than the system holds on the way.
            await c.snapshot.save(path, progress=lambda _: fresh_agent.kill())

    assert caught.value.operation == "snapshot.save"
    assert names(tmp_path) == []


async def test_an_agent_that_dies_during_a_restore_leaves_it_open(fresh_agent: Agent) -> None:
    async with ConsulClient(fresh_agent.url) as c:
        whole = await read(c)

        async def pieces() -> AsyncIterator[bytes]:
            yield whole[:100]
            fresh_agent.kill()
            yield whole[100:]

        with pytest.raises(OutcomeUnknownError) as caught:
            await c.snapshot.restore(pieces(), length=len(whole))

    assert caught.value.operation == "snapshot.restore"


async def test_a_restore_is_never_sent_twice() -> None:
    def refuse(_: Seen) -> Answer:
        return reply(500, b"No cluster leader")

    async with fault_server(refuse) as server, ConsulClient(server.url) as c:
        with pytest.raises(NoLeaderError, match="not sent again"):
            await c.snapshot.restore(WHOLE)

        assert len(server.requests) == 1
        assert server.requests[0].body == WHOLE
        assert server.requests[0].headers["content-length"] == str(len(WHOLE))
        assert "transfer-encoding" not in server.requests[0].headers


# -- in space ------------------------------------------------------------------------------------

MEGABYTES: Final = int(os.environ.get("SNAPSHOT_MB", "48"))

PROGRAM: Final = """
import resource, sys, time
import anyio
from consul_onex import ConsulClient

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024

async def main(url, small, large):
    async with ConsulClient(url, timeout=100) as c:
        await c.snapshot.save(small)
        await c.snapshot.restore(small)
        before, start = peak(), time.perf_counter()
        await c.snapshot.save(large)
        saved = time.perf_counter()
        await c.snapshot.restore(large)
        print(peak() - before, f"{saved - start:.1f}", f"{time.perf_counter() - saved:.1f}")

anyio.run(main, *sys.argv[2:], backend=sys.argv[1])
"""
"""The small one is the first of two, so that all is loaded and has its usual size."""


async def test_the_size_of_a_snapshot_is_no_matter_of_memory(
    fresh_agent: Agent, anyio_backend: str, tmp_path: Path
) -> None:
    """`SNAPSHOT_MB=200` makes it larger; then it takes half a minute."""
    small, large = tmp_path / "small.snap", tmp_path / "large.snap"
    value = os.urandom(500_000)

    async with ConsulClient(fresh_agent.url, timeout=100) as c:
        await c.kv.put("small", b"")
        for number in range(2 * MEGABYTES):
            # Otherwise it would be packed to nothing.
            await c.kv.put(f"large/{number}", value[number:] + value[:number])
        ran = await anyio.run_process(
            [sys.executable, "-c", PROGRAM, anyio_backend, fresh_agent.url, small, large],
            stderr=subprocess.STDOUT,
            check=False,
        )

    said = ran.stdout.decode()
    print(f"{MEGABYTES} MB on {anyio_backend}: MiB, seconds to save, to restore: {said}")
    assert ran.returncode == 0, said
    assert large.stat().st_size > MEGABYTES * 900_000
    assert int(said.split()[0]) < min(MEGABYTES / 4, 50)
