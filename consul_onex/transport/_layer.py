"""What a layer is, and what all layers need to know of an error."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

import anyio
import httpx

from .._call import CARD, Call
from .._failures import fault_of_error
from .._faults import Fault, classify

__all__ = [
    "Layer",
    "TimeIsUp",
    "bounds_attempts",
    "call_of",
    "close",
    "fault_of_answer",
    "fault_of_error",
    "is_answer",
    "is_data",
    "keeps_time",
    "stack",
    "stacked",
]


class Layer(Protocol):
    """Configuration that can wrap a transport."""

    def wrap(self, inner: httpx.AsyncBaseTransport) -> httpx.AsyncBaseTransport: ...


def stack(bottom: httpx.AsyncBaseTransport, layers: Iterable[Layer]) -> httpx.AsyncBaseTransport:
    """Put layers over a transport; the first one named is outermost."""
    return stacked(bottom, layers)[-1]


def stacked(
    bottom: httpx.AsyncBaseTransport, layers: Iterable[Layer]
) -> list[httpx.AsyncBaseTransport]:
    """Every transport of a stack, from the bottom to the top."""
    parts = [bottom]
    for layer in reversed(list(layers)):
        parts.append(layer.wrap(parts[-1]))
    return parts


class TimeIsUp(BaseException):
    """
    The call was about to wait beyond the `until` on its card.

    To the layers that it passes it is what a cancellation is, and no failure of an attempt.
    """


def keeps_time(transport: httpx.AsyncBaseTransport) -> bool:
    """
    Whether nothing from here on down waits beyond the `until` on a card.

    A transport says so by an attribute of this name. A stack of ours then needs no cancel scope
    around all of its attempts.
    """
    return bool(getattr(transport, "keeps_time", False))


def bounds_attempts(transport: httpx.AsyncBaseTransport) -> bool:
    """
    Whether a request takes no longer than the `attempt` on its card, and not beyond its `until`.

    A transport says so by an attribute of this name, which may change: whoever intercepts requests
    keeps no time. Where it does, one attempt needs no cancel scope either.
    """
    return bool(getattr(transport, "bounds_attempts", False))


def call_of(request: httpx.Request) -> Call:
    card = request.extensions.get(CARD)
    # Each layer asks: one with a card is not to be looked at for its method.
    return card if isinstance(card, Call) else Call.of(request.method, request.extensions)


def is_data(response: httpx.Response, call: Call) -> bool:
    """Whether an answer is data although its status says error."""
    return bool(call.data) and call.is_data(
        response.status_code, response.headers.get("content-type")
    )


def is_answer(response: httpx.Response, call: Call) -> bool:
    """Whether this answers the caller, well or badly, and is no news of Consul's own trouble."""
    # Whatever is below 500 is one, but for "not so fast".
    status = response.status_code
    return (status < 500 and status != 429) or is_data(response, call)


async def fault_of_answer(response: httpx.Response) -> Fault:
    """What an error answer means. Reads its text, and leaves it readable."""
    known = response.extensions.get("consul_onex.fault")
    if isinstance(known, Fault):
        return known
    try:
        body = b"".join([chunk async for chunk in response.stream])  # type: ignore[union-attr]
    finally:
        await close(response)
    # A fresh stream, rather than response.aread(): an httpx client above wants to read and time
    # this answer itself.
    response.stream = httpx.ByteStream(body)
    fault = classify(response.status_code, _text(response, body))
    response.extensions["consul_onex.fault"] = fault
    return fault


def _text(response: httpx.Response, body: bytes) -> str:
    try:
        unpacked = httpx.Response(response.status_code, headers=response.headers, content=body)
        # Not its `text`: an answer may name any codec, and some of them raise errors of their own.
        return unpacked.content.decode("utf-8", errors="replace")
    except httpx.DecodingError:
        # An error whose text cannot be unpacked still is that error.
        return ""


async def close(response: httpx.Response) -> None:
    """Close an answer's body, even when cancelled: it may hold a connection."""
    if isinstance(response.stream, httpx.ByteStream):
        # That is here, and holds nothing.
        return
    # The body only: an httpx client above could not read a closed response any more, not even
    # with a fresh body in it.
    with anyio.CancelScope(shield=True):
        await response.stream.aclose()  # type: ignore[union-attr]
