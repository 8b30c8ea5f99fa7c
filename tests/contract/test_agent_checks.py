"""Checks of an agent, as a real one keeps and runs them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import pytest

from consul_onex import (
    BadRequestError,
    ConsulClient,
    InvalidRequestError,
    NotFoundError,
    UnknownCheckError,
)
from consul_onex.models.check import Check, HealthCheck
from consul_onex.models.service import ServiceRegistration
from tests.contract.conftest import Recorder
from tests.support import agents
from tests.support.agents import Agent
from tests.support.lossless import lost


@pytest.fixture(scope="module")
def own(consul_binary: Path) -> Iterator[Agent]:
    """An agent that runs scripts."""
    with agents.dev_agent(binary=consul_binary, extra={"enable_script_checks": True}) as started:
        yield started


@pytest.fixture
async def mine(own: Agent) -> AsyncIterator[ConsulClient]:
    async with ConsulClient(own.url) as client:
        yield client


@pytest.fixture
async def name(c: ConsulClient) -> AsyncIterator[str]:
    """A name of the test's own; a check whose id begins with it goes afterwards."""
    prefix = f"check-{uuid4().hex}"
    yield prefix
    for check_id in await c.agent.checks(filter=f'CheckID matches "^{prefix}"'):
        await c.agent.deregister_check(check_id)


async def read(c: ConsulClient, check_id: str) -> HealthCheck:
    return (await c.agent.checks())[check_id]


# -- every kind ------------------------------------------------------------------------------------

KINDS: dict[str, tuple[Check, str]] = {
    "http": (Check.http("http://127.0.0.1:1/", interval=60, timeout=1), "http"),
    "http of all options": (
        Check.http(
            "https://127.0.0.1:1/",
            interval=60,
            timeout=1,
            method="POST",
            header={"Accept": ["text/plain"]},
            body="{}",
            tls_skip_verify=True,
        ),
        "http",
    ),
    "tcp": (Check.tcp("127.0.0.1:1", interval=60, timeout=1), "tcp"),
    "grpc": (
        Check.grpc("127.0.0.1:1/web", interval=60, use_tls=True, tls_skip_verify=True),
        "grpc",
    ),
    "ttl": (Check.ttl(60), "ttl"),
    "script": (Check.script(["true"], interval=60, timeout=1), "script"),
    "docker": (Check.docker("f972c95ebf0e", ["true"], interval=60, shell="/bin/sh"), "docker"),
    "alias": (Check.alias(service="nobody"), "alias"),
}

TOO_NEW = {
    "udp": Check.udp("127.0.0.1:1", interval=60),
    "h2ping": Check.h2ping("127.0.0.1:1", interval=60),
    "os_service": Check.os_service("sshd.service", interval=60),
    "tcp with TLS": Check.tcp("127.0.0.1:1", interval=60, use_tls=True),
    "http without redirects": Check.http("http://a", interval=60, disable_redirects=True),
    "TLS of a server's name": Check.http("http://a", interval=60, tls_server_name="a"),
    "a threshold for warning": Check.ttl(60, failures_before_warning=1),
}


@pytest.mark.parametrize("kind", KINDS)
async def test_a_service_can_have_any_kind_of_check(mine: ConsulClient, kind: str) -> None:
    check, kept_as = KINDS[kind]
    service, check_id = f"web-{uuid4().hex}", f"c-{uuid4().hex}"
    named = check.replace(
        id=check_id,
        name="any kind",
        notes="käse",
        status="warning",
        success_before_passing=2,
        failures_before_critical=2,
        output_max_size=100,
        deregister_critical_service_after=3600.0,
    )
    await mine.agent.register(ServiceRegistration(name=service, check=named))

    kept = await read(mine, check_id)
    await mine.agent.deregister(service)

    assert (kept.check_id, kept.name, kept.notes) == (check_id, "any kind", "käse")
    assert (kept.service_id, kept.service_name, kept.type) == (service, service, kept_as)
    if kind != "alias":
        # An alias soon is as what it stands for.
        assert kept.status == "warning"
    assert check_id not in await mine.agent.checks()


@pytest.mark.parametrize("kind", KINDS)
async def test_so_can_the_node(mine: ConsulClient, kind: str) -> None:
    check, kept_as = KINDS[kind]
    check_id = f"c-{uuid4().hex}"
    await mine.agent.register_check(check.replace(id=check_id, name="any kind"))

    kept = await read(mine, check_id)
    await mine.agent.deregister_check(check_id)

    assert (kept.check_id, kept.name, kept.type) == (check_id, "any kind", kept_as)
    assert kept.service_id == ""
    assert check_id not in await mine.agent.checks()


@pytest.mark.parametrize("kind", TOO_NEW)
async def test_what_is_too_new_for_an_agent_is_a_bad_request(
    observed: ConsulClient, recorder: Recorder, kind: str
) -> None:
    check = TOO_NEW[kind].replace(name=f"c-{uuid4().hex}")
    with pytest.raises(BadRequestError, match="unknown field"):
        await observed.agent.register_check(check)
    with pytest.raises(BadRequestError, match="unknown field"):
        await observed.agent.register(ServiceRegistration(name=f"w-{uuid4().hex}", check=check))

    assert len(recorder.requests) == 2


async def test_scripts_must_be_enabled(observed: ConsulClient, recorder: Recorder) -> None:
    check = Check.script(["true"], interval=60, name=f"c-{uuid4().hex}")
    with pytest.raises(BadRequestError, match="enable_script_checks"):
        await observed.agent.register_check(check)

    assert len(recorder.requests) == 1


