"""Who leads, and who may."""

from __future__ import annotations

from typing import Final

from pydantic import TypeAdapter

from .._wire import Takes, Wire

__all__ = ["Status"]

_TEXT: Final = TypeAdapter(str)
_TEXTS: Final = TypeAdapter(list[str])


class Status:
    """
    The raft cluster, as the agent that is asked sees it. Needs no token.

    https://developer.hashicorp.com/consul/api-docs/status
    """

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    async def leader(self) -> str | None:
        """
        The leader's raft address, `"ip:port"`. None while there is none.

        GET /v1/status/leader
        https://developer.hashicorp.com/consul/api-docs/status#get-raft-leader
        """
        address = await self._wire.read(
            "status.leader", "/v1/status/leader", _TEXT, takes=Takes.NOTHING, local=True
        )
        return address or None

    async def peers(self) -> list[str]:
        """
        The raft addresses of the servers that may become leader.

        GET /v1/status/peers
        https://developer.hashicorp.com/consul/api-docs/status#list-raft-peers
        """
        return await self._wire.read(
            "status.peers", "/v1/status/peers", _TEXTS, takes=Takes.NOTHING, local=True
        )
