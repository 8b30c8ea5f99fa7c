"""User events, as a real agent tells of them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import anyio
import pytest

from consul_onex import (
    BadRequestError,
    ConsulClient,
    Cursor,
    InvalidRequestError,
    PermissionDeniedError,
)
from consul_onex.models.event import UserEvent
from tests.contract.conftest import Recorder
from tests.support.agents import Agent, Datacenters
from tests.support.lossless import lost

HOSTILE = ["a/b", "a b", "a?b=c", "a#b", "100%", "a%2Fb", "a+b&c", "ünï", "日本"]


async def heard(c: ConsulClient, name: str, count: int = 1) -> list[UserEvent]:
    """The events of a name, as soon as the agent has heard of so many."""
    cursor = Cursor()
    events: list[UserEvent] = []
    with anyio.fail_after(10):
        while len(events) < count:
            events = await c.event.list(name=name, cursor=cursor)
    return events


async def test_an_event_that_was_fired_is_heard(c: ConsulClient) -> None:
    name = uuid4().hex

    fired = await c.event.fire(name, b"\x00\xff")
    (event,) = await heard(c, name)

    assert (fired.name, fired.payload, fired.version, fired.ltime) == (name, b"\x00\xff", 1, 0)
    assert event.ltime > 0
    assert (event.id, event.name, event.payload) == (fired.id, name, b"\x00\xff")
    assert event in await c.event.list()


@pytest.fixture
async def service(c: ConsulClient) -> AsyncIterator[str]:
    """A service of this agent with the tag v1; an event for it is one for the agent."""
    name = f"web-{uuid4().hex}"
    await c.request("PUT", "/v1/agent/service/register", json={"Name": name, "Tags": ["v1"]})
    yield name
    await c.request("PUT", f"/v1/agent/service/deregister/{name}")


async def test_nothing_that_consul_says_is_lost(c: ConsulClient, service: str) -> None:
    name = uuid4().hex
    await c.event.fire(name, "ü", node=".", service=service, tag="^v1$")

    events = await heard(c, name)
    answer = await c.request("GET", "/v1/event/list", params={"name": name})

    assert lost(answer.json(), events) == []


async def test_an_event_says_whom_it_is_for(c: ConsulClient, agent: Agent, service: str) -> None:
    name = uuid4().hex

    await c.event.fire(name, node="^nobody$")
    await c.event.fire(name, service=f"^{service}$", tag="v2")
    fired = await c.event.fire(name, node=f"^{agent.name}$", service=f"^{service}$", tag="v1|v2")

    (event,) = await heard(c, name)
    assert event.id == fired.id
    assert event.node_filter == fired.node_filter == f"^{agent.name}$"
    assert (event.service_filter, event.tag_filter) == (f"^{service}$", "v1|v2")


@pytest.mark.parametrize("hostile", HOSTILE)
async def test_a_name_arrives_as_it_is(c: ConsulClient, hostile: str) -> None:
    name = hostile + uuid4().hex

    await c.event.fire(name, hostile)

    (event,) = await heard(c, name)
    assert (event.name, event.payload.decode()) == (name, hostile)


async def test_a_name_that_nobody_has_fired_has_no_events(c: ConsulClient) -> None:
    assert await c.event.list(name=uuid4().hex) == []


@pytest.mark.parametrize(
    ("payload", "options"),
    [
        (b"x" * 600, {}),
        (b"", {"node": "["}),
        (b"", {"service": "("}),
        (b"", {"service": "web", "tag": "*"}),
        (b"", {"tag": "v1"}),
    ],
    ids=str,
)
async def test_what_consul_does_not_take_is_a_bad_request_and_sent_once(
    observed: ConsulClient, recorder: Recorder, payload: bytes, options: dict[str, Any]
) -> None:
    with pytest.raises(BadRequestError):
        await observed.event.fire("deploy", payload, **options)

    assert len(recorder.requests) == 1


@pytest.mark.parametrize("payload", [7, None, "\ud800"], ids=ascii)
async def test_a_payload_is_bytes_or_text(
    observed: ConsulClient, recorder: Recorder, payload: Any
) -> None:
    with pytest.raises(InvalidRequestError):
        await observed.event.fire("deploy", payload)

    assert recorder.requests == []


async def test_a_cursor_waits_for_the_next_event_and_never_goes_back(
    c: ConsulClient, observed: ConsulClient, recorder: Recorder
) -> None:
    name, cursor = uuid4().hex, Cursor()
    indexes: list[int | None] = []
    sizes: list[int] = []

    async def follow() -> None:
        while len(sizes) < 6:
            events = await observed.event.list(name=name, cursor=cursor)
            # A hash: it goes up and down, and neither is a break in history.
            assert cursor.resynchronised is False
            if cursor.moved:
                indexes.append(cursor.index)
                sizes.append(len(events))

    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(follow)
            for sent in range(5):
                await recorder.blocks(more_than=sent)
                await c.event.fire(name, str(sent))

    assert sizes == [0, 1, 2, 3, 4, 5]
    assert indexes[0] == 1
    assert len(set(indexes)) == 6


async def test_without_a_token_nothing_is_fired_or_heard(acl_agent: Agent) -> None:
    name = uuid4().hex
    async with ConsulClient(acl_agent.url, token=acl_agent.token) as management:
        await management.event.fire(name)
        await heard(management, name)
    async with ConsulClient(acl_agent.url) as anonymous:
        assert await anonymous.event.list() == []
        with pytest.raises(PermissionDeniedError):
            await anonymous.event.fire(name)


async def test_an_event_is_fired_in_the_datacenter_of_the_view(datacenters: Datacenters) -> None:
    name = uuid4().hex
    async with ConsulClient(datacenters.dc1.url) as dc1, ConsulClient(datacenters.dc2.url) as dc2:
        away = dc1.using(datacenter="dc2")
        await away.event.fire(name, "hello")

        (event,) = await heard(dc2, name)

        assert event.payload == b"hello"
        # What this agent has heard is of its own datacenter, whatever the view.
        assert await away.event.list(name=name) == []
