"""Names and keys as parts of a URL: what arrives as it was meant, and what is refused."""

from __future__ import annotations

from urllib.parse import parse_qsl, unquote, urlsplit

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consul_onex._path import key_path, prefix_path, query_string, raw_path, segment
from consul_onex.errors import InvalidKeyError, InvalidRequestError


def received(path: str) -> str:
    """What a server sees of a path that httpx has put into a request."""
    target = httpx.URL("http://127.0.0.1:8500" + path).raw_path.decode("ascii")
    assert "?" not in target
    assert urlsplit(target).fragment == ""
    return unquote(target)


@pytest.mark.parametrize(
    ("key", "path"),
    [
        ("config/web", "/v1/kv/config/web"),
        ("folder/", "/v1/kv/folder/"),
        ("a.b./_c~/-d", "/v1/kv/a.b./_c~/-d"),
        ("~a/~b", "/v1/kv/~a/~b"),
        ("?recurse", "/v1/kv/%3Frecurse"),
        ("a#b", "/v1/kv/a%23b"),
        ("100%", "/v1/kv/100%25"),
        ("a%2Fb", "/v1/kv/a%252Fb"),
        ("a b+c", "/v1/kv/a%20b%2Bc"),
        ("ключ", "/v1/kv/%D0%BA%D0%BB%D1%8E%D1%87"),
        ("...", "/v1/kv/..."),
        (".hidden/..x", "/v1/kv/.hidden/..x"),
    ],
)
def test_a_key_is_encoded_segment_by_segment(key: str, path: str) -> None:
    assert key_path(key) == path


def acceptable(key: str) -> bool:
    try:
        prefix_path(key)
    except InvalidKeyError:
        return False
    return True


SEGMENTS = st.text(
    st.characters(exclude_categories=["C", "Z"], exclude_characters="/") | st.just(" "),
    min_size=1,
    max_size=12,
).filter(lambda part: part not in (".", ".."))


@given(st.lists(SEGMENTS, min_size=1, max_size=5).map("/".join))
def test_a_key_of_plain_segments_arrives_as_it_is(key: str) -> None:
    assert received(key_path(key)) == "/v1/kv/" + key


@given(st.lists(st.sampled_from(["", ".", "..", "a", "\n", "%2e", "%2F", "?", "#"]), min_size=1))
def test_no_key_names_a_place_outside_of_the_store(parts: list[str]) -> None:
    key = "/".join(parts)
    rewritten = {"", ".", ".."} & set(parts[:-1]) or parts[-1] in (".", "..") or "\n" in parts

    assert acceptable(key) is not bool(rewritten)


@pytest.mark.parametrize(
    "key",
    [
        "../agent",
        "a/../b",
        "a/./b",
        "ab/./",
        "ab//",
        "a/..",
        ".",
        "/a",
        "a//b",
        "a\n",
        "a\x7f",
        "\u2028",
        "a\ud800",
    ],
    ids=ascii,
)
def test_a_key_consul_would_rewrite_or_refuse_is_refused_here(key: str) -> None:
    with pytest.raises(InvalidKeyError, match="^key .*txn") as caught:
        key_path(key)

    assert str(caught.value).isprintable()


def test_the_empty_key_is_refused_and_the_empty_prefix_is_every_key() -> None:
    with pytest.raises(InvalidKeyError, match="a key cannot be empty"):
        key_path("")

    assert prefix_path("") == "/v1/kv/"


@pytest.mark.parametrize("key", [None, 7, b"a"])
def test_a_key_of_another_type_is_refused(key: object) -> None:
    with pytest.raises(InvalidKeyError, match=f"not {type(key).__name__}"):
        key_path(key)  # type: ignore[arg-type]
    with pytest.raises(InvalidKeyError, match=f"not {type(key).__name__}"):
        prefix_path(key)  # type: ignore[arg-type]


def test_a_key_too_long_for_a_url_is_refused_and_shown_in_part() -> None:
    assert len(key_path("k" * 59_000)) == 59_007

    with pytest.raises(InvalidKeyError, match="too long for a URL") as caught:
        key_path("k" * 60_000)

    assert len(str(caught.value)) < 300


@given(st.lists(SEGMENTS, min_size=1, max_size=3).map("/".join))
def test_a_name_stays_one_segment_and_arrives_as_it_is(name: str) -> None:
    encoded = segment(name)

    assert "/" not in encoded
    assert received("/v1/catalog/service/" + encoded) == "/v1/catalog/service/" + name


@pytest.mark.parametrize(
    "name",
    ["", ".", "..", "../x", "a/../b", "/a", "a/", "a//b", "a\n", "a\ud800", "é" * 20_000],
    ids=lambda name: ascii(name[:9]),
)
def test_a_name_that_would_leave_its_segment_is_refused(name: str) -> None:
    with pytest.raises(InvalidRequestError, match="^a? ?service ") as caught:
        segment(name, "service")

    assert str(caught.value).isprintable()


def test_a_name_of_another_type_is_refused() -> None:
    with pytest.raises(InvalidRequestError, match="a node is a str, not int"):
        segment(7, "node")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("path", "sent"),
    [
        ("/v1/agent/self", "/v1/agent/self"),
        ("/v1/kv/a%2Fb", "/v1/kv/a%2Fb"),
        ("/v1/kv/a b", "/v1/kv/a%20b"),
        ("/v1/kv/é", "/v1/kv/%C3%A9"),
        ("/v1/kv/a%3Fb", "/v1/kv/a%3Fb"),
        ("/v1/kv/", "/v1/kv/"),
    ],
)
def test_a_raw_path_keeps_its_escapes_and_gets_those_it_lacks(path: str, sent: str) -> None:
    assert raw_path(path) == sent


@pytest.mark.parametrize(
    "path",
    [
        "",
        "v1/kv/a",
        "/v2/kv",
        "http://other/v1/kv/a",
        "//other/v1/kv",
        "/v1/kv?recurse",
        "/v1/kv#a",
        "/v1/kv/100%",
        "/v1/kv/%zz",
        "/v1/../agent",
        "/v1/kv/%2e%2e/agent",
        "/v1/kv/..%2fagent",
        "/v1//kv",
        "/v1/kv/%2f",
        "/v1/kv/%0a",
        "/v1/kv/%F1",
        "/v1/kv/\n",
        "/v1/kv/\ud800",
        "/v1/" + "k" * 60_000,
    ],
    ids=lambda path: ascii(path[:20]),
)
def test_a_raw_path_a_server_would_rewrite_is_refused(path: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        raw_path(path)

    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("path", [None, 7, b"/v1/kv/a"])
def test_a_raw_path_of_another_type_is_refused(path: object) -> None:
    with pytest.raises(InvalidRequestError, match="a path is a str"):
        raw_path(path)  # type: ignore[arg-type]


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@given(st.lists(st.tuples(st.sampled_from(["a", "node-meta"]), TEXTS), max_size=5))
def test_parameters_arrive_as_they_are_and_in_their_order(params: list[tuple[str, str]]) -> None:
    url = httpx.URL("http://127.0.0.1:8500/v1/kv/a" + query_string(params))

    assert url.path == "/v1/kv/a"
    assert parse_qsl(url.query.decode("ascii"), keep_blank_values=True) == params


def test_no_parameters_are_no_question_mark() -> None:
    assert query_string([]) == ""
    assert query_string([("recurse", "")]) == "?recurse="
