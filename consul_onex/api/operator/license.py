"""The license of Consul Enterprise."""

from __future__ import annotations

from typing import Final

from pydantic import SecretStr, TypeAdapter

from ..._call import Safety
from ..._token import hidden
from ..._wire import Takes, Wire
from ...models.operator import LicenseReply

__all__ = ["Licenses"]

_REPLY: Final = TypeAdapter(LicenseReply)


class Licenses:
    """
    The license of Consul Enterprise.

    https://developer.hashicorp.com/consul/api-docs/operator/license
    """

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    async def get(self) -> LicenseReply:
        """
        The license, and whether it is valid.

        GET /v1/operator/license Enterprise
        https://developer.hashicorp.com/consul/api-docs/operator/license#getting-the-consul-license
        """
        return await self._wire.read(
            *("operator.license.get", "/v1/operator/license", _REPLY),
            takes=Takes.DATACENTER | Takes.CONSISTENCY,
        )

    async def put(self, text: str | SecretStr) -> LicenseReply:
        """
        Install a license. Consul 1.10 and later read it from a file, and have this no more.

        PUT /v1/operator/license Enterprise
        https://developer.hashicorp.com/consul/api-docs/operator/license#updating-the-consul-license
        """
        text = hidden(text)
        return await self._wire.write(
            *("operator.license.put", "PUT", "/v1/operator/license", _REPLY),
            content=text.get_secret_value().encode("utf-8"),
            safety=Safety.IDEMPOTENT,
            takes=Takes.DATACENTER,
        )

    async def reset(self) -> LicenseReply:
        """
        Go back to the license that is built in, if it is valid. Consul 1.10 has this no more.

        DELETE /v1/operator/license Enterprise
        https://developer.hashicorp.com/consul/api-docs/operator/license#resetting-the-consul-license
        """
        return await self._wire.write(
            *("operator.license.reset", "DELETE", "/v1/operator/license", _REPLY),
            safety=Safety.IDEMPOTENT,
            takes=Takes.DATACENTER,
        )
