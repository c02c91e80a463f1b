"""Drafts that become one: merge, unmerge, duplicates, organise (items-events.md 6.7, 6.9, 9.3, 9.4)."""

from datetime import datetime
from typing import Annotated, Literal

import attrs

from application.items.queue import Queue
from application.items.views import ItemView, item_view
from domain.access.principal import Principal
from domain.access.vocabulary import ItemStatus
from domain.act import Act
from domain.errors import Refusal, not_found
from domain.identifiers import canonical_namespace
from domain.items.draft_merges import Group, absorb, duplicates, release
from domain.items.families import read_absorbed
from domain.items.values import Item, MergeStrategy
from domain.ports.queries import Cursor, Page, Select
from domain.ports.schema import ITEMS
from domain.ports.storage import Reader
from domain.shape import Count, Id, Raw

MAX_GROUPS = 1000


@attrs.frozen
class MergeDrafts:
    """The draft that stays, and those it absorbs."""

    master_lid: Id
    merge_lids: Annotated[tuple[Id, ...], Count(1, 100)]
    strategy: MergeStrategy = MergeStrategy.KEEP_FIRST


@attrs.frozen
class UnmergeDraft:
    merged_lid: Id


@attrs.frozen
class MergedDrafts:
    master: ItemView
    merged_lids: tuple[str, ...]
    merged_count: int


@attrs.frozen
class UnmergedDraft:
    """The restored draft and what it was in."""

    item: ItemView
    previous_target: str


@attrs.frozen
class DuplicateMember:
    id: str
    created_at: datetime
    identifiers_count: int


@attrs.frozen
class Duplicates:
    """Drafts or items that say the same; `match` are keys of equal identifiers, or `fingerprint`."""

    match: tuple[str, ...]
    members: tuple[DuplicateMember, ...]
    suggested_master: str
    differing_keys: tuple[str, ...]


@attrs.frozen
class OrganizeDrafts:
    """Merges every group of duplicates; the dry run tells the numbers of the run."""

    action: Literal["deduplicate"]
    dry_run: bool = False
    strategy: MergeStrategy = MergeStrategy.KEEP_FIRST
    namespace: Annotated[str, Raw(1, 64)] | None = None


@attrs.frozen
class OrganizeStep:
    """One group: `merged`, `would_merge`, or `skipped` with its reason."""

    master_lid: str
    merged_lids: tuple[str, ...]
    status: str
    reason: str | None = None


@attrs.frozen
class OrganizeSummary:
    drafts_before: int
    drafts_after: int
    merged_count: int
    groups: int


@attrs.frozen
class Organized:
    dry_run: bool
    operations: tuple[OrganizeStep, ...]
    summary: OrganizeSummary
    more: bool


