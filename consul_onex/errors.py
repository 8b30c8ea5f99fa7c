"""
What can go wrong, as one tree.

    ConsulError
      ConfigurationError            a setting cannot be used as given
      InvalidRequestError           refused before anything was sent
        InvalidKeyError             ... because no URL of Consul's can name this key
      ConsulConnectionError         no usable answer arrived
        ConsulTimeoutError          ... within the time allowed
      OutcomeUnknownError           a write may or may not have been applied
      PartlyWrittenError            some of many keys were written, and others not
      CircuitOpenError              not sent: the circuit of this datacenter is open
      OverloadedError               not sent: too many calls are in flight here
      ClientClosedError             not answered: this client is closed
      ConsulStatusError             Consul answered with an error
        BadRequestError             400, and the caller's mistakes that old servers report as 500
        PermissionDeniedError       401, 403
        NotFoundError               404 of something the caller named
        UnsupportedEndpointError    404, 405 or 501 of a route this server does not have
        TransactionError            409
        PayloadTooLargeError        413, 414, 431
        RateLimitedError            429, and 503 of the server's rate limiter
        InvalidSessionError         the session is gone, or never was
        UnknownCheckError           no such TTL check at this agent: register it again
        UnknownDatacenterError      this agent knows no path to that datacenter
        ServerError                 5xx
          NoLeaderError             the cluster has no leader at the moment
      DecodeError                   the answer is not what the endpoint promises
      SessionLostError              a session that was kept is over, or may be by now
      LockLostError                 what was held is held no more, or may not be
        FencedError                 ... so a write was refused, and nothing was written
      LockTimeoutError              not acquired within the time allowed
      LockConflictError             the key is used for something else

Errors carry facts as fields. They never hold a token, a value, a request or a response; where
httpx raised something first, it is the `__cause__`.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = [
    "BadRequestError",
    "CircuitOpenError",
    "ClientClosedError",
    "ConfigurationError",
    "ConsulConnectionError",
    "ConsulError",
    "ConsulStatusError",
    "ConsulTimeoutError",
    "DecodeError",
    "FencedError",
    "InsecureTransportWarning",
    "InvalidKeyError",
    "InvalidRequestError",
    "InvalidSessionError",
    "LockConflictError",
    "LockLostError",
    "LockTimeoutError",
    "NoLeaderError",
    "NotFoundError",
    "OperationError",
    "OutcomeUnknownError",
    "OverloadedError",
    "PartlyWrittenError",
    "PayloadTooLargeError",
    "PermissionDeniedError",
    "RateLimitedError",
    "ServerError",
    "SessionLostError",
    "TransactionError",
    "UnknownCheckError",
    "UnknownDatacenterError",
    "UnsupportedEndpointError",
]


class ConsulError(Exception):
    """
    Anything this package raises on purpose.

    `operation` is the call that failed, such as `"kv.put"`; None outside of a call.
    """

    def __init__(self, message: str = "", *, operation: str | None = None) -> None:
        super().__init__(message)
        self.operation = operation

    def __str__(self) -> str:
        message = super().__str__()
        return f"{self.operation}: {message}" if self.operation else message


class ConfigurationError(ConsulError):
    """
    A setting cannot be used as given.

    `setting` is the environment variable or argument to look at. Its value is not repeated,
    since it may be a secret.
    """

    def __init__(
        self, message: str = "", *, setting: str | None = None, operation: str | None = None
    ) -> None:
        super().__init__(message, operation=operation)
        self.setting = setting


class InvalidRequestError(ConsulError):
    """Refused before anything was sent: an argument cannot be meant."""


class InvalidKeyError(InvalidRequestError):
    """
    Refused before anything was sent: no URL of Consul's key-value store can name this key.

    Consul rewrites such a path (`//`, `.`, `..`, a leading `/`) or refuses it (control
    characters), so the request would reach another key or another endpoint.
    """


class ConsulConnectionError(ConsulError):
    """No usable answer arrived: refused, reset, cut short, not found."""


class ConsulTimeoutError(ConsulConnectionError):
    """No answer arrived within the time allowed."""


class OutcomeUnknownError(ConsulError):
    """
    A write was sent and its answer was lost: it may or may not have been applied.

    It was not sent again, since a second copy could do harm (or report the success of the first
    as a failure). Read back what it should have changed before deciding. `timed_out` is whether
    that was for want of time, and not because the connection broke.
    """

    def __init__(
        self, message: str = "", *, timed_out: bool = False, operation: str | None = None
    ) -> None:
        super().__init__(message, operation=operation)
        self.timed_out = timed_out


class PartlyWrittenError(ConsulError):
    """
    Some of many keys were written, and others not. What stopped it is the `__cause__`.

    `written`, `unknown` and `unwritten` are their names: the answer for those in the middle was
    lost, so they may or may not have been written.
    """

    written: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    unwritten: tuple[str, ...] = ()


class CircuitOpenError(ConsulError):
    """
    Not sent: this datacenter has failed too often to be asked now.

    `circuit` is the circuit's name, such as `"consul.dc1"`. `retry_after` is the number of
    seconds until it will be tried again; None while another call is trying it, and for a circuit
    that somebody isolated by hand.
    """

    def __init__(
        self,
        message: str = "",
        *,
        circuit: str = "",
        retry_after: float | None = None,
        operation: str | None = None,
    ) -> None:
        super().__init__(message, operation=operation)
        self.circuit = circuit
        self.retry_after = retry_after


class OverloadedError(ConsulError):
    """Not sent: too many calls of this client are in flight already."""


class ClientClosedError(ConsulError):
    """The client is closed, or was closed while this call waited for its answer."""


class ConsulStatusError(ConsulError):
    """
    Consul answered with an error.

    `status` is the HTTP status, `detail` Consul's own words (shortened, control characters
    escaped; empty when it said nothing), `retry_after` the seconds it asked to wait, if it did.
    """

    def __init__(
        self,
        message: str = "",
        *,
        status: int = 0,
        detail: str = "",
        retry_after: float | None = None,
        operation: str | None = None,
    ) -> None:
        super().__init__(message, operation=operation)
        self.status = status
        self.detail = detail
        self.retry_after = retry_after


class BadRequestError(ConsulStatusError):
    """The request is wrong and will stay wrong (400, or one of the 500s that mean it)."""


class PermissionDeniedError(ConsulStatusError):
    """
    The token is unknown or lacks the right (401, 403).

    After an outage a client agent may say so of a valid token for up to half a minute.
    """


class NotFoundError(ConsulStatusError):
    """What the caller named does not exist (404)."""


class UnsupportedEndpointError(ConsulStatusError):
    """
    This server does not have this route (404), method (405) or part of Consul (501).

    It is too old, of another edition, or a fake. Nothing was done.
    """


@dataclass(frozen=True, slots=True)
class OperationError:
    """Why one operation of a transaction failed: its position, and Consul's words."""

    index: int
    what: str


