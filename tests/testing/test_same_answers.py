"""The fake agent answers as the real one does: the same status, headers and bodies."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import pytest

from consul_onex.testing import FakeAgent
from tests.support import agents
from tests.support.agents import Agent

from .both import Ask, ask_fake, ask_real, settled
from .sequences import begin_alike, begun

NOBODY = "11111111-1111-1111-1111-111111111111"


@pytest.fixture
def own(consul_binary: Path) -> Iterator[Agent]:
    """A real agent that nobody has asked anything yet, and that has settled."""
    with settled(agents.dev_agent, consul_binary) as started:
        begun(started)
        yield started


def get(*paths: str) -> list[Ask]:
    return [Ask("GET", path) for path in paths]


def put(path: str, body: Any = None) -> Ask:
    return Ask("PUT", path, body)


def txn(*operations: dict[str, Any]) -> Ask:
    return put("/v1/txn", [{"KV": one} for one in operations])


def register(*bodies: Any) -> list[Ask]:
    return [put("/v1/catalog/register", body) for body in bodies]


def agent_service(*bodies: Any) -> list[Ask]:
    return [put("/v1/agent/service/register", body) for body in bodies]


def agent_check(*bodies: Any) -> list[Ask]:
    return [put("/v1/agent/check/register", body) for body in bodies]


FILTERS = [
    *("Node==dev", '"dev" in Node', 'Node matches "^d"', "Meta.x==1", "Meta is empty"),
    *("Node==dev and not (Address==`127.0.0.1`)", 'Node contains "e"', "Meta contains x"),
    *("x in Meta", "Node != dev", "TaggedAddresses.lan==x", "Node not matches d", ""),
    *("Meta.x != 1 or Node == zz", 'Meta["consul-network-segment"] == ""', "x not in Meta"),
    *("Nope is empty", "ID is not empty", "Meta.x is empty", "CreateIndex==1"),
]
ENTRY_FILTERS = [
    *("Checks.Status==passing", "Service.Tags is empty", "Service.Port==1", "Checks is empty"),
    *("Service.EnableTagOverride==false", "Service.Weights.Passing==1", "v in Service.Tags"),
    *("Service.Tags not contains v", "Service.TaggedAddresses is empty", "Node.Nope==x"),
    *("Service.TaggedAddresses.lan.Address==x", "Service.Tags==x", "Service==x"),
    *("Service.Port==x", "Service.EnableTagOverride==x", "Checks.Definition.HTTP==x"),
    *("Checks.ServiceTags is not empty", "Service.Port is empty"),
]


def filters(path: str, expressions: list[str]) -> list[Ask]:
    return get(*(f"{path}?filter={quote(one)}" for one in expressions))


OTHER = "22222222-2222-2222-2222-222222222223"

DEFINITIONS: Final[tuple[dict[str, Any], ...]] = (
    {"HTTP": "http://x", "Interval": "10s", "Timeout": "250ms", "Header": {"a": ["b"]}},
    {
        "TCP": "x:1",
        "Interval": "1.5h",
        "Timeout": "1500us",
        "DeregisterCriticalServiceAfter": "90s",
    },
    {"GRPC": "x:1", "GRPCUseTLS": True, "Interval": "-90s", "Timeout": 7},
    {"TTL": "1h1m1.5s", "Nope": 1},
    {"ScriptArgs": ["true"], "Interval": ".5s", "OutputMaxSize": 5},
    {"DockerContainerID": "f", "Shell": "sh"},
    {"AliasNode": "n"},
    {},
)

CREATIONS: Final[tuple[Any, ...]] = (
    *({}, b"", {"TTL": "15s", "LockDelay": "1500ms", "Name": "n"}, {"TTL": "9s"}),
    *({"TTL": "86401s"}, {"TTL": "abc"}, {"TTL": 15}, {"TTL": "0s"}, {"TTL": "10"}),
    *({"LockDelay": 15}, {"LockDelay": "500ns"}, {"LockDelay": 1.5e9}),
    *({"LockDelay": True}, {"LockDelay": "-1s"}, {"LockDelay": "x"}),
    *({"Behavior": "explode"}, {"Behavior": ""}, {"Node": "ghost"}, {"Node": ""}),
    *({"Checks": ["nope"]}, {"Checks": []}, {"NodeChecks": None}, {"NodeChecks": []}),
    *({"NodeChecks": "x"}, {"NodeChecks": [1]}, {"ServiceChecks": [{"ID": "x"}]}),
    *({"Nope": 1}, {"name": "lower", "lockdelay": "2s"}, [], "{bad", '{"Name":'),
    *('{"Name":"a"} trailing', "null", {"ServiceChecks": []}, {"ID": NOBODY}),
)

REGISTRATIONS: Final[tuple[dict[str, Any], ...]] = (
    *({"ID": "zz"}, {"Service": {}}, {"Service": {"ID": "x"}}, {"Datacenter": "no"}),
    {"Service": {"Service": "w", "Address": "0.0.0.0"}},
    {"Service": {"Service": "w", "Meta": {"x" * 129: ""}}},
    {"Service": {"Service": "w", "Kind": "connect-proxy"}},
    {"Service": {"Service": "w", "Nope": 2}},
    {"Check": {"Status": "passing"}},
    {"Check": {"Name": "d", "Node": "other"}},
    {"Check": {"Name": "h", "ServiceID": "nobody"}},
)

SCRIPTS: Final[dict[str, list[Ask]]] = {
    "frame": [
        Ask("OPTIONS", "/v1/kv/a"),
        Ask("POST", "/v1/kv/a", "x"),
        Ask("HEAD", "/v1/session/list"),
        Ask("HEAD", "/v1/kv//a"),
        Ask("PUT", "/v1/kv//a", "x"),
        Ask("OPTIONS", "/v1/nope"),
        Ask("GET", "/v1/kv/a", None, {"X-Consul-Namespace": "t"}),
        *get("/v1/kv//a%20b%3Cc?recurse&x=1%26", "/v1/kv/%2e%2e/agent/self", "/v1/kv", "/v1"),
        *get("/v1/session/info", "/v1/nope", "/v1/session/list/x", "/V1/KV/a", "/v1/kv/a%0d%0aX"),
        *get("/v1/kv/a?ns=team", "/v1/kv/a?x=%zz", "/v1/kv/a?stale&consistent", "/v1/kv/a?dc=no"),
        *get("/v1/kv/a?index=abc", "/v1/kv/a?index=-1", "/v1/kv/a?wait=abc", "/v1/kv/a?wait=10"),
        *get("/v1/acl/tokens", "/v1/catalog/nodes?index=x", "/v1/catalog/nodes?dc=no"),
        *get("/v1/catalog/nodes?stale", "/v1/catalog/nodes?consistent", "/v1/catalog/nodes?ns=a"),
        *get("/v1/status/leader?dc=no", "/v1/status/peers?ns=x", "/v1/catalog/datacenters?dc=no"),
    ],
    "nothing named": [
        *get("/v1/catalog/node/", "/v1/catalog/service/", "/v1/catalog/gateway-services/"),
        *get("/v1/health/node/", "/v1/health/checks/", "/v1/health/state/", "/v1/health/service/"),
        *get("/v1/session/node/", "/v1/session/info/", "/v1/agent/service/"),
        *get("/v1/agent/health/service/id/", "/v1/agent/health/service/name/"),
        put("/v1/session/destroy/"),
        put("/v1/session/renew/"),
        put("/v1/agent/service/deregister/"),
        put("/v1/agent/service/maintenance/"),
        put("/v1/agent/check/pass/"),
        put("/v1/agent/check/update/"),
        put("/v1/agent/check/deregister/"),
    ],
    "keys": [
        *get("/v1/kv/a", "/v1/kv/?keys", "/v1/kv/?recurse", "/v1/kv/", "/v1/kv/?&&seperator=/"),
        put("/v1/kv/a", "v1"),
        *get("/v1/kv/a", "/v1/kv/a?raw", "/v1/kv/a?raw&recurse", "/v1/kv/b"),
        put("/v1/kv/a?cas=0", "v2"),
        put("/v1/kv/a?cas=1", "v2"),
        put("/v1/kv/a?cas=abc", "v2"),
        put("/v1/kv/a?cas=", "v2"),
        put("/v1/kv/a?flags=zzz%22", "v2"),
        put("/v1/kv/a?flags=99999999999999999999999"),
        put("/v1/kv/fl?flags=18446744073709551615", "v"),
        put("/v1/kv/a", "v1"),
        put("/v1/kv/"),
        put("/v1/kv/empty"),
        *get("/v1/kv/fl", "/v1/kv/a", "/v1/kv/empty", "/v1/kv/empty?raw", "/v1/kv/?keys"),
        put("/v1/kv/big", b"x" * 524_289),
        put("/v1/kv/d/a%20b%2Fc%3F", "1"),
        put("/v1/kv/d/%ff", "1"),
        put("/v1/kv/d/%D0%BA", "<&>"),
        *get("/v1/kv/d/?keys&separator=/", "/v1/kv/d?keys&separator=/", "/v1/kv/d/?keys"),
        *get("/v1/kv/d/?keys&seperator=%20", "/v1/kv/d?recurse", "/v1/kv/%ff?recurse"),
        Ask("DELETE", "/v1/kv/a?cas=1"),
        Ask("DELETE", "/v1/kv/a?cas=0"),
        Ask("DELETE", "/v1/kv/a?cas=x"),
        Ask("DELETE", "/v1/kv/never?cas=7"),
        Ask("DELETE", "/v1/kv/a?recurse&cas=3"),
        Ask("DELETE", "/v1/kv/never"),
        Ask("DELETE", "/v1/kv/"),
        *get("/v1/kv/?keys", "/v1/kv/never"),
        Ask("DELETE", "/v1/kv/a"),
        *get("/v1/kv/a", "/v1/kv/a?recurse", "/v1/kv/fl?recurse", "/v1/kv/x?recurse"),
        Ask("DELETE", "/v1/kv/d/?recurse"),
        *get(
            "/v1/kv/d/?recurse", "/v1/kv/d?keys", "/v1/kv/d/a", "/v1/kv/e?recurse", "/v1/kv/?keys"
        ),
        Ask("DELETE", "/v1/kv/?recurse"),
        Ask("DELETE", "/v1/kv/?recurse"),
        *get("/v1/kv/?recurse", "/v1/kv/?keys", "/v1/kv/d/?keys"),
    ],
    "waiting": [
        put("/v1/kv/a", "v1"),
        *get("/v1/kv/a?index=999999&wait=10ms", "/v1/kv/none?index=999999&wait=10ms"),
        *get("/v1/kv/a?index=0&wait=5s", "/v1/kv/none?index=1&wait=5s", "/v1/kv/a?index=1"),
    ],
    "locks": [
        put("/v1/session/create", {"LockDelay": "0s"}),
        put("/v1/session/create", {"Behavior": "delete", "LockDelay": "60s"}),
        put("/v1/kv/L?acquire=nope", "x"),
        put(f"/v1/kv/L?acquire={NOBODY}", "x"),
        put("/v1/kv/L?acquire="),
        put("/v1/kv/L?release="),
        put("/v1/kv/L?release=nope"),
        put("/v1/kv/L?acquire=$1&release=$1", "x"),
        put("/v1/kv/L?acquire=$1&cas=0", "x"),
        put("/v1/kv/L?acquire=$1", "h1"),
        *get("/v1/kv/L"),
        put("/v1/kv/L?acquire=$1", "h2"),
        put("/v1/kv/L?acquire=$2", "h3"),
        put("/v1/kv/L?release=$2", "h3"),
        *get("/v1/kv/L"),
        put("/v1/kv/L", "intruder"),
        *get("/v1/kv/L"),
        put("/v1/kv/L?release=$1"),
        put("/v1/kv/L?release=$1"),
        *get("/v1/kv/L"),
        put("/v1/kv/L?acquire=$2", "x"),
        put("/v1/kv/E?acquire=$2", "x"),
        put("/v1/session/destroy/$2"),
        *get("/v1/kv/?recurse", "/v1/kv/L", "/v1/session/info/$2"),
        put("/v1/kv/E?acquire=$1", "x"),
        put("/v1/kv/M?acquire=$1", "x"),
        put("/v1/session/destroy/$1"),
        *get("/v1/kv/M", "/v1/session/list"),
        txn({"Verb": "lock", "Key": "E", "Session": NOBODY}),
    ],
    "sessions": [
        *(put("/v1/session/create", body) for body in CREATIONS),
        *get("/v1/session/info/$1", "/v1/session/info/$3", f"/v1/session/info/{NOBODY}"),
        *get("/v1/session/info/nope", f"/v1/session/info/{NOBODY[:-1]}z", "/v1/session/node/none"),
        *get("/v1/session/info/111111111111111111111111111111111111", "/v1/session/list?dc=no"),
        *get("/v1/session/info/1111111111111111111111111111111-1111"),
        *get("/v1/session/info/1-1-1-1-1-11111111111111111111111111"),
        put("/v1/session/renew/$3"),
        put(f"/v1/session/renew/{NOBODY}"),
        put("/v1/session/renew/nope"),
        put(f"/v1/session/renew/{NOBODY}?dc=no"),
        put("/v1/session/destroy/$1"),
        put("/v1/session/destroy/$1"),
        put("/v1/session/destroy/nope"),
        put("/v1/session/create?ns=x", {}),
        put("/v1/session/create?dc=no", {}),
        *get("/v1/session/info/$1"),
    ],
    "transactions": [
        put("/v1/txn", b""),
        put("/v1/txn", "null"),
        put("/v1/txn", {}),
        put("/v1/txn", []),
        put("/v1/txn", [{}]),
        put("/v1/txn", "{bad"),
        put("/v1/txn?dc=no", [{"KV": {"Verb": "set", "Key": "t"}}]),
        put("/v1/txn?stale&consistent", [{"KV": {"Verb": "get", "Key": "t"}}]),
        put("/v1/txn", [{"Session": {}}]),
        put("/v1/txn", b'[{"KV":{"Verb":"set","Key":"t","Value":"' + b"A" * 524_288 + b'"}}]'),
        txn(*({"Verb": "get", "Key": str(n)} for n in range(65))),
        txn({}),
        txn({"Verb": "set"}),
        txn({"verb": "set", "key": "t", "value": "eA=="}),
        txn({"Verb": "set", "Key": "t", "Value": "eA==", "Nope": 1}),
        txn({"Verb": 5}),
        txn({"Verb": "set", "Key": "t", "Value": "e A="}),
        txn({"Verb": "set", "Key": "t", "Value": "@@@"}),
        txn({"Verb": "set", "Key": "t", "Flags": -1}),
        txn({"Verb": "set", "Key": "t", "Flags": 1.5}),
        txn({"Verb": "set", "Key": "t", "Flags": "1"}),
        txn({"Verb": "get", "Key": "t", "Namespace": "x"}),
        txn({"Verb": "set", "Key": "t", "Value": None, "Flags": 3}, {"Verb": "get", "Key": "t"}),
        txn({"Verb": "set", "Key": "u"}, {"Verb": "check-index", "Key": "t", "Index": 1}),
        txn({"Verb": "check-index", "Key": "none", "Index": 1}),
        put("/v1/txn", [{"KV": []}]),
        txn({"Verb": "cas", "Key": "c", "Index": 0}, {"Verb": "check-index", "Key": "c"}),
        txn({"Verb": "check-session", "Key": "t", "Session": ""}),
        txn({"Verb": "check-session", "Key": "t", "Session": "x"}),
        txn({"Verb": "check-session", "Key": "none", "Session": ""}),
        txn({"Verb": "check-not-exists", "Key": "t"}),
        txn({"Verb": "check-not-exists", "Key": 'nö"\\\n<\x01\u202e'}),
        txn({"Verb": "get", "Key": 'nö"\\\n<\x01\u202e\U000e0001\ud800'}),
        txn({"Verb": "get-tree", "Key": ""}),
        txn({"Verb": "get-tree", "Key": "none"}),
        txn({"Verb": "lock", "Key": "t"}),
        txn({"Verb": "unlock", "Key": "t"}),
        txn({"Verb": "unlock", "Key": "u", "Session": "x"}),
        txn({"Verb": "delete", "Key": ""}),
        txn({"Verb": "delete-tree", "Key": "none"}),
        txn({"Verb": "delete-cas", "Key": "none", "Index": 4}),
        txn({"Verb": "delete-cas", "Key": "t", "Index": 4}),
        txn({"Verb": "cas", "Key": "t", "Index": 4}, {"Verb": "cas", "Key": "c", "Index": 0}),
        txn({"Verb": "nope", "Key": "x"}),
        txn({"Verb": "set", "Key": "a//b"}, {"Verb": "delete", "Key": "a//b"}),
        txn(
            {"Verb": "set", "Key": "z"}, {"Verb": "get", "Key": "none"}, {"Verb": "no", "Key": "x"}
        ),
        *get("/v1/kv/?recurse", "/v1/kv/z"),
    ],
    "catalog": [
        *get("/v1/catalog/services", "/v1/catalog/service/nix", "/v1/catalog/node/nix"),
        *get("/v1/catalog/node-services/nix", "/v1/health/service/nix", "/v1/health/node/nix"),
        *get("/v1/catalog/node/DEV", "/v1/catalog/service/Consul", "/v1/health/service/consul"),
        *get("/v1/health/connect/consul", "/v1/health/ingress/nix", "/v1/health/state/any"),
        *get("/v1/catalog/gateway-services/nix", "/v1/catalog/nodes", "/v1/health/state/odd"),
        *register({"Node": "n1", "Address": "10.0.0.1"}, {"Node": "n1", "Address": "10.0.0.1"}),
        *get("/v1/catalog/nodes", "/v1/health/service/nix", "/v1/catalog/services"),
        *register({"Node": "n1", "Address": "10.0.0.1", "Service": {"Service": "s1"}}),
        *register({"Node": "n1", "Address": "10.0.0.1", "Service": {"Service": "s1"}}),
        *get("/v1/catalog/service/s1", "/v1/catalog/node/n1", "/v1/health/service/s1"),
        *get("/v1/health/service/nix", "/v1/catalog/node-services/n1"),
        *register(
            {
                "Node": "n1",
                "Address": "10.0.0.1",
                "Check": {"Name": "c1", "ServiceID": "s1", "Status": "passing"},
            },
            {"Node": "n1", "Address": "10.0.0.1", "Check": {"Name": "m", "Status": "passing"}},
        ),
        *get("/v1/health/service/s1", "/v1/health/checks/s1", "/v1/catalog/service/s1"),
        *get("/v1/health/node/n1", "/v1/health/state/passing", "/v1/catalog/services"),
        *register({"Node": "n1", "Address": "10.0.0.9"}),
        *get("/v1/health/service/s1", "/v1/health/checks/s1", "/v1/catalog/service/s1"),
        *register(
            {
                "Node": "n1",
                "SkipNodeUpdate": True,
                "Service": {"ID": "b", "Service": "s1", "Port": 80, "Tags": ["x"]},
            }
        ),
        *get(
            "/v1/health/service/s1?passing", "/v1/catalog/service/s1?tag=X", "/v1/catalog/services"
        ),
        *get("/v1/health/service/s1?passing=maybe", "/v1/health/service/s1?passing=false"),
        *get("/v1/catalog/nodes?node-meta=x", "/v1/catalog/nodes?near=nope"),
        put("/v1/catalog/deregister", {"Node": "n1", "CheckID": "c1"}),
        *get("/v1/health/service/s1", "/v1/health/state/any", "/v1/health/checks/s1"),
        put("/v1/catalog/deregister", {"Node": "n1", "ServiceID": "s1"}),
        *get("/v1/health/service/s1", "/v1/health/service/nix", "/v1/catalog/services"),
        put("/v1/catalog/deregister", {"Node": "N1"}),
        *get("/v1/health/service/s1", "/v1/catalog/service/s1", "/v1/catalog/nodes"),
        *get("/v1/health/service/nix", "/v1/health/checks/nix", "/v1/catalog/node/n1"),
        *get("/v1/health/node/n1", "/v1/health/state/any", "/v1/catalog/services"),
        put("/v1/catalog/deregister", {"Node": "n1"}),
        put("/v1/catalog/deregister", {"Node": "n1", "Nope": 1}),
        put("/v1/catalog/deregister", {}),
        put("/v1/catalog/deregister", b""),
        *get("/v1/catalog/nodes"),
    ],
    "what the catalog does not take": [
        *register(b"", {}, {"Node": "n"}, {"Address": "a"}, {"Node": 5}, {"Nope": 1}),
        *(register({"Node": "n", "Address": "a", **more})[0] for more in REGISTRATIONS),
        *register({"Node": "dev", "Address": "127.0.0.1", "ID": NOBODY}),
        *register({"Node": "m", "SkipNodeUpdate": True, "Datacenter": "dc1"}),
        *get("/v1/catalog/nodes", "/v1/health/node/n"),
    ],
    "nodes by their ids": [
        *register({"Node": "o1", "Address": "1", "ID": NOBODY, "Service": {"Service": "w"}}),
        *register({"Node": "o2", "Address": "1", "ID": NOBODY}),
        *get("/v1/catalog/nodes", "/v1/catalog/service/w", "/v1/catalog/node/o1"),
        *register({"Node": "o2", "Address": "2"}, {"Node": "o3", "Address": "3"}),
        *register({"Node": "o3", "Address": "3", "ID": OTHER}),
        *get("/v1/catalog/nodes"),
        *register(
            {"Node": "o3", "SkipNodeUpdate": True, "Check": {"Name": "S", "CheckID": "serfHealth"}},
        ),
        *register({"Node": "o3", "Address": "4", "ID": OTHER[:-1] + "4"}),
        *register({"Node": "o3", "Address": "4", "ID": OTHER[::-1]}),
        *get("/v1/health/node/o3", "/v1/catalog/nodes?filter=ID+!=+%22%22+and+Node+!=+dev"),
    ],
    "services and checks of the catalog": [
        *register({"Node": "n", "Address": "a", "Service": {"ID": "i", "Service": "one"}}),
        *register({"Node": "n", "Address": "a", "Check": {"Name": "c", "ServiceID": "i"}}),
        *register({"Node": "n", "Address": "a", "Service": {"ID": "i", "Service": "two"}}),
        *get("/v1/catalog/services", "/v1/health/service/one", "/v1/health/service/two"),
        *register({"Node": "n", "Address": "a", "Service": {"ID": "j", "Service": "two"}}),
        *register({"Node": "n", "Address": "a", "Service": {"ID": "j", "Service": "three"}}),
        *get("/v1/catalog/services", "/v1/health/service/two", "/v1/catalog/node/n"),
        *register(
            {
                "Node": "n",
                "Address": "a",
                "NodeMeta": {"a": "b"},
                "TaggedAddresses": {"wan": "w"},
                "Service": {
                    "ID": "k",
                    "Service": "k",
                    "Tags": ["t", "t"],
                    "Address": "h",
                    "Port": 1,
                    "Meta": {"a": "b"},
                    "Weights": {"Passing": 5, "Warning": 2},
                    "TaggedAddresses": {"wan": {"Address": "w", "Port": 5}, "lan": {}},
                    "EnableTagOverride": True,
                    "Connect": {"Native": True},
                },
                "Checks": [
                    {"Name": "h", "ServiceID": "k", "Status": "warning", "Definition": definition}
                    | {"CheckID": str(n), "Notes": "n", "Output": "o", "ServiceTags": ["x"]}
                    for n, definition in enumerate(DEFINITIONS)
                ],
            }
        ),
        *get("/v1/catalog/service/k", "/v1/health/service/k", "/v1/catalog/connect/k"),
        *get("/v1/health/connect/k", "/v1/health/checks/k", "/v1/catalog/node-services/n"),
        *get("/v1/health/service/k?tag=t&tag=x", "/v1/health/service/k?node-meta=a:b"),
        *get(
            "/v1/health/state/any?node-meta=a:b&node-meta=c:d", "/v1/catalog/services?node-meta=a:b"
        ),
        put("/v1/session/create", {"Node": "n", "NodeChecks": ["0"]}),
        *register({"Node": "n", "Address": "a", "Check": {"Name": "h", "CheckID": "0"}}),
        *register({"Node": "n", "Address": "a", "Check": {"Name": "h", "CheckID": "0"}}),
        put("/v1/session/create", {"Node": "n", "NodeChecks": ["0"]}),
        *get("/v1/session/list"),
        put("/v1/catalog/deregister", {"Node": "n", "CheckID": "none"}),
        put("/v1/catalog/deregister", {"Node": "n", "ServiceID": "none"}),
        put("/v1/catalog/deregister", {"Node": "n", "Datacenter": "no"}),
        *register({"Node": "none", "SkipNodeUpdate": True, "Service": {"Service": "w"}}),
        *register({"Node": "n", "Address": "a", "SkipNodeUpdate": "yes"}),
        *register({"Node": "n", "Address": "a", "TaggedAddresses": {"a": True}}),
        *register({"Node": "n", "Address": "a", "TaggedAddresses": []}),
        *register({"Node": "n", "Address": "a", "Service": []}),
        *register({"Node": "n", "Address": "a", "Checks": {}}, {"Node": {}}, {"Node": None}),
        *register('{"Node": NaN}', '{"Node" 5}', "[1 2]", '{"Node": "a\\x"}', '{"Node": "a'),
        *get("/v1/catalog/nodes"),
    ],
    "instances that pass": [
        *(
            register({"Node": node, "Address": "a", "Service": {"Service": "w"}, "Check": check})[0]
            for node, check in (
                ("n1", {"Name": "c", "Status": "critical"}),
                ("n2", {"Name": "c", "Status": "passing"}),
                ("n3", {"Name": "c", "Status": "warning"}),
                ("n4", {"Name": "c", "Status": "passing"}),
                ("n5", {"Name": "c", "Status": "critical"}),
            )
        ),
        *get(
            "/v1/health/service/w", "/v1/health/service/w?passing", "/v1/health/service/w?passing=0"
        ),
    ],
    "filters": [
        *filters("/v1/catalog/nodes", FILTERS),
        *filters("/v1/health/service/consul", ENTRY_FILTERS),
        *filters("/v1/agent/services", ["Nope==x", "ID==x"]),
    ],
    "services of the agent": [
        *agent_service({"Name": "x", "Check": {}}, {"Name": "x", "Weights": None}),
        *agent_service({"Name": "x", "Weights": {"Passing": 1, "Warning": -1}}),
        *agent_service({"Name": "x", "Kind": "connect-proxy", "Port": 1}),
        *agent_service({"Name": "x", "Weights": {"Passing": 3, "Warning": 2}}),
        *get("/v1/agent/checks", "/v1/agent/service/x"),
        put("/v1/agent/service/deregister/x"),
        *agent_service(b"", "{bad", {}, "null", {"Name": 5}, {"Name": "x", "Ports": []}),
        *agent_service({"Name": "x", "Port": "eighty"}, {"Name": "x", "Tags": "a"}),
        *(
            agent_service({"Name": "x", **more})[0]
            for more in (
                *({"Meta": {"a b": "c"}}, {"Meta": {"": "c"}}, {"Meta": {"a": "b" * 513}}),
                *({"Meta": {"consul-x": "b"}}, {"Meta": {str(n): "" for n in range(65)}}),
                *({"Weights": {"Passing": 0}}, {"Weights": {"Passing": 70000, "Warning": 1}}),
                *({"Address": "0.0.0.0"}, {"Kind": "connect-proxy"}, {"Namespace": ""}),
                *({"Check": {"Notes": "a"}}, {"Check": {"TTL": "1s", "token": "a"}}),
                *({"Check": {"TTL": "1s", "Interval": "1s"}}, {"Check": {"Args": ["a"]}}),
                *({"Check": {"HTTP": "http://a", "Interval": "soon"}}, {"Check": {"TTL": "-1s"}}),
                *({"Check": {"TTL": "1s", "Status": "odd"}}, {"Check": {"HTTP": "http://a"}}),
                {"Check": {"TTL": "1s", "OutputMaxSize": -1}},
                {"Check": {"DockerContainerID": "x", "Interval": "1s"}},
                {"Check": {"Args": ["true"], "Interval": "10s"}},
                {"Check": {"TTL": "1s", "check_id": "y"}},
            )
        ),
        *get("/v1/agent/services", "/v1/agent/checks", "/v1/agent/service/none"),
        *agent_service(
            {"Name": "x", "ID": "p", "Port": 99999, "Address": "::1", "Tags": []},
            {"Name": "x", "ID": "q", "Address": "host.example", "enable_tag_override": True},
            {"Name": "x", "ID": "r", "Tags": ["t"], "Address": "10.0.0.1", "Port": 80, "Meta": {}},
            {"Name": "x", "ID": "s", "TaggedAddresses": {"lan": {"Address": "1.2.3.4"}}},
            {"Name": "x", "ID": "t", "Token": "t", "Connect": {"Native": True}, "Meta": {"a": "b"}},
        ),
        *get("/v1/agent/services", *(f"/v1/agent/service/{one}" for one in "pqrst")),
        *(put(f"/v1/agent/service/deregister/{one}") for one in "pqrst"),
        put("/v1/agent/service/deregister/none"),
        *agent_service({"Name": "w", "Checks": [{"TTL": "1h"}, {"TTL": "1h", "Name": "zz"}]}),
        *get("/v1/agent/checks"),
        *agent_service({"Name": "w", "Check": None, "Checks": None, "Tags": None, "Meta": None}),
        *get("/v1/agent/checks"),
        put(
            "/v1/agent/service/register?replace-existing-checks",
            {"Name": "w", "Check": {"TTL": "1h", "CheckID": "o", "Notes": "nn"}},
        ),
        *get("/v1/agent/checks", "/v1/agent/health/service/name/w"),
        put("/v1/agent/service/maintenance/w"),
        put("/v1/agent/service/maintenance/w?enable=maybe"),
        put("/v1/agent/service/maintenance/none?enable=true"),
        put("/v1/agent/service/maintenance/w?enable=1"),
        put("/v1/agent/service/maintenance/w?enable=true&reason=again"),
        *get("/v1/agent/checks", "/v1/agent/health/service/id/w?format=text"),
        put("/v1/agent/service/maintenance/w?enable=0"),
        put("/v1/agent/service/maintenance/w?enable=false"),
        put("/v1/agent/maintenance"),
        put("/v1/agent/maintenance?enable=true&reason=r"),
        *get("/v1/agent/checks", "/v1/agent/health/service/id/w?format=text"),
        put("/v1/agent/maintenance?enable=false"),
        *get("/v1/agent/health/service/id/w", "/v1/agent/health/service/name/w?format=text"),
        put("/v1/agent/check/pass/o"),
        *get("/v1/agent/health/service/id/w", "/v1/agent/health/service/name/w"),
        Ask("GET", "/v1/agent/health/service/id/w", None, {"Accept": "text/plain"}),
        *get("/v1/agent/health/service/id/none", "/v1/agent/health/service/id/none?format=text"),
        *get("/v1/agent/health/service/name/no", "/v1/agent/health/service/name/no?format=text"),
        put("/v1/agent/service/deregister/w"),
    ],
    "checks of the agent": [
        *agent_check(b"", {}, {"Name": "a"}, {"ID": "a", "TTL": "1s"}, {"Name": "a", "TTL": "x"}),
        *agent_check({"Name": "a", "TTL": "1s", "ServiceID": "nobody"}, {"Name": "a", "UDP": "x"}),
        *agent_check({"Name": "a", "TTL": "1s", "Status": "odd"}, {"Name": "a", "TTL": "1 s"}),
        *agent_check({"Name": "t1", "TTL": "1h", "Notes": "n", "OutputMaxSize": 5}),
        *agent_check({"Name": "tcp", "TCP": "127.0.0.1:1", "Interval": "1h", "Status": "warning"}),
        *agent_check({"Name": "g", "GRPC": "127.0.0.1:1", "Interval": "1h", "Timeout": 1000}),
        *get("/v1/agent/checks"),
        *agent_service({"Name": "w", "Tags": ["t"]}),
        *agent_check({"Name": "of w", "TTL": "1h", "ServiceID": "w", "Notes": "1"}),
        put("/v1/agent/check/pass/of%20w?note=so"),
        *agent_check({"Name": "of w", "TTL": "1h", "ServiceID": "w", "Notes": "2"}),
        *get("/v1/agent/checks", "/v1/agent/health/service/id/w?format=text"),
        put("/v1/agent/service/deregister/w"),
        put("/v1/agent/check/pass/none"),
        put("/v1/agent/check/pass/tcp"),
        put("/v1/agent/check/pass/t1?note=n1"),
        *get("/v1/agent/checks"),
        put("/v1/agent/check/warn/t1"),
        put("/v1/agent/check/fail/t1?note=dead"),
        put("/v1/agent/check/update/t1", {"status": "passing", "output": "0123456789"}),
        *get("/v1/agent/checks"),
        put("/v1/agent/check/update/t1", {"Status": ""}),
        put("/v1/agent/check/update/t1", {"Nope": ""}),
        put("/v1/agent/check/update/t1", {"Status": 5}),
        put("/v1/agent/check/update/t1", "{"),
        put("/v1/agent/check/update/none", {"Status": "passing"}),
        put("/v1/agent/check/pass/t1?ns=a"),
        put("/v1/agent/check/deregister/none"),
        put("/v1/agent/check/deregister/t1"),
        *get("/v1/agent/checks"),
    ],
}


@pytest.mark.parametrize("name", SCRIPTS)
async def test_a_script_is_answered_alike(own: Agent, name: str) -> None:
    script = SCRIPTS[name]

    real = ask_real(own, script)
    agent = FakeAgent()
    await begin_alike(agent)
    fake = await ask_fake(agent, script)

    for ask, theirs, mine in zip(script, real, fake, strict=True):
        assert (ask, mine) == (ask, theirs), ask
