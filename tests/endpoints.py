"""`make endpoints`: write docs/endpoints.md from what the docstrings say."""

from __future__ import annotations

import inspect
from itertools import groupby
from pathlib import Path
from typing import Final

import httpx

from consul_onex import ConsulClient
from tests.support.endpoints import Endpoint, endpoints

__all__ = ["PAGE", "page"]

PAGE: Final = Path(__file__).parent.parent / "docs" / "endpoints.md"

_INTRODUCTION: Final = """\
# Endpoints

Every endpoint of Consul's HTTP API, and the method that calls it. Not here: what is deprecated or
removed (the old ACL system), and what only Consul's own parts use. `c.request` asks any of those.

*since* is the first Consul that has it, and 1.8 stands for that or an earlier one. A server that
does not have it is an `UnsupportedEndpointError`. *tested on*: a real 1.8.7, or the examples of
Consul's documentation where 1.8.7 does not have it, or only Consul Enterprise does.

Written by `make endpoints` from the docstrings.
"""


def page() -> str:
    """The whole page."""
    client = ConsulClient(transport=httpx.MockTransport(lambda _: httpx.Response(200)))
    parts = [_INTRODUCTION]
    known = sorted(endpoints(), key=lambda endpoint: endpoint.name.partition(".")[0])
    for part, rows in groupby(known, lambda endpoint: endpoint.name.partition(".")[0]):
        about = (inspect.getdoc(getattr(client, part)) or "").partition("\n")[0]
        parts.append(
            f"## c.{part}\n\n{about}\n\n"
            "| endpoint | method | since | tested on |\n|---|---|---|---|\n"
            + "\n".join(_row(row) for row in rows)
            + "\n"
        )
    return "\n".join(parts)


def _row(endpoint: Endpoint) -> str:
    since = endpoint.since or "1.8"
    if endpoint.enterprise:
        since += " Enterprise"
    tested = "real 1.8.7" if endpoint.in_1_8 else "documentation"
    return f"| `{endpoint.method} {endpoint.path}` | `c.{endpoint.name}` | {since} | {tested} |"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
