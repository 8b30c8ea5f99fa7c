"""Put httpx2, where httpx lives on, in httpx's place: `python -m pytest -p tests.support.alias_httpx`."""

from __future__ import annotations

import httpx2  # pyright: ignore[reportMissingImports]

httpx2.alias_httpx()
