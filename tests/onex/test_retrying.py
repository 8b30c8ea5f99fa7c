"""Retrying for classes that inherit it, and the models of how far it has come."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any
from uuid import UUID

import anyio
import pytest
from pydantic import ValidationError

from consul_onex import ConsulConnectionError, PermissionDeniedError
from consul_onex.onex.enums import EnumInfraTransportType, EnumRetryErrorCategory
from consul_onex.onex.errors import (
    InfraAuthenticationError,
    InfraConnectionError,
    InfraTimeoutError,
    InfraUnavailableError,
    RuntimeHostError,
)
from consul_onex.onex.handlers.handler_consul import RetryContext
from consul_onex.onex.handlers.models import ModelOperationContext, ModelRetryState
from consul_onex.onex.handlers.models.consul import ModelConsulRetryConfig
from consul_onex.onex.mixins import (
    MixinAsyncCircuitBreaker,
    MixinEnvelopeExtraction,
    MixinRetryExecution,
    ModelRetryErrorClassification,
    ProtocolCircuitBreakerAware,
)
from tests.transport.support import Clock

ID = UUID("12345678-1234-4678-9234-567812345678")
CONFIG = ModelConsulRetryConfig(initial_delay_seconds=2.0, max_delay_seconds=3.0)


class Plain(MixinRetryExecution):
    """Somebody's class without a circuit, and what it met, call by call."""

    def __init__(self, *script: BaseException | str) -> None:
        self.clock = Clock()
        self.script = list(script)
        self.calls = 0

    async def ask(self) -> str:
        self.calls += 1
        answer = self.script.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        return answer

    async def go(self, timeout: float = 30.0, func: Any = None) -> str:
        return await self._execute_with_retry(
            "mine.read", func or self.ask, ID, CONFIG, timeout, sleep=self.clock.sleep
        )


class WithCircuit(MixinAsyncCircuitBreaker, Plain):
    """The same with a circuit, which two failed operations open."""

    def __init__(self, *script: BaseException | str) -> None:
        super().__init__(*script)
        self._init_circuit_breaker(2, 60.0, "backend", now=self.clock)

    @property
    def state(self) -> tuple[str, int]:
        known = self.get_circuit_breaker_state()
        return known["state"], known["failures"]


LOST = ConsulConnectionError("gone")
BOTH = pytest.mark.parametrize("kind", [Plain, WithCircuit])


