"""The two kinds of model: strict where a caller writes, tolerant where Consul speaks."""

from __future__ import annotations

import copy
import gc
import json
import math
import pickle
import traceback
from dataclasses import FrozenInstanceError, dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr, TypeAdapter, ValidationError

from consul_onex._json import adapter_of, problem_of
from consul_onex.errors import InvalidRequestError
from consul_onex.models._base import (
    U64,
    Bytes,
    Definition,
    Duration,
    Nanoseconds,
    NoneIfEmpty,
    NullIs,
    Received,
    Secret,
    Small,
    Time,
    named,
    rows_of,
    wire_name,
)
from tests.support.canary import CANARY, leaks

HIDDEN = CANARY.get_secret_value()


class Part(Definition):
    """A definition inside of another."""

    name: str
    weight: int = 1
    token: Secret | None = None


class Whole(Definition):
    """A definition with a field of each kind."""

    id: str
    ttl: Duration | None = None
    pause: Nanoseconds | None = None
    at: Time = None
    data: Bytes = b""
    flags: U64 = 0
    share: float = 0.5
    token: Secret | None = None
    part: Part | None = None
    parts: list[Part] = []  # noqa: RUF012
    by_name: dict[str, Part] = {}  # noqa: RUF012
    free: dict[str, Any] = {}  # noqa: RUF012
    odd: Annotated[str | None, named("odd-one")] = None
    create_index: int = 0
    modify_index: int = 0
    hash: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row(Received):
    """An answer with a field of each kind."""

    id: str = ""
    ok: bool = False
    count: int = 7
    ttl: Duration = 0.0
    pause: Nanoseconds = 0.0
    at: Time = None
    data: Bytes = b""
    token: Secret | None = None
    names: list[str] = field(default_factory=list)
    part: Part | None = None
    parts: list[Part] = field(default_factory=list)
    free: dict[str, Any] = field(default_factory=dict)
    odd: Annotated[str | None, named("odd-one")] = None


def row(**said: Any) -> Row:
    return adapter_of(Row).validate_json(json.dumps(said))


def whole(**said: Any) -> Whole:
    return adapter_of(Whole).validate_json(json.dumps(said))


def everything_said(error: BaseException) -> str:
    """The text of an error, of all behind it, and of the locals of our frames."""
    frames = [
        frame.f_locals
        for frame, _ in traceback.walk_tb(error.__traceback__)
        if "consul_onex" in frame.f_code.co_filename
    ]
    assert frames
    return "".join(traceback.format_exception(error)) + repr(frames)


