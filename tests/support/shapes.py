"""Every model there is, and JSON such as Consul might send for it."""

from __future__ import annotations

import base64
import dataclasses
import importlib
import inspect
import pkgutil
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Annotated, Any, Literal, Union, cast, get_args, get_origin

import annotated_types
from hypothesis import strategies as st
from pydantic import AwareDatetime, SecretStr
from pydantic.fields import FieldInfo

import consul_onex.models
from consul_onex.models._base import Definition, Received, Small, _Seconds
from consul_onex.models.agent import GoTime

__all__ = ["Shape", "documents", "empty_of", "least", "models", "shape_of", "values_of"]


def models() -> list[type]:
    """Every class of either kind, of all modules of `consul_onex.models`."""
    found: dict[str, type] = {}
    for info in pkgutil.walk_packages(consul_onex.models.__path__, "consul_onex.models."):
        module = importlib.import_module(info.name)
        for value in vars(module).values():
            if (
                inspect.isclass(value)
                and issubclass(value, (Received, Definition))
                and value not in (Received, Definition, Small)
                and value.__module__.startswith("consul_onex.models.")
            ):
                found[f"{value.__module__}.{value.__qualname__}"] = value
    return [found[name] for name in sorted(found)]


@dataclass(frozen=True)
class Shape:
    """One field of a model: its name here, on the wire, and its type."""

    name: str
    wire: str
    type: Any
    excluded: bool
    """Not on the wire at all."""


@cache
def shape_of(model: type) -> tuple[Shape, ...]:
    """The fields of a model."""
    return tuple(_shapes(model))


def _shapes(model: type) -> Iterator[Shape]:
    names = (
        list(model.model_fields)
        if issubclass(model, Definition)
        else [field.name for field in dataclasses.fields(cast(Any, model))]
    )
    hints = typing.get_type_hints(model, include_extras=True)
    config: Any = getattr(model, "model_config", None) or getattr(model, "__pydantic_config__")  # noqa: B009
    rule = config.get("alias_generator") or str
    for name in names:
        marks = [mark for mark in _metadata(hints[name]) if isinstance(mark, FieldInfo)]
        if issubclass(model, Definition):
            marks.append(model.model_fields[name])
        explicit = next((mark.validation_alias for mark in marks if mark.validation_alias), None)
        excluded = any(mark.exclude for mark in marks)
        yield Shape(name, str(explicit or rule(name)), hints[name], excluded)


def _metadata(hint: Any) -> list[Any]:
    """What an annotation says besides the type, also within `X | None`."""
    if get_origin(hint) is Annotated:
        inner, *marks = get_args(hint)
        return [*marks, *_metadata(inner)]
    return []


# -- values ----------------------------------------------------------------------------------------

_TEXT = st.text(st.characters(codec="utf-8"), max_size=12)

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | _TEXT,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(_TEXT, inner, max_size=2),
    max_leaves=4,
)

_DURATIONS = st.one_of(
    st.sampled_from(["", "0s", "15s", "1m30s", "1h0m0s", "250ms", "71.3µs", "1ns"]),
    st.integers(0, 10**15),
)

_TIMES = st.one_of(
    st.none(),
    st.just("0001-01-01T00:00:00Z"),
    st.datetimes(datetime(1990, 1, 1), datetime(2100, 1, 1)).map(  # noqa: DTZ001
        lambda time: (
            time.replace(tzinfo=UTC).isoformat().replace("+00:00", "789Z")
            if time.microsecond
            else time.replace(tzinfo=UTC).isoformat()
        )
    ),
)


def least(model: type) -> dict[str, Any]:
    """The least that is read as this model: nothing at all, but for a pair."""
    return dict.fromkeys(_REQUIRED.get(model.__name__, ()), "k")


@cache
def documents(model: type, depth: int = 0) -> st.SearchStrategy[dict[str, Any]]:
    """Whole answers: any of the fields may be missing or null, and there may be new ones."""
    fields = {
        field.wire: st.none() | values_of(field.type, depth + 1)
        for field in shape_of(model)
        if not field.excluded
    }
    required = dict.fromkeys(_REQUIRED.get(model.__name__, ()), _TEXT)
    fields = {wire: values for wire, values in fields.items() if wire not in required}
    new = st.dictionaries(_TEXT.map(lambda name: f"New {name}"), _JSON, max_size=1)
    return st.builds(
        lambda known, more: more | known, st.fixed_dictionaries(required, optional=fields), new
    )


