"""What agents of other versions answer, and what only looks like an answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import httpx
import pytest

from consul_onex import (
    ConsulClient,
    InvalidRequestError,
    NotFoundError,
    OutcomeUnknownError,
    RateLimitedError,
    ServerError,
    UnknownCheckError,
    UnsupportedEndpointError,
)
from consul_onex._call import CARD
from consul_onex.models.check import Check
from consul_onex.models.service import ServiceRegistration
from consul_onex.transport import Retry
from tests.support.canary import Bottom

Call = Callable[[ConsulClient], Awaitable[object]]

NO_SERVICE = httpx.Response(
    404, text='Unknown service ID "web". Ensure that the service ID is passed, not the name.'
)
NO_CHECK = httpx.Response(
    404, text='Unknown check ID "web". Ensure that the check ID is passed, not the check name.'
)
NO_ROUTE = httpx.Response(404)

REMOVALS: dict[str, tuple[Call, httpx.Response]] = {
    "deregister": (lambda c: c.agent.deregister("web"), NO_SERVICE),
    "deregister_check": (lambda c: c.agent.deregister_check("web"), NO_CHECK),
}
BEATS: dict[str, Call] = {
    "check_pass": lambda c: c.agent.check_pass("web"),
    "check_warn": lambda c: c.agent.check_warn("web"),
    "check_fail": lambda c: c.agent.check_fail("web"),
    "check_update": lambda c: c.agent.check_update("web", "passing"),
}
HEALTH: dict[str, Call] = {
    "health": lambda c: c.agent.health("web"),
    "health_by_name": lambda c: c.agent.health_by_name("web"),
}


def client(*answers: httpx.Response | Exception) -> ConsulClient:
    return ConsulClient(transport=Bottom(*answers), layers=[Retry(initial=0)])


# -- removed ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", REMOVALS)
async def test_what_is_gone_may_be_removed_from_a_new_agent_too(name: str) -> None:
    call, gone = REMOVALS[name]
    async with client(gone) as c:
        assert await call(c) is None


@pytest.mark.parametrize("name", REMOVALS)
async def test_what_the_lost_answer_removed_is_gone(name: str) -> None:
    call, gone = REMOVALS[name]
    async with client(httpx.ReadError("lost"), gone) as c:
        assert await call(c) is None


@pytest.mark.parametrize("name", REMOVALS)
async def test_where_there_is_no_agent_nothing_is_removed(name: str) -> None:
    call, _ = REMOVALS[name]
    async with client(NO_ROUTE) as c:
        with pytest.raises(UnsupportedEndpointError):
            await call(c)


# -- told ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", BEATS)
async def test_a_check_that_a_new_agent_does_not_know_is_unknown(name: str) -> None:
    async with client(NO_CHECK) as c:
        with pytest.raises(UnknownCheckError):
            await BEATS[name](c)


@pytest.mark.parametrize("name", BEATS)
async def test_a_heartbeat_goes_before_other_calls(name: str) -> None:
    bottom = Bottom(httpx.Response(200))
    async with ConsulClient(transport=bottom) as c:
        await BEATS[name](c)
        await c.agent.register_check(Check(name="web"))

    beat, other = bottom.requests
    assert beat.extensions[CARD].control is True
    assert other.extensions[CARD].control is False


async def test_what_registers_a_service_or_takes_it_away_goes_before_other_calls() -> None:
    bottom = Bottom(httpx.Response(200))
    async with ConsulClient(transport=bottom) as c:
        await c.agent.register(ServiceRegistration(name="web"))
        await c.agent.service_maintenance("web", True)
        await c.agent.deregister("web")

    assert [request.extensions[CARD].control for request in bottom.requests] == [True] * 3


# -- asked how it is -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", HEALTH)
async def test_an_agent_that_is_asked_too_often_does_not_tell_of_a_service(name: str) -> None:
    busy = httpx.Response(429, text="Your IP is issuing too many concurrent connections")
    async with ConsulClient(transport=Bottom(busy), layers=[]) as c:
        with pytest.raises(RateLimitedError):
            await HEALTH[name](c)


@pytest.mark.parametrize("name", HEALTH)
async def test_nor_does_a_proxy_without_an_agent(name: str) -> None:
    gone = httpx.Response(503, text="upstream connect error")
    async with ConsulClient(transport=Bottom(gone), layers=[]) as c:
        with pytest.raises(ServerError):
            await HEALTH[name](c)


@pytest.mark.parametrize("name", HEALTH)
async def test_where_there_is_no_such_endpoint_nothing_is_well_or_missing(name: str) -> None:
    async with client(NO_ROUTE) as c:
        with pytest.raises(UnsupportedEndpointError):
            await HEALTH[name](c)


# -- given a token ---------------------------------------------------------------------------------


def unknown(kind: str) -> httpx.Response:
    return httpx.Response(404, text=f'Token "{kind}" is unknown')


async def test_a_new_agent_is_given_its_recovery_token_once() -> None:
    bottom = Bottom(httpx.Response(200))
    async with ConsulClient(transport=bottom) as c:
        await c.agent.set_token("agent_recovery", "5f")

    assert [request.url.path for request in bottom.requests] == ["/v1/agent/token/agent_recovery"]


async def test_an_old_one_by_the_old_name() -> None:
    bottom = Bottom(unknown("agent_recovery"), httpx.Response(200))
    async with ConsulClient(transport=bottom) as c:
        await c.agent.set_token("agent_recovery", "5f")

    first, second = bottom.requests
    assert second.url.path == "/v1/agent/token/agent_master"
    assert second.content == first.content == b'{"Token":"5f"}'


async def test_other_kinds_have_one_name() -> None:
    bottom = Bottom(unknown("dns"))
    async with ConsulClient(transport=bottom) as c:
        with pytest.raises(NotFoundError, match="dns"):
            await c.agent.set_token("dns", "5f")

    assert len(bottom.requests) == 1


# -- sent off --------------------------------------------------------------------------------------


async def test_an_agent_is_told_to_leave_once() -> None:
    # It might be running again by the time of a second request.
    bottom = Bottom(httpx.ReadError("lost"))
    async with ConsulClient(transport=bottom) as c:
        with pytest.raises(OutcomeUnknownError):
            await c.agent.leave()

    assert len(bottom.requests) == 1


async def test_a_community_agent_has_no_namespaces_to_keep_services_in() -> None:
    myself = httpx.Response(200, json={"Config": {"Version": "1.22.0", "Datacenter": "dc1"}})
    async with ConsulClient(transport=Bottom(myself), namespace="team") as c:
        with pytest.raises(InvalidRequestError, match="namespaces"):
            await c.agent.services()
