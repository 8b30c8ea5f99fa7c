"""Namespaces of Consul Enterprise."""

from __future__ import annotations

from typing import Final

from pydantic import TypeAdapter

from .._call import Safety
from .._path import segment
from .._wire import Takes, Wire
from ..models._base import rows_of
from ..models.namespace import Namespace
from ..query import Cursor

__all__ = ["Namespaces"]

# Inside the class, `list` is the method of that name.
Rows = list[Namespace]

_ROW: Final = TypeAdapter(Namespace)
_ROWS: Final = rows_of(Namespace)

# A namespace is in a partition, but in no namespace.
_READ: Final = Takes.DATACENTER | Takes.CONSISTENCY | Takes.PARTITION
_WRITE: Final = Takes.DATACENTER | Takes.PARTITION


class Namespaces:
    """
    Namespaces of Consul Enterprise.

    Servers of another edition raise UnsupportedEndpointError.

    https://developer.hashicorp.com/consul/api-docs/namespaces
    """

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    async def create(self, namespace: Namespace) -> Namespace:
        """
        Create a namespace, and return it as it is now.

        PUT /v1/namespace Enterprise
        https://developer.hashicorp.com/consul/api-docs/namespaces#create-a-namespace
        """
        return await self._wire.write(
            "namespace.create",
            "PUT",
            "/v1/namespace",
            _ROW,
            json=namespace.body(),
            takes=_WRITE,
        )

    async def get(self, name: str, cursor: Cursor | None = None) -> Namespace | None:
        """
        Read one namespace. None where there is none.

        GET /v1/namespace/:name Enterprise
        https://developer.hashicorp.com/consul/api-docs/namespaces#read-a-namespace
        """
        return await self._wire.find(
            "namespace.get",
            f"/v1/namespace/{segment(name)}",
            _ROW,
            cursor=cursor,
            unless="not found",
            takes=_READ,
        )

    async def update(self, namespace: Namespace) -> Namespace:
        """
        Write over the namespace of that name, and return it as it is now.

        PUT /v1/namespace/:name Enterprise
        https://developer.hashicorp.com/consul/api-docs/namespaces#update-a-namespace
        """
        return await self._wire.write(
            "namespace.update",
            "PUT",
            f"/v1/namespace/{segment(namespace.name)}",
            _ROW,
            json=namespace.body(),
            safety=Safety.IDEMPOTENT,
            takes=_WRITE,
        )

    async def delete(self, name: str) -> None:
        """
        Mark a namespace for deletion, with all that is in it.

        DELETE /v1/namespace/:name Enterprise
        https://developer.hashicorp.com/consul/api-docs/namespaces#delete-a-namespace
        """
        await self._wire.ask(
            "namespace.delete",
            "DELETE",
            f"/v1/namespace/{segment(name)}",
            safety=Safety.IDEMPOTENT,
            takes=_WRITE,
        )

    async def list(self, cursor: Cursor | None = None) -> Rows:
        """
        Every namespace that the token has any right in.

        GET /v1/namespaces Enterprise
        https://developer.hashicorp.com/consul/api-docs/namespaces#list-all-namespaces
        """
        return await self._wire.read(
            "namespace.list", "/v1/namespaces", _ROWS, cursor=cursor, takes=_READ
        )
