"""Events: what a hook hears of each call, and what the log says."""

from __future__ import annotations

import logging
from collections.abc import Callable

import httpx
import pytest

from consul_onex._call import Call
from consul_onex.errors import CircuitOpenError
from consul_onex.events import CallEnded, CallStarted, CircuitChanged, Event, Retrying
from consul_onex.transport import Datacenters, Events, Retry, log_event, stack

from .support import Clock, Script, answer, hang, in_flight, send

OK = answer(200, "ok")


def taking(clock: Clock, seconds: float, status: int) -> Callable[[httpx.Request], httpx.Response]:
    def step(request: httpx.Request) -> httpx.Response:
        clock.advance(seconds)
        return answer(status, "")(request)

    return step


@pytest.mark.parametrize("status", [200, 404, 500])
async def test_a_call_has_one_start_and_one_end(status: int) -> None:
    events, clock = list[Event](), Clock()
    transport = Events(events.append, now=clock).wrap(Script(taking(clock, 0.25, status)))

    await send(transport, Call("kv.get", datacenter="dc2"))

    assert events == [
        CallStarted("kv.get", "dc2"),
        CallEnded("kv.get", "dc2", seconds=0.25, attempts=1, status=status, error=None),
    ]


async def test_however_many_attempts_there_is_one_end() -> None:
    events, clock = list[Event](), Clock()
    retry = Retry(jitter=0.0, now=clock, sleep=clock.sleep)
    script = Script(httpx.ConnectError("refused"), OK)

    await send(stack(script, [Events(events.append, now=clock), retry]), Call("kv.get"))

    assert events == [
        CallStarted("kv.get", None),
        Retrying("kv.get", None, attempt=1, pause=1.0, reason="not sent"),
        CallEnded("kv.get", None, seconds=1.0, attempts=2, status=200, error=None),
    ]


@pytest.mark.parametrize("error", [httpx.ConnectError("refused"), CircuitOpenError("not sent")])
async def test_an_error_ends_the_call_by_its_name(error: Exception) -> None:
    events = list[Event]()
    transport = Events(events.append, now=Clock()).wrap(Script(error))

    with pytest.raises(type(error)):
        await send(transport, Call("kv.get"))

    assert events[1:] == [
        CallEnded("kv.get", None, 0.0, attempts=1, status=None, error=type(error).__name__)
    ]


async def test_a_cancelled_call_has_an_end_too() -> None:
    events = list[Event]()
    transport = Events(events.append, now=Clock()).wrap(Script(hang))

    async with in_flight(transport, Call("kv.get")):
        assert events == [CallStarted("kv.get", None)]

    assert events[1:] == [CallEnded("kv.get", None, 0.0, 1, status=None, error="Cancelled")]


async def test_events_name_the_datacenter_that_was_asked_for() -> None:
    events = list[Event]()
    script = Script(httpx.ConnectError("refused"), OK)
    transport = stack(script, [Events(events.append, now=Clock()), Datacenters()])

    await send(transport, Call("kv.get", datacenter="dc1", failover=("dc2",)))

    assert [event.datacenter for event in events if isinstance(event, CallEnded)] == ["dc1"]


async def test_events_hold_no_key_value_or_path() -> None:
    events = list[Event]()
    transport = Events(events.append).wrap(Script(answer(500, "the value")))

    await send(transport, Call("kv.get"), url="http://agent:8500/v1/kv/the-key?dc=secret")

    assert not [word for word in ("the-key", "the value", "secret", "/v1/") if word in repr(events)]


async def test_a_hook_that_raises_disturbs_no_call_and_is_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def broken(event: Event) -> None:
        raise ValueError("a defect of the hook")

    transport = Events(broken).wrap(Script(OK))

    answers = [(await send(transport)).status_code for _ in range(3)]

    assert answers == [200, 200, 200]
    (record,) = caplog.records
    assert (record.name, record.levelname) == ("consul_onex", "ERROR")
    assert record.exc_info is not None
    assert "a defect of the hook" in str(record.exc_info[1])


async def test_a_hook_that_raises_does_not_hide_the_error_of_the_call() -> None:
    def broken(event: Event) -> None:
        raise ValueError("a defect of the hook")

    with pytest.raises(httpx.ReadError):
        await send(Events(broken).wrap(Script(httpx.ReadError("reset"))))


async def test_a_cancellation_in_a_hook_ends_the_call() -> None:
    def leave(event: Event) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await send(Events(leave).wrap(Script(OK)))


# The log


EVENTS: list[tuple[Event, str, str]] = [
    (CallStarted("kv.get", "dc1"), "DEBUG", "kv.get started"),
    (
        CallEnded("kv.get", "dc1", 0.0123, 2, 200, None),
        "DEBUG",
        "kv.get answered 200 in 12.3 ms, 2 attempt(s)",
    ),
    (
        CallEnded("kv.get", None, 1.5, 3, None, "ReadError"),
        "DEBUG",
        "kv.get ended with ReadError after 1500.0 ms, 3 attempt(s)",
    ),
    (
        Retrying("kv.get", None, 1, 0.5, "not sent"),
        "INFO",
        "kv.get: attempt 1 failed (not sent), next in 0.50 s",
    ),
    (
        CircuitChanged("consul.dc1", "closed", "open"),
        "WARNING",
        "circuit consul.dc1: closed -> open",
    ),
    (
        CircuitChanged("consul.dc1", "open", "half-open"),
        "INFO",
        "circuit consul.dc1: open -> half-open",
    ),
]


@pytest.mark.parametrize(("event", "level", "text"), EVENTS)
def test_each_event_is_one_record_with_the_event_on_it(
    event: Event, level: str, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG, logger="consul_onex"):
        log_event(event)

    (record,) = caplog.records
    assert (record.name, record.levelname, record.getMessage()) == ("consul_onex", level, text)
    assert record.__dict__["event"] is event


@pytest.mark.parametrize(
    ("level", "messages"),
    [
        (logging.DEBUG, ["kv.get started", "attempt 1 failed", "kv.get answered 200"]),
        (logging.INFO, ["attempt 1 failed"]),
        (logging.WARNING, []),
    ],
)
async def test_by_default_calls_are_logged_as_far_as_the_logger_listens(
    level: int, messages: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    clock = Clock()
    retry = Retry(now=clock, sleep=clock.sleep)
    script = Script(httpx.ConnectError("refused"), OK)

    with caplog.at_level(level, logger="consul_onex"):
        await send(stack(script, [Events(), retry]), Call("kv.get"))

    records = [record for record in caplog.records if record.name == "consul_onex"]
    assert len(records) == len(messages)
    assert all(text in r.getMessage() for r, text in zip(records, messages, strict=True))


async def test_a_hook_of_ones_own_hears_everything_however_the_logger_is_set(
    caplog: pytest.LogCaptureFixture,
) -> None:
    events = list[Event]()

    with caplog.at_level(logging.ERROR, logger="consul_onex"):
        await send(Events(events.append).wrap(Script(OK)))

    assert [type(event) for event in events] == [CallStarted, CallEnded]
