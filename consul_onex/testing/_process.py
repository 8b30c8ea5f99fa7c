"""A real agent, for as long as a test session lasts."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import IO, Any, Final

__all__ = ["AgentError", "dev_agent", "find"]

_HOST: Final = "127.0.0.1"
_NODE: Final = "dev"

# Seconds; far above what any start takes, for a machine that is busy.
_START: Final = 60.0
_POLL: Final = 0.02

# A port is free when it is chosen, and may be another's when it is opened.
_ATTEMPTS: Final = 3


class AgentError(Exception):
    """An agent did not start; the text ends with its log."""


def find() -> str | None:
    """The path of a consul: CONSUL_BIN, or else the first on PATH; None for nowhere."""
    return os.environ.get("CONSUL_BIN") or shutil.which("consul")


@contextmanager
def dev_agent(binary: str) -> Iterator[str]:
    """
    Start `consul agent -dev` on free ports of the loopback interface, and stop it at the end.

    Its address, once it is in its own catalog and takes writes. AgentError where it never is.
    """
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="consul-")))
        log = stack.enter_context((directory / "log").open("w+b"))
        yield f"http://{_HOST}:{_start(binary, directory, log, stack)}"


def _start(binary: str, directory: Path, log: IO[bytes], stack: ExitStack) -> int:
    """Start a process that `stack` ends; the port of its API."""
    for _ in range(_ATTEMPTS):
        config = _config(binary)
        port: int = config["ports"]["http"]
        file = directory / "agent.json"
        file.write_text(json.dumps(config))
        process = subprocess.Popen(  # noqa: S603 - the binary is the user's own
            [binary, "agent", "-dev", "-config-file", str(file)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={name: one for name, one in os.environ.items() if not name.startswith("CONSUL_")},
            start_new_session=True,
        )
        stack.callback(_end, process)
        deadline = time.monotonic() + _START
        while process.poll() is None and time.monotonic() < deadline:
            if _is_ready(port):
                return port
            time.sleep(_POLL)
    log.seek(0)
    said = log.read().decode(errors="replace")[-2000:]
    raise AgentError(f"{binary} agent -dev does not start. Its log ends with:\n{said}")


def _config(binary: str) -> dict[str, Any]:
    http, server, serf_lan, serf_wan = _free_ports(4)
    ports = {"http": http, "server": server, "serf_lan": serf_lan, "serf_wan": serf_wan}
    off = {"dns": -1, "grpc": -1, **({"grpc_tls": -1} if _has_grpc_tls(binary) else {})}
    return {
        "bind_addr": _HOST,
        "node_name": _NODE,
        "log_level": "ERR",
        # Agents on one machine would have one id and refuse each other.
        "disable_host_node_id": True,
        "ports": {**ports, **off},
    }


def _has_grpc_tls(binary: str) -> bool:
    command = [binary, "version"]
    said = subprocess.run(command, capture_output=True, text=True, check=False).stdout  # noqa: S603
    found = re.search(r"v(\d+)\.(\d+)", said)
    return found is not None and (int(found[1]), int(found[2])) >= (1, 14)


def _free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind((_HOST, 0))
        return [each.getsockname()[1] for each in sockets]


def _is_ready(port: int) -> bool:
    connection = HTTPConnection(_HOST, port, timeout=2)
    try:
        connection.request("GET", f"/v1/catalog/node/{_NODE}")
        # The leader writes a node down, and the agent then adds what it knows.
        return b'"consul-network-segment"' in connection.getresponse().read()
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
