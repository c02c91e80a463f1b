"""Webhooks, what they were told, and what is kept of them (circuits.md 7.19, 7.20)."""

import json
from base64 import b64decode
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from application.invariants.core import V, invariant
from application.invariants.sharing import AT_ONCE
from domain.access.vocabulary import MembershipStatus, OperationStatus, OperationType
from domain.circuits.values import Operation
from domain.events.values import EventType
from domain.ports.queries import AnyOf, Between, Condition, Select
from domain.ports.schema import (
    AUDIT,
    CIRCUITS,
    DELIVERIES,
    EVENTS,
    MEMBERSHIPS,
    OPERATIONS,
    OUTBOX,
    PLACEMENTS,
    WEBHOOKS,
    Facet,
)
from domain.ports.storage import Reader
from domain.ports.walking import walk
from domain.webhooks.rules import PAUSES
from domain.webhooks.triggers import Trigger
from domain.webhooks.values import TEST, Delivery, DeliveryStatus, Webhook

SHORTEST_RETENTION = timedelta(days=1)
"""Final deliveries are kept for so long at least."""
MOST = 1000
"""Causes of one kind that are looked at for one webhook, the latest ones."""

Told = tuple[str, str]
"""A trigger, and the id by which its cause is known."""


@invariant("circuits 7.20", DELIVERIES, "Cancel it by deleting the webhook, or replay it.")
async def deliveries_are_what_their_status_says(
    _: Reader, rows: Sequence[Delivery]
) -> AsyncIterator[tuple[Delivery, str]]:
    """What was delivered knows when, what ended too, and nothing was tried more than ten times."""
    for row in rows:
        if (row.status is DeliveryStatus.DELIVERED) and row.delivered_at is None:
            yield row, "was delivered at no time"
        if row.attempts > len(PAUSES) + 1:
            yield row, f"was tried {row.attempts} times"


@invariant("circuits 7.20", DELIVERIES, "Nothing to do: the receiver got one message twice, under two ids.")
async def nothing_is_told_twice(_: Reader, rows: Sequence[Delivery]) -> AsyncIterator[tuple[Delivery, str]]:
    """Of one cause a webhook has one delivery; what was made about the same time is compared."""
    made = Counter((row.webhook_id, row.payload) for row in rows if row.trigger != TEST)
    for row in rows:
        if made[row.webhook_id, row.payload] > 1:
            yield row, f"tells webhook {row.webhook_id} of the same {row.trigger} as another one"


@invariant("circuits 7.20", WEBHOOKS, "Tell the receiver to read the circuit anew; nothing makes up for it.")
async def webhooks_hear_everything(reader: Reader, rows: Sequence[Webhook]) -> AsyncIterator[tuple[Webhook, str]]:
    """What happened in a circuit since its webhook last changed waits in the outbox or is a delivery."""
    for row in rows:
        since = await _listening_since(reader, row) if row.enabled else None
        if since is None:
            continue
        due = [cause async for cause in _causes(reader, row, since)]
        unheard = await _unheard(reader, row, Counter(due), since)
        for trigger, subject in sorted(unheard):
            yield row, f"was never told of {trigger} {subject}"


async def _listening_since(reader: Reader, webhook: Webhook) -> datetime | None:
    """Return since when a webhook hears all that it listens to and keeps what it was sent, None when it does not."""
    circuit = await reader.find(CIRCUITS, webhook.circuit_id)
    if circuit is None or not circuit.post_actions_enabled:
        return None
    changes = AnyOf((webhook.webhook_id, webhook.circuit_id))
    acts = {"resource_id": changes, "action": AnyOf(("webhook.created", "webhook.updated", "circuit.updated"))}
    changed = [webhook.created_at]
    changed += [entry.at async for entry in walk(reader, AUDIT, Select(acts, ("resource_id", "at")))]
    return max(max(changed) + AT_ONCE, await _kept_since(reader, webhook))


