"""Locks: keys that a session holds."""

from __future__ import annotations

import anyio
import pytest

from consul_onex import ConsulClient, InvalidRequestError, InvalidSessionError, KVPair
from tests.contract.conftest import NewSession, Recorder


async def read(c: ConsulClient, key: str) -> KVPair:
    pair = await c.kv.get(key)
    assert pair is not None
    return pair


async def destroy(c: ConsulClient, session: str) -> None:
    await c.request("PUT", f"/v1/session/destroy/{session}")


async def test_a_lock_shows_who_holds_it(
    c: ConsulClient, prefix: str, new_session: NewSession
) -> None:
    session = await new_session()

    got = await c.kv.acquire(prefix + "lock", session, b"mine", flags=2**64 - 1)

    pair = await read(c, prefix + "lock")
    assert got is True
    assert (pair.session, pair.value, pair.flags) == (session, b"mine", 2**64 - 1)
    assert pair.lock_index == 1


async def test_another_session_gets_false_and_changes_nothing(
    c: ConsulClient, prefix: str, new_session: NewSession
) -> None:
    await c.kv.acquire(prefix + "lock", await new_session(), b"mine")
    before = await read(c, prefix + "lock")

    got = await c.kv.acquire(prefix + "lock", await new_session(), b"yours", flags=3)

    assert got is False
    assert await read(c, prefix + "lock") == before


async def test_the_holder_may_acquire_again(
    c: ConsulClient, prefix: str, new_session: NewSession
) -> None:
    session = await new_session()
    await c.kv.acquire(prefix + "lock", session, b"1")
    before = await read(c, prefix + "lock")

    got = await c.kv.acquire(prefix + "lock", session, b"2")

    after = await read(c, prefix + "lock")
    assert got is True
    assert (after.value, after.lock_index) == (b"2", before.lock_index)
    assert after.modify_index > before.modify_index


async def test_one_of_many_at_once_gets_the_lock(
    c: ConsulClient, prefix: str, new_session: NewSession
) -> None:
    sessions = [await new_session() for _ in range(10)]
    got: dict[str, bool] = {}

    async def acquire(session: str) -> None:
        got[session] = await c.kv.acquire(prefix + "lock", session, session)

    with anyio.fail_after(10):
        async with anyio.create_task_group() as tasks:
            for session in sessions:
                tasks.start_soon(acquire, session)

    pair = await read(c, prefix + "lock")
    assert [session for session in sessions if got[session]] == [pair.session] == [pair.text()]


@pytest.mark.parametrize("session", ["1e9c36cc-4d5c-4b0f-8a55-5f0b0f6d1d11", "no-uuid", "a b/c?d"])
async def test_a_session_that_is_not_there_is_an_error(
    c: ConsulClient, prefix: str, session: str
) -> None:
    with pytest.raises(InvalidSessionError) as raised:
        await c.kv.acquire(prefix + "lock", session)

    assert raised.value.operation == "kv.acquire"
    assert await c.kv.get(prefix + "lock") is None


async def test_a_session_that_has_ended_is_an_error(
    c: ConsulClient, prefix: str, new_session: NewSession
) -> None:
    session = await new_session()
    await destroy(c, session)

    with pytest.raises(InvalidSessionError):
        await c.kv.acquire(prefix + "lock", session)


@pytest.mark.parametrize("session", ["", None, "a\nb"])
async def test_a_session_without_an_id_is_refused_before_it_is_sent(
    observed: ConsulClient, recorder: Recorder, session: str
) -> None:
    with pytest.raises(InvalidRequestError, match="session"):
        await observed.kv.acquire("lock", session)
    with pytest.raises(InvalidRequestError, match="session"):
        await observed.kv.release("lock", session)

    assert recorder.requests == []


async def test_release_keeps_value_and_flags(
    c: ConsulClient, prefix: str, new_session: NewSession
) -> None:
    session = await new_session()
    await c.kv.acquire(prefix + "lock", session, b"state", flags=2**64 - 1)

    released = await c.kv.release(prefix + "lock", session)

    pair = await read(c, prefix + "lock")
    assert released is True
    assert (pair.session, pair.value, pair.flags) == (None, b"state", 2**64 - 1)


@pytest.mark.parametrize(
    ("given", "value", "flags"),
    [
        ({"value": b"new"}, b"new", 7),
        ({"value": b""}, b"", 7),
        ({"value": "text"}, b"text", 7),
        ({"flags": 9}, b"state", 9),
        ({"flags": 0}, b"state", 0),
        ({"value": b"new", "flags": 9}, b"new", 9),
        ({"value": b"", "flags": 0}, b"", 0),
    ],
    ids=str,
)
async def test_release_writes_what_it_is_given(
    c: ConsulClient,
    prefix: str,
    new_session: NewSession,
    given: dict[str, object],
    value: bytes,
    flags: int,
) -> None:
    session = await new_session()
    await c.kv.acquire(prefix + "lock", session, b"state", flags=7)

    await c.kv.release(prefix + "lock", session, **given)  # type: ignore[arg-type]

    pair = await read(c, prefix + "lock")
    assert (pair.session, pair.value, pair.flags) == (None, value, flags)


