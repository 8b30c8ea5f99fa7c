"""A handler on a server that follows a script, and short words for what is asked of it."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from consul_onex.onex.handlers import HandlerConsul
from consul_onex.onex.handlers.models.consul import ModelConsulHandlerConfig
from tests.support.agents import Agent
from tests.support.fault_server import HOST, Answer, FaultServer, Seen, fault_server, reply

LEADER = reply(body=b'"10.0.0.1:8300"')
NO_LEADER = reply(500, b"No cluster leader")
TRUE = reply(body=b"true")

QUICK = {"initial_delay_seconds": 0.1, "max_delay_seconds": 1.0, "exponential_base": 2.0}


def pair(value: str = "v", key: str = "a", index: int = 7) -> Answer:
    """The answer to the read of one key."""
    row = {"Key": key, "Value": b64encode(value.encode()).decode(), "ModifyIndex": index}
    return reply(body=json.dumps([row]).encode(), headers={"X-Consul-Index": str(index)})


@asynccontextmanager
async def initialised(
    script: Sequence[Answer] | Callable[[Seen], Answer],
    *,
    attempts: int = 3,
    reset_after: float | None = None,
    **config: Any,
) -> AsyncIterator[tuple[HandlerConsul, FaultServer]]:
    """A handler that is initialised, and the server, which then forgets what it was asked."""
    rest = iter(script) if not callable(script) else None
    last = LEADER

    def answer(seen: Seen) -> Answer:
        nonlocal last
        if seen.target == "/v1/status/leader":
            return LEADER
        last = script(seen) if callable(script) else next(rest or iter(()), last)
        return last

    async with fault_server(answer) as server:
        handler = HandlerConsul()
        retry = {**QUICK, "max_attempts": attempts}
        whole = ModelConsulHandlerConfig.read(
            {"host": HOST, "port": server.port, "retry": retry, **config}
        )
        if reset_after is not None:
            # Sooner than the model allows, so that no test has to wait for it.
            sooner = {"circuit_breaker_reset_timeout_seconds": reset_after}
            whole = whole.model_copy(update=sooner)
        await handler.initialize(whole)
        server.requests.clear()
        try:
            yield handler, server
        finally:
            await handler.shutdown(0)


def where(agent: Agent, **config: Any) -> dict[str, Any]:
    """The configuration for a real agent."""
    return {"host": HOST, "port": agent.port, **config}


async def do(handler: HandlerConsul, operation: str, **payload: Any) -> Any:
    """Carry out an operation; the data of its answer."""
    response = await handler.execute({"operation": f"consul.{operation}", "payload": payload})
    return response.payload.data
