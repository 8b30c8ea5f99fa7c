"""
What the faults of a cluster look like from a client with the settings it has by default.

Each fault of the torments stays for ten seconds and is healed. Meanwhile one client makes every
kind of call, one after the other, and it is written down what they raise and for how long nothing
comes of them. It takes some minutes; `make what-happens` does it, and writes the page from it.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import Final, TypeAlias

import anyio
import anyio.to_thread

from consul_onex import ConsulClient, ConsulError, LockLostError
from consul_onex.recipes import Lock
from consul_onex.transport import Deadline, Layer, Limit
from tests.chaos.nemesis import AUTHORITY, CLUSTER, FORGOTTEN, REMOTE, Undo, healed, rejoined
from tests.support import agents
from tests.support.agents import Cluster, Config, Guarded

__all__ = ["FAULTS", "Met", "Use", "allowed", "measure", "meet", "read", "section"]

STAYS: Final = 10.0
"""Seconds of a fault."""

PAUSE: Final = 0.1
"""Seconds between two calls of a kind."""

REMEMBERING: Final[Config] = {"acl": {"token_ttl": "30s", "policy_ttl": "30s"}}
"""As agents have it by default; those of the torments forget sooner."""

FAULTS: Final = [*CLUSTER, *REMOTE, *AUTHORITY]

AWAY: Final = {*REMOTE, FORGOTTEN}
"""Those that are met by asking the remote datacenter."""


class Use(enum.Enum):
    """What a client does meanwhile."""

    READ = "a read"
    STALE = "a stale read"
    PUT = "a plain put"
    CAS = "a check-and-set"
    WATCH = "a watch"
    LOCK = "a held lock"


@dataclass
class Met:
    """What one use of a client met."""

    errors: set[str] = field(default_factory=set)
    longest: float = 0.0
    """The longest time in seconds for which nothing came of it."""


Figures: TypeAlias = Mapping[tuple[str, Use], Met]
"""By the name of the fault, and what the client was used for."""

# That nothing came of it, and nothing was done.
_NOTHING: Final = {
    "CircuitOpenError",
    "ConsulConnectionError",
    "ConsulTimeoutError",
    "NoLeaderError",
    "ServerError",
}


def allowed(name: str, use: Use) -> set[str]:
    """The errors in which this use of a client may end under that fault."""
    if use is Use.WATCH:
        # It waits for better times.
        return set()
    if use is Use.LOCK:
        return {"LockLostError"}
    errors = set(_NOTHING)
    if use in (Use.PUT, Use.CAS):
        errors.add("OutcomeUnknownError")
    if name in REMOTE:
        errors.add("UnknownDatacenterError")
    if name in AUTHORITY:
        errors.add("PermissionDeniedError")
    return errors


async def meet(
    begin: Callable[[], Undo],
    wait_well: Callable[[], None],
    c: ConsulClient,
    writing: ConsulClient,
    *,
    datacenter: str | None = None,
    stays: float = STAYS,
) -> dict[Use, Met]:
    """
    Use the client while this stays, until all is well and every call has been answered again.

    With a `datacenter`, that one is asked; the lock is of the client's own in any case. `writing`
    is a client that writes what the watch sees; it is closed.
    """
    met = {use: Met() for use in Use}
    there = c.using(datacenter=datacenter)
    numbers = iter(range(10**9))
    stale = there.using(consistency="stale")
    calls: dict[Use, Callable[[], Awaitable[object]]] = {
        Use.READ: lambda: there.kv.get("read"),
        Use.STALE: lambda: stale.kv.get("read"),
        Use.PUT: lambda: there.kv.put("put", str(next(numbers))),
        Use.CAS: lambda: there.kv.put(f"created/{next(numbers)}", b"", cas=0),
    }
    watch = there.kv.watch("news")
    await anext(watch)
    calls[Use.WATCH] = partial(anext, watch)
    holds, well, all_back = anyio.Event(), anyio.Event(), anyio.Event()
    back: set[Use] = set()

    async def write_news() -> None:
        # With no circuit that stays open: it is the watch that is looked at.
        async with writing as other:
            while True:
                with suppress(ConsulError):
                    await other.using(datacenter=datacenter).kv.put("news", str(next(numbers)))
                await anyio.sleep(PAUSE)

    async def keep(use: Use) -> None:
        since = anyio.current_time()
        while True:
            begun_well = well.is_set()
            try:
                await calls[use]()
            except ConsulError as error:
                met[use].errors.add(type(error).__name__)
                await anyio.sleep(PAUSE)
                continue
            met[use].longest = max(met[use].longest, anyio.current_time() - since)
            if begun_well:
                back.add(use)
                if len(back) == len(calls):
                    all_back.set()
            await anyio.sleep(PAUSE)
            since = anyio.current_time()

    async def hold() -> None:
        try:
            async with Lock(c, "lock").acquire() as held:
                holds.set()
                while not all_back.is_set():
                    held.check()
                    await anyio.sleep(PAUSE)
        except LockLostError as error:
            met[Use.LOCK].errors.add(type(error).__name__)

    async with anyio.create_task_group() as holding:
        holding.start_soon(hold)
        await holds.wait()
        undo = await anyio.to_thread.run_sync(begin)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(write_news)
            for use in calls:
                tasks.start_soon(keep, use)
            await anyio.sleep(stays)
            await anyio.to_thread.run_sync(undo)
            await anyio.to_thread.run_sync(wait_well)
            well.set()
            await all_back.wait()
            tasks.cancel_scope.cancel()
    return met


# One attempt, soon given up.
_PLAIN: Final[list[Layer]] = [Deadline(2.0), Limit()]


async def _in_one(results: dict[str, dict[Use, Met]], cluster: Cluster, names: list[str]) -> None:
    """Meet these faults from the client agent of one datacenter."""
    url, chance = cluster.clients[0].url, Random(1)
    for name in names:
        begin = partial(CLUSTER[name], cluster, chance)
        writing = ConsulClient(url, layers=_PLAIN)
        async with ConsulClient(url) as c:
            results[name] = await meet(begin, partial(healed, cluster), c, writing)


async def _in_two(results: dict[str, dict[Use, Met]], guarded: Guarded, names: list[str]) -> None:
    """Meet these faults from the client agent of one of two datacenters."""
    url, token, wait_well = guarded.client.url, guarded.token, partial(rejoined, guarded)
    for name in names:
        begin = partial((REMOTE | AUTHORITY)[name], guarded)
        away = "dc2" if name in AWAY else None
        writing = ConsulClient(url, token=token, layers=_PLAIN)
        async with ConsulClient(url, token=token) as c:
            results[name] = await meet(begin, wait_well, c, writing, datacenter=away)


async def measure() -> Figures:
    """Meet all of them, some at once: it is the waiting that takes two minutes."""
    results: dict[str, dict[Use, Met]] = {}
    ones, twos = list(CLUSTER), [*REMOTE, *AUTHORITY]
    with (
        agents.cluster() as one,
        agents.cluster() as another,
        agents.guarded_datacenters(extra=REMEMBERING) as two,
        agents.guarded_datacenters(extra=REMEMBERING) as two_more,
    ):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_in_one, results, one, ones[::2])
            tasks.start_soon(_in_one, results, another, ones[1::2])
            tasks.start_soon(_in_two, results, two, twos[::2])
            tasks.start_soon(_in_two, results, two_more, twos[1::2])
    figures = {(name, use): met for name, uses in results.items() for use, met in uses.items()}
    for (name, use), met in figures.items():
        if not met.errors <= allowed(name, use):
            raise AssertionError(f"{name}, {use.value}: {met.errors}")
    return figures


# -- the section of the page ----------------------------------------------------------------------

_INTRODUCTION: Final = """\
## What a cluster does

