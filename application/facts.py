"""Loading what the access decision needs to know (circuits.md 2.1), for any number of items at once."""

from collections.abc import Iterable, Sequence

import attrs

from domain.access.facts import (
    CircuitFact,
    Facts,
    ItemFact,
    MemberFact,
    PlacementFact,
    PullFact,
    ShareFact,
    Target,
)
from domain.access.principal import Principal
from domain.access.vocabulary import OperationStatus, OperationType
from domain.circuits.values import Circuit, Membership, Operation, Placement
from domain.items.values import Item, Share
from domain.ports.queries import AnyOf, Select
from domain.ports.schema import CIRCUITS, MEMBERSHIPS, OPERATIONS, PLACEMENTS, SHARES
from domain.ports.storage import Reader

_READ = 1000


def circuit_fact(circuit: Circuit) -> CircuitFact:
    """Return what a decision knows of a circuit."""
    settings = circuit.public_settings
    return CircuitFact(
        circuit_id=circuit.circuit_id,
        status=circuit.status,
        owner_id=circuit.owner_id,
        require_approval_for_push=circuit.require_approval_for_push,
        require_approval_for_pull=circuit.require_approval_for_pull,
        allow_resharing=circuit.allow_resharing,
        allow_public_visibility=circuit.allow_public_visibility,
        access_mode=settings.access_mode,
        scheduled_date=settings.scheduled_date,
        password_version=settings.password_version,
    )


def role_name(circuit: Circuit, membership: Membership) -> str:
    """Return the role shown for a member: the custom role's name, else the base role's."""
    custom = next((role.name for role in circuit.roles if role.role_id == membership.custom_role_id), None)
    return custom or membership.base_role.value


def member_fact(circuit: Circuit, membership: Membership) -> MemberFact:
    """Return what a decision knows of a membership."""
    return MemberFact(
        circuit_id=membership.circuit_id,
        user_id=membership.user_id,
        status=membership.status,
        permissions=membership.permissions,
        joined_at=membership.joined_at,
        role=role_name(circuit, membership),
    )


def item_fact(item: Item) -> ItemFact:
    """Return what a decision knows of an item or a draft."""
    return ItemFact(item.key, item.workspace_id, item.status)


def placement_fact(placement: Placement) -> PlacementFact:
    """Return what a decision knows of a placement."""
    return PlacementFact(
        circuit_id=placement.circuit_id,
        dfid=placement.dfid,
        placement_id=placement.placement_id,
        item_workspace_id=placement.item_workspace_id,
        placed_by_workspace_id=placement.placed_by_workspace_id,
        resharable=placement.resharable,
        published=placement.published,
        placed_at=placement.placed_at,
    )


def share_fact(share: Share) -> ShareFact:
    """Return what a decision knows of a share."""
    return ShareFact(share.dfid, share.recipient_user_id, share.expires_at, share.revoked_at, share.share_id)


def pull_fact(operation: Operation) -> PullFact:
    """Return what a decision knows of a completed pull."""
    return PullFact(
        circuit_id=operation.circuit_id,
        dfid=operation.dfid or "",
        requester_id=operation.requester_id,
        placement_id=operation.placement_id or "",
        member_since=operation.member_since,
        operation_id=operation.operation_id,
    )


async def circuit_facts(
    reader: Reader, principal: Principal, circuit_id: str, *others: str
) -> tuple[Facts, Circuit | None]:
    """Return the facts about one circuit: itself, and the memberships of the principal and of `others`."""
    circuit = await reader.find(CIRCUITS, circuit_id)
    if circuit is None:
        return Facts(Target(circuit_id=circuit_id)), None
    users = [user for user in (principal.user_id, *others) if user is not None]
    members = await reader.get_many(MEMBERSHIPS, [(circuit_id, user) for user in users])
    return (
        Facts(
            Target(circuit_id=circuit_id),
            circuits=(circuit_fact(circuit),),
            members=tuple(member_fact(circuit, member) for member in members.values()),
        ),
        circuit,
    )


async def items_facts(reader: Reader, principal: Principal, items: Sequence[Item], *, own: bool = False) -> Facts:
    """Return the facts on which the principal's view of these items rests, in a fixed number of queries.

    For items of the principal's own workspace nothing more is read, unless `own`: what stands on them may be
    open through a circuit only. Name the item asked about with `about`.
    """
    workspace_id = None if own else principal.workspace_id
    foreign = [item.dfid for item in items if item.workspace_id != workspace_id and item.dfid is not None]
    facts = Facts(items=tuple(map(item_fact, items)))
    if not foreign or principal.user_id is None:
        return facts
    placements = await placements_of(reader, foreign)
    circuits, members = await _standing(reader, principal.user_id, placements)
    shares = await _shares(reader, principal.user_id, foreign)
    asking = [circuit.circuit_id for circuit in circuits.values() if circuit.require_approval_for_pull]
    pulls = await _pulls(reader, principal.user_id, foreign, asking)
    return attrs.evolve(
        facts,
        circuits=tuple(map(circuit_fact, circuits.values())),
        members=tuple(member_fact(circuits[member.circuit_id], member) for member in members),
        placements=tuple(map(placement_fact, placements)),
        shares=tuple(map(share_fact, shares)),
        pulls=tuple(map(pull_fact, pulls)),
    )


def about(facts: Facts, **target: object) -> Facts:
    """Return the facts with the question put to them."""
    return attrs.evolve(facts, target=attrs.evolve(facts.target, **target))  # type: ignore[arg-type]


async def placements_of(reader: Reader, dfids: Iterable[str]) -> list[Placement]:
    """Return where items stand, in every circuit."""
    found: list[Placement] = []
    query = Select({"dfid": AnyOf(tuple(dfids))}, ("dfid", "circuit_id"))
    after = None
    while True:
        page = await reader.page(PLACEMENTS, query, after, _READ)
        found += page.items
        after = page.after
        if after is None:
            return found


async def _standing(
    reader: Reader, user_id: str, placements: Iterable[Placement]
) -> tuple[dict[str, Circuit], list[Membership]]:
    """Return the circuits of these placements in which the user has a membership, and the memberships."""
    wanted = sorted({placement.circuit_id for placement in placements})
    members = await reader.get_many(MEMBERSHIPS, [(circuit_id, user_id) for circuit_id in wanted])
    circuits = await reader.get_many(CIRCUITS, [member.circuit_id for member in members.values()])
    return {circuit.circuit_id: circuit for circuit in circuits.values()}, [
        member for member in members.values() if member.circuit_id in circuits
    ]


async def _shares(reader: Reader, user_id: str, dfids: Sequence[str]) -> tuple[Share, ...]:
    query = Select({"recipient_user_id": user_id, "dfid": AnyOf(tuple(dfids))}, ("created_at", "share_id"))
    return (await reader.page(SHARES, query, limit=_READ)).items


async def _pulls(reader: Reader, user_id: str, dfids: Sequence[str], circuits: Sequence[str]) -> tuple[Operation, ...]:
    if not circuits:
        return ()
    query = Select(
        {
            "circuit_id": AnyOf(tuple(circuits)),
            "dfid": AnyOf(tuple(dfids)),
            "requester_id": user_id,
            "operation_type": OperationType.PULL.value,
            "status": OperationStatus.COMPLETED.value,
        }
    )
    return (await reader.page(OPERATIONS, query, limit=_READ)).items
