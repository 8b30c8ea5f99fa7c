"""Stop asking a datacenter that does not answer."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

import anyio
import httpx

from .._call import Call
from .._faults import Blame
from .._numbers import count, seconds
from ..errors import CircuitOpenError
from ..events import CircuitChanged
from ._layer import call_of, fault_of_answer, fault_of_error, is_answer, keeps_time

__all__ = ["Breaker", "Circuit", "CircuitState", "CircuitStatistics"]

_MOST_CIRCUITS: Final = 64


@dataclass(frozen=True)
class Breaker:
    """
    Refuses calls to a datacenter after `failures` failures in a row, for `reset_after` seconds.

    Then one call is let through to try: its success closes the circuit, its failure opens it for
    as long again. Each datacenter has its own circuit, `consul.dc1` and so on, and
    `consul.default` for the agent's own.

    A failure is a connection that broke, a time-out of one attempt, a 500 that says there is no
    leader or no server, a 502 to 504. Answers are none, whatever they say: 4xx, 429 and the 500s
    that a caller's mistake or an election in progress causes. Neither is a cancelled call.
    Blocking queries count, but are never the one call that tries: they could hold that place for
    minutes. Two kinds of calls pass without being counted: those that keep a session, a service or
    a check alive, or let it go, since refusing them would lose locks, and those of a watch or
    another who waits between failures by himself, and would hear of a recovery late.
    """

    failures: int = 5
    reset_after: float = 30.0
    now: Callable[[], float] = field(default=anyio.current_time, repr=False, compare=False)

    def __post_init__(self) -> None:
        count("Breaker.failures", self.failures, setting="breaker_failures")
        seconds("Breaker.reset_after", self.reset_after, setting="breaker_reset_after")

    def wrap(self, inner: httpx.AsyncBaseTransport) -> httpx.AsyncBaseTransport:
        return BreakerTransport(inner, self)


class CircuitState(enum.Enum):
    """Whether a circuit lets calls through."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"
    ISOLATED = "isolated"


@dataclass(frozen=True, slots=True)
class CircuitStatistics:
    """A circuit at one moment."""

    name: str
    state: CircuitState
    failures: int
    """Failures in a row."""
    refused: int
    """Calls refused since the circuit was made."""


class Circuit:
    """
    The state machine of one circuit. It waits for nothing and has no clock.

    `admit` gives a ticket; what became of the call is reported with it. Every change of state
    makes the tickets before it void, so a late answer from an older state changes nothing.
    """

    def __init__(self, name: str, *, failures: int, reset_after: float) -> None:
        self.name = name
        self.state = CircuitState.CLOSED
        self._threshold = failures
        self._reset_after = reset_after
        self._epoch = 0
        self._failures = 0
        self._since = 0.0
        self._probing = False
        self._refused = 0

    def __repr__(self) -> str:
        return f"<Circuit {self.name} {self.state.value} failures={self._failures}>"

    def statistics(self) -> CircuitStatistics:
        return CircuitStatistics(self.name, self.state, self._failures, self._refused)

    def admit(self, now: float, *, probe: bool = True) -> int:
        """
        A ticket for one call, or CircuitOpenError.

        `probe=False` is for a call that may not be the one that tries.
        """
        if self.state is CircuitState.CLOSED:
            return self._epoch
        if self.state is CircuitState.OPEN and probe and now - self._since >= self._reset_after:
            self._enter(CircuitState.HALF_OPEN, now)
        if self.state is CircuitState.HALF_OPEN and probe and not self._probing:
            self._probing = True
            return self._epoch
        self._refused += 1
        raise self._refusal(now)

    def succeeded(self, ticket: int) -> None:
        if ticket != self._epoch:
            return
        self._failures = 0
        if self.state is CircuitState.HALF_OPEN:
            self._enter(CircuitState.CLOSED)

    def failed(self, ticket: int, now: float) -> None:
        if ticket != self._epoch:
            return
        self._failures += 1
        if self.state is CircuitState.HALF_OPEN or self._failures >= self._threshold:
            self._enter(CircuitState.OPEN, now)

    def abandoned(self, ticket: int) -> None:
        """The call ended without saying anything about the datacenter: it was cancelled."""
        if ticket == self._epoch:
            self._probing = False

    def isolate(self) -> None:
        """Refuse every call until `reset`."""
        self._enter(CircuitState.ISOLATED)

    def reset(self) -> None:
        """Let calls through again, and forget what was counted."""
        self._failures = 0
        self._enter(CircuitState.CLOSED)

    def _enter(self, state: CircuitState, now: float = 0.0) -> None:
        self.state = state
        self._epoch += 1
        self._since = now
        self._probing = False

    def _refusal(self, now: float) -> CircuitOpenError:
        retry_after = None
        if self.state is CircuitState.OPEN:
            retry_after = max(0.0, self._reset_after - (now - self._since))
        if self.state is CircuitState.ISOLATED:
            message = f"not sent: circuit {self.name} was isolated by hand"
        elif retry_after is None:
            message = f"not sent: circuit {self.name} is open, and another call is trying it now"
        else:
            message = (
                f"not sent: circuit {self.name} is open after {self._failures} failures in a row; "
                f"it will be tried again in {retry_after:.1f} s"
            )
        return CircuitOpenError(message, circuit=self.name, retry_after=retry_after)


