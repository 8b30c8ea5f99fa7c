# /// script
# requires-python = ">=3.11"
# dependencies = ["consul-onex"]
# ///
"""Follow a key: what it holds now, then every change, until it says to stop."""

import anyio

from consul_onex import ConsulClient

KEY = "examples/motd"


async def write(c: ConsulClient, text: str) -> None:
    await c.kv.put(KEY, text)


async def main() -> None:
    async with ConsulClient.from_env() as c, anyio.create_task_group() as tg:
        await c.kv.put(KEY, "good morning")
        async for pair in c.kv.watch(KEY):
            text = pair.text() if pair else "(no such key)"
            print("now:", text)
            match text:
                case "good morning":
                    tg.start_soon(write, c, "good evening")
                case "good evening":
                    tg.start_soon(c.kv.delete, KEY)
                case _:
                    break  # nothing is left running behind a watch


anyio.run(main)
