"""Answers that are data although their status says error, in every layer."""

from __future__ import annotations

import httpx
import pytest

from consul_onex._call import Call
from consul_onex.errors import DecodeError
from consul_onex.transport import Breaker, CircuitState, Datacenters, Retry, WholeBody
from consul_onex.transport._layer import is_answer, is_data
from consul_onex.transport.breaker import BreakerTransport
from consul_onex.transport.retry import RetryTransport

from .support import Body, Clock, Script, answer, read, request_for, send

JSON = {"Content-Type": "application/json"}
TEXT = {"Content-Type": "text/plain; charset=utf-8"}
STATUSES = [429, 503]

# The refusals that come with the same statuses.
REFUSALS = {429: "Your IP is issuing too many concurrent connections", 503: "Service Unavailable"}

data = answer(503, b'{"Healthy": false}', JSON)
refusal = answer(503, b"Service Unavailable", TEXT)


def health(*failover: str, statuses: list[int] = STATUSES) -> Call:
    return Call("agent.health", data=frozenset(statuses), datacenter="dc1", failover=failover)


@pytest.mark.parametrize(
    ("status", "content_type", "statuses", "expected"),
    [
        (503, "application/json", [429, 503], True),
        (429, "application/json; charset=utf-8", [429, 503], True),
        (429, "application/json", [503], False),
        (429, "application/json", [], False),
        (503, "text/plain", [503], False),
        (503, "text/html", [503], False),
        (503, None, [503], False),
        (500, "application/json", [503], False),
    ],
)
def test_data_is_json_with_a_status_that_was_announced(
    status: int, content_type: str | None, statuses: list[int], expected: bool
) -> None:
    headers = {"Content-Type": content_type} if content_type else {}
    response = httpx.Response(status, headers=headers)

    assert is_data(response, health(statuses=statuses)) is expected
    assert is_answer(response, health(statuses=statuses)) is expected


@pytest.mark.parametrize("status", STATUSES)
async def test_data_is_not_sent_for_again_and_a_refusal_is(status: int) -> None:
    for step, sent in (
        (answer(status, b"{}", JSON), 1),
        (answer(status, REFUSALS[status], TEXT), 3),
    ):
        clock, script = Clock(), Script(step)
        retry = RetryTransport(script, Retry(now=clock, sleep=clock.sleep))

        response = await send(retry, health())

        assert response.status_code == status
        assert len(script.requests) == sent


@pytest.mark.parametrize("status", STATUSES)
async def test_data_earns_what_a_success_earns(status: int) -> None:
    clock = Clock()
    script = Script(answer(500, "No cluster leader"), answer(status, b"{}", JSON))
    retry = RetryTransport(script, Retry(budget=5, now=clock, sleep=clock.sleep))

    await send(retry, health())

    assert retry.statistics().budget == pytest.approx(4.1)


async def test_data_opens_no_circuit_and_a_refusal_does() -> None:
    for step, state in ((data, CircuitState.CLOSED), (refusal, CircuitState.OPEN)):
        breaker = BreakerTransport(Script(step), Breaker(failures=3, now=Clock()))
        for _ in range(3):
            await send(breaker, health())

        assert breaker.circuits["consul.dc1"].state is state


async def test_data_closes_a_circuit_that_tries() -> None:
    clock = Clock()
    breaker = BreakerTransport(Script(refusal, data), Breaker(failures=1, now=clock))
    await send(breaker, health())
    clock.advance(30)

    await send(breaker, health())

    assert breaker.circuits["consul.dc1"].state is CircuitState.CLOSED


async def test_data_is_the_answer_and_no_other_datacenter_is_asked() -> None:
    for step, sent in ((data, 1), (refusal, 2)):
        script = Script(step)

        response = await send(Datacenters().wrap(script), health("dc2"))

        assert response.status_code == 503
        assert len(script.requests) == sent


async def test_data_comes_up_whole_and_a_refusal_is_cut() -> None:
    long = b'["' + b"x" * 100_000 + b'"]'
    for body, size in ((long, len(long)), (b"<html>" + long, 16 * 1024)):
        whole = WholeBody().wrap(Script(answer(503, body, TEXT)))

        response = await send(whole, health())

        assert len(await read(response)) == size


async def test_what_was_not_announced_is_cut_whatever_it_is() -> None:
    whole = WholeBody().wrap(Script(answer(503, b"[" * 100_000, JSON)))

    assert len(await read(await send(whole, health(statuses=[429])))) == 16 * 1024


async def test_data_has_the_limit_of_any_answer() -> None:
    body = Body(b"[" * 50, b"]" * 51)

    with pytest.raises(DecodeError, match="larger than 100 bytes"):
        await send(WholeBody(limit=100).wrap(Script(answer(503, body, JSON))), health())
    assert body.closed


@pytest.mark.parametrize("body", [b'{"a": 1}', b"[]"])
async def test_json_is_data_also_where_consul_calls_it_text(body: bytes) -> None:
    request = request_for(health())
    response = await WholeBody().wrap(Script(answer(503, body, TEXT))).handle_async_request(request)

    assert is_data(response, health())
    assert await read(response) == body


@pytest.mark.parametrize("body", [b"", b"critical", b'"critical"', b"null", b"<html>"])
async def test_other_text_is_none(body: bytes) -> None:
    response = await send(WholeBody().wrap(Script(answer(503, body, TEXT))), health())

    assert not is_data(response, health())
