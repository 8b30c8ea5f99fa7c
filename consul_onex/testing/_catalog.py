"""Nodes, services and checks, as the servers know them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from ._go import GoError, quoted
from ._rights import EVERYTHING, Rights
from ._session import invalidate_by_check
from ._state import Row, State, key_of

__all__ = [
    "check_address",
    "check_meta",
    "check_node_id",
    "checks_of",
    "delete_check",
    "delete_node",
    "delete_service",
    "deregister",
    "instances",
    "need_deregistration",
    "need_registration",
    "put_check",
    "put_node",
    "put_service",
    "register",
    "service_index",
]

_UNSPECIFIED: Final = {"0.0.0.0", "::", "[::]"}  # noqa: S104 - they are refused


def _same(one: Row | None, other: Row) -> bool:
    """Whether two rows say the same; when they were written does not count."""
    mine, theirs = dict(one or {}), dict(other)
    for index in ("CreateIndex", "ModifyIndex"):
        mine.pop(index, None)
        theirs.pop(index, None)
    return mine == theirs


def _dated(state: State, row: Row, old: Row | None) -> Row:
    created = state.index if old is None else old["CreateIndex"]
    return {**row, "CreateIndex": created, "ModifyIndex": state.index}


# -- reading ---------------------------------------------------------------------------------------


def instances(state: State, name: str) -> list[Row]:
    return list(state.services_by_name.items(key_of(name.lower())))


def checks_of(state: State, node: str, service: str | None = None) -> list[Row]:
    """The checks of a node, or of one service on it; "" is for those of the node itself."""
    checks = state.checks.items(key_of(node.lower()))
    return [check for check in checks if service is None or check["ServiceID"] == service]


def service_index(name: str) -> str:
    return f"service.{name.lower()}"


def _services_on(state: State, node: str) -> Iterator[Row]:
    return iter(list(state.services.items(key_of(node.lower()))))


def _touch_services_on(state: State, node: str) -> None:
    for service in _services_on(state, node):
        state.touch(service_index(service["Service"]))


# -- writing ---------------------------------------------------------------------------------------


def register(
    state: State, name: str, node: Row | None, service: Row | None, checks: list[Row]
) -> None:
    """
    Write a node, a service on it and checks, as far as they are given and are not so already.

    All rows are whole but for their indexes; `name` is that of the node, which is there where it is
    not given.
    """
    with state.attempt():
        if node is not None:
            put_node(state, node)
        if service is not None:
            try:
                put_service(state, service, name)
            except GoError as error:
                raise GoError(f"failed inserting service: {error}") from None
        for check in checks:
            if check["Node"].lower() != name.lower():
                said = f"check node {quoted(check['Node'])} does not match node {quoted(name)}"
                raise GoError(said)
            try:
                put_check(state, check)
            except GoError as error:
                said = f"failed inserting check: {error} on node {quoted(name)}"
                raise GoError(said) from None


def put_node(state: State, row: Row) -> None:
    key = key_of(row["Node"].lower())
    old = state.nodes.get(key)
    if row["ID"] and (old is None or old["ID"] != row["ID"]):
        _claim_name(state, row, old)
        by_id = next((one for one in state.nodes.items() if one["ID"] == row["ID"]), None)
        if by_id is not None:
            delete_node(state, by_id["Node"])
            old = by_id
    if not _same(old, row):
        state.nodes.put(key, _dated(state, row, old))
        state.touch("nodes")
        _touch_services_on(state, row["Node"])


def _claim_name(state: State, row: Row, holder: Row | None) -> None:
    """Refuse a name that belongs to another node, which is well."""
    if holder is None or not holder["ID"]:
        return
    serf = state.checks.get(key_of(holder["Node"].lower(), "serfhealth"))
    if serf is not None and serf["Status"] != "critical":
        raise GoError(
            f"failed inserting node: Error while renaming Node ID: {quoted(row['ID'])}: "
            f"Node name {row['Node']} is reserved by node {holder['ID']} "
            f"with name {holder['Node']} ({holder['Address']})"
        )


def put_service(state: State, row: Row, node: str) -> None:
    if not row["Service"]:
        raise GoError("failed inserting service: object missing primary index")
    try:
        check_meta(row["Meta"])
    except GoError as error:
        where = f"node {node} and serviceID {row['ID']}"
        raise GoError(f"Invalid Service Meta for {where}: {error}") from None
    key = key_of(node.lower(), row["ID"].lower())
    old = state.services.get(key)
    row = {**row, "Node": node}
    if _same(old, row):
        return
    if old is not None:
        state.services_by_name.delete(_name_key(old))
    row = _dated(state, row, old)
    state.services.put(key, row)
    state.services_by_name.put(_name_key(row), row)
    state.touch("services", service_index(row["Service"]))


def _name_key(service: Row) -> bytes:
    return key_of(service["Service"].lower(), service["Node"].lower(), service["ID"].lower())


def _left(state: State, name: str) -> None:
    """An instance of this service has gone, perhaps the last one."""
    if instances(state, name):
        state.touch(service_index(name))
    else:
        state.forget(service_index(name))
        state.touch("service_last_extinction")


def put_check(state: State, row: Row) -> None:
    node, service = row["Node"], None
    if not row["CheckID"]:
        raise GoError("failed inserting check: object missing primary index")
    if row["ServiceID"]:
        service = state.services.get(key_of(node.lower(), row["ServiceID"].lower()))
        if service is None:
            raise GoError("Missing service registration")
        row = {**row, "ServiceName": service["Service"], "ServiceTags": service["Tags"]}
    if row["Status"] == "critical":
        invalidate_by_check(state, node, row["CheckID"])
    key = key_of(node.lower(), row["CheckID"].lower())
    old = state.checks.get(key)
    same = _same(old, row)
    if old is not None:
        _forget_check(state, old)
    # It is written even where it is the same, and its index stays.
    row = old if old is not None and same else _dated(state, row, old)
    state.checks.put(key, row)
    for table, by in _check_tables(state, row):
        table.put(by, row)
    state.touch("checks")
    if not same:
        _touched_by(state, row)


def _check_tables(state: State, row: Row) -> Any:
    place = key_of(row["Node"].lower(), row["CheckID"].lower())
    return (
        (state.checks_by_service, key_of(row["ServiceName"].lower()) + place),
        (state.checks_by_status, key_of(row["Status"].lower()) + place),
    )


def _touched_by(state: State, check: Row) -> None:
    """What is told with a check has changed with it."""
    if check["ServiceID"]:
        state.touch(service_index(check["ServiceName"]))
    else:
        _touch_services_on(state, check["Node"])


def _forget_check(state: State, row: Row) -> None:
    state.checks.delete(key_of(row["Node"].lower(), row["CheckID"].lower()))
    for table, by in _check_tables(state, row):
        table.delete(by)


def deregister(state: State, node: str, service: str = "", check: str = "") -> None:
    """Take away a service with its checks, a check, or, without either, the whole node."""
    if service:
        delete_service(state, node, service)
    elif check:
        delete_check(state, node, check)
    else:
        delete_node(state, node)


def delete_check(state: State, node: str, check_id: str) -> None:
    row = state.checks.get(key_of(node.lower(), check_id.lower()))
    if row is not None:
        _forget_check(state, row)
        # What a node's own check is about may be any of its services.
        state.touch("checks", *(() if row["ServiceID"] else ("services",)))
        _touched_by(state, row)
        invalidate_by_check(state, node, row["CheckID"])


def delete_service(state: State, node: str, service: str) -> None:
    row = state.services.get(key_of(node.lower(), service.lower()))
    if row is not None:
        for check in checks_of(state, node, row["ID"]):
            delete_check(state, node, check["CheckID"])
        state.services.delete(key_of(node.lower(), service.lower()))
        state.services_by_name.delete(_name_key(row))
        state.touch("services", "checks")
        _left(state, row["Service"])


def delete_node(state: State, node: str) -> None:
    row = state.nodes.get(key_of(node.lower()))
    if row is not None:
        for service in _services_on(state, node):
            delete_service(state, node, service["ID"])
        for check in checks_of(state, node):
            delete_check(state, node, check["CheckID"])
        state.nodes.delete(key_of(node.lower()))
        state.touch("nodes")
        invalidate_by_check(state, node)


# -- what a token may ------------------------------------------------------------------------------


def need_registration(
    state: State,
    rights: Rights,
    name: str,
    node: Row | None,
    service: Row | None,
    checks: list[Row],
) -> None:
    """Refuse who may not write this; see `register`. Who may do everything is not looked at."""
    if rights is EVERYTHING:
        return
    known = state.nodes.get(key_of(name.lower()))
    if known is None or (node is not None and not _same(known, node)):
        rights.need("write", "node", name)
    if service is not None:
        rights.need("write", "service", service["Service"])
        old = state.services.get(key_of(name.lower(), service["ID"].lower()))
        if old is not None:
            rights.need("write", "service", old["Service"])
    for check in checks:
        if not check["ServiceID"]:
            rights.need("write", "node", name)
        elif service is None or check["ServiceID"] != service["ID"]:
            other = state.services.get(key_of(name.lower(), check["ServiceID"].lower()))
            if other is None:
                which = f"service '{check['ServiceID']}' for check '{check['CheckID']}'"
                raise GoError(f"Unknown {which}")
            rights.need("write", "service", other["Service"])


def need_deregistration(state: State, rights: Rights, node: str, service: str, check: str) -> None:
    """Refuse who may not take this away; see `deregister`."""
    if rights.may("write", "node", node):
        return
    if service:
        row = state.services.get(key_of(node.lower(), service.lower()))
        if row is None:
            raise GoError(f"Unknown service '{service}'")
        rights.need("write", "service", row["Service"])
    elif check:
        row = state.checks.get(key_of(node.lower(), check.lower()))
        if row is None:
            raise GoError(f"Unknown check '{check}'")
        if not row["ServiceID"]:
            rights.need("write", "node", node)
        rights.need("write", "service", row["ServiceName"])
    else:
        rights.need("write", "node", node)


# -- what is refused -------------------------------------------------------------------------------


def check_meta(meta: dict[str, str] | None) -> None:
    """Refuse metadata that could not be searched."""
    if len(meta or {}) > 64:
        raise GoError("Node metadata cannot contain more than 64 key/value pairs")
    for key, value in (meta or {}).items():
        wrong = (
            "Key cannot be blank"
            if not key
            else "Key contains invalid characters"
            if not all(char.isascii() and (char.isalnum() or char in "-_") for char in key)
            else "Key is too long (limit: 128 characters)"
            if len(key) > 128
            else "Key prefix 'consul-' is reserved for internal use"
            if key.startswith("consul-")
            else "Value is too long (limit: 512 characters)"
            if len(value) > 512
            else ""
        )
        if wrong:
            raise GoError(f"Couldn't load metadata pair ('{key}', '{value}'): {wrong}")


def check_node_id(text: str) -> None:
    if text and len(text) != 36:
        raise GoError("Bad node ID: uuid string is wrong length")
    if text and [len(part) for part in text.split("-")] != [8, 4, 4, 4, 12]:
        raise GoError("Bad node ID: uuid is improperly formatted")


def check_address(address: str) -> None:
    if address in _UNSPECIFIED:
        raise GoError("Invalid service address")
