"""What is public: its names, and that each says what it is."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import consul_onex
from tests.support.endpoints import LINE

PACKAGE = Path(inspect.getfile(consul_onex)).parent
FILES = sorted(PACKAGE.rglob("*.py"))

SENT = re.compile(r"^(?:GET|PUT|POST|DELETE)\b.*$", re.MULTILINE)
PAGE = re.compile(
    r"^https://developer\.hashicorp\.com/consul/api-docs/[a-z0-9/-]+(#[a-z0-9-]+)?$", re.MULTILINE
)


def module_name(file: Path) -> str:
    parts = file.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def is_private(name: str) -> bool:
    return any(part.startswith("_") for part in name.split("."))


MODULES = [module_name(file) for file in FILES]
PUBLIC = [name for name in MODULES if not is_private(name)]


def order(name: str) -> tuple[int, str]:
    """CONSTANTS first, then Classes, then functions, each by the alphabet."""
    kind = 0 if name.isupper() and len(name) > 1 else 1 if name[0].isupper() else 2
    return kind, name


@pytest.mark.parametrize("name", MODULES)
def test_all_is_sorted(name: str) -> None:
    names = getattr(importlib.import_module(name), "__all__", [])

    assert names == sorted(names, key=order)
    assert len(names) == len(set(names))


@pytest.mark.parametrize("name", PUBLIC)
def test_every_exported_name_is_there(name: str) -> None:
    module = importlib.import_module(name)

    for exported in getattr(module, "__all__", []):
        assert getattr(module, exported) is not None


def defined(file: Path) -> set[str]:
    """The classes and functions of a module whose names are not private."""
    return {
        node.name
        for node in ast.parse(file.read_text("utf-8")).body
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))
        and not node.name.startswith("_")
    }


def inside(name: str) -> bool:
    """What a layer's `wrap` makes, and what such a thing is made of: nobody imports it by name."""
    return name.endswith("Transport") or name == "Places"


@pytest.mark.parametrize("file", FILES, ids=module_name)
def test_all_names_what_a_module_defines(file: Path) -> None:
    exported = set(getattr(importlib.import_module(module_name(file)), "__all__", ()))

    assert {name for name in defined(file) - exported if not inside(name)} == set()


@pytest.mark.parametrize("door", ["consul_onex", "consul_onex.transport", "consul_onex.models"])
def test_what_comes_in_at_a_door_is_exported_there(door: str) -> None:
    module = importlib.import_module(door)
    names = {name for name in vars(module) if not name.startswith("_")}
    imported = {
        name
        for name in names
        if not inspect.ismodule(vars(module)[name])
        and getattr(vars(module)[name], "__module__", "").startswith("consul_onex")
    }

    assert imported <= set(module.__all__)


def test_every_public_error_and_warning_is_at_the_front_door() -> None:
    from consul_onex import errors

    assert set(errors.__all__) <= set(consul_onex.__all__)


def test_a_layer_that_is_not_there_is_an_attribute_error() -> None:
    from consul_onex import transport

    with pytest.raises(
        AttributeError, match=r"module 'consul_onex\.transport' has no attribute 'Cache'"
    ):
        transport.Cache  # type: ignore[attr-defined]  # noqa: B018


def test_a_name_that_is_not_there_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'consul_onex' has no attribute 'Consul'"):
        consul_onex.Consul  # type: ignore[attr-defined]  # noqa: B018


def test_every_model_is_at_the_door_of_the_models() -> None:
    from consul_onex import models

    rooms = [name for name in PUBLIC if name.count(".") == 2 and ".models." in name]
    homes = {name: room for room in rooms for name in importlib.import_module(room).__all__}

    assert set(models.__all__) == homes.keys()
    for name, room in homes.items():
        assert getattr(models, name) is getattr(importlib.import_module(room), name)


def test_a_model_that_is_not_there_is_an_attribute_error() -> None:
    from consul_onex import models

    with pytest.raises(
        AttributeError, match=r"module 'consul_onex\.models' has no attribute 'Nod'"
    ):
        models.Nod  # type: ignore[attr-defined]  # noqa: B018


def documented(file: Path) -> Iterator[tuple[str, ast.AST, str | None]]:
    """Every public class, function and method that a file exports, with its docstring."""
    for node in ast.parse(file.read_text("utf-8")).body:
        if not inside(getattr(node, "name", "")):
            yield from _below(node, module_name(file))


def _below(node: ast.AST, where: str) -> Iterator[tuple[str, ast.AST, str | None]]:
    if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return
    if node.name.startswith("_"):
        return
    if any(isinstance(one, ast.Name) and one.id == "overload" for one in node.decorator_list):
        # The one that is carried out says it.
        return
    yield f"{where}.{node.name}", node, ast.get_docstring(node)
    if isinstance(node, ast.ClassDef):
        for child in node.body:
            yield from _below(child, f"{where}.{node.name}")


# Methods whose name says it, or that somebody else's protocol describes.
PLAIN = re.compile(r"\.(wrap|handle_async_request|statistics|succeeded|failed|context|hook)$")


@pytest.mark.parametrize("file", FILES, ids=module_name)
def test_a_module_says_what_it_is_for(file: Path) -> None:
    assert ast.get_docstring(ast.parse(file.read_text("utf-8")))


@pytest.mark.parametrize(
    "file", [file for file in FILES if not is_private(module_name(file))], ids=module_name
)
def test_whatever_is_public_says_what_it_is(file: Path) -> None:
    silent = [name for name, _, text in documented(file) if not text and not PLAIN.search(name)]

    assert silent == []


# Coroutines, and what opens a stream.
ENDPOINTS = [
    pytest.param(text, id=name.removeprefix("consul_onex.api."))
    for file in sorted((PACKAGE / "api").rglob("*.py"))
    for name, node, text in documented(file)
    if isinstance(node, ast.AsyncFunctionDef)
    and not is_private(name)
    # These are made of other methods.
    and not name.endswith(("KV.update", "KV.put_json"))
]


@pytest.mark.parametrize("docstring", ENDPOINTS)
def test_a_method_of_the_api_names_its_endpoint_and_the_page_about_it(docstring: str) -> None:
    sent = SENT.findall(docstring)

    assert sent
    assert [line for line in sent if not LINE.fullmatch(line)] == []
    assert PAGE.search(docstring)


@pytest.mark.parametrize(
    "docstring",
    [
        pytest.param(text, id=name.removeprefix("consul_onex.api."))
        for file in sorted((PACKAGE / "api").rglob("*.py"))
        for name, node, text in documented(file)
        if isinstance(node, ast.ClassDef)
    ],
)
def test_a_part_of_the_api_names_the_page_about_it(docstring: str) -> None:
    assert PAGE.search(docstring)


def test_there_are_methods_of_the_api_to_look_at() -> None:
    assert len(ENDPOINTS) >= 10
