"""What the pages say is so: code runs, links lead somewhere, tables are complete."""

import ast
import dataclasses
import inspect
import re
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from textwrap import dedent
from types import CodeType
from typing import Any

import pytest

import consul_onex
from consul_onex import ConsulClient, ConsulSettings, errors, transport
from tests.support.agents import Agent

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").glob("*.md"))]
PROSE = [*PAGES, ROOT / "CHANGELOG.md", ROOT / "SECURITY.md"]

each_page = pytest.mark.parametrize("page", PROSE, ids=lambda page: page.name)


def blocks(page: Path, *, programs: bool = False) -> Iterator[CodeType]:
    """The blocks of Python in a page: the whole programs, or all others."""
    text = page.read_text()
    for found in re.finditer(r"^```python\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        if ("anyio.run(" in found[1]) is programs:
            # An error then names the line of the page.
            source = "\n" * text.count("\n", 0, found.start(1)) + found[1]
            yield compile(source, page, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


@pytest.fixture
def address(agent: Agent, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The Consul that the pages find in the environment, with the key they speak of."""
    monkeypatch.setenv("CONSUL_HTTP_ADDR", agent.url)
    agent.request("PUT", "/v1/kv/config/web", "v1")
    yield agent.url
    agent.request("DELETE", "/v1/kv/config/?recurse")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
async def test_the_code_of_a_page_runs_from_its_top(page: Path, address: str) -> None:
    names: dict[str, Any] = {}
    for block in blocks(page):
        async with ConsulClient(address) as names["c"]:
            names["ConsulClient"] = ConsulClient
            result = eval(block, names)
            if inspect.isawaitable(result):
                await result
        # What a block defines as a test, its reader would run.
        for name in [name for name in names if name.startswith("test_")]:
            test = names.pop(name)
            # With fixtures they are run as a project of its own: tests/testing/test_plugin.py.
            if not inspect.signature(test).parameters:
                await test()


@pytest.mark.usefixtures("address")
def test_the_program_of_the_readme_runs(capsys: pytest.CaptureFixture[str]) -> None:
    (program,) = blocks(README, programs=True)

    eval(program, {})

    assert capsys.readouterr().out == "web is at 127.0.0.1 8080\nv1\n"


def test_every_part_of_the_api_is_in_the_readme() -> None:
    parts = [
        name
        for name, attribute in vars(ConsulClient).items()
        if isinstance(attribute, cached_property)
    ]
    row = re.compile(r"^\| \[`c\.(\w+)`\]\(docs/endpoints\.md#c(\w+)\) \| [^|]+ \|$", re.MULTILINE)

    assert row.findall(README.read_text()) == [(part, part) for part in sorted(parts)]


@each_page
def test_a_link_leads_to_a_file_that_is_there(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", page.read_text()):
        assert (page.parent / target).exists(), target


@each_page
def test_a_make_target_in_a_page_is_there(page: Path) -> None:
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))

    assert set(re.findall(r"(?:^|`)make ([a-z0-9-]+)", page.read_text(), re.MULTILINE)) <= targets


def test_every_make_target_explains_itself() -> None:
    makefile = (ROOT / "Makefile").read_text().replace("\\\n", "")
    phony = re.search(r"^\.PHONY: (.+)$", makefile, re.MULTILINE)
    assert phony is not None

    assert set(re.findall(r"^([a-z0-9-]+):.*  ## ", makefile, re.MULTILINE)) == set(
        phony[1].split()
    )


def test_every_setting_is_documented_with_its_variables_and_default() -> None:
    page = (ROOT / "docs" / "configuration.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| ([^|]+) \| ?([^|]*) \|", page, re.MULTILINE)
    documented = {
        name: (re.findall(r"\w+", variables), default.strip(" `"))
        for name, variables, default in rows
    }

    assert documented == {
        name: (getattr(field.validation_alias, "choices", []), written(field.default))
        for name, field in ConsulSettings.model_fields.items()
    }


def written(default: Any) -> str:
    """A default as the pages write it."""
    value = getattr(default, "value", default)
    sizes = {None: "", 16 * 1024: "16 KiB", 64 * 1024 * 1024: "64 MiB"}
    if value in sizes:
        return sizes[value]
    return f"{value:g}" if isinstance(value, float) else str(value).lower()


def test_the_tree_of_errors_is_the_one_in_the_code() -> None:
    tree = dedent((errors.__doc__ or "").split("\n\n")[1])
    page = (ROOT / "docs" / "errors.md").read_text()

    assert f"```text\n{tree}\n```" in page


def test_every_layer_is_documented_with_its_fields_and_defaults() -> None:
    page = (ROOT / "docs" / "layers.md").read_text()
    sections = dict(re.findall(r"^### (\w+)\n(.*?)(?=^##)", page, re.MULTILINE | re.DOTALL))

    assert set(sections) == {name for name in transport.__all__ if is_layer(name)}
    for name, section in sections.items():
        documented = dict(re.findall(r"^\| `(\w+)` \| ([^|]*) \|", section, re.MULTILINE))
        # Clock, sleep and dice are for tests.
        fields = {
            field.name: field.default
            for field in dataclasses.fields(getattr(transport, name))
            if field.name not in ("now", "sleep", "dice")
        }
        assert list(documented) == list(fields)
        for field, default in fields.items():
            if isinstance(default, int | float):
                assert documented[field].strip("` ") == written(default), (name, field)


def is_layer(name: str) -> bool:
    return dataclasses.is_dataclass(it := getattr(transport, name)) and hasattr(it, "wrap")


def test_the_changelog_has_an_entry_for_this_version() -> None:
    assert f"## [{consul_onex.__version__}]" in (ROOT / "CHANGELOG.md").read_text()
