"""Sessions, as a real agent answers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import uuid4

import pytest

from consul_onex import BadRequestError, ConsulClient, Cursor
from consul_onex.models.session import SessionEntry
from tests.contract.conftest import Recorder
from tests.support.lossless import lost


@pytest.fixture
async def session(c: ConsulClient) -> AsyncIterator[str]:
    """A session of its own, with everything that one can be given."""
    made = await c.session.create("job", ttl=90, lock_delay=1.5, behavior="delete", node_checks=[])
    yield made
    await c.session.destroy(made)


async def read(c: ConsulClient, session: str) -> SessionEntry:
    entry = await c.session.info(session)
    assert entry is not None
    return entry


async def test_a_session_is_as_it_was_created(c: ConsulClient, session: str) -> None:
    entry = await read(c, session)

    assert (entry.id, entry.name, entry.behavior) == (session, "job", "delete")
    assert (entry.ttl, entry.lock_delay) == (90.0, 1.5)
    assert entry.node_checks == []
    assert entry.create_index == entry.modify_index > 0


async def test_one_that_was_told_nothing_hangs_on_its_node(c: ConsulClient) -> None:
    made = await c.session.create()
    entry = await read(c, made)
    await c.session.destroy(made)

    assert (entry.ttl, entry.lock_delay, entry.behavior) == (0.0, 15.0, "release")
    assert entry.node_checks == ["serfHealth"]


async def test_nothing_that_consul_says_is_lost(c: ConsulClient, session: str) -> None:
    entry = await read(c, session)
    answer = await c.request("GET", f"/v1/session/info/{session}")

    assert lost(answer.json(), [entry]) == []
    assert entry in await c.session.list()
    assert entry in await c.session.node(entry.node)


async def test_what_ended_is_none_and_can_be_ended_again(c: ConsulClient, session: str) -> None:
    assert await c.session.destroy(session) is True
    assert await c.session.destroy(session) is True

    assert await c.session.info(session) is None
    assert await c.session.renew(session) is None
    assert session not in [entry.id for entry in await c.session.list()]


async def test_renewing_gives_the_session_back(c: ConsulClient, session: str) -> None:
    assert await c.session.renew(session) == await read(c, session)


async def test_a_node_that_is_not_there_has_no_sessions(c: ConsulClient) -> None:
    assert await c.session.node(f"nobody-{uuid4().hex}") == []


@pytest.mark.parametrize(
    "wrong",
    [{"ttl": 9}, {"ttl": 86_401}, {"behavior": "explode"}, {"node": "x"}, {"node_checks": ["x"]}],
    ids=str,
)
async def test_what_consul_does_not_take_is_a_bad_request_and_sent_once(
    observed: ConsulClient, recorder: Recorder, wrong: dict[str, object]
) -> None:
    with pytest.raises(BadRequestError):
        await observed.session.create(**wrong)  # type: ignore[arg-type]

    assert len(recorder.requests) == 1


async def test_the_list_can_be_waited_on(observed: ConsulClient, session: str) -> None:
    cursor = Cursor()
    await observed.session.list(cursor=cursor)

    assert cursor.index is not None
    assert cursor.meta.known_leader is True
