"""
A native-async, fully typed client for HashiCorp Consul, on asyncio and trio.

    async with ConsulClient.from_env() as c:
        await c.kv.put("config/web", b"v1")
        async for pair in c.kv.watch("config/web"):
            ...

The house, floor by floor; each looks down only:

    client, settings          the front door: ConsulClient, ConsulSettings
    api/                      Consul's API, one file per endpoint prefix: c.kv, c.catalog, c.status
    transport/ | _wire, watch two wings: the layers of resilience, and one call out and one answer
                              back; they meet in the card that each request carries (_call)
    errors, events, query,    words and facts: the error tree, what can be observed, Consistency
    models/                   and Cursor, what Consul sends

A call goes from its method (which knows the endpoint), through the wire (which knows the view's
options and turns errors into ours), through the layers of `consul_onex.transport` (which know what
may be repeated, where to ask, and when to stop), to a socket.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from ._call import Safety
from ._server import Server
from ._tls import TLS
from ._token import TokenFile
from ._version import __version__
from ._wire import Answer
from .client import ConsulClient, Statistics
from .errors import (
    BadRequestError,
    CircuitOpenError,
    ClientClosedError,
    ConfigurationError,
    ConsulConnectionError,
    ConsulError,
    ConsulStatusError,
    ConsulTimeoutError,
    DecodeError,
    InsecureTransportWarning,
    InvalidKeyError,
    InvalidRequestError,
    InvalidSessionError,
    NoLeaderError,
    NotFoundError,
    OperationError,
    OutcomeUnknownError,
    OverloadedError,
    PayloadTooLargeError,
    PermissionDeniedError,
    RateLimitedError,
    ServerError,
    TransactionError,
    UnknownCheckError,
    UnknownDatacenterError,
    UnsupportedEndpointError,
)
from .models import KVPair
from .query import Consistency, Cursor, QueryMeta
from .watch import Watch

if TYPE_CHECKING:
    from .settings import ConsulSettings

__all__ = [
    "TLS",
    "Answer",
    "BadRequestError",
    "CircuitOpenError",
    "ClientClosedError",
    "ConfigurationError",
    "Consistency",
    "ConsulClient",
    "ConsulConnectionError",
    "ConsulError",
    "ConsulSettings",
    "ConsulStatusError",
    "ConsulTimeoutError",
    "Cursor",
    "DecodeError",
    "InsecureTransportWarning",
    "InvalidKeyError",
    "InvalidRequestError",
    "InvalidSessionError",
    "KVPair",
    "NoLeaderError",
    "NotFoundError",
    "OperationError",
    "OutcomeUnknownError",
    "OverloadedError",
    "PayloadTooLargeError",
    "PermissionDeniedError",
    "QueryMeta",
    "RateLimitedError",
    "Safety",
    "Server",
    "ServerError",
    "Statistics",
    "TokenFile",
    "TransactionError",
    "UnknownCheckError",
    "UnknownDatacenterError",
    "UnsupportedEndpointError",
    "Watch",
    "__version__",
]


# Silent unless the application configures logging.
logging.getLogger("consul_onex").addHandler(logging.NullHandler())


def __getattr__(name: str) -> Any:
    # pydantic-settings takes as long to import as httpx, and only from_env needs it.
    if name == "ConsulSettings":
        from .settings import ConsulSettings  # noqa: PLC0415

        return ConsulSettings
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
