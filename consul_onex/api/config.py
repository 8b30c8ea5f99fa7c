"""Configuration entries of the service mesh."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import TypeAdapter

from .._call import Safety
from .._json import LAZY
from .._path import Params, segment
from .._values import u64
from .._wire import Wire
from ..errors import InvalidRequestError
from ..models._base import NullIs
from ..models.config import ConfigEntry
from ..query import Cursor

__all__ = ["Config"]

# Inside the class, `list` is the method of that name.
Entries = list[ConfigEntry]

_ENTRY: Final[TypeAdapter[ConfigEntry]] = TypeAdapter(ConfigEntry, config=LAZY)
_ENTRIES: Final[TypeAdapter[Entries]] = TypeAdapter(Annotated[Entries, NullIs(list)], config=LAZY)


class Config:
    """
    Configuration entries: what holds for services, gateways and the whole mesh.

    Each kind has a model in `consul_onex.models.config`. To change an entry, send a changed copy
    of it, only if nobody else has changed it:

        entry = await c.config.get("service-defaults", "web")
        if entry is not None:
            await c.config.put(entry.replace(protocol="http"), cas=entry.modify_index)

    An entry is replaced whole. What a newer Consul knows of an entry, and its model here does not,
    is lost then.

    https://developer.hashicorp.com/consul/api-docs/config
    """

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    async def put(self, entry: ConfigEntry, *, cas: int | None = None) -> bool:
        """
        Write an entry, in place of what is there under its kind and name.

        With `cas`, write only if the entry's `modify_index` still is that number; 0 means only if
        there is none. Returns whether the write happened, which without `cas` it always does. Such
        a write is not repeated when its answer is lost (OutcomeUnknownError).

        BadRequestError when the server does not know the kind or a field that was given, or when
        the entry does not fit those about other services.

        PUT /v1/config
        https://developer.hashicorp.com/consul/api-docs/config#apply-configuration
        """
        params: Params = [] if cas is None else [("cas", str(u64("cas", cas)))]
        return await self._wire.verdict(
            "config.put",
            "PUT",
            "/v1/config",
            params,
            json=entry.body(),
            safety=Safety.IDEMPOTENT if cas is None else Safety.UNSAFE,
        )

    async def get(self, kind: str, name: str, cursor: Cursor | None = None) -> ConfigEntry | None:
        """
        Read an entry. None where there is none.

        GET /v1/config/:kind/:name
        https://developer.hashicorp.com/consul/api-docs/config#get-configuration
        """
        return await self._wire.find("config.get", _path(kind, name), _ENTRY, cursor=cursor)

    async def list(
        self,
        kind: str,
        *,
        filter: str | None = None,
        cursor: Cursor | None = None,
    ) -> Entries:
        """
        Every entry of a kind.

        The `filter` came with Consul 1.16; an older server would ignore it, so InvalidRequestError
        is raised instead. BadRequestError when the server does not know the kind.

        GET /v1/config/:kind
        https://developer.hashicorp.com/consul/api-docs/config#list-configurations
        """
        params: Params = []
        if filter is not None:
            await self._wire.needs("the filter of a list of entries", "1.16", "config.list")
            params.append(("filter", filter))
        return await self._wire.read(
            "config.list", f"/v1/config/{segment(kind, 'kind')}", _ENTRIES, params, cursor=cursor
        )

    async def delete(self, kind: str, name: str, *, cas: int | None = None) -> bool:
        """
        Delete an entry. True when it is gone, also when it was not there.

        With `cas`, delete only if its `modify_index` still is that number (above 0), and return
        whether it was deleted. That came with Consul 1.11; an older server would delete it anyway,
        so InvalidRequestError is raised instead.

        BadRequestError when other entries cannot do without it.

        DELETE /v1/config/:kind/:name
        https://developer.hashicorp.com/consul/api-docs/config#delete-configuration
        """
        path = _path(kind, name)
        if cas is None:
            await self._wire.ask("config.delete", "DELETE", path, safety=Safety.IDEMPOTENT)
            return True
        params: Params = [("cas", str(u64("cas", cas)))]
        if cas == 0:
            raise InvalidRequestError(
                "a delete with cas=0 never deletes", operation="config.delete"
            )
        await self._wire.needs("cas on a delete of an entry", "1.11", "config.delete")
        return await self._wire.verdict("config.delete", "DELETE", path, params)


def _path(kind: str, name: str) -> str:
    return f"/v1/config/{segment(kind, 'kind')}/{segment(name, 'name')}"
