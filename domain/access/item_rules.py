"""The rows of circuits.md 2.3: items, placements, transfers, events."""

from domain.access import grounds as g
from domain.access.circuit_rules import outsider, within
from domain.access.decision import OWN, Decision, Ground, Reason, allow, deny, hide
from domain.access.facts import CircuitFact, ItemFact, MemberFact, TransferFact
from domain.access.permissions import Permission
from domain.access.principal import WorkspaceRole
from domain.access.question import Question
from domain.access.vocabulary import CircuitStatus, EventVisibility

_NOT_PUBLIC = frozenset(EventVisibility) - {EventVisibility.PUBLIC}


def _allowed_or(reason: Reason, grounds: tuple[Ground, ...]) -> Decision:
    return allow(grounds) if grounds else deny(reason)


def item_view(question: Question) -> Decision:
    """Own, shared, offered, or read through a circuit. Denials hide, and tell apart what awaits a pull."""
    target = question.target
    item = question.item(target.dfid)
    if item is None:
        return deny(Reason.NOT_FOUND)
    held = g.view_grounds(question, item, target.circuit_id)
    if held:
        return allow(held)
    return hide(_hidden_because(question, item))


def _hidden_because(question: Question, item: ItemFact) -> Reason:
    waits = g.may_be_read_after_pull(question, item, question.target.circuit_id)
    return Reason.PULL_APPROVAL_REQUIRED if waits else Reason.NOT_FOUND


def item_view_public(question: Question) -> Decision:
    """Published on a page that the asker may see."""
    return _allowed_or(Reason.NOT_FOUND, g.published_grounds(question, question.target.dfid))


def item_change(question: Question) -> Decision:
    """The owner's workspace only."""
    item = question.item(question.target.dfid)
    if item is None:
        return deny(Reason.NOT_FOUND)
    if g.owns(question, item.workspace_id):
        return allow(OWN)
    return _refused_to_viewer(question, item, Reason.NOT_OWNER)


def _refused_to_viewer(question: Question, item: ItemFact | None, reason: Reason) -> Decision:
    seen = item is not None and g.view_grounds(question, item)
    if seen or item is None:
        return deny(reason if seen else Reason.NOT_FOUND)
    return hide()


def transfer_offer(question: Question) -> Decision:
    """Managers of the owner's workspace (items-events.md 6.11a)."""
    decision = item_change(question)
    return decision if not decision.allowed or _manages(question) else deny(Reason.MANAGER_REQUIRED)


def _manages(question: Question) -> bool:
    return question.principal.workspace_role is WorkspaceRole.MANAGER


def transfer_view(question: Question) -> Decision:
    """Either workspace, whatever became of the offer."""
    return deny(Reason.NOT_FOUND) if _party_to(question) is None else allow(g.SELF)


def transfer_decide(question: Question) -> Decision:
    """Managers of the receiving workspace."""
    transfer = _party_to(question)
    if transfer is None:
        return deny(Reason.NOT_FOUND)
    if g.owns(question, transfer.to_workspace_id) and _manages(question):
        return allow(g.SELF)
    return deny(Reason.MANAGER_REQUIRED)


def transfer_cancel(question: Question) -> Decision:
    """Users of the offering workspace."""
    transfer = _party_to(question)
    if transfer is None:
        return deny(Reason.NOT_FOUND)
    return allow(g.SELF) if g.owns(question, transfer.from_workspace_id) else deny(Reason.NOT_OWNER)


def _party_to(question: Question) -> TransferFact | None:
    transfer = question.transfer()
    if transfer is None:
        return None
    sides = (transfer.from_workspace_id, transfer.to_workspace_id)
    return transfer if any(g.owns(question, side) for side in sides) else None


def item_enrich(question: Question) -> Decision:
    """The owner's workspace, or a member who pushes where the item stands and pushes need no approval."""
    item = question.item(question.target.dfid)
    if item is None:
        return deny(Reason.NOT_FOUND)
    if g.owns(question, item.workspace_id):
        return allow(OWN)
    held = _writing_grounds(question, item, Permission.PUSH)
    circuit = question.circuit(question.target.circuit_id)
    if held and circuit is not None:
        return deny(Reason.APPROVAL_REQUIRED) if circuit.require_approval_for_push else allow(held)
    pushes = g.permission_ground(question.member(question.target.circuit_id), Permission.PUSH)
    return _refused_to_viewer(question, item, Reason.CIRCUIT_NOT_USABLE if pushes else Reason.NOT_OWNER)


