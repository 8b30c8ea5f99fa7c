"""The measurements of many keys: written, and read again."""

import json
from base64 import b64decode
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from functools import partial
from typing import Any, Final

import anyio
import httpx

from consul_onex import ConsulClient
from tests.bench.contestants import (
    FAST,
    ONEX,
    PY_CONSUL,
    REFERENCE,
    VALUE,
    Setting,
    httpx_client,
    open_py_consul,
    present,
)
from tests.bench.measure import Result, once

MANY: Final = 10_000
AT_ONCE: Final = 64
ONE_BY_ONE: Final = f"{ONEX}, one by one"

PREFIX: Final = "bench/tree/"
KEYS: Final = [f"{PREFIX}{number}" for number in range(MANY)]
PAIRS: Final = dict.fromkeys(KEYS, VALUE)

Doings = dict[str, Callable[[], Awaitable[object]]]


async def many(setting: Setting, *, rounds: int) -> list[Result]:
    """Write them all, then read them all as one tree."""
    async with AsyncExitStack() as stack:
        c = await stack.enter_async_context(ConsulClient(setting.url, http="h11"))
        http = await stack.enter_async_context(httpx_client(setting))
        written: Doings = {
            ONEX: lambda: c.kv.put_many(PAIRS),
            **{
                f"{ONEX}, concurrency={number}": partial(c.kv.put_many, PAIRS, concurrency=number)
                for number in (1, 16)
            },
            ONE_BY_ONE: lambda: each(lambda key: c.kv.put(key, VALUE)),
        }
        read: Doings = {ONEX: lambda: c.kv.list(PREFIX), REFERENCE: lambda: tree(http)}
        reference = REFERENCE
        if present(FAST):
            fast = await stack.enter_async_context(ConsulClient(setting.url, http="fast"))
            written[FAST] = lambda: fast.kv.put_many(PAIRS)
            read[FAST] = lambda: fast.kv.list(PREFIX)
        if present(PY_CONSUL):
            theirs: Any = await stack.enter_async_context(open_py_consul(setting))
            written[PY_CONSUL] = lambda: each(lambda key: theirs.kv.put(key, VALUE))
            read[PY_CONSUL] = lambda: theirs.kv.get(PREFIX, recurse=True)
            reference = PY_CONSUL
        return [
            *await once(
                f"{MANY:,} keys written",
                written,
                rounds=max(1, rounds // 4),
                reference=reference if reference in written else ONE_BY_ONE,
            ),
            *await once(f"{MANY:,} keys read", read, rounds=rounds, reference=reference),
        ]


async def each(put: Callable[[str], Awaitable[object]]) -> None:
    """One request for each key, so many at once."""
    keys = iter(KEYS)

    async def worker() -> None:
        for key in keys:
            await put(key)

    async with anyio.create_task_group() as tg:
        for _ in range(AT_ONCE):
            tg.start_soon(worker)


async def tree(http: httpx.AsyncClient) -> dict[str, bytes]:
    response = await http.get(f"/v1/kv/{PREFIX}", params={"recurse": ""})
    response.raise_for_status()
    return {pair["Key"]: b64decode(pair["Value"]) for pair in json.loads(response.content)}
