"""
The fake agent on a port: for programs in any language, and for looking at it by hand.

    python -m consul_onex.testing --port 8500
"""

from __future__ import annotations

import argparse
import signal
import socket
import sys
from collections.abc import Sequence

from .agent import FakeAgent

__all__ = ["main"]

_MISSING = "This needs uvicorn: pip install 'consul-onex[testing]'"


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until SIGINT or SIGTERM."""
    given = _parser().parse_args(arguments)
    try:
        import uvicorn  # noqa: PLC0415 - who has none is told so
    except ModuleNotFoundError:
        sys.exit(_MISSING)
    # Nobody will look at what came in.
    agent, *others = [
        FakeAgent(datacenter=name, acl=given.acl, record=False)
        for name in dict.fromkeys(given.datacenter)
    ]
    for other in others:
        agent.join_wan(other)
    config = uvicorn.Config(
        agent.asgi(),
        log_level="critical",
        server_header=False,
        # A query that waits for a change would wait for minutes.
        timeout_graceful_shutdown=0,
    )
    try:
        listener = _listen(given.host, given.port)
    except OSError as error:
        sys.exit(f"Cannot listen on {given.host} port {given.port}: {error.strerror}")
    server = uvicorn.Server(config)

    def end(number: int, frame: object) -> None:
        server.should_exit = True

    # uvicorn takes these over, and hands them on when it has ended.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, end)
    with listener:
        sys.stdout.write(f"A fake Consul agent is at http://{_address(listener)}\n")
        sys.stdout.flush()
        server.run(sockets=[listener])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m consul_onex.testing",
        description="A Consul agent in memory, on a port. What it holds is gone when it ends.",
    )
    parser.add_argument("--host", default="127.0.0.1", help="where to listen (%(default)s)")
    parser.add_argument("--port", type=int, default=8500, help="0: any that is free (%(default)s)")
    parser.add_argument(
        "--datacenter",
        nargs="+",
        default=["dc1"],
        metavar="NAME",
        help="what its datacenter is called (dc1), and the others that are reached by way of it",
    )
    parser.add_argument(
        "--acl",
        nargs="?",
        metavar="TOKEN",
        const=True,
        default=False,
        help="deny what no policy allows; to TOKEN, or else who asks first, everything is allowed",
    )
    return parser


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family)


def _address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


if __name__ == "__main__":
    main()
