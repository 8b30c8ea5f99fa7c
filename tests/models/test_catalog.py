"""The catalog's answers as the documentation shows them, those of newer servers among them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import TypeAdapter

from consul_onex.models.catalog import (
    CatalogNode,
    CatalogNodeServices,
    CatalogService,
    GatewayService,
    Node,
)
from consul_onex.models.health import ServiceEntry
from tests.support.lossless import lost

NODE: dict[str, Any] = {
    "ID": "40e4a748-2192-161a-0510-9bf59fe950b5",
    "Node": "t2-node",
    "Address": "10.1.10.12",
    "Datacenter": "dc1",
    "TaggedAddresses": {"lan": "10.1.10.12", "wan": "10.1.10.12"},
    "Meta": {"instance_type": "t2.medium"},
}
CONSUL: dict[str, Any] = {
    "ID": "consul",
    "Service": "consul",
    "Tags": None,
    "Meta": {},
    "Port": 8300,
}
REDIS: dict[str, Any] = {
    "ID": "redis",
    "Service": "redis",
    "TaggedAddresses": {
        "lan": {"Address": "10.1.10.12", "Port": 8000},
        "wan": {"Address": "198.18.1.2", "Port": 80},
    },
    "Tags": ["v1"],
    "Meta": {"redis_version": "4.0"},
    "Port": 8000,
    "Namespace": "default",
}

# With what servers since 1.10 add: https://developer.hashicorp.com/consul/api-docs/catalog
EXAMPLES: list[tuple[type, dict[str, Any]]] = [
    (Node, NODE),
    (
        Node,
        NODE
        | {
            "Partition": "default",
            "PeerName": "cluster-02",
            "Locality": {"Region": "us-west-1", "Zone": "us-west-1a"},
            "CreateIndex": 2**64 - 1,
            "ModifyIndex": 2**64 - 1,
        },
    ),
    (
        CatalogService,
        {
            "ID": "40e4a748-2192-161a-0510-9bf59fe950b5",
            "Node": "t2.320",
            "Address": "192.168.10.10",
            "Datacenter": "dc1",
            "TaggedAddresses": {"lan": "192.168.10.10", "wan": "10.0.10.10"},
            "NodeMeta": {"somekey": "somevalue"},
            "CreateIndex": 51,
            "ModifyIndex": 51,
            "ServiceAddress": "172.17.0.3",
            "ServiceEnableTagOverride": False,
            "ServiceID": "32a2a47f7992:nodea:5000",
            "ServiceName": "web",
            "ServicePort": 5000,
            "ServicePorts": [{"name": "admin", "port": 5001, "default": True}],
            "ServiceSocketPath": "/run/web.sock",
            "ServiceMeta": {"web_meta_value": "baz"},
            "ServiceTaggedAddresses": {
                "lan": {"Address": "172.17.0.3", "Port": 5000},
                "wan": {"Address": "198.18.0.1", "Port": 512},
            },
            "ServiceTags": ["prod"],
            "ServiceProxy": {
                "Mode": "transparent",
                "DestinationServiceName": "",
                "DestinationServiceID": "",
                "LocalServiceAddress": "",
                "LocalServicePort": 0,
                "Config": None,
                "Upstreams": None,
            },
            "ServiceConnect": {"Native": False},
            "ServiceLocality": {"Region": "us-west-1", "Zone": "us-west-1a"},
            "PeerName": "cluster-02",
            "Namespace": "default",
            "Partition": "default",
        },
    ),
    (CatalogNode, {"Node": NODE, "Services": {"consul": CONSUL, "redis": REDIS}}),
    (CatalogNodeServices, {"Node": NODE, "Services": [CONSUL, REDIS]}),
    (
        GatewayService,
        {
            "Gateway": {"Name": "my-terminating-gateway", "Namespace": "default"},
            "Service": {"Name": "api", "Namespace": "frontend", "Partition": "part"},
            "GatewayKind": "terminating-gateway",
            "CAFile": "/etc/certs/ca.pem",
            "CertFile": "/etc/certs/api/client.pem",
            "KeyFile": "/etc/certs/api/client.key",
            "SNI": "api.my-domain",
            "ServiceKind": "service",
            "FromWildcard": True,
            "AutoHostRewrite": True,
            "CreateIndex": 16,
            "ModifyIndex": 16,
        },
    ),
    (
        GatewayService,
        {
            "Gateway": {"Name": "my-ingress-gateway", "Namespace": "default"},
            "Service": {"Name": "api", "Namespace": "frontend"},
            "GatewayKind": "ingress-gateway",
            "Port": 8888,
            "Protocol": "http",
            "Hosts": ["api.mydomain.com"],
            "CreateIndex": 15,
            "ModifyIndex": 15,
        },
    ),
    (
        ServiceEntry,
        {
            "Node": NODE,
            "Service": REDIS
            | {
                "Weights": {"Passing": 10, "Warning": 1},
                "SocketPath": "/run/redis.sock",
                "Ports": [{"name": "admin", "port": 8001, "default": False}],
                "PeerName": "cluster-02",
                "Locality": {"Region": "us-west-1", "Zone": ""},
            },
            "Checks": [
                {
                    "Node": "t2-node",
                    "CheckID": "service:redis",
                    "Name": "Service 'redis' check",
                    "Status": "passing",
                    "Notes": "",
                    "Output": "",
                    "ServiceID": "redis",
                    "ServiceName": "redis",
                    "ServiceTags": ["primary"],
                    "Type": "udp",
                    "Interval": "10s",
                    "Timeout": "1s",
                    "ExposedPort": 0,
                    "Definition": {"UDP": "localhost:8000", "TTL": 30_000_000_000},
                    "PeerName": "cluster-02",
                    "Namespace": "default",
                    "Partition": "default",
                }
            ],
        },
    ),
]


@pytest.mark.parametrize(("model", "example"), EXAMPLES)
def test_nothing_that_consul_says_is_lost(model: Any, example: dict[str, Any]) -> None:
    assert lost(example, TypeAdapter(model).validate_json(json.dumps(example))) == []
