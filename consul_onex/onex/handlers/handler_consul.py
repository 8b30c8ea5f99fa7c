"""The handler: an envelope in, a response out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ValidationError

from .._retrying import RetryContext
from .._translate import context_of
from ..enums import EnumHandlerType, EnumHandlerTypeCategory
from ..errors import ModelInfraErrorContext, ProtocolConfigurationError, RuntimeHostError
from ..mixins import MixinEnvelopeExtraction
from .mixins import MixinConsulKV, MixinConsulService
from .models import ModelConsulHandlerResponse
from .models.consul import (
    Deregister,
    KVGet,
    KVPut,
    ModelConsulHandlerPayload,
    ModelConsulRegisterPayload,
)

__all__ = ["HANDLER_ID_CONSUL", "SUPPORTED_OPERATIONS", "HandlerConsul", "RetryContext"]

M = TypeVar("M", bound=BaseModel)

HANDLER_ID_CONSUL: Final = "consul-handler"

_PAYLOADS: Final[dict[str, type[KVGet | KVPut | ModelConsulRegisterPayload | Deregister]]] = {
    "consul.deregister": Deregister,
    "consul.kv_get": KVGet,
    "consul.kv_put": KVPut,
    "consul.register": ModelConsulRegisterPayload,
}
SUPPORTED_OPERATIONS: Final = frozenset(_PAYLOADS)


class HandlerConsul(MixinEnvelopeExtraction, MixinConsulKV, MixinConsulService):
    """
    Consul for an ONEX node.

        handler = HandlerConsul()
        await handler.initialize({"host": "consul.example.com", "scheme": "https"})
        response = await handler.execute(
            {"operation": "consul.kv_get", "payload": {"key": "config/web"}}
        )
        response.payload.data.value
        await handler.shutdown()
    """

    @property
    def handler_type(self) -> EnumHandlerType:
        """It is part of the infrastructure."""
        return EnumHandlerType.INFRA_HANDLER

    @property
    def handler_category(self) -> EnumHandlerTypeCategory:
        """It touches the world."""
        return EnumHandlerTypeCategory.EFFECT

    def describe(self) -> dict[str, Any]:
        """What kind of handler it is, and whether it is initialised; also before that."""
        running = self._running
        return {
            "handler_type": self.handler_type.value,
            "handler_category": self.handler_category.value,
            "supported_operations": sorted(SUPPORTED_OPERATIONS),
            "timeout_seconds": running.config.timeout_seconds if running is not None else 30.0,
            "initialized": running is not None,
            "version": "0.1.0-mvp",
        }

    async def execute(
        self, envelope: Mapping[str, Any], *, retry: bool = True
    ) -> ModelConsulHandlerResponse:
        """
        Carry out one operation: `consul.kv_get`, `kv_put`, `register` or `deregister`.

        The envelope has `operation` and `payload`, and may have `correlation_id` and `envelope_id`
        (UUIDs, or text that is one; anything else is replaced by a new one). A field that the
        payload should not have is a ProtocolConfigurationError, and nothing is sent. With
        `retry=False` nothing is sent twice, for an orchestrator that repeats the whole operation.
        """
        correlation_id = self._extract_correlation_id(envelope)
        running = self._started("execute", correlation_id)
        context = context_of("execute", correlation_id)
        operation, payload = envelope.get("operation"), envelope.get("payload")
        if not isinstance(operation, str) or not operation:
            raise RuntimeHostError("Missing or invalid 'operation' in envelope", context)
        if operation not in SUPPORTED_OPERATIONS:
            raise RuntimeHostError(
                f"Operation {operation[:80]!r} not supported in MVP. "
                f"Available: {', '.join(sorted(SUPPORTED_OPERATIONS))}",
                context,
            )
        if not isinstance(payload, (Mapping, ModelConsulRegisterPayload)):
            raise RuntimeHostError("Missing or invalid 'payload' in envelope", context)
        request = _read(_PAYLOADS[operation], payload, context_of(operation, correlation_id))
        with running.operation(operation, correlation_id, retry=retry) as client:
            match request:
                case KVGet():
                    data = await self._kv_get(client, request)
                case KVPut():
                    data = await self._kv_put(client, request)
                case ModelConsulRegisterPayload():
                    data = await self._register(client, running, request)
                case _:
                    data = await self._deregister(client, running, request)
        return ModelConsulHandlerResponse(
            payload=ModelConsulHandlerPayload(data=data),
            correlation_id=correlation_id,
            input_envelope_id=self._extract_envelope_id(envelope),
        )


def _read(model: type[M], payload: object, context: ModelInfraErrorContext) -> M:
    try:
        return model.model_validate(payload)
    except ValidationError as error:
        first = error.errors(include_input=False, include_context=False, include_url=False)[0]
    # Raised out here: pydantic's error holds the payload.
    field = "".join(f"[{one}]" if isinstance(one, int) else f".{one}" for one in first["loc"])[1:]
    if first["type"] == "extra_forbidden":
        said = f"Unknown field {field[:80]!r} in payload"
    elif field:
        said = f"Missing or invalid {field!r} in payload: {first['msg']}"
    else:
        said = f"Invalid payload: {first['msg']}"
    raise ProtocolConfigurationError(said, context, parameter=field or None)
