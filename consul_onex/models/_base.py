"""
How Consul's JSON becomes Python, and Python Consul's JSON.

There are two kinds of model. What only Consul says is `Received`: a frozen, slotted dataclass,
tolerant of what is missing, null or new. What a caller writes is a `Definition`: a pydantic model,
strict when it is made in Python, as tolerant as the others when Consul gives it back.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Iterable
from copy import copy
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, Self, TypeVar, get_origin

from pydantic import (
    AfterValidator,
    AliasPath,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    FailFast,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    PlainSerializer,
    SecretStr,
    TypeAdapter,
    ValidationError,
)
from pydantic.fields import FieldInfo
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticSerializationError, core_schema, from_json

from .._duration import parse_duration
from .._json import LAZY, MANY, UNMEANT, UNSAID, adapter_of, place_of
from ..errors import DecodeError, InvalidRequestError

__all__ = [
    "U64",
    "WIRE",
    "Bytes",
    "Definition",
    "Duration",
    "FreeForm",
    "Nanoseconds",
    "NoneIfEmpty",
    "NullIs",
    "Received",
    "Secret",
    "Small",
    "Time",
    "Tolerant",
    "named",
    "of_peer",
    "rows_of",
    "wire_name",
    "within",
]

T = TypeVar("T")

_ACRONYMS: Final = frozenset(
    {
        *("acl", "ca", "dns", "fips", "grpc", "http", "id", "ip", "json", "jwks", "jwt", "lan"),
        *("oidc", "os", "pem", "rtt", "sds", "sha", "sni", "tcp", "tls", "ttl", "udp", "uri"),
        *("url", "wan"),
    }
)


def wire_name(field: str) -> str:
    """What Consul calls a field: `service_id` is its `ServiceID`."""
    return "".join(
        word.upper() if word in _ACRONYMS else "IDs" if word == "ids" else word.capitalize()
        for word in field.split("_")
    )


def named(name: str) -> FieldInfo:
    """Mark a field whose name on the wire follows no rule, for an `Annotated` type."""
    # Not pydantic's `alias`, which type checkers would take for the argument's name.
    marked: FieldInfo = Field(validation_alias=name, serialization_alias=name)
    return marked


WIRE: Final = ConfigDict(
    alias_generator=wire_name,
    extra="ignore",
    # Base64 is decoded in Rust, four times as fast as by the standard library.
    val_json_bytes="base64",
    # Most programs use few of these types; each is built when it is first needed.
    defer_build=True,
    # JSON has no word for NaN, and null would be another value; `body` refuses what is written so.
    ser_json_inf_nan="constants",
)


# -- types ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class NullIs:
    """Marks a value that Consul may send as null, and what that means."""

    empty: Callable[[], Any]

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        return _null_is(self.empty, handler(source))


def _null_is(empty: Callable[[], Any], schema: CoreSchema) -> CoreSchema:
    # Null is tried last. (A default on the field's own schema would hide damaged values.)
    null = core_schema.no_info_after_validator_function(
        lambda _: empty(), core_schema.none_schema()
    )
    # Consul may say null; a caller who writes None where there is none has made a mistake.
    said = core_schema.json_or_python_schema(
        json_schema=null, python_schema=core_schema.is_instance_schema(_Nothing)
    )
    return core_schema.union_schema([(schema, UNSAID), (said, UNSAID)], mode="left_to_right")


class _Nothing:
    """What no value is an instance of."""


class NoneIfEmpty:
    """
    Marks a part that Consul sends of everything, though most have none: empty, it is None.

    It is empty without a field, and where each of its fields is an empty part or empty text.
    """

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        schema = handler(source)
        nothing = core_schema.no_info_after_validator_function(lambda _: None, _EMPTY)
        # First: a model would take it, and make an object of each field that it has.
        said = core_schema.union_schema(
            [(nothing, UNMEANT), (schema, UNSAID)], mode="left_to_right"
        )
        return core_schema.json_or_python_schema(json_schema=said, python_schema=schema)


_EMPTY: Final = core_schema.dict_schema(
    values_schema=core_schema.union_schema(
        [
            core_schema.typed_dict_schema({}, extra_behavior="forbid"),
            core_schema.literal_schema([""]),
        ],
        mode="left_to_right",
    )
)


class _Seconds:
    """Seconds in Python; on the wire what Go makes of a duration."""

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.json_or_python_schema(
            json_schema=core_schema.no_info_plain_validator_function(_read_duration),
            python_schema=core_schema.float_schema(ge=0, allow_inf_nan=False, strict=True),
        )


def _read_duration(value: object) -> float:
    seconds = math.nan
    if isinstance(value, str):
        # Not `suppress`, which takes longer than all of the rest.
        try:
            seconds = parse_duration(value)
        except DecodeError:
            seconds = math.nan
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        # A number counts nanoseconds, in every place where Consul says one.
        seconds = value / 1e9
    if not math.isfinite(seconds):
        raise ValueError("not a duration")
    return seconds


def _nanoseconds(seconds: float) -> int:
    # More than nothing stays so: 0 often means "not given".
    return round(seconds * 1e9) or math.ceil(seconds)


def _write_duration(seconds: float) -> str:
    """To the nanosecond, as Consul has it. Some of its durations are negative: for never."""
    number = _nanoseconds(seconds)
    for unit, size in (("s", 10**9), ("ms", 10**6)):
        if number % size == 0:
            return f"{number // size}{unit}"
    return f"{number}ns"


Duration = Annotated[
    float, _Seconds, PlainSerializer(_write_duration, return_type=str, when_used="json")
]
"""Seconds. `"1m30s"`, or a number of nanoseconds, on the wire; written as `"90s"`."""

Nanoseconds = Annotated[
    float, _Seconds, PlainSerializer(_nanoseconds, return_type=int, when_used="json")
]
"""Seconds, where Consul writes a number of nanoseconds."""

Time = Annotated[
    AwareDatetime | None,
    AfterValidator(lambda time: None if time is None or time.year <= 1 else time),
]
"""A point in time, to the microsecond. None where Consul sends Go's zero time, for never."""

