# /// script
# requires-python = ">=3.11"
# dependencies = ["consul-onex"]
# ///
"""Register a service that says by itself that it is well, and say so until it is found."""

import anyio

from consul_onex import Check, ConsulClient, ServiceRegistration, UnknownCheckError

TTL = 15.0
SHOP = ServiceRegistration(name="examples-shop", port=8080, check=Check.ttl(TTL))


async def heartbeats(c: ConsulClient) -> None:
    while True:
        try:
            await c.agent.check_pass("service:examples-shop", note="open for business")
        except UnknownCheckError:
            await c.agent.register(SHOP)  # the agent was wiped: it knows nothing of us
        else:
            await anyio.sleep(TTL / 3)


async def main() -> None:
    async with ConsulClient.from_env() as c:
        await c.agent.register(SHOP)
        print("at first:", (await c.agent.checks())["service:examples-shop"].status)

        async with anyio.create_task_group() as tg:
            tg.start_soon(heartbeats, c)
            async for entries in c.watch(c.health.service, "examples-shop", passing=True):
                if entries:
                    print("found:", entries[0].service.service, "at port", entries[0].port)
                    break
            tg.cancel_scope.cancel()
        await c.agent.deregister("examples-shop")


anyio.run(main)
