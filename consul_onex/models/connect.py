"""The service mesh: its certificate authority, and who may talk to whom."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Final

from pydantic import Field, SecretStr

from ._base import Definition, FreeForm, Received, Secret, Time, named

__all__ = [
    "CAConfiguration",
    "CARoot",
    "CARoots",
    "Intention",
    "IntentionHTTP",
    "IntentionHeader",
    "IntentionJWT",
    "IntentionJWTClaim",
    "IntentionJWTProvider",
    "IntentionPermission",
    "LeafCert",
]

_NO_SECRET: Final = SecretStr("")


# -- certificates --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class CARoot(Received):
    """
    A certificate that the mesh trusts: the active one, and others until what they signed is gone.

    `root_cert` and `intermediate_certs` are PEM.
    """

    id: str = ""
    name: str = ""
    serial_number: int = 0
    signing_key_id: str = ""
    external_trust_domain: str = ""
    not_before: Time = None
    not_after: Time = None
    root_cert: str = ""
    intermediate_certs: list[str] = field(default_factory=list)
    active: bool = False
    private_key_type: str = ""
    private_key_bits: int = 0
    create_index: int = 0
    modify_index: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class CARoots(Received):
    """What the mesh trusts. `trust_domain` is the host in each of its SPIFFE ids."""

    active_root_id: str = ""
    trust_domain: str = ""
    roots: list[CARoot] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class LeafCert(Received):
    """
    The certificate of one service, with its private key.

    `serial_number` is hexadecimal. `cert_pem` has the intermediate certificates after its own.
    `service_uri` is the SPIFFE id that it proves; `agent_uri`, `kind_uri` and `server_uri` are
    those of certificates that are for an agent, a gateway or a server.
    """

    serial_number: str = ""
    cert_pem: str = ""
    private_key_pem: Secret = _NO_SECRET
    service: str = ""
    service_uri: str = ""
    agent: str = ""
    agent_uri: str = ""
    kind: str = ""
    kind_uri: str = ""
    server_uri: str = ""
    valid_after: Time = None
    valid_before: Time = None
    namespace: str | None = None
    partition: str | None = None
    create_index: int = 0
    modify_index: int = 0


class CAConfiguration(Definition):
    """
    Who signs the certificates of the mesh, and how.

    `config` is the provider's own, in Consul's names; it may hold private keys and tokens, as str
    or SecretStr, so it is not shown. `state` is what the provider has noted down for itself:
    read-only, and not sent.
    """

    _OF_THE_SERVER: ClassVar[frozenset[str]] = frozenset({"state", "create_index", "modify_index"})

    provider: str
    """`consul`, `vault` or `aws-pca`."""
    config: Annotated[FreeForm, Field(repr=False)] = {}
    state: dict[str, str] = {}
    force_without_cross_signing: bool = False
    """Change roots although connections will fail until every proxy trusts the new one."""
    create_index: int = 0
    modify_index: int = 0


# -- intentions ----------------------------------------------------------------------------------


class IntentionHeader(Definition):
    """A header that a request must have. All conditions but `invert` exclude each other."""

    name: str
    present: bool = False
    exact: str = ""
    prefix: str = ""
    suffix: str = ""
    contains: str = ""
    regex: str = ""
    ignore_case: bool = False
    invert: bool = False
    """Must not match."""


class IntentionHTTP(Definition):
    """Which requests a permission is about: those that meet every condition."""

    path_exact: str = ""
    path_prefix: str = ""
    path_regex: str = ""
    header: list[IntentionHeader] = []
    methods: list[str] = []
    """Any of them; all methods, where none is given."""


class IntentionJWTClaim(Definition):
    """A claim that a token must make: the value at a path, or among the list there."""

    path: list[str] = []
    value: str = ""


class IntentionJWTProvider(Definition):
    """Whose tokens are accepted: the name of a `jwt-provider` entry, and what they must claim."""

    name: str
    verify_claims: list[IntentionJWTClaim] = []


class IntentionJWT(Definition):
    """Which JSON web tokens a request must have (since Consul 1.16)."""

    providers: list[IntentionJWTProvider] = []


class IntentionPermission(Definition):
    """What is decided for some requests only. The first permission that matches decides."""

    action: str
    """`allow` or `deny`."""
    http: IntentionHTTP | None = None
    jwt: IntentionJWT | None = None


class Intention(Definition):
    """
    Whether one service may connect to another; `*` is every service.

        Intention(source_name="web", destination_name="db", action="allow")

    It has either an `action`, which is about connections, or `permissions`, which are about HTTP
    requests (since Consul 1.9). The one with the highest `precedence` decides: the more exact it
    is, the higher.

    https://developer.hashicorp.com/consul/docs/secure-mesh/intention
    """

    _OF_THE_SERVER: ClassVar[frozenset[str]] = frozenset(
        {
            *("id", "jwt", "precedence", "created_at", "updated_at", "hash"),
            *("create_index", "modify_index"),
        }
    )

    source_name: str
    destination_name: str
    action: str = ""
    """`allow` or `deny`."""
    permissions: list[IntentionPermission] = []
    description: str = ""
    source_type: str = ""
    """Always `consul`."""
    source_peer: str = ""
    """The cluster peer that the source is in, instead of a partition."""
    source_sameness_group: str = ""
    source_partition: str = ""
    source_namespace: Annotated[str, named("SourceNS")] = ""
    destination_partition: str = ""
    destination_namespace: Annotated[str, named("DestinationNS")] = ""
    meta: dict[str, str] = {}
    """Since Consul 1.9 it is the destination's: it may be sent back as it is, but not changed."""
    default_addr: str = ""
    default_port: int = 0
    id: str = ""
    """Only intentions that were made by id have one."""
    jwt: IntentionJWT | None = None
    """What the destination demands of every request; read-only here."""
    precedence: int = 0
    created_at: Time = None
    updated_at: Time = None
    hash: str = ""
    create_index: int = 0
    modify_index: int = 0
