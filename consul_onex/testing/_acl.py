"""Access control: `/v1/acl/`."""

from __future__ import annotations

from ._http import Answer, Asked, RefusedError, Router, options_of
from ._policies import MANAGEMENT, Policies
from ._rights import Rights, read_rules
from ._server import Server
from ._state import key_of
from ._tokens import Tokens

__all__ = ["ACL"]


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
        self._reset = 0
        server.rights = self.rights
        self._begin(initial)

    def open(self, router: Router) -> None:
        router.add("PUT", "/v1/acl/bootstrap", self.bootstrap)
        self._policies.open(router)
        self._tokens.open(router)

    def _begin(self, initial: str | None) -> None:
        """What there is before anybody has asked for anything."""
        state = self._server.state
        state.index = 4
        self._policies.begin()
        if initial is not None:
            self._reset = state.next()
            self._tokens.begin(initial, "Master Token", [MANAGEMENT])
        state.next()
        self._tokens.begin_anonymous()

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
        if self._reset:
            said = f"ACL bootstrap no longer allowed (reset index: {self._reset})"
            raise RefusedError(403, f"Permission denied: {said}")
        await self._server.ready(options_of(asked))
        self._reset = self._server.state.next()
        row = self._tokens.first("Bootstrap Token (Global Management)", [MANAGEMENT])
        return Answer.json({"ID": row["SecretID"], **row})
