"""Routes of items in circuits: push, pull, withdraw, publish, operations (circuits.md 6)."""

from collections.abc import Sequence
from typing import Any

import attrs

from application.circuits import Circuits
from application.circuits.requests import (
    Decisions,
    OperationFilter,
    PlacementFilter,
    Publications,
    PushBatch,
    PushLocal,
    WithReason,
)
from application.circuits.views import (
    DecisionsResult,
    EventList,
    OperationView,
    PendingOperationView,
    PlacementElsewhere,
    PlacementView,
    PublicationsResult,
    Pull,
    PullResult,
    Push,
    PushBatchResult,
    PushResult,
)
from domain.access.vocabulary import OperationStatus
from domain.circuits.pushing import push_places
from domain.circuits.scene import scene_places
from domain.ports.queries import Page
from entrypoints.http.paging import Cursors, listing
from entrypoints.http.routes.circuits import GUARDED, MANAGE, MEMBER_ONLY, ONE, PUSH, READ, ROOT
from entrypoints.http.routes.lists import Cursor, Limit, PageQuery
from entrypoints.http.routing import Call, Route

TAG = "sharing"
ITEM = ("item_merged", "item_not_active")
CONFLICTS = ("identifier_claimed", "identifier_conflict", "identifier_contradiction", "local_item_held")
DECIDING = (
    *GUARDED,
    "own_operation",
    "operation_decided",
    "requester_not_permitted",
    "item_not_pushable",
    "submission_outdated",
    "push_blocked",
    "placement_gone",
)


@attrs.frozen
class PlacementQuery(PlacementFilter):
    """Placements of a circuit."""

    limit: Limit = 50
    cursor: Cursor = None


@attrs.frozen
class OperationQuery(OperationFilter):
    """Operations of a circuit."""

    limit: Limit = 50
    cursor: Cursor = None


class SharingHandlers:
    """Each calls one use case."""

    def __init__(self, circuits: Circuits) -> None:
        self.circuits = circuits

    async def push(self, call: Call) -> Push:
        return await self.circuits.push(call.principal, call.path["circuit_id"], call.path["dfid"], call.ahead)

    async def push_local(self, call: Call) -> Push:
        return await self.circuits.push_local(call.principal, call.path["circuit_id"], call.body, call.ahead)

    async def push_batch(self, call: Call) -> PushBatchResult:
        return await self.circuits.push_batch(call.principal, call.path["circuit_id"], call.body)

    async def pull(self, call: Call) -> Pull:
        return await self.circuits.pull(call.principal, call.path["circuit_id"], call.path["dfid"])

    async def withdraw(self, call: Call) -> None:
        reason = call.body.reason if call.body is not None else None
        await self.circuits.withdraw(call.principal, call.path["circuit_id"], call.path["dfid"], reason)

    async def publish(self, call: Call) -> None:
        await self.circuits.publish(call.principal, call.path["circuit_id"], call.path["dfid"], shown=True)

    async def unpublish(self, call: Call) -> None:
        await self.circuits.publish(call.principal, call.path["circuit_id"], call.path["dfid"], shown=False)

    async def publish_many(self, call: Call) -> PublicationsResult:
        return await self.circuits.publish_many(call.principal, call.path["circuit_id"], call.body)

    async def placements(self, call: Call) -> Page[PlacementView]:
        return await self.circuits.placements(
            call.principal, call.path["circuit_id"], call.query, call.after, call.limit
        )

    async def placement(self, call: Call) -> PlacementView:
        return await self.circuits.placement(call.principal, call.path["circuit_id"], call.path["dfid"])

    async def placements_of(self, call: Call) -> Page[PlacementElsewhere]:
        return await self.circuits.placements_of(call.principal, call.path["dfid"], call.after, call.limit)

    async def operations(self, call: Call) -> Page[OperationView]:
        return await self.circuits.operations(
            call.principal, call.path["circuit_id"], call.query, call.after, call.limit
        )

    async def pending(self, call: Call) -> Page[PendingOperationView]:
        return await self.circuits.pending_operations(call.principal, call.path["circuit_id"], call.after, call.limit)

    async def operation(self, call: Call) -> OperationView:
        return await self.circuits.operation(call.principal, call.path["operation_id"], call.path.get("circuit_id"))

    async def approve(self, call: Call) -> OperationView:
        return await self.circuits.approve_operation(
            call.principal, call.path["operation_id"], call.path.get("circuit_id"), _reason(call), call.if_match
        )

    async def reject(self, call: Call) -> OperationView:
        return await self.circuits.reject_operation(
            call.principal, call.path["operation_id"], call.path.get("circuit_id"), _reason(call), call.if_match
        )

    async def cancel(self, call: Call) -> OperationView:
        return await self.circuits.cancel_operation(
            call.principal, call.path["operation_id"], call.path.get("circuit_id"), call.if_match
        )

    async def decide(self, call: Call) -> DecisionsResult:
        return await self.circuits.decide_operations(call.principal, call.path["circuit_id"], call.body)


