"""Circuits themselves: created, changed, opened and closed, handed on (circuits.md 4.1 to 4.4, 4.15)."""

from typing import Any

import attrs

from domain.access.decide import Action
from domain.access.permissions import ROLE_PERMISSIONS, BaseRole, Permission
from domain.access.vocabulary import CircuitStatus, PublicAccessMode
from domain.accounts.values import AccountStatus
from domain.act import Act
from domain.circuits.audience import tell_circuit
from domain.circuits.rules import Role, changed, differences, moved, owner_of, with_role
from domain.circuits.scene import Scene, known, scene, settle
from domain.circuits.values import Circuit, PublicSettings
from domain.errors import Refusal
from domain.instants import wire
from domain.ports.queries import AnyOf, Condition
from domain.ports.schema import ACCOUNTS, CIRCUITS, MEMBERSHIPS
from domain.precondition import Versions, require_version

MAX_OWNED = 1000
ANNOUNCED = ("require_approval_for_push", "require_approval_for_pull", "allow_public_visibility")
"""Changes of these switches are told to all members."""
MEMBERS = (
    "name",
    "description",
    "default_namespace",
    "alias_config",
    "require_approval_for_push",
    "require_approval_for_pull",
    "allow_resharing",
    "allow_public_visibility",
)
_STATUS_ACTIONS = {
    CircuitStatus.INACTIVE: (Action.CIRCUIT_DEACTIVATE, "deactivated"),
    CircuitStatus.ACTIVE: (Action.CIRCUIT_ACTIVATE, "activated"),
    CircuitStatus.ARCHIVED: (Action.CIRCUIT_ARCHIVE, "archived"),
}


async def create(act: Act, circuit: Circuit) -> Circuit:
    """Store a new circuit of the acting user, who becomes its owner.

    Raises Refusal `quota_reached`, `password_required`, `scheduled_date_required`.
    """
    check_page(circuit.public_settings)
    await _check_owned(act, act.user_id)
    await act.unit.add(CIRCUITS, circuit)
    await act.unit.add(MEMBERSHIPS, owner_of(circuit))
    subject = ("circuit", circuit.circuit_id)
    await act.activity("circuit_created", subject, circuit_id=circuit.circuit_id, data={"name": circuit.name})
    await act.audit("circuit.created", subject, circuit_id=circuit.circuit_id)
    return circuit


async def _check_owned(act: Act, user_id: str) -> None:
    """Refuse one more circuit to who owns as many as a user may. Raises Refusal `quota_reached`."""
    standing = AnyOf((CircuitStatus.ACTIVE, CircuitStatus.INACTIVE))
    owned: dict[str, Condition] = {"owner_id": user_id, "status": standing}
    if sum((await act.unit.count(CIRCUITS, owned, "owner_id")).values()) >= MAX_OWNED:
        raise Refusal("quota_reached", f"A user owns at most {MAX_OWNED} circuits that are not archived.")


def check_page(settings: PublicSettings) -> None:
    """Refuse a page that could not open as it says.

    Raises Refusal `scheduled_date_required`, `password_required`.
    """
    if settings.access_mode is PublicAccessMode.SCHEDULED and settings.scheduled_date is None:
        raise Refusal("scheduled_date_required", "A scheduled page needs a date.")
    if settings.access_mode is PublicAccessMode.PROTECTED and settings.password_hash is None:
        raise Refusal("password_required", "A protected page needs a password.")


async def update(act: Act, circuit_id: str, changes: dict[str, Any], accepted: Versions) -> Circuit:
    """Change settings of a circuit; `changes` names members of `MEMBERS`."""
    at = await scene(act.unit, act.principal, circuit_id)
    settle(at.decide(act, Action.CIRCUIT_UPDATE), accepted, _version(at))
    before = at.circuit
    after = changed(before, act.now, **changes)
    if after is before:
        return before
    changes_made = differences(before, after, MEMBERS)
    await _store(act, at, after)
    activity = await act.activity(
        "circuit_updated", ("circuit", circuit_id), circuit_id=circuit_id, data={"fields": sorted(changes_made)}
    )
    announced = [name for name in ANNOUNCED if name in changes_made]
    if announced:
        await _announce(act, circuit_id, activity, announced)
    await act.audit(
        "circuit.updated", ("circuit", circuit_id), circuit_id=circuit_id, details=_plain_changes(changes_made)
    )
    return after


def _version(at: Scene) -> int:
    return 0 if at.found is None else at.found.version


async def _store(act: Act, at: Scene, after: Circuit) -> None:
    await act.unit.save(CIRCUITS, after)
    if (member := at.member(act.principal.user_id)) is not None:
        await act.unit.confirm(MEMBERSHIPS, member)


async def _announce(act: Act, circuit_id: str, activity: str, fields: list[str]) -> None:
    await tell_circuit(act, "circuit_updated", circuit_id, source_id=activity, data={"fields": sorted(fields)})


def _plain_changes(changes: dict[str, tuple[Any, Any]]) -> dict[str, Any]:
    return {name: {"old": plain(old), "new": plain(new)} for name, (old, new) in changes.items()}


def plain(value: Any) -> Any:
    """Return a value as audit details hold it."""
    if attrs.has(type(value)):
        return {name: plain(member) for name, member in attrs.asdict(value, recurse=False).items()}
    if isinstance(value, frozenset | set):
        return sorted(map(plain, value))
    if isinstance(value, tuple | list):
        return [plain(member) for member in value]
    return wire(value) if hasattr(value, "astimezone") else value


