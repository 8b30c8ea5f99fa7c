"""WholeBody: each answer read to its end, in bounded time and space."""

from __future__ import annotations

import gzip
import tracemalloc
import zlib
from collections.abc import AsyncIterator
from typing import Any

import anyio
import httpx
import pytest

from consul_onex._call import Call
from consul_onex.errors import ConfigurationError, DecodeError
from consul_onex.transport import WholeBody

from .support import Body, Script, answer, hang, in_flight, read, send

MIB = 1024 * 1024
GZIP = {"Content-Encoding": "gzip"}
TEXT = b"No cluster leader, and a text of which no part comes twice: 0123456789"
PACKED = gzip.compress(TEXT, mtime=0)


async def whole(
    body: bytes | Body,
    headers: dict[str, str] | None = None,
    *,
    status: int = 200,
    call: Call | None = None,
    **settings: Any,
) -> httpx.Response:
    """What comes up when this comes from below."""
    return await send(WholeBody(**settings).wrap(Script(answer(status, body, headers))), call)


def peak_memory() -> int:
    return tracemalloc.get_traced_memory()[1]


# Whole


async def test_an_answer_comes_up_read_and_its_connection_is_free() -> None:
    body = Body(b"one ", b"two ", b"", b"three")

    response = await whole(body)

    assert isinstance(response.stream, httpx.ByteStream)
    assert body.closed
    assert await read(response) == b"one two three"


@pytest.mark.parametrize(
    "error", [httpx.ReadError("reset"), httpx.RemoteProtocolError("incomplete body")]
)
@pytest.mark.parametrize("status", [200, 500])
async def test_a_body_that_is_cut_is_an_error_of_the_attempt(error: Exception, status: int) -> None:
    body = Body(b"half of ", error)

    with pytest.raises(type(error)):
        await whole(body, status=status)

    assert body.closed


async def test_an_empty_body_is_empty() -> None:
    assert await read(await whole(b"", GZIP)) == b""


async def test_headers_and_status_come_up_as_they_are() -> None:
    response = await whole(b"[]", {"X-Consul-Index": "7", "Content-Length": "2"}, status=404)

    assert response.status_code == 404
    assert dict(response.headers) == {"x-consul-index": "7", "content-length": "2"}


async def test_a_stream_passes_unread_and_packed() -> None:
    body = Body(PACKED)

    response = await whole(body, GZIP, call=Call("snapshot.save", stream=True), limit=1)

    assert response.stream is body
    assert response.headers["Content-Encoding"] == "gzip"
    assert await read(response) == PACKED


async def test_a_call_cancelled_in_the_middle_of_a_body_closes_it() -> None:
    class Stuck(Body):
        async def __anext__(self) -> bytes:
            await anyio.sleep_forever()
            raise AssertionError("unreachable")

    body = Stuck()

    async with in_flight(WholeBody().wrap(Script(answer(200, body))), Call("kv.get")):
        assert not body.closed

    assert body.closed


# In time


class Drip(Body):
    """A body that never ends, and never pauses for long."""

    async def __anext__(self) -> bytes:
        await anyio.sleep(0.001)
        return b"."


@pytest.mark.parametrize("status", [200, 500])
async def test_a_body_that_drips_for_ever_ends_with_the_attempt(status: int) -> None:
    body = Drip()

    with anyio.fail_after(5), pytest.raises(httpx.ReadTimeout, match=r"within 0\.03 s") as caught:
        await whole(body, status=status, seconds=0.03)

    assert body.closed
    assert caught.value.request.url.path == "/v1/kv/a"


async def test_a_hung_agent_ends_with_the_attempt() -> None:
    with pytest.raises(httpx.ReadTimeout):
        await send(WholeBody(seconds=0.01).wrap(Script(hang)))


async def test_a_blocking_query_has_the_time_that_consul_may_hold_it_back() -> None:
    with pytest.raises(httpx.ReadTimeout, match=r"within 0\.027 s"):
        await send(WholeBody(seconds=0.01).wrap(Script(hang)), Call("kv.get", wait=0.016))


async def test_a_stream_may_take_its_time_once_it_has_begun() -> None:
    response = await whole(Drip(), call=Call("monitor", stream=True, unhurried=True), seconds=0.01)
    assert isinstance(response.stream, httpx.AsyncByteStream)
    pieces = aiter(response.stream)

    assert [await anext(pieces) for _ in range(20)] == [b"."] * 20