class Drafts(Queue):
    """Finding and uniting drafts of the own workspace."""

    async def merge_drafts(self, principal: Principal, request: MergeDrafts) -> MergedDrafts:
        """Absorb own drafts in another one (6.7)."""
        lids = request.merge_lids

        async def work(act: Act) -> MergedDrafts:
            master = await self.changeable_draft(act, principal, request.master_lid, None)
            others = [await self.changeable_draft(act, principal, lid, None) for lid in lids]
            if len({request.master_lid, *lids}) != len(lids) + 1:
                raise Refusal("merge_with_itself", "Name the master once, and each other draft once.")
            changed = await self._absorbed(act, master, others, request.strategy)
            view = await item_view(act.unit, principal, self.keys, changed)
            return MergedDrafts(view, lids, len(lids))

        return await self.units.perform(principal, work)

    async def _absorbed(self, act: Act, master: Item, others: list[Item], strategy: MergeStrategy) -> Item:
        known = await read_absorbed(act.unit, [master])
        changed = absorb(act, master, others, known, strategy, self.keys)
        await act.unit.save(ITEMS, *changed)
        lids = [other.key for other in others]
        resource = ("draft", master.key)
        await act.audit("draft.merged", resource, workspace_id=act.workspace_id, details={"merged": lids})
        await act.activity("drafts_merged", resource, item_count=len(lids))
        return changed[0]

    async def unmerge_draft(self, principal: Principal, request: UnmergeDraft) -> UnmergedDraft:
        """Take an absorbed draft out again (6.9). Raises Refusal `not_merged`, `item_merged`, `local_item_held`."""

        async def work(act: Act) -> UnmergedDraft:
            source = await act.unit.find(ITEMS, request.merged_lid)
            if source is None or source.dfid is not None or source.workspace_id != principal.workspace_id:
                raise not_found()
            if source.lineage.merged_into is None:
                raise Refusal("not_merged", "The draft is not merged into another one.")
            master = await self.changeable_draft(act, principal, source.lineage.merged_into, None)
            known = await read_absorbed(act.unit, [master])
            changed, free = release(act, master, source, known, self.keys)
            await act.unit.save(ITEMS, changed, free)
            await act.audit("draft.unmerged", ("draft", source.key), workspace_id=act.workspace_id)
            return UnmergedDraft(await item_view(act.unit, principal, self.keys, free), master.key)

        return await self.units.perform(principal, work)

    async def draft_duplicates(
        self, principal: Principal, after: Cursor | None = None, limit: int = 50
    ) -> Page[Duplicates]:
        """Return groups of own drafts that say the same, the oldest first (9.3)."""
        async with self.units.storage.read() as reader:
            groups = duplicates(await self._own_drafts(reader, principal))
        rest = [group for group in groups if after is None or _place(group) > after]
        more = len(rest) > limit
        return Page(tuple(map(shown_group, rest[:limit])), _place(rest[limit - 1]) if more else None)

    async def _own_drafts(self, reader: Reader, principal: Principal) -> list[Item]:
        where = {"workspace_id": principal.workspace_id, "status": ItemStatus.LOCAL.value}
        found: list[Item] = []
        after = None
        while True:
            page = await reader.page(ITEMS, Select(where, ("created_at", "key")), after, 1000)
            found += page.items
            after = page.after
            if after is None:
                return found

    async def organize(self, principal: Principal, request: OrganizeDrafts) -> Organized:
        """Merge each group of duplicates into its suggested master, or tell what that would do (9.4)."""
        namespace = canonical_namespace(request.namespace) if request.namespace else None

        async def work(act: Act) -> Organized:
            drafts = await self._own_drafts(act.unit, principal)
            groups = duplicates(drafts, namespace)
            steps = []
            for group in groups[:MAX_GROUPS]:
                steps.append(_step(group, dry_run=request.dry_run))
                if steps[-1].status == "merged":
                    await self._absorbed(act, group.drafts[0], list(group.drafts[1:]), request.strategy)
            merged = sum(len(step.merged_lids) for step in steps if step.status != "skipped")
            summary = OrganizeSummary(len(drafts), len(drafts) - merged, merged, len(steps))
            if merged and not request.dry_run:
                resource = ("workspace", act.workspace_id)
                await act.audit("draft.organized", resource, workspace_id=act.workspace_id, details={"merged": merged})
            return Organized(request.dry_run, tuple(steps), summary, len(groups) > MAX_GROUPS)

        return await self.units.perform(principal, work)


def _step(group: Group, *, dry_run: bool) -> OrganizeStep:
    master, *others = [draft.key for draft in group.drafts]
    if any(draft.held_by is not None for draft in group.drafts):
        return OrganizeStep(master, tuple(others), "skipped", "local_item_held")
    return OrganizeStep(master, tuple(others), "would_merge" if dry_run else "merged")


def _place(group: Group) -> Cursor:
    return (group.drafts[0].created_at, group.drafts[0].key)


def shown_group(group: Group) -> Duplicates:
    """Return what a group of duplicates is shown as."""
    return Duplicates(
        match=group.match,
        members=tuple(DuplicateMember(draft.key, draft.created_at, len(draft.identifiers)) for draft in group.drafts),
        suggested_master=group.drafts[0].key,
        differing_keys=group.differing_keys,
    )
