"""One method of the API, called once: what it must send, and what it makes of the answer."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

import httpx

from consul_onex import ConsulClient, Safety

__all__ = ["ANY", "EMPTY", "Case"]

ANY: Final = object()
"""A result that the case says nothing about."""

EMPTY: Final = b""
"""An answer without a body."""


@dataclass(frozen=True)
class Case:
    """
    A call and what it sends.

        Case(
            "session.info",
            lambda c: c.session.info("5f"),
            "GET /v1/session/info/5f",
            takes="dc consistency ns partition",
            answer=[],
            result=None,
        )

    `sent` is the method, the path and the query, as they go over the wire, on a client without
    options of its own. `takes` names the options of a view that the endpoint understands, of `dc`,
    `consistency`, `ns` and `partition`. `body` is what is sent: bytes, or anything else as JSON.
    `answer` is the body of Consul's answer, likewise.
    """

    method: str
    call: Callable[[ConsulClient], Awaitable[Any]]
    sent: str
    takes: str = ""
    body: Any = b""
    answer: Any = None
    status: int = 200
    result: Any = ANY
    safety: Safety | None = None
    """SAFE for GET where not given, otherwise UNSAFE."""
    local: bool = False
    """About the agent itself: never asked elsewhere."""

    def __str__(self) -> str:
        return f"{self.method}: {self.sent}"

    @property
    def expected_safety(self) -> Safety:
        reads = self.sent.startswith("GET ")
        return self.safety or (Safety.SAFE if reads else Safety.UNSAFE)

    def response(self) -> httpx.Response:
        headers = {"X-Consul-Index": "7", "Content-Type": "application/json"}
        body = self.answer if isinstance(self.answer, bytes) else json.dumps(self.answer).encode()
        return httpx.Response(self.status, headers=headers, content=body)
