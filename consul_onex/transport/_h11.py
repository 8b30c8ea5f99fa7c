"""HTTP/1.1 with h11, by httpcore."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from typing import Any

import httpcore
import httpx

from ._connection import Origin, Reply
from ._network import Network

__all__ = ["H11Connection"]


class H11Connection:
    """One of httpcore's connections, and the network below it."""

    def __init__(
        self,
        origin: Origin,
        ssl_context: ssl.SSLContext | None,
        server_name: str | None,
        socket: str | None,
        keepalive: float,
    ) -> None:
        self._origin = origin
        self._server_name = server_name
        self._network = Network()
        self._http = httpcore.AsyncHTTPConnection(
            httpcore.Origin(*origin),
            ssl_context=ssl_context,
            keepalive_expiry=keepalive,
            uds=socket,
            network_backend=self._network,
        )

    @property
    def connected(self) -> bool:
        return self._network.connected

    @property
    def idle(self) -> bool:
        return self._http.is_idle() and not _left_over(self._http)

    @property
    def expired(self) -> bool:
        return self._http.has_expired()

    async def send(self, request: httpx.Request, until: float) -> Reply:
        has_body = request.method != "GET" and _announces_body(request)
        self._network.begin(has_body=has_body, until=until)
        response = await self._http.handle_async_request(
            httpcore.Request(
                request.method,
                httpcore.URL(
                    scheme=self._origin.scheme,
                    host=self._origin.host,
                    port=self._origin.port,
                    target=request.url.raw_path,
                ),
                headers=request.headers.raw,
                content=_outgoing(request.stream),
                extensions=self._extensions(request),
            )
        )
        return Reply(response.status, response.headers, _Body(response), dict(response.extensions))

    async def hang_up(self) -> None:
        await self._http.aclose()
        await self._network.aclose()

    def _extensions(self, request: httpx.Request) -> dict[str, Any]:
        extensions = {"timeout": request.extensions.get("timeout", {})}
        if self._server_name is not None:
            extensions["sni_hostname"] = self._server_name
        return extensions


def _left_over(http: httpcore.AsyncHTTPConnection) -> bool:
    """Whether more has come than the answer: httpcore would take it for the next one."""
    # Nothing public says so. Where there is no such connection, somebody put another in its place.
    state = getattr(getattr(http, "_connection", None), "_h11_state", None)
    return state is not None and state.trailing_data[0] != b""


class _Outgoing:
    """
    A body to send.

    It is no asynchronous generator: an agent that refuses a large body has not read it all, and
    what httpcore then leaves half sent would be one that nobody closes.
    """

    def __init__(self, body: httpx.ByteStream) -> None:
        # A generator, which the body's own would be, is large for one that waits with its request.
        self._parts = iter(tuple(body))

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        for part in self._parts:
            return part
        raise StopAsyncIteration


def _announces_body(request: httpx.Request) -> bool:
    return bool(request.headers.get("content-length", "0") != "0")


def _outgoing(body: Any) -> Any:
    return _Outgoing(body) if isinstance(body, httpx.ByteStream) else body


class _Body:
    """A response's, as what it is."""

    def __init__(self, response: httpcore.Response) -> None:
        self._response = response

    def __aiter__(self) -> AsyncIterator[bytes]:
        return aiter(self._response.stream)  # type: ignore[arg-type]

    async def aclose(self) -> None:
        await self._response.aclose()
