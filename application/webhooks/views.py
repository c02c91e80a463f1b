"""What a reader gets of webhooks: never a secret nor the value of a header (circuits.md 4.19)."""

from datetime import datetime

import attrs

from domain.webhooks.triggers import Trigger
from domain.webhooks.values import Delivery, DeliveryError, DeliveryStatus, DisabledReason, Webhook


@attrs.frozen
class WebhookView:
    webhook_id: str
    circuit_id: str
    created_by: str
    name: str
    url: str
    trigger_events: tuple[Trigger, ...]
    header_names: tuple[str, ...]
    previous_until: datetime | None
    enabled: bool
    disabled_reason: DisabledReason | None
    failing_since: datetime | None
    last_success_at: datetime | None
    created_at: datetime
    updated_at: datetime
    version: int


@attrs.frozen
class WebhookWithSecret:
    """A webhook with its signing secret, which is told at creation and rotation only."""

    webhook: WebhookView
    secret: str = attrs.field(repr=False)


@attrs.frozen
class PostActionsView:
    """Whether triggers are told, and to whom; `version` is that of the circuit."""

    enabled: bool
    webhooks: tuple[WebhookView, ...]
    version: int


@attrs.frozen
class DeliveryView:
    delivery_id: str
    webhook_id: str
    circuit_id: str
    trigger: str
    payload: str
    status: DeliveryStatus
    attempts: int
    next_attempt_at: datetime | None
    last_status_code: int | None
    last_error: DeliveryError | None
    last_duration_ms: int | None
    created_at: datetime
    delivered_at: datetime | None
    version: int


def webhook_view(webhook: Webhook) -> WebhookView:
    """Return the webhook without what it keeps."""
    members = {field.name: getattr(webhook, field.name) for field in attrs.fields(WebhookView)}
    return WebhookView(**members | {"trigger_events": tuple(sorted(webhook.trigger_events))})


def delivery_view(delivery: Delivery) -> DeliveryView:
    """Return the delivery as it stands."""
    return DeliveryView(**{field.name: getattr(delivery, field.name) for field in attrs.fields(DeliveryView)})
