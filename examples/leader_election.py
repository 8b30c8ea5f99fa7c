# /// script
# requires-python = ">=3.11"
# dependencies = ["consul-onex"]
# ///
"""Three candidates, one leader at a time; the next one leads when the one before has resigned."""

import anyio

from consul_onex import ConsulClient
from consul_onex.recipes import Election

KEY = "examples/leader"


async def stand(c: ConsulClient, name: str) -> None:
    election = Election(c, KEY, name)
    async with election as term:
        # While it leads: cancelled at the next await when the leadership is lost.
        leader = await anext(election.observe())
        assert leader is not None
        print("all see that it is their turn:", leader.candidate == name)
        # Refused if another one leads by now.
        await term.txn().kv.set("examples/last", name).commit()
        term.resign()
        await anyio.sleep_forever()


async def main() -> None:
    async with ConsulClient.from_env() as c:
        async with anyio.create_task_group() as tg:
            for name in ("a", "b", "c"):
                tg.start_soon(stand, c, name)

        nobody = await anext(Election(c, KEY, "observer").observe())
        print("leads now:", nobody)
        await c.kv.delete_tree("examples/")


anyio.run(main)
