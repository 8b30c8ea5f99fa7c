"""Where an instance is reached, and how well it is."""

from __future__ import annotations

import pytest
from pydantic import TypeAdapter

from consul_onex.models.catalog import Node
from consul_onex.models.check import HealthCheck
from consul_onex.models.health import ServiceEntry
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


@pytest.mark.parametrize(
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


def test_whether_it_is_remote_is_nothing_that_consul_says() -> None:
    for new in (b"true", b"null", b'{"Region": "eu"}'):
        made = TypeAdapter(ServiceEntry).validate_json(b'{"Remote": %b}' % new)

        assert made.remote is False
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