# -- written by a caller ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({}, "Whole.id must be given"),
        ({"ID": "a"}, "Whole.id must be given"),
        ({"id": 1}, "Whole.id: Input should be a valid string"),
        ({"id": None}, "Whole.id: Input should be a valid string"),
        ({"id": "a", "idd": "b"}, "Whole.idd: there is no such field"),
        ({"id": "a", "odd-one": "b"}, "Whole.odd-one: there is no such field"),
        ({"id": "a", "data": "b"}, "Whole.data: Input should be a valid bytes"),
        ({"id": "a", "data": None}, "Whole.data: Input should be a valid bytes"),
        ({"id": "a", "free": None}, "Whole.free: Input should be a valid dictionary"),
        ({"id": "a", "parts": ()}, "Whole.parts: Input should be a valid list"),
        ({"id": "a", "flags": True}, "Whole.flags: Input should be a valid integer"),
        ({"id": "a", "flags": 1.0}, "Whole.flags: Input should be a valid integer"),
        ({"id": "a", "flags": -1}, "Whole.flags: Input should be greater than or equal to 0"),
        ({"id": "a", "flags": 2**64}, f"Whole.flags: Input should be less than {2**64}"),
        ({"id": "a", "ttl": "5s"}, "Whole.ttl: Input should be a valid number"),
        ({"id": "a", "ttl": True}, "Whole.ttl: Input should be a valid number"),
        ({"id": "a", "ttl": -1}, "Whole.ttl: Input should be greater than or equal to 0"),
        ({"id": "a", "ttl": math.nan}, "Whole.ttl: Input should be a finite number"),
        ({"id": "a", "pause": math.inf}, "Whole.pause: Input should be a finite number"),
        ({"id": "a", "at": "2026-01-01T00:00:00Z"}, "Whole.at: Input should be a valid datetime"),
        ({"id": "a", "at": datetime(2026, 1, 1)}, "Whole.at: Input should have timezone info"),  # noqa: DTZ001
        ({"id": "a", "token": 5}, "Whole.token: Input should be a valid string"),
        ({"id": "a", "part": {"name": 5}}, "Whole.part.name: Input should be a valid string"),
        ({"id": "a", "part": {"name": "b", "x": 1}}, "Whole.part.x: there is no such field"),
        ({"id": "a", "part": {}}, "Whole.part.name: Input should be a valid string"),
        ({"id": "a", "parts": [{}]}, "Whole.parts.0.name: Input should be a valid string"),
        (
            {"id": "a", "parts": [None]},
            "Whole.parts.0: Input should be a valid dictionary or instance of Part",
        ),
        ({"id": "a", "by_name": {"b": {"name": None}}}, "Whole.by_name.b.name: Input should be a"),
    ],
    ids=str,
)
def test_what_cannot_be_meant_is_refused_by_its_place(given: dict[str, Any], problem: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        Whole(**given)

    assert str(caught.value).startswith(problem)
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)


def test_what_is_wrong_in_very_many_places_is_told_by_their_number() -> None:
    with pytest.raises(InvalidRequestError, match=r"^Whole: wrong in 5001 places$"):
        Whole(id="a", parts=[None] * 5000)  # type: ignore[list-item]


def test_an_argument_must_be_named() -> None:
    with pytest.raises(TypeError):
        Whole("a")  # type: ignore[call-arg]


def test_a_part_can_be_given_as_a_dict_in_our_names() -> None:
    # What a type checker would refuse, and what is meant nonetheless.
    made = Whole(id="a", part={"name": "b"}, parts=[{"name": "c", "weight": 2}])  # type: ignore[arg-type, list-item]

    assert made == Whole(id="a", part=Part(name="b"), parts=[Part(name="c", weight=2)])


@pytest.mark.parametrize(
    "given",
    [
        {"id": "a", "token": HIDDEN, "flags": "x"},
        {"token": HIDDEN},
        {"id": "a", HIDDEN: "x", "flags": HIDDEN} | {"free": HIDDEN},
        {"id": "a", "part": {"name": "b", "token": HIDDEN, "weight": HIDDEN}},
        {"id": "a", "ttl": HIDDEN},
        {"id": "a", "at": HIDDEN},
    ],
    ids=["beside it", "alone", "another", "inside", "a duration", "a time"],
)
def test_a_refusal_holds_nothing_that_was_given(given: dict[str, Any]) -> None:
    given.pop(HIDDEN, None)
    with pytest.raises(InvalidRequestError) as caught:
        Whole(**given)

    assert not leaks(everything_said(caught.value))


def test_it_cannot_be_changed_and_the_refusal_does_not_quote() -> None:
    made = Whole(id="a")

    with pytest.raises(AttributeError, match=r"Whole cannot be changed; replace\(\)") as caught:
        made.token = CANARY

    assert not leaks(str(caught.value))
    assert made.token is None


def test_a_changed_copy_keeps_the_rest_and_is_checked() -> None:
    made = Whole(id="a", ttl=5, token=CANARY, free={"x": None})

    changed = made.replace(ttl=7.5)

    assert changed == Whole(id="a", ttl=7.5, token=CANARY, free={"x": None})
    assert made.ttl == 5
    with pytest.raises(InvalidRequestError, match=r"^Whole.ttl: "):
        made.replace(ttl="7s")
    with pytest.raises(InvalidRequestError, match=r"^Whole.tll: there is no such field"):
        made.replace(tll=7)


