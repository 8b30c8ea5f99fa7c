"""Authorize: where the token is, and where it is not."""

from __future__ import annotations

import pickle
from collections.abc import AsyncIterator

import httpx
import pytest
from pydantic import SecretStr

from consul_onex._call import CARD, Call, Token
from consul_onex.errors import ConfigurationError
from consul_onex.transport import Authorize

from .support import URL, Script, answer, request_for, send

OK = answer(200, "ok")
TOKEN = SecretStr("8a4f4d0f-secret")


def tokens_of(request: httpx.Request) -> list[str]:
    return request.headers.get_list("X-Consul-Token")


async def test_the_token_is_on_the_request_below_and_not_on_the_one_above() -> None:
    script = Script(OK)
    request = request_for(Call("kv.put"), "PUT", content=b"value")
    before = list(request.headers.raw)

    await Authorize(TOKEN).wrap(script).handle_async_request(request)

    (sent,) = script.requests
    assert tokens_of(sent) == ["8a4f4d0f-secret"]
    assert request.headers.raw == before


async def test_nothing_else_of_the_request_changes() -> None:
    script = Script(OK)
    request = httpx.Request(
        "PUT",
        URL + "?cas=3",
        headers=[("Accept", "application/json"), ("X-Twice", "1"), ("X-Twice", "2")],
        content=b"value",
        extensions={"timeout": {"read": 1.0}},
    )

    await Authorize(TOKEN).wrap(script).handle_async_request(request)

    (sent,) = script.requests
    assert (sent.method, sent.url) == (request.method, request.url)
    assert sent.headers.raw[:-1] == request.headers.raw
    assert sent.stream is request.stream
    assert sent.extensions == request.extensions
    assert sent.extensions[CARD] is request.extensions[CARD]


async def test_a_streamed_body_is_passed_on_unread() -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"snapshot"

    script = Script(OK)
    request = httpx.Request("PUT", URL, content=pieces())

    await Authorize(TOKEN).wrap(script).handle_async_request(request)

    assert script.requests[0].stream is request.stream


@pytest.mark.parametrize(
    ("token", "view", "sent"),
    [
        (TOKEN, None, ["8a4f4d0f-secret"]),
        (lambda: SecretStr("current"), None, ["current"]),
        (lambda: None, None, []),
        (lambda: SecretStr(""), None, []),
        (TOKEN, SecretStr("of-the-view"), ["of-the-view"]),
        (TOKEN, lambda: SecretStr("of-the-view"), ["of-the-view"]),
        (None, SecretStr("of-the-view"), ["of-the-view"]),
        (None, None, []),
    ],
)
async def test_the_token_comes_from_the_view_or_the_layer_as_value_or_callable(
    token: Token | None, view: Token | None, sent: list[str]
) -> None:
    script = Script(OK)

    await send(Authorize(token).wrap(script), Call("kv.get", token=view))

    assert tokens_of(script.requests[0]) == sent


async def test_a_token_source_is_asked_once_for_each_request() -> None:
    tokens = iter(["first", "second", "third"])
    script = Script(OK)
    transport = Authorize(lambda: SecretStr(next(tokens))).wrap(script)

    await send(transport)
    await send(transport)

    assert [tokens_of(request) for request in script.requests] == [["first"], ["second"]]


@pytest.mark.parametrize("bad", ["two words", "line\nend", "\u00fcmlaut", "x" * 5000])
async def test_a_token_that_no_header_may_carry_is_not_sent_and_not_quoted(bad: str) -> None:
    script = Script(OK)

    with pytest.raises(ConfigurationError) as caught:
        await send(Authorize(lambda: SecretStr(bad)).wrap(script))

    assert not script.requests
    assert bad not in str(caught.value)


async def test_basic_authentication_is_a_header_of_its_own() -> None:
    script = Script(OK)

    await send(Authorize(TOKEN, basic=SecretStr("Aladdin:open sesame")).wrap(script))

    assert script.requests[0].headers["Authorization"] == "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="
    assert tokens_of(script.requests[0]) == ["8a4f4d0f-secret"]


async def test_basic_authentication_needs_no_token() -> None:
    script = Script(OK)

    await send(Authorize(basic=SecretStr("user:password")).wrap(script))

    assert "Authorization" in script.requests[0].headers
    assert tokens_of(script.requests[0]) == []


async def test_without_any_secret_the_request_passes_as_it_is() -> None:
    script = Script(OK)
    request = request_for(None)

    await Authorize().wrap(script).handle_async_request(request)

    assert script.requests[0] is request


async def test_no_frame_above_the_bottom_has_the_token_in_a_local() -> None:
    transport = Authorize(TOKEN, basic=SecretStr("user:pa55word")).wrap(
        Script(httpx.ReadError("reset"))
    )

    with pytest.raises(httpx.ReadError) as caught:
        await send(transport)

    frames = [entry.frame for entry in caught.traceback]
    ours = [frame for frame in frames if str(frame.code.path).endswith("authorize.py")]
    shown = " ".join(repr(value) for frame in ours for value in frame.f_locals.values())
    assert ours
    assert "8a4f4d0f" not in shown
    assert "pa55word" not in shown


def test_the_layer_shows_none_of_its_secrets() -> None:
    layer = Authorize(TOKEN, basic=SecretStr("user:pa55word"))

    assert repr(layer) == "Authorize()"
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(layer)


def test_a_callable_is_not_shown_either() -> None:
    class Source:
        def __repr__(self) -> str:
            return "8a4f4d0f-secret"

        def __call__(self) -> SecretStr:
            return TOKEN

    assert "8a4f4d0f" not in repr(Authorize(Source()))
    assert "8a4f4d0f" not in repr(Call("kv.get", token=Source()))
