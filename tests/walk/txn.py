"""Transactions."""

from __future__ import annotations

import base64
from typing import Any

from consul_onex import KVPair, Safety
from consul_onex.models.catalog import (
    CatalogCheck,
    CatalogCheckDefinition,
    CatalogServiceDefinition,
    Node,
)
from consul_onex.models.check import CheckDefinition, HealthCheck
from consul_onex.models.service import AgentService, Proxy, ServiceAddress, Weights
from consul_onex.models.txn import TxnResult, TxnRow
from tests.walk.case import Case

READ = "dc consistency ns partition"
WRITE = "dc ns partition"

METHOD = "txn.commit"
SENT = "PUT /v1/txn"

PAIR = {
    "LockIndex": 1,
    "Key": "//a",
    "Flags": 7,
    "Value": "AP8=",
    "Session": "5f",
    "CreateIndex": 3,
    "ModifyIndex": 4,
}
NODE = {
    "ID": "67539c9d-b948-ba67-edd4-d07a676d6673",
    "Node": "bar",
    "Address": "192.168.0.1",
    "Datacenter": "dc1",
    "TaggedAddresses": None,
    "Meta": {"instance_type": "m2.large"},
    "CreateIndex": 32,
    "ModifyIndex": 32,
}
SERVICE = {
    "ID": "web1",
    "Service": "web",
    "Tags": None,
    "Address": "",
    "Meta": None,
    "Port": 80,
    "Weights": {"Passing": 1, "Warning": 1},
    "EnableTagOverride": False,
    "CreateIndex": 33,
    "ModifyIndex": 33,
}
CHECK = {
    "Node": "bar",
    "CheckID": "service:web1",
    "Name": "Web HTTP Check",
    "Status": "critical",
    "Notes": "",
    "Output": "",
    "ServiceID": "web1",
    "ServiceName": "web",
    "ServiceTags": None,
    "Definition": {"HTTP": "http://localhost:8080", "Interval": "10s"},
    "CreateIndex": 22,
    "ModifyIndex": 35,
}

ROWS = [
    TxnRow(
        kv=KVPair(
            key="//a",
            value=b"\0\xff",
            flags=7,
            session="5f",
            lock_index=1,
            create_index=3,
            modify_index=4,
        )
    ),
    TxnRow(
        node=Node(
            id="67539c9d-b948-ba67-edd4-d07a676d6673",
            node="bar",
            address="192.168.0.1",
            datacenter="dc1",
            meta={"instance_type": "m2.large"},
            create_index=32,
            modify_index=32,
        )
    ),
    TxnRow(
        service=AgentService(
            id="web1",
            service="web",
            port=80,
            weights=Weights(passing=1, warning=1),
            create_index=33,
            modify_index=33,
        )
    ),
    TxnRow(
        check=HealthCheck(
            node="bar",
            check_id="service:web1",
            name="Web HTTP Check",
            status="critical",
            service_id="web1",
            service_name="web",
            definition=CheckDefinition(http="http://localhost:8080", interval=10.0),
            create_index=22,
            modify_index=35,
        )
    ),
]
ANSWER = {
    "Results": [{"KV": PAIR}, {"Node": NODE}, {"Service": SERVICE}, {"Check": CHECK}],
    "Errors": None,
}
DELETED: dict[str, Any] = {"Results": [], "Errors": None}


def b64(value: bytes) -> str:
    return base64.b64encode(value).decode()


