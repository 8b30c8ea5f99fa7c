"""Links to other clusters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final

from pydantic import ConfigDict, SecretStr, TypeAdapter

from .._call import Safety
from .._json import LAZY
from .._path import segment
from .._wire import Takes, Wire
from ..models._base import rows_of
from ..models.peering import Peering, PeeringEstablishment, PeeringTokenRequest
from ..query import Cursor

__all__ = ["Peerings"]

# Inside the class, `list` is the method of that name.
Rows = list[Peering]


@dataclass(frozen=True, slots=True)
class _Generated:
    """The answer to the wish for a token."""

    __pydantic_config__: ClassVar[ConfigDict] = LAZY
    PeeringToken: SecretStr


_ROW: Final = TypeAdapter(Peering)
_ROWS: Final = rows_of(Peering)
_GENERATED: Final = TypeAdapter(_Generated)

# Always the agent's own datacenter, and the same for every namespace.
_READ: Final = Takes.CONSISTENCY | Takes.PARTITION


class Peerings:
    """
    Links to other clusters.

    One end generates a token, which the other establishes the link with. They are those of the
    agent's own datacenter.

    https://developer.hashicorp.com/consul/api-docs/peering
    """

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    async def generate_token(
        self,
        name: str,
        *,
        meta: Mapping[str, str] | None = None,
        server_external_addresses: Sequence[str] | None = None,
    ) -> SecretStr:
        """
        Make a token for another cluster, which will be called `name` here, to establish a link.

        The token is a secret: whoever has it may link up. It holds the addresses of the servers
        here, or `server_external_addresses` (`host:port`) where those are not reachable. It is
        sent once: an OutcomeUnknownError may leave a link that is `PENDING`.

        POST /v1/peering/token  since Consul 1.13
        https://developer.hashicorp.com/consul/api-docs/peering#generate-a-peering-token
        """
        request = PeeringTokenRequest(
            peer_name=name,
            meta=None if meta is None else dict(meta),
            server_external_addresses=(
                None if server_external_addresses is None else list(server_external_addresses)
            ),
        )
        generated = await self._wire.write(
            "peering.generate_token",
            "POST",
            "/v1/peering/token",
            _GENERATED,
            json=request.body(),
            takes=Takes.PARTITION,
        )
        return generated.PeeringToken

    async def establish(
        self, name: str, token: SecretStr | str, *, meta: Mapping[str, str] | None = None
    ) -> None:
        """
        Link up with the cluster that generated a token, and call it `name` here.

        The link is `ESTABLISHING` at first; `get` tells when it is `ACTIVE`. It is sent once.

        POST /v1/peering/establish  since Consul 1.13
        https://developer.hashicorp.com/consul/api-docs/peering#establish-a-peering-connection
        """
        establishment = PeeringEstablishment(
            peer_name=name,
            peering_token=SecretStr(token) if isinstance(token, str) else token,
            meta=None if meta is None else dict(meta),
        )
        await self._wire.ask(
            "peering.establish",
            "POST",
            "/v1/peering/establish",
            json=establishment.body(),
            takes=Takes.PARTITION,
        )

    async def get(self, name: str, cursor: Cursor | None = None) -> Peering | None:
        """
        Read one link. None where there is none.

        GET /v1/peering/:name  since Consul 1.13
        https://developer.hashicorp.com/consul/api-docs/peering#read-a-peering-connection
        """
        return await self._wire.find(
            "peering.get",
            f"/v1/peering/{segment(name)}",
            _ROW,
            cursor=cursor,
            unless="Peering not found",
            takes=_READ,
        )

    async def delete(self, name: str) -> None:
        """
        Mark a link for deletion. It is there until all that came over it is gone.

        DELETE /v1/peering/:name  since Consul 1.13
        https://developer.hashicorp.com/consul/api-docs/peering#delete-a-peering-connection
        """
        await self._wire.ask(
            "peering.delete",
            "DELETE",
            f"/v1/peering/{segment(name)}",
            safety=Safety.IDEMPOTENT,
            takes=Takes.PARTITION,
        )

    async def list(self, cursor: Cursor | None = None) -> Rows:
        """
        Every link.

        GET /v1/peerings  since Consul 1.13
        https://developer.hashicorp.com/consul/api-docs/peering#list-all-peerings
        """
        return await self._wire.read(
            "peering.list", "/v1/peerings", _ROWS, cursor=cursor, takes=_READ
        )
