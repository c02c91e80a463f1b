"""The facts on which a user reads, and may pass on, items of others (circuits.md 2.2)."""

from collections.abc import Iterable
from typing import Any

import attrs

from domain.access.principal import Principal
from domain.access.vocabulary import MembershipStatus, OperationStatus, OperationType
from domain.circuits.facts import circuit_fact, member_fact, placement_fact, pull_fact, share_fact, transfer_fact
from domain.circuits.values import Circuit, Membership, Placement
from domain.ports.queries import AnyOf, Select
from domain.ports.schema import CIRCUITS, MEMBERSHIPS, OPERATIONS, PLACEMENTS, SHARES, TRANSFERS
from domain.ports.storage import Reader
from domain.ports.walking import walk


@attrs.frozen
class Reading:
    """Where some items stand among the circuits of a user, with what opens them there."""

    circuits: dict[str, Circuit] = attrs.field(factory=dict)
    memberships: dict[str, Membership] = attrs.field(factory=dict)
    placements: tuple[Placement, ...] = ()
    facts: dict[str, tuple[Any, ...]] = attrs.field(factory=dict)

    def placement(self, circuit_id: str, dfid: str) -> Placement | None:
        """Return where an item stands."""
        return next((p for p in self.placements if (p.circuit_id, p.dfid) == (circuit_id, dfid)), None)


async def reading(reader: Reader, principal: Principal, dfids: Iterable[str]) -> Reading:
    """Read through which circuits and shares `principal` reaches these items.

    The number of statements depends on the number of circuits and placements only by the thousand.
    """
    wanted = AnyOf(tuple(sorted(set(dfids))))
    user = principal.user_id
    if user is None or not wanted.values:
        return Reading()
    mine = Select({"user_id": user, "status": MembershipStatus.ACTIVE}, ("joined_at", "circuit_id"))
    memberships = {row.circuit_id: row async for row in walk(reader, MEMBERSHIPS, mine)}
    where = {"dfid": wanted, "circuit_id": AnyOf(tuple(sorted(memberships)))}
    found = [row async for row in walk(reader, PLACEMENTS, Select(where, ("dfid", "circuit_id")))]
    circuits = {
        row.circuit_id: row
        for row in (await reader.get_many(CIRCUITS, sorted({row.circuit_id for row in found}))).values()
    }
    shares = Select({"dfid": wanted, "recipient_user_id": user}, ("dfid", "created_at"))
    offers = Select({"open_dfid": wanted, "to_workspace_id": str(principal.workspace_id)}, ("open_dfid",))
    facts: dict[str, tuple[Any, ...]] = {
        "circuits": tuple(map(circuit_fact, circuits.values())),
        "members": tuple(member_fact(circuit, memberships[key]) for key, circuit in circuits.items()),
        "placements": tuple(map(placement_fact, found)),
        "pulls": await _pulls(reader, user, found, circuits),
        "shares": tuple([share_fact(row) async for row in walk(reader, SHARES, shares)]),
        "transfers": tuple([transfer_fact(row) async for row in walk(reader, TRANSFERS, offers)]),
    }
    return Reading(circuits, memberships, tuple(found), facts)


async def _pulls(
    reader: Reader, user: str, placements: list[Placement], circuits: dict[str, Circuit]
) -> tuple[Any, ...]:
    asking = [row for row in placements if circuits[row.circuit_id].require_approval_for_pull]
    query = Select(
        {
            "circuit_id": AnyOf(tuple(sorted({row.circuit_id for row in asking}))),
            "dfid": AnyOf(tuple(sorted({row.dfid for row in asking}))),
            "requester_id": user,
            "operation_type": OperationType.PULL,
            "status": OperationStatus.COMPLETED,
        },
        ("circuit_id", "dfid", "requester_id", "operation_type"),
    )
    return tuple([pull_fact(row) async for row in walk(reader, OPERATIONS, query)])
