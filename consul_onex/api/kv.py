"""The key-value store."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any, Final

import anyio
from pydantic import FailFast, TypeAdapter

from .._call import Safety
from .._json import dumped
from .._numbers import count
from .._path import Params, key_path, prefix_path
from .._values import as_bytes, u64
from .._wire import Takes, Wire
from ..errors import InvalidRequestError
from ..models.kv import KVPair
from ..query import Consistency, Cursor
from ..watch import Watch
from ._bulk import Bulk

__all__ = ["KV"]

# Inside the class, `list` is the method of that name.
Pairs = list[KVPair]
Keys = list[str]

_PAIRS: Final = TypeAdapter[list[KVPair]](Annotated[list[KVPair], FailFast()])
_KEYS: Final = TypeAdapter[list[str]](Annotated[list[str], FailFast()])


class KV:
    """
    The key-value store of a datacenter. It is not replicated to others.

    Keys are text and name a path: segments between single slashes. What no URL of Consul's can
    name (`//`, `.` and `..` as segments, a leading slash, characters that do not print) is refused
    with InvalidKeyError before anything is sent. Values are bytes, up to 512 KiB by default; text
    is written as UTF-8.

    https://developer.hashicorp.com/consul/api-docs/kv
    """

    def __init__(
        self,
        wire: Wire,
        *,
        sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
        dice: Callable[[], float] = random.random,
    ) -> None:
        self._wire = wire
        self._sleep = sleep
        self._dice = dice

    # -- read -------------------------------------------------------------------------------------

    async def get(self, key: str, cursor: Cursor | None = None) -> KVPair | None:
        """
        Read one key. None where there is no such key.

        GET /v1/kv/:key
        https://developer.hashicorp.com/consul/api-docs/kv#read-key
        """
        pairs = await self._wire.read("kv.get", key_path(key), _PAIRS, cursor=cursor, missing=[])
        return pairs[0] if pairs else None

    async def list(self, prefix: str = "", cursor: Cursor | None = None) -> Pairs:
        """
        Read every key that starts with a prefix, in the order of their bytes.

        The empty list where there is none, and where the token may read none of them. All of it is
        one answer, of one moment: a large tree as well, which in pieces would take longer.

        GET /v1/kv/:prefix?recurse
        https://developer.hashicorp.com/consul/api-docs/kv#read-key
        """
        return await self._wire.read(
            "kv.list",
            prefix_path(prefix),
            _PAIRS,
            [("recurse", "")],
            cursor=cursor,
            missing=[],
        )

    async def keys(
        self, prefix: str = "", separator: str | None = None, cursor: Cursor | None = None
    ) -> Keys:
        """
        The names of the keys that start with a prefix, without their values.

        With a `separator`, names are cut after its first occurrence behind the prefix: `"/"` lists
        one level, as a directory would. The empty list where there is none.

        GET /v1/kv/:prefix?keys
        https://developer.hashicorp.com/consul/api-docs/kv#read-key
        """
        params: Params = [("keys", "")]
        if separator is not None:
            params.append(("separator", _text("separator", separator)))
        return await self._wire.read(
            "kv.keys", prefix_path(prefix), _KEYS, params, cursor=cursor, missing=[]
        )

    # -- write ------------------------------------------------------------------------------------

    async def put(
        self, key: str, value: bytes | str, flags: int = 0, cas: int | None = None
    ) -> bool:
        """
        Write one key.

        With `cas`, write only if the key's `modify_index` still is that number; 0 means only if
        there is no such key. Returns whether the write happened, which without `cas` it always
        does. Such a write is not repeated when its answer is lost (OutcomeUnknownError): the
        second would fail on the success of the first.

        PUT /v1/kv/:key
        https://developer.hashicorp.com/consul/api-docs/kv#create-update-key
        """
        params = _flags(flags)
        if cas is not None:
            params.append(("cas", str(u64("cas", cas))))
        return await self._wire.verdict(
            "kv.put",
            "PUT",
            key_path(key),
            params,
            content=as_bytes(value),
            safety=Safety.IDEMPOTENT if cas is None else Safety.UNSAFE,
        )

    async def put_json(self, key: str, obj: Any, *, flags: int = 0, cas: int | None = None) -> bool:
        """
        Write one key as JSON: anything pydantic can serialise, its models included.

        As `put` in everything else; `KVPair.json()` and `.parse(T)` read it back.
        """
        return await self.put(key, dumped(obj, "kv.put_json"), flags=flags, cas=cas)

    async def delete(self, key: str, cas: int | None = None) -> bool:
        """
        Delete one key.

        True when it is gone, also when it was not there. With `cas`, delete only if its
        `modify_index` still is that number (above 0), and return whether it is gone.

        DELETE /v1/kv/:key
        https://developer.hashicorp.com/consul/api-docs/kv#delete-key
        """
        params: Params = []
        if cas is not None:
            if cas == 0:
                raise InvalidRequestError(
                    "a delete with cas=0 never deletes", operation="kv.delete"
                )
            params.append(("cas", str(u64("cas", cas))))
        return await self._wire.verdict(
            "kv.delete",
            "DELETE",
            key_path(key),
            params,
            safety=Safety.IDEMPOTENT if cas is None else Safety.UNSAFE,
        )

    async def delete_tree(self, prefix: str, *, everything: bool = False) -> bool:
        """
        Delete every key that starts with a prefix. True, also when there was none.

        A prefix is not a folder: `"app"` takes `"apple"` along, `"app/"` does not. The empty
        prefix is every key there is, and must be confirmed with `everything=True`.

        DELETE /v1/kv/:prefix?recurse
        https://developer.hashicorp.com/consul/api-docs/kv#delete-key
        """
        if prefix == "" and not everything:
            raise InvalidRequestError(
                "the empty prefix deletes every key; say everything=True if that is meant",
                operation="kv.delete_tree",
            )
        return await self._wire.verdict(
            "kv.delete_tree",
            "DELETE",
            prefix_path(prefix),
            [("recurse", "")],
            safety=Safety.IDEMPOTENT,
        )

    # -- locks ------------------------------------------------------------------------------------

    async def acquire(
        self, key: str, session: str, value: bytes | str = b"", *, flags: int = 0
    ) -> bool:
        """
        Lock a key for a session, and write its value (an empty one, where none is given).

        False when another session holds it, or held it until a moment ago (its lock-delay). True
        when this session holds it, also when it did before. InvalidSessionError when the session
        does not exist. Only other acquirers are kept out: a plain put still writes.

        PUT /v1/kv/:key?acquire
        https://developer.hashicorp.com/consul/api-docs/kv#acquire
        """
        params = [("acquire", _text("session", session)), *_flags(flags)]
        return await self._wire.verdict(
            "kv.acquire",
            "PUT",
            key_path(key),
            params,
            content=as_bytes(value),
            safety=Safety.IDEMPOTENT,
        )

    async def release(
        self, key: str, session: str, value: bytes | str | None = None, *, flags: int | None = None
    ) -> bool:
        """
        Unlock a key, if this session holds it. Returns whether it did. It goes before other calls.

        Consul writes the request's body over the value. So, unless given, value and flags are
        read first (consistently, since a server that was just restarted may say that there is no
        such key) and written back as they are.

        PUT /v1/kv/:key?release
        https://developer.hashicorp.com/consul/api-docs/kv#release
        """
        release = ("release", _text("session", session))
        if value is None or flags is None:
            pair = await self._surely(key)
            if pair is None or pair.session != session:
                return False
            value = pair.value if value is None else value
            flags = pair.flags if flags is None else flags
        return await self._wire.verdict(
            "kv.release",
            "PUT",
            key_path(key),
            [release, *_flags(flags)],
            content=as_bytes(value),
            control=True,
        )

    async def _surely(self, key: str) -> KVPair | None:
        """The pair as the leader has it, read as soon as what follows on it would be written."""
        answer = await self._wire.using(consistency=Consistency.CONSISTENT).ask(
            *("kv.get", "GET", key_path(key)),
            safety=Safety.SAFE,
            takes=Takes.READ,
            control=True,
            missing=True,
        )
        pairs = [] if answer.status == 404 else answer.decode(_PAIRS)
        return pairs[0] if pairs else None

    # -- made of the above ------------------------------------------------------------------------

    async def update(self, key: str, change: Callable[[KVPair | None], bytes | str]) -> bytes:
        """
        Change a key by a function of what it holds now, and return the value written.

            await c.kv.update("hits", lambda pair: str(int(pair.text()) + 1 if pair else 1))

        The function gets the pair, or None where there is no such key, and is called anew each
        time another writer was faster, so it should do nothing else. The pair's flags are kept.
        Ends when a write succeeds; bound it with a cancel scope if many compete.
        OutcomeUnknownError when the answer to a write was lost: it may have been applied.
        """
        if not callable(change):
            raise InvalidRequestError("a change is a function", operation="kv.update")
        tries = 0
        while True:
            pair = await self.get(key)
            value = as_bytes(change(pair))
            cas, flags = (pair.modify_index, pair.flags) if pair is not None else (0, 0)
            if await self.put(key, value, flags=flags, cas=cas):
                return value
            # Whoever lost together would otherwise meet again at once.
            await self._sleep(self._dice() * min(0.02 * 2.0**tries, 1.0))
            tries = min(tries + 1, 16)

    async def put_many(
        self,
        pairs: Mapping[str, bytes | str],
        flags: int = 0,
        *,
        concurrency: int = 4,
        progress: Callable[[int, int], None] | None = None,
    ) -> None:
        """
        Write many keys, many in each request: ten times as fast as one by one.

            await c.kv.put_many({f"app/{name}": value for name, value in settings.items()})

        They travel in transactions, `concurrency` of them at a time. Each is carried out as a whole
        or not at all, but not all of them together, nor in any order; a transaction of one's own
        (`c.txn`) does that for as much as fits into one. What does not fit into any goes by `put`.
        Keys are any text, as in a transaction. `progress` is called after each request with the
        number of keys written and of all.

        The first failure ends it: what is in flight is waited for, and nothing more is sent. Where
        keys were, or may have been, written by then, it is a PartlyWrittenError, which names them;
        otherwise what failed. To write them again does no harm that the first time did not.
        Cancelled, it says nothing: what `progress` was told is written.

        PUT /v1/txn
        https://developer.hashicorp.com/consul/api-docs/txn#create-transaction
        """
        bulk = Bulk(self._wire, pairs, u64("flags", flags), progress)
        await bulk.write(
            count("concurrency", concurrency, setting="concurrency"),
            lambda key, value: self.put(key, value, flags),
        )

    def watch(self, key: str) -> Watch[KVPair | None]:
        """
        Follow one key: its pair now and after each change; None while there is no such key.

            async for pair in c.kv.watch("config/web"):
                ...
        """
        key_path(key)  # a wrong key is better told here than in the loop
        return self._wire.watch(self.get, key)

    def watch_prefix(self, prefix: str) -> Watch[Pairs]:
        """Follow every key that starts with a prefix: all its pairs, now and after each change."""
        prefix_path(prefix)
        return self._wire.watch(self.list, prefix)


def _flags(flags: int) -> Params:
    # 0 is what Consul writes when it is not told.
    return [("flags", str(flags))] if u64("flags", flags) else []


def _text(what: str, text: str) -> str:
    if not isinstance(text, str) or not text or not text.isprintable():
        raise InvalidRequestError(f"a {what} is text of one character or more")
    return text
