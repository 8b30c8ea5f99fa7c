# /// script
# requires-python = ">=3.11"
# dependencies = ["consul-onex"]
# ///
"""Follow the instances of a service row by row: which are new, which changed, which are gone."""

import anyio

from consul_onex import Added, Changed, ConsulClient, Removed, Resync, ServiceRegistration, Snapshot

SHOP = ServiceRegistration(name="examples-shop", port=8080)


async def main() -> None:
    async with ConsulClient.from_env() as c:
        async for change in c.watch(c.health.service, "examples-shop", passing=True).changes():
            match change:
                case Snapshot(rows=rows):
                    print("at first:", len(rows))
                    await c.agent.register(SHOP)
                case Added(new=entry):
                    print("new:", entry.service.id, entry.port)
                    await c.agent.register(SHOP.replace(port=8081))
                case Changed(old=old, new=new):
                    print("changed:", old.port, "is now", new.port)
                    await c.agent.deregister("examples-shop")
                case Removed(old=entry):
                    print("gone:", entry.service.id)
                    break
                case Resync():
                    print("history broke: what it changed comes next")


anyio.run(main)
