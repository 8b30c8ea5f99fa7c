"""Hold a lock, and say what is done after the process was stopped: how many steps, what error."""

from __future__ import annotations

import sys

import anyio

from consul_onex import ConsulClient, LockLostError
from consul_onex.recipes import Lock
from consul_onex.recipes.session import boot_time


async def main(url: str, key: str, ttl: float) -> None:
    steps, before = 0, boot_time()
    async with ConsulClient(url) as c:
        try:
            async with Lock(c, key, ttl=ttl) as held:
                print("held", flush=True)
                before = boot_time()
                while True:
                    await anyio.sleep(0.001)
                    now = boot_time()
                    if now - before > ttl / 2 or steps:
                        steps += 1
                        await held.txn().kv.set(f"{key}/data", b"late").commit()
                    before = now
        except LockLostError as error:
            print(steps, type(error).__name__, flush=True)


if __name__ == "__main__":
    _, url, key, backend, ttl = sys.argv
    anyio.run(main, url, key, float(ttl), backend=backend)
