"""What Go makes of texts and numbers."""

from __future__ import annotations

import pytest

from consul_onex.testing._go import GoError, duration, json_of, quoted, read_duration, read_json

SECOND = 1_000_000_000


@pytest.mark.parametrize(
    ("text", "nanoseconds"),
    [
        ("0", 0),
        ("-0", 0),
        ("1ns", 1),
        ("1.5s", SECOND * 3 // 2),
        (".5s", SECOND // 2),
        ("1h1m1s", 3661 * SECOND),
        ("-1m30s", -90 * SECOND),
        ("+2ms", 2_000_000),
        ("1µs1μs1us", 3_000),
    ],
)
def test_a_duration_is_read(text: str, nanoseconds: int) -> None:
    assert read_duration(text) == nanoseconds


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", 'invalid duration ""'),
        ("-", 'invalid duration "-"'),
        ("soon", 'invalid duration "soon"'),
        ("10", 'missing unit in duration "10"'),
        ("1s5", 'missing unit in duration "1s5"'),
        ("5 s", 'unknown unit " s" in duration "5 s"'),
        ("5x", 'unknown unit "x" in duration "5x"'),
    ],
)
def test_what_is_no_duration_is_refused(text: str, said: str) -> None:
    with pytest.raises(GoError) as raised:
        read_duration(text)

    assert str(raised.value) == f"time: {said}"


@pytest.mark.parametrize(
    ("nanoseconds", "text"),
    [
        (0, "0s"),
        (1, "1ns"),
        (1_500, "1.5µs"),
        (250_000_000, "250ms"),
        (SECOND, "1s"),
        (90 * SECOND, "1m30s"),
        (86_400 * SECOND, "24h0m0s"),
        (-90 * SECOND, "-1m30s"),
        (3 * SECOND // 2, "1.5s"),
    ],
)
def test_a_duration_is_written(nanoseconds: int, text: str) -> None:
    assert duration(nanoseconds) == text


def test_json_is_written_so_that_no_browser_takes_it_for_html() -> None:
    said = json_of({"a": "<&>\u2028ü\udcff"})

    assert said == rb'{"a":"\u003c\u0026\u003e\u2028' + "ü\ufffd".encode() + b'"}'
    assert json_of([1], pretty=True) == b"[\n    1\n]\n"


def test_only_the_first_value_is_read() -> None:
    assert read_json(b' {"a": [1, 2.5, null]} and more') == {"a": [1, 2.5, None]}


def test_what_does_not_show_is_quoted() -> None:
    assert quoted('a"\\\n\x01\x7f\u202e\udcff\U000e0001é') == (
        r'"a\"\\\n\x01\x7f\u202e\xff\U000e0001é"'
    )