Bytes = Annotated[
    bytes,
    PlainSerializer(
        lambda value: base64.b64encode(value).decode("ascii"), return_type=str, when_used="json"
    ),
]
"""Base64 on the wire."""

U64 = Annotated[int, Field(ge=0, lt=2**64)]
"""A whole number from 0 to 2**64 - 1."""

Secret = Annotated[
    SecretStr,
    PlainSerializer(
        lambda secret: secret.get_secret_value(), return_type=str, when_used="json-unless-none"
    ),
]
"""Hidden in Python, plain on the wire."""


def _unveiled(value: Any) -> Any:
    match value:
        case SecretStr():
            return value.get_secret_value()
        case dict():
            return {name: _unveiled(one) for name, one in value.items()}
        case list() | tuple():
            return [_unveiled(one) for one in value]
    return value


FreeForm = Annotated[dict[str, Any], PlainSerializer(_unveiled, when_used="json")]
"""What somebody else gives a meaning. A SecretStr in it is plain on the wire, as elsewhere."""


def within(*path: str) -> FieldInfo:
    """Mark a field that is read from inside of other parts, for an `Annotated` type."""
    marked: FieldInfo = Field(validation_alias=AliasPath(*path))
    return marked


def of_peer(peer: str | None, *names: str) -> tuple[str, ...]:
    """What tells a row from others: names are unique within a cluster, so a peer's are told."""
    return (peer, *names) if peer else names


def rows_of(row: type[T]) -> TypeAdapter[list[T]]:
    """
    The adapter of a list that Consul may send as null; built when it is first used.

    The first wrong row is enough: a million of them would take a second and a gigabyte to list.
    """
    rows: Any = Annotated[list[row], FailFast(), NullIs(list)]  # type: ignore[valid-type]
    return TypeAdapter(rows, config=LAZY)


# -- the two kinds -------------------------------------------------------------------------------


