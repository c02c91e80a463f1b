"""Drafts that become one: merge, unmerge, duplicates, organise (items-events.md 6.7, 6.9, 9.3, 9.4)."""

from datetime import datetime
from typing import Annotated, Literal

import attrs

from application.items.owning import own_draft, require_changeable
from application.items.queue import Queue
from application.items.twins import twins
from application.items.views import ItemView, item_view
from domain.access.principal import Principal
from domain.access.vocabulary import ItemStatus
from domain.act import Act
from domain.errors import Invalid, Refusal, not_found
from domain.identifiers import canonical_namespace
from domain.items.draft_merges import Group, absorb, release
from domain.items.draft_values import refile
from domain.items.families import read_absorbed
from domain.items.values import Item, MergeStrategy
from domain.ports.queries import Condition, Cursor, Page
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
        """Absorb own drafts in another one (6.7). Raises Invalid beyond the bounds of an item."""
        lids = (request.master_lid, *request.merge_lids)

        async def work(act: Act) -> MergedDrafts:
            rows = await act.unit.get_many(ITEMS, sorted(set(lids)))
            drafts = [own_draft(principal, rows.get(lid)) for lid in lids]
            for draft in drafts:
                require_changeable(draft)
            if len(set(lids)) != len(lids):
                raise Refusal("merge_with_itself", "Name the master once, and each other draft once.")
            groups = [Group(tuple(drafts), ())]
            [changed] = await self._absorbed(act, groups, request.strategy)
            if isinstance(changed, Invalid):
                raise changed
            await self._store(act, groups, [changed])
            master = changed[0]
            resource, details = ("draft", master.key), {"merged": list(request.merge_lids)}
            await act.audit("draft.merged", resource, workspace_id=act.workspace_id, details=details)
            await act.activity("drafts_merged", resource, item_count=len(request.merge_lids))
            view = await item_view(act.unit, principal, self.keys, master, act.now)
            return MergedDrafts(view, request.merge_lids, len(request.merge_lids))

        return await self.units.perform(principal, work)

    async def _absorbed(self, act: Act, groups: list[Group], strategy: MergeStrategy) -> list[list[Item] | Invalid]:
        """Return per group its first draft with the others absorbed, then these, or why that would be too much."""
        known = await read_absorbed(act.unit, [group.drafts[0] for group in groups])

        def absorbed(group: Group) -> list[Item] | Invalid:
            try:
                return absorb(act, group.drafts[0], group.drafts[1:], known, strategy, self.keys)
            except Invalid as invalid:
                return invalid

        return list(map(absorbed, groups))

    async def _store(self, act: Act, groups: list[Group], changed: list[list[Item]]) -> None:
        saved = [draft for each in changed for draft in each]
        await act.unit.save(ITEMS, *saved)
        await refile(act.unit, [draft for group in groups for draft in group.drafts], saved)

    async def unmerge_draft(self, principal: Principal, request: UnmergeDraft) -> UnmergedDraft:
        """Take an absorbed draft out again (6.9). Raises Refusal `not_merged`, `item_merged`, `local_item_held`."""

        async def work(act: Act) -> UnmergedDraft:
            row = await act.unit.find(ITEMS, request.merged_lid)
            source = own_draft(principal, row)
            if source.lineage.merged_into is None:
                raise Refusal("not_merged", "The draft is not merged into another one.")
            master = await self.changeable_draft(act, principal, source.lineage.merged_into, None)
            known = await read_absorbed(act.unit, [master])
            changed, free = release(act, master, source, known, self.keys)
            await act.unit.save(ITEMS, changed, free)
            await refile(act.unit, [master, source], [changed, free])
            await act.audit("draft.unmerged", ("draft", source.key), workspace_id=act.workspace_id)
            return UnmergedDraft(await item_view(act.unit, principal, self.keys, free, act.now), master.key)

        return await self.units.perform(principal, work)

    async def draft_duplicates(
        self, principal: Principal, after: Cursor | None = None, limit: int = 50
    ) -> Page[Duplicates]:
        """Return groups of own drafts that say the same, in order of the values they share (9.3)."""
        if principal.workspace_id is None:
            raise not_found()
        found: list[tuple[str, Group]] = []
        async with self.units.storage.read() as reader:
            async for one in twins(reader, principal.workspace_id, after=str(after[0]) if after else ""):
                found.append(one)
                if len(found) > limit:
                    break
        shown = tuple(shown_group(group) for _, group in found[:limit])
        return Page(shown, (found[limit - 1][0],) if len(found) > limit else None)

    async def organize(self, principal: Principal, request: OrganizeDrafts) -> Organized:
        """Merge each group of duplicates into its suggested master, or tell what that would do (9.4)."""
        namespace = canonical_namespace(request.namespace) if request.namespace else None

        async def work(act: Act) -> Organized:
            groups: list[Group] = []
            async for _, group in twins(act.unit, act.workspace_id, namespace):
                groups.append(group)
                if len(groups) > MAX_GROUPS:
                    break
            taken = groups[:MAX_GROUPS]
            changed = await self._absorbed(act, taken, request.strategy)
            steps = tuple(_step(group, one, dry_run=request.dry_run) for group, one in zip(taken, changed, strict=True))
            before = await _count(act.unit, act.workspace_id)
            if merging := [
                (group, one)
                for group, one, step in zip(taken, changed, steps, strict=True)
                if step.status == "merged" and not isinstance(one, Invalid)
            ]:
                await self._store(act, [group for group, _ in merging], [one for _, one in merging])
                await _tell(act, sum(len(group.drafts) - 1 for group, _ in merging), len(merging))
            merged = sum(len(step.merged_lids) for step in steps if step.status != "skipped")
            summary = OrganizeSummary(before, before - merged, merged, len(steps))
            return Organized(request.dry_run, steps, summary, len(groups) > MAX_GROUPS)

        return await self.units.perform(principal, work)


async def _count(reader: Reader, workspace_id: str) -> int:
    own: dict[str, Condition] = {"workspace_id": workspace_id, "status": ItemStatus.LOCAL.value}
    return sum((await reader.count(ITEMS, own, "status")).values())


async def _tell(act: Act, merged: int, groups: int) -> None:
    resource, details = ("workspace", act.workspace_id), {"merged": merged, "groups": groups}
    await act.audit("draft.organized", resource, workspace_id=act.workspace_id, details=details)
    await act.activity("drafts_merged", resource, item_count=merged)


def _step(group: Group, changed: list[Item] | Invalid, *, dry_run: bool) -> OrganizeStep:
    master, *others = [draft.key for draft in group.drafts]
    if any(draft.held_by is not None for draft in group.drafts):
        return OrganizeStep(master, tuple(others), "skipped", "local_item_held")
    if isinstance(changed, Invalid):
        return OrganizeStep(master, tuple(others), "skipped", changed.faults[0].code)
    return OrganizeStep(master, tuple(others), "would_merge" if dry_run else "merged")


def shown_group(group: Group) -> Duplicates:
    """Return what a group of duplicates is shown as."""
    return Duplicates(
        match=group.match,
        members=tuple(DuplicateMember(draft.key, draft.created_at, len(draft.identifiers)) for draft in group.drafts),
        suggested_master=group.drafts[0].key,
        differing_keys=group.differing_keys,
    )
