"""Read each answer to its end, in bounded time and space."""

from __future__ import annotations

import math
import re
import zlib
from dataclasses import dataclass
from typing import Final

import anyio
import httpx

from .._call import Call
from .._numbers import count, seconds
from ..errors import DecodeError
from ._layer import TimeIsUp, bounds_attempts, call_of, close

__all__ = ["WholeBody"]

MIB: Final = 1024 * 1024

_FEW: Final = 16_000
"""Values that any answer may have: at the worst, decoding so many takes 27 MiB."""

_SHARE: Final = 8
"""Bytes of the limit for each value. Consul itself writes one in ten to twenty."""

_JSON: Final = re.compile(rb"[ \t\r\n]*+[\[{]")


@dataclass(frozen=True)
class WholeBody:
    """
    Reads the whole answer before it passes it up, so that a connection cut in the middle of a body
    is an error of the attempt, which Retry and Breaker see.

    An attempt ends after `seconds` (a blocking query has the time on top that Consul may hold it
    back): a hung agent never fails by itself, and one that sends a byte now and then would outlast
    httpx's read time-out for ever. A server without a leader holds a request for up to 7.4 s before
    it says so, hence 8.

    A body over `limit` bytes, unpacked, is a DecodeError, and so is JSON with more than a value for
    each 8 bytes of the limit: while it is decoded, one that is written in two may take 1,600. The
    text of an error is cut at `error_limit`. Answers come up unpacked. Streams (`Call.stream`) pass
    unread, and neither they nor what else is `unhurried` have this clock: only the whole call's.
    """

    seconds: float = 8.0
    limit: int = 64 * MIB
    error_limit: int = 16 * 1024

    def __post_init__(self) -> None:
        seconds("WholeBody.seconds", self.seconds, setting="attempt_timeout", above_zero=True)
        count("WholeBody.limit", self.limit, setting="max_response_bytes")
        count("WholeBody.error_limit", self.error_limit, setting="max_response_bytes")

    def wrap(self, inner: httpx.AsyncBaseTransport) -> httpx.AsyncBaseTransport:
        return WholeBodyTransport(inner, self)


