"""Operations of transactions on nodes, services and checks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from . import _catalog
from ._definitions import PROBES, SERVICE, check_definition, check_row, service_row
from ._go import GoError, quoted
from ._shape import DURATION, STRING, UINT, list_of, map_of, struct, text_of
from ._state import Row, State, key_of

__all__ = ["CHECK_OP", "KINDS", "NODE_OP", "SERVICE_OP", "Kind"]

_INDEXES: Final = {"CreateIndex": UINT, "ModifyIndex": UINT}
_TEXTS: Final = map_of(STRING, "map[string]string")

NODE_OP: Final = struct(
    "NodeTxnOp",
    {
        "Verb": text_of("api.NodeOp"),
        "Node": struct(
            "Node",
            {
                **dict.fromkeys(("ID", "Node", "Address", "Datacenter"), STRING),
                "TaggedAddresses": _TEXTS,
                "Meta": _TEXTS,
                **_INDEXES,
            },
            wanted="api.Node",
        ),
    },
    wanted="api.NodeTxnOp",
)
SERVICE_OP: Final = struct(
    "ServiceTxnOp",
    {
        "Verb": text_of("api.ServiceOp"),
        "Node": STRING,
        "Service": struct(
            "AgentService",
            {
                **{name: shape for name, shape in SERVICE.items() if name != "Name"},
                **dict.fromkeys(("Service", "ContentHash", "Namespace"), STRING),
                **_INDEXES,
            },
            wanted="api.AgentService",
        ),
    },
    wanted="api.ServiceTxnOp",
)
_DURATIONS: Final = ("Interval", "Timeout", "DeregisterCriticalServiceAfter")
CHECK_OP: Final = struct(
    "CheckTxnOp",
    {
        "Verb": text_of("api.CheckOp"),
        "Check": struct(
            "HealthCheck",
            {
                **dict.fromkeys(
                    (
                        *("Node", "CheckID", "Name", "Status", "Notes", "Output"),
                        *("ServiceID", "ServiceName", "Type", "Namespace"),
                    ),
                    STRING,
                ),
                "ServiceTags": list_of(STRING, "[]string"),
                "Definition": struct(
                    "HealthCheckDefinition",
                    {**PROBES, **{f"{name}Duration": DURATION for name in _DURATIONS}},
                    strict=False,
                    wanted="api.HealthCheckDefinition",
                ),
                **_INDEXES,
            },
            wanted="api.HealthCheck",
        ),
    },
    wanted="api.CheckTxnOp",
)


def _told(row: Row | None) -> Row | None:
    """A row as a transaction tells of it, where no tags are null."""
    return row and {
        **row,
        **{name: None for name in ("Tags", "ServiceTags") if row.get(name) == []},
    }


class Kind(NamedTuple):
    """How one kind of thing is found, written and deleted, and what it is called in errors."""

    check: Callable[[Row], None]
    find: Callable[[State, Row], Row | None]
    put: Callable[[State, Row, str], None]
    delete: Callable[[State, Row], None]
    called: Callable[[Row], str]
    thing: Callable[[Row], Row]
    guarding: Callable[[Row], tuple[str, str]]
    """What a token must be allowed to write, for what was sent."""
    shown_by: Callable[[Row], tuple[str, str]]
    """What a token must be allowed to read, for a row."""

    def carry_out(self, state: State, sent: Row, datacenter: str, name: str) -> Row | None:
        """The row that an operation leaves behind; None where it deletes. `name` is the kind's."""
        verb, wanted = sent.get("Verb", ""), self.thing(sent).get("ModifyIndex", 0)
        found = self.find(state, sent)
        index = found["ModifyIndex"] if found is not None else 0
        if verb == "get":
            if found is None:
                raise GoError(f"{self.called(sent)} doesn't exist")
            return _told(found)
        if verb == "cas" and index != wanted:
            raise GoError(f"failed to set {self.called(sent)}, index is stale")
        if verb == "delete-cas" and (found is None or index != wanted):
            raise GoError(f"failed to delete {self.called(sent)}, index is stale")
        if verb in {"set", "cas"}:
            self.put(state, sent, datacenter)
            return _told(self.find(state, sent))
        if verb not in {"delete", "delete-cas"}:
            raise GoError(f"unknown {name} verb {quoted(verb)}")
        self.delete(state, sent)
        return None


def _node(sent: Row) -> Row:
    return sent.get("Node") or {}


def _check_node(sent: Row) -> None:
    if not _node(sent).get("Node"):
        raise GoError("Must provide node")
    _catalog.check_node_id(_node(sent).get("ID", ""))


