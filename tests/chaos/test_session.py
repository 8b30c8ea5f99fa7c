"""A whole session of varied use, with everything that it says, shows and raises searched."""

from __future__ import annotations

import copy
import logging
import pickle
import warnings
from collections.abc import Callable, Iterator
from typing import Any, Final

import pytest

from consul_onex import ConsulClient, ConsulError
from consul_onex.transport import Breaker, Datacenters, Deadline, Events, Layer, Limit, Retry
from consul_onex.transport._connection import HTTP
from tests.support.canary import CANARY, leaks
from tests.support.fault_server import RESET, SILENCE, Answer, Seen, Then, fault_server, raw, reply
from tests.test_canary import told_by
from tests.walk.case import Case
from tests.walk.test_walk import CASES

ENDS: Final[dict[str, Answer | None]] = {
    "as promised": None,
    "refused": reply(403, b"ACL not found"),
    "failed": reply(500, b"rpc error making call: EOF"),
    "reset": RESET,
    "closed": SILENCE,
    "not HTTP": raw(b"\x15\x03\x01 no HTTP\r\n\r\n"),
    "not JSON": reply(body=b"<html>"),
    "redirected": reply(307, headers={"Location": "http://127.0.0.1:1/"}),
    "too large": reply(headers={"Content-Length": str(2**31)}, then=Then.HANG),
}


def shown_by(value: Any) -> Iterator[str]:
    """A result, in every way in which it may be kept or shown."""
    yield f"{value!r} {value}"
    try:
        yield pickle.dumps(value).decode("latin-1")
        yield repr(copy.deepcopy(value))
    except (TypeError, pickle.PicklingError, AttributeError):
        # What holds sockets is neither.
        pass


async def ended(case: Case, c: ConsulClient) -> tuple[str, Iterator[str]]:
    """How a call ended, and all that is told by it: with the locals of no frame above this."""
    try:
        return "a value", shown_by(await case.call(c))
    except ConsulError as error:
        return type(error).__name__, iter(list(told_by(error)))


@pytest.mark.parametrize("http", ["h11", "fast"])
@pytest.mark.parametrize("end", ENDS)
async def test_a_session_of_every_call_keeps_its_token_to_itself(
    end: str,
    http: HTTP,
    caplog: pytest.LogCaptureFixture,
    record_property: Callable[[str, object], None],
) -> None:
    events: list[object] = []
    layers: list[Layer] = [
        *(Deadline(10), Events(events.append), Retry(attempts=2, initial=0)),
        *(Datacenters(), Breaker(failures=10**6), Limit()),
    ]
    # What fails fails below the API, alike for every call: one in nine of them, others each time.
    called = CASES if end == "as promised" else CASES[list(ENDS).index(end) :: len(ENDS)]
    now: Case = called[0]

    def script(seen: Seen) -> Answer:
        answer = ENDS[end]
        if answer is not None:
            return answer
        good = now.response()
        body = good.content
        return reply(good.status_code, body, {"X-Consul-Index": "7"})

    leaking: list[str] = []
    searched = 0

    def search(where: str, texts: Iterator[str]) -> None:
        nonlocal searched
        for text in texts:
            searched += 1
            if leaks(text):
                leaking.append(where)

    ends: set[str] = set()
    loggers: set[str] = set()
    with caplog.at_level(logging.DEBUG), warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        async with (
            fault_server(script) as server,
            ConsulClient(
                server.url,
                token=CANARY,
                layers=layers,
                attempt_timeout=20.0,
                check_server=False,
                http=http,
            ) as c,
        ):
            for case in called:
                now = case
                name, told = await ended(case, c)
                ends.add(name)
                search(f"the end of {case}", told)
                records = [f"{record.getMessage()} {vars(record)!r}" for record in caplog.records]
                search(f"the log of {case}", iter(records))
                loggers |= {record.name.partition(".")[0] for record in caplog.records}
                caplog.clear()
            search("the client", shown_by([repr(c), c.statistics(), c.circuits]))
            search("the events", (text for event in events for text in shown_by(event)))
            search("a warning", (f"{one.message!r} {one.message}" for one in warned))
            sent = server.requests

    record_property("S1 texts in which the token could be", searched)
    record_property("S1 texts in which a piece of it was", len(leaking))
    assert leaking == []
    # It was there to be let out, and somebody listened.
    assert all(CANARY.get_secret_value() == seen.headers["x-consul-token"] for seen in sent)
    assert len(sent) >= len(called)
    assert "httpcore" in loggers or http == "fast"
    assert events
    assert ends == {"a value"} if end == "as promised" else ends