@pytest.mark.parametrize("made", [Part(name="a"), Part(name="a", token=CANARY)], ids=str)
def test_equal_ones_without_lists_have_one_hash(made: Part) -> None:
    assert hash(made) == hash(made.replace())


# -- the body of a request -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "body"),
    [
        ({}, {}),
        ({"ttl": None, "token": None}, {}),
        ({"flags": 0, "data": b"", "parts": [], "free": {}}, None),
        ({"ttl": 90, "pause": 1.5}, {"TTL": "90s", "Pause": 1_500_000_000}),
        ({"data": b"\0\xff", "flags": 2**64 - 1}, {"Data": "AP8=", "Flags": 2**64 - 1}),
        ({"token": CANARY}, {"Token": HIDDEN}),
        ({"token": HIDDEN}, {"Token": HIDDEN}),
        ({"part": Part(name="b")}, {"Part": {"Name": "b"}}),
        (
            {"by_name": {"k": Part(name="b", weight=1)}},
            {"ByName": {"k": {"Name": "b", "Weight": 1}}},
        ),
        ({"free": {"x": None, "y": [None]}}, {"Free": {"x": None, "y": [None]}}),
        ({"odd": ""}, {"odd-one": ""}),
        ({"create_index": 7, "modify_index": 9, "hash": "x"}, {}),
        (
            {"at": datetime(2026, 1, 2, 3, 4, 5, 600_000, UTC)},
            {"At": "2026-01-02T03:04:05.600000Z"},
        ),
    ],
)
def test_what_was_given_is_sent_and_nothing_else(
    given: dict[str, Any], body: dict[str, Any] | None
) -> None:
    if body is None:
        body = {"Flags": 0, "Data": "", "Parts": [], "Free": {}}

    assert json.loads(Whole(id="a", **given).body()) == {"ID": "a"} | body


@pytest.mark.parametrize(
    "given",
    [
        {"share": math.nan},
        {"share": -math.inf},
        {"free": {"x": math.nan}},
        {"free": {"x": object}},
        {"free": {"x": "\ud800"}},
        {"id": "\ud800"},
    ],
    ids=ascii,
)
def test_what_json_has_no_word_for_is_refused(given: dict[str, Any]) -> None:
    made = Whole(**dict[str, Any](id="a") | given)

    with pytest.raises(
        InvalidRequestError, match="^this Whole cannot be written as JSON"
    ) as caught:
        made.body()

    assert (caught.value.__cause__, caught.value.__context__) == (None, None)


def test_a_definition_that_is_its_own_part_is_refused() -> None:
    endless: dict[str, Any] = {}
    endless["x"] = endless

    with pytest.raises(InvalidRequestError):
        Whole(id="a", free=endless).body()


def test_what_consul_gave_back_can_be_sent_again() -> None:
    said = {"ID": "a", "TTL": "1m30s", "Free": {"x": None}, "CreateIndex": 7, "ModifyIndex": 9}
    read = whole(**said, Hash="x", New=1)

    assert (read.modify_index, read.hash) == (9, "x")
    assert json.loads(read.body()) == {"ID": "a", "TTL": "90s", "Free": {"x": None}}
    assert json.loads(read.replace(ttl=5).body()) == {"ID": "a", "TTL": "5s", "Free": {"x": None}}
    assert read.replace(ttl=5).modify_index == 9
    assert read.to_wire() == said | {"TTL": "90s", "Hash": "x"}


# -- said by Consul --------------------------------------------------------------------------------


def test_what_is_missing_is_empty() -> None:
    assert row() == Row()
    assert whole() == Whole(id="")
    assert row(Part={}).part == Part(name="")


