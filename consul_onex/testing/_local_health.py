"""How the services of one agent are, as it knows itself: `/v1/agent/health/`."""

from __future__ import annotations

from typing import Any, Final

from ._definitions import as_kept, undated
from ._http import Answer, Asked, RefusedError, Router
from ._local import Local
from ._server import Server
from ._state import Row

__all__ = ["LocalHealth"]

_STATUS: Final = {"passing": 200, "warning": 429, "critical": 503, "maintenance": 503}
_BADNESS: Final = ("passing", "warning", "critical", "maintenance")


class LocalHealth:
    """`/v1/agent/health/service/`."""

    def __init__(self, server: Server, local: Local) -> None:
        self._server = server
        self._local = local

    def open(self, router: Router) -> None:
        router.add("GET", "/v1/agent/health/service/id/", self.by_id)
        router.add("GET", "/v1/agent/health/service/name/", self.by_name)

    async def by_id(self, asked: Asked) -> Answer:
        asked.refuse_namespaces()
        service_id = asked.after("/v1/agent/health/service/id/")
        if not service_id:
            raise RefusedError(500, "Bad request: Missing serviceID")
        rights = self._server.rights(asked)
        row = self._local.find(service_id)
        if row is None:
            said = f"ServiceId {service_id} not found"
            nothing = {"AggregatedStatus": "critical", "Service": None, "Checks": None}
            told: Any = said if _wants_text(asked) else nothing
            return Answer.json(told, {"X-Consul-Reason": said}, 404)
        rights.need("read", "service", row["Service"])
        status, checks = self._worst(row)
        if _wants_text(asked):
            return _in_text(status)
        told = {"AggregatedStatus": status, "Service": as_kept(row), "Checks": checks}
        return Answer.json(told, {"X-Consul-Reason": status}, _STATUS[status])

    async def by_name(self, asked: Asked) -> Answer:
        asked.refuse_namespaces()
        name = asked.after("/v1/agent/health/service/name/")
        if not name:
            raise RefusedError(500, "Bad request: Missing service Name")
        self._server.rights(asked).need("read", "service", name)
        rows = [row for row in self._local.registered() if row["Service"] == name]
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
            {"AggregatedStatus": status, "Service": as_kept(row), "Checks": checks}
            for row, status, checks in health
        ]
        return Answer.json(told, {"X-Consul-Reason": worst}, _STATUS[worst])

    def _worst(self, service: Row) -> tuple[str, list[Row]]:
        """How a service is, and the checks that say so: its own, and those of the node."""
        rows = [row for row in self._local.check_rows() if row["ServiceID"] in {"", service["ID"]}]
        statuses = {_status_of(row) for row in rows}
        return max(statuses, key=_BADNESS.index, default="passing"), [_in_health(r) for r in rows]


def _status_of(check: Row) -> str:
    is_maintenance = check["CheckID"].startswith(("_node_maintenance", "_service_maintenance:"))
    return "maintenance" if is_maintenance else str(check["Status"])


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
    return undated({**row, "ServiceTags": tags, "Type": "", "Definition": nothing})


def _wants_text(asked: Asked) -> bool:
    return asked.param("format") == "text" or (
        asked.headers.get("accept", "").startswith("text/plain")
    )


def _in_text(said: str, status: int | None = None) -> Answer:
    headers = {"Content-Type": "text/plain", "X-Consul-Reason": said}
    return Answer(status or _STATUS[said], said.encode(), headers)
