"""A snapshot's archive: whole, or damaged in every way."""

from __future__ import annotations

import base64
import gzip
import hashlib
import os
import tracemalloc
import zlib
from collections.abc import Iterator
from pathlib import Path
from tarfile import PAX_FORMAT, TarInfo

import pytest

from consul_onex import InvalidRequestError
from consul_onex._archive import Archive, DamagedArchiveError, verify_snapshot
from consul_onex.models.snapshot import SnapshotConfiguration, SnapshotInfo, SnapshotServer
from tests.support.archives import META, files, packed, snapshot, tar
from tests.support.lossless import lost

MIB = 1024 * 1024

INFO = SnapshotInfo(
    version=1,
    id="2-12-1795443282667",
    index=12,
    term=2,
    peers=base64.b64decode("ka8xMjcuMC4wLjE6MjE0MzE="),
    configuration=SnapshotConfiguration(
        servers=[
            SnapshotServer(
                suffrage=0,
                id="3831a99e-6613-1f93-9d0c-57dbdf5ec96e",
                address="127.0.0.1:21431",
            )
        ]
    ),
    configuration_index=1,
    size=700,
)


def read(data: bytes, piece: int = 1 << 30) -> SnapshotInfo:
    archive = Archive()
    for at in range(0, len(data), piece):
        archive.feed(data[at : at + piece])
    return archive.finish()


@pytest.mark.parametrize("piece", [1, 7, 511, 1 << 20])
def test_a_whole_one_says_what_it_is(piece: int) -> None:
    info = read(snapshot(), piece)

    assert info == INFO
    assert lost(dict(META), info) == []


@pytest.mark.parametrize("size", [0, 1, 511, 512, 513, 300_000])
def test_a_state_may_have_any_size(size: int) -> None:
    assert read(snapshot(os.urandom(size)), 4096).size == size


def test_the_size_of_a_large_state_is_in_a_header_of_its_own() -> None:
    whole = files()
    entry = TarInfo("state.bin")
    # What no header of the old kind can say. There, Go writes 0.
    entry.size = 8 * 1024**3
    extended = entry.tobuf(PAX_FORMAT)[:-512].replace(b"size=8589934592", b"size=0000000700")
    assert b"size=0000000700" in extended
    header = TarInfo("state.bin").tobuf()
    content = whole["state.bin"] + bytes(-700 % 512)
    rest = tar([("SHA256SUMS", whole["SHA256SUMS"])])
    first = tar([("meta.json", whole["meta.json"])])[:-1024]

    assert read(gzip.compress(first + extended + header + content + rest)).size == 700


def test_an_extended_header_without_a_size_changes_nothing() -> None:
    entry = TarInfo("state.bin")
    entry.pax_headers = {"comment": "none"}
    extended = entry.tobuf(PAX_FORMAT)[:-512]

    assert read(gzip.compress(extended + tar(files().items()))) == INFO


WHOLE = snapshot()
FILES = files()
TAR = tar(FILES.items())


def without(name: str) -> bytes:
    return packed([(key, content) for key, content in FILES.items() if key != name])


def with_(name: str, content: bytes) -> bytes:
    return packed((FILES | {name: content}).items())


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


NO_SUCH_FILE = "a file that no snapshot has"

DAMAGED = {
    "nothing": (b"", "ends before its end"),
    "not packed": (b"hello" * 100, "cannot be unpacked"),
    "packed nothing": (gzip.compress(b""), "ends before its end"),
    "no tar": (gzip.compress(b"hello" * 1000), "header that cannot be read"),
    "another sum of all": (WHOLE[:-8] + bytes(4) + WHOLE[-4:], "cannot be unpacked"),
    "more after it": (WHOLE + b"x", "goes on after its end"),
    "another one after it": (WHOLE + WHOLE, "goes on after its end"),
    "what tar pads": (gzip.compress(TAR + bytes(512)), "goes on after its end"),
    "a little more in it": (gzip.compress(TAR + b"x"), "goes on after its end"),
    "half an end": (gzip.compress(TAR[:-512]), "ends before its end"),
    "an end in the middle": (gzip.compress(TAR[:-1024] + bytes(512) + TAR), NO_SUCH_FILE),
    "a cut tar": (gzip.compress(TAR[:-1500]), "ends before its end"),
    "no meta.json": (without("meta.json"), "has no meta.json"),
    "no state.bin": (without("state.bin"), "has no state.bin"),
    "no SHA256SUMS": (without("SHA256SUMS"), "has no SHA256SUMS"),
    "empty SHA256SUMS": (with_("SHA256SUMS", b""), "meta.json has another sum"),
    "unreadable SHA256SUMS": (with_("SHA256SUMS", b"\xff\0\n" * 9), "meta.json has another sum"),
    "another state": (with_("state.bin", b"other"), "state.bin has another sum"),
    "other metadata": (with_("meta.json", b"{}"), "meta.json has another sum"),
    "a file too many": (packed([*FILES.items(), ("more", b"x")]), NO_SUCH_FILE),
    "a file twice": (packed([*FILES.items(), ("meta.json", b"x")]), NO_SUCH_FILE),
    "large metadata": (with_("meta.json", bytes(MIB + 1)), "meta.json is too large"),
    "large sums": (with_("SHA256SUMS", bytes(MIB + 1)), "SHA256SUMS is too large"),
}


