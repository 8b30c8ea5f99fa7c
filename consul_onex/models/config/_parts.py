"""What entries of several kinds are made of."""

from __future__ import annotations

from typing import Annotated, Final, TypeVar

from pydantic import BaseModel

from .._base import Definition, Duration, Time, named

__all__ = [
    "WITH_STATUS",
    "ClaimVerification",
    "Condition",
    "EntryStatus",
    "FailoverPolicy",
    "GatewayTLS",
    "HTTPHeaderModifiers",
    "HeadersKB",
    "JWTRequirement",
    "PassiveHealthCheck",
    "PrioritizeByLocality",
    "RequiredJWTProvider",
    "ResourceReference",
    "SDSCertificate",
    "ServiceTLS",
    "UpstreamLimits",
    "with_kind",
]

WITH_STATUS: Final = frozenset({"create_index", "modify_index", "hash", "status"})
"""What only the server writes of an entry that it tells the state of."""

Entry = TypeVar("Entry", bound=BaseModel)

HeadersKB = Annotated[int | None, named("MaxRequestHeadersKB")]
"""How many kilobytes of headers a request may have."""


def with_kind(entry: Entry) -> Entry:
    """Count the kind and the name of an entry as given: they are always sent."""
    entry.model_fields_set.update({"kind", "name"} & type(entry).model_fields.keys())
    return entry


class UpstreamLimits(Definition):
    """How much a proxy asks of a service at once; what is not given is up to the proxy."""

    max_connections: int | None = None
    max_pending_requests: int | None = None
    max_concurrent_requests: int | None = None


class PassiveHealthCheck(Definition):
    """When a proxy stops asking an instance that fails. Times are seconds."""

    interval: Duration = 0.0
    max_failures: int = 0
    enforcing_consecutive_5xx: int | None = None
    """The chance, in per cent, that a failing instance is left out."""
    max_ejection_percent: int | None = None
    base_ejection_time: Duration | None = None


class HTTPHeaderModifiers(Definition):
    """How the headers of a request or a response are changed on the way."""

    add: dict[str, str] = {}
    set: dict[str, str] = {}
    remove: list[str] = []


class FailoverPolicy(Definition):
    """In which order the targets of a failover are tried (Enterprise)."""

    mode: str = ""
    """`sequential`, which is the default, or `order-by-locality`."""
    regions: list[str] = []


class PrioritizeByLocality(Definition):
    """Whether instances nearby go first (Enterprise)."""

    mode: str = ""
    """`none`, which is the default, or `failover`."""


class SDSCertificate(Definition):
    """A certificate that Envoy fetches from a secret discovery service (since Consul 1.11)."""

    cluster_name: str = ""
    cert_resource: str = ""


class GatewayTLS(Definition):
    """How a gateway, or one of its listeners, does TLS with those outside the mesh."""

    enabled: bool = False
    sds: SDSCertificate | None = None
    tls_min_version: str = ""
    """`TLSv1_2` and so on."""
    tls_max_version: str = ""
    cipher_suites: list[str] = []


class ServiceTLS(Definition):
    """The certificate of one service behind a gateway, instead of the listener's."""

    sds: SDSCertificate | None = None


class ClaimVerification(Definition):
    """A claim that must be in a token: at this path, with this value."""

    path: list[str] = []
    value: str = ""


class RequiredJWTProvider(Definition):
    """A `jwt-provider` entry whose tokens are accepted, where they hold these claims."""

    name: str
    verify_claims: list[ClaimVerification] = []


class JWTRequirement(Definition):
    """A request must come with a token of one of these providers (since Consul 1.16)."""

    providers: list[RequiredJWTProvider] = []


class ResourceReference(Definition):
    """Another entry, or a section of it: a listener of a gateway."""

    kind: str = ""
    name: str = ""
    section_name: str = ""
    namespace: str | None = None
    partition: str | None = None


class Condition(Definition):
    """One thing that Consul has found out about an entry."""

    type: str = ""
    status: str = ""
    """`True`, `False` or `Unknown`."""
    reason: str = ""
    message: str = ""
    resource: ResourceReference | None = None
    last_transition_time: Time = None


class EntryStatus(Definition):
    """What Consul has found out about an entry. Only Consul writes it."""

    conditions: list[Condition] = []
