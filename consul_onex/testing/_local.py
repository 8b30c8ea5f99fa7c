"""What one agent knows itself: its services and their checks, and that it is there."""

from __future__ import annotations

import hashlib
import re
from copy import copy
from dataclasses import dataclass
from typing import Any, Final, NamedTuple
from uuid import uuid4

import anyio

from . import _catalog
from ._definitions import (
    CHECK,
    CHECKS,
    SERVICE,
    check_problem,
    check_row,
    check_type,
    service_row,
    with_own_address,
)
from ._discovery import AGENT_CHECK_FIELDS, AGENT_SERVICE_FIELDS, filtered
from ._go import GoError, json_of, quoted
from ._http import Answer, Asked, RefusedError, Router, options_of
from ._server import Server
from ._shape import STRING, list_of, struct
from ._state import Row
from ._timers import Timer

__all__ = ["Kept", "Local", "Registration"]

_VERSION: Final = "1.8.7"
_ADDRESS: Final = "127.0.0.1"
_SERVER_PORT: Final = 8300
_GOSSIP_PORT: Final = 8301
_WAN_PORT: Final = 8302

# Output that is all that changed of a check is told to the servers now and then.
_OUTPUT_AFTER: Final = 300.0

# How much of a check's output is kept.
_MOST_OUTPUT: Final = 4096

# A critical service is given this time at least, and is looked for as often as this.
_SHORTEST_LIFE: Final = 60.0
_REAPING: Final = 30.0

_NO_REASON: Final = "Maintenance mode is enabled for this {}, but no reason was provided."
_DEFAULT: Final = "This is a default message."
_NO_SEGMENTS: Final = "Network segments are not supported in this version of Consul"
_SCRIPTS: Final = (
    "Scripts are disabled on this agent from remote calls; "
    "to enable, configure 'enable_script_checks' to true"
)

_REGISTRATION: Final = struct(
    "",
    {
        **SERVICE,
        "Check": CHECKS,
        "Checks": list_of(CHECKS, "structs.CheckTypes"),
        "Token": STRING,
    },
    wanted="structs.ServiceDefinition",
    also={
        "enable_tag_override": "EnableTagOverride",
        "tagged_addresses": "TaggedAddresses",
    },
)
_UPDATE: Final = struct("checkUpdate", {"Status": STRING, "Output": STRING})

_STATUSES: Final = ("passing", "warning", "critical")
_HEALTH: Final = {"passing": 200, "warning": 429, "critical": 503, "maintenance": 503}


class _Check:
    """A check of the agent: what it says, and what it is waiting for."""

    def __init__(self, row: Row, sent: Row) -> None:
        self.row = row
        self.ttl = sent.get("TTL", 0) / 1e9
        self.most_output = sent.get("OutputMaxSize") or _MOST_OUTPUT
        self.deregister_after = sent.get("DeregisterCriticalServiceAfter", 0) / 1e9
        self.expiry: Timer | None = None
        self.telling: Timer | None = None
        self.reaping: Timer | None = None

    def anew(self) -> _Check:
        """The same check, with nothing under way."""
        check = copy(self)
        check.expiry = check.telling = check.reaping = None
        return check

    def stop(self) -> None:
        for timer in (self.expiry, self.telling, self.reaping):
            if timer is not None:
                timer.cancel()
        self.expiry = self.telling = self.reaping = None


class Registration(NamedTuple):
    """A service that is to be registered, and its checks."""

    row: Row
    checks: list[_Check]

    @property
    def id(self) -> str:
        return str(self.row["ID"])


@dataclass(frozen=True, slots=True)
class Kept:
    """What an agent knows itself."""

    node_id: str
    services: dict[str, Row]
    checks: tuple[_Check, ...]


