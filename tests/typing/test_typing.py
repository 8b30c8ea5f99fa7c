"""What type checkers read is Python; whether its types hold is theirs to say (`make types`)."""

from __future__ import annotations

import ast
from importlib import import_module
from pathlib import Path

API = Path(__file__).with_name("api.py")


def test_the_uses_are_python_and_name_what_there_is() -> None:
    tree = ast.parse(API.read_text("utf-8"))

    names = [
        (node.module, alias.name)
        for node in tree.body
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("consul_onex")
        for alias in node.names
    ]

    assert compile(tree, str(API), "exec")
    assert len(names) > 15
    assert all(hasattr(import_module(str(module)), name) for module, name in names)
