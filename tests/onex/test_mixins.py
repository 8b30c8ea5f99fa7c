"""The circuit for classes that inherit one."""

from __future__ import annotations

import os
from typing import Any
from uuid import UUID, uuid4

import anyio
import pytest
from pydantic import ValidationError

from consul_onex.onex.enums import EnumInfraTransportType
from consul_onex.onex.errors import InfraUnavailableError, ProtocolConfigurationError
from consul_onex.onex.mixins import MixinAsyncCircuitBreaker, ModelCircuitBreakerConfig
from tests.transport.support import Clock


class Service(MixinAsyncCircuitBreaker):
    """Somebody's class."""

    def __init__(self, threshold: int = 3, reset_timeout: float = 60.0, **options: Any) -> None:
        self.clock = Clock()
        self._init_circuit_breaker(
            threshold,
            reset_timeout,
            "backend",
            EnumInfraTransportType.DATABASE,
            now=self.clock,
            **options,
        )

    async def check(self, correlation_id: UUID | None = None) -> None:
        async with self._circuit_breaker_lock:
            await self._check_circuit_breaker("work", correlation_id)

    async def fail(self, times: int = 1) -> None:
        for _ in range(times):
            await self._record_circuit_failure("work")

    async def succeed(self) -> None:
        await self._reset_circuit_breaker()

    async def cancelled(self) -> None:
        self._abandon_circuit_call()

    @property
    def state(self) -> str:
        return str(self.get_circuit_breaker_state()["state"])

    @property
    def failures(self) -> int:
        return int(self.get_circuit_breaker_state()["failures"])


@pytest.mark.parametrize("threshold", [1, 3])
async def test_it_starts_closed_and_opens_at_exactly_the_threshold(threshold: int) -> None:
    service = Service(threshold)
    assert (service.state, service.failures) == ("closed", 0)

    await service.fail(threshold - 1)
    assert (service.state, service.failures) == ("closed", threshold - 1)

    await service.fail()
    assert (service.state, service.failures) == ("open", threshold)


async def test_open_says_what_is_not_available_and_for_how_long() -> None:
    service, correlation_id = Service(1), uuid4()
    await service.fail()
    service.clock.advance(10.5)

    with pytest.raises(InfraUnavailableError, match="Circuit breaker is open - backend") as caught:
        await service.check(correlation_id)

    assert caught.value.model.context == {
        "transport_type": EnumInfraTransportType.DATABASE,
        "operation": "work",
        "target_name": "backend",
        "circuit_state": "open",
        "retry_after_seconds": 50,
    }
    assert caught.value.correlation_id == correlation_id
    with pytest.raises(InfraUnavailableError) as caught:
        await service.check()
    assert caught.value.correlation_id.version == 4


async def test_it_never_says_to_come_back_after_no_time() -> None:
    service = Service(1)
    await service.fail()
    service.clock.advance(59.9)

    with pytest.raises(InfraUnavailableError) as caught:
        await service.check()

    assert caught.value.model.context["retry_after_seconds"] == 1


async def test_by_hand_it_is_closed_at_any_time() -> None:
    service = Service()
    await service.fail(5)
    for _ in range(2):
        await service.succeed()
        assert (service.state, service.failures) == ("closed", 0)


async def test_a_success_forgets_the_failures_before_it() -> None:
    service = Service()
    for _ in range(5):
        await service.check()
        await service.fail()
        await service.fail()
        await service.check()
        await service.succeed()

    assert (service.state, service.failures) == ("closed", 0)


async def test_failures_while_it_is_open_do_not_keep_it_open_longer() -> None:
    service = Service(1)
    await service.fail()
    service.clock.advance(59.0)
    await service.fail(10)
    service.clock.advance(1.0)

    await service.check()

    assert service.state == "half_open"


@pytest.mark.parametrize("reset_timeout", [0.0, 60.0])
async def test_a_success_closes_it_and_a_failure_opens_it_for_as_long_again(
    reset_timeout: float,
) -> None:
    service = Service(1, reset_timeout)
    for _ in range(3):
        await service.fail()
        service.clock.advance(reset_timeout)
        await service.check()
        assert service.state == "half_open"
        await service.fail()
        service.clock.advance(reset_timeout)
        await service.check()
        await service.succeed()
        assert service.state == "closed"
        await service.check()


async def test_half_open_admits_one_of_many() -> None:
    service, admitted = Service(1), 0
    refused: list[Any] = []
    await service.fail()
    service.clock.advance(60)
    gate = anyio.Event()

    async def call() -> None:
        nonlocal admitted
        try:
            await service.check()
        except InfraUnavailableError as error:
            refused.append(error.model.context["circuit_state"])
            return
        admitted += 1
        await gate.wait()
        await service.succeed()

    async with anyio.create_task_group() as tasks:
        for _ in range(20):
            tasks.start_soon(call)
        await anyio.wait_all_tasks_blocked()
        assert (admitted, refused) == (1, ["half_open"] * 19)
        gate.set()

    assert service.state == "closed"


