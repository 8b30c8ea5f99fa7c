"""
What can go wrong between a client and its agent, and what the caller sees: one table.

The tests run every row of it against every kind of call, and the page "What happens when" shows
it. A row has the caller's side of a fault that stays; what a single one does to a call that may be
sent again is nothing, which the tests show too.
"""

from __future__ import annotations

import contextlib
import enum
import gzip
import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Final

from consul_onex import (
    ConsulConnectionError,
    ConsulError,
    ConsulStatusError,
    ConsulTimeoutError,
    DecodeError,
    NoLeaderError,
    OutcomeUnknownError,
    PermissionDeniedError,
    RateLimitedError,
    ServerError,
)
from tests.support.fault_server import HANG, HOST, RESET, SILENCE, Answer, Seen, Then, raw, reply

__all__ = ["ATTEMPTS", "FAULTS", "Ask", "Fault", "Kind", "good"]

ATTEMPTS: Final = 3
"""Of a call that may be sent again, as the client does by default."""


class Ask(enum.Enum):
    """The kinds of calls that a fault makes a difference to."""

    GET = "a read"
    PUT = "a plain put"
    CAS = "a check-and-set"
    BLOCKING = "a blocking query"


class Kind(enum.Enum):
    """What a fault leaves open, which decides what becomes of a call."""

    ABSENT = "nothing was sent"
    LOST = "the request was sent, and may have been carried out"
    REFUSED = "it certainly was not carried out, and may be sent again"
    REJECTED = "it was understood, and refused"
    DAMAGED = "there is an answer, of which no value can be made"
    HARMLESS = "unusual, but an answer"


@dataclass(frozen=True)
class Fault:
    """One row: how to make it, and what a read that meets it again and again ends in."""

    name: str
    kind: Kind
    error: type[ConsulError] | None
    answer: Answer | Callable[[Seen], Answer] | None = None
    """What a request gets."""
    greeting: Answer | None = None
    """What a connection gets, unread."""
    absence: Callable[[int], AbstractContextManager[None]] | None = None
    """How nobody is there, on a port."""
    waits_for: str | None = None
    """The setting that ends an attempt, where the fault itself does not."""
    hangs_up: bool = False
    """Whether a good answer ends its connection, which the other side sees a moment later."""

    def __str__(self) -> str:
        return self.name

    def expected(self, ask: Ask) -> type[ConsulError] | None:
        """What the call ends in while the fault stays; None is an answer."""
        if self.kind is Kind.LOST and ask in (Ask.PUT, Ask.CAS):
            return OutcomeUnknownError
        return self.error

    def attempts(self, ask: Ask) -> int:
        """How often it is sent, or tried to be."""
        if ask is Ask.BLOCKING or self.kind in (Kind.REJECTED, Kind.DAMAGED, Kind.HARMLESS):
            return 1
        return 1 if self.kind is Kind.LOST and ask is Ask.CAS else ATTEMPTS

    def recovers(self, ask: Ask) -> bool:
        """Whether a fault that is gone by the second attempt is none for the caller."""
        return self.attempts(ask) > 1 or self.expected(ask) is None

    def request_arrives(self) -> bool:
        """Whether the server has read the request when it goes wrong."""
        return self.absence is None and self.greeting is None


PAIR: Final = b'[{"Key": "k", "Value": "djE=", "CreateIndex": 5, "ModifyIndex": 7}]'


def _body(seen: Seen) -> bytes:
    return PAIR if seen.method == "GET" else b"true"


def good(seen: Seen, then: Then = Then.KEEP) -> Answer:
    """The answer of an agent that is well."""
    return reply(body=_body(seen), headers={"X-Consul-Index": "8"}, then=then)


# -- nobody there ----------------------------------------------------------------------------------


@contextmanager
def _nobody_listens(port: int) -> Iterator[None]:
    with socket.socket() as bound:
        # So that nobody else comes to listen there.
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((HOST, port))
        yield


