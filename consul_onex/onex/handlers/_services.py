"""Services: registered with the agent, with their checks and topics, and deregistered."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from typing import Any, Final

import anyio
from pydantic import ValidationError

from ... import Check, ConsulClient, ConsulError, InvalidRequestError, ServiceRegistration
from ..errors import RuntimeHostError
from ._running import Running
from ._topics import NOTHING, TopicIndex, entries_of
from .models.consul import (
    ConsulPayload,
    Deregister,
    ModelConsulDeregisterPayload,
    ModelConsulRegisterPayload,
)

__all__ = ["check_of", "deregister", "register"]

_NODE: Final = "onex-node-id"
"""In the meta of a service whose node has topics, so that both are forgotten together."""


async def register(
    client: ConsulClient, running: Running, request: ModelConsulRegisterPayload
) -> ConsulPayload:
    """Register a service, whole or not at all: where that fails, the topics are as they were."""
    node, config = request.node_id, request.event_bus_config
    interval = running.config.health_check_interval_seconds
    registration = ServiceRegistration(
        name=request.name,
        id=request.consul_service_id,
        address=request.address,
        port=request.port,
        tags=request.tags,
        meta=request.meta if node is None or config is None else request.meta | {_NODE: node},
        check=None if request.check is None else check_of(request.check, interval),
    )
    put = partial(client.agent.register, registration, replace_existing_checks=True)
    done: dict[str, Any] = {"registered": True}
    if node is None or config is None:
        await put()
    else:
        topics = TopicIndex(client, running.topics)
        before = await topics.of(node)
        try:
            added, removed = await topics.write(node, entries_of(config))
            await put()
        except BaseException:
            # As if nothing had been asked; also when cancelled. What went wrong first is told.
            undone = False
            with (
                anyio.move_on_after(running.config.timeout_seconds, shield=True),
                suppress(ConsulError, RuntimeHostError),
            ):
                await topics.write(node, before)
                undone = True
            if not undone:
                running.log("The topics of a node could not be put back", level=logging.WARNING)
            raise
        done |= {"topics_added": added, "topics_removed": removed}
    return request.model_copy(update=done)


async def deregister(client: ConsulClient, running: Running, request: Deregister) -> ConsulPayload:
    """Deregister a service, and forget the topics of its node."""
    service_id, node = request.consul_service_id, request.node_id
    if node is None:
        service = await client.agent.service(service_id)
        node = service.meta.get(_NODE) if service is not None else None
    if node is not None:
        # First: without the service nobody would know whose topics these are.
        await TopicIndex(client, running.topics).write(node, NOTHING)
    await client.agent.deregister(service_id)
    return ModelConsulDeregisterPayload(deregistered=True, consul_service_id=service_id)


def _plain(name: str) -> str:
    # Consul does not care for case here, nor for underscores.
    return name.replace("_", "").lower()


_NAMES: Final = {
    _plain(said): str(field.serialization_alias)
    for name, field in Check.model_fields.items()
    for said in (name, str(field.serialization_alias))
} | {"scriptargs": "Args"}

_POLLED: Final = {"HTTP", "TCP", "UDP", "GRPC", "H2PING", "Args", "OSService"}


def check_of(check: Mapping[str, Any], interval: float) -> Check:
    """
    A check in Consul's own words, or in those of `Check`; one that Consul has to run, and says no
    interval, has this one (seconds).

    InvalidRequestError for a word that no check has, and for a value that it cannot have.
    """
    said: dict[str, Any] = {}
    for name, value in check.items():
        if _plain(name) not in _NAMES:
            raise InvalidRequestError(f"a check has no field {name[:40]!r}")
        said[_NAMES[_plain(name)]] = value
    if not said.keys().isdisjoint(_POLLED):
        said.setdefault("Interval", f"{round(interval * 1000)}ms")
    try:
        read = Check.model_validate_json(json.dumps(said))
        # Once more as if it was made here, which is looked at more closely.
        return read.replace()
    except (TypeError, ValidationError):
        pass
    # Raised out here: the other error quotes what was given.
    raise InvalidRequestError("a field of the check has a value that it cannot have")
