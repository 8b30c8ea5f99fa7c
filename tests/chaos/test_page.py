"""The page "What happens when" says what the table of faults says."""

from __future__ import annotations

from tests.chaos import clusters
from tests.chaos.faults import FAULTS, Ask
from tests.chaos.page import PAGE, longest, page, read

TEXT = PAGE.read_text(encoding="utf-8")
FIGURES = read(TEXT)
OF_CLUSTERS = clusters.read(TEXT)


def test_the_page_is_written_from_the_table() -> None:
    assert page(FIGURES, OF_CLUSTERS) == TEXT


def test_no_figure_is_longer_than_the_settings_allow() -> None:
    too_long = {
        (fault.name, ask.value): FIGURES[fault.name, ask]
        for fault in FAULTS
        for ask in Ask
        # A second for a machine that was busy when they were measured.
        if not 0 <= FIGURES[fault.name, ask] <= longest(fault, ask) + 1.0
    }

    assert too_long == {}


def test_no_use_of_a_cluster_ended_in_what_it_must_not() -> None:
    wrong = {
        (name, use.value): met.errors - clusters.allowed(name, use)
        for (name, use), met in OF_CLUSTERS.items()
        if not met.errors <= clusters.allowed(name, use)
    }

    assert wrong == {}
    assert len(OF_CLUSTERS) == len(clusters.FAULTS) * len(clusters.Use)


def test_nothing_was_out_for_longer_than_the_fault_the_circuit_and_the_settings_explain() -> None:
    # An attempt that hung, the refusals that an agent remembers, and the circuit on top.
    longest = clusters.STAYS + 8 + 30 + 5

    assert {key: met for key, met in OF_CLUSTERS.items() if met.longest > longest} == {}
