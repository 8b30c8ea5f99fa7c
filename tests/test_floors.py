"""Who may import whom: a module looks down only, and the house has few doors to the outside."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Final

import pytest

import consul_onex

PACKAGE = Path(consul_onex.__file__).parent
NAME: Final = "consul_onex"

# From low to high. A package stands for all of its rooms.
FLOORS: Final = {
    "the ground floor": {
        *("changes", "errors", "events", "query", "models"),
        *("_address", "_call", "_duration", "_faults", "_json", "_numbers", "_path", "_tls"),
        *("_archive", "_server", "_token", "_values", "_version"),
    },
    "the mezzanine": {"_failures", "_topic", "watch"},
    "the first floor": {"transport", "_selection", "_wire"},
    "the second floor": {"api"},
    "the third floor": {"settings", "client"},
    "the fourth floor": {"recipes"},
    "the roof": {"onex"},
    "the annex": {"testing"},
}

ANNEX: Final = "testing"

# What others of the same floor may import, who they are, and why. A package stands for all of its
# rooms here too.
PAIRS: Final = {
    "errors": (
        {
            *("_address", "_archive", "_duration", "_faults", "_json", "_numbers", "_path"),
            *("_tls", "_token", "_values"),
            *("changes", "query", "models"),
        },
        "what they refuse they refuse with an error of the tree",
    ),
    "events": ({"_call"}, "the card hands on the events of its call"),
    "_call": ({"_token"}, "the card says what can be a token"),
    "_numbers": ({"query"}, "a cursor's wait is a number that a caller gives"),
    "_duration": ({"models._base"}, "a model has durations"),
    "_json": ({"models._base", "models.kv"}, "a value is decoded as an answer is"),
    "models._base": ({"models"}, "every file of models reads Consul's habits from there"),
    "models.snapshot": ({"_archive"}, "what an archive says of itself"),
    "transport._layer": (
        {
            *("transport.authorize", "transport.body", "transport.breaker"),
            *("transport.datacenter", "transport.deadline", "transport.events"),
            *("transport.limit", "transport.retry"),
        },
        "what all layers need to know of a request and an error",
    ),
    "transport._connection": (
        {"transport.connections", "transport._h11", "transport._llhttp", "settings", "client"},
        "what those who keep connections need of them",
    ),
    "transport._h11": ({"transport.connections"}, "one kind of its connections"),
    "transport._llhttp": ({"transport.connections"}, "the other kind"),
    "transport._network": (
        {"transport._h11", "transport._llhttp", "transport.connections"},
        "the sockets below them, and their clock",
    ),
    "transport._asyncio_network": ({"transport._network"}, "the sockets of one event loop"),
    "models.check": ({"models"}, "what is registered brings its checks along"),
    "models.service": ({"models"}, "instances are told of in many places"),
    "models.catalog": ({"models"}, "health and transactions tell of nodes too"),
    "models.acl": ({"models.namespace"}, "a namespace has policies and roles for everybody"),
    "models.connect": ({"models"}, "config entries have intentions, agents have certificates"),
    "models.config": ({"models.discovery_chain"}, "a chain is made of what entries are made of"),
    "models.config._parts": ({"models.config"}, "entries of several kinds have these"),
    "models.coordinate": ({"models.agent"}, "an agent has a place in the network"),
    "models.health": ({"models"}, "a prepared query finds entries too"),
    "models.kv": ({"models.txn"}, "a transaction leaves pairs behind"),
    "_topic": ({"watch"}, "a watch is one of those who follow a topic"),
    "_wire": ({"_selection"}, "a selection asks it whether the server heeds all of it"),
    "api._bulk": ({"api.kv"}, "how many keys are written"),
    "api.acl._one": ({"api.acl"}, "how old servers say that something is not there"),
    "recipes.session": ({"recipes"}, "whatever is held is held by a session"),
    "recipes.lock": (
        {"recipes.election", "recipes.once", "recipes.semaphore"},
        "they hold as a lock holds",
    ),
    "settings": ({"client"}, "from_env reads them; imported when it is called"),
}

# What stands on the roof sees of the house what everybody sees: the names that these export.
DOORS: Final = {"", "events", "models", "transport"}

# Both event loops, no threads, and a clock that is an argument.
NOWHERE: Final = {
    "trio",
    "threading",
    "_thread",
    "concurrent",
    "multiprocessing",
}

ONLY_IN: Final = {
    "httpx": {"transport", "_failures", "_wire", "client", "testing"},
    "httpcore": {"transport"},
    "httptools": {"transport._llhttp"},
    # Trio has its own; which of the two a program runs is asked where sockets are opened.
    "asyncio": {"transport._asyncio_network"},
    "anyio": {
        *("transport", "_topic", "_wire", "watch", "api.kv", "api._bulk", "api.snapshot"),
        *("recipes", "onex", "testing"),
    },
    "pydantic_settings": {"settings"},
    # A clock is an argument. Only these count the time of a machine that is suspended, and wait for
    # a process to start.
    "time": {"recipes.session", "testing._process"},
}


def module_of(file: Path) -> str:
    """The dotted name of a file below the package; a door has its package's, the front door ""."""
    parts = file.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(file: Path, source: str) -> Iterator[tuple[int, str]]:
    """The line and the absolute name of everything a file imports, wherever it does."""
    here = [NAME, *file.parent.parts]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            base = here[: len(here) - node.level + 1] if node.level else []
            stem = [*base, *([node.module] if node.module else [])]
            for alias in node.names:
                yield node.lineno, ".".join([*stem, alias.name])


