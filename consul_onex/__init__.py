"""
A native-async, fully typed client for HashiCorp Consul, on asyncio and trio.

    async with ConsulClient.from_env() as c:
        await c.agent.register(ServiceRegistration(name="web", port=8080, check=Check.ttl(15)))
        async for entries in c.watch(c.health.service, "web", passing=True):
            ...

The house, floor by floor; each looks down only:

    recipes/                  what people build with it: locks, semaphores, elections
    client, settings          the front door: ConsulClient, ConsulSettings
    api/                      Consul's API, one file per endpoint prefix: c.kv, c.agent ...
    transport/ | _wire        two wings: the layers of resilience, and one call out and one answer
                              back; they meet in the card that each request carries (_call)
    watch, _topic             a read that is followed, by all who follow it together
    errors, events, query,    words and facts: the error tree, what can be observed, Consistency
    changes, models/          and Cursor, what differs from value to value, what Consul sends and
                              takes

A call goes from its method (which knows the endpoint), through the wire (which knows the view's
options and turns errors into ours), through the layers of `consul_onex.transport` (which know what
may be repeated, where to ask, and when to stop), to a socket.
"""

from __future__ import annotations

import logging
from importlib import import_module
from typing import TYPE_CHECKING, Final

from ._call import Safety
from ._server import Server
from ._tls import TLS
from ._token import TokenFile
from ._version import __version__
from ._wire import Answer
from .changes import Added, Change, Changed, Removed, Resync, Snapshot
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
    FencedError,
    InsecureTransportWarning,
    InvalidKeyError,
    InvalidRequestError,
    InvalidSessionError,
    LockConflictError,
    LockLostError,
    LockTimeoutError,
    NoLeaderError,
    NotFoundError,
    OperationError,
    OutcomeUnknownError,
    OverloadedError,
    PartlyWrittenError,
    PayloadTooLargeError,
    PermissionDeniedError,
    RateLimitedError,
    ServerError,
    SessionLostError,
    TransactionError,
    UnknownCheckError,
    UnknownDatacenterError,
    UnsupportedEndpointError,
)
from .query import Consistency, Cursor, QueryMeta
from .watch import Watch, WatchState

if TYPE_CHECKING:
    from ._archive import verify_snapshot
    from .api.txn import Transaction
    from .models import (
        ACLPolicy,
        ACLRole,
        ACLToken,
        AgentService,
        CatalogRegistration,
        CatalogService,
        Check,
        HealthCheck,
        Intention,
        KVPair,
        Node,
        PreparedQuery,
        Proxy,
        ServiceAddress,
        ServiceEntry,
        ServiceInstance,
        ServiceRegistration,
        SessionEntry,
        SnapshotInfo,
        TxnResult,
        Upstream,
        UserEvent,
        Weights,
    )
    from .settings import ConsulSettings

__all__ = [
    "TLS",
    "ACLPolicy",
    "ACLRole",
    "ACLToken",
    "Added",
    "AgentService",
    "Answer",
    "BadRequestError",
    "CatalogRegistration",
    "CatalogService",
    "Change",
    "Changed",
    "Check",
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
    "FencedError",
    "HealthCheck",
    "InsecureTransportWarning",
    "Intention",
    "InvalidKeyError",
    "InvalidRequestError",
    "InvalidSessionError",
    "KVPair",
    "LockConflictError",
    "LockLostError",
    "LockTimeoutError",
    "NoLeaderError",
    "Node",
    "NotFoundError",
    "OperationError",
    "OutcomeUnknownError",
    "OverloadedError",
    "PartlyWrittenError",
    "PayloadTooLargeError",
    "PermissionDeniedError",
    "PreparedQuery",
    "Proxy",
    "QueryMeta",
    "RateLimitedError",
    "Removed",
    "Resync",
    "Safety",
    "Server",
    "ServerError",
    "ServiceAddress",
    "ServiceEntry",
    "ServiceInstance",
    "ServiceRegistration",
    "SessionEntry",
    "SessionLostError",
    "Snapshot",
    "SnapshotInfo",
    "Statistics",
    "TokenFile",
    "Transaction",
    "TransactionError",
    "TxnResult",
    "UnknownCheckError",
    "UnknownDatacenterError",
    "UnsupportedEndpointError",
    "Upstream",
    "UserEvent",
    "Watch",
    "WatchState",
    "Weights",
    "__version__",
    "verify_snapshot",
]


# Silent unless the application configures logging.
logging.getLogger("consul_onex").addHandler(logging.NullHandler())


# pydantic-settings takes as long to import as httpx, and only from_env needs it. The models are
# imported when they are first used.
_LATER: Final = {
    "ConsulSettings": ".settings",
    "Transaction": ".api.txn",
    "verify_snapshot": "._archive",
    **dict.fromkeys(
        [
            "ACLPolicy",
            "ACLRole",
            "ACLToken",
            "AgentService",
            "CatalogRegistration",
            "CatalogService",
            "Check",
            "HealthCheck",
            "Intention",
            "KVPair",
            "Node",
            "PreparedQuery",
            "Proxy",
            "ServiceAddress",
            "ServiceEntry",
            "ServiceInstance",
            "ServiceRegistration",
            "SessionEntry",
            "SnapshotInfo",
            "TxnResult",
            "Upstream",
            "UserEvent",
            "Weights",
        ],
        ".models",
    ),
}

if not TYPE_CHECKING:
    # To type checkers a name that is not above does not exist.
    def __getattr__(name: str) -> object:
        if name in _LATER:
            return getattr(import_module(_LATER[name], __name__), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
