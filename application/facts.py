"""Loading what the access decision needs to know (circuits.md 2.1), for any number of items at once."""

from collections.abc import Sequence

import attrs

from domain.access.facts import Facts, Target
from domain.access.principal import Principal
from domain.circuits.facts import circuit_fact, item_fact, member_fact
from domain.circuits.reading import reading
from domain.circuits.values import Circuit
from domain.evolving import evolve
from domain.items.values import Item
from domain.ports.schema import CIRCUITS, MEMBERSHIPS
from domain.ports.storage import Reader


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
    known = tuple(map(item_fact, items))
    if not foreign:
        return Facts(items=known)
    return attrs.evolve((await reading(reader, principal, foreign)).facts, items=known)


async def absent_facts(reader: Reader, principal: Principal, dfid: str) -> None:
    """Ask of an absent item what is asked of a foreign one, so that both take as long (platform.md 17.36)."""
    await reading(reader, principal, [dfid])


def about(facts: Facts, **target: object) -> Facts:
    """Return the facts with the question put to them."""
    return evolve(facts, target=evolve(facts.target, **target))
