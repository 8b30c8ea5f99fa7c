"""The network below one connection, through httpcore's seam for it."""

from __future__ import annotations

import math
import ssl
import sys
from collections.abc import Callable, Iterable
from typing import Any, Final, cast

import anyio
import httpcore

__all__ = ["Network", "bounded", "clock", "network"]

# httpcore has a stand-in of this name for where anyio is missing, which confuses type checkers.
_ANYIO: Final = cast(httpcore.AsyncNetworkBackend, httpcore.AnyIOBackend())


def _on_asyncio() -> bool:
    # A trio of one's own need not import asyncio; one that is asyncio's guest has its loop, and no
    # task of it.
    asyncio = sys.modules.get("asyncio")
    try:
        return asyncio is not None and asyncio.current_task() is not None
    except RuntimeError:
        return False


def network() -> httpcore.AsyncNetworkBackend:
    """What opens sockets in the event loop that runs."""
    if not _on_asyncio():
        return _ANYIO
    from ._asyncio_network import AsyncioBackend  # noqa: PLC0415

    return AsyncioBackend()


def clock() -> Callable[[], float]:
    """The clock of the event loop that runs. anyio's is the same, and finds out which each time."""
    if not _on_asyncio():
        return anyio.current_time
    from ._asyncio_network import clock  # noqa: PLC0415

    return clock()


def bounded(timeout: float | None, until: float, now: Callable[[], float]) -> float | None:
    """Seconds that a step may take, of what must be over by then."""
    if until == math.inf:
        return timeout
    left = max(0.0, until - now())
    return left if timeout is None else min(timeout, left)


class Network(httpcore.AsyncNetworkBackend):
    """
    Opens the one stream of one connection, and can always close it: httpcore loses track of a
    stream when it is cancelled in the middle of a TLS handshake.

    It also sends the head of a request together with its body. Apart, a server that refuses the
    head hangs up before the body is there, and what it said is lost. For the same reason a body in
    many pieces ends where the answer is there before it.
    """

    def __init__(self) -> None:
        self._opened: httpcore.AsyncNetworkStream | None = None
        self.holds_head = False
        """Whether the next write is a head whose body follows."""
        self.begun = False
        """Whether something of the request has been sent."""
        self._until = math.inf
        self._now = clock()

    @property
    def connected(self) -> bool:
        return self._opened is not None

    def bounded(self, timeout: float | None) -> float | None:
        """Seconds that a step of the request may take."""
        return bounded(timeout, self._until, self._now)

    def begin(self, *, has_body: bool, until: float) -> None:
        """The next write is the head of a request, which must be over by `until`."""
        self.holds_head, self.begun, self._until = has_body, False, until

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        timeout = self.bounded(timeout)
        return self._keep(
            await network().connect_tcp(host, port, timeout, local_address, socket_options)
        )

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        timeout = self.bounded(timeout)
        return self._keep(await network().connect_unix_socket(path, timeout, socket_options))

    def _keep(self, stream: httpcore.AsyncNetworkStream) -> httpcore.AsyncNetworkStream:
        self._opened = stream
        return _Stream(stream, self)

    async def aclose(self) -> None:
        if self._opened is not None:
            await self._opened.aclose()


class _Stream(httpcore.AsyncNetworkStream):
    def __init__(
        self, stream: httpcore.AsyncNetworkStream, network: Network, *, tls: bool = False
    ) -> None:
        self._stream = stream
        self._network = network
        self._tls = tls
        self._head = b""

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        timeout = self._network.bounded(timeout)
        if timeout == 0:
            # What keeps coming would always be there in time.
            raise httpcore.ReadTimeout
        return await self._stream.read(max_bytes, timeout)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        if self._network.holds_head:
            self._network.holds_head, self._head = False, buffer
            return
        if buffer and self._network.begun and self._is_answered():
            # On asyncio a write that fails takes along what was to read.
            raise httpcore.WriteError("answered before the whole request was sent")
        self._network.begun = True
        buffer, self._head = self._head + buffer, b""
        await self._stream.write(buffer, self._network.bounded(timeout))

    def _is_answered(self) -> bool:
        # Under TLS, what there is to read need not be an answer.
        return not self._tls and bool(self._stream.get_extra_info("is_readable"))

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.AsyncNetworkStream:
        timeout = self._network.bounded(timeout)
        stream = await self._stream.start_tls(ssl_context, server_hostname, timeout)
        return _Stream(stream, self._network, tls=True)

    async def aclose(self) -> None:
        await self._stream.aclose()

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)
