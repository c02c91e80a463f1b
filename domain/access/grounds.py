"""The grounds (circuits.md 2.2): each function finds the facts of one ground, or of a group that is read together."""

from collections.abc import Iterator

from domain.access.decision import OWN, Decision, Ground, GroundKind, Reason, allow, listing_key
from domain.access.facts import CircuitFact, EventFact, ItemFact, MemberFact, PlacementFact, PullFact
from domain.access.permissions import Permission
from domain.access.question import Question, page_state
from domain.access.vocabulary import (
    CircuitStatus,
    EventVisibility,
    ItemStatus,
    OperationStatus,
    OperationType,
    PageState,
    TransferStatus,
)

SELF = (Ground(GroundKind.SELF),)
ADMINISTRATOR = (Ground(GroundKind.ADMINISTRATOR),)
_AUTHOR_WORKSPACE = Ground(GroundKind.AUTHOR_WORKSPACE)
_RECIPIENT = Ground(GroundKind.RECIPIENT)

_Grounds = tuple[Ground, ...]


def owns(question: Question, workspace_id: str) -> bool:
    """Tell whether `workspace_id` is the principal's own."""
    return question.workspace is not None and workspace_id == question.workspace


def view_grounds(question: Question, item: ItemFact, circuit_id: str | None = None) -> _Grounds:
    """All grounds of `item.view`: own, shared, offered, or read through a circuit. Drafts: own only.

    A `circuit_id` leaves the other circuits out.
    """
    own = owns(question, item.workspace_id)
    facts = question.facts
    if is_draft(item) or not (facts.shares or facts.transfers or facts.placements):
        return OWN if own else ()
    others = (*_shares(question, item.dfid), *_offers(question, item.dfid))
    through = reading_grounds(question, item.dfid, circuit_id)
    if own:
        return (*OWN, *others, *through) if others or through else OWN
    return (*others, *through)


def _shares(question: Question, dfid: str) -> Iterator[Ground]:
    for fact in question.facts.shares:
        if (
            fact.dfid == dfid
            and fact.recipient_user_id == question.user
            and fact.revoked_at is None
            and (fact.expires_at is None or fact.expires_at > question.now)
        ):
            yield Ground(GroundKind.SHARE, share_id=fact.share_id, expires_at=fact.expires_at)


def _offers(question: Question, dfid: str) -> Iterator[Ground]:
    for fact in question.facts.transfers:
        if (
            fact.dfid == dfid
            and owns(question, fact.to_workspace_id)
            and fact.status is TransferStatus.OPEN
            and fact.expires_at > question.now
        ):
            yield Ground(GroundKind.TRANSFER_OFFER, transfer_id=fact.transfer_id, expires_at=fact.expires_at)


def is_draft(item: ItemFact) -> bool:
    """Tell whether the item is a draft, which nobody but its own workspace reaches."""
    return item.status is ItemStatus.LOCAL


def reading_grounds(question: Question, dfid: str, circuit_id: str | None) -> _Grounds:
    """`circuit_member` and `approved_pull` of an item, through one circuit, or through any when None is named."""
    found = [
        ground
        for placement in question.facts.placements
        if placement.dfid == dfid
        and circuit_id in (None, placement.circuit_id)
        and (ground := reading_through(question, placement)) is not None
    ]
    return tuple(sorted(found, key=listing_key) if len(found) > 1 else found)


def reading_through(question: Question, placement: PlacementFact) -> Ground | None:
    """Return the ground on which the principal reads a placed item there, if any."""
    reader = _reader(question, placement)
    if reader is None:
        return None
    circuit, member = reader
    where = placement.circuit_id
    if not circuit.require_approval_for_pull:
        return Ground(GroundKind.CIRCUIT_MEMBER, circuit_id=where, role=member.role, placed_at=placement.placed_at)
    pull = _pull(question, placement, member)
    if pull is None:
        return None
    return Ground(GroundKind.APPROVED_PULL, circuit_id=where, role=member.role, operation_id=pull.operation_id)


def _reader(question: Question, placement: PlacementFact) -> tuple[CircuitFact, MemberFact] | None:
    circuit = question.circuit(placement.circuit_id)
    member = question.member(placement.circuit_id)
    if circuit is None or member is None or circuit.status is not CircuitStatus.ACTIVE:
        return None
    return (circuit, member) if Permission.PULL in member.permissions else None


def _pull(question: Question, placement: PlacementFact, member: MemberFact) -> PullFact | None:
    for fact in question.facts.pulls:
        if (
            fact.placement_id == placement.placement_id
            and fact.circuit_id == placement.circuit_id
            and fact.dfid == placement.dfid
            and fact.requester_id == question.user
            and fact.member_since == member.joined_at
        ):
            return fact
    return None


def may_be_read_after_pull(question: Question, item: ItemFact, circuit_id: str | None) -> bool:
    """Tell whether the principal sees a placement of the item whose content an approved pull would open."""
    return not is_draft(item) and any(
        placement.dfid == item.dfid
        and circuit_id in (None, placement.circuit_id)
        and _reader(question, placement) is not None
        for placement in question.facts.placements
    )


def resharing_grounds(question: Question, item: ItemFact, into: str) -> _Grounds:
    """Grounds on which an item may be pushed into a circuit: owned, or read elsewhere where it may be passed on."""
    own = OWN if owns(question, item.workspace_id) else ()
    if is_draft(item):
        return own
    passable = [
        ground
        for placement in question.facts.placements
        if placement.dfid == item.dfid
        and placement.circuit_id != into
        and _may_pass_on(question, placement)
        and (ground := reading_through(question, placement)) is not None
    ]
    return (*own, *sorted(passable, key=listing_key)) if passable else own


