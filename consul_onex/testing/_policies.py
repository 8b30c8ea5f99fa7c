"""Policies: what tokens may, by their names."""

from __future__ import annotations

import re
from typing import Final
from uuid import uuid4

from ._acl_common import MARKS, check_id, marked, need_write, read, sent
from ._go import GoError, quoted
from ._http import Answer, Asked, RefusedError, Router
from ._rights import read_rules
from ._server import Server
from ._shape import STRING, list_of, struct
from ._state import Row, State, key_of
from ._tree import Watch

__all__ = ["MANAGEMENT", "Policies"]

MANAGEMENT: Final = "00000000-0000-0000-0000-000000000001"
"""The id of the policy that allows everything, which is always there."""

_ALL: Final = "".join(
    f'\n{name} = "write"' if " " not in name else f'\n{name} {{\n\tpolicy = "write"{more}\n}}'
    for name, more in (
        ("acl", ""),
        ('agent_prefix ""', ""),
        ('event_prefix ""', ""),
        ('key_prefix ""', ""),
        ("keyring", ""),
        ('node_prefix ""', ""),
        ("operator", ""),
        ('query_prefix ""', ""),
        ('service_prefix ""', '\n\tintentions = "write"'),
        ('session_prefix ""', ""),
    )
)

_NAME: Final = re.compile(r"[A-Za-z0-9\-_]{1,128}")

_POLICY: Final = struct(
    "",
    {
        **dict.fromkeys(("ID", "Name", "Description", "Rules"), STRING),
        "Datacenters": list_of(STRING, "[]string"),
        **MARKS,
    },
    wanted="structs.ACLPolicy",
)


class Policies:
    """`/v1/acl/policy`."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def open(self, router: Router) -> None:
        router.add("PUT", "/v1/acl/policy", self.create)
        router.add("GET,PUT,DELETE", "/v1/acl/policy/", self.policy)
        router.add("GET", "/v1/acl/policy/name/", self.by_name)
        router.add("GET", "/v1/acl/policies", self.all)

    @property
    def _state(self) -> State:
        return self._server.state

    def begin(self) -> None:
        """Have the policy that is always there."""
        if self._state.policies.get(key_of(MANAGEMENT)) is not None:
            return
        self._state.next()
        self._put(
            {
                "ID": MANAGEMENT,
                "Name": "global-management",
                "Description": "Builtin Policy that grants unlimited access",
                "Rules": _ALL,
                "Datacenters": [],
            }
        )

    async def create(self, asked: Asked) -> Answer:
        told = sent(asked, _POLICY, "Policy")
        if told.get("ID"):
            said = "Bad request: Cannot specify the ID when creating a new policy"
            raise RefusedError(400, said)
        return await self._set(asked, told)

    async def policy(self, asked: Asked) -> Answer:
        policy_id = asked.after("/v1/acl/policy/")
        if asked.method == "PUT":
            told = sent(asked, _POLICY, "Policy")
            if told.get("ID", policy_id) != policy_id:
                said = "Bad request: Policy ID in URL and payload do not match"
                raise RefusedError(400, said)
            return await self._set(asked, {**told, "ID": policy_id})
        if not policy_id:
            raise RefusedError(400, "Bad request: Missing policy ID")
        if asked.method == "DELETE":
            return await self._delete(asked, policy_id)

        def look(watch: Watch) -> Row | None:
            return _policy_row(self.find(policy_id, watch))

        return await read(self._server, asked, "acl-policies", look)

    async def by_name(self, asked: Asked) -> Answer:
        name = asked.after("/v1/acl/policy/name/")
        if not name:
            raise RefusedError(400, "Bad request: Missing policy Name")

        def look(watch: Watch) -> Row | None:
            return _policy_row(self.called(name))

        return await read(self._server, asked, "acl-policies", look)

    async def all(self, asked: Asked) -> Answer:
        def look(watch: Watch) -> list[Row]:
            rows = self._state.policies.items(b"", watch)
            return [
                {
                    **{name: value for name, value in row.items() if name != "Rules"},
                    "Datacenters": row["Datacenters"] or None,
                }
                for row in rows
            ]

        return await read(self._server, asked, "acl-policies", look)

    def find(self, policy_id: str, watch: Watch | None = None) -> Row | None:
        check_id(policy_id, "failed acl policy lookup: index error")
        return self._state.policies.get(key_of(policy_id), watch)

    def _known(self, policy_id: str) -> Row | None:
        try:
            return self.find(policy_id)
        except GoError:
            raise GoError("Policy ID invalid UUID") from None

    def called(self, name: str) -> Row | None:
        return next((one for one in self._state.policies.items() if one["Name"] == name), None)

    async def _set(self, asked: Asked, told: Row) -> Answer:
        await need_write(self._server, asked)
        try:
            row = self._policy_of(told)
        except GoError as error:
            raise RefusedError(500, str(error)) from None
        self._state.next()
        return Answer.json(_policy_row(self._put(row)))

    def _policy_of(self, told: Row) -> Row:
        """The policy that was sent; or what is wrong with it."""
        policy_id, name = told.get("ID", ""), told.get("Name", "")
        if not name:
            raise GoError("Invalid Policy: no Name is set")
        if not _NAME.fullmatch(name):
            allowed = "Only alphanumeric characters, '-' and '_' are allowed"
            raise GoError(f"Invalid Policy: invalid Name. {allowed}")
        rules, datacenters = told.get("Rules", ""), told.get("Datacenters") or []
        known = self._known(policy_id) if policy_id else None
        if policy_id and known is None:
            raise GoError(f"cannot find policy {policy_id}")
        if policy_id == MANAGEMENT and (datacenters or rules != _ALL):
            what = "Datacenters" if datacenters else "Rules"
            said = f"Changing the {what} for the builtin global-management policy is not permitted"
            raise GoError(said)
        if (known is None or known["Name"] != name) and self.called(name) is not None:
            what = "Policy with Name" if known is None else "policy with name"
            raise GoError(f"Invalid Policy: A {what} {quoted(name)} already exists")
        read_rules(rules)
        return {
            "ID": policy_id or str(uuid4()),
            "Name": name,
            "Description": told.get("Description", ""),
            "Rules": rules,
            "Datacenters": datacenters,
        }

    def _put(self, row: Row) -> Row:
        kept = marked(self._state, self._state.policies, row["ID"], row)
        self._state.touch("acl-policies")
        return kept

    async def _delete(self, asked: Asked, policy_id: str) -> Answer:
        await need_write(self._server, asked)
        try:
            known = self.find(policy_id)
        except GoError as error:
            raise RefusedError(500, str(error)) from None
        if policy_id == MANAGEMENT:
            said = "Delete operation not permitted on the builtin global-management policy"
            raise RefusedError(500, said)
        if known is not None:
            self._state.next()
            self._state.policies.delete(key_of(policy_id))
            self._state.touch("acl-policies")
        return Answer.json(True)


def _policy_row(row: Row | None) -> Row | None:
    """A policy as it is told: where it holds everywhere, nothing is said of that."""
    return row and {n: value for n, value in row.items() if value or n != "Datacenters"}
