"""Numbers of the own workspace (items-events.md 9.3)."""

from collections import Counter
from collections.abc import Mapping
from datetime import datetime, timedelta

import attrs

from application.items.duplicates import ItemDuplicates
from domain.access.principal import Principal
from domain.access.vocabulary import ItemStatus
from domain.errors import not_found
from domain.items.profile import Profile
from domain.items.values import PendingStatus
from domain.ports.queries import Condition
from domain.ports.schema import ITEMS, PENDING

FRESH = timedelta(seconds=60)
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


class Statistics(ItemDuplicates):
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
        own: dict[str, Condition] = {"workspace_id": workspace_id}
        waiting: dict[str, Condition] = {**own, "status": PendingStatus.OPEN.value}
        async with self.units.storage.read() as reader:
            counted = await reader.count(ITEMS, own, "profile")
            pending = await reader.count(PENDING, waiting, "status")
        statuses: Counter[str] = Counter()
        namespaces: Counter[str] = Counter()
        evidences: Counter[str] = Counter()
        confidence = 0.0
        for text, number in counted.items():
            profile = Profile.read(str(text))
            statuses[profile.status] += number
            if profile.status in _COUNTED:
                confidence += profile.confidence * number
                namespaces.update(dict.fromkeys(profile.namespaces, number))
                evidences.update({level: carried * number for level, carried in profile.evidence.items()})
        total = sum(statuses[status.value] for status in _COUNTED)
        return Stats(
            total=total,
            by_status={status.value: statuses[status.value] for status in ItemStatus},
            by_namespace=dict(sorted(namespaces.items())),
            identifiers_total=sum(evidences.values()),
            by_evidence=dict(sorted(evidences.items())),
            pending_open=sum(pending.values()),
            average_confidence=round(confidence / total, 4) if total else None,
            as_of=self._now(),
        )
