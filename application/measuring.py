"""What the store holds that operators watch: work that waits, and work that was given up (platform.md 10.2)."""

from collections.abc import Awaitable, Callable
from datetime import datetime

from domain.audit.incidents import IncidentSeverity, IncidentStatus
from domain.audit.sequencing import newest
from domain.ports.clock import Clock
from domain.ports.measures import Measure
from domain.ports.queries import AnyOf, Select
from domain.ports.schema import AUDIT, DELIVERIES, INCIDENTS, OUTBOX
from domain.ports.storage import Reader, Storage
from domain.webhooks.values import WAITING, DeliveryStatus

Look = Callable[[Reader, datetime], Awaitable[list[Measure]]]
DELIVERY = "webhook_delivery"


async def measured(storage: Storage, clock: Clock, looks: tuple[Look, ...]) -> list[Measure]:
    """Take every look in one reader. Raises StorageError."""
    async with storage.read() as reader:
        return [measure for look in looks for measure in await look(reader, clock.now())]


async def outbox(reader: Reader, now: datetime) -> list[Measure]:
    """Return how much waits and how much was given up by kind, and how old the oldest is."""
    pending = _counts(await reader.count(OUTBOX, {"status": "pending"}, "kind"))
    dead = _counts(await reader.count(OUTBOX, {"status": "dead"}, "kind"))
    oldest = {kind: await _age(reader, kind, now) for kind in pending}
    waiting = (*WAITING, DeliveryStatus.DELIVERING)
    pending[DELIVERY] = sum((await reader.count(DELIVERIES, {"status": AnyOf(waiting)}, "status")).values())
    dead[DELIVERY] = sum((await reader.count(DELIVERIES, {"status": DeliveryStatus.DEAD}, "status")).values())
    return [
        Measure("outbox_pending", "Effects that wait to be carried out.", pending, "kind"),
        Measure("outbox_oldest_seconds", "Age of the oldest effect that waits.", oldest, "kind"),
        Measure("outbox_dead", "Effects that were given up.", dead, "kind"),
    ]


def _counts(found: object) -> dict[str, float]:
    return {str(kind): float(number) for kind, number in found.items()}  # type: ignore[attr-defined]


async def _age(reader: Reader, kind: str, now: datetime) -> float:
    query = Select({"status": "pending", "kind": kind}, ("created_at", "row_id"))
    rows = (await reader.page(OUTBOX, query, limit=1)).items
    return max(0.0, (now - rows[0].created_at).total_seconds()) if rows else 0.0


async def audit_log(reader: Reader, now: datetime) -> list[Measure]:
    """Return how many entries wait for their place in the log, and how many have one."""
    waiting = _counts(await reader.count(AUDIT, {"log_index": None}, "action_group"))
    head = await newest(reader)
    size = 0 if head is None else head.tree_size
    return [
        Measure("audit_unsequenced", "Audit entries without a place in the log.", {"": sum(waiting.values())}),
        Measure("audit_tree_size", "Audit entries in the log.", {"": size}),
    ]


async def incidents(reader: Reader, now: datetime) -> list[Measure]:
    """Return how many incidents nobody has taken on yet, by their severity."""
    found = _counts(await reader.count(INCIDENTS, {"status": IncidentStatus.OPEN}, "severity"))
    values = {severity.value: found.get(severity.value, 0.0) for severity in IncidentSeverity}
    return [Measure("incidents_open", "Incidents that nobody has taken on.", values, "severity")]


LOOKS: tuple[Look, ...] = (outbox, audit_log, incidents)
"""Every look that a scrape takes."""
