"""
`make what-happens`: write docs/what-happens.md from the table of faults, with what they took here.

Every call of the table is made once, with the settings that a client has by default, many at once:
it is the waiting that takes a minute, and two more for the faults of clusters.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

import anyio

from consul_onex import ConsulClient
from tests.chaos import clusters
from tests.chaos.faults import ATTEMPTS, FAULTS, Ask, Fault, Kind
from tests.chaos.meet import meet

__all__ = ["PAGE", "Figures", "longest", "page", "read"]

PAGE: Final = Path(__file__).parent.parent.parent / "docs" / "what-happens.md"

WAIT: Final = 1.0
"""Seconds of the blocking query's `wait`."""

SECONDS: Final[dict[str | None, float]] = {
    None: 0.0,
    "connect_timeout": 2.0,
    "attempt_timeout": 8.0,
}
"""What an attempt lasts at most, by the setting that ends it: the defaults."""

PAUSES: Final = 3.0
"""Seconds between three attempts: at most 1 and 2."""

Figures = Mapping[tuple[str, Ask], float]

_INTRODUCTION: Final = """\
# What happens when

One row for each fault, and for each kind of call: what the application sees while the fault stays,
and after how many seconds here, with the settings a client has by default (three attempts, 8 s for
each, 2 s for a connection, 30 s for the whole call; the blocking query waited for 1 s). A fault
that is gone by the next attempt is none for a call that is sent again: it has its answer, later.

The same table runs as a test, on asyncio and trio, on new connections and on used ones; a test
also fails when this page differs from it. Written by `make what-happens`.

* *a read* is `c.kv.get(key)`, *a put* `c.kv.put(key, value)`, *a check-and-set*
  `c.kv.put(key, value, cas=7)`, *a blocking query* a read with a cursor.
* `OutcomeUnknownError` means that the write was sent and may have been applied. A plain put is sent
  again first, since twice is the same as once; a check-and-set is not.
* A watch retries by itself, and shows nothing of any of this but a later value.

What whole clusters do to a client is [below](#what-a-cluster-does). `make chaos` does the same in
any order, drawn from a seed, while many clients use them, checks that all they were told is true,
and prints its figures.

An answer may be as large as `max_response_bytes`, unpacked; that is 64 MiB by default, and what is
larger is not read to its end. Nor is JSON decoded that has more than a value for each 8 bytes of
the bound, which is eight million by default. (Consul writes one in ten to twenty bytes, and 16,000
are always decoded.) So 62 MiB of nothing but numbers are refused in the time that counting them
takes. What is decoded takes more than its bytes for a moment: 1,600 for a value, where it is made
to hurt most. Where an agent is not to be trusted with that, set the bound to what the largest
answer there needs.
"""

_HEADS: Final = {
    Kind.ABSENT: "Nothing was sent",
    Kind.LOST: "The request was sent, and the answer is lost",
    Kind.REFUSED: "It was certainly not carried out",
    Kind.REJECTED: "It was refused for good",
    Kind.DAMAGED: "The answer makes no sense",
    Kind.HARMLESS: "Unusual, and no fault",
}

_ABOUT: Final = {
    Kind.ABSENT: "All calls but a blocking query are tried three times.",
    Kind.LOST: "A write may have been applied. The client does not guess.",
    Kind.REFUSED: "All calls but a blocking query are sent three times.",
    Kind.REJECTED: "Sent once.",
    Kind.DAMAGED: "Sent once: the next answer would be as this one. A write may have been applied.",
    Kind.HARMLESS: "The caller notices nothing.",
}


def longest(fault: Fault, ask: Ask) -> float:
    """Seconds until the caller knows, at most, with the settings of the page."""
    attempts = fault.attempts(ask)
    hold = WAIT * 17 / 16 if ask is Ask.BLOCKING and fault.waits_for == "attempt_timeout" else 0.0
    pauses = PAUSES if attempts == ATTEMPTS else 0.0
    return min(30.0, attempts * SECONDS[fault.waits_for] + pauses) + hold


def page(figures: Figures, of_clusters: clusters.Figures) -> str:
    """The whole page."""
    parts = [_INTRODUCTION]
    for kind in Kind:
        rows = [_row(fault, figures) for fault in FAULTS if fault.kind is kind]
        parts.append(
            f"## {_HEADS[kind]}\n\n{_ABOUT[kind]}\n\n"
            f"| fault | {' | '.join(ask.value for ask in Ask)} |\n|---|{'---|' * len(Ask)}\n"
            + "\n".join(rows)
            + "\n"
        )
    parts.append(clusters.section(of_clusters))
    return "\n".join(parts)


def _row(fault: Fault, figures: Figures) -> str:
    cells = (_cell(fault, ask, figures[fault.name, ask]) for ask in Ask)
    return f"| {fault.name} | {' | '.join(cells)} |"


def _cell(fault: Fault, ask: Ask, seconds: float) -> str:
    error = fault.expected(ask)
    return f"{f'`{error.__name__}`' if error is not None else 'its value'}, {seconds:.1f} s"


def read(text: str) -> Figures:
    """The figures of a page."""
    return dict(_figures(text))


def _figures(text: str) -> Iterator[tuple[tuple[str, Ask], float]]:
    names = {fault.name for fault in FAULTS}
    for line in text.splitlines():
        name, *cells = (cell.strip() for cell in line.strip("|").split("|"))
        if name in names and len(cells) == len(Ask):
            for ask, cell in zip(Ask, cells, strict=True):
                found = re.fullmatch(r".*, (\d+\.\d) s", cell)
                yield (name, ask), float(found[1]) if found else -1.0


async def measure() -> Figures:
    """Meet every fault with every call, each with a client and a server of its own."""
    figures: dict[tuple[str, Ask], float] = {}
    places = anyio.Semaphore(16)

    async def one(fault: Fault, ask: Ask) -> None:
        async with places:
            met = await meet(fault, ask, ConsulClient, wait=WAIT)
        expected = fault.expected(ask)
        if type(met.error) is not (expected or type(None)):
            raise AssertionError(f"{fault}, {ask.value}: {met.error!r}")
        figures[fault.name, ask] = met.seconds

    async with anyio.create_task_group() as tasks:
        for fault in FAULTS:
            for ask in Ask:
                tasks.start_soon(one, fault, ask)
    return figures


if __name__ == "__main__":
    PAGE.write_text(page(anyio.run(measure), anyio.run(clusters.measure)), encoding="utf-8")
