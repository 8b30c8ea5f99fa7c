"""Where an instance is reached, and how well it is."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from pydantic import ValidationError

from consul_onex._json import adapter_of, dumped, problem_of
from consul_onex.models.catalog import Node
from consul_onex.models.check import HealthCheck
from consul_onex.models.health import ServiceEntry, ServiceInstance
from consul_onex.models.service import AgentService, ServiceAddress


def entry(
    node: str,
    service: str,
    *,
    node_wan: str | None = None,
    service_wan: tuple[str, int] | None = None,
    remote: bool = False,
) -> ServiceEntry:
    tagged: dict[str, ServiceAddress] = {}
    if service_wan is not None:
        tagged["wan"] = ServiceAddress(address=service_wan[0], port=service_wan[1])
    return ServiceEntry(
        node=Node(address=node, tagged_addresses={"wan": node_wan} if node_wan else {}),
        service=AgentService(address=service, port=8080, tagged_addresses=tagged),
        remote=remote,
    )


reached = pytest.mark.parametrize(
    ("service", "node_wan", "service_wan", "here", "elsewhere"),
    [
        ("", None, None, ("node", 8080), ("node", 8080)),
        ("service", None, None, ("service", 8080), ("service", 8080)),
        ("", "node-wan", None, ("node", 8080), ("node-wan", 8080)),
        ("service", "node-wan", None, ("service", 8080), ("service", 8080)),
        ("", None, ("service-wan", 80), ("node", 8080), ("service-wan", 80)),
        ("service", "node-wan", ("service-wan", 80), ("service", 8080), ("service-wan", 80)),
        ("service", None, ("service-wan", 0), ("service", 8080), ("service-wan", 8080)),
        ("", "node-wan", ("", 80), ("node", 8080), ("node-wan", 80)),
    ],
)


@reached
def test_an_instance_is_reached(
    service: str,
    node_wan: str | None,
    service_wan: tuple[str, int] | None,
    here: tuple[str, int],
    elsewhere: tuple[str, int],
) -> None:
    for remote, expected in ((False, here), (True, elsewhere)):
        made = entry("node", service, node_wan=node_wan, service_wan=service_wan, remote=remote)

        assert (made.address, made.port) == expected


@reached
def test_a_slim_instance_is_reached_as_the_whole_one(
    service: str,
    node_wan: str | None,
    service_wan: tuple[str, int] | None,
    here: tuple[str, int],
    elsewhere: tuple[str, int],
) -> None:
    whole = entry("node", service, node_wan=node_wan, service_wan=service_wan)
    slim = adapter_of(ServiceInstance).validate_json(dumped(whole.to_wire()))

    for remote, expected in ((False, here), (True, elsewhere)):
        made = replace(slim, remote=remote)

        assert (made.address, made.port) == expected


WEIGHED = {"Service": {"ID": "web", "Weights": {"Passing": 10, "Warning": 2}}, "Node": {}}


@pytest.mark.parametrize(
    ("checks", "status", "weight"),
    [
        ([], "passing", 10),
        ([("disk", "passing"), ("c", "warning")], "warning", 2),
        ([("disk", "critical"), ("c", "warning")], "critical", 0),
        ([("_node_maintenance", "critical")], "maintenance", 0),
    ],
    ids=str,
)
def test_a_slim_instance_has_the_weight_of_its_status(
    checks: list[tuple[str, str]], status: str, weight: int
) -> None:
    rows = [{"CheckID": name, "Status": status, "Output": "x"} for name, status in checks]
    made = adapter_of(ServiceInstance).validate_json(json.dumps(WEIGHED | {"Checks": rows}))

    assert (made.status, made.weight) == (status, weight)


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"Node": None, "Service": None, "Checks": None, "New": 1},
        {"Service": {"Tags": None, "Weights": None, "TaggedAddresses": None}, "Checks": []},
    ],
    ids=str,
)
def test_a_slim_instance_may_have_nothing(said: dict[str, Any]) -> None:
    made = adapter_of(ServiceInstance).validate_json(json.dumps(said))

    assert made == ServiceInstance()
    assert (made.address, made.port, made.status, made.weight) == ("", 0, "passing", 1)


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        ({"Service": {"Port": "x"}}, "Service.Port: int_parsing"),
        ({"Service": {"Tags": [5]}}, "Service.Tags.0: string_type"),
        ({"Checks": [{"Status": 1}]}, "Checks.0.Status: string_type"),
        ([], "the whole: dataclass_type"),
    ],
    ids=str,
)
def test_a_slim_instance_that_is_damaged_is_told_by_its_place(said: Any, problem: str) -> None:
    with pytest.raises(ValidationError) as caught:
        adapter_of(ServiceInstance).validate_json(json.dumps(said))

    assert problem_of(caught.value) == problem


@pytest.mark.parametrize("new", [b"true", b"null", b'{"Region": "eu"}'])
def test_whether_it_is_remote_is_nothing_that_consul_says(new: bytes) -> None:
    said = b'{"Remote": %b}' % new

    assert adapter_of(ServiceEntry).validate_json(said).remote is False
    assert adapter_of(ServiceInstance).validate_json(said).remote is False
    assert "remote" not in str(entry("node", "", remote=True).to_wire()).lower()


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        ([], "passing"),
        (["passing", "passing"], "passing"),
        (["passing", "warning"], "warning"),
        (["warning", "critical", "passing"], "critical"),
    ],
)
def test_its_status_is_the_worst_of_its_checks(statuses: list[str], expected: str) -> None:
    made = ServiceEntry(checks=[HealthCheck(status=status) for status in statuses])

    assert made.status == expected


def test_maintenance_goes_before_all_of_them() -> None:
    checks = [
        HealthCheck(check_id="serfHealth", status="passing"),
        HealthCheck(check_id="_node_maintenance", status="critical"),
    ]

    assert ServiceEntry(checks=checks).status == "maintenance"
