"""Law 2: of two units on one row exactly one succeeds, and the other is told so."""

import asyncio
from collections.abc import Awaitable, Callable

import attrs
import pytest

from domain.items.values import Claim
from domain.ports.errors import AlreadyExists, Contention, Stale, StorageError
from domain.ports.queries import Select
from domain.ports.schema import CLAIMS, MAPPINGS, NOTIFICATIONS, SHARES, WORKSPACES
from domain.ports.storage import Storage, Unit, transact
from tests.conformance.storage.stacks import PostgresStack
from tests.conformance.storage.values import mapping, notification, renamed, share, touched, workspace

Work = Callable[[Unit], Awaitable[None]]


async def keep(storage: Storage, *values: object) -> None:
    async with storage.write() as unit:
        await unit.add(WORKSPACES, *values)  # type: ignore[arg-type]


async def race(storages: list[Storage], *works: Work) -> list[BaseException | None]:
    """Run the units at once, each on a storage in turn, all staged before any commits."""
    barrier = asyncio.Barrier(len(works))

    async def run(storage: Storage, work: Work) -> None:
        async with storage.write() as unit:
            await work(unit)
            await barrier.wait()

    return await asyncio.gather(
        *(run(storages[n % len(storages)], work) for n, work in enumerate(works)), return_exceptions=True
    )


def failures(outcomes: list[BaseException | None]) -> list[type[BaseException]]:
    return [type(outcome) for outcome in outcomes if outcome is not None]


async def test_of_units_saving_one_version_exactly_one_succeeds(storage: Storage, other: Storage) -> None:
    one = workspace("0")
    await keep(storage, one)
    works = [lambda unit, name=f"w{n}": unit.save(WORKSPACES, renamed(one, name)) for n in range(8)]
    outcomes = await race([storage, other], *works)
    assert failures(outcomes) == [Stale] * 7
    async with other.read() as reader:
        stored = await reader.get(WORKSPACES, one.workspace_id)
    assert (stored.version, stored.name) == (2, f"w{outcomes.index(None)}")


async def test_of_units_adding_one_key_exactly_one_succeeds(storage: Storage, other: Storage) -> None:
    works = [lambda unit, n=n: unit.add(WORKSPACES, workspace(f"w{n}", "key")) for n in range(8)]
    assert failures(await race([storage, other], *works)) == [AlreadyExists] * 7


async def test_of_units_adding_one_unique_value_exactly_one_succeeds(storage: Storage, other: Storage) -> None:
    works = [lambda unit: unit.add(WORKSPACES, workspace("one name")) for _ in range(8)]
    assert failures(await race([storage, other], *works)) == [AlreadyExists] * 7


async def test_a_save_into_a_unique_value_that_is_taken_is_refused(storage: Storage) -> None:
    one, two = workspace("one"), workspace("two")
    await keep(storage, one, two)
    with pytest.raises(AlreadyExists) as caught:
        async with storage.write() as unit:
            await unit.save(WORKSPACES, renamed(one, "two"))
    assert caught.value.facet == "workspaces"


async def test_a_confirmation_fails_once_the_row_was_saved_or_removed(storage: Storage, other: Storage) -> None:
    one, two = workspace(), workspace()
    await keep(storage, one, two)
    async with other.write() as unit:
        await unit.save(WORKSPACES, touched(one))
        await unit.remove(WORKSPACES, two)
    for stale in (one, two):
        with pytest.raises(Stale) as caught:
            async with storage.write() as unit:
                await unit.confirm(WORKSPACES, stale)
                await unit.add(MAPPINGS, mapping("LID-1"))
        assert caught.value.facet == "workspaces"
    async with storage.read() as reader:
        assert await reader.find(MAPPINGS, "LID-1") is None


async def test_units_that_confirm_what_the_other_saves_do_not_both_commit(storage: Storage, other: Storage) -> None:
    for number in range(20):
        one, two = workspace(key=f"a{number}"), workspace(key=f"b{number}")
        await keep(storage, one, two)

        async def expel(unit: Unit, by: object = one, whom: object = two) -> None:
            await unit.confirm(WORKSPACES, by)  # type: ignore[arg-type]
            await unit.save(WORKSPACES, touched(whom))  # type: ignore[arg-type]

        async def expel_back(unit: Unit, by: object = two, whom: object = one) -> None:
            await expel(unit, by, whom)

        assert failures(await race([storage, other], expel, expel_back)) == [Stale]


async def test_many_units_may_confirm_one_row_at_once(storage: Storage, other: Storage) -> None:
    one = workspace()
    await keep(storage, one)

    async def rely(unit: Unit) -> None:
        await unit.confirm(WORKSPACES, one)
        await unit.add(MAPPINGS, mapping())

    assert failures(await race([storage, other], *[rely] * 12)) == []


