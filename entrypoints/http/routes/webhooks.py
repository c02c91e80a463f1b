"""Routes of webhooks: `/api/circuits/{circuit_id}/post-actions…` (circuits.md 4.19, 6)."""

from collections.abc import Sequence
from typing import Any

import attrs

from application.webhooks import Webhooks
from application.webhooks.requests import (
    CreateWebhook,
    DeliveryFilter,
    RotateSecret,
    SwitchPostActions,
    UpdateWebhook,
)
from application.webhooks.views import DeliveryView, PostActionsView, WebhookView, WebhookWithSecret
from domain.ports.queries import Page
from domain.webhooks.values import FINAL
from entrypoints.http.routes.lists import Cursor, Limit, PageQuery
from entrypoints.http.routing import Call, Route

MANAGE, TAG = "circuits:manage", "webhooks"
ROOT = "/api/circuits/{circuit_id}/post-actions"
HOOKS = f"{ROOT}/webhooks"
HOOK = f"{HOOKS}/{{webhook_id}}"
DELIVERIES = f"{ROOT}/deliveries"
GUARDED = ("not_a_member", "permission_missing", "circuit_not_active")


@attrs.frozen
class DeliveryQuery(DeliveryFilter):
    """Deliveries by webhook, status and trigger."""

    limit: Limit = 50
    cursor: Cursor = None


class WebhookHandlers:
    """Each calls one use case."""

    def __init__(self, webhooks: Webhooks) -> None:
        self.do = webhooks

    async def post_actions(self, call: Call) -> PostActionsView:
        return await self.do.post_actions(call.principal, call.path["circuit_id"])

    async def switch(self, call: Call) -> PostActionsView:
        return await self.do.switch(call.principal, call.path["circuit_id"], call.body, call.if_match)

    async def page(self, call: Call) -> Page[WebhookView]:
        return await self.do.webhooks(call.principal, call.path["circuit_id"], call.after, call.limit)

    async def create(self, call: Call) -> WebhookWithSecret:
        return await self.do.create(call.principal, call.path["circuit_id"], call.body)

    async def get(self, call: Call) -> WebhookView:
        return await self.do.webhook(call.principal, *_named(call))

    async def update(self, call: Call) -> WebhookView:
        return await self.do.update(call.principal, *_named(call), call.body, call.if_match)

    async def delete(self, call: Call) -> None:
        await self.do.delete(call.principal, *_named(call), call.if_match)

    async def rotate(self, call: Call) -> WebhookWithSecret:
        return await self.do.rotate(call.principal, *_named(call), call.body, call.if_match)

    async def test(self, call: Call) -> DeliveryView:
        return await self.do.test(call.principal, *_named(call))

    async def deliveries(self, call: Call) -> Page[DeliveryView]:
        circuit_id = call.path["circuit_id"]
        return await self.do.deliveries(call.principal, circuit_id, call.query, call.after, call.limit)

    async def delivery(self, call: Call) -> DeliveryView:
        return await self.do.delivery(call.principal, call.path["circuit_id"], call.path["delivery_id"])

    async def replay(self, call: Call) -> DeliveryView:
        return await self.do.replay(call.principal, call.path["circuit_id"], call.path["delivery_id"])


def _named(call: Call) -> tuple[str, str]:
    return call.path["circuit_id"], call.path["webhook_id"]


def webhook_routes(webhooks: Webhooks) -> Sequence[Route]:
    """Return the routes of webhooks and their deliveries."""
    do = WebhookHandlers(webhooks)
    common: dict[str, Any] = {"tag": TAG, "scope": MANAGE, "problems": GUARDED}
    return (*_settings(do, common), *_webhooks(do, common), *_deliveries(do, common))


def _settings(do: WebhookHandlers, common: dict[str, Any]) -> Sequence[Route]:
    settings = common | {"versioned": True, "answer": PostActionsView}
    return (
        Route(
            method="GET",
            path=ROOT,
            handler=do.post_actions,
            operation_id="post_actions_get",
            summary="Read what a circuit tells others",
            **settings,
        ),
        Route(
            method="PATCH",
            path=ROOT,
            handler=do.switch,
            operation_id="post_actions_update",
            summary="Turn telling others on or off",
            body=SwitchPostActions,
            if_match="required",
            request_example={"enabled": False},
            **settings,
        ),
    )


