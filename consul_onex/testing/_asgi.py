"""The fake agent as an ASGI application: for clients that come over a socket."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final, TypeAlias
from urllib.parse import quote

import anyio
import httpx

__all__ = ["Application", "Message", "Receive", "Scope", "Send"]

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]

# All that may stand in the first line of a request.
_VISIBLE: Final = "".join(map(chr, range(0x21, 0x7F)))

# How a body is sent is the server's to say.
_OWN: Final = {b"transfer-encoding"}


class _GoneError(Exception):
    """The client has left before it had said everything."""


class Application:
    """An ASGI application in front of a transport."""

    def __init__(self, transport: httpx.AsyncBaseTransport) -> None:
        self._transport = transport

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _live(receive, send)
        elif scope["type"] == "http":
            await self._serve(scope, receive, send)
        else:
            raise ValueError(f"an agent speaks HTTP, and not {scope['type']}")

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            request = _request(scope, await _body(receive))
        except _GoneError:
            return
        async with anyio.create_task_group() as tasks:
            # A query that waits for a change ends with its client.
            tasks.start_soon(_watch, receive, tasks.cancel_scope)
            await self._answer(request, send)
            tasks.cancel_scope.cancel()

    async def _answer(self, request: httpx.Request, send: Send) -> None:
        try:
            response = await self._transport.handle_async_request(request)
        except httpx.TransportError:
            # An application cannot cut a connection. A server does, where there is less to an
            # answer than it says.
            await send(_start(500, [(b"content-length", b"1")]))
            return
        headers = [(name.lower(), value) for name, value in response.headers.raw]
        await send(_start(response.status_code, [one for one in headers if one[0] not in _OWN]))
        try:
            async for piece in response.aiter_raw():
                await send({"type": "http.response.body", "body": piece, "more_body": True})
        except httpx.TransportError:
            return
        await send({"type": "http.response.body", "body": b""})


async def _live(receive: Receive, send: Send) -> None:
    while True:
        kind = (await receive())["type"]
        await send({"type": f"{kind}.complete"})
        if kind == "lifespan.shutdown":
            return


async def _body(receive: Receive) -> bytes:
    pieces: list[bytes] = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _GoneError
        pieces.append(message.get("body", b""))
        if not message.get("more_body", False):
            return b"".join(pieces)


async def _watch(receive: Receive, work: anyio.CancelScope) -> None:
    """Wait until the client is gone, of which alone is still to be heard, and end the work."""
    await receive()
    work.cancel()


def _request(scope: Scope, body: bytes) -> httpx.Request:
    raw: bytes = scope.get("raw_path") or quote(scope["path"]).encode()
    query: bytes = scope.get("query_string", b"")
    target = quote(raw + (b"?" + query if query else b""), safe=_VISIBLE)
    return httpx.Request(
        scope["method"],
        f"http://agent/{target.removeprefix('/')}",
        headers=list(scope["headers"]),
        content=body,
        # What was sent, to the letter: a URL is tidied up.
        extensions={"target": target.encode()},
    )


def _start(status: int, headers: list[tuple[bytes, bytes]]) -> Message:
    return {"type": "http.response.start", "status": status, "headers": headers}
