"""Prepared queries: as they are defined, and what they find."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, ClassVar

from pydantic import BeforeValidator

from ._base import Definition, Duration, Nanoseconds, Received, Secret, named
from .health import ServiceEntry

__all__ = [
    "PreparedQuery",
    "QueryDNS",
    "QueryFailover",
    "QueryFailoverTarget",
    "QueryResult",
    "QueryTemplate",
    "ServiceQuery",
]


class QueryFailoverTarget(Definition):
    """Where else to look: a datacenter, or a cluster peer (since Consul 1.14)."""

    peer: str = ""
    datacenter: str = ""
    partition: str = ""
    namespace: str = ""


class QueryFailover(Definition):
    """
    Where else to look when no instance is well here.

    First in the `nearest_n` datacenters that are closest by network coordinates, then in
    `datacenters`, in this order, each once. Or in `targets`, which exclude the other two.
    """

    nearest_n: int = 0
    datacenters: list[str] = []
    targets: list[QueryFailoverTarget] = []


class ServiceQuery(Definition):
    """
    Which instances of a service to find.

    They have all of `tags`, without regard to case, but none that is written with a `!` before it,
    and all of `node_meta` and `service_meta`. Those with a critical check are left out, with
    `only_passing` those with a warning too; checks in `ignore_check_ids` do not count. The nearest
    to the node `near` comes first (`_agent`: the agent that is asked; `_ip`: whoever asks); they
    are shuffled where nothing is said. With `connect`, find what speaks the mesh's TLS for it.
    """

    service: str
    """Its name. It must be given."""
    failover: QueryFailover | None = None
    only_passing: bool = False
    ignore_check_ids: list[str] = []
    near: str = ""
    tags: list[str] = []
    node_meta: dict[str, str] = {}
    service_meta: dict[str, str] = {}
    connect: bool = False
    sameness_group: str | None = None
    """Instead of `failover` (since Consul 1.16 Enterprise)."""
    namespace: str | None = None
    partition: str | None = None


class QueryDNS(Definition):
    """How long those who ask by DNS may keep the answer."""

    # Not the same as 0: none is what the agent is configured for.
    ttl: Annotated[Duration | None, BeforeValidator(lambda ttl: None if ttl == "" else ttl)] = None


class QueryTemplate(Definition):
    """
    Makes of a query the answer to every name that starts with its own.

    The longest such name wins, and a query of exactly that name before all templates. The strings
    of its `ServiceQuery` may have `${name.full}`, `${name.prefix}`, `${name.suffix}` in them, and
    `${match(1)}` for what the first group of `regexp` matched in the name.
    """

    type: str
    """`name_prefix_match`: there is no other."""
    regexp: str = ""
    remove_empty_tags: bool = False


class PreparedQuery(Definition):
    """
    A query that is kept by Consul, to be asked by its id, by its name, or by DNS.

        PreparedQuery(
            name="web",
            service=ServiceQuery(
                service="web", only_passing=True, failover=QueryFailover(nearest_n=2)
            ),
        )

    One without a `name` lives as long as its `session`, which then must be given (a template may
    do without both). It is asked with `token`, else with the token of whoever asks. Consul gives
    the token back only to those who may see it, otherwise as `<hidden>`, and takes no query that
    says so.

    https://developer.hashicorp.com/consul/api-docs/query#create-prepared-query
    """

    name: str = ""
    session: str = ""
    token: Secret | None = None
    service: ServiceQuery
    dns: QueryDNS | None = None
    template: QueryTemplate | None = None
    id: str = ""
    create_index: int = 0
    modify_index: int = 0

    _OF_THE_SERVER: ClassVar[frozenset[str]] = frozenset({"id", "create_index", "modify_index"})


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryResult(Received):
    """
    What a prepared query found.

    `datacenter` (or `peer_name`) is where, and `failovers` how many others were asked after its
    own had nothing. `known_leader` and `last_contact` (seconds) are those of the server that
    answered, `consistency_level` is how fresh it is: `leader`, `consistent` or `stale`.
    """

    service: str = ""
    namespace: str | None = None
    partition: str | None = None
    nodes: list[ServiceEntry] = field(default_factory=list)
    dns: QueryDNS | None = None
    datacenter: str = ""
    peer_name: str = ""
    failovers: int = 0
    index: int = 0
    """Always 0, as such an answer cannot be waited on."""
    last_contact: Nanoseconds = 0.0
    known_leader: bool = False
    consistency_level: str = ""
    filtered_by_acls: Annotated[bool, named("ResultsFilteredByACLs")] = False
    """Whether the token hid something. Servers before 1.11 do not say."""
