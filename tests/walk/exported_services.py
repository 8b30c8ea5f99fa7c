"""What other clusters and partitions may use."""

from __future__ import annotations

from consul_onex.models.exported_services import Consumers, ResolvedExportedService
from tests.walk.case import Case

CASES = [
    Case(
        "exported_services.list",
        lambda c: c.exported_services.list(),
        "GET /v1/exported-services",
        takes="partition",
        answer=[
            {"Service": "frontend", "Consumers": {"Peers": ["east", "west"]}},
            {
                "Service": "db",
                "Partition": "default",
                "Namespace": "billing",
                "Consumers": {"Partitions": ["part1"]},
            },
        ],
        result=[
            ResolvedExportedService(
                service="frontend", consumers=Consumers(peers=["east", "west"])
            ),
            ResolvedExportedService(
                service="db",
                partition="default",
                namespace="billing",
                consumers=Consumers(partitions=["part1"]),
            ),
        ],
    ),
    Case(
        "exported_services.list",
        lambda c: c.exported_services.list(),
        "GET /v1/exported-services",
        takes="partition",
        answer=None,
        result=[],
    ),
]
