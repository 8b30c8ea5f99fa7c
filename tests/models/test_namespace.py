"""Namespaces and partitions, as the documentation has them."""

from __future__ import annotations

import json

import pytest
from pydantic import TypeAdapter

from consul_onex.models.namespace import Namespace
from consul_onex.models.partition import Partition
from tests.support.lossless import lost

DEFAULT = {
    "Name": "default",
    "Description": "Builtin Default Namespace",
    "CreateIndex": 6,
    "ModifyIndex": 6,
}

TEAM = {
    "Name": "team-1",
    "Description": "Namespace for Team 1",
    "ACLs": {
        "PolicyDefaults": [
            {"ID": "77117cf6-d976-79b0-d63b-5a36ac69c8f1", "Name": "service-read"},
            {"ID": "af937401-9950-fcae-8396-610ce047649a", "Name": "node-read"},
        ],
        "RoleDefaults": [
            {"ID": "69748856-ae69-d620-3ec4-07844b3c6be7", "Name": "service-discovery"},
            {"ID": "ae4b3542-d824-eb5f-7799-3fd657847e4e", "Name": "ns-team-2-read"},
        ],
    },
    "Meta": {"foo": "bar"},
    "Partition": "na-west",
    "DeletedAt": "2019-12-02T23:00:00Z",
    "CreateIndex": 55,
    "ModifyIndex": 100,
}

WEST = {
    "Name": "na-west",
    "Description": "North America West Partition",
    "DisableGossip": True,
    "DeletedAt": "2021-12-14T23:00:00Z",
    "CreateIndex": 55,
    "ModifyIndex": 100,
}


@pytest.mark.parametrize(
    ("model", "document"), [(Namespace, DEFAULT), (Namespace, TEAM), (Partition, WEST)]
)
def test_nothing_is_lost_on_the_way_in_or_out(
    model: type[Namespace] | type[Partition], document: dict[str, object]
) -> None:
    read = TypeAdapter(model).validate_json(json.dumps(document))

    assert lost(document, read) == []
    of_the_server = {"DeletedAt", "CreateIndex", "ModifyIndex"}
    written = {name: value for name, value in document.items() if name not in of_the_server}
    assert json.loads(read.body()) == written
