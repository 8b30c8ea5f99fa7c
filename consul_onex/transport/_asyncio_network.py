"""
Sockets on asyncio, through httpcore's seam for a network.

httpcore's own way leads through anyio, which makes a cancel scope and passes a checkpoint for each
read and each write. Here a read waits for one future.
"""

from __future__ import annotations

import asyncio
import ipaddress
import select
import ssl
from collections.abc import Callable, Iterable
from typing import Any, Final, cast

import anyio
import httpcore

__all__ = ["AsyncioBackend", "clock"]

_MOST_UNREAD: Final = 64 * 1024
"""Bytes that wait here for a reader; the system holds back what is beyond."""

_EYEBALLS: Final = 0.25
"""Seconds after which the next of several addresses is tried beside the one before."""


def clock() -> Callable[[], float]:
    return asyncio.get_running_loop().time


class AsyncioBackend(httpcore.AsyncNetworkBackend):
    """Opens the streams."""

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        stream = _Stream()
        loop = asyncio.get_running_loop()
        options: dict[str, Any] = {}
        if isinstance(loop, asyncio.BaseEventLoop) and not _is_address(host):
            # uvloop knows no such thing.
            options["happy_eyeballs_delay"] = _EYEBALLS
        if local_address is not None:
            options["local_addr"] = (local_address, 0)
        try:
            with anyio.fail_after(timeout):
                await loop.create_connection(lambda: stream, host, port, **options)
        except TimeoutError as error:
            raise httpcore.ConnectTimeout(str(error)) from error
        except OSError as error:
            raise httpcore.ConnectError(str(error)) from error
        return stream.with_options(socket_options)

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        stream = _Stream()
        try:
            with anyio.fail_after(timeout):
                await asyncio.get_running_loop().create_unix_connection(lambda: stream, path)
        except TimeoutError as error:
            raise httpcore.ConnectTimeout(str(error)) from error
        except OSError as error:
            raise httpcore.ConnectError(str(error)) from error
        return stream.with_options(socket_options)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class _Stream(httpcore.AsyncNetworkStream, asyncio.Protocol):
    """One socket. One task reads from it, and one writes, which may be the same."""

    _transport: asyncio.Transport

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._tls = False
        self._unread = bytearray()
        self._held_back = False
        self._ended = False
        self._closed = False
        self._error: Exception | None = None
        self._reader: asyncio.Future[bool] | None = None
        self._reads_until = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._writable: asyncio.Event | None = None

    def with_options(self, options: Iterable[Any] | None) -> _Stream:
        for option in options or ():
            self._transport.get_extra_info("socket").setsockopt(*option)
        return self

    # -- what httpcore calls -----------------------------------------------------------------------

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        if not (self._unread or self._ended) and not await self._something(timeout):
            raise httpcore.ReadTimeout
        if self._unread:
            return self._take(max_bytes)
        if self._error is not None:
            raise httpcore.ReadError(str(self._error)) from self._error
        if self._closed:
            raise httpcore.ReadError("this connection was closed")
        return b""

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        if not buffer:
            return
        self._check_writable()
        self._transport.write(buffer)
        if self._writable is not None:
            try:
                with anyio.fail_after(timeout):
                    await self._writable.wait()
            except TimeoutError as error:
                raise httpcore.WriteTimeout from error
            self._check_writable()

    async def aclose(self) -> None:
        if not self._closed:
            self._hang_up()
        # The system's socket is closed in the loop's next round.
        await asyncio.sleep(0)

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.AsyncNetworkStream:
        self._tls = True
        try:
            with anyio.fail_after(timeout):
                transport = await self._loop.start_tls(
                    self._transport, self, ssl_context, server_hostname=server_hostname
                )
        except BaseException as error:
            # Whatever it was: asyncio closes such a socket in its own time.
            self._hang_up()
            if isinstance(error, TimeoutError):
                raise httpcore.ConnectTimeout(str(error)) from error
            if isinstance(error, OSError):  # which TLS's own are
                raise httpcore.ConnectError(str(error)) from error
            raise
        if transport is None:
            # It was closed meanwhile.
            raise httpcore.ConnectError("the connection was lost in the TLS handshake")
        self._transport = transport
        return self

    def get_extra_info(self, info: str) -> Any:
        if info == "is_readable":
            return bool(self._unread) or self._ended or _is_readable(self._transport)
        return self._transport.get_extra_info(_ASYNCIO_NAMES.get(info, info))

    # -- what asyncio calls ------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._unread += data
        if len(self._unread) >= _MOST_UNREAD and not self._held_back:
            self._held_back = True
            self._transport.pause_reading()
        self._wake(True)

    def eof_received(self) -> bool:
        self._ended = True
        self._wake(True)
        # What is still to be sent may be sent; TLS has no such half of a connection.
        return not self._tls

    def connection_lost(self, exc: Exception | None) -> None:
        self._ended = self._closed = True
        self._error = exc
        self._wake(True)
        self.resume_writing()
        if self._timer is not None:
            self._timer.cancel()

    def pause_writing(self) -> None:
        self._writable = asyncio.Event()

    def resume_writing(self) -> None:
        if self._writable is not None:
            self._writable.set()
            self._writable = None

    # ----------------------------------------------------------------------------------------------

    def _take(self, max_bytes: int) -> bytes:
        if len(self._unread) <= max_bytes:
            data = bytes(self._unread)
            self._unread.clear()
        else:
            data = bytes(self._unread[:max_bytes])
            del self._unread[:max_bytes]
        if self._held_back and len(self._unread) < _MOST_UNREAD and not self._closed:
            self._held_back = False
            self._transport.resume_reading()
        return data

    async def _something(self, timeout: float | None) -> bool:
        """Wait until there is something to read, or nothing more; False where that is too long."""
        self._reader = self._loop.create_future()
        if timeout is not None:
            self._reads_until = self._loop.time() + timeout
            # A timer that rings too early is wound up again: one for each read would cost more.
            if self._timer is None or self._timer.when() > self._reads_until:
                if self._timer is not None:
                    self._timer.cancel()
                self._timer = self._loop.call_at(self._reads_until, self._ring)
        else:
            self._reads_until = float("inf")
        try:
            return await self._reader
        finally:
            self._reader = None

    def _ring(self) -> None:
        self._timer = None
        if self._reader is None:
            return
        if self._loop.time() < self._reads_until:
            self._timer = self._loop.call_at(self._reads_until, self._ring)
        else:
            self._wake(False)

    def _wake(self, has_something: bool) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(has_something)

    def _check_writable(self) -> None:
        if self._closed:
            raise httpcore.WriteError(str(self._error or "closed")) from self._error

    def _hang_up(self) -> None:
        """Close at once, whatever is still to be sent; who reads gets an error."""
        self._transport.abort()
        self._ended = self._closed = True
        self._wake(True)


_ASYNCIO_NAMES: Final = {"client_addr": "sockname", "server_addr": "peername"}


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _is_readable(transport: asyncio.Transport) -> bool:
    """Whether the system has something for this socket that the loop has not fetched yet."""
    if not hasattr(select, "poll"):
        # Windows: it is told in the loop's next round.
        return False
    poll = select.poll()
    poll.register(transport.get_extra_info("socket").fileno(), select.POLLIN)
    return bool(poll.poll(0))
