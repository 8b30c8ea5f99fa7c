"""Every fault of the table, under every kind of call, on a new connection and on a used one."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import partial
from typing import Any, Final, NamedTuple, TypeAlias

import anyio
import httpx
import pytest

from consul_onex import ConsulClient, ConsulError
from consul_onex.transport import (
    Breaker,
    Connections,
    Datacenters,
    Deadline,
    Layer,
    Limit,
    Retry,
)
from tests.chaos.faults import ATTEMPTS, FAULTS, Ask, Fault, Kind
from tests.chaos.meet import Met, meet

Kinds: TypeAlias = "dict[str, Callable[[], httpx.AsyncBaseTransport]]"

KINDS_OF_CONNECTIONS: Final[Kinds] = {
    "h11": partial(Connections, http="h11"),
    "fast": partial(Connections, http="fast"),
}

# Where the fault is that something takes for ever, and where it is not: then no machine is so busy
# that a time-out comes before the fault.
CONNECT, ATTEMPT = 0.5, 1.0
LONG: Final = 20.0

each_fault = pytest.mark.parametrize("fault", FAULTS, ids=str)


def client(
    fault: Fault, connections: Callable[[], httpx.AsyncBaseTransport]
) -> Callable[[str], ConsulClient]:
    # No circuit that would open between the attempts, and hardly a pause.
    layers: list[Layer] = [
        Deadline(60),
        Retry(attempts=ATTEMPTS, initial=0.001, max=0.002),
        Datacenters(),
        Breaker(failures=100),
        Limit(),
    ]
    return lambda url: ConsulClient(
        url,
        transport=connections(),
        layers=layers,
        connect_timeout=CONNECT if fault.waits_for else LONG,
        attempt_timeout=ATTEMPT if fault.waits_for else LONG,
    )


class Told(NamedTuple):
    """How a call ended, in words that a table of them shows."""

    error: str
    retries: int
    requests: int
    afterwards: str = "good"
    connections_in_use: int = 0


def told(met: Met, ask: Ask) -> Told:
    return Told(
        type(met.error).__name__ if met.error is not None else _worth(ask, met.value),
        met.retries,
        met.requests,
        _worth(ask, met.recovered),
        met.active,
    )


def _worth(ask: Ask, value: Any) -> str:
    good = value is True if ask in (Ask.PUT, Ask.CAS) else bool(value and value.value == b"v1")
    return "good" if good else repr(value)


def name_of(error: type[ConsulError] | None) -> str:
    return error.__name__ if error is not None else "good"


async def all_at_once(
    fault: Fault, *, times: int | None = None
) -> dict[tuple[str, str, bool], Told]:
    """What each call makes of the fault, as the first one and on a connection used before."""
    seen: dict[tuple[str, str, bool], Told] = {}

    async def one(kind: str, ask: Ask, reused: bool) -> None:
        make_client = client(fault, KINDS_OF_CONNECTIONS[kind])
        met = await meet(fault, ask, make_client, reused=reused, times=times)
        seen[kind, ask.value, reused] = told(met, ask)
        if fault.waits_for:
            # On a busy machine a time-out may come before the server has read the request.
            assert met.requests <= fault.attempts(ask)
            seen[kind, ask.value, reused] = told(met, ask)._replace(requests=0)

    # Each has a client, a server and a port of its own; only the waiting is shared.
    with anyio.fail_after(90):
        async with anyio.create_task_group() as tasks:
            for kind, ask, reused in CELLS:
                tasks.start_soon(one, kind, ask, reused)
    return seen


CELLS: Final = list(itertools.product(KINDS_OF_CONNECTIONS, Ask, [False, True]))


@each_fault
async def test_a_fault_that_stays_ends_as_the_table_says(fault: Fault) -> None:
    seen = await all_at_once(fault)

    assert seen == {
        (kind, ask.value, reused): Told(
            name_of(fault.expected(ask)),
            fault.attempts(ask) - 1,
            fault.attempts(ask) if fault.request_arrives() and not fault.waits_for else 0,
        )
        for kind, ask, reused in CELLS
    }


@pytest.mark.parametrize("fault", [one for one in FAULTS if one.absence is None], ids=str)
async def test_a_fault_that_passes_is_none_to_a_call_that_may_be_sent_again(
    fault: Fault,
) -> None:
    seen = await all_at_once(fault, times=1)

    def expected(ask: Ask) -> Told:
        arrives = fault.request_arrives()
        if not fault.recovers(ask):
            return Told(name_of(fault.expected(ask)), 0, int(arrives and not fault.waits_for))
        retries = int(fault.kind is not Kind.HARMLESS)
        return Told("good", retries, 0 if fault.waits_for else retries * arrives + 1)

    assert seen == {(kind, ask.value, reused): expected(ask) for kind, ask, reused in CELLS}


async def test_a_connection_that_is_not_made_in_time_is_told_in_plain_words() -> None:
    fault = next(one for one in FAULTS if one.waits_for == "connect_timeout")

    met = await meet(fault, Ask.CAS, client(fault, Connections))

    assert "ConnectTimeout (the agent is overloaded, hung, or not reachable)" in str(met.error)


def test_no_fault_is_there_twice_and_there_are_all_that_were_wanted() -> None:
    names = [fault.name for fault in FAULTS]
    faults = sum(fault.kind is not Kind.HARMLESS for fault in FAULTS)

    assert len(set(names)) == len(names)
    assert faults >= 24
    # On each of the two event loops.
    assert 2 * faults * len(CELLS) >= 380
    assert {fault.kind for fault in FAULTS} == set(Kind)