async def test_a_callers_own_time_out_is_not_ours() -> None:
    with pytest.raises(TimeoutError), anyio.fail_after(0.01):
        await send(WholeBody().wrap(Script(hang)))


async def test_an_upload_has_the_time_of_the_whole_call() -> None:
    """What there is to send may take longer than an attempt, and so may what is made of it."""

    async def late(request: httpx.Request) -> httpx.Response:
        await anyio.sleep(0.05)
        return answer(200, Drip())(request)

    call = Call("snapshot.restore", unhurried=True)

    with pytest.raises(TimeoutError), anyio.fail_after(0.1):
        await send(WholeBody(seconds=0.01).wrap(Script(late)), call)


@pytest.mark.parametrize("status", [301, 404, 500])
async def test_a_stream_that_is_none_is_read(status: int) -> None:
    body = Body(b"x" * 6, b"y" * 6)

    response = await whole(
        body, status=status, call=Call("snapshot.save", stream=True), error_limit=10
    )

    assert body.closed
    assert isinstance(response.stream, httpx.ByteStream)
    assert (await read(response)).startswith(b"xxxxxx")


# Data, although the status says error


async def unhealthy(body: bytes | Body, content_type: str, **settings: Any) -> httpx.Response:
    call = Call("operator.autopilot.health", data=frozenset({429}))
    return await whole(body, {"Content-Type": content_type}, status=429, call=call, **settings)


@pytest.mark.parametrize("content_type", ["application/json", "text/plain; charset=utf-8"])
@pytest.mark.parametrize("content", [b'{"Healthy": false}', b"[]"])
async def test_data_is_json_whatever_it_is_called(content: bytes, content_type: str) -> None:
    """Consul says so too late: it sends the status first, and Go then makes text of it."""
    response = await unhealthy(content, content_type)

    assert response.headers["content-type"] == "application/json"
    assert await read(response) == content


async def test_data_is_not_cut_as_the_text_of_an_error_is() -> None:
    content = b"[" + b"1," * 1000 + b"1]"

    assert await read(await unhealthy(content, "text/plain", error_limit=10)) == content


async def test_data_has_the_limit_of_other_answers() -> None:
    body = Body(b"[" * 1001, b"more")

    with pytest.raises(DecodeError, match="larger than 1000 bytes"):
        await unhealthy(body, "application/json", limit=1000)

    assert body.closed


async def test_a_refusal_with_the_same_status_stays_one() -> None:
    response = await unhealthy(b"rate limit exceeded", "text/plain; charset=utf-8")

    assert response.headers["content-type"] == "text/plain; charset=utf-8"
    assert await read(response) == b"rate limit exceeded"


async def test_json_that_was_not_announced_as_data_is_an_error() -> None:
    response = await whole(b"{}", {"Content-Type": "text/plain"}, status=429)

    assert response.headers["content-type"] == "text/plain"


# In space


@pytest.mark.parametrize("size", [999, 1000])
@pytest.mark.parametrize("pieces", [1, 7])
async def test_a_body_up_to_the_limit_passes(size: int, pieces: int) -> None:
    content = b"x" * size
    step = size // pieces + 1
    body = Body(*[content[n : n + step] for n in range(0, size, step)])

    assert await read(await whole(body, limit=1000)) == content


@pytest.mark.parametrize("packed", [False, True])
async def test_a_body_over_the_limit_is_an_error_and_is_closed(packed: bool) -> None:
    content = b"x" * 1001
    body = Body(gzip.compress(content)) if packed else Body(content[:500], content[500:], b"more")

    with pytest.raises(DecodeError, match="larger than 1000 bytes") as caught:
        await whole(body, GZIP if packed else None, call=Call("kv.get"), limit=1000)

    assert caught.value.operation == "kv.get"
    assert body.closed
    assert body.pieces == ([] if packed else [b"more"])


@pytest.mark.parametrize("size", [0, 1000, 1001])
async def test_a_body_that_is_here_already_is_bounded_as_well(size: int) -> None:
    stream = httpx.ByteStream(b"x" * size)
    transport = WholeBody(limit=1000).wrap(Script(lambda _: httpx.Response(200, stream=stream)))

    if size <= 1000:
        assert await read(await send(transport)) == b"x" * size
    else:
        with pytest.raises(DecodeError, match="larger than 1000 bytes"):
            await send(transport)