async def test_a_removal_needs_the_version_that_was_read(storage: Storage) -> None:
    one, link = workspace(), mapping()
    await keep(storage, one)
    async with storage.write() as unit:
        await unit.save(WORKSPACES, touched(one))
    for facet, value in ((WORKSPACES, one), (WORKSPACES, workspace()), (MAPPINGS, link)):
        with pytest.raises(Stale):
            async with storage.write() as unit:
                await unit.remove(facet, value)  # type: ignore[arg-type]


@pytest.mark.parametrize("many", [1, 3, 250])
async def test_one_bad_row_among_many_fails_the_whole_unit(storage: Storage, many: int) -> None:
    taken = mapping("LID-taken")
    async with storage.write() as unit:
        await unit.add(MAPPINGS, taken)
    links, shares = [mapping() for _ in range(many)], [share("r", n) for n in range(many)]
    with pytest.raises(AlreadyExists) as caught:
        async with storage.write() as unit:
            await unit.add(SHARES, *shares)
            await unit.add(MAPPINGS, *links, taken)
    assert caught.value.facet == "mappings"
    async with storage.write() as unit:
        assert await unit.get_many(MAPPINGS, [link.local_id for link in links]) == {}
        assert (await unit.page(SHARES, Select({"recipient_user_id": "r"}))).items == ()
        await unit.add(MAPPINGS, *links)
        await unit.add(SHARES, *shares)


async def test_an_error_leaves_the_storage_fit_for_the_next_unit(storage: Storage) -> None:
    one = workspace("one", "1")
    await keep(storage, one)
    for _ in range(12):
        with pytest.raises(Stale):
            async with storage.write() as unit:
                await unit.save(WORKSPACES, attrs.evolve(one, version=7))
                await unit.add(MAPPINGS, mapping())
        with pytest.raises(AlreadyExists):
            await keep(storage, workspace(), workspace("one"))
        await keep(storage, workspace(), workspace())
        async with storage.read() as reader:
            assert await reader.get(WORKSPACES, "1") == one


async def test_the_first_facet_in_the_fixed_order_tells_the_error(storage: Storage) -> None:
    one, link = workspace("one", "1"), mapping("LID-1")
    await keep(storage, one)
    async with storage.write() as unit:
        await unit.add(MAPPINGS, link)
    for stale_first in (False, True):
        with pytest.raises(StorageError) as caught:
            async with storage.write() as unit:
                await unit.add(MAPPINGS, link)
                value = attrs.evolve(one, version=9) if stale_first else workspace("one")
                await (unit.save if stale_first else unit.add)(WORKSPACES, value)
        assert type(caught.value) is (Stale if stale_first else AlreadyExists)
        assert getattr(caught.value, "facet", None) == "workspaces"


@pytest.mark.parametrize("rows", [6, 250])
async def test_units_on_the_same_rows_never_wait_for_each_other_in_a_circle(
    storage: Storage, other: Storage, rows: int
) -> None:
    """They are staged in opposite orders, across facets, with confirmations between: all losers are stale at once."""
    spaces, shares = [workspace() for _ in range(rows)], [share("r", n) for n in range(rows)]
    async with storage.write() as unit:
        await unit.add(WORKSPACES, *spaces)
        await unit.add(SHARES, *shares)

    def work(turned: bool) -> Work:
        step = -1 if turned else 1

        async def staged(unit: Unit) -> None:
            async with storage.read() as reader:
                now = await reader.get_many(WORKSPACES, [one.workspace_id for one in spaces])
                held = await reader.get_many(SHARES, [one.share_id for one in shares])
            mine = list(now.values())[::step]
            await unit.save(
                SHARES, *(attrs.evolve(one, version=one.version + 1) for one in list(held.values())[::step])
            )
            await unit.confirm(WORKSPACES, *mine[::2])
            await unit.save(WORKSPACES, *map(touched, mine[1::2]))
            await unit.add(CLAIMS, *[Claim("*", "k", f"{n}", "i", "w") for n in range(rows)][::step])

        return staged

    for _ in range(5):
        outcomes = failures(await race([storage, other], *[work(turned) for turned in (False, True) * 4]))
        assert Contention not in outcomes
        assert set(outcomes) <= {Stale, AlreadyExists}


async def test_units_adding_the_same_unique_values_never_wait_in_a_circle(storage: Storage, other: Storage) -> None:
    names = [f"n{number}" for number in range(40)]

    def adding(order: list[str]) -> Work:
        return lambda unit: unit.add(WORKSPACES, *map(workspace, order))

    outcomes = await race([storage, other], *(adding(names[:: 1 - 2 * (n % 2)]) for n in range(8)))
    assert failures(outcomes) == [AlreadyExists] * 7


