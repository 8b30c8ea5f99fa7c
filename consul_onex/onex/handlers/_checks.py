"""A health check as payloads have it: in Consul's own words, or in those of `Check`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from pydantic import ValidationError

from ... import Check, InvalidRequestError

__all__ = ["check_of"]


def _plain(name: str) -> str:
    # Consul does not care for case here, nor for underscores.
    return name.replace("_", "").lower()


_NAMES: Final = {
    _plain(said): str(field.serialization_alias)
    for name, field in Check.model_fields.items()
    for said in (name, str(field.serialization_alias))
} | {"scriptargs": "Args"}

_POLLED: Final = {"HTTP", "TCP", "UDP", "GRPC", "H2PING", "Args", "OSService"}


def check_of(check: Mapping[str, Any], interval: float) -> Check:
    """
    The check; one that Consul has to run, and says no interval, has this one (seconds).

    InvalidRequestError for a word that no check has, and for a value that it cannot have.
    """
    said: dict[str, Any] = {}
    for name, value in check.items():
        if _plain(name) not in _NAMES:
            raise InvalidRequestError(f"a check has no field {name[:40]!r}")
        said[_NAMES[_plain(name)]] = value
    if not said.keys().isdisjoint(_POLLED):
        said.setdefault("Interval", f"{round(interval * 1000)}ms")
    try:
        read = Check.model_validate_json(json.dumps(said))
        # Once more as if it was made here, which is looked at more closely.
        return read.replace()
    except (TypeError, ValidationError):
        pass
    # Raised out here: the other error quotes what was given.
    raise InvalidRequestError("a field of the check has a value that it cannot have")
