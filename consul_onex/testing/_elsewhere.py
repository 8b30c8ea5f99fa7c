"""What Consul has, and the fake agent does not."""

from __future__ import annotations

from typing import Final

from ._http import Answer, Asked, Router
from ._server import Server

__all__ = ["Elsewhere"]

# By the methods that Consul has there.
_MISSING: Final = {
    "GET": (
        *("/v1/agent/host", "/v1/agent/monitor", "/v1/agent/metrics"),
        *("/v1/agent/connect/ca/roots", "/v1/agent/connect/ca/leaf/"),
        *("/v1/connect/ca/roots", "/v1/connect/intentions/match", "/v1/connect/intentions/check"),
        *("/v1/coordinate/datacenters", "/v1/coordinate/nodes", "/v1/coordinate/node/"),
        "/v1/acl/replication",
        "/v1/operator/autopilot/health",
    ),
    "PUT": (
        *("/v1/agent/join/", "/v1/agent/leave", "/v1/agent/force-leave/", "/v1/agent/reload"),
        *("/v1/coordinate/update", "/v1/config"),
    ),
    "POST": ("/v1/agent/connect/authorize",),
    "DELETE": ("/v1/operator/raft/peer",),
    "GET,DELETE": ("/v1/config/",),
    "GET,POST": ("/v1/connect/intentions", "/v1/query", "/v1/discovery-chain/"),
    "GET,PUT": ("/v1/connect/ca/configuration", "/v1/operator/autopilot/configuration"),
    "GET,PUT,DELETE": ("/v1/connect/intentions/", "/v1/query/"),
    "GET,POST,PUT,DELETE": ("/v1/operator/keyring",),
}

# There are no ACLs, and Consul has words for that.
_ACL: Final = {
    "PUT": (
        *("/v1/acl/bootstrap", "/v1/acl/create", "/v1/acl/update", "/v1/acl/destroy/"),
        *("/v1/acl/clone/", "/v1/acl/policy", "/v1/acl/role", "/v1/acl/token"),
        *("/v1/acl/auth-method", "/v1/acl/binding-rule", "/v1/agent/token/"),
    ),
    "GET": (
        *("/v1/acl/info/", "/v1/acl/list", "/v1/acl/policies", "/v1/acl/roles", "/v1/acl/tokens"),
        *("/v1/acl/auth-methods", "/v1/acl/binding-rules", "/v1/acl/rules/translate/"),
        *("/v1/acl/policy/name/", "/v1/acl/role/name/"),
    ),
    "POST": (
        *("/v1/acl/login", "/v1/acl/logout", "/v1/acl/rules/translate"),
        "/v1/internal/acl/authorize",
    ),
    "GET,PUT,DELETE": (
        *("/v1/acl/policy/", "/v1/acl/role/", "/v1/acl/token/"),
        *("/v1/acl/auth-method/", "/v1/acl/binding-rule/"),
    ),
}


class Elsewhere:
    """The doors behind which there is nothing; those of access control too, where it is off."""

    def __init__(self, server: Server, *, guarded: bool) -> None:
        self._server = server
        self._guarded = guarded

    def open(self, router: Router) -> None:
        for methods, paths in _MISSING.items():
            for path in paths:
                router.add(methods, path, self._missing)
        for methods, paths in _ACL.items():
            for path in paths:
                router.add(methods, path, self._missing if self._guarded else _no_acls)

    async def _missing(self, asked: Asked) -> Answer:
        # Whoever is not known is told so first.
        self._server.rights(asked)
        return Answer.text(501, f"The fake agent does not have {asked.method} {asked.path}.")


async def _no_acls(asked: Asked) -> Answer:
    return Answer.text(401, "ACL support disabled")