def test_null_is_as_good_as_missing() -> None:
    nothing = dict.fromkeys(("ID", "Ok", "Count", "TTL", "Pause", "At", "Data", "Token", "Names"))

    assert row(**nothing, Part=None, Parts=None, Free=None) == Row()
    assert whole(ID=None, Parts=None, Flags=None) == Whole(id="")
    assert row(Parts=[{"Name": None, "Weight": None}]).parts == [Part(name="")]
    assert row().count == row(Count=None).count == 7


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder(Received):
    """What has a part, or none."""

    part: Annotated[Row | None, NoneIfEmpty] = None


@pytest.mark.parametrize("said", [None, {}, {"ID": ""}, {"Part": {}, "ID": "", "New": ""}], ids=str)
def test_a_part_with_nothing_in_it_may_stand_for_none(said: Any) -> None:
    assert adapter_of(Holder).validate_json(json.dumps({"Part": said})) == Holder()
    assert Holder(part=Row()).part == Row()


def test_a_part_with_something_in_it_is_a_part() -> None:
    said = {"Part": {"ID": "", "Count": 0}}

    assert adapter_of(Holder).validate_json(json.dumps(said)) == Holder(part=Row(count=0))


@pytest.mark.parametrize(
    ("said", "problem"),
    [({"ID": "", "Count": "x"}, "Part.Count: int_parsing"), ([], "Part: dataclass_type")],
    ids=str,
)
def test_a_part_that_is_damaged_is_not_taken_for_none(said: Any, problem: str) -> None:
    with pytest.raises(ValidationError) as caught:
        adapter_of(Holder).validate_json(json.dumps({"Part": said}))

    assert problem_of(caught.value) == problem


def test_what_is_empty_is_nobody_elses() -> None:
    row().names.append("x")
    row(Names=None).names.append("x")
    whole(Parts=None).parts.append(Part(name="x"))

    assert (row().names, row(Names=None).names, whole(Parts=None).parts) == ([], [], [])


def test_what_is_new_is_passed_over() -> None:
    assert row(New=[{"x": 1}], ID="a", Parts=[{"Name": "b", "New": {}}]) == Row(
        id="a", parts=[Part(name="b")]
    )


def test_our_own_names_mean_nothing_to_consul() -> None:
    assert row(id="a", odd="b") == Row()
    assert whole(id="a", odd="b") == Whole(id="")


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        ({"ID": 5}, "ID: string_type"),
        ({"Names": "a"}, "Names: list_type"),
        ({"Names": [5]}, "Names.0: string_type"),
        ({"Part": []}, "Part: model_type"),
        ({"Parts": [{"Weight": "x"}]}, "Parts.0.Weight: int_parsing"),
        ({"Count": {}}, "Count: int_type"),
    ],
    ids=str,
)
def test_what_is_damaged_is_told_by_its_place(said: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValidationError) as caught:
        row(**said)

    assert problem_of(caught.value) == problem


@pytest.mark.parametrize("said", ["null", "[]", "5", '"x"', ""])
def test_what_is_no_object_is_no_model(said: str) -> None:
    for model in (Row, Whole):
        with pytest.raises(ValidationError):
            adapter_of(model).validate_json(said)


def test_a_row_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        Row().id = "a"  # type: ignore[misc]


def test_a_row_says_it_as_consul_does() -> None:
    read = row(ID="a", TTL="1m30s", Pause=5, Data="AP8=", Token=HIDDEN, Part={"Name": "b"})

    assert read.to_wire() == {
        "ID": "a",
        "Ok": False,
        "Count": 7,
        "TTL": "90s",
        "Pause": 5,
        "Data": "AP8=",
        "Token": HIDDEN,
        "Names": [],
        "Part": {"Name": "b", "Weight": 1},
        "Parts": [],
        "Free": {},
    }


@pytest.mark.parametrize("said", ["null", "[]", '[{"ID": "a"}]'])
def test_a_list_of_rows_may_be_null(said: str) -> None:
    assert rows_of(Row).validate_json(said) == [row(**one) for one in json.loads(said) or []]


