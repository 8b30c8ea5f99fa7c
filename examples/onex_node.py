# /// script
# requires-python = ">=3.11"
# dependencies = ["consul-onex"]
# ///
"""A node of the ONEX platform: it registers itself, keeps its configuration, and goes."""

import json
from typing import Any

import anyio

from consul_onex.onex.handlers import HandlerConsul
from consul_onex.onex.handlers.models.consul import ModelConsulHandlerConfig

NODE = "examples-onex-effect"


async def main() -> None:
    handler = HandlerConsul()
    await handler.initialize(ModelConsulHandlerConfig.from_env())

    async def do(operation: str, **payload: object) -> Any:
        response = await handler.execute({"operation": operation, "payload": payload})
        return response.payload.data

    topics = {"node_id": NODE, "event_bus_config": {"subscribe_topics": [{"topic": "examples.a"}]}}
    try:
        done = await do("consul.register", name="onex-effect", service_id=NODE, port=80, **topics)
        print("registered for", *done.topics_added)
        await do("consul.kv_put", key=f"examples/{NODE}", value=json.dumps({"timeout": 30}))
        found = await do("consul.kv_get", key=f"examples/{NODE}")
        print("configured:", json.loads(found.value))
    finally:
        print("gone:", (await do("consul.deregister", service_id=NODE)).deregistered)
        with handler.operation("node.forget") as client:
            await client.kv.delete(f"examples/{NODE}")
        await handler.shutdown()


anyio.run(main)
