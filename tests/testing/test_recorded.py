"""What a real Consul 1.8.7 once answered, the fake agent answers too."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Final

import pytest

from consul_onex.testing import FakeAgent

from .both import Ask, Told, ask_fake, normalised, told_of

RECORDS: Final = Path(__file__).parents[1] / "data" / "wire"

# Each list was recorded on one agent, one exchange after the other.
ON_ONE_AGENT: Final = (("01_kv", "02_paths"), ("03_catalog_agent_session",))

# Where that agent was.
ADDRESS: Final = "127.13.0.11"

# The recorder has cut long bodies, and left one out. What it has cut of answers is not compared.
WHOLE: Final = {
    **{f"kv_put_size_{n}": b"x" * n for n in (524_288, 524_289, 600_000, 2_097_152)},
    "enc_hash_PUT": b"VAL-enc_hash",
    "event_fire_big": b"x" * 1000,
    "txn_too_big": json.dumps(
        [{"KV": {"Verb": "set", "Key": "a", "Value": "A" * (800_050 - 50)}}]
    ).encode(),
}

CUT: Final = re.compile(r"\.\.\..*\(\d+ bytes\)$", re.DOTALL)

LEFT_OUT: Final[dict[str, set[str]]] = {
    "nobody answered in time": {"kv_block_0s", "kv_block_neg"},
    "the agent had not told of itself yet": {"health_near_unknown"},
    "of a filter it says where, and not what was expected": {
        *("catalog_bad_filter", "agent_services_filter_bad"),
    },
    "no pages": {"root_GET"},
    "no prepared queries": {"query_unknown", "query_exec_unknown", "query_create_bad"},
    "no config entries": {
        *("config_unknown", "config_bad_kind", "config_put_bad", "config_put_bad_field"),
    },
    "no mesh": {"connect_leaf_unknown", "connect_ca_roots_disabled", "intention_unknown"},
    "no coordinates": {"coord_node_unknown"},
    "no pool to join and to leave": {
        *("agent_join_bad", "agent_forceleave_unknown", "operator_raft_peer_bad"),
    },
    "no telemetry": {"agent_metrics_prom", "agent_monitor_badlevel"},
    "no cache": {"kv_cached_bad_cc"},
    "of itself it tells less": {"gzip_small"},
}


def exchanges(*records: str) -> list[dict[str, Any]]:
    return [
        each
        for record in records
        for each in json.loads((RECORDS / f"{record}.json").read_text("utf-8"))["exchanges"]
    ]


def asked(exchange: dict[str, Any]) -> Ask:
    request = exchange["request"]
    body = WHOLE.get(exchange["name"], request["body"])
    return Ask(request["method"], request["path"], body, request["headers"])


def recorded(exchange: dict[str, Any]) -> Told:
    response = exchange["response"]
    body = response["body"].replace(ADDRESS, "127.0.0.1").encode()
    return told_of(response["status"], response["headers"], body)


def comparable(told: Told) -> Told:
    """
    An answer without its indexes, and without what the recorder asked for now and then.

    Which index is later than which, and which are one, is compared by the sequences.
    """
    headers = {name: value for name, value in told.headers.items() if name != "connection"}
    if headers.get("x-consul-index", "1") != "1":
        headers["x-consul-index"] = "..."
    return Told(told.status, headers, without_indexes(told.body))


def without_indexes(value: Any) -> Any:
    if isinstance(value, list):
        return [without_indexes(one) for one in value]
    if isinstance(value, dict):
        return {
            name: "..." if name in {"CreateIndex", "ModifyIndex"} else without_indexes(one)
            for name, one in value.items()
        }
    return value


@pytest.mark.parametrize("records", ON_ONE_AGENT, ids=" ".join)
async def test_what_was_recorded_is_answered(records: tuple[str, ...]) -> None:
    left_out = {name for names in LEFT_OUT.values() for name in names}
    script = [each for each in exchanges(*records) if each["name"] not in left_out]
    agent = FakeAgent(node="wm")
    await ask_fake(agent, [Ask("PUT", "/v1/kv/_ready", "1")])

    mine = await ask_fake(agent, [asked(each) for each in script])

    theirs = normalised([recorded(each) for each in script])
    for each, one, other in zip(script, theirs, mine, strict=True):
        if CUT.search(str(one.body)):
            one, other = one._replace(body=None), other._replace(body=None)  # noqa: PLW2901
        assert (each["name"], comparable(other)) == (each["name"], comparable(one))


def test_what_is_left_out_was_recorded() -> None:
    names = {each["name"] for records in ON_ONE_AGENT for each in exchanges(*records)}

    assert {name for left_out in LEFT_OUT.values() for name in left_out} <= names
    assert len(names) > 200