class Local:
    """
    `/v1/agent/`, `/v1/status/`, and the servers of the datacenter, of which it is the only one.

    What is registered here is told to the servers at once. Checks are not carried out: those with
    a time to live wait to be told, and the others stay as they were registered. With access control
    (`guarded`) it looks first whether there is what is to be changed.
    """

    def __init__(self, server: Server, node: str, *, guarded: bool = False) -> None:
        self._server = server
        self._node = node
        self._guarded = guarded
        self._id = str(uuid4())
        self._row: Row = {
            "ID": self._id,
            "Node": node,
            "Address": _ADDRESS,
            "Datacenter": server.datacenter,
            "TaggedAddresses": dict.fromkeys(("lan", "lan_ipv4", "wan", "wan_ipv4"), _ADDRESS),
            "Meta": {"consul-network-segment": ""},
        }
        self._services: dict[str, Row] = {}
        self._checks: dict[str, _Check] = {}
        self._news = anyio.Event()
        self._join()

    def kept(self) -> Kept:
        """What the agent knows itself, for `restore`."""
        checks = tuple(check.anew() for check in self._checks.values())
        return Kept(self._id, dict(self._services), checks)

    def restore(self, kept: Kept) -> None:
        """Know this and nothing else. Times to live begin anew."""
        for check in self._checks.values():
            check.stop()
        self._id, self._services, self._checks = kept.node_id, dict(kept.services), {}
        self._row = {**self._row, "ID": self._id}
        for check in kept.checks:
            self._keep_check(check.anew())
        self._news.set()
        self._news = anyio.Event()

    def open(self, router: Router) -> None:
        for methods, path, handler in (
            ("GET", "/v1/status/leader", self.leader),
            ("GET", "/v1/status/peers", self.peers),
            ("GET", "/v1/operator/raft/configuration", self.raft),
            ("GET", "/v1/agent/self", self.self),
            ("GET", "/v1/agent/members", self.members),
            ("PUT", "/v1/agent/maintenance", self.maintenance),
            ("GET", "/v1/agent/services", self.services),
            ("GET", "/v1/agent/service/", self.service),
            ("PUT", "/v1/agent/service/register", self.register),
            ("PUT", "/v1/agent/service/deregister/", self.deregister),
            ("PUT", "/v1/agent/service/maintenance/", self.service_maintenance),
            ("GET", "/v1/agent/health/service/id/", self.health),
            ("GET", "/v1/agent/health/service/name/", self.health_by_name),
            ("GET", "/v1/agent/checks", self.checks),
            ("PUT", "/v1/agent/check/register", self.register_check),
            ("PUT", "/v1/agent/check/deregister/", self.deregister_check),
            ("PUT", "/v1/agent/check/pass/", self.check_pass),
            ("PUT", "/v1/agent/check/warn/", self.check_warn),
            ("PUT", "/v1/agent/check/fail/", self.check_fail),
            ("PUT", "/v1/agent/check/update/", self.check_update),
        ):
            router.add(methods, path, handler)

    # -- that it is there -----------------------------------------------------------------------

    def _join(self) -> None:
        """Be in the catalog, as a server that leads is."""
        node = self._row
        meta = {
            "non_voter": "false",
            "raft_version": "3",
            "serf_protocol_current": "2",
            "serf_protocol_max": "5",
            "serf_protocol_min": "1",
            "version": _VERSION,
        }
        consul = service_row({"Port": _SERVER_PORT, "Meta": meta}, "consul")
        serf = check_row(
            self._node,
            "serfHealth",
            Name="Serf Health Status",
            Status="passing",
            Output="Agent alive and reachable",
        )
        state = self._server.state
        # The leader writes the node of a server down, and the server then adds what it knows.
        state.index = 10
        bare = {**node, "TaggedAddresses": None, "Meta": None}
        _catalog.register(state, self._node, bare, consul, [serf])
        state.index = 12
        _catalog.register(state, self._node, node, None, [])

    async def leader(self, asked: Asked) -> Answer:
        self._server.refuse_elsewhere(asked.param("dc"))
        return Answer.json(f"{_ADDRESS}:{_SERVER_PORT}" if self._server.leading else "")

    async def peers(self, asked: Asked) -> Answer:
        self._server.refuse_elsewhere(asked.param("dc"))
        return Answer.json([f"{_ADDRESS}:{_SERVER_PORT}"])

    async def raft(self, asked: Asked) -> Answer:
        await self._server.ready(options_of(asked))
        self._server.rights(asked).need("read", "operator")
        mine = {
            "ID": self._id,
            "Node": self._node,
            "Address": f"{_ADDRESS}:{_SERVER_PORT}",
            "Leader": self._server.leading,
            "ProtocolVersion": "3",
            "Voter": True,
        }
        return Answer.json({"Servers": [mine], "Index": 0})

    async def self(self, asked: Asked) -> Answer:
        self._server.rights(asked).need("read", "agent", self._node)
        config = {
            "Datacenter": self._server.datacenter,
            "NodeName": self._node,
            "NodeID": self._id,
            "Revision": "",
            "Server": True,
            "Version": _VERSION,
        }
        return Answer.json(
            {
                "Config": config,
                "DebugConfig": {"ACLsEnabled": self._guarded},
                "Coord": {"Vec": [0] * 8, "Error": 1.5, "Adjustment": 0, "Height": 0.00001},
                "Member": self._member(),
                "Stats": {
                    "build": {"prerelease": "", "revision": "", "version": _VERSION},
                    "consul": {
                        "known_datacenters": str(len(self._server.known)),
                        "leader": str(self._server.leading).lower(),
                        "server": "true",
                    },
                },
                "Meta": {"consul-network-segment": ""},
            }
        )

    async def members(self, asked: Asked) -> Answer:
        if asked.param("segment") not in {"", "_all"}:
            raise RefusedError(500, _NO_SEGMENTS)
        rights = self._server.rights(asked)
        member = self._member(wan=bool(asked.param("wan")))
        return Answer.json([member] if rights.may("read", "node", member["Name"]) else [])

    def _member(self, *, wan: bool = False) -> Row:
        return {
            "Name": f"{self._node}.{self._server.datacenter}" if wan else self._node,
            "Addr": _ADDRESS,
            "Port": _WAN_PORT if wan else _GOSSIP_PORT,
            "Tags": {
                "build": f"{_VERSION}:",
                "dc": self._server.datacenter,
                "id": self._id,
                "port": str(_SERVER_PORT),
                "role": "consul",
            },
            "Status": 1,
            "ProtocolMin": 1,
            "ProtocolMax": 5,
            "ProtocolCur": 2,
            "DelegateMin": 2,
            "DelegateMax": 5,
            "DelegateCur": 4,
        }

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
        kept = (_as_kept(self._services[name]) for name in sorted(self._services))
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
            kept = _as_kept(row)
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
        registration = self._read(asked.parsed(_REGISTRATION) or {})
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
        return self._read(_REGISTRATION(told, "") or {})

    def add(self, registration: Registration) -> None:
        row, checks = registration
        self._services[registration.id] = row
        for check in checks:
            self._keep_check(check)
        mine = [self._checks[check.row["CheckID"]].row for check in checks]
        self._tell(row, mine)

    def _read(self, sent: Row) -> Registration:
        name = sent.get("Name", "")
        if not name:
            raise RefusedError(400, "Missing service name")
        try:
            _catalog.check_address(sent.get("Address", ""))
            try:
                _catalog.check_meta(sent.get("Meta"))
            except GoError as error:
                raise GoError(f"Invalid Service Meta: {error}") from None
            _check_weights(sent.get("Weights"))
            row = with_own_address(service_row(sent, name))
        except GoError as error:
            raise RefusedError(400, str(error)) from None
        single = sent.get("Check")
        definitions = [one for one in sent.get("Checks") or [] if one is not None]
        definitions = ([] if single is None else [single]) + definitions
        if single == {}:
            definitions.remove(single)
        checks = []
        for n, one in enumerate(definitions, 1):
            _check_check(one)
            if one.get("Status", "") not in {"", *_STATUSES}:
                said = "Status for checks must 'passing', 'warning', 'critical'"
                raise RefusedError(400, said)
            number = f":{n}" if len(definitions) > 1 else ""
            fields = {
                **one,
                "CheckID": one.get("CheckID") or f"service:{row['ID']}{number}",
                "Name": one.get("Name") or f"Service '{name}' check",
            }
            checks.append(self._new_check(fields, row))
        return Registration(row, checks)

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
            self._news.set()
        self._news = anyio.Event()

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
            self._keep_check(self._new_check(fields, row))
            self._tell(None, [self._checks[check_id].row])
        elif not enable and check_id in self._checks:
            self._forget_check(check_id)

    # -- checks ---------------------------------------------------------------------------------

    async def checks(self, asked: Asked) -> Answer:
        asked.refuse_namespaces()
        chosen, rights = filtered(asked, AGENT_CHECK_FIELDS), self._server.rights(asked)
        kept = (self._checks[name].row for name in sorted(self._checks))
        rows = chosen(row for row in kept if rights.may("read", *self._guarding(row)))
        return Answer.json({row["CheckID"]: _undated(row) for row in rows})

    async def register_check(self, asked: Asked) -> Answer:
        asked.refuse_namespaces()
        sent = asked.parsed(CHECK) or {}
        if not sent.get("Name"):
            raise RefusedError(400, "Missing check name")
        if sent.get("Status", "") not in {"", *_STATUSES}:
            raise RefusedError(400, "Bad check status")
        _check_check(sent)
        service = self._services.get(sent.get("ServiceID", ""))
        fields = {**sent, "CheckID": sent.get("ID") or sent["Name"]}
        check = self._new_check(fields, service)
        rights = self._server.rights(asked)
        rights.need("write", *self._guarding(check.row), told=True)
        if check.row["CheckID"] in self._checks:
            self._need_check(asked, check.row["CheckID"])
        if sent.get("ServiceID") and service is None:
            raise RefusedError(500, f"ServiceID {quoted(sent['ServiceID'])} does not exist")
        self._keep_check(check)
        self._tell(None, [self._checks[check.row["CheckID"]].row])
        return Answer()

    def _new_check(self, fields: Row, service: Row | None) -> _Check:
        row = check_row(
            self._node,
            fields["CheckID"],
            Name=fields["Name"],
            Status=fields.get("Status") or "critical",
            Notes=fields.get("Notes", ""),
            ServiceID="" if service is None else service["ID"],
            ServiceName="" if service is None else service["Service"],
            ServiceTags=[] if service is None else service["Tags"],
            Type=fields.get("Type") or check_type(fields),
        )
        return _Check(row, fields)

    def _keep_check(self, check: _Check) -> None:
        """Keep a check. One that was there before stays as it was told to be."""
        old = self._checks.get(check.row["CheckID"])
        if old is not None:
            old.stop()
            told = {name: old.row[name] for name in ("Status", "Output")}
            check.row = {**check.row, **told}
        self._checks[check.row["CheckID"]] = check
        self._wait_for(check)
        self._count_down(check)

    def _wait_for(self, check: _Check) -> None:
        """Begin the time to live of a check anew."""
        if check.expiry is not None:
            check.expiry.cancel()
        if check.ttl:
            check.expiry = self._server.timers.after(check.ttl, lambda: self._expire(check))

    def _expire(self, check: _Check) -> None:
        last = check.row["Output"] and (
            f" (last output before timeout follows): {check.row['Output']}"
        )
        self._update(check, "critical", f"TTL expired{last}")

    def _count_down(self, check: _Check) -> None:
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
        if status not in _STATUSES:
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

    def _update(self, check: _Check, status: str, output: str) -> None:
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

    def _tell_late(self, check: _Check) -> None:
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
        _catalog.register(state, self._node, self._row, service, checks)
        self._news.set()
        self._news = anyio.Event()

    def _checks_of(self, service_id: str) -> list[str]:
        return [one for one, check in self._checks.items() if check.row["ServiceID"] == service_id]

    # -- health ---------------------------------------------------------------------------------

    async def health(self, asked: Asked) -> Answer:
        asked.refuse_namespaces()
        service_id = asked.after("/v1/agent/health/service/id/")
        if not service_id:
            raise RefusedError(500, "Bad request: Missing serviceID")
        rights = self._server.rights(asked)
        row = self._services.get(service_id)
        if row is None:
            said = f"ServiceId {service_id} not found"
            nothing = {"AggregatedStatus": "critical", "Service": None, "Checks": None}
            told: Any = said if _wants_text(asked) else nothing
            return Answer.json(told, {"X-Consul-Reason": said}, 404)
        rights.need("read", "service", row["Service"])
        status, checks = self._worst(row)
        if _wants_text(asked):
            return _in_text(status)
        told = {"AggregatedStatus": status, "Service": _as_kept(row), "Checks": checks}
        return Answer.json(told, {"X-Consul-Reason": status}, _HEALTH[status])

    async def health_by_name(self, asked: Asked) -> Answer:
        asked.refuse_namespaces()
        name = asked.after("/v1/agent/health/service/name/")
        if not name:
            raise RefusedError(500, "Bad request: Missing service Name")
        self._server.rights(asked).need("read", "service", name)
        rows = [row for row in self._services.values() if row["Service"] == name]
        if not rows:
            said = f"ServiceName {name} Not Found"
            if _wants_text(asked):
                return _in_text(said, 404)
            return Answer.json([], {"X-Consul-Reason": said}, 404)
        health = [(row, *self._worst(row)) for row in rows]
        worst = max((status for _, status, _ in health), key=_BADNESS.index)
        if _wants_text(asked):
            return _in_text(worst)
        told = [
            {"AggregatedStatus": status, "Service": _as_kept(row), "Checks": checks}
            for row, status, checks in health
        ]
        return Answer.json(told, {"X-Consul-Reason": worst}, _HEALTH[worst])

    def _worst(self, service: Row) -> tuple[str, list[Row]]:
        """How a service is, and the checks that say so: its own, and those of the node."""
        rows = [
            check.row
            for check in self._checks.values()
            if check.row["ServiceID"] in {"", service["ID"]}
        ]
        statuses = {_status_of(row) for row in rows}
        return max(statuses, key=_BADNESS.index, default="passing"), [_in_health(r) for r in rows]


