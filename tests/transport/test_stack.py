"""The layers alone under somebody else's client, and together in their order."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import anyio
import httpx
import pytest
from pydantic import SecretStr

from consul_onex._call import CARD, Call, Safety
from consul_onex._faults import classify
from consul_onex.errors import CircuitOpenError, DecodeError
from consul_onex.transport import (
    Authorize,
    Breaker,
    CircuitState,
    CircuitStatistics,
    Datacenters,
    Deadline,
    Events,
    Layer,
    Limit,
    LimitStatistics,
    Retry,
    RetryStatistics,
    WholeBody,
    stack,
)
from consul_onex.transport._layer import fault_of_answer

from .support import URL, Body, Clock, Script, answer, in_flight, read, send, settled

REFUSED = httpx.ConnectError("refused")
GZIP = {"Content-Encoding": "gzip"}


def layers() -> list[Layer]:
    """One of each, outermost first."""
    return [
        Deadline(),
        Events(),
        Retry(initial=0.0),
        Datacenters({"dc2": "http://10.2.0.1:8500"}),
        Breaker(),
        Limit(),
        WholeBody(),
        Authorize(SecretStr("token")),
    ]


def name_of(layer: Layer) -> str:
    return type(layer).__name__


each_layer = pytest.mark.parametrize("layer", layers(), ids=name_of)


# One alone


@each_layer
@pytest.mark.parametrize(
    ("status", "text"),
    [(200, "found"), (404, ""), (429, "slow down"), (500, "No cluster leader"), (500, "unknown")],
)
async def test_a_layer_works_alone_under_an_httpx_client(
    layer: Layer, status: int, text: str
) -> None:
    bottom = httpx.MockTransport(lambda _: httpx.Response(status, text=text))

    async with httpx.AsyncClient(transport=stack(bottom, [layer])) as client:
        response = await client.get(URL)

    assert (response.status_code, response.text) == (status, text)
    assert response.request.method == "GET"


@each_layer
@pytest.mark.parametrize(("status", "text"), [(200, "found"), (500, "No cluster leader")])
async def test_an_answer_from_a_network_is_readable_and_timed(
    layer: Layer, status: int, text: str
) -> None:
    bodies: list[Body] = []

    def step(request: httpx.Request) -> httpx.Response:
        bodies.append(Body(text.encode()))
        return httpx.Response(status, stream=bodies[-1])

    async with httpx.AsyncClient(transport=stack(Script(step), [layer])) as client:
        response = await client.get(URL)

    assert (response.status_code, response.text) == (status, text)
    assert response.elapsed.total_seconds() >= 0
    assert all(body.closed for body in bodies)


@each_layer
async def test_a_client_may_stream_through_a_layer(layer: Layer) -> None:
    bottom = Script(answer(200, Body(b"one ", b"two")))

    async with (
        httpx.AsyncClient(transport=stack(bottom, [layer])) as client,
        client.stream("GET", URL) as response,
    ):
        pieces = [piece async for piece in response.aiter_bytes()]

    assert b"".join(pieces) == b"one two"


@each_layer
async def test_an_error_passes_through_a_layer(layer: Layer) -> None:
    bottom = Script(REFUSED)

    async with httpx.AsyncClient(transport=stack(bottom, [layer])) as client:
        with pytest.raises(httpx.ConnectError) as caught:
            await client.put(URL, content=b"value")

    assert caught.value.request.method == "PUT"


@each_layer
async def test_an_error_that_is_damaged_passes_a_layer_as_that_error(layer: Layer) -> None:
    bottom = Script(lambda _: httpx.Response(503, headers=GZIP, stream=Body(b"not packed")))

    response = await send(stack(bottom, [layer]))

    assert response.status_code == 503


@each_layer
async def test_closing_a_layer_closes_what_is_below(layer: Layer) -> None:
    bottom = Script(answer(200))

    await stack(bottom, [layer]).aclose()

    assert bottom.closed


@pytest.mark.parametrize("index", range(len(layers())), ids=lambda n: name_of(layers()[n]))
def test_a_layer_is_a_value(index: int) -> None:
    one: Any = layers()[index]
    same: Any = layers()[index]
    first = dataclasses.fields(one)[0].name

    assert one == same
    assert repr(one) == repr(same)
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(one, first, None)


@pytest.mark.parametrize(
    ("layer", "shown"),
    [
        (Deadline(), "Deadline(seconds=30.0)"),
        (
            Retry(),
            "Retry(attempts=3, initial=1.0, max=30.0, base=2.0, jitter=1.0, max_retry_after=60.0, "
            "budget=500, writes=True)",
        ),
        (Datacenters(), "Datacenters(addresses={})"),
        (Breaker(), "Breaker(failures=5, reset_after=30.0)"),
        (Limit(), "Limit(plain=48, blocking=96, control=6, max_wait=5.0, queue_watches=True)"),
        (WholeBody(), "WholeBody(seconds=8.0, limit=67108864, error_limit=16384)"),
        (Authorize(), "Authorize()"),
    ],
    ids=lambda value: name_of(value) if not isinstance(value, str) else "",
)
def test_a_layer_shows_its_settings_and_their_defaults_are_kept(layer: Layer, shown: str) -> None:
    assert repr(layer) == shown


async def test_two_transports_of_one_layer_share_nothing() -> None:
    layer = Breaker(failures=1)
    broken, well = stack(Script(REFUSED), [layer]), stack(Script(answer(200)), [layer])

    with pytest.raises(httpx.ConnectError):
        await send(broken)
    with pytest.raises(CircuitOpenError):
        await send(broken)

    assert (await send(well)).status_code == 200


@pytest.mark.parametrize(
    "statistics",
    [
        RetryStatistics(retries=0, budget=500.0),
        LimitStatistics(plain=0, blocking=0, control=0, parked=0),
        CircuitStatistics("consul.dc1", CircuitState.CLOSED, failures=0, refused=0),
    ],
)
def test_statistics_are_of_one_moment_and_stay_as_they_are(statistics: Any) -> None:
    name = dataclasses.fields(statistics)[-1].name

    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(statistics, name, 7)


# Stacked


async def test_the_first_layer_named_sees_a_request_first() -> None:
    seen: list[str] = []

    class Seen(httpx.AsyncBaseTransport):
        def __init__(self, inner: httpx.AsyncBaseTransport, name: str) -> None:
            self.inner, self.name = inner, name

        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            seen.append(self.name)
            return await self.inner.handle_async_request(request)

    class Named:
        def __init__(self, name: str) -> None:
            self.name = name

        def wrap(self, inner: httpx.AsyncBaseTransport) -> httpx.AsyncBaseTransport:
            return Seen(inner, self.name)

    await send(stack(Script(answer(200)), (Named(name) for name in ("first", "second", "third"))))

    assert seen == ["first", "second", "third"]


def test_no_layers_are_the_transport_itself() -> None:
    bottom = Script(answer(200))

    assert stack(bottom, []) is bottom


async def test_all_layers_together_carry_a_call_there_and_back() -> None:
    script = Script(REFUSED, answer(200, "found", {"X-Consul-Index": "7"}))
    call = Call("kv.get", datacenter="dc2")

    response = await send(stack(script, layers()), call, url=URL + "?dc=dc2")

    assert await read(response) == b"found"
    assert (call.attempts, call.served_by, call.queued) == (2, "dc2", False)
    assert [str(request.url) for request in script.requests] == [
        "http://10.2.0.1:8500/v1/kv/a?dc=dc2"
    ] * 2
    assert [request.headers["X-Consul-Token"] for request in script.requests] == ["token"] * 2


@pytest.mark.parametrize(("retry_over_breaker", "sent"), [(True, 5), (False, 15)])
async def test_retry_over_breaker_sends_a_third_to_a_dead_agent(
    retry_over_breaker: bool, sent: int
) -> None:
    clock = Clock()
    order: Sequence[Layer] = [
        Retry(attempts=3, now=clock, sleep=clock.sleep),
        Breaker(failures=5, reset_after=1e9, now=clock),
    ]
    script = Script(REFUSED)
    transport = stack(script, order if retry_over_breaker else order[::-1])

    for _ in range(20):
        with pytest.raises((httpx.ConnectError, CircuitOpenError)):
            await send(transport)

    assert len(script.requests) == sent


async def test_a_dead_datacenter_does_not_close_the_door_to_another() -> None:
    def by_datacenter(request: httpx.Request) -> httpx.Response:
        if request.url.params.get("dc") == "dc1":
            raise REFUSED
        return httpx.Response(200)

    script = Script(by_datacenter)
    transport = stack(script, [Datacenters(), Breaker(failures=5, now=Clock())])

    answers = [
        await send(transport, Call("x", datacenter="dc1", failover=("dc2",)), url=URL + "?dc=dc1")
        for _ in range(20)
    ]

    assert [response.status_code for response in answers] == [200] * 20
    assert len(script.requests) == 5 + 20


async def test_nobody_holds_a_place_while_waiting_to_try_again() -> None:
    again = anyio.Event()

    async def pause(_: float) -> None:
        await again.wait()

    script = Script(REFUSED, answer(200, "other"), answer(200, "again"))
    transport = stack(script, [Retry(sleep=pause), Limit(plain=1, max_wait=0.0), WholeBody()])
    bodies: list[bytes] = []

    async def call() -> None:
        bodies.append(await read(await send(transport)))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(call)
        await settled()
        await call()
        again.set()

    assert bodies == [b"other", b"again"]


@pytest.mark.parametrize("with_whole_body", [True, False])
async def test_a_body_cut_in_the_middle_is_sent_again_where_it_is_read_below(
    with_whole_body: bool,
) -> None:
    script = Script(answer(200, Body(b"ha", httpx.ReadError("reset"))), answer(200, "whole"))
    order: list[Layer] = [Retry(initial=0.0), *([WholeBody()] if with_whole_body else [])]

    response = await send(stack(script, order))

    if with_whole_body:
        assert await read(response) == b"whole"
    else:
        with pytest.raises(httpx.ReadError):
            await read(response)


@pytest.mark.parametrize("looks", [Retry(), Breaker()], ids=name_of)
async def test_a_place_comes_back_when_an_error_text_breaks_or_is_left(looks: Layer) -> None:
    class Endless(Body):
        async def __anext__(self) -> bytes:
            await anyio.sleep_forever()
            raise AssertionError("unreachable")

    script = Script(
        answer(500, Endless()), answer(500, Body(httpx.ReadError("reset"))), answer(200)
    )
    transport = stack(script, [looks, Limit(plain=1, max_wait=0.0)])

    async with in_flight(transport, Call("kv.get")):
        pass
    with pytest.raises(httpx.ReadError):
        await send(transport)

    assert (await send(transport)).status_code == 200


async def test_an_answer_that_is_too_large_is_not_asked_for_again() -> None:
    script = Script(answer(200, "too much"))

    with pytest.raises(DecodeError):
        await send(stack(script, [Retry(initial=0.0), WholeBody(limit=3)]))

    assert len(script.requests) == 1


async def test_an_error_is_read_once_however_many_layers_look_at_it() -> None:
    class Once(Body):
        times = 0

        def __aiter__(self) -> Body:
            self.times += 1
            return super().__aiter__()  # type: ignore[return-value]

    body = Once(b"No cluster leader")

    response = await send(stack(Script(answer(500, body)), [Retry(attempts=1), Breaker()]))

    assert (body.times, await read(response)) == (1, b"No cluster leader")


async def test_an_answer_that_was_looked_at_is_not_taken_apart_again() -> None:
    response = await send(Script(answer(500, "No cluster leader")))

    fault = await fault_of_answer(response)
    stream = response.stream

    assert await fault_of_answer(response) == fault == classify(500, "No cluster leader")
    assert response.stream is stream


# The card


@pytest.mark.parametrize(
    ("method", "operation", "safety"),
    [
        ("GET", "http.get", Safety.SAFE),
        ("HEAD", "http.head", Safety.SAFE),
        ("OPTIONS", "http.options", Safety.SAFE),
        ("PUT", "http.put", Safety.UNSAFE),
        ("POST", "http.post", Safety.UNSAFE),
        ("DELETE", "http.delete", Safety.UNSAFE),
    ],
)
def test_a_request_without_a_card_gets_one_by_its_method(
    method: str, operation: str, safety: Safety
) -> None:
    request = httpx.Request(method, URL)

    call = Call.of(request.method, request.extensions)

    assert (call.operation, call.safety) == (operation, safety)
    assert request.extensions[CARD] is call
    assert Call.of(request.method, request.extensions) is call


def test_a_new_card_knows_of_no_attempt_yet() -> None:
    call = Call("kv.get")

    assert (call.attempts, call.queued, call.doubt, call.gave_up) == (0, False, False, None)
    assert (call.deadline, call.served_by, call.emit) == (None, None, None)


def test_something_else_under_the_cards_name_is_no_card() -> None:
    request = httpx.Request("GET", URL, extensions={CARD: "a string"})

    assert Call.of(request.method, request.extensions).operation == "http.get"


@pytest.mark.parametrize(
    ("wait", "blocking", "hold"), [(None, False, 0.0), (0.0, True, 0.0), (160.0, True, 170.0)]
)
def test_consul_adds_up_to_a_sixteenth_to_a_wait(
    wait: float | None, blocking: bool, hold: float
) -> None:
    call = Call("kv.get", wait=wait)

    assert (call.blocking, call.hold) == (blocking, hold)
