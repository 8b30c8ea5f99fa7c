# /// script
# requires-python = ">=3.11"
# dependencies = ["consul-onex"]
# ///
"""Ten tasks add to one number and lose nothing: each write counts only if nobody was faster."""

import anyio

from consul_onex import ConsulClient, KVPair

KEY = "examples/hits"


def one_more(pair: KVPair | None) -> str:
    return str(int(pair.text()) + 1 if pair else 1)


async def main() -> None:
    async with ConsulClient.from_env() as c:
        async with anyio.create_task_group() as tg:
            for _ in range(10):
                tg.start_soon(c.kv.update, KEY, one_more)

        pair = await c.kv.get(KEY)
        assert pair is not None
        print("counted:", pair.text())

        # What `update` does, by hand: cas is the modify_index of what was read.
        print("fresh:", await c.kv.put(KEY, "0", cas=pair.modify_index))
        print("stale:", await c.kv.put(KEY, "99", cas=pair.modify_index))

        await c.kv.delete(KEY)


anyio.run(main)
