"""
A server that always says the same: `with responder() as url`.

In a process of its own, and quicker than Consul, so that what is seen is the client.
"""

import asyncio
import json
import subprocess
import sys
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

from tests.bench.contestants import KEY, VALUE
from tests.support.agents import HOST

PAIR = {
    "LockIndex": 0,
    "Key": KEY,
    "Flags": 0,
    "Value": b64encode(VALUE).decode(),
    "CreateIndex": 14,
    "ModifyIndex": 120,
}


def answer(body: bytes) -> bytes:
    """As Consul 1.8.7 says it."""
    lines = (
        "HTTP/1.1 200 OK",
        "Content-Type: application/json",
        "Vary: Accept-Encoding",
        "X-Consul-Index: 120",
        "X-Consul-Knownleader: true",
        "X-Consul-Lastcontact: 0",
        "Date: Mon, 23 Nov 2026 12:00:00 GMT",
        f"Content-Length: {len(body)}",
    )
    return "\r\n".join([*lines, "", ""]).encode() + body


READ = answer(json.dumps([PAIR]).encode())
WRITTEN = answer(b"true")


class Responder(asyncio.Protocol):
    """One connection; it sees requests one after the other, each as a whole."""

    def __init__(self) -> None:
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, end, body = self._received.partition(b"\r\n\r\n")
        if not end:
            return
        if head.startswith(b"GET "):
            self._transport.write(READ)
        elif len(body) >= len(VALUE):
            self._transport.write(WRITTEN)
        else:
            return
        self._received = b""


@contextmanager
def responder() -> Iterator[str]:
    command = [sys.executable, "-m", "tests.bench.responder"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield f"http://{HOST}:{int(process.stdout.readline())}"
        finally:
            process.kill()


async def serve() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Responder, HOST, 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve())
