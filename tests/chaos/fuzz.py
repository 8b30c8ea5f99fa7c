"""
`python -m tests.chaos.fuzz --runs 1000000 --seed 1`: damaged answers through the whole client.

Each run calls one method of the API, of all that there are, and answers it with a damaged answer:
in turns below the layers, where most of it is understood and is wrong in what it means, and as
bytes of the network below either parser of HTTP. Whatever comes
must end in a value or in an error of the package's own tree, use no second of the processor, and
leave no memory behind. A run is made of its seed and its number alone: `--only N` repeats it.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import time
import traceback
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final
from unittest import mock

import anyio
import httpcore
import httpx

from consul_onex import ConsulClient, ConsulError
from consul_onex.transport import (
    Breaker,
    Connections,
    Datacenters,
    Deadline,
    Events,
    Layer,
    Limit,
    Retry,
    _llhttp,
    _network,
)
from consul_onex.transport._connection import HTTP
from tests.chaos.memory import resident
from tests.chaos.mutate import Raw, damaged, damaged_bytes
from tests.walk.test_walk import CASES

__all__ = ["Below", "Fuzzed", "Wire", "fuzz", "layers", "wired"]

HTTPS: Final[tuple[HTTP, HTTP]] = ("h11", "fast")

WAYS: Final = (0, 1, 0, 2)
"""Which client is next: the one without HTTP, or one of each parser. The first is the cheapest."""

SLOWEST: Final = 1.0
"""Seconds of the processor that a call may take."""

GROWTH: Final = 32 * 1024
"""KiB that the process may grow by, after it has seen some of everything."""


class Below(httpx.AsyncBaseTransport):
    """Below the layers: answers with what is laid there."""

    def __init__(self) -> None:
        self.answer = Raw(200, [], b"")

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        status, headers, body = self.answer
        return httpx.Response(status, headers=headers, stream=_Body(body))


class _Body(httpx.AsyncByteStream):
    """A body in one piece. httpx's own is a generator, which nobody closes that stops early."""

    def __init__(self, body: bytes) -> None:
        self._rest = [body]

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        if not self._rest:
            raise StopAsyncIteration
        return self._rest.pop()


class Wire(httpcore.AsyncNetworkBackend):
    """Below HTTP: every connection says what is laid there, in pieces, and ends."""

    def __init__(self) -> None:
        self.data = b""
        self.piece = 65536

    async def connect_tcp(self, *_: Any, **__: Any) -> httpcore.AsyncNetworkStream:
        return _Bytes(self.data, self.piece)


class _Bytes(httpcore.AsyncNetworkStream):
    def __init__(self, data: bytes, piece: int) -> None:
        self._data = data
        self._piece = piece

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        size = min(max_bytes, self._piece)
        piece, self._data = self._data[:size], self._data[size:]
        return piece

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        pass

    async def aclose(self) -> None:
        pass

    def get_extra_info(self, info: str) -> Any:
        return None


@dataclass
class Fuzzed:
    """What came of some runs."""

    runs: int = 0
    ends: Counter[str] = field(default_factory=Counter)
    """How often what came out: the class of an error, or "a value"."""
    values: list[int] = field(default_factory=lambda: [0, 0, 0])
    """How often a value, below the layers and below each parser: no way may be a dead end."""
    slowest: float = 0.0
    growth: int = 0
    """KiB."""
    wrong: list[str] = field(default_factory=list)


def layers() -> list[Layer]:
    # All of them, and none that waits.
    retry = Retry(attempts=2, initial=0, max_retry_after=0, budget=10**9)
    return [
        *(Deadline(), Events(), retry),
        *(Datacenters(), Breaker(failures=10**9), Limit()),
    ]


@contextlib.contextmanager
def wired(wire: Wire) -> Iterator[None]:
    # A mock would keep every call that it gets.
    def opened() -> Wire:
        return wire

    with (
        mock.patch.object(_network, "network", opened),
        mock.patch.object(_llhttp, "network", opened),
    ):
        yield


