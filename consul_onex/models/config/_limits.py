"""How much the servers let themselves be asked."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import model_validator

from .._base import Definition, named
from ._parts import with_kind

__all__ = ["ControlPlaneRequestLimit", "RateLimit", "RateLimitConfig", "Rates"]


class Rates(Definition):
    """Requests per second. What is not given has no limit, or the general one."""

    read_rate: float | None = None
    write_rate: float | None = None


class ControlPlaneRequestLimit(Definition):
    """
    How often one address may ask the servers, per second (Enterprise, since Consul 1.16).

    https://developer.hashicorp.com/consul/docs/reference/config-entry/control-plane-request-limit
    """

    kind: Literal["control-plane-request-limit"] = "control-plane-request-limit"
    name: str
    mode: str = ""
    """`permissive`, `enforcing` or `disabled`."""
    read_rate: float | None = None
    write_rate: float | None = None
    acl: Rates | None = None
    catalog: Rates | None = None
    config_entry: Rates | None = None
    connect_ca: Rates | None = None
    coordinate: Rates | None = None
    discovery_chain: Rates | None = None
    health: Rates | None = None
    intention: Rates | None = None
    kv: Annotated[Rates | None, named("KV")] = None
    tenancy: Rates | None = None
    prepared_query: Rates | None = None
    session: Rates | None = None
    txn: Rates | None = None
    meta: dict[str, str] = {}
    namespace: str | None = None
    partition: str | None = None
    create_index: int = 0
    modify_index: int = 0
    hash: int = 0

    _with_kind = model_validator(mode="after")(with_kind)


class RateLimitConfig(Definition):
    """
    Requests per second, of all clients together. 0 is none at all, and not given no limit.

    It counts only with `priority`; otherwise what each server is configured with does.
    """

    read_rate: float | None = None
    write_rate: float | None = None
    priority: Annotated[bool, named("priority")] = False
    exclude_endpoints: Annotated[list[str], named("exclude_endpoints")] = []
    """Methods that are not limited, such as `Health.Check`."""


class RateLimit(Definition):
    """
    How often the servers may be asked. There is one, `global` (Enterprise, since Consul 2.0).

    https://developer.hashicorp.com/consul/docs/reference/config-entry/rate-limit
    """

    kind: Literal["rate-limit"] = "rate-limit"
    name: str = "global"
    config: Annotated[RateLimitConfig | None, named("config")] = None
    meta: dict[str, str] = {}
    namespace: str | None = None
    partition: str | None = None
    create_index: int = 0
    modify_index: int = 0
    hash: int = 0

    _with_kind = model_validator(mode="after")(with_kind)
