"""The platform's errors, and what becomes of the client's."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
from pydantic import ValidationError

import consul_onex
from consul_onex import ConsulError
from consul_onex.onex._translate import translated
from consul_onex.onex.enums import EnumCoreErrorCode, EnumInfraTransportType
from consul_onex.onex.errors import (
    InfraAuthenticationError,
    InfraConnectionError,
    InfraConsulError,
    InfraProtocolError,
    InfraRateLimitedError,
    InfraRequestRejectedError,
    InfraTimeoutError,
    InfraUnavailableError,
    ModelInfraErrorContext,
    ModelTimeoutErrorContext,
    ProtocolConfigurationError,
    RuntimeHostError,
)

CONSUL = EnumInfraTransportType.CONSUL
ID = uuid4()
CONTEXT = ModelInfraErrorContext(
    transport_type=CONSUL, operation="consul.kv_get", target_name="t", correlation_id=ID
)
TIMED = ModelTimeoutErrorContext(transport_type=CONSUL, operation="o", timeout_seconds=5)

MADE: list[tuple[Callable[[], RuntimeHostError], str]] = [
    (lambda: RuntimeHostError("m"), "ONEX_CORE_081_OPERATION_FAILED"),
    (lambda: ProtocolConfigurationError("m"), "ONEX_CORE_041_INVALID_CONFIGURATION"),
    (lambda: InfraConnectionError("m"), "ONEX_CORE_205_SERVICE_UNAVAILABLE"),
    (lambda: InfraConnectionError("m", context=CONTEXT), "ONEX_CORE_205_SERVICE_UNAVAILABLE"),
    (lambda: InfraConsulError("m", context=CONTEXT), "ONEX_CORE_205_SERVICE_UNAVAILABLE"),
    (lambda: InfraTimeoutError("m", context=TIMED), "ONEX_CORE_092_TIMEOUT_ERROR"),
    (lambda: InfraAuthenticationError("m"), "ONEX_CORE_163_AUTHENTICATION_ERROR"),
    (lambda: InfraUnavailableError("m"), "ONEX_CORE_205_SERVICE_UNAVAILABLE"),
    (lambda: InfraRateLimitedError("m"), "ONEX_CORE_162_RATE_LIMIT_ERROR"),
    (lambda: InfraRequestRejectedError("m"), "ONEX_CORE_007_INVALID_INPUT"),
    (lambda: InfraProtocolError("m"), "ONEX_CORE_081_OPERATION_FAILED"),
]


@pytest.mark.parametrize(("make", "code"), MADE)
def test_an_error_begins_with_its_code(make: Callable[[], RuntimeHostError], code: str) -> None:
    error = make()

    assert isinstance(error, RuntimeHostError)
    assert (str(error), error.message, error.error_code) == (f"[{code}] m", "m", code)
    assert error.model.error_code == code


def test_an_error_carries_its_context() -> None:
    error = InfraUnavailableError("m", context=CONTEXT, circuit_state="open", nothing=None)

    assert error.model.context == {
        "transport_type": CONSUL,
        "operation": "consul.kv_get",
        "target_name": "t",
        "circuit_state": "open",
    }
    assert error.correlation_id == error.model.correlation_id == ID
    assert abs((datetime.now(UTC) - error.timestamp).total_seconds()) < 5
    assert json.loads(error.to_json())["context"]["circuit_state"] == "open"


def test_an_error_without_an_id_has_a_new_one() -> None:
    one, two = RuntimeHostError("m"), RuntimeHostError("m")

    assert isinstance(one.correlation_id, UUID)
    assert (one.correlation_id.version, one.correlation_id == two.correlation_id) == (4, False)


@pytest.mark.parametrize("transport", EnumInfraTransportType)
def test_the_code_of_a_broken_connection_says_what_to(transport: EnumInfraTransportType) -> None:
    error = InfraConnectionError("m", context=ModelInfraErrorContext(transport_type=transport))

    codes = EnumCoreErrorCode
    assert error.error_code is {
        "db": codes.DATABASE_CONNECTION_ERROR,
        "http": codes.NETWORK_ERROR,
        "grpc": codes.NETWORK_ERROR,
        "runtime": codes.OPERATION_FAILED,
        "inmemory": codes.OPERATION_FAILED,
    }.get(transport.value, codes.SERVICE_UNAVAILABLE)
    assert len(EnumInfraTransportType) == 15


def test_an_error_about_a_key_tells_its_beginning_only() -> None:
    error = InfraConsulError(
        "m", context=CONTEXT, consul_key="config/db/password", service_name="web", host="a"
    )

    assert isinstance(error, InfraConnectionError)
    assert error.model.context["consul_key"] == "config/***/***"
    assert (error.model.context["service_name"], error.model.context["host"]) == ("web", "a")
    assert "password" not in error.to_json()


def test_of_a_refused_body_only_what_may_be_told_is_kept() -> None:
    told = InfraRequestRejectedError("m", CONTEXT, status_code=400, response_body="no such thing")
    secret = InfraProtocolError("m", CONTEXT, response_body="the password is x")

    assert told.model.context["response_body"] == "no such thing"
    assert "password" not in secret.to_json()


def test_a_rate_limit_says_when_to_come_back() -> None:
    error = InfraRateLimitedError("m", retry_after_seconds=5.0, context=CONTEXT)

    assert error.retry_after_seconds == error.model.context["retry_after_seconds"] == 5.0


def test_the_contexts_are_strict() -> None:
    with pytest.raises(ValidationError):
        ModelInfraErrorContext(token="t")  # type: ignore[call-arg]
    with pytest.raises(ValidationError):
        CONTEXT.__setattr__("operation", "o")
    with pytest.raises(TypeError):
        InfraTimeoutError("m")  # type: ignore[call-arg]
    for wrong in ({}, {"transport_type": CONSUL, "operation": ""}, {"timeout_seconds": -1}):
        with pytest.raises(ValidationError):
            ModelTimeoutErrorContext.model_validate(wrong)
    assert ModelInfraErrorContext.with_correlation(operation="o").correlation_id is not None
    assert ModelInfraErrorContext.with_correlation(ID).correlation_id == ID
    assert ModelInfraErrorContext.model_validate_json(CONTEXT.model_dump_json()) == CONTEXT
    assert TIMED.correlation_id is not None


def test_no_context_has_room_for_a_secret() -> None:
    fields = {*ModelInfraErrorContext.model_fields, *ModelTimeoutErrorContext.model_fields}

    assert not any(word in field for field in fields for word in ("token", "secret", "password"))


def test_the_whole_chain_of_causes_is_kept() -> None:
    first, correlation_id = OSError("gone"), uuid4()
    between = consul_onex.ConsulConnectionError("no answer")
    between.__cause__ = first

    with pytest.raises(InfraConnectionError) as caught, translated("o", correlation_id, 5.0):
        raise between

    cause = caught.value.__cause__
    assert isinstance(cause, consul_onex.ConsulConnectionError)
    assert cause.__cause__ is first
    assert caught.value.correlation_id == correlation_id


TRANSLATED: dict[str, type[RuntimeHostError]] = {
    "BadRequestError": InfraRequestRejectedError,
    "CircuitOpenError": InfraUnavailableError,
    "ClientClosedError": InfraConnectionError,
    "ConfigurationError": ProtocolConfigurationError,
    "ConsulConnectionError": InfraConnectionError,
    "ConsulError": InfraConnectionError,
    "ConsulStatusError": InfraRequestRejectedError,
    "ConsulTimeoutError": InfraTimeoutError,
    "DecodeError": InfraProtocolError,
    "InvalidKeyError": ProtocolConfigurationError,
    "InvalidRequestError": ProtocolConfigurationError,
    "InvalidSessionError": InfraRequestRejectedError,
    "NoLeaderError": InfraConnectionError,
    "NotFoundError": InfraRequestRejectedError,
    "OutcomeUnknownError": InfraConnectionError,
    "OverloadedError": InfraUnavailableError,
    "PayloadTooLargeError": InfraRequestRejectedError,
    "PermissionDeniedError": InfraAuthenticationError,
    "RateLimitedError": InfraRateLimitedError,
    "ServerError": InfraConnectionError,
    "TransactionError": InfraRequestRejectedError,
    "UnknownCheckError": InfraRequestRejectedError,
    "UnknownDatacenterError": InfraConnectionError,
    "UnsupportedEndpointError": InfraRequestRejectedError,
}


@pytest.mark.parametrize("name", TRANSLATED)
def test_each_error_of_the_client_becomes_one_of_the_platform(name: str) -> None:
    error = getattr(consul_onex, name)("secret words of Consul")

    with pytest.raises(RuntimeHostError) as caught, translated("consul.kv_get", ID, 5.0):
        raise error

    assert type(caught.value) is TRANSLATED[name]
    assert caught.value.__cause__ is error
    assert caught.value.correlation_id == ID
    assert caught.value.model.context["operation"] == "consul.kv_get"
    assert caught.value.model.context["target_name"] == "consul_handler"
    assert "secret words" not in caught.value.to_json()


def test_a_transaction_that_may_not_write_is_about_the_token() -> None:
    refused = consul_onex.TransactionError("m", status=409, detail="operation 0: Permission denied")

    with pytest.raises(InfraAuthenticationError), translated("o", ID, 5.0):
        raise refused


# The handler holds no locks, and writes one key at a time.
OF_OTHERS = {
    "FencedError",
    "LockConflictError",
    "LockLostError",
    "LockTimeoutError",
    "PartlyWrittenError",
    "SessionLostError",
}


def test_no_error_of_the_client_is_forgotten_here() -> None:
    ours: list[Any] = [getattr(consul_onex, name) for name in consul_onex.__all__]
    known = {one.__name__ for one in ours if isinstance(one, type) and issubclass(one, ConsulError)}

    assert known - OF_OTHERS == set(TRANSLATED)


def test_a_mistake_in_a_program_stays_what_it_is() -> None:
    with pytest.raises(AssertionError), translated("o", ID, 5.0):
        raise AssertionError