def _reason(call: Call) -> str | None:
    return call.body.reason if call.body is not None else None


def _push_view(result: Push) -> dict[str, Any]:
    return {field.name: getattr(result, field.name) for field in attrs.fields(PushResult) if field.name != "written"}


def _push_status(result: Push) -> int:
    if result.outcome == "pending":
        return 202
    return 201 if result.written else 200


def _operation_at(result: PushResult | Pull) -> str | None:
    operation = result.operation
    if operation is None:
        return None
    return f"{ROOT}/{operation.circuit_id}/operations/{operation.operation_id}"


def sharing_routes(circuits: Circuits, cursors: Cursors) -> Sequence[Route]:
    """Return the routes of items in circuits and of the operations on them.

    `cursors` continue the events that a pull begins to read, at the route that lists the events of an item.
    """
    do = SharingHandlers(circuits)
    return (*_pushing(do), _pulling(do, cursors), *_standing(do), *_operations(do))


def _pulling(do: SharingHandlers, cursors: Cursors) -> Route:
    def shown(pull: Pull) -> PullResult:
        if pull.events is None or pull.item is None:
            return PullResult(pull.operation, None, None)
        listed = listing("event_list_of_item", PageQuery(), {"dfid": pull.item.dfid})
        cursor = None if pull.events.after is None else cursors.write(listed, pull.events.after)
        return PullResult(pull.operation, pull.item, EventList(pull.events.items, cursor))

    return Route(
        method="POST",
        path=f"{ONE}/pull/{{dfid}}",
        handler=do.pull,
        operation_id="item_pull",
        tag=TAG,
        summary="Pull an item from a circuit: a read that leaves a record",
        scope=PUSH,
        success=(200, 202),
        status_of=lambda result: 200 if result.item is not None else 202,
        location=lambda result: _operation_at(result) if result.item is None else f"/api/items/{result.item.dfid}",
        links=lambda result: () if result.item is None else ((str(_operation_at(result)), "related"),),
        view=shown,
        problems=(*GUARDED, "item_merged", "quota_reached"),
        answer=PullResult,
    )


def _pushing(do: SharingHandlers) -> Sequence[Route]:
    pushed: dict[str, Any] = {
        "tag": TAG,
        "scope": PUSH,
        "success": (201, 200, 202),
        "status_of": _push_status,
        "view": _push_view,
        "location": _operation_at,
        "answer": PushResult,
    }
    return (
        Route(
            method="POST",
            path=f"{ONE}/push/{{dfid}}",
            handler=do.push,
            operation_id="item_push",
            summary="Push an item into a circuit",
            ahead=lambda path, user_id: push_places(path["circuit_id"], user_id, path["dfid"]),
            problems=(*GUARDED, *ITEM, "resharing_not_allowed", "quota_reached"),
            **pushed,
        ),
        Route(
            method="POST",
            path=f"{ONE}/push-local",
            handler=do.push_local,
            operation_id="draft_push",
            summary="Push a draft into a circuit: it becomes an item",
            ahead=lambda path, user_id: scene_places(path["circuit_id"], user_id),
            body=PushLocal,
            problems=(*GUARDED, *ITEM, *CONFLICTS, "resharing_not_allowed", "quota_reached", "approval_required"),
            request_example={"local_id": "01941f60-6a80-7000-8000-0000000000f1", "data": {"lote": "12"}},
            **pushed,
        ),
        Route(
            method="POST",
            path=f"{ONE}/push/batch",
            handler=do.push_batch,
            operation_id="item_push_batch",
            tag=TAG,
            summary="Push up to 1,000 items and drafts in one unit",
            scope=PUSH,
            body=PushBatch,
            bulk=True,
            problems=(*GUARDED, "batch_refused"),
            request_example={"items": [{"dfid": "DFID-20250108-000042-94E"}]},
            answer=PushBatchResult,
        ),
        Route(
            method="POST",
            path=f"{ONE}/withdraw/{{dfid}}",
            handler=do.withdraw,
            operation_id="item_withdraw",
            tag=TAG,
            summary="Take an item out of a circuit",
            scope=PUSH,
            body=WithReason,
            success=(204,),
            problems=GUARDED,
        ),
    )


