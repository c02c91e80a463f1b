"""Pushing local drafts (circuits.md 4.13): what a LID stands for, what the draft becomes, what waits."""

from collections.abc import Iterable
from typing import Any

import attrs

from domain.access.decide import require
from domain.access.vocabulary import ItemStatus, OperationType
from domain.act import Act
from domain.circuits.desk import Desk
from domain.circuits.extras import staged, taken
from domain.circuits.pushing import ALREADY_PLACED, PENDING, PLACED, Pushed, request_or_place
from domain.circuits.requirements import (
    filled_namespace,
    looks_up_fingerprint,
    namespace_faults,
    requirement_faults,
    seen_from_request,
)
from domain.circuits.rules import approval_needed, check_active, completed_at_once, new_operation, superseded
from domain.circuits.values import FingerprintEntry, Operation, OperationOrigin
from domain.errors import Invalid, Refusal, not_found
from domain.identifiers.personal import IdentifierKeys
from domain.items.drafts import content_of, draft_identifiers
from domain.items.engine import require_consistent, require_free
from domain.items.fold import fingerprint
from domain.items.register import Register
from domain.items.resolution import Conflict, claims_of, disagrees, places_of
from domain.items.submission import Content, Submission, read_submission
from domain.items.tokenise import tokenise
from domain.items.values import ContributionSource, Item, Mapping, Outcome
from domain.ports.schema import FINGERPRINTS, ITEMS, MAPPINGS, OPERATIONS, PLACEMENTS

NO_EXTRAS = Submission()


@attrs.frozen
class LocalPush:
    """A push of what a LID stands for, with extras that the draft does not have."""

    local_id: str
    extras: Submission = NO_EXTRAS

    @property
    def bare(self) -> bool:
        return not self.extras.identifiers and not self.extras.data


