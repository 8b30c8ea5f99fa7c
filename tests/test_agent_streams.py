"""What an agent streams, cut wherever the network likes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import UTC, datetime
from itertools import pairwise

import anyio
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from consul_onex import (
    BadRequestError,
    ConsulClient,
    ConsulConnectionError,
    DecodeError,
    UnsupportedEndpointError,
)
from consul_onex.models.agent import AgentMetrics


class Chunks(httpx.AsyncByteStream):
    """A body in these pieces, which then ends or breaks off."""

    def __init__(self, chunks: Iterable[bytes], end: Exception | None = None) -> None:
        self.closed = False
        self._chunks = iter(chunks)
        self._end = end

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        await anyio.lowlevel.checkpoint()
        for chunk in self._chunks:
            return chunk
        raise self._end or StopAsyncIteration

    async def aclose(self) -> None:
        self.closed = True


class Streaming(httpx.AsyncBaseTransport):
    """An agent that streams."""

    def __init__(self, body: httpx.AsyncByteStream) -> None:
        self.body = body
        self.requests: list[httpx.Request] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        return httpx.Response(200, stream=self.body)


async def lines_of(chunks: Sequence[bytes]) -> list[str]:
    async with (
        ConsulClient(transport=Streaming(Chunks(chunks))) as c,
        c.agent.monitor() as lines,
    ):
        return [line async for line in lines]


async def metrics_of(chunks: Sequence[bytes]) -> list[AgentMetrics]:
    async with (
        ConsulClient(transport=Streaming(Chunks(chunks))) as c,
        c.agent.metrics_stream() as stream,
    ):
        return [metrics async for metrics in stream]


def cut(text: bytes, places: Iterable[int]) -> list[bytes]:
    edges = sorted({min(place, len(text)) for place in places} | {0, len(text)})
    return [text[a:b] for a, b in pairwise(edges)]


# -- lines -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("chunks", "lines"),
    [
        ([], []),
        ([b""], []),
        ([b"one\n"], ["one"]),
        ([b"one\ntwo"], ["one", "two"]),
        ([b"on", b"e", b"\ntw", b"o\n", b"three"], ["one", "two", "three"]),
        ([b"\n\none\n"], ["", "", "one"]),
        ([b"caf\xc3", b"\xa9\n"], ["café"]),
        ([b"\xff\n"], ["\ufffd"]),
        ([b"x" * 70_000, b"y" * 70_000, b"\n"], ["x" * 70_000 + "y" * 70_000]),
    ],
    ids=lambda value: repr(value)[:40],
)
async def test_lines_are_whole_wherever_they_are_cut(chunks: list[bytes], lines: list[str]) -> None:
    assert await lines_of(chunks) == lines


@given(st.binary(max_size=40), st.lists(st.integers(0, 40)))
async def test_it_does_not_matter_where_a_log_is_cut(text: bytes, places: list[int]) -> None:
    whole = text.removesuffix(b"\n").split(b"\n") if text else []

    assert await lines_of(cut(text, places)) == [line.decode("utf-8", "replace") for line in whole]


# -- documents -------------------------------------------------------------------------------------

FIRST = AgentMetrics(timestamp=datetime(2026, 11, 23, 7, 56, 50, tzinfo=UTC))
TWO = (
    b'{\n    "Timestamp": "2026-11-23 07:56:50 +0000 UTC",\n    "Gauges": []\n}\n'
    b'{"Gauges": [{"Name": "a}\\"{\\\\", "Labels": {"b": "}"}}]}\n'
)


@given(st.lists(st.integers(0, len(TWO))))
async def test_it_does_not_matter_where_documents_are_cut(places: list[int]) -> None:
    first, second = await metrics_of(cut(TWO, places))

    assert first == FIRST
    assert [(gauge.name, gauge.labels) for gauge in second.gauges] == [('a}"{\\', {"b": "}"})]


async def test_documents_need_nothing_between_them() -> None:
    assert await metrics_of([b"{}{}", b"{", b"}"]) == [AgentMetrics()] * 3


@pytest.mark.parametrize("text", [b'{"Gauges": [', b"<html>", b"}", b'{"Gauges": 5}', b"[{}]"])
async def test_a_damaged_document_is_an_error(text: bytes) -> None:
    with pytest.raises(DecodeError, match=r"^agent\.metrics_stream: "):
        await metrics_of([b"{}\n", text])


async def test_an_error_comes_after_what_was_whole() -> None:
    async with (
        ConsulClient(transport=Streaming(Chunks([b"{}\n{]}\n{}"]))) as c,
        c.agent.metrics_stream() as stream,
    ):
        assert await anext(stream) == AgentMetrics()
        with pytest.raises(DecodeError):
            await anext(stream)
        assert await anext(stream) == AgentMetrics()


# -- ends ------------------------------------------------------------------------------------------


async def test_after_the_end_there_is_nothing_more() -> None:
    async with (
        ConsulClient(transport=Streaming(Chunks([b"one"]))) as c,
        c.agent.monitor() as lines,
    ):
        assert await anext(lines) == "one"
        for _ in range(2):
            with pytest.raises(StopAsyncIteration):
                await anext(lines)


async def test_what_breaks_off_is_an_error_after_the_lines_before_it() -> None:
    body = Chunks([b"one\ntw"], httpx.ReadError("connection reset"))
    async with ConsulClient(transport=Streaming(body)) as c, c.agent.monitor() as lines:
        assert await anext(lines) == "one"
        with pytest.raises(ConsulConnectionError, match=r"^agent\.monitor: .*connection reset"):
            await anext(lines)


async def test_leaving_closes_the_answer() -> None:
    body = Chunks([b"one\n", b"two\n"])
    async with ConsulClient(transport=Streaming(body)) as c:
        async with c.agent.monitor() as lines:
            await anext(lines)
            assert not body.closed

        assert body.closed


async def test_what_is_streamed_is_not_packed_and_may_be_silent_for_ever() -> None:
    agent = Streaming(Chunks([]))
    async with ConsulClient(transport=agent, gzip=True) as c:
        async with c.agent.monitor():
            pass
        async with c.agent.metrics_stream():
            pass

    for request in agent.requests:
        assert request.headers["accept-encoding"] == "identity"
        assert request.extensions["timeout"]["read"] is None


@pytest.mark.parametrize(
    ("status", "text", "error"),
    [
        (400, "Bad request: Unknown log level: zz", BadRequestError),
        (404, "", UnsupportedEndpointError),
    ],
)
async def test_a_refusal_is_raised_on_entering(
    status: int, text: str, error: type[Exception]
) -> None:
    transport = httpx.MockTransport(lambda _: httpx.Response(status, text=text))
    async with ConsulClient(transport=transport) as c:
        for opening in (c.agent.monitor(), c.agent.metrics_stream()):
            with pytest.raises(error):
                await opening.__aenter__()
