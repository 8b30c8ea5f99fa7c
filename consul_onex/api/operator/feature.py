"""Feature gates: switches for what is new, in the whole datacenter."""

from __future__ import annotations

from typing import Final

from pydantic import TypeAdapter

from ..._call import Safety
from ..._json import dumped
from ..._path import Params, segment
from ..._wire import Takes, Wire
from ...errors import NotFoundError
from ...models._base import rows_of
from ...models.operator import FeatureGate, FeatureGateChange
from ...query import Cursor

__all__ = ["Features"]

# Inside the class, `list` is the method of that name.
Rows = list[FeatureGate]

_ROWS: Final = rows_of(FeatureGate)
_GATE: Final = TypeAdapter(FeatureGate)
_CHANGE: Final = TypeAdapter(FeatureGateChange)

_READ: Final = Takes.DATACENTER | Takes.CONSISTENCY


class Features:
    """
    Feature gates: switches for what is new, in the whole datacenter.

    https://developer.hashicorp.com/consul/api-docs/operator/feature
    """

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    async def list(self, cursor: Cursor | None = None) -> Rows:
        """
        Every gate that the servers have.

        The empty list while a new cluster's leader has not written them down yet.

        GET /v1/operator/features  since Consul 2.1
        https://developer.hashicorp.com/consul/api-docs/operator/feature#list-feature-gates
        """
        return await self._wire.read(
            *("operator.feature.list", "/v1/operator/features", _ROWS), cursor=cursor, takes=_READ
        )

    async def get(self, name: str, cursor: Cursor | None = None) -> FeatureGate | None:
        """
        Read one gate. None where the servers have none of that name.

        GET /v1/operator/feature/:name  since Consul 2.1
        https://developer.hashicorp.com/consul/api-docs/operator/feature#read-a-feature-gate
        """
        try:
            return await self._wire.find(
                *("operator.feature.get", f"/v1/operator/feature/{segment(name)}", _GATE),
                cursor=cursor,
                takes=_READ,
            )
        except NotFoundError:
            return None

    async def set(self, name: str, enabled: bool, *, cas: int | None = None) -> FeatureGateChange:
        """
        Ask for a gate to be open or shut, and return how it is then.

        It has no effect before every server is new enough. With `cas`, only if its `policy_index`
        still is that number (above 0). NotFoundError where the servers have none of that name.

        PUT /v1/operator/feature/:name  since Consul 2.1
        https://developer.hashicorp.com/consul/api-docs/operator/feature#update-a-feature-gate
        """
        params: Params = [] if cas is None else [("cas", str(cas))]
        return await self._wire.write(
            *("operator.feature.set", "PUT", f"/v1/operator/feature/{segment(name)}", _CHANGE),
            params,
            json=dumped({"Enabled": enabled}, "operator.feature.set"),
            safety=Safety.IDEMPOTENT if cas is None else Safety.UNSAFE,
            takes=Takes.DATACENTER,
        )
