"""The handler: an envelope in, a response out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, suppress
from typing import Any, Final, TypeVar
from uuid import UUID, uuid4

import anyio
from pydantic import BaseModel, SecretStr, ValidationError

from ... import ConsulClient
from .._translate import context_of, timed_out, translated
from ..enums import EnumHandlerType, EnumHandlerTypeCategory
from ..errors import ModelInfraErrorContext, ProtocolConfigurationError, RuntimeHostError
from ._keys import get, put
from ._running import Running
from ._services import deregister, register
from ._topics import TopicIndex
from .models import ModelConsulHandlerResponse, ModelHealthCheckResult
from .models.consul import (
    Deregister,
    KVGet,
    KVPut,
    ModelConsulHandlerConfig,
    ModelConsulHandlerPayload,
    ModelConsulRegisterPayload,
)

__all__ = ["HANDLER_ID_CONSUL", "SUPPORTED_OPERATIONS", "HandlerConsul"]

M = TypeVar("M", bound=BaseModel)

HANDLER_ID_CONSUL: Final = "consul-handler"

_MANY: Final = 1000
"""Problems that pydantic is not asked to list, since it lists them all or none."""

_PAYLOADS: Final[dict[str, type[KVGet | KVPut | ModelConsulRegisterPayload | Deregister]]] = {
    "consul.deregister": Deregister,
    "consul.kv_get": KVGet,
    "consul.kv_put": KVPut,
    "consul.register": ModelConsulRegisterPayload,
}
SUPPORTED_OPERATIONS: Final = frozenset(_PAYLOADS)

_PLAIN: Final = ("host", "scheme", "datacenter")

_PATIENCE: Final = 5.0


class HandlerConsul:
    """
    Consul for an ONEX node.

        handler = HandlerConsul()
        await handler.initialize({"host": "consul.example.com", "scheme": "https"})
        response = await handler.execute(
            {"operation": "consul.kv_get", "payload": {"key": "config/web"}}
        )
        response.payload.data.value
        await handler.shutdown()

    `client` makes the client, with the arguments of `ConsulClient`:
    `functools.partial(ConsulClient, tls=TLS(...))` adds a certificate authority of one's own.
    """

    handler_type: Final = EnumHandlerType.INFRA_HANDLER
    handler_category: Final = EnumHandlerTypeCategory.EFFECT

    def __init__(self, *, client: Callable[..., ConsulClient] = ConsulClient) -> None:
        self._make = client
        self._running: Running | None = None

    async def initialize(self, config: Mapping[str, Any] | ModelConsulHandlerConfig) -> None:
        """
        Connect, and see that there is a leader and that datacenter and token are good.

        It takes `timeout_seconds` at most, and is tried once. ProtocolConfigurationError where the
        configuration cannot be used, InfraConnectionError, InfraTimeoutError or
        InfraAuthenticationError where Consul cannot be. A handler that is initialised already goes
        on with what it had where this fails, and otherwise lets what is under way finish.
        """
        if not isinstance(config, ModelConsulHandlerConfig):
            # What may be a token shows in no traceback, also under a name that is misspelt.
            config = {
                name: SecretStr(value) if isinstance(value, str) and name not in _PLAIN else value
                for name, value in config.items()
            }
        config = ModelConsulHandlerConfig.read(config)
        correlation_id, verified = uuid4(), False
        running = Running(config, self._make, correlation_id)
        running.log("Initializing HandlerConsul", correlation_id)
        try:
            with anyio.move_on_after(config.timeout_seconds):
                await running.verify(correlation_id)
                verified = True
        finally:
            if not verified:
                await running.drain(0)
        if not verified:
            raise timed_out("initialize", correlation_id, config.timeout_seconds)
        before, self._running = self._running, running
        running.log("HandlerConsul initialized successfully", correlation_id)
        if before is not None:
            await before.drain(config.timeout_seconds)

    async def shutdown(self, timeout_seconds: float = 30.0) -> None:
        """
        Take no more operations, wait so long at most for those under way, and hang up.

        What is not done then ends with InfraConnectionError. It may be called again, and the
        handler initialised again.
        """
        running, self._running = self._running, None
        if running is not None:
            await running.drain(timeout_seconds)
            running.log("HandlerConsul shutdown complete", uuid4())

    @property
    def config(self) -> ModelConsulHandlerConfig:
        """What it was initialised with. RuntimeHostError before."""
        return self._started("config").config

    @property
    def client(self) -> ConsulClient:
        """The client that it asks Consul with, for all the rest of Consul's API."""
        return self._started("client").client

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
        correlation_id = _as_uuid(envelope.get("correlation_id"))
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
                    data = await get(client, request)
                case KVPut():
                    data = await put(client, request)
                case ModelConsulRegisterPayload():
                    data = await register(client, running, request)
                case _:
                    data = await deregister(client, running, request)
        return ModelConsulHandlerResponse(
            payload=ModelConsulHandlerPayload(data=data),
            correlation_id=correlation_id,
            input_envelope_id=_as_uuid(envelope.get("envelope_id")),
        )

    def operation(
        self, name: str, correlation_id: UUID | None = None, *, retry: bool = True
    ) -> AbstractContextManager[ConsulClient]:
        """
        The client for an operation of one's own, which ends with the platform's errors.

            with handler.operation("node.forget") as c:
                await c.kv.delete_tree("config/old/")
        """
        correlation_id = correlation_id or uuid4()
        return self._started(name, correlation_id).operation(name, correlation_id, retry=retry)

    async def get_subscribers_for_topic(
        self, topic: str, correlation_id: UUID | None = None
    ) -> list[str]:
        """The ids of the nodes that subscribe to a topic, sorted."""
        running = self._started("consul.kv_get", correlation_id)
        with self.operation("consul.kv_get", correlation_id) as client:
            return await TopicIndex(client, running.topics).subscribers(topic)

    async def health_check(self, correlation_id: UUID | None = None) -> ModelHealthCheckResult:
        """How Consul is, within 5 seconds. It raises nothing."""
        began, correlation_id = anyio.current_time(), correlation_id or uuid4()
        leader, reason, error_type = "", "no leader was told in time", None
        try:
            running = self._started("health_check", correlation_id)
            with (
                anyio.move_on_after(_PATIENCE),
                translated("health_check", correlation_id, running.config.timeout_seconds),
            ):
                leader = await running.leader()
        except RuntimeHostError as error:
            reason, error_type = error.message, type(error).__name__
        return ModelHealthCheckResult(
            healthy=bool(leader),
            latency_ms=(anyio.current_time() - began) * 1000,
            reason="ok" if leader else reason,
            error_type=error_type,
            details={"leader": leader} if leader else {},
        )

    def _started(self, operation: str, correlation_id: UUID | None = None) -> Running:
        if self._running is None:
            raise RuntimeHostError(
                f"Consul client not initialized for operation {operation!r}. "
                "Call initialize() first.",
                context=context_of(operation, correlation_id),
            )
        return self._running


def _as_uuid(value: object) -> UUID:
    if isinstance(value, UUID):
        return value
    with suppress(ValueError):
        return UUID(value) if isinstance(value, str) else uuid4()
    return uuid4()


def _read(model: type[M], payload: object, context: ModelInfraErrorContext) -> M:
    first = None
    try:
        return model.model_validate(payload)
    except ValidationError as error:
        places = error.error_count()
        if places <= _MANY:
            first = error.errors(include_input=False, include_context=False, include_url=False)[0]
    # Raised out here: pydantic's error holds the payload.
    if first is None:
        raise ProtocolConfigurationError(f"Invalid payload: wrong in {places} places", context)
    field = "".join(f"[{one}]" if isinstance(one, int) else f".{one}" for one in first["loc"])[1:]
    if first["type"] == "extra_forbidden":
        said = f"Unknown field {field[:80]!r} in payload"
    elif field:
        said = f"Missing or invalid {field!r} in payload: {first['msg']}"
    else:
        said = f"Invalid payload: {first['msg']}"
    raise ProtocolConfigurationError(said, context, parameter=field or None)