async def _kept_since(reader: Reader, webhook: Webhook) -> datetime:
    """Return since when no delivery can have been removed for its age."""
    surely = datetime.now(UTC) - SHORTEST_RETENTION
    ended = Select({"ended_at": Between()}, ("ended_at",))
    oldest = (await reader.page(DELIVERIES, ended, limit=1)).items
    removed_before = oldest[0].ended_at if oldest and oldest[0].ended_at is not None else surely
    return min(surely, removed_before)


async def _causes(reader: Reader, webhook: Webhook, since: datetime) -> AsyncIterator[Told]:
    """Yield what the webhook has to know of, as far as the store still shows it."""
    wanted = webhook.trigger_events

    async def latest(facet: Facet[V], column: str, **where: Condition) -> Sequence[V]:
        here: dict[str, Condition] = {"circuit_id": webhook.circuit_id, column: Between(since), **where}
        return (await reader.page(facet, Select(here, (column,), descending=True), limit=MOST)).items

    if Trigger.ITEM_PUSHED in wanted:
        for placed in await latest(PLACEMENTS, "placed_at"):
            yield Trigger.ITEM_PUSHED.value, placed.operation_id
    if Trigger.ITEM_PUBLISHED in wanted:
        for shown in await latest(PLACEMENTS, "published_at", published=True):
            yield Trigger.ITEM_PUBLISHED.value, shown.dfid
    if wanted & {Trigger.ITEM_TOKENIZED, Trigger.ITEM_APPROVED}:
        for done in await latest(OPERATIONS, "requested_at", status=OperationStatus.COMPLETED):
            for trigger in wanted.intersection(_ends(done)):
                yield trigger.value, done.operation_id
    if Trigger.MEMBER_JOINED in wanted:
        for member in await latest(MEMBERSHIPS, "joined_at", status=MembershipStatus.ACTIVE):
            yield Trigger.MEMBER_JOINED.value, member.user_id
    if Trigger.ITEM_WITHDRAWN in wanted:
        for event in await latest(EVENTS, "recorded_at", event_type=EventType.WITHDRAWN.value):
            yield Trigger.ITEM_WITHDRAWN.value, event.dfid


def _ends(operation: Operation) -> Iterable[Trigger]:
    if operation.operation_type is OperationType.PUSH:
        if operation.item_outcome == "created":
            yield Trigger.ITEM_TOKENIZED
        if operation.approved:
            yield Trigger.ITEM_APPROVED


async def _unheard(reader: Reader, webhook: Webhook, due: Counter[Told], since: datetime) -> set[Told]:
    """Return the causes that neither a delivery nor a waiting row of the outbox tells of."""
    waiting = Select({"kind": AnyOf(tuple(sorted(Trigger))), "status": AnyOf(("pending", "dead"))}, ("created_at",))
    told: Counter[Told] = Counter()
    async for row in walk(reader, OUTBOX, waiting):
        if row.circuit_id == webhook.circuit_id:
            told.update(_names(row.kind, row.data))
    made = Select({"webhook_id": webhook.webhook_id, "created_at": Between(since)}, ("created_at",))
    async for delivery in walk(reader, DELIVERIES, made):
        if not due - told:
            break
        told.update(_names(delivery.trigger, json.loads(delivery.payload)["data"]))
    return set(due - told)


def _names(trigger: str, ids: Mapping[str, Any]) -> Iterable[Told]:
    """Return under which names a cause may be looked for."""
    return [(trigger, str(ids[name])) for name in ("operation_id", "dfid", "user_id") if ids.get(name)]


@invariant("circuits 7.19", WEBHOOKS, "Rotate its secret and set its headers again.")
async def webhook_secrets_are_sealed(_: Reader, rows: Sequence[Webhook]) -> AsyncIterator[tuple[Webhook, str]]:
    """What a webhook keeps from everybody is stored as sealed bytes, not as text that can be read."""
    for row in rows:
        try:
            shown = b64decode(row.sealed, validate=True).decode("utf-8").isprintable()
        except ValueError:
            shown = False
        if shown or "whsec_" in row.sealed:
            yield row, "keeps its secrets in clear"