def _writing_grounds(question: Question, item: ItemFact, permission: Permission) -> tuple[Ground, ...]:
    """`permission` in the active circuit named, where the item stands. Nobody writes on a draft that way."""
    circuit = question.circuit(question.target.circuit_id)
    if circuit is None or circuit.status is not CircuitStatus.ACTIVE or g.is_draft(item):
        return ()
    if question.placement() is None:
        return ()
    return g.permission_ground(question.member(circuit.circuit_id), permission)


def item_push(question: Question) -> Decision:
    """`push` in the circuit named, of an item that is own or may be passed on from another circuit."""
    return within(question, _push_into)


def _push_into(question: Question, circuit: CircuitFact, member: MemberFact) -> Decision:
    if Permission.PUSH not in member.permissions:
        return deny(Reason.PERMISSION_MISSING, Permission.PUSH)
    item = question.item(question.target.dfid)
    if item is None:
        return deny(Reason.NOT_FOUND)
    held = g.resharing_grounds(question, item, into=circuit.circuit_id)
    if held:
        return g.in_status(circuit, held)
    return _refused_to_viewer(question, item, Reason.RESHARING_NOT_ALLOWED)


def placement_view(question: Question) -> Decision:
    """The item's owner wherever it stands; members holding `pull` in an active circuit."""
    return _allowed_or(Reason.NOT_FOUND, g.placement_grounds(question))


def item_withdraw(question: Question) -> Decision:
    """The item's owner, member or not; members holding `delete`."""
    return _placement_change(question, Permission.DELETE)


def item_unpublish(question: Question) -> Decision:
    """The item's owner, member or not; members holding `publish`."""
    return _placement_change(question, Permission.PUBLISH)


def _placement_change(question: Question, permission: Permission) -> Decision:
    circuit = question.circuit(question.target.circuit_id)
    if circuit is None:
        return deny(Reason.NOT_FOUND)
    member = question.member(circuit.circuit_id)
    if question.placement() is not None:
        held = (*g.owned_placement(question), *g.permission_ground(member, permission))
        if held:
            return g.in_status(circuit, held)
        if g.placement_grounds(question):
            return deny(Reason.PERMISSION_MISSING, permission)
    return deny(Reason.NOT_FOUND) if member is not None else outsider(question, circuit)


def item_publish(question: Question) -> Decision:
    """`publish`, of an item placed by its owner's workspace, or of an own one."""
    return within(question, _publish_in)


def _publish_in(question: Question, circuit: CircuitFact, member: MemberFact) -> Decision:
    held = g.permission_ground(member, Permission.PUBLISH)
    if not held:
        return deny(Reason.PERMISSION_MISSING, Permission.PUBLISH)
    placement = question.placement()
    if placement is None:
        return deny(Reason.NOT_FOUND)
    if placement.placed_by_workspace_id == placement.item_workspace_id or g.owned_placement(question):
        return g.in_status(circuit, held)
    return deny(Reason.OWNER_MUST_PUBLISH)


def event_view(question: Question) -> Decision:
    """The author's workspace, and whoever the visibility names; a visitor sees what a page shows."""
    if question.user is None:
        return event_view_public(question)
    event = question.event()
    return _allowed_or(Reason.NOT_FOUND, g.event_grounds(question, event) if event is not None else ())


def event_view_public(question: Question) -> Decision:
    """Public events of an item published on a page that the asker may see."""
    event = question.event()
    if event is None or event.visibility is not EventVisibility.PUBLIC:
        return deny(Reason.NOT_FOUND)
    return _allowed_or(Reason.NOT_FOUND, g.published_grounds(question, event.dfid))


def event_append(question: Question) -> Decision:
    """`certified` with `certify` where the item stands; `recorded` by the owner, or with `push` there."""
    item = question.item(question.target.dfid)
    if item is None:
        return deny(Reason.NOT_FOUND)
    if question.target.certified:
        held = _writing_grounds(question, item, Permission.CERTIFY)
        return allow(held) if held else _refused_to_viewer(question, item, Reason.EVENT_WRITE_DENIED)
    return _record(question, item)


def _record(question: Question, item: ItemFact) -> Decision:
    visibility = question.target.visibility
    own = OWN if g.owns(question, item.workspace_id) else ()
    through = _writing_grounds(question, item, Permission.PUSH)
    if not own and not through:
        return _refused_to_viewer(question, item, Reason.EVENT_WRITE_DENIED)
    usable = visibility is not EventVisibility.CIRCUIT_ONLY or _stands_where_member(question)
    held = (
        *(own if usable else ()),
        *(through if visibility is None or visibility in _NOT_PUBLIC else ()),
    )
    if held:
        return allow(held)
    return deny(Reason.CIRCUIT_NOT_USABLE if own else Reason.VISIBILITY_NOT_ALLOWED)


def _stands_where_member(question: Question) -> bool:
    return question.placement() is not None and question.member(question.target.circuit_id) is not None
