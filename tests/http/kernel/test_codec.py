"""The codec keeps http.md 2 and 6."""

import json
import timeit
from datetime import UTC, date, datetime, timedelta, timezone
from enum import StrEnum
from typing import Annotated, Any

import attrs
import jsonschema
import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from domain.document import EMPTY, Document
from domain.errors import Fault, Invalid, Refusal
from domain.shape import (
    UNSET,
    Count,
    Dfid,
    Faulty,
    Id,
    Line,
    Pattern,
    Range,
    Raw,
    Text,
    Unset,
)
from entrypoints.http.codec import decode, decode_query, encode, parse, schema, split_query

ID = "018f6f6f-0000-7000-8000-0000000000ab"


class Colour(StrEnum):
    RED = "red"
    GREEN = "green"


@attrs.frozen
class Part:
    key: Annotated[str, Line(1, 8), Pattern(r"[a-z][a-z0-9_]*", fold=True)]
    kg: Annotated[float, Range(0, 1000)] | None = None


@attrs.frozen
class Thing:
    name: Annotated[str, Line(1, 10)]
    count: Annotated[int, Range(1, 200)]
    owner: Id
    at: datetime
    colour: Colour
    parts: Annotated[tuple[Part, ...], Count(1, 3)]
    note: Annotated[str, Text(0, 20)] | Unset | None = UNSET
    day: date | None = None
    colours: Annotated[frozenset[Colour], Count(0, 2)] = frozenset()
    data: Document = EMPTY
    sharp: bool = False
    raw: Annotated[str, Raw(0, 5)] = ""
    from_: int | None = None
    dfid: Dfid | None = None


@attrs.frozen
class Bulk:
    items: Annotated[tuple[Part | Faulty, ...], Count(1, 10_000)]


GOOD: dict[str, Any] = {
    "name": "a",
    "count": 1,
    "owner": ID,
    "at": "2025-01-08T06:30:00-03:00",
    "colour": "red",
    "parts": [{"key": "Lote", "kg": 1}],
}


def faults(cls: type[Any], value: Any) -> list[tuple[str | None, str]]:
    with pytest.raises(Invalid) as refused:
        decode(json.dumps(value).encode(), cls)
    return [(fault.pointer, fault.code) for fault in refused.value.faults]


def test_a_right_body_becomes_the_value_with_text_normalised_and_defaults_filled() -> None:
    body = GOOD | {"name": " a\u0303 ", "owner": ID.upper(), "data": {"x": [1, {"y": None}]}, "from": 3}
    thing = decode(json.dumps(body).encode(), Thing)
    assert thing.name == "ã"
    assert thing.owner == ID
    assert thing.at == datetime(2025, 1, 8, 9, 30, tzinfo=UTC)
    assert thing.colour is Colour.RED
    assert thing.parts == (Part("lote", 1.0),)
    assert isinstance(thing.parts[0].kg, float)
    assert thing.note is UNSET
    assert thing.from_ == 3
    assert thing.data == {"x": (1, {"y": None})}
    assert isinstance(thing.data["x"][1], Document)


@pytest.mark.parametrize(
    "body",
    [
        b"", b" ", b"{", b"nul", b'{"a":1,}', b"[NaN]", b"[Infinity]", b"[-Infinity]", b'{"a":1,"a":1}',
        b'[{"b":{"a":1,"a":1}}]', b'"\\ud800"', b'["\\uDFFF"]', b'{"\\ud800":1}', b'"\x01"', b"01",
        b"\xef\xbb\xbf{}", b"[" * 65 + b"]" * 65, b"[" * 9999, b"[" * 5000 + b"]" * 5000,
    ],
)  # fmt: skip
def test_unreadable_bytes_are_body_unparsable(body: bytes) -> None:
    with pytest.raises(Refusal) as refused:
        parse(body)
    assert refused.value.code == "body_unparsable"


def test_sixty_four_levels_and_surrogate_pairs_are_read() -> None:
    assert parse(b"[" * 64 + b"]" * 64)
    assert parse(b'["\\ud83d\\ude00"]') == ["😀"]


