"""The models of the configuration and of the payloads."""

from __future__ import annotations

import os
import pickle
from types import SimpleNamespace
from typing import Any, get_args

import pytest
from pydantic import SecretStr, ValidationError

from consul_onex.onex.enums import EnumConsulOperationType, EnumRetryErrorCategory
from consul_onex.onex.errors import ProtocolConfigurationError
from consul_onex.onex.handlers.models.consul import (
    ConsulPayload,
    ModelConsulHandlerConfig,
    ModelConsulHandlerPayload,
    ModelConsulKVPutPayload,
    ModelConsulRegisterPayload,
    ModelConsulRetryConfig,
    ModelEventBusTopicEntry,
    ModelNodeEventBusConfig,
)
from tests.support.canary import CANARY, leaks

Config = ModelConsulHandlerConfig


def test_the_defaults_are_those_of_old() -> None:
    assert Config().model_dump() == {
        "host": "localhost",
        "port": 8500,
        "scheme": "http",
        "token": None,
        "timeout_seconds": 30.0,
        "connect_timeout_seconds": 10.0,
        "retry": {
            "max_attempts": 3,
            "initial_delay_seconds": 1.0,
            "max_delay_seconds": 30.0,
            "exponential_base": 2.0,
        },
        "health_check_interval_seconds": 30.0,
        "datacenter": None,
        "circuit_breaker_enabled": True,
        "circuit_breaker_failure_threshold": 5,
        "circuit_breaker_reset_timeout_seconds": 30.0,
        "max_concurrent_operations": 10,
        "max_queue_size_multiplier": 3,
    }


@pytest.mark.parametrize(
    ("model", "field", "least", "most"),
    [
        (Config, "port", 1, 65535),
        (Config, "timeout_seconds", 1.0, 300.0),
        (Config, "connect_timeout_seconds", 1.0, 60.0),
        (Config, "health_check_interval_seconds", 5.0, 300.0),
        (Config, "circuit_breaker_failure_threshold", 1, 20),
        (Config, "circuit_breaker_reset_timeout_seconds", 1.0, 300.0),
        (Config, "max_concurrent_operations", 1, 100),
        (Config, "max_queue_size_multiplier", 1, 10),
        (ModelConsulRetryConfig, "max_attempts", 1, 10),
        (ModelConsulRetryConfig, "initial_delay_seconds", 0.1, 60.0),
        (ModelConsulRetryConfig, "max_delay_seconds", 1.0, 300.0),
        (ModelConsulRetryConfig, "exponential_base", 1.5, 4.0),
    ],
)
def test_a_bound_is_within_and_the_next_number_is_not(
    model: Any, field: str, least: float, most: float
) -> None:
    step = 1 if isinstance(least, int) else 0.01
    for number in (least, most):
        assert getattr(model(**{field: number}), field) == number
    for wrong in (least - step, most + step, str(least)):
        with pytest.raises(ValidationError, match=field):
            model(**{field: wrong})


