"""Who leads, and who may."""

from __future__ import annotations

from tests.walk.case import Case

CASES = [
    Case(
        "status.leader",
        lambda c: c.status.leader(),
        "GET /v1/status/leader",
        answer="10.0.0.1:8300",
        result="10.0.0.1:8300",
        local=True,
    ),
    Case(
        "status.leader",
        lambda c: c.status.leader(),
        "GET /v1/status/leader",
        answer="",
        result=None,
        local=True,
    ),
    Case(
        "status.peers",
        lambda c: c.status.peers(),
        "GET /v1/status/peers",
        answer=["10.0.0.1:8300", "10.0.0.2:8300"],
        result=["10.0.0.1:8300", "10.0.0.2:8300"],
        local=True,
    ),
]
