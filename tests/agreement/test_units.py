"""Agreement: any program of units gives the same answers and the same errors in memory and in other stacks."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from typing import Any

import attrs
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from adapters.memory.storage import MemoryStorage
from adapters.postgres.storage import PostgresBounds, PostgresStorage
from adapters.write_through.behind import BehindBounds
from adapters.write_through.front import Front
from adapters.write_through.storage import WriteThroughStorage
from domain.accounts.values import Workspace
from domain.items.values import Claim, Mapping, Share
from domain.notifications.values import Notification
from domain.ports.errors import KeyedError, StorageError
from domain.ports.queries import AnyOf, Between, Select, StartsWith
from domain.ports.schema import CLAIMS, MAPPINGS, NOTIFICATIONS, SHARES, WORKSPACES, Facet
from domain.ports.storage import Storage
from tests.agreement.wiping import wipe
from tests.conformance.storage.stacks import EVERYTHING
from tests.conformance.storage.values import NOW

keys = st.sampled_from("123")
names = st.sampled_from(["a", "b", "é", "🐄"])
versions = st.integers(1, 3)
instants = st.integers(0, 2).map(lambda n: NOW + timedelta(microseconds=n))

values: dict[str, tuple[Facet[Any], st.SearchStrategy[Any]]] = {
    "workspaces": (
        WORKSPACES,
        st.builds(
            lambda key, name, at, version: Workspace(key, name, name, None, at, at, version),
            keys, names, instants, versions,
        ),
    ),
    "mappings": (MAPPINGS, st.builds(Mapping, keys, names, st.just("w"))),
    "claims": (CLAIMS, st.builds(Claim, st.sampled_from("*w"), st.just("k"), keys, names, st.just("w"))),
    "shares": (
        SHARES,
        st.builds(
            lambda key, dfid, to, at, revoked, version: Share(
                key, dfid, "u", "w", to, at, revoked_at=at if revoked else None, version=version
            ),
            keys, names, st.sampled_from("uv"), instants, st.booleans(), versions,
        ),
    ),
    "notifications": (
        NOTIFICATIONS,
        st.builds(
            lambda key, user, source, read, version: Notification(
                key, user, "t", source, NOW, read_at=NOW if read else None, version=version
            ),
            keys, st.sampled_from("uv"), names, st.booleans(), versions,
        ),
    ),
}  # fmt: skip
rows = st.sampled_from(sorted(values)).flatmap(
    lambda name: st.lists(values[name][1], min_size=1, max_size=3).map(lambda given: (values[name][0], given))
)
WHERE: dict[str, tuple[dict[str, Any], ...]] = {
    "workspaces": ({"folded_name": "a"}, {"folded_name": StartsWith("é")}, {"created_at": Between(NOW)}),
    "mappings": ({"dfid": AnyOf(("a", "é"))},),
    "claims": ({"item": "b"}, {"space": "*", "key": "k"}),
    "shares": ({"recipient_user_id": "u"}, {"standing": None}, {"standing": AnyOf((None, "a u"))}),
    "notifications": ({"user_id": "u"}, {"unread": True}, {"user_id": "v", "position": Between(2)}),
}
queries = st.sampled_from(sorted(values)).flatmap(
    lambda name: st.builds(
        lambda where, order, descending: (values[name][0], Select(where, tuple(order), descending)),
        st.sampled_from([{}, *WHERE[name]]),
        st.lists(st.sampled_from(sorted(values[name][0].columns)), max_size=2, unique=True),
        st.booleans(),
    )
)
slots = st.sampled_from([0, 1])
VERBS = ("add", "save", "remove", "confirm")


async def outcome(work: Awaitable[Any]) -> Any:
    """Return what a call answers, or what it raises: the type of a storage error and the facet it names."""
    try:
        return await work
    except StorageError as error:
        return type(error), error.facet if isinstance(error, KeyedError) else None


class Program(RuleBasedStateMachine):
    """Two units may be open at once on each store; what is done to one store is done to the other."""

    runner: asyncio.Runner
    other: PostgresStorage | WriteThroughStorage
    url: str

    def __init__(self) -> None:
        super().__init__()
        if isinstance(self.other, WriteThroughStorage) and self.other.behind is not None:
            assert not self._run(self.other.behind.drain(10.0))
        self._run(wipe(self.url))
        if isinstance(self.other, WriteThroughStorage):
            self.other.through.front = Front(LAZY)
        self._stores: tuple[Storage, Storage] = (MemoryStorage(), self.other)
        self._contexts: dict[int, list[AbstractAsyncContextManager[Any]]] = {}
        self._units: dict[int, list[Any]] = {}

    def _run(self, work: Any) -> Any:
        return self.runner.run(work)

    def _agree(self, calls: list[Callable[[], Awaitable[Any]]]) -> Any:
        async def both() -> list[Any]:
            return [await outcome(call()) for call in calls]

        memory, postgres = self._run(both())
        assert memory == postgres
        return memory

    @rule(slot=slots)
    def open(self, slot: int) -> None:
        if slot not in self._units:
            self._contexts[slot] = [store.write() for store in self._stores]
            self._units[slot] = [self._run(context.__aenter__()) for context in self._contexts[slot]]

    @precondition(lambda self: self._units)
    @rule(slot=slots, verb=st.sampled_from(VERBS), given=rows)
    def change(self, slot: int, verb: str, given: tuple[Facet[Any], list[Any]]) -> None:
        facet, made = given
        if slot not in self._units or (verb in ("save", "confirm") and not facet.versioned):
            return
        self._agree([lambda unit=unit: getattr(unit, verb)(facet, *made) for unit in self._units[slot]])

    @precondition(lambda self: self._units)
    @rule(slot=slots, verb=st.sampled_from(("save", "remove", "confirm")), facet=st.sampled_from(sorted(values)),
          key=keys, fresh=rows)  # fmt: skip
    def change_what_is_there(self, slot: int, verb: str, facet: str, key: str, fresh: Any) -> None:
        """Change a row as one does who has just read it, so that most of these succeed."""
        if slot not in self._units or (verb != "remove" and not values[facet][0].versioned):
            return
        kind = values[facet][0]
        asked = key if len(kind.key) == 1 else ("*", "k", "a")
        found = self._agree([lambda unit=unit: unit.find(kind, asked) for unit in self._units[slot]])
        if not isinstance(found, kind.value):
            return
        if verb == "save":
            found = attrs.evolve(fresh[1][0] if fresh[0] is kind else found, version=found.version + 1)
        self._agree([lambda unit=unit: getattr(unit, verb)(kind, found) for unit in self._units[slot]])

    @rule(slot=slots, given=rows, query=queries, limit=st.sampled_from([1, 2, 50]))
    def ask(self, slot: int, given: tuple[Facet[Any], list[Any]], query: Any, limit: int) -> None:
        for handles in (self._stores, self._units.get(slot)):
            if handles is not None:
                self._agree([lambda handle=handle: _answers(handle, given, query, limit) for handle in handles])

    @precondition(lambda self: self._units)
    @rule(slot=slots)
    def commit(self, slot: int) -> None:
        self._end(slot, None)

    @precondition(lambda self: self._units)
    @rule(slot=slots)
    def abandon(self, slot: int) -> None:
        self._end(slot, ZeroDivisionError())

    def _end(self, slot: int, error: BaseException | None) -> None:
        if slot not in self._units:
            return
        del self._units[slot]
        contexts = self._contexts.pop(slot)

        async def end(context: AbstractAsyncContextManager[Any]) -> Any:
            try:
                return await outcome(context.__aexit__(type(error) if error else None, error, None))
            except ZeroDivisionError:
                return None

        self._agree([lambda context=context: end(context) for context in contexts])

    @rule(count=st.integers(1, 5))
    def take_numbers(self, count: int) -> None:
        self._agree([lambda store=store: store.take_numbers("20260301", count) for store in self._stores])

    @invariant()
    def the_rows_are_the_same(self) -> None:
        for facet, _ in values.values():
            asked = ((facet, []), (facet, Select()), 50)
            self._agree([lambda store=store, asked=asked: _answers(store, *asked) for store in self._stores])

    def teardown(self) -> None:
        for slot in tuple(self._units):
            self._end(slot, ZeroDivisionError())


async def _answers(handle: Any, given: tuple[Facet[Any], list[Any]], query: Any, limit: int) -> Any:
    """Ask a unit for keys and for every page of a query, or a reader of a store, opened for that long."""
    if hasattr(handle, "read"):
        async with handle.read() as reader:
            return await _answers(reader, given, query, limit)
    facet, made = given
    asked = [facet.key_of(value) for value in made]
    found = [await outcome(handle.get_many(facet, asked)), *[await outcome(handle.get(facet, key)) for key in asked]]
    after = None
    while True:
        page = await outcome(handle.page(*query, after, limit))
        found.append(page)
        if isinstance(page, tuple) or page.after is None:
            return found
        after = page.after


LAZY = [attrs.evolve(kept, with_items=True) for kept in EVERYTHING]


@pytest.mark.parametrize("stack", ["postgres", "write_through", "write_behind"])
def test_any_program_of_units_gives_the_same_answers_in_memory_and_in(stack: str, migrated_url: str) -> None:
    with asyncio.Runner() as runner:
        storage: PostgresStorage | WriteThroughStorage = PostgresStorage(migrated_url)
        if stack != "postgres":
            behind = BehindBounds() if stack == "write_behind" else None
            storage = WriteThroughStorage(
                migrated_url, PostgresBounds(), working_set=LAZY, skip_items=True, behind=behind
            )
        runner.run(storage.open())
        try:
            machine = type("Run", (Program,), {"runner": runner, "other": storage, "url": migrated_url})
            run_state_machine_as_test(
                machine,
                settings=settings(
                    max_examples=60 if stack == "postgres" else 40,
                    stateful_step_count=40,
                    deadline=None,
                    suppress_health_check=list(HealthCheck),
                ),
            )
        finally:
            runner.run(storage.aclose())
