"""Namespaces of Consul Enterprise."""

from __future__ import annotations

from datetime import UTC, datetime

from consul_onex import Safety
from consul_onex.models.acl import ACLLink
from consul_onex.models.namespace import Namespace, NamespaceACLs
from tests.walk.case import EMPTY, Case

READ = "dc consistency partition"
WRITE = "dc partition"

TEAM = {
    "Name": "team-1",
    "Description": "Namespace for Team 1",
    "ACLs": {
        "PolicyDefaults": [{"ID": "7711", "Name": "service-read"}],
        "RoleDefaults": [{"ID": "6974", "Name": "service-discovery"}],
    },
    "Meta": {"foo": "bar"},
    "Partition": "default",
    "DeletedAt": "2019-12-02T23:00:00Z",
    "CreateIndex": 55,
    "ModifyIndex": 100,
}
NAMESPACE = Namespace(
    name="team-1",
    description="Namespace for Team 1",
    acls=NamespaceACLs(
        policy_defaults=[ACLLink(id="7711", name="service-read")],
        role_defaults=[ACLLink(id="6974", name="service-discovery")],
    ),
    meta={"foo": "bar"},
    partition="default",
    deleted_at=datetime(2019, 12, 2, 23, tzinfo=UTC),
    create_index=55,
    modify_index=100,
)

CASES = [
    Case(
        "namespace.create",
        lambda c: c.namespace.create(
            Namespace(
                name="team-1",
                acls=NamespaceACLs(policy_defaults=[ACLLink(name="node-read")]),
            )
        ),
        "PUT /v1/namespace",
        takes=WRITE,
        body={"Name": "team-1", "ACLs": {"PolicyDefaults": [{"Name": "node-read"}]}},
        answer=TEAM,
        result=NAMESPACE,
    ),
    Case(
        "namespace.get",
        lambda c: c.namespace.get("a/b ?"),
        "GET /v1/namespace/a%2Fb%20%3F",
        takes=READ,
        answer=TEAM,
        result=NAMESPACE,
    ),
    Case(
        "namespace.get",
        lambda c: c.namespace.get("team-1"),
        "GET /v1/namespace/team-1",
        takes=READ,
        status=404,
        answer=EMPTY,
        result=None,
    ),
    Case(
        "namespace.update",
        lambda c: c.namespace.update(NAMESPACE.replace(description="", meta={})),
        "PUT /v1/namespace/team-1",
        takes=WRITE,
        body={
            "Name": "team-1",
            "Description": "",
            "ACLs": TEAM["ACLs"],
            "Meta": {},
            "Partition": "default",
        },
        answer=TEAM,
        result=NAMESPACE,
        safety=Safety.IDEMPOTENT,
    ),
    Case(
        "namespace.delete",
        lambda c: c.namespace.delete("team-1"),
        "DELETE /v1/namespace/team-1",
        takes=WRITE,
        answer=EMPTY,
        result=None,
        safety=Safety.IDEMPOTENT,
    ),
    Case(
        "namespace.list",
        lambda c: c.namespace.list(),
        "GET /v1/namespaces",
        takes=READ,
        answer=[TEAM],
        result=[NAMESPACE],
    ),
]
