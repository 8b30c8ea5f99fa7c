"""What Consul sends, read into types: whole, with holes, and damaged."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, TypeAdapter

from consul_onex import ConsulClient, DecodeError, KVPair
from tests.support.canary import Bottom

PAIR = TypeAdapter(KVPair)

U64 = st.integers(min_value=0, max_value=2**64 - 1)

VALUES: dict[str, st.SearchStrategy[Any]] = {
    "Value": st.none() | st.binary(max_size=50).map(lambda b: base64.b64encode(b).decode()),
    "Session": st.none() | st.text(max_size=40),
    "Namespace": st.none() | st.text(max_size=10),
    "Partition": st.none() | st.text(max_size=10),
    "Flags": st.none() | U64,
    "LockIndex": st.none() | U64,
    "CreateIndex": st.none() | U64,
    "ModifyIndex": st.none() | U64,
}

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


def read(document: object) -> KVPair:
    return PAIR.validate_json(json.dumps(document))


@given(
    st.text(max_size=40),
    st.fixed_dictionaries({}, optional=VALUES),
    st.dictionaries(st.text(max_size=8).map(lambda name: "New" + name), JSON, max_size=3),
)
def test_a_pair_is_read_whatever_is_missing_null_or_new(
    key: str, document: dict[str, Any], new: dict[str, Any]
) -> None:
    pair = read(new | document | {"Key": key})

    assert pair == KVPair(
        key=key,
        value=base64.b64decode(document.get("Value") or ""),
        flags=document.get("Flags") or 0,
        session=document.get("Session"),
        lock_index=document.get("LockIndex") or 0,
        create_index=document.get("CreateIndex") or 0,
        modify_index=document.get("ModifyIndex") or 0,
        namespace=document.get("Namespace"),
        partition=document.get("Partition"),
    )


@pytest.mark.parametrize("value", [bytes(range(256)), b"", b"\0", b"a", b"ab", b"abc", b"\xff" * 3])
def test_every_byte_of_a_value_survives(value: bytes) -> None:
    assert read({"Key": "k", "Value": base64.b64encode(value).decode()}).value == value


def test_flags_keep_all_of_their_64_bits() -> None:
    assert read({"Key": "k", "Flags": 2**64 - 1}).flags == 2**64 - 1
    assert read({"Key": "k", "Flags": 2**63 + 1}).flags == 2**63 + 1


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"Key": None},
        {"Key": 7},
        {"Key": "k", "Value": "s3cret!"},
        {"Key": "k", "Value": "s3cre"},
        {"Key": "k", "Value": "s3=cret="},
        {"Key": "k", "Value": 7},
        {"Key": "k", "Value": ["s3cret"]},
        {"Key": "k", "Flags": "s3cret"},
        {"Key": "k", "Flags": 1.5},
        {"Key": "k", "Session": 7},
        {"Key": "k", "ModifyIndex": [9]},
        "s3cret",
        None,
    ],
    ids=str,
)
async def test_a_damaged_pair_is_an_error_that_does_not_quote_it(document: object) -> None:
    async with ConsulClient(transport=Bottom(httpx.Response(200, json=[document]))) as c:
        with pytest.raises(DecodeError, match=r"^kv\.get: the answer is not what ") as caught:
            await c.kv.get("k")

    assert "s3cr" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


@pytest.mark.parametrize("body", [b"", b"null", b"{}", b"[", b"\xff", b"[" * 5000, b"<html>"])
async def test_an_answer_that_is_no_list_of_pairs_is_damaged(body: bytes) -> None:
    async with ConsulClient(transport=Bottom(httpx.Response(200, content=body))) as c:
        with pytest.raises(DecodeError, match=r"^kv\.list: "):
            await c.kv.list("k")


def test_a_repr_names_the_key_and_hides_the_value() -> None:
    pair = KVPair(key="config/web", value=b"s3cret", flags=7, session="abc", modify_index=9)

    assert repr(pair) == (
        "KVPair(key='config/web', value=<6 bytes>, flags=7, session='abc', modify_index=9)"
    )


def test_a_pair_cannot_be_changed() -> None:
    pair = KVPair(key="k")

    with pytest.raises(AttributeError):
        pair.value = b"other"  # type: ignore[misc]


def test_equal_pairs_are_equal_and_have_one_hash() -> None:
    assert KVPair(key="k", value=b"v") == KVPair(key="k", value=b"v")
    assert KVPair(key="k", value=b"v") != KVPair(key="k", value=b"w")
    assert len({KVPair(key="k"), KVPair(key="k")}) == 1


class Limits(BaseModel):
    """Somebody's model."""

    width: int


@dataclass
class Size:
    """Somebody's dataclass."""

    width: int


def test_a_value_is_read_in_the_form_that_is_asked_for() -> None:
    pair = KVPair(key="k", value=b'{"width": 3}')

    assert pair.text() == '{"width": 3}'
    assert pair.json() == {"width": 3}
    assert pair.parse(dict[str, int]) == {"width": 3}
    assert pair.parse(Limits) == Limits(width=3)
    assert pair.parse(Size) == Size(3)


def test_a_value_in_another_form_is_an_error_that_does_not_quote_it() -> None:
    pair = KVPair(key="k", value=b'{"width": "s3cret"}\xff', modify_index=9)
    other = KVPair(key="k", value=b'{"width": "s3cret"}', modify_index=9)

    with pytest.raises(DecodeError, match="the value of 'k' .modify index 9. is not UTF-8 text"):
        pair.text()
    with pytest.raises(DecodeError, match="the value of 'k' .modify index 9. is not JSON"):
        pair.json()
    with pytest.raises(DecodeError, match=r"is not a Limits \(width: int_parsing\)") as caught:
        other.parse(Limits)

    assert "s3cret" not in str(caught.value)
    assert caught.value.__context__ is None
