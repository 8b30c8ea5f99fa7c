"""
The same requests to the real agent and to the fake one, and their answers side by side.

What cannot be the same is made so: ids that were drawn and dates are left out, and each index is
replaced by its place among all that came up. So it counts which of two is later, and which are one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, NamedTuple, TypeAlias

import httpx

from consul_onex.testing import FakeAgent
from tests.support.agents import Agent

Body: TypeAlias = "bytes | str | list[Any] | dict[str, Any] | None"


@contextmanager
def settled(start: Callable[..., Agent], binary: Path) -> Iterator[Agent]:
    """
    A real agent that nobody has asked anything yet, and that has said of itself what it will say.

    Its leader writes its node down before it does, as a rule. On a busy machine it may come first
    itself, and the index of its node is then another: such a one is not taken.
    """
    for _ in range(20):
        with start(binary=binary) as agent:
            agent.wait(partial(_has_told, agent), "synced")
            node = _node_of(agent)
            if node["CreateIndex"] < node["ModifyIndex"]:
                yield agent
                return
    raise AssertionError("no agent was written down by its leader first")


def _node_of(agent: Agent) -> Any:
    return agent.request("GET", f"/v1/catalog/node/{agent.name}").json()["Node"]


def _has_told(agent: Agent) -> bool:
    return _node_of(agent)["Meta"] is not None


class Ask(NamedTuple):
    """
    A request. `$1` in its path or its body is the id that the first one was answered with, and
    `@a@` is the index of the key `a` by then; in a body as a text of its own.
    """

    method: str
    path: str
    body: Body = None
    headers: Mapping[str, str] = MappingProxyType({})


class Told(NamedTuple):
    status: int
    headers: dict[str, str]
    body: Any


_HEADERS = {
    *("allow", "connection", "content-encoding", "content-security-policy", "content-type"),
    *("location", "vary", "x-consul-effective-consistency", "x-consul-index", "x-consul-reason"),
    *("x-consul-knownleader", "x-consul-lastcontact", "x-content-type-options"),
}
_INDEXES = {"CreateIndex", "ModifyIndex"}
_OWN = {
    # Drawn, or the machine's own.
    *("ID", "Port", "ServicePort", "ContentHash", "version"),
    *("Hash", "CreateTime", "ExpirationTime"),
}
_VARYING = re.compile(r"(?<=current modify index )\d+ != \d+|(?<=^127\.0\.0\.1:)\d+$")
_INDEX_OF = re.compile("@([^@]+)@")
_INDEX_IN = re.compile('"@([^@]+)@"')
_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


# So that all tables have been written to.
BEFORE: Final = [
    Ask("PUT", "/v1/catalog/register", '{"Node":"n0","Address":"a","Service":{"Service":"s"}}'),
    Ask("PUT", "/v1/catalog/register", '{"Node":"n0","Address":"a","Check":{"Name":"c"}}'),
    Ask("PUT", "/v1/catalog/deregister", '{"Node":"n0"}'),
]


def told_of(status: int, headers: Sequence[tuple[str, str]], body: bytes) -> Told:
    kept = {name.lower(): value for name, value in headers if name.lower() in _HEADERS}
    try:
        return Told(status, kept, json.loads(body))
    except ValueError:
        return Told(status, kept, body.decode("utf-8", "replace"))


def _with_ids(text: str, ids: Sequence[str]) -> str:
    return re.sub(r"\$(\d)", lambda match: ids[int(match[1]) - 1], text)


def _spelled(body: Body, ids: Sequence[str]) -> bytes:
    if body is None:
        return b""
    if isinstance(body, bytes):
        return body
    return _with_ids(body if isinstance(body, str) else json.dumps(body), ids).encode()


def _dialogue(script: Sequence[Ask]) -> Generator[Ask, Told, list[Told]]:
    """What is asked, with what was learnt before; what was told of it at the end."""
    told: list[Told] = []
    for ask in script:
        ids = [_id_of(each) for each in told]
        path, body = _with_ids(ask.path, ids), _spelled(ask.body, ids)
        for key in sorted({*_INDEX_OF.findall(path), *_INDEX_IN.findall(body.decode("latin-1"))}):
            found = yield Ask("GET", f"/v1/kv/{key}")
            index = found.body[0]["ModifyIndex"] if found.status == 200 else 0
            path = path.replace(f"@{key}@", str(index))
            body = body.replace(f'"@{key}@"'.encode(), str(index).encode())
        told.append((yield ask._replace(path=path, body=body)))
    return normalised(told)


def ask_real(
    agent: Agent, script: Sequence[Ask], settle: Callable[[Agent, Ask], None] | None = None
) -> list[Told]:
    """What a real agent tells; `settle` is called after each request."""
    dialogue = _dialogue(script)
    ask = next(dialogue)
    while True:
        answer = agent.request(ask.method, ask.path, ask.body or None, ask.headers)
        if settle is not None:
            settle(agent, ask)
        try:
            ask = dialogue.send(told_of(answer.status, answer.headers.items(), answer.body))
        except StopIteration as end:
            return _whole(end)


async def ask_fake(agent: FakeAgent, script: Sequence[Ask]) -> list[Told]:
    dialogue = _dialogue(script)
    ask = next(dialogue)
    while True:
        request = httpx.Request(
            ask.method,
            f"http://fake:8500{ask.path}",
            content=_spelled(ask.body, ()),
            headers={"Accept-Encoding": "identity", **ask.headers},
            # To the letter, as it is sent to the real one: a URL is tidied up.
            extensions={"target": ask.path.encode()},
        )
        response = await agent.handle_async_request(request)
        headers = response.headers.multi_items()
        try:
            ask = dialogue.send(told_of(response.status_code, headers, await response.aread()))
        except StopIteration as end:
            return _whole(end)


def _whole(end: StopIteration) -> list[Told]:
    told: list[Told] = end.value
    return told


def _id_of(told: Told) -> str:
    return str(told.body.get("ID", "")) if isinstance(told.body, dict) else ""


def normalised(told: list[Told]) -> list[Told]:
    found: set[int] = set()
    for each in told:
        found |= {int(each.headers.get("x-consul-index", 1))}
        found |= set(_indexes(each.body))
    # 1 is what is said where there is no index.
    places = {index: 1 if index == 1 else place for place, index in enumerate(sorted(found), 2)}
    return [
        Told(each.status, _head(each.headers, places), _shown(each.body, places)) for each in told
    ]


def _when_created(one: Any) -> int:
    """Where a session stands in a list. They come in the order of their ids, which are drawn."""
    return one["CreateIndex"] if isinstance(one, dict) and "Behavior" in one else 0


def _indexes(value: Any) -> list[int]:
    if isinstance(value, list):
        return [index for one in value for index in _indexes(one)]
    if isinstance(value, dict):
        mine = [value[name] for name in _INDEXES if value.get(name)]
        return mine + [index for one in value.values() for index in _indexes(one)]
    return []


def _head(headers: dict[str, str], places: dict[int, int]) -> dict[str, str]:
    index = headers.get("x-consul-index")
    return headers if index is None else {**headers, "x-consul-index": str(places[int(index)])}


def _shown(value: Any, places: dict[int, int]) -> Any:
    if isinstance(value, list):
        return [_shown(one, places) for one in sorted(value, key=_when_created)]
    if isinstance(value, dict):
        return {
            name: places.get(one, one)
            if name in _INDEXES
            else "..."
            if name in _OWN and (name != "ID" or _UUID.fullmatch(str(one)))
            else _shown(one, places)
            for name, one in value.items()
        }
    if isinstance(value, str):
        return _VARYING.sub("...", _UUID.sub("...", value))
    return value
