# /// script
# requires-python = ">=3.11"
# dependencies = ["consul-onex"]
# ///
"""Write to one datacenter and to another, and read where there is an answer."""

import anyio

from consul_onex import ConsulClient, Cursor


async def main() -> None:
    async with ConsulClient.from_env() as c:
        print("known:", ", ".join(sorted(await c.catalog.datacenters())))

        # A view: the same connections, other options. Keys are not replicated between datacenters.
        there = c.using(datacenter="dc2")
        await c.kv.put("examples/where", "dc1")
        await there.kv.put("examples/where", "dc2")
        for view in (c, there):
            pair = await view.kv.get("examples/where")
            print("read:", pair and pair.text())

        # A read may be answered elsewhere if its view says so; the cursor says where it was.
        cursor = Cursor()
        nearest = c.using(datacenter="nowhere", failover=["dc2", "dc1"])
        await nearest.kv.get("examples/where", cursor=cursor)
        print("answered by:", cursor.datacenter)

        for view in (c, there):
            await view.kv.delete("examples/where")


anyio.run(main)