class TransactionError(ConsulStatusError):
    """A transaction was rolled back (409). `errors` says which of its operations failed."""

    errors: tuple[OperationError, ...] = ()


class PayloadTooLargeError(ConsulStatusError):
    """The request is larger than this server takes (413, 414, 431)."""


class RateLimitedError(ConsulStatusError):
    """Consul asks to be asked less often (429, 503)."""


class InvalidSessionError(ConsulStatusError):
    """The session does not exist, or no longer."""


class UnknownCheckError(ConsulStatusError):
    """This agent has no such TTL check: after a wipe, register the service again."""


class UnknownDatacenterError(ConsulStatusError):
    """This agent knows no path to the datacenter that was asked for."""


class ServerError(ConsulStatusError):
    """Consul, or a proxy before it, failed (5xx)."""


class NoLeaderError(ServerError):
    """The cluster had no leader for as long as the server was willing to wait (about 7 s)."""


class DecodeError(ConsulError):
    """
    The answer is not what the endpoint promises: not JSON, another shape, too large.

    Where it was the answer to a write, that may have been applied.
    """


class SessionLostError(ConsulError):
    """
    A session that was kept is over, or may be by now: it could not be renewed in time.

    `session` is its id. What it held may be held by somebody else.
    """

    def __init__(
        self, message: str = "", *, session: str = "", operation: str | None = None
    ) -> None:
        super().__init__(message, operation=operation)
        self.session = session


class LockLostError(ConsulError):
    """
    A lock, a place in a semaphore or a leadership is held no more, or may not be.

    `key` is the key that shows it. The block in which it was held was cancelled.
    """

    def __init__(self, message: str = "", *, key: str = "", operation: str | None = None) -> None:
        super().__init__(message, operation=operation)
        self.key = key


class FencedError(LockLostError):
    """A write that only the holder may do was refused: nothing was written."""


class LockTimeoutError(ConsulError):
    """
    A lock, a place in a semaphore or a leadership was not free within the time allowed.

    `key` is the key that shows it.
    """

    def __init__(self, message: str = "", *, key: str = "", operation: str | None = None) -> None:
        super().__init__(message, operation=operation)
        self.key = key


class LockConflictError(ConsulError):
    """
    A key is no lock, or not of this semaphore: somebody uses it for something else.

    `key` is that key.
    """

    def __init__(self, message: str = "", *, key: str = "", operation: str | None = None) -> None:
        super().__init__(message, operation=operation)
        self.key = key


class InsecureTransportWarning(UserWarning):
    """A token would travel readable for others, or to a server whose name is not verified."""
