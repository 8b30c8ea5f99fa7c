"""Templated policies."""

from __future__ import annotations

from typing import Final

from pydantic import TypeAdapter

from ..._call import Safety
from ..._json import LAZY
from ..._path import segment
from ..._wire import Takes, Wire
from ...errors import BadRequestError
from ...models.acl import ACLPolicy, TemplatedPolicy, TemplateVariables

__all__ = ["TemplatedPolicies"]

# Inside the class, `list` is the method of that name.
Rows = dict[str, TemplatedPolicy]

_ROW: Final = TypeAdapter(TemplatedPolicy)
_ROWS: Final = TypeAdapter(dict[str, TemplatedPolicy], config=LAZY)
_POLICY: Final = TypeAdapter(ACLPolicy)


class TemplatedPolicies:
    """
    Templated policies: what comes with Consul, to be filled in.

    https://developer.hashicorp.com/consul/api-docs/acl/templated-policies
    """

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    async def list(self) -> Rows:
        """
        Every templated policy, by its name.

        GET /v1/acl/templated-policies  since Consul 1.17
        https://developer.hashicorp.com/consul/api-docs/acl/templated-policies#list-templated-policies
        """
        return await self._wire.read(
            "acl.templated_policy.list",
            "/v1/acl/templated-policies",
            _ROWS,
            takes=Takes.TENANCY,
        )

    async def get(self, name: str) -> TemplatedPolicy | None:
        """
        Read one templated policy, such as `builtin/service`. None where there is none.

        GET /v1/acl/templated-policy/name/:name  since Consul 1.17
        https://developer.hashicorp.com/consul/api-docs/acl/templated-policies#read-a-templated-policy-by-name
        """
        try:
            return await self._wire.read(
                "acl.templated_policy.get",
                f"/v1/acl/templated-policy/name/{_path(name)}",
                _ROW,
                takes=Takes.TENANCY,
            )
        except BadRequestError as error:
            if "Invalid templated policy Name" not in error.detail:
                raise
        return None

    async def preview(self, name: str, variable_name: str | None = None) -> ACLPolicy:
        """
        What becomes of a templated policy when this name is put into it. Nothing is created.

        BadRequestError where there is no such templated policy, and when it wants a name.

        POST /v1/acl/templated-policy/preview/:name  since Consul 1.17
        https://developer.hashicorp.com/consul/api-docs/acl/templated-policies#preview-a-templated-policy
        """
        variables = (
            TemplateVariables() if variable_name is None else TemplateVariables(name=variable_name)
        )
        return await self._wire.write(
            "acl.templated_policy.preview",
            "POST",
            f"/v1/acl/templated-policy/preview/{_path(name)}",
            _POLICY,
            json=variables.body(),
            safety=Safety.SAFE,
            takes=Takes.TENANCY,
        )


def _path(name: str) -> str:
    # The slash of `builtin/service` is one of the path.
    return "/".join(segment(part) for part in name.split("/"))
