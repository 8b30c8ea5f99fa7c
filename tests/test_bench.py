"""How the benchmark compares, and what it says of its targets."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import pytest

from consul_onex import ConsulClient
from consul_onex.transport._connection import HTTP
from tests.bench.__main__ import ALL, PARTS, STAGES, table, targets
from tests.bench.contestants import (
    GO,
    KEY,
    ONEX,
    REFERENCE,
    VALUE,
    Elsewhere,
    Setting,
    contestants,
    elsewhere,
    present,
)
from tests.bench.measure import Result, Sample, burst, compared, ratio
from tests.bench.profile import WHOLE, parts, ways
from tests.bench.responder import NGINX, responder
from tests.bench.targets import READ, STILL, figures, outcomes

asyncio_only = pytest.mark.parametrize("anyio_backend", ["asyncio"])

A_PROGRAM = """
import sys
print("this", flush=True)
for line in sys.stdin:
    what, level, seconds = line.split()
    print(level, seconds if what == "put" else 7, flush=True)
"""


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


def test_each_stage_measures_something() -> None:
    assert set(STAGES) == {stage for wanted_by, _ in PARTS for stage in wanted_by}


@pytest.mark.parametrize("nginx", sorted({None, NGINX}, key=str))
async def test_the_responder_answers_as_consul_does(nginx: str | None) -> None:
    with responder(nginx) as url:
        async with ConsulClient(url) as c:
            pair = await c.kv.get(KEY)

            assert pair is not None
            assert (pair.key, pair.value) == (KEY, VALUE)
            assert await c.kv.put(KEY, VALUE)


# py-consul has yet to heed it.
@pytest.mark.filterwarnings("ignore:ssl_context is deprecated:DeprecationWarning")
@asyncio_only
async def test_every_contestant_reads_and_writes() -> None:
    with responder() as url:
        async with contestants(Setting(url), *ALL) as them:
            for one in them:
                assert await one.get()
                assert await one.put()


@asyncio_only
@pytest.mark.parametrize("http", ["h11", "fast"])
async def test_every_way_down_reads_again_and_again(http: HTTP) -> None:
    with responder() as url:
        async with ways(Setting(url), http) as them:
            for one in them:
                await one.get()
                await one.get()


def test_a_part_is_what_a_way_takes_beyond_the_one_before() -> None:
    samples = parts({"network": took(1, 2), "parser": took(3, 3), "layers": took(4, 8)})

    assert samples == {
        "network": took(1, 2),
        "parser": took(2, 1),
        "layers": took(1, 5),
        WHOLE: took(4, 8),
    }


async def test_what_another_process_does_is_measured_there() -> None:
    async with elsewhere("Stranger", [sys.executable, "-c", A_PROGRAM]) as one:
        assert one.name == "Stranger, this"
        assert isinstance(one.get, Elsewhere)
        assert await burst(one.get, 16, 0.5) == {"CPU": 16, "time": 7}
        assert await burst(one.put, 1, 0.5) == {"CPU": 1, "time": 0.5}


def test_who_is_not_installed_takes_no_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")

    assert present(ONEX, GO) == [ONEX]