# Without its key a pair is none.
_REQUIRED = {"KVPair": ("Key",)}


def values_of(hint: Any, depth: int = 0) -> st.SearchStrategy[Any]:
    """Right values of a type, in JSON."""
    if hint == GoTime:
        return st.just("2026-11-23 07:56:50 +0000 UTC")
    marks = _metadata(hint)
    while get_origin(hint) is Annotated:
        hint = get_args(hint)[0]
    if _Seconds in marks:
        return _DURATIONS if not _bounded(marks) else _DURATIONS.filter(_is_some_time)
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return st.one_of([values_of(one, depth) for one in arguments])
    if origin is Literal:
        return st.sampled_from(arguments)
    if origin in (list, tuple, Sequence) or hint is list:
        inner = values_of(arguments[0], depth + 1) if arguments else _JSON
        return st.lists(inner, max_size=0 if depth > 2 else 2)
    if origin in (dict, Mapping) or hint is dict:
        inner = values_of(arguments[1], depth + 1) if arguments else _JSON
        return st.dictionaries(_TEXT, inner, max_size=0 if depth > 2 else 2)
    if inspect.isclass(hint) and issubclass(hint, (Received, Definition)):
        return st.just(least(hint)) if depth > 2 else documents(cast(Any, hint), depth)
    if dataclasses.is_dataclass(hint):
        raise TypeError(f"{hint} is a model of neither kind")
    if hint is int:
        return _integers(marks)
    if hint is str and _bounded(marks):
        return _TEXT.map(lambda text: f"a{text}")
    return _SIMPLE[hint]


_SIMPLE: dict[Any, st.SearchStrategy[Any]] = {
    str: _TEXT,
    bool: st.booleans(),
    float: st.floats(allow_nan=False, allow_infinity=False, width=32),
    bytes: st.binary(max_size=9).map(lambda value: base64.b64encode(value).decode()),
    AwareDatetime: _TIMES,
    SecretStr: _TEXT,
    type(None): st.none(),
    object: _JSON,
    Any: _JSON,
}


def _bounds(marks: list[Any]) -> list[Any]:
    return [bound for mark in marks for bound in (getattr(mark, "metadata", None) or [mark])]


def _bounded(marks: list[Any]) -> bool:
    kinds = (annotated_types.Gt, annotated_types.MinLen, annotated_types.Len)
    return any(isinstance(bound, kinds) for bound in _bounds(marks))


def _is_some_time(duration: Any) -> bool:
    return duration not in ("", "0s", 0)


def _integers(marks: list[Any]) -> st.SearchStrategy[int]:
    # Of 16 bits: many of Consul's numbers are ports.
    low, high = 0, 2**16 - 1
    for bound in _bounds(marks):
        match bound:
            case annotated_types.Ge(ge):
                low = int(str(ge))
            case annotated_types.Gt(gt):
                low = int(str(gt)) + 1
            case annotated_types.Le(le):
                high = int(str(le))
            case annotated_types.Lt(lt):
                high = int(str(lt)) - 1
    return st.integers(low, high)


def empty_of(hint: Any) -> list[Any]:
    """What Go writes for a field of this type that nobody has set."""
    marks = _metadata(hint)
    while get_origin(hint) is Annotated:
        hint = get_args(hint)[0]
    if _Seconds in marks:
        return ["", "0s", 0]
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return [value for one in arguments for value in empty_of(one)]
    if origin in (list, tuple, Sequence) or hint is list:
        return [None, []]
    if origin in (dict, Mapping) or hint is dict:
        return [None, {}]
    if inspect.isclass(hint) and issubclass(hint, (Received, Definition)):
        return [least(hint)]
    known = {str: "", int: 0, float: 0, bool: False, bytes: "", SecretStr: ""}
    return [known[hint]] if hint in known else [None]
