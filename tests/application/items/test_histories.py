"""Contributions and numbers (items-events.md 9.2, 9.3)."""

from datetime import timedelta

import pytest

from application.items import OnProblem
from application.items.lineage import MergeItems
from domain.document import Document
from domain.errors import Refusal
from tests.application.items.conftest import Farm, submission
from tests.application.items.test_identity import SISBOV, made
from tests.application.items.test_lineage import item_of
from tests.application.items.test_upkeep import share_with_rui


async def test_contributions_are_read_newest_first_without_users_and_numbers_of_persons(farm: Farm) -> None:
    dfid = await item_of(farm, ("sisbov", SISBOV), ("cpf", "529.982.247-25"), peso=1)
    await made(farm, ("sisbov", SISBOV), peso=2)
    first = await farm.items.contributions(farm.ana, dfid, limit=1)
    rest = await farm.items.contributions(farm.ana, dfid, first.after, 1)
    assert [one.data for one in (*first.items, *rest.items)] == [Document(peso=2), Document(peso=1)]
    assert {one.user_id for one in rest.items} == {farm.ana.user_id}
    assert "529.982.247-25" in {i.value for i in rest.items[0].identifiers}
    with pytest.raises(Refusal, match="not_found"):
        await farm.items.contributions(farm.rui, dfid)
    await share_with_rui(farm, dfid)
    seen = (await farm.items.contributions(farm.rui, dfid)).items
    assert {one.user_id for one in seen} == {None}
    assert [i.value for i in seen[1].identifiers if i.key == "cpf"] == [None]


async def test_numbers_count_what_stands_and_are_a_minute_old_at_most(farm: Farm) -> None:
    assert (await farm.items.stats(farm.rui)).average_confidence is None
    kept, gone = await item_of(farm, ("sisbov", SISBOV)), await item_of(farm, ("lote", "1"))
    await farm.items.merge(farm.ana, kept, MergeItems(gone))
    await item_of(farm, ("lote", "2"))
    await farm.items.create(farm.ana, submission(("sisbov", "12")), OnProblem.QUEUE)
    stats = await farm.items.stats(farm.ana)
    assert (stats.total, stats.by_status["merged"], stats.pending_open) == (2, 1, 1)
    assert (stats.identifiers_total, stats.by_namespace) == (3, {"bovino": 1, "generic": 2})
    await item_of(farm, ("lote", "3"))
    assert (await farm.items.stats(farm.ana)).total == 2
    farm.clock.instant += timedelta(seconds=60)
    assert (await farm.items.stats(farm.ana)).total == 3
