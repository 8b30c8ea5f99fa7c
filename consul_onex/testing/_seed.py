"""Keys and services from plain data."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeAlias, TypedDict

from . import _kv
from ._go import GoError
from ._http import RefusedError
from ._local import Local
from ._registration import Registration
from ._state import Pair, State

__all__ = ["Instance", "Seed", "sow"]

Instance: TypeAlias = Mapping[str, Any]
"""
One instance of a service: what an agent is told to register it, in names of upper or lower case
(`id`, `address`, `port`, `tags`, `meta` ...). Without an `id` it has the name of its service.

With a `status`, "passing", "warning" or "critical", it has a check of that status, which is called
as Consul would (`service:web`), hears of `check_pass`, `check_warn` and `check_fail`, and never
expires.
"""


class Seed(TypedDict, total=False):
    """Keys with their values, and services with their instances, or their only one."""

    kv: Mapping[str, str | bytes]
    services: Mapping[str, Instance | Sequence[Instance]]


def sow(seed: Seed, state: State, local: Local) -> None:
    """Write the keys, and register the services with the agent: all, or, where it raises, none."""
    parts = ", ".join(Seed.__annotations__)
    with _at("seed"):
        for part in _entries(seed):
            if part not in Seed.__annotations__:
                raise ValueError(f"there is no {part!r} in it, but {parts}")
    pairs = _pairs(seed.get("kv", {}))
    registrations = _registrations(seed.get("services", {}), local)
    for pair in pairs:
        state.next()
        _kv.put(state, pair)
    for registration in registrations:
        local.add(registration)


@contextmanager
def _at(place: str) -> Iterator[None]:
    """Say where something is wrong."""
    try:
        yield
    except (GoError, ValueError) as error:
        said = str(error)
    except RefusedError as refusal:
        said = refusal.answer.body.decode()
    else:
        return
    raise ValueError(f"{place}: {said}")


def _entries(given: Any) -> Mapping[str, Any]:
    if not isinstance(given, Mapping):
        raise ValueError(f"this is a mapping from names, not {given!r}")
    for name in given:
        if not isinstance(name, str) or not name:
            raise ValueError(f"a name is a text with something in it, not {name!r}")
    return given


# -- keys ------------------------------------------------------------------------------------------


def _pairs(given: Any) -> list[Pair]:
    with _at("kv"):
        entries = _entries(given)
    pairs = []
    for key, value in entries.items():
        with _at(f"kv[{key!r}]"):
            pairs.append(Pair(key, _bytes_of(value)))
    return pairs


def _bytes_of(value: Any) -> bytes:
    if isinstance(value, str):
        value = value.encode()
    if not isinstance(value, bytes):
        raise ValueError(f"a value is str or bytes, not {type(value).__name__}")
    if len(value) > _kv.MOST_BYTES:
        raise ValueError(f"a value has {_kv.MOST_BYTES} bytes at most, not {len(value)}")
    return value


# -- services --------------------------------------------------------------------------------------


def _registrations(given: Any, local: Local) -> list[Registration]:
    with _at("services"):
        entries = _entries(given)
    found: dict[str, Registration] = {}
    for name, instances in entries.items():
        with _at(f"services[{name!r}]"):
            for instance in instances if isinstance(instances, list | tuple) else [instances]:
                registration = _registration(name, instance, local)
                if registration.id in found:
                    raise ValueError(f"there is an instance {registration.id!r} already")
                found[registration.id] = registration
    return list(found.values())


def _registration(name: str, instance: Any, local: Local) -> Registration:
    told = {**_entries(instance), "Name": name}
    status = told.pop("status", None)
    if status is None:
        return local.read(told)
    if {"check", "checks"} & {field.lower() for field in told}:
        raise ValueError("an instance has a status or checks, not both")
    registration = local.read({**told, "Check": {"TTL": "1s", "Status": status}})
    for check in registration.checks:
        check.ttl = math.inf
    return registration
