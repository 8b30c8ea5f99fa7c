"""The figures: every one of them is measured by a test, and held against its goal."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.chaos.figures import FIGURES, SOURCES, Seen, lines
from tests.chaos.table import table

ROOT = Path(__file__).parent.parent.parent


def test_each_figure_is_recorded_by_one_of_the_tests_and_no_other_is() -> None:
    recorded = {
        name
        for source in SOURCES
        for name in re.findall(r'record_property\(\s*"([^"]+)"', (ROOT / source).read_text("utf-8"))
    }

    assert recorded == {figure.name for figure in FIGURES}


def test_a_figure_is_met_missed_or_not_measured() -> None:
    seen = {
        "S2 requests to a second origin": [0.0, 1.0, 0.0],
        "S5 growth by a hostile answer, MiB": [3.0, 32.0],
        "R8 calls that were cancelled": [7.0, 10_000.0],
    }

    told = {line[0]: line[1:] for line in lines(seen)}

    assert told["S2 requests to a second origin"] == ("0", "1", False)
    assert told["S5 growth by a hostile answer, MiB"] == ("<= 32", "32", True)
    assert told["R8 calls that were cancelled"] == (">= 10000", "7", False)
    assert told["R9 connections at the agent, half-closed ones too"] == (
        *("<= 150", "not measured", False),
    )


def test_figures_are_in_columns_and_counted() -> None:
    told = [("long, long", "0", "0", True), ("short", "<= 100", "1e+04", False)]

    assert list(table(told)) == [
        "figure      target  measured",
        "long, long       0         0",
        "short       <= 100     1e+04  NOT MET",
        "1 of 2 are met",
    ]


def test_what_a_test_records_is_seen_whether_it_passes_or_not(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest

        @pytest.mark.parametrize("n", [1, 2])
        def test_it(n, record_property):
            record_property("x", n)
            assert n == 1
        """
    )
    seen = Seen()

    pytester.inline_run("-p", "no:randomly", plugins=[seen])

    assert seen.figures == {"x": [1.0, 2.0]}