class BreakerTransport(httpx.AsyncBaseTransport):
    def __init__(self, inner: httpx.AsyncBaseTransport, breaker: Breaker) -> None:
        self._inner = inner
        self._breaker = breaker
        self._circuits: dict[str, Circuit] = {}
        self.keeps_time = keeps_time(inner)

    @property
    def circuits(self) -> Mapping[str, Circuit]:
        """The circuits met so far, by name."""
        return MappingProxyType(self._circuits)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        call = call_of(request)
        if call.control or call.paced:
            return await self._inner.handle_async_request(request)
        circuit = self._circuit(call.datacenter or _named(request.url))
        ticket = self._admit(circuit, call)
        # Whatever ends this call, the ticket is handed in exactly once.
        blame = Blame.UNCLEAR
        try:
            response = await self._inner.handle_async_request(request)
            blame = await _blame(response, call)
            return response
        except httpx.TransportError as error:
            blame = fault_of_error(error).blame
            raise
        finally:
            self._settle(circuit, ticket, blame, call)

    def _circuit(self, datacenter: str | None) -> Circuit:
        name = f"consul.{datacenter or 'default'}"
        circuit = self._circuits.get(name)
        if circuit is None:
            if len(self._circuits) >= _MOST_CIRCUITS:
                # Names come from callers; a stream of made-up ones must not grow this for ever,
                # nor push out a circuit that is open.
                closed = (n for n, c in self._circuits.items() if c.state is CircuitState.CLOSED)
                del self._circuits[next(closed, next(iter(self._circuits)))]
            circuit = self._circuits[name] = Circuit(
                name, failures=self._breaker.failures, reset_after=self._breaker.reset_after
            )
        return circuit

    def _admit(self, circuit: Circuit, call: Call) -> int:
        before = circuit.state
        try:
            # A closed one has nothing to wait for.
            now = 0.0 if before is CircuitState.CLOSED else self._breaker.now()
            return circuit.admit(now, probe=not call.blocking)
        except CircuitOpenError as error:
            error.operation = call.operation
            raise
        finally:
            _report(call, circuit, before)

    def _settle(self, circuit: Circuit, ticket: int, blame: Blame, call: Call) -> None:
        before = circuit.state
        if blame is Blame.NOBODY:
            circuit.succeeded(ticket)
        elif blame is Blame.SERVER:
            circuit.failed(ticket, self._breaker.now())
        else:
            circuit.abandoned(ticket)
        _report(call, circuit, before)

    async def aclose(self) -> None:
        await self._inner.aclose()


def _named(url: httpx.URL) -> str | None:
    """The datacenter in a request that has no card of ours."""
    return url.params.get("dc") if b"dc=" in url.query else None


async def _blame(response: httpx.Response, call: Call) -> Blame:
    if is_answer(response, call):
        return Blame.NOBODY
    return (await fault_of_answer(response)).blame


def _report(call: Call, circuit: Circuit, before: CircuitState) -> None:
    if circuit.state is not before:
        call.report(CircuitChanged(circuit.name, before.value, circuit.state.value))
