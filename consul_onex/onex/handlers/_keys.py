"""Keys: read, listed and written."""

from __future__ import annotations

from contextlib import suppress

from ... import ConsulClient, Cursor, DecodeError, KVPair, OutcomeUnknownError
from .models.consul import (
    ConsulPayload,
    KVGet,
    KVPut,
    ModelConsulKVGetFoundPayload,
    ModelConsulKVGetNotFoundPayload,
    ModelConsulKVGetRecursePayload,
    ModelConsulKVItem,
    ModelConsulKVPutPayload,
)

__all__ = ["get", "put"]


async def get(client: ConsulClient, request: KVGet) -> ConsulPayload:
    """Read a key, or all that begin with it."""
    cursor = Cursor()
    if request.recurse:
        pairs = await client.kv.list(request.key, cursor)
    else:
        pair = await client.kv.get(request.key, cursor)
        pairs = [pair] if pair is not None else []
    index = cursor.meta.index or 0
    items = [_item(pair) for pair in pairs]
    if not items:
        return ModelConsulKVGetNotFoundPayload(key=request.key, index=index)
    if not request.recurse:
        return ModelConsulKVGetFoundPayload(**dict(items[0]), index=index)
    return ModelConsulKVGetRecursePayload(found=True, items=items, count=len(items), index=index)


async def put(client: ConsulClient, request: KVPut) -> ConsulPayload:
    """Write a key. A check-and-set whose answer was lost is looked up."""
    key, cas, value = request.key, request.cas, request.value.get_secret_value()
    try:
        done = await client.kv.put(key, value, flags=request.flags, cas=cas)
    except OutcomeUnknownError:
        # A second check-and-set would fail on the success of the first. What is there tells.
        pair = await client.kv.get(key) if cas is not None else None
        if pair is None or pair.modify_index <= (cas or 0) or pair.value != value.encode():
            raise
        done = True
    return ModelConsulKVPutPayload(success=done, key=key)


def _item(pair: KVPair) -> ModelConsulKVItem:
    text = None
    with suppress(DecodeError):
        text = pair.text()
    return ModelConsulKVItem(
        key=pair.key,
        value=text,
        raw=pair.value,
        flags=pair.flags,
        modify_index=pair.modify_index,
    )
