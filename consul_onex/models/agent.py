"""The agent itself: what it says of itself, of its host and of the cluster around it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC
from typing import Annotated, Any, ClassVar, Final

from pydantic import BeforeValidator, ConfigDict, PlainSerializer

from ._base import WIRE, Definition, Received, Secret, Time, named
from .check import HealthCheck
from .coordinate import Coordinate
from .service import AgentService

__all__ = [
    "AgentConfig",
    "AgentHealth",
    "AgentHost",
    "AgentMember",
    "AgentMetrics",
    "AgentSelf",
    "AgentToken",
    "AgentVersion",
    "AgentXDS",
    "AgentXDSPorts",
    "CertificateExpiry",
    "CertificateReport",
    "CertificateSummary",
    "CertificateThresholds",
    "CheckUpdate",
    "ConnectAuthorization",
    "ConnectAuthorizationRequest",
    "Gauge",
    "Point",
    "RenewalFailure",
    "Sample",
]

# "2026-11-23 07:56:50 +0000 UTC"
_GO_TIME: Final = re.compile(r"(\d{4}-\d\d-\d\d) (\d\d:\d\d:\d\d(?:\.\d+)?) ([+-]\d\d)(\d\d)\b.*")


def _read_go_time(value: Any) -> Any:
    if isinstance(value, str):
        return _GO_TIME.sub(r"\1T\2\3:\4", value) or None
    return value


GoTime = Annotated[
    Time,
    BeforeValidator(_read_go_time),
    PlainSerializer(
        lambda time: f"{time.astimezone(UTC):%Y-%m-%d %H:%M:%S} +0000 UTC",
        return_type=str,
        when_used="json-unless-none",
    ),
]
"""A point in time, where Consul writes it as Go prints it."""

# Where Consul's names are ours.
_SNAKE: Final = WIRE | ConfigDict(alias_generator=None)


# -- who it is -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentConfig(Received):
    """
    The part of an agent's configuration that stays the same from release to release.

    `server` is False for a client agent. Old ones do not tell their `primary_datacenter` and
    `build_date`.
    """

    datacenter: str = ""
    primary_datacenter: str = ""
    node_name: str = ""
    node_id: str = ""
    partition: str | None = None
    revision: str = ""
    server: bool = False
    version: str = ""
    build_date: Time = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentMember(Received):
    """
    A member of the gossip pool.

    `status` is 1 while it is alive, 2 when it is leaving, 3 when it has left, 4 when it failed.
    `tags` say more: `role` is `consul` for a server and `node` for a client agent, `dc` its
    datacenter, `build` its version. In the WAN its name ends with the datacenter's: `n1.dc1`.
    """

    name: str = ""
    addr: str = ""
    port: int = 0
    tags: dict[str, str] = field(default_factory=dict)
    status: int = 0
    protocol_min: int = 0
    protocol_max: int = 0
    protocol_cur: int = 0
    delegate_min: int = 0
    delegate_max: int = 0
    delegate_cur: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentXDSPorts(Received):
    """Where an agent serves proxies: without and with TLS; -1 where it does not."""

    plaintext: int = 0
    tls: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentXDS(Received):
    """What an agent offers to proxies: for each kind, the versions that it knows."""

    supported_proxies: dict[str, list[str]] = field(default_factory=dict)
    port: int = 0
    ports: AgentXDSPorts = field(default_factory=AgentXDSPorts)


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentSelf(Received):
    """
    An agent, as it knows itself.

    `debug_config` is all of its configuration and `stats` its internal counters, as text: both
    differ from release to release. `meta` is its node's metadata.
    """

    config: AgentConfig = field(default_factory=AgentConfig)
    # Consul hides the secrets that it knows of; free-form parts may hold others.
    debug_config: dict[str, Any] = field(default_factory=dict, repr=False)
    coord: Coordinate | None = None
    member: AgentMember = field(default_factory=AgentMember)
    stats: dict[str, dict[str, str]] = field(default_factory=dict)
    meta: dict[str, str] = field(default_factory=dict)
    xds: Annotated[AgentXDS | None, named("xDS")] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentVersion(Received):
    """Which build an agent is; `fips` is empty for one without validated cryptography."""

    sha: str = ""
    build_date: Time = None
    human_version: str = ""
    fips: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentHost(Received):
    """
    The machine an agent runs on, as its operating system tells.

    Consul keeps no promise for what is in `memory`, `cpu`, `host` and `disk`: it differs from
    release to release, even the case of the names. `collection_time` is in nanoseconds since 1970.
    """

    memory: dict[str, Any] = field(default_factory=dict)
    cpu: Annotated[list[dict[str, Any]], named("CPU")] = field(default_factory=list)
    host: dict[str, Any] = field(default_factory=dict)
    disk: dict[str, Any] = field(default_factory=dict)
    collection_time: int = 0
    errors: list[Any] = field(default_factory=list)


# -- how it is doing -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentHealth(Received):
    """
    An instance of a service on an agent, and its checks with those of the node.

    `aggregated_status` is the worst of them: `passing`, `warning`, `critical` or `maintenance`.
    """

    aggregated_status: str = ""
    service: AgentService | None = None
    checks: list[HealthCheck] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gauge(Received):
    """A value as it was at the end of the interval."""

    name: str = ""
    value: float = 0.0
    labels: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Point(Received):
    """All the values that something had during the interval."""

    name: str = ""
    points: list[float] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample(Received):
    """Something that was counted or timed during the interval; `rate` is per second."""

    name: str = ""
    count: int = 0
    rate: float = 0.0
    sum: float = 0.0
    min: float = 0.0
    max: float = 0.0
    mean: float = 0.0
    stddev: float = 0.0
    labels: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentMetrics(Received):
    """What an agent measured of itself in ten seconds, which began at `timestamp`."""

    timestamp: GoTime = None
    gauges: list[Gauge] = field(default_factory=list)
    points: list[Point] = field(default_factory=list)
    counters: list[Sample] = field(default_factory=list)
    samples: list[Sample] = field(default_factory=list)


# -- its certificates ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class RenewalFailure(Received):
    """Why a certificate could not be renewed, and how often that happened in a row."""

    __pydantic_config__: ClassVar[ConfigDict] = _SNAKE

    failure_reason: str = ""
    failure_count: int = 0
    last_attempt: Time = None
    consecutive_rate_limits: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateExpiry(Received):
    """
    A certificate, and how long it is still good.

    `type` is `ca`, `agent`, `leaf` or `gateway`; `severity` is `CRITICAL`, `WARNING` or `INFO`.
    `path` and `node_name` are those of an agent's own certificate.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _SNAKE

    id: str = ""
    name: str = ""
    type: str = ""
    subtype: str = ""
    subject: str = ""
    issuer: str = ""
    not_after: Time = None
    days_remaining: int = 0
    seconds_remaining: int = 0
    severity: str = ""
    severity_score: int = 0
    color: str = ""
    auto_renewable: bool = False
    requires_manual_rotation: bool = False
    ca_provider: str = ""
    path: str = ""
    node_name: str = ""
    renewal_failure: RenewalFailure | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateSummary(Received):
    """How many certificates there are, of each kind, and how many could not be renewed."""

    __pydantic_config__: ClassVar[ConfigDict] = _SNAKE

    total: int = 0
    by_severity: dict[str, int] = field(default_factory=dict)
    by_type: dict[str, int] = field(default_factory=dict)
    total_with_failures: int = 0
    expiring_soon_with_failures: int = 0
    failures_by_reason: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateThresholds(Received):
    """From how many days before its end on a certificate is critical, or worth a warning."""

    __pydantic_config__: ClassVar[ConfigDict] = _SNAKE

    critical_days: int = 0
    warning_days: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateReport(Received):
    """
    When the certificates that an agent knows of expire.

    The agent looks anew every few minutes: this is what it found before where it is `cached`, and
    good until `cache_expires_at`.
    """

    __pydantic_config__: ClassVar[ConfigDict] = _SNAKE

    certificates: list[CertificateExpiry] = field(default_factory=list)
    summary: CertificateSummary = field(default_factory=CertificateSummary)
    thresholds: CertificateThresholds = field(default_factory=CertificateThresholds)
    cached: bool = False
    cache_expires_at: Time = None


# -- what it is asked and told ---------------------------------------------------------------------


class AgentToken(Definition):
    """A token for an agent to use; the empty one takes it away."""

    token: Secret


class CheckUpdate(Definition):
    """How a check of a time-to-live is, told by whoever knows."""

    status: str
    output: str


class ConnectAuthorizationRequest(Definition):
    """Who asks to be let in, and where; `c.agent.connect_authorize` says what the fields mean."""

    target: str
    client_cert_uri: str
    client_cert_serial: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectAuthorization(Received):
    """Whether a connection is to be let in, and why."""

    authorized: bool = False
    reason: str = ""
