"""The table of errors: what each answer of Consul's, and each error of httpx's, means."""

from __future__ import annotations

import ssl

import httpx
import pytest

from consul_onex._failures import fault_of_error, tls_failure
from consul_onex._faults import Blame, Fault, Outcome, classify
from consul_onex.errors import (
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

# What a caller does about them, in words.
REFUSED = (Outcome.REJECTED, Blame.NOBODY)
CALLERS_MISTAKE = (Outcome.REJECTED, Blame.UNCLEAR)
TRY_AGAIN = (Outcome.NOT_APPLIED, Blame.SERVER)
ELECTION = (Outcome.NOT_APPLIED, Blame.UNCLEAR)
TRY_LATER = (Outcome.THROTTLED, Blame.UNCLEAR)
TRY_ELSEWHERE = (Outcome.NO_PATH, Blame.UNCLEAR)
MAYBE_DONE = (Outcome.MAYBE_APPLIED, Blame.SERVER)
UNKNOWN = (Outcome.MAYBE_APPLIED, Blame.UNCLEAR)

Row = tuple[int, str, tuple[Outcome, Blame], type[ConsulStatusError]]

# Texts as real servers sent them, 1.8 unless said otherwise; addresses are shortened.
ANSWERS: list[Row] = [
    (400, "", REFUSED, BadRequestError),
    (400, "400 Bad Request", REFUSED, BadRequestError),
    (400, "Invalid index", REFUSED, BadRequestError),
    (400, "Invalid wait time", REFUSED, BadRequestError),
    (400, "Missing key name", REFUSED, BadRequestError),
    (400, "Request decode failed: EOF", REFUSED, BadRequestError),
    (400, 'Request decode failed: json: unknown field "Nope"', REFUSED, BadRequestError),
    (
        400,
        "Bad request: Request decoding failed: invalid config entry kind: nope",
        REFUSED,
        BadRequestError,
    ),
    (
        400,
        "Cannot specify ?stale with ?consistent, conflicting semantics.",
        REFUSED,
        BadRequestError,
    ),
    (
        400,
        'Bad request: Invalid query parameter: "ns" - Namespaces are a Consul Enterprise feature',
        REFUSED,
        BadRequestError,
    ),
    (400, "Client sent an HTTP request to an HTTPS server.\n", REFUSED, BadRequestError),
    (401, "ACL support disabled", REFUSED, PermissionDeniedError),
    (403, "ACL not found", REFUSED, PermissionDeniedError),
    (403, "Permission denied", REFUSED, PermissionDeniedError),
    (403, "Permission denied: Missing service:write on x", REFUSED, PermissionDeniedError),
    (403, "Endpoint is blocked by agent configuration", REFUSED, PermissionDeniedError),
    (404, "", REFUSED, NotFoundError),
    (404, "Intention not found", REFUSED, NotFoundError),
    (404, "unknown service ID: none", REFUSED, NotFoundError),
    (404, 'Config entry not found for "service-defaults" / "none"', REFUSED, NotFoundError),
    (
        404,
        "Session id '11111111-1111-1111-1111-111111111111' not found",
        REFUSED,
        NotFoundError,
    ),
    (405, "", REFUSED, UnsupportedEndpointError),
    (405, "method PATCH not allowed", REFUSED, UnsupportedEndpointError),
    (
        409,
        '{"Results":null,"Errors":[{"OpIndex":1,'
        '"What":"failed to set key \\"a\\", index is stale"}]}',
        REFUSED,
        TransactionError,
    ),
    (
        409,
        '{"Results":null,"Errors":[{"OpIndex":0,"What":"invalid session \\"11111111-1111\\""}]}',
        REFUSED,
        TransactionError,
    ),
    (
        409,
        '{"Results":null,"Errors":[{"OpIndex":0,"What":"Permission denied"}]}',
        REFUSED,
        TransactionError,
    ),
    (
        413,
        "Request body(524289 bytes) too large, max size: 524288 bytes. "
        "See https://www.consul.io/docs/agent/options.html#kv_max_value_size.",
        REFUSED,
        PayloadTooLargeError,
    ),
    (
        413,
        "Transaction contains too many operations (65 > 64)",
        REFUSED,
        PayloadTooLargeError,
    ),
    (414, "", REFUSED, PayloadTooLargeError),
    (
        415,
        "Prometheus is not enabled since its retention time is not positive",
        REFUSED,
        BadRequestError,
    ),
    (429, "", TRY_LATER, RateLimitedError),
    (
        429,
        "rate limit exceeded, try again later or against a different server",
        TRY_LATER,
        RateLimitedError,
    ),
    (431, "431 Request Header Fields Too Large", REFUSED, PayloadTooLargeError),
    # The cluster has no leader, or the agent no server: nothing was done.
    (500, "No cluster leader", TRY_AGAIN, NoLeaderError),
    (500, "rpc error making call: No cluster leader", TRY_AGAIN, NoLeaderError),
    (500, "node is not the leader", ELECTION, NoLeaderError),
    (500, "No known Consul servers", TRY_AGAIN, ServerError),
    (
        500,
        "rpc error getting client: failed to get conn: dial tcp 10.0.0.3:0->10.0.0.2:8300: "
        "connect: connection refused",
        ELECTION,
        ServerError,
    ),
    (
        500,
        "rpc error getting client: failed to get conn: rpc error: "
        "lead thread didn't get connection",
        ELECTION,
        ServerError,
    ),
    (
        500,
        "rpc error making call: rpc error getting client: failed to get conn: dial tcp "
        "10.1.0.2:0->10.2.0.3:8300: connect: connection refused",
        ELECTION,
        ServerError,
    ),
    (
        500,
        "rpc error making call: failed to get conn: rpc error: lead thread didn't get connection",
        ELECTION,
        ServerError,
    ),
    (
        500,
        "rpc error making call: lead thread didn't get connection",
        ELECTION,
        ServerError,
    ),
    (500, "failed to get conn: EOF", ELECTION, ServerError),
    (500, "The ACL system is currently in legacy mode.", ELECTION, ServerError),
    # Asked too much: newer servers' rate limiter, at the agent and at the leader.
    (
        503,
        "rate limit exceeded for operation that can only be performed by the leader, "
        "try again later",
        TRY_LATER,
        RateLimitedError,
    ),
    (500, "rpc error making call: rate limit exceeded", TRY_LATER, RateLimitedError),
    (
        500,
        "Your IP is issuing too many concurrent connections, please rate limit your calls",
        TRY_LATER,
        RateLimitedError,
    ),
    (500, "operation rate limited", TRY_LATER, RateLimitedError),
    (500, "No path to datacenter", TRY_ELSEWHERE, UnknownDatacenterError),
    (500, "rpc error making call: No path to datacenter", TRY_ELSEWHERE, UnknownDatacenterError),
    # Who asked is wrong, not the server.
    (
        500,
        'invalid session "11111111-1111-1111-1111-111111111111"',
        CALLERS_MISTAKE,
        InvalidSessionError,
    ),
    (
        500,
        "rpc error making call: rpc error making call: invalid session "
        '"86c4b6ba-fe31-0293-f577-977480fb9840"',
        CALLERS_MISTAKE,
        InvalidSessionError,
    ),
    (400, 'invalid session "11111111-1111"', CALLERS_MISTAKE, InvalidSessionError),
    (
        500,
        "failed session lookup: index error: UUID must be 36 characters",
        CALLERS_MISTAKE,
        InvalidSessionError,
    ),
    (500, "index error: UUID must be 36 characters", CALLERS_MISTAKE, BadRequestError),
    (500, 'CheckID "none" does not have associated TTL', CALLERS_MISTAKE, UnknownCheckError),
    (
        500,
        'CheckID "serfHealth" does not have associated TTL',
        CALLERS_MISTAKE,
        UnknownCheckError,
    ),
    (400, 'CheckID "none" does not have associated TTL', CALLERS_MISTAKE, UnknownCheckError),
    (500, "ACL not found", REFUSED, PermissionDeniedError),
    (500, "rpc error making call: ACL not found", REFUSED, PermissionDeniedError),
    (500, "rpc error making call: Permission denied", REFUSED, PermissionDeniedError),
    (
        500,
        "Invalid Session TTL '9000000000', must be between [10s=24h0m0s]",
        CALLERS_MISTAKE,
        BadRequestError,
    ),
    (
        500,
        "Session TTL 'abc' invalid: time: invalid duration \"abc\"",
        CALLERS_MISTAKE,
        BadRequestError,
    ),
    (500, "Invalid Behavior setting 'explode'", CALLERS_MISTAKE, BadRequestError),
    (500, "Missing node registration", CALLERS_MISTAKE, BadRequestError),
    (
        500,
        "rpc error making call: rpc error making call: Missing node registration",
        CALLERS_MISTAKE,
        BadRequestError,
    ),
    (500, "Missing check 'nope' registration", CALLERS_MISTAKE, BadRequestError),
    (
        500,
        'Failed to create boolean expression evaluator: Selector "Nope" is not valid',
        CALLERS_MISTAKE,
        BadRequestError,
    ),
    (
        500,
        'strconv.ParseUint: parsing "-1": invalid syntax',
        CALLERS_MISTAKE,
        BadRequestError,
    ),
    (
        500,
        "Connect must be enabled in order to use this endpoint",
        CALLERS_MISTAKE,
        BadRequestError,
    ),
    (
        500,
        "ExpirationTime cannot be less than 1m0s in the future (was 10s)",
        CALLERS_MISTAKE,
        BadRequestError,
    ),
    (
        500,
        "Failed to parse ACL rules: At 1:14: expected: IDENT | STRING got: LBRACE",
        CALLERS_MISTAKE,
        BadRequestError,
    ),
    (
        500,
        'Invalid Policy: A Policy with Name "ro-app" already exists',
        CALLERS_MISTAKE,
        BadRequestError,
    ),
    (
        500,
        'Invalid key_prefix policy: &acl.KeyRule{Prefix:"", Policy:"rw"}',
        CALLERS_MISTAKE,
        BadRequestError,
    ),
    (500, 'No such ACL policy with name "ghost"', CALLERS_MISTAKE, BadRequestError),
    (
        500,
        "Invalid prepared query: Must provide a Service name to query",
        CALLERS_MISTAKE,
        BadRequestError,
    ),
    (500, "name 'ecoq' aliases an existing query name", CALLERS_MISTAKE, BadRequestError),
    (
        500,
        "Cannot modify non-existent prepared query: '11111111-1111-1111-1111-111111111111'",
        CALLERS_MISTAKE,
        BadRequestError,
    ),
    (500, "Must be bound to a session", CALLERS_MISTAKE, BadRequestError),
    (
        500,
        "Scripts are disabled on this agent from remote calls; to enable, configure "
        "'enable_script_checks' to true",
        CALLERS_MISTAKE,
        BadRequestError,
    ),
    (
        500,
        'address "1.2.3.4:5" was not found in the Raft configuration',
        CALLERS_MISTAKE,
        BadRequestError,
    ),
    (500, "agent: No node found with name 'none'", CALLERS_MISTAKE, BadRequestError),
    (
        500,
        '1 error occurred:\n\t* error broadcasting event to segment "": user event exceeds '
        "configured limit of 512 bytes before encoding\n\n",
        CALLERS_MISTAKE,
        BadRequestError,
    ),
    (500, "invalid config entry kind: nope", CALLERS_MISTAKE, BadRequestError),
    (
        500,
        "failed to decompress snapshot: gzip: invalid header",
        CALLERS_MISTAKE,
        BadRequestError,
    ),
    (
        500,
        "failed to decompress snapshot: unexpected EOF",
        CALLERS_MISTAKE,
        BadRequestError,
    ),
    # It broke on the way: the write may have been committed, or not.
    (500, "leadership lost while committing log", UNKNOWN, ServerError),
    (
        500,
        "rpc error making call: rpc error making call: leadership lost while committing log",
        UNKNOWN,
        ServerError,
    ),
    (500, "raft is already shutdown", UNKNOWN, ServerError),
    (500, "raft is already shutting down", UNKNOWN, ServerError),
    (500, "rpc error making call: EOF", UNKNOWN, ServerError),
    (500, "rpc error making call: rpc error making call: stream closed", UNKNOWN, ServerError),
    (
        500,
        "rpc error making call: write tcp 10.0.0.2:4000->10.0.0.3:8300: write: broken pipe",
        UNKNOWN,
        ServerError,
    ),
    (500, "rpc error making call: a text of a newer server", UNKNOWN, ServerError),
    (500, "EOF", UNKNOWN, ServerError),
    (500, "stream closed", UNKNOWN, ServerError),
    (500, "write: broken pipe", UNKNOWN, ServerError),
    (500, "read: connection reset by peer", UNKNOWN, ServerError),
    (500, "read tcp 10.0.0.2:4000->10.0.0.3:8300: i/o timeout", UNKNOWN, ServerError),
    (500, "i/o deadline reached", UNKNOWN, ServerError),
    (500, "session shutdown", UNKNOWN, ServerError),
    # A proxy speaks, and nobody behind it.
    (502, "<html>Bad Gateway</html>", MAYBE_DONE, ServerError),
    (503, "", MAYBE_DONE, ServerError),
    (503, "no healthy upstream", MAYBE_DONE, ServerError),
    (504, "upstream request timeout", MAYBE_DONE, ServerError),
    (502, "No cluster leader", TRY_AGAIN, NoLeaderError),
    # Nobody knows.
    (500, "", UNKNOWN, ServerError),
    (
        500,
        "1 error occurred:\n\t* Failed to join 10.0.0.99: dial tcp 10.0.0.99:8301: "
        "connect: connection refused\n\n",
        UNKNOWN,
        ServerError,
    ),
    (501, "Not Implemented", UNKNOWN, ServerError),
    (599, "a text that nobody has seen before", UNKNOWN, ServerError),
    (402, "Payment Required", REFUSED, ConsulStatusError),
    (408, "Request Timeout", REFUSED, ConsulStatusError),
    (418, "No cluster leader", REFUSED, ConsulStatusError),
    (302, "No cluster leader", REFUSED, ConsulStatusError),
]


@pytest.mark.parametrize(("status", "text", "meaning", "error"), ANSWERS)
def test_an_answer_means(
    status: int, text: str, meaning: tuple[Outcome, Blame], error: type[ConsulStatusError]
) -> None:
    assert classify(status, text) == Fault(*meaning, error)


@pytest.mark.parametrize(
    ("status", "text", "meaning", "error"), [row for row in ANSWERS if row[0] == 500 and row[1]]
)
@pytest.mark.parametrize("hops", [1, 2, 3])
def test_a_text_means_the_same_after_each_hop(
    hops: int,
    status: int,
    text: str,
    meaning: tuple[Outcome, Blame],
    error: type[ConsulStatusError],
) -> None:
    assert classify(status, "rpc error making call: " * hops + text) == Fault(*meaning, error)


@pytest.mark.parametrize(("status", "text", "meaning", "error"), ANSWERS)
def test_only_a_server_error_may_have_been_applied(
    status: int, text: str, meaning: tuple[Outcome, Blame], error: type[ConsulStatusError]
) -> None:
    fault = classify(status, text)

    assert status >= 500 or fault.outcome in (Outcome.REJECTED, Outcome.THROTTLED)
    assert status >= 500 or fault.blame is not Blame.SERVER


# The errors of httpx


NOT_POSSIBLE = Fault(Outcome.REJECTED, Blame.UNCLEAR)
OUR_QUEUE = Fault(Outcome.NOT_SENT, Blame.UNCLEAR)
NOT_SENT = Fault(Outcome.NOT_SENT, Blame.SERVER)
LOST = Fault(Outcome.MAYBE_APPLIED, Blame.SERVER)


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (httpx.UnsupportedProtocol, NOT_POSSIBLE),
        (httpx.LocalProtocolError, NOT_POSSIBLE),
        (httpx.PoolTimeout, OUR_QUEUE),
        (httpx.ConnectError, NOT_SENT),
        (httpx.ConnectTimeout, NOT_SENT),
        (httpx.ProxyError, NOT_SENT),
        (httpx.ReadError, LOST),
        (httpx.ReadTimeout, LOST),
        (httpx.WriteError, LOST),
        (httpx.WriteTimeout, LOST),
        (httpx.CloseError, LOST),
        (httpx.RemoteProtocolError, LOST),
        (httpx.TransportError, LOST),
    ],
)
def test_an_error_of_the_transport_means(error: type[httpx.TransportError], fault: Fault) -> None:
    assert fault_of_error(error("said so")) == fault


