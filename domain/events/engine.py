"""Recording events inside the act that they are part of (items-events.md 10)."""

from collections.abc import Sequence

from domain.access.principal import Principal
from domain.act import Act
from domain.events.chain import EventDraft, head_of, link, new_salt
from domain.events.values import ChainHead, Event, EventType
from domain.ports.schema import CHAINS, EVENTS


async def record(act: Act, *drafts: EventDraft) -> list[Event]:
    """Record events of which the acting principal is the author."""
    return await record_as(act, [(act.principal, draft) for draft in drafts])


async def begin_chains(act: Act, drafts: Sequence[EventDraft]) -> None:
    """Record the first event of items that this act has made, and records no other of."""
    events = [link(draft, None, act.principal, act.now, new_salt()) for draft in drafts]
    await act.unit.add_final(EVENTS, *events)
    await act.unit.add_final(CHAINS, *(head_of(event, None) for event in events))


async def record_as(act: Act, written: Sequence[tuple[Principal, EventDraft]]) -> list[Event]:
    """Link events to the chains of their items, in the order given, and stage them with the new heads.

    Each comes with its author. A chain that another unit advances meanwhile makes this unit lose
    (Stale, AlreadyExists), so that positions have no gap.
    """
    # Creation begins a chain: there is none to look for.
    new = {draft.dfid for _, draft in written if draft.event_type is EventType.CREATED}
    found = await act.unit.get_many(CHAINS, [draft.dfid for _, draft in written if draft.dfid not in new])
    heads: dict[str, ChainHead] = {head.dfid: head for head in found.values()}
    events: list[Event] = []
    begun: list[ChainHead] = []
    advanced: list[ChainHead] = []
    for author, draft in written:
        held = heads.get(draft.dfid)
        event = link(draft, held, author, act.now, new_salt())
        heads[draft.dfid] = head_of(event, held)
        events.append(event)
        (begun if held is None else advanced).append(heads[draft.dfid])
    await act.unit.add(EVENTS, *events)
    await act.unit.add(CHAINS, *begun)
    await act.unit.save(CHAINS, *advanced)
    return events
