"""Raft, gossip keys and autopilot, as a real agent answers."""

from __future__ import annotations

import base64
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import anyio
import pytest

from consul_onex import (
    BadRequestError,
    ConsulClient,
    ConsulStatusError,
    Cursor,
    InvalidRequestError,
    PermissionDeniedError,
    UnknownDatacenterError,
    UnsupportedEndpointError,
)
from consul_onex.models.operator import AutopilotConfiguration, AutopilotHealth
from tests.contract.conftest import Recorder
from tests.support import agents
from tests.support.agents import Agent, Cluster
from tests.support.lossless import lost

HOSTILE = "a/b ?#%ä"


def key() -> str:
    return base64.b64encode(os.urandom(32)).decode("ascii")


# -- what this server does not have --------------------------------------------------------------


@pytest.mark.parametrize(
    "call",
    [
        lambda c: c.operator.raft.transfer_leader(),
        lambda c: c.operator.raft.transfer_leader(id=HOSTILE),
        lambda c: c.operator.autopilot.state(),
        lambda c: c.operator.usage(),
        lambda c: c.operator.usage(everywhere=True, cursor=Cursor()),
        lambda c: c.operator.utilization(),
        lambda c: c.operator.utilization(message="x", today_only=True, send_report=True),
        lambda c: c.operator.segments(),
        lambda c: c.operator.audit_hash("value"),
        lambda c: c.operator.feature.list(),
        lambda c: c.operator.feature.get("x", cursor=Cursor()),
        lambda c: c.operator.feature.get(HOSTILE),
        lambda c: c.operator.feature.set("x", True),
        lambda c: c.operator.feature.set(HOSTILE, False, cas=1),
        lambda c: c.operator.license.get(),
        lambda c: c.operator.license.put("license"),
        lambda c: c.operator.license.reset(),
        lambda c: c.operator.area.create("dc2"),
        lambda c: c.operator.area.list(),
        lambda c: c.operator.area.get("x", cursor=Cursor()),
        lambda c: c.operator.area.get(HOSTILE),
        lambda c: c.operator.area.update("x", use_tls=True),
        lambda c: c.operator.area.delete("x"),
        lambda c: c.operator.area.join("x", ["10.1.2.3"]),
        lambda c: c.operator.area.members(HOSTILE),
    ],
)
async def test_what_is_newer_or_of_the_other_edition_is_said_to_be_so(
    c: ConsulClient, call: Callable[[ConsulClient], Awaitable[Any]]
) -> None:
    with pytest.raises(UnsupportedEndpointError):
        await call(c)


# -- raft ----------------------------------------------------------------------------------------


async def test_the_only_server_leads(c: ConsulClient, agent: Agent) -> None:
    configuration = await c.operator.raft.configuration()
    (server,) = configuration.servers

    assert (server.node, server.leader, server.voter) == (agent.name, True, True)
    assert server.address == f"127.0.0.1:{agent.ports.server}"
    answer = await c.request("GET", "/v1/operator/raft/configuration")
    assert lost(answer.json(), configuration) == []


async def test_raft_can_be_asked_of_any_server(c: ConsulClient) -> None:
    stale = c.using(consistency="stale")

    assert await stale.operator.raft.configuration() == await c.operator.raft.configuration()


async def test_a_peer_that_is_none_is_a_bad_request_and_sent_once(
    observed: ConsulClient, recorder: Recorder
) -> None:
    for peer in ({"id": HOSTILE}, {"address": "127.0.0.1:1"}):
        with pytest.raises(BadRequestError, match="not found in the Raft configuration"):
            await observed.operator.raft.remove_peer(**peer)

    assert len(recorder.requests) == 2


@pytest.mark.parametrize("peer", [{}, {"id": "x", "address": "y"}, {"id": ""}, {"address": ""}])
async def test_a_peer_is_named_in_one_way(
    observed: ConsulClient, recorder: Recorder, peer: dict[str, str]
) -> None:
    with pytest.raises(InvalidRequestError, match="by its id or by its address"):
        await observed.operator.raft.remove_peer(**peer)

    assert recorder.requests == []


async def test_a_datacenter_that_is_none_is_not_asked(c: ConsulClient) -> None:
    view = c.using(datacenter=f"dc-{uuid4().hex}")

    with pytest.raises(UnknownDatacenterError):
        await view.operator.raft.configuration()
    with pytest.raises(UnknownDatacenterError):
        await view.operator.autopilot.health()


