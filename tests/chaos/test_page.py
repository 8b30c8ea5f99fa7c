"""The page "What happens when" says what the table of faults says."""

from __future__ import annotations

from tests.chaos.faults import FAULTS, Ask
from tests.chaos.page import PAGE, longest, page, read

TEXT = PAGE.read_text(encoding="utf-8")
FIGURES = read(TEXT)


def test_the_page_is_written_from_the_table() -> None:
    assert page(FIGURES) == TEXT


def test_no_figure_is_longer_than_the_settings_allow() -> None:
    too_long = {
        (fault.name, ask.value): FIGURES[fault.name, ask]
        for fault in FAULTS
        for ask in Ask
        # A second for a machine that was busy when they were measured.
        if not 0 <= FIGURES[fault.name, ask] <= longest(fault, ask) + 1.0
    }

    assert too_long == {}
