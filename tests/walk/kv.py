"""The key-value store."""

from __future__ import annotations

from consul_onex import KVPair, Safety
from tests.walk.case import EMPTY, Case

READ = "dc consistency ns partition"
WRITE = "dc ns partition"

ROW = {
    "LockIndex": 2,
    "Key": "a/b",
    "Flags": 2**64 - 1,
    "Value": "AP8=",
    "Session": "5f",
    "CreateIndex": 7,
    "ModifyIndex": 9,
}
PAIR = KVPair(
    key="a/b",
    value=b"\x00\xff",
    flags=2**64 - 1,
    session="5f",
    lock_index=2,
    create_index=7,
    modify_index=9,
)

CASES = [
    Case(
        "kv.get",
        lambda c: c.kv.get("a/b"),
        "GET /v1/kv/a/b",
        takes=READ,
        answer=[ROW],
        result=PAIR,
    ),
    Case(
        "kv.get",
        lambda c: c.kv.get("ü ?#%"),
        "GET /v1/kv/%C3%BC%20%3F%23%25",
        takes=READ,
        status=404,
        answer=EMPTY,
        result=None,
    ),
    Case(
        "kv.list",
        lambda c: c.kv.list("a/"),
        "GET /v1/kv/a/?recurse=",
        takes=READ,
        answer=[ROW],
        result=[PAIR],
    ),
    Case(
        "kv.list",
        lambda c: c.kv.list(),
        "GET /v1/kv/?recurse=",
        takes=READ,
        status=404,
        answer=EMPTY,
        result=[],
    ),
    Case(
        "kv.keys",
        lambda c: c.kv.keys("a/", separator="/"),
        "GET /v1/kv/a/?keys=&separator=%2F",
        takes=READ,
        answer=["a/b"],
        result=["a/b"],
    ),
    Case(
        "kv.keys",
        lambda c: c.kv.keys(),
        "GET /v1/kv/?keys=",
        takes=READ,
        status=404,
        answer=EMPTY,
        result=[],
    ),
    Case(
        "kv.put",
        lambda c: c.kv.put("a/b", "ü", flags=2**64 - 1),
        "PUT /v1/kv/a/b?flags=18446744073709551615",
        takes=WRITE,
        body="ü".encode(),
        answer=True,
        result=True,
        safety=Safety.IDEMPOTENT,
    ),
    Case(
        "kv.put",
        lambda c: c.kv.put("a/b", b"", cas=0),
        "PUT /v1/kv/a/b?cas=0",
        takes=WRITE,
        answer=False,
        result=False,
    ),
    Case(
        "kv.put_many",
        lambda c: c.kv.put_many({"a//b": b"\x00\xff", "c": "ü"}, flags=3),
        "PUT /v1/txn",
        takes=WRITE,
        body=[
            {"KV": {"Verb": "set", "Key": "a//b", "Value": "AP8=", "Flags": 3}},
            {"KV": {"Verb": "set", "Key": "c", "Value": "w7w=", "Flags": 3}},
        ],
        answer={"Results": [], "Errors": None},
        result=None,
        safety=Safety.IDEMPOTENT,
    ),
    Case(
        "kv.delete",
        lambda c: c.kv.delete("a/b"),
        "DELETE /v1/kv/a/b",
        takes=WRITE,
        answer=True,
        result=True,
        safety=Safety.IDEMPOTENT,
    ),
    Case(
        "kv.delete",
        lambda c: c.kv.delete("a/b", cas=9),
        "DELETE /v1/kv/a/b?cas=9",
        takes=WRITE,
        answer=False,
        result=False,
    ),
    Case(
        "kv.delete_tree",
        lambda c: c.kv.delete_tree("a/"),
        "DELETE /v1/kv/a/?recurse=",
        takes=WRITE,
        answer=True,
        result=True,
        safety=Safety.IDEMPOTENT,
    ),
    Case(
        "kv.acquire",
        lambda c: c.kv.acquire("a/b", "5f", b"me", flags=3),
        "PUT /v1/kv/a/b?acquire=5f&flags=3",
        takes=WRITE,
        body=b"me",
        answer=True,
        result=True,
        safety=Safety.IDEMPOTENT,
    ),
    Case(
        "kv.release",
        lambda c: c.kv.release("a/b", "5f", b"gone", flags=3),
        "PUT /v1/kv/a/b?release=5f&flags=3",
        takes=WRITE,
        body=b"gone",
        answer=True,
        result=True,
    ),
]
