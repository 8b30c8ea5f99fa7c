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
    _Row("Unknown check", Fault(Outcome.REJECTED, Blame.UNCLEAR, UnknownCheckError)),
    _Row("Unknown service", _MISSING),
    _Row('ServiceID "', _MISSING),
    _Row("failed to parse and validate JWT", _REFUSED),
    _Row("error parsing token: ", _REFUSED),
    _Row("error validating claims: ", _REFUSED),
    _Row("no known key successfully validated", _REFUSED),
    _Row("missing jwt", _REFUSED),
    _Row("Failed to join ", _FAILED),
    _Row("Failed to resolve ", _FAILED),
    _Row("failed to parse ", _FAILED),
    _Row("Failed reloading ", _FAILED),
    _Row("ACL not found", _REFUSED),
    _Row("Permission denied", _REFUSED),
    _Row("keyring denied", _REFUSED),
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
    _Row("policy: &acl.", _MISTAKE),
    _Row("Invalid acl policy", _MISTAKE),
    _Row("Invalid operator policy", _MISTAKE),
    _Row("Invalid keyring policy", _MISTAKE),
    _Row("No such ACL ", _MISTAKE),
    _Row("No such policy with ID", _MISTAKE),
    _Row("Invalid Token: ", _MISTAKE),
    _Row("Invalid Role: ", _MISTAKE),
    _Row("Invalid Auth Method: ", _MISTAKE),
    _Row("nvalid Binding Rule: ", _MISTAKE),
    _Row("Service identity ", _MISTAKE),
    _Row("Node identity ", _MISTAKE),
    _Row("invalid UUID", _MISTAKE),
    _Row("is immutable", _MISTAKE),
    _Row(" is not permitted", _MISTAKE),
    _Row("Delete operation not permitted", _MISTAKE),
    _Row("Cannot change expiration time", _MISTAKE),
    _Row("Cannot change AuthMethod", _MISTAKE),
    _Row("cannot toggle local mode", _MISTAKE),
    _Row("AuthMethod field is disallowed", _MISTAKE),
    _Row("Rules cannot be specified", _MISTAKE),
    _Row("Expiration TTL and Expiration Time cannot both", _MISTAKE),
    _Row("MaxTokenTTL ", _MISTAKE),
    _Row("Cannot clone a token", _MISTAKE),
    _Row("bind name for bind target", _MISTAKE),
    _Row("Cannot find token", _MISSING),
    _Row("cannot find policy", _MISSING),
    _Row("cannot find role", _MISSING),
    _Row("cannot find binding rule", _MISSING),
    _Row("cannot find auth method", _MISSING),
    _Row("Invalid prepared query", _MISTAKE),
    _Row("aliases an existing query", _MISTAKE),
    _Row("failed compiling template", _MISTAKE),
    _Row("query template with an empty name already exists", _MISTAKE),
    _Row("non-existent intention", _MISSING),
    _Row("Cannot modify non-existent", _MISSING),
    _Row("Must be bound to a session", _MISTAKE),
    _Row("Scripts are disabled", _MISTAKE),
    _Row("Network segments are not supported", _MISTAKE),
    _Row('segment "', _MISTAKE),
    _Row("Must be a server to join WAN", _MISTAKE),
    _Row("SPIFFE ID is not in the expected format", _MISTAKE),
    _Row("was not found in the Raft configuration", _MISTAKE),
    _Row("No node found with name", _MISTAKE),
    _Row("Must provide ", _MISTAKE),
    _Row("Bad node ID", _MISTAKE),
    _Row("failed inserting ", _MISTAKE),
    _Row("does not match node", _MISTAKE),
    _Row("Invalid service address", _MISTAKE),
    _Row("Connect proxy", _MISTAKE),
    _Row("cannot also be Connect Native", _MISTAKE),
    _Row("configuration is invalid for a", _MISTAKE),
    _Row("must be non-zero for a", _MISTAKE),
    _Row("upstream destination", _MISTAKE),
    _Row("expose.paths", _MISTAKE),
    _Row("incompatible coordinate", _MISTAKE),
    _Row("error parsing regexp", _MISTAKE),
    _Row("Cannot provide tag filter", _MISTAKE),
    _Row("user event exceeds configured limit", _MISTAKE),
    _Row("invalid config entry kind", _MISTAKE),
    _Row("Name is required", _MISTAKE),
    _Row("object missing primary index", _MISTAKE),
    _Row('discovery chain "', _MISTAKE),
    _Row("detected circular", _MISTAKE),
    _Row("does not have a subset named", _MISTAKE),
    _Row("not a valid subset", _MISTAKE),
    _Row("Subset defined with", _MISTAKE),
    _Row('Subset "', _MISTAKE),
    _Row("Bad Failover[", _MISTAKE),
    _Row("Bad ConnectTimeout", _MISTAKE),
    _Row("Redirect is empty", _MISTAKE),
    _Row("Redirect.ServiceSubset", _MISTAKE),
    _Row("no splits configured", _MISTAKE),
    _Row("all split weights", _MISTAKE),
    _Row("split destination occurs", _MISTAKE),
    _Row("Route[", _MISTAKE),
    _Row("listener on port", _MISTAKE),
    _Row("for listener with port", _MISTAKE),
    _Row("on two listeners", _MISTAKE),
    _Row("does not match defined listener protocol", _MISTAKE),
    _Row("is an unsupported protocol", _MISTAKE),
    _Row("is not allowed when TLS is enabled", _MISTAKE),
    _Row("a wildcard specifier is only", _MISTAKE),
    _Row("Service name cannot be blank", _MISTAKE),
    _Row("specified more than once within", _MISTAKE),
    _Row("for TLS origination", _MISTAKE),
    _Row("failed to decompress snapshot", _MISTAKE),
    _Row("failed to read snapshot file", _MISTAKE),
    _Row("unread uncompressed bytes remain", _MISTAKE),
    _Row("flate: corrupt input", _MISTAKE),
    _Row("gzip: invalid", _MISTAKE),
    _Row("encryption not enabled", _MISTAKE),
    _Row("Requested key is not in the keyring", _MISTAKE),
    _Row("Removing the primary key is not allowed", _MISTAKE),
    _Row("key size must be 16, 24 or 32 bytes", _MISTAKE),
    _Row("illegal base64 data", _MISTAKE),
    _Row("unknown feature gate", _MISSING),
    _Row("feature-gate policy is not yet initialized", _NOT_APPLIED),
    _Row("could not initialize provider", _MISTAKE),
    _Row("error configuring provider", _MISTAKE),
    _Row("error parsing private key", _MISTAKE),
    _Row("duplicate intention found", _MISTAKE),
    _Row("Action must be set", _MISTAKE),
    _Row("Name must be set", _MISTAKE),
    _Row("SourceType", _MISTAKE),
    _Row("wildcard character '*'", _MISTAKE),
    _Row("cannot follow wildcard", _MISTAKE),
    _Row("exceeds maximum", _MISTAKE),
    _Row("Failed to decode request body", _MISTAKE),
    _Row("input can contain at most", _MISTAKE),
    _Row("'by' parameter must be", _MISTAKE),
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

# Newer servers answer 400 or 404 where old ones answer 500; these texts mean the same in all.
_SAME_ANYWHERE = ("invalid session", "does not have associated TTL", "Unknown check")


def classify(status: int, text: str) -> Fault:
    """Say what an error answer means, from its status and its (decoded) text."""
    if status < 500:
        return _classify_answer(status, text)
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