Here real agents were killed and stopped. Each fault stayed for ten seconds, and was healed.
Meanwhile a client with the settings it has by default made every kind of call through a client
agent, again and again: what the calls raised, and the longest time for which nothing came of them.

* A time of half a minute for a fault of ten seconds is the circuit's: five failures open it, and it
  stays so for `Breaker.reset_after`, 30 seconds. Where that is long, set it to less.
* *a held lock* is `Lock` with its usual 15 seconds: what holds it through ten seconds without a
  server would not do so for much longer. An agent that leaves takes the sessions of its node along.
* `PermissionDeniedError` of a token that is valid comes from an agent that could not ask, and
  remembers that for up to 30 seconds. A watch outlives it.
"""

_TABLES: Final = {
    "### One datacenter: three servers and a client agent": list(CLUSTER),
    "### The remote datacenter, asked through the own one": list(REMOTE),
    "### ACLs: the own datacenter knows the tokens": list(AUTHORITY),
}

_ABOUT: Final = {
    "### The remote datacenter, asked through the own one": (
        "The own datacenter notices nothing, and a read with `failover` is answered elsewhere.\n"
        "The lock is in the own one.\n\n"
    ),
    "### ACLs: the own datacenter knows the tokens": (
        "Where the remote datacenter has forgotten them, it is the one that is asked.\n\n"
    ),
}


def section(figures: Figures) -> str:
    """What the page says of clusters."""
    parts = [_INTRODUCTION]
    for head, names in _TABLES.items():
        rows = "".join(f"| {name} | {' | '.join(_cells(name, figures))} |\n" for name in names)
        columns = " | ".join(use.value for use in Use)
        ruler = "---|" * (len(Use) + 1)
        parts.append(f"{head}\n\n{_ABOUT.get(head, '')}| fault | {columns} |\n|{ruler}\n{rows}")
    return "\n".join(parts)


def _cells(name: str, figures: Figures) -> Iterator[str]:
    for use in Use:
        met = figures[name, use]
        errors = ", ".join(f"`{error}`" for error in sorted(met.errors))
        if use is Use.LOCK:
            yield errors or "kept"
        else:
            yield f"{errors or 'nothing'}, {met.longest:.1f} s"


def read(text: str) -> Figures:
    """The figures of a page."""
    return dict(_figures(text))


def _figures(text: str) -> Iterator[tuple[tuple[str, Use], Met]]:
    for line in text.splitlines():
        name, *cells = (cell.strip() for cell in line.strip("|").split("|"))
        if name in FAULTS and len(cells) == len(Use):
            for use, cell in zip(Use, cells, strict=True):
                seconds = re.search(r"(\d+\.\d) s$", cell)
                met = Met(set(re.findall(r"`(\w+)`", cell)), float(seconds[1]) if seconds else 0.0)
                yield (name, use), met
