"""
Resilience, as httpx transports that wrap a transport.

A *layer* is a frozen dataclass: the configuration, which can `wrap(inner)`. What comes out is an
`httpx.AsyncBaseTransport` that holds the running state. A layer needs no other and no client of
ours:

    httpx.AsyncClient(transport=stack(httpx.AsyncHTTPTransport(), [Retry(), Breaker()]))

The first layer named sees a request first. `ConsulClient` builds, outermost first:

    Deadline     one bound over everything below: attempts, pauses, queueing
    Events       one start and one end per call, however many attempts it takes
    Retry        sends again what may be sent again
    Datacenters  chooses the agent; where a read may be answered elsewhere, asks there
    Breaker      stops asking a datacenter that does not answer
    Limit        so many calls at once, plain and blocking ones apart
    WholeBody    reads the whole answer, in bounded time and space
    Authorize    puts the token on the request
    Connections  sockets

The order matters. *Retry over Breaker*: each attempt counts, and an open circuit ends the retrying
at once; of 20 calls to a dead agent, 5 requests go out, with the two exchanged 15. *Datacenters
over Breaker*: one circuit each, and a dead datacenter does not close the door to another. *Limit
under Retry*: nobody holds a place while waiting to try again. *WholeBody under Retry*: httpx reads
bodies above all transports, where a connection cut in the middle of one can no longer be retried
or counted.

Layers read the request's `Call` (its card) to know what may be repeated, what blocks and what is
about the agent itself; without one they go by the method.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from ._layer import Layer, stack
from .authorize import Authorize
from .body import WholeBody
from .breaker import Breaker, Circuit, CircuitState, CircuitStatistics
from .datacenter import Datacenters
from .deadline import Deadline
from .events import Events, log_event
from .limit import Limit, LimitStatistics
from .retry import Retry, RetryStatistics

if TYPE_CHECKING:
    from .connections import Connections, ConnectionStatistics

__all__ = [
    "Authorize",
    "Breaker",
    "Circuit",
    "CircuitState",
    "CircuitStatistics",
    "ConnectionStatistics",
    "Connections",
    "Datacenters",
    "Deadline",
    "Events",
    "Layer",
    "Limit",
    "LimitStatistics",
    "Retry",
    "RetryStatistics",
    "WholeBody",
    "log_event",
    "stack",
]


if not TYPE_CHECKING:
    # httpcore, and trio with it where that is installed, take longer to import than all of this:
    # no earlier than the first client needs them.
    def __getattr__(name: str) -> object:
        if name in ("Connections", "ConnectionStatistics"):
            return getattr(import_module(".connections", __name__), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