def floor_of(module: str) -> str | None:
    head = module.partition(".")[0]
    return next((name for name, rooms in FLOORS.items() if head in rooms), None)


def is_in(module: str, places: set[str]) -> bool:
    return any(module == place or module.startswith(place + ".") for place in places)


def problem_of(module: str, target: str, modules: set[str]) -> str | None:
    """What is wrong with an import, if something is."""
    first = target.partition(".")[0]
    if first != NAME:
        if first in NOWHERE:
            return f"imports {first}, which nothing here may"
        if first in ONLY_IN and not is_in(module, ONLY_IN[first]):
            return f"imports {first}, which only {', '.join(sorted(ONLY_IN[first]))} may"
        return None
    # A name from a module, or the module itself: the longest part that is a file.
    room = target.removeprefix(NAME).removeprefix(".")
    while room and room not in modules:
        room = room.rpartition(".")[0]
    if module == "":
        return None
    if floor_of(module) == "the roof":
        return None if is_in(room, {"onex"}) else problem_on_the_roof(target, room)
    if room == "":
        return "imports the front door"
    mine, theirs = floor_of(module), floor_of(room)
    order = list(FLOORS)
    if mine is None or theirs is None:
        return f"{module if mine is None else room} is on no floor: give it a place in FLOORS"
    if order.index(theirs) > order.index(mine):
        return f"is on {mine} and imports {room}, which is above it, on {theirs}"
    if is_in(module, {ANNEX}):
        # A stand-in that shared code with those it is to test would agree with their mistakes.
        return None if is_in(room, {ANNEX}) else f"imports {room}, and the annex stands alone"
    at_its_own_door = room.startswith(module + ".")
    listed = is_in(module, PAIRS.get(room, (set(), ""))[0])
    if mine == theirs and not at_its_own_door and not listed:
        return f"imports {room}, which is on {mine} as well; PAIRS does not list the two"
    return None


def problem_on_the_roof(target: str, room: str) -> str | None:
    door, name = f"{NAME}.{room}".rstrip("."), target.rpartition(".")[2]
    if room in DOORS and name in import_module(door).__all__:
        return None
    return f"imports {target}, which is not public"


def problems(file: Path, source: str, modules: set[str]) -> list[str]:
    """What is wrong with a file's imports, with its lines. `file` is relative to the package."""
    found = [
        (line, problem_of(module_of(file), target, modules))
        for line, target in imports(file, source)
    ]
    return [f"{NAME}/{file.as_posix()}:{line}: {problem}" for line, problem in found if problem]


FILES = sorted(file.relative_to(PACKAGE) for file in PACKAGE.rglob("*.py"))
MODULES = {module_of(file) for file in FILES}


@pytest.mark.parametrize("file", FILES, ids=str)
def test_a_module_looks_down_only(file: Path) -> None:
    found = problems(file, (PACKAGE / file).read_text("utf-8"), MODULES)

    assert found == []


def test_each_listed_pair_is_there() -> None:
    used = {
        (module_of(file), name)
        for file in FILES
        for _, target in imports(file, (PACKAGE / file).read_text("utf-8"))
        for name in PAIRS
        if target.startswith(f"{NAME}.{name}.") or target == f"{NAME}.{name}"
    }

    for name, (who, _) in PAIRS.items():
        for one in who:
            assert any(is_in(module, {one}) for module, room in used if room == name), (one, name)