@pytest.mark.parametrize("body", [b'"\xff"', b'{"a":"\xc3"}', b"\xed\xa0\x80"])
def test_bytes_that_are_not_utf8_are_encoding_invalid(body: bytes) -> None:
    with pytest.raises(Refusal) as refused:
        parse(body)
    assert refused.value.code == "encoding_invalid"


def test_all_faults_are_reported_in_the_order_of_the_document() -> None:
    body = {
        "colour": "blue", "nmae": "x", "count": "1", "owner": "x", "at": "2025-01-08T06:30:00",
        "parts": [{"key": "x", "kg": 1001, "a/b~": 1}, 7, {"kg": None}],
    }  # fmt: skip
    assert faults(Thing, body) == [
        ("/colour", "not_allowed"), ("/nmae", "unknown_field"), ("/count", "type"), ("/owner", "format"),
        ("/at", "format"), ("/parts/0/kg", "out_of_range"), ("/parts/0/a~1b~0", "unknown_field"),
        ("/parts/1", "type"), ("/parts/2/key", "required"), ("/name", "required"),
    ]  # fmt: skip


def test_an_unknown_member_comes_with_the_nearest_known_name() -> None:
    with pytest.raises(Invalid) as refused:
        decode(json.dumps(GOOD | {"colour_": "red"}).encode(), Thing)
    assert refused.value.faults[0].suggestion == "colour"


@pytest.mark.parametrize(
    ("member", "value", "code"),
    [
        ("name", "", "too_short"), ("name", "   ", "too_short"), ("name", "x" * 11, "too_long"),
        ("name", "a\nb", "text_not_allowed"), ("name", "a\x00b", "text_not_allowed"), ("name", 1, "type"),
        ("name", None, "null_not_allowed"), ("name", "a\u2028b", "text_not_allowed"),
        ("count", True, "type"), ("count", 0, "out_of_range"), ("count", 1.5, "type"), ("count", "1", "type"),
        ("count", 10**30, "number_out_of_range"), ("count", 2**53, "number_out_of_range"),
        ("sharp", 1, "type"), ("sharp", "true", "type"), ("sharp", None, "null_not_allowed"),
        ("raw", "a\x00", "text_not_allowed"), ("raw", "123456", "too_long"), ("note", "\x0b", "too_short"),
        ("note", "a\rb", "text_not_allowed"), ("day", "2025-02-30", "format"), ("day", "20250203", "format"),
        ("parts", [], "too_few"), ("parts", [{"key": "x"}] * 4, "too_many"), ("parts", {}, "type"),
        ("data", [], "type"), ("data", {"a": 2**53}, "number_out_of_range"), ("at", 5, "type"),
        ("at", "2025-06-30T23:59:60Z", "format"), ("at", "1899-12-31T23:59:59Z", "format"),
        ("data", None, "null_not_allowed"),
    ],
)  # fmt: skip
def test_each_fault_has_its_code(member: str, value: Any, code: str) -> None:
    if (member, value) == ("note", "\x0b"):
        assert decode(json.dumps(GOOD | {member: value}).encode(), Thing).note == ""
        return
    found = faults(Thing, GOOD | {member: value})
    assert [fault_code for _, fault_code in found] == [code]
    assert str(found[0][0]).startswith(f"/{member}")


def test_numbers_of_any_length_are_faults_and_not_crashes() -> None:
    for digits in ("9" * 10_000, "1e999", "-1e999"):
        body = json.dumps(GOOD).replace('"count": 1', f'"count": {digits}').encode()
        with pytest.raises(Invalid) as refused:
            decode(body, Thing)
        assert refused.value.faults[0].code == "number_out_of_range"


def test_a_set_with_a_repeat_names_the_repeat() -> None:
    assert faults(Thing, GOOD | {"colours": ["red", "red"]}) == [("/colours/1", "duplicate")]


def test_null_clears_a_member_that_may_be_null_and_absence_leaves_it() -> None:
    assert decode(json.dumps(GOOD | {"note": None}).encode(), Thing).note is None
    assert decode(json.dumps(GOOD).encode(), Thing).note is UNSET