async def test_who_may_not_is_told_so(acl_agent: Agent) -> None:
    calls: list[Callable[[ConsulClient], Awaitable[object]]] = [
        lambda c: c.operator.raft.configuration(),
        lambda c: c.operator.raft.remove_peer(id="x"),
        lambda c: c.operator.autopilot.configuration(),
        lambda c: c.operator.autopilot.configure(AutopilotConfiguration()),
        lambda c: c.operator.autopilot.health(),
        lambda c: c.operator.keyring.list(),
        lambda c: c.operator.keyring.install(key()),
    ]
    async with ConsulClient(acl_agent.url) as c:
        for call in calls:
            with pytest.raises(PermissionDeniedError):
                await call(c)


# -- a cluster -----------------------------------------------------------------------------------


async def test_a_server_that_dies_makes_the_cluster_unhealthy(cluster: Cluster) -> None:
    """Whom autopilot would clean up stays, since two of three are no majority to do it with."""
    leader = cluster.wait_leader()
    victim, other = cluster.followers()

    async with ConsulClient(cluster.clients[0].url) as c:
        healthy = await health_where(c, lambda health: health.healthy)
        victim.kill()
        unhealthy = await health_where(c, lambda health: not health.healthy)
        # Its address is no longer that of a member, and neither is it the leader's.
        peers = (await c.operator.raft.configuration()).servers
        await c.operator.raft.remove_peer(
            id=next(peer.id for peer in peers if peer.node == victim.name)
        )
        left = (await c.operator.raft.configuration()).servers

    assert healthy.failure_tolerance == 1
    assert {server.name: server.leader for server in healthy.servers} == {
        leader.name: True,
        victim.name: False,
        other.name: False,
    }
    assert all(server.stable_since is not None for server in healthy.servers)
    assert all(0 <= server.last_contact < 10 for server in healthy.servers)
    assert unhealthy.failure_tolerance == 0
    (dead,) = [server for server in unhealthy.servers if not server.healthy]
    assert (dead.name, dead.last_contact, dead.stable_since) == (victim.name, -1e-9, None)
    assert dead.serf_status in ("failed", "alive")
    assert {peer.node for peer in left} == {leader.name, other.name}


async def health_where(
    c: ConsulClient, wanted: Callable[[AutopilotHealth], bool]
) -> AutopilotHealth:
    with anyio.fail_after(30):
        # Autopilot looks every second or two, and cannot be waited for.
        async for health in c.poll(c.operator.autopilot.health, 0.1):
            if wanted(health):
                return health
    raise AssertionError("unreachable")


async def test_the_health_of_a_cluster_is_read_without_loss(cluster: Cluster) -> None:
    cluster.wait_leader()

    async with ConsulClient(cluster.clients[0].url) as c:
        await health_where(c, lambda health: health.healthy)
        with anyio.fail_after(30):
            while True:
                health = await c.operator.autopilot.health()
                said = (await c.request("GET", "/v1/operator/autopilot/health")).json()
                problems = [p for p in lost(said, health) if "Last" not in p]
                assert problems == []
                # When it was asked makes a difference of some milliseconds.
                if {s["LastIndex"] for s in said["Servers"]} == {
                    s.last_index for s in health.servers
                }:
                    break


# -- autopilot -----------------------------------------------------------------------------------


@pytest.fixture
async def autopilot(fresh_agent: Agent) -> AsyncIterator[ConsulClient]:
    """A client of a server of its own, whose autopilot may be changed."""
    async with ConsulClient(fresh_agent.url) as client:
        yield client


async def test_autopilot_is_read_changed_and_written_back(autopilot: ConsulClient) -> None:
    c = autopilot
    found = await c.operator.autopilot.configuration()
    answer = await c.request("GET", "/v1/operator/autopilot/configuration")
    changed = found.replace(cleanup_dead_servers=False, last_contact_threshold=0.25, min_quorum=3)

    assert lost(answer.json(), found) == []
    assert found.cleanup_dead_servers is True
    assert (found.last_contact_threshold, found.server_stabilization_time) == (0.2, 10.0)
    assert await c.operator.autopilot.configure(changed, cas=found.modify_index) is True
    now = await c.operator.autopilot.configuration()
    assert now.modify_index > found.modify_index
    assert now == changed.replace(modify_index=now.modify_index)
    assert await c.using(consistency="stale").operator.autopilot.configuration() == now


