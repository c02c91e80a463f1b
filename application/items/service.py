"""Use cases of items: each one unit, each deciding through the one access decision."""

from collections.abc import Sequence

import attrs

from application.facts import about, circuit_facts, items_facts
from application.items.owning import own_draft, require_active, require_changeable
from application.items.requests import CreateBatch, CreateDraft, EnrichItem, OnProblem, UpdateDraft, UpdateItem
from application.items.stats import Statistics, Stats
from application.items.views import (
    BatchError,
    BatchOutcome,
    BatchResult,
    ItemOutcome,
    ItemView,
    PendingOutcome,
    item_view,
)
from application.units import Units
from domain.access.decide import Action, decide, require
from domain.access.principal import Principal
from domain.act import Act
from domain.circuits.recipients import owners_sides
from domain.document import Document
from domain.errors import Fault, Invalid, Refusal
from domain.identifiers import GENERIC_NAMESPACE, canonical_key, canonical_namespace
from domain.identifiers.personal import IdentifierKeys
from domain.ids import new_id
from domain.items.draft_merges import alone, touched, undecided, united
from domain.items.draft_values import draft_places, refile
from domain.items.drafts import content_of, draft_aliases, draft_identifiers, new_draft, said, stored_submission
from domain.items.engine import (
    IDENTIFIERS_REQUIRED,
    Admission,
    Intake,
    conflict_refusal,
    counts_of,
    require_consistent,
    require_free,
    require_own,
    require_whole,
)
from domain.items.families import read_absorbed
from domain.items.fold import require_fit
from domain.items.pending import Origin, park, parked_conflict
from domain.items.register import Register
from domain.items.resolution import Conflict
from domain.items.submission import Submission, read_submission
from domain.items.tokenise import Tokenised, tokenise
from domain.items.values import ContributionSource, Identifier, Item, Outcome
from domain.ports.schema import COUNTERS, ITEMS, MAPPINGS
from domain.precondition import Versions, require_version
from domain.shape import Faulty