@pytest.mark.parametrize("given", [{}, {"value": b"yours", "flags": 9}], ids=str)
async def test_who_does_not_hold_the_lock_cannot_release_it(
    c: ConsulClient, prefix: str, new_session: NewSession, given: dict[str, object]
) -> None:
    mine, yours = await new_session(), await new_session()
    await c.kv.acquire(prefix + "lock", mine, b"mine")
    before = await read(c, prefix + "lock")

    released = await c.kv.release(prefix + "lock", yours, **given)  # type: ignore[arg-type]

    assert released is False
    assert await read(c, prefix + "lock") == before


@pytest.mark.parametrize("given", [{}, {"value": b"", "flags": 0}], ids=str)
async def test_what_is_not_held_cannot_be_released(
    c: ConsulClient, prefix: str, new_session: NewSession, given: dict[str, object]
) -> None:
    session = await new_session()
    await c.kv.put(prefix + "free", b"v")

    free = await c.kv.release(prefix + "free", session, **given)  # type: ignore[arg-type]
    missing = await c.kv.release(prefix + "missing", session, **given)  # type: ignore[arg-type]

    assert (free, missing) == (False, False)
    assert (await read(c, prefix + "free")).value == b"v"
    assert await c.kv.get(prefix + "missing") is None


async def test_a_released_lock_can_be_taken_at_once(
    c: ConsulClient, prefix: str, new_session: NewSession
) -> None:
    mine, yours = await new_session(LockDelay="60s"), await new_session()
    await c.kv.acquire(prefix + "lock", mine)
    await c.kv.release(prefix + "lock", mine)

    assert await c.kv.acquire(prefix + "lock", yours) is True
    assert (await read(c, prefix + "lock")).lock_index == 2


async def test_the_lock_of_a_session_that_ended_is_held_back_for_its_lock_delay(
    c: ConsulClient, prefix: str, new_session: NewSession
) -> None:
    mine, yours = await new_session(LockDelay="1s"), await new_session()
    await c.kv.acquire(prefix + "lock", mine)
    started = anyio.current_time()
    await destroy(c, mine)

    free = (await read(c, prefix + "lock")).session is None
    got = [await c.kv.acquire(prefix + "lock", yours)]
    with anyio.fail_after(10):
        while not got[-1]:
            await anyio.sleep(0.05)  # nothing tells when it is over
            got.append(await c.kv.acquire(prefix + "lock", yours))

    # Nobody holds it, and yet it is not given.
    assert (free, got[0]) == (True, False)
    assert anyio.current_time() - started > 0.9


async def test_without_lock_delay_it_is_given_at_once(
    c: ConsulClient, prefix: str, new_session: NewSession
) -> None:
    mine, yours = await new_session(LockDelay="0s"), await new_session()
    await c.kv.acquire(prefix + "lock", mine)
    await destroy(c, mine)

    assert await c.kv.acquire(prefix + "lock", yours) is True


async def test_a_session_that_deletes_takes_its_keys_along(
    c: ConsulClient, prefix: str, new_session: NewSession
) -> None:
    session = await new_session(Behavior="delete")
    await c.kv.acquire(prefix + "mine", session)
    await c.kv.put(prefix + "other", b"")

    await destroy(c, session)

    assert await c.kv.keys(prefix) == [prefix + "other"]


async def test_a_lock_keeps_only_other_acquirers_out(
    c: ConsulClient, prefix: str, new_session: NewSession
) -> None:
    session = await new_session()
    await c.kv.acquire(prefix + "lock", session, b"mine")

    await c.kv.put(prefix + "lock", b"overwritten")

    pair = await read(c, prefix + "lock")
    # Still held, but its lock index starts over: it is no fencing token.
    assert (pair.value, pair.session, pair.lock_index) == (b"overwritten", session, 0)


async def test_deleting_a_key_frees_its_lock(
    c: ConsulClient, prefix: str, new_session: NewSession
) -> None:
    await c.kv.acquire(prefix + "lock", await new_session(LockDelay="60s"))

    await c.kv.delete(prefix + "lock")

    assert await c.kv.acquire(prefix + "lock", await new_session()) is True


async def test_a_watch_sees_a_lock_taken_and_freed(
    c: ConsulClient, prefix: str, new_session: NewSession
) -> None:
    session = await new_session()
    await c.kv.put(prefix + "lock", b"state")
    watch = c.kv.watch(prefix + "lock")

    with anyio.fail_after(10):
        before = await anext(watch)
        await c.kv.acquire(prefix + "lock", session)
        held = await anext(watch)
        await c.kv.release(prefix + "lock", session)
        after = await anext(watch)

    assert [pair and pair.session for pair in (before, held, after)] == [None, session, None]
