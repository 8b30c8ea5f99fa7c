"""Tokens, policies, roles, and ways to log in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, Final

from pydantic import ConfigDict, SecretStr, TypeAdapter

from ..._call import Safety
from ..._json import LAZY
from ..._token import hidden
from ..._wire import Takes, Wire
from ...models._base import rows_of
from ...models.acl import (
    ACLAuthorization,
    ACLPermission,
    ACLReplication,
    ACLToken,
    BootstrapRequest,
    LoginRequest,
    OIDCAuthURLRequest,
    OIDCCallbackRequest,
)
from .auth_method import AuthMethods
from .binding_rule import BindingRules
from .policy import Policies
from .role import Roles
from .templated_policy import TemplatedPolicies
from .token import Tokens

__all__ = ["ACL"]


@dataclass(frozen=True, slots=True)
class _AuthURL:
    """Where to log in."""

    __pydantic_config__: ClassVar[ConfigDict] = LAZY
    AuthURL: str


_TOKEN: Final = TypeAdapter(ACLToken)
_REPLICATION: Final = TypeAdapter(ACLReplication)
_AUTHORIZATIONS: Final = rows_of(ACLAuthorization)
_URL: Final = TypeAdapter(_AuthURL)


class ACL:
    """
    Tokens, policies, roles, and ways to log in.

    Policies, roles and tokens belong to the primary datacenter, `local` tokens to that of the
    agent: what is written of them ignores a view's datacenter. Where access control is switched
    off, all of this is a PermissionDeniedError.

    https://developer.hashicorp.com/consul/api-docs/acl
    """

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    @cached_property
    def token(self) -> Tokens:
        """Tokens."""
        return Tokens(self._wire)

    @cached_property
    def policy(self) -> Policies:
        """Policies: what may be done."""
        return Policies(self._wire)

    @cached_property
    def role(self) -> Roles:
        """Roles: sets of policies and identities."""
        return Roles(self._wire)

    @cached_property
    def auth_method(self) -> AuthMethods:
        """Auth methods: ways to log in."""
        return AuthMethods(self._wire)

    @cached_property
    def binding_rule(self) -> BindingRules:
        """Binding rules: what somebody who logs in is given."""
        return BindingRules(self._wire)

    @cached_property
    def templated_policy(self) -> TemplatedPolicies:
        """Templated policies: what comes with Consul, to be filled in."""
        return TemplatedPolicies(self._wire)

    async def bootstrap(self, secret: SecretStr | None = None) -> ACLToken:
        """
        Make the first token, which may do everything. It works once.

        Its secret is the given one, a UUID, or else Consul's choice. Servers before 1.13 always
        choose, so what is returned counts. PermissionDeniedError when there was one before.

        PUT /v1/acl/bootstrap
        https://developer.hashicorp.com/consul/api-docs/acl#bootstrap-acls
        """
        body = None
        if secret is not None:
            await self._wire.needs("a secret for the first token", "1.13", "acl.bootstrap")
            body = BootstrapRequest(bootstrap_secret=secret).body()
        return await self._wire.write(
            "acl.bootstrap", "PUT", "/v1/acl/bootstrap", _TOKEN, json=body, takes=Takes.NOTHING
        )

    async def replication(self) -> ACLReplication:
        """
        How the replication from the primary datacenter to this one is doing.

        GET /v1/acl/replication
        https://developer.hashicorp.com/consul/api-docs/acl#check-acl-replication
        """
        return await self._wire.read(
            "acl.replication", "/v1/acl/replication", _REPLICATION, takes=Takes.DATACENTER
        )

    async def login(
        self,
        auth_method: str,
        bearer_token: SecretStr | str,
        *,
        meta: Mapping[str, str] | None = None,
    ) -> ACLToken:
        """
        Exchange what somebody else vouches for, such as a JWT, for a new token.

        `meta` is noted in the token's description. PermissionDeniedError when the bearer token is
        not believed, when no binding rule fits it, and when there is no such auth method.

        POST /v1/acl/login
        https://developer.hashicorp.com/consul/api-docs/acl#login-to-auth-method
        """
        bearer_token = hidden(bearer_token)
        login = LoginRequest(
            auth_method=auth_method,
            bearer_token=bearer_token,
            meta=None if meta is None else dict(meta),
        )
        return await self._wire.write(
            "acl.login", "POST", "/v1/acl/login", _TOKEN, json=login.body()
        )

    async def logout(self) -> None:
        """
        Delete the token that this view sends, which must be from a login.

            await c.using(token=token.secret_id).acl.logout()

        PermissionDeniedError when it is not, and when it is gone already.

        POST /v1/acl/logout
        https://developer.hashicorp.com/consul/api-docs/acl#logout-from-auth-method
        """
        await self._wire.ask("acl.logout", "POST", "/v1/acl/logout", takes=Takes.DATACENTER)

    async def oidc_auth_url(
        self,
        auth_method: str,
        redirect_uri: str,
        *,
        client_nonce: str | None = None,
        meta: Mapping[str, str] | None = None,
    ) -> str:
        """
        Begin a login in a browser: the URL to open there.

        `redirect_uri` is where the browser is then sent, with a `state` and a `code`.

        POST /v1/acl/oidc/auth-url Enterprise
        https://developer.hashicorp.com/consul/api-docs/acl#oidc-authorization-url-request
        """
        request = OIDCAuthURLRequest(
            auth_method=auth_method,
            redirect_uri=redirect_uri,
            client_nonce=client_nonce,
            meta=None if meta is None else dict(meta),
        )
        url = await self._wire.write(
            "acl.oidc_auth_url", "POST", "/v1/acl/oidc/auth-url", _URL, json=request.body()
        )
        return url.AuthURL

    async def oidc_callback(
        self,
        auth_method: str,
        state: SecretStr | str,
        code: SecretStr | str,
        *,
        client_nonce: str | None = None,
    ) -> ACLToken:
        """
        End a login in a browser: exchange what it was sent back with for a new token.

        `client_nonce` is the one of `oidc_auth_url`.

        POST /v1/acl/oidc/callback Enterprise
        https://developer.hashicorp.com/consul/api-docs/acl#oidc-callback
        """
        state, code = hidden(state), hidden(code)
        request = OIDCCallbackRequest(
            auth_method=auth_method, state=state, code=code, client_nonce=client_nonce
        )
        return await self._wire.write(
            "acl.oidc_callback", "POST", "/v1/acl/oidc/callback", _TOKEN, json=request.body()
        )

    async def authorize(self, requests: Sequence[ACLPermission]) -> list[ACLAuthorization]:
        """
        Which of these the token may, in their order; at most 64 at a time.

        It answers for the token that this view sends, and needs no right. The endpoint is that of
        Consul's own web interface: it is not documented.

        POST /v1/internal/acl/authorize
        https://developer.hashicorp.com/consul/api-docs/acl
        """
        body = b"[%s]" % b",".join(request.body() for request in requests)
        return await self._wire.write(
            "acl.authorize",
            "POST",
            "/v1/internal/acl/authorize",
            _AUTHORIZATIONS,
            json=body,
            safety=Safety.SAFE,
            takes=Takes.DATACENTER,
        )
