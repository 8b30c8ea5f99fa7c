"""The raft cluster that the servers are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Final

from pydantic import ConfigDict, StrictBool, TypeAdapter

from ..._json import LAZY
from ..._path import Params
from ..._wire import Takes, Wire
from ...errors import InvalidRequestError
from ...models.operator import RaftConfiguration

__all__ = ["Raft"]


@dataclass(frozen=True, slots=True)
class _Transfer:
    """The answer to a transfer."""

    __pydantic_config__: ClassVar[ConfigDict] = LAZY
    Success: StrictBool


_CONFIGURATION: Final = TypeAdapter(RaftConfiguration)
_TRANSFER: Final = TypeAdapter(_Transfer)


class Raft:
    """
    The raft cluster that the servers are.

    https://developer.hashicorp.com/consul/api-docs/operator/raft
    """

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    async def configuration(self) -> RaftConfiguration:
        """
        The servers of the cluster. Without a leader only a `stale` view is answered.

        GET /v1/operator/raft/configuration
        https://developer.hashicorp.com/consul/api-docs/operator/raft#read-configuration
        """
        return await self._wire.read(
            *("operator.raft.configuration", "/v1/operator/raft/configuration", _CONFIGURATION),
            takes=Takes.DATACENTER | Takes.CONSISTENCY,
        )

    async def remove_peer(
        self,
        *,
        id: str | None = None,
        address: str | None = None,
    ) -> None:
        """
        Remove a server that is gone for good, by its id or its address (`"ip:port"`).

        BadRequestError where the cluster has no such server.

        DELETE /v1/operator/raft/peer
        https://developer.hashicorp.com/consul/api-docs/operator/raft#delete-raft-peer
        """
        peer = [(name, text) for name, text in (("id", id), ("address", address)) if text]
        if len(peer) != 1:
            raise InvalidRequestError(
                "a peer is named by its id or by its address",
                operation="operator.raft.remove_peer",
            )
        await self._wire.ask(
            *("operator.raft.remove_peer", "DELETE", "/v1/operator/raft/peer", peer),
            takes=Takes.DATACENTER,
        )

    async def transfer_leader(self, id: str | None = None) -> bool:
        """
        Make another server the leader: the one with this id, or any. Returns whether it worked.

        POST /v1/operator/raft/transfer-leader  since Consul 1.14
        https://developer.hashicorp.com/consul/api-docs/operator/raft#transfer-raft-leadership
        """
        params: Params = [] if id is None else [("id", id)]
        answer = await self._wire.write(
            "operator.raft.transfer_leader",
            "POST",
            "/v1/operator/raft/transfer-leader",
            _TRANSFER,
            params,
            takes=Takes.DATACENTER,
        )
        return answer.Success
