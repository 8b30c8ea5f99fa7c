"""The leader is killed while a client reads and writes: nothing it reports may be wrong."""

from __future__ import annotations

import enum
import itertools
from collections import Counter
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import Any

import anyio
import anyio.abc
import anyio.to_thread
import pytest

from consul_onex import ConsulClient, ConsulError, KVPair, OutcomeUnknownError
from consul_onex.transport import Breaker, Datacenters, Deadline, Events, Layer, Limit, Retry
from tests.support.agents import Cluster

# -- what was reported, and what is true -----------------------------------------------------------


class Report(enum.Enum):
    """What the client said of a check-and-set."""

    APPLIED = "applied"
    NOT_APPLIED = "not applied"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Wrote:
    """A check-and-set of a value that nobody else ever writes, and what was reported of it."""

    value: bytes
    report: Report


@dataclass(frozen=True)
class Found:
    """What a read found; None where there was no such key."""

    value: bytes | None


def first_contradiction(history: Sequence[Wrote | Found]) -> str | None:
    """
    Why the one task that writes this key was told something wrong; None where it was not.

    The key does not exist before. An unknown write may be found to have been applied at any time
    until a later one was reported as applied: then the check of the unknown one can no longer
    hold.
    """
    may_hold: set[bytes | None] = {None}
    pending: set[bytes | None] = set()
    for step, entry in enumerate(history):
        match entry:
            case Wrote(value, Report.APPLIED):
                may_hold, pending = {value}, set()
            case Wrote(value, Report.UNKNOWN):
                pending.add(value)
            case Wrote(_, Report.NOT_APPLIED):
                pass
            case Found(value) if value in may_hold | pending:
                may_hold = {value}
                pending.discard(value)
            case Found(value):
                allowed = sorted(map(str, may_hold | pending))
                return f"step {step}: found {value!r}, where only {allowed} can be"
    return None


APPLIED, NOT_APPLIED, UNKNOWN = Report.APPLIED, Report.NOT_APPLIED, Report.UNKNOWN


@pytest.mark.parametrize(
    "history",
    [
        [],
        [Found(None)],
        [Wrote(b"1", APPLIED), Found(b"1")],
        [Wrote(b"1", NOT_APPLIED), Found(None)],
        [Wrote(b"1", UNKNOWN), Found(None)],
        [Wrote(b"1", UNKNOWN), Found(b"1")],
        # It took its time.
        [Wrote(b"1", UNKNOWN), Found(None), Found(b"1")],
        [Wrote(b"1", UNKNOWN), Wrote(b"2", NOT_APPLIED), Found(b"1")],
        [Wrote(b"1", UNKNOWN), Wrote(b"2", APPLIED), Found(b"2")],
        [Wrote(b"1", APPLIED), Wrote(b"2", APPLIED), Found(b"2")],
        [Wrote(b"1", APPLIED), Wrote(b"2", NOT_APPLIED), Found(b"1")],
        [Wrote(b"1", UNKNOWN), Wrote(b"2", UNKNOWN), Found(b"2")],
    ],
)
def test_a_true_history_is_taken(history: list[Wrote | Found]) -> None:
    assert first_contradiction(history) is None


@pytest.mark.parametrize(
    "history",
    [
        # Said to be there, and is not.
        [Wrote(b"1", APPLIED), Found(None)],
        [Wrote(b"1", APPLIED), Wrote(b"2", APPLIED), Found(b"1")],
        # Said not to be there, and is: what a write that is repeated after a lost answer reports.
        [Wrote(b"1", NOT_APPLIED), Found(b"1")],
        [Wrote(b"1", APPLIED), Wrote(b"2", NOT_APPLIED), Found(b"2")],
        [Wrote(b"1", UNKNOWN), Wrote(b"2", NOT_APPLIED), Found(b"2")],
        # It was there, and is gone again.
        [Wrote(b"1", UNKNOWN), Found(b"1"), Found(None)],
        # Came late, over a write that its check should have seen.
        [Wrote(b"1", UNKNOWN), Wrote(b"2", APPLIED), Found(b"1")],
        [Wrote(b"1", APPLIED), Found(b"somebody else's")],
    ],
)
def test_a_wrong_report_is_found(history: list[Wrote | Found]) -> None:
    assert first_contradiction(history) is not None


# -- the load --------------------------------------------------------------------------------------

# A failover takes about 3 s here. For the first of them each try fails at once, so there must be
# many, soon and spread out; then the servers hold the tries until there is a new leader. Who pauses
# when it is there is late by what is left of the pause, so none is longer than half a second.
BUDGET = 10.0
PATIENT: list[Layer] = [
    Deadline(BUDGET),
    Events(),
    Retry(attempts=30, initial=0.1, max=0.5, budget=5000),
    Datacenters(),
    # An election in progress does not open it.
    Breaker(),
    # Who waits for a place may do so as long as the call may take.
    Limit(plain=100, max_wait=BUDGET),
]

READS_A_SECOND = 100
CREATES_A_SECOND = 10
REPLACERS = 5
REPLACES_A_SECOND = 2  # each of them
BEFORE = AFTER = 2.0  # seconds of load before the kill, and with the new leader


