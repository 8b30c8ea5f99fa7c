"""Answers that are meant to hurt: what they cost, and that the client goes on."""

from __future__ import annotations

import gzip
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import anyio
import pytest

from consul_onex import ConsulConnectionError, ConsulError, ConsulTimeoutError, DecodeError
from tests.chaos.hostile import ATTEMPT
from tests.support.fault_server import Answer, Seen, Then, fault_server, raw, reply

MIB: Final = 1024 * 1024

GROWTH: Final = 32 * 1024
"""KiB that a hostile answer may cost."""

ROOM: Final = 3.0
"""Seconds over the attempt time-out, for a machine that is busy."""

GOOD: Final = reply(body=b'[{"Key": "good", "Value": "djE="}]')


@dataclass(frozen=True)
class Hostile:
    """An answer, what it must end in, and `max_response_bytes`."""

    answer: Callable[[], Answer]
    error: type[ConsulError] | tuple[type[ConsulError], ...]
    limit: int = 64 * MIB
    call: str = "list"


def packed(body: bytes, coding: str = "gzip") -> Answer:
    return reply(body=body, headers={"Content-Encoding": coding})


def bomb() -> bytes:
    return gzip.compress(b"[" + b" " * (300 * MIB) + b"]", 1)


def long_list(of: bytes) -> Answer:
    """64 MiB that do not say beforehand how many they are."""
    body = b"[" + (of + b",") * (64 * MIB // (len(of) + 1)) + of + b"]"
    return raw(b"HTTP/1.0 200 OK\r\n\r\n" + body)


# What an answer below the limit costs is for the limit to say.
SMALL: Final = 2 * MIB


def values(each: bytes) -> Answer:
    """As many as any answer may have, where a mistake takes the most."""
    rows = b",".join([each] * (15_900 // (each.count(b"{") + 1)))
    return reply(body=b'[{"Service":{"Proxy":{"Upstreams":[0,' + rows + b"]}}}]")


HOSTILE: Final = {
    "a gzip bomb, 300 MiB": Hostile(lambda: packed(bomb()), DecodeError, SMALL),
    "a gzip bomb in gzip": Hostile(
        lambda: packed(gzip.compress(bomb()), "gzip, gzip"), DecodeError
    ),
    "a gzip bomb in gzip that says so once": Hostile(
        lambda: packed(gzip.compress(bomb())), DecodeError
    ),
    "JSON that is 200,000 deep": Hostile(lambda: reply(body=b"[" * 200_000), DecodeError),
    "objects that are 200,000 deep": Hostile(lambda: reply(body=b'{"a":' * 200_000), DecodeError),
    "a list of 64 MiB, announced": Hostile(
        lambda: reply(headers={"Content-Length": str(64 * MIB + 1)}, then=Then.HANG), DecodeError
    ),
    "a list of 64 MiB, unannounced": Hostile(lambda: long_list(b"{}"), DecodeError, SMALL),
    "1 MiB of numbers for a list of pairs": Hostile(
        lambda: reply(body=b"[" + b"0," * (MIB // 2 - 8) + b"0]"), DecodeError, SMALL
    ),
    "16,000 numbers for upstreams": Hostile(lambda: values(b"0"), DecodeError, MIB // 2, "service"),
    "8,000 objects for upstreams": Hostile(
        lambda: values(b'{"":0}'), DecodeError, MIB // 2, "service"
    ),
    "5,000 objects in objects for upstreams": Hostile(
        lambda: values(b'{"a":{"a":0}}'), DecodeError, MIB // 2, "service"
    ),
    "2 GiB announced": Hostile(
        lambda: reply(headers={"Content-Length": str(2**31)}, then=Then.HANG), DecodeError
    ),
    "a number of a million digits": Hostile(
        lambda: reply(body=b'[{"Key": "k", "Flags": ' + b"9" * 1_000_000 + b"}]"), DecodeError
    ),
    "a body of which a byte comes now and then": Hostile(
        lambda: reply(body=b"[" * 1000, pause=0.1), ConsulTimeoutError
    ),
    "headers of which a byte comes now and then": Hostile(
        lambda: Answer(data=b"HTTP/1.1 200 OK\r\nX: " + b"y" * 1000, pause=0.1, trickle=1000),
        ConsulTimeoutError,
    ),
    "300 KB of headers": Hostile(
        lambda: reply(headers={f"X-{n}": "x" * 1000 for n in range(300)}), ConsulConnectionError
    ),
    "a header without an end": Hostile(
        lambda: raw(b"HTTP/1.1 200 OK\r\nX: " + b"y" * (8 * MIB)), ConsulConnectionError
    ),
    "interim answers without an end": Hostile(
        lambda: raw(b"HTTP/1.1 100 Continue\r\n\r\n" * 100_000, then=Then.HANG),
        # Which of them depends on the parser: to the one in Python an interim answer is no fault.
        (ConsulConnectionError, ConsulTimeoutError),
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
async def test_a_hostile_answer_costs_little_and_the_client_goes_on(
    name: str, anyio_backend_name: str, record_property: Callable[[str, object], None]
) -> None:
    hostile = HOSTILE[name]
    answer = hostile.answer()

    def script(seen: Seen) -> Answer:
        return GOOD if seen.target.startswith("/v1/kv/good") else answer

    async with fault_server(script) as server:
        told = await cost(server.url, hostile.limit, hostile.call, anyio_backend_name)

    record_property("S5 growth by a hostile answer, MiB", told["growth"] / 1024)
    if told["end"] != ConsulTimeoutError.__name__:
        record_property("S5 seconds for a hostile answer that is there", told["seconds"])
    errors = hostile.error if isinstance(hostile.error, tuple) else (hostile.error,)
    assert told["end"] in {error.__name__ for error in errors}
    assert told["growth"] <= GROWTH
    assert told["seconds"] <= ATTEMPT + ROOM
    assert told["usable"]


async def test_a_list_of_what_are_no_rows_is_left_at_the_first_one(
    anyio_backend_name: str,
) -> None:
    # Listing all that is wrong with a million rows took a second and a gigabyte.
    answer = reply(body=b"[" + b"0," * (4 * MIB) + b"0]")
    async with fault_server([GOOD, answer, GOOD]) as server:
        told = await cost(server.url, 256 * MIB, "list", anyio_backend_name)

    assert told["end"] == "DecodeError"
    assert told["growth"] <= 8 * 1024 * 24


async def test_62_mib_of_numbers_take_no_more_than_their_bytes(anyio_backend_name: str) -> None:
    # In pieces, and in one piece. To decode them would take twelve times as much.
    answer = reply(body=b"[" + b"0," * (31 * MIB) + b"0]")
    async with fault_server([GOOD, answer, GOOD]) as server:
        told = await cost(server.url, 64 * MIB, "list", anyio_backend_name)

    assert told["end"] == "DecodeError"
    assert told["growth"] <= 2.2 * 62 * 1024
    assert told["usable"]


async def cost(url: str, limit: int, call: str, backend: str) -> dict[str, Any]:
    """What a process of its own says of it."""
    command = [sys.executable, "-m", "tests.chaos.hostile", url, str(limit), call, backend]
    ended = await anyio.run_process(command, cwd=Path(__file__).parent.parent.parent)
    told: dict[str, Any] = json.loads(ended.stdout)
    return told
