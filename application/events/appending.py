"""Appending events: who may, what is refused, what is told (items-events.md 10.5)."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import attrs

from application.events.requests import AppendEvent
from application.events.telling import tell
from application.facts import items_facts
from domain.access.decide import Action, Decision, Reason, decide, refusal
from domain.access.facts import Facts, Target
from domain.access.vocabulary import EventVisibility, ItemStatus
from domain.accounts.values import Account, AccountStatus
from domain.act import Act
from domain.canonical import canonical
from domain.circuits.facts import circuit_fact, item_fact, member_fact, placement_fact
from domain.circuits.values import Circuit, Membership, Placement
from domain.errors import Refusal
from domain.events.chain import EventDraft, payload_hash
from domain.events.engine import record
from domain.events.values import Event
from domain.items.values import Item
from domain.ports.schema import ACCOUNTS, CHAINS, CIRCUITS, EVENTS, ITEMS, MEMBERSHIPS, PLACEMENTS, Facet

_AFTER_STATE = frozenset({Reason.CIRCUIT_NOT_USABLE, Reason.VISIBILITY_NOT_ALLOWED})
"""Reasons that come after the status of the item (http.md 3)."""

_HIDING = frozenset({Reason.NOT_FOUND, Reason.EVENT_WRITE_DENIED})
"""Reasons that depend on whether the item may be viewed."""


@attrs.frozen
class Appended:
    """An event of the chain; `created` tells that it is a new one."""

    event: Event
    created: bool


@attrs.define
class _Judged:
    """An element on its way: refused, the same as an event there is, or to be linked."""

    refusal: Refusal | None = None
    original: Event | None = None
    draft: EventDraft | None = None
    same_as: int | None = None


@attrs.frozen
class Ground:
    """Everything that appends are judged by, read at once for any number of them."""

    items: dict[str, Item]
    circuits: dict[str, Circuit]
    members: dict[str, Membership]
    placements: dict[tuple[str, str], Placement]
    events: dict[str, Event]
    recipients: dict[str, Account]

    def facts(self, element: "Element") -> Facts:
        """Return what the right to write rests on."""
        request, dfid = element.request, element.draft.dfid
        where = request.circuit_id or ""
        item, circuit = self.items.get(dfid), self.circuits.get(where)
        member, placement = self.members.get(where), self.placements.get((where, dfid))
        return Facts(
            Target(
                circuit_id=request.circuit_id,
                dfid=dfid,
                visibility=request.visibility,
                certified=request.certified,
            ),
            circuits=() if circuit is None else (circuit_fact(circuit),),
            members=() if circuit is None or member is None else (member_fact(circuit, member),),
            items=() if item is None else (item_fact(item),),
            placements=() if placement is None else (placement_fact(placement),),
        )


@attrs.frozen
class Element:
    """A request and the event it would become."""

    request: AppendEvent
    draft: EventDraft

    @property
    def pair(self) -> tuple[str, str]:
        """The circuit acted through, empty for none, and the item."""
        return (self.request.circuit_id or "", self.draft.dfid)


async def ground_of(act: Act, elements: Sequence[Element]) -> Ground:
    """Read what these appends need, and the heads of their chains, in one round trip."""
    drafts = [element.draft for element in elements]
    pairs = sorted({element.pair for element in elements if element.request.circuit_id is not None})
    named = sorted({circuit_id for circuit_id, _ in pairs})
    known = {event_id for draft in drafts for event_id in (draft.event_id, draft.corrects)}
    recipients = {draft.recipient_user_id for draft in drafts}
    dfids = sorted({draft.dfid for draft in drafts})
    wanted: tuple[tuple[Facet[Any], list[Any]], ...] = (
        (MEMBERSHIPS, [(circuit_id, act.user_id) for circuit_id in named]),
        (PLACEMENTS, pairs),
        (ITEMS, dfids),
        (CIRCUITS, named),
        (EVENTS, sorted(filter(None, known))),
        (ACCOUNTS, sorted(filter(None, recipients))),
    )
    chains = ((CHAINS, dfid) for dfid in dfids)
    await act.unit.foresee(*chains, *((facet, key) for facet, keys in wanted for key in keys))
    members, placements, items, circuits, events, accounts = [
        await act.unit.get_many(facet, keys) for facet, keys in wanted
    ]
    return Ground(
        items={item.key: item for item in items.values()},
        circuits={circuit.circuit_id: circuit for circuit in circuits.values()},
        members={member.circuit_id: member for member in members.values()},
        placements={(placement.circuit_id, placement.dfid): placement for placement in placements.values()},
        events={event.event_id: event for event in events.values()},
        recipients={account.user_id: account for account in accounts.values()},
    )


async def append(act: Act, requests: Sequence[AppendEvent]) -> list[Appended | Refusal]:
    """Append events whose requests have no fault of their own, each seeing the ones before it.

    A refused one leaves the others alone.
    """
    elements = [Element(request, request.draft()) for request in requests]
    ground = await ground_of(act, elements)
    planned = _Planned()
    for element, decision in zip(elements, await _decisions(act, ground, elements), strict=True):
        planned.take(act, ground, element, decision)
    return await _store(act, ground, elements, planned.judged)


@attrs.define
class _Planned:
    """Elements judged so far; `minted` are those that brought their own id."""

    judged: list[_Judged] = attrs.field(factory=list)
    minted: dict[str, tuple[int, EventDraft]] = attrs.field(factory=dict)

    def take(self, act: Act, ground: Ground, element: Element, decision: Decision) -> None:
        one = _judge(act, ground, element, decision, self.minted)
        if one.draft is not None and one.draft.event_id is not None:
            mine = (len(self.judged), one.draft)
            first, earlier = self.minted.setdefault(one.draft.event_id, mine)
            if (first, earlier) != mine:
                one = _Judged(same_as=first) if _repeats(one.draft, earlier) else _Judged(_taken())
        self.judged.append(one)


async def _decisions(act: Act, ground: Ground, elements: Sequence[Element]) -> list[Decision]:
    """Decide on the facts at hand; only where that denies, read whether the item may be viewed at all."""

    def decided(facts: Facts) -> Decision:
        return decide(act.principal, Action.EVENT_APPEND, facts, act.now)

    asked = [ground.facts(element) for element in elements]
    decisions = [decided(facts) for facts in asked]
    hidden = {
        str(facts.target.dfid)
        for facts, decision in zip(asked, decisions, strict=True)
        if decision.reason in _HIDING and facts.items
    }
    if not hidden:
        return decisions
    views = await items_facts(act.unit, act.principal, [ground.items[dfid] for dfid in sorted(hidden)])
    return [
        decided(_joined(facts, views)) if decision.reason in _HIDING else decision
        for facts, decision in zip(asked, decisions, strict=True)
    ]


def _joined(facts: Facts, views: Facts) -> Facts:
    return attrs.evolve(
        facts,
        circuits=(*facts.circuits, *views.circuits),
        members=(*facts.members, *views.members),
        placements=(*facts.placements, *views.placements),
        shares=views.shares,
        transfers=views.transfers,
        pulls=views.pulls,
    )


def _judge(
    act: Act, ground: Ground, element: Element, decision: Decision, minted: Mapping[str, tuple[int, EventDraft]]
) -> _Judged:
    """Judge one append in the order of http.md 3: known, right, repetition, state, references."""
    draft = element.draft
    if not decision.allowed and decision.reason not in _AFTER_STATE:
        return _Judged(refusal(decision))
    original = ground.events.get(draft.event_id or "")
    if original is not None:
        return _Judged(original=original) if _same(act, draft, original) else _Judged(_taken())
    item = ground.items[draft.dfid]
    if item.status is ItemStatus.MERGED:
        into = item.lineage.merged_into
        return _Judged(Refusal("item_merged", f"The item was merged into {into}.", merged_into=into))
    if not decision.allowed:
        return _Judged(refusal(decision))
    if draft.visibility is EventVisibility.DIRECT and not _is_recipient(act, ground, draft):
        return _Judged(Refusal("recipient_unknown", "The recipient is an active user other than yourself."))
    if draft.corrects is not None and not _corrects(act, ground, draft, minted):
        return _Judged(Refusal("corrects_invalid", "A correction names an event of this item by your workspace."))
    return _Judged(draft=draft)


def _taken() -> Refusal:
    return Refusal("event_id_taken", "Another event has this id.")


def _same(act: Act, draft: EventDraft, event: Event) -> bool:
    """Tell whether an append repeats the one that made `event`."""
    return (
        _identity(draft) == _identity(event)
        and (event.author_user_id, event.author_workspace_id) == (act.user_id, act.workspace_id)
        and draft.occurred_at in (None, event.occurred_at)
        and event.erased_at is None
        and payload_hash(event.salt, draft.payload) == event.payload_hash
    )


def _identity(of: EventDraft | Event) -> tuple[object, ...]:
    return (of.dfid, of.event_type, of.category, of.visibility, of.circuit_id, of.recipient_user_id, of.corrects)


def _repeats(draft: EventDraft, earlier: EventDraft) -> bool:
    """Tell whether an element repeats one that stands earlier in the same call."""
    return (
        _identity(earlier) == _identity(draft)
        and draft.occurred_at in (None, earlier.occurred_at)
        and canonical(earlier.payload) == canonical(draft.payload)
    )


def _is_recipient(act: Act, ground: Ground, draft: EventDraft) -> bool:
    account = ground.recipients.get(draft.recipient_user_id or "")
    return account is not None and account.status is AccountStatus.ACTIVE and account.user_id != act.user_id


def _corrects(act: Act, ground: Ground, draft: EventDraft, minted: Mapping[str, tuple[int, EventDraft]]) -> bool:
    corrected = draft.corrects or ""
    event = ground.events.get(corrected)
    if event is not None:
        return event.dfid == draft.dfid and event.author_workspace_id == act.workspace_id
    return corrected in minted and minted[corrected][1].dfid == draft.dfid


async def _store(
    act: Act, ground: Ground, elements: Sequence[Element], judged: Sequence[_Judged]
) -> list[Appended | Refusal]:
    fresh = {index: one.draft for index, one in enumerate(judged) if one.draft is not None}
    events = dict(zip(fresh, await record(act, *fresh.values()), strict=True))
    if events:
        await _confirm(act, ground, [elements[index] for index in events])
        await tell(act, list(events.values()))
    results: list[Appended | Refusal] = []
    for index, one in enumerate(judged):
        event = one.original or events.get(index if one.same_as is None else one.same_as)
        if event is not None:
            results.append(Appended(event, created=index in events))
        else:
            assert one.refusal is not None
            results.append(one.refusal)
    return results


async def _confirm(act: Act, ground: Ground, elements: Iterable[Element]) -> None:
    """Confirm what the right to write rested on."""
    pairs = {element.pair for element in elements}
    named = sorted({circuit_id for circuit_id, _ in pairs if circuit_id in ground.members})
    standing = sorted(pairs & ground.placements.keys())
    await act.unit.confirm(ITEMS, *(ground.items[dfid] for dfid in sorted({dfid for _, dfid in pairs})))
    await act.unit.confirm(CIRCUITS, *(ground.circuits[circuit_id] for circuit_id in named))
    await act.unit.confirm(MEMBERSHIPS, *(ground.members[circuit_id] for circuit_id in named))
    await act.unit.confirm(PLACEMENTS, *(ground.placements[pair] for pair in standing))
