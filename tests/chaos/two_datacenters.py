"""
Two datacenters with ACLs are tormented while clients use both.

Clients of dc1's client agent and of both servers read, write and check-and-set keys of both
datacenters. While only the remote one is at fault, the own one must not be slower or refuse; a read
that may fail over must have its answer, and say from where. While it is dc1 that is gone, which
knows the tokens, valid ones are refused: that must be no wrong answer, and end no watch.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import Final

import anyio

from consul_onex import (
    ConsulClient,
    ConsulError,
    ConsulTimeoutError,
    Cursor,
    PermissionDeniedError,
)
from consul_onex.events import CircuitChanged, Event
from consul_onex.transport import Breaker, Datacenters, Deadline, Events, Layer, Limit, Retry
from tests.chaos.load import (
    CONNECT,
    DEADLINE,
    MARK,
    Audit,
    Line,
    Load,
    Watched,
    layers,
    lines,
    told,
)
from tests.chaos.nemesis import AUTHORITY, HANGS, REMOTE, Torment, rejoined, torment
from tests.support.agents import Guarded
from tests.test_cancellation import sockets_to

__all__ = ["Seen", "report", "run"]

WHERE: Final = "where"
"""A key that says in which datacenter it is."""

STEADY: Final = [f"steady/{number}" for number in range(5)]
"""Keys that are always there."""

EVERY: Final = 0.05
"""Seconds between two calls of those who only look."""

RESET_AFTER: Final = 1.0
PATIENT, IMPATIENT = 1.0, 0.1
"""Seconds of an attempt of those who know that some will hang, and for a short time only."""

ALLOWED: Final = Breaker().failures


@dataclass
class Seen:
    """What came of it."""

    near: Load
    """In the own datacenter."""
    far: Load
    """And in the remote one."""
    story: Torment = field(default_factory=Torment)
    local: list[float] = field(default_factory=list)
    """Seconds of the calls to the own datacenter while at most the remote one was at fault."""
    local_failed: Counter[str] = field(default_factory=Counter)
    """And what those raised that failed."""
    elsewhere: int = 0
    """Reads of the remote datacenter that the own one answered."""
    astray: int = 0
    """Reads that did not say who answered."""
    stranded: Counter[str] = field(default_factory=Counter)
    """What those raised that could have been answered elsewhere."""
    incomplete: int = 0
    """Lists in which something was missing that is always there."""
    refused: int = 0
    """Calls for which a valid token was not good enough."""
    opened: int = 0
    closed: int = 0
    """How often the circuit of the remote datacenter did so."""
    most_in_a_row: int = 0
    """Attempts in a row that nothing came of before it opened."""
    reached: float = math.inf
    """Seconds from when all was well until it was closed and the remote one answered."""
    watch_errors: int = 0
    converged: float = math.inf
    """Seconds from when all was well until the last watch was up to date."""
    leaked: int = 0
    """Tasks and sockets that are left."""
    over: bool = False

    async def keep(self, look: Callable[[], Awaitable[None]]) -> None:
        """Look again and again, until it is over."""
        while not self.over:
            await look()
            await anyio.sleep(EVERY)

    def own_one_well(self) -> bool:
        """Whether the own datacenter is, and has been for so long that no circuit is still open."""
        story, now = self.story, anyio.current_time()
        ended = max(story.ended.get(name, -math.inf) for name in AUTHORITY)
        return story.now not in AUTHORITY and now - ended > 2 * RESET_AFTER

    async def look_near(self, c: ConsulClient) -> None:
        well, started = self.own_one_well(), anyio.current_time()
        error = None
        try:
            await c.kv.get(WHERE)
        except ConsulError as raised:
            error = type(raised).__name__
        if well and self.own_one_well():
            self.local.append(anyio.current_time() - started)
            self.local_failed.update([error] if error is not None else [])

    async def look_anywhere(self, c: ConsulClient) -> None:
        """Read of one datacenter, or else of the other."""
        well, cursor = self.own_one_well(), Cursor()
        try:
            pair = await c.using(datacenter="dc2", failover=["dc1"]).kv.get(WHERE, cursor=cursor)
        except ConsulError as error:
            if well and self.own_one_well():
                self.stranded[type(error).__name__] += 1
            return
        said = cursor.meta.datacenter or ""
        self.elsewhere += said == "dc1"
        self.astray += pair is None or pair.value != said.encode()

    async def look_whole(self, c: ConsulClient) -> None:
        """List what is always there."""
        try:
            pairs = await c.using(consistency="consistent").kv.list("steady/")
        except ConsulError as error:
            self.refused += isinstance(error, PermissionDeniedError)
        else:
            self.incomplete += [pair.key for pair in pairs] != STEADY

    async def look_far(self, c: ConsulClient) -> None:
        """Read of the remote datacenter, one call after the other while it says nothing."""
        silent = 0
        while True:
            try:
                await c.kv.get(WHERE)
            except ConsulTimeoutError:
                silent += 1
                self.most_in_a_row = max(self.most_in_a_row, silent)
            except ConsulError:
                # Not sent; or an error that was there at once, and costs nobody anything.
                return
            else:
                return

    def note(self, event: Event) -> None:
        """Count what the circuit does."""
        if isinstance(event, CircuitChanged):
            self.opened += event.after == "open" and event.before == "closed"
            self.closed += event.after == "closed"


def _directly(seen: Seen) -> list[Layer]:
    """Each call is one attempt."""
    breaker = Breaker(reset_after=RESET_AFTER)
    return [Deadline(DEADLINE), Events(seen.note), Datacenters(), breaker, Limit()]


def _usual() -> list[Layer]:
    # Not the budget: a fault every few seconds for minutes is more than it is meant for.
    retry = Retry(initial=0.1, budget=10**6)
    return [Deadline(DEADLINE), retry, Datacenters(), Breaker(reset_after=RESET_AFTER), Limit()]


async def run(guarded: Guarded, seed: int, seconds: float) -> Seen:
    """Use and torment these datacenters for so long."""
    chance, before = Random(seed), {task.id for task in anyio.get_running_tasks()}
    seen = Seen(Load(), Load())
    dc1, client, dc2 = (agent.url for agent in guarded.agents)
    make = partial(ConsulClient, token=guarded.token, connect_timeout=CONNECT)

    def audited(audits: list[Audit], *urls: str) -> list[ConsulClient]:
        audits += [Audit() for _ in urls]
        return [make(url, layers=layers(one)) for url, one in zip(urls, audits, strict=True)]

    near = audited(seen.near.audits, client, dc1, client)
    contenders = audited(seen.near.patient, client, dc1)
    far = audited(seen.far.audits, client, dc2)
    look_near, look_whole = make(client, layers=_usual()), make(client, layers=_usual())
    look_anywhere = make(client, layers=_usual(), attempt_timeout=PATIENT)
    look_far = make(client, layers=_directly(seen), attempt_timeout=IMPATIENT, datacenter="dc2")
    clients = [*near, *contenders, *far, look_near, look_whole, look_anywhere, look_far]

    token = guarded.token
    watched_near = Watched(client, lambda c: c.kv.watch(MARK), token)
    watched_far = [
        Watched(client, lambda c: c.using(datacenter="dc2").kv.watch(MARK), token),
        Watched(dc2, lambda c: c.kv.watch(MARK), token),
    ]
    nemeses = {name: partial(begin, guarded) for name, begin in (REMOTE | AUTHORITY).items()}
    for key in STEADY:
        await near[0].kv.put(key, b"")
    for datacenter in ("dc1", "dc2"):
        await near[0].using(datacenter=datacenter).kv.put(WHERE, datacenter)

    async with anyio.create_task_group() as watching:
        for one in (watched_near, *watched_far):
            watching.start_soon(one.run)
        async with anyio.create_task_group() as tasks:
            for number, c in enumerate(near):
                tasks.start_soon(seen.near.use, c, seed * 100 + number)
            for number, c in enumerate(far):
                away = c.using(datacenter="dc2")
                tasks.start_soon(seen.far.use, away, seed * 100 + 10 + number)
            for number, c in enumerate(contenders):
                tasks.start_soon(seen.near.contend, c, number)
            for look in (
                partial(seen.look_near, look_near),
                partial(seen.look_whole, look_whole),
                partial(seen.look_anywhere, look_anywhere),
                partial(seen.look_far, look_far),
            ):
                tasks.start_soon(seen.keep, look)
            await seen.near.had.wait()
            await torment(nemeses, partial(rejoined, guarded), chance, seconds, seen.story)
            seen.reached = await _reached(look_far)
            seen.converged = max(
                await told(near[2], [watched_near], b"well"),
                await told(near[2].using(datacenter="dc2"), watched_far, b"well"),
            )
            seen.near.running = seen.far.running = False
            seen.over = True
        await seen.near.audit(near[2])
        await seen.far.audit(near[2].using(datacenter="dc2"))
        watching.cancel_scope.cancel()
    seen.watch_errors = sum(one.errors for one in (watched_near, *watched_far))
    seen.near.settle([*near, *contenders])
    seen.far.settle(far)
    for c in clients:
        await c.aclose()
    await anyio.wait_all_tasks_blocked()
    seen.leaked = len({task.id for task in anyio.get_running_tasks()} - before)
    seen.leaked += sum(sockets_to(agent.port) for agent in guarded.agents)
    return seen


async def _reached(c: ConsulClient) -> float:
    """Seconds until the client reaches its datacenter."""
    started = anyio.current_time()
    with anyio.move_on_after(DEADLINE):
        while True:
            try:
                await c.kv.get(WHERE)
                return anyio.current_time() - started
            except ConsulError:
                await anyio.sleep(EVERY)
    return math.inf


def _ninety_ninth(took: Sequence[float]) -> float:
    return sorted(took)[len(took) * 99 // 100] if took else math.inf


def report(seen: Seen, room: float = 0.0) -> Iterator[Line]:
    """The figures. `room` is how many seconds a busy machine may take longer."""
    faults = len(seen.story.done)
    for where, load in (("own", seen.near), ("remote", seen.far)):
        for name, target, measured, fine in lines(load, faults, room):
            # Nobody contends for a lock in the remote one.
            if load is seen.near or not name.startswith("R6"):
                yield f"{name}, {where} datacenter", target, measured, fine
    failed = sum(seen.local_failed.values())
    asked = len(seen.local)
    yield "R5 local calls while the remote one is at fault", "some", str(asked), asked > 0
    yield "R5 of them failed", "0", _counted(seen.local_failed), failed == 0
    slow = _ninety_ninth(seen.local)
    yield "R5 their 99th percentile, s", "<= 0.1", f"{slow:.3f}", slow <= 0.1 + room
    stranded = sum(seen.stranded.values())
    fled = seen.elsewhere > 0 or not set(seen.story.done) & set(REMOTE)
    yield "R5 reads that were answered elsewhere", "some", str(seen.elsewhere), fled
    yield "R5 reads that were not, and could", "0", _counted(seen.stranded), stranded == 0
    yield "R5 reads that did not say from where", "0", str(seen.astray), seen.astray == 0
    opened, most = seen.opened, seen.most_in_a_row
    hung = seen.story.done.count(HANGS)
    yield "R5 times the circuit opened", f">= {hung}", str(opened), opened >= hung
    yield "R5 attempts before it did", f"<= {ALLOWED}", str(most), most <= ALLOWED
    yield "R5 times it closed again", str(opened), str(seen.closed), seen.closed == opened
    within = RESET_AFTER + 2
    name = "R5 s from when all was well until it had"
    yield name, f"<= {within:g}", f"{seen.reached:.2f}", seen.reached <= within + room
    yield "R2 lists in which something was missing", "0", str(seen.incomplete), not seen.incomplete
    yield "calls refused although the token is valid", "any", str(seen.refused), True
    took = seen.converged
    name = "R10 s from when all was well until the last watch had it"
    yield name, "<= 2", f"{took:.2f}", took <= 2 + room
    yield "R10 errors of watches", "0", str(seen.watch_errors), seen.watch_errors == 0
    leaked = seen.near.leaked + seen.far.leaked + seen.leaked
    yield "R8 places, tasks and sockets leaked", "0", str(leaked), leaked == 0


def _counted(errors: Counter[str]) -> str:
    """How many, and which."""
    which = ", ".join(f"{number} {name}" for name, number in errors.items())
    return which or "0"
