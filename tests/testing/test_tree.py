"""A sorted map, and who hears of a change in it."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from consul_onex.testing._tree import Tree, Undo, Watch

KEYS = st.text("ab/", max_size=5).map(str.encode)


def tree_of(*keys: bytes) -> Tree[bytes]:
    tree: Tree[bytes] = Tree(Undo())
    for key in keys:
        tree.put(key, key)
    return tree


@given(st.lists(st.tuples(KEYS, st.booleans())), KEYS)
def test_it_is_a_map_in_the_order_of_its_keys(
    steps: list[tuple[bytes, bool]], prefix: bytes
) -> None:
    tree, plain = tree_of(), dict[bytes, bytes]()
    for key, there in steps:
        if there:
            tree.put(key, key)
            plain[key] = key
        else:
            tree.delete(key)
            plain.pop(key, None)

    assert list(tree.items()) == sorted(plain)
    assert list(tree.items(prefix)) == sorted(key for key in plain if key.startswith(prefix))
    assert {key: tree.get(key) for key, _ in steps} == {key: plain.get(key) for key, _ in steps}


@given(st.sets(KEYS), st.lists(st.tuples(KEYS, st.booleans())))
def test_what_was_written_can_be_taken_back(
    before: set[bytes], steps: list[tuple[bytes, bool]]
) -> None:
    undo = Undo()
    tree: Tree[bytes] = Tree(undo)
    for key in before:
        tree.put(key, key)

    undo.begin()
    for key, there in steps:
        tree.put(key, b"new") if there else tree.delete(key)
    undo.end(keep=False)

    assert list(tree.items()) == sorted(before)


@given(st.sets(KEYS), KEYS, KEYS, st.booleans())
def test_nobody_misses_a_change(there: set[bytes], seen: bytes, key: bytes, put: bool) -> None:
    tree = tree_of(*there)
    one, below = Watch(), Watch()
    before = tree.get(seen, one), list(tree.items(seen, below))

    tree.put(key, b"new") if put else tree.delete(key)

    after = tree.get(seen), list(tree.items(seen))
    assert one.event.is_set() or before[0] == after[0]
    assert below.event.is_set() or before[1] == after[1]


def test_who_waits_for_what_is_not_there_hears_of_its_neighbours() -> None:
    tree = tree_of(b"app/one", b"app/two", b"far")
    watch = Watch()
    tree.get(b"app/none", watch)

    tree.put(b"far", b"")
    tree.put(b"farther", b"")
    far = watch.event.is_set()
    tree.put(b"app/three", b"")

    assert (far, watch.event.is_set()) == (False, True)


def test_who_waits_for_what_is_there_hears_only_of_that() -> None:
    tree = tree_of(b"app", b"app/one", b"b")
    watch = Watch()
    tree.get(b"app", watch)

    tree.put(b"app/two", b"")
    tree.put(b"apple", b"")
    tree.delete(b"app/one")
    tree.delete(b"b")
    others = watch.event.is_set()
    tree.put(b"app", b"new")

    assert (others, watch.event.is_set()) == (False, True)


def test_a_watch_that_is_closed_hears_nothing() -> None:
    tree = tree_of(b"a")
    watch = Watch()
    tree.get(b"a", watch)

    watch.close()
    tree.put(b"a", b"new")

    assert not watch.event.is_set()
