"""The configuration of the handler, and what goes in and out of its operations."""

from __future__ import annotations

from ....enums import EnumConsulOperationType
from ._config import ModelConsulHandlerConfig, ModelConsulRetryConfig
from ._payloads import (
    ConsulPayload,
    ModelConsulDeregisterPayload,
    ModelConsulHandlerPayload,
    ModelConsulKVGetFoundPayload,
    ModelConsulKVGetNotFoundPayload,
    ModelConsulKVGetRecursePayload,
    ModelConsulKVItem,
    ModelConsulKVPutPayload,
    ModelConsulRegisterPayload,
    ModelEventBusTopicEntry,
    ModelNodeEventBusConfig,
)

__all__ = [
    "ConsulPayload",
    "EnumConsulOperationType",
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
