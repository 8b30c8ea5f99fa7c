"""
What real servers answered, played to the whole client once more: is it taken as it was meant?

`tests/data/exchanges.jsonl` has the answers of Consul 1.8.7, alone, as clusters and as datacenters,
well and under faults, each with what it means: the class of the error, and what became of the
request. Those two columns were checked by hand against what the servers had done.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consul_onex import ConsulClient, ConsulError, OutcomeUnknownError, Safety
from consul_onex._faults import Outcome, classify
from consul_onex.transport import Deadline, Layer, Retry
from tests.support.canary import Bottom

RECORDED: Final = Path(__file__).parent.parent / "data" / "exchanges.jsonl"

EXCHANGES: Final[list[dict[str, Any]]] = [
    json.loads(line) for line in RECORDED.read_text("utf-8").splitlines()
]

ATTEMPTS: Final = 3

# What is sent again: what was not carried out, always; what may have been, where that is harmless.
AGAIN: Final = {
    "not applied": set(Safety),
    "throttled": set(Safety),
    "maybe applied": {Safety.SAFE, Safety.IDEMPOTENT},
}

each_safety = pytest.mark.parametrize("safety", Safety, ids=lambda safety: safety.value)


def expected(exchange: dict[str, Any], safety: Safety) -> tuple[str | None, int]:
    """The class of the error and the number of attempts, by the two columns."""
    error, outcome = exchange["error"], exchange["outcome"]
    if outcome == "maybe applied" and safety is not Safety.SAFE:
        error = OutcomeUnknownError.__name__
    return error, ATTEMPTS if safety in AGAIN.get(outcome, set()) else 1


async def played(exchange: dict[str, Any], safety: Safety) -> tuple[str | None, int]:
    """The same two as the client sees it."""
    bottom = Bottom(
        httpx.Response(
            exchange["status"],
            headers=exchange["headers"],
            content=exchange["body"].encode("utf-8"),
        )
    )
    layers: list[Layer] = [Deadline(), Retry(attempts=ATTEMPTS, initial=0, max_retry_after=0)]
    async with ConsulClient(transport=bottom, layers=layers) as c:
        try:
            await c.request("GET" if safety is Safety.SAFE else "PUT", "/v1/x", safety=safety)
        except ConsulError as error:
            return type(error).__name__, len(bottom.requests)
    return None, len(bottom.requests)


@each_safety
async def test_each_recorded_answer_is_taken_as_it_was_meant(
    safety: Safety, record_property: Callable[[str, object], None]
) -> None:
    wrong = {
        f"{number}: {exchange['name']}": (seen, meant)
        for number, exchange in enumerate(EXCHANGES)
        if (seen := await played(exchange, safety)) != (meant := expected(exchange, safety))
    }

    share = 100 * (1 - len(wrong) / len(EXCHANGES))
    record_property("R11 recorded exchanges", len(EXCHANGES))
    record_property("R11 recorded exchanges taken as they were meant, %", share)
    assert wrong == {}


# Where a request got no further, and where it was on its way.
HELD_UP: Final = ("No cluster leader", "No known Consul servers", "failed to get conn")
UNDER_WAY: Final = (
    *("EOF", "stream closed", "session shutdown", "broken pipe", "i/o deadline reached"),
    *("leadership lost while committing log", "raft is already shutdown"),
)


def by_where_it_failed(text: str) -> str | None:
    """What became of a request that failed; None where it was understood, and refused."""
    if any(one in text for one in HELD_UP):
        return "not applied"
    return "maybe applied" if not text or any(one in text for one in UNDER_WAY) else None


def test_the_column_says_what_became_of_a_request_by_where_it_failed() -> None:
    wrong = [
        exchange["name"]
        for exchange in EXCHANGES
        if exchange["status"] >= 500
        and exchange["outcome"]
        not in ([by] if (by := by_where_it_failed(exchange["body"])) else ["rejected", "no path"])
    ]

    assert wrong == []


def test_there_is_something_of_everything() -> None:
    assert len(EXCHANGES) >= 388
    assert {one["outcome"] for one in EXCHANGES} == {
        None,
        *(outcome.value for outcome in Outcome if outcome is not Outcome.NOT_SENT),
    }
    assert {one["status"] for one in EXCHANGES} >= {200, 301, 400, 401, 403, 404, 405, 409, 413}
    assert {one["status"] for one in EXCHANGES} >= {415, 429, 431, 500}


# 501 means without any text that there is no such thing, and that nothing was done.
no_word_of = st.integers(500, 599).filter(lambda status: status != 501)

# No text that is known has only these letters.
unheard_of = st.text(alphabet="bdghjkqvwyzBDGHJKQVWYZ 0123456789<>\n\x00é", max_size=200)


@given(no_word_of, unheard_of)
def test_a_server_error_that_nobody_has_heard_of_may_have_been_applied(
    status: int, text: str
) -> None:
    assert classify(status, text).outcome is Outcome.MAYBE_APPLIED


@given(no_word_of, unheard_of, unheard_of)
def test_what_may_have_been_applied_is_so_whatever_stands_around_it(
    status: int, before: str, after: str
) -> None:
    for text in UNDER_WAY:
        assert classify(status, f"{before}{text}{after}").outcome is Outcome.MAYBE_APPLIED
