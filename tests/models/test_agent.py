"""What an agent says of itself: as documented, with holes, and damaged."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, TypeVar

import pytest
from pydantic import TypeAdapter, ValidationError

from consul_onex.models.agent import (
    AgentHealth,
    AgentHost,
    AgentMember,
    AgentMetrics,
    AgentSelf,
    AgentVersion,
    CertificateReport,
)
from tests.support.lossless import lost
from tests.walk.agent import CERTIFICATES, MEMBER, METRICS, SELF

T = TypeVar("T")


def read(type_: type[T], said: Any) -> T:
    return TypeAdapter(type_).validate_json(json.dumps(said))


HOST = {
    "Memory": {"total": 8192864256, "usedPercent": 17.17, "writeBack": 0},
    "CPU": [{"cpu": 0, "vendorId": "", "flags": ["fp", "asimd"], "mhz": 1500}],
    "Host": {"hostname": "n1", "uptime": 6855759},
    "Disk": {"path": "/", "inodesFree": 7241992},
    "CollectionTime": 1627082496166088783,
    "Errors": None,
}

VERSION = {
    "SHA": "e8d4d78",
    "BuildDate": "2025-10-24T15:30:00Z",
    "HumanVersion": "1.22.0+ent.fips1402",
    "FIPS": "FIPS 140-2 Enabled, crypto module boringcrypto",
}

HEALTH = {
    "AggregatedStatus": "critical",
    "Service": {
        "ID": "web2",
        "Service": "web",
        "Tags": ["rails"],
        "Meta": {},
        "Port": 80,
        "Address": "",
        "SocketPath": "",
        "TaggedAddresses": {"wan": {"Address": "198.51.100.54", "Port": 80}},
        "Weights": {"Passing": 1, "Warning": 1},
        "EnableTagOverride": False,
        "Namespace": "default",
        "Datacenter": "dc1",
    },
    "Checks": [
        {
            "Node": "server1",
            "CheckID": "service:web2",
            "Name": "Service 'web' check",
            "Status": "critical",
            "Notes": "",
            "Output": 'Get "http://localhost/health": dial tcp: connect: connection refused',
            "ServiceID": "web2",
            "ServiceName": "web",
            "ServiceTags": ["rails"],
            "Type": "",
            "Namespace": "default",
            "Definition": {
                "Interval": "0s",
                "Timeout": "0s",
                "DeregisterCriticalServiceAfter": "0s",
                "HTTP": "",
                "Header": None,
                "Method": "",
                "Body": "",
                "TLSServerName": "",
                "TLSSkipVerify": False,
                "TCP": "",
            },
            "CreateIndex": 0,
            "ModifyIndex": 0,
        }
    ],
}


@pytest.mark.parametrize(
    ("type_", "said"),
    [
        (AgentSelf, SELF.answer),
        (AgentHost, HOST),
        (AgentVersion, VERSION),
        (AgentMember, MEMBER),
        (AgentMetrics, METRICS),
        (AgentHealth, HEALTH),
        (CertificateReport, CERTIFICATES.answer),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else "",
)
def test_nothing_that_is_documented_is_lost(type_: type[Any], said: Any) -> None:
    assert lost(said, read(type_, said)) == []


@pytest.mark.parametrize(
    "type_", [AgentSelf, AgentHost, AgentVersion, AgentMember, AgentMetrics, CertificateReport]
)
def test_what_is_left_out_is_empty(type_: type[Any]) -> None:
    nothing = read(type_, {})

    assert nothing == type_()
    assert read(type_, dict.fromkeys(nothing.to_wire())) == nothing


def test_a_configuration_is_not_shown() -> None:
    myself = read(AgentSelf, {"DebugConfig": {"Services": [{"Token": "5f5f"}]}})

    assert myself.debug_config["Services"] == [{"Token": "5f5f"}]
    assert "5f5f" not in repr(myself)


SEVEN = datetime(2026, 11, 23, 7, 56, 50, tzinfo=UTC)


@pytest.mark.parametrize(
    ("said", "time"),
    [
        ("2026-11-23 07:56:50 +0000 UTC", SEVEN),
        ("2026-11-23 09:56:50 +0200 CEST", SEVEN.astimezone(timezone(timedelta(hours=2)))),
        ("2026-11-23 07:56:50.25 +0000 UTC", SEVEN.replace(microsecond=250_000)),
        ("2026-11-23T07:56:50Z", SEVEN),
        ("0001-01-01 00:00:00 +0000 UTC", None),
        ("", None),
        (None, None),
    ],
)
def test_the_time_of_metrics_is_read_as_go_prints_it(
    said: str | None, time: datetime | None
) -> None:
    assert read(AgentMetrics, {"Timestamp": said}).timestamp == time


@pytest.mark.parametrize("said", ["yesterday", "2026-11-23 UTC", {}], ids=str)
def test_what_is_no_time_is_refused(said: Any) -> None:
    with pytest.raises(ValidationError):
        read(AgentMetrics, {"Timestamp": said})


def test_a_time_is_written_as_it_came() -> None:
    metrics = AgentMetrics(timestamp=SEVEN.astimezone(timezone(timedelta(hours=2))))

    assert metrics.to_wire()["Timestamp"] == "2026-11-23 07:56:50 +0000 UTC"
    assert "Timestamp" not in AgentMetrics().to_wire()