async def fuzz(runs: int, seed: int, *, first: int = 0) -> Fuzzed:
    """Damage so many answers, and say how the client took them."""
    below, wire, fuzzed = Below(), Wire(), Fuzzed()
    shallow = ConsulClient(transport=below, layers=layers(), check_server=False)
    h11, fast = (
        ConsulClient(transport=Connections(http=http), layers=layers(), check_server=False)
        for http in HTTPS
    )
    answers = [(case, Raw.of(case.response())) for case in CASES]
    before = 0
    with wired(wire):
        async with shallow, h11, fast:
            for number in range(first, first + runs):
                if fuzzed.runs == min(5000, runs // 2):
                    before = resident()
                chance = Random(f"{seed}/{number}")
                case, answer = chance.choice(answers)
                way = WAYS[number % len(WAYS)]
                if way:
                    answer = damaged(answer, chance) if chance.random() < 0.3 else answer
                    data = answer.as_bytes(chance)
                    for _ in range(chance.randint(1, 3)):
                        data = damaged_bytes(data, chance)
                    wire.data, wire.piece = data, chance.choice([1 << 16, 1 << 16, 100, 7])
                else:
                    below.answer = damaged(answer, chance)
                c = (shallow, h11, fast)[way]
                if await _one(case, c, fuzzed, f"{seed}, run {number}"):
                    fuzzed.values[way] += 1
    fuzzed.growth = resident() - before
    return fuzzed


async def _one(case: Any, c: ConsulClient, fuzzed: Fuzzed, which: str) -> bool:
    """Whether there was a value."""
    started = time.thread_time()
    try:
        await case.call(c)
        end = "a value"
    except ConsulError as error:
        end = type(error).__name__
    except Exception as error:  # noqa: BLE001
        # Whatever it is, it is what is looked for here.
        end = f"{type(error).__name__}, which is no error of ours"
        fuzzed.wrong.append(f"seed {which}, {case}: {''.join(traceback.format_exception(error))}")
    took = time.thread_time() - started
    fuzzed.runs += 1
    fuzzed.ends[end] += 1
    fuzzed.slowest = max(fuzzed.slowest, took)
    if took > SLOWEST:
        fuzzed.wrong.append(f"seed {which}, {case}: took {took:.1f} s")
    return end == "a value"


def report(fuzzed: Fuzzed) -> Iterator[str]:
    """What was measured, a line each: name, target, figure."""
    undocumented = sum(n for end, n in fuzzed.ends.items() if "no error of ours" in end)
    yield f"S4 damaged answers | as many as asked for | {fuzzed.runs}"
    yield f"S4 errors outside of the tree | 0 | {undocumented}"
    yield f"S4 slowest call, s of the processor | {SLOWEST:g} | {fuzzed.slowest:.3f}"
    yield f"S4 growth, KiB | {GROWTH} | {fuzzed.growth}"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.fuzz")
    parser.add_argument("--runs", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--only", type=int, help="repeat this run")
    parser.add_argument("--backend", choices=["asyncio", "trio"], default="asyncio")
    given = parser.parse_args()
    runs, first = (given.runs, 0) if given.only is None else (1, given.only)
    started = time.monotonic()

    async def run() -> Fuzzed:
        return await fuzz(runs, given.seed, first=first)

    fuzzed = anyio.run(run, backend=given.backend)
    seconds = time.monotonic() - started
    print(f"seed {given.seed}: {runs} runs in {seconds:.0f} s ({runs / seconds:.0f} a second)")
    for end, number in fuzzed.ends.most_common():
        print(f"  {number:>9}  {end}")
    for line in report(fuzzed):
        print(line)
    for text in fuzzed.wrong[:20]:
        print(text)
    return bool(fuzzed.wrong) or fuzzed.growth > GROWTH


if __name__ == "__main__":
    sys.exit(main())
