# /// script
# requires-python = ">=3.11"
# dependencies = ["consul-onex"]
# ///
"""Six jobs, on as many machines as you like; at most two of them at a time ask a slow server."""

import anyio

from consul_onex import ConsulClient
from consul_onex.recipes import Counter, Semaphore

running: set[int] = set()
at_once: list[int] = []


async def job(c: ConsulClient, number: int) -> None:
    async with Semaphore(c, "examples/slots", 2):
        running.add(number)
        at_once.append(len(running))
        await anyio.sleep(0.05)  # asks the slow server; cancelled when the place is lost
        running.remove(number)
    await Counter(c, "examples/jobs").add()


async def main() -> None:
    async with ConsulClient.from_env() as c:
        async with anyio.create_task_group() as tg:
            for number in range(6):
                tg.start_soon(job, c, number)
        print("jobs done:", await Counter(c, "examples/jobs").value())
        print("never more than two at once:", max(at_once) <= 2)
        await c.kv.delete_tree("examples/")


anyio.run(main)
