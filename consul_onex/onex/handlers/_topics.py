"""
Which node subscribes to which topic, kept both ways round.

    onex/nodes/<node>/event_bus/subscribe_topics    what a node subscribes to, as names
    onex/nodes/<node>/event_bus/publish_topics
    onex/nodes/<node>/event_bus/subscribe_entries   the same with all that was said of each
    onex/nodes/<node>/event_bus/publish_entries
    onex/topics/<topic>/subscribers                 who subscribes to it: node ids, sorted

Both sides change in one transaction, which is tried anew where another writer was faster.
"""

from __future__ import annotations

import json
import random
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Final

import anyio

from ... import ConsulClient, DecodeError, KVPair, OutcomeUnknownError, TransactionError
from .._translate import CORRELATION, context_of
from ..errors import InfraConsulError
from .models.consul import ModelNodeEventBusConfig

__all__ = ["NOTHING", "TopicIndex", "entries_of"]

Entries = Mapping[str, str | None]
"""What the keys of a node hold, by their last segment; None is a key that is not there."""

_NAMES: Final = ("subscribe_topics", "publish_topics", "subscribe_entries", "publish_entries")
NOTHING: Final[Entries] = dict.fromkeys(_NAMES)

_TRIES: Final = 40
_AT_ONCE: Final = 60
"""So many topics in one transaction, which has 64 places, four of them for the node's keys."""


def entries_of(config: ModelNodeEventBusConfig) -> Entries:
    """What the keys of a node hold for this configuration."""
    found: dict[str, str] = {}
    for kind, entries in (
        ("subscribe", config.subscribe_topics),
        ("publish", config.publish_topics),
    ):
        found[f"{kind}_topics"] = json.dumps([entry.topic for entry in entries])
        found[f"{kind}_entries"] = json.dumps([entry.model_dump(mode="json") for entry in entries])
    return found


class TopicIndex:
    """The index, as one operation reads and writes it; its writers take turns by the lock."""

    def __init__(
        self,
        client: ConsulClient,
        lock: anyio.Lock,
        *,
        sleep: Callable[[float], Awaitable[None]] = anyio.sleep,
        dice: Callable[[], float] = random.random,
    ) -> None:
        self._client = client
        self._sleep = sleep
        self._dice = dice
        self._lock = lock

    async def subscribers(self, topic: str) -> list[str]:
        """The ids of the nodes that subscribe to a topic, sorted."""
        return _names(await self._client.kv.get(_topic_key(topic)))

    async def of(self, node: str) -> Entries:
        """What the keys of a node hold now."""
        return {
            name: pair.text() if pair else None for name, pair in (await self._of(node)).items()
        }

    async def write(self, node: str, wanted: Entries) -> tuple[frozenset[str], frozenset[str]]:
        """
        Make the index say this of a node; the topics that came, and those that went.

        InfraConsulError where others wrote all the time, and where a key holds something else than
        a list of names; that is then left alone.
        """
        async with self._lock:
            new = set(json.loads(wanted["subscribe_topics"] or "[]"))
            first: set[str] | None = None
            for attempt in range(_TRIES):
                pairs = await self._of(node)
                old = set(_names(pairs["subscribe_topics"]))
                first = old if first is None else first
                if await self._write_once(node, pairs, wanted, old | new, new):
                    return frozenset(new - first), frozenset(first - new)
                # Whoever lost together would otherwise meet again at once.
                await self._sleep(self._dice() * min(0.01 * 2.0**attempt, 0.2))
        raise InfraConsulError(
            f"the topics of a node could not be written in {_TRIES} attempts: others always were "
            "faster",
            context=context_of("consul.register", CORRELATION.get()),
            consul_key=_node_key(node),
        )

    async def _write_once(
        self,
        node: str,
        pairs: Mapping[str, KVPair | None],
        wanted: Entries,
        topics: set[str],
        subscribed: set[str],
    ) -> bool:
        late: list[tuple[str, str | None, KVPair | None]] = []
        for topic in sorted(topics):
            pair = await self._client.kv.get(_topic_key(topic))
            nodes = set(_names(pair))
            right = nodes | {node} if topic in subscribed else nodes - {node}
            if right != nodes:
                late.append((_topic_key(topic), json.dumps(sorted(right)) if right else None, pair))
        changes, whole = late[:_AT_ONCE], len(late) <= _AT_ONCE
        if whole:
            changes += [(_node_key(node) + name, wanted[name], pairs[name]) for name in _NAMES]
        txn = self._client.txn.begin()
        for key, value, pair in changes:
            if value is None and pair is not None:
                txn.kv.delete_cas(key, pair.modify_index)
            elif value is not None and (pair is None or pair.value != value.encode()):
                txn.kv.cas(key, value, pair.modify_index if pair is not None else 0)
        try:
            if len(txn):
                await txn.commit()
        except TransactionError as error:
            if not all("index is stale" in one.what for one in error.errors):
                raise
            return False
        except OutcomeUnknownError:
            # To look again tells what became of it.
            return False
        return whole

    async def _of(self, node: str) -> dict[str, KVPair | None]:
        folder = _node_key(node)
        found = {pair.key: pair for pair in await self._client.kv.list(folder)}
        return {name: found.get(folder + name) for name in _NAMES}


def _node_key(node: str) -> str:
    return f"onex/nodes/{node}/event_bus/"


def _topic_key(topic: str) -> str:
    return f"onex/topics/{topic}/subscribers"


def _names(pair: KVPair | None) -> list[str]:
    if pair is None:
        return []
    with suppress(DecodeError):
        return pair.parse(list[str])
    # It is somebody else's, or damaged: not ours to write over.
    raise InfraConsulError(
        "Invalid JSON in the topic index: a key does not hold a list of names",
        context=context_of("consul.register", CORRELATION.get()),
        consul_key=pair.key,
    )