@pytest.mark.parametrize(
    "wrong", [{"host": ""}, {"scheme": "HTTP"}, {"scheme": "ftp"}, {"hosts": "a"}, {"retry": 3}]
)
def test_a_configuration_is_strict(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Config(**wrong)


def test_a_configuration_is_frozen_and_compared_by_value() -> None:
    one = Config(token=SecretStr("t"), retry=ModelConsulRetryConfig(max_attempts=2))
    same = Config.model_validate({"token": SecretStr("t"), "retry": {"max_attempts": 2}})
    other = one.model_copy(update={"host": "b"})

    assert one == same
    assert len({one, same, other}) == 2
    assert one.host == "localhost"
    assert hash(pickle.loads(pickle.dumps(one))) == hash(one)
    with pytest.raises(ValidationError):
        one.__setattr__("host", "a")


def test_a_configuration_is_read_from_attributes_and_from_json() -> None:
    assert Config.model_validate(SimpleNamespace(host="a", port=1)).port == 1
    one = Config(host="a", datacenter="")
    assert Config.model_validate_json(one.model_dump_json()) == one
    assert one.model_dump(include={"host"}) == {"host": "a"}


def test_a_token_is_hidden_and_none_is_none() -> None:
    one = Config(host="a", token=CANARY)

    assert "a" in repr(one)
    assert "8500" in str(one)
    assert not leaks(repr(one) + str(one) + one.model_dump_json())
    assert isinstance(Config.model_validate({"token": "t"}).token, SecretStr)
    # As `SecretStr(os.getenv("..."))` has it, where there is no such variable.
    assert Config(token=SecretStr(os.getenv("ONEX_NOT_THERE"))).token == SecretStr("")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("config", "url"),
    [
        (Config(), "http://localhost:8500"),
        (Config(scheme="https", host="a", port=1), "https://a:1"),
        (Config(host="::1"), "http://[::1]:8500"),
        (Config(host="[::1]"), "http://[::1]:8500"),
    ],
)
def test_the_url_is_made_of_its_parts(config: Config, url: str) -> None:
    assert config.base_url == url


# -- the environment -------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in list(os.environ):
        if variable.startswith(("CONSUL", "ONEX_CB")):
            monkeypatch.delenv(variable)


SAID: dict[str, tuple[str, str, Any]] = {
    "CONSUL_HOST": ("host", "a", "a"),
    "CONSUL_PORT": ("port", "1", 1),
    "CONSUL_SCHEME": ("scheme", "https", "https"),
    "CONSUL_TOKEN": ("token", "t", SecretStr("t")),
    "CONSUL_HTTP_TOKEN": ("token", "t", SecretStr("t")),
    "CONSUL_ACL_TOKEN": ("token", "t", SecretStr("t")),
    "CONSUL_TIMEOUT": ("timeout_seconds", "5.5", 5.5),
    "CONSUL_TIMEOUT_SECONDS": ("timeout_seconds", "5", 5.0),
    "CONSUL_CONNECT_TIMEOUT_SECONDS": ("connect_timeout_seconds", "5", 5.0),
    "CONSUL_HEALTH_CHECK_INTERVAL_SECONDS": ("health_check_interval_seconds", "5", 5.0),
    "CONSUL_DATACENTER": ("datacenter", "dc1", "dc1"),
    "CONSUL_CIRCUIT_BREAKER_THRESHOLD": ("circuit_breaker_failure_threshold", "2", 2),
    "CONSUL_CIRCUIT_BREAKER_RESET_TIMEOUT_SECONDS": (
        "circuit_breaker_reset_timeout_seconds",
        "9",
        9.0,
    ),
}


