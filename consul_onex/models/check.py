"""Health checks: as they are registered, and as Consul tells of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Final, Self, TypedDict, Unpack

from pydantic import Field, SecretStr, ValidationInfo, model_validator

from ..errors import InvalidRequestError
from ._base import Definition, Duration, NoneIfEmpty, Received, Secret, Tolerant, named, of_peer

__all__ = [
    "Check",
    "CheckDefinition",
    "CheckOptions",
    "CheckStatus",
    "HealthCheck",
    "aggregated",
]

Interval = Annotated[Duration, Field(gt=0)]


class CheckOptions(TypedDict, total=False):
    """What every kind of check can be given: the common fields of `Check`."""

    name: str
    id: str
    notes: str
    status: str
    success_before_passing: int
    failures_before_warning: int
    failures_before_critical: int
    deregister_critical_service_after: float
    output_max_size: int
    service_id: str
    token: SecretStr
    namespace: str
    partition: str


class Check(Definition):
    """
    A health check, made by one of the methods below, each a kind of check.

        Check.http("http://10.0.0.5:8080/health", interval=10, timeout=2)
        Check.ttl(15, status="passing")

    Times are seconds. A check starts as `critical` unless `status` says otherwise. A service whose
    check is critical for `deregister_critical_service_after` (a minute or more) is deregistered.
    `id` is unique per agent; where it is not given it is the check's name, or for one that is
    registered with its service `service:` and the service's id. `token` is for a check that is
    registered by itself.

    https://developer.hashicorp.com/consul/docs/register/health-check/vm
    """

    name: str | None = None
    id: Annotated[str | None, named("CheckID")] = None
    notes: str | None = None
    service_id: str | None = None
    """Which service it is for, where it is registered by itself; not given for the node."""
    status: str | None = None
    """`passing`, `warning` or `critical`: what it is until it first ran."""
    interval: Interval | None = None
    timeout: Interval | None = None
    success_before_passing: int | None = None
    failures_before_warning: int | None = None
    failures_before_critical: int | None = None
    deregister_critical_service_after: Interval | None = None
    output_max_size: int | None = None
    tls_server_name: str | None = None
    tls_skip_verify: bool | None = None
    token: Secret | None = None
    namespace: str | None = None
    partition: str | None = None

    http_url: Annotated[str | None, named("HTTP")] = None
    method: str | None = None
    header: dict[str, list[str]] | None = None
    body_text: Annotated[str | None, named("Body")] = None
    disable_redirects: bool | None = None
    tcp_address: Annotated[str | None, named("TCP")] = None
    tcp_use_tls: bool | None = None
    udp_address: Annotated[str | None, named("UDP")] = None
    grpc_address: Annotated[str | None, named("GRPC")] = None
    grpc_use_tls: bool | None = None
    h2ping_address: Annotated[str | None, named("H2PING")] = None
    h2ping_use_tls: Annotated[bool | None, named("H2PingUseTLS")] = None
    ttl_seconds: Annotated[Interval | None, named("TTL")] = None
    args: list[str] | None = None
    docker_container_id: str | None = None
    shell: str | None = None
    os_service_name: Annotated[str | None, named("OSService")] = None
    alias_service: str | None = None
    alias_node: str | None = None

    @model_validator(mode="after")
    def _makes_sense(self, info: ValidationInfo) -> Self:
        if info.mode == "python":
            kinds = [kind for kind, fields in _KINDS.items() if self._has(fields)]
            if len(kinds) > 1:
                raise ValueError(f"a check is of one kind, not {' and '.join(kinds)}")
            if self._has(_POLLED) and self.interval is None:
                raise ValueError(f"a check of the kind {kinds[0]} needs an interval")
            if kinds == ["ttl"] and self.interval is not None:
                raise ValueError("a check of the kind ttl has no interval")
            if self.status not in (None, "", *_BY_URGENCY):
                raise ValueError(f"a check's status is one of {', '.join(_BY_URGENCY)}")
        return self

    def _has(self, fields: Iterable[str]) -> bool:
        return any(getattr(self, field) is not None for field in fields)

    # -- kinds -------------------------------------------------------------------------------------

    @classmethod
    def http(
        cls,
        url: str,
        *,
        interval: float,
        timeout: float | None = None,
        method: str | None = None,
        header: Mapping[str, Sequence[str]] | None = None,
        body: str | None = None,
        disable_redirects: bool | None = None,
        tls_server_name: str | None = None,
        tls_skip_verify: bool | None = None,
        **options: Unpack[CheckOptions],
    ) -> Self:
        """Ask a URL: passing for 2xx, warning for 429, critical otherwise."""
        return cls._made(
            options,
            http_url=url,
            interval=interval,
            timeout=timeout,
            method=method,
            header=None if header is None else {k: list(v) for k, v in header.items()},
            body_text=body,
            disable_redirects=disable_redirects,
            tls_server_name=tls_server_name,
            tls_skip_verify=tls_skip_verify,
        )

    @classmethod
    def tcp(
        cls,
        address: str,
        *,
        interval: float,
        timeout: float | None = None,
        use_tls: bool | None = None,
        tls_server_name: str | None = None,
        tls_skip_verify: bool | None = None,
        **options: Unpack[CheckOptions],
    ) -> Self:
        """Connect to `host:port`; `use_tls` came with Consul 1.16."""
        return cls._made(
            options,
            tcp_address=address,
            interval=interval,
            timeout=timeout,
            tcp_use_tls=use_tls,
            tls_server_name=tls_server_name,
            tls_skip_verify=tls_skip_verify,
        )

    @classmethod
    def udp(
        cls,
        address: str,
        *,
        interval: float,
        timeout: float | None = None,
        **options: Unpack[CheckOptions],
    ) -> Self:
        """Send a datagram to `host:port`: critical when it is refused. Since Consul 1.13."""
        return cls._made(options, udp_address=address, interval=interval, timeout=timeout)

    @classmethod
    def grpc(
        cls,
        address: str,
        *,
        interval: float,
        timeout: float | None = None,
        use_tls: bool | None = None,
        tls_server_name: str | None = None,
        tls_skip_verify: bool | None = None,
        **options: Unpack[CheckOptions],
    ) -> Self:
        """Ask `host:port`, or `host:port/service`, by gRPC's health checking protocol."""
        return cls._made(
            options,
            grpc_address=address,
            interval=interval,
            timeout=timeout,
            grpc_use_tls=use_tls,
            tls_server_name=tls_server_name,
            tls_skip_verify=tls_skip_verify,
        )

    @classmethod
    def h2ping(
        cls,
        address: str,
        *,
        interval: float,
        timeout: float | None = None,
        use_tls: bool | None = None,
        tls_server_name: str | None = None,
        tls_skip_verify: bool | None = None,
        **options: Unpack[CheckOptions],
    ) -> Self:
        """Ping `host:port` by HTTP/2, by TLS unless told otherwise. Since Consul 1.10."""
        return cls._made(
            options,
            h2ping_address=address,
            interval=interval,
            timeout=timeout,
            h2ping_use_tls=use_tls,
            tls_server_name=tls_server_name,
            tls_skip_verify=tls_skip_verify,
        )

    @classmethod
    def ttl(cls, seconds: float, **options: Unpack[CheckOptions]) -> Self:
        """Wait to be told: critical when `c.agent.check_pass` was not called for so long."""
        return cls._made(options, ttl_seconds=seconds)

    @classmethod
    def script(
        cls,
        args: Sequence[str],
        *,
        interval: float,
        timeout: float | None = None,
        **options: Unpack[CheckOptions],
    ) -> Self:
        """
        Run a program on the agent's machine: passing for 0, warning for 1, critical otherwise.

        The agent must have `enable_script_checks`.
        """
        return cls._made(options, args=list(args), interval=interval, timeout=timeout)

    @classmethod
    def docker(
        cls,
        container_id: str,
        args: Sequence[str],
        *,
        interval: float,
        timeout: float | None = None,
        shell: str | None = None,
        **options: Unpack[CheckOptions],
    ) -> Self:
        """Run a program in a Docker container, as `script` does on the machine."""
        return cls._made(
            options,
            docker_container_id=container_id,
            args=list(args),
            interval=interval,
            timeout=timeout,
            shell=shell,
        )

    @classmethod
    def os_service(
        cls,
        service: str,
        *,
        interval: float,
        timeout: float | None = None,
        **options: Unpack[CheckOptions],
    ) -> Self:
        """Ask the operating system whether a service of its own runs. Since Consul 1.14."""
        return cls._made(options, os_service_name=service, interval=interval, timeout=timeout)

    @classmethod
    def alias(
        cls,
        *,
        service: str | None = None,
        node: str | None = None,
        **options: Unpack[CheckOptions],
    ) -> Self:
        """
        Be as another service (by its id) or another node is; both for a service there.

        Agents of Consul 1.8 crash when they do not know the node.
        """
        if service is None and node is None:
            raise InvalidRequestError("Check.alias: name a service, a node, or both")
        return cls._made(options, alias_service=service, alias_node=node)

    @classmethod
    def _made(cls, options: CheckOptions, **fields: Any) -> Self:
        return cls(**fields, **options)


