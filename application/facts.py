"""Loading what the access decision needs to know (circuits.md 2.1), for any number of items at once."""

import asyncio
from collections.abc import Iterable, Sequence

import attrs

from domain.access.facts import NOTHING_ASKED, Facts, Target
from domain.access.principal import Principal
from domain.access.vocabulary import OperationStatus, OperationType
from domain.circuits.facts import (
    circuit_fact,
    item_fact,
    member_fact,
    placement_fact,
    pull_fact,
    share_fact,
    transfer_fact,
)
from domain.circuits.values import Circuit, Membership, Operation, Placement
from domain.items.values import Item, Share, Transfer
from domain.ports.queries import AnyOf, Select
from domain.ports.schema import CIRCUITS, MEMBERSHIPS, OPERATIONS, PLACEMENTS, SHARES, TRANSFERS
from domain.ports.storage import Place, Reader
from domain.ports.walking import walk


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
    placements, shares, offers = await _grounds(reader, principal, foreign)
    circuits, members = await _standing(reader, principal.user_id, placements)
    asking = [circuit.circuit_id for circuit in circuits.values() if circuit.require_approval_for_pull]
    pulls = await _pulls(reader, principal.user_id, foreign, asking)
    return attrs.evolve(
        facts,
        circuits=tuple(map(circuit_fact, circuits.values())),
        members=tuple(member_fact(circuits[member.circuit_id], member) for member in members),
        placements=tuple(map(placement_fact, placements)),
        shares=tuple(map(share_fact, shares)),
        transfers=tuple(map(transfer_fact, offers)),
        pulls=tuple(map(pull_fact, pulls)),
    )


async def absent_facts(reader: Reader, principal: Principal, dfid: str) -> None:
    """Ask of an absent item what is asked of a foreign one, so that both take as long (platform.md 17.36)."""
    if principal.user_id is not None:
        await _grounds(reader, principal, [dfid])


async def _grounds(
    reader: Reader, principal: Principal, dfids: Sequence[str]
) -> tuple[list[Placement], list[Share], list[Transfer]]:
    """Return what may open items of others; all is asked at once."""
    return await asyncio.gather(
        placements_of(reader, dfids),
        _shares(reader, str(principal.user_id), dfids),
        offers_of(reader, str(principal.workspace_id), dfids),
    )


def about(facts: Facts, **target: object) -> Facts:
    """Return the facts with the question put to them."""
    if facts.target is NOTHING_ASKED:
        return facts.asking(Target(**target))  # type: ignore[arg-type]
    return facts.asking(attrs.evolve(facts.target, **target))  # type: ignore[arg-type]


async def placements_of(reader: Reader, dfids: Iterable[str]) -> list[Placement]:
    """Return where items stand, in every circuit."""
    query = Select({"dfid": AnyOf(tuple(dfids))}, ("dfid", "circuit_id"))
    return [placement async for placement in walk(reader, PLACEMENTS, query)]


async def _standing(
    reader: Reader, user_id: str, placements: Iterable[Placement]
) -> tuple[dict[str, Circuit], list[Membership]]:
    """Return the circuits of these placements in which the user has a membership, and the memberships."""
    wanted = sorted({placement.circuit_id for placement in placements})
    if not wanted:
        return {}, []
    members: list[Place] = [(MEMBERSHIPS, (circuit_id, user_id)) for circuit_id in wanted]
    found = await reader.find_each(*members, *((CIRCUITS, circuit_id) for circuit_id in wanted))
    both = zip(found[: len(wanted)], found[len(wanted) :], strict=True)
    standing = [(member, circuit) for member, circuit in both if member is not None and circuit is not None]
    return {circuit.circuit_id: circuit for _, circuit in standing}, [member for member, _ in standing]


async def _shares(reader: Reader, user_id: str, dfids: Sequence[str]) -> list[Share]:
    query = Select({"recipient_user_id": user_id, "dfid": AnyOf(tuple(dfids))}, ("created_at", "share_id"))
    return [share async for share in walk(reader, SHARES, query)]


async def offers_of(reader: Reader, workspace_id: str, dfids: Iterable[str]) -> list[Transfer]:
    """Return the open offers of these items to a workspace, also those that have expired."""
    query = Select({"open_dfid": AnyOf(tuple(dfids)), "to_workspace_id": workspace_id}, ("open_dfid",))
    return [transfer async for transfer in walk(reader, TRANSFERS, query)]


async def _pulls(reader: Reader, user_id: str, dfids: Sequence[str], circuits: Sequence[str]) -> list[Operation]:
    query = Select(
        {
            "circuit_id": AnyOf(tuple(circuits)),
            "dfid": AnyOf(tuple(dfids)),
            "requester_id": user_id,
            "operation_type": OperationType.PULL.value,
            "status": OperationStatus.COMPLETED.value,
        }
    )
    return [pull async for pull in walk(reader, OPERATIONS, query)]