@pytest.mark.parametrize(
    ("file", "source", "problem"),
    [
        ("query.py", "from .client import ConsulClient", "imports client, which is above it"),
        ("query.py", "from . import _wire", "imports _wire, which is above it"),
        ("_path.py", "from consul_onex import client", "imports client, which is above it"),
        ("_path.py", "import consul_onex.api.kv", "imports api.kv, which is above it"),
        ("watch.py", "from ._wire import Wire", "imports _wire, which is above it"),
        ("_failures.py", "from .watch import Watch", "PAIRS does not list the two"),
        ("_wire.py", "from .transport import Retry", "PAIRS does not list the two"),
        ("transport/retry.py", "from .breaker import Circuit", "PAIRS does not list the two"),
        ("transport/retry.py", "from .. import _wire", "PAIRS does not list the two"),
        ("api/kv.py", "from .status import Status", "PAIRS does not list the two"),
        ("models/__init__.py", "from .._wire import Answer", "imports _wire, which is above it"),
        ("errors.py", "from . import ConsulClient", "imports the front door"),
        ("news.py", "from .errors import ConsulError", "news is on no floor"),
        ("watch.py", "import asyncio", "imports asyncio, which only transport._asyncio_network"),
        (
            "transport/retry.py",
            "from time import sleep",
            "imports time, which only recipes.session",
        ),
        ("client.py", "from .recipes import Lock", "imports recipes, which is above it"),
        ("api/kv.py", "from ..recipes.lock import Held", "imports recipes.lock, which is above it"),
        ("recipes/session.py", "from .lock import Lock", "PAIRS does not list the two"),
        ("recipes/lock.py", "from .election import Term", "PAIRS does not list the two"),
        ("watch.py", "import concurrent.futures", "imports concurrent, which nothing here may"),
        ("watch.py", "import httpx", "imports httpx, which only _failures, _wire, client"),
        ("client.py", "from anyio import Event", "imports anyio, which only _topic, _wire"),
        ("_wire.py", "import httpcore", "imports httpcore, which only transport may"),
        ("client.py", "from .testing import FakeAgent", "imports testing, which is above it"),
        ("testing/_kv.py", "from ..models.kv import KVPair", "and the annex stands alone"),
        ("testing/_kv.py", "from .. import _duration", "and the annex stands alone"),
        ("client.py", "from .onex import consul", "imports onex.consul, which is above it"),
        ("onex/errors.py", "from .._wire import Wire", "Wire, which is not public"),
        ("onex/errors.py", "from ..api.kv import KV", "KV, which is not public"),
        ("onex/errors.py", "from .. import _path", "_path, which is not public"),
        ("onex/mixins.py", "from ..transport import stacked", "stacked, which is not public"),
        ("onex/mixins.py", "import httpx", "imports httpx, which only _failures, _wire, client"),
    ],
)
def test_a_look_upwards_is_told_with_its_file_and_line(
    file: str, source: str, problem: str
) -> None:
    planted = f'"""What it is for."""\n\ndef later():\n    {source}\n'

    found = problems(Path(file), planted, MODULES | {"news"})

    assert len(found) == 1
    assert found[0].startswith(f"consul_onex/{file}:4: ")
    assert problem in found[0]


@pytest.mark.parametrize(
    ("file", "source"),
    [
        ("client.py", "from .transport import Retry"),
        ("client.py", "from .settings import ConsulSettings"),
        ("api/kv.py", "from ..watch import Watch"),
        ("transport/__init__.py", "from .retry import Retry"),
        ("transport/retry.py", "from ._layer import call_of"),
        ("transport/retry.py", "import httpx"),
        ("__init__.py", "from .client import ConsulClient"),
        ("query.py", "import math"),
        ("testing/_kv.py", "from ._state import State"),
        ("testing/agent.py", "import httpx"),
        ("onex/errors.py", "from .enums import EnumCoreErrorCode"),
        ("onex/errors.py", "from .. import ConsulError"),
        ("onex/mixins.py", "from ..transport import Circuit"),
        ("recipes/lock.py", "from ..client import ConsulClient"),
        ("recipes/election.py", "from .lock import Held"),
    ],
)
def test_a_look_down_or_beside_where_that_is_listed_is_fine(file: str, source: str) -> None:
    assert problems(Path(file), source, MODULES) == []


# -- the fourth floor ------------------------------------------------------------------------------

RECIPES = [file for file in FILES if file.parts[0] == "recipes"]


def inner_rooms(file: Path, source: str) -> list[str]:
    """What a file imports from the package that its users are not meant to import."""
    return [
        name
        for _, name in imports(file, source)
        if name.startswith(f"{NAME}.") and "._" in name.removeprefix(NAME)
    ]


@pytest.mark.parametrize("file", RECIPES, ids=str)
def test_recipes_are_made_of_what_is_public(file: Path) -> None:
    assert inner_rooms(file, (PACKAGE / file).read_text("utf-8")) == []


def test_a_recipe_that_looks_behind_the_front_door_is_told() -> None:
    planted = "from .._wire import Wire\nfrom ..client import ConsulClient\n"

    assert inner_rooms(Path("recipes/lock.py"), planted) == ["consul_onex._wire.Wire"]
    assert len(RECIPES) >= 5
