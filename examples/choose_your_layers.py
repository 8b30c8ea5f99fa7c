# /// script
# requires-python = ">=3.11"
# dependencies = ["consul-onex"]
# ///
"""Choose the layers of a client yourself, and watch one of them at work."""

import anyio

from consul_onex import ConsulClient
from consul_onex.events import CallEnded, Event
from consul_onex.transport import Breaker, Deadline, Events, Layer, Retry


def tell(event: Event) -> None:
    if isinstance(event, CallEnded):
        print(event.operation, "->", event.status or event.error, f"({event.attempts} attempt)")


async def main() -> None:
    # Outermost first. A short deadline, one hook, two quick retries, a touchy breaker.
    layers: list[Layer] = [
        Deadline(5.0),
        Events(tell),
        Retry(attempts=3, initial=0.1),
        Breaker(failures=2, reset_after=10.0),
    ]
    async with ConsulClient.from_env(layers=layers) as c:
        await c.kv.put("examples/layers", "chosen")
        await c.kv.delete("examples/layers")
        await c.kv.get("examples/layers")
        for circuit in c.statistics().circuits.values():
            print(circuit.name, "is", circuit.state.value)


anyio.run(main)
