"""Numbers of the own workspace (items-events.md 9.3)."""

from collections import Counter
from collections.abc import AsyncIterator, Mapping
from datetime import datetime, timedelta
from typing import TypeVar

import attrs

from application.items.histories import Histories
from domain.access.principal import Principal
from domain.access.vocabulary import ItemStatus
from domain.errors import not_found
from domain.identifiers import GENERIC_NAMESPACE
from domain.items.values import PendingStatus
from domain.ports.queries import Condition, Select
from domain.ports.schema import ITEMS, PENDING, Facet
from domain.ports.storage import Reader

FRESH = timedelta(seconds=60)
_READ = 1000
V = TypeVar("V")
_COUNTED = frozenset({ItemStatus.ACTIVE, ItemStatus.DEPRECATED, ItemStatus.SPLIT})


@attrs.frozen
class Stats:
    """Numbers of a workspace as of an instant; `total` and `average_confidence` leave out merged and drafts."""

    total: int
    by_status: Mapping[str, int]
    by_namespace: Mapping[str, int]
    identifiers_total: int
    by_evidence: Mapping[str, int]
    pending_open: int
    average_confidence: float | None
    as_of: datetime


class Statistics(Histories):
    """Counting what a workspace has, at most once a minute."""

    counted: dict[str, Stats]

    async def stats(self, principal: Principal) -> Stats:
        """Return the numbers of the own workspace, at most 60 seconds old."""
        if principal.workspace_id is None:
            raise not_found()
        known = self.counted.get(principal.workspace_id)
        if known is not None and self._now() - known.as_of < FRESH:
            return known
        stats = await self._count(principal.workspace_id)
        self.counted = {key: one for key, one in self.counted.items() if stats.as_of - one.as_of < FRESH}
        self.counted[principal.workspace_id] = stats
        return stats

    async def _count(self, workspace_id: str) -> Stats:
        statuses: Counter[str] = Counter()
        namespaces: Counter[str] = Counter()
        evidences: Counter[str] = Counter()
        confidence = 0.0
        async with self.units.storage.read() as reader:
            own: dict[str, Condition] = {"workspace_id": workspace_id}
            async for item in _every(reader, ITEMS, own):
                statuses[item.status.value] += 1
                if item.status in _COUNTED:
                    confidence += item.confidence
                    namespaces.update({one.namespace or GENERIC_NAMESPACE for one in item.identifiers})
                    evidences.update(one.evidence for one in item.identifiers)
            waiting: dict[str, Condition] = {"workspace_id": workspace_id, "status": PendingStatus.OPEN.value}
            pending = [one.pending_id async for one in _every(reader, PENDING, waiting)]
        total = sum(statuses[status.value] for status in _COUNTED)
        return Stats(
            total=total,
            by_status={status.value: statuses[status.value] for status in ItemStatus},
            by_namespace=dict(sorted(namespaces.items())),
            identifiers_total=sum(evidences.values()),
            by_evidence=dict(sorted(evidences.items())),
            pending_open=len(pending),
            average_confidence=round(confidence / total, 4) if total else None,
            as_of=self._now(),
        )


async def _every(reader: Reader, facet: Facet[V], where: dict[str, Condition]) -> AsyncIterator[V]:
    after = None
    while True:
        page = await reader.page(facet, Select(where, ("created_at",)), after, _READ)
        for row in page.items:
            yield row
        after = page.after
        if after is None:
            return
