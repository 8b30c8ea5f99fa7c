"""Datacenters: which agent is asked, and what changes on the way to another."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import suppress

import httpx
import pytest

from consul_onex._call import Call, Safety
from consul_onex.errors import CircuitOpenError, ConfigurationError, DecodeError
from consul_onex.transport import Datacenters

from .support import URL, Body, Script, Step, answer, hang, in_flight, read, request_for, send

OK = answer(200, "ok")
REFUSED = httpx.ConnectError("refused")
ADDRESSES = {
    "dc2": "http://10.2.0.1:8501",
    "dc3": "https://proxy.example/consul",
    "dc4": "10.4.0.1:8500",
}


def urls(script: Script) -> list[str]:
    return [str(request.url) for request in script.requests]


def card(datacenter: str | None = "dc1", *failover: str, wait: float | None = None) -> Call:
    return Call("kv.get", datacenter=datacenter, failover=failover, wait=wait)


# Where to


@pytest.mark.parametrize(
    ("datacenter", "url", "asked"),
    [
        (None, URL, URL),
        ("dc1", URL + "?dc=dc1", URL + "?dc=dc1"),
        ("dc2", URL + "?dc=dc2", "http://10.2.0.1:8501/v1/kv/a?dc=dc2"),
        ("dc2", URL, "http://10.2.0.1:8501/v1/kv/a?dc=dc2"),
        ("dc3", URL + "?dc=dc3", "https://proxy.example/consul/v1/kv/a?dc=dc3"),
        ("dc4", URL + "?dc=dc4", "http://10.4.0.1:8500/v1/kv/a?dc=dc4"),
        (
            "dc3",
            "http://agent:8500/from/prefix/v1/kv/a?dc=dc3&recurse=",
            "https://proxy.example/consul/v1/kv/a?dc=dc3&recurse=",
        ),
        (
            "dc2",
            "http://agent:8500/v1/kv/a%2Fb%20c%3F%25/%C3%BC?separator=%2F&dc=dc2",
            "http://10.2.0.1:8501/v1/kv/a%2Fb%20c%3F%25/%C3%BC?separator=%2F&dc=dc2",
        ),
        (
            "dc2",
            "http://agent:8500/v1/catalog/nodes?node-meta=a%3A1&node-meta=b%3A2&dc=dc2",
            "http://10.2.0.1:8501/v1/catalog/nodes?node-meta=a%3A1&node-meta=b%3A2&dc=dc2",
        ),
    ],
)
async def test_a_datacenter_is_asked_at_its_address_or_else_through_the_own_agent(
    datacenter: str | None, url: str, asked: str
) -> None:
    script, call = Script(OK), card(datacenter)

    response = await send(Datacenters(ADDRESSES).wrap(script), call, url=url)

    assert urls(script) == [asked]
    assert await read(response) == b"ok"
    assert call.served_by == datacenter


async def test_what_needs_no_other_way_is_the_very_same_request() -> None:
    script, request = Script(OK), request_for(card("dc1"))

    await Datacenters(ADDRESSES).wrap(script).handle_async_request(request)

    assert script.requests[0] is request


async def test_on_another_way_only_the_address_and_the_host_change() -> None:
    call = Call("kv.put", Safety.IDEMPOTENT, datacenter="dc2")
    request = httpx.Request(
        "PUT",
        URL + "?dc=dc2",
        headers=[("X-First", "1"), ("Host", "agent:8500"), ("X-Twice", "2"), ("X-Twice", "3")],
        content=b"value",
        extensions={"timeout": {"read": 1.0}, "consul_onex": call},
    )
    script = Script(OK)

    await Datacenters(ADDRESSES).wrap(script).handle_async_request(request)

    (sent,) = script.requests
    host, *others = sent.headers.raw
    assert host == (b"Host", b"10.2.0.1:8501")
    assert others == [header for header in request.headers.raw if header[0] != b"Host"]
    assert (sent.method, sent.stream) == ("PUT", request.stream)
    assert sent.extensions == request.extensions
    assert sent.extensions["consul_onex"] is call


async def test_a_streamed_body_goes_along_unread() -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"snapshot"

    request = httpx.Request("PUT", URL, content=pieces(), extensions={"consul_onex": card("dc2")})
    script = Script(OK)

    await Datacenters(ADDRESSES).wrap(script).handle_async_request(request)

    assert script.requests[0].stream is request.stream


@pytest.mark.parametrize(
    "path",
    [
        "/v1/agent/self",
        "/v1/agent/service/register?dc=dc2",
        "/v1/status/leader",
        "/prefix/v1/agent/checks",
    ],
)
async def test_what_is_about_the_agent_itself_is_never_routed(path: str) -> None:
    script, request = (
        Script(REFUSED),
        request_for(card("dc2", "dc3"), url="http://agent:8500" + path),
    )

    with pytest.raises(httpx.ConnectError):
        await Datacenters(ADDRESSES).wrap(script).handle_async_request(request)

    assert script.requests == [request]


async def test_a_card_that_says_local_is_never_routed() -> None:
    script = Script(REFUSED)
    call = Call("catalog.x", local=True, datacenter="dc2", failover=("dc3",))

    with pytest.raises(httpx.ConnectError):
        await send(Datacenters(ADDRESSES).wrap(script), call)

    assert urls(script) == [URL]


@pytest.mark.parametrize("key", ["v1/agent/x", "a/v1/agent/x", "v1/status/x", "v1/kv/v1/agent/x"])
async def test_a_key_that_looks_like_an_agents_path_is_routed_whole(key: str) -> None:
    script = Script(OK)

    await send(
        Datacenters(ADDRESSES).wrap(script), card("dc3"), url=f"http://agent:8500/v1/kv/{key}"
    )

    assert urls(script) == [f"https://proxy.example/consul/v1/kv/{key}?dc=dc3"]


async def test_without_a_card_nothing_is_routed() -> None:
    script = Script(OK)

    await send(Datacenters(ADDRESSES).wrap(script), None, url=URL + "?dc=dc2")

    assert urls(script) == [URL + "?dc=dc2"]


# Failover


@pytest.mark.parametrize(
    "failure",
    [
        REFUSED,
        httpx.ReadTimeout("silence"),
        CircuitOpenError("not sent"),
        answer(500, "No cluster leader"),
        answer(500, "rpc error making call: EOF"),
        answer(500, "No path to datacenter"),
        answer(500, "a text that nobody has seen before"),
        answer(429, "slow down"),
        answer(503, "rate limit exceeded"),
        answer(502, "Bad Gateway"),
    ],
)
async def test_a_read_that_opted_in_is_asked_elsewhere(failure: Step) -> None:
    script, call = Script(failure, OK), card("dc1", "dc2")

    response = await send(Datacenters(ADDRESSES).wrap(script), call, url=URL + "?dc=dc1")

    assert urls(script) == [URL + "?dc=dc1", "http://10.2.0.1:8501/v1/kv/a?dc=dc2"]
    assert await read(response) == b"ok"
    assert call.served_by == "dc2"


async def test_the_datacenters_are_asked_in_the_given_order() -> None:
    script, call = Script(REFUSED), card(None, "dc3", "dc9", "dc2")

    with pytest.raises(httpx.ConnectError):
        await send(Datacenters(ADDRESSES).wrap(script), call, url=URL + "?recurse=")

    assert urls(script) == [
        URL + "?recurse=",
        "https://proxy.example/consul/v1/kv/a?recurse=&dc=dc3",
        URL + "?recurse=&dc=dc9",
        "http://10.2.0.1:8501/v1/kv/a?recurse=&dc=dc2",
    ]


async def test_the_answer_of_the_last_one_is_the_answer() -> None:
    script = Script(answer(500, "No cluster leader"), REFUSED, answer(500, "No path to datacenter"))

    response = await send(Datacenters().wrap(script), card("dc1", "dc2", "dc3"))

    assert await read(response) == b"No path to datacenter"
    assert len(script.requests) == 3


@pytest.mark.parametrize(
    "result",
    [
        answer(200, "[]"),
        answer(404, ""),
        answer(403, "Permission denied"),
        answer(400, "Invalid index"),
        answer(500, 'invalid session "11111111-1111-1111-1111-111111111111"'),
        answer(500, "Permission denied"),
    ],
)
async def test_an_answer_is_final_even_where_it_is_a_refusal(result: Step) -> None:
    script = Script(result, OK)

    response = await send(Datacenters().wrap(script), card("dc1", "dc2"))
    await read(response)

    assert len(script.requests) == 1


@pytest.mark.parametrize(
    "error", [httpx.UnsupportedProtocol("ftp"), DecodeError("not JSON"), ValueError("a defect")]
)
async def test_an_error_that_would_be_the_same_elsewhere_is_final(error: Exception) -> None:
    script = Script(error, OK)

    with pytest.raises(type(error)):
        await send(Datacenters().wrap(script), card("dc1", "dc2"))

    assert len(script.requests) == 1


@pytest.mark.parametrize("safety", [Safety.IDEMPOTENT, Safety.UNSAFE])
async def test_a_write_never_fails_over(safety: Safety) -> None:
    script = Script(REFUSED, OK)

    with pytest.raises(httpx.ConnectError):
        await send(Datacenters(ADDRESSES).wrap(script), Call("x", safety, failover=("dc2",)), "PUT")

    assert urls(script) == [URL]


@pytest.mark.parametrize("failure", [REFUSED, answer(500, "No cluster leader")])
async def test_nothing_fails_over_by_itself(failure: Step) -> None:
    script = Script(failure, OK)

    with suppress(httpx.ConnectError):
        await send(Datacenters(ADDRESSES).wrap(script), card("dc1"))

    assert len(script.requests) == 1


async def test_an_answer_left_behind_is_closed() -> None:
    body = Body(b"No cluster leader")

    await send(Datacenters().wrap(Script(answer(500, body), OK)), card("dc1", "dc2"))

    assert body.closed


async def test_an_answer_kept_after_a_look_at_it_is_readable() -> None:
    script = Script(answer(500, "Permission denied"))

    response = await send(Datacenters().wrap(script), card("dc1", "dc2"))

    assert await read(response) == b"Permission denied"


@pytest.mark.parametrize("home", [None, "dc1"])
@pytest.mark.parametrize("last", [OK, REFUSED])
async def test_the_next_attempt_starts_at_home_again(home: str | None, last: Step) -> None:
    seen: list[str | None] = []
    call = card(home, "dc2")

    def refuse(request: httpx.Request) -> httpx.Response:
        seen.append(call.datacenter)
        raise REFUSED

    def look(request: httpx.Request) -> httpx.Response:
        seen.append(call.datacenter)
        if isinstance(last, Exception):
            raise last
        return httpx.Response(200)

    with suppress(httpx.ConnectError):
        await send(Datacenters().wrap(Script(refuse, look)), call)

    assert seen == [home, "dc2"]
    assert call.datacenter == home


async def test_a_cancelled_call_leaves_its_card_at_home() -> None:
    call = card("dc1", "dc2")

    async with in_flight(Datacenters().wrap(Script(REFUSED, hang)), call):
        assert call.datacenter == "dc2"

    assert call.datacenter == "dc1"


# Blocking queries


@pytest.mark.parametrize(
    ("home", "index_of", "asked"),
    [
        (None, None, URL + "?index=7&wait=60s"),
        ("dc1", "dc1", URL + "?index=7&wait=60s"),
        ("dc1", "dc2", URL + "?dc=dc1"),
        ("dc1", None, URL + "?dc=dc1"),
        (None, "dc2", URL + "?"),
        ("dc2", "dc2", "http://10.2.0.1:8501/v1/kv/a?index=7&wait=60s&dc=dc2"),
        ("dc2", "dc1", "http://10.2.0.1:8501/v1/kv/a?dc=dc2"),
    ],
)
async def test_an_index_goes_to_the_datacenter_it_comes_from_and_to_no_other(
    home: str | None, index_of: str | None, asked: str
) -> None:
    script = Script(OK)
    call = Call("kv.get", wait=60.0, datacenter=home, index_of=index_of)

    await send(Datacenters(ADDRESSES).wrap(script), call, url=URL + "?index=7&wait=60s")

    assert script.requests[0].url == httpx.URL(asked)


async def test_a_blocking_query_that_fails_over_starts_anew_there() -> None:
    script = Script(REFUSED, OK)
    call = Call("kv.get", wait=60.0, failover=("dc2",))

    await send(Datacenters(ADDRESSES).wrap(script), call, url=URL + "?index=7&wait=60s&stale=")

    assert urls(script) == [
        URL + "?index=7&wait=60s&stale=",
        "http://10.2.0.1:8501/v1/kv/a?stale=&dc=dc2",
    ]


async def test_one_that_was_answered_elsewhere_blocks_there_again() -> None:
    script = Script(REFUSED, OK)
    call = Call("kv.get", wait=60.0, index_of="dc2", failover=("dc2",))

    await send(Datacenters(ADDRESSES).wrap(script), call, url=URL + "?index=7&wait=60s")

    assert urls(script)[-1] == "http://10.2.0.1:8501/v1/kv/a?index=7&wait=60s&dc=dc2"


async def test_what_does_not_block_keeps_a_parameter_of_that_name() -> None:
    script = Script(OK)

    await send(Datacenters(ADDRESSES).wrap(script), card("dc2"), url=URL + "?index=7")

    assert urls(script) == ["http://10.2.0.1:8501/v1/kv/a?index=7&dc=dc2"]


# Addresses


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("unix:///run/consul.sock", "always this machine's agent"),
        ("ftp://10.2.0.1", "Datacenters"),
        ("", "Datacenters"),
    ],
)
def test_an_address_that_cannot_be_meant_is_refused_at_once(address: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words) as caught:
        Datacenters({"dc2": address})

    assert caught.value.setting == "Datacenters['dc2']"
