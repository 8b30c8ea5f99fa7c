"""Access control where servers differ: how each says that something is not there."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from consul_onex import (
    BadRequestError,
    ConsulClient,
    ConsulError,
    Cursor,
    NotFoundError,
    PermissionDeniedError,
    UnsupportedEndpointError,
)
from consul_onex.models.acl import TemplatedPolicyLink, TemplateVariables
from tests.support.canary import CANARY, Bottom, leaks

NOT_FOUND = httpx.Response(404, text="Requested policy does not exist: ACL not found")
OTHER_WORDS = httpx.Response(404, text="no policy of that name")
NO_ROUTE = httpx.Response(404)
REFUSED = httpx.Response(403, text="ACL not found")
NEWLY_REFUSED = httpx.Response(403, text="token does not exist: ACL not found")
NO_RIGHT = httpx.Response(403, text="Permission denied")
LIST = httpx.Response(200, json=[], headers={"X-Consul-Index": "9"})

READS: dict[str, tuple[Callable[..., Awaitable[object]], str]] = {
    "token": (
        lambda c, **kw: c.acl.token.get("x", **kw),
        "/v1/acl/tokens?policy=00000000-0000-0000-0000-000000000000",
    ),
    "policy": (lambda c, **kw: c.acl.policy.get("x", **kw), "/v1/acl/policies"),
    "policy by name": (lambda c, **kw: c.acl.policy.get_by_name("x", **kw), "/v1/acl/policies"),
    "role": (
        lambda c, **kw: c.acl.role.get("x", **kw),
        "/v1/acl/roles?policy=00000000-0000-0000-0000-000000000000",
    ),
    "role by name": (
        lambda c, **kw: c.acl.role.get_by_name("x", **kw),
        "/v1/acl/roles?policy=00000000-0000-0000-0000-000000000000",
    ),
    "auth method": (lambda c, **kw: c.acl.auth_method.get("x", **kw), "/v1/acl/auth-methods"),
    "binding rule": (
        lambda c, **kw: c.acl.binding_rule.get("x", **kw),
        "/v1/acl/binding-rules?authmethod=00000000-0000-0000-0000-000000000000",
    ),
}

each_read = pytest.mark.parametrize(("read", "among"), READS.values(), ids=READS)


def client(bottom: Bottom) -> ConsulClient:
    return ConsulClient(transport=bottom, check_server=False)


@each_read
async def test_a_new_server_is_asked_once(read: Any, among: str) -> None:
    bottom = Bottom(NOT_FOUND)
    async with client(bottom) as c:
        assert await read(c) is None

    assert len(bottom.requests) == 1


@each_read
@pytest.mark.parametrize(
    "first", [REFUSED, NO_ROUTE, OTHER_WORDS], ids=["refused", "no route", "other words"]
)
async def test_where_it_could_mean_something_else_the_list_tells(
    read: Any, among: str, first: httpx.Response
) -> None:
    bottom = Bottom(first, LIST)
    async with client(bottom) as c:
        assert await read(c) is None

    assert bottom.last.url.raw_path.decode() == among


@each_read
async def test_who_waits_is_told_by_the_list_what_to_wait_beyond(read: Any, among: str) -> None:
    bottom, cursor = Bottom(NOT_FOUND, LIST, NOT_FOUND, LIST), Cursor()
    async with client(bottom) as c:
        assert await read(c, cursor=cursor) is None
        assert cursor.index == 9
        await read(c, cursor=cursor)

    assert bottom.requests[1].url.raw_path.decode() == among
    assert bottom.requests[2].url.params["index"] == "9"


@each_read
@pytest.mark.parametrize(
    ("answers", "error"),
    [
        ((NO_RIGHT,), PermissionDeniedError),
        ((REFUSED, REFUSED), PermissionDeniedError),
        ((NEWLY_REFUSED, NEWLY_REFUSED), PermissionDeniedError),
        ((NO_ROUTE, NO_ROUTE), UnsupportedEndpointError),
        ((OTHER_WORDS, OTHER_WORDS), NotFoundError),
    ],
    ids=["no right", "unknown token", "unknown token, newly said", "no route", "a proxy"],
)
async def test_what_means_something_else_is_an_error(
    read: Any, among: str, answers: tuple[httpx.Response, ...], error: type[ConsulError]
) -> None:
    bottom = Bottom(*answers)
    async with client(bottom) as c:
        with pytest.raises(error) as raised:
            await read(c)

    assert len(bottom.requests) == len(answers)
    assert raised.value.operation is not None
    assert raised.value.operation.startswith("acl.")


async def test_a_clone_is_refused_as_the_token_or_as_the_asker_is() -> None:
    async with client(Bottom(REFUSED, REFUSED, LIST)) as c:
        with pytest.raises(NotFoundError):
            await c.acl.token.clone("x")
    async with client(Bottom(NO_RIGHT)) as c:
        with pytest.raises(PermissionDeniedError, match="Permission denied"):
            await c.acl.token.clone("x")


async def test_only_one_mistake_is_a_templated_policy_that_is_not_there() -> None:
    async with client(Bottom(httpx.Response(400, text="Invalid templated policy Name: x"))) as c:
        assert await c.acl.templated_policy.get("x") is None
        with pytest.raises(BadRequestError):
            await c.acl.templated_policy.preview("x")
    async with client(Bottom(httpx.Response(400, text="something else"))) as c:
        with pytest.raises(BadRequestError):
            await c.acl.templated_policy.get("x")


@pytest.mark.parametrize("name", ["", "/", "builtin/", "builtin//service", "../token", "a\nb"])
async def test_a_templated_policy_cannot_reach_another_endpoint(name: str) -> None:
    bottom = Bottom()
    async with client(bottom) as c:
        with pytest.raises(ConsulError):
            await c.acl.templated_policy.get(name)

    assert bottom.requests == []


@pytest.mark.parametrize("spelling", ["Name", "name"])
async def test_template_variables_are_read_in_either_spelling(spelling: str) -> None:
    link = {"TemplateName": "builtin/service", "TemplateVariables": {spelling: "api"}}
    token = httpx.Response(200, json={"TemplatedPolicies": [link]})
    async with client(Bottom(token)) as c:
        read = await c.acl.token.self()

    assert read.templated_policies == [
        TemplatedPolicyLink(
            template_name="builtin/service", template_variables=TemplateVariables(name="api")
        )
    ]


@pytest.mark.parametrize("damaged", [b'{"SecretID": ', b'{"SecretID": 7}', b"[]", b"null"])
async def test_a_damaged_token_is_an_error_that_does_not_quote_it(damaged: bytes) -> None:
    secret = CANARY.get_secret_value().encode()
    answer = httpx.Response(200, content=damaged.replace(b"7", b'["%s"]' % secret))
    async with client(Bottom(answer)) as c:
        with pytest.raises(ConsulError) as raised:
            await c.acl.bootstrap()

    assert not leaks(f"{raised.value!r} {raised.value} {vars(raised.value)}")


@pytest.mark.parametrize(
    "failure",
    [
        httpx.Response(500, text="a text of a newer server"),
        httpx.Response(403, text="Permission denied"),
        httpx.ConnectError("refused"),
        httpx.ReadTimeout("late"),
        httpx.ReadError("reset"),
    ],
    ids=str,
)
async def test_a_secret_in_a_body_shows_in_no_error(failure: httpx.Response | Exception) -> None:
    async with client(Bottom(failure)) as c:
        for call in (
            c.acl.bootstrap(CANARY),
            c.acl.login("ci", CANARY),
            c.acl.oidc_callback("ci", CANARY, CANARY),
        ):
            with pytest.raises(ConsulError) as raised:
                await call

            assert not leaks(f"{raised.value!r} {raised.value} {vars(raised.value)} {c!r}")
