"""Law 8: following a cursor skips nothing and repeats nothing that existed before, while rows come and go."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from random import Random
from typing import Any

import attrs
import pytest

from adapters.changes import cursor_of, order_key
from domain.audit.values import AuditEntry
from domain.circuits.values import Placement
from domain.document import Document
from domain.ids import new_id
from domain.ports.queries import AnyOf, Between, Select, StartsWith
from domain.ports.schema import AUDIT, NOTIFICATIONS, PLACEMENTS, SHARES, Facet
from domain.ports.storage import Reader, Storage
from tests.conformance.storage.values import NOW, notification, share


def placement(random: Random) -> Placement:
    published = random.random() < 0.6
    at = NOW + timedelta(seconds=random.randrange(12))
    return Placement(
        new_id(), random.choice("CD"), new_id(), random.choice("wv"), "u", "w", at, "O", True,
        published, at if published or random.random() < 0.3 else None,
    )  # fmt: skip


def entry(random: Random) -> AuditEntry:
    at = NOW + timedelta(microseconds=random.randrange(15))
    circuit = random.choice([None, "C", "D"])
    resource = Document({"id": random.choice("rs")} if random.random() < 0.5 else {})
    return AuditEntry(new_id(), at, Document(), random.choice(["a.b", "a.c", "b"]), resource, circuit, None, "ok",
                      "info", "t", "h")  # fmt: skip


FACETS: dict[str, tuple[Facet[Any], Callable[[Random], Any]]] = {
    "placements": (PLACEMENTS, placement),
    "audit": (AUDIT, entry),
    "shares": (SHARES, lambda random: share(random.choice("rs"), random.randrange(15))),
    "notifications": (NOTIFICATIONS, lambda random: notification(random.choice("uv"))),
}
LATE = NOW + timedelta(microseconds=7)
QUERIES: dict[str, tuple[Select, ...]] = {
    "placements": (
        Select(),
        Select({"circuit_id": "C"}, ("placed_at", "placement_id")),
        Select({"circuit_id": "C", "published": True}, ("published_at", "placement_id")),
        Select({"circuit_id": "C"}, ("published_at", "placement_id")),
        Select({"circuit_id": AnyOf(("C", "D"))}, ("published_at", "item_workspace_id", "published")),
        Select({"published_at": None}, ("placed_at",)),
        Select({"circuit_id": "C", "published_at": Between(NOW + timedelta(seconds=3))}, ("published_at",)),
        Select({"published_at": Between()}, ("published_at",)),
    ),
    "audit": (
        Select(order=("at", "entry_id")),
        Select({"circuit_id": AnyOf((None, "C"))}, ("at",)),
        Select({"circuit_id": None}, ("resource_id", "at")),
        Select(order=("circuit_id", "resource_id")),
        Select({"action": StartsWith("a."), "at": Between(None, LATE)}, ("action", "at")),
        Select({"circuit_id": "C", "at": Between(NOW, LATE)}, ("at", "entry_id")),
        Select({"action": AnyOf(())}),
    ),
    "shares": (
        Select({"recipient_user_id": "r"}, ("created_at", "share_id")),
        Select({"recipient_user_id": StartsWith("")}, ("recipient_user_id", "created_at")),
    ),
    "notifications": (
        Select({"user_id": "u"}, ("position",)),
        Select({"user_id": "u", "unread": True, "position": Between(4)}, ("position",)),
    ),
}
CASES = [(name, query) for name, queries in QUERIES.items() for query in queries]


async def walk(reader: Reader, facet: Facet[Any], query: Select, limit: int) -> AsyncIterator[tuple[Any, ...]]:
    after = None
    while True:
        page = await reader.page(facet, query, after, limit)
        assert len(page.items) <= limit
        yield page.items
        if (after := page.after) is None:
            return
        assert page.items


def expected(facet: Facet[Any], query: Select, rows: list[Any]) -> list[Any]:
    """Return the answer by brute force: the query's own `matches`, and a sort with nulls last."""
    matching = [row for row in rows if query.matches(facet.row(row))]
    return sorted(matching, key=lambda row: order_key(cursor_of(facet, query, row)), reverse=query.descending)


async def everything(storage: Storage, facet: Facet[Any]) -> list[Any]:
    async with storage.read() as reader:
        return [row async for page in walk(reader, facet, Select(), 1000) for row in page]


