"""Services with their checks."""

from __future__ import annotations

from consul_onex.models.catalog import Node
from consul_onex.models.check import CheckStatus, HealthCheck
from consul_onex.models.health import ServiceEntry, ServiceInstance
from consul_onex.models.service import AgentService, ServiceAddress, Weights
from tests.walk.case import Case

READ = "dc consistency ns partition"

CHECK = {
    "Node": "foobar",
    "CheckID": "service:redis",
    "Name": "Service 'redis' check",
    "Status": "passing",
    "Notes": "",
    "Output": "",
    "ServiceID": "redis",
    "ServiceName": "redis",
    "ServiceTags": ["primary"],
    "Namespace": "default",
}
HEALTH_CHECK = HealthCheck(
    node="foobar",
    check_id="service:redis",
    name="Service 'redis' check",
    status="passing",
    service_id="redis",
    service_name="redis",
    service_tags=["primary"],
    namespace="default",
)
ROW = {
    "Node": {
        "ID": "40e4a748-2192-161a-0510-9bf59fe950b5",
        "Node": "foobar",
        "Address": "10.1.10.12",
        "Datacenter": "dc1",
        "TaggedAddresses": {"lan": "10.1.10.12", "wan": "10.1.10.12"},
        "Meta": {"instance_type": "t2.medium"},
    },
    "Service": {
        "ID": "redis",
        "Service": "redis",
        "Tags": ["primary"],
        "Address": "10.1.10.13",
        "TaggedAddresses": {"wan": {"Address": "198.18.1.2", "Port": 80}},
        "Meta": {"redis_version": "4.0"},
        "Port": 8000,
        "Weights": {"Passing": 10, "Warning": 1},
        "Namespace": "default",
    },
    "Checks": [CHECK],
}
ENTRY = ServiceEntry(
    node=Node(
        id="40e4a748-2192-161a-0510-9bf59fe950b5",
        node="foobar",
        address="10.1.10.12",
        datacenter="dc1",
        tagged_addresses={"lan": "10.1.10.12", "wan": "10.1.10.12"},
        meta={"instance_type": "t2.medium"},
    ),
    service=AgentService(
        id="redis",
        service="redis",
        tags=["primary"],
        address="10.1.10.13",
        tagged_addresses={"wan": ServiceAddress(address="198.18.1.2", port=80)},
        meta={"redis_version": "4.0"},
        port=8000,
        weights=Weights(passing=10, warning=1),
        namespace="default",
    ),
    checks=[HEALTH_CHECK],
)

INSTANCE = ServiceInstance(
    node="foobar",
    id="redis",
    tags=("primary",),
    passing_weight=10,
    warning_weight=1,
    checks=(CheckStatus(check_id="service:redis", status="passing"),),
    datacenter="dc1",
    node_address="10.1.10.12",
    node_wan_address="10.1.10.12",
    own_address="10.1.10.13",
    own_port=8000,
    wan_address="198.18.1.2",
    wan_port=80,
)

