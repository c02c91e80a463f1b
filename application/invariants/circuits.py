"""Circuits, their members and who wants to become one (circuits.md 7.1 to 7.4, 7.12, 7.13)."""

from collections import Counter
from collections.abc import AsyncIterator, Iterable, Sequence

from application.invariants.core import invariant
from domain.access.permissions import ALL_PERMISSIONS, ROLE_PERMISSIONS, BaseRole, Permission
from domain.access.vocabulary import CircuitStatus, JoinRequestStatus, MembershipStatus, PublicAccessMode
from domain.circuits.values import Circuit, JoinRequest, Membership
from domain.ports.queries import Select
from domain.ports.schema import CIRCUITS, JOIN_REQUESTS, MEMBERSHIPS, OUTBOX
from domain.ports.storage import Reader
from domain.ports.walking import walk

WAITING = "Start a worker: it cancels what waits in closed circuits. If it stays, reject or cancel it by its route."


async def circuits_of(reader: Reader, ids: Iterable[str]) -> dict[str, Circuit]:
    """Return circuits by id."""
    return {row.circuit_id: row for row in (await reader.get_many(CIRCUITS, sorted(set(ids)))).values()}


async def jobs(reader: Reader, kind: str) -> list[dict[str, object]]:
    """Return what the jobs of a kind are about that nobody has finished."""
    query = Select({"status": "pending"}, ("created_at", "row_id"))
    return [
        {**row.data, "circuit_id": row.circuit_id or row.data.get("circuit_id")}
        async for row in walk(reader, OUTBOX, query)
        if row.kind == kind
    ]


async def is_being_cancelled(reader: Reader, circuit_id: str, user_id: str, placement_id: str | None = None) -> bool:
    """Tell whether a job waits that cancels what somebody has waiting in a circuit."""
    for job in await jobs(reader, "cancel_waiting"):
        if placement_id is not None and job.get("placement_id") == placement_id:
            return True
        if job["circuit_id"] == circuit_id and job.get("user_id") in (None, user_id) and "placement_id" not in job:
            return True
    return False


@invariant("circuits 7.1", CIRCUITS)
async def a_circuit_has_its_owner(reader: Reader, rows: Sequence[Circuit]) -> AsyncIterator[tuple[Circuit, str]]:
    """The owner is an active member with the base role of the owner and no custom one."""
    found = await reader.get_many(MEMBERSHIPS, [(row.circuit_id, row.owner_id) for row in rows])
    owners = {row.circuit_id: row for row in found.values()}
    for row in rows:
        member = owners.get(row.circuit_id)
        if member is None or member.status is not MembershipStatus.ACTIVE:
            yield row, f"its owner {row.owner_id} is no active member"
        elif (member.base_role, member.custom_role_id) != (BaseRole.OWNER, None):
            yield row, f"its owner {row.owner_id} has another role"


@invariant("circuits 7.1", MEMBERSHIPS)
async def nobody_else_is_an_owner(reader: Reader, rows: Sequence[Membership]) -> AsyncIterator[tuple[Membership, str]]:
    """The base role of the owner is borne by the owner alone."""
    circuits = await circuits_of(reader, (row.circuit_id for row in rows))
    for row in rows:
        circuit = circuits.get(row.circuit_id)
        if circuit is None:
            yield row, "its circuit does not exist"
        elif row.base_role is BaseRole.OWNER and row.user_id != circuit.owner_id:
            yield row, f"bears the role of the owner, who is {circuit.owner_id}"


@invariant("circuits 7.2", MEMBERSHIPS, "Let a manager give the member their role again; that rewrites it.")
async def permissions_are_those_of_the_role(
    reader: Reader, rows: Sequence[Membership]
) -> AsyncIterator[tuple[Membership, str]]:
    """The effective permissions of a member are those of the role, and a custom role is one of that circuit."""
    circuits = await circuits_of(reader, (row.circuit_id for row in rows))
    for row in rows:
        if row.status is not MembershipStatus.ACTIVE:
            continue
        due = _due(row, circuits.get(row.circuit_id))
        if due is None:
            yield row, f"has the custom role {row.custom_role_id}, which its circuit does not have"
        elif due != row.permissions:
            yield row, f"differs from its role in {', '.join(sorted(due ^ row.permissions))}"


