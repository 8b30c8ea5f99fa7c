# /// script
# requires-python = ">=3.11"
# dependencies = ["consul-onex"]
# ///
"""Move a value from one key to another: nobody sees it twice, or not at all."""

import anyio

from consul_onex import ConsulClient, TransactionError


async def move(c: ConsulClient, old: str, new: str) -> bool:
    pair = await c.kv.get(old)
    if pair is None:
        return False
    transaction = (
        c.txn.begin()
        .kv.check_not_exists(new)
        .kv.set(new, pair.value, flags=pair.flags)
        .kv.delete_cas(old, pair.modify_index)  # unless somebody wrote it meanwhile
    )
    try:
        await transaction.commit()
    except TransactionError as error:
        print("nothing was done:", *(f"operation {one.index} failed" for one in error.errors))
        return False
    return True


async def main() -> None:
    async with ConsulClient.from_env() as c:
        await c.kv.put("examples/draft", "hello")
        print("moved:", await move(c, "examples/draft", "examples/letter"))
        await c.kv.put("examples/draft", "hello again")
        print("moved:", await move(c, "examples/draft", "examples/letter"))
        print("there:", {pair.key: pair.text() for pair in await c.kv.list("examples/")})
        await c.kv.delete_tree("examples/")


anyio.run(main)
