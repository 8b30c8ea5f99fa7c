"""Network coordinates."""

from __future__ import annotations

from consul_onex import Safety
from consul_onex.models.coordinate import Coordinate, CoordinateDatacenter, CoordinateEntry
from tests.walk.case import EMPTY, Case

READ = "dc consistency partition"

COORD = {"Adjustment": 0.1, "Error": 1.5, "Height": 1e-05, "Vec": [0, 0, 0, 0, 0, 0, 0.5, 1]}
ROW = {"Node": "agent-one", "Segment": "alpha", "Coord": COORD, "Partition": "part"}
ENTRY = CoordinateEntry(
    node="agent-one",
    segment="alpha",
    coord=Coordinate(
        vec=[0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.5, 1.0], error=1.5, adjustment=0.1, height=1e-05
    ),
    partition="part",
)

CASES = [
    Case(
        "coordinate.datacenters",
        lambda c: c.coordinate.datacenters(),
        "GET /v1/coordinate/datacenters",
        answer=[{"Datacenter": "dc1", "AreaID": "wan", "Coordinates": [ROW]}],
        result=[CoordinateDatacenter(datacenter="dc1", area_id="wan", coordinates=[ENTRY])],
    ),
    Case(
        "coordinate.nodes",
        lambda c: c.coordinate.nodes(),
        "GET /v1/coordinate/nodes",
        takes=READ,
        answer=[ROW],
        result=[ENTRY],
    ),
    Case(
        "coordinate.nodes",
        lambda c: c.coordinate.nodes(segment="_all"),
        "GET /v1/coordinate/nodes?segment=_all",
        takes=READ,
        answer=None,
        result=[],
    ),
    Case(
        "coordinate.node",
        lambda c: c.coordinate.node("a/b ?", segment=""),
        "GET /v1/coordinate/node/a%2Fb%20%3F?segment=",
        takes=READ,
        answer=[ROW],
        result=[ENTRY],
    ),
    Case(
        "coordinate.node",
        lambda c: c.coordinate.node("agent-one"),
        "GET /v1/coordinate/node/agent-one",
        takes=READ,
        status=404,
        answer=EMPTY,
        result=[],
    ),
    Case(
        "coordinate.update",
        lambda c: c.coordinate.update(ENTRY),
        "PUT /v1/coordinate/update",
        takes="dc partition",
        body=ROW,
        answer=EMPTY,
        result=None,
        safety=Safety.IDEMPOTENT,
    ),
]
