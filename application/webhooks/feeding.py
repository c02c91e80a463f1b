"""From triggers to deliveries, and from deliveries that nobody waits for any more to none (circuits.md 4.19)."""

from collections.abc import Iterable, Mapping
from typing import Any

import attrs

from domain.access.permissions import Permission
from domain.act import Act
from domain.circuits.audience import holders
from domain.circuits.values import Circuit
from domain.document import Document
from domain.ids import new_id
from domain.instants import MICROSECOND, parse_instant, wire
from domain.outbox.values import OutboxRow
from domain.ports.queries import AnyOf, Between, Select
from domain.ports.schema import CIRCUITS, DELIVERIES, WEBHOOKS
from domain.ports.storage import Reader
from domain.webhooks.rules import cancelled, payload_of
from domain.webhooks.triggers import Trigger
from domain.webhooks.values import WAITING, Delivery, DeliveryStatus, Webhook

MOST_WEBHOOKS = 20
AT_ONCE = 500
CANCEL = "cancel_deliveries"


def by_age(circuit_id: str) -> Select:
    """Return the question for the webhooks of a circuit in the order they were made."""
    return Select({"circuit_id": circuit_id}, ("created_at", "webhook_id"))


async def webhooks_of(reader: Reader, circuit_id: str) -> list[Webhook]:
    """Return the webhooks of a circuit in the order they were made."""
    return list((await reader.page(WEBHOOKS, by_age(circuit_id), limit=100)).items)


async def expand(act: Act, row: OutboxRow) -> Document | None:
    """Carry out a trigger: one delivery for each enabled webhook that has it."""
    circuit_id = str(row.circuit_id)
    circuit = await act.unit.find(CIRCUITS, circuit_id)
    if circuit is None or not circuit.post_actions_enabled:
        return None
    payload = payload_of(row.kind, row.created_at, row.data)
    listening = [
        webhook
        for webhook in await webhooks_of(act.unit, circuit_id)
        if webhook.enabled and row.kind in webhook.trigger_events
    ]
    await act.unit.add(DELIVERIES, *(_delivery(act, webhook, row, payload) for webhook in listening))
    return None


def _delivery(act: Act, webhook: Webhook, row: OutboxRow, payload: str) -> Delivery:
    return Delivery(
        delivery_id=new_id(),
        webhook_id=webhook.webhook_id,
        circuit_id=webhook.circuit_id,
        source_id=row.row_id,
        trigger=row.kind,
        payload=payload,
        created_at=act.now,
        next_attempt_at=act.now,
    )


async def cancel_waiting(act: Act, webhook_id: str, until: str | None = None) -> None:
    """Cancel what waits for a webhook: up to 500 now, the rest by a job. What comes later is not meant."""
    until = until or wire(act.now + MICROSECOND)
    query = Select(
        {"webhook_id": webhook_id, "status": AnyOf(WAITING), "created_at": Between(end=parse_instant(until))}
    )
    waiting = (await act.unit.page(DELIVERIES, query, limit=AT_ONCE)).items
    await act.unit.save(DELIVERIES, *(cancelled(delivery, act.now) for delivery in waiting))
    if len(waiting) == AT_ONCE:
        await act.job(CANCEL, {"webhook_id": webhook_id, "until": until})


async def cancel_rest(act: Act, row: OutboxRow) -> Document | None:
    """Carry out a job `cancel_deliveries`."""
    await cancel_waiting(act, row.data["webhook_id"], row.data["until"])
    return None


JOBS = {**dict.fromkeys(map(str, Trigger), expand), CANCEL: cancel_rest}
"""What the relay of the outbox carries out for webhooks."""


async def listen(act: Act, circuit: Circuit, webhooks: Iterable[Webhook]) -> None:
    """Let the circuit know what its webhooks listen to, unless it does."""
    wanted = frozenset(trigger for webhook in webhooks if webhook.enabled for trigger in webhook.trigger_events)
    if wanted == circuit.triggers:
        await act.unit.confirm(CIRCUITS, circuit)
    else:
        await act.unit.save(CIRCUITS, attrs.evolve(circuit, triggers=wanted, version=circuit.version + 1))


async def switched_off(act: Act, webhook: Webhook, host: str) -> None:
    """Record that a webhook was disabled because of its receiver, and tell who may repair it."""
    circuit_id = webhook.circuit_id
    circuit = await act.unit.find(CIRCUITS, circuit_id)
    if circuit is not None:
        others = [one for one in await webhooks_of(act.unit, circuit_id) if one.webhook_id != webhook.webhook_id]
        await listen(act, circuit, [*others, webhook])
    failures = await _failures(act.unit, webhook)
    await cancel_waiting(act, webhook.webhook_id)
    told = await holders(act.unit, circuit_id, Permission.MANAGE_SETTINGS)
    details: Mapping[str, Any] = {"reason": webhook.disabled_reason, "name": webhook.name}
    source = f"{webhook.webhook_id} {webhook.version}"
    data = {"url_host": host, "failures": failures, "webhook_id": webhook.webhook_id, **details}
    await act.notify("webhook_disabled", told, source_id=source, circuit_id=circuit_id, data=data)
    subject = ("webhook", webhook.webhook_id)
    await act.audit("webhook.disabled", subject, circuit_id=circuit_id, details=dict(details))


async def _failures(reader: Reader, webhook: Webhook) -> int:
    """Return how many deliveries of a webhook have failed and were not delivered since."""
    failed = AnyOf((DeliveryStatus.RETRYING, DeliveryStatus.DEAD))
    counts = await reader.count(DELIVERIES, {"webhook_id": webhook.webhook_id, "status": failed}, "status")
    return sum(counts.values())
