"""Prepared queries."""

from __future__ import annotations

from pydantic import SecretStr

from consul_onex import Safety
from consul_onex.models.catalog import Node
from consul_onex.models.check import HealthCheck
from consul_onex.models.health import ServiceEntry
from consul_onex.models.query import (
    PreparedQuery,
    QueryDNS,
    QueryFailover,
    QueryFailoverTarget,
    QueryResult,
    QueryTemplate,
    ServiceQuery,
)
from consul_onex.models.service import AgentService
from tests.walk.case import EMPTY, Case

# Queries are of no namespace, but look in one.
READ = "dc consistency"
WRITE = "dc"

ID = "8f246b77-f3e1-ff88-5b48-8ec93abf3e05"

QUERY = PreparedQuery(
    name="my-query",
    session="adf4238a-882b-9ddc-4a9d-5b6758e4159e",
    token=SecretStr("t0ken"),
    service=ServiceQuery(
        service="redis",
        failover=QueryFailover(nearest_n=3, datacenters=["dc1", "dc2"]),
        near="node1",
        only_passing=True,
        ignore_check_ids=["serfHealth"],
        tags=["primary", "!experimental"],
        node_meta={"instance_type": "m3.large"},
        service_meta={"environment": "production"},
        connect=True,
    ),
    dns=QueryDNS(ttl=10.0),
    template=QueryTemplate(type="name_prefix_match", regexp="^my-(.*)$", remove_empty_tags=True),
)
BODY = {
    "Name": "my-query",
    "Session": "adf4238a-882b-9ddc-4a9d-5b6758e4159e",
    "Token": "t0ken",
    "Service": {
        "Service": "redis",
        "Failover": {"NearestN": 3, "Datacenters": ["dc1", "dc2"]},
        "Near": "node1",
        "OnlyPassing": True,
        "IgnoreCheckIDs": ["serfHealth"],
        "Tags": ["primary", "!experimental"],
        "NodeMeta": {"instance_type": "m3.large"},
        "ServiceMeta": {"environment": "production"},
        "Connect": True,
    },
    "DNS": {"TTL": "10s"},
    "Template": {"Type": "name_prefix_match", "Regexp": "^my-(.*)$", "RemoveEmptyTags": True},
}
# As a server gives it back, that says everything.
SAID = BODY | {"ID": ID, "CreateIndex": 23, "ModifyIndex": 42}
READ_BACK = QUERY.replace(id=ID, create_index=23, modify_index=42)

EXECUTED = {
    "Service": "redis",
    "Namespace": "team",
    "Partition": "part",
    "Nodes": [
        {
            "Node": {"ID": "40", "Node": "foobar", "Address": "10.1.10.12", "Datacenter": "dc3"},
            "Service": {"ID": "redis", "Service": "redis", "Tags": None, "Port": 8000},
            "Checks": [{"Node": "foobar", "CheckID": "serfHealth", "Status": "passing"}],
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
RESULT = QueryResult(
    service="redis",
    namespace="team",
    partition="part",
    nodes=[
        ServiceEntry(
            node=Node(id="40", node="foobar", address="10.1.10.12", datacenter="dc3"),
            service=AgentService(id="redis", service="redis", port=8000),
            checks=[HealthCheck(node="foobar", check_id="serfHealth", status="passing")],
        )
    ],
    dns=QueryDNS(ttl=10.0),
    datacenter="dc3",
    peer_name="east",
    failovers=2,
    last_contact=0.0015,
    known_leader=True,
    consistency_level="leader",
    filtered_by_acls=True,
)

CASES = [
    Case(
        "query.create",
        lambda c: c.query.create(QUERY),
        "POST /v1/query",
        takes=WRITE,
        body=BODY,
        answer={"ID": ID},
        result=ID,
    ),
    # What newer servers know, and a query that was read before: its id is not sent.
    Case(
        "query.create",
        lambda c: c.query.create(
            PreparedQuery(
                id="old",
                create_index=1,
                modify_index=2,
                service=ServiceQuery(
                    service="redis",
                    sameness_group="all",
                    namespace="team",
                    partition="part",
                    failover=QueryFailover(
                        targets=[
                            QueryFailoverTarget(peer="east"),
                            QueryFailoverTarget(datacenter="dc2", partition="p", namespace="n"),
                        ]
                    ),
                ),
            )
        ),
        "POST /v1/query",
        takes=WRITE,
        body={
            "Service": {
                "Service": "redis",
                "SamenessGroup": "all",
                "Namespace": "team",
                "Partition": "part",
                "Failover": {
                    "Targets": [
                        {"Peer": "east"},
                        {"Datacenter": "dc2", "Partition": "p", "Namespace": "n"},
                    ]
                },
            }
        },
        answer={"ID": ID},
        result=ID,
    ),
    Case(
        "query.list",
        lambda c: c.query.list(),
        "GET /v1/query",
        takes=READ,
        answer=[SAID],
        result=[READ_BACK],
    ),
    Case(
        "query.get",
        lambda c: c.query.get(ID),
        f"GET /v1/query/{ID}",
        takes=READ,
        answer=[SAID],
        result=READ_BACK,
    ),
    Case(
        "query.get",
        lambda c: c.query.get("a/b ?"),
        "GET /v1/query/a%2Fb%20%3F",
        takes=READ,
        status=404,
        answer=b"Query not found",
        result=None,
    ),
    Case(
        "query.get",
        lambda c: c.query.get(ID),
        f"GET /v1/query/{ID}",
        takes=READ,
        answer=[],
        result=None,
    ),
    Case(
        "query.update",
        lambda c: c.query.update(ID, READ_BACK),
        f"PUT /v1/query/{ID}",
        takes=WRITE,
        body=BODY,
        answer=EMPTY,
        result=None,
        safety=Safety.IDEMPOTENT,
    ),
    Case(
        "query.delete",
        lambda c: c.query.delete("a/b ?"),
        "DELETE /v1/query/a%2Fb%20%3F",
        takes=WRITE,
        answer=EMPTY,
        result=None,
        safety=Safety.IDEMPOTENT,
    ),
    Case(
        "query.execute",
        lambda c: c.query.execute("my query"),
        "GET /v1/query/my%20query/execute",
        takes=READ,
        answer=EXECUTED,
        result=RESULT,
    ),
    Case(
        "query.execute",
        lambda c: c.query.execute("a/b?", near="_agent", limit=3, connect=True),
        "GET /v1/query/a%2Fb%3F/execute?near=_agent&limit=3&connect=true",
        takes=READ,
        answer={"Service": "redis", "Nodes": None, "DNS": {"TTL": ""}, "Datacenter": "dc1"},
        result=QueryResult(service="redis", dns=QueryDNS(ttl=None), datacenter="dc1"),
    ),
    Case(
        "query.explain",
        lambda c: c.query.explain("a/b?"),
        "GET /v1/query/a%2Fb%3F/explain",
        takes=READ,
        answer={"Query": SAID, "Index": 0, "LastContact": 0, "KnownLeader": True},
        result=READ_BACK,
    ),
]
