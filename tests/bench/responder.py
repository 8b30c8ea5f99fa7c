"""
A server that always says the same: `with responder() as url`.

In a process of its own, and quicker than Consul, so that what is seen is the client: nginx where it
is there, else a small one of ours.
"""

import asyncio
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, cast

from tests.bench.contestants import KEY, VALUE
from tests.support.agents import HOST

# As Consul 1.8.7 says it.
PAIR: Final = {
    "LockIndex": 0,
    "Key": KEY,
    "Flags": 0,
    "Value": b64encode(VALUE).decode(),
    "CreateIndex": 14,
    "ModifyIndex": 120,
}
HEADERS: Final = {
    "Vary": "Accept-Encoding",
    "X-Consul-Index": "120",
    "X-Consul-Knownleader": "true",
    "X-Consul-Lastcontact": "0",
}
READ: Final = json.dumps([PAIR])
WRITTEN: Final = "true"

NGINX: Final = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")


@contextmanager
def responder(nginx: str | None = NGINX) -> Iterator[str]:
    with (
        socket.create_server((HOST, 0)) as listener,
        tempfile.TemporaryDirectory(prefix="bench-") as directory,
    ):
        port, number = listener.getsockname()[1], listener.fileno()
        command = [sys.executable, "-m", "tests.bench.responder", str(number)]
        if nginx is not None:
            conf = Path(directory, "nginx.conf")
            conf.write_text(configuration(directory, port), encoding="ascii")
            command = [nginx, "-e", f"{directory}/log", "-c", str(conf)]
        # It gets a socket that listens already, so there is nothing to wait for. That is how nginx
        # itself hands them on to the next of its kind.
        environment = {**os.environ, "NGINX": f"{number};"}
        with subprocess.Popen(command, pass_fds=[number], env=environment) as process:
            listener.close()
            try:
                yield f"http://{HOST}:{port}"
            finally:
                process.terminate()


def configuration(directory: str, port: int) -> str:
    """That of an nginx which leaves nothing behind, nor anything outside of the directory."""
    temporary = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    return f"""
daemon off;
worker_processes 1;
pid {directory}/pid;
error_log {directory}/log;
events {{}}
http {{
    access_log off;
    {" ".join(f"{name}_temp_path {directory}/{name};" for name in temporary)}
    keepalive_requests 1000000000;
    default_type application/json;
    {" ".join(f"add_header {name} {value};" for name, value in HEADERS.items())}
    server {{
        listen {HOST}:{port};
        if ($request_method = PUT) {{ return 200 '{WRITTEN}'; }}
        return 200 '{READ}';
    }}
}}
"""


def answer(body: str) -> bytes:
    lines = (
        "HTTP/1.1 200 OK",
        "Content-Type: application/json",
        *(f"{name}: {value}" for name, value in HEADERS.items()),
        "Date: Mon, 23 Nov 2026 12:00:00 GMT",
        f"Content-Length: {len(body)}",
        "",
        body,
    )
    return "\r\n".join(lines).encode()


TO_GET: Final = answer(READ)
TO_PUT: Final = answer(WRITTEN)


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
            self._transport.write(TO_GET)
        elif len(body) >= len(VALUE):
            self._transport.write(TO_PUT)
        else:
            return
        self._received = b""


async def serve(number: str) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Responder, sock=socket.socket(fileno=int(number)))
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1]))
