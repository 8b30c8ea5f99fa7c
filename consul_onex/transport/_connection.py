"""What one connection is to those who keep connections."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Literal, NamedTuple, Protocol

import httpx

__all__ = ["HTTP", "Body", "Connection", "Origin", "Reply"]


HTTP = Literal["auto", "h11", "fast"]
"""
What reads and writes HTTP/1.1: `h11`, in Python, by httpcore; `fast`, in C, with the extra of that
name; `auto`, the fast one where the extra is installed.
"""


class Origin(NamedTuple):
    """Where a connection leads."""

    scheme: bytes
    host: bytes
    port: int


class Body(Protocol):
    """A body on its way."""

    def __aiter__(self) -> AsyncIterator[bytes]: ...

    async def aclose(self) -> None: ...


class Reply(NamedTuple):
    """The head of an answer, and the way to its body."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: Body
    extensions: dict[str, Any]
    whole: bytes | None = None
    """The body, where all of it is here already: the connection may then be used again."""


class Connection(Protocol):
    """
    One socket, once there is one, and HTTP/1.1 on it. What fails is an error of httpcore's.

    Whoever keeps it closes it, after any error and any cancellation.
    """

    @property
    def connected(self) -> bool:
        """Whether there is a socket that `hang_up` can close."""
        ...

    @property
    def idle(self) -> bool:
        """Whether it can take a request."""
        ...

    @property
    def expired(self) -> bool:
        """Whether an idle one has gone stale: closed by the server meanwhile, or too old."""
        ...

    async def send(self, request: httpx.Request, until: float) -> Reply:
        """Send a request, and read the head of its answer. All of it must be here by `until`."""
        ...

    async def hang_up(self) -> None:
        """Close the socket; who reads from it gets an error."""
        ...
