"""Tokens, and the policies that say what they may: `/v1/acl/`."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import uuid4

from ._go import GoError, duration, quoted
from ._http import NO_NAMESPACES, Answer, Asked, RefusedError, Router, options_of
from ._kv import check_uuid
from ._rights import Rights, read_rules
from ._server import NO_META, Server
from ._shape import ANY, BOOL, DURATION, STRING, UINT, Shape, list_of, struct
from ._state import Row, State, key_of
from ._tree import Tree, Watch

__all__ = ["ACL"]

_MANAGEMENT: Final = "00000000-0000-0000-0000-000000000001"
_ANONYMOUS: Final = "00000000-0000-0000-0000-000000000002"
_RESERVED: Final = "00000000-0000-0000-0000-0000000000"

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

_MINUTE, _DAY = 60 * 10**9, 86_400 * 10**9

# What makes one policy or token another than it was.
_CONTENT: Final = ("Name", "Description", "Rules", "Datacenters", "Policies", "Local")

_LINKS: Final = list_of(struct("ACLTokenPolicyLink", {"ID": STRING, "Name": STRING}), "[]")
_MARKS: Final = {"Hash": ANY, "CreateIndex": UINT, "ModifyIndex": UINT}
_POLICY: Final = struct(
    "",
    {
        **dict.fromkeys(("ID", "Name", "Description", "Rules"), STRING),
        "Datacenters": list_of(STRING, "[]string"),
        **_MARKS,
    },
    wanted="structs.ACLPolicy",
)

# What a token can be given at Consul, and not here.
_MORE: Final = ("Roles", "ServiceIdentities", "NodeIdentities")

_TOKEN: Final = struct(
    "",
    {
        **dict.fromkeys(("AccessorID", "SecretID", "Description", "AuthMethod", "Rules"), STRING),
        **dict.fromkeys(("CreateTime", "ExpirationTime"), STRING),
        "Policies": _LINKS,
        **dict.fromkeys(_MORE, ANY),
        "Local": BOOL,
        "ExpirationTTL": DURATION,
        **_MARKS,
    },
    wanted="structs.ACLToken",
)


class ACL:
    """
    Access control in one datacenter, which denies what no policy allows.

    `initial` is the secret of a token that may do everything; without it the first who asks for one
    (`/v1/acl/bootstrap`) is given one.
    """

    def __init__(self, server: Server, initial: str | None) -> None:
        self._server = server
        self._born: tuple[datetime, float] | None = None
        self._reset = 0
        self._begin(initial)
        server.rights = self.rights

    def open(self, router: Router) -> None:
        for methods, path, handler in (
            ("PUT", "/v1/acl/bootstrap", self.bootstrap),
            ("PUT", "/v1/acl/policy", self.create_policy),
            ("GET,PUT,DELETE", "/v1/acl/policy/", self.policy),
            ("GET", "/v1/acl/policy/name/", self.policy_by_name),
            ("GET", "/v1/acl/policies", self.policies),
            ("PUT", "/v1/acl/token", self.create_token),
            ("GET,PUT,DELETE", "/v1/acl/token/", self.token),
            ("GET", "/v1/acl/token/self", self.own_token),
            ("GET", "/v1/acl/tokens", self.tokens),
        ):
            router.add(methods, path, handler)

    @property
    def _state(self) -> State:
        return self._server.state

    def _begin(self, initial: str | None) -> None:
        """What there is before anybody has asked for anything."""
        self._state.index = 4
        self._put_policy(
            {
                "ID": _MANAGEMENT,
                "Name": "global-management",
                "Description": "Builtin Policy that grants unlimited access",
                "Rules": _ALL,
                "Datacenters": [],
            }
        )
        if initial is not None:
            self._state.next()
            self._reset = self._state.index
            self._put_token(_token(initial, "Master Token", [_MANAGEMENT]))
        self._state.next()
        self._put_token({**_token("anonymous", "Anonymous Token", []), "AccessorID": _ANONYMOUS})

    # -- who asks -------------------------------------------------------------------------------

    def rights(self, asked: Asked) -> Rights:
        """What the token of a request may; one that is not known is refused."""
        token = self._by_secret(asked.token or "anonymous")
        if token is None:
            raise RefusedError(403, "ACL not found")
        datacenter = self._server.datacenter
        policies = [self._state.policies.get(key_of(one)) for one in token["Policies"]]
        return Rights(
            rule
            for policy in policies
            if policy is not None and datacenter in (policy["Datacenters"] or [datacenter])
            for rule in read_rules(policy["Rules"])
        )

    def _by_secret(self, secret: str) -> Row | None:
        return next((one for one in self._state.tokens.items() if one["SecretID"] == secret), None)

    async def _may(self, asked: Asked, access: str) -> Rights:
        """Wait until somebody can answer, and refuse who may not do this."""
        asked.refuse_namespaces()
        await self._server.ready(options_of(asked))
        rights = self._server.rights(asked)
        rights.need(access, "acl")
        return rights

    async def _read(
        self, asked: Asked, table: str, look: Callable[[Watch], Any], *, own: bool = False
    ) -> Answer:
        """What is found, where it may be read; who reads of itself (`own`) always may."""
        if not own:
            asked.refuse_namespaces()

        def looked(watch: Watch) -> tuple[int, Any]:
            if not own:
                self._server.rights(asked).need("read", "acl")
            return self._state.touched(table, watch=watch), look(watch)

        try:
            meta, found = await self._server.read(options_of(asked), looked)
        except GoError as error:
            raise RefusedError(500, str(error), NO_META) from None
        except RefusedError as error:
            error.answer.headers.update(NO_META)
            raise
        if found is None:
            raise RefusedError(403, "ACL not found", meta)
        return Answer.json(found, meta)

    # -- policies -------------------------------------------------------------------------------

    async def create_policy(self, asked: Asked) -> Answer:
        sent = _sent(asked, _POLICY, "Policy")
        if sent.get("ID"):
            said = "Bad request: Cannot specify the ID when creating a new policy"
            raise RefusedError(400, said)
        return await self._set_policy(asked, sent)

    async def policy(self, asked: Asked) -> Answer:
        policy_id = asked.after("/v1/acl/policy/")
        if asked.method == "PUT":
            sent = _sent(asked, _POLICY, "Policy")
            if sent.get("ID", policy_id) != policy_id:
                said = "Bad request: Policy ID in URL and payload do not match"
                raise RefusedError(400, said)
            return await self._set_policy(asked, {**sent, "ID": policy_id})
        if not policy_id:
            raise RefusedError(400, "Bad request: Missing policy ID")
        if asked.method == "DELETE":
            return await self._delete_policy(asked, policy_id)
        return await self._read(
            asked, "acl-policies", lambda w: _policy_row(self._find_policy(policy_id, w))
        )

    async def policy_by_name(self, asked: Asked) -> Answer:
        name = asked.after("/v1/acl/policy/name/")
        if not name:
            raise RefusedError(400, "Bad request: Missing policy Name")
        return await self._read(
            asked, "acl-policies", lambda w: _policy_row(self._policy_called(name))
        )

    async def policies(self, asked: Asked) -> Answer:
        def look(watch: Watch) -> list[Row]:
            rows = self._state.policies.items(b"", watch)
            return [
                {
                    **{name: value for name, value in row.items() if name != "Rules"},
                    "Datacenters": row["Datacenters"] or None,
                }
                for row in rows
            ]

        return await self._read(asked, "acl-policies", look)

    def _find_policy(self, policy_id: str, watch: Watch | None = None) -> Row | None:
        _check_id(policy_id, "failed acl policy lookup: index error")
        return self._state.policies.get(key_of(policy_id), watch)

    def _known_policy(self, policy_id: str) -> Row | None:
        try:
            return self._find_policy(policy_id)
        except GoError:
            raise GoError("Policy ID invalid UUID") from None

    def _policy_called(self, name: str) -> Row | None:
        return next((one for one in self._state.policies.items() if one["Name"] == name), None)

    async def _set_policy(self, asked: Asked, sent: Row) -> Answer:
        await self._may(asked, "write")
        try:
            row = self._policy_of(sent)
        except GoError as error:
            raise RefusedError(500, str(error)) from None
        self._state.next()
        return Answer.json(_policy_row(self._put_policy(row)))

    def _policy_of(self, sent: Row) -> Row:
        """The policy that was sent; or what is wrong with it."""
        policy_id, name = sent.get("ID", ""), sent.get("Name", "")
        if not name:
            raise GoError("Invalid Policy: no Name is set")
        if not _NAME.fullmatch(name):
            allowed = "Only alphanumeric characters, '-' and '_' are allowed"
            raise GoError(f"Invalid Policy: invalid Name. {allowed}")
        rules, datacenters = sent.get("Rules", ""), sent.get("Datacenters") or []
        known = self._known_policy(policy_id) if policy_id else None
        if policy_id and known is None:
            raise GoError(f"cannot find policy {policy_id}")
        if policy_id == _MANAGEMENT and (datacenters or rules != _ALL):
            what = "Datacenters" if datacenters else "Rules"
            said = f"Changing the {what} for the builtin global-management policy is not permitted"
            raise GoError(said)
        if (known is None or known["Name"] != name) and self._policy_called(name) is not None:
            what = "Policy with Name" if known is None else "policy with name"
            raise GoError(f"Invalid Policy: A {what} {quoted(name)} already exists")
        read_rules(rules)
        return {
            "ID": policy_id or str(uuid4()),
            "Name": name,
            "Description": sent.get("Description", ""),
            "Rules": rules,
            "Datacenters": datacenters,
        }

    def _put_policy(self, row: Row) -> Row:
        marked = _marked(self._state, self._state.policies, row["ID"], row)
        self._state.touch("acl-policies")
        return marked

    async def _delete_policy(self, asked: Asked, policy_id: str) -> Answer:
        await self._may(asked, "write")
        try:
            known = self._find_policy(policy_id)
        except GoError as error:
            raise RefusedError(500, str(error)) from None
        if policy_id == _MANAGEMENT:
            said = "Delete operation not permitted on the builtin global-management policy"
            raise RefusedError(500, said)
        if known is not None:
            self._state.next()
            self._state.policies.delete(key_of(policy_id))
            self._state.touch("acl-policies")
        return Answer.json(True)

    # -- tokens ---------------------------------------------------------------------------------

    async def bootstrap(self, asked: Asked) -> Answer:
        if self._reset:
            said = f"ACL bootstrap no longer allowed (reset index: {self._reset})"
            raise RefusedError(403, f"Permission denied: {said}")
        await self._server.ready(options_of(asked))
        self._state.next()
        self._reset = self._state.index
        first = _token(str(uuid4()), "Bootstrap Token (Global Management)", [_MANAGEMENT])
        row = self._put_token({**first, "CreateTime": _dated(self._now())})
        return Answer.json({"ID": row["SecretID"], **self._token_row(row)})

    async def create_token(self, asked: Asked) -> Answer:
        return await self._create_token(asked, _sent_token(asked))

    async def token(self, asked: Asked) -> Answer:
        accessor = asked.after("/v1/acl/token/")
        if asked.method == "PUT":
            return await self._write_token(asked, accessor, _sent_token(asked))
        if not accessor:
            raise RefusedError(400, "Bad request: Missing token ID")
        if asked.method == "DELETE":
            return await self._delete_token(asked, accessor)

        def look(watch: Watch) -> Row | None:
            row = self._find_token(accessor, watch)
            if row is None or self._server.rights(asked).may("write", "acl"):
                return row and self._token_row(row)
            return self._token_row({**row, "SecretID": "<hidden>"})

        return await self._read(asked, "acl-tokens", look)

    async def own_token(self, asked: Asked) -> Answer:
        def look(watch: Watch) -> Row | None:
            row = self._by_secret(asked.token)
            return row and self._token_row(row)

        return await self._read(asked, "acl-tokens", look, own=True)

    async def tokens(self, asked: Asked) -> Answer:
        policy = asked.param("policy")

        def look(watch: Watch) -> list[Row]:
            rows = [self._token_row(one) for one in self._state.tokens.items(b"", watch)]
            return [
                {name: value for name, value in row.items() if name != "SecretID"}
                for row in rows
                if not policy or policy in [link["ID"] for link in row.get("Policies", ())]
            ]

        return await self._read(asked, "acl-tokens", look)

    async def _write_token(self, asked: Asked, accessor: str, sent: Row) -> Answer:
        if accessor.endswith("/clone"):
            return await self._clone_token(asked, accessor.removesuffix("/clone"), sent)
        if not accessor:
            return await self._create_token(asked, sent)
        if sent.get("AccessorID", accessor) != accessor:
            said = "Bad request: Token Accessor ID in URL and payload do not match"
            raise RefusedError(400, said)
        await self._may(asked, "write")
        try:
            row = self._changed(accessor, sent)
        except GoError as error:
            raise RefusedError(500, str(error)) from None
        self._state.next()
        return Answer.json(self._token_row(self._put_token(row)))

    def _find_token(self, accessor: str, watch: Watch | None = None) -> Row | None:
        _check_id(accessor, "failed acl token lookup: index error")
        return self._state.tokens.get(key_of(accessor), watch)

    async def _create_token(self, asked: Asked, sent: Row) -> Answer:
        await self._may(asked, "write")
        try:
            row, seconds = self._token_of(sent)
        except GoError as error:
            raise RefusedError(500, str(error)) from None
        self._state.next()
        if seconds:
            accessor = row["AccessorID"]
            self._server.timers.after(seconds, lambda: self._end(accessor))
        return Answer.json(self._token_row(self._put_token(row)))

    def _token_of(self, sent: Row) -> tuple[Row, float]:
        """The token that was asked for, and for how many seconds it is there; 0 for always."""
        accessor, secret = sent.get("AccessorID", ""), sent.get("SecretID", "")
        _refuse_foreign(sent)
        if accessor:
            try:
                known = self._find_token(accessor)
            except GoError as error:
                raise GoError(f"Failed acl token lookup by accessor: {error}") from None
            if known is not None:
                raise GoError("Invalid Token: AccessorID is already in use")
        if secret:
            try:
                check_uuid(secret)
            except GoError:
                raise GoError("Invalid Token: SecretID is not a valid UUID") from None
            if self._by_secret(secret) is not None:
                raise GoError("Invalid Token: SecretID is already in use")
        if accessor.startswith(_RESERVED) or secret.startswith(_RESERVED):
            said = f"UUIDs with the prefix {quoted(_RESERVED)} are reserved"
            raise GoError(f"Invalid Token: {said}")
        seconds = self._life(sent)
        now = self._now()
        ends = {"ExpirationTime": _dated(now + timedelta(seconds=seconds))} if seconds else {}
        row = {
            **_token(secret or str(uuid4()), sent.get("Description", ""), self._linked(sent)),
            "Local": sent.get("Local", False),
            **ends,
            "CreateTime": _dated(now),
        }
        return row | ({"AccessorID": accessor} if accessor else {}), seconds

    def _life(self, sent: Row) -> float:
        """How many seconds a token is to be there, if not always (0)."""
        ttl, at = sent.get("ExpirationTTL", 0), sent.get("ExpirationTime", "")
        if ttl and at:
            raise GoError("Token Expiration TTL and Expiration Time cannot both be set")
        if ttl < 0:
            raise GoError(f"Token Expiration TTL '{duration(ttl)}' should be > 0")
        if at:
            ttl = round((datetime.fromisoformat(at) - self._now()).total_seconds() * 1e9)
        if (ttl or at) and not _MINUTE <= ttl <= _DAY:
            which, bound = ("less", _MINUTE) if ttl < _MINUTE else ("more", _DAY)
            least = f"ExpirationTime cannot be {which} than {duration(bound)} in the future"
            raise GoError(f"{least} (was {duration(ttl)})")
        return float(ttl / 1e9)

    def _changed(self, accessor: str, sent: Row) -> Row:
        """A token as it is after a change; or why it cannot be."""
        try:
            known = self._find_token(accessor)
        except GoError as error:
            raise GoError(f"Failed acl token lookup by accessor: {error}") from None
        if known is None:
            raise GoError(f"Cannot find token {quoted(accessor)}")
        if sent.get("AuthMethod"):
            raise GoError(f"Cannot change AuthMethod of {accessor}")
        _refuse_foreign(sent)
        if sent.get("SecretID", known["SecretID"]) != known["SecretID"]:
            raise GoError("Changing a tokens SecretID is not permitted")
        if sent.get("Local", known["Local"]) != known["Local"]:
            raise GoError(f"cannot toggle local mode of {accessor}")
        ends = known.get("ExpirationTime", "")
        if sent.get("ExpirationTTL") or _instant(sent.get("ExpirationTime") or ends) != (
            _instant(ends)
        ):
            raise GoError(f"Cannot change expiration time of {accessor}")
        return {
            **known,
            "Description": sent.get("Description", ""),
            "Policies": self._linked(sent),
        }

    def _linked(self, sent: Row) -> list[str]:
        """The ids of the policies that a token is to have."""
        found: dict[str, None] = {}
        for link in sent.get("Policies") or []:
            policy_id, name = link.get("ID", ""), link.get("Name", "")
            try:
                policy = self._find_policy(policy_id) if policy_id else self._policy_called(name)
            except GoError as error:
                said = f"Error looking up policy for id {quoted(policy_id)}: {error}"
                raise GoError(said) from None
            if policy is None:
                what = f"ID {quoted(policy_id)}" if policy_id else f"name {quoted(name)}"
                raise GoError(f"No such ACL policy with {what}")
            found[policy["ID"]] = None
        return list(found)

    async def _clone_token(self, asked: Asked, accessor: str, sent: Row) -> Answer:
        await self._may(asked, "write")
        try:
            known = self._find_token(accessor)
        except GoError as error:
            raise RefusedError(500, str(error)) from None
        if known is None:
            raise RefusedError(403, "ACL not found")
        links = [{"ID": one} for one in known["Policies"]]
        description = sent.get("Description") or known["Description"]
        copy = {"Policies": links, "Local": known["Local"], "Description": description}
        return await self._create_token(asked, copy)

    def _put_token(self, row: Row) -> Row:
        marked = _marked(self._state, self._state.tokens, row["AccessorID"], row)
        self._state.touch("acl-tokens")
        return marked

    def _token_row(self, row: Row) -> Row:
        """A token as it is told: with the names that its policies have now."""
        policies = [self._state.policies.get(key_of(one)) for one in row["Policies"]]
        links = [{"ID": one["ID"], "Name": one["Name"]} for one in policies if one is not None]
        first = ("AccessorID", "SecretID", "Description")
        # An event loop has no time before it runs, and some tokens are older.
        made = row["CreateTime"] or _dated(self._birth()[0])
        return {
            **{name: row[name] for name in first},
            **({"Policies": links} if links else {}),
            **{n: value for n, value in row.items() if n not in {*first, "Policies"}},
            "CreateTime": made,
        }

    async def _delete_token(self, asked: Asked, accessor: str) -> Answer:
        await self._may(asked, "write")
        try:
            known = self._find_token(accessor)
        except GoError:
            raise RefusedError(500, "Accessor ID is missing or an invalid UUID") from None
        if accessor == _ANONYMOUS:
            raise RefusedError(500, "Delete operation not permitted on the anonymous token")
        if known is not None and known["SecretID"] == asked.token:
            said = "Deletion of the request's authorization token is not permitted"
            raise RefusedError(500, said)
        self._end(accessor)
        return Answer.json(True)

    def _end(self, accessor: str) -> None:
        if self._state.tokens.get(key_of(accessor)) is not None:
            self._state.next()
            self._state.tokens.delete(key_of(accessor))
            self._state.touch("acl-tokens")

    # -- dates ----------------------------------------------------------------------------------

    def _now(self) -> datetime:
        """The date, which goes on with the clock."""
        born, at = self._birth()
        return born + timedelta(seconds=self._server.timers.now - at)

    def _birth(self) -> tuple[datetime, float]:
        """When somebody wanted to know the date for the first time, and what the clock said."""
        if self._born is None:
            self._born = datetime.now(UTC), self._server.timers.now
        return self._born


def _token(secret: str, description: str, policies: list[str]) -> Row:
    return {
        "AccessorID": str(uuid4()),
        "SecretID": secret,
        "Description": description,
        "Policies": policies,
        "Local": False,
        "CreateTime": "",
    }


def _sent(asked: Asked, shape: Shape, what: str) -> Row:
    """What was sent; `what` is its name in errors."""
    asked.refuse_namespaces()
    try:
        return asked.parsed(shape, f"Bad request: {what} decoding failed: ") or {}
    except RefusedError as error:
        if error.answer.body.endswith(b'"Namespace"'):
            error.answer.body += f" - {NO_NAMESPACES}".encode()
        raise


def _sent_token(asked: Asked) -> Row:
    sent = _sent(asked, _TOKEN, "Token")
    if any(sent.get(name) for name in _MORE):
        said = "The fake agent has no roles and identities: its tokens have policies."
        raise RefusedError(501, said)
    try:
        _instant(sent.get("ExpirationTime", ""))
    except ValueError as error:
        raise RefusedError(400, f"Bad request: Token decoding failed: {error}") from None
    return sent


def _refuse_foreign(sent: Row) -> None:
    if sent.get("AuthMethod"):
        raise GoError("AuthMethod field is disallowed outside of Login")
    if sent.get("Rules"):
        raise GoError("Rules cannot be specified for this token")


def _policy_row(row: Row | None) -> Row | None:
    """A policy as it is told: where it holds everywhere, nothing is said of that."""
    return row and {n: value for n, value in row.items() if value or n != "Datacenters"}


def _marked(state: State, table: Tree[Row], key: str, row: Row) -> Row:
    """A row with what says that it has changed, and when; it is kept so."""
    old = table.get(key_of(key))
    content = repr([row.get(name) for name in _CONTENT])
    marked = {
        **row,
        "Hash": base64.b64encode(
            hashlib.blake2b(content.encode(), digest_size=32).digest()
        ).decode(),
        "CreateIndex": state.index if old is None else old["CreateIndex"],
        "ModifyIndex": state.index,
    }
    table.put(key_of(key), marked)
    return marked


def _check_id(text: str, what: str) -> None:
    try:
        check_uuid(text)
    except GoError as error:
        raise GoError(f"{what}: {error}") from None


def _dated(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")


def _instant(text: str) -> datetime | None:
    if not text:
        return None
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise ValueError(f"parsing time {quoted(text)}: it has no time zone")
    return at