@contextmanager
def _nobody_accepts(port: int) -> Iterator[None]:
    """A port whose queue is full: the system drops who knocks, as a firewall does."""
    with contextlib.ExitStack() as sockets:
        listener = sockets.enter_context(socket.socket())
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((HOST, port))
        listener.listen(0)
        for _ in range(8):
            knocking = sockets.enter_context(socket.socket())
            knocking.setblocking(False)
            knocking.connect_ex((HOST, port))
        yield


# -- the table -------------------------------------------------------------------------------------


def _dripped(data: bytes, pause: float) -> Answer:
    return Answer(data=data, pause=pause, trickle=len(data), then=Then.CLOSE)


def _in_drops(seen: Seen) -> Answer:
    return reply(body=_body(seen), pause=0.0005)


def _chunked(seen: Seen) -> Answer:
    return reply(body=_body(seen), chunked=True)


def _http_1_0(seen: Seen) -> Answer:
    return raw(b"HTTP/1.0 200 OK\r\n\r\n" + _body(seen))


def _answered_twice(seen: Seen) -> Answer:
    other = b'[{"Key": "k", "Value": "bm8="}]' if seen.method == "GET" else b"false"
    return raw(good(seen).data + reply(body=other).data, then=Then.KEEP)


def _continued(seen: Seen) -> Answer:
    return raw(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\n" + _body(seen))


def _closed_early(seen: Seen) -> Answer:
    return reply(body=_body(seen), then=Then.CLOSE)


_HEAD: Final = b"HTTP/1.1 200 OK\r\n"
_CHUNKED: Final = _HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
_ATTEMPT: Final = "attempt_timeout"


def _lost(name: str, answer: Answer) -> Fault:
    return Fault(name, Kind.LOST, ConsulConnectionError, answer)


def _silent(name: str, answer: Answer) -> Fault:
    return Fault(name, Kind.LOST, ConsulTimeoutError, answer, waits_for=_ATTEMPT)


def _failed(name: str, answer: Answer) -> Fault:
    return Fault(name, Kind.LOST, ServerError, answer)


def _damaged(name: str, answer: Answer) -> Fault:
    return Fault(name, Kind.DAMAGED, DecodeError, answer)


FAULTS: Final = [
    # Nothing was sent.
    Fault(
        "nothing listens on the port",
        Kind.ABSENT,
        ConsulConnectionError,
        absence=_nobody_listens,
    ),
    Fault(
        "nobody takes the connection (a firewall, a host that is gone)",
        Kind.ABSENT,
        ConsulTimeoutError,
        absence=_nobody_accepts,
        waits_for="connect_timeout",
    ),
    # The connection is there, and dies or hangs.
    Fault(
        "the connection is reset as soon as it is there",
        Kind.LOST,
        ConsulConnectionError,
        greeting=RESET,
    ),
    Fault(
        "the connection is closed as soon as it is there (the agent's limit of connections)",
        Kind.LOST,
        ConsulConnectionError,
        greeting=SILENCE,
    ),
    Fault(
        "the agent hangs (SIGSTOP): the connection is there, and nobody reads",
        Kind.LOST,
        ConsulTimeoutError,
        greeting=HANG,
        waits_for=_ATTEMPT,
    ),
    _silent("the agent reads the request, and never answers", HANG),
    _lost("the agent reads the request, and closes (killed)", SILENCE),
    _lost("the agent reads the request, and resets", RESET),
    # The answer breaks off, or takes for ever.
    _lost("the status line is cut short", raw(b"HTTP/1.1 20")),
    _lost("the headers are cut short", raw(_HEAD + b"X-Consul-In")),
    _silent("the headers do not end", raw(_HEAD + b"X-Consul-In", then=Then.HANG)),
    _silent("the headers come a byte at a time", _dripped(_HEAD + b"X: y\r\n" * 500, 0.02)),
    _lost("the body is cut short", reply(body=b"[]" * 20, cut=3)),
    _lost("the body is cut short by a reset", reply(body=b"[]" * 20, cut=3, then=Then.RESET)),
    _lost("a body in chunks is cut short", raw(_CHUNKED + b"5\r\n[]")),
    _silent(
        "the body does not end (its length is wrong)",
        reply(headers={"Content-Length": "99"}, body=b"[", then=Then.HANG),
    ),
    _silent("the body comes a byte at a time", reply(body=b"[]" * 1000, pause=0.02)),
    _silent("100 Continue, and nothing else", raw(b"HTTP/1.1 100 -\r\n\r\n" * 99, then=Then.HANG)),
    # The answer is not HTTP.
    _lost("what answers does not speak HTTP", raw(b"SSH-2.0-OpenSSH_9.6\r\n\r\n")),
    _lost("what answers speaks TLS", raw(b"\x15\x03\x01\x00\x02\x02\x46")),
    _lost("the status is no number", raw(b"HTTP/1.1 abc OK\r\n\r\n")),
    _lost("the answer wants another protocol", reply(101, headers={"Upgrade": "websocket"})),
    _lost(
        "the answer has two lengths",
        raw(_HEAD + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n[]"),
    ),
    _lost("a chunk has no size", raw(_CHUNKED + b"xyz\r\n[]\r\n")),
    _lost("300 KB of headers", reply(headers={f"X-{n}": "x" * 1000 for n in range(300)})),
    # An answer that says it failed.
    _failed("a proxy answers 502", reply(502, b"<html>Bad Gateway</html>")),
    _failed("a proxy answers 503", reply(503, b"<html>Service Unavailable</html>")),
    _failed("a proxy answers 504", reply(504, b"<html>Gateway Time-out</html>")),
    _failed(
        "the connection between agent and server breaks: 500 `rpc error making call: EOF`",
        reply(500, b"rpc error making call: EOF"),
    ),
    _failed(
        "the leader steps down: 500 `leadership lost while committing log`",
        reply(500, b"leadership lost while committing log"),
    ),
    _failed("500 with words that no version has said so far", reply(500, b"out of cheese")),
    Fault(
        "there is no leader: 500 `No cluster leader`",
        Kind.REFUSED,
        NoLeaderError,
        reply(500, b"No cluster leader"),
    ),
    Fault(
        "the agent knows no server: 500 `No known Consul servers`",
        Kind.REFUSED,
        ServerError,
        reply(500, b"No known Consul servers"),
    ),
    Fault("the agent's rate limit: 429", Kind.REFUSED, RateLimitedError, reply(429)),
    # An answer that is final.
    Fault(
        "the token is not known: 403 `ACL not found`",
        Kind.REJECTED,
        PermissionDeniedError,
        reply(403, b"ACL not found"),
    ),
    Fault(
        "a redirect, which is never followed",
        Kind.REJECTED,
        ConsulStatusError,
        reply(307, headers={"Location": "http://127.0.0.1:1/v1/kv/k"}),
    ),
    # An answer of which no value can be made.
    _damaged("an answer without a body: 204", reply(204)),
    _damaged("the body is not JSON", reply(body=b"<html>Sign in</html>")),
    _damaged("the JSON breaks off", reply(body=b'[{"Key": "k", "Val')),
    _damaged("the packed body is damaged", reply(body=b"no", headers={"Content-Encoding": "gzip"})),
    _damaged(
        "the body is packed twice",
        reply(body=gzip.compress(gzip.compress(b"[]")), headers={"Content-Encoding": "gzip, gzip"}),
    ),
    _damaged(
        "the body is too large (2 GiB)",
        reply(headers={"Content-Length": str(2**31)}, then=Then.HANG),
    ),
    # Nothing happens.
    Fault("the body comes in drops, in time", Kind.HARMLESS, None, _in_drops),
    Fault("the body comes in chunks", Kind.HARMLESS, None, _chunked),
    Fault("the answer is HTTP/1.0", Kind.HARMLESS, None, _http_1_0),
    Fault("100 Continue before the answer", Kind.HARMLESS, None, _continued),
    Fault(
        "a second answer follows, to nothing that was asked",
        Kind.HARMLESS,
        None,
        _answered_twice,
        hangs_up=True,
    ),
    Fault(
        "the connection is closed after each answer, although it was promised to stay",
        Kind.HARMLESS,
        None,
        _closed_early,
        hangs_up=True,
    ),
]
"""Every fault, in the order in which a call could meet it."""
