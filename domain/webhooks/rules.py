"""What becomes of deliveries, and what is sent (circuits.md 4.19, 5)."""

import hashlib
import hmac
import json
import random
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import attrs

from domain.errors import Refusal
from domain.instants import strictly_after, wire
from domain.webhooks.values import (
    FINAL,
    Delivery,
    DeliveryError,
    DeliveryStatus,
    DisabledReason,
    Webhook,
)

LEASE = timedelta(seconds=60)
PAUSES = tuple(timedelta(seconds=each) for each in (5, 30, 300, 1800, 7200, 18000, 36000, 50400, 72000))
LONGEST_WISH = timedelta(hours=24)
"""A receiver's Retry-After is honoured up to this."""

PATIENCE = timedelta(days=5)
"""A webhook that failed this long without one success is disabled."""

FRESH = timedelta(minutes=1)
"""Successes closer together than this are noted once."""

_SECRET = "whsec_"  # noqa: S105 -- how secrets begin


def payload_of(trigger: str, instant: datetime, data: Mapping[str, Any]) -> str:
    """Return the body of a delivery: compact JSON of ids only."""
    message = {"type": trigger, "timestamp": wire(instant), "data": data}
    return json.dumps(message, separators=(",", ":"), ensure_ascii=False)


def signature(secrets: Sequence[str], delivery_id: str, timestamp: int, body: str) -> str:
    """Return the `webhook-signature` of Standard Webhooks, one signature per secret in their order."""
    signed = f"{delivery_id}.{timestamp}.{body}".encode()
    keys = [b64decode(secret.removeprefix(_SECRET)) for secret in secrets]
    return " ".join(f"v1,{b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()}" for key in keys)


def secret_text(key: bytes) -> str:
    """Return a signing secret as its holder keeps it."""
    return _SECRET + b64encode(key).decode()


@attrs.frozen
class Result:
    """How an attempt ended: with a status, or an error before there was one. `retry_after` is the receiver's wish."""

    status_code: int | None = None
    error: DeliveryError | None = None
    retry_after: timedelta | None = None
    duration_ms: int = 0

    @property
    def delivered(self) -> bool:
        return self.error is None and self.status_code is not None and 200 <= self.status_code < 300

    @property
    def gone(self) -> bool:
        return self.status_code == 410


def taken(delivery: Delivery, now: datetime) -> Delivery:
    """Return the delivery held by a worker for one attempt, or dead when its last one ended with its worker."""
    if delivery.attempts > len(PAUSES):
        return _next(delivery, status=DeliveryStatus.DEAD, ended_at=now, next_attempt_at=None, lease_until=None)
    status = DeliveryStatus.DELIVERING
    return _next(delivery, status=status, attempts=delivery.attempts + 1, lease_until=now + LEASE)


def given_back(delivery: Delivery) -> Delivery:
    """Return a held delivery as if nobody had taken it."""
    status = DeliveryStatus.RETRYING if delivery.attempts > 1 else DeliveryStatus.PENDING
    return _next(delivery, status=status, attempts=delivery.attempts - 1, lease_until=None)


def settled(delivery: Delivery, result: Result, now: datetime, spread: Callable[[], float] = random.random) -> Delivery:
    """Return a held delivery after its attempt; pauses are ±20 % at random."""
    seen = _next(
        delivery,
        lease_until=None,
        last_status_code=result.status_code,
        last_error=result.error,
        last_duration_ms=result.duration_ms,
    )
    if result.delivered:
        done = DeliveryStatus.DELIVERED
        return attrs.evolve(seen, status=done, delivered_at=now, ended_at=now, next_attempt_at=None)
    if result.gone or delivery.attempts > len(PAUSES):
        return attrs.evolve(seen, status=DeliveryStatus.DEAD, ended_at=now, next_attempt_at=None)
    pause = PAUSES[delivery.attempts - 1] * (0.8 + 0.4 * spread())
    if result.retry_after is not None:
        pause = max(pause, min(result.retry_after, LONGEST_WISH))
    return attrs.evolve(seen, status=DeliveryStatus.RETRYING, next_attempt_at=now + pause)


def cancelled(delivery: Delivery, now: datetime) -> Delivery:
    """Return a delivery that will not be tried any more."""
    ended = DeliveryStatus.CANCELLED
    return _next(delivery, status=ended, ended_at=now, next_attempt_at=None, lease_until=None)


def replayed(delivery: Delivery, now: datetime) -> Delivery:
    """Return a final delivery that waits again, with the same id and payload. Raises Refusal `delivery_running`."""
    if delivery.status not in FINAL:
        raise Refusal("delivery_running", f"This delivery is {delivery.status}.", current_status=delivery.status.value)
    return _next(
        delivery,
        status=DeliveryStatus.PENDING,
        asked=True,
        attempts=0,
        next_attempt_at=now,
        delivered_at=None,
        ended_at=None,
    )


def after_result(webhook: Webhook, result: Result, now: datetime) -> Webhook:
    """Return the webhook as an attempt leaves it: the same one when there is nothing to note."""
    if result.delivered:
        fresh = webhook.last_success_at is not None and now - webhook.last_success_at < FRESH
        if webhook.failing_since is None and fresh:
            return webhook
        return evolved(webhook, now, failing_since=None, last_success_at=now)
    if result.gone and webhook.enabled:
        return disabled(webhook, DisabledReason.GONE, now)
    if webhook.failing_since is None:
        return evolved(webhook, now, failing_since=now)
    if webhook.enabled and now - webhook.failing_since >= PATIENCE:
        return disabled(webhook, DisabledReason.FAILING, now)
    return webhook


def disabled(webhook: Webhook, reason: DisabledReason, now: datetime) -> Webhook:
    """Return a webhook that is switched off because of its receiver."""
    return evolved(webhook, now, enabled=False, disabled_reason=reason)


def evolved(webhook: Webhook, now: datetime, **changes: Any) -> Webhook:
    """Return the webhook with `changes`, one version on."""
    return attrs.evolve(
        webhook, updated_at=strictly_after(webhook.updated_at, now), version=webhook.version + 1, **changes
    )


def _next(delivery: Delivery, **changes: Any) -> Delivery:
    return attrs.evolve(delivery, version=delivery.version + 1, **changes)
