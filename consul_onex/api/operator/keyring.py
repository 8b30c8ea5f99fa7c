"""The keys that gossip is encrypted with."""

from __future__ import annotations

from typing import Final

from pydantic import SecretStr

from ..._call import Safety
from ..._path import Params
from ..._token import hidden
from ..._wire import Takes, Wire
from ...models._base import rows_of
from ...models.operator import GossipKey, KeyringResponse

__all__ = ["Keyring"]

# Inside the class, `list` is the method of that name.
Rows = list[KeyringResponse]

_ROWS: Final = rows_of(KeyringResponse)


class Keyring:
    """
    The keys that gossip is encrypted with, in the whole federation.

    Nodes understand every key that is installed, and send with the one that is used. So a new key
    is installed, then used, and the old one removed. A `relay_factor`, up to 5, is through how many
    other nodes each one relays its answer, for networks that lose some.

    BadRequestError where gossip is not encrypted, and where a key is none.

    https://developer.hashicorp.com/consul/api-docs/operator/keyring
    """

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    async def list(self, *, relay_factor: int | None = None, local_only: bool = False) -> Rows:
        """
        The keys of each gossip pool: that between datacenters, and one of each datacenter.

        With `local_only`, the pools of the agent's own datacenter alone.

        GET /v1/operator/keyring
        https://developer.hashicorp.com/consul/api-docs/operator/keyring#list-gossip-encryption-keys
        """
        params = _relayed(relay_factor)
        if local_only:
            # No flag: empty would not count.
            params.append(("local-only", "true"))
        return await self._wire.read(
            *("operator.keyring.list", "/v1/operator/keyring", _ROWS, params), takes=Takes.NOTHING
        )

    async def install(self, key: str | SecretStr, *, relay_factor: int | None = None) -> None:
        """
        Make a key known to all nodes: 16, 24 or 32 bytes in base64.

        POST /v1/operator/keyring
        https://developer.hashicorp.com/consul/api-docs/operator/keyring#add-new-gossip-encryption-key
        """
        key = hidden(key)
        await self._change("operator.keyring.install", "POST", key, relay_factor)

    async def use(self, key: str | SecretStr, *, relay_factor: int | None = None) -> None:
        """
        Encrypt with a key from now on. It must be installed: BadRequestError where it is not.

        PUT /v1/operator/keyring
        https://developer.hashicorp.com/consul/api-docs/operator/keyring#change-primary-gossip-encryption-key
        """
        key = hidden(key)
        await self._change("operator.keyring.use", "PUT", key, relay_factor)

    async def remove(self, key: str | SecretStr, *, relay_factor: int | None = None) -> None:
        """
        Forget a key; also when it was not there. BadRequestError where it is the one in use.

        DELETE /v1/operator/keyring
        https://developer.hashicorp.com/consul/api-docs/operator/keyring#delete-gossip-encryption-key
        """
        key = hidden(key)
        await self._change("operator.keyring.remove", "DELETE", key, relay_factor)

    async def _change(
        self, operation: str, method: str, key: SecretStr, relay_factor: int | None
    ) -> None:
        await self._wire.ask(
            *(operation, method, "/v1/operator/keyring", _relayed(relay_factor)),
            json=GossipKey(key=key).body(),
            safety=Safety.IDEMPOTENT,
            takes=Takes.NOTHING,
        )


def _relayed(relay_factor: int | None) -> Params:
    return [] if relay_factor is None else [("relay-factor", str(relay_factor))]
