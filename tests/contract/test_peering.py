"""Links to other clusters, which a Consul as old as ours does not have."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from consul_onex import ConsulClient, Cursor, InvalidRequestError, UnsupportedEndpointError

CALLS: list[Callable[[ConsulClient], Awaitable[Any]]] = [
    lambda c: c.peering.list(),
    lambda c: c.peering.list(cursor=Cursor()),
    lambda c: c.peering.get("east"),
    lambda c: c.peering.get("ä b?#%", cursor=Cursor()),
    lambda c: c.peering.delete("east"),
    lambda c: c.peering.generate_token("east", server_external_addresses=["10.0.0.1:8503"]),
    lambda c: c.peering.establish("west", "eyJDQSI6"),
]


@pytest.mark.parametrize("call", CALLS)
async def test_a_server_without_peerings_says_so(
    c: ConsulClient, call: Callable[[ConsulClient], Awaitable[Any]]
) -> None:
    with pytest.raises(UnsupportedEndpointError):
        await call(c)


async def test_a_partition_is_refused_where_there_are_none(c: ConsulClient) -> None:
    view = c.using(partition="part")

    with pytest.raises(InvalidRequestError, match="has no partitions"):
        await view.peering.list()
    with pytest.raises(InvalidRequestError, match="has no partitions"):
        await view.peering.generate_token("east")
