"""Roles."""

from __future__ import annotations

from typing import Final

from pydantic import TypeAdapter

from ..._call import Safety
from ..._path import Params, segment
from ..._wire import Takes, Wire
from ...models._base import rows_of
from ...models.acl import ACLRole
from ...query import Cursor
from ._one import NOBODY, delete, find

__all__ = ["Roles"]

# Inside the class, `list` is the method of that name.
Rows = list[ACLRole]

_ROW: Final = TypeAdapter(ACLRole)
_ROWS: Final = rows_of(ACLRole)


class Roles:
    """
    Roles: sets of policies and identities.

    https://developer.hashicorp.com/consul/api-docs/acl/roles
    """

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    async def create(self, role: ACLRole) -> ACLRole:
        """
        Create a role, and return it with its id. BadRequestError when there is one of that name.

        PUT /v1/acl/role
        https://developer.hashicorp.com/consul/api-docs/acl/roles#create-a-role
        """
        return await self._wire.write(
            "acl.role.create", "PUT", "/v1/acl/role", _ROW, json=role.body(), takes=Takes.TENANCY
        )

    async def get(self, role_id: str, cursor: Cursor | None = None) -> ACLRole | None:
        """
        Read one role. None where there is none.

        GET /v1/acl/role/:id
        https://developer.hashicorp.com/consul/api-docs/acl/roles#read-a-role
        """
        return await find(
            *(self._wire, "acl.role.get", _path(role_id), _ROW),
            cursor=cursor,
            among="/v1/acl/roles",
            selected=[("policy", NOBODY)],
        )

    async def get_by_name(self, name: str, cursor: Cursor | None = None) -> ACLRole | None:
        """
        Read one role by its name. None where there is none.

        GET /v1/acl/role/name/:name
        https://developer.hashicorp.com/consul/api-docs/acl/roles#read-a-role-by-name
        """
        return await find(
            *(self._wire, "acl.role.get_by_name", f"/v1/acl/role/name/{segment(name)}", _ROW),
            cursor=cursor,
            among="/v1/acl/roles",
            selected=[("policy", NOBODY)],
        )

    async def update(self, role: ACLRole) -> ACLRole:
        """
        Write over the role with this `id`, and return it as it is now. What is not given is
        emptied. NotFoundError where there is no such role.

        PUT /v1/acl/role/:id
        https://developer.hashicorp.com/consul/api-docs/acl/roles#update-a-role
        """
        return await self._wire.write(
            "acl.role.update",
            "PUT",
            _path(role.id),
            _ROW,
            json=role.body(),
            safety=Safety.IDEMPOTENT,
            takes=Takes.TENANCY,
        )

    async def delete(self, role_id: str) -> bool:
        """
        Delete a role: those who have it lose it. True, also when it was gone.

        DELETE /v1/acl/role/:id
        https://developer.hashicorp.com/consul/api-docs/acl/roles#delete-a-role
        """
        return await delete(self._wire, "acl.role.delete", _path(role_id), takes=Takes.TENANCY)

    async def list(self, *, policy: str | None = None, cursor: Cursor | None = None) -> Rows:
        """
        Every role, or those with a policy (its id).

        GET /v1/acl/roles
        https://developer.hashicorp.com/consul/api-docs/acl/roles#list-roles
        """
        params: Params = [] if policy is None else [("policy", policy)]
        return await self._wire.read("acl.role.list", "/v1/acl/roles", _ROWS, params, cursor=cursor)


def _path(role_id: str) -> str:
    return f"/v1/acl/role/{segment(role_id, 'role id')}"
