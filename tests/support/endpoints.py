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

__all__ = ["LINE", "Endpoint", "endpoints", "methods"]

LINE: Final = re.compile(
    r"^(?P<method>GET|PUT|POST|DELETE) (?P<path>/v1/\S+)"
    r"(?:  since Consul (?P<since>\d+\.\d+))?(?P<enterprise>,? Enterprise)?$",
    re.MULTILINE,
)
"""How a docstring says what is sent, on a line of its own."""

_SLASHES: Final = ("/v1/kv/", "/v1/acl/templated-policy/")
"""Where a name is more than one segment, or a prefix none."""


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
    def in_1_8(self) -> bool:
        """Whether the oldest Consul that is tested has it: the Community Edition of 1.8.7."""
        return self.since is None and not self.enterprise

    @property
    def pattern(self) -> re.Pattern[str]:
        """What its path looks like when the arguments are in it."""
        path = self.path.partition("?")[0]
        name = ".*" if path.startswith(_SLASHES) else "[^/]+"
        parts = [name if part.startswith(":") else re.escape(part) for part in path.split("/")]
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
        for found in LINE.finditer(inspect.cleandoc(method.__doc__ or ""))
    ]