_BADNESS: Final = ("passing", "warning", "critical", "maintenance")


def _status_of(check: Row) -> str:
    is_maintenance = check["CheckID"].startswith(("_node_maintenance", "_service_maintenance:"))
    return "maintenance" if is_maintenance else str(check["Status"])


def _undated(row: Row) -> Row:
    return {**row, "CreateIndex": 0, "ModifyIndex": 0}


def _in_health(row: Row) -> Row:
    """A check as the agent's own health tells of it: without its kind, and how it is done."""
    nothing: Row = {
        "Interval": "0s",
        "Timeout": "0s",
        "DeregisterCriticalServiceAfter": "0s",
        "HTTP": "",
        "Header": None,
        "Method": "",
        "Body": "",
        "TLSSkipVerify": False,
        "TCP": "",
    }
    tags = row["ServiceTags"] or None
    return _undated({**row, "ServiceTags": tags, "Type": "", "Definition": nothing})


def _as_kept(row: Row) -> Row:
    """A service as the agent tells of it; the servers say the same in another order."""
    addresses = row.get("TaggedAddresses")
    return {
        "ID": row["ID"],
        "Service": row["Service"],
        "Tags": row["Tags"],
        "Meta": row["Meta"] or {},
        "Port": row["Port"],
        "Address": row["Address"],
        **({"TaggedAddresses": addresses} if addresses else {}),
        "Weights": row["Weights"],
        "EnableTagOverride": row["EnableTagOverride"],
        **({"Connect": row["Connect"]} if row["Connect"] else {}),
    }


