"""Namespaces, which are a feature of Consul Enterprise."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from consul_onex import ConsulClient, Cursor, UnsupportedEndpointError
from consul_onex.models.namespace import Namespace

CALLS: list[Callable[[ConsulClient], Awaitable[Any]]] = [
    lambda c: c.namespace.create(Namespace(name="team")),
    lambda c: c.namespace.get("team"),
    lambda c: c.namespace.get("ä b?#%", cursor=Cursor()),
    lambda c: c.namespace.update(Namespace(name="team", description="a team")),
    lambda c: c.namespace.delete("team"),
    lambda c: c.namespace.list(),
    lambda c: c.namespace.list(cursor=Cursor()),
]


@pytest.mark.parametrize("call", CALLS)
async def test_a_server_of_another_edition_says_so(
    c: ConsulClient, call: Callable[[ConsulClient], Awaitable[Any]]
) -> None:
    with pytest.raises(UnsupportedEndpointError):
        await call(c)


async def test_the_namespace_of_a_view_does_not_matter_here(c: ConsulClient) -> None:
    with pytest.raises(UnsupportedEndpointError):
        await c.using(namespace="team").namespace.list()
