"""The certificate authority of the service mesh."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from pydantic import TypeAdapter

from ..._call import Safety
from ..._wire import Takes, Wire
from ...errors import ConsulStatusError, OutcomeUnknownError
from ...models.connect import CAConfiguration, CARoots
from ...query import Cursor

__all__ = ["CA"]

_ROOTS: Final = TypeAdapter(CARoots)
_CONFIGURATION: Final = TypeAdapter(CAConfiguration)

# The certificates are the datacenter's, not a namespace's.
_READ: Final = Takes.DATACENTER | Takes.CONSISTENCY

# As Go quotes. The text of an error may have been cut before a quotation ends.
_QUOTED: Final = re.compile(r'"(?:[^"\\]|\\.?)*(?:"|$)', re.DOTALL)


class CA:
    """
    The certificate authority of the service mesh.

    https://developer.hashicorp.com/consul/api-docs/connect/ca
    """

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    async def roots(self, cursor: Cursor | None = None) -> CARoots:
        """
        The certificates that the mesh trusts.

        BadRequestError where the servers have the mesh switched off (as for all of this).

        GET /v1/connect/ca/roots
        https://developer.hashicorp.com/consul/api-docs/connect/ca#list-ca-root-certificates
        """
        return await self._wire.read(
            "connect.ca.roots", "/v1/connect/ca/roots", _ROOTS, cursor=cursor, takes=_READ
        )

    async def roots_pem(self) -> str:
        """
        The certificates that the mesh trusts, and their intermediate ones, as PEM in one piece.

        GET /v1/connect/ca/roots
        https://developer.hashicorp.com/consul/api-docs/connect/ca#list-ca-root-certificates
        """
        answer = await self._wire.ask(
            "connect.ca.roots_pem",
            "GET",
            "/v1/connect/ca/roots",
            [("pem", "true")],
            safety=Safety.SAFE,
            takes=_READ,
        )
        return answer.text()

    async def configuration(self) -> CAConfiguration:
        """
        Who signs the certificates, and how.

        GET /v1/connect/ca/configuration
        https://developer.hashicorp.com/consul/api-docs/connect/ca#get-ca-configuration
        """
        return await self._wire.read(
            "connect.ca.configuration",
            "/v1/connect/ca/configuration",
            _CONFIGURATION,
            takes=_READ,
        )

    async def configure(self, configuration: CAConfiguration) -> None:
        """
        Change who signs the certificates, or how.

            now = await c.connect.ca.configuration()
            await c.connect.ca.configure(now.replace(config=now.config | {"LeafCertTTL": "24h"}))

        `config` is written as a whole. Where it makes for another root, the mesh moves over to
        that; the old one is trusted until nothing needs it any more.

        PUT /v1/connect/ca/configuration
        https://developer.hashicorp.com/consul/api-docs/connect/ca#update-ca-configuration
        """
        with _quotations_dropped():
            await self._wire.ask(
                "connect.ca.configure",
                "PUT",
                "/v1/connect/ca/configuration",
                json=configuration.body(),
                safety=Safety.IDEMPOTENT,
                takes=Takes.DATACENTER,
            )


@contextmanager
def _quotations_dropped() -> Iterator[None]:
    """Consul quotes a private key that it cannot read: an error of ours must not hold it."""
    try:
        yield
    except (ConsulStatusError, OutcomeUnknownError) as error:
        error.args = (_QUOTED.sub('"..."', error.args[0]),)
        if isinstance(error, ConsulStatusError):
            error.detail = _QUOTED.sub('"..."', error.detail)
        raise
