"""Each change of an item leaves exactly its event and audit entry, and a refused call none (scenario 43)."""

from collections import Counter
from typing import Any

import pytest

from application.events import Events
from application.items import CreateDraft, EnrichItem, IdentifierReference, UpdateItem
from application.items.lineage import MergeItems, SplitItem, SplitPart
from application.items.requests import CreateBatch
from domain.document import Document
from domain.errors import Refusal
from domain.items.lineage import SplitMode
from domain.items.submission import IdentifierInput
from domain.items.values import MergeStrategy
from domain.ports.schema import AUDIT, EVENTS
from tests.application.items.conftest import Farm, submission
from tests.application.items.test_identity import OTHER, SISBOV, made
from tests.application.items.test_lineage import item_of


class Told:
    """What was written since the last look."""

    def __init__(self, farm: Farm) -> None:
        self.farm = farm
        self.seen: dict[Any, Counter[str]] = {EVENTS.name: Counter(), AUDIT.name: Counter()}

    async def news(self) -> tuple[dict[str, int], dict[str, int]]:
        """Return the kinds of new events and the actions of new audit entries, with their numbers."""
        events = Counter(str(event.event_type) for event in await self.farm.rows(EVENTS))
        actions = Counter(entry.action for entry in await self.farm.rows(AUDIT))
        found = events - self.seen[EVENTS.name], actions - self.seen[AUDIT.name]
        self.seen = {EVENTS.name: events, AUDIT.name: actions}
        return dict(found[0]), dict(found[1])


async def test_43_each_change_has_exactly_its_event_and_what_is_refused_has_none(farm: Farm) -> None:
    told, items, ana = Told(farm), farm.items, farm.ana
    first = await item_of(farm, ("sisbov", SISBOV), ("lote", "1"))
    assert await told.news() == ({"created": 1}, {"item.created": 1})
    await made(farm, ("sisbov", SISBOV), peso=1)
    assert await told.news() == ({"enriched": 1}, {"item.enriched": 1})
    await items.enrich(ana, first, EnrichItem(data=Document(peso=2)))
    assert await told.news() == ({"enriched": 1}, {"item.enriched": 1})
    gone = UpdateItem(data=Document(peso=None), remove_identifiers=(IdentifierReference("lote", "1"),), reason="sold")
    await items.update(ana, first, gone, frozenset({3}))
    assert await told.news() == ({"updated": 1}, {"item.updated": 1})
    second = await item_of(farm, ("rfid", "982123456789012"), cor="roxa")
    await told.news()
    await items.merge(ana, first, MergeItems(second, MergeStrategy.APPEND))
    assert await told.news() == ({"merged": 2}, {"item.merged": 1})
    await items.unmerge(ana, second)
    assert await told.news() == ({"unmerged": 2}, {"item.unmerged": 1})
    await items.deprecate(ana, second)
    await items.restore(ana, second)
    assert await told.news() == ({"status_changed": 2}, {"item.deprecated": 1, "item.restored": 1})
    part = SplitPart((IdentifierInput("lote", "2-A"),))
    await items.split(ana, second, SplitItem(SplitMode.DIVIDE, (part, SplitPart((IdentifierInput("lote", "2-B"),)))))
    assert await told.news() == ({"split": 1, "created": 2}, {"item.split": 1})
    batch = tuple(submission(("lote", f"b{n}")) for n in range(3))
    await items.create_batch(ana, CreateBatch(batch))
    assert await told.news() == ({"created": 3}, {"items.batch_created": 1})
    draft = await items.create_draft(ana, CreateDraft(identifiers=(IdentifierInput("sisbov", OTHER),)))
    assert await told.news() == ({}, {"draft.created": 1})
    await items.promote(ana, str(draft.local_id))
    assert await told.news() == ({"created": 1}, {"draft.promoted": 1})
    for refused in (
        items.merge(ana, first, MergeItems(first)),
        items.deprecate(farm.rui, first),
        items.unmerge(ana, first),
        items.update(ana, first, gone, frozenset({1})),
    ):
        with pytest.raises(Refusal):
            await refused
    await made(farm, ("sisbov", SISBOV))
    assert await told.news() == ({}, {})
    for dfid in {event.dfid for event in await farm.rows(EVENTS)}:
        assert (await Events(farm.units).verify(ana, dfid)).valid
