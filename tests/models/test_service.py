"""Instances of services: what is sent of them, and what is read whatever stands there."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import SecretStr, TypeAdapter

from consul_onex import InvalidRequestError
from consul_onex.models.check import Check
from consul_onex.models.service import (
    AccessLogs,
    AgentService,
    Connect,
    EnvoyExtension,
    Expose,
    ExposePath,
    Locality,
    MeshGateway,
    Proxy,
    ServiceAddress,
    ServicePort,
    ServiceRegistration,
    TransparentProxy,
    Upstream,
    Weights,
)
from tests.support.lossless import lost

PROXY = {
    "EnvoyExtensions": [
        {
            "Name": "builtin/lua",
            "Required": True,
            "Arguments": {"a": [1]},
            "ConsulVersion": ">= 1.15",
            "EnvoyVersion": ">= 1.20",
        }
    ],
    "DestinationServiceName": "web",
    "DestinationServiceID": "web1",
    "LocalServiceAddress": "127.0.0.1",
    "LocalServicePort": 8080,
    "LocalServiceSocketPath": "/run/web.sock",
    "Mode": "transparent",
    "TransparentProxy": {"OutboundListenerPort": 22500, "DialedDirectly": True},
    "MutualTLSMode": "permissive",
    "Config": {"foo": {"bar": None}},
    "Upstreams": [
        {
            "DestinationType": "service",
            "DestinationPartition": "part",
            "DestinationNamespace": "team",
            "DestinationPeer": "east",
            "DestinationName": "db",
            "Datacenter": "dc2",
            "LocalBindAddress": "127.0.0.2",
            "LocalBindPort": 9191,
            "LocalBindSocketPath": "/run/db.sock",
            "LocalBindSocketMode": "0600",
            "Config": {"limits": {"max": 3}},
            "MeshGateway": {"Mode": "local"},
            "CentrallyConfigured": True,
        }
    ],
    "MeshGateway": {"Mode": "remote"},
    "Expose": {
        "Checks": True,
        "Paths": [
            {
                "ListenerPort": 21500,
                "Path": "/health",
                "LocalPathPort": 8080,
                "Protocol": "http2",
                "ParsedFromCheck": True,
            }
        ],
    },
    "AccessLogs": {
        "Enabled": True,
        "DisableListenerLogs": True,
        "Type": "file",
        "Path": "/var/log/envoy.log",
        "JSONFormat": '{"a": 1}',
        "TextFormat": "%A%",
    },
}

A_PROXY = Proxy(
    envoy_extensions=[
        EnvoyExtension(
            name="builtin/lua",
            required=True,
            arguments={"a": [1]},
            consul_version=">= 1.15",
            envoy_version=">= 1.20",
        )
    ],
    destination_service_name="web",
    destination_service_id="web1",
    local_service_address="127.0.0.1",
    local_service_port=8080,
    local_service_socket_path="/run/web.sock",
    mode="transparent",
    transparent_proxy=TransparentProxy(outbound_listener_port=22500, dialed_directly=True),
    mutual_tls_mode="permissive",
    config={"foo": {"bar": None}},
    upstreams=[
        Upstream(
            destination_type="service",
            destination_partition="part",
            destination_namespace="team",
            destination_peer="east",
            destination_name="db",
            datacenter="dc2",
            local_bind_address="127.0.0.2",
            local_bind_port=9191,
            local_bind_socket_path="/run/db.sock",
            local_bind_socket_mode="0600",
            config={"limits": {"max": 3}},
            mesh_gateway=MeshGateway(mode="local"),
            centrally_configured=True,
        )
    ],
    mesh_gateway=MeshGateway(mode="remote"),
    expose=Expose(
        checks=True,
        paths=[
            ExposePath(
                listener_port=21500,
                path="/health",
                local_path_port=8080,
                protocol="http2",
                parsed_from_check=True,
            )
        ],
    ),
    access_logs=AccessLogs(
        enabled=True,
        disable_listener_logs=True,
        type="file",
        path="/var/log/envoy.log",
        json_format='{"a": 1}',
        text_format="%A%",
    ),
)

REGISTRATION = {
    "Name": "web",
    "ID": "web1",
    "Kind": "connect-proxy",
    "Tags": ["v2"],
    "Address": "10.0.0.5",
    "Ports": [{"name": "http", "port": 8080, "default": True}],
    "SocketPath": "/run/web.sock",
    "TaggedAddresses": {"wan": {"Address": "198.51.100.53", "Port": 80}},
    "Meta": {"version": "2"},
    "Weights": {"Passing": 10, "Warning": 1},
    "EnableTagOverride": True,
    "Checks": [{"TTL": "15s"}, {"TCP": "a:1", "Interval": "10s"}],
    "Proxy": PROXY,
    "Connect": {"Native": True, "SidecarService": {}},
    "Locality": {"Region": "us-west-1", "Zone": "us-west-1a"},
    "Token": "5f",
    "Namespace": "team",
    "Partition": "part",
}

A_REGISTRATION = ServiceRegistration(
    name="web",
    id="web1",
    kind="connect-proxy",
    tags=["v2"],
    address="10.0.0.5",
    ports=[ServicePort(name="http", port=8080, default=True)],
    socket_path="/run/web.sock",
    tagged_addresses={"wan": ServiceAddress(address="198.51.100.53", port=80)},
    meta={"version": "2"},
    weights=Weights(passing=10, warning=1),
    enable_tag_override=True,
    checks=[Check.ttl(15), Check.tcp("a:1", interval=10)],
    proxy=A_PROXY,
    connect=Connect(native=True, sidecar_service=ServiceRegistration()),
    locality=Locality(region="us-west-1", zone="us-west-1a"),
    token=SecretStr("5f"),
    namespace="team",
    partition="part",
)

# Everything that a server of any version may say of an instance.
SERVICE = {
    "Kind": "connect-proxy",
    "ID": "web1",
    "Service": "web",
    "Tags": ["v2"],
    "Meta": {"version": "2"},
    "Namespace": "team",
    "Partition": "part",
    "Address": "10.0.0.5",
    "Port": 8080,
    "Ports": [{"name": "http", "port": 8080, "default": True}],
    "SocketPath": "/run/web.sock",
    "TaggedAddresses": {"wan": {"Address": "198.51.100.53", "Port": 80}},
    "Weights": {"Passing": 10, "Warning": 1},
    "EnableTagOverride": True,
    "Proxy": PROXY,
    "Connect": {"Native": True},
    "Locality": {"Region": "us-west-1", "Zone": "us-west-1a"},
    "PeerName": "east",
    "Datacenter": "dc1",
    "ContentHash": "4ecd29c7bc647ca8",
    "CreateIndex": 5,
    "ModifyIndex": 7,
}


def test_a_registration_sends_all_that_it_was_given() -> None:
    assert A_REGISTRATION.to_wire() == REGISTRATION
    assert "5f" not in repr(A_REGISTRATION)


def test_one_that_was_given_little_sends_little() -> None:
    assert ServiceRegistration(name="web").to_wire() == {"Name": "web"}
    assert ServiceRegistration(name="web", tags=[], port=0).to_wire() == {
        "Name": "web",
        "Tags": [],
        "Port": 0,
    }


def test_nothing_of_an_instance_is_lost() -> None:
    service = TypeAdapter(AgentService).validate_json(json.dumps(SERVICE))

    assert lost(SERVICE, service) == []
    assert service.proxy == A_PROXY
    assert service.weights == Weights(passing=10, warning=1)


@pytest.mark.parametrize("given", [{"passing": 2}, {"warning": 2}, {}], ids=str)
def test_weights_are_given_together(given: dict[str, Any]) -> None:
    # Consul takes the one that is missing for 0.
    with pytest.raises(InvalidRequestError, match="must be given"):
        Weights(**given)


@pytest.mark.parametrize("port", [-1, 65536, "80", 80.0, True], ids=str)
def test_a_port_has_sixteen_bits_where_it_is_written(port: Any) -> None:
    with pytest.raises(InvalidRequestError, match="port: "):
        ServiceRegistration(name="web", port=port)
    with pytest.raises(InvalidRequestError, match="port: "):
        ServiceAddress(port=port)


@pytest.mark.parametrize("port", [-1, 99_999])
def test_what_somebody_else_registered_is_read_whatever_the_port(port: int) -> None:
    # Agents take any number, and a list with one such instance in it is still a list.
    said = {
        "Port": port,
        "TaggedAddresses": {"lan_ipv4": {"Port": port}},
        "Proxy": {"LocalServicePort": port, "Upstreams": [{"LocalBindPort": port}]},
        "Weights": {"Passing": 70_000},
    }

    assert lost(said, TypeAdapter(AgentService).validate_json(json.dumps(said))) == []
