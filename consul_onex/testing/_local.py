"""What one agent knows itself: its services and their checks."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Final

import anyio

from . import _catalog
from ._definitions import CHECK, as_kept, undated
from ._discovery import AGENT_CHECK_FIELDS, AGENT_SERVICE_FIELDS, filtered
from ._go import json_of, quoted
from ._http import Answer, Asked, RefusedError, Router, options_of
from ._presence import Presence
from ._registration import (
    REGISTRATION,
    STATUSES,
    LocalCheck,
    Registration,
    new_check,
    read_registration,
    refuse_bad_check,
)
from ._server import Server
from ._shape import STRING, struct
from ._state import Row

__all__ = ["Kept", "Local"]

# Output that is all that changed of a check is told to the servers now and then.
_OUTPUT_AFTER: Final = 300.0

# A critical service is given this time at least, and is looked for as often as this.
_SHORTEST_LIFE: Final = 60.0
_REAPING: Final = 30.0

_NO_REASON: Final = "Maintenance mode is enabled for this {}, but no reason was provided."
_DEFAULT: Final = "This is a default message."

_UPDATE: Final = struct("checkUpdate", {"Status": STRING, "Output": STRING})


@dataclass(frozen=True, slots=True)
class Kept:
    """What an agent knows itself."""

    node_id: str
    services: dict[str, Row]
    checks: tuple[LocalCheck, ...]


class Local:
    """
    `/v1/agent/`, as far as it is about services and checks.

    What is registered here is told to the servers at once. Checks are not carried out: those with
    a time to live wait to be told, and the others stay as they were registered. With access control
    (`guarded`) it looks first whether there is what is to be changed.
    """

    def __init__(self, server: Server, presence: Presence, *, guarded: bool = False) -> None:
        self._server = server
        self._presence = presence
        self._node = presence.node
        self._guarded = guarded
        self._services: dict[str, Row] = {}
        self._checks: dict[str, LocalCheck] = {}
        self._news = anyio.Event()

    def kept(self) -> Kept:
        """What the agent knows itself, for `restore`."""
        checks = tuple(check.anew() for check in self._checks.values())
        return Kept(self._presence.id, dict(self._services), checks)

    def restore(self, kept: Kept) -> None:
        """Know this and nothing else. Times to live begin anew."""
        for check in self._checks.values():
            check.stop()
        self._presence.id = kept.node_id
        self._services, self._checks = dict(kept.services), {}
        for check in kept.checks:
            self._keep_check(check.anew())
        self._stir()

    def open(self, router: Router) -> None:
        for methods, path, handler in (
            ("PUT", "/v1/agent/maintenance", self.maintenance),
            ("GET", "/v1/agent/services", self.services),
            ("GET", "/v1/agent/service/", self.service),
            ("PUT", "/v1/agent/service/register", self.register),
            ("PUT", "/v1/agent/service/deregister/", self.deregister),
            ("PUT", "/v1/agent/service/maintenance/", self.service_maintenance),
            ("GET", "/v1/agent/checks", self.checks),
            ("PUT", "/v1/agent/check/register", self.register_check),
            ("PUT", "/v1/agent/check/deregister/", self.deregister_check),
            ("PUT", "/v1/agent/check/pass/", self.check_pass),
            ("PUT", "/v1/agent/check/warn/", self.check_warn),
            ("PUT", "/v1/agent/check/fail/", self.check_fail),
            ("PUT", "/v1/agent/check/update/", self.check_update),
        ):
            router.add(methods, path, handler)

    # -- what there is --------------------------------------------------------------------------

    def find(self, service_id: str) -> Row | None:
        return self._services.get(service_id)

    def registered(self) -> Collection[Row]:
        """All services."""
        return self._services.values()

    def check_rows(self) -> Iterator[Row]:
        """All checks, those of the node among them."""
        return (check.row for check in self._checks.values())

    def is_meant(self, node: str, service: str, tag: str) -> bool:
        """Whether an event with these filters is for this agent."""
        if not re.search(node, self._node):
            return False
        rows = [row for row in self._services.values() if re.search(service, row["Service"])]
        return not service or any(
            not tag or any(re.search(tag, one) for one in row["Tags"]) for row in rows
        )

    # -- services -------------------------------------------------------------------------------

    async def services(self, asked: Asked) -> Answer:
        asked.refuse_namespaces()
        chosen, rights = filtered(asked, AGENT_SERVICE_FIELDS), self._server.rights(asked)
        kept = (as_kept(self._services[name]) for name in sorted(self._services))
        rows = chosen(row for row in kept if rights.may("read", "service", row["Service"]))
        return Answer.json({row["ID"]: row for row in rows})

    async def service(self, asked: Asked) -> Answer:
        asked.refuse_namespaces()
        options, service_id = options_of(asked), asked.after("/v1/agent/service/")
        until = self._server.end_of(options.wait)
        rights = self._server.rights(asked)
        while True:
            row = self._services.get(service_id)
            if row is None:
                raise RefusedError(404, f"unknown service ID: {service_id}")
            rights.need("read", "service", row["Service"])
            kept = as_kept(row)
            found = hashlib.blake2b(json_of(kept), digest_size=8).hexdigest()
            if asked.param("hash") != found or self._server.timers.now >= until:
                break
            await self._server.pause(self._news, until, options)
        connect = kept.pop("Connect", None)
        kept["ContentHash"] = found
        shown = kept if connect is None else {**kept, "Connect": connect}
        return Answer.json(shown, {"X-Consul-Contenthash": found})

    async def register(self, asked: Asked) -> Answer:
        asked.refuse_namespaces()
        registration = read_registration(asked.parsed(REGISTRATION) or {}, self._node)
        self._need_registration(asked, registration.row)
        if "replace-existing-checks" in asked.params and (
            asked.param("replace-existing-checks") in {"", "true"}
        ):
            for check_id in self._checks_of(registration.id):
                self._forget_check(check_id)
        self.add(registration)
        return Answer()

    def read(self, told: Row) -> Registration:
        """What is to be registered. GoError or RefusedError say what is wrong with it."""
        return read_registration(REGISTRATION(told, "") or {}, self._node)

    def add(self, registration: Registration) -> None:
        row, checks = registration
        self._services[registration.id] = row
        for check in checks:
            self._keep_check(check)
        mine = [self._checks[check.row["CheckID"]].row for check in checks]
        self._tell(row, mine)

    async def deregister(self, asked: Asked) -> Answer:
        asked.refuse_namespaces()
        service_id = asked.after("/v1/agent/service/deregister/")
        if not service_id:
            raise RefusedError(500, "ServiceID missing")
        self._need_service(asked, service_id)
        self._deregister(service_id)
        return Answer()

    def _deregister(self, service_id: str) -> None:
        if service_id in self._services:
            for check_id in self._checks_of(service_id):
                self._checks.pop(check_id).stop()
            del self._services[service_id]
            self._server.state.next()
            _catalog.deregister(self._server.state, self._node, service_id)
            self._stir()

    async def service_maintenance(self, asked: Asked) -> Answer:
        asked.refuse_namespaces()
        service_id = asked.after("/v1/agent/service/maintenance/")
        if not service_id:
            raise RefusedError(400, "Missing service ID")
        enable = _enable(asked)
        self._need_service(asked, service_id)
        row = self._services.get(service_id)
        if row is None:
            raise RefusedError(404, f"No service registered with ID {quoted(service_id)}")
        self._maintain(f"_service_maintenance:{service_id}", asked, row, enable=enable)
        return Answer()

    async def maintenance(self, asked: Asked) -> Answer:
        enable = _enable(asked)
        self._server.rights(asked).need("write", "node", self._node)
        self._maintain("_node_maintenance", asked, None, enable=enable)
        return Answer()

    def _maintain(self, check_id: str, asked: Asked, row: Row | None, *, enable: bool) -> None:
        if enable and check_id not in self._checks:
            whose = "node" if row is None else "service"
            fields = {
                "CheckID": check_id,
                "Name": f"{whose.title()} Maintenance Mode",
                "Notes": asked.param("reason") or f"{_NO_REASON.format(whose)} {_DEFAULT}",
                "Type": "maintenance",
            }
            self._keep_check(new_check(self._node, fields, row))
            self._tell(None, [self._checks[check_id].row])
        elif not enable and check_id in self._checks:
            self._forget_check(check_id)

    # -- checks ---------------------------------------------------------------------------------

    async def checks(self, asked: Asked) -> Answer:
        asked.refuse_namespaces()
        chosen, rights = filtered(asked, AGENT_CHECK_FIELDS), self._server.rights(asked)
        kept = (self._checks[name].row for name in sorted(self._checks))
        rows = chosen(row for row in kept if rights.may("read", *self._guarding(row)))
        return Answer.json({row["CheckID"]: undated(row) for row in rows})

    async def register_check(self, asked: Asked) -> Answer:
        asked.refuse_namespaces()
        sent = asked.parsed(CHECK) or {}
        if not sent.get("Name"):
            raise RefusedError(400, "Missing check name")
        if sent.get("Status", "") not in {"", *STATUSES}:
            raise RefusedError(400, "Bad check status")
        refuse_bad_check(sent)
        service = self._services.get(sent.get("ServiceID", ""))
        fields = {**sent, "CheckID": sent.get("ID") or sent["Name"]}
        check = new_check(self._node, fields, service)
        rights = self._server.rights(asked)
        rights.need("write", *self._guarding(check.row), told=True)
        if check.row["CheckID"] in self._checks:
            self._need_check(asked, check.row["CheckID"])
        if sent.get("ServiceID") and service is None:
            raise RefusedError(500, f"ServiceID {quoted(sent['ServiceID'])} does not exist")
        self._keep_check(check)
        self._tell(None, [self._checks[check.row["CheckID"]].row])
        return Answer()

    def _keep_check(self, check: LocalCheck) -> None:
        """Keep a check. One that was there before stays as it was told to be."""
        old = self._checks.get(check.row["CheckID"])
        if old is not None:
            old.stop()
            told = {name: old.row[name] for name in ("Status", "Output")}
            check.row = {**check.row, **told}
        self._checks[check.row["CheckID"]] = check
        self._wait_for(check)
        self._count_down(check)

    def _wait_for(self, check: LocalCheck) -> None:
        """Begin the time to live of a check anew."""
        if check.expiry is not None:
            check.expiry.cancel()
        if check.ttl:
            check.expiry = self._server.timers.after(check.ttl, lambda: self._expire(check))

    def _expire(self, check: LocalCheck) -> None:
        last = check.row["Output"] and (
            f" (last output before timeout follows): {check.row['Output']}"
        )
        self._update(check, "critical", f"TTL expired{last}")

    def _count_down(self, check: LocalCheck) -> None:
        """Take a service away that stays critical for as long as its check allows."""
        if check.row["Status"] != "critical":
            if check.reaping is not None:
                check.reaping.cancel()
            check.reaping = None
        elif check.deregister_after and check.reaping is None:
            life = max(check.deregister_after, _SHORTEST_LIFE)
            late = -(self._server.timers.now + life) % _REAPING
            service_id = check.row["ServiceID"]
            check.reaping = self._server.timers.after(
                life + late, lambda: self._deregister(service_id)
            )

    async def deregister_check(self, asked: Asked) -> Answer:
        asked.refuse_namespaces()
        check_id = asked.after("/v1/agent/check/deregister/")
        if not check_id:
            raise RefusedError(500, "CheckID missing")
        self._need_check(asked, check_id)
        self._forget_check(check_id)
        return Answer()

    def _forget_check(self, check_id: str) -> None:
        check = self._checks.pop(check_id, None)
        if check is not None:
            check.stop()
            self._server.state.next()
            _catalog.deregister(self._server.state, self._node, check=check_id)

    async def check_pass(self, asked: Asked) -> Answer:
        return self._told(asked, "/v1/agent/check/pass/", "passing")

    async def check_warn(self, asked: Asked) -> Answer:
        return self._told(asked, "/v1/agent/check/warn/", "warning")

    async def check_fail(self, asked: Asked) -> Answer:
        return self._told(asked, "/v1/agent/check/fail/", "critical")

    def _told(self, asked: Asked, prefix: str, status: str) -> Answer:
        asked.refuse_namespaces()
        check_id = asked.after(prefix)
        self._need_check(asked, check_id)
        return self._heard(check_id, status, asked.param("note"))

    async def check_update(self, asked: Asked) -> Answer:
        sent = asked.parsed(_UPDATE) or {}
        status = sent.get("Status", "")
        if status not in STATUSES:
            raise RefusedError(400, f"Invalid check status: '{status}'")
        asked.refuse_namespaces()
        check_id = asked.after("/v1/agent/check/update/")
        self._need_check(asked, check_id)
        return self._heard(check_id, status, sent.get("Output", ""))

    def _heard(self, check_id: str, status: str, output: str) -> Answer:
        check = self._checks.get(check_id)
        if check is None or not check.ttl:
            raise RefusedError(500, f"CheckID {quoted(check_id)} does not have associated TTL")
        size = len(output.encode())
        if size > check.most_output:
            kept = output.encode()[: check.most_output].decode(errors="replace")
            output = f"{kept} ... (captured {check.most_output} of {size} bytes)"
        self._wait_for(check)
        self._update(check, status, output)
        return Answer()

    def _update(self, check: LocalCheck, status: str, output: str) -> None:
        before = check.row
        check.row = {**before, "Status": status, "Output": output}
        self._count_down(check)
        if before["Status"] != status:
            if check.telling is not None:
                check.telling.cancel()
            check.telling = None
            self._tell(None, [check.row])
        elif before["Output"] != output and check.telling is None:
            check.telling = self._server.timers.after(_OUTPUT_AFTER, lambda: self._tell_late(check))

    def _tell_late(self, check: LocalCheck) -> None:
        check.telling = None
        self._tell(None, [check.row])

    # -- what a token may -----------------------------------------------------------------------

    def _guarding(self, check: Row) -> tuple[str, str]:
        """What has to be writable for a check to be: its service, or the node."""
        service = check["ServiceName"]
        return ("service", service) if service else ("node", self._node)

    def _need_registration(self, asked: Asked, row: Row) -> None:
        rights, old = self._server.rights(asked), self._services.get(row["ID"], row)
        may = all(rights.may("write", "service", one["Service"]) for one in (row, old))
        if not may:
            said = f"Permission denied: Missing service:write on {row['Service']}"
            raise RefusedError(403, said)

    def _need_service(self, asked: Asked, service_id: str) -> None:
        rights, row = self._server.rights(asked), self._services.get(service_id)
        if row is not None:
            rights.need("write", "service", row["Service"], told=True)
        elif self._guarded:
            raise RefusedError(500, f"Unknown service {{{quoted(service_id)} {{}}}}")

    def _need_check(self, asked: Asked, check_id: str) -> None:
        rights, check = self._server.rights(asked), self._checks.get(check_id)
        if check is not None:
            rights.need("write", *self._guarding(check.row), told=True)
        elif self._guarded:
            raise RefusedError(500, f"Unknown check {quoted(check_id)}")

    # -- what the servers are told --------------------------------------------------------------

    def _tell(self, service: Row | None, checks: list[Row]) -> None:
        """Tell of a service and checks, and of what they belong to, where that is forgotten."""
        state = self._server.state
        for check in checks:
            service = service or self._services.get(check["ServiceID"])
        state.next()
        _catalog.register(state, self._node, self._presence.row, service, checks)
        self._stir()

    def _stir(self) -> None:
        """Wake who waits for a service to change."""
        self._news.set()
        self._news = anyio.Event()

    def _checks_of(self, service_id: str) -> list[str]:
        return [one for one, check in self._checks.items() if check.row["ServiceID"] == service_id]


def _enable(asked: Asked) -> bool:
    if "enable" not in asked.params:
        raise RefusedError(400, "Missing value for enable")
    value = asked.param("enable")
    if value.lower() not in {"1", "t", "true", "0", "f", "false"}:
        raise RefusedError(400, f"Invalid value for enable: {quoted(value)}")
    return value.lower() in {"1", "t", "true"}
