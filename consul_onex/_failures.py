"""What httpx's errors mean: the one place where both wings, the layers and the wire, look."""

from __future__ import annotations

import ssl
from typing import Final

import httpx

from ._faults import Blame, Fault, Outcome

__all__ = ["fault_of_error", "tls_failure"]

# A place in our own or in httpx's queue says nothing about the server.
_OUR_QUEUE: Final = Fault(Outcome.NOT_SENT, Blame.UNCLEAR)
_NOT_SENT: Final = Fault(Outcome.NOT_SENT, Blame.SERVER)
_NOT_POSSIBLE: Final = Fault(Outcome.REJECTED, Blame.UNCLEAR)
_LOST: Final = Fault(Outcome.MAYBE_APPLIED, Blame.SERVER)


def fault_of_error(error: httpx.TransportError) -> Fault:
    """What a failure to get an answer means."""
    if isinstance(error, (httpx.UnsupportedProtocol, httpx.LocalProtocolError)):
        return _NOT_POSSIBLE
    if tls_failure(error):
        return _NOT_POSSIBLE
    if isinstance(error, httpx.PoolTimeout):
        return _OUR_QUEUE
    if isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError)):
        return _NOT_SENT
    return _LOST


def tls_failure(error: BaseException) -> bool:
    """
    Whether the two sides could not agree on TLS: a certificate, a name, a protocol.

    With TLS 1.3 a server refuses a client's certificate only after the handshake, so this may come
    as a failed read.
    """
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, ssl.SSLError):
            # These two are a connection that was cut, not a disagreement.
            return not isinstance(seen, (ssl.SSLEOFError, ssl.SSLZeroReturnError))
        seen = seen.__cause__ or seen.__context__
    return False
