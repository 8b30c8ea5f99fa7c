"""A place in Consul's history: what a read leaves there, and what the next one makes of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import anyio
import pytest

from consul_onex import (
    BadRequestError,
    ClientClosedError,
    ConfigurationError,
    ConsulClient,
    Cursor,
    KVPair,
    NotFoundError,
    QueryMeta,
)
from tests.contract.conftest import Recorder
from tests.support.agents import Agent

# -- rules ---------------------------------------------------------------------------------------


def after(*indexes: int | None) -> Cursor:
    """A cursor that has taken note of answers with these indexes."""
    cursor = Cursor()
    for index in indexes:
        cursor.advance(QueryMeta(index=index))
    return cursor


@pytest.mark.parametrize(
    ("indexes", "index", "moved", "resynchronised"),
    [
        ([7], 7, True, False),
        ([7, 9], 9, True, False),
        ([7, 7], 7, False, False),
        # Waiting beyond 0 would not wait.
        ([0], 1, True, False),
        ([0, 0], 1, False, False),
        # An index that goes back starts over, and the answer after it is where we are.
        ([7, 3], None, True, True),
        ([7, 3, 3], 3, True, False),
        ([7, 0], None, True, True),
        # Nothing to wait beyond.
        ([None], None, True, False),
        ([7, None], None, True, False),
        ([7, None, 9], 9, True, False),
        ([2**64 - 1], 2**64 - 1, True, False),
    ],
)
def test_the_next_read_waits_beyond_the_last_answer(
    indexes: list[int | None], index: int | None, moved: bool, resynchronised: bool
) -> None:
    cursor = after(*indexes)

    assert (cursor.index, cursor.moved, cursor.resynchronised) == (index, moved, resynchronised)


def test_after_a_restart_an_older_history_is_told_and_waited_on() -> None:
    cursor = after(7)
    cursor.restart()
    restarted = cursor.index

    cursor.advance(QueryMeta(index=3))

    # That answer is fresh: there is nothing to start over from.
    assert restarted is None
    assert (cursor.index, cursor.resynchronised, cursor.moved) == (3, True, True)


def test_after_a_restart_a_younger_history_goes_on() -> None:
    cursor = after(7)
    cursor.restart()

    cursor.advance(QueryMeta(index=7))

    assert (cursor.index, cursor.resynchronised) == (7, False)


def test_another_datacenter_has_another_history() -> None:
    cursor = after(7)

    cursor.advance(QueryMeta(index=900, datacenter="dc2"))

    assert (cursor.index, cursor.datacenter) == (900, "dc2")
    assert (cursor.moved, cursor.resynchronised) == (True, True)


@pytest.mark.parametrize("wait", [0, -1, 600.1, float("nan"), float("inf"), "60", None])
def test_a_wait_is_above_0_and_up_to_ten_minutes(wait: Any) -> None:
    with pytest.raises(ConfigurationError, match="wait"):
        Cursor(wait)


@pytest.mark.parametrize(
    ("text", "index"),
    [
        ("5", 5),
        ("0", 0),
        ("18446744073709551615", 2**64 - 1),
        ("18446744073709551616", None),
        ("", None),
        ("abc", None),
        ("-1", None),
        ("+5", None),
        ("5, 6", None),
        ("1_000", None),
        ("1.5", None),
        ("\xb2", None),
        ("9" * 10_000, None),
    ],
    ids=lambda text: ascii(text)[:12],
)
def test_an_index_is_a_number_of_64_bits_or_nothing(text: str, index: int | None) -> None:
    header = (b"X-Consul-Index", text.encode("latin-1"))

    assert QueryMeta.from_headers([header]).index == index


def test_a_garbled_header_hides_no_other() -> None:
    meta = QueryMeta.from_headers(
        [
            (b"x-consul-index", b"nonsense"),
            (b"X-CONSUL-KNOWNLEADER", b"yes"),
            (b"X-Consul-LastContact", b"250"),
            (b"Age", b"7"),
            (b"X-Cache", b"HIT"),
            (b"X-Consul-Effective-Consistency", b"leader"),
            (b"X-Consul-Results-Filtered-By-ACLs", b"true"),
            (b"X-Something-Else", b"\xff"),
        ]
    )

    assert meta == QueryMeta(
        last_contact=0.25,
        cache_age=7.0,
        cache_hit=True,
        effective_consistency="leader",
        filtered_by_acls=True,
    )


# -- on an agent ---------------------------------------------------------------------------------

READS: dict[str, Callable[[ConsulClient, str, Cursor], Awaitable[object]]] = {
    "get": lambda c, prefix, cursor: c.kv.get(prefix + "k", cursor=cursor),
    "list": lambda c, prefix, cursor: c.kv.list(prefix, cursor=cursor),
    "keys": lambda c, prefix, cursor: c.kv.keys(prefix, cursor=cursor),
    "request": lambda c, prefix, cursor: c.request("GET", f"/v1/kv/{prefix}k", cursor=cursor),
}


@pytest.mark.parametrize("name", READS)
async def test_a_read_leaves_its_metadata(c: ConsulClient, prefix: str, name: str) -> None:
    await c.kv.put(prefix + "k", b"v")
    cursor = Cursor()

    with anyio.fail_after(5):
        await READS[name](c, prefix, cursor)

    pair = await c.kv.get(prefix + "k")
    assert pair is not None
    assert cursor.index == cursor.meta.index == pair.modify_index
    assert (cursor.meta.known_leader, cursor.meta.last_contact) == (True, 0.0)
    assert (cursor.meta.datacenter, cursor.meta.cache_hit) == (None, None)
    assert (cursor.moved, cursor.resynchronised) == (True, False)


@pytest.mark.parametrize("name", ["get", "list", "keys"])
async def test_what_is_not_there_can_be_waited_for(
    c: ConsulClient, observed: ConsulClient, recorder: Recorder, prefix: str, name: str
) -> None:
    cursor = Cursor()
    found: list[object] = [await READS[name](observed, prefix, cursor)]
    first = cursor.index

    async def wait_for_it() -> None:
        found.append(await READS[name](observed, prefix, cursor))

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait_for_it)
            await recorder.blocks()
            await c.kv.put(prefix + "k", b"v")

    assert not found[0]
    assert found[1]
    assert first is not None
    assert cursor.index is not None
    assert cursor.index > first >= 1
    assert cursor.moved


async def test_a_wait_that_ends_without_news_says_so(c: ConsulClient, prefix: str) -> None:
    await c.kv.put(prefix + "k", b"v")
    cursor = Cursor(wait=0.2)
    before = await c.kv.get(prefix + "k", cursor=cursor)
    index, started = cursor.index, anyio.current_time()

    with anyio.fail_after(5):
        after_it = await c.kv.get(prefix + "k", cursor=cursor)

    assert anyio.current_time() - started >= 0.2
    assert (after_it, cursor.index, cursor.moved) == (before, index, False)


async def test_without_a_change_the_same_cursor_sends_its_index(
    observed: ConsulClient, recorder: Recorder, prefix: str
) -> None:
    cursor = Cursor(wait=0.05)

    with anyio.fail_after(5):
        for _ in range(3):
            await observed.kv.keys(prefix, cursor=cursor)

    sent = [request.url.params.get("index") for request in recorder.requests]
    assert sent == [None, str(cursor.index), str(cursor.index)]


async def test_an_error_of_the_server_starts_over(agent: Agent, prefix: str) -> None:
    cursor = Cursor()
    async with ConsulClient(agent.url, check_server=False) as c:
        await c.kv.get(prefix + "k", cursor=cursor)
        before = cursor.index

        with anyio.fail_after(5), pytest.raises(BadRequestError):
            await c.using(namespace="team").kv.get(prefix + "k", cursor=cursor)

    assert (before is None, cursor.index) == (False, None)


async def test_an_error_after_waiting_starts_over(c: ConsulClient, prefix: str) -> None:
    cursor = Cursor(wait=0.05)
    await c.kv.get(prefix + "k", cursor=cursor)
    before = cursor.index

    # A raw request has no word for "nothing there": the 404 is raised.
    with anyio.fail_after(5), pytest.raises(NotFoundError):
        await c.request("GET", f"/v1/kv/{prefix}k", cursor=cursor)

    assert (before is None, cursor.index) == (False, None)


async def test_a_closed_client_starts_over(observed: ConsulClient, prefix: str) -> None:
    cursor = Cursor()
    await observed.kv.get(prefix + "k", cursor=cursor)
    await observed.aclose()

    with pytest.raises(ClientClosedError):
        await observed.kv.get(prefix + "k", cursor=cursor)

    assert cursor.index is None


async def test_a_cancelled_read_leaves_the_cursor_where_it_was(
    observed: ConsulClient, recorder: Recorder, prefix: str
) -> None:
    cursor = Cursor()
    await observed.kv.get(prefix + "k", cursor=cursor)
    before = (cursor.index, cursor.meta)
    answers: list[KVPair | None] = []

    async def read() -> None:
        answers.append(await observed.kv.get(prefix + "k", cursor=cursor))

    with anyio.fail_after(5):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(read)
            await recorder.blocks()
            tasks.cancel_scope.cancel()

    assert answers == []
    assert (cursor.index, cursor.meta) == before


async def test_in_the_view_of_a_datacenter_a_cursor_starts_over(
    observed: ConsulClient, recorder: Recorder, prefix: str
) -> None:
    cursor = Cursor()
    await observed.kv.get(prefix + "k", cursor=cursor)

    with anyio.fail_after(5):
        await observed.using(datacenter="dc1").kv.get(prefix + "k", cursor=cursor)

    assert recorder.blocking == []
    assert cursor.datacenter == "dc1"
