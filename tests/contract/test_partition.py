"""Admin partitions, which are a feature of Consul Enterprise."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from consul_onex import ConsulClient, UnsupportedEndpointError
from consul_onex.models.partition import Partition

CALLS: list[Callable[[ConsulClient], Awaitable[Any]]] = [
    lambda c: c.partition.create(Partition(name="part")),
    lambda c: c.partition.get("part"),
    lambda c: c.partition.get("ä b?#%"),
    lambda c: c.partition.update(Partition(name="part", description="a part")),
    lambda c: c.partition.delete("part"),
    lambda c: c.partition.list(),
]


@pytest.mark.parametrize("call", CALLS)
async def test_a_server_of_another_edition_says_so(
    c: ConsulClient, call: Callable[[ConsulClient], Awaitable[Any]]
) -> None:
    with pytest.raises(UnsupportedEndpointError):
        await call(c)


async def test_the_partition_of_a_view_does_not_matter_here(c: ConsulClient) -> None:
    with pytest.raises(UnsupportedEndpointError):
        await c.using(partition="part").partition.list()
