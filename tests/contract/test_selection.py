"""What the fake is spared is said truly: each test that is named is there."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from .conftest import LACKS, LACKS_FIXTURES, ON_BOTH, REAL, lacking

HERE = Path(__file__).parent


def defined(module: str) -> dict[str, set[str]]:
    """The functions of a module, and what each takes."""
    tree = ast.parse((HERE / f"{module}.py").read_text("utf-8"))
    return {
        node.name: {argument.arg for argument in node.args.args}
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


FUNCTIONS = {name: taken for module in ON_BOTH for name, taken in defined(module).items()}


@pytest.mark.parametrize("what", LACKS)
def test_what_is_left_out_would_run_otherwise(what: str) -> None:
    for name, _ in LACKS[what]:
        assert not name or not FUNCTIONS[name] & REAL


@pytest.mark.parametrize("what", LACKS_FIXTURES)
def test_a_fixture_that_is_left_out_is_one_that_tests_take(what: str) -> None:
    for name in LACKS_FIXTURES[what]:
        assert name in FUNCTIONS
        assert any(name in taken for taken in FUNCTIONS.values())


@pytest.mark.parametrize(
    ("test", "case", "expected"),
    [
        ("test_an_error_says_what_kind_of_error_it_is", "missing config entry", "config entries"),
        ("test_an_error_says_what_kind_of_error_it_is", "no session", None),
        ("test_a_sidecar_is_registered_along", "web", "the mesh"),
        ("test_what_is_not_there_is_none", "auth method", "ways to log in"),
        ("test_what_is_not_there_is_none", "policy", None),
    ],
)
def test_the_parameters_say_so_in_whatever_order(
    test: str, case: str, expected: str | None
) -> None:
    for whole in (f"asyncio-fake-{case}", f"{case}-fake-trio"):
        assert lacking(test, whole, ["c"]) == expected


def test_a_fixture_says_so_too() -> None:
    assert lacking("test_any", "fake-trio", ["c", "role"]) == "roles and identities"
