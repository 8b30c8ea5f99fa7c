"""
What an error says: was the request carried out, may it be sent again, is Consul to blame.

The HTTP status alone does not tell. Consul 1.8 answers 500 for a misspelt filter, for an election
in progress and for a connection that broke after the write was committed, so the text decides.
Everything unknown counts as "may have been applied": a wrong guess then costs a retry, not a
second write.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import NamedTuple

from .errors import (
    BadRequestError,
    ConsulStatusError,
    InvalidSessionError,
    NoLeaderError,
    NotFoundError,
    PayloadTooLargeError,
    PermissionDeniedError,
    RateLimitedError,
    ServerError,
    TransactionError,
    UnknownCheckError,
    UnknownDatacenterError,
    UnsupportedEndpointError,
)

__all__ = ["Blame", "Fault", "Outcome", "classify"]


class Outcome(enum.Enum):
    """What became of a request that ended in an error."""

    REJECTED = "rejected"  # understood and refused; asking again changes nothing
    NOT_SENT = "not sent"  # nothing reached Consul
    NOT_APPLIED = "not applied"  # Consul could not act, and did not; ask again
    THROTTLED = "throttled"  # as above, but later
    NO_PATH = "no path"  # not in this datacenter; another may answer
    MAYBE_APPLIED = "maybe applied"


class Blame(enum.Enum):
    """What an error says about the datacenter's health."""

    NOBODY = "nobody"  # Consul is well: it answered
    UNCLEAR = "unclear"  # nothing: it is the caller's mistake, or will pass by itself
    SERVER = "server"


@dataclass(frozen=True, slots=True)
class Fault:
    """One class of error: what became of the request, whose fault it is, what to raise."""

    outcome: Outcome
    blame: Blame
    error: type[ConsulStatusError] = ConsulStatusError


# During an election an agent that is well says these at once, for a second or two. A circuit that
# they opened would make half a minute's outage of it. (Without a leader for 7 s it says so.)
_NOT_APPLIED = Fault(Outcome.NOT_APPLIED, Blame.UNCLEAR, ServerError)
_THROTTLED = Fault(Outcome.THROTTLED, Blame.UNCLEAR, RateLimitedError)
_MISTAKE = Fault(Outcome.REJECTED, Blame.UNCLEAR, BadRequestError)


class _Row(NamedTuple):
    text: str
    fault: Fault


# The first row whose text occurs in the answer decides. Every hop that forwards a request adds
# "rpc error making call: ", so rows look for a part. What is not here may have been applied; so
# may what failed with "EOF", "stream closed" or "leadership lost while committing log", but for
# "failed to get conn: ... EOF", which failed before the request left the agent.
_SERVER_ERRORS = (
    _Row("No cluster leader", Fault(Outcome.NOT_APPLIED, Blame.SERVER, NoLeaderError)),
    _Row("node is not the leader", Fault(Outcome.NOT_APPLIED, Blame.UNCLEAR, NoLeaderError)),
    _Row("No known Consul servers", Fault(Outcome.NOT_APPLIED, Blame.SERVER, ServerError)),
    _Row("rpc error getting client", _NOT_APPLIED),
    _Row("failed to get conn", _NOT_APPLIED),
    _Row("lead thread didn't get connection", _NOT_APPLIED),
    _Row("ACL system is currently in legacy mode", _NOT_APPLIED),
    _Row("rate limit exceeded", _THROTTLED),
    _Row("too many concurrent connections", _THROTTLED),
    _Row("operation rate limited", _THROTTLED),
    _Row("No path to datacenter", Fault(Outcome.NO_PATH, Blame.UNCLEAR, UnknownDatacenterError)),
    _Row("invalid session", Fault(Outcome.REJECTED, Blame.UNCLEAR, InvalidSessionError)),
    _Row("failed session lookup", Fault(Outcome.REJECTED, Blame.UNCLEAR, InvalidSessionError)),
    _Row("does not have associated TTL", Fault(Outcome.REJECTED, Blame.UNCLEAR, UnknownCheckError)),
    _Row("ACL not found", Fault(Outcome.REJECTED, Blame.NOBODY, PermissionDeniedError)),
    _Row("Permission denied", Fault(Outcome.REJECTED, Blame.NOBODY, PermissionDeniedError)),
    _Row("Session TTL '", _MISTAKE),
    _Row("Invalid Behavior setting", _MISTAKE),
    _Row("Missing node registration", _MISTAKE),
    _Row("' registration", _MISTAKE),
    _Row("Failed to create boolean expression evaluator", _MISTAKE),
    _Row("strconv.Parse", _MISTAKE),
    _Row("index error: UUID must be", _MISTAKE),
    _Row("Connect must be enabled", _MISTAKE),
    _Row("ExpirationTime cannot be", _MISTAKE),
    _Row("Failed to parse ACL rules", _MISTAKE),
    _Row("Invalid Policy", _MISTAKE),
    _Row("Invalid key_prefix policy", _MISTAKE),
    _Row("No such ACL policy", _MISTAKE),
    _Row("Invalid prepared query", _MISTAKE),
    _Row("aliases an existing query name", _MISTAKE),
    _Row("Cannot modify non-existent", _MISTAKE),
    _Row("Must be bound to a session", _MISTAKE),
    _Row("Scripts are disabled", _MISTAKE),
    _Row("was not found in the Raft configuration", _MISTAKE),
    _Row("No node found with name", _MISTAKE),
    _Row("user event exceeds configured limit", _MISTAKE),
    _Row("invalid config entry kind", _MISTAKE),
    _Row("failed to decompress snapshot", _MISTAKE),
)

# A proxy's own statuses: there is no Consul behind it, or none that answers.
_GATEWAY = {502, 503, 504}
_NO_CONSUL = Fault(Outcome.MAYBE_APPLIED, Blame.SERVER, ServerError)

# A text nobody has told us about may be a caller's mistake that a newer server words differently,
# or an election's. It does not count against the datacenter: one caller must not close the door
# for all.
_UNKNOWN = Fault(Outcome.MAYBE_APPLIED, Blame.UNCLEAR, ServerError)

_ANSWERS = {
    status: Fault(Outcome.REJECTED, Blame.NOBODY, error)
    for status, error in (
        (400, BadRequestError),
        (401, PermissionDeniedError),
        (403, PermissionDeniedError),
        (404, NotFoundError),
        (405, UnsupportedEndpointError),
        (409, TransactionError),
        (413, PayloadTooLargeError),
        (414, PayloadTooLargeError),
        (431, PayloadTooLargeError),
        (415, BadRequestError),
    )
} | {429: _THROTTLED}

_OTHER_ANSWER = Fault(Outcome.REJECTED, Blame.NOBODY, ConsulStatusError)

# Newer servers answer 400 where old ones answer 500; these two texts mean the same in both.
_SAME_ANYWHERE = ("invalid session", "does not have associated TTL")


def classify(status: int, text: str) -> Fault:
    """Say what an error answer means, from its status and its (decoded) text."""
    if status < 500:
        return _classify_answer(status, text)
    for row in _SERVER_ERRORS:
        if row.text in text:
            return row.fault
    return _NO_CONSUL if status in _GATEWAY else _UNKNOWN


def _classify_answer(status: int, text: str) -> Fault:
    if status == 400:
        for row in _SERVER_ERRORS:
            if row.text in _SAME_ANYWHERE and row.text in text:
                return row.fault
    return _ANSWERS.get(status, _OTHER_ANSWER)
