"""Tokens: who they are, and which policies they have."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final
from uuid import uuid4

from ._acl_common import MARKS, check_id, marked, need_write, read, sent
from ._go import GoError, duration, quoted
from ._http import Answer, Asked, RefusedError, Router
from ._kv import check_uuid
from ._policies import Policies
from ._server import Server
from ._shape import ANY, BOOL, DURATION, STRING, list_of, struct
from ._state import Row, State, key_of
from ._tree import Watch

__all__ = ["Tokens"]

_NOBODY: Final = "anonymous"
_ANONYMOUS: Final = "00000000-0000-0000-0000-000000000002"
_RESERVED: Final = "00000000-0000-0000-0000-0000000000"

_MINUTE, _DAY = 60 * 10**9, 86_400 * 10**9

_LINKS: Final = list_of(struct("ACLTokenPolicyLink", {"ID": STRING, "Name": STRING}), "[]")

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
        **MARKS,
    },
    wanted="structs.ACLToken",
)


class Tokens:
    """`/v1/acl/token`."""

    def __init__(self, server: Server, policies: Policies) -> None:
        self._server = server
        self._policies = policies

    def open(self, router: Router) -> None:
        router.add("PUT", "/v1/acl/token", self.create)
        router.add("GET,PUT,DELETE", "/v1/acl/token/", self.token)
        router.add("GET", "/v1/acl/token/self", self.own)
        router.add("GET", "/v1/acl/tokens", self.all)

    @property
    def _state(self) -> State:
        return self._server.state

    def begin(self, secret: str, description: str, policies: list[str]) -> None:
        """Have a token from the beginning."""
        self._put(_token(secret, description, policies, self._now()))

    def begin_anonymous(self) -> None:
        """Have the token of who shows none."""
        if not self.has(_NOBODY):
            self._state.next()
            row = _token(_NOBODY, "Anonymous Token", [], self._now())
            self._put({**row, "AccessorID": _ANONYMOUS})

    def resume(self) -> None:
        """Let what will expire do so."""
        for row in self._state.tokens.items():
            self._wait_for(row)

    def first(self, description: str, policies: list[str]) -> Row:
        """Make a token that nobody asked for by what it may; the row as it is told."""
        return self._row(self._put(_token(str(uuid4()), description, policies, self._now())))

    def known(self, asked: Asked) -> Row:
        """The token of a request; one that is not known is refused."""
        token = self._by_secret(asked.token or _NOBODY)
        if token is None:
            raise RefusedError(403, "ACL not found")
        return token

    def has(self, secret: str) -> bool:
        return self._by_secret(secret) is not None

    def _by_secret(self, secret: str) -> Row | None:
        return next((one for one in self._state.tokens.items() if one["SecretID"] == secret), None)

    async def create(self, asked: Asked) -> Answer:
        return await self._create(asked, _told(asked))

    async def token(self, asked: Asked) -> Answer:
        accessor = asked.after("/v1/acl/token/")
        if asked.method == "PUT":
            return await self._write(asked, accessor, _told(asked))
        if not accessor:
            raise RefusedError(400, "Bad request: Missing token ID")
        if asked.method == "DELETE":
            return await self._delete(asked, accessor)

        def look(watch: Watch) -> Row | None:
            row = self._find(accessor, watch)
            if row is None or self._server.rights(asked).may("write", "acl"):
                return row and self._row(row)
            return self._row({**row, "SecretID": "<hidden>"})

        return await read(self._server, asked, "acl-tokens", look)

    async def own(self, asked: Asked) -> Answer:
        def look(watch: Watch) -> Row | None:
            row = self._by_secret(asked.token)
            return row and self._row(row)

        return await read(self._server, asked, "acl-tokens", look, own=True)

    async def all(self, asked: Asked) -> Answer:
        policy = asked.param("policy")

        def look(watch: Watch) -> list[Row]:
            rows = [self._row(one) for one in self._state.tokens.items(b"", watch)]
            return [
                {name: value for name, value in row.items() if name != "SecretID"}
                for row in rows
                if not policy or policy in [link["ID"] for link in row.get("Policies", ())]
            ]

        return await read(self._server, asked, "acl-tokens", look)

    async def _write(self, asked: Asked, accessor: str, told: Row) -> Answer:
        if accessor.endswith("/clone"):
            return await self._clone(asked, accessor.removesuffix("/clone"), told)
        if not accessor:
            return await self._create(asked, told)
        if told.get("AccessorID", accessor) != accessor:
            said = "Bad request: Token Accessor ID in URL and payload do not match"
            raise RefusedError(400, said)
        await need_write(self._server, asked)
        try:
            row = self._changed(accessor, told)
        except GoError as error:
            raise RefusedError(500, str(error)) from None
        self._state.next()
        return Answer.json(self._row(self._put(row)))

    def _find(self, accessor: str, watch: Watch | None = None) -> Row | None:
        check_id(accessor, "failed acl token lookup: index error")
        return self._state.tokens.get(key_of(accessor), watch)

    async def _create(self, asked: Asked, told: Row) -> Answer:
        await need_write(self._server, asked)
        try:
            row = self._token_of(told)
        except GoError as error:
            raise RefusedError(500, str(error)) from None
        self._state.next()
        self._wait_for(row)
        return Answer.json(self._row(self._put(row)))

    def _token_of(self, told: Row) -> Row:
        """The token that was asked for."""
        accessor, secret = told.get("AccessorID", ""), told.get("SecretID", "")
        _refuse_foreign(told)
        if accessor:
            try:
                known = self._find(accessor)
            except GoError as error:
                raise GoError(f"Failed acl token lookup by accessor: {error}") from None
            if known is not None:
                raise GoError("Invalid Token: AccessorID is already in use")
        if secret:
            try:
                check_uuid(secret)
            except GoError:
                raise GoError("Invalid Token: SecretID is not a valid UUID") from None
            if self.has(secret):
                raise GoError("Invalid Token: SecretID is already in use")
        if accessor.startswith(_RESERVED) or secret.startswith(_RESERVED):
            said = f"UUIDs with the prefix {quoted(_RESERVED)} are reserved"
            raise GoError(f"Invalid Token: {said}")
        now = self._now()
        ends = _end_of(told, now)
        description = told.get("Description", "")
        row = _token(secret or str(uuid4()), description, self._linked(told), now, ends)
        row["Local"] = told.get("Local", False)
        return row | ({"AccessorID": accessor} if accessor else {})

    def _changed(self, accessor: str, told: Row) -> Row:
        """A token as it is after a change; or why it cannot be."""
        try:
            known = self._find(accessor)
        except GoError as error:
            raise GoError(f"Failed acl token lookup by accessor: {error}") from None
        if known is None:
            raise GoError(f"Cannot find token {quoted(accessor)}")
        if told.get("AuthMethod"):
            raise GoError(f"Cannot change AuthMethod of {accessor}")
        _refuse_foreign(told)
        if told.get("SecretID", known["SecretID"]) != known["SecretID"]:
            raise GoError("Changing a tokens SecretID is not permitted")
        if told.get("Local", known["Local"]) != known["Local"]:
            raise GoError(f"cannot toggle local mode of {accessor}")
        ends = known.get("ExpirationTime", "")
        if told.get("ExpirationTTL") or _instant(told.get("ExpirationTime") or ends) != (
            _instant(ends)
        ):
            raise GoError(f"Cannot change expiration time of {accessor}")
        return {
            **known,
            "Description": told.get("Description", ""),
            "Policies": self._linked(told),
        }

    def _linked(self, told: Row) -> list[str]:
        """The ids of the policies that a token is to have."""
        found: dict[str, None] = {}
        for link in told.get("Policies") or []:
            policy_id, name = link.get("ID", ""), link.get("Name", "")
            try:
                policy = (
                    self._policies.find(policy_id) if policy_id else self._policies.called(name)
                )
            except GoError as error:
                said = f"Error looking up policy for id {quoted(policy_id)}: {error}"
                raise GoError(said) from None
            if policy is None:
                what = f"ID {quoted(policy_id)}" if policy_id else f"name {quoted(name)}"
                raise GoError(f"No such ACL policy with {what}")
            found[policy["ID"]] = None
        return list(found)

    async def _clone(self, asked: Asked, accessor: str, told: Row) -> Answer:
        await need_write(self._server, asked)
        try:
            known = self._find(accessor)
        except GoError as error:
            raise RefusedError(500, str(error)) from None
        if known is None:
            raise RefusedError(403, "ACL not found")
        links = [{"ID": one} for one in known["Policies"]]
        description = told.get("Description") or known["Description"]
        copy = {"Policies": links, "Local": known["Local"], "Description": description}
        return await self._create(asked, copy)

    def _put(self, row: Row) -> Row:
        kept = marked(self._state, self._state.tokens, row["AccessorID"], row)
        self._state.touch("acl-tokens")
        return kept

    def _row(self, row: Row) -> Row:
        """A token as it is told: with the names that its policies have now."""
        policies = [self._state.policies.get(key_of(one)) for one in row["Policies"]]
        links = [{"ID": one["ID"], "Name": one["Name"]} for one in policies if one is not None]
        first = ("AccessorID", "SecretID", "Description")
        return {
            **{name: row[name] for name in first},
            **({"Policies": links} if links else {}),
            **{n: value for n, value in row.items() if n not in {*first, "Policies"}},
        }

    async def _delete(self, asked: Asked, accessor: str) -> Answer:
        await need_write(self._server, asked)
        try:
            known = self._find(accessor)
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

    def _now(self) -> datetime:
        return self._server.timers.clock.date()

    def _wait_for(self, row: Row) -> None:
        """Let a token expire, if it will."""
        ends = row.get("ExpirationTime")
        if ends:
            left = datetime.fromisoformat(ends) - self._now()
            seconds = max(left.total_seconds(), 0.0)
            self._server.timers.after(seconds, lambda: self._expire(row["AccessorID"], ends))

    def _expire(self, accessor: str, ends: str) -> None:
        known = self._state.tokens.get(key_of(accessor))
        # There may be another of that name by now.
        if known is not None and known.get("ExpirationTime") == ends:
            self._end(accessor)


def _token(
    secret: str, description: str, policies: list[str], now: datetime, ends: datetime | None = None
) -> Row:
    """A new token, which is there until it ends; None for always."""
    return {
        "AccessorID": str(uuid4()),
        "SecretID": secret,
        "Description": description,
        "Policies": policies,
        "Local": False,
        **({"ExpirationTime": _dated(ends)} if ends is not None else {}),
        "CreateTime": _dated(now),
    }


def _end_of(told: Row, now: datetime) -> datetime | None:
    """When a token is to end; None for never."""
    ttl, at = told.get("ExpirationTTL", 0), _instant(told.get("ExpirationTime", ""))
    if ttl and at:
        raise GoError("Token Expiration TTL and Expiration Time cannot both be set")
    if ttl < 0:
        raise GoError(f"Token Expiration TTL '{duration(ttl)}' should be > 0")
    if at:
        ttl = round((at - now).total_seconds() * 1e9)
    if (ttl or at) and not _MINUTE <= ttl <= _DAY:
        which, bound = ("less", _MINUTE) if ttl < _MINUTE else ("more", _DAY)
        least = f"ExpirationTime cannot be {which} than {duration(bound)} in the future"
        raise GoError(f"{least} (was {duration(ttl)})")
    return at or (now + timedelta(seconds=ttl / 1e9) if ttl else None)


def _told(asked: Asked) -> Row:
    told = sent(asked, _TOKEN, "Token")
    if any(told.get(name) for name in _MORE):
        said = "The fake agent has no roles and identities: its tokens have policies."
        raise RefusedError(501, said)
    try:
        _instant(told.get("ExpirationTime", ""))
    except ValueError as error:
        raise RefusedError(400, f"Bad request: Token decoding failed: {error}") from None
    return told


def _refuse_foreign(told: Row) -> None:
    if told.get("AuthMethod"):
        raise GoError("AuthMethod field is disallowed outside of Login")
    if told.get("Rules"):
        raise GoError("Rules cannot be specified for this token")


def _dated(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")


def _instant(text: str) -> datetime | None:
    if not text:
        return None
    at = datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise ValueError(f"parsing time {quoted(text)}: it has no time zone")
    return at
