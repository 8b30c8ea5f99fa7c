"""From value to value, row by row: what is told of lists, mappings, single things and nothing."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

import anyio.lowlevel
import pytest

from consul_onex import InvalidRequestError, KVPair
from consul_onex.changes import Added, Change, Changed, Changes, Removed, Resync, Snapshot


class Values:
    """A watch that delivers these, of which some came after a break."""

    def __init__(self, *values: Any, breaks_before: int = -1) -> None:
        self.resynchronised = False
        self._values = list(enumerate(values))
        self._breaks_before = breaks_before

    async def __anext__(self) -> Any:
        await anyio.lowlevel.checkpoint()
        if not self._values:
            raise StopAsyncIteration
        number, value = self._values.pop(0)
        self.resynchronised = number == self._breaks_before
        return value


async def told(
    *values: Any, key: Callable[[Any], Hashable] | None = None, breaks_before: int = -1
) -> list[Change[Any]]:
    return [change async for change in Changes(Values(*values, breaks_before=breaks_before), key)]


async def test_the_gone_come_before_the_changed_and_these_before_the_new() -> None:
    one, two, other, three = (
        KVPair(key="1", value=b"a"),
        KVPair(key="2", value=b"a"),
        KVPair(key="2", value=b"b"),
        KVPair(key="3", value=b"a"),
    )

    assert await told([one, two], [three, other]) == [
        Snapshot({"1": one, "2": two}),
        Removed("1", one),
        Changed("2", two, other),
        Added("3", three),
    ]


async def test_a_break_is_told_before_what_it_changed() -> None:
    assert await told(["a"], ["b"], ["c"], breaks_before=1) == [
        Snapshot({"a": "a"}),
        Resync(),
        Removed("a", "a"),
        Added("b", "b"),
        Removed("b", "b"),
        Added("c", "c"),
    ]


async def test_one_thing_is_one_row_and_none_is_none() -> None:
    old, new = KVPair(key="k", value=b"1"), KVPair(key="k", value=b"2")

    assert await told(None, old, new, None) == [
        Snapshot({}),
        Added("k", old),
        Changed("k", old, new),
        Removed("k", new),
    ]


async def test_the_rows_of_a_mapping_go_by_its_names() -> None:
    assert await told({"web": ["a"]}, {"web": ["b"], "db": []}) == [
        Snapshot({"web": ["a"]}),
        Changed("web", ["a"], ["b"]),
        Added("db", []),
    ]


async def test_a_key_function_is_heeded_for_mappings_too() -> None:
    assert await told({"x": (1, "a")}, {"y": (1, "b")}, key=lambda row: row[0]) == [
        Snapshot({1: (1, "a")}),
        Changed(1, (1, "a"), (1, "b")),
    ]


async def test_rows_that_one_key_cannot_tell_apart_are_refused_rather_than_lost() -> None:
    with pytest.raises(InvalidRequestError, match="two rows"):
        await told([(1, "a"), (1, "b")], key=lambda row: row[0])


async def test_after_an_error_it_goes_on_from_what_it_told() -> None:
    changes = Changes[tuple[int, str]](
        Values([(1, "a")], [(1, "b"), (1, "c")], [(1, "d")]), lambda row: row[0]
    )

    assert await anext(changes) == Snapshot({1: (1, "a")})
    with pytest.raises(InvalidRequestError):
        await anext(changes)
    assert await anext(changes) == Changed(1, (1, "a"), (1, "d"))


@pytest.mark.parametrize("value", [[7], 7, [None]])
async def test_rows_without_an_identity_need_a_key_function(value: Any) -> None:
    with pytest.raises(InvalidRequestError, match="key function"):
        await told(value)
