"""
`python -m tests.chaos.hostile URL LIMIT CALL BACKEND`: read a hostile answer, and say what it cost.

On asyncio with the one parser of HTTP, on trio with the other.

A process of its own, since the most memory that a process ever had never goes down again.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Awaitable, Callable
from typing import Final

import anyio

from consul_onex import ConsulClient, ConsulError
from consul_onex.settings import ConsulSettings
from consul_onex.transport._connection import HTTP
from tests.chaos.memory import peak

ATTEMPT = 2.0
"""Seconds of the attempt time-out."""


CALLS: Final[dict[str, Callable[[ConsulClient], Awaitable[object]]]] = {
    "list": lambda c: c.kv.list("bad"),
    "service": lambda c: c.health.service("bad"),
}


async def main(url: str, limit: int, call: str, http: HTTP) -> None:
    settings = ConsulSettings(
        address=url,
        attempt_timeout=ATTEMPT,
        retry_attempts=1,
        max_response_bytes=limit,
        gzip=True,
        http=http,
    )
    async with ConsulClient(settings=settings) as c:
        # What the first call imports and builds is not the answer's fault.
        await c.kv.list("good")
        before, started, ended = peak(), anyio.current_time(), "a value"
        try:
            await CALLS[call](c)
        except ConsulError as error:
            ended = type(error).__name__
        seconds, growth = anyio.current_time() - started, peak() - before
        usable = bool(await c.kv.list("good"))
    print(json.dumps({"end": ended, "seconds": seconds, "growth": growth, "usable": usable}))


if __name__ == "__main__":
    backend = sys.argv[4]
    http: HTTP = "fast" if backend == "asyncio" else "h11"
    anyio.run(main, sys.argv[1], int(sys.argv[2]), sys.argv[3], http, backend=backend)