@dataclass
class Load:
    """Reads, creations and replacements, and what became of them."""

    c: ConsulClient
    reads: int = 0
    failed_reads: list[ConsulError] = field(default_factory=list)
    wrong_reads: list[bytes | None] = field(default_factory=list)
    slowest_read: float = 0.0
    histories: dict[str, list[Wrote | Found]] = field(default_factory=dict)
    running: bool = True

    async def run(self) -> None:
        """Until `running` is False, and everything in flight has ended."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._every, 1 / READS_A_SECOND, self._read, tasks)
            tasks.start_soon(self._every, 1 / CREATES_A_SECOND, self._create, tasks)
            for number in range(REPLACERS):
                tasks.start_soon(self._replace, f"replaced/{number}")

    async def _every(
        self,
        seconds: float,
        call: Callable[[int], Coroutine[Any, Any, None]],
        tasks: anyio.abc.TaskGroup,
    ) -> None:
        """Start a call so often, whether the ones before have ended or not: that is pacing."""
        started = anyio.current_time()
        for number in itertools.count():
            if not self.running:
                return
            tasks.start_soon(call, number)
            await anyio.sleep(max(0.0, started + (number + 1) * seconds - anyio.current_time()))

    async def _read(self, _: int) -> None:
        started = anyio.current_time()
        self.reads += 1
        try:
            value = value_of(await self.c.kv.get("read"))
        except ConsulError as error:
            self.failed_reads.append(error)
            return
        self.slowest_read = max(self.slowest_read, anyio.current_time() - started)
        if value != b"constant":
            self.wrong_reads.append(value)

    async def _create(self, number: int) -> None:
        await self._check_and_set(f"created/{number}", b"mine", cas=0)

    async def _replace(self, key: str) -> None:
        fresh = self.c.using(consistency="consistent")
        for number in itertools.count():
            if not self.running:
                return
            await anyio.sleep(1 / REPLACES_A_SECOND)
            try:
                pair = await fresh.kv.get(key)
            except ConsulError as error:
                self.failed_reads.append(error)
                continue
            self._history(key).append(Found(value_of(pair)))
            cas = pair.modify_index if pair is not None else 0
            await self._check_and_set(key, str(number).encode(), cas=cas)

    async def _check_and_set(self, key: str, value: bytes, *, cas: int) -> None:
        try:
            report = APPLIED if await self.c.kv.put(key, value, cas=cas) else NOT_APPLIED
        except OutcomeUnknownError:
            report = UNKNOWN
        except ConsulError:
            # Every other error says that nothing was written.
            report = NOT_APPLIED
        self._history(key).append(Wrote(value, report))

    async def audit(self) -> None:
        """See what is there in the end."""
        fresh = self.c.using(consistency="consistent")
        pairs = [*await fresh.kv.list("created/"), *await fresh.kv.list("replaced/")]
        there = {pair.key: pair.value for pair in pairs}
        for key, history in self.histories.items():
            history.append(Found(there.get(key)))

    @property
    def reports(self) -> Counter[Report]:
        """How often what was reported."""
        entries = itertools.chain.from_iterable(self.histories.values())
        return Counter(entry.report for entry in entries if isinstance(entry, Wrote))

    def _history(self, key: str) -> list[Wrote | Found]:
        return self.histories.setdefault(key, [])


def value_of(pair: KVPair | None) -> bytes | None:
    return pair.value if pair is not None else None


async def test_losing_the_leader_fails_no_read_and_reports_no_write_wrongly(
    cluster: Cluster, record_property: Callable[[str, object], None]
) -> None:
    outage = 0.0

    async with ConsulClient(cluster.clients[0].url, layers=PATIENT, timeout=BUDGET) as c:
        load = Load(c)
        await c.kv.put("read", b"constant")

        with anyio.fail_after(90):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(load.run)
                await anyio.sleep(BEFORE)
                leader = await anyio.to_thread.run_sync(cluster.leader)
                await anyio.to_thread.run_sync(leader.kill)
                killed_at = anyio.current_time()
                await anyio.to_thread.run_sync(cluster.wait_leader)
                outage = anyio.current_time() - killed_at
                await anyio.sleep(AFTER)
                load.running = False
            await load.audit()
        statistics = c.statistics()

    print(
        f"\nno leader for {outage:.1f} s: {load.reads} reads, {len(load.failed_reads)} failed, "
        f"slowest {load.slowest_read:.1f} s; CAS: "
        + ", ".join(f"{load.reports[report]} {report.value}" for report in Report)
        + f"; {statistics.retry}"
    )
    share = 100 * (1 - len(load.failed_reads) / load.reads)
    record_property("R3 reads that succeeded although the leader was killed, %", share)
    record_property("R3 slowest read, s beyond the election", load.slowest_read - outage)
    assert load.failed_reads == []
    assert load.wrong_reads == []
    wrong = {key: first_contradiction(history) for key, history in load.histories.items()}
    assert {key: why for key, why in wrong.items() if why is not None} == {}
    # There was something to get wrong.
    assert load.reads >= 3 * READS_A_SECOND
    assert load.reports[APPLIED] >= 40
    assert statistics.retry is not None
    assert statistics.retry.retries > 0
