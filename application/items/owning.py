"""What users of the owner's workspace do with an item's status (items-events.md 6.11)."""

from application.facts import about, items_facts
from application.items.reading import ItemReading
from application.items.views import ItemView, item_view
from domain.access.decide import Action, decide, require
from domain.access.principal import Principal
from domain.access.vocabulary import ItemStatus
from domain.act import Act
from domain.errors import Fault, Invalid, Refusal, not_found
from domain.items.dfid import parse_dfid
from domain.items.register import Register
from domain.items.values import Item
from domain.precondition import Versions, require_version

_OPPOSITE = {ItemStatus.DEPRECATED: ItemStatus.ACTIVE, ItemStatus.ACTIVE: ItemStatus.DEPRECATED}


class Owning(ItemReading):
    """Changes of items by their owner's workspace."""

    async def owned(self, act: Act, principal: Principal, dfid: str, accepted: Versions = None) -> Item:
        """Return an item that the principal may change.

        Raises Refusal `not_found`, `not_owner` or `version_mismatch`.
        """
        item = await self.viewable(act.unit, principal, dfid)
        facts = about(await items_facts(act.unit, principal, [item]), dfid=item.key)
        require(decide(principal, Action.ITEM_CHANGE, facts, act.now))
        require_version(accepted, item.version)
        return item

    async def deprecate(
        self, principal: Principal, dfid: str, reason: str | None = None, accepted: Versions = None
    ) -> ItemView:
        """Take an active item out of use; nothing is erased. Raises Refusal `item_not_active`."""
        return await self._set_status(principal, dfid, ItemStatus.DEPRECATED, reason, accepted)

    async def restore(
        self, principal: Principal, dfid: str, reason: str | None = None, accepted: Versions = None
    ) -> ItemView:
        """Bring a deprecated item back into use. Raises Refusal `item_not_active`."""
        return await self._set_status(principal, dfid, ItemStatus.ACTIVE, reason, accepted)

    async def _set_status(
        self, principal: Principal, dfid: str, status: ItemStatus, reason: str | None, accepted: Versions
    ) -> ItemView:
        async def work(act: Act) -> ItemView:
            item = await self.owned(act, principal, dfid, accepted)
            if item.status not in _OPPOSITE:
                raise Refusal("item_not_active", f"The item is {item.status}.", current_status=item.status.value)
            if item.status is not status:
                item = await self._write_status(act, item, status, reason)
            return await item_view(act.unit, principal, self.keys, item, act.now)

        return await self.units.perform(principal, work)

    async def _write_status(self, act: Act, item: Item, status: ItemStatus, reason: str | None) -> Item:
        register = Register(act, self.keys)
        await register.load_items([item.key])
        changed = register.set_status(item, status, reason)
        await register.flush()
        verb = "deprecated" if status is ItemStatus.DEPRECATED else "restored"
        await act.audit(f"item.{verb}", ("item", item.key), workspace_id=item.workspace_id)
        await act.activity("item_status_changed", ("item", item.key), dfids=[item.key], data={"to": status.value})
        return changed


def named_dfid(text: str, pointer: str) -> str:
    """Return the DFID that a body names, in its one spelling. Raises Invalid for a text that is none."""
    dfid = parse_dfid(text)
    if dfid is None:
        raise Invalid([Fault("format", "This is no DFID.", pointer=pointer)])
    return dfid


def require_active(item: Item) -> None:
    """Raise Refusal `item_merged` or `item_not_active` for an item that is not active."""
    if item.status is ItemStatus.MERGED:
        raise Refusal("item_merged", "Another item absorbed this one.", merged_into=item.lineage.merged_into)
    if item.status is not ItemStatus.ACTIVE:
        raise Refusal("item_not_active", f"The item is {item.status}.", current_status=item.status.value)


def own_draft(principal: Principal, draft: Item | None) -> Item:
    """Return a draft of the principal's workspace. Raises Refusal `not_found`."""
    if draft is None or draft.dfid is not None or draft.workspace_id != principal.workspace_id:
        raise not_found()
    return draft


def require_changeable(draft: Item) -> None:
    """Raise Refusal `item_merged` or `local_item_held` for a draft that may not be changed now."""
    if draft.status is ItemStatus.MERGED:
        raise Refusal("item_merged", "Another draft absorbed this one.", merged_into=draft.lineage.merged_into)
    if draft.held_by is not None:
        raise Refusal("local_item_held", "A waiting push holds this draft.", operation_id=draft.held_by)
