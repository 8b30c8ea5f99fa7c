"""Start the fake agent in a process of its own, for clients that come over a socket."""

from __future__ import annotations

import signal
import subprocess
import sys

SERVE = [sys.executable, "-m", "consul_onex.testing"]


class Served:
    """A fake agent in a process of its own, and where it is."""

    def __init__(self, *options: str, token: str | None = None) -> None:
        self.name = "dev"
        self.token = token
        if token is not None:
            options = (*options, "--acl", token)
        self.process = subprocess.Popen(
            [*SERVE, "--port", "0", *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        assert self.process.stdout is not None
        self.said = self.process.stdout.readline().decode()
        self.url = self.said.split()[-1]
        self.host, _, port = self.url.removeprefix("http://").rpartition(":")
        self.port = int(port)

    def end(self, how: signal.Signals = signal.SIGTERM) -> tuple[int, bytes]:
        """End it; its status, and what it complained of."""
        self.process.send_signal(how)
        _, complaints = self.process.communicate(timeout=60)
        return self.process.returncode, complaints