@pytest.mark.parametrize("piece", [13, 1 << 30])
@pytest.mark.parametrize(("data", "problem"), DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_one_is_refused(data: bytes, problem: str, piece: int) -> None:
    with pytest.raises(DamagedArchiveError, match=problem) as caught:
        read(data, piece)

    assert caught.value.__cause__ is None


def test_metadata_that_cannot_be_read_is_not_quoted() -> None:
    # Its sum is right.
    whole = files()
    meta = b'{"Index": "many"}'
    sums = whole["SHA256SUMS"].splitlines(keepends=True)
    sums[0] = f"{hashlib.sha256(meta).hexdigest()}  meta.json\n".encode()
    data = packed((whole | {"meta.json": meta, "SHA256SUMS": b"".join(sums)}).items())

    with pytest.raises(DamagedArchiveError, match="meta.json cannot be read") as caught:
        read(data)

    assert caught.value.__context__ is None


def test_a_size_below_zero_is_refused() -> None:
    header = bytearray(TarInfo("state.bin").tobuf())
    header[124:136] = b"\xff" * 12
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)

    with pytest.raises(DamagedArchiveError, match=NO_SUCH_FILE):
        read(gzip.compress(bytes(header) + bytes(1024)))


@pytest.mark.parametrize("length", range(0, len(WHOLE), 7))
def test_one_that_was_cut_is_refused(length: int) -> None:
    with pytest.raises(DamagedArchiveError, match="ends before its end"):
        read(WHOLE[:length], 64)


def test_a_single_bit_that_changed_is_found_unless_it_says_nothing() -> None:
    # As it is with the time and the system in the packing's header, and a bit of padding.
    unfound = 0
    for at in range(len(WHOLE)):
        try:
            assert read(flipped(WHOLE, at)) == INFO
        except DamagedArchiveError:
            pass
        else:
            unfound += 1

    assert unfound < 10


def test_pieces_may_be_empty() -> None:
    archive = Archive()
    for piece in (b"", WHOLE[:50], b"", WHOLE[50:], b""):
        archive.feed(piece)

    assert archive.finish() == INFO


def test_nothing_may_follow_in_a_later_piece() -> None:
    archive = Archive()
    archive.feed(WHOLE)

    with pytest.raises(DamagedArchiveError, match="goes on after its end"):
        archive.feed(b"x")


@pytest.fixture
def memory() -> Iterator[None]:
    tracemalloc.start()
    yield
    tracemalloc.stop()


@pytest.mark.usefixtures("memory")
@pytest.mark.parametrize("piece", [64 * 1024, 1 << 30])
def test_a_large_state_takes_no_more_memory_than_a_small_one(piece: int) -> None:
    """100 MiB in 100 KiB: so is a bomb."""
    packer = zlib.compressobj(wbits=zlib.MAX_WBITS | 16)
    entry = TarInfo("state.bin")
    entry.size = 100 * MIB
    bomb = packer.compress(entry.tobuf())
    bomb += b"".join(packer.compress(bytes(MIB)) for _ in range(100))
    bomb += packer.compress(bytes(1024)) + packer.flush()
    tracemalloc.reset_peak()

    with pytest.raises(DamagedArchiveError, match="has no meta.json"):
        read(bomb, piece)

    assert tracemalloc.get_traced_memory()[1] < 2 * MIB


# -- one that was saved --------------------------------------------------------------------------


def test_a_saved_one_is_checked_in_its_file_or_in_memory(tmp_path: Path) -> None:
    path = tmp_path / "consul.snap"
    path.write_bytes(WHOLE)

    assert verify_snapshot(path) == verify_snapshot(str(path)) == verify_snapshot(WHOLE) == INFO


def test_a_saved_one_that_is_damaged_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "consul.snap"
    path.write_bytes(WHOLE[:-1])

    for source in (path, WHOLE[:-1]):
        with pytest.raises(InvalidRequestError, match="the snapshot is damaged: it ends"):
            verify_snapshot(source)


def test_one_that_is_not_there_is_the_systems_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        verify_snapshot(tmp_path / "consul.snap")
