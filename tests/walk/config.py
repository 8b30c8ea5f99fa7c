"""Configuration entries."""

from __future__ import annotations

from consul_onex import Safety
from consul_onex.models.config import (
    OtherConfigEntry,
    ProxyDefaults,
    ServiceDefaults,
    ServiceResolver,
    Subset,
)
from consul_onex.models.service import Expose, MeshGateway
from tests.walk.case import Case

READ = "dc consistency ns partition"
WRITE = "dc ns partition"

DEFAULTS = {
    "Kind": "service-defaults",
    "Name": "web",
    "Protocol": "http",
    "MeshGateway": {},
    "Expose": {},
    "Meta": {"team": "a"},
    "CreateIndex": 15,
    "ModifyIndex": 35,
}
ENTRY = ServiceDefaults(
    name="web",
    protocol="http",
    mesh_gateway=MeshGateway(),
    expose=Expose(),
    meta={"team": "a"},
    create_index=15,
    modify_index=35,
)

CASES = [
    Case(
        "config.put",
        lambda c: c.config.put(ENTRY),
        "PUT /v1/config",
        takes=WRITE,
        body={
            "Kind": "service-defaults",
            "Name": "web",
            "Protocol": "http",
            "MeshGateway": {},
            "Expose": {},
            "Meta": {"team": "a"},
        },
        answer=True,
        result=True,
        safety=Safety.IDEMPOTENT,
    ),
    Case(
        "config.put",
        lambda c: c.config.put(
            ServiceResolver(name="web", subsets={"v1": Subset(filter="x")}, connect_timeout=1.5),
            cas=0,
        ),
        "PUT /v1/config?cas=0",
        takes=WRITE,
        body={
            "Kind": "service-resolver",
            "Name": "web",
            "Subsets": {"v1": {"Filter": "x"}},
            "ConnectTimeout": "1500ms",
        },
        answer=False,
        result=False,
    ),
    Case(
        "config.put",
        lambda c: c.config.put(ProxyDefaults(), cas=2**64 - 1),
        "PUT /v1/config?cas=18446744073709551615",
        takes=WRITE,
        body={"Kind": "proxy-defaults", "Name": "global"},
        answer=True,
        result=True,
    ),
    Case(
        "config.get",
        lambda c: c.config.get("service-defaults", "a/b ?"),
        "GET /v1/config/service-defaults/a%2Fb%20%3F",
        takes=READ,
        answer=DEFAULTS,
        result=ENTRY,
    ),
    Case(
        "config.get",
        lambda c: c.config.get("service-defaults", "nobody"),
        "GET /v1/config/service-defaults/nobody",
        takes=READ,
        status=404,
        answer=b'Config entry not found for "service-defaults" / "nobody"',
        result=None,
    ),
    Case(
        "config.get",
        lambda c: c.config.get("new-kind", "a"),
        "GET /v1/config/new-kind/a",
        takes=READ,
        answer={"Kind": "new-kind", "Name": "a", "Rules": [{"X": None}], "ModifyIndex": 7},
        result=OtherConfigEntry(
            kind="new-kind", name="a", fields={"Rules": [{"X": None}]}, modify_index=7
        ),
    ),
    Case(
        "config.list",
        lambda c: c.config.list("service-defaults", filter='Protocol == "http"'),
        "GET /v1/config/service-defaults?filter=Protocol%20%3D%3D%20%22http%22",
        takes=READ,
        answer=[DEFAULTS, {"Kind": "new kind", "Name": "b"}],
        result=[ENTRY, OtherConfigEntry(kind="new kind", name="b")],
    ),
    Case(
        "config.list",
        lambda c: c.config.list("mesh"),
        "GET /v1/config/mesh",
        takes=READ,
        answer=None,
        result=[],
    ),
    Case(
        "config.delete",
        lambda c: c.config.delete("service-defaults", "a/b ?"),
        "DELETE /v1/config/service-defaults/a%2Fb%20%3F",
        takes=WRITE,
        answer={},
        result=True,
        safety=Safety.IDEMPOTENT,
    ),
    Case(
        "config.delete",
        lambda c: c.config.delete("service-defaults", "web", cas=35),
        "DELETE /v1/config/service-defaults/web?cas=35",
        takes=WRITE,
        answer=False,
        result=False,
    ),
]
