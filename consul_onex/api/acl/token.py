"""Tokens."""

from __future__ import annotations

from typing import Final

from pydantic import TypeAdapter

from ..._call import Safety
from ..._path import Params, segment
from ..._wire import Takes, Wire
from ...errors import InvalidRequestError, NotFoundError, PermissionDeniedError
from ...models._base import rows_of
from ...models.acl import ACLToken, ACLTokenExpanded
from ...query import Cursor
from ._one import NOBODY, UNKNOWN, delete, find

__all__ = ["Tokens"]

# Inside the class, `list` is the method of that name.
Rows = list[ACLToken]

_ROW: Final = TypeAdapter(ACLToken)
_ROWS: Final = rows_of(ACLToken)
_EXPANDED: Final = TypeAdapter(ACLTokenExpanded)

# A token's namespace is where it was made, whatever view asks.
_SELF: Final = Takes.DATACENTER | Takes.CONSISTENCY

# What stays as it is. Consul refuses another secret, such as `<hidden>`, and another time, such as
# the same without its nanoseconds; what is not sent it fills in.
_KEPT: Final = frozenset({"secret_id", "expiration_time"})


class Tokens:
    """
    Tokens.

    https://developer.hashicorp.com/consul/api-docs/acl/tokens
    """

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    async def create(self, token: ACLToken | None = None) -> ACLToken:
        """
        Create a token, and return it with its secret.

        One that is told nothing may what the anonymous token may.
        It is sent once: an OutcomeUnknownError may leave a token behind.

        PUT /v1/acl/token
        https://developer.hashicorp.com/consul/api-docs/acl/tokens#create-a-token
        """
        token = ACLToken() if token is None else token
        return await self._wire.write(
            "acl.token.create",
            "PUT",
            "/v1/acl/token",
            _ROW,
            json=token.body(),
            takes=Takes.TENANCY,
        )

    async def get(self, accessor_id: str, cursor: Cursor | None = None) -> ACLToken | None:
        """
        Read one token. None where there is none.

        GET /v1/acl/token/:accessor
        https://developer.hashicorp.com/consul/api-docs/acl/tokens#read-a-token
        """
        return await find(
            *(self._wire, "acl.token.get", _path(accessor_id), _ROW),
            cursor=cursor,
            among="/v1/acl/tokens",
            selected=[("policy", NOBODY)],
        )

    async def expanded(self, accessor_id: str) -> ACLTokenExpanded | None:
        """
        Read one token with the policies and roles that it has. None where there is none.

        GET /v1/acl/token/:accessor?expanded  since Consul 1.12
        https://developer.hashicorp.com/consul/api-docs/acl/tokens#read-a-token
        """
        await self._wire.needs("expanded", "1.12", "acl.token.expanded")
        return await find(
            *(self._wire, "acl.token.expanded", _path(accessor_id), _EXPANDED, [("expanded", "")]),
            among="/v1/acl/tokens",
            selected=[("policy", NOBODY)],
        )

    async def self(self, cursor: Cursor | None = None) -> ACLToken:
        """
        Read the token that this view sends, which needs no right.

        PermissionDeniedError when there is no such token, and when none is sent.

        GET /v1/acl/token/self
        https://developer.hashicorp.com/consul/api-docs/acl/tokens#read-self-token
        """
        return await self._wire.read(
            "acl.token.self", "/v1/acl/token/self", _ROW, cursor=cursor, takes=_SELF
        )

    async def update(self, token: ACLToken) -> ACLToken:
        """
        Write over the token with this `accessor_id`, and return it as it is now.

            token = await c.acl.token.get(accessor_id)
            await c.acl.token.update(token.replace(description="web, both of them"))

        What is not given is emptied, but for what cannot change: the secret and when it expires.
        NotFoundError where there is no such token.

        PUT /v1/acl/token/:accessor
        https://developer.hashicorp.com/consul/api-docs/acl/tokens#update-a-token
        """
        changed = ACLToken(
            **{name: getattr(token, name) for name in token.model_fields_set - _KEPT}
        )
        return await self._wire.write(
            "acl.token.update",
            "PUT",
            _path(token.accessor_id),
            _ROW,
            json=changed.body(),
            safety=Safety.IDEMPOTENT,
            takes=Takes.TENANCY,
        )

    async def clone(self, accessor_id: str, description: str | None = None) -> ACLToken:
        """
        Create a token that may what another may, and return it with its secret.

        NotFoundError where there is no such token. Those from a login cannot be cloned.

        PUT /v1/acl/token/:accessor/clone
        https://developer.hashicorp.com/consul/api-docs/acl/tokens#clone-a-token
        """
        clone = ACLToken() if description is None else ACLToken(description=description)
        try:
            return await self._wire.write(
                "acl.token.clone",
                "PUT",
                f"{_path(accessor_id)}/clone",
                _ROW,
                json=clone.body(),
                takes=Takes.TENANCY,
            )
        except PermissionDeniedError as error:
            if UNKNOWN not in error.detail:
                raise
            status, detail = error.status, error.detail
        # If it is the token that asks, this is refused as well.
        await self.get(accessor_id)
        raise NotFoundError(
            f"Consul answered {status}: there is no such token to clone",
            status=status,
            detail=detail,
            operation="acl.token.clone",
        )

    async def delete(self, accessor_id: str) -> bool:
        """
        Delete a token. True, also when it was gone.

        DELETE /v1/acl/token/:accessor
        https://developer.hashicorp.com/consul/api-docs/acl/tokens#delete-a-token
        """
        return await delete(self._wire, "acl.token.delete", _path(accessor_id), takes=Takes.TENANCY)

    async def list(
        self,
        *,
        policy: str | None = None,
        role: str | None = None,
        auth_method: str | None = None,
        service_name: str | None = None,
        cursor: Cursor | None = None,
    ) -> Rows:
        """
        Every token, or those with a policy or a role (their ids), from an auth method, or with
        the identity of a service (since Consul 1.17).

        GET /v1/acl/tokens
        https://developer.hashicorp.com/consul/api-docs/acl/tokens#list-tokens
        """
        if service_name is not None:
            await self._wire.needs("service_name", "1.17", "acl.token.list")
        asked = {
            "policy": policy,
            "role": role,
            "authmethod": auth_method,
            "servicename": service_name,
        }
        params: Params = [(name, value) for name, value in asked.items() if value is not None]
        return await self._wire.read(
            "acl.token.list", "/v1/acl/tokens", _ROWS, params, cursor=cursor
        )


def _path(accessor_id: str) -> str:
    encoded = segment(accessor_id, "token's accessor id")
    if "/" in accessor_id:
        # Consul decodes it first: an update of `x/clone` would clone x.
        raise InvalidRequestError("a token's accessor id has no '/'")
    return f"/v1/acl/token/{encoded}"
