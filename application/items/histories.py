"""What was contributed to an item, by whom, for those who may see it (items-events.md 1.4, 4.5, 9.2)."""

from datetime import datetime

import attrs

from application.items.drafts import Drafts
from application.items.reading import circuits_of
from application.items.views import IdentifierView, identifier_view
from domain.access.principal import Principal
from domain.document import Document
from domain.items.fold import visible_to
from domain.items.values import Contribution, ContributionSource, Item
from domain.ports.queries import Cursor, Page, Select
from domain.ports.schema import CONTRIBUTIONS


@attrs.frozen
class ContributionView:
    """A contribution as this reader sees it; `user_id` inside the contributor's workspace only."""

    contribution_id: str
    item: str
    user_id: str | None
    workspace_id: str
    source: ContributionSource
    circuit_id: str | None
    merged_from: str | None
    identifiers: tuple[IdentifierView, ...]
    removed_identifiers: tuple[IdentifierView, ...]
    data: Document
    recorded_at: datetime
    salt: str | None
    hash: str


class Histories(Drafts):
    """Reading contributions."""

    async def contributions(
        self, principal: Principal, dfid: str, after: Cursor | None = None, limit: int = 50
    ) -> Page[ContributionView]:
        """Return the contributions to an item that the principal sees, the newest first; an offer shows none."""
        query = Select({"item": dfid}, ("recorded_at", "contribution_id"), descending=True)
        shown: list[Contribution] = []
        async with self.units.storage.read() as reader:
            item, decision = await self._seen(reader, principal, dfid)
            if decision.offer_only:
                return Page(())
            visible = visible_to(item.workspace_id, principal.workspace_id, circuits_of(decision))
            while len(shown) < limit:
                page = await reader.page(CONTRIBUTIONS, query, after, limit - len(shown))
                shown += filter(visible, page.items)
                after = page.after
                if after is None:
                    break
        return Page(tuple(self._contribution_view(principal, item, one) for one in shown), after)

    def _contribution_view(self, principal: Principal, item: Item, one: Contribution) -> ContributionView:
        mine = one.workspace_id == principal.workspace_id
        clear = mine or item.workspace_id == principal.workspace_id
        views = (
            tuple(identifier_view(identifier, one.item, self.keys, clear=clear) for identifier in identifiers)
            for identifiers in (one.identifiers, one.removed_identifiers)
        )
        identifiers, removed = views
        return ContributionView(
            contribution_id=one.contribution_id,
            item=one.item,
            user_id=one.user_id if mine else None,
            workspace_id=one.workspace_id,
            source=one.source,
            circuit_id=one.circuit_id,
            merged_from=one.merged_from,
            identifiers=identifiers,
            removed_identifiers=removed,
            data=one.data,
            recorded_at=one.recorded_at,
            salt=one.salt,
            hash=one.hash,
        )
