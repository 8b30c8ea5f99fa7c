"""What an agent is told to register, and the checks that come of it."""

from __future__ import annotations

from copy import copy
from typing import Final, NamedTuple

from . import _catalog
from ._definitions import (
    CHECKS,
    SERVICE,
    check_problem,
    check_row,
    check_type,
    service_row,
    with_own_address,
)
from ._go import GoError
from ._http import RefusedError
from ._shape import STRING, list_of, struct
from ._state import Row
from ._timers import Timer

__all__ = [
    "REGISTRATION",
    "STATUSES",
    "LocalCheck",
    "Registration",
    "new_check",
    "read_registration",
    "refuse_bad_check",
]

# How much of a check's output is kept.
_MOST_OUTPUT: Final = 4096

_SCRIPTS: Final = (
    "Scripts are disabled on this agent from remote calls; "
    "to enable, configure 'enable_script_checks' to true"
)

REGISTRATION: Final = struct(
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

STATUSES: Final = ("passing", "warning", "critical")


class LocalCheck:
    """A check of the agent: what it says, and what it is waiting for."""

    def __init__(self, row: Row, sent: Row) -> None:
        self.row = row
        self.ttl = sent.get("TTL", 0) / 1e9
        self.most_output = sent.get("OutputMaxSize") or _MOST_OUTPUT
        self.deregister_after = sent.get("DeregisterCriticalServiceAfter", 0) / 1e9
        self.expiry: Timer | None = None
        self.telling: Timer | None = None
        self.reaping: Timer | None = None

    def anew(self) -> LocalCheck:
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
    checks: list[LocalCheck]

    @property
    def id(self) -> str:
        return str(self.row["ID"])


def read_registration(sent: Row, node: str) -> Registration:
    """What a node's agent is to have. GoError or RefusedError say what is wrong with it."""
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
        refuse_bad_check(one)
        if one.get("Status", "") not in {"", *STATUSES}:
            said = "Status for checks must 'passing', 'warning', 'critical'"
            raise RefusedError(400, said)
        number = f":{n}" if len(definitions) > 1 else ""
        fields = {
            **one,
            "CheckID": one.get("CheckID") or f"service:{row['ID']}{number}",
            "Name": one.get("Name") or f"Service '{name}' check",
        }
        checks.append(new_check(node, fields, row))
    return Registration(row, checks)


def new_check(node: str, fields: Row, service: Row | None) -> LocalCheck:
    """A check of a node, or of its service."""
    row = check_row(
        node,
        fields["CheckID"],
        Name=fields["Name"],
        Status=fields.get("Status") or "critical",
        Notes=fields.get("Notes", ""),
        ServiceID="" if service is None else service["ID"],
        ServiceName="" if service is None else service["Service"],
        ServiceTags=[] if service is None else service["Tags"],
        Type=fields.get("Type") or check_type(fields),
    )
    return LocalCheck(row, fields)


def refuse_bad_check(sent: Row) -> None:
    """Say what is wrong with a check, if anything is."""
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
