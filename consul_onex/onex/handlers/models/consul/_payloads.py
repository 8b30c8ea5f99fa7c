"""What goes into each operation, and what comes out."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    model_validator,
)

from ....enums import EnumConsulOperationType, EnumMessageCategory

__all__ = [
    "ConsulPayload",
    "Deregister",
    "KVGet",
    "KVPut",
    "ModelConsulDeregisterPayload",
    "ModelConsulHandlerPayload",
    "ModelConsulKVGetFoundPayload",
    "ModelConsulKVGetNotFoundPayload",
    "ModelConsulKVGetRecursePayload",
    "ModelConsulKVItem",
    "ModelConsulKVPutPayload",
    "ModelConsulRegisterPayload",
    "ModelEventBusTopicEntry",
    "ModelNodeEventBusConfig",
]

Kind = EnumConsulOperationType

_STRICT: Final = ConfigDict(
    strict=True, frozen=True, extra="forbid", from_attributes=True, hide_input_in_errors=True,
    ser_json_bytes="base64", val_json_bytes="base64",
)  # fmt: skip


class _Strict(BaseModel):
    model_config = _STRICT


def _segment(text: str) -> str:
    # The whole of it: `$` would let a line end pass. And a dot or two would leave the folder.
    if not re.fullmatch(r"[a-zA-Z0-9._-]+", text) or text in (".", ".."):
        raise ValueError("letters, digits, '.', '_' and '-' only")
    return text


Segment = Annotated[str, AfterValidator(_segment)]
Name = Annotated[str, Field(pattern=r"\S")]


def _category(value: Any) -> Any:
    try:
        return EnumMessageCategory(value.upper()) if isinstance(value, str) else value
    except ValueError:
        return value


# -- what comes in ---------------------------------------------------------------------------------


def _one_name(data: Any) -> Any:
    """Take `service_id` and `service_name` for what answers call them; both must agree."""
    if not isinstance(data, dict):
        return data
    data = dict(data)
    for name, other in (("consul_service_id", "service_id"), ("name", "service_name")):
        if other in data and data.get(name, data[other]) == data[other]:
            data[name] = data.pop(other)
    return data


class KVGet(_Strict):
    """Read a key, or with `recurse` all that begin with it."""

    key: str = Field(min_length=1)
    recurse: Annotated[
        bool, BeforeValidator(lambda it: {"true": True, "false": False}.get(str(it), it))
    ] = False


class KVPut(_Strict):
    """Write a key, with `cas` only if its index still is that."""

    key: str = Field(min_length=1)
    value: SecretStr
    flags: int = Field(default=0, ge=0, lt=2**64)
    cas: int | None = Field(default=None, ge=0, lt=2**64)


class Deregister(_Strict):
    """Deregister a service; `node_id` is whose topics to forget, where its meta does not say."""

    consul_service_id: Name
    node_id: Segment | None = None

    _one_name = model_validator(mode="before")(_one_name)


class ModelEventBusTopicEntry(_Strict):
    """A topic that a node subscribes or publishes to."""

    topic: Annotated[Segment, BeforeValidator(lambda it: it.strip() if isinstance(it, str) else it)]
    event_type: str | None = None
    message_category: Annotated[EnumMessageCategory, BeforeValidator(_category)] = (
        EnumMessageCategory.EVENT
    )
    description: str | None = None


class ModelNodeEventBusConfig(_Strict):
    """The topics of a node."""

    subscribe_topics: list[ModelEventBusTopicEntry] = Field(default_factory=list)
    publish_topics: list[ModelEventBusTopicEntry] = Field(default_factory=list)

    @property
    def subscribe_topic_strings(self) -> list[str]:
        """The names of the topics it subscribes to."""
        return [entry.topic for entry in self.subscribe_topics]

    @property
    def publish_topic_strings(self) -> list[str]:
        """The names of the topics it publishes to."""
        return [entry.topic for entry in self.publish_topics]


# -- what comes out --------------------------------------------------------------------------------


class ModelConsulKVItem(_Strict):
    """One key. `value` is its text, None where it is no UTF-8; `raw` has its bytes in any case."""

    key: str
    value: str | None = Field(default=None, repr=False)
    flags: int | None = None
    modify_index: int | None = None
    raw: bytes = Field(default=b"", repr=False)


class ModelConsulKVGetFoundPayload(_Strict):
    """A key that is there; `value` and `raw` as for an item of many. An empty value is `""`."""

    operation_type: Literal[Kind.KV_GET_FOUND] = Kind.KV_GET_FOUND
    found: Literal[True] = True
    key: str
    value: str | None = Field(default=None, repr=False)
    flags: int | None = None
    modify_index: int | None = None
    raw: bytes = Field(default=b"", repr=False)
    index: int = 0


class ModelConsulKVGetNotFoundPayload(_Strict):
    """No such key, or none that begins so."""

    operation_type: Literal[Kind.KV_GET_NOT_FOUND] = Kind.KV_GET_NOT_FOUND
    found: Literal[False] = False
    key: str
    value: None = None
    index: int = 0


class ModelConsulKVGetRecursePayload(_Strict):
    """Every key that begins so."""

    operation_type: Literal[Kind.KV_GET_RECURSE] = Kind.KV_GET_RECURSE
    found: bool
    items: list[ModelConsulKVItem] = Field(default_factory=list)
    count: int
    index: int = 0


class ModelConsulKVPutPayload(_Strict):
    """Whether a key was written: False where `cas` came too late."""

    operation_type: Literal[Kind.KV_PUT] = Kind.KV_PUT
    success: bool
    key: str


class ModelConsulRegisterPayload(_Strict):
    """
    A service: to be registered, and as it was.

    `consul_service_id`, which may be called `service_id`, is the name where it is not given.
    `check` is in Consul's words (`{"HTTP": url, "Interval": "10s"}`) or in those of
    `consul_onex.Check`. With an `event_bus_config`, `node_id` says whose topics these are; the
    answer has which were added and removed.
    """

    operation_type: Literal[Kind.REGISTER] = Kind.REGISTER
    name: Name
    consul_service_id: Name = ""
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

    @model_validator(mode="before")
    @classmethod
    def _named(cls, data: Any) -> Any:
        data = _one_name(data)
        if isinstance(data, dict) and data.get("consul_service_id") is None and "name" in data:
            data["consul_service_id"] = data["name"]
        return data

    @model_validator(mode="after")
    def _whose_topics(self) -> Self:
        if self.event_bus_config is not None and self.node_id is None:
            raise ValueError("event_bus_config needs a node_id")
        return self

    @property
    def service_id(self) -> str:
        """The id by its other name."""
        return self.consul_service_id


class ModelConsulDeregisterPayload(_Strict):
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
"""What an operation answers with."""


class ModelConsulHandlerPayload(_Strict):
    """An operation's answer."""

    data: ConsulPayload
