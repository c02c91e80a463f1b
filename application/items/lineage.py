"""Merging, unmerging and splitting items (items-events.md 6.8 to 6.10)."""

from collections.abc import Sequence
from typing import Annotated

import attrs

from application.items.owning import named_dfid
from application.items.requests import Reason
from application.items.sharing import Shares
from application.items.views import ItemView, item_view, item_views
from domain.access.principal import Principal
from domain.act import Act
from domain.document import EMPTY, Document
from domain.errors import Fault, Invalid, Refusal
from domain.items.lineage import SplitMode, merge, split, unmerge
from domain.items.register import Register
from domain.items.submission import MAX_IDENTIFIERS, Content, IdentifierInput, Submission, read_submission
from domain.items.values import Item, MergeStrategy
from domain.precondition import Versions, require_version
from domain.shape import Count, Dfid


@attrs.frozen
class MergeItems:
    """What to absorb. `strategy` decides keys that both have; `force` merges despite two single numbers."""

    source_dfid: Dfid
    strategy: MergeStrategy = MergeStrategy.KEEP_FIRST
    reason: Reason | None = None
    force: bool = False


@attrs.frozen
class UnmergeItem:
    """Why an item comes out again."""

    reason: Reason | None = None


@attrs.frozen
class SplitPart:
    """One part: identifiers of the item, which move, or new ones."""

    identifiers: Annotated[tuple[IdentifierInput, ...], Count(1, MAX_IDENTIFIERS)]
    data: Document = EMPTY


@attrs.frozen
class SplitItem:
    """How to split an item, and into what."""

    mode: SplitMode
    parts: Annotated[tuple[SplitPart, ...], Count(1, 100)]
    reason: Reason | None = None


@attrs.frozen
class Unmerged:
    """The restored item and what it was in."""

    item: ItemView
    previous_target: str


@attrs.frozen
class Split:
    """A split item and its parts, in the order of the request."""

    original: ItemView
    parts: tuple[ItemView, ...]


class Lineages(Shares):
    """Items that become one, and one that becomes many."""

    async def merge(self, principal: Principal, dfid: str, request: MergeItems, accepted: Versions = None) -> ItemView:
        """Absorb an own item in another one, which survives (6.8)."""
        absorbed = named_dfid(request.source_dfid, "/source_dfid")

        async def work(act: Act) -> ItemView:
            target = await self.owned(act, principal, dfid)
            source = await self.owned(act, principal, absorbed)
            if source.key == target.key:
                raise Refusal("merge_with_itself", "An item cannot absorb itself.")
            require_version(accepted, target.version)
            register = await self._gathered(act, target, source)
            changed = merge(register, target, source, request.strategy, request.reason, force=request.force)
            await register.flush()
            await act.audit(
                "item.merged", ("item", dfid), workspace_id=act.workspace_id, details={"source": source.key}
            )
            await act.activity("items_merged", ("item", dfid), dfids=[dfid, source.key])
            return await item_view(act.unit, principal, self.keys, changed, act.now)

        return await self.units.perform(principal, work)

    async def _gathered(self, act: Act, *items: Item) -> Register:
        """Return a register of items with their parts and the histories of all their families."""
        register = Register(act, self.keys)
        await register.load_items(item.key for item in items)
        targets = {item.key for item in items} | {item.lineage.merged_into for item in items}
        known = [item for key in targets if key is not None and (item := register.item(key)) is not None]
        await register.load_items(part for item in known for part in item.lineage.split_into)
        await register.load_histories(item.key for item in known)
        return register

    async def unmerge(
        self, principal: Principal, dfid: str, reason: str | None = None, accepted: Versions = None
    ) -> Unmerged:
        """Take an absorbed item out again (6.9)."""

        async def work(act: Act) -> Unmerged:
            source = await self.owned(act, principal, dfid, accepted)
            register = await self._gathered(act, source)
            restored = unmerge(register, source, reason)
            target = source.lineage.merged_into
            assert target is not None
            await register.flush()
            await act.audit("item.unmerged", ("item", dfid), workspace_id=act.workspace_id, details={"target": target})
            await act.activity("item_unmerged", ("item", dfid), dfids=[dfid, target])
            return Unmerged(await item_view(act.unit, principal, self.keys, restored, act.now), target)

        return await self.units.perform(principal, work)

    async def split(self, principal: Principal, dfid: str, request: SplitItem, accepted: Versions = None) -> Split:
        """Divide an item into parts, or take identifiers off it (6.10)."""
        contents = self._parts(request)

        async def work(act: Act) -> Split:
            item = await self.owned(act, principal, dfid, accepted)
            register = Register(act, self.keys)
            await register.load(contents, [item.key])
            await register.load_claims(item.identifiers, item.workspace_id)
            original, parts = split(register, item, request.mode, contents, request.reason)
            await register.flush()
            made = [part.key for part in parts]
            await act.audit("item.split", ("item", dfid), workspace_id=act.workspace_id, details={"parts": made})
            await act.activity("item_split", ("item", dfid), dfids=[dfid, *made])
            views = await item_views(act.unit, principal, self.keys, [original, *parts], act.now)
            return Split(views[0], tuple(views[1:]))

        return await self.units.perform(principal, work, dfids=len(contents))

    def _parts(self, request: SplitItem) -> Sequence[Content]:
        contents = [read_submission(Submission(part.identifiers, part.data), self.keys) for part in request.parts]
        faults: list[Fault] = []
        for index, content in enumerate(contents):
            found = (*content.faults, *content.malformed, *content.data_faults)
            faults += [fault.under(f"/parts/{index}") for fault in found]
        if faults:
            raise Invalid(faults)
        return contents
