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
    (501, "", REFUSED, UnsupportedEndpointError),
    (501, "The fake agent does not have GET /v1/snapshot.", REFUSED, UnsupportedEndpointError),
    (501, "rpc error making call: EOF", REFUSED, UnsupportedEndpointError),
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
    (500, 'Unknown check "none"', CALLERS_MISTAKE, UnknownCheckError),
    # Newer servers.
    (
        404,
        'Unknown check ID "none". Ensure that the check ID is passed, not the check name.',
        CALLERS_MISTAKE,
        UnknownCheckError,
    ),
    (500, 'Unknown service {"none" {}}', CALLERS_MISTAKE, NotFoundError),
    (500, 'ServiceID "nope" does not exist', CALLERS_MISTAKE, NotFoundError),
    (404, 'ServiceID "nope" does not exist', REFUSED, NotFoundError),
    (404, 'Token "dns" is unknown', REFUSED, NotFoundError),
    (
        500,
        "1 error occurred:\n\t* Failed to join 127.0.0.1: dial tcp 127.0.0.1:1: connect: "
        "connection refused\n\n",
        CALLERS_MISTAKE,
        ServerError,
    ),
    (
        500,
        "1 error occurred:\n\t* Failed to resolve nosuch.invalid: lookup nosuch.invalid on "
        "10.0.0.53:53: no such host\n\n",
        CALLERS_MISTAKE,
        ServerError,
    ),
    (500, "Must be a server to join WAN cluster", CALLERS_MISTAKE, BadRequestError),
    (
        500,
        "Network segments are not supported in this version of Consul",
        CALLERS_MISTAKE,
        BadRequestError,
    ),
    (500, 'segment "x" not found', CALLERS_MISTAKE, BadRequestError),
    (
        500,
        "SPIFFE ID is not in the expected format: spiffe://30d7.consul/ns/default/dc/dc1/svc/a/b",
        CALLERS_MISTAKE,
        BadRequestError,
    ),
    (
        500,
        "failed to parse /etc/consul.d/agent.json: 1 error occurred:\n\t* invalid config key bogus"
        "\n\n",
        CALLERS_MISTAKE,
        ServerError,
    ),
    (
        500,
        'Failed reloading services: Failed to register service "": Service name missing',
        CALLERS_MISTAKE,
        ServerError,
    ),
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
        'Invalid key policy: &acl.KeyRule{Prefix:"x", Policy:"frob", '
        "EnterpriseRule:acl.EnterpriseRule{}}",
        CALLERS_MISTAKE,
        BadRequestError,
    ),
    (500, 'Invalid acl policy: "frob"', CALLERS_MISTAKE, BadRequestError),
    (500, 'Invalid operator policy: "frob"', CALLERS_MISTAKE, BadRequestError),
    (500, 'Invalid keyring policy: "frob"', CALLERS_MISTAKE, BadRequestError),
    (500, 'No such ACL role with name "ghost"', CALLERS_MISTAKE, BadRequestError),
    (
        500,
        "No such policy with ID: 11111111-1111-1111-1111-111111111111",
        CALLERS_MISTAKE,
        BadRequestError,
    ),
    (500, "Invalid Token: SecretID is already in use", CALLERS_MISTAKE, BadRequestError),
    (500, 'Invalid Role: A Role with Name "ops" already exists', CALLERS_MISTAKE, BadRequestError),
    (500, "Invalid Auth Method: Config.Host is required", CALLERS_MISTAKE, BadRequestError),
    (500, 'Invalid Binding Rule: unknown BindType "frob"', CALLERS_MISTAKE, BadRequestError),
    (
        500,
        'invalid Binding Rule: Selector is invalid: Selector "frob" is not valid',
        CALLERS_MISTAKE,
        BadRequestError,
    ),
    (
        500,
        "Service identity is missing the service name field on this role",
        CALLERS_MISTAKE,
        BadRequestError,
    ),
    (
        500,
        "Node identity is missing the datacenter field on this token",
        CALLERS_MISTAKE,
        BadRequestError,
    ),
    (500, "Accessor ID is missing or an invalid UUID", CALLERS_MISTAKE, BadRequestError),
    (500, "Role ID invalid UUID", CALLERS_MISTAKE, BadRequestError),
    (500, "Binding Rule ID invalid UUID", CALLERS_MISTAKE, BadRequestError),
    (500, "the Type field of an Auth Method is immutable", CALLERS_MISTAKE, BadRequestError),
    (500, "the AuthMethod field of an Binding Rule is immutable", CALLERS_MISTAKE, BadRequestError),
    (500, "Changing a tokens SecretID is not permitted", CALLERS_MISTAKE, BadRequestError),
    (
        500,
        "Changing the Rules for the builtin global-management policy is not permitted",
        CALLERS_MISTAKE,
        BadRequestError,
    ),
    (
        500,
        "Deletion of the request's authorization token is not permitted",
        CALLERS_MISTAKE,
        BadRequestError,
    ),
    (
        500,
        "Delete operation not permitted on the anonymous token",
        CALLERS_MISTAKE,
        BadRequestError,
    ),
    (
        500,
        "Cannot change expiration time of 11111111-1111-1111-1111-111111111111",
        CALLERS_MISTAKE,
        BadRequestError,
    ),
    (
        500,
        "Cannot change AuthMethod of 11111111-1111-1111-1111-111111111111 from  to x",
        CALLERS_MISTAKE,
        BadRequestError,
    ),
    (
        500,
        "cannot toggle local mode of 11111111-1111-1111-1111-111111111111",
        CALLERS_MISTAKE,
        BadRequestError,
    ),
    (500, "AuthMethod field is disallowed outside of Login", CALLERS_MISTAKE, BadRequestError),
    (500, "Rules cannot be specified for this token", CALLERS_MISTAKE, BadRequestError),
    (
        500,
        "Token Expiration TTL and Expiration Time cannot both be set",
        CALLERS_MISTAKE,
        BadRequestError,
    ),
    (500, "MaxTokenTTL 1s cannot be less than 1m0s", CALLERS_MISTAKE, BadRequestError),
    (500, "Cannot clone a token created from an auth method", CALLERS_MISTAKE, BadRequestError),
    (
        500,
        'computed "service" bind name for bind target is invalid: "svc-b ad"',
        CALLERS_MISTAKE,
        BadRequestError,
    ),
    (
        500,
        'Cannot find token "11111111-1111-1111-1111-111111111111"',
        CALLERS_MISTAKE,
        NotFoundError,
    ),
    (
        500,
        "cannot find policy 11111111-1111-1111-1111-111111111111",
        CALLERS_MISTAKE,
        NotFoundError,
    ),
    (500, "cannot find role 11111111-1111-1111-1111-111111111111", CALLERS_MISTAKE, NotFoundError),
    (
        500,
        "cannot find binding rule 11111111-1111-1111-1111-111111111111",
        CALLERS_MISTAKE,
        NotFoundError,
    ),
    (500, 'cannot find auth method with name "x"', CALLERS_MISTAKE, NotFoundError),
    (
        500,
        "failed to parse and validate JWT: square/go-jose: compact JWS format must have three "
        "parts",
        REFUSED,
        PermissionDeniedError,
    ),
    (
        500,
        "error parsing token: square/go-jose: compact JWS format must have three parts",
        REFUSED,
        PermissionDeniedError,
    ),
    (
        500,
        "error validating claims: aud claim does not match any bound audience",
        REFUSED,
        PermissionDeniedError,
    ),
    (
        500,
        "no known key successfully validated the token signature",
        REFUSED,
        PermissionDeniedError,
    ),
    (500, "missing jwt", REFUSED, PermissionDeniedError),
    (
        500,
        "Invalid prepared query: Must provide a Service name to query",
        CALLERS_MISTAKE,
        BadRequestError,
    ),
    (500, "name 'ecoq' aliases an existing query name", CALLERS_MISTAKE, BadRequestError),
    (
        500,
        "name '11111111-1111-1111-1111-111111111111' aliases an existing query ID",
        CALLERS_MISTAKE,
        BadRequestError,
    ),
    (
        500,
        "failed compiling template: Bad Template.Type 'nope'",
        CALLERS_MISTAKE,
        BadRequestError,
    ),
    (
        500,
        "a query template with an empty name already exists",
        CALLERS_MISTAKE,
        BadRequestError,
    ),
    (
        500,
        "Cannot modify non-existent prepared query: '11111111-1111-1111-1111-111111111111'",
        CALLERS_MISTAKE,
        NotFoundError,
    ),
    (
        500,
        "Cannot modify non-existent intention: '11111111-1111-1111-1111-111111111111'",
        CALLERS_MISTAKE,
        NotFoundError,
    ),
    (
        500,
        "Cannot delete non-existent intention: '11111111-1111-1111-1111-111111111111'",
        CALLERS_MISTAKE,
        NotFoundError,
    ),
    (
        500,
        "duplicate intention found: ALLOW default/web => default/db "
        "(ID: 11111111-1111-1111-1111-111111111111, Precedence: 9)",
        CALLERS_MISTAKE,
        BadRequestError,
    ),
    (
        500,
        "1 error occurred:\n\t* Action must be set to 'allow' or 'deny'\n\n",
        CALLERS_MISTAKE,
        BadRequestError,
    ),
    (500, "1 error occurred:\n\t* SourceName must be set\n\n", CALLERS_MISTAKE, BadRequestError),
    (
        500,
        "1 error occurred:\n\t* SourceType must be set to 'consul'\n\n",
        CALLERS_MISTAKE,
        BadRequestError,
    ),
    (500, 'unsupported SourceType: "spiffe"', CALLERS_MISTAKE, BadRequestError),
    (
        500,
        "1 error occurred:\n\t* SourceName: wildcard character '*' cannot be used with partial "
        "values\n\n",
        CALLERS_MISTAKE,
        BadRequestError,
    ),
    (
        500,
        "1 error occurred:\n\t* SourceName: exact value cannot follow wildcard namespace\n\n",
        CALLERS_MISTAKE,
        BadRequestError,
    ),
    (
        500,
        "1 error occurred:\n\t* Description exceeds maximum length 512\n\n",
        CALLERS_MISTAKE,
        BadRequestError,
    ),
    (
        500,
        'Failed to decode request body: json: unknown field "Permissions"',
        CALLERS_MISTAKE,
        BadRequestError,
    ),
    (
        500,
        "source \"a/b/c\" is invalid: input can contain at most one '/'",
        CALLERS_MISTAKE,
        BadRequestError,
    ),
    (
        500,
        "'by' parameter must be one of 'source' or 'destination'",
        CALLERS_MISTAKE,
        BadRequestError,
    ),
    (
        500,
        'could not initialize provider: unknown CA provider "nope"',
        CALLERS_MISTAKE,
        BadRequestError,
    ),
    (
        500,
        "error configuring provider: leaf cert TTL must be greater or equal than 1h0m0s",
        CALLERS_MISTAKE,
        BadRequestError,
    ),
    (
        500,
        "error generating CA root certificate: error generating CA: error parsing private key "
        '"bla": no PEM-encoded data found',
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
    (500, "Must provide node", CALLERS_MISTAKE, BadRequestError),
    (500, "Must provide address if SkipNodeUpdate is not set", CALLERS_MISTAKE, BadRequestError),
    (500, "Must provide service name with ID", CALLERS_MISTAKE, BadRequestError),
    (500, "Bad node ID: uuid string is wrong length", CALLERS_MISTAKE, BadRequestError),
    (
        500,
        'failed inserting node: Error while renaming Node ID: "40e4a748" (1.1.1.2): Node '
        "name dev is reserved by node b26ee02d with name dev (127.0.0.1)",
        CALLERS_MISTAKE,
        BadRequestError,
    ),
    (
        500,
        'failed inserting check: Missing service registration on node "n1"',
        CALLERS_MISTAKE,
        BadRequestError,
    ),
    (
        500,
        "failed inserting service: Invalid Service Meta for node n1 and serviceID z: Key "
        "is too long (limit: 128 characters)",
        CALLERS_MISTAKE,
        BadRequestError,
    ),
    (500, 'check node "other" does not match node "n1"', CALLERS_MISTAKE, BadRequestError),
    (500, "Invalid service address", CALLERS_MISTAKE, BadRequestError),
    (
        500,
        "2 errors occurred:\n\t* Proxy.DestinationServiceName must be non-empty for "
        "Connect proxy services\n\t* Port must be set for a Connect proxy\n\n",
        CALLERS_MISTAKE,
        BadRequestError,
    ),
    (
        500,
        "1 error occurred:\n\t* A Proxy cannot also be Connect Native, only typical services\n\n",
        CALLERS_MISTAKE,
        BadRequestError,
    ),
    (
        500,
        "1 error occurred:\n\t* The Proxy.LocalServicePort configuration is invalid for "
        "a mesh-gateway\n\n",
        CALLERS_MISTAKE,
        BadRequestError,
    ),
    (
        500,
        "1 error occurred:\n\t* Port must be non-zero for a mesh-gateway\n\n",
        CALLERS_MISTAKE,
        BadRequestError,
    ),
    (
        500,
        "1 error occurred:\n\t* upstream destination name cannot be empty\n\n",
        CALLERS_MISTAKE,
        BadRequestError,
    ),
    (
        500,
        '1 error occurred:\n\t* unknown upstream destination type: "weird"\n\n',
        CALLERS_MISTAKE,
        BadRequestError,
    ),
    (
        500,
        "1 error occurred:\n\t* expose.paths: invalid listener port: 0\n\n",
        CALLERS_MISTAKE,
        BadRequestError,
    ),
    (500, "incompatible coordinate", CALLERS_MISTAKE, BadRequestError),
    (
        500,
        "Invalid node filter: error parsing regexp: missing closing ]: `[`",
        CALLERS_MISTAKE,
        BadRequestError,
    ),
    (500, "Cannot provide tag filter without service filter", CALLERS_MISTAKE, BadRequestError),
    (
        500,
        '1 error occurred:\n\t* error broadcasting event to segment "": user event exceeds '
        "configured limit of 512 bytes before encoding\n\n",
        CALLERS_MISTAKE,
        BadRequestError,
    ),
    (500, "invalid config entry kind: nope", CALLERS_MISTAKE, BadRequestError),
    (500, "serviceName is required", CALLERS_MISTAKE, BadRequestError),
    (500, "Name is required", CALLERS_MISTAKE, BadRequestError),
    (
        500,
        "failed inserting config entry: object missing primary index",
        CALLERS_MISTAKE,
        BadRequestError,
    ),
    (
        500,
        'discovery chain "w" uses a protocol "tcp" that does not permit advanced routing',
        CALLERS_MISTAKE,
        BadRequestError,
    ),
    (
        500,
        'discovery chain "w" uses inconsistent protocols; service "db" has "tcp"',
        CALLERS_MISTAKE,
        BadRequestError,
    ),
    (
        500,
        "detected circular resolver redirect: [w.default.dc1 -> api.default.dc1 -> w.default.dc1]",
        CALLERS_MISTAKE,
        BadRequestError,
    ),
    (500, 'service "w" does not have a subset named "v1"', CALLERS_MISTAKE, BadRequestError),
    (500, 'DefaultSubset "v1" is not a valid subset', CALLERS_MISTAKE, BadRequestError),
    (500, "Subset defined with empty name", CALLERS_MISTAKE, BadRequestError),
    (
        500,
        'Subset "UP_" is invalid: must be 63 characters or fewer, begin or end with lower case',
        CALLERS_MISTAKE,
        BadRequestError,
    ),
    (
        500,
        'Bad Failover["*"] one of Service, ServiceSubset, Namespace, or Datacenters is required',
        CALLERS_MISTAKE,
        BadRequestError,
    ),
    (500, "Bad ConnectTimeout '-1s', must be >= 0", CALLERS_MISTAKE, BadRequestError),
    (500, "Redirect is empty", CALLERS_MISTAKE, BadRequestError),
    (
        500,
        "Redirect.ServiceSubset defined without Redirect.Service",
        CALLERS_MISTAKE,
        BadRequestError,
    ),
    (500, "no splits configured", CALLERS_MISTAKE, BadRequestError),
    (
        500,
        "the sum of all split weights must be 100, not 90.500000",
        CALLERS_MISTAKE,
        BadRequestError,
    ),
    (
        500,
        'split destination occurs more than once: service="w", subset="", namespace=""',
        CALLERS_MISTAKE,
        BadRequestError,
    ),
    (500, "Route[0] PathPrefix doesn't start with '/': \"x\"", CALLERS_MISTAKE, BadRequestError),
    (
        500,
        "Wildcard service name is only valid for protocol = 'http' (listener on port 80)",
        CALLERS_MISTAKE,
        BadRequestError,
    ),
    (500, "No service declared for listener with port 80", CALLERS_MISTAKE, BadRequestError),
    (500, "port 80 declared on two listeners", CALLERS_MISTAKE, BadRequestError),
    (
        500,
        'service "w" has protocol "http", which does not match defined listener protocol "tcp"',
        CALLERS_MISTAKE,
        BadRequestError,
    ),
    (
        500,
        "protocol must be 'tcp', 'http', 'http2', or 'grpc'. 'xx' is an unsupported protocol",
        CALLERS_MISTAKE,
        BadRequestError,
    ),
    (
        500,
        "Host '*' is not allowed when TLS is enabled, all hosts must be valid DNS records",
        CALLERS_MISTAKE,
        BadRequestError,
    ),
    (
        500,
        'Host "x.*.y" is not valid, a wildcard specifier is only allowed as the leftmost label',
        CALLERS_MISTAKE,
        BadRequestError,
    ),
    (500, "Service name cannot be blank.", CALLERS_MISTAKE, BadRequestError),
    (
        500,
        'Service "db" was specified more than once within a namespace',
        CALLERS_MISTAKE,
        BadRequestError,
    ),
    (
        500,
        'Service "db" must have a CertFile, CAFile, and KeyFile specified for TLS origination',
        CALLERS_MISTAKE,
        BadRequestError,
    ),
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
    (
        500,
        "failed to read snapshot file: failed checking integrity of snapshot: hash check failed "
        'for "state.bin"',
        CALLERS_MISTAKE,
        BadRequestError,
    ),
    (500, "1536 unread uncompressed bytes remain", CALLERS_MISTAKE, BadRequestError),
    (500, "flate: corrupt input before offset 2663", CALLERS_MISTAKE, BadRequestError),
    (500, "gzip: invalid checksum", CALLERS_MISTAKE, BadRequestError),
    (
        500,
        "4 errors occurred:\n\t* WAN error: 1/1 nodes reported failure\n\t* dev.dc1: No keyring to "
        "modify (encryption not enabled)\n\t* dc1 (LAN) error: 1/1 nodes reported "
        "failure\n\t* dev: "
        "No keyring to modify (encryption not enabled)\n\n",
        CALLERS_MISTAKE,
        BadRequestError,
    ),
    (
        500,
        "2 errors occurred:\n\t* dc1 (LAN) error: 1/1 nodes reported failure\n\t* dev: Keyring is "
        "empty (encryption not enabled)\n\n",
        CALLERS_MISTAKE,
        BadRequestError,
    ),
    (
        500,
        "4 errors occurred:\n\t* WAN error: 1/1 nodes reported failure\n\t* single.dc1: "
        "Requested key "
        "is not in the keyring\n\n",
        CALLERS_MISTAKE,
        BadRequestError,
    ),
    (
        500,
        "4 errors occurred:\n\t* WAN error: 1/1 nodes reported failure\n\t* single.dc1: "
        "Removing the "
        "primary key is not allowed\n\n",
        CALLERS_MISTAKE,
        BadRequestError,
    ),
    (
        500,
        "4 errors occurred:\n\t* WAN error: 1/1 nodes reported failure\n\t* single.dc1: "
        "key size must "
        "be 16, 24 or 32 bytes\n\n",
        CALLERS_MISTAKE,
        BadRequestError,
    ),
    (
        500,
        "2 errors occurred:\n\t* WAN error: illegal base64 data at input byte 4\n\n",
        CALLERS_MISTAKE,
        BadRequestError,
    ),
    (500, "Reading keyring denied by ACLs", REFUSED, PermissionDeniedError),
    (500, "Modifying keyring denied due to ACLs", REFUSED, PermissionDeniedError),
    (500, 'unknown feature gate "none"', CALLERS_MISTAKE, NotFoundError),
    (
        503,
        "feature-gate policy is not yet initialized; retry after the leader has committed the "
        "first policy generation",
        ELECTION,
        ServerError,
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
