"""Consul's durations on the wire, and seconds in Python."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consul_onex._duration import format_duration, parse_duration
from consul_onex.errors import ConsulError, DecodeError


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (10, "10s"),
        (10.0, "10s"),
        (90, "90s"),
        (600, "600s"),
        (1.5, "1500ms"),
        (0.25, "250ms"),
        (0.0011, "1ms"),
        (0.0000001, "1ms"),
        (59.9999, "60000ms"),
    ],
)
def test_seconds_are_written_to_the_millisecond(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@given(st.floats(min_value=0, max_value=9e9))
def test_what_is_written_is_read_as_the_same_time(seconds: float) -> None:
    read = parse_duration(format_duration(seconds))

    assert abs(read - seconds) <= 0.001
    assert (read == 0) is (seconds == 0)


@pytest.mark.parametrize("seconds", [-1, -0.001, math.nan, math.inf, -math.inf, 9.3e9])
def test_what_is_no_span_of_time_is_not_written(seconds: float) -> None:
    with pytest.raises(ConsulError):
        format_duration(seconds)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("", 0),
        ("0", 0),
        ("0s", 0),
        ("10s", 10),
        ("1m30s", 90),
        ("72h", 259_200),
        ("2h45m30.5s", 9930.5),
        ("1.5s", 1.5),
        (".5s", 0.5),
        ("1.s", 1),
        ("200ms", 0.2),
        ("15000ms", 15),
        ("10us", 1e-5),
        ("10µs", 1e-5),
        ("5ns", 5e-9),
        ("-1m30s", -90),
        ("+10s", 10),
    ],
)
def test_a_duration_is_read_as_go_writes_it(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text",
    [
        "10",
        "s",
        "ten s",
        "10 s",
        "10s ",
        "1d",
        "--1s",
        "1s-1s",
        "٣s",
        "1e3s",
        "10S",
        ".s",
        "9223372038s",
        "-3000000h",
        "9" * 400 + "s",
    ],
)
def test_what_is_no_duration_is_a_damaged_answer(text: str) -> None:
    with pytest.raises(DecodeError, match="not a duration"):
        parse_duration(text)


def test_a_long_text_is_quoted_in_part() -> None:
    with pytest.raises(DecodeError) as caught:
        parse_duration("x" * 10_000)

    assert len(str(caught.value)) < 100
