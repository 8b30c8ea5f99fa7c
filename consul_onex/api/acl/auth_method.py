"""Auth methods."""

from __future__ import annotations

from typing import Final

from pydantic import TypeAdapter

from ..._call import Safety
from ..._path import segment
from ..._wire import Takes, Wire
from ...models._base import rows_of
from ...models.acl import ACLAuthMethod
from ...query import Cursor
from ._one import delete, find

__all__ = ["AuthMethods"]

# Inside the class, `list` is the method of that name.
Rows = list[ACLAuthMethod]

_ROW: Final = TypeAdapter(ACLAuthMethod)
_ROWS: Final = rows_of(ACLAuthMethod)


class AuthMethods:
    """
    Auth methods: ways to log in.

    https://developer.hashicorp.com/consul/api-docs/acl/auth-methods
    """

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    async def create(self, auth_method: ACLAuthMethod) -> ACLAuthMethod:
        """
        Create an auth method, or write over the one of that name; return it as it is now.

        BadRequestError when its `config` will not do. Servers try it: they ask for the keys.

        PUT /v1/acl/auth-method
        https://developer.hashicorp.com/consul/api-docs/acl/auth-methods#create-an-auth-method
        """
        return await self._wire.write(
            "acl.auth_method.create",
            "PUT",
            "/v1/acl/auth-method",
            _ROW,
            json=auth_method.body(),
            safety=Safety.IDEMPOTENT,
        )

    async def get(self, name: str, cursor: Cursor | None = None) -> ACLAuthMethod | None:
        """
        Read one auth method, with the secrets of its `config`. None where there is none.

        GET /v1/acl/auth-method/:name
        https://developer.hashicorp.com/consul/api-docs/acl/auth-methods#read-an-auth-method
        """
        return await find(
            *(self._wire, "acl.auth_method.get", _path(name), _ROW),
            cursor=cursor,
            among="/v1/acl/auth-methods",
        )

    async def update(self, auth_method: ACLAuthMethod) -> ACLAuthMethod:
        """
        Write over the auth method of this `name`, and return it as it is now.

        What is not given is emptied. The type cannot change. Where there is none of that name, it
        is created.

        PUT /v1/acl/auth-method/:name
        https://developer.hashicorp.com/consul/api-docs/acl/auth-methods#update-an-auth-method
        """
        return await self._wire.write(
            "acl.auth_method.update",
            "PUT",
            _path(auth_method.name),
            _ROW,
            json=auth_method.body(),
            safety=Safety.IDEMPOTENT,
        )

    async def delete(self, name: str) -> bool:
        """
        Delete an auth method, with its binding rules and all tokens from it.

        True, also when it was gone.

        DELETE /v1/acl/auth-method/:name
        https://developer.hashicorp.com/consul/api-docs/acl/auth-methods#delete-an-auth-method
        """
        return await delete(self._wire, "acl.auth_method.delete", _path(name), takes=Takes.WRITE)

    async def list(self, cursor: Cursor | None = None) -> Rows:
        """
        Every auth method, without its `config`.

        GET /v1/acl/auth-methods
        https://developer.hashicorp.com/consul/api-docs/acl/auth-methods#list-auth-methods
        """
        return await self._wire.read(
            "acl.auth_method.list", "/v1/acl/auth-methods", _ROWS, cursor=cursor
        )


def _path(name: str) -> str:
    return f"/v1/acl/auth-method/{segment(name)}"
