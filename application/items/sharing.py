"""Shares: one user of another workspace reads one item (items-events.md 1.7, 6.12)."""

from datetime import datetime

import attrs

from application.items.owning import Owning
from application.items.views import ItemView
from domain.access.principal import Principal
from domain.access.vocabulary import ItemStatus
from domain.accounts.values import AccountStatus
from domain.act import Act
from domain.errors import Fault, Invalid, Refusal, not_found
from domain.ids import new_id
from domain.items.transferring import meet_offer
from domain.items.values import Item, Share
from domain.ports.queries import Cursor, Page, Select
from domain.ports.schema import ACCOUNTS, ITEMS, SHARES
from domain.ports.storage import Reader
from domain.shape import Id


@attrs.frozen
class ShareItem:
    """With whom, and until when: an instant in the future, exclusive, or for good."""

    recipient_user_id: Id
    expires_at: datetime | None = None


@attrs.frozen
class ShareView:
    """A share as its two sides see it; `shared_by` and `revoked_by` inside the sharing workspace only."""

    share_id: str
    dfid: str
    shared_by: str | None
    workspace_id: str
    recipient_user_id: str
    expires_at: datetime | None
    created_at: datetime
    revoked_at: datetime | None
    revoked_by: str | None
    scope: str = "read"


@attrs.frozen
class Shared:
    """A share and whether it is new."""

    share: ShareView
    created: bool


@attrs.frozen
class SharedItem:
    """A share with the item it opens."""

    share: ShareView
    item: ItemView


@attrs.frozen
class Sharing:
    """Whether an item is shared with one user."""

    is_shared: bool
    share_id: str | None = None
    expires_at: datetime | None = None


class Shares(Owning):
    """Giving and ending read access to single items."""

    async def share(self, principal: Principal, dfid: str, request: ShareItem) -> Shared:
        """Let a user of another workspace read an own item.

        A live share of another expiry gets the new one. Raises Refusal `item_merged`, `recipient_unknown`,
        `recipient_has_access`, and Invalid for an expiry that is past.
        """

        async def work(act: Act) -> Shared:
            item = await self.owned(act, principal, dfid)
            if item.status is ItemStatus.MERGED:
                raise Refusal("item_merged", "Another item absorbed this one.", merged_into=item.lineage.merged_into)
            await _check_recipient(act, item, request)
            await act.unit.confirm(ITEMS, item)
            await meet_offer(act, dfid)
            standing = await _unrevoked(act.unit, dfid, request.recipient_user_id)
            if standing is not None and _live(standing, act.now):
                return Shared(share_view(await self._renewed(act, standing, request), principal), created=False)
            return Shared(share_view(await self._given(act, item, request, standing), principal), created=True)

        return await self.units.perform(principal, work)

    async def _renewed(self, act: Act, share: Share, request: ShareItem) -> Share:
        if share.expires_at == request.expires_at:
            return share
        changed = attrs.evolve(share, expires_at=request.expires_at, version=share.version + 1)
        await act.unit.save(SHARES, changed)
        await self._tell_shared(act, changed)
        return changed

    async def _given(self, act: Act, item: Item, request: ShareItem, expired: Share | None) -> Share:
        if expired is not None:
            await act.unit.save(
                SHARES, attrs.evolve(expired, revoked_at=expired.expires_at, version=expired.version + 1)
            )
        share = Share(
            share_id=new_id(),
            dfid=item.key,
            shared_by=act.user_id,
            workspace_id=item.workspace_id,
            recipient_user_id=request.recipient_user_id,
            created_at=act.now,
            expires_at=request.expires_at,
        )
        await act.unit.add(SHARES, share)
        await self._tell_shared(act, share)
        return share

    async def _tell_shared(self, act: Act, share: Share) -> None:
        await act.audit("item.shared", ("item", share.dfid), workspace_id=share.workspace_id)
        activity = await act.activity("item_shared", ("item", share.dfid), dfids=[share.dfid])
        told = {"share_id": share.share_id}
        await act.notify("item_shared", [share.recipient_user_id], source_id=activity, dfid=share.dfid, data=told)

    async def revoke(self, principal: Principal, dfid: str, share_id: str) -> None:
        """End a share, for the next request; ending it twice changes nothing."""

        async def work(act: Act) -> None:
            item = await self.owned(act, principal, dfid)
            share = await act.unit.find(SHARES, share_id)
            if share is None or share.dfid != item.key:
                raise not_found()
            if share.revoked_at is None:
                await end_share(act, share)

        await self.units.perform(principal, work)

    async def shares(
        self, principal: Principal, dfid: str, after: Cursor | None = None, limit: int = 50
    ) -> Page[ShareView]:
        """Return the shares of an own item, oldest first."""
        async with self.units.storage.read() as reader:
            item = await self.viewable(reader, principal, dfid)
            if item.workspace_id != principal.workspace_id:
                raise Refusal("not_owner", "Only the owner sees with whom an item is shared.")
            page = await reader.page(SHARES, Select({"dfid": dfid}, ("created_at",)), after, limit)
            return Page(tuple(share_view(share, principal) for share in page.items), page.after)

    async def shared_to(
        self, principal: Principal, audience: str, after: Cursor | None = None, limit: int = 50
    ) -> Page[SharedItem]:
        """Return the live shares the principal received, oldest first, with their items."""
        if audience not in {"me", principal.user_id} or principal.user_id is None:
            raise not_found()
        found: list[tuple[Share, Item]] = []
        query = Select({"recipient_user_id": principal.user_id}, ("created_at", "share_id"))
        async with self.units.storage.read() as reader:
            while len(found) < limit:
                page = await reader.page(SHARES, query, after, limit - len(found))
                live = [share for share in page.items if _live(share, self._now())]
                items = await reader.get_many(ITEMS, [share.dfid for share in live])
                found += [(share, items[share.dfid]) for share in live if share.dfid in items]
                after = page.after
                if after is None:
                    break
            views = await self.views(reader, principal, tuple(item for _, item in found))
        shared = zip(found, views, strict=True)
        return Page(tuple(SharedItem(share_view(share, principal), view) for (share, _), view in shared), after)

    async def shared_with(self, principal: Principal, dfid: str, user_id: str) -> Sharing:
        """Tell the owner whether a user holds a live share of an item."""
        async with self.units.storage.read() as reader:
            item = await self.viewable(reader, principal, dfid)
            if item.workspace_id != principal.workspace_id:
                raise not_found()
            share = await _unrevoked(reader, dfid, user_id)
        if share is None or not _live(share, self._now()):
            return Sharing(False)
        return Sharing(True, share.share_id, share.expires_at)


