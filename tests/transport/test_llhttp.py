"""Answers of all sorts, read with llhttp: what h11 makes of them, or stricter."""

from __future__ import annotations

import ssl
from typing import Any, get_args

import anyio
import httpx
import pytest
import trustme
from anyio.streams.tls import TLSListener

from consul_onex import ConfigurationError, ConsulClient
from consul_onex.transport import Connections, ConnectionStatistics
from consul_onex.transport._connection import HTTP
from tests.support.fault_server import HOST, Answer, Then, fault_server, raw, reply

TIMEOUT = {"connect": 5.0, "read": 5.0, "write": 5.0, "pool": 5.0}

OK = b"HTTP/1.1 200 OK\r\n"
END = b"\r\n\r\n"


async def read(
    answer: Answer, http: HTTP, method: str = "GET"
) -> tuple[int, bytes, list[tuple[bytes, bytes]], int] | type[Exception]:
    """Status, body, headers and how many connections are kept; or the error's class."""
    async with fault_server([answer]) as server, Connections(http=http) as connections:
        extensions = {"timeout": {**TIMEOUT, "read": 1.0}}
        request = httpx.Request(method, server.url, extensions=extensions)
        try:
            with anyio.fail_after(5):
                response = await connections.handle_async_request(request)
                body = b"".join([chunk async for chunk in response.stream])  # type: ignore[union-attr]
                await response.stream.aclose()  # type: ignore[union-attr]
        except httpx.TransportError as error:
            return type(error)
        return response.status_code, body, response.headers.raw, connections.statistics().idle


def kept(data: bytes) -> Answer:
    return raw(data, then=Then.KEEP)


