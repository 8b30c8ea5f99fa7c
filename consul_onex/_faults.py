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
_MISSING = Fault(Outcome.REJECTED, Blame.UNCLEAR, NotFoundError)
_FAILED = Fault(Outcome.REJECTED, Blame.UNCLEAR, ServerError)
_REFUSED = Fault(Outcome.REJECTED, Blame.NOBODY, PermissionDeniedError)
_NO_SESSION = Fault(Outcome.REJECTED, Blame.UNCLEAR, InvalidSessionError)
_NO_CHECK = Fault(Outcome.REJECTED, Blame.UNCLEAR, UnknownCheckError)

# A text nobody has told us about may be a caller's mistake that a newer server words differently,
# or an election's. It does not count against the datacenter: one caller must not close the door
# for all.
_UNKNOWN = Fault(Outcome.MAYBE_APPLIED, Blame.UNCLEAR, ServerError)


class _Row(NamedTuple):
    text: str
    fault: Fault


def _rows(fault: Fault, *texts: str) -> list[_Row]:
    return [_Row(text, fault) for text in texts]


# The first row whose text occurs in the answer decides. Every hop that forwards a request adds
# "rpc error making call: ", so rows look for a part. What is not here may have been applied; so
# may what failed with "EOF", "stream closed" or "leadership lost while committing log", but for
# "failed to get conn: ... EOF", which failed before the request left the agent.
_SERVER_ERRORS = (
    _Row("No cluster leader", Fault(Outcome.NOT_APPLIED, Blame.SERVER, NoLeaderError)),
    *_rows(
        Fault(Outcome.NOT_APPLIED, Blame.UNCLEAR, NoLeaderError),
        "node is not the leader",
    ),
    _Row("No known Consul servers", Fault(Outcome.NOT_APPLIED, Blame.SERVER, ServerError)),
    *_rows(
        _NOT_APPLIED,
        "rpc error getting client",
        "failed to get conn",
        "lead thread didn't get connection",
        "ACL system is currently in legacy mode",
    ),
    *_rows(
        _THROTTLED,
        "rate limit exceeded",
        "too many concurrent connections",
        "operation rate limited",
    ),
    *_rows(
        Fault(Outcome.NO_PATH, Blame.UNCLEAR, UnknownDatacenterError),
        "No path to datacenter",
    ),
    *_rows(
        _NO_SESSION,
        "invalid session",
        "failed session lookup",
    ),
    *_rows(
        _NO_CHECK,
        "does not have associated TTL",
        "Unknown check",
    ),
    *_rows(
        _MISSING,
        "Unknown service",
        'ServiceID "',
    ),
    *_rows(
        _REFUSED,
        "failed to parse and validate JWT",
        "error parsing token: ",
        "error validating claims: ",
        "no known key successfully validated",
        "missing jwt",
    ),
    *_rows(
        _FAILED,
        "Failed to join ",
        "Failed to resolve ",
        "failed to parse ",
        "Failed reloading ",
    ),
    *_rows(
        _REFUSED,
        "ACL not found",
        "Permission denied",
        "keyring denied",
    ),
    *_rows(
        _MISTAKE,
        "Session TTL '",
        "Invalid Behavior setting",
        "Missing node registration",
        "' registration",
        "Failed to create boolean expression evaluator",
        "strconv.Parse",
        "index error: UUID must be",
        "Connect must be enabled",
        "ExpirationTime cannot be",
        "Failed to parse ACL rules",
        "Invalid Policy",
        "policy: &acl.",
        "Invalid acl policy",
        "Invalid operator policy",
        "Invalid keyring policy",
        "No such ACL ",
        "No such policy with ID",
        "Invalid Token: ",
        "Invalid Role: ",
        "Invalid Auth Method: ",
        "nvalid Binding Rule: ",
        "Service identity ",
        "Node identity ",
        "invalid UUID",
        "is immutable",
        " is not permitted",
        "Delete operation not permitted",
        "Cannot change expiration time",
        "Cannot change AuthMethod",
        "cannot toggle local mode",
        "AuthMethod field is disallowed",
        "Rules cannot be specified",
        "Expiration TTL and Expiration Time cannot both",
        "MaxTokenTTL ",
        "Cannot clone a token",
        "bind name for bind target",
    ),
    *_rows(
        _MISSING,
        "Cannot find token",
        "cannot find policy",
        "cannot find role",
        "cannot find binding rule",
        "cannot find auth method",
    ),
    *_rows(
        _MISTAKE,
        "Invalid prepared query",
        "aliases an existing query",
        "failed compiling template",
        "query template with an empty name already exists",
    ),
    *_rows(
        _MISSING,
        "non-existent intention",
        "Cannot modify non-existent",
    ),
    *_rows(
        _MISTAKE,
        "Must be bound to a session",
        "Scripts are disabled",
        "Network segments are not supported",
        "user event exceeds configured limit",
    ),
    # Which may come after having told some of the segments.
    _Row("error broadcasting event", _UNKNOWN),
    *_rows(
        _MISTAKE,
        'segment "',
        "Must be a server to join WAN",
        "SPIFFE ID is not in the expected format",
        "was not found in the Raft configuration",
        "No node found with name",
        "Must provide ",
        "Bad node ID",
        "failed inserting ",
        "does not match node",
        "Invalid service address",
        "Connect proxy",
        "cannot also be Connect Native",
        "configuration is invalid for a",
        "must be non-zero for a",
        "upstream destination",
        "expose.paths",
        "incompatible coordinate",
        "error parsing regexp",
        "Cannot provide tag filter",
        "invalid config entry kind",
        "Name is required",
        "object missing primary index",
        'discovery chain "',
        "detected circular",
        "does not have a subset named",
        "not a valid subset",
        "Subset defined with",
        'Subset "',
        "Bad Failover[",
        "Bad ConnectTimeout",
        "Redirect is empty",
        "Redirect.ServiceSubset",
        "no splits configured",
        "all split weights",
        "split destination occurs",
        "Route[",
        "listener on port",
        "for listener with port",
        "on two listeners",
        "does not match defined listener protocol",
        "is an unsupported protocol",
        "is not allowed when TLS is enabled",
        "a wildcard specifier is only",
        "Service name cannot be blank",
        "specified more than once within",
        "for TLS origination",
        "failed to decompress snapshot",
        "failed to read snapshot file",
        "unread uncompressed bytes remain",
        "flate: corrupt input",
        "gzip: invalid",
        "encryption not enabled",
        "Requested key is not in the keyring",
        "Removing the primary key is not allowed",
        "key size must be 16, 24 or 32 bytes",
        "illegal base64 data",
    ),
    _Row("unknown feature gate", _MISSING),
    _Row("feature-gate policy is not yet initialized", _NOT_APPLIED),
    *_rows(
        _MISTAKE,
        "could not initialize provider",
        "error configuring provider",
        "error parsing private key",
        "duplicate intention found",
        "Action must be set",
        "Name must be set",
        "SourceType",
        "wildcard character '*'",
        "cannot follow wildcard",
        "exceeds maximum",
        "Failed to decode request body",
        "input can contain at most",
        "'by' parameter must be",
    ),
)