# -- registered, listed, gone ----------------------------------------------------------------------


async def test_a_check_is_listed_by_its_id_and_can_be_filtered(c: ConsulClient, name: str) -> None:
    await c.agent.register_check(Check.ttl(60, name="alive", id=name, notes="why"))
    await c.agent.register_check(Check.ttl(60, name=f"{name}-2", status="passing"))

    expression = f'CheckID matches "^{name}" and Status != "passing"'
    found = await c.agent.checks(filter=expression)
    answer = await c.request("GET", "/v1/agent/checks", params={"filter": expression})

    assert found.keys() == {name}
    assert lost(answer.json(), found) == []
    # Its name is its id where that is not given.
    assert (await read(c, f"{name}-2")).status == "passing"


async def test_a_check_of_a_service(c: ConsulClient, name: str) -> None:
    await c.agent.register(ServiceRegistration(name=name, tags=["v2"]))
    await c.agent.register_check(Check.ttl(60, name="alive", id=name, service_id=name))
    check = await read(c, name)
    await c.agent.deregister(name)

    assert (check.service_id, check.service_name, check.service_tags) == (name, name, ["v2"])
    assert name not in await c.agent.checks()


async def test_a_check_of_a_service_that_is_not_there(
    observed: ConsulClient, recorder: Recorder
) -> None:
    with pytest.raises(NotFoundError, match='ServiceID "nobody" does not exist'):
        await observed.agent.register_check(Check.ttl(60, name="alive", service_id="nobody"))

    assert len(recorder.requests) == 1


async def test_a_check_without_a_name_is_refused_here(
    observed: ConsulClient, recorder: Recorder
) -> None:
    with pytest.raises(InvalidRequestError, match=r"^agent\.register_check: .* must have a name"):
        await observed.agent.register_check(Check.ttl(60, id="alive"))

    assert recorder.requests == []


@pytest.mark.parametrize(
    "wrong",
    [Check(), Check.ttl(60, output_max_size=-1), Check.docker("f9", [], interval=60)],
    ids=repr,
)
async def test_what_an_agent_does_not_take_is_a_bad_request(
    c: ConsulClient, name: str, wrong: Check
) -> None:
    with pytest.raises(BadRequestError):
        await c.agent.register_check(wrong.replace(name=name))

    assert name not in await c.agent.checks()


async def test_deregistering_what_is_not_there_is_fine(c: ConsulClient) -> None:
    await c.agent.deregister_check(f"none-{uuid4().hex}")


# -- told how they are -----------------------------------------------------------------------------


@pytest.mark.parametrize("odd", ["", "a/b", "a b", "a?b", "a#b", "100%", "%2F", "käse", "'\"<>\\"])
async def test_a_check_is_as_it_was_told(c: ConsulClient, name: str, odd: str) -> None:
    check_id = name + odd
    await c.agent.register_check(Check.ttl(60, name="alive", id=check_id))

    async def state() -> tuple[str, str]:
        check = await read(c, check_id)
        return check.status, check.output

    assert await state() == ("critical", "")
    await c.agent.check_pass(check_id, odd)
    assert await state() == ("passing", odd)
    await c.agent.check_warn(check_id)
    assert await state() == ("warning", "")
    await c.agent.check_fail(check_id, "dead")
    assert await state() == ("critical", "dead")
    await c.agent.check_update(check_id, "warning", odd)
    assert await state() == ("warning", odd)
    await c.agent.check_update(check_id, "passing")
    assert await state() == ("passing", "")

    await c.agent.deregister_check(check_id)
    assert check_id not in await c.agent.checks()


async def test_a_long_output_is_cut(c: ConsulClient, name: str) -> None:
    await c.agent.register_check(Check.ttl(60, name=name, output_max_size=10))

    await c.agent.check_update(name, "passing", "0123456789abc")

    assert (await read(c, name)).output == "0123456789 ... (captured 10 of 13 bytes)"


async def test_a_status_that_is_none_is_a_bad_request(c: ConsulClient, name: str) -> None:
    await c.agent.register_check(Check.ttl(60, name=name))

    for status in ("great", ""):
        with pytest.raises(BadRequestError, match="Invalid check status"):
            await c.agent.check_update(name, status)


@pytest.mark.parametrize("denying", [False, True])
async def test_a_check_that_nobody_can_tell_is_unknown(
    c: ConsulClient, acl_agent: Agent, denying: bool
) -> None:
    # The two say so in other words.
    async with ConsulClient(acl_agent.url, token=acl_agent.token) as with_acls:
        client = with_acls if denying else c
        check_id = f"none-{uuid4().hex}"
        calls: list[Any] = [client.agent.check_pass, client.agent.check_warn]
        for call in [*calls, client.agent.check_fail]:
            with pytest.raises(UnknownCheckError):
                await call(check_id)
        with pytest.raises(UnknownCheckError):
            await client.agent.check_update(check_id, "passing")


async def test_a_check_that_has_no_time_to_live_cannot_be_told(c: ConsulClient, name: str) -> None:
    await c.agent.register_check(Check.tcp("127.0.0.1:1", interval=60, name=name))

    with pytest.raises(UnknownCheckError):
        await c.agent.check_pass(name)


async def test_an_unknown_check_is_not_asked_for_again(
    observed: ConsulClient, recorder: Recorder
) -> None:
    check_id = f"none-{uuid4().hex}/ü"
    with pytest.raises(UnknownCheckError):
        await observed.agent.check_pass(check_id)

    [request] = recorder.requests
    assert request.url.raw_path.decode() == f"/v1/agent/check/pass/{quote(check_id, safe='')}"
