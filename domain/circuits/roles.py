"""Custom roles (circuits.md 4.8)."""

from typing import Any

import attrs

from domain.access.decide import Action
from domain.access.permissions import BaseRole, Permission
from domain.access.vocabulary import MembershipStatus
from domain.act import Act
from domain.circuits.rules import changed, custom_role
from domain.circuits.scene import Scene, known, scene, settle
from domain.circuits.values import Circuit, CustomRole, Membership
from domain.errors import Refusal, not_found
from domain.ids import new_id
from domain.instants import strictly_after
from domain.ports.queries import Condition, Select
from domain.ports.schema import CIRCUITS, MEMBERSHIPS
from domain.ports.walking import walk
from domain.precondition import Versions

MAX_ROLES = 50


async def create(
    act: Act,
    circuit_id: str,
    name: str,
    permissions: frozenset[Permission],
    *,
    display_name: str | None = None,
    description: str = "",
    color: str | None = None,
) -> CustomRole:
    """Define a role within the actor's own permissions.

    Raises Refusal `role_not_grantable`, `role_exists`, `quota_reached`.
    """
    at = await scene(act.unit, act.principal, circuit_id)
    circuit = at.require(act, Action.ROLE_CREATE, defined=(permissions,))
    if name in set(BaseRole) or custom_role(circuit, name) is not None:
        raise Refusal("role_exists", f"This circuit has a role {name} already.")
    if len(circuit.roles) >= MAX_ROLES:
        raise Refusal("quota_reached", f"A circuit has at most {MAX_ROLES} custom roles.")
    role = CustomRole(
        role_id=new_id(),
        name=name,
        display_name=display_name or name,
        description=description,
        color=color,
        permissions=permissions,
        created_by=act.user_id,
        created_at=act.now,
        updated_at=act.now,
    )
    await _store(act, at, (*circuit.roles, role))
    await act.unit.confirm(MEMBERSHIPS, at.memberships[act.user_id])
    await _tell(act, circuit_id, "created", role)
    return role


async def _store(act: Act, at: Scene, roles: tuple[CustomRole, ...]) -> Circuit:
    """Save the circuit with its roles, so that a change of a role and an assignment end one after the other."""
    after = changed(at.circuit, act.now, roles=roles)
    await act.unit.save(CIRCUITS, after)
    return after


async def _tell(act: Act, circuit_id: str, verb: str, role: CustomRole, **details: Any) -> str:
    subject = ("role", role.role_id)
    activity = await act.activity(
        "circuit_updated", subject, circuit_id=circuit_id, data={"fields": ["roles"], "role": role.name}
    )
    shown = {"name": role.name, "permissions": sorted(role.permissions)} | details
    await act.audit(f"circuit.role_{verb}", subject, circuit_id=circuit_id, details=shown)
    return activity


def _existing(at: Scene, name: str) -> CustomRole | None:
    return None if at.found is None else custom_role(at.found, name)


def _fixed(at: Scene, act: Act, action: Action, name: str) -> None:
    """Refuse to touch a base role, once the caller may touch roles at all. Raises Refusal `role_fixed`."""
    known(at.decide(act, action))
    if name in set(BaseRole):
        raise Refusal("role_fixed", "The base roles never change.")


async def update(
    act: Act, circuit_id: str, name: str, changes: dict[str, Any], accepted: Versions
) -> tuple[CustomRole, int]:
    """Change a role, and the permissions of everybody who carries it; return it with their number.

    Raises Refusal `role_fixed`, `not_found`, `role_not_grantable`.
    """
    at = await scene(act.unit, act.principal, circuit_id)
    _fixed(at, act, Action.ROLE_UPDATE, name)
    before = _existing(at, name)
    if before is None:
        raise not_found()
    after = attrs.evolve(before, **changes)
    decision = at.decide(act, Action.ROLE_UPDATE, defined=(before.permissions, after.permissions))
    settle(decision, accepted, before.version)
    carriers = await carrying(act, circuit_id, before.role_id)
    if after == before:
        return before, len(carriers)
    after = attrs.evolve(after, updated_at=strictly_after(before.updated_at, act.now), version=before.version + 1)
    roles = tuple(after if role.role_id == before.role_id else role for role in at.circuit.roles)
    await _store(act, at, roles)
    await _spread(act, at, carriers, after)
    activity = await _tell(act, circuit_id, "updated", after, old_permissions=sorted(before.permissions))
    if after.permissions != before.permissions:
        data = {"old": name, "new": name}
        users = [carrier.user_id for carrier in carriers]
        await act.notify("role_changed", users, source_id=activity, circuit_id=circuit_id, data=data)
    return after, len(carriers)


async def _spread(act: Act, at: Scene, carriers: list[Membership], role: CustomRole) -> None:
    """Give every carrier the permissions of the role, and confirm the actor's membership when not among them."""
    changes = [
        attrs.evolve(carrier, permissions=role.permissions, version=carrier.version + 1)
        for carrier in carriers
        if carrier.permissions != role.permissions
    ]
    await act.unit.save(MEMBERSHIPS, *changes)
    if act.user_id not in {carrier.user_id for carrier in changes}:
        await act.unit.confirm(MEMBERSHIPS, at.memberships[act.user_id])


async def carrying(act: Act, circuit_id: str, role_id: str) -> list[Membership]:
    """Return the active members who carry a custom role."""
    where = _carried(circuit_id, role_id)
    return [member async for member in walk(act.unit, MEMBERSHIPS, Select(where, ("joined_at", "user_id")))]


def _carried(circuit_id: str, role_id: str) -> dict[str, Condition]:
    return {"circuit_id": circuit_id, "status": MembershipStatus.ACTIVE, "role": role_id}


async def delete(act: Act, circuit_id: str, name: str, accepted: Versions) -> None:
    """Delete a role that nobody carries. Raises Refusal `role_fixed`, `role_in_use` with `member_count`."""
    at = await scene(act.unit, act.principal, circuit_id)
    _fixed(at, act, Action.ROLE_DELETE, name)
    role = _existing(at, name)
    if role is None:
        raise not_found()
    settle(at.decide(act, Action.ROLE_DELETE, defined=(role.permissions,)), accepted, role.version)
    carriers = (await act.unit.count(MEMBERSHIPS, _carried(circuit_id, role.role_id), "role")).get(role.role_id)
    if carriers:
        raise Refusal("role_in_use", "Members carry this role.", member_count=carriers)
    await _store(act, at, tuple(other for other in at.circuit.roles if other.role_id != role.role_id))
    await act.unit.confirm(MEMBERSHIPS, at.memberships[act.user_id])
    await _tell(act, circuit_id, "deleted", role)
