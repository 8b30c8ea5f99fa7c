"""
What holds for whatever a caller gives or a server says, with values that nobody has thought of.

By hand with more of them: `pytest tests/chaos/test_properties.py --hypothesis-profile=thorough`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Awaitable, Callable
from typing import Any, Final
from urllib.parse import parse_qsl, unquote_to_bytes

import anyio
import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from consul_onex import (
    ConfigurationError,
    ConsulClient,
    ConsulError,
    Cursor,
    DecodeError,
    InvalidRequestError,
    KVPair,
)
from consul_onex._duration import parse_duration
from consul_onex.transport import WholeBody
from consul_onex.transport.retry import retry_after
from tests.chaos.fuzz import Below
from tests.chaos.mutate import Raw
from tests.support.canary import Bottom

ANY_TEXT: Final = st.text(st.characters(exclude_categories=[])) | st.text(
    st.sampled_from("./%?#&=;:@ \t\r\n\0\x7f\x85é\u0301\u0663\u2028\ud800ab0-_2eF"), max_size=12
)
ANY_BYTES: Final = st.binary(max_size=40) | ANY_TEXT.map(
    lambda text: text.encode("utf-8", errors="surrogatepass")
)
NUMBERS: Final = ANY_TEXT | st.text("0123456789+-_., eExX\u0663", max_size=25)

BACKENDS: Final = ["asyncio", "trio"]
each_backend = pytest.mark.parametrize("backend", BACKENDS)

Use = Callable[[ConsulClient], Awaitable[object]]


def sent(backend: str, use: Use, answer: httpx.Response | None = None, **given: Any) -> Bottom:
    """What a client sends, that is made and used like this, and gets this answer."""
    bottom = Bottom(answer or httpx.Response(200, content=b"[]"))

    async def run() -> None:
        async with ConsulClient(transport=bottom, check_server=False, **given) as c:
            await use(c)

    anyio.run(run, backend=backend)
    return bottom


# -- what a caller gives ---------------------------------------------------------------------------


@each_backend
@given(key=ANY_TEXT)
@example(key="../agent/leave")
@example(key="a" * 100_000)
def test_a_key_is_refused_or_arrives_as_it_is(backend: str, key: str) -> None:
    try:
        request = sent(backend, lambda c: c.kv.list(key)).last
    except InvalidRequestError:
        return

    path, _, query = request.url.raw_path.partition(b"?")
    assert unquote_to_bytes(path) == b"/v1/kv/" + key.encode()
    assert query == b"recurse="


@each_backend
@given(name=ANY_TEXT)
@example(name="..%2f..%2fkv")
def test_a_name_is_refused_or_stays_one_segment(backend: str, name: str) -> None:
    try:
        request = sent(backend, lambda c: c.catalog.service(name)).last
    except InvalidRequestError:
        return

    path, _, query = request.url.raw_path.partition(b"?")
    assert path.count(b"/") == 4
    assert unquote_to_bytes(path) == b"/v1/catalog/service/" + name.encode()
    assert query == b""


@each_backend
@given(token=ANY_TEXT)
@example(token="a\r\nX-Other: 1")
def test_a_token_is_refused_or_is_one_header_with_nothing_else_in_it(
    backend: str, token: str
) -> None:
    try:
        request = sent(backend, lambda c: c.kv.list(""), token=token).last
    except ConfigurationError:
        return

    lines = [value for name, value in request.headers.raw if name.lower() == b"x-consul-token"]
    assert lines == ([token.encode("ascii")] if token else [])


@each_backend
@given(name=ANY_TEXT | st.from_regex("^[A-Za-z0-9_-]{1,64}$"))
@pytest.mark.parametrize(
    ("option", "parameter"), [("datacenter", "dc"), ("namespace", "ns"), ("partition", "partition")]
)
def test_where_to_ask_is_refused_or_is_one_parameter(
    backend: str, option: str, parameter: str, name: str
) -> None:
    given: Any = {option: name}
    try:
        request = sent(backend, lambda c: c.using(**given).kv.list("")).last
    except ConsulError:
        return

    query = parse_qsl(request.url.query.decode("ascii"), keep_blank_values=True)
    assert query == [("recurse", ""), *([(parameter, name)] if name else [])]


JSON: Final = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner)
    ),
    max_leaves=12,
)


@each_backend
@given(value=JSON)
def test_a_value_written_as_json_is_read_as_it_was(backend: str, value: object) -> None:
    answer = httpx.Response(200, content=b"true")

    body = sent(backend, lambda c: c.kv.put_json("k", value), answer).last.content

    assert json.loads(body) == value
    read = KVPair(key="k", value=body).json()
    assert read == value
    assert repr(read) == repr(value)


NO_JSON: Final = st.sampled_from(
    [math.nan, math.inf, -math.inf, "\ud800", {"\udfff": 1}, object(), {1, math.nan}]
)


@each_backend
@given(value=NO_JSON, within=st.sampled_from([lambda v: v, lambda v: [1, v], lambda v: {"a": v}]))
def test_what_json_cannot_say_is_not_written(
    backend: str, value: object, within: Callable[[object], object]
) -> None:
    with pytest.raises(InvalidRequestError, match="cannot be written as JSON"):
        sent(backend, lambda c: c.kv.put_json("k", within(value)))


# -- what a server says ----------------------------------------------------------------------------


@each_backend
@given(index=NUMBERS)
@example(index=str(2**64))
@example(index="\u0663")
@example(index="9" * 10_000)
def test_an_index_is_a_number_of_64_bits_or_is_not_there(backend: str, index: str) -> None:
    cursor = Cursor()
    said = index.encode("utf-8", errors="surrogatepass")
    answer = httpx.Response(200, headers=[(b"X-Consul-Index", said)], content=b"[]")

    sent(backend, lambda c: c.kv.list("", cursor=cursor), answer)

    assert cursor.meta is not None
    known = cursor.meta.index
    assert known is None or (said.isdigit() and known == int(said) < 2**64)
    assert (known is not None) is (said.isdigit() and len(said) <= 20 and int(said) < 2**64)
    # Below 1 nothing can be waited for.
    assert cursor.index is None or cursor.index >= 1


@given(said=NUMBERS | st.datetimes().map(lambda t: t.strftime("%a, %d %b %Y %H:%M:%S GMT")))
def test_how_long_to_wait_is_never_less_than_nothing(said: str) -> None:
    headers = [
        (b"Retry-After", said.encode("utf-8", errors="surrogatepass")),
        (b"Date", b"Mon, 01 Jan 2029 00:00:00 GMT"),
    ]

    pause = retry_after(httpx.Response(429, headers=headers))

    assert pause is None or pause >= 0
    assert said.strip() != "7" or pause == 7


@each_backend
@given(
    lines=st.lists(
        st.tuples(
            st.sampled_from([b"Content-Length", b"content-encoding", b"Content-Encoding"]),
            ANY_BYTES | st.sampled_from([b"gzip", b"identity", b"4", b"5", b"99", b"x-gzip", b""]),
        ),
        max_size=4,
    ),
    body=ANY_BYTES,
)
def test_what_frames_a_body_leaves_the_body_or_an_error_of_ours(
    backend: str, lines: list[tuple[bytes, bytes]], body: bytes
) -> None:
    async def read() -> bytes:
        request = httpx.Request("GET", "http://agent/v1/kv/a")
        response = await WholeBody(limit=1000).wrap(below).handle_async_request(request)
        return b"".join([chunk async for chunk in response.stream])  # type: ignore[union-attr]

    below = Below()
    below.answer = Raw(200, lines, body)
    coding = b", ".join(value for name, value in lines if name.lower() == b"content-encoding")
    try:
        whole = anyio.run(read, backend=backend)
    except DecodeError:
        return
    # What is not packed is not touched; of what was, there is nothing here that can be unpacked.
    assert whole == (b"" if b"gzip" in coding.lower() else body)


@given(text=ANY_TEXT | st.text("0123456789.hmsunµ+-", max_size=30))
@example(text="9" * 5000 + "h")
def test_a_duration_is_a_number_that_go_can_hold_or_a_damaged_answer(text: str) -> None:
    try:
        seconds = parse_duration(text)
    except DecodeError:
        return

    assert abs(seconds) <= 2**63 / 1e9
