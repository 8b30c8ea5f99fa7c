"""What can be asked about nodes, services and checks: `/v1/catalog/` and `/v1/health/`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, Final, TypeAlias

from . import _catalog
from ._definitions import PROBES, SERVICE, check_definition, check_row, check_type, service_row
from ._filter import FLAG, LIST, NUMBER, TEXT, Each, Fields, FilterError, compiled
from ._go import GoError
from ._http import Answer, Asked, RefusedError, Router, options_of
from ._rights import EVERYTHING, Rights
from ._server import NO_META, Server
from ._shape import BOOL, STRING, UINT, list_of, map_of, struct
from ._state import Row, State, key_of
from ._tree import Watch

__all__ = ["AGENT_CHECK_FIELDS", "AGENT_SERVICE_FIELDS", "Catalog", "Health", "filtered", "shown"]

# -- what can be filtered by -----------------------------------------------------------------------

_NAMED_TEXTS: Final = Each(TEXT, by_name=True)
_NAMED_ADDRESSES: Final = Each({"Address": TEXT, "Port": NUMBER}, by_name=True)
_WEIGHTS: Final[Fields] = {"Passing": NUMBER, "Warning": NUMBER}

_NODE: Final[Fields] = {
    "ID": TEXT,
    "Node": TEXT,
    "Address": TEXT,
    "Datacenter": TEXT,
    "TaggedAddresses": _NAMED_TEXTS,
    "Meta": _NAMED_TEXTS,
}
AGENT_SERVICE_FIELDS: Final[Fields] = {
    "Kind": TEXT,
    "ID": TEXT,
    "Service": TEXT,
    "Tags": LIST,
    "Meta": _NAMED_TEXTS,
    "Port": NUMBER,
    "Address": TEXT,
    "TaggedAddresses": _NAMED_ADDRESSES,
    "Weights": _WEIGHTS,
    "EnableTagOverride": FLAG,
    "Connect": {"Native": FLAG},
}
_CATALOG_SERVICE: Final[Fields] = {
    **{name: kind for name, kind in _NODE.items() if name != "Meta"},
    "NodeMeta": _NAMED_TEXTS,
    "ServiceKind": TEXT,
    "ServiceID": TEXT,
    "ServiceName": TEXT,
    "ServiceTags": LIST,
    "ServiceAddress": TEXT,
    "ServiceTaggedAddresses": _NAMED_ADDRESSES,
    "ServiceWeights": _WEIGHTS,
    "ServiceMeta": _NAMED_TEXTS,
    "ServicePort": NUMBER,
    "ServiceEnableTagOverride": FLAG,
    "ServiceConnect": {"Native": FLAG},
}
AGENT_CHECK_FIELDS: Final[Fields] = {
    "Node": TEXT,
    "CheckID": TEXT,
    "Name": TEXT,
    "Status": TEXT,
    "Notes": TEXT,
    "Output": TEXT,
    "ServiceID": TEXT,
    "ServiceName": TEXT,
    "ServiceTags": LIST,
    "Type": TEXT,
}
_ENTRY: Final[Fields] = {
    "Node": _NODE,
    "Service": AGENT_SERVICE_FIELDS,
    "Checks": Each(AGENT_CHECK_FIELDS),
}


def filtered(
    asked: Asked, fields: Fields, headers: dict[str, str] | None = None
) -> Callable[[Iterable[Row]], list[Row]]:
    """What keeps of some rows those that the expression in the request is true for."""
    try:
        chosen = compiled(asked.param("filter"), fields)
    except FilterError as error:
        raise RefusedError(500, str(error), headers) from None
    return lambda rows: [row for row in rows if chosen(row)]


# -- rows ------------------------------------------------------------------------------------------


def shown(service: Row) -> Row:
    """A service without its node, which is told beside it."""
    return {name: value for name, value in service.items() if name != "Node"}


def _catalog_row(node: Row, service: Row) -> Row:
    addresses = service.get("TaggedAddresses")
    return {
        **{name: node[name] for name in ("ID", "Node", "Address", "Datacenter", "TaggedAddresses")},
        "NodeMeta": node["Meta"],
        "ServiceKind": "",
        "ServiceID": service["ID"],
        "ServiceName": service["Service"],
        "ServiceTags": service["Tags"],
        "ServiceAddress": service["Address"],
        **({"ServiceTaggedAddresses": addresses} if addresses else {}),
        "ServiceWeights": service["Weights"],
        "ServiceMeta": service["Meta"] or {},
        "ServicePort": service["Port"],
        "ServiceEnableTagOverride": service["EnableTagOverride"],
        "ServiceProxy": service["Proxy"],
        "ServiceConnect": service["Connect"],
        "CreateIndex": service["CreateIndex"],
        "ModifyIndex": service["ModifyIndex"],
    }


_Look: TypeAlias = Callable[[Watch, Rights], "tuple[int, Any]"]


def _may_see(rights: Rights, node: str, service: str) -> bool:
    """Whether who has these rights hears of a service, or, where it is "", of a node."""
    return rights.may("read", "node", node) and (
        not service or rights.may("read", "service", service)
    )


class _Reads:
    """What the two areas have in common."""

    def __init__(self, server: Server) -> None:
        self._server = server

    @property
    def _state(self) -> State:
        return self._server.state

    async def _read(self, asked: Asked, look: _Look, *, mesh: str = "") -> Answer:
        """
        What is found, by somebody with these rights.

        Who may not read the service that he asks for in the mesh is not even told when.
        """
        options = options_of(asked)
        try:
            meta, found = await self._server.read(
                options, lambda watch: look(watch, self._server.rights(asked))
            )
        except RefusedError as error:
            error.answer.headers.update(NO_META)
            raise
        if mesh and not self._server.rights(asked).may("read", "service", mesh):
            meta = NO_META
        return Answer.json(found, {"X-Consul-Effective-Consistency": options.effective, **meta})

    def _named(self, asked: Asked, prefix: str, what: str) -> str:
        asked.refuse_namespaces()
        name = asked.after(prefix)
        if not name:
            raise RefusedError(400, f"Missing {what}")
        return name

    def _by_meta(self, asked: Asked) -> Callable[[str], bool]:
        """Whether a node has the metadata that was asked for."""
        pairs = [one.partition(":")[::2] for one in asked.params.get("node-meta", ())]

        def chosen(node: str) -> bool:
            row = self._node(node)
            meta = (row["Meta"] if row is not None else None) or {}
            return all(meta.get(key) == value for key, value in pairs)

        return chosen if pairs else lambda node: True

    def _node(self, name: str) -> Row | None:
        return self._state.nodes.get(key_of(name.lower()))

    def _instances(
        self,
        asked: Asked,
        name: str,
        watch: Watch,
        rights: Rights,
        *,
        checks: bool,
        mesh: bool = False,
    ) -> tuple[int, list[tuple[Row, Row]]]:
        """
        The instances of a service with their nodes, and the index of the service.

        A service that is there has an index of its own, and only that is waited for. One that is
        not has the index of the last service that went, and hears of its neighbours.
        """
        state = self._state
        rows = [
            row
            for row in _catalog.instances(state, name)
            if not mesh or row["Connect"].get("Native", False)
        ]
        if rows:
            index = state.touched(_catalog.service_index(name), watch=watch)
        else:
            state.services_by_name.items(key_of(name.lower()), watch)
            tables = ("nodes", "services", *(("checks",) if checks else ()))
            index = state.touched("service_last_extinction") or state.touched(*tables)
        tags = {tag.lower() for tag in asked.params.get("tag", ())}
        chosen = self._by_meta(asked)
        found = []
        for row in rows:
            node = self._node(row["Node"])
            tagged = tags <= {tag.lower() for tag in row["Tags"]}
            seen = _may_see(rights, row["Node"], row["Service"])
            if node is not None and seen and tagged and chosen(row["Node"]):
                found.append((node, row))
        return index, found


class Catalog(_Reads):
    """`/v1/catalog/`."""

    def open(self, router: Router) -> None:
        router.add("GET", "/v1/catalog/datacenters", self.datacenters)
        router.add("GET", "/v1/catalog/nodes", self.nodes)
        router.add("GET", "/v1/catalog/services", self.services)
        router.add("GET", "/v1/catalog/service/", self.service)
        router.add("GET", "/v1/catalog/connect/", self.connect)
        router.add("GET", "/v1/catalog/node/", self.node)
        router.add("GET", "/v1/catalog/node-services/", self.node_services)
        router.add("GET", "/v1/catalog/gateway-services/", self.gateway_services)
        router.add("PUT", "/v1/catalog/register", self.register)
        router.add("PUT", "/v1/catalog/deregister", self.deregister)

    async def datacenters(self, asked: Asked) -> Answer:
        # The nearest come first, which is the own one.
        own = self._server.datacenter
        return Answer.json([own, *sorted(set(self._server.known) - {own})])

    async def nodes(self, asked: Asked) -> Answer:
        chosen, by_meta = filtered(asked, _NODE, NO_META), self._by_meta(asked)

        def look(watch: Watch, rights: Rights) -> tuple[int, list[Row]]:
            rows = list(self._state.nodes.items(b"", watch))
            seen = [row for row in rows if _may_see(rights, row["Node"], "")]
            index = self._state.touched("nodes")
            return index, chosen(row for row in seen if by_meta(row["Node"]))

        return await self._read(asked, look)

    async def services(self, asked: Asked) -> Answer:
        asked.refuse_namespaces()
        by_meta = self._by_meta(asked)

        def look(watch: Watch, rights: Rights) -> tuple[int, dict[str, list[str]]]:
            tags: dict[str, dict[str, None]] = {}
            for row in self._state.services.items(b"", watch):
                if by_meta(row["Node"]) and rights.may("read", "service", row["Service"]):
                    tags.setdefault(row["Service"], {}).update(dict.fromkeys(row["Tags"]))
            index = self._state.touched("services")
            return index, {name: list(tags[name]) for name in sorted(tags)}

        return await self._read(asked, look)

    async def service(self, asked: Asked) -> Answer:
        return await self._service(asked, "/v1/catalog/service/", mesh=False)

    async def connect(self, asked: Asked) -> Answer:
        return await self._service(asked, "/v1/catalog/connect/", mesh=True)

    async def _service(self, asked: Asked, prefix: str, *, mesh: bool) -> Answer:
        name = self._named(asked, prefix, "service name")
        chosen = filtered(asked, _CATALOG_SERVICE, NO_META)

        def look(watch: Watch, rights: Rights) -> tuple[int, list[Row]]:
            index, found = self._instances(asked, name, watch, rights, checks=False, mesh=mesh)
            return index, chosen(_catalog_row(node, row) for node, row in found)

        return await self._read(asked, look, mesh=name if mesh else "")

    async def node(self, asked: Asked) -> Answer:
        name = self._named(asked, "/v1/catalog/node/", "node name")

        def told(node: Row, rows: list[Row]) -> Any:
            return {"Node": node, "Services": {row["ID"]: row for row in rows}}

        return await self._services_on(asked, name, told, None)

    async def node_services(self, asked: Asked) -> Answer:
        name = self._named(asked, "/v1/catalog/node-services/", "node name")

        def told(node: Row, rows: list[Row]) -> Any:
            return {"Node": node, "Services": rows}

        return await self._services_on(asked, name, told, {"Node": None, "Services": None})

    async def gateway_services(self, asked: Asked) -> Answer:
        # There are no gateways.
        name = self._named(asked, "/v1/catalog/gateway-services/", "gateway name")

        def look(watch: Watch, rights: Rights) -> tuple[int, list[Row] | None]:
            rights.need("read", "service", name)
            return 0, None if rights is EVERYTHING else []

        return await self._read(asked, look)

    async def _services_on(
        self, asked: Asked, name: str, told: Callable[[Row, list[Row]], Any], nothing: Any
    ) -> Answer:
        chosen = filtered(asked, AGENT_SERVICE_FIELDS, NO_META)

        def look(watch: Watch, rights: Rights) -> tuple[int, Any]:
            node = self._state.nodes.get(key_of(name.lower()), watch)
            if node is None:
                return 0, nothing
            rows = [
                shown(row)
                for row in self._state.services.items(key_of(name.lower()), watch)
                if rights.may("read", "service", row["Service"])
            ]
            seen = _may_see(rights, node["Node"], "")
            index = self._state.touched("nodes", "services")
            return index, told(node, chosen(rows)) if seen else nothing

        return await self._read(asked, look)

    async def register(self, asked: Asked) -> Answer:
        asked.refuse_namespaces()
        sent = asked.parsed(_REGISTRATION) or {}
        name = sent.get("Node", "")
        await self._ready(asked, sent)
        rights = self._server.rights(asked)
        try:
            if not name:
                raise GoError("Must provide node")
            if not sent.get("Address") and not sent.get("SkipNodeUpdate"):
                raise GoError("Must provide address if SkipNodeUpdate is not set")
            _catalog.check_node_id(sent.get("ID", ""))
            service = self._service_of(sent.get("Service"))
            checks = [_check_of(one, name) for one in _checks_of(sent)]
            known = self._node(name)
            skip = sent.get("SkipNodeUpdate") and known is not None
            node = None if skip else self._node_of(sent)
            _catalog.need_registration(self._state, rights, name, node, service, checks)
            self._state.next()
            _catalog.register(self._state, name, node, service, checks)
        except GoError as error:
            raise RefusedError(500, str(error)) from None
        return Answer.json(True)

    async def deregister(self, asked: Asked) -> Answer:
        asked.refuse_namespaces()
        sent = asked.parsed(_DEREGISTRATION) or {}
        if not sent.get("Node"):
            raise RefusedError(500, "Must provide node")
        await self._ready(asked, sent)
        rights = self._server.rights(asked)
        service, check = sent.get("ServiceID", ""), sent.get("CheckID", "")
        try:
            _catalog.need_deregistration(self._state, rights, sent["Node"], service, check)
        except GoError as error:
            raise RefusedError(500, str(error)) from None
        self._state.next()
        _catalog.deregister(self._state, sent["Node"], service, check)
        return Answer.json(True)

    async def _ready(self, asked: Asked, sent: Row) -> None:
        """Wait for the leader of the datacenter that is named, in the body or else outside."""
        where = sent.get("Datacenter") or asked.param("dc")
        await self._server.ready(replace(options_of(asked), datacenter=where))

    def _node_of(self, sent: Row) -> Row:
        return {
            "ID": sent.get("ID", ""),
            "Node": sent["Node"],
            "Address": sent.get("Address", ""),
            "Datacenter": self._server.datacenter,
            "TaggedAddresses": sent.get("TaggedAddresses") or None,
            "Meta": sent.get("NodeMeta") or None,
        }

    def _service_of(self, sent: Row | None) -> Row | None:
        if sent is None:
            return None
        if sent.get("ID") and not sent.get("Service"):
            raise GoError("Must provide service name with ID")
        _catalog.check_address(sent.get("Address", ""))
        return service_row(sent, sent.get("Service", ""))


_CATALOG_CHECK: Final = struct(
    "HealthCheck",
    {
        **{name: STRING for name in AGENT_CHECK_FIELDS if name not in {"ServiceTags", "Type"}},
        "ServiceTags": list_of(STRING, "[]string"),
        "Definition": struct("HealthCheckDefinition", PROBES, strict=False),
        "CreateIndex": UINT,
        "ModifyIndex": UINT,
    },
    wanted="structs.HealthCheck",
)
_REGISTRATION: Final = struct(
    "RegisterRequest",
    {
        "Datacenter": STRING,
        "ID": STRING,
        "Node": STRING,
        "Address": STRING,
        "TaggedAddresses": map_of(STRING, "map[string]string"),
        "NodeMeta": map_of(STRING, "map[string]string"),
        "SkipNodeUpdate": BOOL,
        "Service": struct(
            "NodeService",
            {
                **{name: shape for name, shape in SERVICE.items() if name != "Name"},
                "Service": STRING,
                "CreateIndex": UINT,
                "ModifyIndex": UINT,
            },
            wanted="structs.NodeService",
        ),
        "Check": _CATALOG_CHECK,
        "Checks": list_of(_CATALOG_CHECK, "structs.HealthChecks"),
    },
)
_DEREGISTRATION: Final = struct(
    "DeregisterRequest",
    {"Datacenter": STRING, "Node": STRING, "ServiceID": STRING, "CheckID": STRING},
)


def _checks_of(sent: Row) -> list[Row]:
    single = sent.get("Check")
    return [one for one in [*(sent.get("Checks") or []), single] if one is not None]


def _check_of(sent: Row, node: str) -> Row:
    definition = sent.get("Definition") or {}
    return check_row(
        sent.get("Node") or node,
        sent.get("CheckID") or sent.get("Name", ""),
        Name=sent.get("Name", ""),
        Status=sent.get("Status") or "critical",
        Notes=sent.get("Notes", ""),
        Output=sent.get("Output", ""),
        ServiceID=sent.get("ServiceID", ""),
        # The servers know no gRPC here, though they keep what is said of it.
        Type=check_type({**definition, "GRPC": ""}),
        Definition=check_definition(definition),
    )


class Health(_Reads):
    """`/v1/health/`."""

    def open(self, router: Router) -> None:
        router.add("GET", "/v1/health/service/", self.service)
        router.add("GET", "/v1/health/connect/", self.connect)
        router.add("GET", "/v1/health/ingress/", self.ingress)
        router.add("GET", "/v1/health/checks/", self.checks)
        router.add("GET", "/v1/health/node/", self.node)
        router.add("GET", "/v1/health/state/", self.state)

    async def service(self, asked: Asked) -> Answer:
        return await self._service(asked, "/v1/health/service/", mesh=False)

    async def connect(self, asked: Asked) -> Answer:
        return await self._service(asked, "/v1/health/connect/", mesh=True)

    async def _service(self, asked: Asked, prefix: str, *, mesh: bool) -> Answer:
        name = self._named(asked, prefix, "service name")
        passing = "passing" in asked.params and asked.param("passing").lower() not in _FALSE
        if passing and asked.param("passing").lower() not in _TRUE:
            raise RefusedError(400, "Invalid value for ?passing")
        chosen = filtered(asked, _ENTRY, NO_META)

        def look(watch: Watch, rights: Rights) -> tuple[int, list[Row]]:
            index, found = self._instances(asked, name, watch, rights, checks=True, mesh=mesh)
            entries = chosen(self._entry(node, row) for node, row in found)
            return index, _passing(entries) if passing else entries

        return await self._read(asked, look, mesh=name if mesh else "")

    def _entry(self, node: Row, service: Row) -> Row:
        """An instance, with the checks of its node before its own."""
        checks = [
            check
            for whose in ("", service["ID"])
            for check in _catalog.checks_of(self._state, node["Node"], whose)
        ]
        return {"Node": node, "Service": shown(service), "Checks": checks}

    async def ingress(self, asked: Asked) -> Answer:
        # There are no gateways.
        name = self._named(asked, "/v1/health/ingress/", "service name")
        filtered(asked, _ENTRY, NO_META)
        return await self._read(asked, lambda watch, rights: (0, []), mesh=name)

    async def checks(self, asked: Asked) -> Answer:
        name = self._named(asked, "/v1/health/checks/", "service name")
        return await self._checks(
            asked, lambda w: self._state.checks_by_service.items(key_of(name.lower()), w)
        )

    async def node(self, asked: Asked) -> Answer:
        name = self._named(asked, "/v1/health/node/", "node name")
        return await self._checks(
            asked, lambda w: self._state.checks.items(key_of(name.lower()), w)
        )

    async def state(self, asked: Asked) -> Answer:
        status = self._named(asked, "/v1/health/state/", "check state").lower()
        if status == "any":
            return await self._checks(asked, lambda w: self._state.checks.items(b"", w))
        return await self._checks(
            asked, lambda w: self._state.checks_by_status.items(key_of(status), w)
        )

    async def _checks(self, asked: Asked, rows: Callable[[Watch], Iterable[Row]]) -> Answer:
        chosen, by_meta = filtered(asked, AGENT_CHECK_FIELDS, NO_META), self._by_meta(asked)

        def look(watch: Watch, rights: Rights) -> tuple[int, list[Row]]:
            found = [
                row
                for row in rows(watch)
                if by_meta(row["Node"]) and _may_see(rights, row["Node"], row["ServiceName"])
            ]
            return self._state.touched("checks"), chosen(found)

        return await self._read(asked, look)


_TRUE: Final = {"", "1", "t", "true"}
_FALSE: Final = {"0", "f", "false"}


def _passing(entries: list[Row]) -> list[Row]:
    """Those all of whose checks pass. The last one takes the place of one that goes."""
    kept, at = list(entries), 0
    while at < len(kept):
        if all(check["Status"] == "passing" for check in kept[at]["Checks"]):
            at += 1
        else:
            last = kept.pop()
            if at < len(kept):
                kept[at] = last
    return kept
