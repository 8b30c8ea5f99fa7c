"""The fake agent lets in whom the real one lets in, and refuses whom it refuses."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from consul_onex.testing import FakeAgent
from tests.support import agents
from tests.support.agents import Agent

from .both import BEFORE, Ask, ask_fake, ask_real, settled

UNKNOWN: Final = "5a1b7a6e-0000-4000-8000-0123456789ab"
MANAGEMENT: Final = "00000000-0000-0000-0000-000000000001"
ANONYMOUS: Final = "00000000-0000-0000-0000-000000000002"

WHO_SAVES: Final = "11111111-0000-4000-8000-000000000004"

SECRETS: Final = {
    "reader": "11111111-0000-4000-8000-000000000001",
    "writer": "11111111-0000-4000-8000-000000000002",
    "part": "11111111-0000-4000-8000-000000000003",
}
RULES: Final = {
    "reader": (
        'key_prefix "" { policy = "read" } service_prefix "" { policy = "read" }'
        'node_prefix "" { policy = "read" } session_prefix "" { policy = "read" }'
        'agent_prefix "" { policy = "read" } event_prefix "" { policy = "read" }'
        'acl = "read"'
    ),
    "writer": (
        'key_prefix "" { policy = "write" } service_prefix "" { policy = "write" }'
        'node_prefix "" { policy = "write" } session_prefix "" { policy = "write" }'
        'agent_prefix "" { policy = "write" } event_prefix "" { policy = "write" }'
    ),
    "part": (
        'key_prefix "a/" { policy = "read" } key "a/w" { policy = "write" }'
        'key_prefix "a/secret" { policy = "deny" } key_prefix "tree/" { policy = "write" }'
        'key_prefix "mixed/" { policy = "write" } key "mixed/x" { policy = "read" }'
        'service "web" { policy = "write" } node "n1" { policy = "read" }'
        'event_prefix "de" { policy = "write" } session "n1" { policy = "write" }'
    ),
}


def as_(secret: str, *asks: Ask) -> list[Ask]:
    return [ask._replace(headers={"X-Consul-Token": secret, **ask.headers}) for ask in asks]


def get(*paths: str) -> list[Ask]:
    return [Ask("GET", path) for path in paths]


def put(path: str, body: Any = None) -> Ask:
    return Ask("PUT", path, body)


SET_UP: Final = [
    *(put(f"/v1/kv/{key}", "v") for key in ("a/1", "a/w", "a/secret/x", "b", "tree/1", "mixed/1")),
    put(
        "/v1/catalog/register",
        {
            "Node": "n1",
            "Address": "10.0.0.1",
            "Service": {"Service": "web"},
            "Checks": [
                {"Node": "n1", "Name": "nc", "Status": "passing"},
                {"Node": "n1", "Name": "sc", "ServiceID": "web"},
            ],
        },
    ),
    put(
        "/v1/catalog/register", {"Node": "n1", "Address": "10.0.0.1", "Service": {"Service": "db"}}
    ),
    put("/v1/catalog/register", {"Node": "n2", "Address": "x", "Service": {"Service": "web"}}),
    put("/v1/agent/service/register", {"Name": "mine", "Check": {"TTL": "60s"}}),
    put("/v1/agent/service/register", {"Name": "web", "ID": "web-1", "Check": {"TTL": "60s"}}),
    put("/v1/event/fire/deploy"),
    put("/v1/session/create", {"LockDelay": "0s", "Node": "n1", "Checks": []}),
]
READS: Final = get(
    *("/v1/kv/a/1", "/v1/kv/a/secret/x", "/v1/kv/b", "/v1/kv/a/?recurse", "/v1/kv/b?recurse"),
    *("/v1/kv/?keys", "/v1/kv/zz", "/v1/kv/a/?keys&separator=/", "/v1/kv/b?raw"),
    *("/v1/catalog/nodes", "/v1/catalog/services", "/v1/catalog/service/web"),
    *("/v1/catalog/service/db", "/v1/catalog/node/n1", "/v1/catalog/node-services/n1"),
    *("/v1/catalog/node/n2", "/v1/catalog/datacenters", "/v1/catalog/connect/web"),
    *("/v1/catalog/gateway-services/web", "/v1/catalog/gateway-services/db"),
    *("/v1/health/service/web", "/v1/health/ingress/x", "/v1/health/connect/web"),
    *("/v1/health/node/n1", "/v1/health/checks/web", "/v1/health/state/any"),
    *("/v1/session/list", "/v1/session/node/n1", f"/v1/session/info/{UNKNOWN}"),
    *("/v1/agent/services", "/v1/agent/checks", "/v1/agent/service/mine"),
    *("/v1/agent/service/web-1", "/v1/agent/service/none", "/v1/agent/health/service/id/mine"),
    *("/v1/agent/health/service/id/web-1", "/v1/agent/health/service/id/none"),
    *("/v1/agent/health/service/name/mine", "/v1/agent/health/service/name/web"),
    *("/v1/agent/health/service/name/none", "/v1/event/list", "/v1/status/peers"),
    *(f"/v1/acl/token/{ANONYMOUS}", f"/v1/acl/policy/{MANAGEMENT}", "/v1/acl/policy/name/none"),
    *("/v1/acl/policy/odd", "/v1/acl/token/odd", f"/v1/acl/token/{UNKNOWN}"),
)
WRITES: Final = [
    *(put(f"/v1/kv/{key}", "x") for key in ("b", "", "b?cas=x", "a/1", "a/w", "tree/2", "b?cas=0")),
    *(Ask("DELETE", f"/v1/kv/{key}") for key in ("b", "a/?recurse", "mixed/?recurse", "b?cas=1")),
    *(Ask("DELETE", f"/v1/kv/{key}") for key in ("tree/?recurse", "tree?recurse", "?recurse")),
    put(f"/v1/kv/b?acquire={UNKNOWN}", "x"),
    put("/v1/session/create", {"Node": "n1", "Checks": []}),
    put("/v1/session/create", {"Node": "ghost"}),
    put("/v1/session/create", {"TTL": "1s"}),
    put("/v1/session/create", {"Node": ""}),
    put(f"/v1/session/destroy/{UNKNOWN}"),
    put("/v1/session/destroy/odd"),
    put(f"/v1/session/renew/{UNKNOWN}"),
    put("/v1/agent/service/register", {}),
    put("/v1/agent/service/register", {"Name": "x"}),
    put("/v1/agent/service/register", {"Name": "web", "ID": "mine"}),
    put("/v1/agent/service/maintenance/mine?enable=true"),
    put("/v1/agent/service/maintenance/none?enable=true"),
    put("/v1/agent/maintenance?enable=true"),
    put("/v1/agent/maintenance?enable=false"),
    put("/v1/agent/check/register", {"Name": "x", "TTL": "9s"}),
    put("/v1/agent/check/register", {"Name": "x", "TTL": "9s", "ServiceID": "mine"}),
    put("/v1/agent/check/register", {"Name": "x", "TTL": "9s", "ServiceID": "none"}),
    put("/v1/agent/check/pass/service:mine"),
    put("/v1/agent/check/pass/none"),
    put("/v1/agent/check/fail/service:web-1"),
    put("/v1/agent/check/update/service:mine", {"Status": "passing"}),
    put("/v1/agent/check/update/none", {"Status": "passing"}),
    put("/v1/agent/check/deregister/none"),
    put("/v1/agent/check/deregister/service:mine"),
    put("/v1/agent/service/deregister/none"),
    put("/v1/agent/service/deregister/web-1"),
    put("/v1/agent/service/deregister/mine"),
    put("/v1/catalog/register", {"Node": "n2", "Address": "x"}),
    put("/v1/catalog/register", {"Node": "n1", "Address": "new"}),
    put("/v1/catalog/register", {"Address": "x"}),
    put("/v1/catalog/register", {"Node": "n1", "Address": "10.0.0.1", "Service": {"ID": "x"}}),
    *(
        put(
            "/v1/catalog/register",
            {"Node": "n1", "Address": "10.0.0.1", "Service": {"ID": "db", "Service": name}},
        )
        for name in ("web", "db")
    ),
    *(
        put("/v1/catalog/register", {"Node": "n1", "Address": "10.0.0.1", "Check": check})
        for check in (
            {"Node": "n1", "Name": "c"},
            {"Node": "n1", "Name": "c", "ServiceID": "web"},
            {"Node": "n1", "Name": "c", "ServiceID": "none"},
        )
    ),
    *(
        put("/v1/catalog/deregister", {"Node": "n1", **what})
        for what in (
            *({"ServiceID": "none"}, {"CheckID": "none"}, {"CheckID": "nc"}, {"CheckID": "sc"}),
            *({"ServiceID": "db"}, {"ServiceID": "web"}, {}),
        )
    ),
    put("/v1/catalog/deregister", {"Node": "none"}),
    put("/v1/event/fire/x"),
    put("/v1/event/fire/deploy"),
    put("/v1/acl/policy", {"Name": "x"}),
    put("/v1/acl/token", {}),
    put(f"/v1/acl/token/{UNKNOWN}", {}),
    put(f"/v1/acl/token/{UNKNOWN}/clone", {}),
    Ask("DELETE", f"/v1/acl/token/{UNKNOWN}"),
    Ask("DELETE", f"/v1/acl/policy/{UNKNOWN}"),
    put("/v1/acl/bootstrap"),
]
TRANSACTION: Final = [
    *(
        {"KV": {"Verb": verb, "Key": "b"}}
        for verb in (
            *("set", "cas", "lock", "unlock", "delete", "delete-cas", "delete-tree", "odd"),
            *("check-index", "check-session", "check-not-exists"),
        )
    ),
    {"KV": {"Verb": "delete-tree", "Key": "mixed/"}},
    *({"Node": {"Verb": verb, "Node": {"Node": "n1"}}} for verb in ("set", "odd")),
    {"Service": {"Verb": "set", "Node": "n1", "Service": {"Service": "db"}}},
    {"Service": {"Verb": "set", "Node": "n1", "Service": {"Service": "web"}}},
    {"Check": {"Verb": "set", "Check": {"Node": "n1", "CheckID": "nc"}}},
    {"Check": {"Verb": "set", "Check": {"Node": "n1", "CheckID": "x", "ServiceID": "web"}}},
]
READ_ONLY: Final = [
    *({"KV": {"Verb": "get", "Key": key}} for key in ("b", "a/1", "a/secret/x")),
    {"KV": {"Verb": "get-tree", "Key": ""}},
    {"Node": {"Verb": "get", "Node": {"Node": "n1"}}},
    {"Node": {"Verb": "get", "Node": {"Node": "n2"}}},
    {"Service": {"Verb": "get", "Node": "n1", "Service": {"ID": "db"}}},
    {"Service": {"Verb": "get", "Node": "n1", "Service": {"ID": "web"}}},
    {"Check": {"Verb": "get", "Check": {"Node": "n1", "CheckID": "nc"}}},
    {"Check": {"Verb": "get", "Check": {"Node": "n1", "CheckID": "sc"}}},
]
TXNS: Final = [put("/v1/txn", READ_ONLY), *(put("/v1/txn", [one]) for one in TRANSACTION)]


def policies() -> list[Ask]:
    """A policy and a token of each kind."""
    made = [put("/v1/acl/policy", {"Name": name, "Rules": rules}) for name, rules in RULES.items()]
    given = [
        put("/v1/acl/token", {"SecretID": secret, "Policies": [{"Name": name}]})
        for name, secret in SECRETS.items()
    ]
    return made + given


def bad(rules: str) -> Ask:
    return put("/v1/acl/policy", {"Name": "bad", "Rules": rules})


SCRIPTS: Final[dict[str, list[Ask]]] = {
    "policies": [
        put("/v1/acl/policy", {"Name": "one", "Rules": 'acl = "read"', "Description": "d"}),
        put("/v1/acl/policy", {"Name": "one"}),
        put("/v1/acl/policy", {"Name": "a b"}),
        put("/v1/acl/policy", {"Name": "x" * 129}),
        put("/v1/acl/policy", {"Nope": 1}),
        put("/v1/acl/policy", {"Name": 1}),
        put("/v1/acl/policy", {"ID": UNKNOWN}),
        put("/v1/acl/policy", b""),
        put("/v1/acl/policy", "{bad"),
        put("/v1/acl/policy", {"Name": "two", "Datacenters": ["dc1"]}),
        *get("/v1/acl/policy/$1", "/v1/acl/policy/name/one", "/v1/acl/policy/name/none"),
        *get("/v1/acl/policy/", "/v1/acl/policy/name/", "/v1/acl/policy/odd", "/v1/acl/policy"),
        *get(f"/v1/acl/policy/{UNKNOWN}", f"/v1/acl/policy/{MANAGEMENT}"),
        put("/v1/acl/policy/$1", {"Name": "uno"}),
        put("/v1/acl/policy/$1", {"Name": "two"}),
        put("/v1/acl/policy/$1", {}),
        put("/v1/acl/policy/$1", {"Name": "uno", "ID": UNKNOWN}),
        put(f"/v1/acl/policy/{UNKNOWN}", {"Name": "q"}),
        put("/v1/acl/policy/", {"Name": "uno"}),
        put("/v1/acl/policy/odd", {"Name": "q"}),
        put(f"/v1/acl/policy/{MANAGEMENT}", {"Name": "global-management", "Rules": ""}),
        Ask("DELETE", f"/v1/acl/policy/{MANAGEMENT}"),
        Ask("DELETE", f"/v1/acl/policy/{UNKNOWN}"),
        Ask("DELETE", "/v1/acl/policy/odd"),
        Ask("DELETE", "/v1/acl/policy/"),
        Ask("DELETE", "/v1/acl/policy/$1"),
        *get("/v1/acl/policy/$1"),
    ],
    "namespaces": [
        put("/v1/acl/policy", {"Name": "x", "Namespace": "t"}),
        put("/v1/acl/token", {"Namespace": "t"}),
        put("/v1/acl/policy?ns=t", {"Nope": 1}),
        put("/v1/acl/token?ns=t", {}),
        put("/v1/acl/bootstrap?ns=t"),
        Ask("DELETE", "/v1/acl/policy/x?ns=t"),
        Ask("DELETE", "/v1/acl/token/x?ns=t"),
        *get("/v1/acl/policies?ns=t", "/v1/acl/policy/name/x?ns=t", "/v1/acl/policy/?ns=t"),
        *get(
            "/v1/acl/tokens?ns=t", "/v1/acl/token/x?ns=t", "/v1/operator/raft/configuration?dc=no"
        ),
        *as_("", *get("/v1/acl/token/self?ns=t", "/v1/operator/raft/configuration")),
    ],
    "rules": [
        bad(rules)
        for rules in (
            *("garbage {", 'key "x" { policy = "sometimes" }', 'service_prefix "" {policy="odd"}'),
            *('key_prefix "x" { policy = "odd" }', 'acl = "odd"', 'operator = "odd"'),
            *('keyring = "odd"', 'node "x" {policy="odd"}', 'session "x" {policy="list"}'),
            *('agent "x" {policy="odd"}', 'event "x" {policy="odd"}', 'query "x" {policy="odd"}'),
            *('service "" { policy="read" intentions="odd" }', 'key "x" {}', 'key "x" {a = "b"}'),
            *('key "a" { policy = "read" ', 'key "a" { policy = read }', '{"key":{"x":{}}}'),
            *('key "x" = { policy = "read" }', '\n key "x\\"y" {\n policy = "odd" }'),
        )
    ],
    "rules that are taken": [
        put("/v1/acl/policy", {"Name": f"p{n}", "Rules": rules})
        for n, rules in enumerate(
            (
                *('nope "x" {policy="read"}', 'key { policy="read" }', "", "  # nothing\n"),
                *('"key" "x" { policy = "read" }', 'key "x" { policy = "list" } // d\n/* e */'),
                *('{"key_prefix":{"x":{"policy":"write"}},"operator":"read"}',),
                'service "s" { policy = "read" intentions = "write" }',
            )
        )
    ],
    "tokens": [
        put("/v1/acl/policy", {"Name": "one", "Rules": 'acl = "read"'}),
        *(
            put("/v1/acl/token", body)
            for body in (
                {"AccessorID": SECRETS["part"], "SecretID": SECRETS["part"]},
                {"Description": "d", "Policies": [{"Name": "one"}, {"ID": "$1"}], "Local": True},
                *({}, b"", {"Policies": [{"Name": "none"}]}, {"Policies": [{"ID": UNKNOWN}]}),
                *({"Policies": [{"ID": "odd"}]}, {"Nope": 1}, {"AccessorID": SECRETS["part"]}),
                *({"SecretID": SECRETS["part"]}, {"AccessorID": "odd"}, {"SecretID": "odd"}),
                {"AccessorID": "00000000-0000-0000-0000-0000000000ff"},
                *({"ExpirationTTL": "1s"}, {"ExpirationTTL": "48h"}, {"AuthMethod": "x"}),
                *({"Rules": "x"}, {"ExpirationTTL": "-1s"}),
                {"ExpirationTTL": "5m", "ExpirationTime": "2030-01-01T00:00:00Z"},
            )
        ),
        *get(f"/v1/acl/token/{SECRETS['part']}", "/v1/acl/token/", "/v1/acl/token/odd"),
        *get(f"/v1/acl/token/{UNKNOWN}", f"/v1/acl/token/{ANONYMOUS}", "/v1/acl/tokens?policy=$1"),
        *as_("", *get("/v1/acl/token/self")),
        *as_(SECRETS["part"], *get("/v1/acl/token/self", "/v1/acl/tokens")),
        *as_(UNKNOWN, *get("/v1/acl/token/self")),
        *(
            put(f"/v1/acl/token/{SECRETS['part']}", body)
            for body in (
                *({"Description": "new", "Policies": [{"ID": "$1"}]}, {"AccessorID": UNKNOWN}),
                *({"SecretID": UNKNOWN}, {"Local": True}, {"SecretID": "<hidden>"}),
                *({"AuthMethod": "x"}, {"ExpirationTTL": "5m"}),
            )
        ),
        put(f"/v1/acl/token/{UNKNOWN}", {}),
        put("/v1/acl/token/odd", {}),
        put("/v1/acl/token/", {}),
        as_(SECRETS["part"], Ask("DELETE", f"/v1/acl/token/{SECRETS['part']}"))[0],
        *as_(SECRETS["part"], *get(f"/v1/acl/token/{ANONYMOUS}")),
        put(f"/v1/acl/token/{SECRETS['part']}/clone", {"Description": "copy"}),
        put(f"/v1/acl/token/{SECRETS['part']}/clone"),
        put(f"/v1/acl/token/{UNKNOWN}/clone", {}),
        put(f"/v1/acl/token/{ANONYMOUS}/clone", {}),
        put("/v1/acl/token/odd/clone", {}),
        Ask("DELETE", "/v1/acl/policy/$1"),
        *get(f"/v1/acl/token/{SECRETS['part']}"),
        *(
            Ask("DELETE", f"/v1/acl/token/{accessor}")
            for accessor in (SECRETS["part"], SECRETS["part"], UNKNOWN, "", ANONYMOUS, "odd")
        ),
    ],
    "where a token stands": [
        *policies(),
        put("/v1/kv/a/1", "v"),
        *(
            Ask("GET", f"/v1/kv/a/1?{query}", None, {"X-Consul-Token": "", **headers})
            for query, headers in (
                ("", {"Authorization": f"Bearer {SECRETS['reader']}"}),
                ("", {"Authorization": f"bearer  {SECRETS['reader']}"}),
                ("", {"Authorization": f"Basic {SECRETS['reader']}"}),
                (f"token={SECRETS['reader']}", {}),
                (f"token={SECRETS['reader']}", {"X-Consul-Token": UNKNOWN}),
                (f"token={UNKNOWN}", {"X-Consul-Token": SECRETS["reader"]}),
                ("token=", {"X-Consul-Token": SECRETS["reader"]}),
                ("", {"X-Consul-Token": SECRETS["reader"], "Authorization": f"Bearer {UNKNOWN}"}),
            )
        ),
    ],
    "checks of the node": [
        *policies(),
        put("/v1/agent/check/register", {"Name": "node check", "TTL": "60s"}),
        *(
            ask
            for secret in ("", *SECRETS.values())
            for ask in as_(
                secret,
                *get("/v1/agent/checks"),
                put("/v1/agent/check/pass/node%20check"),
                put("/v1/agent/check/register", {"Name": "node check", "TTL": "60s"}),
            )
        ),
    ],
    "snapshots": [
        *policies(),
        put("/v1/acl/policy", {"Name": "acl", "Rules": 'acl = "write"'}),
        put("/v1/acl/token", {"SecretID": WHO_SAVES, "Policies": [{"Name": "acl"}]}),
        *(
            ask
            for secret in ("", UNKNOWN, *SECRETS.values())
            for ask in as_(
                secret,
                *get("/v1/snapshot", "/v1/snapshot?stale", "/v1/snapshot?dc=no"),
                put("/v1/snapshot", b"garbage " * 3),
            )
        ),
        put("/v1/snapshot", b"garbage " * 3),
        *as_(WHO_SAVES, put("/v1/snapshot", b"garbage " * 3)),
    ],
    "what is there of one name": [
        *policies(),
        put("/v1/agent/service/register", {"Name": "web", "ID": "x"}),
        *as_(SECRETS["part"], put("/v1/agent/service/register", {"Name": "web", "ID": "x"})),
        *as_(SECRETS["part"], put("/v1/agent/service/register", {"Name": "db", "ID": "x"})),
        *as_(SECRETS["part"], *get("/v1/agent/services")),
    ],
    **{
        f"what {who} may {what}": [*policies(), *SET_UP, *as_(secret, *asks)]
        for what, asks in (("read", READS), ("write", WRITES), ("do at once", TXNS))
        for who, secret in {"anybody": "", "a stranger": UNKNOWN, **SECRETS}.items()
    },
}


@pytest.fixture
def own(consul_binary: Path) -> Iterator[Agent]:
    """A real agent with access control that nobody has asked anything yet."""
    with settled(agents.acl_agent, consul_binary) as started:
        yield started


def by_default(secret: str, script: list[Ask]) -> list[Ask]:
    """The same, by who may do everything, where nobody else is said."""
    return [ask._replace(headers={"X-Consul-Token": secret, **ask.headers}) for ask in script]


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("name", SCRIPTS)
async def test_a_script_is_answered_alike(own: Agent, name: str) -> None:
    assert own.token is not None
    agent = FakeAgent(acl=own.token, node=own.name)
    ask_real(own, by_default(own.token, BEFORE))
    await ask_fake(agent, by_default(own.token, BEFORE))
    script = by_default(own.token, SCRIPTS[name])

    real, fake = ask_real(own, script), await ask_fake(agent, script)

    for ask, theirs, mine in zip(script, real, fake, strict=True):
        assert (ask, mine) == (ask, theirs), ask


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_snapshot_is_given_to_whom_the_real_one_gives_it(own: Agent) -> None:
    assert own.token is not None
    agent = FakeAgent(acl=own.token, node=own.name)
    given = [*SCRIPTS["snapshots"], *get("/v1/snapshot"), *as_(WHO_SAVES, *get("/v1/snapshot"))]
    script = by_default(own.token, given)

    real, fake = ask_real(own, script)[-2:], (await ask_fake(agent, script))[-2:]

    # What is in it differs, and where its index stands among the others.
    heads = [
        (told.status, sorted(told.headers), told.headers["content-type"]) for told in real + fake
    ]
    assert heads[:2] == heads[2:]
    assert [told.status for told in real] == [200, 200]
