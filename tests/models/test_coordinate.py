"""How far it is from one coordinate to another."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consul_onex import InvalidRequestError
from consul_onex.models.coordinate import Coordinate, CoordinateEntry


def coordinate(*vec: float, height: float = 0.0, adjustment: float = 0.0) -> Coordinate:
    return Coordinate(vec=list(vec), error=1.5, adjustment=adjustment, height=height)


@pytest.mark.parametrize(
    ("one", "other", "seconds"),
    [
        (coordinate(0, 0, 0), coordinate(0, 0, 0), 0.0),
        (coordinate(0.3, 0, 0), coordinate(0, 0.4, 0), 0.5),
        # Each node's way to the network, both times.
        (coordinate(0, height=0.01), coordinate(0, height=0.02), 0.03),
        (coordinate(1, height=0.1), coordinate(2, height=0.2), 1.3),
        # What nodes have learnt to add, or to take away.
        (coordinate(1, adjustment=0.25), coordinate(2, adjustment=0.25), 1.5),
        (coordinate(1, adjustment=-0.25), coordinate(2, adjustment=-0.25), 0.5),
        # But never so much that nothing is left.
        (coordinate(1, adjustment=-0.5), coordinate(2, adjustment=-0.5), 1.0),
        (coordinate(1, adjustment=-2), coordinate(2, adjustment=0.5), 1.0),
        (coordinate(1, height=0.1, adjustment=-2), coordinate(2, height=0.2), 1.3),
    ],
)
def test_a_distance_is_in_seconds(one: Coordinate, other: Coordinate, seconds: float) -> None:
    assert one.distance_to(other) == pytest.approx(seconds)
    assert other.distance_to(one) == pytest.approx(seconds)


FINITE = st.floats(-1e6, 1e6)
COORDINATES = st.builds(
    lambda vec, height, adjustment: coordinate(*vec, height=height, adjustment=adjustment),
    st.lists(FINITE, min_size=8, max_size=8),
    st.floats(0, 1e6),
    FINITE,
)


@given(COORDINATES, COORDINATES)
def test_a_distance_is_never_negative_and_the_same_both_ways(
    one: Coordinate, other: Coordinate
) -> None:
    distance = one.distance_to(other)

    assert distance >= 0
    assert math.isfinite(distance)
    assert distance == pytest.approx(other.distance_to(one))


def test_what_has_other_dimensions_has_no_distance() -> None:
    with pytest.raises(InvalidRequestError, match="different dimensions"):
        coordinate(1).distance_to(coordinate(1, 2))


@pytest.mark.parametrize("wrong", [math.nan, math.inf])
def test_what_json_cannot_say_is_not_sent(wrong: float) -> None:
    with pytest.raises(InvalidRequestError):
        CoordinateEntry(node="n", coord=coordinate(wrong)).body()
