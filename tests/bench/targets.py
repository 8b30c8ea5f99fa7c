"""What was meant to be reached, and whether it is."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from tests.bench.bulk import MANY as KEYS
from tests.bench.contestants import FAST, NO_LAYERS, ONEX, PY_CONSUL, REFERENCE
from tests.bench.decoding import ENTRIES, INSTANCES, JSON, SIZES
from tests.bench.measure import Result, Sample, ratio
from tests.bench.start import DEPENDENCIES
from tests.bench.watches import MANY as WATCHES
from tests.bench.watches import SOME

READ: Final = "get from Consul"
STILL: Final = "get from a responder"
LEVELS: Final = (1, 16, 64)


@dataclass(frozen=True)
class Target:
    """That one contestant's figure, as a part of another's in the same rounds, has a bound."""

    figure: str
    what: str
    """What was measured, as its results have it."""
    column: str
    one: str
    other: str
    bound: float
    at_least: bool = False
    than: str | None = None
    """Where the other's figure is of something else: what that is."""

    def reached(self, measured: float) -> bool:
        return measured >= self.bound if self.at_least else measured <= self.bound


@dataclass(frozen=True)
class Outcome:
    """A target and what was measured."""

    figure: str
    wanted: str
    measured: float
    reached: bool


def figures() -> Iterator[Target]:
    for level in LEVELS:
        yield Target(
            f"get, all layers, {level} at once: CPU / {REFERENCE}",
            *(f"{READ}, {level} at once", "CPU", ONEX, REFERENCE),
            0.75 if level == 1 else 0.35,
        )
    for level in LEVELS:
        yield Target(
            f"get, fast, {level} at once: CPU / {PY_CONSUL}",
            *(f"{READ}, {level} at once", "CPU", FAST, PY_CONSUL, 1.0),
        )
    # A call's time at 16 to its time at 64 is the rate at 64 to that at 16.
    yield Target(
        "get, all layers: calls per second at 64 / at 16",
        *(f"{STILL}, 16 at once", "time", ONEX, ONEX, 0.9),
        at_least=True,
        than=f"{STILL}, 64 at once",
    )
    for level in LEVELS:
        yield Target(
            f"get, {level} at once: CPU with all layers / without",
            *(f"{STILL}, {level} at once", "CPU", ONEX, NO_LAYERS, 1.25),
        )
    largest = f"health of {SIZES[-1]:,} entries"
    for column in ("time", "memory"):
        yield Target(f"{largest}: {column} / {JSON}", largest, column, ENTRIES, JSON, 1.4)
    yield Target(f"{largest}, slim: time / {JSON}", largest, "time", INSTANCES, JSON, 0.4)
    tree, many = f"{KEYS:,} keys read", f"{KEYS:,} keys written"
    yield Target(f"{tree}: time / {PY_CONSUL}", tree, "time", ONEX, PY_CONSUL, 0.6)
    yield Target(f"{many}: time / {PY_CONSUL}", many, "time", ONEX, PY_CONSUL, 0.3)
    for number in (1, SOME):
        wake = f"wake-up of a watch, {number} open"
        for column in ("p50", "p99"):
            yield Target(f"{wake}: {column} / {REFERENCE}", wake, column, ONEX, REFERENCE, 1.1)
    idle = f"{WATCHES:,} open watches"
    yield Target(f"{idle}: memory / {REFERENCE}", idle, "memory", ONEX, REFERENCE, 1.25)
    yield Target("import: time / its dependencies", "import", "time", ONEX, DEPENDENCIES, 1.15)
    first = "first get of a process"
    yield Target(f"{first}: time / {REFERENCE}", first, "time", ONEX, REFERENCE, 1.0)


def outcomes(results: Sequence[Result]) -> list[Outcome]:
    """Of the targets that were measured in this run."""
    known = {(row.what, row.name): row.samples for row in results}
    reached = []
    for target in figures():
        one: Sequence[Sample] | None = known.get((target.what, target.one))
        other = known.get((target.than or target.what, target.other))
        if one is not None and other is not None:
            measured = ratio(one, other, target.column)
            wanted = f"{'>=' if target.at_least else '<='} {target.bound:.2f}"
            reached.append(Outcome(target.figure, wanted, measured, target.reached(measured)))
    return reached