CASES = [
    Case(
        "health.service",
        lambda c: c.health.service("redis"),
        "GET /v1/health/service/redis",
        takes=READ,
        answer=[ROW],
        result=[ENTRY],
    ),
    Case(
        "health.service",
        lambda c: c.health.service("a/b ?", True, "v1", "_agent", "Node.Node == x"),
        "GET /v1/health/service/a%2Fb%20%3F"
        "?passing=&tag=v1&near=_agent&filter=Node.Node%20%3D%3D%20x",
        takes=READ,
        answer=[],
        result=[],
    ),
    Case(
        "health.service",
        lambda c: c.health.service(
            "redis",
            passing=True,
            tag=["v1", "a b"],
            node_meta={"rack": "7", "os": "a:b"},
            peer="cluster-02",
            sameness_group="group",
            merge_central_config=True,
        ),
        "GET /v1/health/service/redis?passing=&tag=v1&tag=a%20b&peer=cluster-02&sg=group"
        "&node-meta=rack%3A7&node-meta=os%3Aa%3Ab&merge-central-config=",
        takes=READ,
        answer=[],
        result=[],
    ),
    Case(
        "health.instances",
        lambda c: c.health.instances("redis"),
        "GET /v1/health/service/redis",
        takes=READ,
        answer=[ROW],
        result=[INSTANCE],
    ),
    Case(
        "health.instances",
        lambda c: c.health.instances("a/b ?", True, "v1", "_agent", "Node.Node == x"),
        "GET /v1/health/service/a%2Fb%20%3F"
        "?passing=&tag=v1&near=_agent&filter=Node.Node%20%3D%3D%20x",
        takes=READ,
        answer=None,
        result=[],
    ),
    Case(
        "health.instances",
        lambda c: c.health.instances(
            "redis",
            passing=True,
            tag=["v1", "a b"],
            node_meta={"rack": "7", "os": "a:b"},
            peer="cluster-02",
            sameness_group="group",
        ),
        "GET /v1/health/service/redis?passing=&tag=v1&tag=a%20b&peer=cluster-02&sg=group"
        "&node-meta=rack%3A7&node-meta=os%3Aa%3Ab",
        takes=READ,
        answer=[],
        result=[],
    ),
    Case(
        "health.connect",
        lambda c: c.health.connect("redis"),
        "GET /v1/health/connect/redis",
        takes=READ,
        answer=[ROW],
        result=[ENTRY],
    ),
    Case(
        "health.connect",
        lambda c: c.health.connect(
            "redis",
            True,
            near="n1",
            filter="x",
            node_meta={"rack": "7"},
            peer="p",
            sameness_group="g",
            merge_central_config=True,
        ),
        "GET /v1/health/connect/redis?passing=&near=n1&filter=x&peer=p&sg=g"
        "&node-meta=rack%3A7&merge-central-config=",
        takes=READ,
        answer=None,
        result=[],
    ),
    Case(
        "health.ingress",
        lambda c: c.health.ingress("redis"),
        "GET /v1/health/ingress/redis",
        takes=READ,
        answer=[ROW],
        result=[ENTRY],
    ),
    Case(
        "health.ingress",
        lambda c: c.health.ingress(
            "redis",
            True,
            near="n1",
            filter="x",
            node_meta={"rack": "7"},
            sameness_group="g",
            merge_central_config=True,
        ),
        "GET /v1/health/ingress/redis?passing=&near=n1&filter=x&sg=g&node-meta=rack%3A7"
        "&merge-central-config=",
        takes=READ,
        answer=[],
        result=[],
    ),
    Case(
        "health.node",
        lambda c: c.health.node("a/b ?"),
        "GET /v1/health/node/a%2Fb%20%3F",
        takes=READ,
        answer=[CHECK],
        result=[HEALTH_CHECK],
    ),
    Case(
        "health.node",
        lambda c: c.health.node("n1", filter="x", peer="p"),
        "GET /v1/health/node/n1?filter=x&peer=p",
        takes=READ,
        answer=[],
        result=[],
    ),
    Case(
        "health.checks",
        lambda c: c.health.checks("a/b ?"),
        "GET /v1/health/checks/a%2Fb%20%3F",
        takes=READ,
        answer=[CHECK],
        result=[HEALTH_CHECK],
    ),
    Case(
        "health.checks",
        lambda c: c.health.checks(
            "redis", near="_ip", filter="x", node_meta={"rack": "7"}, peer="p"
        ),
        "GET /v1/health/checks/redis?near=_ip&filter=x&peer=p&node-meta=rack%3A7",
        takes=READ,
        answer=[],
        result=[],
    ),
    Case(
        "health.state",
        lambda c: c.health.state(),
        "GET /v1/health/state/any",
        takes=READ,
        answer=[CHECK],
        result=[HEALTH_CHECK],
    ),
    Case(
        "health.state",
        lambda c: c.health.state("critical", near="n1", filter="x", node_meta={"rack": "7"}),
        "GET /v1/health/state/critical?near=n1&filter=x&node-meta=rack%3A7",
        takes=READ,
        answer=[],
        result=[],
    ),
]
