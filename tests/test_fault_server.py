"""The fault server itself: it does what its script says, and knows what it saw."""

from __future__ import annotations

from collections.abc import Callable

import anyio
import httpx
import pytest

from tests.support.fault_server import (
    HANG,
    HOST,
    RESET,
    SILENCE,
    Answer,
    FaultServer,
    Seen,
    Then,
    fault_server,
    raw,
    reply,
)


def client() -> httpx.AsyncClient:
    return httpx.AsyncClient(trust_env=False, timeout=httpx.Timeout(5.0, read=0.3))


async def bytes_of(server: FaultServer) -> bytes:
    """All that a plain request is answered with, until the server closes."""
    answer = b""
    with anyio.fail_after(5):
        async with await anyio.connect_tcp(HOST, server.port) as stream:
            await stream.send(b"GET / HTTP/1.1\r\n\r\n")
            async for piece in stream:
                answer += piece
    return answer


async def test_a_request_is_recorded_as_it_came() -> None:
    async with fault_server([reply()]) as server, client() as http:
        await http.put(f"{server.url}/v1/kv/a%2Fb?cas=1", content=b"value")

        (seen,) = server.requests
    assert (seen.method, seen.target, seen.body) == ("PUT", "/v1/kv/a%2Fb?cas=1", b"value")
    assert seen.headers["content-length"] == "5"


async def test_answers_come_in_their_order_and_the_last_one_stays() -> None:
    async with fault_server([reply(500), reply(body=b"a")]) as server, client() as http:
        answers = [await http.get(server.url) for _ in range(3)]

        assert [seen.connection for seen in server.requests] == [1, 1, 1]
    assert [(answer.status_code, answer.content) for answer in answers] == [
        (500, b""),
        (200, b"a"),
        (200, b"a"),
    ]


async def test_a_script_may_be_a_function_of_the_request() -> None:
    def script(seen: Seen) -> Answer:
        return reply(body=seen.target.encode(), headers={"X-Method": seen.method})

    async with fault_server(script) as server, client() as http:
        answer = await http.delete(f"{server.url}/x")

    assert (answer.content, answer.headers["x-method"]) == (b"/x", "DELETE")


async def test_a_chunked_body_and_one_in_drops_arrive_whole() -> None:
    script = [reply(body=b"abc", chunked=True), reply(body=b"defg", pause=0.001)]
    async with fault_server(script) as server, client() as http:
        answers = [await http.get(server.url) for _ in range(2)]

    assert [answer.content for answer in answers] == [b"abc", b"defg"]


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (RESET, httpx.ReadError),
        (SILENCE, httpx.RemoteProtocolError),
        (HANG, httpx.ReadTimeout),
        (raw(b"\x00\x01 garbage\r\n\r\n"), httpx.RemoteProtocolError),
        (raw(b"HTTP/1.1 200 OK\r\nContent-Le"), httpx.RemoteProtocolError),
        (reply(body=b"0123456789", cut=5), httpx.RemoteProtocolError),
        (reply(headers={"Content-Length": "10"}, body=b"0", then=Then.HANG), httpx.ReadTimeout),
    ],
)
async def test_each_fault_reaches_the_client(
    answer: Answer, error: type[httpx.TransportError]
) -> None:
    async with fault_server([answer]) as server, client() as http:
        with pytest.raises(error):
            await http.get(server.url)

        assert len(server.requests) == 1
        await server.wait_open(0)


async def test_a_connection_may_end_although_it_was_promised_to_stay() -> None:
    async with fault_server([reply(body=b"a", then=Then.CLOSE)]) as server:
        assert await bytes_of(server) == b"HTTP/1.1 200 -\r\nContent-Length: 1\r\n\r\na"


async def test_an_answer_is_held_until_its_event() -> None:
    release = anyio.Event()
    answers: list[bytes] = []
    async with fault_server([reply(body=b"late", hold=release)]) as server, client() as http:

        async def get() -> None:
            answers.append((await http.get(server.url, timeout=5)).content)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(get)
            await server.wait_requests(1)
            await anyio.wait_all_tasks_blocked()
            assert answers == []
            release.set()

    assert answers == [b"late"]


@pytest.mark.parametrize("answer", [lambda: HANG, lambda: reply(hold=anyio.Event())])
async def test_a_client_that_leaves_is_noticed_at_once(answer: Callable[[], Answer]) -> None:
    async with fault_server([answer()]) as server:
        async with await anyio.connect_tcp(HOST, server.port) as stream:
            await stream.send(b"GET / HTTP/1.1\r\n\r\n")
            await server.wait_requests(1)
            open_before = server.open

        await server.wait_open(0)
    assert (open_before, server.accepted) == (1, 1)


async def test_a_deaf_server_reads_nothing_before_its_event() -> None:
    listen = anyio.Event()
    async with (
        fault_server([SILENCE], deaf_until=listen) as server,
        anyio.create_task_group() as tasks,
    ):
        tasks.start_soon(bytes_of, server)
        await anyio.wait_all_tasks_blocked()
        assert (server.accepted, server.requests) == (0, [])
        listen.set()
        await server.wait_requests(1)
