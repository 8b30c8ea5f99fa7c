"""What tells one row of a watched list from another."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import pytest

from consul_onex import (
    AgentService,
    CatalogService,
    HealthCheck,
    KVPair,
    Node,
    ServiceEntry,
    ServiceInstance,
    SessionEntry,
    UserEvent,
)


@pytest.mark.parametrize(
    ("row", "identity"),
    [
        (KVPair(key="k"), "k"),
        (Node(node="n1", address="10.0.0.1"), "n1"),
        (SessionEntry(id="5f", name="job"), "5f"),
        (UserEvent(id="5f", name="deploy"), "5f"),
        (HealthCheck(node="n1", check_id="service:web"), ("n1", "service:web")),
        (CatalogService(node="n1", service_id="web-1"), ("n1", "web-1")),
        (ServiceEntry(node=Node(node="n1"), service=AgentService(id="web-1")), ("n1", "web-1")),
        (ServiceInstance(node="n1", id="web-1"), ("n1", "web-1")),
        (ServiceInstance(node="n1", id="web-1", peer_name="east"), ("east", "n1", "web-1")),
        (HealthCheck(node="n1", check_id="c", peer_name="east"), ("east", "n1", "c")),
        (CatalogService(node="n1", service_id="web-1", peer_name="east"), ("east", "n1", "web-1")),
        (
            ServiceEntry(node=Node(node="n1"), service=AgentService(id="web-1", peer_name="east")),
            ("east", "n1", "web-1"),
        ),
    ],
    ids=str,
)
def test_a_row_has_what_tells_it_from_others(row: Any, identity: Hashable) -> None:
    assert row.identity == identity