@BOTH
async def test_what_fails_twice_is_tried_a_third_time(
    kind: Callable[..., Plain], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    mine = kind(LOST, TimeoutError(), "well")

    assert await mine.go() == "well"

    # The first pause is the first delay, and the second no longer than the longest.
    assert mine.clock.pauses == [2.0, 3.0]
    told = [vars(record) for record in caplog.records]
    assert [(one["attempt"], one["last_error"]) for one in told] == [
        (1, "connection error"),
        (2, "timeout error"),
    ]
    assert {one["correlation_id"] for one in told} == {str(ID)}


@BOTH
@pytest.mark.parametrize(
    ("error", "becomes", "calls"),
    [
        (LOST, InfraConnectionError, 3),
        (TimeoutError(), InfraTimeoutError, 3),
        (PermissionDeniedError(), InfraAuthenticationError, 1),
    ],
)
async def test_what_stays_wrong_is_the_platforms_error(
    kind: Callable[..., Plain],
    error: BaseException,
    becomes: type[RuntimeHostError],
    calls: int,
) -> None:
    mine = kind(*[error] * 3)

    with pytest.raises(becomes) as caught:
        await mine.go()

    assert mine.calls == calls
    assert caught.value.__cause__ is error
    assert caught.value.correlation_id == ID
    assert caught.value.model.context["operation"] == "mine.read"
    assert caught.value.model.context["target_name"] == "consul_handler"
    assert caught.value.model.context["transport_type"] is EnumInfraTransportType.CONSUL


@BOTH
async def test_a_mistake_of_a_program_is_raised_as_it_is(kind: Callable[..., Plain]) -> None:
    mine = kind(AssertionError("mine"))

    with pytest.raises(AssertionError, match="mine"):
        await mine.go()

    assert mine.calls == 1


async def test_an_attempt_that_takes_too_long_is_cancelled() -> None:
    mine = Plain()

    with pytest.raises(InfraTimeoutError, match=r"timed out after 0\.01s"):
        await mine.go(0.01, anyio.sleep_forever)


async def test_an_operation_that_failed_is_one_failure_of_the_circuit() -> None:
    mine = WithCircuit(*[LOST] * 6)
    with pytest.raises(InfraConnectionError):
        await mine.go()
    assert mine.state == ("closed", 1)
    with pytest.raises(InfraConnectionError):
        await mine.go()
    assert mine.state == ("open", 2)

    with pytest.raises(InfraUnavailableError):
        await mine.go()

    assert mine.calls == 6


async def test_a_refused_token_is_no_failure_of_the_circuit() -> None:
    mine = WithCircuit(*[PermissionDeniedError()] * 5)
    for _ in range(5):
        with pytest.raises(InfraAuthenticationError):
            await mine.go()

    assert mine.state == ("closed", 0)


async def test_the_circuit_is_asked_again_before_each_attempt() -> None:
    mine = WithCircuit(LOST, "never")

    async def meanwhile(seconds: float) -> None:
        for _ in range(2):
            await mine._record_circuit_failure("other")

    with pytest.raises(InfraUnavailableError):
        await mine._execute_with_retry("mine.read", mine.ask, ID, CONFIG, sleep=meanwhile)

    assert mine.calls == 1


async def test_a_cancelled_attempt_leaves_its_place_to_another() -> None:
    mine = WithCircuit("well")
    for _ in range(2):
        await mine._record_circuit_failure("other")
    mine.clock.advance(60)
    began = anyio.Event()

    async def hang() -> str:
        began.set()
        await anyio.sleep_forever()
        return "never"

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(mine.go, 30.0, hang)
        await began.wait()
        assert mine.state[0] == "half_open"
        tasks.cancel_scope.cancel()

    assert await mine.go() == "well"
    assert mine.state == ("closed", 0)


async def test_an_error_of_ones_own_can_be_classified() -> None:

    class Mine(Plain):
        def _classify_error(
            self, error: Exception, operation: str
        ) -> ModelRetryErrorClassification:
            assert operation == "mine.read"
            return ModelRetryErrorClassification(
                category=EnumRetryErrorCategory.CONNECTION,
                should_retry=False,
                error_message="it is closed on Sundays",
            )

        def _get_transport_type(self) -> EnumInfraTransportType:
            return EnumInfraTransportType.GRPC

        def _get_target_name(self) -> str:
            return "shop"

    with pytest.raises(InfraConnectionError, match="on Sundays") as caught:
        await Mine(KeyError()).go()

    assert caught.value.model.context["target_name"] == "shop"
    assert caught.value.error_code.name == "NETWORK_ERROR"


async def test_what_has_a_circuit_is_known_by_it() -> None:
    assert isinstance(WithCircuit(), ProtocolCircuitBreakerAware)
    assert not isinstance(Plain(), ProtocolCircuitBreakerAware)


@pytest.mark.parametrize("given", [ID, str(ID)], ids=["a UUID", "text"])
def test_the_ids_of_an_envelope_are_read(given: object) -> None:
    mixin = MixinEnvelopeExtraction()

    assert mixin._extract_correlation_id({"correlation_id": given}) == ID
    assert mixin._extract_envelope_id({"envelope_id": given}) == ID
    for wrong in ({}, {"correlation_id": 5}, {"correlation_id": "x"}):
        made = mixin._extract_correlation_id(wrong)
        assert isinstance(made, UUID)
        assert made.version == 4


# -- the models ------------------------------------------------------------------------------------


def test_a_state_counts_attempts_and_its_pauses_grow() -> None:
    state = ModelRetryState(delay_seconds=1.0, backoff_multiplier=3.0)
    assert (state.is_retriable(), state.is_final_attempt()) == (True, False)

    first = state.next_attempt("one", 5.0)
    second = first.next_attempt("two", max_delay_seconds=2.5)
    third = second.next_attempt()

    assert (first.attempt, first.delay_seconds, first.last_error) == (1, 1.0, "one")
    assert first.last_attempt_at == 5.0
    assert (second.delay_seconds, second.is_final_attempt()) == (2.5, True)
    assert (third.is_retriable(), third.last_error) == (False, None)
    assert third.last_attempt_at is not None
    assert third.last_attempt_at > 1e9
    assert first.with_initial_delay(0.5).delay_seconds == 0.5
    assert state.attempt == 0
    with pytest.raises(ValidationError):
        state.with_initial_delay(-1.0)


@pytest.mark.parametrize(
    "wrong",
    [{"attempt": -1}, {"max_attempts": 0}, {"max_attempts": 101}, {"backoff_multiplier": 0.5}],
)
def test_a_state_is_strict(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ModelRetryState(**wrong)


def test_a_context_says_how_long_something_takes() -> None:
    context = ModelOperationContext.create("mine.read", ID, 60.0)
    late = context.model_copy(update={"started_at": context.started_at - 100})

    assert (context.operation_name, context.correlation_id) == ("mine.read", ID)
    assert context.is_timed_out() is False
    assert 50 < context.remaining_seconds() <= 60
    assert late.is_timed_out() is True
    assert 100 <= late.elapsed_seconds() < 150
    assert late.remaining_seconds() < 0
    other = context.with_metadata("a", "b").with_operation_name("mine.write")
    assert (other.metadata, other.operation_name, other.started_at) == (
        {"a": "b"},
        "mine.write",
        context.started_at,
    )
    assert context.metadata == {}
    assert ModelOperationContext.create("o").correlation_id.version == 4
    assert RetryContext(ModelRetryState(), context).operation_context is context