@pytest.mark.parametrize("announced", ["1001", "9" * 19, "9" * 6000])
async def test_a_body_announced_as_too_large_is_not_read(announced: str) -> None:
    body = Body(b"x")

    with pytest.raises(DecodeError, match="larger than 1000 bytes"):
        await whole(body, {"Content-Length": announced}, limit=1000)

    assert body.pieces == [b"x"]
    assert body.closed


@pytest.mark.parametrize("announced", ["", "-1", "many", "1000", "0x7ff"])
async def test_a_length_that_says_nothing_is_not_believed(announced: str) -> None:
    assert await read(await whole(b"ok", {"Content-Length": announced}, limit=1000)) == b"ok"


@pytest.mark.parametrize("start", [b"[", b"{", b" \r\n\t["])
@pytest.mark.parametrize("unit", [b"0,", b"[[", b'{"":{', b'"a,b"'])
async def test_more_values_than_the_limit_allows_are_not_decoded(start: bytes, unit: bytes) -> None:
    few = start + unit * 30_000
    marks = sum(few.count(mark) for mark in (b",", b"[", b"{"))
    limit = 8 * marks

    assert await read(await whole(few, limit=limit)) == few
    with pytest.raises(DecodeError, match=f"more than {marks} values; raise max_resp") as caught:
        await whole(few + b",", call=Call("kv.get"), limit=limit)

    assert caught.value.operation == "kv.get"


