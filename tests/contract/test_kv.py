"""The key-value store, as a real agent answers."""

from __future__ import annotations

import math
from dataclasses import dataclass

import anyio
import pytest
from pydantic import BaseModel

from consul_onex import (
    BadRequestError,
    ConsulClient,
    DecodeError,
    InvalidRequestError,
    KVPair,
    PayloadTooLargeError,
)
from tests.contract.conftest import Recorder
from tests.support.agents import Agent

KIB = 1024


async def read(c: ConsulClient, key: str) -> KVPair:
    pair = await c.kv.get(key)
    assert pair is not None
    return pair


# -- what is not there ---------------------------------------------------------------------------


async def test_what_is_not_there_is_none_or_empty(c: ConsulClient, prefix: str) -> None:
    assert await c.kv.get(prefix + "nothing") is None
    assert await c.kv.list(prefix) == []
    assert await c.kv.keys(prefix) == []
    assert await c.kv.keys(prefix, separator="/") == []


async def test_deleting_what_is_not_there_is_true(c: ConsulClient, prefix: str) -> None:
    assert await c.kv.delete(prefix + "nothing") is True
    assert await c.kv.delete(prefix + "nothing", cas=7) is True
    assert await c.kv.delete_tree(prefix + "nothing/") is True


# -- many ------------------------------------------------------------------------------------------


async def test_many_keys_are_written_with_their_values_and_flags(
    c: ConsulClient, prefix: str
) -> None:
    pairs = {f"{prefix}{at:03}": f"value {at}".encode() for at in range(150)}
    pairs[prefix + "large"] = bytes(512 * KIB)

    await c.kv.put_many(pairs, flags=7)

    read = await c.kv.list(prefix)
    assert {pair.key: pair.value for pair in read} == pairs
    assert {pair.flags for pair in read} == {7}


async def test_many_keys_need_not_be_such_as_a_url_can_name(c: ConsulClient, prefix: str) -> None:
    await c.kv.put_many({f"{prefix}a//b": "v"})

    assert [pair.key for pair in await c.kv.list(prefix)] == [f"{prefix}a//b"]
    await c.kv.delete_tree(prefix)


# -- values --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "stored"),
    [
        (b"v1", b"v1"),
        ("Grüße, 世界 🎉", "Grüße, 世界 🎉".encode()),
        (b"", b""),
        ("", b""),
        (bytes(range(256)), bytes(range(256))),
        (b"null", b"null"),
        (b"\xef\xbb\xbfbom\r\n", b"\xef\xbb\xbfbom\r\n"),
    ],
    ids=["bytes", "text", "no bytes", "no text", "every byte", "null", "BOM"],
)
async def test_a_value_is_read_as_it_was_written(
    c: ConsulClient, prefix: str, written: bytes | str, stored: bytes
) -> None:
    assert await c.kv.put(prefix + "k", written) is True

    pair = await read(c, prefix + "k")

    assert (pair.key, pair.value) == (prefix + "k", stored)
    assert await c.kv.list(prefix) == [pair]


async def test_a_fresh_pair_has_no_flags_and_no_lock(c: ConsulClient, prefix: str) -> None:
    await c.kv.put(prefix + "k", b"v")

    pair = await read(c, prefix + "k")

    assert (pair.flags, pair.session, pair.lock_index) == (0, None, 0)
    assert pair.create_index == pair.modify_index > 0


@pytest.mark.parametrize("flags", [0, 1, 2**32, 2**53 + 1, 2**64 - 1])
async def test_flags_are_kept_to_the_last_bit(c: ConsulClient, prefix: str, flags: int) -> None:
    await c.kv.put(prefix + "k", b"v", flags=flags)

    assert (await read(c, prefix + "k")).flags == flags


async def test_a_write_without_flags_takes_them_away(c: ConsulClient, prefix: str) -> None:
    await c.kv.put(prefix + "k", b"v", flags=7)

    await c.kv.put(prefix + "k", b"w")

    assert (await read(c, prefix + "k")).flags == 0