def _check_check(sent: Row) -> None:
    problem = check_problem(sent)
    if problem:
        raise RefusedError(400, f"Invalid check: {problem}")
    if check_type(sent) in {"script", "docker"}:
        raise RefusedError(500, _SCRIPTS)


def _check_weights(weights: Row | None) -> None:
    if weights is None:
        return
    passing, warning = weights.get("Passing", 0), weights.get("Warning", 0)
    if passing < 1:
        raise GoError("Invalid Weights: Passing must be greater than 0")
    if warning < 0:
        raise GoError("Invalid Weights: Warning must be greater or equal than 0")
    if max(passing, warning) > 65535:
        raise GoError("Invalid Weights: DNS Weight must be between 0 and 65535")


def _enable(asked: Asked) -> bool:
    if "enable" not in asked.params:
        raise RefusedError(400, "Missing value for enable")
    value = asked.param("enable")
    if value.lower() not in {"1", "t", "true", "0", "f", "false"}:
        raise RefusedError(400, f"Invalid value for enable: {quoted(value)}")
    return value.lower() in {"1", "t", "true"}


def _wants_text(asked: Asked) -> bool:
    return asked.param("format") == "text" or (
        asked.headers.get("accept", "").startswith("text/plain")
    )


def _in_text(said: str, status: int | None = None) -> Answer:
    headers = {"Content-Type": "text/plain", "X-Consul-Reason": said}
    return Answer(status or _HEALTH[said], said.encode(), headers)