def _webhooks(do: WebhookHandlers, common: dict[str, Any]) -> Sequence[Route]:
    one = common | {"versioned": True, "answer": WebhookView}
    secret = common | {
        "secret": True,
        "answer": WebhookWithSecret,
        "versioned": True,
        "version_of": lambda made: made.webhook.version,
    }
    return (
        Route(
            method="GET",
            path=HOOKS,
            handler=do.page,
            operation_id="webhook_list",
            summary="List the webhooks of a circuit",
            query=PageQuery,
            page=True,
            answer=WebhookView,
            **common,
        ),
        Route(
            method="POST",
            path=HOOKS,
            handler=do.create,
            operation_id="webhook_create",
            summary="Tell a receiver what happens in a circuit",
            body=CreateWebhook,
            success=(201,),
            location=lambda made: f"{_home(made.webhook)}/webhooks/{made.webhook.webhook_id}",
            request_example={"name": "ERP", "url": "https://erp.example.org/defarm", "trigger_events": ["item_pushed"]},
            **secret | {"problems": (*GUARDED, "url_not_allowed", "quota_reached")},
        ),
        Route(
            method="GET",
            path=HOOK,
            handler=do.get,
            operation_id="webhook_get",
            summary="Read a webhook",
            **one,
        ),
        Route(
            method="PATCH",
            path=HOOK,
            handler=do.update,
            operation_id="webhook_update",
            summary="Change a webhook",
            body=UpdateWebhook,
            if_match="required",
            request_example={"enabled": True},
            **one | {"problems": (*GUARDED, "url_not_allowed", "webhook_unreadable")},
        ),
        Route(
            method="DELETE",
            path=HOOK,
            handler=do.delete,
            operation_id="webhook_delete",
            summary="Remove a webhook",
            success=(204,),
            if_match="honoured",
            **common,
        ),
        Route(
            method="POST",
            path=f"{HOOK}/rotate-secret",
            handler=do.rotate,
            operation_id="webhook_rotate_secret",
            summary="Give a webhook a new signing secret",
            body=RotateSecret,
            if_match="honoured",
            request_example={"grace_seconds": 3600},
            **secret | {"problems": (*GUARDED, "webhook_unreadable")},
        ),
        Route(
            method="POST",
            path=f"{HOOK}/test",
            handler=do.test,
            operation_id="webhook_test",
            summary="Send a test delivery",
            success=(202,),
            location=_delivery_home,
            answer=DeliveryView,
            **common,
        ),
    )


def _deliveries(do: WebhookHandlers, common: dict[str, Any]) -> Sequence[Route]:
    return (
        Route(
            method="GET",
            path=DELIVERIES,
            handler=do.deliveries,
            operation_id="delivery_list",
            summary="List deliveries, newest first",
            query=DeliveryQuery,
            page=True,
            answer=DeliveryView,
            **common,
        ),
        Route(
            method="GET",
            path=f"{DELIVERIES}/{{delivery_id}}",
            handler=do.delivery,
            operation_id="delivery_get",
            summary="Read a delivery",
            versioned=True,
            unfinished=lambda delivery: delivery.status not in FINAL,
            answer=DeliveryView,
            **common,
        ),
        Route(
            method="POST",
            path=f"{DELIVERIES}/{{delivery_id}}/replay",
            handler=do.replay,
            operation_id="delivery_replay",
            summary="Deliver once more",
            success=(202,),
            location=_delivery_home,
            answer=DeliveryView,
            **common | {"problems": (*GUARDED, "delivery_running", "webhook_gone")},
        ),
    )


def _home(view: WebhookView | DeliveryView) -> str:
    return f"/api/circuits/{view.circuit_id}/post-actions"


def _delivery_home(view: DeliveryView) -> str:
    return f"{_home(view)}/deliveries/{view.delivery_id}"
