"""How the benchmark compares, and what it says of its targets."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.bench.__main__ import STAGES, table, targets
from tests.bench.contestants import ONEX, REFERENCE
from tests.bench.measure import Result, Sample, compared, ratio
from tests.bench.targets import READ, STILL, figures, outcomes


def took(*seconds: float, column: str = "CPU") -> list[Sample]:
    return [{column: one} for one in seconds]


def results(what: str, ours: Sequence[Sample], theirs: Sequence[Sample]) -> list[Result]:
    return list(compared(what, {ONEX: [*ours], REFERENCE: [*theirs]}))


def test_a_ratio_is_the_median_of_those_within_a_round() -> None:
    # Every round of theirs takes twice as long, on a machine that gets slower and slower.
    assert ratio(took(1, 10, 100), took(2, 20, 200), "CPU") == 0.5
    assert ratio(took(1, 1, 9), took(2, 2, 1), "CPU") == 0.5


def test_a_target_is_met_up_to_its_bound() -> None:
    met, missed = (
        outcomes(results(f"{READ}, 16 at once", took(ours), took(100)))[0] for ours in (35, 36)
    )

    assert (met.wanted, met.measured, met.reached) == ("<= 0.35", 0.35, True)
    assert (missed.measured, missed.reached) == (0.36, False)


@pytest.mark.parametrize(("at_64", "reached"), [(1.0, True), (1.25, False)])
def test_what_must_not_fall_is_measured_from_one_level_to_another(
    at_64: float, reached: bool
) -> None:
    rows = [
        *results(f"{STILL}, 16 at once", took(1, column="time"), took(1, column="time")),
        *results(f"{STILL}, 64 at once", took(at_64, column="time"), took(1, column="time")),
    ]
    (flat,) = [one for one in outcomes(without_cpu(rows)) if "per second" in one.figure]

    assert (flat.measured, flat.reached) == (1 / at_64, reached)


def without_cpu(rows: list[Result]) -> list[Result]:
    """Targets of CPU have nothing to say of rows that have none."""
    return [row for row in rows if row.name == ONEX]


def test_of_what_was_not_measured_nothing_is_said() -> None:
    assert outcomes([]) == []
    assert outcomes(results("something else", took(1), took(1))) == []


def test_each_target_has_a_name_of_its_own() -> None:
    names = [target.figure for target in figures()]

    assert len(names) == len(set(names)) > 20


def test_the_tables_have_a_line_for_each_figure() -> None:
    rows = results(f"{READ}, 1 at once", took(0.0005), took(0.001))

    assert targets(rows).splitlines()[1].split()[-4:] == ["<=", "0.75", "0.50", "met"]
    assert "500 us" in table(rows)
    assert "get" in STAGES
