"""Access control: `/v1/acl/`."""

from __future__ import annotations

from typing import Final

from ._http import Answer, Asked, RefusedError, Router, options_of
from ._policies import MANAGEMENT, Policies
from ._rights import Rights, read_rules
from ._server import Server
from ._state import key_of
from ._tokens import Tokens

__all__ = ["ACL"]

# How far the log of a new server has come when access control begins.
_BEFORE: Final = 3

# When somebody was given the first token.
_BOOTSTRAP: Final = "acl-token-bootstrap"


class ACL:
    """
    Access control in one datacenter, which denies what no policy allows.

    `initial` is the secret of a token that may do everything; without it the first who asks for one
    (`/v1/acl/bootstrap`) is given one.
    """

    def __init__(self, server: Server, initial: str | None) -> None:
        self._server = server
        self._policies = Policies(server)
        self._tokens = Tokens(server, self._policies)
        self._initial = initial
        server.rights = self.rights
        server.state.index = _BEFORE
        self._take_over()
        server.takeovers.append(self._take_over)

    def open(self, router: Router) -> None:
        router.add("PUT", "/v1/acl/bootstrap", self.bootstrap)
        self._policies.open(router)
        self._tokens.open(router)

    def _take_over(self) -> None:
        """Have what there always is, and know what will expire."""
        state = self._server.state
        self._policies.begin()
        if self._initial is not None and not self._tokens.has(self._initial):
            state.next()
            if not state.touched(_BOOTSTRAP):
                state.touch(_BOOTSTRAP)
            self._tokens.begin(self._initial, "Master Token", [MANAGEMENT])
        self._tokens.begin_anonymous()
        self._tokens.resume()

    def rights(self, asked: Asked) -> Rights:
        """What the token of a request may; one that is not known is refused."""
        state, datacenter = self._server.state, self._server.datacenter
        ids = self._tokens.known(asked)["Policies"]
        policies = [state.policies.get(key_of(one)) for one in ids]
        return Rights(
            rule
            for policy in policies
            if policy is not None and datacenter in (policy["Datacenters"] or [datacenter])
            for rule in read_rules(policy["Rules"])
        )

    async def bootstrap(self, asked: Asked) -> Answer:
        reset = self._server.state.touched(_BOOTSTRAP)
        if reset:
            said = f"ACL bootstrap no longer allowed (reset index: {reset})"
            raise RefusedError(403, f"Permission denied: {said}")
        await self._server.ready(options_of(asked))
        self._server.state.next()
        self._server.state.touch(_BOOTSTRAP)
        row = self._tokens.first("Bootstrap Token (Global Management)", [MANAGEMENT])
        return Answer.json({"ID": row["SecretID"], **row})
