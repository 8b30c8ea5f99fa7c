"""Put the token on a request, as the last thing before it leaves."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import NoReturn

import httpx
from pydantic import SecretStr

from .._call import Token
from .._token import reveal
from ._layer import bounds_attempts, call_of

__all__ = ["Authorize"]


@dataclass(frozen=True)
class Authorize:
    """
    Adds `X-Consul-Token`, and `Authorization: Basic` where a proxy before Consul wants one.

    It belongs below every other layer: the request that they, the events and the errors hold then
    never has a secret in it. The token may be a SecretStr or a callable that returns the current
    one; a view's own token (`c.using(token=...)`) comes first.
    """

    # A callable's repr may show what it was made of.
    token: Token | None = field(default=None, repr=False)
    basic: SecretStr | None = field(default=None, repr=False)
    """`user:password`, for HTTP basic authentication."""

    def __reduce__(self) -> NoReturn:
        raise TypeError("Authorize cannot be pickled: its token would stand there in clear text")

    def wrap(self, inner: httpx.AsyncBaseTransport) -> httpx.AsyncBaseTransport:
        return AuthorizeTransport(inner, self)


class AuthorizeTransport(httpx.AsyncBaseTransport):
    def __init__(self, inner: httpx.AsyncBaseTransport, authorize: Authorize) -> None:
        self._inner = inner
        self._authorize = authorize

    @property
    def bounds_attempts(self) -> bool:
        return bounds_attempts(self._inner)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        token = call_of(request).token or self._authorize.token
        if token is None and self._authorize.basic is None:
            return await self._inner.handle_async_request(request)
        # No secret is ever in a local variable: those show in tracebacks. A second header of the
        # same name would be Consul's to choose from.
        return await self._inner.handle_async_request(
            httpx.Request(
                request.method,
                request.url,
                headers=_with(request.headers, _credentials(token, self._authorize.basic)),
                stream=request.stream,
                extensions=request.extensions,
            )
        )

    async def aclose(self) -> None:
        await self._inner.aclose()


def _credentials(token: Token | None, basic: SecretStr | None) -> list[tuple[bytes, bytes]]:
    headers = [(b"X-Consul-Token", value) for value in (reveal(token),) if value]
    if basic is not None:
        encoded = base64.b64encode(basic.get_secret_value().encode())
        headers.append((b"Authorization", b"Basic " + encoded))
    return headers


def _with(headers: httpx.Headers, credentials: list[tuple[bytes, bytes]]) -> httpx.Headers:
    headers = headers.copy()
    headers.update(credentials)
    return headers