CASES = [
    Case(
        METHOD,
        lambda c: c.txn.begin().commit(),
        SENT,
        takes=READ,
        body=[],
        answer=DELETED,
        result=TxnResult(),
        safety=Safety.SAFE,
    ),
    # Everything that reads, and so may be stale, and may be repeated.
    Case(
        METHOD,
        lambda c: (
            c.txn.begin()
            .kv.get("//a")
            .kv.get_or_empty("b")
            .kv.get_tree("../")
            .kv.check_index("a", 4)
            .kv.check_session("a", "5f")
            .kv.check_not_exists("b")
            .node.get("bar")
            .node.get(node_id="67")
            .service.get("bar", "web1")
            .check.get("bar", "service:web1")
            .commit()
        ),
        SENT,
        takes=READ,
        body=[
            {"KV": {"Verb": "get", "Key": "//a"}},
            {"KV": {"Verb": "get-or-empty", "Key": "b"}},
            {"KV": {"Verb": "get-tree", "Key": "../"}},
            {"KV": {"Verb": "check-index", "Key": "a", "Index": 4}},
            {"KV": {"Verb": "check-session", "Key": "a", "Session": "5f"}},
            {"KV": {"Verb": "check-not-exists", "Key": "b"}},
            {"Node": {"Verb": "get", "Node": {"Node": "bar"}}},
            {"Node": {"Verb": "get", "Node": {"ID": "67"}}},
            {"Service": {"Verb": "get", "Node": "bar", "Service": {"ID": "web1"}}},
            {"Check": {"Verb": "get", "Check": {"CheckID": "service:web1", "Node": "bar"}}},
        ],
        answer={
            **ANSWER,
            "Index": 0,
            "LastContact": 1_500_000_000,
            "KnownLeader": True,
            "ConsistencyLevel": "stale",
            "ResultsFilteredByACLs": True,
        },
        result=TxnResult(
            results=ROWS,
            last_contact=1.5,
            known_leader=True,
            consistency_level="stale",
            filtered_by_acls=True,
        ),
        safety=Safety.SAFE,
    ),
    # Everything that writes.
    Case(
        METHOD,
        lambda c: (
            c.txn.begin()
            .kv.set("a", b"\0\xff")
            .kv.set("ä", "ä", flags=2**64 - 1)
            .kv.cas("a", "", 0)
            .kv.cas("a", b"x", 2**64 - 1, flags=1)
            .kv.lock("a", "5f")
            .kv.lock("a", "5f", "mine", 3)
            .kv.unlock("a", "5f")
            .kv.unlock("a", "5f", b"free", flags=3)
            .kv.delete("a")
            .kv.delete_cas("a", 4)
            .kv.delete_tree("a/")
            .kv.delete_tree("", everything=True)
            .commit()
        ),
        SENT,
        takes=WRITE,
        body=[
            {"KV": {"Verb": "set", "Key": "a", "Value": "AP8="}},
            {
                "KV": {
                    "Verb": "set",
                    "Key": "ä",
                    "Value": b64("ä".encode()),
                    "Flags": 2**64 - 1,
                }
            },
            {"KV": {"Verb": "cas", "Key": "a", "Value": "", "Index": 0}},
            {
                "KV": {
                    "Verb": "cas",
                    "Key": "a",
                    "Value": b64(b"x"),
                    "Index": 2**64 - 1,
                    "Flags": 1,
                }
            },
            {"KV": {"Verb": "lock", "Key": "a", "Session": "5f", "Value": ""}},
            {
                "KV": {
                    "Verb": "lock",
                    "Key": "a",
                    "Session": "5f",
                    "Value": b64(b"mine"),
                    "Flags": 3,
                }
            },
            {"KV": {"Verb": "unlock", "Key": "a", "Session": "5f", "Value": ""}},
            {
                "KV": {
                    "Verb": "unlock",
                    "Key": "a",
                    "Session": "5f",
                    "Value": b64(b"free"),
                    "Flags": 3,
                }
            },
            {"KV": {"Verb": "delete", "Key": "a"}},
            {"KV": {"Verb": "delete-cas", "Key": "a", "Index": 4}},
            {"KV": {"Verb": "delete-tree", "Key": "a/"}},
            {"KV": {"Verb": "delete-tree", "Key": ""}},
        ],
        answer=ANSWER,
        result=TxnResult(results=ROWS),
    ),
    Case(
        METHOD,
        lambda c: (
            c.txn.begin()
            .node.set("bar", "192.168.0.1")
            .node.set("bar", "1::", node_id="67", tagged_addresses={"lan": "1"}, meta={"a": "b"})
            .node.cas("bar", "192.168.0.1", 0, meta={})
            .node.delete("bar")
            .node.delete_cas("bar", 4)
            .commit()
        ),
        SENT,
        takes=WRITE,
        body=[
            {"Node": {"Verb": "set", "Node": {"Node": "bar", "Address": "192.168.0.1"}}},
            {
                "Node": {
                    "Verb": "set",
                    "Node": {
                        "ID": "67",
                        "Node": "bar",
                        "Address": "1::",
                        "TaggedAddresses": {"lan": "1"},
                        "Meta": {"a": "b"},
                    },
                }
            },
            {
                "Node": {
                    "Verb": "cas",
                    "Node": {
                        "Node": "bar",
                        "Address": "192.168.0.1",
                        "Meta": {},
                        "ModifyIndex": 0,
                    },
                }
            },
            {"Node": {"Verb": "delete", "Node": {"Node": "bar"}}},
            {"Node": {"Verb": "delete-cas", "Node": {"Node": "bar", "ModifyIndex": 4}}},
        ],
        answer=DELETED,
        result=TxnResult(),
    ),
    Case(
        METHOD,
        lambda c: (
            c.txn.begin()
            .service.set("bar", CatalogServiceDefinition(service="web"))
            .service.cas(
                "bar",
                CatalogServiceDefinition(
                    service="web",
                    id="web1",
                    kind="connect-proxy",
                    tags=["a"],
                    address="1.2.3.4",
                    port=80,
                    meta={"a": "b"},
                    weights=Weights(passing=2, warning=1),
                    enable_tag_override=True,
                    tagged_addresses={"lan": ServiceAddress(address="1", port=2)},
                    proxy=Proxy(destination_service_name="db", local_service_port=3),
                ),
                9,
            )
            .service.delete("bar", "web")
            .service.delete("bar", "web", service_id="web1")
            .service.delete_cas("bar", "web", 4, service_id="web1")
            .commit()
        ),
        SENT,
        takes=WRITE,
        body=[
            {"Service": {"Verb": "set", "Node": "bar", "Service": {"Service": "web"}}},
            {
                "Service": {
                    "Verb": "cas",
                    "Node": "bar",
                    "Service": {
                        "ID": "web1",
                        "Service": "web",
                        "Kind": "connect-proxy",
                        "Tags": ["a"],
                        "Address": "1.2.3.4",
                        "Port": 80,
                        "Meta": {"a": "b"},
                        "Weights": {"Passing": 2, "Warning": 1},
                        "EnableTagOverride": True,
                        "TaggedAddresses": {"lan": {"Address": "1", "Port": 2}},
                        "Proxy": {"DestinationServiceName": "db", "LocalServicePort": 3},
                        "ModifyIndex": 9,
                    },
                }
            },
            {
                "Service": {
                    "Verb": "delete",
                    "Node": "bar",
                    "Service": {"ID": "web", "Service": "web"},
                }
            },
            {
                "Service": {
                    "Verb": "delete",
                    "Node": "bar",
                    "Service": {"ID": "web1", "Service": "web"},
                }
            },
            {
                "Service": {
                    "Verb": "delete-cas",
                    "Node": "bar",
                    "Service": {"ID": "web1", "Service": "web", "ModifyIndex": 4},
                }
            },
        ],
        answer=DELETED,
        result=TxnResult(),
    ),
    Case(
        METHOD,
        lambda c: (
            c.txn.begin()
            .check.set("bar", CatalogCheck(name="disk", status="passing", node="another"))
            .check.cas(
                "bar",
                CatalogCheck(
                    check_id="service:web1",
                    name="Web HTTP Check",
                    status="critical",
                    notes="n",
                    output="o",
                    service_id="web1",
                    service_name="web",
                    type="http",
                    definition=CatalogCheckDefinition(
                        http="http://localhost:8080", interval=10.0, tls_server_name="web"
                    ),
                ),
                22,
            )
            .check.delete("bar", "disk")
            .check.delete_cas("bar", "disk", 4)
            .commit()
        ),
        SENT,
        takes=WRITE,
        body=[
            {
                "Check": {
                    "Verb": "set",
                    "Check": {"Name": "disk", "Status": "passing", "Node": "bar"},
                }
            },
            {
                "Check": {
                    "Verb": "cas",
                    "Check": {
                        "Node": "bar",
                        "CheckID": "service:web1",
                        "Name": "Web HTTP Check",
                        "Status": "critical",
                        "Notes": "n",
                        "Output": "o",
                        "ServiceID": "web1",
                        "ServiceName": "web",
                        "Type": "http",
                        "Definition": {
                            "HTTP": "http://localhost:8080",
                            "Interval": "10s",
                            "TLSServerName": "web",
                        },
                        "ModifyIndex": 22,
                    },
                }
            },
            {"Check": {"Verb": "delete", "Check": {"CheckID": "disk", "Node": "bar"}}},
            {
                "Check": {
                    "Verb": "delete-cas",
                    "Check": {"CheckID": "disk", "Node": "bar", "ModifyIndex": 4},
                }
            },
        ],
        answer=DELETED,
        result=TxnResult(),
    ),
]