@pytest.mark.parametrize("descending", [False, True], ids=["ascending", "descending"])
@pytest.mark.parametrize(("name", "query"), CASES, ids=lambda case: case if isinstance(case, str) else "")
async def test_pages_of_any_size_are_one_walk_that_equals_the_query(
    storage: Storage, other: Storage, name: str, query: Select, descending: bool
) -> None:
    facet, make = FACETS[name]
    random, query = Random(7), attrs.evolve(query, descending=descending)
    async with storage.write() as unit:
        await unit.add(facet, *(make(random) for _ in range(230)))
    rows = await everything(other, facet)
    wanted = expected(facet, query, rows)
    async with other.read() as reader, storage.write() as unit:
        await unit.confirm(facet, *rows[:3])
        for limit in (1, 3, 200):
            for handle in (reader, unit):
                assert [row async for page in walk(handle, facet, query, limit) for row in page] == wanted


async def test_first_pages_of_many_queries_are_asked_at_once_and_each_by_many(storage: Storage, other: Storage) -> None:
    """Whoever asks the same of other values at the same time gets rows of their own, in their order."""
    random = Random(7)
    async with storage.write() as unit:
        for facet, make in FACETS.values():
            await unit.add(facet, *(make(random) for _ in range(60)))
    rows = {name: await everything(other, facet) for name, (facet, _) in FACETS.items()}
    others = {"circuit_id": "D", "user_id": "v", "recipient_user_id": "s", "published": False, "unread": False}
    asked = [
        (name, attrs.evolve(query, where=where, descending=descending))
        for name, query in CASES
        for descending in (False, True)
        for where in (query.where, query.where | {key: others[key] for key in others.keys() & query.where.keys()})
    ]
    answers = [expected(FACETS[name][0], query, rows[name]) for name, query in asked]
    queries = [(FACETS[name][0], query) for name, query in asked]
    async with other.read() as reader, storage.write() as unit:
        await unit.confirm(PLACEMENTS, *rows["placements"][:3])
        for limit in (3, 1000):
            handles = (reader, reader, unit)
            found = await asyncio.gather(*(handle.page_each(*queries, limit=limit) for handle in handles))
            alone = await asyncio.gather(*(reader.page(*query, limit=limit) for query in queries))
            for pages in (*found, alone):
                assert [list(page.items) for page in pages] == [answer[:limit] for answer in answers]
                assert [page.after is None for page in pages] == [len(answer) <= limit for answer in answers]


@pytest.mark.parametrize("descending", [False, True], ids=["ascending", "descending"])
@pytest.mark.parametrize(("name", "query"), CASES, ids=lambda case: case if isinstance(case, str) else "")
async def test_a_walk_stays_whole_while_rows_are_added_and_removed(
    storage: Storage, other: Storage, name: str, query: Select, descending: bool
) -> None:
    facet, make = FACETS[name]
    random, query = Random(11), attrs.evolve(query, descending=descending)
    async with storage.write() as unit:
        await unit.add(facet, *(make(random) for _ in range(60)))
    before = expected(facet, query, await everything(storage, facet))
    seen: list[Any] = []
    async with other.read() as reader:
        async for page in walk(reader, facet, query, 3):
            seen += page
            async with storage.write() as unit:
                await unit.add(facet, *(make(random) for _ in range(2)))
                if page:
                    await unit.remove(facet, page[-1])
    keys = [facet.key_of(row) for row in seen]
    assert len(set(keys)) == len(keys)
    assert [row for row in seen if row in before] == before
    assert seen == expected(facet, query, seen)


@pytest.mark.parametrize(("name", "query"), CASES, ids=lambda case: case if isinstance(case, str) else "")
async def test_a_unit_pages_over_what_it_staged_as_if_it_were_committed(
    storage: Storage, name: str, query: Select
) -> None:
    facet, make = FACETS[name]
    random = Random(13)
    if facet.serial:
        facet, make = FACETS["shares"]
        query = QUERIES["shares"][0]
    async with storage.write() as unit:
        await unit.add(facet, *(make(random) for _ in range(120)))
    rows = await everything(storage, facet)
    new = [make(random) for _ in range(60)]
    saved = [attrs.evolve(row, version=2) for row in rows[10:40]]
    async with storage.write() as unit:
        await unit.add(facet, *new)
        await unit.save(facet, *saved)
        await unit.remove(facet, *rows[40:90], *new[:5])
        mine = [*rows[:10], *rows[90:], *saved, *new[5:]]
        mine = [row for row in mine if row not in new[:5]]
        for descending in (False, True):
            turned = attrs.evolve(query, descending=descending)
            for limit in (1, 7, 200):
                found = [row async for page in walk(unit, facet, turned, limit) for row in page]
                assert found == expected(facet, turned, mine)
