"""
Typical uses, with the types they have, and wrong ones that a type checker must reject.

Only mypy and pyright read this. To both, an ignored error that is none is an error.
"""

from __future__ import annotations

# pyright: reportUnnecessaryTypeIgnoreComment=true
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, assert_type

import httpx
from pydantic import SecretStr

from consul_onex import (
    Answer,
    CircuitOpenError,
    Consistency,
    ConsulClient,
    ConsulSettings,
    ConsulStatusError,
    Cursor,
    KVPair,
    OperationError,
    QueryMeta,
    Safety,
    TokenFile,
    TransactionError,
    Watch,
)
from consul_onex.transport import Breaker, Circuit, CircuitState, Limit, Retry, WholeBody, stack


@dataclass
class Limits:
    """Somebody's type."""

    width: int


async def keys_and_values(c: ConsulClient) -> None:
    pair = assert_type(await c.kv.get("k"), KVPair | None)
    pair.text()  # type: ignore[union-attr]
    assert_type(await c.kv.list("a/"), list[KVPair])
    assert_type(await c.kv.keys("a/", "/"), list[str])
    assert_type(await c.kv.put("k", b"v", flags=1, cas=0), bool)
    assert_type(await c.kv.put_json("k", {"a": [1]}), bool)
    assert_type(await c.kv.delete("k"), bool)
    assert_type(await c.kv.delete_tree("a/"), bool)
    assert_type(await c.kv.acquire("k", "session"), bool)
    assert_type(await c.kv.update("k", lambda old: old.value if old else "new"), bytes)
    assert_type(await c.catalog.datacenters(), list[str])
    assert_type(await c.status.leader(), str | None)

    await c.kv.get(b"k")  # type: ignore[arg-type]
    await c.kv.put("k", 5)  # type: ignore[arg-type]
    await c.kv.put("k", "v", cas="5")  # type: ignore[arg-type]


def a_pair(pair: KVPair) -> None:
    assert_type(pair.value, bytes)
    assert_type(pair.session, str | None)
    assert_type(pair.text(), str)
    assert_type(pair.parse(Limits), Limits)
    assert_type(pair.parse(dict[str, int]), dict[str, int])

    pair.value = b""  # type: ignore[misc]
    KVPair("k")  # type: ignore[call-arg]


async def follow(c: ConsulClient) -> None:
    async for pair in c.kv.watch("k"):
        assert_type(pair, KVPair | None)
    async for pairs in c.kv.watch_prefix("a/"):
        assert_type(pairs, list[KVPair])
    assert_type(c.watch(c.kv.keys, "a/", separator="/"), Watch[list[str]])
    assert_type(await anext(c.watch(c.kv.get, "k")), KVPair | None)
    cursor = Cursor(wait=30)
    await c.kv.get("k", cursor=cursor)
    assert_type(cursor.index, int | None)
    assert_type(cursor.meta, QueryMeta)

    c.watch(c.kv.keys, 5)  # type: ignore[arg-type]
    c.watch(c.kv.get)  # type: ignore[call-arg]
    c.watch(c.kv.get("k"))  # type: ignore[arg-type]


def clients(settings: ConsulSettings, transport: httpx.AsyncBaseTransport) -> None:
    assert_type(ConsulClient.from_env(timeout=5), ConsulClient)
    ConsulClient("consul:8500", token=SecretStr("t"), consistency="stale", gzip=True)
    ConsulClient(token=TokenFile("/run/token"), settings=settings, transport=transport)
    c = ConsulClient(layers=[Retry(attempts=5), Breaker(failures=3), Limit(plain=8)])
    assert_type(c.using(datacenter="dc2", consistency=Consistency.STALE, token=None), ConsulClient)
    assert_type(c.using(failover=["dc2", "dc3"], retry=False), ConsulClient)
    assert_type(c.circuits, Mapping[str, Circuit])
    assert_type(c.statistics().circuits["consul.default"].state, CircuitState)
    httpx.AsyncClient(transport=stack(httpx.AsyncHTTPTransport(), [Retry(), WholeBody()]))

    ConsulClient(adress="consul")  # type: ignore[call-arg]
    ConsulClient("consul", "token")  # type: ignore[call-arg]
    ConsulClient(token=b"t")  # type: ignore[arg-type]
    ConsulClient(timeout="5")  # type: ignore[arg-type]
    ConsulClient(layers=[Retry])  # type: ignore[list-item]
    Retry(attempts="3")  # type: ignore[arg-type]
    c.using(dc="dc2")  # type: ignore[call-arg]


async def raw(c: ConsulClient) -> None:
    answer = await c.request("GET", "/v1/agent/self", params={"a": True, "b": ["c", "d"], "e": 5})
    assert_type(answer, Answer)
    assert_type(answer.parse(dict[str, Limits]), dict[str, Limits])
    assert_type(answer.json(), Any)
    await c.request("PUT", "/v1/agent/reload", json={"a": 1}, safety=Safety.IDEMPOTENT)

    await c.request("PUT", "/v1/x", safety="safe")  # type: ignore[arg-type]
    await c.request("PUT", "/v1/x", params={"a": 1.5})  # type: ignore[dict-item]


def errors(error: Exception) -> None:
    match error:
        case TransactionError():
            assert_type(error.errors, tuple[OperationError, ...])
        case ConsulStatusError():
            assert_type((error.status, error.detail), tuple[int, str])
        case CircuitOpenError():
            assert_type(error.retry_after, float | None)
        case _:
            error.operation  # type: ignore[attr-defined]  # noqa: B018
