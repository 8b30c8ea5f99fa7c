"""The configuration of the handler, and what goes in and out of its operations."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, Self

from pydantic import (
    AliasChoices,
    BeforeValidator,
    Field,
    SecretStr,
    StringConstraints,
    ValidationError,
    model_validator,
)

from .... import ConfigurationError, ConsulSettings
from ..._models import Strict
from ..._translate import context_of
from ...enums import EnumConsulOperationType, EnumMessageCategory
from ...errors import ProtocolConfigurationError

__all__ = [
    "ConsulPayload",
    "Deregister",
    "EnumConsulOperationType",
    "KVGet",
    "KVPut",
    "ModelConsulDeregisterPayload",
    "ModelConsulHandlerConfig",
    "ModelConsulHandlerPayload",
    "ModelConsulKVGetFoundPayload",
    "ModelConsulKVGetNotFoundPayload",
    "ModelConsulKVGetRecursePayload",
    "ModelConsulKVItem",
    "ModelConsulKVPutPayload",
    "ModelConsulRegisterPayload",
    "ModelConsulRetryConfig",
    "ModelEventBusTopicEntry",
    "ModelNodeEventBusConfig",
]

Kind = EnumConsulOperationType


# -- configuration ---------------------------------------------------------------------------------


def _with_text(token: Any) -> Any:
    # SecretStr(os.getenv("...")) holds None when the variable is not set.
    return SecretStr("") if isinstance(token, SecretStr) and not token.get_secret_value() else token


# Of several variables for one field the first that is set counts; an empty one is not set.
_VARIABLES: Final = {
    "host": ("CONSUL_HOST",),
    "port": ("CONSUL_PORT",),
    "scheme": ("CONSUL_SCHEME",),
    "token": ("CONSUL_TOKEN", "CONSUL_HTTP_TOKEN", "CONSUL_ACL_TOKEN"),
    "timeout_seconds": ("CONSUL_TIMEOUT", "CONSUL_TIMEOUT_SECONDS"),
    "connect_timeout_seconds": ("CONSUL_CONNECT_TIMEOUT_SECONDS",),
    "health_check_interval_seconds": ("CONSUL_HEALTH_CHECK_INTERVAL_SECONDS",),
    "datacenter": ("CONSUL_DATACENTER",),
    "circuit_breaker_failure_threshold": ("CONSUL_CIRCUIT_BREAKER_THRESHOLD",),
    "circuit_breaker_reset_timeout_seconds": ("CONSUL_CIRCUIT_BREAKER_RESET_TIMEOUT_SECONDS",),
}


class ModelConsulRetryConfig(Strict, frozen=True):
    """
    How often an operation is tried (the first time included), and how long it pauses before that.

    The pause is at most `initial_delay_seconds * exponential_base ** attempt`, counted from 0, and
    at most `max_delay_seconds`; up to 15 per cent less by chance, so that clients which failed
    together do not come back together.
    """

    max_attempts: int = Field(default=3, ge=1, le=10)
    initial_delay_seconds: float = Field(default=1.0, ge=0.1, le=60.0)
    max_delay_seconds: float = Field(default=30.0, ge=1.0, le=300.0)
    exponential_base: float = Field(default=2.0, ge=1.5, le=4.0)

    @property
    def longest(self) -> float:
        """The seconds that all pauses of an operation take at most."""
        return sum(
            min(self.initial_delay_seconds * self.exponential_base**n, self.max_delay_seconds)
            for n in range(self.max_attempts - 1)
        )


class ModelConsulHandlerConfig(Strict, frozen=True):
    """
    Where Consul is, and how patiently a handler asks it. Times are seconds.

    `timeout_seconds` bounds each attempt of an operation, and connecting and verifying as a whole.
    `health_check_interval_seconds` is how often Consul looks at a service that was registered with
    a check but without an interval. The circuit opens when `circuit_breaker_failure_threshold`
    operations in a row have failed in all their attempts. `max_concurrent_operations` requests are
    on their way at once; so many times `max_queue_size_multiplier` more operations may wait.

    An empty token or datacenter is none.
    """

    host: str = Field(default="localhost", min_length=1)
    port: int = Field(default=8500, ge=1, le=65535)
    scheme: Literal["http", "https"] = "http"
    token: Annotated[SecretStr | None, BeforeValidator(_with_text)] = None
    timeout_seconds: float = Field(default=30.0, ge=1.0, le=300.0)
    connect_timeout_seconds: float = Field(default=10.0, ge=1.0, le=60.0)
    retry: ModelConsulRetryConfig = Field(default_factory=ModelConsulRetryConfig)
    health_check_interval_seconds: float = Field(default=30.0, ge=5.0, le=300.0)
    datacenter: str | None = None
    circuit_breaker_enabled: bool = True
    circuit_breaker_failure_threshold: int = Field(default=5, ge=1, le=20)
    circuit_breaker_reset_timeout_seconds: float = Field(default=30.0, ge=1.0, le=300.0)
    max_concurrent_operations: int = Field(default=10, ge=1, le=100)
    max_queue_size_multiplier: int = Field(default=3, ge=1, le=10)

    @property
    def base_url(self) -> str:
        """Where Consul is, as a URL."""
        host = self.host.strip("[]")
        return f"{self.scheme}://{f'[{host}]' if ':' in host else self.host}:{self.port}"

    @property
    def max_queue_size(self) -> int:
        """How many operations may wait while others are on their way."""
        return self.max_concurrent_operations * self.max_queue_size_multiplier

    @classmethod
    def read(cls, config: Mapping[str, Any] | Self) -> Self:
        """
        What a handler was given to initialise with, checked.

        ProtocolConfigurationError names the fields that are wrong, and no value.
        """
        if isinstance(config, cls):
            return config
        try:
            return cls.model_validate(dict(config))
        except ValidationError as error:
            problem = _problem(error)
        # Raised out here: pydantic's error holds the values, and one of them is a secret.
        raise problem

    @classmethod
    def from_env(cls, **overrides: Any) -> Self:
        """
        The configuration that the environment says; arguments come before it.

        The platform's own variables (`CONSUL_HOST`, `CONSUL_PORT`, `CONSUL_SCHEME`, `CONSUL_TOKEN`,
        `CONSUL_TIMEOUT`, `CONSUL_DATACENTER`) come before the others that say the same.
        `CONSUL_HTTP_ADDR` counts where none of the first three is set. ProtocolConfigurationError
        names the fields that cannot be used.
        """
        found = {
            field: value
            for field, names in _VARIABLES.items()
            if (value := next(filter(None, map(os.environ.get, names)), None)) is not None
        }
        try:
            if os.environ.get("CONSUL_HTTP_ADDR") and not found.keys() & {"host", "port", "scheme"}:
                where = ConsulSettings().where()
                if where.socket is not None or where.prefix:
                    raise ConfigurationError(setting="CONSUL_HTTP_ADDR")
                found |= {"host": where.host, "port": str(where.port), "scheme": where.scheme}
            # What is not overridden is read as text; the rest is as strict as ever.
            read = cls.model_validate_strings(
                {name: text for name, text in found.items() if name not in overrides}
            )
            given = {name: getattr(read, name) for name in read.model_fields_set}
            return cls(**given | overrides)
        except ValidationError as error:
            problem = _problem(error)
        except ConfigurationError as error:
            problem = _refusal([str(error.setting)])
        raise problem


def _problem(error: ValidationError) -> ProtocolConfigurationError:
    return _refusal([".".join(map(str, one["loc"])) for one in error.errors(include_input=False)])


def _refusal(fields: list[str]) -> ProtocolConfigurationError:
    return ProtocolConfigurationError(
        f"Invalid Consul configuration - validation failed for fields: {fields}",
        context=context_of("initialize", None),
    )


# -- what comes in ---------------------------------------------------------------------------------


def _category(value: Any) -> Any:
    upper = value.upper() if isinstance(value, str) else value
    return EnumMessageCategory(upper) if upper in list(EnumMessageCategory) else value


# One dot or two would leave the folder.
_SEGMENT: Final = r"^(\.{0,2}[a-zA-Z0-9_-]|\.{3})[a-zA-Z0-9._-]*$"

Segment = Annotated[str, StringConstraints(pattern=_SEGMENT)]
Topic = Annotated[str, StringConstraints(pattern=_SEGMENT, strip_whitespace=True)]
Name = Annotated[str, StringConstraints(pattern=r"\S")]

_ID: Final = AliasChoices("consul_service_id", "service_id")
_NAME: Final = AliasChoices("name", "service_name")


class KVGet(Strict, frozen=True):
    """Read a key, or with `recurse` all that begin with it."""

    key: str = Field(min_length=1)
    recurse: Annotated[
        bool, BeforeValidator(lambda it: {"true": True, "false": False}.get(str(it), it))
    ] = False


class KVPut(Strict, frozen=True):
    """Write a key, with `cas` only if its index still is that."""

    key: str = Field(min_length=1)
    value: SecretStr
    flags: int = Field(default=0, ge=0, lt=2**64)
    cas: int | None = Field(default=None, ge=0, lt=2**64)


class Deregister(Strict, frozen=True):
    """Deregister a service; `node_id` is whose topics to forget, where its meta does not say."""

    consul_service_id: Name = Field(validation_alias=_ID)
    node_id: Segment | None = None


class ModelEventBusTopicEntry(Strict, frozen=True):
    """A topic that a node subscribes or publishes to."""

    topic: Topic
    event_type: str | None = None
    message_category: Annotated[EnumMessageCategory, BeforeValidator(_category)] = (
        EnumMessageCategory.EVENT
    )
    description: str | None = None


class ModelNodeEventBusConfig(Strict, frozen=True):
    """The topics of a node."""

    subscribe_topics: list[ModelEventBusTopicEntry] = Field(default_factory=list)
    publish_topics: list[ModelEventBusTopicEntry] = Field(default_factory=list)


# -- what comes out --------------------------------------------------------------------------------


class ModelConsulKVItem(Strict, frozen=True):
    """
    One key. `value` is its text, None where it is no UTF-8; `raw` has its bytes in any case. An
    empty value is `""`.
    """

    key: str
    value: str | None = Field(default=None, repr=False)
    flags: int | None = None
    modify_index: int | None = None
    raw: bytes = Field(default=b"", repr=False)


class ModelConsulKVGetFoundPayload(ModelConsulKVItem, frozen=True):
    """A key that is there."""

    operation_type: Literal[Kind.KV_GET_FOUND] = Kind.KV_GET_FOUND
    found: Literal[True] = True
    index: int = 0


class ModelConsulKVGetNotFoundPayload(Strict, frozen=True):
    """No such key, or none that begins so."""

    operation_type: Literal[Kind.KV_GET_NOT_FOUND] = Kind.KV_GET_NOT_FOUND
    found: Literal[False] = False
    key: str
    value: None = None
    index: int = 0


class ModelConsulKVGetRecursePayload(Strict, frozen=True):
    """Every key that begins so."""

    operation_type: Literal[Kind.KV_GET_RECURSE] = Kind.KV_GET_RECURSE
    found: bool
    items: list[ModelConsulKVItem] = Field(default_factory=list)
    count: int
    index: int = 0


class ModelConsulKVPutPayload(Strict, frozen=True):
    """Whether a key was written: False where `cas` came too late."""

    operation_type: Literal[Kind.KV_PUT] = Kind.KV_PUT
    success: bool
    key: str


class ModelConsulRegisterPayload(Strict, frozen=True):
    """
    A service: to be registered, and as it was.

    `consul_service_id`, which may be called `service_id`, is the name where it is not given.
    `check` is in Consul's words (`{"HTTP": url, "Interval": "10s"}`) or in those of
    `consul_onex.Check`. With an `event_bus_config`, `node_id` says whose topics these are; the
    answer has which were added and removed.
    """

    operation_type: Literal[Kind.REGISTER] = Kind.REGISTER
    name: Name = Field(validation_alias=_NAME)
    consul_service_id: Name = Field(
        default_factory=lambda known: known["name"], validation_alias=_ID
    )
    address: str | None = None
    port: int | None = Field(default=None, ge=1, le=65535)
    tags: list[str] = Field(default_factory=list)
    meta: dict[str, str] = Field(default_factory=dict)
    check: dict[str, Any] | None = Field(default=None, repr=False)
    node_id: Segment | None = None
    event_bus_config: ModelNodeEventBusConfig | None = None
    registered: bool = False
    topics_added: frozenset[str] = frozenset()
    topics_removed: frozenset[str] = frozenset()

    @model_validator(mode="after")
    def _whose_topics(self) -> Self:
        if self.event_bus_config is not None and self.node_id is None:
            raise ValueError("event_bus_config needs a node_id")
        return self


class ModelConsulDeregisterPayload(Strict, frozen=True):
    """A service that is not registered any more, or never was."""

    operation_type: Literal[Kind.DEREGISTER] = Kind.DEREGISTER
    deregistered: bool
    consul_service_id: str


ConsulPayload = Annotated[
    ModelConsulKVGetFoundPayload
    | ModelConsulKVGetNotFoundPayload
    | ModelConsulKVGetRecursePayload
    | ModelConsulKVPutPayload
    | ModelConsulRegisterPayload
    | ModelConsulDeregisterPayload,
    Field(discriminator="operation_type"),
]
"""What an operation of the handler answers with."""


class ModelConsulHandlerPayload(Strict, frozen=True):
    """An operation's answer."""

    data: ConsulPayload