def test_a_free_object_names_every_bad_place() -> None:
    found = faults(Thing, GOOD | {"data": {"a": ["\x00", {"b": 2**60}], "c\x00": 1}})
    assert found == [
        ("/data/a/0", "text_not_allowed"),
        ("/data/a/1/b", "number_out_of_range"),
        ("/data/c\x00", "text_not_allowed"),
    ]


def test_elements_of_a_bulk_body_fail_alone() -> None:
    bulk = decode(b'{"items":[{"key":"a"},{"key":1,"x":2},{"key":"b"}]}', Bulk)
    assert bulk.items[0] == Part("a")
    assert bulk.items[2] == Part("b")
    assert isinstance(bulk.items[1], Faulty)
    assert [(f.pointer, f.code) for f in bulk.items[1].faults] == [("/key", "type"), ("/x", "unknown_field")]
    assert faults(Bulk, {"items": []}) == [("/items", "too_few")]


def test_faults_of_a_class_are_joined_to_the_others() -> None:
    @attrs.frozen
    class Pair:
        low: int
        high: int

        def __attrs_post_init__(self) -> None:
            if self.low > self.high:
                raise Invalid([Fault("out_of_range", "low above high", pointer="/low")])

    @attrs.frozen
    class Pairs:
        pairs: tuple[Pair, ...]

    assert faults(Pairs, {"pairs": [{"low": 1, "high": 1}, {"low": 2, "high": 1}]}) == [
        ("/pairs/1/low", "out_of_range")
    ]


@attrs.frozen
class Search:
    limit: Annotated[int, Range(1, 200)] = 50
    status: frozenset[Colour] = frozenset({Colour.RED})
    q: Annotated[str, Line(2, 100)] | None = None
    from_: datetime | None = None
    atomic: bool = False
    weight: float | None = None
    owner: Id | None = None


def query_faults(query: bytes) -> list[tuple[str | None, str]]:
    with pytest.raises(Invalid) as refused:
        decode_query(split_query(query), Search)
    assert all(fault.pointer is None for fault in refused.value.faults)
    return [(fault.parameter, fault.code) for fault in refused.value.faults]


def test_parameters_are_read_by_their_declared_type() -> None:
    query = b"limit=7&status=red,green&q=a+%C3%A3&from=2025-01-01T00:00:00%2B01:00&atomic=true&weight=1.5"
    found = decode_query(split_query(query), Search)
    assert found == Search(
        7,
        frozenset(Colour),
        "a ã",
        datetime(2024, 12, 31, 23, tzinfo=UTC),
        True,
        1.5,
    )
    assert decode_query([], Search) == Search()


def test_unknown_repeated_empty_and_wrong_parameters_are_faults_together() -> None:
    query = b"limti=1&limit=0&limit=3&status=red,blue&q=&atomic=1&weight=x&owner=1&from=yesterday"
    assert query_faults(query) == [
        ("limti", "unknown_parameter"), ("limit", "out_of_range"), ("limit", "duplicate"), ("status", "not_allowed"),
        ("q", "required"), ("atomic", "type"), ("weight", "type"), ("owner", "format"), ("from", "format"),
    ]  # fmt: skip
    assert query_faults(b"limit=01") == [("limit", "type")]
    assert query_faults(b"limit=" + b"9" * 5000) == [("limit", "type")]
    assert query_faults(b"q=%ff") == [("q", "text_not_allowed")]


@attrs.frozen
class View:
    at: datetime
    tags: frozenset[str]
    data: Document
    day: date
    colour: Colour
    note: str | Unset | None = UNSET
    from_: int = 1


def test_answers_have_six_digits_sorted_sets_and_no_unset_members() -> None:
    at = datetime(2026, 3, 1, 12, tzinfo=timezone(timedelta(hours=1)))
    view = View(at, frozenset({"b", "a"}), Document({"x": (1, 2.5)}), date(2026, 1, 2), Colour.RED)
    assert encode([view, {"raw": msgspec.Raw(b"{}")}]) == (
        b'[{"at":"2026-03-01T11:00:00.000000Z","tags":["a","b"],"data":{"x":[1,2.5]},"day":"2026-01-02",'
        b'"colour":"red","from":1},{"raw":{}}]'
    )