def test_null_inside_of_a_container_is_what_it_is_marked_as() -> None:
    lists = TypeAdapter(dict[str, Annotated[list[str], NullIs(list)]])

    assert lists.validate_json('{"a": null, "b": ["c"]}') == {"a": [], "b": ["c"]}
    with pytest.raises(ValidationError):
        lists.validate_python({"a": None})


@pytest.mark.parametrize("together", [list[Part], tuple[Part, Part], Row, Whole], ids=str)
def test_a_model_is_built_once_whatever_it_is_a_part_of(together: Any) -> None:
    Part(name="a")
    built = str(Part.__pydantic_core_schema__)

    TypeAdapter(together)

    assert built.startswith("{")
    assert str(Part.__pydantic_core_schema__) == built


# -- small definitions -----------------------------------------------------------------------------


class Place(Small):
    """A small definition: with a field that must be given, and one that need not be."""

    name: str
    port: int = 0


def place(**said: Any) -> Place:
    return adapter_of(Place).validate_json(json.dumps(said))


@pytest.mark.parametrize(
    ("read", "made"),
    [
        (place(Name="a", Port=5), Place(name="a", port=5)),
        (place(Port=5, Name="a", New={"x": 1}), Place(name="a", port=5)),
        (place(Name="a", Port=None), Place(name="a", port=0)),
        (place(Name="a"), Place(name="a")),
        (place(Port=5), Place(name="", port=5)),
        (place(), Place(name="")),
    ],
    ids=str,
)
def test_a_small_definition_is_one_whether_it_came_whole_or_not(read: Place, made: Place) -> None:
    for one in (read, copy.copy(read), copy.deepcopy(read), pickle.loads(pickle.dumps(read))):
        assert (one, hash(one)) == (made, hash(made))
        assert one.name == made.name
        assert one.replace(port=7) == made.replace(port=7)
    assert read.model_fields_set - {"name"} == made.model_fields_set - {"name"}
    assert read.to_wire() | {"Name": made.name} == made.to_wire()


def test_what_pydantic_keeps_of_a_model_is_not_consuls_to_say() -> None:
    kept = {"__pydantic_fields_set__": ["x"], "__pydantic_extra__": {"x": 1}, "__dict__": {"x": 1}}

    read = place(Name="a", Port=5, **kept)

    assert vars(read) == {"name": "a", "port": 5}
    assert (read.model_fields_set, read.model_extra) == ({"name", "port"}, None)


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        ({"Name": "a", "Port": "x"}, "Port: int_parsing"),
        ({"Name": 5}, "Name: string_type"),
        ([], "the whole: model_type"),
        (None, "the whole: model_type"),
    ],
    ids=str,
)
def test_a_small_definition_that_is_damaged_is_told_by_its_place(said: Any, problem: str) -> None:
    with pytest.raises(ValidationError) as caught:
        adapter_of(Place).validate_json(json.dumps(said))

    assert problem_of(caught.value) == problem


def test_a_small_definition_is_strict_where_a_caller_writes_it() -> None:
    with pytest.raises(InvalidRequestError, match=r"Place.port: "):
        Place(name="a", port="5")  # type: ignore[arg-type]
    with pytest.raises(AttributeError, match="cannot be changed"):
        place(Name="a", Port=5).port = 6


def test_a_small_definition_has_one_schema_for_others_to_read() -> None:
    said = TypeAdapter(dict[str, Place]).json_schema()

    assert set(said["additionalProperties"]["properties"]) == {"Name", "Port"}


def test_a_small_definition_that_came_whole_is_one_object_to_the_garbage_collector() -> None:
    rows, content = rows_of(Place), json.dumps([{"Name": "a", "Port": 5}] * 1000)
    rows.validate_json(content)
    before = len(gc.get_objects())

    read = rows.validate_json(content)

    assert len(gc.get_objects()) - before < 1100 < 2 * len(read)


