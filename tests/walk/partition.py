"""Admin partitions of Consul Enterprise."""

from __future__ import annotations

from datetime import UTC, datetime

from consul_onex import Safety
from consul_onex.models.partition import Partition
from tests.walk.case import EMPTY, Case

READ = "dc consistency"
WRITE = "dc"

WEST = {
    "Name": "na-west",
    "Description": "Partition for North America West",
    "DisableGossip": True,
    "DeletedAt": "2021-12-14T23:00:00Z",
    "CreateIndex": 55,
    "ModifyIndex": 100,
}
PARTITION = Partition(
    name="na-west",
    description="Partition for North America West",
    disable_gossip=True,
    deleted_at=datetime(2021, 12, 14, 23, tzinfo=UTC),
    create_index=55,
    modify_index=100,
)

CASES = [
    Case(
        "partition.create",
        lambda c: c.partition.create(Partition(name="na-west")),
        "PUT /v1/partition",
        takes=WRITE,
        body={"Name": "na-west"},
        answer=WEST,
        result=PARTITION,
    ),
    Case(
        "partition.get",
        lambda c: c.partition.get("a/b ?"),
        "GET /v1/partition/a%2Fb%20%3F",
        takes=READ,
        answer=WEST,
        result=PARTITION,
    ),
    Case(
        "partition.get",
        lambda c: c.partition.get("na-west"),
        "GET /v1/partition/na-west",
        takes=READ,
        status=404,
        answer=EMPTY,
        result=None,
    ),
    Case(
        "partition.update",
        lambda c: c.partition.update(PARTITION.replace(disable_gossip=False)),
        "PUT /v1/partition/na-west",
        takes=WRITE,
        body={
            "Name": "na-west",
            "Description": "Partition for North America West",
            "DisableGossip": False,
        },
        answer=WEST,
        result=PARTITION,
        safety=Safety.IDEMPOTENT,
    ),
    Case(
        "partition.delete",
        lambda c: c.partition.delete("na-west"),
        "DELETE /v1/partition/na-west",
        takes=WRITE,
        answer=EMPTY,
        result=None,
        safety=Safety.IDEMPOTENT,
    ),
    Case(
        "partition.list",
        lambda c: c.partition.list(),
        "GET /v1/partitions",
        takes=READ,
        answer=[WEST],
        result=[PARTITION],
    ),
]