def test_a_value_without_a_wire_form_is_refused() -> None:
    with pytest.raises(TypeError):
        encode(object())


instants = st.datetimes(datetime(1900, 1, 2), datetime(9999, 12, 30), timezones=st.just(UTC))
safe = st.integers(-(2**53) + 1, 2**53 - 1)
texts = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=5)
free = st.recursive(
    st.none() | st.booleans() | safe | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
things = st.builds(
    Thing,
    name=st.just("a b"),
    count=st.integers(1, 200),
    owner=st.just(ID),
    at=instants,
    colour=st.sampled_from(Colour),
    parts=st.lists(st.builds(Part, st.just("k"), st.none() | st.floats(0, 1000)), min_size=1, max_size=3).map(tuple),
    note=st.none() | st.just(UNSET) | st.just("n\tn"),
    day=st.none() | st.dates(date(1900, 1, 1)),
    colours=st.frozensets(st.sampled_from(Colour)),
    data=st.dictionaries(texts, free, max_size=3).map(Document),
    sharp=st.booleans(),
    raw=texts,
    from_=st.none() | safe,
    dfid=st.none(),
)


@given(things)
def test_decode_undoes_encode(thing: Thing) -> None:
    assert decode(encode(thing), Thing) == thing


@given(st.recursive(free | st.just(GOOD), lambda inner: st.dictionaries(st.sampled_from(list(GOOD)), inner)))
@example(GOOD)
def test_the_schema_accepts_what_the_decoder_accepts(value: Any) -> None:
    try:
        decode(json.dumps(value).encode(), Thing)
    except Invalid:
        return
    VALIDATOR.validate(value)


VALIDATOR = jsonschema.Draft202012Validator(schema(Thing))
BOUNDS = [
    ("name", "x" * 10),
    ("name", "x" * 11),
    ("name", ""),
    ("count", 1),
    ("count", 0),
    ("count", 200),
    ("count", 201),
    ("count", 2.0),
    ("count", 2.5),
    ("parts", []),
    ("parts", [{"key": "a"}] * 3),
    ("parts", [{"key": "a"}] * 4),
    ("raw", "12345"),
    ("raw", "123456"),
    ("colours", ["red", "red"]),
    ("colours", ["red", "green"]),
    ("colour", "blue"),
    ("owner", ID.upper()),
    ("owner", ID.replace("7", "9")),
    ("note", None),
    ("name", None),
    ("from", 2**53 - 1),
    ("from", 2**53),
    ("extra", 1),
    ("data", {"a": []}),
    ("parts", [{"key": "a", "kg": 1000}]),
    ("parts", [{"key": "a", "kg": 1000.5}]),
    ("parts", [{"kg": 1}]),
]


@pytest.mark.parametrize(("member", "value"), BOUNDS)
def test_schema_and_decoder_agree_on_the_boundaries(member: str, value: Any) -> None:
    body = GOOD | {member: value}
    try:
        decode(json.dumps(body).encode(), Thing)
    except Invalid:
        assert not VALIDATOR.is_valid(body)
    else:
        assert VALIDATOR.is_valid(body)


def test_a_body_of_ten_members_is_decoded_in_time() -> None:
    """The goal is 20 µs on a quiet core; the test leaves room for a busy one."""
    body = json.dumps(GOOD | {"note": "n", "sharp": True, "raw": "r", "from": 1}).encode()
    assert min(timeit.repeat(lambda: decode(body, Thing), number=500, repeat=9)) / 500 < 100e-6


def test_ten_thousand_elements_are_decoded_in_time() -> None:
    body = json.dumps({"items": [{"key": f"k{n}", "kg": n / 10} for n in range(10_000)]}).encode()
    assert len(decode(body, Bulk).items) == 10_000
    assert min(timeit.repeat(lambda: decode(body, Bulk), number=1, repeat=3)) < 1.0
