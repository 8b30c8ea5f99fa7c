"""Transactions: several operations, all or none."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, Final, Protocol

from pydantic import TypeAdapter

from .._call import Safety
from .._json import dumped
from .._values import MAX_BYTES, MAX_OPERATIONS, as_bytes, u64
from .._wire import Takes, Wire
from ..errors import InvalidRequestError
from ..models.catalog import CatalogCheck, CatalogServiceDefinition
from ..models.txn import KVOperation, NodeOperation, Operation, TxnResult

__all__ = [
    "MAX_BYTES",
    "MAX_OPERATIONS",
    "CheckVerbs",
    "KVVerbs",
    "NodeVerbs",
    "ServiceVerbs",
    "Transaction",
    "Txn",
]

_RESULT: Final = TypeAdapter(TxnResult)

# What a transaction carries, and since when. Consul knows more of a service and of a check, takes
# it here as well, and drops it without a word.
_OF_A_SERVICE: Final = dict.fromkeys(
    [
        *("ID", "Service", "Tags", "Address", "Port", "Meta", "Weights", "EnableTagOverride"),
        *("Namespace", "Partition"),
    ],
    "",
) | {
    "Kind": "1.14",
    "Proxy.DestinationServiceName": "1.14",
    "Proxy.DestinationServiceID": "1.14",
    "Proxy.LocalServiceAddress": "1.14",
    "Proxy.LocalServicePort": "1.14",
    "Proxy.LocalServiceSocketPath": "1.14",
    "Proxy.MeshGateway": "1.14",
    "Proxy.TransparentProxy": "1.14",
    "TaggedAddresses": "1.21",
}
_OF_A_CHECK: Final = dict.fromkeys(
    [
        *("Node", "CheckID", "Name", "Status", "Notes", "Output", "ServiceID", "ServiceName"),
        *("Namespace", "Partition"),
        *("Definition.HTTP", "Definition.Header", "Definition.Method", "Definition.Body"),
        *("Definition.TLSSkipVerify", "Definition.TCP", "Definition.Interval"),
        *("Definition.Timeout", "Definition.DeregisterCriticalServiceAfter"),
    ],
    "",
) | {
    "Definition.TLSServerName": "1.14",
    "Definition.GRPC": "1.14",
    "Definition.GRPCUseTLS": "1.14",
    "Definition.OSService": "1.14",
    "Definition.TCPUseTLS": "1.21",
    "Type": "1.21",
}


class Txn:
    """
    Transactions: several operations, all or none.

        result = await (
            c.txn.begin()
            .kv.check_session("leader", session)
            .kv.set("config/web", value)
            .commit()
        )

    https://developer.hashicorp.com/consul/api-docs/txn
    """

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    def begin(
        self, *, max_operations: int = MAX_OPERATIONS, max_bytes: int = MAX_BYTES
    ) -> Transaction:
        """
        An empty transaction, to be filled and then committed.

        One that is larger than that is refused before it is sent. Newer servers take more
        operations, and more bytes where `txn_max_req_len` is set.
        """
        return Transaction(self, max_operations=max_operations, max_bytes=max_bytes)

    async def commit(self, transaction: Transaction) -> TxnResult:
        """
        Carry out every operation of a transaction, in their order, or none.

        TransactionError when one failed, and so none was carried out: its `errors` say which of
        them, counted from 0, and why. What the token may not write or check is among the reasons;
        what it may not read is left out of the results without a word. PayloadTooLargeError when
        the server takes less than was thought.

        A transaction that only reads is as fresh as the view says, and is repeated as other reads
        are. Any other is sent once: after an OutcomeUnknownError it was carried out as a whole, or
        not at all.

        PUT /v1/txn
        https://developer.hashicorp.com/consul/api-docs/txn#create-transaction
        """
        operations = transaction.operations
        content = self._content(operations)
        _refuse_more("operations", len(operations), transaction.max_operations)
        _refuse_more("bytes", len(content), transaction.max_bytes)
        for what, since in dict.fromkeys(need for each in operations for need in each.needs):
            await self._wire.needs(f"{what} in a transaction", since, "txn.commit")
        reads = all(operation.reads for operation in operations)
        return await self._wire.write(
            *("txn.commit", "PUT", "/v1/txn", _RESULT),
            json=content,
            safety=Safety.SAFE if reads else Safety.UNSAFE,
            takes=Takes.READ if reads else Takes.WRITE,
        )

    def _content(self, operations: tuple[Operation, ...]) -> bytes:
        # What other endpoints are told in the URL, and a node's datacenter, which the agent would
        # otherwise take for its own.
        options = self._wire.options
        place = _given(Namespace=options.namespace, Partition=options.partition)
        place_of_node = _given(Datacenter=options.datacenter, Partition=options.partition)
        return dumped(
            [
                operation.to_wire(**(place_of_node if operation.kind == "Node" else place))
                for operation in operations
            ],
            "txn.commit",
        )


class _Commits(Protocol):
    """What commits a transaction: `c.txn`, or who adds something to that."""

    async def commit(self, transaction: Transaction) -> TxnResult:
        """Carry out every operation, in their order, or none."""
        ...


class Transaction:
    """
    Operations to be carried out together, in their order: all of them or none.

    Every method of `kv`, `node`, `service` and `check` adds one, and gives the transaction back. It
    is only a list: nothing is sent before `commit`, and it can be committed again.

    https://developer.hashicorp.com/consul/api-docs/txn#tables-of-operations
    """

    def __init__(self, txn: _Commits, *, max_operations: int, max_bytes: int) -> None:
        self.max_operations = max_operations
        self.max_bytes = max_bytes
        self._txn = txn
        self._operations: list[Operation] = []

    def __len__(self) -> int:
        return len(self._operations)

    def __repr__(self) -> str:
        return f"<Transaction operations={len(self)}>"

    @property
    def operations(self) -> tuple[Operation, ...]:
        """What was added so far."""
        return tuple(self._operations)

    @cached_property
    def kv(self) -> KVVerbs:
        """Operations on keys."""
        return KVVerbs(self._add)

    @cached_property
    def node(self) -> NodeVerbs:
        """Operations on nodes of the catalog."""
        return NodeVerbs(self._add)

    @cached_property
    def service(self) -> ServiceVerbs:
        """Operations on services of the catalog."""
        return ServiceVerbs(self._add)

    @cached_property
    def check(self) -> CheckVerbs:
        """Operations on health checks of the catalog."""
        return CheckVerbs(self._add)

    async def commit(self) -> TxnResult:
        """
        Carry out every operation, in their order, or none: `c.txn.commit` says what comes back.

        PUT /v1/txn
        https://developer.hashicorp.com/consul/api-docs/txn#create-transaction
        """
        return await self._txn.commit(self)

    def _add(self, operation: Operation) -> Transaction:
        self._operations.append(operation)
        return self


Add = Callable[[Operation], Transaction]


class KVVerbs:
    """
    Operations on keys.

    Any text but the empty one is a key here, also what no URL can name: `//`, `..`, a leading
    slash. Values are bytes; text is written as UTF-8.

    https://developer.hashicorp.com/consul/api-docs/txn#kv-operations
    """

    def __init__(self, add: Add) -> None:
        self._add = add

    # -- read -------------------------------------------------------------------------------------

    def get(self, key: str) -> Transaction:
        """Read a key. It fails where there is none."""
        return self._with("get", _name("key", key))

    def get_or_empty(self, key: str) -> Transaction:
        """
        Read a key, since Consul 1.14; an older server does not know how, and fails.

        Where there is none, its pair has no value, and 0 for its `modify_index`.
        """
        return self._with("get-or-empty", _name("key", key))

    def get_tree(self, prefix: str) -> Transaction:
        """Read every key that starts with a prefix, which cannot be empty."""
        return self._with("get-tree", _name("prefix", prefix))

    # -- check ------------------------------------------------------------------------------------

    def check_index(self, key: str, index: int) -> Transaction:
        """Fail unless the `modify_index` of a key still is that number."""
        return self._with("check-index", _name("key", key), index=u64("index", index, least=1))

    def check_session(self, key: str, session: str) -> Transaction:
        """Fail unless this session holds the key."""
        return self._with("check-session", _name("key", key), session=_name("session", session))

    def check_not_exists(self, key: str) -> Transaction:
        """Fail where there is such a key."""
        return self._with("check-not-exists", _name("key", key))

    # -- write ------------------------------------------------------------------------------------

    def set(self, key: str, value: bytes | str, flags: int = 0) -> Transaction:
        """Write a key."""
        return self._with("set", _name("key", key), value=as_bytes(value), flags=flags or None)

    def cas(self, key: str, value: bytes | str, index: int, flags: int = 0) -> Transaction:
        """Write a key if its `modify_index` still is that number; 0: if there is none."""
        return self._with(
            *("cas", _name("key", key)),
            value=as_bytes(value),
            index=u64("index", index),
            flags=flags or None,
        )

    def delete(self, key: str) -> Transaction:
        """Delete a key. It does not fail where there is none."""
        return self._with("delete", _name("key", key))

    def delete_cas(self, key: str, index: int) -> Transaction:
        """Delete a key if its `modify_index` still is that number. It may be gone already."""
        return self._with("delete-cas", _name("key", key), index=u64("index", index, least=1))

    def delete_tree(self, prefix: str, *, everything: bool = False) -> Transaction:
        """
        Delete every key that starts with a prefix. It does not fail where there is none.

        The empty prefix is every key there is, and must be confirmed with `everything=True`.
        """
        if prefix == "" and not everything:
            raise InvalidRequestError(
                "the empty prefix deletes every key; say everything=True if that is meant"
            )
        return self._with("delete-tree", _name("prefix", prefix) if prefix else "")

    # -- lock -------------------------------------------------------------------------------------

    def lock(self, key: str, session: str, value: bytes | str = b"", flags: int = 0) -> Transaction:
        """
        Lock a key for a session, and write its value (an empty one, where none is given).

        It fails when another session holds it, or held it until a moment ago (its lock-delay), and
        when the session does not exist.
        """
        return self._locking("lock", key, session, value, flags)

    def unlock(
        self, key: str, session: str, value: bytes | str = b"", flags: int = 0
    ) -> Transaction:
        """
        Unlock a key, and write its value (an empty one, where none is given).

        It fails unless this session holds it.
        """
        return self._locking("unlock", key, session, value, flags)

    def _locking(
        self, verb: str, key: str, session: str, value: bytes | str, flags: int
    ) -> Transaction:
        return self._with(
            *(verb, _name("key", key)),
            session=_name("session", session),
            value=as_bytes(value),
            flags=flags or None,
        )

    def _with(self, verb: str, key: str, **fields: Any) -> Transaction:
        about = KVOperation(key=key, **fields).to_wire()
        return self._add(Operation(kind="KV", verb=verb, about=about))


class NodeVerbs:
    """
    Operations on nodes of the catalog.

    A node is written as a whole: what is not given is not there afterwards. Its services and
    checks stay, unless the node is deleted.

    https://developer.hashicorp.com/consul/api-docs/txn#node-operations
    """

    def __init__(self, add: Add) -> None:
        self._add = add

    def get(self, node: str | None = None, *, node_id: str | None = None) -> Transaction:
        """Read a node by its name, or by its id. It fails where there is none."""
        if not node and not node_id:
            raise InvalidRequestError("name the node, or give its id")
        return self._with("get", node=node, id=node_id)

    def set(
        self,
        node: str,
        address: str,
        *,
        node_id: str | None = None,
        tagged_addresses: Mapping[str, str] | None = None,
        meta: Mapping[str, str] | None = None,
    ) -> Transaction:
        """Write a node. With the `node_id` of one that there is, that one gets this name."""
        return self._written("set", node, address, node_id, tagged_addresses, meta, None)

    def cas(
        self,
        node: str,
        address: str,
        index: int,
        *,
        node_id: str | None = None,
        tagged_addresses: Mapping[str, str] | None = None,
        meta: Mapping[str, str] | None = None,
    ) -> Transaction:
        """Write a node if its `modify_index` still is that number; 0: if there is none."""
        return self._written(
            "cas", node, address, node_id, tagged_addresses, meta, u64("index", index)
        )

    def delete(self, node: str) -> Transaction:
        """Delete a node, with its services and checks. It does not fail where there is none."""
        return self._with("delete", node=_name("node", node))

    def delete_cas(self, node: str, index: int) -> Transaction:
        """Delete a node if its `modify_index` still is that number; it fails where it is gone."""
        return self._with(
            "delete-cas", node=_name("node", node), modify_index=u64("index", index, least=1)
        )

    def _written(
        self,
        verb: str,
        node: str,
        address: str,
        node_id: str | None,
        tagged_addresses: Mapping[str, str] | None,
        meta: Mapping[str, str] | None,
        index: int | None,
    ) -> Transaction:
        return self._with(
            verb,
            node=_name("node", node),
            address=address,
            id=node_id,
            tagged_addresses=None if tagged_addresses is None else dict(tagged_addresses),
            meta=None if meta is None else dict(meta),
            modify_index=index,
        )

    def _with(self, verb: str, **fields: Any) -> Transaction:
        about = NodeOperation(**fields).to_wire()
        return self._add(Operation(kind="Node", verb=verb, about=about))


class ServiceVerbs:
    """
    Operations on services of the catalog: the instances of a node, each by its id.

    What Consul carries in a transaction is less than it knows of a service. The rest is refused
    here, since it would be dropped there, and goes by `c.catalog.register`.

    https://developer.hashicorp.com/consul/api-docs/txn#service-operations
    """

    def __init__(self, add: Add) -> None:
        self._add = add

    def get(self, node: str, service_id: str) -> Transaction:
        """Read an instance. It fails where there is none."""
        return self._with("get", node, {"ID": _name("service", service_id)})

    def set(self, node: str, service: CatalogServiceDefinition) -> Transaction:
        """Write an instance as a whole. It fails where there is no such node."""
        return self._with("set", node, service.to_wire())

    def cas(self, node: str, service: CatalogServiceDefinition, index: int) -> Transaction:
        """Write an instance if its `modify_index` still is that number; 0: if there is none."""
        return self._with("cas", node, service.to_wire(), u64("index", index))

    def delete(self, node: str, service: str, *, service_id: str | None = None) -> Transaction:
        """
        Delete an instance of a service. It does not fail where there is none.

        Consul wants the name of the service as well. It is the id too, where none is given.
        """
        return self._with("delete", node, _instance(service, service_id))

    def delete_cas(
        self, node: str, service: str, index: int, *, service_id: str | None = None
    ) -> Transaction:
        """Delete an instance if its `modify_index` still is that number; it fails when gone."""
        return self._with(
            "delete-cas", node, _instance(service, service_id), u64("index", index, least=1)
        )

    def _with(
        self, verb: str, node: str, about: dict[str, Any], index: int | None = None
    ) -> Transaction:
        needs = _needs("service", about, _OF_A_SERVICE)
        if index is not None:
            about["ModifyIndex"] = index
        return self._add(
            Operation(kind="Service", verb=verb, node=_name("node", node), about=about, needs=needs)
        )


class CheckVerbs:
    """
    Operations on health checks of the catalog.

    What Consul carries in a transaction is less than it knows of a check. The rest is refused
    here, since it would be dropped there, and goes by `c.catalog.register`.

    https://developer.hashicorp.com/consul/api-docs/txn#check-operations
    """

    def __init__(self, add: Add) -> None:
        self._add = add

    def get(self, node: str, check_id: str) -> Transaction:
        """Read a check. It fails where there is none."""
        return self._with("get", node, {"CheckID": _name("check", check_id)})

    def set(self, node: str, check: CatalogCheck) -> Transaction:
        """Write a check as a whole. It fails where there is no such node, or service."""
        return self._with("set", node, check.to_wire())

    def cas(self, node: str, check: CatalogCheck, index: int) -> Transaction:
        """Write a check if its `modify_index` still is that number; 0: if there is none."""
        return self._with("cas", node, check.to_wire(), u64("index", index))

    def delete(self, node: str, check_id: str) -> Transaction:
        """Delete a check. It does not fail where there is none."""
        return self._with("delete", node, {"CheckID": _name("check", check_id)})

    def delete_cas(self, node: str, check_id: str, index: int) -> Transaction:
        """Delete a check if its `modify_index` still is that number; it fails when it is gone."""
        about = {"CheckID": _name("check", check_id)}
        return self._with("delete-cas", node, about, u64("index", index, least=1))

    def _with(
        self, verb: str, node: str, about: dict[str, Any], index: int | None = None
    ) -> Transaction:
        about["Node"] = _name("node", node)
        needs = _needs("check", about, _OF_A_CHECK)
        if index is not None:
            about["ModifyIndex"] = index
        return self._add(Operation(kind="Check", verb=verb, about=about, needs=needs))


def _name(what: str, name: str) -> str:
    if not isinstance(name, str) or not name:
        raise InvalidRequestError(f"a {what} is text of one character or more")
    _utf8(what, name)
    return name


def _utf8(what: str, text: str) -> bytes:
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError:
        pass
    raise InvalidRequestError(f"the {what} has a lone surrogate, which UTF-8 cannot say")


def _instance(service: str, service_id: str | None) -> dict[str, Any]:
    name = _name("service", service)
    return {"Service": name, "ID": name if service_id is None else _name("service", service_id)}


def _needs(
    kind: str, about: Mapping[str, Any], carried: Mapping[str, str]
) -> tuple[tuple[str, str], ...]:
    """What of this older servers drop, and until when. What every server drops is refused."""
    paths: list[str] = []
    for name, value in about.items():
        inside = value if name in ("Proxy", "Definition") else None
        paths += [name] if inside is None else [f"{name}.{inner}" for inner in inside]
    for path in paths:
        if path not in carried:
            raise InvalidRequestError(
                f"a transaction carries no {path} of a {kind}, and Consul would not say so; "
                "c.catalog.register carries it"
            )
    return tuple((f"{path} of a {kind}", carried[path]) for path in paths if carried[path])


def _given(**place: str | None) -> dict[str, str]:
    return {name: value for name, value in place.items() if value is not None}


def _refuse_more(what: str, number: int, most: int) -> None:
    if number > most:
        raise InvalidRequestError(
            f"the transaction has {number} {what}, and servers take {most}; where yours takes "
            f"more, say begin(max_{what}=...)",
            operation="txn.commit",
        )
