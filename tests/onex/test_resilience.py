"""Retrying, the circuit, and what Consul's errors become."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import anyio
import pytest
from pydantic import ValidationError

from consul_onex import (
    ConsulConnectionError,
    ConsulTimeoutError,
    NoLeaderError,
    NotFoundError,
    OutcomeUnknownError,
    PermissionDeniedError,
    RateLimitedError,
)
from consul_onex.onex.enums import EnumRetryErrorCategory
from consul_onex.onex.errors import (
    InfraAuthenticationError,
    InfraConnectionError,
    InfraProtocolError,
    InfraRateLimitedError,
    InfraRequestRejectedError,
    InfraTimeoutError,
    InfraUnavailableError,
    RuntimeHostError,
)
from consul_onex.onex.handlers import HandlerConsul
from consul_onex.onex.handlers.models.consul import ModelConsulRetryConfig
from consul_onex.onex.mixins import ModelRetryErrorClassification, classify
from tests.onex.support import NO_LEADER, TRUE, do, initialised, pair
from tests.support.fault_server import HANG, RESET, Answer, Seen, reply

# -- retrying --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("operation", "payload", "good"),
    [
        ("kv_get", {"key": "a"}, pair()),
        ("kv_put", {"key": "a", "value": "v"}, TRUE),
        ("register", {"name": "web"}, reply()),
    ],
)
@pytest.mark.parametrize("failure", [RESET, NO_LEADER])
async def test_what_fails_once_is_tried_again(
    operation: str, payload: dict[str, Any], good: Answer, failure: Answer
) -> None:
    async with initialised([failure, good]) as (handler, server):
        await do(handler, operation, **payload)

        assert len(server.requests) == 2


async def test_the_last_attempt_may_be_the_one_that_works() -> None:
    async with initialised([RESET, RESET, pair()]) as (handler, server):
        assert (await do(handler, "kv_get", key="a")).found is True
        assert len(server.requests) == 3


@pytest.mark.parametrize("failure", [RESET, NO_LEADER])
async def test_what_goes_on_failing_is_tried_three_times_with_pauses(failure: Answer) -> None:
    correlation_id = uuid4()
    async with initialised([failure]) as (handler, server):
        began = anyio.current_time()
        with pytest.raises(InfraConnectionError) as caught:
            await handler.execute(
                {
                    "operation": "consul.kv_get",
                    "payload": {"key": "a"},
                    "correlation_id": correlation_id,
                }
            )
        took = anyio.current_time() - began

        assert len(server.requests) == 3
    # 0.1 and 0.2 at most, and never much less.
    assert 0.25 <= took < 1.0
    assert caught.value.correlation_id == correlation_id
    assert caught.value.model.context["operation"] == "consul.kv_get"


@pytest.mark.parametrize("failure", [RESET, NO_LEADER])
@pytest.mark.parametrize(
    ("operation", "payload"),
    [
        ("kv_get", {"key": "a"}),
        ("kv_put", {"key": "a", "value": "v"}),
        ("register", {"name": "web"}),
        ("deregister", {"service_id": "web", "node_id": "n"}),
    ],
)
async def test_for_an_orchestrator_that_repeats_nothing_is_sent_twice(
    operation: str, payload: dict[str, Any], failure: Answer
) -> None:
    async with initialised([failure]) as (handler, server):
        envelope = {"operation": f"consul.{operation}", "payload": payload}
        with pytest.raises(InfraConnectionError):
            await handler.execute(envelope, retry=False)
        assert len(server.requests) == 1

        with pytest.raises(InfraConnectionError), handler.operation("mine", retry=False) as c:
            await c.kv.get("a")
        assert len(server.requests) == 2


@pytest.mark.parametrize(("operation", "unknown"), [("kv_get", None), ("kv_put", True)])
async def test_time_outs_are_tried_again_and_end_as_one(
    operation: str, unknown: bool | None
) -> None:
    payload = {"key": "a"} if operation == "kv_get" else {"key": "a", "value": "v"}
    async with initialised([HANG], attempts=2, timeout_seconds=1.0) as (handler, server):
        with pytest.raises(InfraTimeoutError, match=r"timed out after 1\.0s") as caught:
            await do(handler, operation, **payload)

        assert len(server.requests) == 2
    assert caught.value.model.context["timeout_seconds"] == 1.0
    assert caught.value.model.context.get("outcome_unknown") is unknown


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (reply(400, b"no"), InfraRequestRejectedError),
        (reply(401, b"no"), InfraAuthenticationError),
        (reply(403, b"Permission denied"), InfraAuthenticationError),
        (reply(413, b"too large"), InfraRequestRejectedError),
        (reply(500, b"No path to datacenter"), InfraConnectionError),
        (reply(500, b"strconv.Parse: no"), InfraRequestRejectedError),
        (reply(301, headers={"Location": "http://elsewhere/"}), InfraRequestRejectedError),
        (reply(200, b"not json"), InfraProtocolError),
        (reply(429, b"", headers={"Retry-After": "120"}), InfraRateLimitedError),
    ],
)
async def test_what_will_stay_wrong_is_asked_once(
    answer: Answer, error: type[RuntimeHostError]
) -> None:
    async with initialised([answer]) as (handler, server):
        with pytest.raises(error) as caught:
            await do(handler, "kv_get", key="a")

        assert len(server.requests) == 1
        assert handler.client.circuits["consul.default"].statistics().failures == 0
    assert type(caught.value) is error


async def test_a_write_to_a_path_that_is_not_there_is_refused() -> None:
    async with initialised([reply(404, b"no such path")]) as (handler, server):
        with pytest.raises(InfraRequestRejectedError):
            await do(handler, "kv_put", key="a", value="v")

        assert len(server.requests) == 1


def test_the_formula_says_how_long_all_pauses_take() -> None:
    config = ModelConsulRetryConfig(
        max_attempts=4, initial_delay_seconds=1.0, max_delay_seconds=3.0, exponential_base=2.0
    )

    assert config.longest == 1 + 2 + 3


async def test_one_caller_s_failures_are_not_another_s() -> None:
    def answer(seen: Seen) -> Answer:
        bad = "/bad" in seen.target
        first = sum(one.target == seen.target for one in servers[0].requests) == 1
        return RESET if bad and first else pair()

    servers: list[Any] = []
    async with initialised(answer) as (one, server):
        servers.append(server)
        async with anyio.create_task_group() as tasks:
            for number in range(20):
                kind = "bad" if number % 2 else "good"
                tasks.start_soon(ask, one, f"{kind}{number}")

        counts = [
            sum(f"{kind}{number}?" in f"{seen.target}?" for seen in server.requests)
            for number, kind in enumerate(["good", "bad"] * 10)
        ]
        assert counts == [1, 2] * 10


async def ask(handler: HandlerConsul, key: str) -> None:
    await do(handler, "kv_get", key=key)


async def test_time_outs_of_many_at_once_are_each_their_own() -> None:
    def answer(seen: Seen) -> Answer:
        return HANG if "/slow" in seen.target else pair()

    ended: dict[str, Any] = {}

    async def one(handler: HandlerConsul, key: str) -> None:
        try:
            ended[key] = (await do(handler, "kv_get", key=key)).found
        except InfraTimeoutError as error:
            ended[key] = error.correlation_id

    async with (
        initialised(answer, attempts=1, timeout_seconds=1.0) as (handler, _),
        anyio.create_task_group() as tasks,
    ):
        for number in range(5):
            tasks.start_soon(one, handler, f"slow{number}")
            tasks.start_soon(one, handler, f"quick{number}")

    assert [ended[f"quick{number}"] for number in range(5)] == [True] * 5
    assert len({ended[f"slow{number}"] for number in range(5)}) == 5


async def test_calls_that_timed_out_leave_their_places_to_others() -> None:
    config: dict[str, Any] = {"attempts": 1, "timeout_seconds": 1.0}
    async with initialised([HANG, HANG, TRUE], max_concurrent_operations=2, **config) as (
        handler,
        server,
    ):
        async with anyio.create_task_group() as tasks:
            for key in "ab":
                tasks.start_soon(late, handler, key)

        assert (await do(handler, "kv_put", key="c", value="v")).success is True
        assert len(server.requests) == 3


async def late(handler: HandlerConsul, key: str) -> None:
    with pytest.raises(InfraTimeoutError):
        await do(handler, "kv_put", key=key, value="v")


# -- the circuit -----------------------------------------------------------------------------------


async def test_the_circuit_opens_when_so_many_operations_have_failed() -> None:
    threshold = {"circuit_breaker_failure_threshold": 3}
    async with initialised([RESET], **threshold) as (handler, server):
        for _ in range(3):
            with pytest.raises(InfraConnectionError):
                await do(handler, "kv_get", key="a")
        assert len(server.requests) == 9

        with pytest.raises(InfraUnavailableError, match=r"is open - consul\.default") as caught:
            await do(handler, "kv_get", key="a")

        assert len(server.requests) == 9
    context = caught.value.model.context
    assert context["circuit_state"] == "open"
    assert 28 <= context["retry_after_seconds"] <= 30
    assert isinstance(context["retry_after_seconds"], int)


async def test_the_circuit_is_asked_again_before_each_attempt() -> None:
    async with initialised([RESET], circuit_breaker_failure_threshold=1) as (handler, server):
        envelope = {"operation": "consul.kv_get", "payload": {"key": "a"}}
        for _ in range(2):
            with pytest.raises(InfraConnectionError):
                await handler.execute(envelope, retry=False)

        # The first of its three attempts opens it.
        with pytest.raises(RuntimeHostError):
            await handler.execute(envelope)

        assert len(server.requests) == 3


async def test_below_the_threshold_it_stays_closed_and_a_success_forgets() -> None:
    script = [RESET] * 6 + [pair()] + [RESET]
    async with initialised(script, circuit_breaker_failure_threshold=3) as (handler, _):
        for _ in range(2):
            with pytest.raises(InfraConnectionError):
                await do(handler, "kv_get", key="a")
        circuit = handler.client.circuits["consul.default"]
        assert (circuit.state.value, circuit.statistics().failures) == ("closed", 6)
        await do(handler, "kv_get", key="a")
        assert circuit.statistics().failures == 0


async def test_six_callers_with_a_bad_token_lock_nobody_out() -> None:
    script = [reply(403, b"ACL not found")] * 6 + [pair()]
    async with initialised(script) as (handler, server):
        for _ in range(6):
            with pytest.raises(InfraAuthenticationError):
                await do(handler, "kv_get", key="a")

        assert (await do(handler, "kv_get", key="a")).found is True
        assert len(server.requests) == 7


async def test_a_half_open_circuit_lets_a_single_request_through() -> None:
    gate, body = anyio.Event(), pair().data.partition(b"\r\n\r\n")[2]
    healthy = False

    def answer(seen: Seen) -> Answer:
        return reply(body=body, hold=gate) if healthy else RESET

    refused: list[InfraUnavailableError] = []
    config: dict[str, Any] = {"circuit_breaker_failure_threshold": 1, "reset_after": 0.0}
    async with initialised(answer, attempts=1, **config) as (handler, server):
        with pytest.raises(InfraConnectionError):
            await do(handler, "kv_get", key="a")
        circuit = handler.client.circuits["consul.default"]
        healthy = True
        server.requests.clear()

        async def try_it() -> None:
            try:
                await do(handler, "kv_get", key="a")
            except InfraUnavailableError as error:
                refused.append(error)

        async with anyio.create_task_group() as tasks:
            for _ in range(30):
                tasks.start_soon(try_it)
            await server.wait_requests(1)
            await anyio.wait_all_tasks_blocked()
            assert (len(server.requests), len(refused)) == (1, 29)
            assert circuit.state.value == "half-open"
            gate.set()

        assert circuit.state.value == "closed"
        assert {one.model.context["circuit_state"] for one in refused} == {"half_open"}
        assert {one.model.context["retry_after_seconds"] for one in refused} == {1}
        await do(handler, "kv_get", key="a")


async def test_a_circuit_is_one_handler_s_and_one_datacenter_s() -> None:
    def script(seen: Seen) -> Answer:
        return reply(body=b'["dc1", "dc2"]') if "datacenters" in seen.target else RESET

    options: dict[str, Any] = {"attempts": 1, "circuit_breaker_failure_threshold": 1}
    async with (
        initialised(script, datacenter="dc2", **options) as (one, _),
        initialised([pair()], **options) as (other, _),
    ):
        with pytest.raises(InfraConnectionError):
            await do(one, "kv_get", key="a")
        with pytest.raises(InfraUnavailableError, match=r"consul\.dc2"):
            await do(one, "kv_get", key="a")

        await do(other, "kv_get", key="a")
        assert list(one.client.circuits) == ["consul.dc2"]
        assert list(other.client.circuits) == ["consul.default"]


async def test_without_a_circuit_every_call_is_sent() -> None:
    async with initialised([RESET], attempts=1, circuit_breaker_enabled=False) as (handler, server):
        for _ in range(8):
            with pytest.raises(InfraConnectionError):
                await do(handler, "kv_get", key="a")

        assert len(server.requests) == 8
        assert handler.client.circuits == {}


async def test_a_hundred_at_once_while_half_the_answers_are_lost() -> None:
    count = 0

    def answer(seen: Seen) -> Answer:
        nonlocal count
        count += 1
        return RESET if count % 4 == 0 else pair()

    done: list[Any] = []

    async def one(handler: HandlerConsul) -> None:
        try:
            done.append(await do(handler, "kv_get", key="a"))
        except RuntimeHostError as error:
            done.append(error)

    async with initialised(answer, max_queue_size_multiplier=10) as (handler, _):
        async with anyio.create_task_group() as tasks:
            for _ in range(100):
                tasks.start_soon(one, handler)
        assert handler.describe()["initialized"] is True

    assert len(done) == 100
    assert sum(not isinstance(outcome, RuntimeHostError) for outcome in done) > 70


async def test_it_does_not_wait_to_connect_longer_than_it_is_told() -> None:
    made: list[dict[str, Any]] = []

    def client(*args: Any, **options: Any) -> Any:
        made.append(options)
        raise AssertionError

    handler = HandlerConsul(client=client)
    with pytest.raises(AssertionError):
        await handler.initialize({"connect_timeout_seconds": 2.5, "timeout_seconds": 7})

    assert (made[0]["connect_timeout"], made[0]["attempt_timeout"]) == (2.5, 7.0)


# -- classification --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "category", "retried", "counted"),
    [
        (TimeoutError(), "timeout", True, True),
        (ConsulTimeoutError(), "timeout", True, True),
        (ConsulConnectionError(), "connection", True, True),
        (NoLeaderError(), "connection", True, True),
        (OutcomeUnknownError(), "connection", False, True),
        (PermissionDeniedError(), "authentication", False, False),
        (NotFoundError(), "not_found", False, False),
        (RateLimitedError(), "unknown", True, False),
        (AssertionError(), "unknown", False, False),
    ],
)
def test_what_an_error_means(
    error: BaseException, category: str, retried: bool, counted: bool
) -> None:
    said = classify(error)

    assert (said.category, said.should_retry, said.record_circuit_failure) == (
        category,
        retried,
        counted,
    )


def test_a_classification_needs_a_category() -> None:
    for wrong in ({"should_retry": True}, {"category": "timeout", "should_retry": True}, 5):
        with pytest.raises(ValidationError):
            ModelRetryErrorClassification.model_validate(wrong)


def test_a_classification_says_what_it_was_told() -> None:
    said = ModelRetryErrorClassification(
        category=EnumRetryErrorCategory.TIMEOUT,
        should_retry=True,
        record_circuit_failure=False,
        error_message="m",
    )

    assert (said.record_circuit_failure, said.error_message) == (False, "m")
    assert ModelRetryErrorClassification.model_validate(said) is said