@attrs.define
class Tokenising:
    """Local pushes of one requester at a desk. `act` is in the requester's name."""

    desk: Desk
    act: Act
    keys: IdentifierKeys
    register: Register = attrs.field(init=False)
    changed: dict[str, list[Item]] = attrs.field(factory=dict)
    _drafts: dict[str, Item] = attrs.field(factory=dict)
    _held: dict[str, Item] = attrs.field(factory=dict)
    _mappings: dict[str, Mapping] = attrs.field(factory=dict)
    _holding: dict[str, Operation] = attrs.field(factory=dict)
    _contents: dict[int, Content] = attrs.field(factory=dict)
    _known: dict[str, FingerprintEntry] = attrs.field(factory=dict)
    _new_entries: list[FingerprintEntry] = attrs.field(factory=list)

    def __attrs_post_init__(self) -> None:
        self.register = Register(self.act, self.keys)

    async def load(self, pushes: Iterable[LocalPush], dfids: Iterable[str] = ()) -> None:
        """Read what these pushes can need, and what pushes of `dfids` at the same desk can."""
        wanted = list(pushes)
        unit, principal = self.act.unit, self.act.principal
        lids = sorted({push.local_id for push in wanted})
        await unit.foresee(*((facet, lid) for facet in (ITEMS, MAPPINGS) for lid in lids))
        # Drafts before mappings: a draft consumed meanwhile is then found as what it became, never as nothing.
        self._drafts = {row.key: row for row in (await unit.get_many(ITEMS, lids)).values()}
        self._mappings = {row.local_id: row for row in (await unit.get_many(MAPPINGS, lids)).values()}
        held = {draft.held_by for draft in self._drafts.values() if draft.held_by is not None}
        self._holding = {row.operation_id: row for row in (await unit.get_many(OPERATIONS, sorted(held))).values()}
        await self.register.load_items(mapping.dfid for mapping in self._mappings.values())
        roots = {self.register.root(mapping.dfid).key for mapping in self._mappings.values()}
        await self.desk.load((principal, dfid) for dfid in sorted({*roots, *dfids}))
        await self._load_contents(wanted)

    async def _load_contents(self, wanted: list[LocalPush]) -> None:
        for push in wanted:
            if (content := self._content(push)) is not None:
                self._contents[id(push)] = content
        contents = list(self._contents.values())
        await self.register.load(contents, self._drafts)
        await self.register.load_layers(self.desk.circuit.circuit_id)
        await self._load_placements(contents)
        await self._load_fingerprints(wanted)

    def _content(self, push: LocalPush) -> Content | None:
        """Return what a push says, read; the extras alone where the LID is mapped already."""
        namespace = filled_namespace(self.desk.circuit)
        if push.local_id in self._mappings:
            return read_submission(push.extras, self.keys, namespace=namespace)
        draft = self._drafts.get(push.local_id)
        own = draft is not None and draft.workspace_id == self.act.principal.workspace_id
        return content_of(draft, self.keys, push.extras, namespace=namespace) if draft is not None and own else None

    async def _load_placements(self, contents: list[Content]) -> None:
        """Read which of the items that claims lead to stand in the circuit."""
        workspace = self.act.workspace_id
        hit = {
            self.register.root(claim.item).key
            for content in contents
            for read, space in claims_of(content, workspace, creating=True)
            if (claim := self.register.claim(space, read.key, read.lookup or "")) is not None
        }
        places = {place for content in contents for place in places_of(content, workspace)}
        held = {holder for place in places for holder in self.register.holders(place)}
        await self._read_placements(hit | held)

    async def _read_placements(self, dfids: set[str]) -> None:
        circuit_id = self.desk.circuit.circuit_id
        keys = [(circuit_id, dfid) for dfid in sorted(dfids - set(self.desk.placements))]
        found = await self.act.unit.get_many(PLACEMENTS, keys)
        self.desk.placements |= {row.dfid: row for row in found.values()}

    async def _load_fingerprints(self, wanted: list[LocalPush]) -> None:
        circuit_id = self.desk.circuit.circuit_id
        prints = {print_ for push in wanted if (print_ := self._fingerprint(push)) is not None}
        found = await self.act.unit.get_many(FINGERPRINTS, [(circuit_id, print_) for print_ in sorted(prints)])
        self._known = {row.fingerprint: row for row in found.values()}
        await self.register.load_items(entry.dfid for entry in self._known.values())
        await self._read_placements({self.register.root(entry.dfid).key for entry in self._known.values()})
        await self.register.load_layers(circuit_id)

    def _fingerprint(self, push: LocalPush) -> str | None:
        """Return the circuit form of the fingerprint of a draft's content, where the circuit looks it up."""
        content = self._contents.get(id(push))
        if content is None or push.local_id in self._mappings or not looks_up_fingerprint(self.desk.circuit, content):
            return None
        bound = draft_identifiers(self.act, self.keys, push.local_id, content)
        return fingerprint("circuit", self.desk.circuit.circuit_id, bound)

    def push(self, push: LocalPush, batch_id: str | None = None) -> Pushed | Conflict:
        """Decide one push and stage it. A Conflict, a Refusal and Invalid leave nothing behind."""
        mapping = self._mappings.get(push.local_id)
        if mapping is not None:
            if mapping.workspace_id != self.act.principal.workspace_id:
                raise not_found()
            return self._push_mapped(push, self.register.root(mapping.dfid), batch_id)
        return self._push_draft(push, self._own_draft(push), batch_id)

    def _own_draft(self, push: LocalPush) -> Item:
        draft = self._drafts.get(push.local_id)
        if draft is None or draft.dfid is not None or draft.workspace_id != self.act.principal.workspace_id:
            raise not_found()
        if draft.status is ItemStatus.MERGED:
            raise Refusal("item_merged", "Another draft absorbed this one.", merged_into=draft.lineage.merged_into)
        return draft

    def _push_mapped(self, push: LocalPush, item: Item, batch_id: str | None) -> Pushed:
        """Push the item that a LID became, with the extras as an addition to it."""
        standing = self.desk.placements.get(item.key)
        if standing is not None and push.bare:
            return Pushed(ALREADY_PLACED, False, placement=standing, dfid=item.key, local_id=push.local_id)
        decision = None
        if standing is None:
            decision = require(self.desk.may_push(self.act.principal, item.key))
        check_active(item)
        content = self._contents[id(push)]
        self._require_whole(content)
        members = {"origin": OperationOrigin.LOCAL, "local_id": push.local_id, "batch_id": batch_id}
        if self._waits(item.key):
            return self._request_mapped(push, item, members)
        if not push.bare:
            self._require_addable(item, content)
        pushed = (
            request_or_place(self.desk, item, **members)
            if standing is None
            else Pushed(ALREADY_PLACED, False, placement=standing, dfid=item.key, local_id=push.local_id)
        )
        if decision is not None:
            self.desk.rely(self.act.principal, self.desk.items[item.key], decision)
        return pushed if push.bare else self._with_addition(pushed, item, content, members)

    def _waits(self, dfid: str) -> bool:
        member = self.desk.at.memberships[self.act.user_id]
        return approval_needed(self.desk.circuit, member, OperationType.PUSH)

    def _request_mapped(self, push: LocalPush, item: Item, members: dict[str, Any]) -> Pushed:
        waiting = self.desk.waiting.get((self.act.user_id, item.key))
        if waiting is not None and taken(waiting, self.keys) != push.extras:
            raise held_by(waiting.operation_id)
        pushed = request_or_place(self.desk, item, **members)
        if pushed.written and pushed.operation is not None:
            operation = self.desk.keep(staged(pushed.operation, push.extras, self.keys))
            return attrs.evolve(pushed, operation=operation)
        return pushed

    def _require_whole(self, content: Content) -> None:
        faults = (
            *content.faults,
            *namespace_faults(self.desk.circuit, content),
            *content.malformed,
            *content.data_faults,
        )
        if faults:
            raise Invalid(faults)

    def _require_addable(self, item: Item, content: Content) -> None:
        """Raise Refusal `identifier_conflict`, `identifier_claimed` or `identifier_contradiction`."""
        if item.workspace_id == self.act.workspace_id:
            require_free(self.register, item, content)
        else:
            require_consistent(item, content)

    def _with_addition(self, pushed: Pushed, item: Item, content: Content, members: dict[str, Any]) -> Pushed:
        """Add the extras of a completed push to its item; already standing there, it becomes an operation now."""
        item_outcome = self._add(item, content)
        operation = pushed.operation
        if operation is None:
            if item_outcome == "unchanged":
                return attrs.evolve(pushed, item_outcome=item_outcome, warnings=content.warnings)
            operation = self._completed(item, ALREADY_PLACED, members)
            if (waiting := self.desk.waiting.get((self.act.user_id, item.key))) is not None:
                self.desk.keep(superseded(waiting, self.act.now))
        operation = self.desk.keep(attrs.evolve(operation, item_outcome=item_outcome))
        return attrs.evolve(
            pushed, written=True, operation=operation, item_outcome=item_outcome, warnings=content.warnings
        )

    def _add(self, item: Item, content: Content) -> str:
        own = item.workspace_id == self.act.workspace_id
        circuit_id = None if own else self.desk.circuit.circuit_id
        changed = self.register.enrich(item, content, ContributionSource.PUSH_LOCAL, circuit_id=circuit_id)
        if changed is None:
            return "unchanged"
        self._note("enriched" if own else "contributed", changed)
        return "enriched" if own else "contributed"

    def _note(self, outcome: str, item: Item) -> None:
        self.changed.setdefault(outcome, []).append(item)

    def _completed(self, item: Item, outcome: str, members: dict[str, Any]) -> Operation:
        circuit, member = self.desk.circuit, self.desk.at.memberships[self.act.user_id]
        operation = new_operation(
            circuit, member, self.act.principal, OperationType.PUSH, self.act.now, dfid=item.key, **members
        )
        placement = self.desk.placements.get(item.key)
        placement_id = None if placement is None else placement.placement_id
        return completed_at_once(circuit, operation, self.act.now, outcome=outcome, placement_id=placement_id)

    def _push_draft(self, push: LocalPush, draft: Item, batch_id: str | None) -> Pushed | Conflict:
        content = self._contents[id(push)]
        waiting = self._waiting_push(draft)
        needed = self._waits(draft.key)
        if waiting is not None and needed:
            if taken(waiting, self.keys) != push.extras:
                raise held_by(waiting.operation_id)
            return Pushed(PENDING, False, waiting, local_id=push.local_id)
        try:
            self.require_met(push)
        except Invalid as invalid:
            raise Invalid(seen_from_request(fault, len(draft.identifiers)) for fault in invalid.faults) from None
        members = {"origin": OperationOrigin.LOCAL, "local_id": push.local_id, "batch_id": batch_id}
        if needed:
            return self._request_draft(push, draft, content, members)
        resolved = self.resolve(push, draft)
        if isinstance(resolved, Conflict):
            return resolved
        item, item_outcome = resolved
        if waiting is not None:
            self.desk.keep(superseded(waiting, self.act.now))
        return self._place(item, item_outcome, self._completed(item, PLACED, members), content)

    def draft(self, push: LocalPush) -> Item:
        """Return the draft of a push as it was read."""
        return self._drafts[push.local_id]

    def held_draft(self, push: LocalPush, operation_id: str) -> Item | None:
        """Return the unmapped draft of a push if that operation still holds it."""
        draft = self._drafts.get(push.local_id)
        held = draft is not None and draft.status is ItemStatus.LOCAL and draft.held_by == operation_id
        return draft if held and push.local_id not in self._mappings else None

    def require_met(self, push: LocalPush) -> None:
        """Demand the requirements of the circuit of a draft with its extras. Raises Invalid."""
        faults = requirement_faults(self.desk.circuit, self._contents[id(push)])
        if faults:
            raise Invalid(faults)

    def added(self, push: LocalPush, item: Item) -> str:
        """Add the extras of an approved push to the item its LID stands for; return the item outcome.

        Raises Invalid; Refusal `identifier_conflict`, `identifier_claimed`, `identifier_contradiction`.
        """
        content = self._contents[id(push)]
        self._require_whole(content)
        self._require_addable(item, content)
        return self._add(item, content)

    def _waiting_push(self, draft: Item) -> Operation | None:
        """Return the requester's own waiting push here that holds a draft. Raises Refusal `local_item_held`."""
        if draft.held_by is None:
            return None
        operation = self._holding.get(draft.held_by)
        mine = operation is not None and operation.requester_id == self.act.user_id
        if not mine or operation is None or operation.circuit_id != self.desk.circuit.circuit_id:
            raise held_by(draft.held_by)
        return operation

    def _request_draft(self, push: LocalPush, draft: Item, content: Content, members: dict[str, Any]) -> Pushed:
        circuit, member = self.desk.circuit, self.desk.at.memberships[self.act.user_id]
        operation = new_operation(circuit, member, self.act.principal, OperationType.PUSH, self.act.now, **members)
        operation = self.desk.keep(staged(operation, push.extras, self.keys))
        holding = attrs.evolve(draft, held_by=operation.operation_id, version=draft.version + 1)
        self._drafts[draft.key] = self._held[draft.key] = holding
        self._holding[operation.operation_id] = operation
        return Pushed(PENDING, True, operation, local_id=push.local_id, warnings=content.warnings)

    def resolve(self, push: LocalPush, draft: Item) -> tuple[Item, str] | Conflict:
        """Make the draft an item, or part of one; return it with what happened. The draft is consumed."""
        content, circuit_id = self._contents[id(push)], self.desk.circuit.circuit_id
        print_ = self._fingerprint(push)
        result = tokenise(
            self.register,
            draft,
            content,
            circuit_id=circuit_id,
            circuit_items=frozenset(self.desk.placements),
            same_fingerprint=self._same(print_, content),
        )
        if isinstance(result, Conflict):
            return result
        outcome = "contributed" if result.contributed and result.outcome is Outcome.ENRICHED else result.outcome.value
        if result.outcome is Outcome.CREATED and print_ is not None and print_ not in self._known:
            self._known[print_] = FingerprintEntry(circuit_id, print_, result.item.key)
            self._new_entries.append(self._known[print_])
        self._note(outcome, result.item)
        assert draft.local_id is not None
        self._mappings[draft.local_id] = Mapping(draft.local_id, result.item.key, draft.workspace_id)
        return result.item, outcome

    def _same(self, print_: str | None, content: Content) -> Item | None:
        """Return the item that the circuit knows by the same contextual set, if it counts."""
        entry = self._known.get(print_ or "")
        item = None if entry is None else self.register.item(entry.dfid)
        if item is None or item.key not in self.desk.placements or item.status is not ItemStatus.ACTIVE:
            return None
        return None if disagrees(content, item) else item

    def _place(self, item: Item, item_outcome: str, operation: Operation, content: Content) -> Pushed:
        standing = self.desk.placements.get(item.key)
        operation = attrs.evolve(operation, item_outcome=item_outcome)
        if standing is None:
            standing = self.desk.place(self.act.principal, item, operation)
            outcome = PLACED
        else:
            outcome = ALREADY_PLACED
        operation = self.desk.keep(attrs.evolve(operation, outcome=outcome, placement_id=standing.placement_id))
        return Pushed(outcome, True, operation, standing, item.key, operation.local_id, item_outcome, content.warnings)

    async def flush(self) -> None:
        """Stage items and everything that belongs to them; the desk is flushed after it."""
        await self.act.unit.save(ITEMS, *self._held.values())
        await self.register.flush()
        await self.act.unit.add(FINGERPRINTS, *self._new_entries)


def held_by(operation_id: str) -> Refusal:
    """The answer for a draft that another waiting push holds."""
    return Refusal("local_item_held", "A waiting push holds this draft.", operation_id=operation_id)
