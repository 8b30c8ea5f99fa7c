"""A real agent that hangs, and who knows the tokens gone, as a client meets them."""

from __future__ import annotations

from functools import partial
from random import Random

import anyio
import anyio.to_thread
import pytest

from consul_onex import ConsulClient, ConsulError, PermissionDeniedError
from consul_onex.transport import Deadline, Limit
from tests.chaos.clusters import Use, allowed, meet
from tests.chaos.nemesis import AUTHORITY, CLUSTER, FORGOTTEN, healed, rejoined
from tests.support.agents import Cluster, Guarded

HANGS = "the client agent hangs"


@pytest.mark.timeout(120)
async def test_what_a_client_meets_is_what_the_page_may_say(cluster: Cluster) -> None:
    url, stays = cluster.clients[0].url, 1.5

    begin = partial(CLUSTER[HANGS], cluster, Random(1))
    writing = ConsulClient(url, layers=[Deadline(2.0), Limit()])
    async with ConsulClient(url) as c:
        met = await meet(begin, partial(healed, cluster), c, writing, stays=stays)

    assert {use for use, one in met.items() if not one.errors <= allowed(HANGS, use)} == set()
    assert met[Use.LOCK].errors == set()
    # Nobody answered for so long, and all of them waited for it.
    shortest = min(one.longest for use, one in met.items() if use is not Use.LOCK)
    assert shortest >= stays - 0.5


async def until_refused(c: ConsulClient) -> None:
    while True:
        try:
            await c.kv.get("k")
        except PermissionDeniedError:
            return
        except ConsulError:
            pass


@pytest.mark.timeout(120)
async def test_a_watch_outlives_the_refusal_of_a_valid_token(guarded: Guarded) -> None:
    first, seen = anyio.Event(), list[bytes | None]()
    c = ConsulClient(guarded.dc2.url, token=guarded.token)

    async def follow() -> None:
        async for pair in c.kv.watch("k"):
            seen.append(pair.value if pair is not None else None)
            first.set()
            if seen[-1] == b"after":
                return

    async with c:
        await c.kv.put("k", b"before")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(follow)
            await first.wait()
            undo = await anyio.to_thread.run_sync(AUTHORITY[FORGOTTEN], guarded)
            with anyio.fail_after(60):
                await until_refused(c)
                await anyio.to_thread.run_sync(undo)
                await anyio.to_thread.run_sync(rejoined, guarded)
                await c.kv.put("k", b"after")

    # One that was delivered twice or skipped would be the watch's mistake as well.
    assert seen == [b"before", b"after"]
