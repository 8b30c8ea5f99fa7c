"""What type checkers read is Python; whether its types hold is theirs to say (`make types`)."""

from __future__ import annotations

import ast
from importlib import import_module
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.mark.parametrize("file", ["api.py", "api_whole.py"])
def test_the_uses_are_python_and_name_what_there_is(file: str) -> None:
    tree = ast.parse((HERE / file).read_text("utf-8"))

    names = [
        (node.module, alias.name)
        for node in tree.body
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("consul_onex")
        for alias in node.names
    ]

    assert compile(tree, file, "exec")
    assert len(names) > 15
    assert all(hasattr(import_module(str(module)), name) for module, name in names)