class WholeBodyTransport(httpx.AsyncBaseTransport):
    keeps_time = True

    def __init__(self, inner: httpx.AsyncBaseTransport, whole_body: WholeBody) -> None:
        self._inner = inner
        self._whole_body = whole_body

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        call = call_of(request)
        within = math.inf if call.unhurried else self._whole_body.seconds + call.hold
        call.connecting = False
        if self._is_bounded_below(request, call):
            call.attempt = within
            try:
                return await self._whole(request, call)
            except httpx.TimeoutException as error:
                until = call.attempt_until
                if anyio.current_time() < until:
                    raise
                # Nor is there a connection before its handshake is over.
                call.connecting = isinstance(error, httpx.ConnectTimeout)
        else:
            until = min(anyio.current_time() + within, call.until)
            with anyio.CancelScope(deadline=until):
                return await self._whole(request, call)
            # A scope swallows the cancellation that it caused, and no other.
        if until == call.until:
            raise TimeIsUp
        if call.connecting:
            raise httpx.ConnectTimeout(f"no connection within {within:g} s", request=request)
        raise httpx.ReadTimeout(f"no whole answer within {within:g} s", request=request)

    def _is_bounded_below(self, request: httpx.Request, call: Call) -> bool:
        if call.unhurried or call.stream:
            return False
        # A body that comes from elsewhere may be waited for there.
        return isinstance(request.stream, httpx.ByteStream) and bounds_attempts(self._inner)

    async def _whole(self, request: httpx.Request, call: Call) -> httpx.Response:
        response = await self._inner.handle_async_request(request)
        if not call.stream or response.status_code >= 300:
            await self._read(response, call)
        return response

    async def _read(self, response: httpx.Response, call: Call) -> None:
        announced, coding = _framing(response)
        limit = self._whole_body.limit
        status = response.status_code
        try:
            if status >= 400 and status not in call.data:
                body = await _read_start(response, coding, self._whole_body.error_limit)
            elif announced > limit:
                raise _too_large(limit, call.operation)
            else:
                body = await _read_all(response, coding, limit, call.operation)
                _check_values(body, max(limit // _SHARE, _FEW), call.operation)
        except BaseException:
            await close(response)
            raise
        await close(response)
        if status in call.data:
            if body.startswith((b"{", b"[")):
                # Consul calls it text where it sends the status before it knows better.
                response.headers["content-type"] = "application/json"
            else:
                body = body[: self._whole_body.error_limit]
        response.stream = httpx.ByteStream(body)
        if coding:
            # What is above gets the bytes as they are meant.
            del response.headers["content-encoding"]
            response.headers["content-length"] = str(len(body))

    async def aclose(self) -> None:
        await self._inner.aclose()


def _framing(response: httpx.Response) -> tuple[int, str]:
    """How long the body says it is (0 where it does not say), and how it is packed."""
    length = coding = b""
    # One scan: httpx would decode each header before it finds the first.
    for name, value in response.headers.raw:
        match name.lower():
            case b"content-length":
                length = length + b", " + value if length else value
            case b"content-encoding":
                # A second line is a second coding.
                coding = coding + b", " + value if coding else value
    announced = int(length[:20]) if length.isdigit() else 0
    return announced, coding.decode("latin-1").strip().lower() if coding else ""


async def _read_all(response: httpx.Response, coding: str, limit: int, operation: str) -> bytes:
    if not coding and isinstance(response.stream, httpx.ByteStream):
        # All of it is here, as it is meant.
        body = b"".join(response.stream)
        if len(body) > limit:
            raise _too_large(limit, operation)
        return body
    unpacked = _Unpacked(coding, limit, operation)
    async for chunk in response.stream:  # type: ignore[union-attr]
        if not unpacked.feed(chunk):
            raise _too_large(limit, operation)
    return unpacked.finish()


def _check_values(body: bytes, most: int, operation: str) -> None:
    if len(body) <= most or not _JSON.match(body):
        return
    # A comma behind each, or a bracket before the first; those in strings count as well.
    if body.count(b",") + body.count(b"[") + body.count(b"{") > most:
        raise DecodeError(
            f"the answer has more than {most} values; raise max_response_bytes, or ask for less",
            operation=operation,
        )


async def _read_start(response: httpx.Response, coding: str, limit: int) -> bytes:
    """As much of an error's text as there is within the limit."""
    try:
        unpacked = _Unpacked(coding, limit, "")
        async for chunk in response.stream:  # type: ignore[union-attr]
            if not unpacked.feed(chunk):
                break
        return unpacked.start()
    except DecodeError:
        # An error whose text cannot be unpacked still is that error.
        return b""


class _Unpacked:
    """A body as it arrives, unpacked, up to a number of bytes."""

    def __init__(self, coding: str, limit: int, operation: str) -> None:
        self._limit = limit
        self._operation = operation
        self._size = 0
        self._begun = False
        self._parts: list[bytes] = []
        packed = coding in ("gzip", "x-gzip")
        if not packed and coding not in ("", "identity"):
            # One coding, and the one that was asked for. Two in a row turn 600 bytes into 300 MB.
            raise DecodeError(
                "the answer is packed in a way that was not asked for", operation=operation
            )
        self._gzip = zlib.decompressobj(zlib.MAX_WBITS | 16) if packed else None

    def feed(self, chunk: bytes) -> bool:
        """Take a piece; False when the limit is passed."""
        if self._gzip is not None:
            self._begun = self._begun or bool(chunk)
            try:
                # At most one byte more than wanted: enough to know that there is more.
                chunk = self._gzip.decompress(chunk, self._limit + 1 - self._size)
            except zlib.error:
                raise DecodeError(
                    "the answer is damaged: it cannot be unpacked", operation=self._operation
                ) from None
            if self._gzip.unused_data:
                raise DecodeError(
                    "the answer is damaged: it goes on after its end", operation=self._operation
                )
        self._parts.append(chunk)
        self._size += len(chunk)
        return self._size <= self._limit

    def finish(self) -> bytes:
        if self._gzip is not None and not self._gzip.eof and self._begun:
            raise DecodeError("the answer ends before its end", operation=self._operation)
        return b"".join(self._parts)

    def start(self) -> bytes:
        return b"".join(self._parts)[: self._limit]


def _too_large(limit: int, operation: str) -> DecodeError:
    return DecodeError(
        f"the answer is larger than {limit} bytes; raise max_response_bytes, or ask for less",
        operation=operation,
    )