class Tolerant:
    """What is read from what Consul says: missing, null and new fields are fine."""

    __slots__ = ()
    __pydantic_config__: ClassVar[ConfigDict] = WIRE

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return _tolerant(handler, handler(source))


class Received(Tolerant):
    """What Consul says: missing, null and new fields are fine, whatever they are."""

    __slots__ = ()

    def to_wire(self) -> dict[str, Any]:
        """
        Consul's own JSON for this, in Consul's names.

        Fields that are None are left out. What Consul left out or sent as null is there as the
        empty value it was read as.
        """
        plain: dict[str, Any] = adapter_of(type(self)).dump_python(
            self, mode="json", by_alias=True, exclude_none=True
        )
        return plain


class Definition(BaseModel):
    """
    What a caller writes down for Consul.

    Wrong values, wrong types and names that do not exist are an InvalidRequestError at once. Only
    fields that were given are sent. Where Consul gives a definition back it is read into the same
    model, tolerantly; `replace` makes a changed copy of it to send.
    """

    model_config = WIRE | ConfigDict(frozen=True, hide_input_in_errors=True)

    # What the server writes, and refuses or ignores when a client does.
    _OF_THE_SERVER: ClassVar[frozenset[str]] = frozenset({"create_index", "modify_index", "hash"})

    if not TYPE_CHECKING:
        # To type checkers the fields are the arguments.
        def __init__(self, /, **values: Any) -> None:
            problem = _first_problem(self, values)
            if problem:
                # Out of the traceback: they may be secrets.
                values.clear()
                raise InvalidRequestError(f"{type(self).__name__}{problem}")

        # As for the __init__ that this stands in for: JSON is read past it.
        __init__.__pydantic_base_init__ = True

        def __setattr__(self, name: str, value: object) -> None:
            # Not pydantic's error, which quotes the value.
            raise AttributeError(
                f"a {type(self).__name__} cannot be changed; replace() makes a changed copy"
            )

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        # What was given. Most definitions have many more fields than that.
        # (One that was refused has nothing, and may still be shown: by a traceback.)
        given = getattr(self, "__pydantic_fields_set__", ())
        return [
            (name, value)
            for name, value in super().__repr_args__()
            if name in given and value is not None
        ]

    @classmethod
    def __get_pydantic_core_schema__(
        cls, source: type[BaseModel], handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        fields = source.model_fields.items()
        required = {name: field.annotation for name, field in fields if field.is_required()}
        return _tolerant(handler, handler(source), required)

    def replace(self, **changes: Any) -> Self:
        """A copy with other values in these fields, checked as any other definition."""
        given = {
            name: getattr(self, name)
            for name, field in type(self).model_fields.items()
            if name in self.model_fields_set or field.is_required()
        }
        return type(self)(**given | changes)

    def to_wire(self) -> dict[str, Any]:
        """Consul's own JSON for this: what was given, in Consul's names. Secrets are plain."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True, exclude_none=True)

    def body(self) -> bytes:
        """This as the body of a request: what was given, without what only the server writes."""
        try:
            content = self.__pydantic_serializer__.to_json(
                self,
                by_alias=True,
                exclude_unset=True,
                exclude_none=True,
                exclude=set(self._OF_THE_SERVER),
            )
            from_json(content, allow_inf_nan=False)
            return content
        except (PydanticSerializationError, ValueError, RecursionError):
            pass
        raise InvalidRequestError(f"this {type(self).__name__} cannot be written as JSON")


class Small(Definition):
    """
    A definition of a few fields, of which Consul gives back several with each instance.

    Where it gives all of the fields, one is made without the dictionary and the set that pydantic
    makes for every model: three such models cost as much as all else that there is of an instance.
    """

    @classmethod
    def __get_pydantic_core_schema__(
        cls, source: type[BaseModel], handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        schema = super().__get_pydantic_core_schema__(source, handler)
        model: Any = handler.resolve_ref_schema(schema)
        if model["type"] != "model":
            return schema
        # The model takes what is one already as it is. It stands last: it says how to write it.
        whole = core_schema.chain_schema([_whole(source, model), schema])
        said = core_schema.union_schema([(whole, UNMEANT), (schema, UNSAID)], mode="left_to_right")
        return core_schema.json_or_python_schema(
            json_schema=said, python_schema=schema, metadata=dict(_BUILT)
        )

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        # Of two ways to read it, it would say both.
        said: Any = schema
        return handler(said["python_schema"])


def _whole(model: type[BaseModel], schema: Any) -> CoreSchema:
    """Takes an object that has every field of a model, and makes a model of it."""
    given = set(schema["schema"]["fields"])
    anything = core_schema.any_schema()
    fields = [
        core_schema.dataclass_field(
            name, field["schema"]["schema"], validation_alias=field["validation_alias"]
        )
        for name, field in schema["schema"]["fields"].items()
    ]
    # What each model has besides, and no JSON says. All share one set: nothing changes it.
    unsaid = {
        "__pydantic_fields_set__": core_schema.with_default_schema(
            anything, default_factory=lambda: given
        ),
        "__pydantic_extra__": core_schema.with_default_schema(anything, default=None),
        "__pydantic_private__": core_schema.with_default_schema(anything, default=None),
    }
    fields += [
        core_schema.dataclass_field(name, value, init=False) for name, value in unsaid.items()
    ]
    # Of a dataclass with slots each attribute is set by itself.
    args = core_schema.dataclass_args_schema(model.__name__, fields)
    return core_schema.dataclass_schema(model, args, [], slots=True, config=schema["config"])


def _first_problem(definition: Definition, values: dict[str, Any]) -> str:
    """Fill a definition with these values; what is wrong with them, without quoting them."""
    for name, field in type(definition).model_fields.items():
        if field.is_required() and name not in values:
            return f".{name} must be given"
    try:
        definition.__pydantic_validator__.validate_python(
            values,
            self_instance=definition,
            strict=True,
            extra="forbid",
            by_alias=False,
            by_name=True,
        )
        return ""
    except ValidationError as error:
        return _said_of(error)


def _said_of(error: ValidationError) -> str:
    if error.error_count() > MANY:
        return f": wrong in {error.error_count()} places"
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    where, said = place_of(first), first["msg"]
    match first["type"]:
        case "extra_forbidden" | "unexpected_keyword_argument":
            said = "there is no such field"
        case "value_error":
            said = said.removeprefix("Value error, ")
    return f"{'.' if where else ''}{where}: {said}"


_BUILT: Final = {"tolerant": True}


def _tolerant(
    handler: GetCoreSchemaHandler, schema: CoreSchema, required: dict[str, Any] | None = None
) -> CoreSchema:
    """
    Let every field of a model be missing, or null: then it has its default.

    A field that must be given in Python is then empty. (So Consul may forget what we may not.)
    """
    inner: Any = handler.resolve_ref_schema(schema)
    known = inner.setdefault("metadata", {})
    if known.keys() & _BUILT.keys():
        # Built before, for itself or as a part of another, it comes as it was left then.
        return schema
    known |= _BUILT
    while inner["type"] not in ("dataclass-args", "model-fields"):
        inner = inner["schema"]
    fields = inner["fields"]
    for field in fields.values() if isinstance(fields, dict) else fields:
        default = field["schema"]
        if default["type"] == "default":
            empty = default.get("default_factory") or _copies(default.get("default"))
            default["schema"] = _null_is(empty, default["schema"])
    for name, type_ in (required or {}).items():
        # Missing is as good as null here, which in Python it is not.
        given = _null_is(_empty(type_), fields[name]["schema"])
        fields[name]["schema"] = core_schema.with_default_schema(
            given, default=None, validate_default=True
        )
    return schema


def _empty(type_: Any) -> Callable[[], Any]:
    """How to make what stands for nothing at all."""
    kind: Any = get_origin(type_) or type_
    if isinstance(kind, type) and issubclass(kind, Definition):
        return lambda: adapter_of(kind).validate_json(b"{}")
    return partial(SecretStr, "") if kind is SecretStr else kind


def _copies(value: Any) -> Callable[[], Any]:
    return lambda: copy(value)
