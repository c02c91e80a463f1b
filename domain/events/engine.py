"""Recording events inside the act that they are part of (items-events.md 10)."""

from domain.act import Act
from domain.events.chain import EventDraft, head_of, link, new_salt
from domain.events.values import ChainHead, Event
from domain.ports.schema import CHAINS, EVENTS


async def record(act: Act, *drafts: EventDraft) -> list[Event]:
    """Link events to the chains of their items, in the order given, and stage them with the new heads.

    The acting principal is the author. A chain that another unit advances meanwhile makes this unit lose
    (Stale, AlreadyExists), so that positions have no gap.
    """
    heads: dict[str, ChainHead] = {
        head.dfid: head for head in (await act.unit.get_many(CHAINS, (draft.dfid for draft in drafts))).values()
    }
    events: list[Event] = []
    begun: list[ChainHead] = []
    advanced: list[ChainHead] = []
    for draft in drafts:
        held = heads.get(draft.dfid)
        event = link(draft, held, act.principal, act.now, new_salt())
        heads[draft.dfid] = head_of(event, held)
        events.append(event)
        (begun if held is None else advanced).append(heads[draft.dfid])
    await act.unit.add(EVENTS, *events)
    await act.unit.add(CHAINS, *begun)
    await act.unit.save(CHAINS, *advanced)
    return events
