"""The handler: an envelope in, a response out, and a life between `initialize` and `shutdown`."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractContextManager, suppress
from functools import partial
from typing import Any, Final, TypeVar
from uuid import UUID, uuid4

import anyio
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from ... import (
    ConsulClient,
    ConsulError,
    Cursor,
    DecodeError,
    KVPair,
    OutcomeUnknownError,
    ServiceRegistration,
)
from .._translate import context_of, timed_out
from ..enums import EnumHandlerType, EnumHandlerTypeCategory
from ..errors import ModelInfraErrorContext, ProtocolConfigurationError, RuntimeHostError
from ._checks import check_of
from ._running import MakeClient, Running
from ._topics import NOTHING, entries_of
from .models import ModelConsulHandlerResponse
from .models.consul import (
    ConsulPayload,
    ModelConsulDeregisterPayload,
    ModelConsulHandlerConfig,
    ModelConsulHandlerPayload,
    ModelConsulKVGetFoundPayload,
    ModelConsulKVGetNotFoundPayload,
    ModelConsulKVGetRecursePayload,
    ModelConsulKVItem,
    ModelConsulKVPutPayload,
    ModelConsulRegisterPayload,
)
from .models.consul._payloads import Deregister, KVGet, KVPut

__all__ = [
    "HANDLER_ID_CONSUL",
    "SUPPORTED_OPERATIONS",
    "HandlerConsul",
    "ModelHealthCheckResult",
    "as_uuid",
]

M = TypeVar("M", bound=BaseModel)

HANDLER_ID_CONSUL: Final = "consul-handler"
SUPPORTED_OPERATIONS: Final = frozenset(
    {"consul.deregister", "consul.kv_get", "consul.kv_put", "consul.register"}
)

_NODE: Final = "onex-node-id"
"""In the meta of a service whose node has topics, so that both are forgotten together."""

_PATIENCE: Final = 5.0


class ModelHealthCheckResult(BaseModel):
    """How Consul is; true where it is well. `latency_ms` is how long it took to say so."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    healthy: bool
    latency_ms: float
    reason: str
    error_type: str | None = None
    details: dict[str, str] = Field(default_factory=dict)

    def __bool__(self) -> bool:
        return self.healthy


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

    `container` is taken for the sake of code that gives one, and not used. `client` makes the
    client, with the arguments of `ConsulClient`: `functools.partial(ConsulClient, tls=TLS(...))`
    adds a certificate authority of one's own.
    """

    def __init__(self, container: object = None, *, client: MakeClient | None = None) -> None:
        self._make = client or ConsulClient
        self._running: Running | None = None

    # -- from the beginning to the end -------------------------------------------------------------

    async def initialize(self, config: Mapping[str, Any] | ModelConsulHandlerConfig) -> None:
        """
        Connect, and see that there is a leader and that datacenter and token are good.

        It takes `timeout_seconds` at most, and is tried once. ProtocolConfigurationError where the
        configuration cannot be used, InfraConnectionError, InfraTimeoutError or
        InfraAuthenticationError where Consul cannot be. A handler that is initialised already goes
        on with what it had where this fails, and otherwise lets what is under way finish.
        """
        config = _veiled(config)
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

    @property
    def handler_type(self) -> EnumHandlerType:
        """It is part of the infrastructure."""
        return EnumHandlerType.INFRA_HANDLER

    @property
    def handler_category(self) -> EnumHandlerTypeCategory:
        """It touches the world."""
        return EnumHandlerTypeCategory.EFFECT

    @property
    def config(self) -> ModelConsulHandlerConfig:
        """What it was initialised with. RuntimeHostError before."""
        return self._started("config", uuid4()).config

    @property
    def client(self) -> ConsulClient:
        """The client that it asks Consul with, for all the rest of Consul's API."""
        return self._started("client", uuid4()).client

    @property
    def max_workers(self) -> int:
        """How many requests are on their way at once, at most."""
        return self.config.max_concurrent_operations

    @property
    def max_queue_size(self) -> int:
        """How many operations may wait meanwhile."""
        return self.config.max_queue_size

    async def health_check(self) -> ModelHealthCheckResult:
        """How Consul is, within 5 seconds. It raises nothing."""
        began, correlation_id = anyio.current_time(), uuid4()
        error: RuntimeHostError | None = None
        leader = ""
        try:
            running = self._started("health_check", correlation_id)
            with anyio.move_on_after(_PATIENCE):
                leader = await running.leader(correlation_id)
        except RuntimeHostError as raised:
            error = raised
        reason = "no leader was told in time" if error is None else error.message
        return ModelHealthCheckResult(
            healthy=bool(leader),
            latency_ms=(anyio.current_time() - began) * 1000,
            reason="ok" if leader else reason,
            error_type=None if error is None else type(error).__name__,
            details={"leader": leader} if leader else {},
        )

    # -- operations --------------------------------------------------------------------------------

    async def execute(self, envelope: Mapping[str, Any]) -> ModelConsulHandlerResponse:
        """
        Carry out one operation: `consul.kv_get`, `kv_put`, `register` or `deregister`.

        The envelope has `operation` and `payload`, and may have `correlation_id` and `envelope_id`
        (UUIDs, or text that is one; anything else is replaced by a new one). A field that the
        payload should not have is a ProtocolConfigurationError, and nothing is sent.
        """
        correlation_id = as_uuid(envelope.get("correlation_id"))
        running = self._started("execute", correlation_id)
        context = context_of("execute", correlation_id)
        operation, payload = envelope.get("operation"), envelope.get("payload")
        if not isinstance(operation, str) or not operation:
            raise RuntimeHostError("Missing or invalid 'operation' in envelope", context=context)
        if operation not in SUPPORTED_OPERATIONS:
            raise RuntimeHostError(
                f"Operation {operation[:80]!r} not supported in MVP. "
                f"Available: {', '.join(sorted(SUPPORTED_OPERATIONS))}",
                context=context,
            )
        if not isinstance(payload, (Mapping, ModelConsulRegisterPayload)):
            raise RuntimeHostError("Missing or invalid 'payload' in envelope", context=context)
        context = context_of(operation, correlation_id)
        carry_out = _prepared(operation, payload, context)
        with running.operation(operation, correlation_id):
            data = await carry_out(running)
        return ModelConsulHandlerResponse(
            payload=ModelConsulHandlerPayload(data=data),
            correlation_id=correlation_id,
            input_envelope_id=as_uuid(envelope.get("envelope_id")),
        )

    def operation(
        self, name: str, correlation_id: UUID | None = None
    ) -> AbstractContextManager[ConsulClient]:
        """
        The client for an operation of one's own, which ends with the platform's errors.

            with handler.operation("node.forget") as c:
                await c.kv.delete_tree("config/old/")
        """
        correlation_id = correlation_id or uuid4()
        return self._started(name, correlation_id).operation(name, correlation_id)

    async def get_subscribers_for_topic(
        self, topic: str, correlation_id: UUID | None = None
    ) -> list[str]:
        """The ids of the nodes that subscribe to a topic, sorted."""
        correlation_id = correlation_id or uuid4()
        running = self._started("consul.kv_get", correlation_id)
        with running.operation("consul.kv_get", correlation_id):
            return await running.topics.subscribers(topic)

    def _started(self, operation: str, correlation_id: UUID) -> Running:
        if self._running is None:
            raise RuntimeHostError(
                f"Consul client not initialized for operation {operation!r}. "
                "Call initialize() first.",
                context=context_of(operation, correlation_id),
            )
        return self._running


