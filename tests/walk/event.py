"""User events."""

from __future__ import annotations

from consul_onex.models.event import UserEvent
from tests.walk.case import Case

FIRED = {
    "ID": "b54fe110",
    "Name": "deploy",
    "Payload": None,
    "NodeFilter": "",
    "ServiceFilter": "",
    "TagFilter": "",
    "Version": 1,
    "LTime": 0,
}
HEARD = {
    "ID": "b54fe110",
    "Name": "deploy",
    "Payload": "MTYwOTAzMA==",
    "NodeFilter": "^n",
    "ServiceFilter": "web",
    "TagFilter": "v2",
    "Version": 1,
    "LTime": 19,
}

CASES = [
    Case(
        "event.fire",
        lambda c: c.event.fire("deploy"),
        "PUT /v1/event/fire/deploy",
        takes="dc",
        answer=FIRED,
        result=UserEvent(id="b54fe110", name="deploy", version=1),
    ),
    Case(
        "event.fire",
        lambda c: c.event.fire("a/b ?", "ü", node="^n", service="w|v", tag="v2"),
        "PUT /v1/event/fire/a%2Fb%20%3F?node=%5En&service=w%7Cv&tag=v2",
        takes="dc",
        body="ü".encode(),
        answer=FIRED,
    ),
    Case(
        "event.list",
        lambda c: c.event.list(),
        "GET /v1/event/list",
        answer=[HEARD],
        result=[
            UserEvent(
                id="b54fe110",
                name="deploy",
                payload=b"1609030",
                node_filter="^n",
                service_filter="web",
                tag_filter="v2",
                version=1,
                ltime=19,
            )
        ],
        local=True,
    ),
    Case(
        "event.list",
        lambda c: c.event.list(name="a b"),
        "GET /v1/event/list?name=a%20b",
        answer=[],
        result=[],
        local=True,
    ),
]