async def change_status(
    act: Act, circuit_id: str, status: CircuitStatus, accepted: Versions, reason: str | None = None
) -> Circuit:
    """Move a circuit to another status; already there, nothing happens. What waits in it is cancelled by a job."""
    action, verb = _STATUS_ACTIONS[status]
    at = await scene(act.unit, act.principal, circuit_id)
    decision = at.decide(act, action)
    known(decision)
    if at.circuit.status is status:
        require_version(accepted, at.circuit.version)
        return at.circuit
    settle(decision, accepted, _version(at))
    before, after = at.circuit, moved(at.circuit, status, act.now)
    await _store(act, at, after)
    if status is not CircuitStatus.ACTIVE:
        await act.job("cancel_waiting", {"circuit_id": circuit_id, "until": wire(act.now)}, circuit_id=circuit_id)
    data = {"old": before.status.value, "new": status.value}
    activity = await act.activity("circuit_status_changed", ("circuit", circuit_id), circuit_id=circuit_id, data=data)
    await _announce(act, circuit_id, activity, ["status"])
    details = data | ({} if reason is None else {"reason": reason})
    await act.audit(f"circuit.{verb}", ("circuit", circuit_id), circuit_id=circuit_id, details=details)
    return after


async def transfer(act: Act, circuit_id: str, member_id: str, accepted: Versions) -> Circuit:
    """Hand the circuit on to another member; the former owner becomes an admin.

    Raises Refusal `member_unknown` for anybody who is no other active member with an active account, `quota_reached`.
    """
    at = await scene(act.unit, act.principal, circuit_id, member_id)
    settle(at.decide(act, Action.CIRCUIT_TRANSFER), accepted, _version(at))
    heir = at.member(member_id)
    account = await act.unit.find(ACCOUNTS, member_id)
    if heir is None or member_id == act.user_id or account is None or account.status is not AccountStatus.ACTIVE:
        raise Refusal("member_unknown", "Name another active member of this circuit.")
    await _check_owned(act, member_id)
    after = changed(at.circuit, act.now, owner_id=member_id)
    former = with_role(at.memberships[act.user_id], _base(BaseRole.ADMIN))
    await act.unit.save(CIRCUITS, after)
    await act.unit.save(MEMBERSHIPS, former, with_role(heir, _base(BaseRole.OWNER)))
    await act.unit.confirm(ACCOUNTS, account)
    data = {"old_owner_id": act.user_id, "new_owner_id": member_id}
    subject = ("circuit", circuit_id)
    activity = await act.activity("ownership_transferred", subject, circuit_id=circuit_id)
    await act.notify("ownership_transferred", [member_id], source_id=activity, circuit_id=circuit_id)
    await act.audit("circuit.ownership_transferred", subject, circuit_id=circuit_id, details=data)
    return after


def _base(role: BaseRole) -> Role:
    return Role(role.value, ROLE_PERMISSIONS[role], base_role=role)


async def change_page(act: Act, circuit_id: str, changes: dict[str, Any], accepted: Versions) -> Circuit:
    """Change the settings of the public page; `changes` names members of `PublicSettings`.

    A new or removed `password_hash` raises `password_version`, which voids all page tokens. Raises Refusal
    `scheduled_date_required`, `password_required`; S4 decides about auto-approval.
    """
    at = await scene(act.unit, act.principal, circuit_id)
    decision = at.decide(act, Action.CIRCUIT_PUBLIC_SETTINGS)
    known(decision)
    before = at.circuit.public_settings
    after = _with_password(before, attrs.evolve(before, **changes))
    _check_auto_approve(at, act, before, after)
    settle(decision, accepted, _version(at))
    check_page(after)
    circuit = changed(at.circuit, act.now, public_settings=after)
    if circuit is at.circuit:
        return circuit
    fields = sorted(set(differences(before, after, tuple(changes))) - {"password_hash"})
    shown = [*fields, "access_password"] if before.password_version != after.password_version else fields
    await _store(act, at, circuit)
    subject = ("circuit", circuit_id)
    await act.activity("circuit_updated", subject, circuit_id=circuit_id, data={"fields": shown})
    details = _plain_changes(differences(before, after, tuple(fields)))
    changed_password = {"access_password": "changed"} if len(shown) > len(fields) else {}
    await act.audit(
        "circuit.public_settings_updated", subject, circuit_id=circuit_id, details=details | changed_password
    )
    return circuit


def _with_password(before: PublicSettings, after: PublicSettings) -> PublicSettings:
    if before.password_hash == after.password_hash:
        return after
    return attrs.evolve(after, password_version=before.password_version + 1)


def _check_auto_approve(at: Scene, act: Act, before: PublicSettings, after: PublicSettings) -> None:
    """Apply S4 where auto-approval is switched on or its role is widened."""
    if not after.auto_approve_members:
        return
    allowed_before = before.auto_approve_members and _role(at, before)
    wanted = _role(at, after)
    if not allowed_before or not wanted <= allowed_before:
        known(at.decide(act, Action.MEMBER_ADD, granted=wanted))


def _role(at: Scene, settings: PublicSettings) -> frozenset[Permission]:
    return ROLE_PERMISSIONS[BaseRole(settings.auto_approve_role)]
