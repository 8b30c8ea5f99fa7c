"""Policies."""

from __future__ import annotations

from typing import Final

from pydantic import TypeAdapter

from ..._call import Safety
from ..._path import segment
from ..._wire import Takes, Wire
from ...errors import InvalidRequestError
from ...models._base import rows_of
from ...models.acl import ACLPolicy
from ...query import Cursor
from ._one import delete, find

__all__ = ["Policies"]

# Inside the class, `list` is the method of that name.
Rows = list[ACLPolicy]

_ROW: Final = TypeAdapter(ACLPolicy)
_ROWS: Final = rows_of(ACLPolicy)


class Policies:
    """
    Policies.

    https://developer.hashicorp.com/consul/api-docs/acl/policies
    """

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    async def create(self, policy: ACLPolicy) -> ACLPolicy:
        """
        Create a policy, and return it with its id.

        BadRequestError when there is one of that name, or the rules cannot be understood (what
        they are about is not checked: a misspelt resource is no rule).

        PUT /v1/acl/policy
        https://developer.hashicorp.com/consul/api-docs/acl/policies#create-a-policy
        """
        return await self._wire.write(
            "acl.policy.create",
            "PUT",
            "/v1/acl/policy",
            _ROW,
            json=policy.body(),
            takes=Takes.TENANCY,
        )

    async def get(self, policy_id: str, cursor: Cursor | None = None) -> ACLPolicy | None:
        """
        Read one policy. None where there is none.

        GET /v1/acl/policy/:id
        https://developer.hashicorp.com/consul/api-docs/acl/policies#read-a-policy
        """
        return await find(
            *(self._wire, "acl.policy.get", _path(policy_id), _ROW),
            cursor=cursor,
            among="/v1/acl/policies",
        )

    async def get_by_name(self, name: str, cursor: Cursor | None = None) -> ACLPolicy | None:
        """
        Read one policy by its name. None where there is none.

        GET /v1/acl/policy/name/:name
        https://developer.hashicorp.com/consul/api-docs/acl/policies#read-a-policy-by-name
        """
        return await find(
            *(self._wire, "acl.policy.get_by_name", f"/v1/acl/policy/name/{segment(name)}", _ROW),
            cursor=cursor,
            among="/v1/acl/policies",
        )

    async def update(self, policy: ACLPolicy) -> ACLPolicy:
        """
        Write over the policy with this `id`, and return it as it is now.

        What is not given is emptied. So a policy from a list, which has no rules, is refused here.
        NotFoundError where there is no such policy.

        PUT /v1/acl/policy/:id
        https://developer.hashicorp.com/consul/api-docs/acl/policies#update-a-policy
        """
        if "rules" not in policy.model_fields_set:
            raise InvalidRequestError(
                "this policy does not say its rules, which an update would empty: read it with "
                "get, or say rules='' if that is meant",
                operation="acl.policy.update",
            )
        return await self._wire.write(
            "acl.policy.update",
            "PUT",
            _path(policy.id),
            _ROW,
            json=policy.body(),
            safety=Safety.IDEMPOTENT,
            takes=Takes.TENANCY,
        )

    async def delete(self, policy_id: str) -> bool:
        """
        Delete a policy: those who have it lose it. True, also when it was gone.

        DELETE /v1/acl/policy/:id
        https://developer.hashicorp.com/consul/api-docs/acl/policies#delete-a-policy
        """
        return await delete(self._wire, "acl.policy.delete", _path(policy_id), takes=Takes.TENANCY)

    async def list(self, cursor: Cursor | None = None) -> Rows:
        """
        Every policy, without its rules.

        GET /v1/acl/policies
        https://developer.hashicorp.com/consul/api-docs/acl/policies#list-policies
        """
        return await self._wire.read("acl.policy.list", "/v1/acl/policies", _ROWS, cursor=cursor)


def _path(policy_id: str) -> str:
    return f"/v1/acl/policy/{segment(policy_id, 'policy id')}"