async def end_share(act: Act, share: Share) -> None:
    """Revoke a share and tell its recipient."""
    ended = attrs.evolve(share, revoked_at=act.now, revoked_by=act.user_id, version=share.version + 1)
    await act.unit.save(SHARES, ended)
    await act.audit("item.share_revoked", ("item", share.dfid), workspace_id=share.workspace_id)
    activity = await act.activity("share_revoked", ("item", share.dfid), dfids=[share.dfid])
    told = {"share_id": share.share_id}
    await act.notify("share_revoked", [share.recipient_user_id], source_id=activity, dfid=share.dfid, data=told)


async def _check_recipient(act: Act, item: Item, request: ShareItem) -> None:
    if request.expires_at is not None and request.expires_at <= act.now:
        raise Invalid([Fault("out_of_range", "An instant in the future.", pointer="/expires_at")])
    recipient = await act.unit.find(ACCOUNTS, request.recipient_user_id)
    if recipient is None or recipient.status is not AccountStatus.ACTIVE:
        raise Refusal("recipient_unknown", "There is no such user.")
    if recipient.workspace_id == item.workspace_id:
        raise Refusal("recipient_has_access", "Users of your workspace see the item already.")


async def _unrevoked(reader: Reader, dfid: str, user_id: str) -> Share | None:
    """Return the one share of an item with a user that was not revoked; it may have expired."""
    page = await reader.page(SHARES, Select({"standing": f"{dfid} {user_id}"}), limit=1)
    return next(iter(page.items), None)


def _live(share: Share, now: datetime) -> bool:
    return share.revoked_at is None and (share.expires_at is None or share.expires_at > now)


def share_view(share: Share, principal: Principal) -> ShareView:
    """Return a share as the principal, on either side of it, sees it."""
    own = share.workspace_id == principal.workspace_id
    return ShareView(
        share_id=share.share_id,
        dfid=share.dfid,
        shared_by=share.shared_by if own else None,
        workspace_id=share.workspace_id,
        recipient_user_id=share.recipient_user_id,
        expires_at=share.expires_at,
        created_at=share.created_at,
        revoked_at=share.revoked_at,
        revoked_by=share.revoked_by if own else None,
    )