# -- types -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("", 0.0),
        ("0", 0.0),
        ("0s", 0.0),
        (None, 0.0),
        ("15s", 15.0),
        ("1h", 3600.0),
        ("1h0m0s", 3600.0),
        ("1m30s", 90.0),
        ("1.5s", 1.5),
        ("1500ms", 1.5),
        ("250us", 0.00025),
        ("250µs", 0.00025),
        ("71.3µs", 0.0000713),
        ("1ns", 1e-9),
        ("2562047h47m16.854775807s", 9223372036.854776),
        ("-1ns", -1e-9),
        (0, 0.0),
        (15_000_000_000, 15.0),
        (1_500_000_000, 1.5),
        (1, 1e-9),
        (-1, -1e-9),
        (2.5e9, 2.5),
    ],
)
def test_a_duration_is_read_in_every_notation(said: object, seconds: float) -> None:
    assert row(TTL=said).ttl == pytest.approx(seconds, abs=1e-12)
    assert row(Pause=said).pause == pytest.approx(seconds, abs=1e-12)


@pytest.mark.parametrize(
    "said", ["s", "5", "5 s", "ten", True, [], {}, "9" * 400 + "s"], ids=lambda said: str(said)[:9]
)
def test_what_is_no_duration_is_damaged(said: object) -> None:
    with pytest.raises(ValidationError):
        row(TTL=said)


def test_a_number_without_end_is_no_duration() -> None:
    with pytest.raises(ValidationError):
        adapter_of(Row).validate_json('{"TTL": 1e400}')


@pytest.mark.parametrize(
    ("seconds", "text", "number"),
    [
        (0, "0s", 0),
        (90, "90s", 90_000_000_000),
        (1.1, "1100ms", 1_100_000_000),
        (0.0000713, "71300ns", 71_300),
        (1e-9, "1ns", 1),
        (1e-12, "1ns", 1),
        (-1.5, "-1500ms", -1_500_000_000),
        (-1e-9, "-1ns", -1),
    ],
)
def test_a_duration_is_written_to_the_nanosecond(seconds: float, text: str, number: int) -> None:
    written = Row(ttl=seconds, pause=seconds).to_wire()

    assert (written["TTL"], written["Pause"]) == (text, number)


@given(st.integers(min_value=-(10**15), max_value=10**15))
def test_a_duration_comes_back_as_it_went(nanoseconds: int) -> None:
    read = row(TTL=nanoseconds, Pause=nanoseconds)

    assert row(**read.to_wire()) == read
    assert read.to_wire()["Pause"] == nanoseconds


@given(st.floats(min_value=0, max_value=1e9))
def test_a_duration_that_a_caller_gives_arrives(seconds: float) -> None:
    sent = json.loads(Whole(id="a", ttl=seconds, pause=seconds).body())

    read = whole(**sent)
    assert read.ttl == read.pause == pytest.approx(seconds, rel=1e-12, abs=1e-9)
    assert (read.ttl == 0) is (seconds == 0)


@pytest.mark.parametrize(
    ("said", "time"),
    [
        (None, None),
        ("0001-01-01T00:00:00Z", None),
        ("2026-11-23T07:56:50Z", datetime(2026, 11, 23, 7, 56, 50, tzinfo=UTC)),
        ("2026-11-23T07:56:50.5Z", datetime(2026, 11, 23, 7, 56, 50, 500_000, UTC)),
        ("2026-11-23T07:56:50.123456789Z", datetime(2026, 11, 23, 7, 56, 50, 123_456, UTC)),
        (
            "2026-11-23T07:56:50.999999999+05:30",
            datetime(
                *(2026, 11, 23, 7, 56, 50, 999_999),
                tzinfo=timezone(timedelta(hours=5, minutes=30)),
            ),
        ),
    ],
)
def test_a_time_is_read_to_the_microsecond_and_never_is_none(
    said: str | None, time: datetime | None
) -> None:
    read = row(At=said)

    assert read.at == time
    assert row(**read.to_wire()) == read
    assert ("At" in read.to_wire()) is (time is not None)


