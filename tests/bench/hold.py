"""
Hold many watches open, and say what they cost: `python -m tests.bench.hold NAME URL COUNT WAIT`.

In a process of its own: memory that another contestant has given back would be used once more, and
not be seen.
"""

import gc
import json
import os
import sys
import time
from pathlib import Path

import anyio

from tests.bench.contestants import KNOWN, Setting
from tests.bench.measure import cpu, resident
from tests.bench.watches import TURN, Followed


async def hold(name: str, setting: Setting, watches: int) -> None:
    """
    Say memory and connections once all wait; then CPU per second, while each query is asked anew.

    One watch is open before: what comes with it, like code that runs first, is not for each.
    """
    async with KNOWN[name](setting) as one, anyio.create_task_group() as tg:
        group = Followed(one, watches)
        first, *others = group.keys
        tg.start_soon(group.run, first)
        await settled(group, 1)
        memory, files = resident(), open_files()
        for key in others:
            tg.start_soon(group.run, key)
        await settled(group, watches)
        memory, files = resident() - memory, open_files() - files + 1

        used, started = cpu(), time.perf_counter()
        await anyio.sleep(TURN)
        used, took = cpu() - used, time.perf_counter() - started
        each = memory / len(others)
        print(json.dumps({"memory": each, "CPU/s": used / took, "connections": files}), flush=True)
        # To cancel them takes plain httpx longer than all of this.
        os._exit(0)


async def settled(group: Followed, watches: int) -> None:
    await group.beyond(watches - 1)
    await anyio.sleep(0.5)  # until they wait at the server
    gc.collect()


def open_files() -> int:
    return len([*Path("/dev/fd").iterdir()])


def main(name: str, url: str, count: str, wait: str) -> None:
    # Room for what is open besides.
    setting = Setting(url, connections=int(count) + 10, wait=int(wait))
    anyio.run(hold, name, setting, int(count))


if __name__ == "__main__":
    main(*sys.argv[1:])
