"""
`python -m tests.chaos.atheris_target -max_total_time=3600 corpus/`: damage led by coverage.

By hand, on Linux, after `pip install atheris`; its options are libFuzzer's, and the folder is
where it keeps what it has learnt. The bytes that it makes up are an answer: the first two say which
method of the API is called, the next two the status and whether it is packed, the rest is the body.
Whatever comes must end in a value or in an error of the package's own tree; anything else stops it,
with a traceback and a file `crash-...` that repeats it: `... atheris_target crash-...`.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import zlib
from typing import Final

import atheris  # pyright: ignore[reportMissingImports]

with atheris.instrument_imports(include=["consul_onex"]):  # pyright: ignore
    from consul_onex import ConsulClient, ConsulError
    from tests.chaos.fuzz import Below, layers
    from tests.chaos.mutate import Raw
    from tests.walk.case import Case
    from tests.walk.test_walk import CASES

STATUSES: Final = [200, 200, 200, 200, 404, 403, 409, 429, 500, 500, 503, 301, 204, 999]

INDEX: Final[tuple[bytes, bytes]] = (b"X-Consul-Index", b"7")


class Target:
    """A client that lives as long as the process, and the loop that it lives on."""

    def __init__(self) -> None:
        self._loop = asyncio.Runner()
        self._below = Below()
        self._client = ConsulClient(transport=self._below, layers=layers(), check_server=False)

    def __call__(self, data: bytes) -> None:
        if len(data) < 4:
            return
        case = CASES[int.from_bytes(data[:2], "big") % len(CASES)]
        status, body = STATUSES[data[2] % len(STATUSES)], data[4:]
        headers: list[tuple[bytes, bytes]] = [INDEX]
        if data[3] % 4 == 0:
            headers.append((b"Content-Encoding", b"gzip"))
            body = zlib.compress(body, 1, zlib.MAX_WBITS | 16) if data[3] % 8 else body
        self._below.answer = Raw(status, headers, body)
        self._loop.run(self._call(case))

    async def _call(self, case: Case) -> None:
        with contextlib.suppress(ConsulError):
            await case.call(self._client)


if __name__ == "__main__":
    atheris.Setup(sys.argv, Target())
    atheris.Fuzz()
