# /// script
# requires-python = ">=3.11"
# dependencies = ["consul-onex"]
# ///
"""Find the instances of a service that are well, and pick one of them by its weight."""

import random

import anyio

from consul_onex import Check, ConsulClient, ServiceEntry, ServiceRegistration, Weights

NAME = "examples-shop"


def pick(entries: list[ServiceEntry]) -> ServiceEntry:
    weights = [e.service.weights.passing if e.service.weights else 1 for e in entries]
    return random.choices(entries, weights)[0]  # noqa: S311 (no secret hangs on it)


async def main() -> None:
    async with ConsulClient.from_env() as c:
        shop = ServiceRegistration(name=NAME, weights=Weights(passing=3, warning=1))
        for port, status in (8081, "passing"), (8082, "critical"), (8083, "passing"):
            check = Check.ttl(60, status=status)
            await c.agent.register(shop.replace(id=f"{NAME}-{port}", port=port, check=check))
        async for entries in c.watch(c.health.service, NAME):
            if len(entries) == 3:  # the agent tells the servers a moment later
                break

        found = await c.health.service(NAME, passing=True)
        print("well:", sorted(entry.port for entry in found))
        print("picked one of them:", pick(found) in found)

        for port in 8081, 8082, 8083:
            await c.agent.deregister(f"{NAME}-{port}")


anyio.run(main)
