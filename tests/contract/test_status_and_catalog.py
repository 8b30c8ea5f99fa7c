"""Who leads, and which datacenters there are."""

from __future__ import annotations

import re

from consul_onex import ConsulClient


async def test_the_leader_is_one_of_the_peers(c: ConsulClient) -> None:
    leader = await c.status.leader()
    peers = await c.status.peers()

    assert leader is not None
    assert re.fullmatch(r"127\.0\.0\.1:\d+", leader)
    assert peers == [leader]


async def test_the_datacenters_are_known_by_name(c: ConsulClient) -> None:
    assert await c.catalog.datacenters() == ["dc1"]


async def test_the_datacenters_can_be_asked_for_from_any_view(c: ConsulClient) -> None:
    # They are what the agent itself knows, and so no view can be wrong for them.
    view = c.using(datacenter="nowhere", consistency="stale")

    assert await view.catalog.datacenters() == ["dc1"]
    assert await view.status.leader() == await c.status.leader()