@attrs.define
class Items(Statistics):
    """Everything that can be done with items and drafts."""

    units: Units
    keys: IdentifierKeys
    counted: dict[str, Stats] = attrs.field(factory=dict, init=False, repr=False)

    async def create(
        self, principal: Principal, submission: Submission, on_problem: OnProblem = OnProblem.REFUSE
    ) -> ItemOutcome | PendingOutcome:
        """Create an item, or add to the one the identifiers name (6.1).

        Raises Invalid for faults (unless queued) and Refusal for a conflict, which is kept for review.
        """

        async def work(act: Act) -> ItemOutcome | PendingOutcome | Refusal:
            intake = Intake(act, self.keys, ContributionSource.CREATE, on_problem is OnProblem.QUEUE)
            admission = (await intake.take([(submission, Origin("create"))]))[0]
            if admission.outcome is Outcome.REFUSED:
                raise Invalid(admission.faults)
            await self._tell_created(act, admission)
            if admission.refusal is not None:
                return admission.refusal
            if admission.item is None:
                assert admission.pending_id is not None and admission.reason is not None
                return PendingOutcome(admission.pending_id, admission.reason.value)
            view = await item_view(act.unit, principal, self.keys, admission.item, act.now)
            return ItemOutcome(view, admission.outcome, admission.warnings)

        return await self.units.perform(principal, work, dfids=1)

    async def _tell_created(self, act: Act, admission: Admission) -> None:
        if admission.item is None or admission.outcome is Outcome.UNCHANGED:
            return
        verb = admission.outcome.value
        resource = ("item", admission.item.key)
        await act.audit(f"item.{verb}", resource, workspace_id=act.workspace_id)
        await act.activity(f"item_{verb}", resource, dfids=[admission.item.key])

    async def create_batch(self, principal: Principal, batch: CreateBatch) -> BatchOutcome:
        """Create many in one unit, in order (6.2); elements without a right shape are refused by themselves.

        Raises Refusal `batch_refused` with the results when an atomic batch has an element that cannot be stored.
        """
        origin = Origin("batch")
        refused = {index: one.faults for index, one in enumerate(batch.items) if isinstance(one, Faulty)}
        submissions = [(Submission() if isinstance(one, Faulty) else one, origin) for one in batch.items]

        async def work(act: Act) -> BatchOutcome:
            batch_id = new_id()
            queue = batch.on_problem is OnProblem.QUEUE
            intake = Intake(act, self.keys, ContributionSource.BATCH, queue, {"batch_id": batch_id})
            admissions = await intake.take(submissions, refused)
            results = tuple(batch_result(index, admission) for index, admission in enumerate(admissions))
            if batch.atomic and any(a.outcome in {Outcome.PENDING, Outcome.REFUSED} for a in admissions):
                unkept = tuple(attrs.evolve(result, dfid=None, pending_id=None) for result in results)
                raise Refusal("batch_refused", "Nothing was stored: some elements cannot be.", results=unkept)
            await tell_bulk(act, "items.batch_created", ("batch", batch_id), admissions)
            return BatchOutcome(batch_id, counts_of(admissions), results)

        return await self.units.perform(principal, work, dfids=len(submissions))

    async def enrich(
        self, principal: Principal, dfid: str, request: EnrichItem, accepted: Versions = None
    ) -> ItemOutcome:
        """Add to an item: as its owner, or through a circuit as a member who may push there (6.5)."""
        content = read_submission(request.submission, self.keys)
        require_whole(content)
        if not (content.identifiers or content.data or content.aliases):
            raise Invalid([Fault("required", "Something to add: identifiers, data or aliases.", pointer="")])

        async def work(act: Act) -> ItemOutcome:
            item = await self.viewable(act.unit, principal, dfid)
            own = item.workspace_id == principal.workspace_id
            await self._may_enrich(act, principal, item, request.circuit_id, own=own)
            require_version(accepted, item.version)
            require_active(item)
            register = Register(act, self.keys)
            await register.load([content], [item.key])
            if own:
                require_free(register, item, content)
            else:
                assert request.circuit_id is not None
                require_consistent(item, content)
                await register.load_layers(request.circuit_id)
            circuit_id = None if own else request.circuit_id
            changed = register.enrich(item, content, ContributionSource.ENRICH, circuit_id=circuit_id)
            await register.flush()
            if changed is not None:
                await self._tell_enriched(act, item, circuit_id)
            through = [circuit_id] if circuit_id else []
            view = await item_view(act.unit, principal, self.keys, changed or item, act.now, through)
            outcome = Outcome.ENRICHED if changed is not None else Outcome.UNCHANGED
            return ItemOutcome(view, outcome, content.warnings)

        return await self.units.perform(principal, work)

    async def _may_enrich(
        self, act: Act, principal: Principal, item: Item, circuit_id: str | None, *, own: bool
    ) -> None:
        if own and circuit_id is not None:
            raise Invalid([Fault("not_allowed", "Enrich your own items without a circuit.", pointer="/circuit_id")])
        facts = about(await items_facts(act.unit, principal, [item]), dfid=item.key, circuit_id=circuit_id)
        if circuit_id is not None and not own:
            circuit, _ = await circuit_facts(act.unit, principal, circuit_id)
            facts = attrs.evolve(facts, circuits=circuit.circuits, members=circuit.members)
        require(decide(principal, Action.ITEM_ENRICH, facts, act.now))

    async def _tell_enriched(self, act: Act, item: Item, circuit_id: str | None) -> None:
        resource = ("item", item.key)
        await act.audit("item.enriched", resource, circuit_id=circuit_id, workspace_id=item.workspace_id)
        activity = await act.activity("item_enriched", resource, circuit_id=circuit_id, dfids=[item.key])
        if circuit_id is not None:
            await act.notify(
                "item_contributed",
                await owners_side(act, item),
                source_id=activity,
                circuit_id=circuit_id,
                dfid=item.key,
                data={"source": ContributionSource.ENRICH.value},
            )

    async def update(self, principal: Principal, dfid: str, request: UpdateItem, accepted: Versions) -> ItemView:
        """Patch an own item (6.4). Raises Invalid for a request that says nothing, and for faults."""
        if request == UpdateItem(reason=request.reason, force=request.force):
            raise Invalid([Fault("required", "Something to change: data, identifiers or aliases.", pointer="")])
        added = read_submission(Submission(request.add_identifiers, request.data, request.add_aliases), self.keys)
        faults = [
            attrs.evolve(fault, pointer=_update_pointer(fault.pointer))
            for fault in (*added.faults, *added.malformed, *added.data_faults)
        ]
        if faults:
            raise Invalid(faults)

        async def work(act: Act) -> ItemView:
            item = await self.viewable(act.unit, principal, dfid)
            facts = about(await items_facts(act.unit, principal, [item]), dfid=item.key)
            require(decide(principal, Action.ITEM_CHANGE, facts, act.now))
            require_version(accepted, item.version)
            require_active(item)
            removed = self._removed(item, request)
            if len(removed) == len(item.identifiers) and not added.identifiers:
                raise Invalid([IDENTIFIERS_REQUIRED])
            register = Register(act, self.keys)
            await register.load([added], [item.key])
            await register.load_claims(removed, item.workspace_id)
            require_own(register, item, removed)
            kept = tuple(one for one in item.identifiers if one not in removed)
            require_free(register, attrs.evolve(item, identifiers=kept), added, force=request.force)
            aliases = frozenset((alias.scheme, alias.value) for alias in request.remove_aliases)
            changed = register.update(item, added, removed, aliases, request.reason)
            await register.flush()
            if changed is not None:
                await act.audit("item.updated", ("item", dfid), workspace_id=item.workspace_id)
                await act.activity("item_updated", ("item", dfid), dfids=[dfid])
            return await item_view(act.unit, principal, self.keys, changed or item, act.now)

        return await self.units.perform(principal, work)

    def _removed(self, item: Item, request: UpdateItem) -> tuple[Identifier, ...]:
        """Return the identifiers a request takes away, each once. Raises Refusal `identifier_absent`."""
        found = []
        for reference in request.remove_identifiers:
            key = canonical_key(reference.key)
            lookup = self.lookup(key, reference.value)
            place = canonical_namespace(reference.namespace) if reference.namespace else None
            match = next(
                (
                    held
                    for held in item.identifiers
                    if held.key == key
                    and held.lookup == lookup
                    and (held.kind == "canonical" or held.namespace == (place or GENERIC_NAMESPACE))
                ),
                None,
            )
            if match is None:
                raise Refusal("identifier_absent", f"The item carries no such {key}.")
            found.append(match)
        return tuple(dict.fromkeys(found))

    async def create_draft(self, principal: Principal, request: CreateDraft) -> ItemView:
        """Create a local draft (6.6). Raises Refusal `local_id_taken`."""
        content = read_submission(request.submission, self.keys, fill=False)
        if content.faults or content.data_faults:
            raise Invalid((*content.faults, *content.data_faults))

        async def work(act: Act) -> ItemView:
            local_id = request.local_id or new_id()
            draft = new_draft(act, self.keys, local_id, content)
            known = ((ITEMS, local_id), (MAPPINGS, local_id))
            await act.unit.foresee(*known, *((COUNTERS, place) for place in draft_places(draft)))
            if any(row is not None for row in await act.unit.find_each(*known)):
                raise Refusal("local_id_taken", "This local id is known already.")
            await act.unit.add(ITEMS, draft)
            await refile(act.unit, (), [draft])
            await act.audit("draft.created", ("draft", local_id), workspace_id=act.workspace_id)
            await act.activity("draft_created", ("draft", local_id))
            return await item_view(act.unit, principal, self.keys, draft, act.now)

        return await self.units.perform(principal, work)

    async def update_draft(
        self, principal: Principal, local_id: str, request: UpdateDraft, accepted: Versions
    ) -> ItemView:
        """Replace the fields given of a draft (6.6); what it says already changes nothing."""
        given = Submission(request.identifiers or (), request.data or Document(), request.aliases or ())
        content = read_submission(given, self.keys, fill=False)
        if content.faults or content.data_faults:
            raise Invalid((*content.faults, *content.data_faults))

        async def work(act: Act) -> ItemView:
            draft = await self.changeable_draft(act, principal, local_id, accepted)
            changed = alone(draft)
            if request.identifiers is not None:
                changed = attrs.evolve(changed, identifiers=draft_identifiers(act, self.keys, local_id, content))
            if request.data is not None:
                kept = {key: value for key, value in content.data.items() if value is not None}
                changed = attrs.evolve(changed, data=Document(kept), own=undecided(changed.own))
            if request.aliases is not None:
                changed = attrs.evolve(changed, aliases=draft_aliases(act, content.aliases))
            if said(changed, self.keys) == said(alone(draft), self.keys):
                return await item_view(act.unit, principal, self.keys, draft, act.now)
            absorbed = await read_absorbed(act.unit, [draft])
            changed = touched(act, united(changed, absorbed, self.keys))
            require_fit(changed)
            await act.unit.save(ITEMS, changed)
            await refile(act.unit, [draft], [changed])
            await act.audit("draft.updated", ("draft", local_id), workspace_id=act.workspace_id)
            return await item_view(act.unit, principal, self.keys, changed, act.now)

        return await self.units.perform(principal, work)

    async def delete_draft(self, principal: Principal, local_id: str, accepted: Versions = None) -> None:
        """Delete a draft; the audit keeps the fact, not the content (6.6)."""

        async def work(act: Act) -> None:
            draft = await self.changeable_draft(act, principal, local_id, accepted)
            if draft.lineage.merged_from:
                raise Refusal("has_merged_items", "Other drafts are merged into this one.")
            await act.unit.remove(ITEMS, draft)
            await refile(act.unit, [draft], ())
            await act.audit("draft.deleted", ("draft", local_id), workspace_id=act.workspace_id)

        await self.units.perform(principal, work)

    async def promote(self, principal: Principal, local_id: str, accepted: Versions = None) -> ItemOutcome:
        """Make a draft an item without a circuit (6.6): as create, and the draft is consumed."""

        async def work(act: Act) -> ItemOutcome | Refusal:
            draft = await self.changeable_draft(act, principal, local_id, accepted)
            content = content_of(draft, self.keys, Submission())
            require_whole(content)
            if not content.identifiers:
                raise Invalid([IDENTIFIERS_REQUIRED])
            register = Register(act, self.keys)
            await register.load([content], [draft.key])
            result = tokenise(register, draft, content, circuit_id=None, source=ContributionSource.PROMOTE)
            if isinstance(result, Conflict):
                return await self._park_draft(act, draft, result)
            assert isinstance(result, Tokenised)
            await register.flush()
            await act.audit("draft.promoted", ("draft", local_id), workspace_id=act.workspace_id)
            if result.outcome is not Outcome.UNCHANGED:
                verb = f"item_{result.outcome.value}"
                await act.activity(verb, ("item", result.item.key), dfids=[result.item.key])
            view = await item_view(act.unit, principal, self.keys, result.item, act.now)
            return ItemOutcome(view, result.outcome, content.warnings)

        return await self.units.perform(principal, work, dfids=1)

    async def _park_draft(self, act: Act, draft: Item, conflict: Conflict) -> Refusal:
        origin = Origin("create", local_id=draft.local_id)
        parked = parked_conflict(stored_submission(draft, self.keys), origin, conflict)
        record = (await park(act, self.keys, [parked]))[0]
        return conflict_refusal(conflict, pending_id=record.pending_id)

    async def changeable_draft(self, act: Act, principal: Principal, local_id: str, accepted: Versions) -> Item:
        """Return an own draft that may be changed now.

        Raises Refusal `not_found`, `version_mismatch`, `item_merged` or `local_item_held`.
        """
        row = await act.unit.find(ITEMS, local_id)
        draft = own_draft(principal, row)
        require_version(accepted, draft.version)
        require_changeable(draft)
        return draft


