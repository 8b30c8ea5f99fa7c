"""Raft, autopilot, gossip keys and more, for who runs the servers."""

from __future__ import annotations

from functools import cached_property
from typing import Final

from pydantic import SecretStr, TypeAdapter

from ..._call import Safety
from ..._json import LAZY
from ..._path import Params
from ..._token import hidden
from ..._wire import Takes, Wire
from ...models.operator import AuditHash, AuditInput, Usage
from ...query import Cursor
from .area import Areas
from .autopilot import Autopilot
from .feature import Features
from .keyring import Keyring
from .license import Licenses
from .raft import Raft

__all__ = ["Operator"]

_USAGE: Final = TypeAdapter(Usage)
_HASH: Final = TypeAdapter(AuditHash)
_SEGMENTS: Final = TypeAdapter(list[str], config=LAZY)


class Operator:
    """
    Raft, autopilot, gossip keys and more, for who runs the servers.

    https://developer.hashicorp.com/consul/api-docs/operator
    """

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    @cached_property
    def raft(self) -> Raft:
        """The raft cluster that the servers are."""
        return Raft(self._wire)

    @cached_property
    def keyring(self) -> Keyring:
        """The keys that gossip is encrypted with."""
        return Keyring(self._wire)

    @cached_property
    def autopilot(self) -> Autopilot:
        """What looks after the servers by itself, and how they are doing."""
        return Autopilot(self._wire)

    @cached_property
    def feature(self) -> Features:
        """Feature gates: switches for what is new."""
        return Features(self._wire)

    @cached_property
    def area(self) -> Areas:
        """Network areas of Consul Enterprise."""
        return Areas(self._wire)

    @cached_property
    def license(self) -> Licenses:
        """The license of Consul Enterprise."""
        return Licenses(self._wire)

    async def usage(self, *, everywhere: bool = False, cursor: Cursor | None = None) -> Usage:
        """
        How many nodes, services and instances there are, by datacenter.

        Of one datacenter, or with `everywhere` of all that are known.

        GET /v1/operator/usage  since Consul 1.15
        https://developer.hashicorp.com/consul/api-docs/operator/usage
        """
        params: Params = [("global", "")] if everywhere else []
        return await self._wire.read(
            *("operator.usage", "/v1/operator/usage", _USAGE, params),
            cursor=cursor,
            takes=Takes.DATACENTER | Takes.CONSISTENCY,
        )

    async def utilization(
        self, *, message: str | None = None, today_only: bool = False, send_report: bool = False
    ) -> bytes:
        """
        What the license is used for: a signed bundle, as it is handed in.

        It holds one snapshot a day, or with `today_only` the last one. `message` is kept with it.
        With `send_report` Consul sends it to HashiCorp by itself.

        GET /v1/operator/utilization  since Consul 1.22 Enterprise
        https://developer.hashicorp.com/consul/api-docs/operator/utilization#generate-utilization-bundle
        """
        params: Params = [] if message is None else [("message", message)]
        # No flags: what is not `true` does not count.
        if today_only:
            params.append(("today_only", "true"))
        if send_report:
            params.append(("send_report", "true"))
        answer = await self._wire.ask(
            *("operator.utilization", "GET", "/v1/operator/utilization", params),
            safety=Safety.UNSAFE if send_report else Safety.SAFE,
            takes=Takes.NOTHING,
        )
        return answer.content

    async def segments(self) -> list[str]:
        """
        The names of the network segments; `""` is the default one.

        GET /v1/operator/segment Enterprise
        https://developer.hashicorp.com/consul/api-docs/operator/segment#list-network-segments
        """
        return await self._wire.read(
            "operator.segments", "/v1/operator/segment", _SEGMENTS, takes=Takes.DATACENTER
        )

    async def audit_hash(self, text: str | SecretStr) -> str:
        """
        What the audit log has in the place of a value, so that it can be looked for.

        POST /v1/operator/audit-hash  since Consul 1.16 Enterprise
        https://developer.hashicorp.com/consul/api-docs/operator/audit#calculate-data-hash
        """
        text = hidden(text)
        found = await self._wire.write(
            *("operator.audit_hash", "POST", "/v1/operator/audit-hash", _HASH),
            json=AuditInput(input=text).body(),
            safety=Safety.SAFE,
            takes=Takes.NOTHING,
        )
        return found.hash
