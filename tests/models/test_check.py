"""Health checks: what each kind of them sends, and what none can be."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import SecretStr, TypeAdapter

from consul_onex import InvalidRequestError
from consul_onex.models.check import Check, CheckDefinition, HealthCheck, aggregated
from tests.support.lossless import lost

TLS: dict[str, Any] = {"tls_server_name": "web.local", "tls_skip_verify": True}
SENT_TLS = {"TLSServerName": "web.local", "TLSSkipVerify": True}

KINDS: list[tuple[Check, dict[str, Any]]] = [
    (Check.http("http://a/", interval=10), {"HTTP": "http://a/", "Interval": "10s"}),
    (
        Check.http(
            "https://a/health",
            interval=10,
            timeout=0.5,
            method="POST",
            header={"Accept": ("text/plain", "text/html")},
            body="{}",
            disable_redirects=True,
            **TLS,
        ),
        {
            "HTTP": "https://a/health",
            "Interval": "10s",
            "Timeout": "500ms",
            "Method": "POST",
            "Header": {"Accept": ["text/plain", "text/html"]},
            "Body": "{}",
            "DisableRedirects": True,
            **SENT_TLS,
        },
    ),
    (
        Check.tcp("a:22", interval=1, timeout=2, use_tls=True, **TLS),
        {"TCP": "a:22", "Interval": "1s", "Timeout": "2s", "TCPUseTLS": True, **SENT_TLS},
    ),
    (
        Check.udp("a:53", interval=1, timeout=2),
        {"UDP": "a:53", "Interval": "1s", "Timeout": "2s"},
    ),
    (
        Check.grpc("a:50051/web", interval=1, timeout=2, use_tls=False, **TLS),
        {
            "GRPC": "a:50051/web",
            "Interval": "1s",
            "Timeout": "2s",
            "GRPCUseTLS": False,
            **SENT_TLS,
        },
    ),
    (
        Check.h2ping("a:443", interval=1, timeout=2, use_tls=False, **TLS),
        {
            "H2PING": "a:443",
            "Interval": "1s",
            "Timeout": "2s",
            "H2PingUseTLS": False,
            **SENT_TLS,
        },
    ),
    (Check.ttl(15), {"TTL": "15s"}),
    (
        Check.script(["/bin/check", "-v"], interval=60, timeout=30),
        {"Args": ["/bin/check", "-v"], "Interval": "60s", "Timeout": "30s"},
    ),
    (
        Check.docker("f972c95ebf0e", ("/bin/check",), interval=1, timeout=2, shell="/bin/sh"),
        {
            "DockerContainerID": "f972c95ebf0e",
            "Args": ["/bin/check"],
            "Interval": "1s",
            "Timeout": "2s",
            "Shell": "/bin/sh",
        },
    ),
    (
        Check.os_service("sshd.service", interval=1, timeout=2),
        {"OSService": "sshd.service", "Interval": "1s", "Timeout": "2s"},
    ),
    (Check.alias(service="web1"), {"AliasService": "web1"}),
    (Check.alias(node="n1"), {"AliasNode": "n1"}),
    (Check.alias(service="web1", node="n1"), {"AliasService": "web1", "AliasNode": "n1"}),
]


@pytest.mark.parametrize(("check", "sent"), KINDS, ids=["-".join(sent) for _, sent in KINDS])
def test_each_kind_sends_what_it_was_given_and_nothing_else(
    check: Check, sent: dict[str, Any]
) -> None:
    assert check.to_wire() == sent


def test_what_all_kinds_can_be_given() -> None:
    check = Check.ttl(
        15,
        name="alive",
        id="c1",
        notes="why",
        status="passing",
        success_before_passing=1,
        failures_before_warning=2,
        failures_before_critical=3,
        deregister_critical_service_after=5400,
        output_max_size=100,
        service_id="web1",
        token=SecretStr("5f"),
        namespace="team",
        partition="part",
    )

    assert check.to_wire() == {
        "TTL": "15s",
        "Name": "alive",
        "CheckID": "c1",
        "Notes": "why",
        "Status": "passing",
        "SuccessBeforePassing": 1,
        "FailuresBeforeWarning": 2,
        "FailuresBeforeCritical": 3,
        "DeregisterCriticalServiceAfter": "5400s",
        "OutputMaxSize": 100,
        "ServiceID": "web1",
        "Token": "5f",
        "Namespace": "team",
        "Partition": "part",
    }
    assert "5f" not in repr(check)


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"http_url": "http://a", "tcp_address": "a:1", "interval": 1.0}, "http and tcp"),
        ({"ttl_seconds": 1.0, "http_url": "http://a", "interval": 1.0}, "http and ttl"),
        ({"alias_service": "a", "ttl_seconds": 1.0}, "ttl and alias"),
        ({"tcp_address": "a:1"}, "tcp needs an interval"),
        ({"args": ["true"]}, "script needs an interval"),
        ({"docker_container_id": "f9", "args": ["true"]}, "script needs an interval"),
        ({"os_service_name": "sshd"}, "os_service needs an interval"),
        ({"ttl_seconds": 1.0, "interval": 1.0}, "ttl has no interval"),
        ({"ttl_seconds": 1.0, "status": "great"}, "passing"),
        ({"ttl_seconds": 0.0}, "ttl_seconds: "),
        ({"tcp_address": "a:1", "interval": -1.0}, "interval: "),
        ({"tcp_address": "a:1", "interval": "10s"}, "interval: "),
    ],
    ids=str,
)
def test_a_check_that_no_agent_takes_is_refused(fields: dict[str, Any], problem: str) -> None:
    with pytest.raises(InvalidRequestError, match=problem):
        Check(**fields)


@pytest.mark.parametrize(
    "fields",
    [{"alias_service": "a", "interval": 1.0}, {"ttl_seconds": 1.0, "timeout": 1.0}, {}],
    ids=str,
)
def test_what_is_odd_but_taken_is_not_refused(fields: dict[str, Any]) -> None:
    assert Check(**fields).model_fields_set == fields.keys()


def test_an_alias_is_of_something() -> None:
    with pytest.raises(InvalidRequestError, match="name a service, a node, or both"):
        Check.alias()


def test_a_check_that_consul_tells_of_is_read_whatever_it_is() -> None:
    check = TypeAdapter(Check).validate_json(
        b'{"HTTP": "http://a", "TCP": "a:1", "Status": "great", "TTL": "15s", "Interval": 1e9}'
    )

    assert (check.http_url, check.tcp_address, check.ttl_seconds) == ("http://a", "a:1", 15.0)
    assert (check.status, check.interval) == ("great", 1.0)


def test_a_changed_copy_is_checked_anew() -> None:
    check = Check.ttl(15, id="c1")

    assert check.replace(ttl_seconds=30.0).to_wire() == {"CheckID": "c1", "TTL": "30s"}
    with pytest.raises(InvalidRequestError):
        check.replace(interval=1.0)


DEFINITION = {
    "HTTP": "https://a/",
    "Header": {"Accept": ["*/*"]},
    "Method": "GET",
    "Body": "b",
    "DisableRedirects": True,
    "TLSServerName": "a",
    "TLSSkipVerify": True,
    "TCP": "a:1",
    "TCPUseTLS": True,
    "UDP": "a:2",
    "GRPC": "a:3",
    "GRPCUseTLS": True,
    "H2PING": "a:4",
    "H2PingUseTLS": True,
    "TTL": 15_000_000_000,
    "ScriptArgs": ["true"],
    "DockerContainerID": "f9",
    "Shell": "/bin/sh",
    "OSService": "sshd",
    "AliasService": "web1",
    "AliasNode": "n1",
    "Interval": "10s",
    "Timeout": "1s",
    "DeregisterCriticalServiceAfter": "1m30s",
    "OutputMaxSize": 4096,
}


def test_nothing_of_a_definition_is_lost() -> None:
    definition = TypeAdapter(CheckDefinition).validate_json(json.dumps(DEFINITION))

    assert lost(DEFINITION, definition) == []
    assert (definition.ttl, definition.deregister_critical_service_after) == (15.0, 90.0)


# -- several of them -------------------------------------------------------------------------------


def checks(*statuses: str) -> list[HealthCheck]:
    return [HealthCheck(check_id=f"c{n}", status=status) for n, status in enumerate(statuses)]


@pytest.mark.parametrize(
    ("several", "status"),
    [
        (checks(), "passing"),
        (checks("passing"), "passing"),
        (checks("passing", "warning", "passing"), "warning"),
        (checks("critical", "warning", "passing"), "critical"),
        (checks("passing", "great"), ""),
        ([HealthCheck(check_id="_node_maintenance", status="critical")], "maintenance"),
        (
            [*checks("critical"), HealthCheck(check_id="_service_maintenance:web1")],
            "maintenance",
        ),
    ],
    ids=str,
)
def test_the_status_of_several_checks_is_the_worst_of_them(
    several: list[HealthCheck], status: str
) -> None:
    assert aggregated(several) == status
