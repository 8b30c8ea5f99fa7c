"""Services and checks as they are registered, and the rows that they become."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any, Final

from ._go import GoError, duration
from ._http import RefusedError
from ._shape import ANY, BOOL, DURATION, INT, STRING, Shape, list_of, map_of, struct
from ._state import Row

__all__ = [
    "CHECK",
    "CHECKS",
    "NO_MESH",
    "PROBES",
    "SERVICE",
    "as_kept",
    "check_definition",
    "check_problem",
    "check_row",
    "check_type",
    "service_row",
    "undated",
    "with_own_address",
]

NO_MESH: Final = "The fake agent has no mesh: it takes no proxies, gateways and sidecars."

_ADDRESSES: Final = map_of(
    struct("ServiceAddress", {"Address": STRING, "Port": INT}),
    "map[string]structs.ServiceAddress",
)
_STRINGS: Final = list_of(STRING, "[]string")
_META: Final = map_of(STRING, "map[string]string")

# -- checks ----------------------------------------------------------------------------------------

PROBES: Final[dict[str, Shape]] = {
    "HTTP": STRING,
    "Header": map_of(_STRINGS, "map[string][]string"),
    "Method": STRING,
    "Body": STRING,
    "TLSSkipVerify": BOOL,
    "TCP": STRING,
    "Interval": DURATION,
    "OutputMaxSize": INT,
    "Timeout": DURATION,
    "DeregisterCriticalServiceAfter": DURATION,
    "ScriptArgs": _STRINGS,
    "DockerContainerID": STRING,
    "Shell": STRING,
    "GRPC": STRING,
    "GRPCUseTLS": BOOL,
    "AliasNode": STRING,
    "AliasService": STRING,
    "TTL": DURATION,
}
_FIRST: Final = ("Interval", "Timeout", "DeregisterCriticalServiceAfter")

_AGENT_CHECK: Final[dict[str, Shape]] = {
    **PROBES,
    "Args": _STRINGS,
    "CheckID": STRING,
    "ID": STRING,
    "Name": STRING,
    "Notes": STRING,
    "Status": STRING,
    "ServiceID": STRING,
    "Token": STRING,
    "ProxyHTTP": STRING,
    "ProxyGRPC": STRING,
    "SuccessBeforePassing": INT,
    "FailuresBeforeCritical": INT,
}
_INSIDE: Final = {n: shape for n, shape in _AGENT_CHECK.items() if n not in {"ID", "Token"}}

_ALSO: Final = {
    "deregister_critical_service_after": "DeregisterCriticalServiceAfter",
    "docker_container_id": "DockerContainerID",
    "script_args": "ScriptArgs",
    "tls_skip_verify": "TLSSkipVerify",
}
_SNAKE: Final = {"service_id": "ServiceID"}

# What is registered by itself has an ID; what comes with a service has a CheckID.
_OWN: Final = {name: shape for name, shape in _AGENT_CHECK.items() if name != "CheckID"}
CHECK: Final = struct("", _OWN, wanted="structs.CheckDefinition", also={**_ALSO, **_SNAKE})
CHECKS: Final = struct("", _INSIDE, wanted="structs.CheckType", also=_ALSO)

_STATUSES: Final = {"", "passing", "warning", "critical"}
_RUN: Final = {"http", "tcp", "grpc", "docker", "script"}


def check_type(check: Row) -> str:
    """What kind of check it is; "" where nothing says so."""
    scripted = check.get("Args") or check.get("ScriptArgs")
    for kind, says_so in (
        ("http", check.get("HTTP")),
        ("tcp", check.get("TCP")),
        ("grpc", check.get("GRPC")),
        ("docker", scripted and check.get("DockerContainerID")),
        ("script", scripted),
        ("alias", check.get("AliasNode") or check.get("AliasService")),
        ("ttl", check.get("TTL")),
    ):
        if says_so:
            return kind
    return ""


def check_problem(check: Row) -> str:
    """What an agent has against a check; "" for nothing."""
    runs = check_type(check) in _RUN
    interval, ttl = check.get("Interval", 0), check.get("TTL", 0)
    if interval > 0 and ttl > 0:
        return "Interval and TTL cannot both be specified"
    if runs and interval <= 0:
        return "Interval must be > 0 for Script, HTTP, or TCP checks"
    if not runs and check_type(check) != "alias" and ttl <= 0:
        return "TTL must be > 0 for TTL checks"
    if check.get("OutputMaxSize", 0) < 0:
        return "MaxOutputMaxSize must be positive"
    return ""


def check_definition(sent: Row) -> Row:
    """The part of a check that says how it is done, as it is told again."""
    said = {name: value for name, value in sent.items() if value}
    times: Row = {name: duration(said[name]) for name in _FIRST if name in said}
    return {**times, **{name: said[name] for name in PROBES if name in said and name not in times}}


def check_row(node: str, check_id: str, **fields: Any) -> Row:
    return {
        "Node": node,
        "CheckID": check_id,
        "Name": "",
        "Status": "critical",
        "Notes": "",
        "Output": "",
        "ServiceID": "",
        "ServiceName": "",
        "ServiceTags": [],
        "Type": "",
        "Definition": {},
        **fields,
    }


# -- services --------------------------------------------------------------------------------------

_WEIGHTS: Final = struct("Weights", {"Passing": INT, "Warning": INT})
_CONNECT: Final = struct("ServiceConnect", {"Native": BOOL, "SidecarService": ANY})

SERVICE: Final[dict[str, Shape]] = {
    "Kind": STRING,
    "ID": STRING,
    "Name": STRING,
    "Tags": _STRINGS,
    "Address": STRING,
    "TaggedAddresses": _ADDRESSES,
    "Meta": _META,
    "Port": INT,
    "Weights": _WEIGHTS,
    "EnableTagOverride": BOOL,
    "Proxy": ANY,
    "Connect": _CONNECT,
}


def service_row(sent: Row, name: str) -> Row:
    """A service as the servers tell of it, without its indexes."""
    proxy, connect = sent.get("Proxy"), sent.get("Connect") or {}
    kind = sent.get("Kind", "")
    if kind == "connect-proxy":
        _refuse_no_proxy(sent)
    if kind or connect.get("SidecarService") or any((proxy or {}).values()):
        raise RefusedError(501, NO_MESH)
    weights = sent.get("Weights") or {"Passing": 1, "Warning": 1}
    addresses = _addresses(sent.get("TaggedAddresses"))
    return {
        "ID": sent.get("ID") or name,
        "Service": name,
        "Tags": sent.get("Tags") or [],
        "Address": sent.get("Address", ""),
        **({"TaggedAddresses": addresses} if addresses else {}),
        "Meta": sent.get("Meta") or None,
        "Port": sent.get("Port", 0),
        "Weights": {"Passing": weights.get("Passing", 0), "Warning": weights.get("Warning", 0)},
        "EnableTagOverride": sent.get("EnableTagOverride", False),
        "Proxy": {"MeshGateway": {}, "Expose": {}},
        "Connect": {"Native": True} if connect.get("Native") else {},
    }


def _addresses(sent: Row | None) -> Row:
    return {
        name: {"Address": one.get("Address", ""), "Port": one.get("Port", 0)}
        for name, one in sorted((sent or {}).items())
    }


def with_own_address(row: Row) -> Row:
    """A service of an agent: an address that is an IP is also its address in either network."""
    try:
        version = ip_address(row["Address"]).version
    except ValueError:
        return row
    own = {"Address": row["Address"], "Port": row["Port"]}
    usual = {f"lan_ipv{version}": own, f"wan_ipv{version}": own}
    tagged = {**usual, **row.get("TaggedAddresses", {})}
    before = {name: row[name] for name in ("ID", "Service", "Tags", "Address")}
    return {
        **before,
        "TaggedAddresses": dict(sorted(tagged.items())),
        **{name: value for name, value in row.items() if name not in {*before, "TaggedAddresses"}},
    }


def _refuse_no_proxy(sent: Row) -> None:
    wrong = []
    if not (sent.get("Proxy") or {}).get("DestinationServiceName"):
        wrong.append("Proxy.DestinationServiceName must be non-empty for Connect proxy services")
    if not sent.get("Port"):
        wrong.append("Port must be set for a Connect proxy")
    if wrong:
        errors = f"{len(wrong)} error{'s' * (len(wrong) > 1)} occurred:"
        raise GoError(errors + "".join(f"\n\t* {one}" for one in wrong) + "\n\n")


# -- as an agent tells of them ---------------------------------------------------------------------


def undated(row: Row) -> Row:
    """A check: of its indexes an agent knows nothing."""
    return {**row, "CreateIndex": 0, "ModifyIndex": 0}


def as_kept(row: Row) -> Row:
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