async def owners_side(act: Act, item: Item) -> list[str]:
    """Return the managers of the item's workspace, and its creator while a user of it."""
    return (await owners_sides(act.unit, [item])).of(item)


async def tell_bulk(act: Act, action: str, resource: tuple[str, str], admissions: Sequence[Admission]) -> None:
    """Write one audit and one activity entry for a call with many elements, when it changed anything."""
    changed = [
        admission.item.key
        for admission in admissions
        if admission.item is not None and admission.outcome is not Outcome.UNCHANGED
    ]
    if not changed:
        return
    counts = counts_of(admissions)
    await act.audit(action, resource, workspace_id=act.workspace_id, details={"counts": counts})
    await act.activity("items_imported", resource, dfids=changed[:20], item_count=len(changed), data={"counts": counts})


def batch_result(index: int, admission: Admission) -> BatchResult:
    """Return what the caller of a batch is told of one element."""
    return BatchResult(
        index=index,
        outcome=admission.outcome,
        dfid=admission.item.key if admission.item is not None else None,
        pending_id=admission.pending_id,
        errors=tuple(BatchError(fault.pointer, fault.code, fault.detail) for fault in admission.faults),
        warnings=admission.warnings,
    )


def _update_pointer(pointer: str | None) -> str | None:
    if pointer is None:
        return None
    return pointer.replace("/identifiers", "/add_identifiers", 1).replace("/aliases", "/add_aliases", 1)
