"""Every endpoint has its method, and a page says which."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.endpoints import PAGE, page
from tests.support.endpoints import Endpoint, endpoints

LIST = Path(__file__).parent / "data" / "endpoints.txt"

KNOWN = endpoints()


def listed() -> Iterator[tuple[str, str | None, bool]]:
    """What Consul's documentation has: an endpoint, since when, and whether in Enterprise alone."""
    for line in LIST.read_text("utf-8").splitlines():
        if line and not line.startswith("#"):
            method, path, *notes = line.split()
            since = next((note for note in notes if note != "Enterprise"), None)
            yield plain(method, path), since, "Enterprise" in notes


def plain(method: str, path: str) -> str:
    """An endpoint, whatever its arguments are called and whatever is asked of it."""
    return f"{method} {re.sub(r':[a-z_]+', ':', path.partition('?')[0])}"


@pytest.mark.parametrize(
    ("endpoint", "since", "enterprise"),
    [pytest.param(*one, id=one[0]) for one in listed()],
)
def test_an_endpoint_of_consuls_has_a_method(
    endpoint: str, since: str | None, enterprise: bool
) -> None:
    found = [one for one in KNOWN if plain(one.method, one.path) == endpoint]

    assert found
    # An option of an endpoint may be newer than the endpoint itself.
    whole = [one for one in found if "?" not in one.path] or found
    assert {(one.since, one.enterprise) for one in whole} == {(since, enterprise)}


@pytest.mark.parametrize("endpoint", KNOWN, ids=lambda one: f"{one.name}-{one.method}")
def test_a_method_calls_an_endpoint_of_consuls(endpoint: Endpoint) -> None:
    assert plain(endpoint.method, endpoint.path) in {one for one, _, _ in listed()}


def test_the_page_is_what_the_docstrings_say() -> None:
    assert PAGE.read_text("utf-8") == page(), "run `make endpoints`"


def test_the_page_has_every_endpoint() -> None:
    text = PAGE.read_text("utf-8")

    assert text.count("\n| `") == len(KNOWN) > 180
    for endpoint in KNOWN:
        assert f"| `{endpoint.method} {endpoint.path}` | `c.{endpoint.name}` |" in text
