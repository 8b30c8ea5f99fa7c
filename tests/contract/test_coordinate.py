"""Network coordinates, as a real agent tells of them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import uuid4

import anyio
import pytest

from consul_onex import BadRequestError, ConsulClient, Cursor, PermissionDeniedError
from consul_onex.models.catalog import CatalogRegistration, CatalogServiceDefinition
from consul_onex.models.coordinate import Coordinate, CoordinateEntry
from tests.contract.conftest import Recorder
from tests.support.agents import Agent, Datacenters
from tests.support.lossless import lost


def at(distance: float) -> Coordinate:
    """A place so many seconds from the origin, on one of the axes."""
    return Coordinate(vec=[distance, *[0.0] * 7], error=0.25, adjustment=0.5, height=1e-05)


@pytest.fixture
async def row(c: ConsulClient) -> AsyncIterator[str]:
    """Three nodes in a row, with a service on each: the beginning of their names, its name."""
    name = f"row-{uuid4().hex}"
    for distance in (1, 2, 4):
        await c.catalog.register(
            CatalogRegistration(
                node=f"{name}-{distance}",
                address="10.0.0.1",
                node_meta={"test": name},
                service=CatalogServiceDefinition(service=name),
            )
        )
        await c.coordinate.update(CoordinateEntry(node=f"{name}-{distance}", coord=at(distance)))
    yield name
    for distance in (1, 2, 4):
        await c.catalog.deregister(f"{name}-{distance}")


async def settled(c: ConsulClient, name: str) -> list[CoordinateEntry]:
    """The coordinates of the row. Servers collect what they are told for some seconds."""
    cursor = Cursor()
    mine: list[CoordinateEntry] = []
    with anyio.fail_after(30):
        while len(mine) < 3:
            entries = await c.coordinate.nodes(cursor=cursor)
            mine = [entry for entry in entries if entry.node.startswith(name)]
    return mine


async def test_coordinates_are_told_again_and_sort_what_is_near(c: ConsulClient, row: str) -> None:
    entries = await settled(c, row)

    assert entries == [
        CoordinateEntry(node=f"{row}-{distance}", segment="", coord=at(distance))
        for distance in (1, 2, 4)
    ]
    answer = await c.request("GET", f"/v1/coordinate/node/{row}-2")
    typed = await c.coordinate.node(f"{row}-2")
    assert typed == [entries[1]]
    assert lost(answer.json(), typed) == []
    everybody = await c.request("GET", "/v1/coordinate/nodes")
    said = [one for one in everybody.json() if one["Node"].startswith(row)]
    assert lost(said, entries) == []

    # A second, each way, and what both say of their own.
    assert entries[0].coord.distance_to(entries[1].coord) == pytest.approx(2.00002)
    for near, order in (("1", "124"), ("2", "214"), ("4", "421")):
        mine, node = {"test": row}, f"{row}-{near}"
        nodes = await c.catalog.nodes(near=node, node_meta=mine)
        instances = await c.catalog.service(row, near=node)
        healthy = await c.health.service(row, near=node)
        assert "".join(one.node[-1] for one in nodes) == order
        assert "".join(one.node[-1] for one in instances) == order
        assert "".join(one.node.node[-1] for one in healthy) == order


async def test_a_segment_that_nobody_is_in_has_no_coordinates(c: ConsulClient, row: str) -> None:
    await settled(c, row)

    assert await c.coordinate.nodes(segment="alpha") == []
    assert await c.coordinate.node(f"{row}-1", segment="alpha") == []
    assert len(await c.coordinate.node(f"{row}-1", segment="")) == 1


@pytest.mark.parametrize("name", ["nobody", "a/b", "a b", "a?b", "a#b", "100%", "a%2Fb", "ünï"])
async def test_a_node_without_a_coordinate_has_none(c: ConsulClient, name: str) -> None:
    cursor = Cursor()

    assert await c.coordinate.node(f"{name}-{uuid4().hex}") == []
    assert await c.coordinate.node(f"{name}-{uuid4().hex}", cursor=cursor) == []
    assert (cursor.index, cursor.meta.index, cursor.moved) == (None, None, True)


async def test_a_node_that_is_not_there_is_no_error(c: ConsulClient) -> None:
    await c.coordinate.update(CoordinateEntry(node=uuid4().hex, coord=at(1)))


async def test_a_coordinate_of_other_dimensions_is_a_bad_request_and_sent_once(
    observed: ConsulClient, recorder: Recorder
) -> None:
    flat = Coordinate(vec=[0.0, 0.0], error=1.5, adjustment=0, height=0)

    with pytest.raises(BadRequestError, match="incompatible coordinate"):
        await observed.coordinate.update(CoordinateEntry(node="n", coord=flat))

    assert len(recorder.requests) == 1


async def test_servers_tell_where_they_are_in_the_wan(c: ConsulClient, agent: Agent) -> None:
    answer = await c.request("GET", "/v1/coordinate/datacenters")
    (dc1,) = await c.coordinate.datacenters()

    assert (dc1.datacenter, dc1.area_id) == ("dc1", "wan")
    assert [entry.node for entry in dc1.coordinates] == [agent.name]
    assert lost(answer.json(), [dc1]) == []


async def test_datacenters_have_a_distance(datacenters: Datacenters) -> None:
    async with ConsulClient(datacenters.dc1.url) as c:
        known = {
            one.datacenter: one.coordinates[0].coord for one in await c.coordinate.datacenters()
        }

        assert known.keys() == {"dc1", "dc2"}
        # On one machine.
        assert 0 < known["dc1"].distance_to(known["dc2"]) < 1


async def test_without_a_token_nodes_are_nowhere(acl_agent: Agent) -> None:
    async with ConsulClient(acl_agent.url) as anonymous:
        assert await anonymous.coordinate.nodes() == []
        with pytest.raises(PermissionDeniedError):
            await anonymous.coordinate.node(acl_agent.name)
        with pytest.raises(PermissionDeniedError):
            await anonymous.coordinate.update(CoordinateEntry(node=acl_agent.name, coord=at(1)))
