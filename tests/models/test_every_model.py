"""What holds for every model, whichever it is."""

from __future__ import annotations

import copy
import dataclasses
import json
import pickle
import re
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from consul_onex._json import adapter_of
from consul_onex.models._base import Definition, Received, Small
from consul_onex.models.catalog import (
    CatalogDeregistration,
    CatalogRegistration,
    CatalogServiceDefinition,
)
from consul_onex.models.check import Check
from consul_onex.models.config import OtherConfigEntry
from consul_onex.models.service import ServiceRegistration
from consul_onex.models.session import SessionDefinition
from tests.support.canary import CANARY, leaks
from tests.support.shapes import documents, empty_of, least, models, shape_of

MODELS = models()
HIDDEN = CANARY.get_secret_value()


def name_of(model: type) -> str:
    return f"{model.__module__.removeprefix('consul_onex.models.')}.{model.__name__}"


# What Consul never sends: it need not be read, so it may be as strict as it likes.
WRITTEN = {
    CatalogDeregistration,
    CatalogRegistration,
    CatalogServiceDefinition,
    Check,
    ServiceRegistration,
    SessionDefinition,
}
READ = [model for model in MODELS if model not in WRITTEN]

# All but the one that keeps whatever Consul said.
CHOOSY = [model for model in MODELS if model is not OtherConfigEntry]


def each(models: list[type]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("model", models, ids=name_of)


each_model = each(MODELS)


def read(model: type, document: object) -> Any:
    return adapter_of(model).validate_json(json.dumps(document))


def test_there_are_models_to_look_at() -> None:
    assert len(MODELS) >= 230
    assert {Definition, Received} == {
        kind for kind in (Definition, Received) for model in MODELS if issubclass(model, kind)
    }


@each_model
def test_a_model_is_of_one_kind_and_of_no_other_model(model: type) -> None:
    assert model.__bases__ in ((Definition,), (Received,), (Small,))


@each_model
def test_a_model_says_what_it_is(model: type) -> None:
    # A dataclass without a docstring has its signature for one.
    assert model.__doc__
    assert not model.__doc__.startswith(f"{model.__name__}(")


@each_model
def test_a_model_is_frozen(model: type) -> None:
    made, name = read(model, least(model)), shape_of(model)[0].name

    with pytest.raises(AttributeError):
        setattr(made, name, "other")
    if issubclass(model, Received):
        assert not hasattr(made, "__dict__")
        assert all(field.kw_only for field in dataclasses.fields(cast(Any, model)))


@each_model
def test_no_two_fields_have_one_name(model: type) -> None:
    fields = [field for field in shape_of(model) if not field.excluded]

    assert len({field.wire for field in fields}) == len(fields)
    # ASCII, as all of Consul's names are, and never our own by mistake.
    assert all(re.fullmatch(r"[A-Za-z][A-Za-z0-9_.-]*", field.wire) for field in fields)


@each_model
def test_everything_may_be_missing(model: type) -> None:
    made = read(model, least(model))

    for field in shape_of(model):
        assert getattr(made, field.name) is not dataclasses.MISSING
    if issubclass(model, Received):
        assert made == model(**{name.lower(): value for name, value in least(model).items()})


@each(CHOOSY)
def test_everything_may_be_null(model: type) -> None:
    nothing = {field.wire: None for field in shape_of(model) if not field.excluded}

    assert read(model, nothing | least(model)) == read(model, least(model))


@each(READ)
def test_everything_may_be_what_go_writes_for_nothing(model: type) -> None:
    for field in shape_of(model):
        if field.excluded:
            continue
        for value in empty_of(field.type):
            read(model, least(model) | {field.wire: value})


@each(CHOOSY)
def test_what_is_new_is_passed_over(model: type) -> None:
    document = least(model)

    assert read(model, document | {"ANewField": [{"x": None}]}) == read(model, document)


@each_model
@settings(max_examples=8)
@given(data=st.data())
def test_what_is_said_is_read_and_said_again(model: type, data: st.DataObject) -> None:
    made = read(model, data.draw(documents(model)))

    said = made.to_wire()
    assert set(said) <= {field.wire for field in shape_of(model)} or model not in CHOOSY
    for other in (read(model, said), copy.deepcopy(made), pickle.loads(pickle.dumps(made))):
        assert other == made
        assert other.to_wire() == said


@each([model for model in READ if issubclass(model, Definition)])
@settings(max_examples=5)
@given(data=st.data())
def test_what_was_read_can_be_sent_again(model: type[Definition], data: st.DataObject) -> None:
    made = read(model, data.draw(documents(model)))

    body, changed = json.loads(made.body()), json.loads(made.replace().body())

    assert {name: changed.get(name) for name in body} == body
    assert {name: made.to_wire().get(name) for name in body} == body


@each_model
def test_no_repr_shows_a_secret(model: type) -> None:
    secrets = [field for field in shape_of(model) if _has_secret(field.type)]
    for field in secrets:
        made = read(model, least(model) | {field.wire: HIDDEN})

        assert leaks(json.dumps(made.to_wire()))
        assert not leaks(f"{made!r} {made!s}")


def _has_secret(hint: Any) -> bool:
    return hint is SecretStr or any(_has_secret(inner) for inner in getattr(hint, "__args__", ()))


# Free text that may hold a secret is hidden by its field.
SUSPICIOUS = re.compile(r"(?:^|_)(?:token|secret|password|passwd|private_key|pem_key)(?:_|$)")

# What only sounds like it: how long it lives, what it is called, where it lies.
HARMLESS = re.compile(
    r"_(?:ttl|type|name|id|ids|expiration|locality|count|policy|replication|format)$"
)
PATHS = {"FileSystemCertificate.private_key"}


@each_model
def test_what_is_called_a_secret_is_hidden(model: type) -> None:
    for field in shape_of(model):
        name = f"{model.__name__}.{field.name}"
        if SUSPICIOUS.search(field.name) and not (HARMLESS.search(field.name) or name in PATHS):
            assert not _is_text(field.type), f"{name} shows in a repr"


def _is_text(hint: Any) -> bool:
    return hint is str or any(_is_text(inner) for inner in getattr(hint, "__args__", ()))
