"""Refused attempts in the audit (platform.md 5.3, 6.3)."""

from datetime import timedelta

import attrs
import pytest

from adapters.memory.storage import MemoryStorage
from application.denials import Denial
from domain.audit.record import entry_hash
from domain.ports.errors import Closed
from domain.ports.queries import Select
from domain.ports.schema import AUDIT
from tests.application.accounts.test_scenarios import refused
from tests.application.accounts.world import World, caller


async def test_limited_logins_fold_into_one_entry_that_counts_them(world: World):
    await world.register()
    for _ in range(10):
        await refused(world.login(password="wrong"), "login_failed")
    for _ in range(7):
        await refused(world.login(), "login_limited")
    assert {entry.reason for entry in await world.audit("login.failed")} == {"login_failed"}
    await world.accounts.desk.denials.flush()
    (limited,) = [entry for entry in await world.audit("login.failed") if entry.reason == "login_limited"]
    assert limited.count == 7 and limited.outcome == "denied"


async def test_repetitions_within_a_minute_raise_the_count_of_an_unsealed_entry(world: World):
    denials = world.accounts.desk.denials
    denial = Denial(caller(), "access.denied", ("item", "x"), "not_found", "/api/items/{dfid}")
    for _ in range(3):
        denials.note(attrs.evolve(denial, principal=attrs.evolve(caller(), trace_id="0" * 32)))
        await denials.flush()
        world.clock.pass_by(timedelta(seconds=25))
    (entry,) = await world.audit("access.denied")
    assert entry.count == 3 and entry.entry_hash == entry_hash(entry)
    denials.note(denial)
    await denials.flush()
    assert sorted(entry.count for entry in await world.audit("access.denied")) == [1, 3]


async def test_a_sealed_entry_is_left_alone(world: World):
    denials, denial = world.accounts.desk.denials, Denial(caller(), "access.denied", ("item", "x"), "not_found")
    denials.note(denial)
    await denials.flush()
    async with world.storage.write() as unit:
        (entry,) = (await unit.page(AUDIT, _of_denials())).items
        await unit.save(AUDIT, attrs.evolve(entry, log_index=0, version=2))
    denials.note(denial)
    await denials.flush()
    assert [entry.count for entry in await world.audit("access.denied")] == [1, 1]


async def test_others_are_counted_apart_and_nothing_is_lost_while_the_store_is_away(world: World):
    denials, denial = world.accounts.desk.denials, Denial(caller(), "access.denied", ("item", "x"), "not_found")
    away_storage = MemoryStorage()
    await away_storage.aclose()
    away = attrs.evolve(denials, storage=away_storage)
    away.note(denial)
    with pytest.raises(Closed):
        await away.flush()
    away.note(denial)
    away.note(attrs.evolve(denial, principal=caller("198.51.100.9")))
    away.storage = world.storage
    await away.flush()
    assert sorted(entry.count for entry in await world.audit("access.denied")) == [1, 2]


def _of_denials() -> Select:
    return Select({"action": "access.denied"})
