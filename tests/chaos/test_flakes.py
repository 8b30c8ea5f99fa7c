"""Tests that fail now and then are counted, with what it takes to see it again."""

from __future__ import annotations

from pathlib import Path

from tests.chaos.flakes import run, summary

FLAKY = """
def test_good():
    pass

def test_flaky(pytestconfig):
    print("seed 7: python -m something --seed 7")
    assert pytestconfig.getoption("randomly_seed") != 5
"""


def test_a_run_that_failed_says_how_to_see_it_again(tmp_path: Path) -> None:
    file = tmp_path / "test_it.py"
    file.write_text(FLAKY)
    options = ["--rootdir", str(tmp_path), str(file)]

    good, bad = (run(seed, options) for seed in (4, 5))

    assert (good.tests, good.failed, good.seeds) == (2, [], [])
    assert (bad.tests, bad.seeds) == (2, ["seed 7: python -m something --seed 7"])
    assert ["::test_flaky" in name for name in bad.failed] == [True]
    assert "--randomly-seed=5" in bad.command
    assert summary([good, bad]) == "2 runs, 1 with failures; 4 tests, 1 failed: 25.000 %"


def test_a_run_that_does_not_begin_has_failed() -> None:
    one = run(1, ["--no-such-option"])

    assert one.tests == 0
    assert "no-such-option" in one.failed[0]