@pytest.mark.parametrize("variable", SAID)
def test_a_variable_says_its_field(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    field, text, value = SAID[variable]
    monkeypatch.setenv(variable, text)

    assert Config.from_env() == Config(**{field: value})


def test_an_argument_comes_first_then_the_platforms_variable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CONSUL_TOKEN", "platform")
    monkeypatch.setenv("CONSUL_HTTP_TOKEN", "consul")
    monkeypatch.setenv("CONSUL_HOST", "a")
    monkeypatch.setenv("CONSUL_HTTP_ADDR", "https://b:1")
    monkeypatch.setenv("CONSUL_PORT", "wrong")
    monkeypatch.setenv("CONSUL_TIMEOUT", "")

    config = Config.from_env(port=7)

    assert (config.token, config.host, config.port) == (SecretStr("platform"), "a", 7)
    assert config.timeout_seconds == 30.0


def test_consuls_own_address_counts_where_there_is_no_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CONSUL_HTTP_ADDR", "https://b:1")

    assert Config.from_env().base_url == "https://b:1"


@pytest.mark.parametrize(
    ("variable", "text", "field"),
    [
        ("CONSUL_PORT", "a lot", "port"),
        ("CONSUL_PORT", "70000", "port"),
        ("CONSUL_SCHEME", "ftp", "scheme"),
        ("CONSUL_TIMEOUT", "0.5", "timeout_seconds"),
        ("CONSUL_HTTP_ADDR", "http://a:b", "CONSUL_HTTP_ADDR"),
        ("CONSUL_HTTP_ADDR", "unix:///run/consul.sock", "CONSUL_HTTP_ADDR"),
        ("CONSUL_HTTP_ADDR", "http://a/consul", "CONSUL_HTTP_ADDR"),
    ],
)
def test_a_variable_that_cannot_be_used_is_told(
    variable: str, text: str, field: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, text)

    with pytest.raises(ProtocolConfigurationError, match=field) as caught:
        Config.from_env()

    assert text not in str(caught.value)


# -- payloads --------------------------------------------------------------------------------------


def test_the_payload_of_a_registration_is_a_request_and_an_answer() -> None:
    request = ModelConsulRegisterPayload.model_validate({"service_name": "web", "service_id": "w"})
    answer = ModelConsulRegisterPayload(
        registered=True, name="web", consul_service_id="w", topics_added=frozenset({"t"})
    )

    assert (request.name, request.consul_service_id, request.registered) == ("web", "w", False)
    assert answer.topics_added == {"t"}
    assert answer.topics_removed == frozenset()
    assert isinstance(answer.topics_removed, frozenset)


@pytest.mark.parametrize(
    "fields",
    [
        {"name": "a", "service_name": "b"},
        {"name": "a", "event_bus_config": {}},
        {"name": "a", "node_id": "../x", "event_bus_config": {}},
        {"name": "a", "node_id": "n\n", "event_bus_config": {}},
        5,
    ],
)
def test_a_registration_that_cannot_be_meant_is_refused(fields: Any) -> None:
    with pytest.raises(ValidationError):
        ModelConsulRegisterPayload.model_validate(fields)


def test_an_answer_is_told_by_its_kind() -> None:
    data = {"operation_type": "kv_put", "success": True, "key": "a"}

    payload = ModelConsulHandlerPayload.model_validate_json(
        '{"data": {"operation_type": "kv_put", "success": true, "key": "a"}}'
    )

    assert payload.data == ModelConsulKVPutPayload(success=True, key="a")
    assert payload.model_dump(mode="json") == {"data": data}


def test_each_kind_of_answer_is_of_one_class() -> None:
    union, _ = get_args(ConsulPayload)
    classes = get_args(union)

    kinds = [one.model_fields["operation_type"].default for one in classes]
    assert sorted(kinds) == sorted(EnumConsulOperationType)


@pytest.mark.parametrize("category", ["EVENT", "event", "Intent"])
def test_a_topic_is_stripped_and_its_category_is_any_case(category: str) -> None:
    entry = ModelEventBusTopicEntry.model_validate(
        {"topic": " a.b-c_1 ", "message_category": category}
    )

    assert entry.topic == "a.b-c_1"
    assert entry.message_category.value == category.upper()


@pytest.mark.parametrize(
    "entry",
    [
        {"topic": ""},
        {"topic": ".."},
        {"topic": "."},
        {"topic": "a/b"},
        {"topic": "a b"},
        {"topic": "a\nb"},
        {"topic": 5},
        {"topic": "a", "message_category": "LETTER"},
        {"topic": "a", "message_category": 5},
        {"topic": "a", "topics": "b"},
        "a",
    ],
)
def test_a_topic_that_cannot_be_meant_is_refused(entry: Any) -> None:
    with pytest.raises(ValidationError):
        ModelNodeEventBusConfig.model_validate({"subscribe_topics": [entry]})


def test_what_a_category_of_errors_means() -> None:
    retried = {one.value for one in EnumRetryErrorCategory if one.is_retry_eligible()}
    counted = {one.value for one in EnumRetryErrorCategory if one.records_circuit_failure()}

    assert retried == counted == {"timeout", "connection"}