def as_uuid(value: object) -> UUID:
    """A UUID as it is, or read from text; a new one for anything else."""
    if isinstance(value, UUID):
        return value
    with suppress(ValueError, AttributeError):
        return UUID(value) if isinstance(value, str) else uuid4()
    return uuid4()


def _veiled(
    config: Mapping[str, Any] | ModelConsulHandlerConfig,
) -> Mapping[str, Any] | ModelConsulHandlerConfig:
    """The same, but what may be a token does not show: also under a name that is misspelt."""
    if isinstance(config, ModelConsulHandlerConfig):
        return config
    plain = ("host", "scheme", "datacenter")
    return {
        name: SecretStr(value) if isinstance(value, str) and name not in plain else value
        for name, value in config.items()
    }


# -- the four operations ---------------------------------------------------------------------------

CarryOut = Callable[[Running], Awaitable[ConsulPayload]]


def _prepared(
    operation: str,
    payload: Mapping[str, Any] | ModelConsulRegisterPayload,
    context: ModelInfraErrorContext,
) -> CarryOut:
    """The operation with its payload, which is checked before anything is sent."""
    match operation:
        case "consul.kv_get":
            return partial(_kv_get, request=_read(KVGet, payload, context))
        case "consul.kv_put":
            return partial(_kv_put, request=_read(KVPut, payload, context))
        case "consul.register":
            return partial(_register, request=_read(ModelConsulRegisterPayload, payload, context))
    return partial(_deregister, request=_read(Deregister, payload, context))


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
    raise ProtocolConfigurationError(said, context=context, parameter=field or None)


