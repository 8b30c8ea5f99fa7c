"""A pytest plugin that puts httpx2, where httpx lives on, in httpx's place: see `make httpx2`."""

from __future__ import annotations

import httpx2  # pyright: ignore[reportMissingImports]

httpx2.alias_httpx()