async def test_512_kib_are_stored(c: ConsulClient, prefix: str) -> None:
    value = bytes(range(256)) * (512 * KIB // 256)

    await c.kv.put(prefix + "large", value)

    assert (await read(c, prefix + "large")).value == value


async def test_more_is_refused_and_the_old_value_stays(c: ConsulClient, prefix: str) -> None:
    await c.kv.put(prefix + "large", b"old")

    with pytest.raises(PayloadTooLargeError) as raised:
        await c.kv.put(prefix + "large", bytes(600_000))

    assert (raised.value.status, raised.value.operation) == (413, "kv.put")
    assert (await read(c, prefix + "large")).value == b"old"


@pytest.mark.parametrize(
    ("value", "flags", "cas"),
    [
        (b"", -1, None),
        (b"", 2**64, None),
        (b"", True, None),
        (b"", 1.0, None),
        (b"", 0, -1),
        (b"", 0, 2**64),
        (7, 0, None),
        (None, 0, None),
        ("\ud800", 0, None),
    ],
)
async def test_what_cannot_be_written_is_refused_before_it_is_sent(
    observed: ConsulClient, recorder: Recorder, value: bytes, flags: int, cas: int | None
) -> None:
    with pytest.raises(InvalidRequestError):
        await observed.kv.put("never", value, flags=flags, cas=cas)

    assert recorder.requests == []


# -- check and set -------------------------------------------------------------------------------


async def test_cas_0_writes_only_where_there_is_nothing(c: ConsulClient, prefix: str) -> None:
    first = await c.kv.put(prefix + "k", b"first", cas=0)
    second = await c.kv.put(prefix + "k", b"second", cas=0)

    assert (first, second) == (True, False)
    assert (await read(c, prefix + "k")).value == b"first"


async def test_cas_writes_only_over_what_was_read(c: ConsulClient, prefix: str) -> None:
    await c.kv.put(prefix + "k", b"1")
    before = await read(c, prefix + "k")

    first = await c.kv.put(prefix + "k", b"2", cas=before.modify_index)
    second = await c.kv.put(prefix + "k", b"3", cas=before.modify_index)

    after = await read(c, prefix + "k")
    assert (first, second) == (True, False)
    assert (after.value, after.create_index) == (b"2", before.create_index)
    assert after.modify_index > before.modify_index


async def test_cas_of_a_key_that_is_gone_writes_nothing(c: ConsulClient, prefix: str) -> None:
    await c.kv.put(prefix + "k", b"1")
    before = await read(c, prefix + "k")
    await c.kv.delete(prefix + "k")

    assert await c.kv.put(prefix + "k", b"2", cas=before.modify_index) is False
    assert await c.kv.get(prefix + "k") is None


async def test_delete_with_cas_deletes_only_what_was_read(c: ConsulClient, prefix: str) -> None:
    await c.kv.put(prefix + "k", b"1")
    old = await read(c, prefix + "k")
    await c.kv.put(prefix + "k", b"2")
    new = await read(c, prefix + "k")

    assert await c.kv.delete(prefix + "k", cas=old.modify_index) is False
    assert await c.kv.get(prefix + "k") == new
    assert await c.kv.delete(prefix + "k", cas=new.modify_index) is True
    assert await c.kv.get(prefix + "k") is None


async def test_delete_with_cas_0_is_refused_since_it_never_deletes(
    observed: ConsulClient, recorder: Recorder
) -> None:
    with pytest.raises(InvalidRequestError, match="never deletes"):
        await observed.kv.delete("k", cas=0)

    assert recorder.requests == []


# -- trees ---------------------------------------------------------------------------------------


async def test_list_and_keys_are_in_the_order_of_bytes(c: ConsulClient, prefix: str) -> None:
    names = [prefix + name for name in ("a/1", "a/2", "b", "a", "é", "Z", "a.b", "a0")]
    for name in names:
        await c.kv.put(name, name)

    pairs = await c.kv.list(prefix)

    assert [pair.key for pair in pairs] == sorted(names, key=str.encode)
    assert [pair.text() for pair in pairs] == [pair.key for pair in pairs]
    assert await c.kv.keys(prefix) == [pair.key for pair in pairs]


async def test_a_separator_shows_one_level(c: ConsulClient, prefix: str) -> None:
    for name in ("a/1", "a/2", "b", "c/d/e", "a.b"):
        await c.kv.put(prefix + name, b"")

    one_level = await c.kv.keys(prefix, separator="/")
    by_dots = await c.kv.keys(prefix, separator=".")

    assert one_level == [prefix + name for name in ("a.b", "a/", "b", "c/")]
    assert by_dots == [prefix + name for name in ("a.", "a/1", "a/2", "b", "c/d/e")]


async def test_an_empty_separator_is_refused(observed: ConsulClient, recorder: Recorder) -> None:
    with pytest.raises(InvalidRequestError, match="separator"):
        await observed.kv.keys("a/", separator="")

    assert recorder.requests == []


async def test_delete_tree_takes_what_starts_with_the_prefix(c: ConsulClient, prefix: str) -> None:
    for name in ("app", "app/1", "app/2/3", "apple", "ap"):
        await c.kv.put(prefix + name, b"")

    await c.kv.delete_tree(prefix + "app/")
    folder_gone = await c.kv.keys(prefix)
    await c.kv.delete_tree(prefix + "app")
    prefix_gone = await c.kv.keys(prefix)

    assert folder_gone == [prefix + name for name in ("ap", "app", "apple")]
    assert prefix_gone == [prefix + "ap"]


async def test_deleting_everything_must_be_confirmed(
    observed: ConsulClient, recorder: Recorder
) -> None:
    with pytest.raises(InvalidRequestError, match="everything=True"):
        await observed.kv.delete_tree("")

    assert recorder.requests == []


async def test_deleting_a_key_leaves_its_neighbours(c: ConsulClient, prefix: str) -> None:
    for name in ("a", "a/b", "ab"):
        await c.kv.put(prefix + name, b"")

    await c.kv.delete(prefix + "a")

    assert await c.kv.keys(prefix) == [prefix + "a/b", prefix + "ab"]


# -- text, JSON, types ---------------------------------------------------------------------------


class Limits(BaseModel):
    cpu: float
    names: list[str] = []


@dataclass
class Host:
    name: str
    port: int


@pytest.mark.parametrize(
    ("written", "stored"),
    [
        ({"a": [1, None, "ü"]}, {"a": [1, None, "ü"]}),
        (None, None),
        (2**64, 2**64),
        (Limits(cpu=1.5, names=["x"]), {"cpu": 1.5, "names": ["x"]}),
        (Host("web", 80), {"name": "web", "port": 80}),
    ],
    ids=["dict", "null", "large", "model", "dataclass"],
)
async def test_json_is_read_as_it_was_written(
    c: ConsulClient, prefix: str, written: object, stored: object
) -> None:
    await c.kv.put_json(prefix + "k", written, flags=3)

    pair = await read(c, prefix + "k")

    assert (pair.json(), pair.flags) == (stored, 3)


async def test_json_is_read_into_types(c: ConsulClient, prefix: str) -> None:
    await c.kv.put_json(prefix + "limits", Limits(cpu=1.5, names=["x"]))
    await c.kv.put_json(prefix + "host", Host("web", 80))

    limits = (await read(c, prefix + "limits")).parse(Limits)
    host = (await read(c, prefix + "host")).parse(Host)
    plain = (await read(c, prefix + "host")).parse(dict[str, str | int])

    assert (limits, host) == (Limits(cpu=1.5, names=["x"]), Host("web", 80))
    assert plain == {"name": "web", "port": 80}


async def test_put_json_takes_cas(c: ConsulClient, prefix: str) -> None:
    first = await c.kv.put_json(prefix + "k", 1, cas=0)
    second = await c.kv.put_json(prefix + "k", 2, cas=0)

    assert (first, second) == (True, False)
    assert (await read(c, prefix + "k")).json() == 1


@pytest.mark.parametrize(
    "unwritable", [object(), [len], "\ud800"], ids=["object", "function", "surrogate"]
)
async def test_what_is_no_json_is_refused_before_it_is_sent(
    observed: ConsulClient, recorder: Recorder, unwritable: object
) -> None:
    with pytest.raises(InvalidRequestError, match="cannot be written as JSON"):
        await observed.kv.put_json("never", unwritable)

    assert recorder.requests == []


@pytest.mark.parametrize(
    ("value", "type_"),
    [
        (b"", Limits),
        (b"{", Limits),
        (b"{}", Limits),
        (b'{"cpu": "s3cret"}', Limits),
        (b"[1, 2]", dict),
    ],
)
async def test_a_value_that_does_not_fit_says_which_key_and_not_what(
    c: ConsulClient, prefix: str, value: bytes, type_: type[object]
) -> None:
    await c.kv.put(prefix + "k", value)
    pair = await read(c, prefix + "k")

    with pytest.raises(DecodeError) as raised:
        pair.parse(type_)

    assert prefix + "k" in str(raised.value)
    assert "s3cret" not in str(raised.value)
    assert raised.value.__cause__ is raised.value.__context__ is None


@pytest.mark.parametrize("value", [b"", b"{", b"\xff", b"nope"])
async def test_a_value_that_is_no_json_is_a_decode_error(
    c: ConsulClient, prefix: str, value: bytes
) -> None:
    await c.kv.put(prefix + "k", value)
    pair = await read(c, prefix + "k")

    with pytest.raises(DecodeError, match="not JSON"):
        pair.json()


async def test_a_value_that_is_no_text_is_a_decode_error(c: ConsulClient, prefix: str) -> None:
    await c.kv.put(prefix + "k", b"caf\xe9")
    pair = await read(c, prefix + "k")

    with pytest.raises(DecodeError, match="not UTF-8"):
        pair.text()


async def test_a_value_shows_in_no_repr(c: ConsulClient, prefix: str) -> None:
    await c.kv.put(prefix + "k", b"s3cret")

    pair = await read(c, prefix + "k")

    assert "s3cret" not in repr(pair)
    assert prefix + "k" in repr(pair)


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
async def test_a_number_that_json_has_no_word_for_is_refused(
    observed: ConsulClient, recorder: Recorder, number: float
) -> None:
    # `NaN` is what other languages' readers stumble over, and null would be another value.
    with pytest.raises(InvalidRequestError, match="JSON"):
        await observed.kv.put_json("never", {"load": number})

    assert recorder.requests == []


# -- update --------------------------------------------------------------------------------------


def one_more(pair: KVPair | None) -> str:
    return str(int(pair.text()) + 1 if pair is not None else 1)


async def test_update_creates_changes_and_says_what_it_wrote(c: ConsulClient, prefix: str) -> None:
    first = await c.kv.update(prefix + "n", one_more)
    second = await c.kv.update(prefix + "n", one_more)

    assert (first, second) == (b"1", b"2")
    assert (await read(c, prefix + "n")).value == b"2"


async def test_update_keeps_the_flags(c: ConsulClient, prefix: str) -> None:
    await c.kv.put(prefix + "n", b"1", flags=2**63)

    await c.kv.update(prefix + "n", one_more)

    pair = await read(c, prefix + "n")
    assert (pair.value, pair.flags) == (b"2", 2**63)


async def test_no_increment_of_fifty_at_once_is_lost(c: ConsulClient, prefix: str) -> None:
    async def five_times() -> None:
        for _ in range(5):
            await c.kv.update(prefix + "n", one_more)

    with anyio.fail_after(100):
        async with anyio.create_task_group() as tasks:
            for _ in range(50):
                tasks.start_soon(five_times)

    assert (await read(c, prefix + "n")).value == b"250"


async def test_an_error_of_the_changing_function_writes_nothing(
    c: ConsulClient, prefix: str
) -> None:
    await c.kv.put(prefix + "n", b"not a number")

    with pytest.raises(ValueError, match="not a number"):
        await c.kv.update(prefix + "n", one_more)

    assert (await read(c, prefix + "n")).value == b"not a number"


# -- metadata ------------------------------------------------------------------------------------


async def test_an_unknown_namespace_is_the_callers_mistake(agent: Agent, prefix: str) -> None:
    # This edition has none, and says so.
    async with ConsulClient(agent.url, check_server=False) as c:
        with pytest.raises(BadRequestError, match="Enterprise"):
            await c.using(namespace="team").kv.get(prefix + "k")