async def test_a_small_answer_may_have_as_many_values_as_it_likes() -> None:
    content = b"[" + b"0," * 15_998 + b"0]"

    assert await read(await whole(content, limit=len(content))) == content
    with pytest.raises(DecodeError, match="more than 16000 values"):
        await whole(b"[[" + content, limit=MIB // 16)


async def test_what_is_no_json_has_no_values() -> None:
    content = b"a," * MIB

    assert await read(await whole(content, limit=2 * MIB)) == content


async def test_the_text_of_an_error_is_cut() -> None:
    body = Body(b"x" * 6, b"y" * 6, b"never read")

    response = await whole(
        body, {"Content-Length": "99999999"}, status=500, error_limit=10, limit=1
    )

    assert await read(response) == b"x" * 6 + b"y" * 4
    assert body.pieces == [b"never read"]
    assert body.closed


@pytest.fixture(scope="module")
def bomb() -> bytes:
    """100 MiB in 100 KiB."""
    packer = zlib.compressobj(wbits=zlib.MAX_WBITS | 16)
    return b"".join(packer.compress(bytes(MIB)) for _ in range(100)) + packer.flush()


@pytest.mark.parametrize("status", [200, 500])
@pytest.mark.parametrize("piece", [700, 100 * MIB])
async def test_a_bomb_is_not_unpacked(bomb: bytes, status: int, piece: int) -> None:
    body = Body(*[bomb[n : n + piece] for n in range(0, len(bomb), piece)])
    tracemalloc.start()

    try:
        if status == 200:
            with pytest.raises(DecodeError, match="larger than"):
                await whole(body, GZIP, limit=MIB)
        else:
            assert await read(await whole(body, GZIP, status=status)) == bytes(16 * 1024)
        peak = peak_memory()
    finally:
        tracemalloc.stop()

    assert peak < 8 * MIB


async def test_what_follows_the_end_of_a_packed_body_is_not_kept() -> None:
    class Endless(Body):
        sent = 0

        async def __anext__(self) -> bytes:
            if self.sent == 64:
                raise StopAsyncIteration
            self.sent += 1
            return PACKED if self.sent == 1 else bytes(MIB)

    tracemalloc.start()

    try:
        with pytest.raises(DecodeError, match="goes on after its end"):
            await whole(Endless(), GZIP)
        peak = peak_memory()
    finally:
        tracemalloc.stop()

    assert peak < 8 * MIB


# Unpacked


@pytest.mark.parametrize("coding", ["gzip", "GZIP", " gzip ", "x-gzip"])
@pytest.mark.parametrize("piece", [1, 7, 1000])
@pytest.mark.parametrize("status", [200, 500])
async def test_an_answer_comes_up_unpacked(coding: str, piece: int, status: int) -> None:
    body = Body(*[PACKED[n : n + piece] for n in range(0, len(PACKED), piece)])
    headers = {"Content-Encoding": coding, "Content-Length": str(len(PACKED))}

    response = await whole(body, headers, status=status)

    assert await read(response) == TEXT
    assert dict(response.headers) == {"content-length": str(len(TEXT))}


@pytest.mark.parametrize("coding", ["identity", ""])
async def test_an_answer_that_is_not_packed_comes_up_as_it_is(coding: str) -> None:
    response = await whole(TEXT, {"Content-Encoding": coding})

    assert await read(response) == TEXT


@pytest.mark.parametrize("length", range(1, len(PACKED)))
async def test_a_packed_answer_that_ends_early_is_an_error(length: int) -> None:
    with pytest.raises(DecodeError, match="ends before its end"):
        await whole(PACKED[:length], GZIP)


@pytest.mark.parametrize(
    "damaged",
    [
        TEXT,
        PACKED[:20] + b"\xff" * 20 + PACKED[40:],
        PACKED[:-8] + bytes(8),
        PACKED + b"garbage",
        PACKED + PACKED,
    ],
)
async def test_a_damaged_packed_answer_is_an_error(damaged: bytes) -> None:
    with pytest.raises(DecodeError, match="the answer is damaged") as caught:
        await whole(damaged, GZIP, call=Call("kv.get"))

    assert caught.value.operation == "kv.get"
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("coding", ["br", "zstd", "deflate", "gzip, gzip", "gzip, identity"])
async def test_a_coding_that_was_not_asked_for_is_an_error(coding: str) -> None:
    with pytest.raises(DecodeError, match="not asked for"):
        await whole(
            gzip.compress(PACKED, mtime=0), {"Content-Encoding": coding}, call=Call("kv.get")
        )


async def test_two_codings_on_two_lines_are_two_codings() -> None:
    def twice(request: httpx.Request) -> httpx.Response:
        headers = [("Content-Encoding", "gzip"), ("content-encoding", "gzip")]
        return httpx.Response(200, headers=headers, stream=Body(gzip.compress(PACKED, mtime=0)))

    with pytest.raises(DecodeError, match="not asked for"):
        await send(WholeBody().wrap(Script(twice)))


@pytest.mark.parametrize(
    ("content", "coding"), [(TEXT, "br"), (TEXT, "gzip"), (PACKED, "gzip, gzip")]
)
async def test_an_error_whose_text_cannot_be_unpacked_still_is_that_error(
    content: bytes, coding: str
) -> None:
    response = await whole(content, {"Content-Encoding": coding}, status=503)

    assert response.status_code == 503
    assert await read(response) == b""
    assert "Content-Encoding" not in response.headers


async def test_the_text_of_an_error_that_ends_early_is_what_there_is_of_it() -> None:
    response = await whole(PACKED[:-9], GZIP, status=500)

    text = await read(response)
    assert text
    assert TEXT.startswith(text)


@pytest.mark.parametrize("status", [200, 500])
async def test_an_unpacked_answer_is_readable_by_an_httpx_client(status: int) -> None:
    bottom = Script(answer(status, PACKED, GZIP))

    async with httpx.AsyncClient(transport=WholeBody().wrap(bottom)) as client:
        response = await client.get("http://agent:8500/v1/kv/a")

    assert response.content == TEXT


async def test_pieces_may_come_from_a_generator() -> None:
    """As httpx's own transports send them."""

    class Generated(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            yield b"one "
            yield b"two"

    def step(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, stream=Generated())

    assert await read(await send(WholeBody().wrap(Script(step)))) == b"one two"


@pytest.mark.parametrize(
    ("given", "setting"),
    [
        ({"seconds": 0.0}, "attempt_timeout"),
        ({"seconds": float("inf")}, "attempt_timeout"),
        ({"seconds": float("nan")}, "attempt_timeout"),
        ({"limit": 0}, "max_response_bytes"),
        ({"error_limit": 0}, "max_response_bytes"),
    ],
)
def test_a_setting_out_of_bounds_is_refused(given: dict[str, Any], setting: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        WholeBody(**given)

    assert caught.value.setting == setting