def _find_node(state: State, sent: Row) -> Row | None:
    node = _node(sent)
    if node.get("ID"):
        return next((one for one in state.nodes.items() if one["ID"] == node["ID"]), None)
    return state.nodes.get(key_of(node.get("Node", "").lower()))


def _put_node(state: State, sent: Row, datacenter: str) -> None:
    node = _node(sent)
    row = {
        **{name: node.get(name, "") for name in ("ID", "Node", "Address")},
        "Datacenter": node.get("Datacenter") or datacenter,
        "TaggedAddresses": node.get("TaggedAddresses") or None,
        "Meta": node.get("Meta") or None,
    }
    _catalog.put_node(state, row)


def _service(sent: Row) -> Row:
    return sent.get("Service") or {}


def _service_id(sent: Row) -> str:
    return str(_service(sent).get("ID") or _service(sent).get("Service", ""))


def _check_service(sent: Row) -> None:
    service = _service(sent)
    if service.get("ID") and not service.get("Service"):
        raise GoError("Must provide service name with ID")
    _catalog.check_address(service.get("Address", ""))


def _find_service(state: State, sent: Row) -> Row | None:
    return state.services.get(key_of(sent.get("Node", "").lower(), _service_id(sent).lower()))


def _put_service(state: State, sent: Row, datacenter: str) -> None:
    _need_node(state, sent.get("Node", ""))
    row = service_row(_service(sent), _service(sent).get("Service", ""))
    _catalog.put_service(state, row, sent["Node"])


def _check(sent: Row) -> Row:
    return sent.get("Check") or {}


def _check_id(sent: Row) -> str:
    return str(_check(sent).get("CheckID") or _check(sent).get("Name", ""))


def _find_check(state: State, sent: Row) -> Row | None:
    return state.checks.get(key_of(_check(sent).get("Node", "").lower(), _check_id(sent).lower()))


def _put_check(state: State, sent: Row, datacenter: str) -> None:
    check = _check(sent)
    _need_node(state, check.get("Node", ""))
    definition = dict(check.get("Definition") or {})
    for name in _DURATIONS:
        definition[name] = definition.pop(f"{name}Duration", 0) or definition.get(name, 0)
    row = check_row(
        check["Node"],
        _check_id(sent),
        **{name: check.get(name, "") for name in ("Name", "Notes", "Output", "ServiceID")},
        Status=check.get("Status") or "critical",
        ServiceTags=check.get("ServiceTags") or [],
        Definition=check_definition(definition),
    )
    _catalog.put_check(state, row)


def _need_node(state: State, name: str) -> None:
    if state.nodes.get(key_of(name.lower())) is None:
        raise GoError("Missing node registration")


def _anything(sent: Row) -> None:
    pass


def _on(node: str) -> str:
    return f"on node {quoted(node)}"


KINDS: Final = {
    "Node": Kind(
        check=_check_node,
        find=_find_node,
        put=_put_node,
        delete=lambda state, sent: _catalog.delete_node(state, _node(sent)["Node"]),
        called=lambda sent: f"node {quoted(_node(sent).get('Node', ''))}",
        thing=_node,
        guarding=lambda sent: ("node", _node(sent)["Node"]),
        shown_by=lambda row: ("node", row["Node"]),
    ),
    "Service": Kind(
        check=_check_service,
        find=_find_service,
        put=_put_service,
        delete=lambda state, sent: _catalog.delete_service(
            state, sent.get("Node", ""), _service_id(sent)
        ),
        called=lambda sent: (
            f"service {quoted(_service(sent).get('ID', ''))} {_on(sent.get('Node', ''))}"
        ),
        thing=_service,
        guarding=lambda sent: ("service", _service(sent).get("Service", "")),
        shown_by=lambda row: ("service", row["Service"]),
    ),
    "Check": Kind(
        check=_anything,
        find=_find_check,
        put=_put_check,
        delete=lambda state, sent: _catalog.delete_check(
            state, _check(sent).get("Node", ""), _check_id(sent)
        ),
        called=lambda sent: f"check {quoted(_check_id(sent))} {_on(_check(sent).get('Node', ''))}",
        thing=_check,
        guarding=lambda sent: (
            ("service", _check(sent).get("ServiceName", ""))
            if _check(sent).get("ServiceID")
            else ("node", _check(sent).get("Node", ""))
        ),
        shown_by=lambda row: (
            ("service", row["ServiceName"]) if row["ServiceName"] else ("node", row["Node"])
        ),
    ),
}
