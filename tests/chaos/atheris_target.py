"""
Damage led by coverage: `python -m tests.chaos.atheris_target answers corpus/ -max_total_time=3600`.

By hand, on Linux, in an environment of its own:

    python -m venv .venv-atheris
    .venv-atheris/bin/pip install atheris pytest --editable '.[fast,trio]'

The first argument says what is to be hurt:

* `answers`: the whole client. The bytes that are made up are an answer: the first two say which
  method of the API is called, the next two the status and whether it is packed, the rest is the
  body.
* `http`: all of it with both parsers of HTTP. The first two bytes say the same, the third how long
  the pieces are in which the network tells the rest.
* `parsers`: what reads durations, indexes and other headers, times to wait, addresses, keys and
  snapshots, each of them by itself. The first byte says which.

The folder must be there, and is where it keeps what it has learnt; an empty one is filled with good
answers first. The other arguments are libFuzzer's. Whatever comes must end in a value or in an
error of the package's own tree. Anything else, or what takes ten seconds, stops it with a traceback
and leaves a file `crash-...` or `timeout-...`; the same command with that file in the folder's
place repeats it.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import math
import sys
import tarfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final
from urllib.parse import unquote

import atheris  # pyright: ignore[reportMissingImports]

with atheris.instrument_imports(include=["consul_onex", "h11"]):  # pyright: ignore
    import httpx

    from consul_onex import ConsulClient, ConsulError, QueryMeta
    from consul_onex._address import Address
    from consul_onex._archive import Archive, DamagedArchiveError
    from consul_onex._duration import format_duration, parse_duration
    from consul_onex._path import key_path, raw_path, segment
    from consul_onex.transport import Connections
    from consul_onex.transport.body import _framing
    from consul_onex.transport.retry import retry_after
    from tests.chaos.fuzz import HTTPS, Below, Wire, layers, wired
    from tests.chaos.mutate import Raw
    from tests.walk.case import Case
    from tests.walk.test_walk import CASES

STATUSES: Final = [200, 200, 200, 200, 404, 403, 409, 429, 500, 500, 503, 301, 204, 999]

INDEX: Final[tuple[bytes, bytes]] = (b"X-Consul-Index", b"7")


class Target:
    """Clients that live as long as the process, and the loop that they live on."""

    def __init__(self) -> None:
        self._loop = asyncio.Runner()

    def run(self, case: Case, c: ConsulClient) -> None:
        self._loop.run(self._call(case, c))

    async def _call(self, case: Case, c: ConsulClient) -> None:
        with contextlib.suppress(ConsulError):
            await case.call(c)


class Answers(Target):
    """Below the layers."""

    def __init__(self) -> None:
        super().__init__()
        self._below = Below()
        self._client = ConsulClient(transport=self._below, layers=layers(), check_server=False)

    def __call__(self, data: bytes) -> None:
        if len(data) < 4:
            return
        status, body = STATUSES[data[2] % len(STATUSES)], data[4:]
        headers: list[tuple[bytes, bytes]] = [INDEX]
        if data[3] % 4 == 0:
            headers.append((b"Content-Encoding", b"gzip"))
            body = zlib.compress(body, 1, zlib.MAX_WBITS | 16) if data[3] % 8 else body
        self._below.answer = Raw(status, headers, body)
        self.run(_case(data), self._client)

    @staticmethod
    def seeds() -> Iterator[bytes]:
        for number, case in enumerate(CASES):
            yield number.to_bytes(2, "big") + b"\0\1" + Raw.of(case.response()).body


class Bytes(Target):
    """Below HTTP."""

    def __init__(self) -> None:
        super().__init__()
        self._wire = Wire()
        self._clients = [
            ConsulClient(transport=Connections(http=http), layers=layers(), check_server=False)
            for http in HTTPS
        ]

    def __call__(self, data: bytes) -> None:
        if len(data) < 3:
            return
        self._wire.piece, self._wire.data = data[2] or 65536, data[3:]
        with wired(self._wire):
            for c in self._clients:
                self.run(_case(data), c)

    @staticmethod
    def seeds() -> Iterator[bytes]:
        for number, case in enumerate(CASES):
            status, headers, body = Raw.of(case.response())
            lines = [b"HTTP/1.1 %d OK" % status, *(b"%b: %b" % pair for pair in headers)]
            length = b"Content-Length: %d" % len(body)
            head = b"\r\n".join([*lines, length, b"", b""])
            yield number.to_bytes(2, "big") + bytes([number % 3 * 7]) + head + body
            chunked = b"\r\n".join([*lines, b"Transfer-Encoding: chunked", b"", b""])
            chunk = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
            yield number.to_bytes(2, "big") + b"\0" + chunked + chunk + b"0\r\n\r\n"


class Parsers:
    """Each by itself. What it reads, it must read as what it is."""

    def __init__(self) -> None:
        self._each: list[Callable[[bytes], None]] = [
            *(_duration, _written, _meta, _waiting, _length, _address, _names, _snapshot)
        ]

    def __call__(self, data: bytes) -> None:
        if data:
            with contextlib.suppress(ConsulError):
                self._each[data[0] % len(self._each)](data[1:])

    @staticmethod
    def seeds() -> Iterator[bytes]:
        yield from (b"\0" + text for text in (b"1h2m3.5s", b"-9.5us", b"100ms", b"0"))
        yield from (b"\1" + text for text in (b"0.001", b"1e300", b"7"))
        yield from (b"\2" + text for text in (b"7", b"18446744073709551615", b"true", b"HIT"))
        yield from (b"\3" + text for text in (b"120", b"Mon, 01 Jan 2029 00:00:00 GMT"))
        yield from (b"\4" + text for text in (b"10\ngzip", b"0\nidentity"))
        yield from (b"\5" + text for text in (b"http://[::1]:8500/p", b"unix:///s", b"a:1"))
        yield from (b"\6" + text for text in (b"a/b", b"/v1/kv/a%2Fb", b"..", "é".encode()))
        yield b"\7" + _archive()


def _case(data: bytes) -> Case:
    return CASES[int.from_bytes(data[:2], "big") % len(CASES)]


def _text(data: bytes) -> str:
    return data.decode("utf-8", errors="surrogateescape")


def _duration(data: bytes) -> None:
    assert abs(parse_duration(_text(data))) <= 2**63 / 1e9


def _written(data: bytes) -> None:
    try:
        seconds = float(_text(data))
    except ValueError:
        return
    read = parse_duration(format_duration(seconds))
    assert math.isclose(read, seconds, rel_tol=1e-12, abs_tol=0.001)
    assert (read == 0) is (seconds == 0)


def _meta(data: bytes) -> None:
    names = (
        b"X-Consul-Index",
        b"X-Consul-LastContact",
        b"Age",
        b"X-Consul-KnownLeader",
        b"X-Cache",
    )
    meta = QueryMeta.from_headers([(name, data) for name in names])
    assert meta.index is None or 0 <= meta.index < 2**64
    assert meta.index is None or data.isdigit()


def _waiting(data: bytes) -> None:
    headers = [(b"Retry-After", data), (b"Date", b"Mon, 01 Jan 2029 00:00:00 GMT")]
    pause = retry_after(httpx.Response(429, headers=headers))
    assert pause is None or pause >= 0


def _length(data: bytes) -> None:
    length, _, coding = data.partition(b"\n")
    headers = [(b"Content-Length", length), (b"Content-Encoding", coding)]
    announced, _ = _framing(httpx.Response(200, headers=headers))
    assert announced >= 0


def _address(data: bytes) -> None:
    address = Address.parse(_text(data))
    if address.socket is None:
        assert Address.parse(address.url) == address


def _names(data: bytes) -> None:
    name = _text(data)
    with contextlib.suppress(ConsulError):
        assert _arrives(key_path(name)) == "/v1/kv/" + name
    with contextlib.suppress(ConsulError):
        assert _arrives("/v1/catalog/service/" + segment(name)) == "/v1/catalog/service/" + name
    with contextlib.suppress(ConsulError):
        assert ".." not in _arrives(raw_path(name)).split("/")


def _arrives(path: str) -> str:
    url = httpx.URL("http://agent" + path)
    assert not url.query
    assert not url.fragment
    return unquote(url.raw_path.decode("ascii"))


def _archive() -> bytes:
    """What is in a snapshot, before it is packed."""
    meta, state = b'{"ID": "2-10-1", "Index": 10, "Term": 2, "Version": 1}', b"state"
    sums = "".join(
        f"{hashlib.sha256(content).hexdigest()}  {name}\n"
        for name, content in (("meta.json", meta), ("state.bin", state))
    )
    blocks = b""
    for name, content in (("meta.json", meta), ("state.bin", state), ("SHA256SUMS", sums.encode())):
        header = tarfile.TarInfo(name)
        header.size = len(content)
        blocks += header.tobuf() + content + bytes(-len(content) % 512)
    return blocks + bytes(1024)


def _snapshot(data: bytes) -> None:
    with contextlib.suppress(DamagedArchiveError):
        archive = Archive()
        archive.feed(zlib.compress(data, 0, zlib.MAX_WBITS | 16))
        archive.finish()


TARGETS: Final[dict[str, type[Answers | Bytes | Parsers]]] = {
    "answers": Answers,
    "http": Bytes,
    "parsers": Parsers,
}


def main() -> None:
    program, target, *options = sys.argv
    chosen = TARGETS[target]()
    for folder in (Path(option) for option in options if not option.startswith("-")):
        if folder.is_dir() and not any(folder.iterdir()):
            for number, seed in enumerate(chosen.seeds()):
                (folder / f"good-{number}").write_bytes(seed)
    atheris.Setup([program, "-timeout=10", *options], chosen)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