def _standing(do: SharingHandlers) -> Sequence[Route]:
    publication = f"{ONE}/items/{{dfid}}/publication"
    return (
        Route(
            method="GET",
            path=f"{ONE}/items",
            handler=do.placements,
            operation_id="placement_list",
            tag=TAG,
            summary="List what stands in a circuit",
            scope=READ,
            query=PlacementQuery,
            page=True,
            problems=MEMBER_ONLY,
            answer=PlacementView,
        ),
        Route(
            method="GET",
            path=f"{ONE}/items/{{dfid}}",
            handler=do.placement,
            operation_id="placement_get",
            tag=TAG,
            summary="Read a placement",
            scope=READ,
            problems=MEMBER_ONLY,
            answer=PlacementView,
        ),
        Route(
            method="GET",
            path="/api/items/{dfid}/placements",
            handler=do.placements_of,
            operation_id="placement_list_of_item",
            tag=TAG,
            summary="List where an item stands",
            scope="items:read",
            query=PageQuery,
            page=True,
            answer=PlacementElsewhere,
        ),
        Route(
            method="PUT",
            path=publication,
            handler=do.publish,
            operation_id="item_publish",
            tag=TAG,
            summary="Show an item on the public page",
            scope=PUSH,
            success=(204,),
            problems=(*GUARDED, "item_not_active", "item_merged", "owner_must_publish"),
        ),
        Route(
            method="DELETE",
            path=publication,
            handler=do.unpublish,
            operation_id="item_unpublish",
            tag=TAG,
            summary="Take an item off the public page",
            scope=PUSH,
            success=(204,),
            problems=GUARDED,
        ),
        Route(
            method="POST",
            path=f"{ONE}/publications",
            handler=do.publish_many,
            operation_id="item_publish_many",
            tag=TAG,
            summary="Show or hide many items in one unit",
            scope=PUSH,
            body=Publications,
            bulk=True,
            problems=GUARDED,
            request_example={"dfids": ["DFID-20250108-000042-94E"], "published": True},
            answer=PublicationsResult,
        ),
    )


def _operations(do: SharingHandlers) -> Sequence[Route]:
    operation: dict[str, Any] = {"tag": TAG, "versioned": True, "answer": OperationView}
    steps: list[Route] = []
    for form, root in (("", f"{ONE}/operations"), ("_short", f"{ROOT}/operations")):
        one = f"{root}/{{operation_id}}"
        steps += [
            Route(
                method="POST",
                path=f"{one}/approve",
                handler=do.approve,
                operation_id=f"operation_approve{form}",
                summary="Let a waiting operation happen",
                scope=MANAGE,
                body=WithReason,
                if_match="honoured",
                problems=DECIDING,
                **operation,
            ),
            Route(
                method="POST",
                path=f"{one}/reject",
                handler=do.reject,
                operation_id=f"operation_reject{form}",
                summary="Turn a waiting operation down",
                scope=MANAGE,
                body=WithReason,
                if_match="honoured",
                problems=DECIDING,
                **operation,
            ),
            Route(
                method="POST",
                path=f"{one}/cancel",
                handler=do.cancel,
                operation_id=f"operation_cancel{form}",
                summary="Take a waiting operation back",
                scope=PUSH,
                if_match="honoured",
                problems=("operation_decided", "circuit_not_active"),
                **operation,
            ),
        ]
    return (
        Route(
            method="GET",
            path=f"{ONE}/operations",
            handler=do.operations,
            operation_id="operation_list",
            tag=TAG,
            summary="List operations",
            scope=READ,
            query=OperationQuery,
            page=True,
            problems=MEMBER_ONLY,
            answer=OperationView,
        ),
        Route(
            method="GET",
            path=f"{ONE}/operations/pending",
            handler=do.pending,
            operation_id="operation_list_pending",
            tag=TAG,
            summary="List operations that wait, oldest first",
            scope=READ,
            query=PageQuery,
            page=True,
            problems=MEMBER_ONLY,
            answer=PendingOperationView,
        ),
        Route(
            method="GET",
            path=f"{ONE}/operations/{{operation_id}}",
            handler=do.operation,
            operation_id="operation_get",
            summary="Read an operation",
            scope=READ,
            unfinished=lambda operation: operation.status is OperationStatus.PENDING,
            **operation,
        ),
        Route(
            method="POST",
            path=f"{ONE}/operations/decisions",
            handler=do.decide,
            operation_id="operation_decide_many",
            tag=TAG,
            summary="Decide many operations in one unit",
            scope=MANAGE,
            body=Decisions,
            bulk=True,
            problems=GUARDED,
            request_example={"decision": "approve", "operation_ids": ["01941f60-6a80-7000-8000-0000000000f2"]},
            answer=DecisionsResult,
        ),
        *steps,
    )