async def _kv_get(running: Running, request: KVGet) -> ConsulPayload:
    cursor = Cursor()
    if request.recurse:
        pairs = await running.client.kv.list(request.key, cursor)
    else:
        pair = await running.client.kv.get(request.key, cursor)
        pairs = [pair] if pair is not None else []
    index = cursor.meta.index or 0
    if not pairs:
        return ModelConsulKVGetNotFoundPayload(key=request.key, index=index)
    if not request.recurse:
        return ModelConsulKVGetFoundPayload(**_item(pairs[0]), index=index)
    items = [ModelConsulKVItem(**_item(pair)) for pair in pairs]
    return ModelConsulKVGetRecursePayload(found=True, items=items, count=len(items), index=index)


def _item(pair: KVPair) -> dict[str, Any]:
    text = None
    with suppress(DecodeError):
        text = pair.text()
    return {
        "key": pair.key,
        "value": text,
        "raw": pair.value,
        "flags": pair.flags,
        "modify_index": pair.modify_index,
    }


async def _kv_put(running: Running, request: KVPut) -> ConsulPayload:
    kv, key, cas = running.client.kv, request.key, request.cas
    try:
        done = await kv.put(key, request.value.get_secret_value(), flags=request.flags, cas=cas)
    except OutcomeUnknownError:
        # A second check-and-set would fail on the success of the first. What is there tells.
        if cas is None:
            raise
        pair = await kv.get(key)
        wanted = request.value.get_secret_value().encode()
        if pair is None or pair.modify_index <= cas or pair.value != wanted:
            raise
        done = True
    return ModelConsulKVPutPayload(success=done, key=key)


async def _register(running: Running, request: ModelConsulRegisterPayload) -> ConsulPayload:
    interval = running.config.health_check_interval_seconds
    node, config = request.node_id, request.event_bus_config
    registration = ServiceRegistration(
        name=request.name,
        id=request.consul_service_id,
        address=request.address,
        port=request.port,
        tags=request.tags,
        meta=request.meta if node is None or config is None else request.meta | {_NODE: node},
        check=None if request.check is None else check_of(request.check, interval),
    )
    added: frozenset[str] = frozenset()
    removed: frozenset[str] = frozenset()
    register = partial(running.client.agent.register, registration, replace_existing_checks=True)
    if node is None or config is None:
        await register()
    else:
        before = await running.topics.of(node)
        try:
            added, removed = await running.topics.write(node, entries_of(config))
            await register()
        except BaseException:
            # As if nothing had been asked; also when cancelled. What went wrong first is told.
            undone = False
            with (
                anyio.move_on_after(running.config.timeout_seconds, shield=True),
                suppress(ConsulError, RuntimeHostError),
            ):
                await running.topics.write(node, before)
                undone = True
            if not undone:
                running.log("The topics of a node could not be put back", level=logging.WARNING)
            raise
    return ModelConsulRegisterPayload(
        **request.model_dump(exclude={"registered", "topics_added", "topics_removed"}),
        registered=True,
        topics_added=added,
        topics_removed=removed,
    )


async def _deregister(running: Running, request: Deregister) -> ConsulPayload:
    agent, service_id, node = running.client.agent, request.consul_service_id, request.node_id
    if node is None:
        service = await agent.service(service_id)
        node = service.meta.get(_NODE) if service is not None else None
    if node is not None:
        # First: without the service nobody would know whose topics these are.
        await running.topics.write(node, NOTHING)
    await agent.deregister(service_id)
    return ModelConsulDeregisterPayload(deregistered=True, consul_service_id=service_id)
