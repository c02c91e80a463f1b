"""What opens items of others to a user, and lets them be passed on (circuits.md 2.2): rows, and the facts of them."""

from collections.abc import Iterable, Mapping, Sequence

import attrs

from domain.access.facts import Facts
from domain.access.principal import Principal
from domain.access.vocabulary import OperationStatus, OperationType
from domain.circuits.facts import circuit_fact, member_fact, placement_fact, pull_fact, share_fact, transfer_fact
from domain.circuits.values import Circuit, Membership, Operation, Placement
from domain.ports.queries import AnyOf, Select, one_of
from domain.ports.schema import CIRCUITS, MEMBERSHIPS, OPERATIONS, PLACEMENTS, SHARES, TRANSFERS
from domain.ports.storage import Place, Reader
from domain.ports.walking import walk, walk_each


@attrs.frozen
class Reading:
    """Where some items stand, and those of the circuits there of which the user has a membership; `facts` are what a
    decision about the items knows of that, of shares, offers and pulls."""

    circuits: Mapping[str, Circuit] = attrs.field(factory=dict)
    memberships: Mapping[str, Membership] = attrs.field(factory=dict)
    placements: Sequence[Placement] = ()
    facts: Facts = attrs.field(factory=Facts)

    def placement(self, circuit_id: str, dfid: str) -> Placement | None:
        """Return where an item stands."""
        return next((p for p in self.placements if (p.circuit_id, p.dfid) == (circuit_id, dfid)), None)


async def reading(reader: Reader, principal: Principal, dfids: Iterable[str]) -> Reading:
    """Read through which circuits, shares and offers `principal` reaches these items, in a fixed number of queries."""
    user, wanted = principal.user_id, sorted(set(dfids))
    if user is None or not wanted:
        return Reading()
    given = Select({"recipient_user_id": user, "dfid": one_of(wanted)}, ("created_at", "share_id"))
    # Those that have expired are among them.
    offered = Select({"open_dfid": one_of(wanted), "to_workspace_id": str(principal.workspace_id)}, ("open_dfid",))
    placements, shares, offers = await walk_each(
        reader, (PLACEMENTS, _placed(wanted)), (SHARES, given), (TRANSFERS, offered)
    )
    circuits, memberships = await _standing(reader, user, placements)
    asking = [circuit.circuit_id for circuit in circuits.values() if circuit.require_approval_for_pull]
    facts = Facts(
        circuits=tuple(map(circuit_fact, circuits.values())),
        members=tuple(member_fact(circuits[key], membership) for key, membership in memberships.items()),
        placements=tuple(map(placement_fact, placements)),
        shares=tuple(map(share_fact, shares)),
        transfers=tuple(map(transfer_fact, offers)),
        pulls=tuple(map(pull_fact, await _pulls(reader, user, wanted, asking))),
    )
    return Reading(circuits, memberships, placements, facts)


async def placements_of(reader: Reader, dfids: Iterable[str]) -> list[Placement]:
    """Return where items stand, in every circuit."""
    return [placement async for placement in walk(reader, PLACEMENTS, _placed(tuple(dfids)))]


def _placed(dfids: Sequence[str]) -> Select:
    return Select({"dfid": one_of(dfids)}, ("dfid", "circuit_id"))


async def _standing(
    reader: Reader, user: str, placements: Iterable[Placement]
) -> tuple[dict[str, Circuit], dict[str, Membership]]:
    """Return the circuits of these placements in which the user has a membership, and the memberships."""
    wanted = sorted({placement.circuit_id for placement in placements})
    if not wanted:
        return {}, {}
    members: list[Place] = [(MEMBERSHIPS, (circuit_id, user)) for circuit_id in wanted]
    found = await reader.find_each(*members, *((CIRCUITS, circuit_id) for circuit_id in wanted))
    both = zip(wanted, found[: len(wanted)], found[len(wanted) :], strict=True)
    standing = [(key, member, circuit) for key, member, circuit in both if member is not None and circuit is not None]
    return {key: circuit for key, _, circuit in standing}, {key: member for key, member, _ in standing}


async def _pulls(reader: Reader, user: str, dfids: Sequence[str], circuits: Sequence[str]) -> list[Operation]:
    query = Select(
        {
            "circuit_id": AnyOf(tuple(circuits)),
            "dfid": AnyOf(tuple(dfids)),
            "requester_id": user,
            "operation_type": OperationType.PULL.value,
            "status": OperationStatus.COMPLETED.value,
        }
    )
    return [pull async for pull in walk(reader, OPERATIONS, query)]
