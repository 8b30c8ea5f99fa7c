"""What an answer says about itself: each header for itself, and nothing guessed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consul_onex import QueryMeta


def meta(**headers: str) -> QueryMeta:
    return QueryMeta.from_headers(
        [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    )


def test_an_answer_that_says_nothing_is_all_none() -> None:
    said = QueryMeta.from_headers([(b"Content-Type", b"application/json")])

    assert said == QueryMeta()
    assert said.index is None
    assert said.known_leader is None
    assert said.translated_addresses is False


def test_every_header_has_its_field() -> None:
    said = QueryMeta.from_headers(
        [
            (b"X-Consul-Index", b"42"),
            (b"X-Consul-LastContact", b"1500"),
            (b"X-Consul-KnownLeader", b"true"),
            (b"X-Consul-ContentHash", b"abc"),
            (b"X-Consul-Effective-Consistency", b"leader"),
            (b"X-Consul-Query-Backend", b"blocking-query"),
            (b"X-Consul-Results-Filtered-By-ACLs", b"true"),
            (b"X-Consul-Default-ACL-Policy", b"deny"),
            (b"X-Cache", b"HIT"),
            (b"Age", b"7"),
            (b"X-Consul-Translate-Addresses", b"true"),
            (b"X-Consul-Reason", b"because"),
        ],
        datacenter="dc2",
    )

    assert said == QueryMeta(
        index=42,
        last_contact=1.5,
        known_leader=True,
        content_hash="abc",
        effective_consistency="leader",
        query_backend="blocking-query",
        filtered_by_acls=True,
        default_acl_policy="deny",
        cache_hit=True,
        cache_age=7.0,
        translated_addresses=True,
        reason="because",
        datacenter="dc2",
    )


@pytest.mark.parametrize("name", ["x-consul-index", "X-CONSUL-INDEX", "X-Consul-Index"])
def test_the_case_of_a_header_does_not_matter(name: str) -> None:
    assert QueryMeta.from_headers([(name.encode(), b"9")]).index == 9


@pytest.mark.parametrize(
    ("text", "index"),
    [
        ("0", 0),
        ("007", 7),
        (str(2**64 - 1), 2**64 - 1),
        (str(2**64), None),
        ("9" * 100, None),
        ("", None),
        ("-1", None),
        ("+1", None),
        ("1_000", None),
        ("1.0", None),
        (" 1", None),
        ("1e3", None),
        ("5, 6", None),
    ],
)
def test_an_index_is_ascii_digits_below_two_to_the_64(text: str, index: int | None) -> None:
    assert meta(x_consul_index=text).index == index


def test_digits_of_another_script_are_no_index() -> None:
    assert QueryMeta.from_headers([(b"x-consul-index", "٣".encode())]).index is None
    assert QueryMeta.from_headers([(b"x-consul-index", "²".encode("latin-1"))]).index is None


@pytest.mark.parametrize(
    ("text", "flag"), [("true", True), ("false", False), ("TRUE", None), ("1", None), ("", None)]
)
def test_a_flag_is_true_false_or_unknown(text: str, flag: bool | None) -> None:
    assert meta(x_consul_knownleader=text).known_leader is flag
    assert meta(x_consul_results_filtered_by_acls=text).filtered_by_acls is flag


@pytest.mark.parametrize(("text", "hit"), [("HIT", True), ("MISS", False)])
def test_the_cache_was_hit_or_missed(text: str, hit: bool) -> None:
    assert meta(x_cache=text).cache_hit is hit


@given(st.lists(st.tuples(st.binary(max_size=20), st.binary(max_size=30)), max_size=6))
def test_a_garbled_header_hides_no_other(junk: list[tuple[bytes, bytes]]) -> None:
    junk += [(b"x-consul-lastcontact", b"soon"), (b"x-consul-knownleader", b"\xff")]
    junk = [(name, value) for name, value in junk if name.lower() != b"x-consul-index"]

    said = QueryMeta.from_headers([*junk, (b"X-Consul-Index", b"5")])

    assert (said.index, said.last_contact, said.known_leader) == (5, None, None)