async def test_autopilot_is_not_changed_where_somebody_was_faster(autopilot: ConsulClient) -> None:
    c = autopilot
    found = await c.operator.autopilot.configuration()

    assert await c.operator.autopilot.configure(found.replace(max_trailing_logs=300)) is True
    late = found.replace(max_trailing_logs=400)
    assert await c.operator.autopilot.configure(late, cas=found.modify_index) is False
    assert await c.operator.autopilot.configure(late, cas=0) is False
    assert (await c.operator.autopilot.configuration()).max_trailing_logs == 300


async def test_what_autopilot_is_not_told_becomes_nothing(autopilot: ConsulClient) -> None:
    c = autopilot

    await c.operator.autopilot.configure(AutopilotConfiguration(min_quorum=1))

    now = await c.operator.autopilot.configuration()
    expected = AutopilotConfiguration(min_quorum=1)
    assert now == expected.replace(create_index=now.create_index, modify_index=now.modify_index)


# -- keyring -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "call",
    [
        lambda c: c.operator.keyring.list(),
        lambda c: c.operator.keyring.install(key()),
        lambda c: c.operator.keyring.use(key()),
        lambda c: c.operator.keyring.remove(key()),
    ],
)
async def test_where_gossip_is_not_encrypted_there_are_no_keys(
    observed: ConsulClient,
    recorder: Recorder,
    call: Callable[[ConsulClient], Awaitable[object]],
) -> None:
    with pytest.raises(BadRequestError, match="encryption not enabled"):
        await call(observed)

    assert len(recorder.requests) == 1


@pytest.mark.parametrize("relay_factor", [6, -1])
async def test_a_relay_factor_has_bounds(c: ConsulClient, relay_factor: int) -> None:
    with pytest.raises(BadRequestError, match="relay-factor"):
        await c.operator.keyring.list(relay_factor=relay_factor)


FIRST = key()


@pytest.fixture(scope="module")
def encrypted_agent(consul_binary: Path) -> Iterator[Agent]:
    """A server that encrypts gossip, with a key of its own."""
    with agents.single_agent(binary=consul_binary, extra={"encrypt": FIRST}) as started:
        yield started


@pytest.fixture
async def encrypted(encrypted_agent: Agent) -> AsyncIterator[ConsulClient]:
    """Its client. Afterwards it has its first key again, and no other."""
    async with ConsulClient(encrypted_agent.url) as client:
        yield client
        await client.operator.keyring.use(FIRST)
        for other in (await client.operator.keyring.list())[0].keys.keys() - {FIRST}:
            await client.operator.keyring.remove(other)


async def test_there_is_a_ring_for_the_federation_and_one_of_the_datacenter(
    encrypted: ConsulClient,
) -> None:
    rings = await encrypted.operator.keyring.list(relay_factor=1)
    answer = await encrypted.request("GET", "/v1/operator/keyring")

    assert [(ring.wan, ring.datacenter, ring.num_nodes) for ring in rings] == [
        (True, "dc1", 1),
        (False, "dc1", 1),
    ]
    assert all(ring.keys == ring.primary_keys == {FIRST: 1} for ring in rings)
    assert lost(answer.json(), rings) == []
    assert await encrypted.operator.keyring.list(local_only=True) == rings[1:]


async def test_a_key_is_rotated(encrypted: ConsulClient) -> None:
    keyring, second = encrypted.operator.keyring, key()

    async def now() -> tuple[set[str], set[str]]:
        ring = (await keyring.list())[0]
        return set(ring.keys), set(ring.primary_keys)

    for _ in range(2):
        await keyring.install(second)
    assert await now() == ({FIRST, second}, {FIRST})
    for _ in range(2):
        await keyring.use(second, relay_factor=0)
    assert await now() == ({FIRST, second}, {second})
    for _ in range(2):
        await keyring.remove(FIRST)
    assert await now() == ({second}, {second})
    await keyring.install(FIRST)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda c, _: c.operator.keyring.install("hello"), "illegal base64"),
        (lambda c, _: c.operator.keyring.install("AAAA"), "key size"),
        (lambda c, new: c.operator.keyring.use(new), "not in the keyring"),
        (lambda c, _: c.operator.keyring.remove(FIRST), "primary key"),
    ],
)
async def test_a_wrong_key_is_a_bad_request_that_does_not_tell_it(
    encrypted: ConsulClient,
    call: Callable[[ConsulClient, str], Awaitable[object]],
    said: str,
) -> None:
    unknown = key()

    with pytest.raises(BadRequestError, match=said) as caught:
        await call(encrypted, unknown)

    assert isinstance(caught.value, ConsulStatusError)
    assert unknown not in str(caught.value)
    assert FIRST not in str(caught.value)