# A proxy's own statuses: there is no Consul behind it, or none that answers.
_GATEWAY = {502, 503, 504}
_NO_CONSUL = Fault(Outcome.MAYBE_APPLIED, Blame.SERVER, ServerError)

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

# It says something of the server, not of this request (RFC 9110, 15.6.2): whoever says so, Consul
# or a proxy, has no such function, so did nothing, and asking again changes nothing.
_NOT_HERE = Fault(Outcome.REJECTED, Blame.NOBODY, UnsupportedEndpointError)

_OTHER_ANSWER = Fault(Outcome.REJECTED, Blame.NOBODY, ConsulStatusError)

# Newer servers answer 400 or 404 where old ones answer 500; these texts mean the same in all.
_SAME_ANYWHERE = ("invalid session", "does not have associated TTL", "Unknown check")


def classify(status: int, text: str) -> Fault:
    """Say what an error answer means, from its status and its (decoded) text."""
    if status < 500:
        return _classify_answer(status, text)
    if status == 501:
        return _NOT_HERE
    for row in _SERVER_ERRORS:
        if row.text in text:
            return row.fault
    return _NO_CONSUL if status in _GATEWAY else _UNKNOWN


def _classify_answer(status: int, text: str) -> Fault:
    if status in (400, 404):
        for row in _SERVER_ERRORS:
            if row.text in _SAME_ANYWHERE and row.text in text:
                return row.fault
    return _ANSWERS.get(status, _OTHER_ANSWER)
