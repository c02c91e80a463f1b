"""Canonical bytes are those of RFC 8785, by whichever encoder they are written."""

import json

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from domain.access.vocabulary import EventVisibility
from domain.canonical import canonical
from domain.document import Document

numbers = (
    st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.floats(1e-7, 1e-3)
    | st.floats(1e15, 1e17)
)
texts = st.text(st.characters(exclude_categories=["Cs"]))
values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner) | st.dictionaries(texts, inner),
    max_leaves=20,
)


@given(values)
def test_every_json_value_has_the_bytes_of_the_reference_encoder(value: object) -> None:
    assert canonical(value) == rfc8785.dumps(value)


@given(st.dictionaries(texts, values))
def test_a_document_has_the_bytes_of_the_object_it_stands_for(members: dict[str, object]) -> None:
    assert canonical(Document(members)) == rfc8785.dumps(members)


@given(st.dictionaries(st.text("aé€\ue000\U00010000"), st.integers(0, 9)))
def test_members_are_ordered_by_utf_16_code_units(members: dict[str, int]) -> None:
    written = list(json.loads(canonical(members)))
    assert written == sorted(members, key=lambda key: key.encode("utf-16be"))


def test_enumerations_are_written_as_their_text() -> None:
    assert canonical({"visibility": EventVisibility.PUBLIC}) == b'{"visibility":"public"}'


@pytest.mark.parametrize("value", [2**53, -(2**53), float("nan"), float("inf"), "\ud800", {1: 2}, {"a": {2}}])
def test_what_json_cannot_say_exactly_is_refused(value: object) -> None:
    with pytest.raises(ValueError):
        canonical(value)