async def test_transact_runs_lost_races_again_until_all_have_won(storage: Storage, other: Storage) -> None:
    one = workspace()
    await keep(storage, one)

    async def count(unit: Unit) -> None:
        await unit.save(WORKSPACES, touched(await unit.get(WORKSPACES, one.workspace_id)))

    await asyncio.gather(*(transact(each, count, attempts=50) for each in (storage, other) * 10))
    async with other.read() as reader:
        assert (await reader.get(WORKSPACES, one.workspace_id)).version == 21


async def test_a_saved_row_keeps_the_number_that_the_store_gave_it(storage: Storage) -> None:
    one = notification("u")
    async with storage.write() as unit:
        await unit.add(NOTIFICATIONS, notification("u"), one)
    async with storage.write() as unit:
        stored = await unit.get(NOTIFICATIONS, one.notification_id)
        assert stored.position == 2
        await unit.save(NOTIFICATIONS, attrs.evolve(stored, position=77, read_at=stored.created_at, version=2))
    async with storage.read() as reader:
        assert (await reader.get(NOTIFICATIONS, one.notification_id)).position == 2


async def test_scenario_45_a_reader_that_follows_misses_none_of_ten_thousand(postgres: PostgresStack) -> None:
    """Scenario 45 of platform.md: units at once that notify one user get positions of their own, in order."""
    one, two = await postgres.fresh(), await postgres.second()
    user, count = "u", 10_000
    followed: list[int] = []

    async def follow() -> None:
        after = None
        while len(followed) < count:
            async with one.read() as reader:
                page = await reader.page(NOTIFICATIONS, Select({"user_id": user}, ("position",)), after, 500)
            followed.extend(found.position for found in page.items)
            if page.items:
                after = (page.items[-1].position, page.items[-1].notification_id)

    async def notify(storage: Storage) -> None:
        async with storage.write() as unit:
            await unit.add(NOTIFICATIONS, notification(user))

    follower = asyncio.create_task(follow())
    await asyncio.gather(*(notify(storage) for storage in (one, two) for _ in range(count // 2)))
    await asyncio.wait_for(follower, 30)
    assert followed == list(range(1, count + 1))


async def test_numbers_are_taken_once_over_all_instances_and_from_one_on(storage: Storage, other: Storage) -> None:
    taken = await asyncio.gather(*((storage, other)[n % 2].take_numbers("20260301", n % 5 + 1) for n in range(60)))
    numbers = sorted(number for numbers in taken for number in numbers)
    assert numbers == list(range(1, len(numbers) + 1))
    assert await other.take_numbers("20260302", 3) == range(1, 4)
    async with storage.read() as reader:
        taken_of = [await reader.numbers_taken(day) for day in ("20260301", "20260302", "20260303")]
    assert taken_of == [len(numbers), 3, 0]


async def test_a_unit_that_fails_takes_no_other_with_it(storage: Storage) -> None:
    """Units that commit at the same moment may share a transaction; what one of them did wrong stays its own."""
    taken = workspace("taken")
    stale = workspace("stale")
    await keep(storage, taken, stale)
    await transact(storage, lambda unit: unit.save(WORKSPACES, renamed(stale, "newer")))
    fresh = [workspace(f"fresh{n}") for n in range(20)]

    def works(n: int) -> Work:
        async def work(unit: Unit) -> None:
            if n % 5 == 1:
                await unit.add(WORKSPACES, workspace("taken"))
            elif n % 5 == 3:
                await unit.save(WORKSPACES, renamed(stale, f"late{n}"))
            await unit.add(WORKSPACES, fresh[n])

        return work

    outcomes = await race([storage], *map(works, range(20)))
    expected = {1: AlreadyExists, 3: Stale}
    assert [type(outcome) for outcome in outcomes] == [expected.get(n % 5, type(None)) for n in range(20)]
    async with storage.read() as reader:
        kept = await reader.get_many(WORKSPACES, [each.workspace_id for each in fresh])
    assert set(kept) == {each.workspace_id for n, each in enumerate(fresh) if n % 5 not in expected}


async def test_reads_at_once_get_their_own_rows_and_no_others(storage: Storage) -> None:
    """Reads that leave together come back apart, over several facets, present and absent rows alike."""
    kept = [workspace(f"w{n}") for n in range(30)]
    mapped = [mapping(f"m{n}") for n in range(30)]
    await keep(storage, *kept)
    await transact(storage, lambda unit: unit.add(MAPPINGS, *mapped))
    async with storage.read() as reader:
        answers = await asyncio.gather(
            *(reader.get_many(WORKSPACES, [each.workspace_id, "absent"]) for each in kept),
            *(reader.find(MAPPINGS, each.local_id) for each in mapped),
            *(reader.find(MAPPINGS, f"absent{n}") for n in range(5)),
        )
    assert list(answers) == [*({each.workspace_id: each} for each in kept), *mapped, *([None] * 5)]