def _due(member: Membership, circuit: Circuit | None) -> frozenset[Permission] | None:
    if member.base_role is BaseRole.OWNER:
        return ALL_PERMISSIONS
    if member.custom_role_id is None:
        return ROLE_PERMISSIONS[member.base_role]
    roles = () if circuit is None else circuit.roles
    return next((role.permissions for role in roles if role.role_id == member.custom_role_id), None)


@invariant("circuits 7.3", MEMBERSHIPS)
async def an_end_belongs_to_an_ended_membership(
    reader: Reader, rows: Sequence[Membership]
) -> AsyncIterator[tuple[Membership, str]]:
    """Ended memberships have an end after their beginning and no custom role; active ones have no end."""
    for row in rows:
        ended = row.status is not MembershipStatus.ACTIVE
        if ended != (row.ended_at is not None):
            yield row, f"is {row.status} and ended at {row.ended_at}"
        elif row.ended_at is not None and row.joined_at >= row.ended_at:
            yield row, "ended before it began"
        elif ended and row.custom_role_id is not None:
            yield row, "ended with a custom role"


@invariant("circuits 7.4", CIRCUITS, "Let a manager save the settings of the circuit again.")
async def settings_fit_together(reader: Reader, rows: Sequence[Circuit]) -> AsyncIterator[tuple[Circuit, str]]:
    """Role names are unique and none is a base name; a protected page has a hash, a scheduled one a date."""
    for row in rows:
        names = Counter(role.name for role in row.roles)
        if any(count > 1 for count in names.values()) or names.keys() & set(BaseRole):
            yield row, "has role names twice, or one of a base role"
        page = row.public_settings
        if page.access_mode is PublicAccessMode.PROTECTED and page.password_hash is None:
            yield row, "has a protected page without a password"
        if page.access_mode is PublicAccessMode.SCHEDULED and page.scheduled_date is None:
            yield row, "has a scheduled page without a date"
        if row.allow_public_visibility != (row.public_since is not None):
            yield row, f"has public_since {row.public_since}, its page being {row.allow_public_visibility}"


@invariant("circuits 7.19", CIRCUITS, "Set a new page password.")
async def page_passwords_are_hashed(reader: Reader, rows: Sequence[Circuit]) -> AsyncIterator[tuple[Circuit, str]]:
    """What is stored of a page password is an argon2id hash."""
    for row in rows:
        kept = row.public_settings.password_hash
        if kept is not None and not kept.startswith("$argon2id$"):
            yield row, "keeps a page password that is no argon2id hash"


@invariant("circuits 7.12", JOIN_REQUESTS, WAITING)
async def requests_wait_in_active_circuits(
    reader: Reader, rows: Sequence[JoinRequest]
) -> AsyncIterator[tuple[JoinRequest, str]]:
    """A waiting request is in an active circuit and by somebody who is no member of it, or about to be cancelled."""
    waiting = [row for row in rows if row.status is JoinRequestStatus.PENDING]
    circuits = await circuits_of(reader, (row.circuit_id for row in waiting))
    found = await reader.get_many(MEMBERSHIPS, [(row.circuit_id, row.requester_id) for row in waiting])
    members = {(row.circuit_id, row.user_id) for row in found.values() if row.status is MembershipStatus.ACTIVE}
    for row in waiting:
        circuit = circuits.get(row.circuit_id)
        if (row.circuit_id, row.requester_id) in members:
            yield row, "waits although its requester is a member"
            continue
        active = circuit is not None and circuit.status is CircuitStatus.ACTIVE
        if not active and not await is_being_cancelled(reader, row.circuit_id, row.requester_id):
            yield row, "waits in a circuit that is not active"


@invariant("circuits 5", JOIN_REQUESTS)
async def requests_are_decided_or_wait(
    reader: Reader, rows: Sequence[JoinRequest]
) -> AsyncIterator[tuple[JoinRequest, str]]:
    """What is decided has its time, what waits has none; an approved request names its role."""
    for row in rows:
        if (row.status is JoinRequestStatus.PENDING) != (row.decided_at is None):
            yield row, f"is {row.status} and was decided at {row.decided_at}"
        if row.status is JoinRequestStatus.APPROVED and row.role is None:
            yield row, "was approved without a role"
