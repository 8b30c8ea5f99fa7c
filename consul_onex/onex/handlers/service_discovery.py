"""
Service discovery, over the client of a handler.

`ServiceDiscoveryConsul` is for code that knows services by plain values and dictionaries, and has
keys, watches and a health check; `HandlerServiceDiscoveryConsul` for code that knows them by
models. In both, tags are asked for all together, and an instance is as well as the worst of all its
checks, the node's included.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Final, Self
from uuid import NAMESPACE_DNS, UUID, uuid4, uuid5

import anyio
from anyio.abc import TaskGroup
from pydantic import Field

from ... import AgentService, ConsulClient, ServiceEntry, ServiceRegistration
from .._models import Frozen
from .._translate import context_of, translated
from ..enums import EnumHealthStatus
from ..errors import InfraConnectionError, RuntimeHostError
from ._services import check_of
from .handler_consul import HandlerConsul
from .models import ModelHealthCheckResult

__all__ = [
    "HandlerServiceDiscoveryConsul",
    "ModelDiscoveryQuery",
    "ModelDiscoveryResult",
    "ModelHandlerRegistrationResult",
    "ModelServiceInfo",
    "ServiceDiscoveryConsul",
]

_log: Final = logging.getLogger("consul_onex.onex")

Callback = Callable[[list[dict[str, Any]]], Awaitable[None]]

_NAMESPACE: Final = uuid5(NAMESPACE_DNS, "omninode.service.discovery")


class ModelServiceInfo(Frozen, frozen=True):
    """An instance of a service. An id that is no UUID has one made of it."""

    service_id: UUID = Field(default_factory=uuid4)
    service_name: str = Field(min_length=1)
    address: str | None = None
    port: int | None = Field(default=None, ge=1, le=65535)
    tags: tuple[str, ...] = ()
    health_status: EnumHealthStatus = EnumHealthStatus.UNKNOWN
    metadata: dict[str, str] = Field(default_factory=dict)
    health_check_url: str | None = None
    health_output: str | None = None
    correlation_id: UUID | None = None


class ModelDiscoveryQuery(Frozen, frozen=True):
    """Which instances: of this service, or of all; with all these tags; in this health, or any."""

    service_name: str | None = None
    tags: tuple[str, ...] = ()
    health_filter: EnumHealthStatus | None = None
    correlation_id: UUID | None = None


class ModelDiscoveryResult(Frozen, frozen=True):
    """What was found."""

    services: tuple[ModelServiceInfo, ...] = ()
    correlation_id: UUID


class ModelHandlerRegistrationResult(Frozen, frozen=True):
    """What was registered."""

    service_id: UUID
    correlation_id: UUID


class _Borrowed:
    """The handler, until this part of it is closed."""

    def __init__(self, handler: HandlerConsul) -> None:
        self._handler = handler
        self._closed = False

    @contextmanager
    def _asking(self, name: str, correlation_id: UUID | None = None) -> Iterator[ConsulClient]:
        correlation_id = correlation_id or uuid4()
        name = f"discovery.{name}"
        if self._closed:
            raise InfraConnectionError(
                "Handler has been shut down", context_of(name, correlation_id)
            )
        with self._handler.operation(name, correlation_id) as client:
            yield client

    async def _register(
        self,
        url: str | None,
        every: str | None = None,
        correlation_id: UUID | None = None,
        **service: Any,
    ) -> None:
        with self._asking("register_service", correlation_id) as client:
            if url is not None:
                said = {"HTTP": url, "Timeout": "5s"} | ({"Interval": every} if every else {})
                interval = self._handler.config.health_check_interval_seconds
                service["check"] = check_of(said, interval)
            await client.agent.register(
                ServiceRegistration(**service), replace_existing_checks=True
            )


class ServiceDiscoveryConsul(_Borrowed):
    """
    Service discovery by plain values, and keys.

        async with ServiceDiscoveryConsul(handler) as discovery:
            await discovery.watch_service("web", changed)

    Watches need the `async with`, in whose tasks they run; everything else does not.
    """

    def __init__(self, handler: HandlerConsul) -> None:
        super().__init__(handler)
        self._tasks: TaskGroup | None = None
        self._watches: dict[str, anyio.CancelScope] = {}

    async def __aenter__(self) -> Self:
        self._tasks = await anyio.create_task_group().__aenter__()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        tasks, self._tasks = self._tasks, None
        await self.close()
        return None if tasks is None else await tasks.__aexit__(exc_type, exc, traceback)

    async def register_service(
        self,
        service_id: str,
        service_name: str,
        address: str,
        port: int,
        tags: Sequence[str] | None = None,
        metadata: dict[str, str] | None = None,
        health_check_url: str | None = None,
        health_check_interval: str | None = None,
    ) -> bool:
        """Register an instance with the agent, or change it. True."""
        await self._register(
            health_check_url,
            health_check_interval,
            name=service_name,
            id=service_id,
            address=address,
            port=port,
            tags=list(tags or ()),
            meta=metadata or {},
        )
        return True

    async def deregister_service(self, service_id: str) -> bool:
        """Deregister an instance from the agent. True, also where there was none."""
        with self._asking("deregister_service") as client:
            await client.agent.deregister(service_id)
        return True

    async def discover_services(
        self, service_name: str, tags: Sequence[str] | None = None, healthy_only: bool = True
    ) -> list[dict[str, Any]]:
        """The instances of a service with all these tags: those that are well, or all."""
        with self._asking("discover_services") as client:
            return [
                _plain(entry)
                for entry in await client.health.service(
                    service_name, passing=healthy_only, tag=list(tags or ()) or None
                )
            ]

    async def get_service(self, service_id: str) -> dict[str, Any] | None:
        """An instance of this agent by its id. None where it has none."""
        with self._asking("get_service") as client:
            one = await client.agent.service(service_id)
        return None if one is None else _told(one)

    async def get_service_health(self, service_id: str) -> dict[str, Any]:
        """
        How an instance of this agent is: `status` is `passing`, `warning`, `critical` or `unknown`.

        Consul does not tell when it looked, so `last_check` is None.
        """
        with self._asking("get_service_health") as client:
            health = await client.agent.health(service_id)
        status = "unknown" if health is None else health.aggregated_status
        checks = [] if health is None else health.checks
        return {
            "status": "critical" if status == "maintenance" else status,
            "message": "; ".join(check.output for check in checks if check.output),
            "last_check": None,
        }

    async def list_services(self) -> list[str]:
        """The names of all services of the datacenter, sorted."""
        with self._asking("list_services") as client:
            return sorted(await client.catalog.services())

    async def watch_service(self, service_name: str, callback: Callback) -> str:
        """
        Call back with all instances of a service, now and after each change; the id of the watch.

        A callback that fails is logged, and called again after the next change. What ends a watch
        is logged too.
        """
        if self._tasks is None:
            raise RuntimeHostError(
                "watches run in the tasks of `async with ServiceDiscoveryConsul(...)`",
                context=context_of("discovery.watch_service", None),
            )
        with self._asking("watch_service") as client:
            watch_id = str(uuid4())
            self._watches[watch_id] = scope = anyio.CancelScope()
            self._tasks.start_soon(self._follow, client, scope, service_name, callback)
        return watch_id

    async def stop_watch(self, watch_id: str) -> bool:
        """End a watch. False where there is none of this id."""
        scope = self._watches.pop(watch_id, None)
        if scope is not None:
            scope.cancel()
        return scope is not None

    async def _follow(
        self, client: ConsulClient, scope: anyio.CancelScope, name: str, callback: Callback
    ) -> None:
        try:
            with scope, translated("discovery.watch_service", uuid4(), 0.0):
                async for entries in client.watch(client.health.service, name):
                    try:
                        await callback([_plain(entry) for entry in entries])
                    except Exception as error:  # noqa: BLE001
                        # Its text is the caller's own, and may say anything.
                        _log.error("A callback of a watch failed: %s", type(error).__name__)
        except RuntimeHostError as error:
            _log.warning("A watch of a service has ended: %s", error.message)

    async def set_key_value(self, key: str, value: str) -> bool:
        """Write a key. True."""
        with self._asking("kv_set") as client:
            return await client.kv.put(key, value)

    async def get_key_value(self, key: str) -> str | None:
        """The text of a key. None where there is no such key."""
        with self._asking("kv_get") as client:
            pair = await client.kv.get(key)
            return None if pair is None else pair.text()

    async def delete_key(self, key: str) -> bool:
        """Delete a key. True, also where it was not there."""
        with self._asking("kv_delete") as client:
            return await client.kv.delete(key)

    async def list_keys(self, prefix: str = "") -> list[str]:
        """The names of the keys that begin so."""
        with self._asking("kv_list") as client:
            return await client.kv.keys(prefix)

    async def health_check(self) -> bool:
        """Whether Consul is well. It raises nothing."""
        return not self._closed and bool(await self._handler.health_check())

    async def close(self, timeout_seconds: float = 30.0) -> None:
        """End all watches at once, and refuse what comes later. The handler goes on."""
        self._closed = True
        for watch_id in list(self._watches):
            await self.stop_watch(watch_id)


class HandlerServiceDiscoveryConsul(_Borrowed):
    """Service discovery by models. A correlation id that is given comes before the query's own."""

    @property
    def handler_type(self) -> str:
        """What it finds services with."""
        return "consul"

    async def register_service(
        self, service_info: ModelServiceInfo, correlation_id: UUID | None = None
    ) -> ModelHandlerRegistrationResult:
        """Register an instance with the agent, or change it."""
        correlation_id = correlation_id or service_info.correlation_id or uuid4()
        await self._register(
            service_info.health_check_url,
            correlation_id=correlation_id,
            name=service_info.service_name,
            id=str(service_info.service_id),
            address=service_info.address,
            port=service_info.port,
            tags=list(service_info.tags),
            meta=service_info.metadata,
        )
        return ModelHandlerRegistrationResult(
            service_id=service_info.service_id, correlation_id=correlation_id
        )

    async def deregister_service(
        self, service_id: UUID, correlation_id: UUID | None = None
    ) -> None:
        """Deregister an instance from the agent. It is fine when there is none."""
        with self._asking("deregister_service", correlation_id) as client:
            await client.agent.deregister(str(service_id))

    async def discover_services(
        self, query: ModelDiscoveryQuery, correlation_id: UUID | None = None
    ) -> ModelDiscoveryResult:
        """The instances that a query asks for."""
        correlation_id = correlation_id or query.correlation_id or uuid4()
        with self._asking("discover_services", correlation_id) as client:
            names = [query.service_name] if query.service_name else await client.catalog.services()
            found = [
                _info(entry, correlation_id)
                for name in sorted(names)
                for entry in await client.health.service(name, tag=list(query.tags) or None)
            ]
        wanted = query.health_filter
        return ModelDiscoveryResult(
            services=tuple(one for one in found if wanted in (None, one.health_status)),
            correlation_id=correlation_id,
        )

    async def list_all_services(
        self, tag_filter: str | None = None, correlation_id: UUID | None = None
    ) -> dict[str, list[str]]:
        """The tags of all services of the datacenter, by their names."""
        with self._asking("list_all_services", correlation_id) as client:
            services = await client.catalog.services()
        return {n: t for n, t in services.items() if tag_filter is None or tag_filter in t}

    async def get_all_service_instances(
        self,
        service_name: str,
        include_unhealthy: bool = True,
        correlation_id: UUID | None = None,
    ) -> list[ModelServiceInfo]:
        """The instances of a service."""
        wanted = None if include_unhealthy else EnumHealthStatus.HEALTHY
        query = ModelDiscoveryQuery(service_name=service_name, health_filter=wanted)
        return list((await self.discover_services(query, correlation_id)).services)

    async def health_check(self, correlation_id: UUID | None = None) -> ModelHealthCheckResult:
        """How Consul is. It raises nothing."""
        return await self._handler.health_check(correlation_id)

    async def shutdown(self) -> None:
        """Refuse what comes later. The handler goes on."""
        self._closed = True


def _told(service: AgentService) -> dict[str, Any]:
    return {
        "id": service.id,
        "name": service.service,
        "address": service.address,
        "port": service.port,
        "tags": service.tags,
        "metadata": service.meta,
    }


def _plain(entry: ServiceEntry) -> dict[str, Any]:
    where = {"address": entry.address, "port": entry.port, "health": entry.status}
    return _told(entry.service) | where


def _info(entry: ServiceEntry, correlation_id: UUID) -> ModelServiceInfo:
    try:
        service_id = UUID(entry.service.id)
    except ValueError:
        service_id = uuid5(_NAMESPACE, entry.service.id)
    status = EnumHealthStatus.UNKNOWN
    if entry.checks:
        well = entry.status == "passing"
        status = EnumHealthStatus.HEALTHY if well else EnumHealthStatus.UNHEALTHY
    return ModelServiceInfo(
        service_id=service_id,
        service_name=entry.service.service,
        address=entry.address or None,
        # Some have none: 0 is how Consul says it.
        port=entry.port or None,
        tags=tuple(entry.service.tags),
        health_status=status,
        metadata=entry.service.meta,
        health_output="; ".join(check.output for check in entry.checks if check.output) or None,
        correlation_id=correlation_id,
    )