def _may_pass_on(question: Question, placement: PlacementFact) -> bool:
    circuit = question.circuit(placement.circuit_id)
    return placement.resharable and circuit is not None and circuit.allow_resharing


def page_ground(question: Question, circuit: CircuitFact) -> _Grounds:
    """`page`: open to all, or to the holder of a page token, or to members while the page is switched on."""
    state = page_state(circuit, question.now)
    if (
        state is PageState.OPEN
        or (state is PageState.PROTECTED and _holds_page_token(question, circuit))
        or _sees_page_as_member(question, circuit)
    ):
        return (Ground(GroundKind.PAGE, circuit_id=circuit.circuit_id, access_mode=circuit.access_mode),)
    return ()


def _holds_page_token(question: Question, circuit: CircuitFact) -> bool:
    return any(
        fact.circuit_id == circuit.circuit_id
        and fact.password_version == circuit.password_version
        and fact.expires_at > question.now
        for fact in question.facts.pages
    )


def _sees_page_as_member(question: Question, circuit: CircuitFact) -> bool:
    return (
        circuit.status is CircuitStatus.ACTIVE
        and circuit.allow_public_visibility
        and question.member(circuit.circuit_id) is not None
    )


def published_grounds(question: Question, dfid: str | None) -> _Grounds:
    """`published` in the circuit named, or in any when none is."""
    item = question.item(dfid)
    if item is not None and is_draft(item):
        return ()
    narrowed = question.target.circuit_id
    found = [
        Ground(GroundKind.PUBLISHED, circuit_id=placement.circuit_id)
        for placement in question.facts.placements
        if placement.dfid == dfid
        and placement.published
        and narrowed in (None, placement.circuit_id)
        and (circuit := question.circuit(placement.circuit_id)) is not None
        and page_ground(question, circuit)
    ]
    return tuple(sorted(found, key=listing_key))


def event_grounds(question: Question, event: EventFact) -> _Grounds:
    """All grounds of `event.view`: its author's workspace, and what its visibility opens."""
    by = (_AUTHOR_WORKSPACE,) if owns(question, event.author_workspace_id) else ()
    if event.visibility is EventVisibility.PUBLIC:
        item = question.item(event.dfid)
        viewing = view_grounds(question, item, question.target.circuit_id) if item is not None else ()
        return (*viewing, *by)
    if event.visibility is EventVisibility.CIRCUIT_ONLY and event.circuit_id is not None:
        return (*reading_grounds(question, event.dfid, event.circuit_id), *by)
    if event.visibility is EventVisibility.DIRECT and _is_recipient(question, event):
        return (*by, _RECIPIENT)
    return by


def _is_recipient(question: Question, event: EventFact) -> bool:
    return question.user is not None and event.recipient_user_id == question.user


def membership_ground(member: MemberFact) -> _Grounds:
    """`membership`."""
    return (Ground(GroundKind.MEMBERSHIP, circuit_id=member.circuit_id, role=member.role),)


def permission_ground(member: MemberFact | None, permission: Permission) -> _Grounds:
    """`permission`, when the member is one and holds it."""
    if member is None or permission not in member.permissions:
        return ()
    return (Ground(GroundKind.PERMISSION, circuit_id=member.circuit_id, role=member.role, permission=permission),)


def owner_ground(circuit: CircuitFact) -> _Grounds:
    """`circuit_owner`, of a member who is the owner."""
    return (Ground(GroundKind.CIRCUIT_OWNER, circuit_id=circuit.circuit_id),)


def self_ground(question: Question) -> _Grounds:
    """`self`: the object asked about is the principal's own."""
    return SELF if question.user is not None and question.target.user_id == question.user else ()


def owned_placement(question: Question) -> _Grounds:
    """`own_workspace`, of the item whose placement is asked about."""
    placement = question.placement()
    return OWN if placement is not None and owns(question, placement.item_workspace_id) else ()


def placement_grounds(question: Question) -> _Grounds:
    """All grounds of `placement.view`: the item's owner, and `pull` in an active circuit."""
    placement = question.placement()
    if placement is None:
        return ()
    reader = _reader(question, placement)
    through = () if reader is None else permission_ground(reader[1], Permission.PULL)
    return (*owned_placement(question), *through)


def in_status(
    circuit: CircuitFact,
    held: _Grounds,
    statuses: frozenset[CircuitStatus] = frozenset({CircuitStatus.ACTIVE}),
) -> Decision:
    """Allow on `held` where the circuit's status permits it; else `circuit_not_active` with the status."""
    if circuit.status in statuses:
        return allow(held)
    return Decision(False, reason=Reason.CIRCUIT_NOT_ACTIVE, current_status=circuit.status)


def requester_grounds(question: Question) -> _Grounds:
    """`requester` and `requester_workspace` of the operation asked about."""
    operation = question.operation()
    if operation is None:
        return ()
    kinds = (
        (GroundKind.REQUESTER, question.user is not None and operation.requester_id == question.user),
        (GroundKind.REQUESTER_WORKSPACE, owns(question, operation.requester_workspace_id)),
    )
    return tuple(Ground(kind, operation_id=operation.operation_id) for kind, holds in kinds if holds)


def join_requester_ground(question: Question) -> _Grounds:
    """`requester` of the join request asked about."""
    request = question.request()
    if request is None or request.requester_id != question.user:
        return ()
    return (Ground(GroundKind.REQUESTER, request_id=request.request_id),)


def waits_as_push_of_member(question: Question) -> bool:
    """Tell whether the operation is a waiting push whose requester is still a member of that period."""
    operation = question.operation()
    if operation is None or operation.type is not OperationType.PUSH or operation.status is not OperationStatus.PENDING:
        return False
    requester = question.active_member(operation.circuit_id, operation.requester_id)
    return requester is not None and requester.joined_at == operation.member_since
