"""What looks after the servers by itself, and how they are doing."""

from __future__ import annotations

from typing import Final

from pydantic import TypeAdapter

from ..._call import Safety
from ..._path import Params
from ..._wire import Takes, Wire
from ...models.operator import AutopilotConfiguration, AutopilotHealth, AutopilotState

__all__ = ["Autopilot"]

_CONFIGURATION: Final = TypeAdapter(AutopilotConfiguration)
_HEALTH: Final = TypeAdapter(AutopilotHealth)
_STATE: Final = TypeAdapter(AutopilotState)

_UNHEALTHY: Final = frozenset({429})


class Autopilot:
    """
    What looks after the servers by itself, and how they are doing.

    https://developer.hashicorp.com/consul/api-docs/operator/autopilot
    """

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    async def configuration(self) -> AutopilotConfiguration:
        """
        What autopilot does by itself.

        GET /v1/operator/autopilot/configuration
        https://developer.hashicorp.com/consul/api-docs/operator/autopilot#read-configuration
        """
        return await self._wire.read(
            "operator.autopilot.configuration",
            "/v1/operator/autopilot/configuration",
            _CONFIGURATION,
            takes=Takes.DATACENTER | Takes.CONSISTENCY,
        )

    async def configure(
        self, configuration: AutopilotConfiguration, *, cas: int | None = None
    ) -> bool:
        """
        Change what autopilot does by itself: all of it, at once.

            found = await c.operator.autopilot.configuration()
            changed = found.replace(min_quorum=3)
            await c.operator.autopilot.configure(changed, cas=found.modify_index)

        With `cas`, only if the configuration's `modify_index` still is that number. Returns
        whether it was changed, which without `cas` it always is.

        PUT /v1/operator/autopilot/configuration
        https://developer.hashicorp.com/consul/api-docs/operator/autopilot#update-configuration
        """
        params: Params = [] if cas is None else [("cas", str(cas))]
        return await self._wire.verdict(
            *("operator.autopilot.configure", "PUT", "/v1/operator/autopilot/configuration"),
            params,
            json=configuration.body(),
            safety=Safety.IDEMPOTENT if cas is None else Safety.UNSAFE,
            takes=Takes.DATACENTER,
        )

    async def health(self) -> AutopilotHealth:
        """
        How the servers are doing, as the leader sees it.

        GET /v1/operator/autopilot/health
        https://developer.hashicorp.com/consul/api-docs/operator/autopilot#read-health
        """
        return await self._wire.read(
            *("operator.autopilot.health", "/v1/operator/autopilot/health", _HEALTH),
            takes=Takes.DATACENTER,
            data=_UNHEALTHY,
        )

    async def state(self) -> AutopilotState:
        """
        What autopilot knows of the servers, and wants of them.

        GET /v1/operator/autopilot/state  since Consul 1.9
        https://developer.hashicorp.com/consul/api-docs/operator/autopilot#read-the-autopilot-state
        """
        return await self._wire.read(
            *("operator.autopilot.state", "/v1/operator/autopilot/state", _STATE),
            takes=Takes.DATACENTER | Takes.CONSISTENCY,
        )
