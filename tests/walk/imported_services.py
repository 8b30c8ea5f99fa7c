"""What is used of other clusters and partitions."""

from __future__ import annotations

from consul_onex.models.exported_services import ImportedService
from tests.walk.case import Case

ROWS = [
    {"Service": "web", "SourcePeer": "east"},
    {
        "Service": "db",
        "Partition": "part1",
        "Namespace": "billing",
        "SourcePartition": "default",
    },
]
SERVICES = [
    ImportedService(service="web", source_peer="east"),
    ImportedService(
        service="db", partition="part1", namespace="billing", source_partition="default"
    ),
]

CASES = [
    Case(
        "imported_services.list",
        lambda c: c.imported_services.list(),
        "GET /v1/imported-services",
        takes="partition",
        answer=ROWS,
        result=SERVICES,
    ),
    Case(
        "imported_services.list",
        lambda c: c.imported_services.list(),
        "GET /v1/imported-services",
        takes="partition",
        answer={"Partition": "default", "ImportedServices": ROWS},
        result=SERVICES,
    ),
    Case(
        "imported_services.list",
        lambda c: c.imported_services.list(),
        "GET /v1/imported-services",
        takes="partition",
        answer={"Partition": "default", "ImportedServices": None},
        result=[],
    ),
]