async def test_a_cancelled_call_gives_its_place_to_another() -> None:
    service = Service(1)
    await service.fail()
    service.clock.advance(60)
    await service.check()
    await service.cancelled()
    await service.cancelled()

    await service.check()
    await service.succeed()

    assert service.state == "closed"


async def test_a_late_success_of_an_older_call_closes_nothing() -> None:
    service, opened, over = Service(1), anyio.Event(), anyio.Event()

    async def late() -> None:
        await service.check()
        await opened.wait()
        await service.succeed()
        over.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(late)
        await anyio.wait_all_tasks_blocked()
        await service.fail()
        opened.set()
        await over.wait()

    assert service.state == "open"


async def test_a_hundred_failures_at_once_are_all_counted() -> None:
    service = Service(200)
    async with anyio.create_task_group() as tasks:
        for _ in range(100):
            tasks.start_soon(service.fail)

    assert service.failures == 100


async def test_its_state_tells_all() -> None:
    service = Service(2)
    known = {
        "initialized": True,
        "threshold": 2,
        "reset_timeout_seconds": 60.0,
        "active_recovery_enabled": True,
        "active_recovery_running": False,
    }
    assert service.get_circuit_breaker_state() == known | {"state": "closed", "failures": 0}

    await service.fail(2)
    service.clock.advance(20)
    assert service.get_circuit_breaker_state() == known | {
        "state": "open",
        "failures": 2,
        "seconds_until_half_open": 40.0,
    }

    service.clock.advance(40)
    assert service.get_circuit_breaker_state() == known | {
        "state": "half_open",
        "failures": 0,
    }
    await service.cancel_active_recovery()
    await service.cancel_active_recovery()


async def test_without_recovery_it_is_open_until_somebody_asks() -> None:
    service = Service(1, enable_active_recovery=False)
    await service.fail()
    service.clock.advance(61)

    state = service.get_circuit_breaker_state()

    assert (state["state"], state["seconds_until_half_open"]) == ("open", 0.0)
    await service.check()
    assert service.state == "half_open"


def test_before_it_is_initialised_its_state_says_so() -> None:
    assert MixinAsyncCircuitBreaker().get_circuit_breaker_state() == {"initialized": False}


@pytest.mark.parametrize("wrong", [{"threshold": 0}, {"reset_timeout": -1}])
def test_numbers_out_of_bounds_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ProtocolConfigurationError):
        Service(**wrong)


async def test_it_goes_by_the_clock_of_the_event_loop() -> None:
    service = MixinAsyncCircuitBreaker()
    service._init_circuit_breaker_from_config(ModelCircuitBreakerConfig(threshold=1))

    await service._record_circuit_failure("work")

    assert 59 < service.get_circuit_breaker_state()["seconds_until_half_open"] <= 60
    assert service.service_name == "unknown"


# -- its configuration -----------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in list(os.environ):
        if variable.startswith("ONEX_CB"):
            monkeypatch.delenv(variable)


def test_a_circuits_defaults() -> None:
    assert ModelCircuitBreakerConfig.from_env() == ModelCircuitBreakerConfig()
    assert ModelCircuitBreakerConfig().model_dump(mode="json") == {
        "threshold": 5,
        "reset_timeout_seconds": 60.0,
        "service_name": "unknown",
        "transport_type": "http",
        "enable_active_recovery": True,
    }
    with pytest.raises(ValidationError):
        ModelCircuitBreakerConfig(threshold=0)


@pytest.mark.parametrize("prefix", ["ONEX_CB", "ONEX_CB_MINE"])
def test_the_environment_says_its_numbers(prefix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"{prefix}_THRESHOLD", "7")
    monkeypatch.setenv(f"{prefix}_RESET_TIMEOUT", "1.5")

    config = ModelCircuitBreakerConfig.from_env("web", EnumInfraTransportType.CONSUL, prefix)

    assert (config.threshold, config.reset_timeout_seconds) == (7, 1.5)
    assert (config.service_name, config.transport_type.value) == ("web", "consul")


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        ("ONEX_CB_THRESHOLD", ""),
        ("ONEX_CB_THRESHOLD", " "),
        ("ONEX_CB_THRESHOLD", "1.5"),
        ("ONEX_CB_THRESHOLD", "0"),
        ("ONEX_CB_THRESHOLD", "1001"),
        ("ONEX_CB_RESET_TIMEOUT", "soon"),
        ("ONEX_CB_RESET_TIMEOUT", "nan"),
        ("ONEX_CB_RESET_TIMEOUT", "-1"),
        ("ONEX_CB_RESET_TIMEOUT", "3601"),
    ],
)
def test_a_variable_that_is_no_number_is_named_and_not_quoted(
    variable: str, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, text)

    with pytest.raises(ProtocolConfigurationError, match=variable) as caught:
        ModelCircuitBreakerConfig.from_env("web")

    assert caught.value.model.context == {
        "transport_type": EnumInfraTransportType.HTTP,
        "operation": "parse_env_config",
        "target_name": "web",
        "parameter": variable,
        "value": "[REDACTED]",
    }
    assert caught.value.__cause__ is caught.value.__context__ is None
