"""The fake agent answers as the real one does: events, the catalog in transactions, layout."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from consul_onex.testing import FakeAgent
from tests.support import agents
from tests.support.agents import Agent

from .both import BEFORE, Ask, ask_fake, ask_real, settled

NODE: Final = {"Node": "n1", "ID": "40e4a748-2192-161a-0510-9bf59fe950b5", "Address": "10.0.0.1"}
SERVICE: Final = {"Service": "web", "Port": 80, "Tags": ["a"], "Meta": {"k": "v"}}
CHECK: Final = {"Node": "n1", "CheckID": "c", "Name": "check", "Status": "passing"}


def get(*paths: str) -> list[Ask]:
    return [Ask("GET", path) for path in paths]


def txn(*operations: dict[str, Any]) -> Ask:
    return Ask("PUT", "/v1/txn", list(operations))


def node(verb: str, **fields: Any) -> dict[str, Any]:
    return {"Node": {"Verb": verb, "Node": fields}}


def service(verb: str, on: str, **fields: Any) -> dict[str, Any]:
    return {"Service": {"Verb": verb, "Node": on, "Service": fields}}


def check(verb: str, **fields: Any) -> dict[str, Any]:
    return {"Check": {"Verb": verb, "Check": fields}}


def all_with(verb: str, index: int = 0) -> list[Ask]:
    """An operation on each kind: on what is there, and on what is not."""
    return [
        txn(node(verb, Node="n1", Address="x", ModifyIndex=index)),
        txn(service(verb, "n1", ID="web", Service="web", ModifyIndex=index)),
        txn(check(verb, Node="n1", CheckID="c", ModifyIndex=index)),
        txn(node(verb, Node="no", ModifyIndex=index)),
        txn(service(verb, "n1", ID="no", Service="no", ModifyIndex=index)),
        txn(check(verb, Node="n1", CheckID="no", ModifyIndex=index)),
        txn(service(verb, "no", ID="web", Service="web", ModifyIndex=index)),
        txn(check(verb, Node="no", CheckID="c", ModifyIndex=index)),
    ]


THREE: Final = txn(node("set", **NODE), service("set", "n1", **SERVICE), check("set", **CHECK))
LOOK: Final = get(
    "/v1/catalog/nodes", "/v1/catalog/node/n1", "/v1/health/service/web", "/v1/health/state/any"
)

SCRIPTS: Final[dict[str, list[Ask]]] = {
    "what is set in transactions": [
        THREE,
        *LOOK,
        THREE,
        txn(node("get", Node="n1"), service("get", "n1", ID="web"), check("get", **CHECK)),
        txn(node("get", ID=NODE["ID"]), {"KV": {"Verb": "get-tree", "Key": "none"}}),
        txn(check("set", **CHECK | {"ServiceID": "web", "Status": "critical"})),
        txn(check("set", Node="n1", Name="named", ServiceTags=["x"], Type="y", Status="odd")),
        txn(node("set", Node="n2", Meta={"a": "b"}, TaggedAddresses={"lan": "x"})),
        *LOOK,
        txn(node("set", Node="n2", Address="new", Datacenter="dc7")),
        txn(node("cas", Node="n3", Address="x"), node("delete", Node="n3")),
        txn(service("cas", "n1", Service="db"), check("cas", Node="n1", CheckID="new")),
        *LOOK,
        txn(node("set", Node="n1", ID="40e4a748-2192-161a-0510-9bf59fe950b6")),
        txn(node("set", Node="renamed", ID=NODE["ID"])),
        *LOOK,
    ],
    **{
        f"{verb!r} in transactions": [THREE, *all_with(verb, index), *LOOK]
        for verb, index in [
            *(("get", 0), ("set", 0), ("cas", 0), ("cas", 7), ("delete", 0)),
            *(("delete-cas", 0), ("delete-cas", 7), ("explode", 0), ("", 0)),
        ]
    },
    "what transactions do not take": [
        THREE,
        txn(node("set"), node("set", Node="z", ID="x"), {"Node": {"Verb": "set"}}, {"Node": {}}),
        txn({"Node": None}, {}),
        txn({"Node": None}, {"KV": {"Verb": "get", "Key": "no"}, "Node": node("get")["Node"]}),
        txn(service("set", "n1"), {"Service": {"Verb": "set", "Node": "n1"}}),
        txn(service("set", "n1", ID="x")),
        txn(service("set", "n1", Service="x", Address="0.0.0.0")),
        txn(service("set", "n1", Service="x", Meta={"x y": ""})),
        txn(service("delete", "n1", ID="web")),
        txn(check("set", Node="n1"), check("set", CheckID="x")),
        txn(check("set", Node="n1", CheckID="x", ServiceID="no")),
        txn(node("set", Node="good"), node("get", Node="none")),
        *(
            txn(one)
            for one in (
                node("set", Nope=1),
                service("set", "n1", Nope=1),
                check("set", Nope=1),
                {"Service": {"Nope": 1}},
                *({name: 5} for name in ("Node", "Service", "Check")),
                *({name: {"Verb": 5}} for name in ("Node", "Service", "Check")),
                *({name: {name: 5}} for name in ("Node", "Service", "Check")),
                service("set", "n1", Port="x"),
                check("set", Node=1),
                node("set", Node=1),
            )
        ),
        *LOOK,
    ],
    "checks that are to be done": [
        THREE,
        *(
            txn(check("set", Node="n1", CheckID="d", Definition=definition))
            for definition in (
                {"TCP": "x:1", "Interval": "10s", "IntervalDuration": "20s"},
                {"HTTP": "x", "TimeoutDuration": "3s", "Header": {"a": ["b"]}, "Nope": 1},
                {"DeregisterCriticalServiceAfterDuration": "90s"},
                {"Interval": "1h", "Timeout": 7},
            )
        ),
        *LOOK,
    ],
    "events": [
        *get(
            "/v1/event/list", "/v1/event/list?name=no&index=1&wait=10ms", "/v1/event/list?index=x"
        ),
        *get("/v1/event/list?dc=no&ns=x&node=y"),
        Ask("PUT", "/v1/event/fire/"),
        Ask("POST", "/v1/event/fire/x"),
        *(
            Ask("PUT", f"/v1/event/fire/x?{one}")
            for one in (
                *("node=%5B", "service=(", "service=w&tag=*", "tag=v1", "dc=no", "node=)"),
                *("node=nobody", "service=none", "ns=x", "service=a%5Bb"),
            )
        ),
    ],
    "how much an event can say": [
        Ask("PUT", f"/v1/event/fire/{'n' * name}{more}", b"x" * size)
        for name, size, more in (
            *((2, 413, ""), (2, 442, ""), (2, 443, ""), (40, 334, ""), (40, 366, "")),
            *((2, 408, "?node=a"), (2, 438, "?node=a"), (2, 376, "?node=" + "a" * 32)),
            *((2, 400, "?service=ab&tag=abc"), (2, 430, "?service=ab&tag=abc"), (500, 0, "")),
        )
    ],
    "layout": [
        *get("/v1/agent/members?segment=x", "/v1/status/leader?pretty", "/v1/kv/none?pretty"),
        Ask("HEAD", "/v1/kv/a"),
        Ask("HEAD", "/v1/status/leader"),
        Ask("PUT", "/v1/kv/a?pretty", "v"),
        *get("/v1/kv/a?raw&pretty", "/v1/kv/a?pretty"),
    ],
}


@pytest.fixture
def own(consul_binary: Path) -> Iterator[Agent]:
    """A real agent that nobody has asked anything yet, and that has settled."""
    with settled(agents.dev_agent, consul_binary) as started:
        ask_real(started, BEFORE)
        yield started


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("name", SCRIPTS)
async def test_a_script_is_answered_alike(own: Agent, name: str) -> None:
    script = SCRIPTS[name]

    real = ask_real(own, script)
    agent = FakeAgent()
    await ask_fake(agent, BEFORE)
    fake = await ask_fake(agent, script)

    for ask, theirs, mine in zip(script, real, fake, strict=True):
        assert (ask, mine) == (ask, theirs), ask
