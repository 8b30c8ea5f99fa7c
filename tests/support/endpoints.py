"""Every method of the API, and what its docstring says of the endpoint behind it."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import httpx

from consul_onex import ConsulClient

__all__ = ["Endpoint", "endpoints", "methods"]

_LINE: Final = re.compile(
    r"^(?P<method>GET|PUT|POST|DELETE) (?P<path>/v1/\S+)"
    r"(?:  since Consul (?P<since>\d+\.\d+))?(?P<enterprise>,? Enterprise)?$",
    re.MULTILINE,
)


@dataclass(frozen=True)
class Endpoint:
    """One endpoint, as the docstring of the method that calls it has it."""

    name: str
    """What to call: `agent.register`."""
    method: str
    path: str
    """With `:name` for each part that is an argument."""
    since: str | None
    """The first Consul that has it, where that is later than 1.8."""
    enterprise: bool

    @property
    def pattern(self) -> re.Pattern[str]:
        """What its path looks like when the arguments are in it."""
        path = self.path.partition("?")[0]
        parts = [
            ".+"
            if path.startswith("/v1/kv/") and part.startswith(":")
            else "[^/]+"
            if part.startswith(":")
            else re.escape(part)
            for part in path.split("/")
        ]
        return re.compile("/".join(parts))


def methods() -> Iterator[tuple[str, Callable[..., Any]]]:
    """Every public method of every part of the API, by its dotted name."""
    client = ConsulClient(transport=httpx.MockTransport(lambda _: httpx.Response(200)))
    for name, attribute in vars(ConsulClient).items():
        if isinstance(attribute, cached_property):
            yield from _below(name, getattr(client, name))


def _below(where: str, part: object) -> Iterator[tuple[str, Callable[..., Any]]]:
    for name, attribute in vars(type(part)).items():
        if name.startswith("_"):
            continue
        if isinstance(attribute, cached_property):
            yield from _below(f"{where}.{name}", getattr(part, name))
        elif inspect.isfunction(attribute):
            yield f"{where}.{name}", attribute


def endpoints() -> list[Endpoint]:
    """What the docstrings say; a method may have several endpoints, and one may have none."""
    return [
        Endpoint(
            name,
            found["method"],
            found["path"],
            found["since"],
            found["enterprise"] is not None,
        )
        for name, method in methods()
        for found in _LINE.finditer(inspect.cleandoc(method.__doc__ or ""))
    ]
