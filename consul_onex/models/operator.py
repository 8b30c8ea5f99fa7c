"""The servers themselves: raft, autopilot, gossip keys, and what Consul Enterprise adds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Any

from pydantic import Field

from ._base import U64, Definition, Duration, Nanoseconds, Received, Secret, Time, named

__all__ = [
    "Area",
    "AreaDefinition",
    "AreaJoin",
    "AreaMember",
    "AuditHash",
    "AuditInput",
    "AutopilotConfiguration",
    "AutopilotHealth",
    "AutopilotServer",
    "AutopilotState",
    "AutopilotUpgrade",
    "AutopilotZone",
    "AutopilotZoneVersions",
    "FeatureGate",
    "FeatureGateChange",
    "GossipKey",
    "KeyringResponse",
    "License",
    "LicenseReply",
    "RaftConfiguration",
    "RaftServer",
    "ServerHealth",
    "ServiceUsage",
    "Usage",
]


# -- raft ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class RaftServer(Received):
    """
    A server of the raft cluster.

    `node` is `(unknown)` where raft has a server that the catalog does not. Older servers do not
    say their `last_index`.
    """

    id: str = ""
    node: str = ""
    address: str = ""
    leader: bool = False
    protocol_version: str = ""
    voter: bool = False
    last_index: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class RaftConfiguration(Received):
    """Who is in the raft cluster, and the raft index of that."""

    servers: list[RaftServer] = field(default_factory=list)
    index: int = 0


# -- gossip --------------------------------------------------------------------------------------


class GossipKey(Definition):
    """A key that gossip is encrypted with: 16, 24 or 32 bytes in base64."""

    key: Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyringResponse(Received):
    """
    The keys of one gossip pool.

    `keys` and `primary_keys` say on how many of its `num_nodes` each key is installed, and is the
    one that is used. The keys of these mappings are the gossip keys, which are secret; so no repr
    shows them. `messages` is what single nodes had to say.
    """

    wan: bool = False
    datacenter: str = ""
    segment: str = ""
    partition: str | None = None
    messages: dict[str, str] = field(default_factory=dict)
    keys: dict[str, int] = field(default_factory=dict, repr=False)
    primary_keys: dict[str, int] = field(default_factory=dict, repr=False)
    num_nodes: int = 0


# -- autopilot -----------------------------------------------------------------------------------

# As long as a message takes, and a Duration is written to the millisecond.
LastContact = Nanoseconds


class AutopilotConfiguration(Definition):
    """
    What autopilot does by itself.

    It is written as a whole, and what is not given becomes 0, "" or False, not what Consul starts
    with: read it, and write it back with `replace`.

    A server is unhealthy when it was without the leader for more than `last_contact_threshold`
    seconds, or is more than `max_trailing_logs` entries behind. A new one votes after it was
    healthy for `server_stabilization_time` seconds. Dead ones are removed when another one joins
    (`cleanup_dead_servers`), as long as `min_quorum` stay. The others are for Consul Enterprise.
    """

    cleanup_dead_servers: bool = False
    last_contact_threshold: Duration = 0.0
    max_trailing_logs: U64 = 0
    min_quorum: Annotated[int, Field(ge=0, lt=2**32)] = 0
    server_stabilization_time: Duration = 0.0
    redundancy_zone_tag: str = ""
    disable_upgrade_migration: bool = False
    upgrade_version_tag: str = ""
    create_index: int = 0
    modify_index: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerHealth(Received):
    """
    How a server is doing, as the leader sees it.

    `last_contact` is how many seconds ago it heard of the leader, and below 0 where it cannot be
    asked. `stable_since` is since when it is as `healthy` as it is.
    """

    id: str = ""
    name: str = ""
    address: str = ""
    serf_status: str = ""
    version: str = ""
    leader: bool = False
    last_contact: LastContact = 0.0
    last_term: int = 0
    last_index: int = 0
    healthy: bool = False
    voter: bool = False
    stable_since: Time = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AutopilotHealth(Received):
    """
    How the servers are doing.

    `failure_tolerance` is how many of them could fail without an outage. `servers` is empty while
    a new leader has not looked yet.
    """

    healthy: bool = False
    failure_tolerance: int = 0
    servers: list[ServerHealth] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class AutopilotServer(Received):
    """
    A server, as autopilot sees it.

    `status` is its part in raft: `leader`, `voter`, `non-voter`, `staging`, `none`; `node_type` is
    the part that autopilot wants it to have. `last_contact` is in seconds, and below 0 where it
    cannot be asked.
    """

    id: str = ""
    name: str = ""
    address: str = ""
    node_status: str = ""
    version: str = ""
    last_contact: LastContact = 0.0
    last_term: int = 0
    last_index: int = 0
    healthy: bool = False
    stable_since: Time = None
    redundancy_zone: str = ""
    upgrade_version: str = ""
    read_replica: bool = False
    status: str = ""
    meta: dict[str, str] = field(default_factory=dict)
    node_type: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AutopilotZone(Received):
    """A redundancy zone: the ids of its servers, and how many of them could fail."""

    servers: list[str] = field(default_factory=list)
    voters: list[str] = field(default_factory=list)
    failure_tolerance: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class AutopilotZoneVersions(Received):
    """The servers of a redundancy zone, by whether they run the version upgraded to."""

    target_version_voters: list[str] = field(default_factory=list)
    target_version_non_voters: list[str] = field(default_factory=list)
    other_version_voters: list[str] = field(default_factory=list)
    other_version_non_voters: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class AutopilotUpgrade(Received):
    """
    An upgrade that autopilot conducts, and the ids of the servers by their version.

    `status` is `idle`, `await-new-voters`, `promoting`, `demoting`, `leader-transfer`,
    `await-new-servers`, `await-server-removal` or `disabled`.
    """

    status: str = ""
    target_version: str = ""
    target_version_voters: list[str] = field(default_factory=list)
    target_version_non_voters: list[str] = field(default_factory=list)
    target_version_read_replicas: list[str] = field(default_factory=list)
    other_version_voters: list[str] = field(default_factory=list)
    other_version_non_voters: list[str] = field(default_factory=list)
    other_version_read_replicas: list[str] = field(default_factory=list)
    redundancy_zones: dict[str, AutopilotZoneVersions] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class AutopilotState(Received):
    """
    The servers by their id, and autopilot's thoughts on them.

    `leader`, `voters` and `read_replicas` are ids. `failure_tolerance` is how many servers could
    fail at once without an outage; `optimistic_failure_tolerance` how many if they fail one after
    the other, with time for autopilot between.
    """

    healthy: bool = False
    failure_tolerance: int = 0
    optimistic_failure_tolerance: int = 0
    servers: dict[str, AutopilotServer] = field(default_factory=dict)
    leader: str = ""
    voters: list[str] = field(default_factory=list)
    read_replicas: list[str] = field(default_factory=list)
    redundancy_zones: dict[str, AutopilotZone] = field(default_factory=dict)
    upgrade: AutopilotUpgrade | None = None


# -- usage ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceUsage(Received):
    """
    How much a datacenter has of what.

    Instances of the mesh are counted by their kind; those that are billable are neither proxies
    nor servers. `partition_namespace_...` are the same by partition, then by namespace (Consul
    Enterprise).
    """

    nodes: int = 0
    services: int = 0
    service_instances: int = 0
    connect_service_instances: dict[str, int] = field(default_factory=dict)
    billable_service_instances: int = 0
    partition_namespace_services: dict[str, dict[str, int]] = field(default_factory=dict)
    partition_namespace_service_instances: dict[str, dict[str, int]] = field(default_factory=dict)
    partition_namespace_connect_service_instances: dict[str, dict[str, dict[str, int]]] = field(
        default_factory=dict
    )
    partition_namespace_billable_service_instances: dict[str, dict[str, int]] = field(
        default_factory=dict
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage(Received):
    """
    How much each datacenter has of what.

    The other fields are the answer's metadata, which a cursor has as well.
    """

    usage: dict[str, ServiceUsage] = field(default_factory=dict)
    index: int = 0
    last_contact: LastContact = 0.0
    known_leader: bool = False
    consistency_level: str = ""
    not_modified: bool = False
    backend: int = 0
    results_filtered_by_acls: Annotated[bool, named("ResultsFilteredByACLs")] = False


# -- feature gates -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureGate(Received):
    """
    A switch for something new, in the whole datacenter.

    `desired_enabled` is what was asked for, by whoever `source` says (`registry-default`,
    `bootstrap`, `operator`); `effective_enabled` is what is, and `reason` why. They differ as long
    as not every server runs `min_version` (then it is not `eligible`). `policy_index` is what
    `cas` compares.
    """

    name: str = ""
    stage: str = ""
    min_version: str = ""
    default_enabled: bool = False
    before_minimum_version: str = ""
    description: str = ""
    owner: str = ""
    desired_enabled: bool = False
    effective_enabled: bool = False
    eligible: bool = False
    source: str = ""
    reason: str = ""
    policy_index: int = 0
    status_index: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureGateChange(Received):
    """Whether a gate was set, and how it is now. It was not `applied` where `cas` was outdated."""

    applied: bool = False
    feature: FeatureGate = field(default_factory=FeatureGate)


# -- license -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class License(Received):
    """A license of Consul Enterprise."""

    license_id: Annotated[str, named("license_id")] = ""
    customer_id: Annotated[str, named("customer_id")] = ""
    installation_id: Annotated[str, named("installation_id")] = ""
    issue_time: Annotated[Time, named("issue_time")] = None
    start_time: Annotated[Time, named("start_time")] = None
    expiration_time: Annotated[Time, named("expiration_time")] = None
    termination_time: Annotated[Time, named("termination_time")] = None
    product: Annotated[str, named("product")] = ""
    flags: Annotated[dict[str, Any], named("flags")] = field(default_factory=dict)
    modules: Annotated[list[str], named("modules")] = field(default_factory=list)
    features: Annotated[list[str], named("features")] = field(default_factory=list)
    temporary: Annotated[bool, named("temporary")] = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LicenseReply(Received):
    """A license, and what Consul thinks of it."""

    valid: bool = False
    license: License | None = None
    warnings: list[str] = field(default_factory=list)


# -- audit log -----------------------------------------------------------------------------------


class AuditInput(Definition):
    """What to find in the audit log."""

    input: Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditHash(Received):
    """What the audit log has in the place of a value."""

    hash: str = ""


# -- network areas -------------------------------------------------------------------------------


class AreaDefinition(Definition):
    """A network area to create; `c.operator.area.create` says what the fields mean."""

    peer_datacenter: str
    retry_join: list[str] | None = None
    use_tls: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Area(Received):
    """A network area: the servers of this datacenter and of `peer_datacenter`, linked."""

    id: str = ""
    peer_datacenter: str = ""
    retry_join: list[str] = field(default_factory=list)
    use_tls: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AreaJoin(Received):
    """Whether the server at an address joined, and if not, why."""

    address: str = ""
    joined: bool = False
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AreaMember(Received):
    """
    A server in a network area.

    `status` is `alive`, `leaving`, `left` or `failed`. `rtt` is how many seconds it is away and
    back, and below 0 where that is not known.
    """

    id: str = ""
    name: str = ""
    addr: str = ""
    port: int = 0
    datacenter: str = ""
    role: str = ""
    build: str = ""
    protocol: int = 0
    status: str = ""
    rtt: Nanoseconds = 0.0
