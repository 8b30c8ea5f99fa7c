"""Breaker: what opens a circuit, what an open one lets through, and what closes it."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import anyio
import httpx
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from consul_onex._call import Call
from consul_onex.errors import CircuitOpenError, ConfigurationError
from consul_onex.events import CircuitChanged, Event
from consul_onex.transport import Breaker, Circuit, CircuitState, CircuitStatistics
from consul_onex.transport.breaker import BreakerTransport

from .support import (
    URL,
    Body,
    Clock,
    Gate,
    Script,
    Step,
    answer,
    hang,
    in_flight,
    read,
    send,
    settled,
)

OK = answer(200, "ok")
REFUSED = httpx.ConnectError("refused")
CLOSED, OPEN = CircuitState.CLOSED, CircuitState.OPEN
HALF_OPEN, ISOLATED = CircuitState.HALF_OPEN, CircuitState.ISOLATED

CALLERS_MISTAKES = [
    'invalid session "11111111-1111-1111-1111-111111111111"',
    "failed session lookup: index error: UUID must be 36 characters",
    "No path to datacenter",
    'Failed to create boolean expression evaluator: Selector "Nope" is not valid',
    "Invalid Session TTL '9000000000', must be between [10s=24h0m0s]",
    'CheckID "none" does not have associated TTL',
    'strconv.ParseUint: parsing "abc": invalid syntax',
    "Invalid prepared query: Must provide a Service name to query",
    "rpc error making call: No path to datacenter",
    "a text that nobody has seen before",
]


def breaking(script: Script, clock: Clock | None = None, **settings: Any) -> BreakerTransport:
    return BreakerTransport(script, Breaker(now=clock or Clock(), **settings))


async def fail(transport: BreakerTransport, times: int, call: Call | None = None) -> None:
    for _ in range(times):
        with pytest.raises(httpx.TransportError):
            await send(transport, call)


def state_of(transport: BreakerTransport, name: str = "consul.default") -> CircuitState:
    return transport.circuits[name].state


# What opens it


@pytest.mark.parametrize(
    "failure",
    [
        REFUSED,
        httpx.ConnectTimeout("no route"),
        httpx.ReadError("reset"),
        httpx.ReadTimeout("silence"),
        httpx.RemoteProtocolError("hung up"),
    ],
)
async def test_five_dead_connections_open_it(failure: Exception) -> None:
    script = Script(failure)
    transport = breaking(script)

    await fail(transport, 4)
    assert state_of(transport) is CLOSED
    await fail(transport, 1)

    assert state_of(transport) is OPEN
    with pytest.raises(CircuitOpenError):
        await send(transport)
    assert len(script.requests) == 5


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (500, "No cluster leader"),
        (500, "No known Consul servers"),
        (502, "Bad Gateway"),
        (503, "no healthy upstream"),
    ],
)
async def test_a_server_error_of_the_servers_own_doing_is_a_failure(status: int, text: str) -> None:
    transport = breaking(Script(answer(status, text)), failures=3)

    bodies = [await read(await send(transport)) for _ in range(3)]

    assert state_of(transport) is OPEN
    assert bodies == [text.encode()] * 3


async def test_a_hundred_mistakes_of_callers_leave_it_closed() -> None:
    transport = breaking(Script(*[answer(500, text) for text in CALLERS_MISTAKES * 10]))

    for _ in range(100):
        await send(transport)

    assert transport.circuits["consul.default"].statistics() == CircuitStatistics(
        "consul.default", CLOSED, failures=0, refused=0
    )


@pytest.mark.parametrize("status", [404, 403, 429])
async def test_a_thousand_answers_leave_it_closed(status: int) -> None:
    transport = breaking(Script(answer(status, "Permission denied")))

    for _ in range(1000):
        await send(transport)

    assert state_of(transport) is CLOSED


@pytest.mark.parametrize("status", [200, 302, 403, 404, 409])
async def test_an_answer_begins_the_count_anew(status: int) -> None:
    steps: list[Step] = [*[REFUSED] * 4, answer(status, ""), *[REFUSED] * 4]
    transport = breaking(Script(*steps))

    await fail(transport, 4)
    await send(transport)
    await fail(transport, 4)

    assert state_of(transport) is CLOSED


@pytest.mark.parametrize(
    "step",
    [answer(429, ""), answer(503, "rate limit exceeded"), answer(500, CALLERS_MISTAKES[0])],
)
async def test_what_says_nothing_about_the_server_does_not_touch_the_count(step: Step) -> None:
    steps: list[Step] = [*[REFUSED] * 4, step, REFUSED]
    transport = breaking(Script(*steps))

    await fail(transport, 4)
    await send(transport)
    await fail(transport, 1)

    assert state_of(transport) is OPEN


@pytest.mark.parametrize(
    "error",
    [httpx.PoolTimeout("queue"), httpx.UnsupportedProtocol("ftp"), ValueError("not of httpx")],
)
async def test_an_error_of_our_own_is_no_failure(error: Exception) -> None:
    transport = breaking(Script(error), failures=1)

    with pytest.raises(type(error)):
        await send(transport)

    assert state_of(transport) is CLOSED


async def test_a_cancelled_call_is_no_failure() -> None:
    transport = breaking(Script(hang), failures=1)

    async with in_flight(transport, Call("kv.get")):
        pass

    assert state_of(transport) is CLOSED


async def test_a_body_that_breaks_while_the_error_is_read_is_a_failure_and_closed() -> None:
    body = Body(b"No cluster", httpx.ReadError("reset"))
    transport = breaking(Script(answer(500, body)), failures=1)

    await fail(transport, 1)

    assert state_of(transport) is OPEN
    assert body.closed


async def test_blocking_queries_count() -> None:
    transport = breaking(Script(REFUSED), failures=2)

    await fail(transport, 2, Call("kv.get", wait=60.0))

    assert state_of(transport) is OPEN


@pytest.mark.parametrize("call", [Call("session.renew", control=True), Call("watch", paced=True)])
async def test_calls_that_may_not_be_refused_pass_without_being_counted(call: Call) -> None:
    script = Script(REFUSED)
    transport = breaking(script, failures=2)

    await fail(transport, 5, call)
    assert not transport.circuits
    await fail(transport, 2)
    await fail(transport, 5, call)

    assert len(script.requests) == 12
    assert transport.circuits["consul.default"].statistics().failures == 2


# While it is open


async def test_an_open_circuit_refuses_without_sending() -> None:
    clock, script = Clock(), Script(*[REFUSED] * 5, OK)
    transport = breaking(script, clock)
    await fail(transport, 5)

    clock.advance(12.5)
    for _ in range(20):
        with pytest.raises(CircuitOpenError):
            await send(transport)

    assert len(script.requests) == 5
    assert transport.circuits["consul.default"].statistics() == CircuitStatistics(
        "consul.default", OPEN, failures=5, refused=20
    )


async def test_a_refusal_says_when_to_come_again() -> None:
    clock = Clock()
    transport = breaking(Script(REFUSED), clock)
    await fail(transport, 5)

    clock.advance(12.5)
    with pytest.raises(CircuitOpenError) as caught:
        await send(transport, Call("kv.get"))

    assert (caught.value.circuit, caught.value.retry_after) == ("consul.default", 17.5)
    assert str(caught.value) == (
        "kv.get: not sent: circuit consul.default is open after 5 failures in a row; "
        "it will be tried again in 17.5 s"
    )


async def test_a_success_of_the_one_that_tries_closes_it() -> None:
    clock = Clock()
    transport = breaking(Script(*[REFUSED] * 5, OK, *[REFUSED] * 4), clock)
    await fail(transport, 5)

    clock.advance(30.0)
    await send(transport)
    assert state_of(transport) is CLOSED
    await fail(transport, 4)

    assert state_of(transport) is CLOSED


async def test_a_failure_of_the_one_that_tries_opens_it_for_as_long_again() -> None:
    clock, script = Clock(), Script(*[REFUSED] * 6, OK)
    transport = breaking(script, clock)
    await fail(transport, 5)

    clock.advance(30.0)
    await fail(transport, 1)
    clock.advance(29.9)
    with pytest.raises(CircuitOpenError):
        await send(transport)
    clock.advance(0.1)

    assert (await send(transport)).status_code == 200
    assert len(script.requests) == 7


async def test_of_fifty_calls_at_once_exactly_one_tries() -> None:
    clock, gate = Clock(), Gate(OK)
    script = Script(*[REFUSED] * 5, gate)
    transport = breaking(script, clock)
    answered: list[int] = []
    refused: list[str] = []
    await fail(transport, 5)

    async def one() -> None:
        try:
            answered.append((await send(transport)).status_code)
        except CircuitOpenError as error:
            refused.append(f"{error} ({error.retry_after})")

    clock.advance(30.0)
    async with anyio.create_task_group() as tasks:
        for _ in range(50):
            tasks.start_soon(one)
        await settled()
        assert state_of(transport) is HALF_OPEN
        gate.open()

    assert answered == [200]
    assert len(refused) == 49
    assert set(refused) == {
        "http.get: not sent: circuit consul.default is open, "
        "and another call is trying it now (None)"
    }
    assert len(script.requests) == 6
    assert state_of(transport) is CLOSED


@pytest.mark.parametrize("late", [OK, REFUSED])
@pytest.mark.parametrize("probed", [False, True])
async def test_a_late_answer_from_an_older_state_changes_nothing(late: Step, probed: bool) -> None:
    clock, late_gate, probe_gate = Clock(), Gate(late), Gate(OK)
    transport = breaking(Script(late_gate, *[REFUSED] * 5, probe_gate), clock)
    seen: list[CircuitStatistics] = []

    async def whatever() -> None:
        with suppress(httpx.ConnectError):
            await send(transport)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(whatever)
        await settled()
        await fail(transport, 5)
        if probed:
            clock.advance(30.0)
            tasks.start_soon(whatever)
            await settled()
        seen.append(transport.circuits["consul.default"].statistics())
        late_gate.open()
        await settled()
        seen.append(transport.circuits["consul.default"].statistics())
        probe_gate.open()

    assert seen[0] == seen[1]
    assert seen[0].state is (HALF_OPEN if probed else OPEN)
    assert state_of(transport) is (CLOSED if probed else OPEN)


async def test_a_cancelled_trial_is_given_back() -> None:
    clock, script = Clock(), Script(*[REFUSED] * 5, hang, OK)
    transport = breaking(script, clock)
    await fail(transport, 5)

    clock.advance(30.0)
    async with in_flight(transport, Call("kv.get")):
        pass
    assert state_of(transport) is HALF_OPEN

    assert (await send(transport)).status_code == 200
    assert state_of(transport) is CLOSED


async def test_a_blocking_query_is_never_the_one_that_tries() -> None:
    clock, script = Clock(), Script(*[REFUSED] * 5, OK)
    transport = breaking(script, clock)
    await fail(transport, 5)

    clock.advance(31.0)
    with pytest.raises(CircuitOpenError) as caught:
        await send(transport, Call("kv.get", wait=60.0))

    assert caught.value.retry_after == 0.0
    assert len(script.requests) == 5
    assert (await send(transport)).status_code == 200


async def test_a_blocking_query_passes_a_closed_circuit() -> None:
    assert (await send(breaking(Script(OK)), Call("kv.get", wait=60.0))).status_code == 200


def test_one_call_tries_even_when_no_time_has_to_pass() -> None:
    circuit = Circuit("consul.dc1", failures=1, reset_after=0.0)
    circuit.failed(circuit.admit(0.0), 0.0)
    circuit.admit(0.0)

    with pytest.raises(CircuitOpenError):
        circuit.admit(100.0)


# By hand


async def test_an_isolated_circuit_refuses_until_it_is_reset() -> None:
    clock, script = Clock(), Script(OK)
    transport = breaking(script, clock)
    await send(transport)
    circuit = transport.circuits["consul.default"]

    circuit.isolate()
    clock.advance(1e9)
    with pytest.raises(CircuitOpenError, match="was isolated by hand") as caught:
        await send(transport)
    assert (caught.value.retry_after, len(script.requests)) == (None, 1)
    circuit.reset()

    assert (await send(transport)).status_code == 200


@pytest.mark.parametrize("late", [OK, REFUSED])
async def test_an_isolated_circuit_ignores_what_was_in_flight(late: Step) -> None:
    gate = Gate(late)
    transport = breaking(Script(gate), failures=1)

    async def whatever() -> None:
        with suppress(httpx.ConnectError):
            await send(transport)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(whatever)
        await settled()
        transport.circuits["consul.default"].isolate()
        gate.open()

    assert state_of(transport) is ISOLATED


async def test_a_reset_forgets_what_was_counted() -> None:
    transport = breaking(Script(REFUSED))
    await fail(transport, 5)

    transport.circuits["consul.default"].reset()
    await fail(transport, 4)

    assert state_of(transport) is CLOSED


# Which circuit


async def test_each_datacenter_has_its_own_circuit() -> None:
    transport = breaking(Script(*[REFUSED] * 5, OK))

    await fail(transport, 5, Call("kv.get", datacenter="dc1"))
    await send(transport, Call("kv.get", datacenter="dc2"))
    await send(transport, Call("kv.get"))

    states = {name: circuit.state for name, circuit in transport.circuits.items()}
    assert states == {"consul.dc1": OPEN, "consul.dc2": CLOSED, "consul.default": CLOSED}


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("", "consul.default"),
        ("?dc=dc1", "consul.dc1"),
        ("?stale&dc=dc1", "consul.dc1"),
        ("?dc=", "consul.default"),
        ("?abcdc=dc1", "consul.default"),
    ],
)
async def test_without_a_card_the_query_names_the_datacenter(query: str, name: str) -> None:
    transport = breaking(Script(OK))

    await send(transport, None, url=URL + query)

    assert list(transport.circuits) == [name]


async def test_there_are_never_more_than_64_circuits() -> None:
    transport = breaking(Script(OK))

    for number in range(100):
        await send(transport, Call("kv.get", datacenter=f"dc{number}"))

    assert list(transport.circuits) == [f"consul.dc{number}" for number in range(36, 100)]


async def test_made_up_datacenters_do_not_push_out_what_is_open_or_isolated() -> None:
    transport = breaking(Script(REFUSED, OK), failures=1)
    await fail(transport, 1, Call("kv.get", datacenter="down"))
    await send(transport, Call("kv.get", datacenter="shut"))
    transport.circuits["consul.shut"].isolate()

    for number in range(100):
        await send(transport, Call("kv.get", datacenter=f"dc{number}"))

    assert len(transport.circuits) == 64
    assert state_of(transport, "consul.down") is OPEN
    assert state_of(transport, "consul.shut") is ISOLATED


async def test_open_circuits_alone_do_not_grow_without_end_either() -> None:
    transport = breaking(Script(REFUSED), failures=1)

    for number in range(100):
        await fail(transport, 1, Call("kv.get", datacenter=f"dc{number}"))

    assert list(transport.circuits) == [f"consul.dc{number}" for number in range(36, 100)]


def test_the_circuits_are_for_looking_only() -> None:
    circuits: Any = breaking(Script(OK)).circuits

    with pytest.raises(TypeError):
        circuits["consul.dc1"] = Circuit("consul.dc1", failures=5, reset_after=30.0)


def test_a_circuit_shows_what_state_it_is_in() -> None:
    assert (
        repr(Circuit("consul.dc1", failures=5, reset_after=30.0))
        == "<Circuit consul.dc1 closed failures=0>"
    )


# On the way


async def test_each_change_of_state_is_reported_once() -> None:
    clock, events = Clock(), list[Event]()
    transport = breaking(Script(REFUSED, REFUSED, REFUSED, OK), clock, failures=2)
    call = Call("kv.get", datacenter="dc1", emit=events.append)

    await fail(transport, 2, call)
    clock.advance(30.0)
    await fail(transport, 1, call)
    clock.advance(30.0)
    await send(transport, call)
    await send(transport, call)

    assert events == [
        CircuitChanged("consul.dc1", "closed", "open"),
        CircuitChanged("consul.dc1", "open", "half-open"),
        CircuitChanged("consul.dc1", "half-open", "open"),
        CircuitChanged("consul.dc1", "open", "half-open"),
        CircuitChanged("consul.dc1", "half-open", "closed"),
    ]


async def test_an_error_that_was_looked_at_is_still_readable() -> None:
    body = Body(b"No cluster ", b"leader")

    response = await send(breaking(Script(answer(500, body))))

    assert body.closed
    assert await read(response) == b"No cluster leader"


@pytest.mark.parametrize(
    ("given", "setting"),
    [
        ({"failures": 0}, "breaker_failures"),
        ({"reset_after": -1.0}, "breaker_reset_after"),
        ({"reset_after": float("inf")}, "breaker_reset_after"),
        ({"reset_after": float("nan")}, "breaker_reset_after"),
    ],
)
def test_a_setting_out_of_bounds_is_refused(given: dict[str, Any], setting: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        Breaker(**given)

    assert caught.value.setting == setting


# The state machine, against a smaller one


class CircuitMachine(RuleBasedStateMachine):
    """
    A circuit beside a model of it: a word for the state, a count, and the tickets that are out.

    The model keeps each ticket with the state it was given in, and drops it from the `live` ones
    whenever the state changes; what is reported with a dropped one must change nothing.
    """

    THRESHOLD = 3
    RESET_AFTER = 10

    def __init__(self) -> None:
        super().__init__()
        self.circuit = Circuit("consul.dc1", failures=self.THRESHOLD, reset_after=self.RESET_AFTER)
        self.now = 0
        self.state = CLOSED
        self.failures = 0
        self.refused = 0
        self.opened_at = 0
        self.live: list[int] = []
        self.stale: list[int] = []
        self.probing = False

    def change(self, state: CircuitState) -> None:
        self.state = state
        self.stale += self.live
        self.live = []
        self.probing = False

    def expects_admission(self, probe: bool) -> bool:
        match self.state:
            case CircuitState.CLOSED:
                return True
            case CircuitState.OPEN:
                return probe and self.now >= self.opened_at + self.RESET_AFTER
            case CircuitState.HALF_OPEN:
                return probe and not self.probing
            case CircuitState.ISOLATED:
                return False

    @rule(seconds=st.integers(min_value=1, max_value=12))
    def time_passes(self, seconds: int) -> None:
        self.now += seconds

    @rule(probe=st.booleans())
    def a_call_comes(self, probe: bool) -> None:
        expected = self.expects_admission(probe)
        try:
            ticket = self.circuit.admit(self.now, probe=probe)
        except CircuitOpenError:
            assert not expected
            self.refused += 1
            return
        assert expected
        if self.state is not CLOSED:
            if self.state is OPEN:
                self.change(HALF_OPEN)
            self.probing = True
        self.live.append(ticket)

    @precondition(lambda self: self.live)
    @rule(data=st.data())
    def a_call_succeeds(self, data: st.DataObject) -> None:
        self.circuit.succeeded(self.take(self.live, data))
        self.failures = 0
        if self.state is HALF_OPEN:
            self.change(CLOSED)

    @precondition(lambda self: self.live)
    @rule(data=st.data())
    def a_call_fails(self, data: st.DataObject) -> None:
        self.circuit.failed(self.take(self.live, data), self.now)
        self.failures += 1
        if self.state is HALF_OPEN or self.failures >= self.THRESHOLD:
            self.change(OPEN)
            self.opened_at = self.now

    @precondition(lambda self: self.live)
    @rule(data=st.data())
    def a_call_is_cancelled(self, data: st.DataObject) -> None:
        self.circuit.abandoned(self.take(self.live, data))
        self.probing = False

    @precondition(lambda self: self.stale)
    @rule(data=st.data(), end=st.sampled_from(["succeeded", "failed", "abandoned"]))
    def a_call_from_an_older_state_ends(self, data: st.DataObject, end: str) -> None:
        ticket = self.take(self.stale, data)
        match end:
            case "succeeded":
                self.circuit.succeeded(ticket)
            case "failed":
                self.circuit.failed(ticket, self.now)
            case _:
                self.circuit.abandoned(ticket)

    @rule()
    def somebody_isolates_it(self) -> None:
        self.circuit.isolate()
        self.change(ISOLATED)

    @rule()
    def somebody_resets_it(self) -> None:
        self.circuit.reset()
        self.failures = 0
        self.change(CLOSED)

    @invariant()
    def it_is_as_the_model_says(self) -> None:
        assert self.circuit.statistics() == CircuitStatistics(
            "consul.dc1", self.state, self.failures, self.refused
        )

    @invariant()
    def at_most_one_call_tries(self) -> None:
        assert self.state is not HALF_OPEN or len(self.live) <= 1

    def teardown(self) -> None:
        """From wherever it ended up, enough time and a success close it."""
        if self.state is ISOLATED:
            self.circuit.reset()
        for ticket in self.live:
            self.circuit.abandoned(ticket)
        self.now += self.RESET_AFTER
        self.circuit.succeeded(self.circuit.admit(self.now))
        assert self.circuit.state is CLOSED
        assert self.circuit.statistics().failures == 0

    @staticmethod
    def take(tickets: list[int], data: st.DataObject) -> int:
        return tickets.pop(data.draw(st.integers(min_value=0, max_value=len(tickets) - 1)))


def test_a_circuit_does_what_a_smaller_model_of_it_does() -> None:
    run_state_machine_as_test(
        CircuitMachine,
        settings=settings(
            max_examples=150,
            stateful_step_count=40,
            deadline=None,
            database=None,
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )
