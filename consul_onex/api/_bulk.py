"""Many keys written in few requests."""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any, Final

import anyio
from pydantic import TypeAdapter

from .._call import Safety
from .._json import dumped
from .._path import key_path
from .._values import MAX_BYTES, MAX_OPERATIONS, as_bytes
from .._wire import Wire
from ..errors import (
    ConsulError,
    DecodeError,
    InvalidRequestError,
    OutcomeUnknownError,
    PartlyWrittenError,
)

__all__ = ["Bulk"]

_OPERATION: Final = "kv.put_many"

_RESULT: Final = TypeAdapter(dict[str, Any])

_SURELY_SMALL: Final = MAX_BYTES // 8
"""Bytes of key and value with which no operation is too large, however it is escaped."""

Alone = Callable[[str, bytes], Awaitable[object]]


class Bulk:
    """
    Keys on their way to Consul, in transactions: as many as fit into each, several at once.

    The first failure ends it: what is in flight is waited for, and no more is sent.

    https://developer.hashicorp.com/consul/api-docs/txn#kv-operations
    """

    def __init__(
        self,
        wire: Wire,
        pairs: Mapping[str, bytes | str],
        flags: int,
        progress: Callable[[int, int], None] | None,
    ) -> None:
        self._wire = wire
        options = wire.options
        place = {"Namespace": options.namespace, "Partition": options.partition}
        self._fixed: dict[str, str | int] = {
            name: value for name, value in place.items() if value is not None
        }
        if flags:
            self._fixed["Flags"] = flags
        self._pairs = {_key(key): as_bytes(value) for key, value in pairs.items()}
        self._too_large = {key for key in self._pairs if self._is_too_large(key)}
        for key in self._too_large:
            key_path(key)
        self._progress = progress
        self._written: list[str] = []
        self._unknown: list[str] = []
        self._failure: Exception | None = None

    async def write(self, concurrency: int, alone: Alone) -> None:
        """Write them all; `alone` writes one that no transaction takes."""
        batches = self._batches()

        async def worker() -> None:
            for keys, content in batches:
                await self._write(keys, content, alone)
                if self._failure is not None:
                    return

        async with anyio.create_task_group() as tg:
            for _ in range(concurrency):
                tg.start_soon(worker)
        if self._failure is not None:
            raise self._told(self._failure)

    async def _write(self, keys: list[str], content: bytes | None, alone: Alone) -> None:
        try:
            if content is None:
                await alone(keys[0], self._pairs[keys[0]])
            else:
                await self._wire.write(
                    *(_OPERATION, "PUT", "/v1/txn", _RESULT),
                    json=content,
                    # To set a key twice is the same as once.
                    safety=Safety.IDEMPOTENT,
                )
            self._written += keys
            if self._progress is not None:
                self._progress(len(self._written), len(self._pairs))
        except Exception as error:  # noqa: BLE001
            # Of a task group it would come in a group.
            if isinstance(error, (OutcomeUnknownError, DecodeError)):
                self._unknown += keys
            self._failure = self._failure or error

    def _batches(self) -> Iterator[tuple[list[str], bytes | None]]:
        """The keys of each request, and its body; without one, the key is for `alone`."""
        keys: list[str] = []
        parts: list[bytes] = []
        size = 2
        for key in self._pairs:
            if key in self._too_large:
                yield [key], None
                continue
            part = self._set(key)
            if len(keys) == MAX_OPERATIONS or size + len(part) > MAX_BYTES:
                yield keys, b"[" + b",".join(parts) + b"]"
                keys, parts, size = [], [], 2
            keys.append(key)
            parts.append(part)
            size += len(part) + 1
        if keys:
            yield keys, b"[" + b",".join(parts) + b"]"

    def _is_too_large(self, key: str) -> bool:
        if len(key) + len(self._pairs[key]) < _SURELY_SMALL:
            return False
        return len(self._set(key)) + 2 > MAX_BYTES

    def _set(self, key: str) -> bytes:
        value = base64.b64encode(self._pairs[key]).decode("ascii")
        return dumped({"KV": {"Verb": "set", "Key": key, "Value": value, **self._fixed}})

    def _told(self, failure: Exception) -> Exception:
        if not isinstance(failure, ConsulError) or not (self._written or self._unknown):
            return failure
        done = {*self._written, *self._unknown}
        error = PartlyWrittenError(
            f"{len(self._written)} of {len(self._pairs)} keys were written, and "
            f"{len(self._unknown)} may have been: {failure.args[0]}",
            operation=_OPERATION,
        )
        error.written, error.unknown = tuple(self._written), tuple(self._unknown)
        error.unwritten = tuple(key for key in self._pairs if key not in done)
        error.__cause__ = failure
        return error


def _key(key: str) -> str:
    if not isinstance(key, str) or not key:
        raise InvalidRequestError("a key is text of one character or more", operation=_OPERATION)
    try:
        key.encode("utf-8")
        return key
    except UnicodeEncodeError:
        pass
    raise InvalidRequestError(
        "a key has a lone surrogate, which UTF-8 cannot say", operation=_OPERATION
    )
