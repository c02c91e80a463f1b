"""Webhooks of circuits and their deliveries (circuits.md 1.8)."""

from datetime import datetime
from enum import StrEnum

import attrs

from domain.webhooks.triggers import Trigger

TEST = "webhook_test"
"""The type of a delivery that somebody asked for to try a webhook."""


class DisabledReason(StrEnum):
    FAILING = "failing"
    GONE = "gone"


class DeliveryStatus(StrEnum):
    PENDING = "pending"
    DELIVERING = "delivering"
    RETRYING = "retrying"
    DELIVERED = "delivered"
    DEAD = "dead"
    CANCELLED = "cancelled"


FINAL = frozenset({DeliveryStatus.DELIVERED, DeliveryStatus.DEAD, DeliveryStatus.CANCELLED})
WAITING = (DeliveryStatus.PENDING, DeliveryStatus.RETRYING)


class DeliveryError(StrEnum):
    DNS_FAILED = "dns_failed"
    ADDRESS_REFUSED = "address_refused"
    CONNECT_FAILED = "connect_failed"
    TLS_FAILED = "tls_failed"
    TIMEOUT = "timeout"
    REDIRECT_REFUSED = "redirect_refused"
    HTTP_STATUS = "http_status"
    RESPONSE_TOO_LARGE = "response_too_large"


@attrs.frozen
class Webhook:
    """A receiver of what happens in a circuit.

    `sealed` holds the signing secrets and the values of the headers, encrypted; they leave the engine towards the
    receiver only.
    """

    webhook_id: str
    circuit_id: str
    created_by: str
    name: str
    url: str
    created_at: datetime
    updated_at: datetime
    sealed: str = attrs.field(repr=False)
    trigger_events: frozenset[Trigger] = frozenset(Trigger)
    header_names: tuple[str, ...] = ()
    previous_until: datetime | None = None
    enabled: bool = True
    disabled_reason: DisabledReason | None = None
    failing_since: datetime | None = None
    last_success_at: datetime | None = None
    version: int = 1


@attrs.frozen
class Delivery:
    """One message to one webhook. `payload` is sent byte for byte; `source_id` is the outbox row it was made from.

    `attempts` counts those of the present run, which a replay begins anew. What somebody `asked` for, a test or a
    replay, is tried even when the webhook is disabled.
    """

    delivery_id: str
    webhook_id: str
    circuit_id: str
    source_id: str
    trigger: str
    payload: str
    created_at: datetime
    asked: bool = False
    status: DeliveryStatus = DeliveryStatus.PENDING
    attempts: int = 0
    next_attempt_at: datetime | None = None
    lease_until: datetime | None = None
    last_status_code: int | None = None
    last_error: DeliveryError | None = None
    last_duration_ms: int | None = None
    delivered_at: datetime | None = None
    ended_at: datetime | None = None
    version: int = 1


def due_at(delivery: Delivery) -> datetime | None:
    """Return the instant from which a worker may take the delivery, None for a final one."""
    if delivery.status in FINAL:
        return None
    return delivery.lease_until or delivery.next_attempt_at or delivery.created_at


def cause(delivery: Delivery) -> str:
    """Return what there is one of: a delivery per webhook and outbox row."""
    return f"{delivery.webhook_id} {delivery.source_id}"
