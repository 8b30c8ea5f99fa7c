"""Binding rules."""

from __future__ import annotations

from typing import Final

from pydantic import TypeAdapter

from ..._call import Safety
from ..._path import Params, segment
from ..._wire import Takes, Wire
from ...models._base import rows_of
from ...models.acl import ACLBindingRule
from ...query import Cursor
from ._one import NOBODY, delete, find

__all__ = ["BindingRules"]

# Inside the class, `list` is the method of that name.
Rows = list[ACLBindingRule]

_ROW: Final = TypeAdapter(ACLBindingRule)
_ROWS: Final = rows_of(ACLBindingRule)


class BindingRules:
    """
    Binding rules: what somebody who logs in is given.

    https://developer.hashicorp.com/consul/api-docs/acl/binding-rules
    """

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    async def create(self, rule: ACLBindingRule) -> ACLBindingRule:
        """
        Create a binding rule, and return it with its id.

        NotFoundError where there is no such auth method; BadRequestError when the selector or the
        name speaks of what that does not know.

        PUT /v1/acl/binding-rule
        https://developer.hashicorp.com/consul/api-docs/acl/binding-rules#create-a-binding-rule
        """
        return await self._wire.write(
            "acl.binding_rule.create", "PUT", "/v1/acl/binding-rule", _ROW, json=rule.body()
        )

    async def get(self, rule_id: str, cursor: Cursor | None = None) -> ACLBindingRule | None:
        """
        Read one binding rule. None where there is none.

        GET /v1/acl/binding-rule/:id
        https://developer.hashicorp.com/consul/api-docs/acl/binding-rules#read-a-binding-rule
        """
        return await find(
            *(self._wire, "acl.binding_rule.get", _path(rule_id), _ROW),
            cursor=cursor,
            among="/v1/acl/binding-rules",
            selected=[("authmethod", NOBODY)],
        )

    async def update(self, rule: ACLBindingRule) -> ACLBindingRule:
        """
        Write over the binding rule with this `id`, and return it as it is now.

        What is not given is emptied. The auth method cannot change. NotFoundError where there is
        no such rule.

        PUT /v1/acl/binding-rule/:id
        https://developer.hashicorp.com/consul/api-docs/acl/binding-rules#update-a-binding-rule
        """
        return await self._wire.write(
            "acl.binding_rule.update",
            "PUT",
            _path(rule.id),
            _ROW,
            json=rule.body(),
            safety=Safety.IDEMPOTENT,
        )

    async def delete(self, rule_id: str) -> bool:
        """
        Delete a binding rule. True, also when it was gone.

        DELETE /v1/acl/binding-rule/:id
        https://developer.hashicorp.com/consul/api-docs/acl/binding-rules#delete-a-binding-rule
        """
        return await delete(
            self._wire, "acl.binding_rule.delete", _path(rule_id), takes=Takes.WRITE
        )

    async def list(self, *, auth_method: str | None = None, cursor: Cursor | None = None) -> Rows:
        """
        Every binding rule, or those of an auth method.

        GET /v1/acl/binding-rules
        https://developer.hashicorp.com/consul/api-docs/acl/binding-rules#list-binding-rules
        """
        params: Params = [] if auth_method is None else [("authmethod", auth_method)]
        return await self._wire.read(
            "acl.binding_rule.list", "/v1/acl/binding-rules", _ROWS, params, cursor=cursor
        )


def _path(rule_id: str) -> str:
    return f"/v1/acl/binding-rule/{segment(rule_id, 'binding rule id')}"
