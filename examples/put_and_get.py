# /// script
# requires-python = ">=3.11"
# dependencies = ["consul-onex"]
# ///
"""Put a key, read it back in three ways, list its folder, and delete it."""

import anyio

from consul_onex import ConsulClient


async def main() -> None:
    async with ConsulClient.from_env() as c:
        await c.kv.put("examples/shop/name", "Corner Shop")
        await c.kv.put_json("examples/shop/hours", {"open": 8, "close": 20})

        pair = await c.kv.get("examples/shop/hours")
        assert pair is not None  # a key that is not there is None
        print("bytes:", pair.value)
        print("json: ", pair.json())
        print("typed:", pair.parse(dict[str, int])["close"])

        for pair in await c.kv.list("examples/shop/"):
            print("listed:", pair.key)

        await c.kv.delete_tree("examples/shop/")
        print("afterwards:", await c.kv.get("examples/shop/name"))


anyio.run(main)
