"""How Consul's JSON becomes Python."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Final

from pydantic import ConfigDict, GetCoreSchemaHandler
from pydantic.alias_generators import to_pascal
from pydantic_core import CoreSchema, core_schema

__all__ = ["WIRE", "Bytes", "NullIs"]

WIRE: Final = ConfigDict(
    alias_generator=to_pascal,
    populate_by_name=True,
    extra="ignore",
    # Base64 is decoded in Rust, four times as fast as by the standard library.
    val_json_bytes="base64",
)


@dataclass(frozen=True, slots=True)
class NullIs:
    """Marks a field that Consul may send as null, and what that means."""

    empty: Callable[[], Any]

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        # Null is tried last, and turned into the default by a schema that takes nothing: all of
        # it in Rust. (A default on the field's own schema would hide damaged values.)
        null = core_schema.chain_schema(
            [
                core_schema.none_schema(),
                core_schema.with_default_schema(
                    core_schema.literal_schema([False]),
                    default_factory=self.empty,
                    on_error="default",
                ),
            ]
        )
        return core_schema.union_schema([handler(source), null], mode="left_to_right")


Bytes = Annotated[bytes, NullIs(bytes)]
"""Base64 on the wire. An empty value is null there."""
