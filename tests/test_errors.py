"""The error tree: as it is drawn, with its facts, and able to travel."""

from __future__ import annotations

import copy
import inspect
import pickle
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from consul_onex import errors
from consul_onex.errors import ConsulError, OperationError, TransactionError

CLASSES = [
    value
    for value in vars(errors).values()
    if isinstance(value, type) and issubclass(value, ConsulError)
]


def drawn() -> Iterator[tuple[str, str]]:
    """Each class in the docstring's tree with the one it stands under."""
    path: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        if not line.startswith("    "):
            continue
        depth = (len(line) - len(line.lstrip()) - 4) // 2
        path[depth:] = [line.split()[0]]
        yield path[-1], path[-2] if depth else "Exception"


def filled(kind: type[ConsulError]) -> ConsulError:
    """An error with a value of its own in each field that its class knows."""
    values: dict[str, Any] = {
        "operation": "kv.put",
        "setting": "CONSUL_HTTP_ADDR",
        "circuit": "consul.dc1",
        "retry_after": 2.5,
        "status": 500,
        "detail": "because",
        "key": "locks/report",
        "session": "1e9c36cc-4d5c-4b0f-8a55-5f0b0f6d1d11",
        "timed_out": True,
    }
    known = inspect.signature(kind).parameters
    error = kind("it broke", **{name: values[name] for name in known if name != "message"})
    if isinstance(error, TransactionError):
        error.errors = (OperationError(1, "no such key"),)
    return error


def pickled(error: ConsulError) -> ConsulError:
    arrived: ConsulError = pickle.loads(pickle.dumps(error))
    return arrived


def test_the_tree_is_as_it_is_drawn() -> None:
    tree = {kind.__name__: kind.__base__.__name__ for kind in CLASSES if kind.__base__}

    assert dict(drawn()) == tree
    assert len(tree) == len(CLASSES) > 20


def test_no_error_of_the_language_is_among_them() -> None:
    # `except OSError` around a call must not catch ours by accident.
    assert all(
        set(kind.__mro__) <= {*CLASSES, Exception, BaseException, object} for kind in CLASSES
    )


@pytest.mark.parametrize("kind", CLASSES)
def test_an_error_says_its_operation_first(kind: type[ConsulError]) -> None:
    assert str(filled(kind)) == "kv.put: it broke"
    assert str(kind("it broke")) == "it broke"


@pytest.mark.parametrize("kind", CLASSES)
@pytest.mark.parametrize("travel", [copy.copy, copy.deepcopy, pickled])
def test_an_error_travels_with_its_facts(
    kind: type[ConsulError], travel: Callable[[ConsulError], ConsulError]
) -> None:
    error = filled(kind)

    arrived = travel(error)

    assert type(arrived) is kind
    assert (str(arrived), arrived.args, vars(arrived)) == (str(error), error.args, vars(error))
    assert vars(error)


@pytest.mark.parametrize("kind", CLASSES)
def test_an_error_can_be_made_of_a_message_alone(kind: type[ConsulError]) -> None:
    error = kind("it broke")

    assert error.operation is None
    assert error.args == ("it broke",)


@pytest.mark.parametrize("kind", CLASSES)
def test_an_error_takes_every_field_of_those_above_it(kind: type[ConsulError]) -> None:
    mine = set(vars(filled(kind)))
    above = {name for one in kind.__mro__ if one in CLASSES for name in vars(filled(one))}

    assert mine >= above


@pytest.mark.parametrize("kind", CLASSES)
def test_no_error_gives_a_field_of_another_a_second_meaning(kind: type[ConsulError]) -> None:
    inherited = {name for one in kind.__mro__[1:] for name in vars(one)}
    own = {name for name in vars(kind) if not name.startswith("__")}

    assert not own & inherited


def test_what_failed_in_a_transaction_is_part_of_no_other() -> None:
    first, second = TransactionError("one"), TransactionError("two")
    first.errors = (OperationError(0, "no"),)

    assert second.errors == ()
