"""Keys: read, listed and written."""

from __future__ import annotations

from contextlib import suppress
from typing import Any
from uuid import UUID

from .... import ConsulClient, Cursor, DecodeError, KVPair, OutcomeUnknownError
from ..models.consul import (
    ConsulPayload,
    KVGet,
    KVPut,
    ModelConsulKVGetFoundPayload,
    ModelConsulKVGetNotFoundPayload,
    ModelConsulKVGetRecursePayload,
    ModelConsulKVItem,
    ModelConsulKVPutPayload,
)
from .mixin_consul_initialization import MixinConsulInitialization

__all__ = ["MixinConsulKV"]


class MixinConsulKV(MixinConsulInitialization):
    """Keys, for envelopes and, in the methods without, for code that has no envelope."""

    async def kv_get_raw(self, key: str, correlation_id: UUID | None = None) -> str | None:
        """The text of a key. None where there is no such key."""
        return (await self.kv_get_with_modify_index(key, correlation_id))[0]

    async def kv_get_with_modify_index(
        self, key: str, correlation_id: UUID | None = None
    ) -> tuple[str | None, int]:
        """The text of a key, and the index to write it with; None and 0 where there is none."""
        with self.operation("consul.kv_get", correlation_id) as client:
            pair = await client.kv.get(key)
            return (None, 0) if pair is None else (pair.text(), pair.modify_index)

    async def kv_put_raw_with_cas(
        self, key: str, value: str, cas: int, correlation_id: UUID | None = None
    ) -> bool:
        """Write a key if its index still is `cas`, or with 0 if it is not there; whether it was."""
        with self.operation("consul.kv_put", correlation_id) as client:
            return await _put(client, key, value, cas=cas)

    async def kv_get_recurse(
        self, prefix: str, correlation_id: UUID | None = None
    ) -> list[dict[str, Any]]:
        """Every key that begins so, each with `key`, `value` and `modify_index`."""
        with self.operation("consul.kv_get", correlation_id) as client:
            pairs = await client.kv.list(prefix)
        return [
            {"key": pair.key, "value": _text(pair), "modify_index": pair.modify_index}
            for pair in pairs
        ]

    async def _kv_get(self, client: ConsulClient, request: KVGet) -> ConsulPayload:
        cursor = Cursor()
        if request.recurse:
            pairs = await client.kv.list(request.key, cursor)
        else:
            pair = await client.kv.get(request.key, cursor)
            pairs = [pair] if pair is not None else []
        index = cursor.meta.index or 0
        items = [
            ModelConsulKVItem(
                key=pair.key,
                value=_text(pair),
                raw=pair.value,
                flags=pair.flags,
                modify_index=pair.modify_index,
            )
            for pair in pairs
        ]
        if not items:
            return ModelConsulKVGetNotFoundPayload(key=request.key, index=index)
        if not request.recurse:
            return ModelConsulKVGetFoundPayload(**dict(items[0]), index=index)
        return ModelConsulKVGetRecursePayload(
            found=True, items=items, count=len(items), index=index
        )

    async def _kv_put(self, client: ConsulClient, request: KVPut) -> ConsulPayload:
        value = request.value.get_secret_value()
        done = await _put(client, request.key, value, flags=request.flags, cas=request.cas)
        return ModelConsulKVPutPayload(success=done, key=request.key)


def _text(pair: KVPair) -> str | None:
    with suppress(DecodeError):
        return pair.text()
    return None


async def _put(
    client: ConsulClient, key: str, value: str, *, flags: int = 0, cas: int | None
) -> bool:
    try:
        return await client.kv.put(key, value, flags=flags, cas=cas)
    except OutcomeUnknownError:
        # A second check-and-set would fail on the success of the first. What is there tells.
        pair = await client.kv.get(key) if cas is not None else None
        if pair is None or pair.modify_index <= (cas or 0) or pair.value != value.encode():
            raise
        return True
