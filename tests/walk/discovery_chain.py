"""What the mesh makes of the name of a service."""

from __future__ import annotations

from consul_onex import Safety
from consul_onex.models.config import Subset
from consul_onex.models.discovery_chain import (
    ChainFailover,
    ChainNode,
    ChainResolver,
    ChainTarget,
    DiscoveryChain,
)
from consul_onex.models.service import MeshGateway
from tests.walk.case import Case

READ = "dc consistency ns partition"

# As the official documentation has it, with the names shortened.
ANSWER = {
    "Chain": {
        "ServiceName": "web",
        "Namespace": "default",
        "Datacenter": "dc1",
        "CustomizationHash": "b94f529a",
        "Protocol": "grpc",
        "StartNode": "resolver:web.default.dc2",
        "Nodes": {
            "resolver:web.default.dc2": {
                "Type": "resolver",
                "Name": "web.default.dc2",
                "Resolver": {
                    "ConnectTimeout": "7s",
                    "Target": "web.default.dc2",
                    "Failover": {"Targets": ["web.default.dc3"]},
                },
            }
        },
        "Targets": {
            "web.default.dc2": {
                "ID": "web.default.dc2",
                "Service": "web",
                "Namespace": "default",
                "Datacenter": "dc2",
                "MeshGateway": {"Mode": "remote"},
                "Subset": {},
                "SNI": "web.default.dc2.internal.consul",
                "Name": "web.default.dc2.internal.consul",
            }
        },
    }
}
CHAIN = DiscoveryChain(
    service_name="web",
    namespace="default",
    datacenter="dc1",
    customization_hash="b94f529a",
    protocol="grpc",
    start_node="resolver:web.default.dc2",
    nodes={
        "resolver:web.default.dc2": ChainNode(
            type="resolver",
            name="web.default.dc2",
            resolver=ChainResolver(
                connect_timeout=7.0,
                target="web.default.dc2",
                failover=ChainFailover(targets=["web.default.dc3"]),
            ),
        )
    },
    targets={
        "web.default.dc2": ChainTarget(
            id="web.default.dc2",
            service="web",
            namespace="default",
            datacenter="dc2",
            mesh_gateway=MeshGateway(mode="remote"),
            subset=Subset(),
            sni="web.default.dc2.internal.consul",
            name="web.default.dc2.internal.consul",
        )
    },
)

CASES = [
    Case(
        "discovery_chain.get",
        lambda c: c.discovery_chain.get(
            "web",
            override_connect_timeout=7,
            override_protocol="grpc",
            override_mesh_gateway="remote",
        ),
        "POST /v1/discovery-chain/web",
        takes=READ,
        body={
            "OverrideConnectTimeout": "7s",
            "OverrideProtocol": "grpc",
            "OverrideMeshGateway": {"Mode": "remote"},
        },
        answer=ANSWER,
        result=CHAIN,
        safety=Safety.SAFE,
    ),
    Case(
        "discovery_chain.get",
        lambda c: c.discovery_chain.get("web", compile_datacenter="dc3", override_protocol="tcp"),
        "POST /v1/discovery-chain/web?compile-dc=dc3",
        takes=READ,
        body={"OverrideProtocol": "tcp"},
        answer=ANSWER,
        result=CHAIN,
        safety=Safety.SAFE,
    ),
    Case(
        "discovery_chain.get",
        lambda c: c.discovery_chain.get("a/b ?", compile_datacenter="dc 3"),
        "GET /v1/discovery-chain/a%2Fb%20%3F?compile-dc=dc%203",
        takes=READ,
        answer={"Chain": None},
        result=DiscoveryChain(),
    ),
    Case(
        "discovery_chain.get",
        lambda c: c.discovery_chain.get("web"),
        "GET /v1/discovery-chain/web",
        takes=READ,
        answer=ANSWER,
        result=CHAIN,
    ),
]
