"""Prepared queries, as they are written, and as newer servers tell of them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import SecretStr, TypeAdapter

from consul_onex import InvalidRequestError
from consul_onex.models.query import (
    PreparedQuery,
    QueryDNS,
    QueryFailover,
    QueryFailoverTarget,
    QueryResult,
    QueryTemplate,
    ServiceQuery,
)
from tests.support.lossless import lost

# The documentation's own, with what newer servers add.
QUERY: dict[str, Any] = {
    "ID": "8f246b77-f3e1-ff88-5b48-8ec93abf3e05",
    "Name": "geo-db",
    "Session": "adf4238a-882b-9ddc-4a9d-5b6758e4159e",
    "Token": "<hidden>",
    "Template": {
        "Type": "name_prefix_match",
        "Regexp": "^geo-db-(.*?)-([^\\-]+?)$",
        "RemoveEmptyTags": True,
    },
    "Service": {
        "Service": "mysql-customer",
        "SamenessGroup": "sg",
        "Namespace": "team",
        "Partition": "part",
        "Failover": {
            "NearestN": 3,
            "Datacenters": ["dc1", "dc2"],
            "Targets": [
                {"Peer": "east", "Datacenter": "", "Partition": "", "Namespace": ""},
                {"Peer": "", "Datacenter": "dc3", "Partition": "p", "Namespace": "n"},
            ],
        },
        "OnlyPassing": True,
        "IgnoreCheckIDs": ["disk"],
        "Near": "_agent",
        "Tags": ["primary", "!experimental"],
        "NodeMeta": {"instance_type": "m3.large"},
        "ServiceMeta": {"environment": "production"},
        "Connect": True,
    },
    "DNS": {"TTL": "10s"},
    "CreateIndex": 23,
    "ModifyIndex": 42,
}
RESULT: dict[str, Any] = {
    "Service": "redis",
    "Namespace": "team",
    "Partition": "part",
    "Nodes": [
        {
            "Node": {
                "ID": "40e4a748-2192-161a-0510-9bf59fe950b5",
                "Node": "foobar",
                "Address": "10.1.10.12",
                "Datacenter": "dc1",
                "TaggedAddresses": {"lan": "10.1.10.12", "wan": "10.1.10.12"},
                "Meta": {"instance_type": "m3.large"},
            },
            "Service": {
                "ID": "redis",
                "Service": "redis",
                "Tags": None,
                "Meta": {"redis_version": "4.0"},
                "Port": 8000,
            },
            "Checks": [
                {
                    "Node": "foobar",
                    "CheckID": "service:redis",
                    "Name": "Service 'redis' check",
                    "Status": "passing",
                    "Notes": "",
                    "Output": "",
                    "ServiceID": "redis",
                    "ServiceName": "redis",
                }
            ],
        }
    ],
    "DNS": {"TTL": "10s"},
    "Datacenter": "dc3",
    "PeerName": "east",
    "Failovers": 2,
    "Index": 0,
    "LastContact": 1_500_000,
    "KnownLeader": True,
    "ConsistencyLevel": "leader",
    "ResultsFilteredByACLs": True,
}


def read(document: dict[str, Any]) -> PreparedQuery:
    return TypeAdapter(PreparedQuery).validate_json(json.dumps(document))


def test_nothing_of_a_query_is_lost() -> None:
    query = read(QUERY)

    assert lost(QUERY, query) == []
    assert query.service.failover == QueryFailover(
        nearest_n=3,
        datacenters=["dc1", "dc2"],
        targets=[
            QueryFailoverTarget(peer="east"),
            QueryFailoverTarget(datacenter="dc3", partition="p", namespace="n"),
        ],
    )
    assert json.loads(query.body()) == {
        name: value
        for name, value in QUERY.items()
        if name not in ("ID", "CreateIndex", "ModifyIndex")
    }


def test_nothing_of_a_result_is_lost() -> None:
    result = TypeAdapter(QueryResult).validate_json(json.dumps(RESULT))

    assert lost(RESULT, result) == []
    assert (result.failovers, result.datacenter, result.peer_name) == (2, "dc3", "east")
    assert result.last_contact == 0.0015


@pytest.mark.parametrize(
    ("said", "ttl"), [("", None), ("0s", 0.0), ("1m30s", 90.0), (None, None)], ids=str
)
def test_no_ttl_is_not_a_ttl_of_none(said: str | None, ttl: float | None) -> None:
    query = read(QUERY | {"DNS": {"TTL": said}})
    written = json.loads(query.replace(name="x").body())["DNS"]

    assert query.dns == QueryDNS(ttl=ttl)
    assert written == ({} if ttl is None else {"TTL": f"{ttl:g}s"})


def test_a_token_is_not_shown() -> None:
    query = PreparedQuery(
        name="web", token=SecretStr("s3cret"), service=ServiceQuery(service="web")
    )

    assert "s3cret" not in repr(query)
    assert json.loads(query.body())["Token"] == "s3cret"


def test_what_makes_a_query_must_be_given() -> None:
    with pytest.raises(InvalidRequestError, match=r"^PreparedQuery\.service must be given"):
        PreparedQuery(name="web")  # type: ignore[call-arg]
    with pytest.raises(InvalidRequestError, match=r"^ServiceQuery\.service must be given"):
        ServiceQuery(near="_agent")  # type: ignore[call-arg]
    with pytest.raises(InvalidRequestError, match=r"^QueryTemplate\.type must be given"):
        QueryTemplate(regexp="(.*)")  # type: ignore[call-arg]