# What says of a check that it is of that kind.
_KINDS: Final = {
    "http": ("http_url",),
    "tcp": ("tcp_address",),
    "udp": ("udp_address",),
    "grpc": ("grpc_address",),
    "h2ping": ("h2ping_address",),
    "script": ("args",),
    "os_service": ("os_service_name",),
    "ttl": ("ttl_seconds",),
    "alias": ("alias_service", "alias_node"),
}

_POLLED: Final = [field for kind in _KINDS.keys() - {"ttl", "alias"} for field in _KINDS[kind]]


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckDefinition(Received):
    """
    How a check is done, where it was registered with the servers rather than with an agent.

    Times are seconds, and 0 where Consul says nothing.
    """

    http: str = ""
    header: dict[str, list[str]] = field(default_factory=dict)
    method: str = ""
    body: str = ""
    disable_redirects: bool = False
    tls_server_name: str = ""
    tls_skip_verify: bool = False
    tcp: str = ""
    tcp_use_tls: bool = False
    udp: str = ""
    grpc: str = ""
    grpc_use_tls: bool = False
    h2ping: Annotated[str, named("H2PING")] = ""
    h2ping_use_tls: Annotated[bool, named("H2PingUseTLS")] = False
    ttl: Duration = 0.0
    script_args: list[str] = field(default_factory=list)
    docker_container_id: str = ""
    shell: str = ""
    os_service: str = ""
    alias_service: str = ""
    alias_node: str = ""
    interval: Duration = 0.0
    timeout: Duration = 0.0
    deregister_critical_service_after: Duration = 0.0
    output_max_size: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthCheck(Received):
    """
    A check and how it went.

    `status` is `passing`, `warning` or `critical`; `output` is what it said when it last ran.
    `service_id` is empty for a check of the node. `interval` and `timeout` are seconds, and 0 where
    Consul does not say, which before 1.10 it never does. The time-to-live of a check is never told.
    `definition` is None where an agent does the check.
    """

    node: str = ""
    check_id: str = ""
    name: str = ""
    status: str = ""
    notes: str = ""
    output: str = ""
    service_id: str = ""
    service_name: str = ""
    service_tags: list[str] = field(default_factory=list)
    type: str = ""
    interval: Duration = 0.0
    timeout: Duration = 0.0
    exposed_port: int = 0
    definition: Annotated[CheckDefinition | None, NoneIfEmpty] = None
    peer_name: str | None = None
    namespace: str | None = None
    partition: str | None = None
    create_index: int = 0
    modify_index: int = 0

    @property
    def identity(self) -> tuple[str, ...]:
        """What tells it from other checks: its node and its id, after its peer if any."""
        return of_peer(self.peer_name, self.node, self.check_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckStatus(Tolerant):
    """Which check, and its status: `passing`, `warning` or `critical`."""

    check_id: str = ""
    status: str = ""


_NODE_MAINTENANCE: Final = "_node_maintenance"
_SERVICE_MAINTENANCE: Final = "_service_maintenance:"
_BY_URGENCY: Final = ("critical", "warning", "passing")


def aggregated(checks: Sequence[HealthCheck | CheckStatus]) -> str:
    """
    The one status of several checks: `maintenance`, else the worst of them; `passing` for none.

    Empty when one has a status that Consul does not know.
    """
    if any(
        check.check_id == _NODE_MAINTENANCE or check.check_id.startswith(_SERVICE_MAINTENANCE)
        for check in checks
    ):
        return "maintenance"
    statuses = {check.status for check in checks}
    if statuses - set(_BY_URGENCY):
        return ""
    return next((status for status in _BY_URGENCY if status in statuses), "passing")
