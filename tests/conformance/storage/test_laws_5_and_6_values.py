"""Laws 5 and 6: what comes back is what was given, frozen, to the microsecond and the code point."""

from functools import cache
from typing import Any

import attrs
import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from domain.document import Document
from domain.ports.queries import AnyOf, Select
from domain.ports.schema import FACETS, ITEMS, WORKSPACES, Facet
from domain.ports.storage import Storage
from tests.conformance.storage.values import documents, item, rows, same, texts, workspace

SHAPES = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


async def stored(storage: Storage, facet: Facet[Any], values: list[Any]) -> list[Any]:
    """Return the rows of these values, asked for in every way, after checking that all ways agree."""
    keys = [facet.key_of(value) for value in values]
    async with storage.read() as reader:
        single = [await reader.get(facet, key) for key in keys]
        many = await reader.get_many(facet, [*keys, *keys])
        name = facet.key[0]
        first = tuple(dict.fromkeys(facet.columns[name](value) for value in values))
        page = await reader.page(facet, Select({name: AnyOf(first)}, facet.key), limit=1000)
    assert all(same(many[key], value) for key, value in zip(keys, single, strict=True))
    paged = {facet.key_of(value): value for value in page.items}
    assert all(same(paged[key], value) for key, value in zip(keys, single, strict=True))
    return single


def as_stored(facet: Facet[Any], given: Any, found: Any) -> Any:
    """Give a value the number that only the store knows."""
    if facet.serial is None:
        return given
    return attrs.evolve(given, **{facet.serial[0]: getattr(found, facet.serial[0])})


def assert_kept(facet: Facet[Any], given: list[Any], found: list[Any]) -> None:
    for value, row in zip(given, found, strict=True):
        assert same(as_stored(facet, value, row), row), (value, row)


@pytest.mark.parametrize("facet", FACETS, ids=lambda facet: facet.name)
@SHAPES
@given(data=st.data())
async def test_every_shape_of_every_facet_comes_back_as_it_was_given(
    everywhere: dict[str, tuple[Storage, Storage]], facet: Facet[Any], data: st.DataObject
) -> None:
    """What is drawn, which takes longer than to store it, is given to every stack."""
    values = data.draw(rows(facet))
    others = successors(facet, values, data.draw(rows(facet))) if facet.versioned else []
    for name, (storage, other) in everywhere.items():
        note(name)
        await come_back(storage, other, facet, values, others)


async def come_back(storage: Storage, other: Storage, facet: Facet[Any], values: list[Any], others: list[Any]) -> None:
    """Add rows through one instance and read them through the other, then the same with those that succeed them."""
    async with storage.write() as unit:
        await unit.add(facet, *values)
    try:
        assert_kept(facet, values, await stored(other, facet, values))
        if facet.versioned:
            async with storage.write() as unit:
                await unit.remove(facet, *values[len(others) :])
                await unit.save(facet, *others)
            assert_kept(facet, others, await stored(other, facet, others))
            async with storage.write() as unit:
                await unit.confirm(facet, *others)
    finally:
        await emptied(storage, facet, values)


def successors(facet: Facet[Any], values: list[Any], drawn: list[Any]) -> list[Any]:
    """Return other values under the keys of these; fewer when fewer were drawn."""
    identity = ("dfid", "local_id") if facet is ITEMS else facet.key
    members = {member.name for member in attrs.fields(facet.value)}
    if not members.issuperset(identity):
        # A key that is computed from several members comes from the old ones, which change nothing but their version.
        identity = tuple(members - {"version"})
    return [
        attrs.evolve(new, version=2, **{name: getattr(old, name) for name in identity})
        for new, old in zip(drawn, values, strict=False)
    ]


async def emptied(storage: Storage, facet: Facet[Any], values: list[Any]) -> None:
    async with storage.write() as unit:
        found = await unit.get_many(facet, [facet.key_of(value) for value in values])
        await unit.remove(facet, *found.values())
    async with storage.read() as reader:
        assert await reader.get_many(facet, list(found)) == {}


@pytest.mark.parametrize("facet", FACETS, ids=lambda facet: facet.name)
async def test_many_rows_at_once_are_kept_like_single_ones(storage: Storage, other: Storage, facet: Facet[Any]) -> None:
    """More rows than any bulk path needs, of every shape that a fixed draw meets."""
    values = _many(facet.name, 230)
    async with storage.write() as unit:
        await unit.add(facet, *values)
    assert_kept(facet, values, await stored(other, facet, values))


@cache
def _many(name: str, count: int) -> list[Any]:
    """Return so many rows at most: the same for every stack, for to draw them takes longer than to store them.

    Hypothesis also draws constants of the modules that are loaded, so other runs may draw others.
    """
    facet = next(each for each in FACETS if each.name == name)
    found: dict[Any, Any] = {}
    taken: set[Any] = set()

    @settings(max_examples=40, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(rows(facet, most=20))
    def draw(values: list[Any]) -> None:
        for value in values:
            row = facet.row(value)
            marks = {(columns, *(row[name] for name in columns)) for columns in facet.unique}
            marks = {mark for mark in marks if None not in mark}
            if len(found) < count and not marks & taken:
                taken.update(marks)
                found.setdefault(facet.key_of(value), value)

    draw()
    return list(found.values())


@SHAPES
@given(given_data=documents)
async def test_documents_come_back_frozen_to_the_depth(storage: Storage, given_data: Document) -> None:
    kept = attrs.evolve(item(), data=Document(given_data, nested={"list": [{"a": [1]}]}))
    async with storage.write() as unit:
        await unit.add(ITEMS, kept)
    async with storage.read() as reader:
        found = await reader.get(ITEMS, kept.key)
    assert hash(found.data) == hash(kept.data)
    with pytest.raises(TypeError):
        found.data["nested"]["list"][0]["a"] = 2
    async with storage.write() as unit:
        await unit.remove(ITEMS, found)


@SHAPES
@given(names=st.lists(texts, min_size=2, max_size=12, unique=True))
async def test_text_is_ordered_by_code_point(storage: Storage, names: list[str]) -> None:
    values = [workspace(name) for name in names]
    async with storage.write() as unit:
        await unit.add(WORKSPACES, *values)
    async with storage.read() as reader:
        page = await reader.page(WORKSPACES, Select(order=("folded_name",)), limit=100)
    async with storage.write() as unit:
        await unit.remove(WORKSPACES, *values)
    assert [value.folded_name for value in page.items] == sorted(name or value.workspace_id for name, value in
                                                                 zip(names, values, strict=True))  # fmt: skip


async def test_words_of_any_length_are_kept_and_found(storage: Storage) -> None:
    kept = attrs.evolve(item(), data=Document(text="é" * 5000 + " short " + "a" * 3000))
    async with storage.write() as unit:
        await unit.add(ITEMS, kept)
    async with storage.read() as reader:
        assert (await reader.get(ITEMS, kept.key)).data == kept.data
