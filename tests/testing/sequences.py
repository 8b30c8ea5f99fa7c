"""
Any sequence of requests is answered by the fake agent as by the real one.

    python -m tests.testing.sequences --runs 500 --seed 1
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Sequence
from typing import Any, Final
from uuid import uuid4

import anyio
import httpx
import hypothesis
from hypothesis import strategies as st

from consul_onex.testing import Clock, FakeAgent
from tests.support.agents import Agent, dev_agent

from .both import BEFORE, Ask, Told, ask_fake, ask_real

__all__ = ["SEQUENCES", "begin_alike", "begun", "compare"]


def get(path: str) -> Ask:
    return Ask("GET", path)


def put(path: str, body: Any = None) -> Ask:
    return Ask("PUT", path, body)


# -- how it begins ---------------------------------------------------------------------------------


def _before(node: dict[str, Any]) -> list[Ask]:
    """
    Write all tables, and the agent's own node twice.

    Which of an agent's own writes came first differs from start to start.
    """
    own = {"ID": node["ID"], "Node": node["Node"], "Address": node["Address"]}
    own |= {"TaggedAddresses": node["TaggedAddresses"], "NodeMeta": node["Meta"]}
    return [
        *BEFORE,
        put("/v1/catalog/register", {**own, "NodeMeta": {"other": "x"}}),
        put("/v1/catalog/register", own),
    ]


def begun(real: Agent) -> None:
    """Let a real agent settle."""
    path = f"/v1/catalog/node/{real.name}"
    real.wait(lambda: real.request("GET", path).json()["Node"]["Meta"] is not None, "synced")
    ask_real(real, _before(real.request("GET", path).json()["Node"]))


async def begin_alike(fake: FakeAgent) -> None:
    """Have the fake one do the same."""
    request = httpx.Request("GET", f"http://fake:8500/v1/catalog/node/{fake.node}")
    response = await fake.handle_async_request(request)
    await ask_fake(fake, _before(json.loads(await response.aread())["Node"]))


# -- what is asked ---------------------------------------------------------------------------------

# `~` is a name of each sequence's own. Few names, so that they meet.
KEYS = st.sampled_from(["~/a", "~/a/1", "~/a/2", "~/ab", "~/b", "~/"])
VALUES = st.sampled_from(["", "1", "2"])
NODES = st.sampled_from(["~n", "~m"])
SERVICES = st.sampled_from(["~s", "~t"])
IDS = st.sampled_from(["~i", "~j"])
CHECKS = st.sampled_from(["~c", "~d"])
STATUSES = st.sampled_from(["passing", "warning", "critical"])
# An empty list is not the same to Consul as none, and to the fake agent it is.
TAGS = st.sampled_from([None, ["x"], ["x", "y"]])
WEB = st.sampled_from(["~w", "~v"])
SESSIONS = st.sampled_from(["$1", "$2", "$5", "$6"])

# A session of either kind, one that hangs on a check of a node, and one on a check of the agent.
PROLOGUE: Final = [
    put("/v1/session/create", {"LockDelay": "0s"}),
    put("/v1/session/create", {"LockDelay": "0s", "Behavior": "delete"}),
    put(
        "/v1/catalog/register",
        {
            "Node": "~n",
            "Address": "1",
            "Check": {"CheckID": "~c", "Name": "c", "Status": "passing"},
        },
    ),
    put("/v1/agent/service/register", {"Name": "~w", "Check": {"TTL": "1h", "Status": "passing"}}),
    put("/v1/session/create", {"LockDelay": "0s", "Node": "~n", "NodeChecks": ["~c"]}),
    put("/v1/session/create", {"LockDelay": "0s", "NodeChecks": ["service:~w"]}),
]
EPILOGUE: Final = [
    get("/v1/kv/~/?recurse"),
    get("/v1/catalog/nodes"),
    get("/v1/catalog/services"),
    get("/v1/session/list"),
    get("/v1/health/state/any"),
    *(put(f"/v1/session/destroy/${n}") for n in (1, 2, 5, 6)),
    Ask("DELETE", "/v1/kv/~/?recurse"),
    *(put("/v1/catalog/deregister", {"Node": node}) for node in ("~n", "~m")),
    *(put(f"/v1/agent/service/deregister/{name}") for name in ("~w", "~v")),
    *(put(f"/v1/agent/check/deregister/{name}") for name in ("~c", "~d")),
    get("/v1/catalog/services"),
    get("/v1/session/list"),
    get("/v1/health/state/any"),
]

KV = st.one_of(
    st.builds(lambda key, value: put(f"/v1/kv/{key}", value), KEYS, VALUES),
    st.builds(lambda key, value: put(f"/v1/kv/{key}?cas=0", value), KEYS, VALUES),
    st.builds(lambda key, value: put(f"/v1/kv/{key}?cas=@{key}@", value), KEYS, VALUES),
    st.builds(lambda key, other: put(f"/v1/kv/{key}?cas=@{other}@", "c"), KEYS, KEYS),
    st.builds(lambda key, n: put(f"/v1/kv/{key}?flags={n}"), KEYS, st.integers(0, 2)),
    st.builds(lambda key, s: put(f"/v1/kv/{key}?acquire={s}", "h"), KEYS, SESSIONS),
    st.builds(lambda key, s: put(f"/v1/kv/{key}?release={s}", "h"), KEYS, SESSIONS),
    st.builds(lambda key: Ask("DELETE", f"/v1/kv/{key}"), KEYS),
    st.builds(lambda key: Ask("DELETE", f"/v1/kv/{key}?cas=1"), KEYS),
    st.builds(lambda key: Ask("DELETE", f"/v1/kv/{key}?cas=@{key}@"), KEYS),
    st.builds(lambda key: Ask("DELETE", f"/v1/kv/{key}?recurse"), KEYS),
    st.builds(lambda key: get(f"/v1/kv/{key}"), KEYS),
    st.builds(lambda key: get(f"/v1/kv/{key}?recurse"), KEYS),
    st.builds(lambda key: get(f"/v1/kv/{key}?keys&separator=/"), KEYS),
    st.builds(lambda key: get(f"/v1/kv/{key}?index=@{key}@&wait=10ms"), KEYS),
    st.builds(
        lambda key, other: get(f"/v1/kv/{key}?recurse&index=@{other}@&wait=10ms"), KEYS, KEYS
    ),
)

SESSION = st.one_of(
    st.builds(lambda s: put(f"/v1/session/destroy/{s}"), SESSIONS),
    st.builds(lambda s: put(f"/v1/session/renew/{s}"), SESSIONS),
    st.builds(lambda s: get(f"/v1/session/info/{s}"), SESSIONS),
    st.builds(lambda node: get(f"/v1/session/node/{node}"), NODES),
    st.just(get("/v1/session/list")),
)

VERBS: Final = (
    *("set", "cas", "lock", "unlock", "get", "get-tree", "delete", "delete-cas"),
    *("delete-tree", "check-index", "check-session", "check-not-exists"),
)


@st.composite
def operations(draw: st.DrawFn) -> dict[str, Any]:
    """One operation of a transaction."""
    key = draw(KEYS)
    return {
        "Verb": draw(st.sampled_from(VERBS)),
        "Key": key,
        "Value": draw(st.sampled_from(["", "MQ=="])),
        "Index": draw(st.sampled_from([0, 1, f"@{key}@"])),
        "Session": draw(SESSIONS),
    }


TXN = st.builds(
    lambda found: put("/v1/txn", [{"KV": one} for one in found]),
    st.lists(operations(), min_size=1, max_size=5),
)


def register(node: str, address: str, **parts: Any) -> Ask:
    return put("/v1/catalog/register", {"Node": node, "Address": address, **parts})


def deregister(node: str, **what: str) -> Ask:
    return put("/v1/catalog/deregister", {"Node": node, **what})


ADDRESSES = st.sampled_from(["1", "2"])
SERVICE = st.builds(
    lambda one, name, tags, port: {"ID": one, "Service": name, "Tags": tags, "Port": port},
    *(IDS, SERVICES, TAGS, st.sampled_from([0, 80])),
)
CHECK = st.builds(
    lambda one, status, service: {"CheckID": one, "Name": "c", "Status": status, **service},
    *(CHECKS, STATUSES, st.one_of(st.just({}), st.builds(lambda i: {"ServiceID": i}, IDS))),
)

CATALOG = st.one_of(
    st.builds(register, NODES, ADDRESSES),
    st.builds(
        lambda n, a, meta: register(n, a, NodeMeta=meta), NODES, ADDRESSES, st.just({"k": "v"})
    ),
    st.builds(lambda n, a, service: register(n, a, Service=service), NODES, ADDRESSES, SERVICE),
    st.builds(lambda n, a, check: register(n, a, Check=check), NODES, ADDRESSES, CHECK),
    st.builds(
        lambda n, service, check: register(n, "1", Service=service, Checks=[check]),
        *(NODES, SERVICE, CHECK),
    ),
    st.builds(
        lambda n, service: register(n, "", SkipNodeUpdate=True, Service=service), NODES, SERVICE
    ),
    st.builds(deregister, NODES),
    st.builds(lambda n, one: deregister(n, ServiceID=one), NODES, IDS),
    st.builds(lambda n, one: deregister(n, CheckID=one), NODES, CHECKS),
    st.just(get("/v1/catalog/nodes")),
    st.just(get("/v1/catalog/services")),
    st.builds(lambda n: get(f"/v1/catalog/node/{n}"), NODES),
    st.builds(lambda s: get(f"/v1/catalog/service/{s}"), SERVICES),
)

HEALTH = st.one_of(
    st.builds(lambda s: get(f"/v1/health/service/{s}"), st.one_of(SERVICES, WEB)),
    st.builds(lambda s: get(f"/v1/health/service/{s}?passing"), st.one_of(SERVICES, WEB)),
    st.builds(lambda s: get(f"/v1/health/service/{s}?tag=x"), st.one_of(SERVICES, WEB)),
    st.builds(lambda s: get(f"/v1/health/checks/{s}"), st.one_of(SERVICES, WEB)),
    st.builds(lambda n: get(f"/v1/health/node/{n}"), NODES),
    st.builds(lambda status: get(f"/v1/health/state/{status}"), STATUSES),
)

LOCAL = st.one_of(
    st.builds(
        lambda name, tags, status: put(
            "/v1/agent/service/register",
            {"Name": name, "Tags": tags, "Check": {"TTL": "1h", "Status": status}},
        ),
        *(WEB, TAGS, STATUSES),
    ),
    st.builds(lambda name: put("/v1/agent/service/register", {"Name": name, "Port": 1}), WEB),
    st.builds(lambda name: put(f"/v1/agent/service/deregister/{name}"), WEB),
    st.builds(
        lambda name, turn: put(f"/v1/agent/check/{turn}/service:{name}"),
        *(WEB, st.sampled_from(["pass", "warn", "fail"])),
    ),
    st.builds(
        lambda name, on: put(f"/v1/agent/service/maintenance/{name}?enable={on}&reason=r"),
        *(WEB, st.sampled_from(["true", "false"])),
    ),
    st.builds(
        lambda one, status: put(
            "/v1/agent/check/register", {"Name": one, "TTL": "1h", "Status": status}
        ),
        *(CHECKS, STATUSES),
    ),
    st.builds(lambda one: put(f"/v1/agent/check/deregister/{one}"), CHECKS),
    st.just(get("/v1/agent/services")),
    st.just(get("/v1/agent/checks")),
    st.builds(lambda name: get(f"/v1/agent/service/{name}"), WEB),
    st.builds(lambda name: get(f"/v1/agent/health/service/id/{name}"), WEB),
    st.builds(lambda name: get(f"/v1/catalog/service/{name}"), WEB),
    st.builds(lambda name: get(f"/v1/health/node/{name}"), st.just("dev")),
)

# Each area is as likely as the others.
STEPS = st.sampled_from([KV, SESSION, TXN, CATALOG, HEALTH, LOCAL]).flatmap(lambda area: area)
SEQUENCES = st.lists(STEPS, min_size=40, max_size=40)


def script_of(steps: Sequence[Ask]) -> list[Ask]:
    """A whole sequence, which begins with its sessions and leaves nothing behind."""
    name = uuid4().hex
    return [_under(name, ask) for ask in [*PROLOGUE, *steps, *EPILOGUE]]


def _under(name: str, ask: Ask) -> Ask:
    body = json.dumps(ask.body) if isinstance(ask.body, list | dict) else ask.body
    return ask._replace(
        path=ask.path.replace("~", name),
        body=body.replace("~", name) if isinstance(body, str) else body,
    )


# -- what is answered ------------------------------------------------------------------------------


def settle(agent: Agent, ask: Ask) -> None:
    """Wait until the servers have heard what an agent was told."""
    if ask.method == "PUT" and ask.path.startswith("/v1/agent/"):
        agent.wait(lambda: _local(agent) == _in_catalog(agent), "in step with its servers")


_SERVICE: Final = ("Service", "Tags", "Port")
_CHECK: Final = ("Name", "Status", "Notes", "ServiceID", "ServiceTags")


def _local(agent: Agent) -> Any:
    services = agent.request("GET", "/v1/agent/services").json()
    return _told_of(services.values(), agent.request("GET", "/v1/agent/checks").json().values())


def _in_catalog(agent: Agent) -> Any:
    services = agent.request("GET", f"/v1/catalog/node/{agent.name}").json()["Services"]
    checks = agent.request("GET", f"/v1/health/node/{agent.name}").json()
    return _told_of(
        [one for one in services.values() if one["ID"] != "consul"],
        [one for one in checks if one["CheckID"] != "serfHealth"],
    )


def _told_of(services: Any, checks: Any) -> Any:
    return (
        {one["ID"]: [one[name] for name in _SERVICE] for one in services},
        {one["CheckID"]: [one[name] for name in _CHECK] for one in checks},
    )


Both = tuple[Ask, Told, Told]


def _in_order(ask: Ask, told: Told) -> Told:
    """What has no order with Consul, in one: a service's tags, what an agent's checks say of it."""
    if ask.path == "/v1/catalog/services":
        return told._replace(body={name: sorted(tags) for name, tags in told.body.items()})
    if ask.path.startswith("/v1/agent/health/") and told.body["Checks"]:
        checks = sorted(told.body["Checks"], key=lambda check: check["CheckID"])
        return told._replace(body={**told.body, "Checks": checks})
    return told


async def compare(real: Agent, fake: FakeAgent, steps: Sequence[Ask]) -> list[Both]:
    """
    Ask both, in step; each request, and what the real one and the fake one answer.

    AssertionError tells of the first difference, and of all that was asked before.
    """
    script = script_of(steps)
    theirs, mine = ask_real(real, script, settle), await ask_fake(fake, script)
    both = [
        (ask, _in_order(ask, one), _in_order(ask, other))
        for ask, one, other in zip(script, theirs, mine, strict=True)
    ]
    for n, (ask, one, other) in enumerate(both):
        if one != other:
            before = "\n".join(
                f"  {each.method} {each.path} {each.body!r}" for each, _, _ in both[:n]
            )
            raise AssertionError(
                f"after\n{before}\n{ask.method} {ask.path} {ask.body!r}\nreal: {one}\nfake: {other}"
            )
    return both


# -- by hand ---------------------------------------------------------------------------------------


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.testing.sequences")
    parser.add_argument("--runs", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    asked: Counter[str] = Counter()
    started = time.monotonic()
    with dev_agent() as real:
        fake = FakeAgent(clock=Clock(automatic=True))
        begun(real)
        anyio.run(begin_alike, fake)

        @hypothesis.seed(chosen.seed)
        @hypothesis.settings(
            max_examples=chosen.runs,
            deadline=None,
            database=None,
            phases=[hypothesis.Phase.generate],
            report_multiple_bugs=False,
        )
        @hypothesis.given(SEQUENCES)
        def run(steps: list[Ask]) -> None:
            for ask, told, _ in anyio.run(compare, real, fake, steps):
                asked[f"{ask.path.split('/')[2].partition('?')[0]} {told.status}"] += 1
            asked["sequences"] += 1

        run()
    seconds = time.monotonic() - started
    sequences = asked.pop("sequences")
    print(f"{sequences} sequences, {asked.total()} requests, no difference, {seconds:.0f} s")
    print(", ".join(f"{count} {what}" for what, count in sorted(asked.items())))
    return 0


if __name__ == "__main__":
    sys.exit(main())