SAME: dict[str, Answer] = {
    "a length": kept(OK + b"Content-Length: 2\r\n\r\nab"),
    "no body": kept(OK + b"Content-Length: 0\r\n\r\n"),
    "204": kept(b"HTTP/1.1 204 No Content\r\n\r\n"),
    "304": kept(b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n"),
    "chunks": kept(OK + b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n2;x=y\r\nbc\r\n0\r\n\r\n"),
    "a trailer": kept(OK + b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX-T: 1\r\n\r\n"),
    "until the end": raw(OK + b"\r\nabc"),
    "until the end, and nothing": raw(OK + b"\r\n"),
    "that says close": raw(OK + b"Connection: close\r\nContent-Length: 2\r\n\r\nab"),
    "HTTP/1.0": raw(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nab"),
    "no reason": kept(b"HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n"),
    "an unknown status": kept(b"HTTP/1.1 299 What\r\nContent-Length: 0\r\n\r\n"),
    "a space after a value": kept(OK + b"X-A: b \t\r\nContent-Length: 0\r\n\r\n"),
    "an empty value": kept(OK + b"X-A:\r\nContent-Length: 0\r\n\r\n"),
    "a value that is no ASCII": kept(OK + b"X-A: \xc3\xa9\r\nContent-Length: 0\r\n\r\n"),
    "one after 100": kept(
        b"HTTP/1.1 100 Continue\r\nX-Early: 1\r\n\r\n" + OK + b"Content-Length: 0\r\n\r\n"
    ),
    "one after 103": kept(
        b"HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n" + OK + b"Content-Length: 2\r\n\r\nab"
    ),
    "byte by byte": Answer(
        data=OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n",
        then=Then.KEEP,
        pause=0.0001,
        trickle=60,
    ),
    "a large body": kept(OK + b"Content-Length: 300000\r\n\r\n" + b"x" * 300_000),
    "nothing": raw(b""),
    "half a head": raw(OK + b"X-A: "),
    "no HTTP": raw(b"SSH-2.0-OpenSSH_9.6\r\n\r\n"),
    "a radio": raw(b"ICY 200 OK\r\n\r\n"),
    "an empty line first": raw(b"\r\n" + OK + b"Content-Length: 0\r\n\r\n"),
    "a status that is no number": raw(b"HTTP/1.1 2x0 OK\r\n\r\n"),
    "a status below 100": raw(b"HTTP/1.1 099 What\r\nContent-Length: 0\r\n\r\n"),
    "another protocol": raw(b"HTTP/1.1 101 -\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"),
    "no colon": raw(OK + b"no colon\r\n\r\n"),
    "a name with a space": raw(OK + b"X A: b\r\nContent-Length: 0\r\n\r\n"),
    "a length that is none": raw(OK + b"Content-Length: x\r\n\r\n"),
    "a negative length": raw(OK + b"Content-Length: -1\r\n\r\n"),
    "two lengths": raw(OK + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab"),
    "another coding": raw(OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
    "an unknown coding": raw(OK + b"Transfer-Encoding: x\r\n\r\nabc"),
    "a chunk without a length": raw(OK + b"Transfer-Encoding: chunked\r\n\r\nx\r\nab\r\n"),
    "a chunk that is too long": raw(
        OK + b"Transfer-Encoding: chunked\r\n\r\n1\r\nabc\r\n0\r\n\r\n"
    ),
    "a body cut short": raw(OK + b"Content-Length: 9\r\n\r\nab"),
    "chunks cut short": raw(OK + b"Transfer-Encoding: chunked\r\n\r\n9\r\nab"),
    "chunks without an end": raw(OK + b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n"),
    "a head without an end": raw(OK + b"X-A: " + b"x" * 200_000),
    "headers without an end": raw(OK + b"X-A: y\r\n" * 30_000),
    "a reset": raw(OK, then=Then.RESET),
    "silence": raw(OK, then=Then.HANG),
}


@pytest.mark.parametrize("answer", SAME.values(), ids=SAME.keys())
async def test_an_answer_is_what_it_is_to_h11(answer: Answer) -> None:
    fast, h11 = await read(answer, "fast"), await read(answer, "h11")

    if isinstance(fast, tuple) and isinstance(h11, tuple):
        # httpcore keeps a connection that the server has closed, until it looks again.
        assert fast[:3] == h11[:3]
        assert fast[3] <= h11[3]
    else:
        assert fast is h11


async def test_the_name_of_a_coding_may_have_capitals() -> None:
    answer = kept(OK + b"Transfer-Encoding: Chunked\r\n\r\nA\r\n0123456789\r\n0\r\n\r\n")

    assert (await read(answer, "fast"))[1] == b"0123456789"  # type: ignore[index]


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n",
    ],
)
async def test_the_answer_to_head_has_no_body(head: bytes) -> None:
    answer = raw(head, then=Then.CLOSE)

    fast = await read(answer, "fast", "HEAD")

    assert fast[:3] == (await read(answer, "h11", "HEAD"))[:3]  # type: ignore[index]
    assert fast[:2] == (200, b"")  # type: ignore[index]


STRICTER: dict[str, Answer] = {
    "hints without an end": raw(b"HTTP/1.1 103 -\r\nX-A: y\r\n\r\n" * 9_000, then=Then.HANG),
    "a length twice": raw(OK + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\nab"),
    "a length, and chunks": raw(
        OK + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    ),
    "a header in two lines": raw(OK + b"X-A: b\r\n c\r\nContent-Length: 0\r\n\r\n"),
    "a chunk's extension without an end": raw(
        OK + b"Transfer-Encoding: chunked\r\n\r\n1;" + b"x" * 300_000
    ),
    "trailers without an end": raw(
        OK + b"Transfer-Encoding: chunked\r\n\r\n0\r\n" + b"X-T: y\r\n" * 40_000
    ),
}


@pytest.mark.parametrize("answer", STRICTER.values(), ids=STRICTER.keys())
async def test_what_bends_the_rules_is_no_answer(answer: Answer) -> None:
    assert await read(answer, "fast") is httpx.RemoteProtocolError


@pytest.mark.parametrize(
    "more", [b"x", OK + b"Content-Length: 0\r\n\r\n", OK + b"Content-Length: 2\r\n\r\nno"]
)
@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("http", ["fast", "h11"])
async def test_what_follows_an_answer_is_nobodys(more: bytes, method: str, http: HTTP) -> None:
    body = b"ab" if method == "GET" else b""
    answer = kept(OK + b"Content-Length: 2\r\nX-A: b\r\n\r\n" + body + more)

    status, content, headers, idle = await read(answer, http, method)  # type: ignore[misc]

    assert (status, content, len(headers)) == (200, body, 2)
    assert idle == 0


async def test_an_answer_says_its_version_and_its_reason() -> None:
    async with fault_server([raw(b"HTTP/1.0 200 As you like\r\n\r\n")]) as server:
        for http in ("h11", "fast"):
            async with Connections(http=http) as connections:
                request = httpx.Request("GET", server.url)
                response = await connections.handle_async_request(request)
                await response.aread()

                assert (response.http_version, response.reason_phrase) == (
                    "HTTP/1.0",
                    "As you like",
                )


# -- requests --------------------------------------------------------------------------------------


class Pieces(httpx.AsyncByteStream):
    """A body in pieces."""

    def __init__(self, *pieces: bytes) -> None:
        self._pieces = iter(pieces)

    def __aiter__(self) -> Pieces:
        return self

    async def __anext__(self) -> bytes:
        for piece in self._pieces:
            return piece
        raise StopAsyncIteration


async def sent(headers: dict[str, str], body: httpx.AsyncByteStream, **more: Any) -> bytes:
    """The bytes that a server gets."""
    got = b""

    async def serve(stream: anyio.abc.SocketStream) -> None:
        nonlocal got
        async with stream:
            while not got.endswith(END) and not got.endswith(b"over"):
                got += await stream.receive()
            await stream.send(OK + b"Content-Length: 0\r\n\r\n")

    listener = await anyio.create_tcp_listener(local_host=HOST)
    port = listener.extra(anyio.abc.SocketAttribute.local_port)
    async with listener, anyio.create_task_group() as tasks, Connections(http="fast") as c:
        tasks.start_soon(listener.serve, serve)
        request = httpx.Request(
            "PUT", f"http://{HOST}:{port}/a?b", headers={"Host": "h"} | headers, stream=body
        )
        with anyio.fail_after(5):
            await c.handle_async_request(request)
        tasks.cancel_scope.cancel()
    return got


HEAD = b"PUT /a?b HTTP/1.1\r\nHost: h\r\n"


async def test_a_body_with_its_length_is_sent_as_it_is() -> None:
    expected = HEAD + b"Content-Length: 4\r\n\r\nover"

    assert await sent({"Content-Length": "4"}, httpx.ByteStream(b"over")) == expected
    assert await sent({"Content-Length": "4"}, Pieces(b"ov", b"", b"er")) == expected


async def test_a_body_of_unknown_length_is_sent_in_chunks() -> None:
    expected = HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n"
    at_once = HEAD + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"

    chunked = {"Transfer-Encoding": "chunked"}

    assert await sent(chunked, Pieces(b"ab", b"", b"c")) == expected
    assert await sent(chunked, httpx.ByteStream(b"abc")) == at_once


WRONG: dict[str, httpx.Request] = {
    "a line in a value": httpx.Request("GET", "http://a", headers={"X-A": "secret\r\nX-B: c"}),
    "a return in a value": httpx.Request("GET", "http://a", headers={"X-A": "secret\rX-B: c"}),
    "a zero in a value": httpx.Request("GET", "http://a", headers={"X-A": "secret\0"}),
    "a space before a value": httpx.Request("GET", "http://a", headers={"X-A": " secret"}),
    "a name that is none": httpx.Request("GET", "http://a", headers={"X secret": "a"}),
    "a method that is none": httpx.Request("GET secret", "http://a"),
    "a method that is no ASCII": httpx.Request("GÉT", "http://a"),
    "no host": httpx.Request("GET", "http://a", headers={"X-A": "secret"}),
    "two hosts": httpx.Request("GET", "http://a", headers=[("Host", "a"), ("Host", "secret")]),
    "a length that is none": httpx.Request(
        "PUT", "http://a", headers={"Content-Length": "secret"}, content=b"a"
    ),
    "more than it said": httpx.Request(
        "PUT", "http://a", headers={"Content-Length": "1"}, content=b"secret"
    ),
    "less than it said": httpx.Request(
        "PUT", "http://a", headers={"Content-Length": "9"}, content=b"secret"
    ),
}
del WRONG["no host"].headers["Host"]


@pytest.mark.parametrize("request_", WRONG.values(), ids=WRONG.keys())
async def test_a_request_that_breaks_the_rules_is_refused_and_not_quoted(
    request_: httpx.Request,
) -> None:
    async with fault_server([reply()]) as server, Connections(http="fast") as connections:
        request_.url = httpx.URL(server.url)
        with pytest.raises(httpx.LocalProtocolError) as raised:
            await connections.handle_async_request(request_)

    assert "secret" not in str(raised.value)
    assert server.requests == []


# -- TLS -------------------------------------------------------------------------------------------


def contexts() -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's, and one that trusts it."""
    ca = trustme.CA()
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    ca.issue_cert("localhost", HOST).configure_cert(server)
    client = ssl.create_default_context()
    ca.configure_trust(client)
    return server, client


async def serve_tls(
    context: ssl.SSLContext, client: ssl.SSLContext, http: HTTP, answer: bytes, body: Any
) -> bytes:
    got = b""

    async def serve(stream: anyio.abc.ByteStream) -> None:
        try:
            async with stream:
                asked = b""
                while True:
                    asked += await stream.receive()
                    if asked.endswith(b"0" + END):
                        asked = b""
                        await stream.send(answer)
        except (anyio.EndOfStream, anyio.BrokenResourceError):
            pass

    tcp = await anyio.create_tcp_listener(local_host=HOST)
    port = tcp.extra(anyio.abc.SocketAttribute.local_port)
    listener = TLSListener(tcp, context, standard_compatible=False)
    async with listener, anyio.create_task_group() as tasks:
        tasks.start_soon(listener.serve, serve)
        async with Connections(tls=lambda: client, http=http) as connections:
            for _ in range(2):
                headers = {"Host": "h", "Transfer-Encoding": "chunked"}
                request = httpx.Request(
                    "PUT", f"https://localhost:{port}", headers=headers, stream=body()
                )
                with anyio.fail_after(5):
                    response = await connections.handle_async_request(request)
                    got += await response.aread()
            assert connections.statistics() == ConnectionStatistics(0, 1, 1)
        tasks.cancel_scope.cancel()
    return got


@pytest.mark.parametrize("http", ["h11", "fast"])
async def test_requests_go_through_tls(http: HTTP) -> None:
    server, client = contexts()
    large = b"x" * 400_000
    answer = OK + b"Content-Length: 400000\r\n\r\n" + large

    got = await serve_tls(server, client, http, answer, lambda: Pieces(b"ab", b"c"))

    assert len(got) == 2 * len(large)


# -- the setting -----------------------------------------------------------------------------------


def kind_of(c: ConsulClient) -> str:
    (connections,) = [part for part in c._core.parts if isinstance(part, Connections)]
    return connections._kind().__name__


def test_the_fast_ones_are_used_where_the_extra_is_installed() -> None:
    assert kind_of(ConsulClient()) == "LLHTTPConnection"
    assert kind_of(ConsulClient(http="auto")) == "LLHTTPConnection"
    assert kind_of(ConsulClient(http="fast")) == "LLHTTPConnection"
    assert kind_of(ConsulClient(http="h11")) == "H11Connection"


@pytest.mark.parametrize("http", get_args(HTTP))
def test_the_environment_says_it_too(http: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONSUL_ONEX_HTTP", http)
    expected = "H11Connection" if http == "h11" else "LLHTTPConnection"

    assert kind_of(ConsulClient.from_env()) == expected
    assert kind_of(ConsulClient.from_env(http="h11")) == "H11Connection"


@pytest.fixture
def without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.delitem(sys.modules, "consul_onex.transport._llhttp", raising=False)
    monkeypatch.setitem(sys.modules, "httptools", None)


@pytest.mark.usefixtures("without_the_extra")
def test_without_the_extra_h11_is_used_and_fast_is_refused() -> None:
    assert kind_of(ConsulClient()) == "H11Connection"
    with pytest.raises(ConfigurationError, match=r"consul-onex\[fast\]") as raised:
        ConsulClient(http="fast")

    assert raised.value.setting == "http"


def test_another_word_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong: Any = "h2"
    with pytest.raises(ConfigurationError, match="'auto', 'h11' or 'fast'"):
        ConsulClient(http=wrong)
    monkeypatch.setenv("CONSUL_ONEX_HTTP", "h2")
    with pytest.raises(ConfigurationError, match="CONSUL_ONEX_HTTP"):
        ConsulClient.from_env()


def test_it_is_refused_where_there_are_no_sockets() -> None:
    transport = httpx.MockTransport(lambda _: httpx.Response(200))
    with pytest.raises(ConfigurationError, match="a transport is given instead"):
        ConsulClient(transport=transport, http="fast")
