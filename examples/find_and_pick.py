# /// script
# requires-python = ">=3.11"
# dependencies = ["consul-onex"]
# ///
"""Find the healthy instances of a service, and pick one of them by chance and by weight."""

import random

import anyio

from consul_onex import Check, ConsulClient, ServiceEntry, ServiceRegistration, Weights


def pick(entries: list[ServiceEntry]) -> ServiceEntry:
    weights = [e.service.weights.passing if e.service.weights else 1 for e in entries]
    return random.choices(entries, weights)[0]  # noqa: S311 (no secret hangs on it)


async def main() -> None:
    async with ConsulClient.from_env() as c:
        for port, status in (8081, "passing"), (8082, "critical"), (8083, "passing"):
            shop = ServiceRegistration(
                name="examples-shop",
                id=f"examples-shop-{port}",
                port=port,
                weights=Weights(passing=port - 8080, warning=1),
                check=Check.ttl(60, status=status),
            )
            await c.agent.register(shop)

        while len(await c.health.service("examples-shop")) < 3:
            await anyio.sleep(0.05)  # the agent tells the servers a moment later
        found = await c.health.service("examples-shop", passing=True)
        print("healthy:", sorted(entry.port for entry in found))
        print("picked one of them:", pick(found) in found)

        for port in 8081, 8082, 8083:
            await c.agent.deregister(f"examples-shop-{port}")


anyio.run(main)
