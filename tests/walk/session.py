"""Sessions."""

from __future__ import annotations

from consul_onex import Safety
from consul_onex.models.session import ServiceCheck, SessionEntry
from tests.walk.case import Case

READ = "dc consistency ns partition"
WRITE = "dc ns partition"

ENTRY = {
    "ID": "5f",
    "Name": "job",
    "Node": "n1",
    "LockDelay": 15_000_000_000,
    "Behavior": "release",
    "TTL": "1m30s",
    "NodeChecks": None,
    "ServiceChecks": [{"ID": "web:1"}],
    "CreateIndex": 7,
    "ModifyIndex": 7,
}
SESSION = SessionEntry(
    id="5f",
    name="job",
    node="n1",
    lock_delay=15.0,
    behavior="release",
    ttl=90.0,
    service_checks=[ServiceCheck(id="web:1")],
    create_index=7,
    modify_index=7,
)

CASES = [
    Case(
        "session.create",
        lambda c: c.session.create(),
        "PUT /v1/session/create",
        takes=WRITE,
        body={},
        answer={"ID": "5f"},
        result="5f",
    ),
    Case(
        "session.create",
        lambda c: c.session.create(
            "job",
            ttl=15,
            lock_delay=0,
            behavior="delete",
            node="n1",
            node_checks=[],
            service_checks=[ServiceCheck(id="web:1")],
        ),
        "PUT /v1/session/create",
        takes=WRITE,
        body={
            "Name": "job",
            "TTL": "15s",
            "LockDelay": "0s",
            "Behavior": "delete",
            "Node": "n1",
            "NodeChecks": [],
            "ServiceChecks": [{"ID": "web:1"}],
        },
        answer={"ID": "5f"},
        result="5f",
    ),
    Case(
        "session.destroy",
        lambda c: c.session.destroy("a/b ?"),
        "PUT /v1/session/destroy/a%2Fb%20%3F",
        takes=WRITE,
        answer=True,
        result=True,
        safety=Safety.IDEMPOTENT,
    ),
    Case(
        "session.renew",
        lambda c: c.session.renew("5f"),
        "PUT /v1/session/renew/5f",
        takes=WRITE,
        answer=[ENTRY],
        result=SESSION,
        safety=Safety.IDEMPOTENT,
    ),
    Case(
        "session.renew",
        lambda c: c.session.renew("5f"),
        "PUT /v1/session/renew/5f",
        takes=WRITE,
        status=404,
        answer=b"Session id '5f' not found",
        result=None,
        safety=Safety.IDEMPOTENT,
    ),
    Case(
        "session.info",
        lambda c: c.session.info("5f"),
        "GET /v1/session/info/5f",
        takes=READ,
        answer=[ENTRY],
        result=SESSION,
    ),
    Case(
        "session.info",
        lambda c: c.session.info("5f"),
        "GET /v1/session/info/5f",
        takes=READ,
        answer=[],
        result=None,
    ),
    Case(
        "session.node",
        lambda c: c.session.node("n 1"),
        "GET /v1/session/node/n%201",
        takes=READ,
        answer=[ENTRY],
        result=[SESSION],
    ),
    Case(
        "session.list",
        lambda c: c.session.list(),
        "GET /v1/session/list",
        takes=READ,
        answer=None,
        result=[],
    ),
]