@pytest.mark.parametrize("said", ["", "yesterday", "2026-11-23T07:56:50", "2026-13-01T00:00:00Z"])
def test_what_is_no_time_is_damaged(said: str) -> None:
    with pytest.raises(ValidationError):
        row(At=said)


@pytest.mark.parametrize("flags", [0, 1, 2**63, 2**64 - 1])
def test_all_64_bits_arrive(flags: int) -> None:
    assert whole(Flags=flags).flags == flags
    assert json.loads(Whole(id="a", flags=flags).body())["Flags"] == flags


@pytest.mark.parametrize("flags", [-1, 2**64, 1.5])
def test_more_than_64_bits_are_damaged(flags: float) -> None:
    with pytest.raises(ValidationError):
        whole(Flags=flags)


@given(st.binary(max_size=100))
def test_every_byte_arrives(data: bytes) -> None:
    sent = json.loads(Whole(id="a", data=data).body())

    assert whole(**sent).data == data
    assert Row(data=data).to_wire()["Data"] == sent["Data"]


@pytest.mark.parametrize("said", ["!!", "AP8= ", "A", 5])
def test_what_is_not_base64_is_damaged(said: object) -> None:
    with pytest.raises(ValidationError):
        row(Data=said)


# -- secrets ---------------------------------------------------------------------------------------

SECRETIVE = [
    Whole(id="a", token=CANARY),
    Whole(id="a", token=HIDDEN),  # type: ignore[arg-type]
    Whole(id="a", part=Part(name="b", token=CANARY)),
    Whole(id="a", by_name={"k": Part(name="b", token=CANARY)}),
    Row(token=CANARY),
    Row(parts=[Part(name="b", token=CANARY)]),
]


@pytest.mark.parametrize("made", SECRETIVE, ids=lambda made: type(made).__name__)
def test_a_secret_is_hidden_in_python_and_plain_on_the_wire(made: Whole | Row) -> None:
    assert not leaks(f"{made!r} {made!s} {made}")
    assert leaks(json.dumps(made.to_wire()))
    if isinstance(made, Whole):
        assert leaks(made.body().decode())
        assert not leaks(repr(made.model_dump()))


@pytest.mark.parametrize("made", SECRETIVE, ids=lambda made: type(made).__name__)
def test_a_copy_is_equal_and_has_its_secrets(made: Whole | Row) -> None:
    for other in (copy.copy(made), copy.deepcopy(made), pickle.loads(pickle.dumps(made))):
        assert other == made
        assert other.to_wire() == made.to_wire()


def test_a_secret_can_be_given_as_text_and_is_hidden_at_once() -> None:
    made = Part(name="a", token=HIDDEN)  # type: ignore[arg-type]

    assert isinstance(made.token, SecretStr)
    assert made == Part(name="a", token=CANARY)


# -- names -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "name"),
    [
        ("id", "ID"),
        ("name", "Name"),
        ("service_id", "ServiceID"),
        ("node_ids", "NodeIDs"),
        ("tls_server_name", "TLSServerName"),
        ("oidc_client_id", "OIDCClientID"),
        ("enable_tag_override", "EnableTagOverride"),
        ("jwks_ca_cert", "JWKSCACert"),
        ("lan_http_port", "LANHTTPPort"),
    ],
)
def test_a_field_is_called_as_consul_calls_it(field: str, name: str) -> None:
    assert wire_name(field) == name


def test_a_name_that_follows_no_rule_is_named() -> None:
    read = row(**{"odd-one": "a"})

    assert read == Row(odd="a")
    assert read.to_wire()["odd-one"] == "a"
    assert json.loads(Whole(id="a", odd="b").body()) == {"ID": "a", "odd-one": "b"}
