"""The queue of submissions that wait for a person (items-events.md 8)."""

from datetime import datetime
from enum import StrEnum
from typing import Any

import attrs

from application.items.lineage import Lineages
from application.items.owning import named_dfid, require_active
from application.items.requests import Identifiers, Reason
from application.items.views import ItemView, item_view
from domain.access.principal import Principal
from domain.act import Act
from domain.document import Document
from domain.errors import Fault, Invalid, Refusal, not_found
from domain.items.engine import faults_of, queue_reason
from domain.items.pending import CRITICAL, HIGH, LOW, NORMAL
from domain.items.resolution import Conflict
from domain.items.resolving import PendingAction, Placed, Resolver, check_action, close, fail, opened_submission
from domain.items.submission import Content, Submission, read_submission
from domain.items.values import Item, Outcome, PendingReason, PendingStatus, PendingSubmission
from domain.ports.queries import Between, Condition, Cursor, Page, Select, chosen
from domain.ports.schema import ITEMS, PENDING
from domain.ports.storage import Reader
from domain.precondition import Versions, require_version
from domain.shape import Dfid


class Priority(StrEnum):
    LOW = "low"
    NORMAL = "normal"
    HIGH = "high"
    CRITICAL = "critical"


class PendingOrigin(StrEnum):
    CREATE = "create"
    BATCH = "batch"
    IMPORT = "import"
    PUSH_LOCAL = "push_local"


_LEVELS = {Priority.LOW: LOW, Priority.NORMAL: NORMAL, Priority.HIGH: HIGH, Priority.CRITICAL: CRITICAL}
_NAMES = {level: name for name, level in _LEVELS.items()}
_BY_ITEM = frozenset({PendingAction.LINK, PendingAction.MERGE})


@attrs.frozen
class PendingFilter:
    """Which records to list."""

    reason: frozenset[PendingReason] = frozenset()
    status: frozenset[PendingStatus] = frozenset({PendingStatus.OPEN})
    priority_min: Priority | None = None
    origin: frozenset[PendingOrigin] = frozenset()


@attrs.frozen
class ResolvePending:
    """What to do. `identifiers` and `data` replace the parts given with `modify`; `dfid` names an item."""

    action: PendingAction
    identifiers: Identifiers | None = None
    data: Document | None = None
    dfid: Dfid | None = None
    note: Reason | None = None


@attrs.frozen
class SuggestedAction:
    action: str
    confidence: float


@attrs.frozen
class PendingView:
    """A record of the own workspace's queue; `reason` holds its `code` and what belongs to it."""

    pending_id: str
    workspace_id: str
    submitted_by: str
    origin: str
    import_id: str | None
    row: int | None
    local_id: str | None
    circuit_id: str | None
    submission: Submission
    reason: Document
    priority: Priority
    manual_review_required: bool
    suggested_actions: tuple[SuggestedAction, ...]
    status: PendingStatus
    retry_count: int
    resolution: Document | None
    version: int
    created_at: datetime
    updated_at: datetime


@attrs.frozen
class Resolution:
    """What became of a record; the identifiers are those that could not go with the submission."""

    pending: PendingView
    item: ItemView | None = None
    outcome: Outcome | None = None
    skipped_identifiers: tuple[Document, ...] = ()
    demoted_identifiers: tuple[Document, ...] = ()


