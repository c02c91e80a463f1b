"""Routes of items and drafts (items-events.md 12.1)."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import attrs

from application.items import (
    CreateBatch,
    CreateDraft,
    EnrichItem,
    ItemFilter,
    ItemOutcome,
    Items,
    ItemSearch,
    ItemView,
    OnProblem,
    UpdateDraft,
    UpdateItem,
)
from application.items.histories import ContributionView
from application.items.reading import refuse_personal_in_url
from application.items.views import (
    BatchOutcome,
    MappingView,
    PendingOutcome,
    SubmittedView,
    members_of,
    with_outcome,
)
from application.remembering import Remembered
from domain.items.submission import Submission
from domain.items.values import Outcome
from domain.ports.queries import Page
from domain.ports.schema import ITEMS
from domain.shape import UNSET, Raw, Unset
from entrypoints.http.answers import Ready
from entrypoints.http.codec import encode
from entrypoints.http.conditional import etag
from entrypoints.http.routes.item_drafts import draft_routes
from entrypoints.http.routes.item_histories import history_routes
from entrypoints.http.routes.item_lineage import lineage_routes
from entrypoints.http.routes.item_queue import queue_routes
from entrypoints.http.routes.item_upkeep import upkeep_routes
from entrypoints.http.routes.lists import Cursor, Limit, PageQuery
from entrypoints.http.routing import Call, Route

READ, WRITE, TAG = "items:read", "items:write", "items"
MAX_INCLUDED = 100

_SUBMISSION = {
    "identifiers": [
        {"key": "sisbov", "value": "BR 076 0000 0000 0001"},
        {"key": "lote", "value": "L-77", "namespace": "bovino"},
    ],
    "data": {"raça": "Nelore", "peso_kg": 412.5},
}
_CONFLICTS = (
    "identifier_conflict",
    "identifier_claimed",
    "identifier_contradiction",
    "item_not_active",
    "item_merged",
)


@attrs.frozen
class ProblemChoice:
    """What becomes of faulty identifiers or data."""

    on_problem: OnProblem = OnProblem.REFUSE


@attrs.frozen
class ItemList(ItemFilter):
    """Filters and page of a list of items."""

    limit: Limit = 50
    cursor: Cursor = None


@attrs.frozen
class ItemLookup(ItemSearch):
    """Search body with its page."""

    limit: Limit = 50
    cursor: Cursor = None


@attrs.frozen
class ByIdentifier(PageQuery):
    """Page of the items of one identifier."""

    namespace: Annotated[str, Raw(1, 64)] | None = None


def _outcome_view(result: ItemOutcome | PendingOutcome) -> Any:
    if isinstance(result, PendingOutcome):
        return result
    return with_outcome(result.item, result.outcome, result.warnings)


def _outcome_status(result: ItemOutcome | PendingOutcome) -> int:
    if isinstance(result, PendingOutcome):
        return 202
    return 201 if result.outcome is Outcome.CREATED else 200


def _outcome_location(result: ItemOutcome | PendingOutcome) -> str:
    if isinstance(result, PendingOutcome):
        return f"/api/items/pending/{result.pending_id}"
    return f"/api/items/{result.item.dfid}"


def _outcome_version(result: ItemOutcome | PendingOutcome) -> int | None:
    return None if isinstance(result, PendingOutcome) else result.item.version


def _version(view: ItemView) -> int:
    return view.version


@attrs.frozen
class Include:
    """What else to answer with an item."""

    include: Literal["contributions"] | None = None


@attrs.frozen
class ItemRead:
    """An item, what a merged one is part of, and its newest contributions where they were asked for."""

    item: ItemView
    successor: str | None = None
    contributions: tuple[ContributionView, ...] | None = None


@attrs.frozen
class ReadView(ItemView):
    """What is sent of an item that was read."""

    contributions: tuple[ContributionView, ...] | Unset = UNSET


def _successor(found: ItemRead) -> tuple[tuple[str, str], ...]:
    return () if found.successor is None else ((f"/api/items/{found.successor}", "successor-version"),)


_READY: Remembered[ItemView, Ready] = Remembered()


def _made_ready(view: ItemView) -> Ready:
    body = encode(view)
    return Ready(body, view.version, etag(body, view.version))


def _ready_view(view: ItemView) -> Ready:
    return _READY.of(view, _made_ready)


def _read_view(found: ItemRead) -> Ready | dict[str, Any]:
    if found.contributions is None:
        return _ready_view(found.item)
    return members_of(found.item) | {"contributions": found.contributions}


class ItemHandlers:
    """Each decodes nothing, decides nothing, and calls one use case."""

    def __init__(self, items: Items) -> None:
        self.items = items

    async def create(self, call: Call) -> ItemOutcome | PendingOutcome:
        return await self.items.create(call.principal, call.body, call.query.on_problem)

    async def create_batch(self, call: Call) -> BatchOutcome:
        return await self.items.create_batch(call.principal, call.body)

    async def page(self, call: Call) -> Page[ItemView]:
        refuse_personal_in_url(call.query.identifier_key)
        return await self.items.page(call.principal, call.query, call.after, call.limit)

    async def search(self, call: Call) -> Page[ItemView]:
        return await self.items.page(call.principal, call.body, call.after, call.limit)

    async def by_identifier(self, call: Call) -> Page[ItemView]:
        key = call.path["key"]
        refuse_personal_in_url(key)
        namespace = call.query.namespace
        return await self.items.by_identifier(
            call.principal, key, call.path["value"], namespace, call.after, call.limit
        )

    async def get(self, call: Call) -> ItemRead:
        dfid = call.path["dfid"]
        view = await self.items.get(call.principal, dfid, call.ahead)
        successor = await self.items.successor(call.principal, view)
        if call.query.include is None:
            return ItemRead(view, successor)
        newest = await self.items.contributions(call.principal, dfid, limit=MAX_INCLUDED)
        return ItemRead(view, successor, newest.items)

    async def update(self, call: Call) -> ItemView:
        return await self.items.update(call.principal, call.path["dfid"], call.body, call.if_match)

    async def enrich(self, call: Call) -> ItemOutcome:
        return await self.items.enrich(call.principal, call.path["dfid"], call.body, call.if_match)

    async def create_draft(self, call: Call) -> ItemView:
        return await self.items.create_draft(call.principal, call.body)

    async def drafts(self, call: Call) -> Page[ItemView]:
        return await self.items.drafts(call.principal, call.after, call.limit)

    async def draft(self, call: Call) -> ItemView:
        return await self.items.draft(call.principal, call.path["local_id"])

    async def update_draft(self, call: Call) -> ItemView:
        return await self.items.update_draft(call.principal, call.path["local_id"], call.body, call.if_match)

    async def delete_draft(self, call: Call) -> None:
        await self.items.delete_draft(call.principal, call.path["local_id"], call.if_match)

    async def promote(self, call: Call) -> ItemOutcome:
        return await self.items.promote(call.principal, call.path["local_id"], call.if_match)

    async def mapping(self, call: Call) -> MappingView:
        return await self.items.mapping(call.principal, call.path["local_id"])


def item_routes(items: Items) -> Sequence[Route]:
    """Return the routes of items and drafts."""
    do = ItemHandlers(items)
    outcome: dict[str, Any] = {
        "view": _outcome_view,
        "status_of": _outcome_status,
        "location": _outcome_location,
        "version_of": _outcome_version,
        "versioned": True,
        "answer": SubmittedView,
        "answers": {202: PendingOutcome},
    }
    one: dict[str, Any] = {"versioned": True, "version_of": _version, "answer": ItemView}
    listed: dict[str, Any] = {"page": True, "view": _ready_view, "answer": ItemView}
    return (
        Route(
            method="POST",
            path="/api/items",
            handler=do.create,
            operation_id="item_create",
            tag=TAG,
            summary="Register an item, or add to the one its identifiers name",
            scope=WRITE,
            body=Submission,
            query=ProblemChoice,
            success=(201, 200, 202),
            problems=_CONFLICTS,
            request_example=_SUBMISSION,
            **outcome,
        ),
        Route(
            method="POST",
            path="/api/items/batch",
            handler=do.create_batch,
            operation_id="item_create_batch",
            tag=TAG,
            summary="Register up to 10,000 items in one unit",
            scope=WRITE,
            body=CreateBatch,
            bulk=True,
            answer=BatchOutcome,
            problems=("batch_refused",),
            request_example={"items": [_SUBMISSION]},
        ),
        Route(
            method="GET",
            path="/api/items",
            handler=do.page,
            operation_id="item_list",
            tag=TAG,
            summary="List items",
            scope=READ,
            query=ItemList,
            problems=("not_found", "personal_identifier_in_url"),
            **listed,
        ),
        Route(
            method="GET",
            path="/api/items/search",
            handler=do.page,
            operation_id="item_find",
            tag=TAG,
            summary="Search items by parameters",
            scope=READ,
            query=ItemList,
            problems=("not_found", "personal_identifier_in_url"),
            **listed,
        ),
        Route(
            method="POST",
            path="/api/items/search",
            handler=do.search,
            operation_id="item_search",
            tag=TAG,
            summary="Search items by identifiers and filters",
            scope=READ,
            body=ItemLookup,
            problems=("not_found",),
            reads=True,
            request_example={"identifiers": [{"key": "sisbov", "value": "076000000000001"}]},
            **listed,
        ),
        Route(
            method="GET",
            path="/api/items/identifier/{key}/{value}",
            handler=do.by_identifier,
            operation_id="item_list_by_identifier",
            tag=TAG,
            summary="List the items that carry an identifier",
            scope=READ,
            query=ByIdentifier,
            kinds={"key": "text", "value": "text"},
            problems=("not_found", "personal_identifier_in_url"),
            **listed,
        ),
        Route(
            method="POST",
            path="/api/items/local",
            handler=do.create_draft,
            operation_id="draft_create",
            tag=TAG,
            summary="Create a local draft",
            scope=WRITE,
            body=CreateDraft,
            success=(201,),
            location=lambda view: f"/api/items/local/{view.local_id}",
            problems=("local_id_taken",),
            request_example={"identifiers": [{"key": "lote", "value": "12"}]},
            **one,
        ),
        Route(
            method="GET",
            path="/api/items/local",
            handler=do.drafts,
            operation_id="draft_list",
            tag=TAG,
            summary="List own drafts",
            scope=READ,
            query=PageQuery,
            **listed,
        ),
        Route(
            method="GET",
            path="/api/items/local/{local_id}",
            handler=do.draft,
            operation_id="draft_get",
            tag=TAG,
            summary="Read a draft",
            scope=READ,
            **one,
        ),
        Route(
            method="PUT",
            path="/api/items/local/{local_id}",
            handler=do.update_draft,
            operation_id="draft_update",
            tag=TAG,
            summary="Replace the fields given of a draft",
            scope=WRITE,
            body=UpdateDraft,
            if_match="required",
            problems=("local_item_held", "item_merged"),
            request_example={"data": {"peso_kg": 12}},
            **one,
        ),
        Route(
            method="DELETE",
            path="/api/items/local/{local_id}",
            handler=do.delete_draft,
            operation_id="draft_delete",
            tag=TAG,
            summary="Delete a draft",
            scope=WRITE,
            success=(204,),
            if_match="honoured",
            problems=("local_item_held", "item_merged", "has_merged_items"),
        ),
        Route(
            method="POST",
            path="/api/items/local/{local_id}/promote",
            handler=do.promote,
            operation_id="draft_promote",
            tag=TAG,
            summary="Make a draft an item",
            scope=WRITE,
            success=(201, 200),
            if_match="honoured",
            problems=(*_CONFLICTS, "local_item_held"),
            **outcome,
        ),
        Route(
            method="GET",
            path="/api/items/mapping/{local_id}",
            handler=do.mapping,
            operation_id="mapping_get",
            tag=TAG,
            summary="Tell where a local id stands",
            scope=READ,
            answer=MappingView,
        ),
        Route(
            method="GET",
            path="/api/items/{dfid}",
            handler=do.get,
            operation_id="item_get",
            tag=TAG,
            summary="Read an item",
            scope=READ,
            ahead=lambda path, _: ((ITEMS, path["dfid"]),),
            query=Include,
            versioned=True,
            view=_read_view,
            links=_successor,
            version_of=lambda found: found.item.version,
            answer=ReadView,
        ),
        Route(
            method="PUT",
            path="/api/items/{dfid}",
            handler=do.update,
            operation_id="item_update",
            tag=TAG,
            summary="Patch an own item",
            scope=WRITE,
            body=UpdateItem,
            if_match="required",
            problems=(*_CONFLICTS, "not_owner", "identifier_absent", "identifier_on_merged_item"),
            request_example={"data": {"peso_kg": 430, "obs": None}, "reason": "weighed again"},
            **one,
        ),
        Route(
            method="POST",
            path="/api/items/{dfid}/enrich",
            handler=do.enrich,
            operation_id="item_enrich",
            tag=TAG,
            summary="Add to an item",
            scope=WRITE,
            body=EnrichItem,
            success=(200,),
            if_match="honoured",
            problems=(*_CONFLICTS, "not_owner", "circuit_not_usable", "approval_required", "not_a_member"),
            request_example={"data": {"peso_kg": 431}},
            versioned=True,
            view=_outcome_view,
            version_of=_outcome_version,
            answer=SubmittedView,
        ),
        *upkeep_routes(items),
        *lineage_routes(items),
        *history_routes(items),
        *draft_routes(items),
        *queue_routes(items),
    )