TLS_ERRORS = [
    (ssl.SSLCertVerificationError("self signed certificate"), True),
    (ssl.SSLError("tlsv13 alert certificate required"), True),
    (ssl.SSLError("wrong version number"), True),
    (ssl.SSLEOFError("violation of protocol"), False),
    (ssl.SSLZeroReturnError("closed"), False),
    (ConnectionResetError("reset"), False),
]


@pytest.mark.parametrize(("cause", "disagreement"), TLS_ERRORS)
@pytest.mark.parametrize("between", [0, 1, 3])
@pytest.mark.parametrize("said", [True, False])
def test_a_disagreement_on_tls_is_found_under_whatever_lies_on_it(
    cause: Exception, disagreement: bool, between: int, said: bool
) -> None:
    error: Exception = cause
    for above in (*(OSError(n) for n in range(between)), httpx.ReadError("broken")):
        if said:
            above.__cause__ = error
        else:
            above.__context__ = error
        error = above

    assert isinstance(error, httpx.ReadError)
    assert tls_failure(error) is disagreement
    assert fault_of_error(error) == (NOT_POSSIBLE if disagreement else LOST)


@pytest.mark.parametrize("kind", [httpx.ConnectError, httpx.ReadError, httpx.PoolTimeout])
def test_a_certificate_that_does_not_fit_is_nobodys_failure(
    kind: type[httpx.TransportError],
) -> None:
    error = kind("certificate verify failed")
    error.__cause__ = ssl.SSLCertVerificationError("unable to get local issuer certificate")

    assert fault_of_error(error) == NOT_POSSIBLE


@pytest.mark.parametrize("cut", [ssl.SSLEOFError("EOF"), ssl.SSLZeroReturnError("closed")])
def test_a_connection_cut_in_the_handshake_was_not_sent(cut: ssl.SSLError) -> None:
    error = httpx.ConnectError("cut")
    error.__cause__ = cut

    assert not tls_failure(error)
    assert fault_of_error(error) == NOT_SENT


def test_an_error_without_a_cause_is_no_disagreement() -> None:
    assert not tls_failure(httpx.ConnectError("refused"))