class Queue(Lineages):
    """Reading and resolving the queue of the own workspace."""

    async def queue(
        self, principal: Principal, wanted: PendingFilter, after: Cursor | None = None, limit: int = 50
    ) -> Page[PendingView]:
        """Return records, the most urgent first, the oldest first among equals."""
        if principal.workspace_id is None:
            raise not_found()
        where: dict[str, Condition] = {"workspace_id": principal.workspace_id}
        where |= chosen(status=wanted.status, reason=wanted.reason, origin=wanted.origin)
        if wanted.priority_min is not None:
            where["urgency"] = Between(None, 1 - _LEVELS[wanted.priority_min])
        async with self.units.storage.read() as reader:
            query = Select(where, ("urgency", "created_at", "pending_id"))
            page = await reader.page(PENDING, query, after, limit)
        return Page(tuple(map(self._pending_view, page.items)), page.after)

    async def pending(self, principal: Principal, pending_id: str) -> PendingView:
        """Return one record. Raises Refusal `not_found`."""
        async with self.units.storage.read() as reader:
            return self._pending_view(await self._record(reader, principal, pending_id))

    async def _record(self, reader: Reader, principal: Principal, pending_id: str) -> PendingSubmission:
        record = await reader.find(PENDING, pending_id)
        if record is None or record.workspace_id != principal.workspace_id:
            raise not_found()
        return record

    async def resolve(
        self, principal: Principal, pending_id: str, request: ResolvePending, accepted: Versions = None
    ) -> Resolution:
        """Decide a record (8.2). A failed `approve` or `modify` is kept on the same record."""
        _check_shape(request)
        if request.dfid is not None:
            request = attrs.evolve(request, dfid=named_dfid(request.dfid, "/dfid"))

        async def work(act: Act) -> Resolution | Refusal:
            record = await self._record(act.unit, principal, pending_id)
            require_version(accepted, record.version)
            check_action(record, request.action)
            if request.action is PendingAction.REJECT:
                return await self._closed(act, principal, record, request, None)
            submission = _modified(opened_submission(record, self.keys), request)
            # What a draft became from many is bounded as an item is.
            content = read_submission(submission, self.keys, whole=record.local_id is not None)
            if faults := faults_of(content):
                return await fail(act, self.keys, record, submission, faults, queue_reason(content))
            draft = await self._waiting_draft(act, principal, record)
            placed = await self._placed(act, principal, record, request, content, draft)
            if isinstance(placed, Conflict):
                return await fail(act, self.keys, record, submission, placed)
            return await self._closed(act, principal, record, request, placed)

        return await self.units.perform(principal, work, dfids=1)

    async def _waiting_draft(self, act: Act, principal: Principal, record: PendingSubmission) -> Item | None:
        if record.local_id is None or await act.unit.find(ITEMS, record.local_id) is None:
            return None
        return await self.changeable_draft(act, principal, record.local_id, None)

    async def changeable_draft(self, act: Act, principal: Principal, local_id: str, accepted: Versions) -> Item:
        """Return an own draft that may be changed now."""
        raise NotImplementedError

    async def _placed(
        self,
        act: Act,
        principal: Principal,
        record: PendingSubmission,
        request: ResolvePending,
        content: Content,
        draft: Item | None,
    ) -> Placed | Conflict:
        named = [request.dfid] if request.dfid is not None and request.action in _BY_ITEM else []
        if request.action is PendingAction.MERGE:
            named = _concerned(record, request.dfid)
        items = [await self.owned(act, principal, dfid) for dfid in named]
        register = await self._gathered(act, *items)
        register.resolving = record.pending_id
        await register.load([content], [draft.key] if draft is not None else ())
        resolver = Resolver(register, content, draft)
        match request.action:
            case PendingAction.LINK:
                require_active(items[0])
                placed: Placed | Conflict = resolver.link(items[0])
            case PendingAction.MERGE:
                require_active(items[0])
                others = [item for item in items[1:] if register.root(item.key).key != items[0].key]
                placed = resolver.merge(items[0], others, request.note)
            case PendingAction.CREATE_SEPARATE:
                placed = resolver.create_separate()
            case _:
                placed = resolver.approve()
        await register.flush()
        return placed

    async def _closed(
        self,
        act: Act,
        principal: Principal,
        record: PendingSubmission,
        request: ResolvePending,
        placed: Placed | None,
    ) -> Resolution:
        dfid = placed.item.key if placed is not None else None
        closed = await close(act, record, request.action, dfid, request.note)
        resource = ("pending", record.pending_id)
        details = {"action": request.action.value, "dfid": dfid}
        await act.audit("pending.resolved", resource, workspace_id=act.workspace_id, details=details)
        await act.activity("pending_resolved", resource, dfids=[dfid] if dfid else [], data=details)
        if placed is None:
            return Resolution(self._pending_view(closed))
        left_out = tuple(Document(namespace=read.namespace, key=read.key, value=read.value) for read in placed.left_out)
        separate = request.action is PendingAction.CREATE_SEPARATE
        return Resolution(
            pending=self._pending_view(closed),
            item=await item_view(act.unit, principal, self.keys, placed.item, act.now),
            outcome=placed.outcome,
            skipped_identifiers=() if separate else left_out,
            demoted_identifiers=left_out if separate else (),
        )

    def _pending_view(self, record: PendingSubmission) -> PendingView:
        members: dict[str, Any] = {
            field.name: getattr(record, field.name)
            for field in attrs.fields(PendingView)
            if field.name not in {"submission", "reason", "priority", "suggested_actions"}
        }
        return PendingView(
            submission=opened_submission(record, self.keys),
            reason=Document({**record.details, "code": record.reason.value}),
            priority=_NAMES[record.priority],
            suggested_actions=tuple(SuggestedAction(*suggested) for suggested in record.suggested_actions),
            **members,
        )


def _check_shape(request: ResolvePending) -> None:
    faults = []
    if request.action in _BY_ITEM and request.dfid is None:
        faults.append(Fault("required", "Name the item.", pointer="/dfid"))
    if request.action is not PendingAction.MODIFY:
        faults += [
            Fault("not_allowed", "Only with modify.", pointer=f"/{name}")
            for name in ("identifiers", "data")
            if getattr(request, name) is not None
        ]
    if faults:
        raise Invalid(faults)


def _modified(submission: Submission, request: ResolvePending) -> Submission:
    if request.identifiers is not None:
        submission = attrs.evolve(submission, identifiers=request.identifiers)
    return submission if request.data is None else attrs.evolve(submission, data=request.data)


def _concerned(record: PendingSubmission, dfid: str | None) -> list[str]:
    """Return the items of a conflict, the one that stays first. Raises Invalid when it is none of them."""
    dfids = list(record.details.get("dfids", ()))
    if dfid not in dfids:
        raise Invalid([Fault("not_allowed", "Name one of the items of this record.", pointer="/dfid")])
    return sorted(dfids, key=lambda key: (key != dfid, key))
