"""Members: added, given another role, removed, gone (circuits.md 4.5 to 4.7)."""

from typing import Any

from domain.access.decide import Action
from domain.access.permissions import Permission
from domain.access.vocabulary import JoinRequestStatus, MembershipStatus
from domain.accounts.values import Account, AccountStatus
from domain.act import Act
from domain.circuits.audience import tell_circuit
from domain.circuits.facts import role_name
from domain.circuits.rules import Role, decided, ended, joined, role_named, role_unknown, with_role
from domain.circuits.scene import Scene, known, scene, settle
from domain.circuits.values import Circuit, JoinRequest, Membership
from domain.errors import Refusal, not_found
from domain.instants import wire
from domain.ports.queries import Condition, Select
from domain.ports.schema import ACCOUNTS, CIRCUITS, JOIN_REQUESTS, MEMBERSHIPS
from domain.ports.storage import Reader
from domain.precondition import Versions
from domain.webhooks.triggers import Trigger, fire

MAX_MEMBERS = 10_000


async def account_named(reader: Reader, username: str) -> Account | None:
    """Return the account of that user name."""
    found = await reader.page(ACCOUNTS, Select({"username": username}), limit=1)
    return found.items[0] if found.items else None


async def add(act: Act, circuit_id: str, user_id: str | None, role_given: str) -> Membership:
    """Make a user a member. A waiting join request of theirs is approved with it.

    `user_id` is None for a name that nobody has. Raises Refusal `role_unknown`, `member_unknown`,
    `already_member`, `quota_reached`.
    """
    at = await scene(act.unit, act.principal, circuit_id, *filter(None, (user_id,)))
    role = _granted(at, act, Action.MEMBER_ADD, role_given)
    account = await act.unit.find(ACCOUNTS, user_id or "")
    if account is None or account.status is not AccountStatus.ACTIVE:
        raise Refusal("member_unknown", "There is no such user.")
    if at.member(account.user_id) is not None:
        raise Refusal("already_member", "This user is a member already.")
    await check_room(act, circuit_id)
    member = joined(
        at.memberships.get(account.user_id),
        at.circuit,
        account.user_id,
        role,
        act.now,
        via="added",
        added_by=act.user_id,
    )
    await _approve_waiting(act, member, role.name, by=act.user_id)
    await at.confirm(act)
    await act.unit.confirm(ACCOUNTS, account)
    await store_joined(act, at.circuit, member)
    data = {"role": role.name}
    subject = ("member", member.user_id)
    activity = await act.activity("member_added", subject, circuit_id=circuit_id, data=data)
    await act.notify("member_added", [member.user_id], source_id=activity, circuit_id=circuit_id, data=data)
    await act.audit("circuit.member_added", subject, circuit_id=circuit_id, details=data)
    return member


def _granted(at: Scene, act: Act, action: Action, name: str, **target: Any) -> Role:
    """Return the role to be given, once it may be. Raises Refusal `role_unknown` after the decision."""
    role = None if at.found is None else role_named(at.found, name)
    granted = frozenset[Permission]() if role is None else role.permissions
    at.require(act, action, granted=granted, grants_owner=role is not None and role.is_owner, **target)
    if role is None:
        raise role_unknown(name)
    return role


async def check_room(act: Act, circuit_id: str) -> None:
    """Refuse more members than a circuit may have. Raises Refusal `quota_reached`."""
    where: dict[str, Condition] = {"circuit_id": circuit_id, "status": MembershipStatus.ACTIVE}
    if sum((await act.unit.count(MEMBERSHIPS, where, "circuit_id")).values()) >= MAX_MEMBERS:
        raise Refusal("quota_reached", f"A circuit has at most {MAX_MEMBERS} members.")


async def store_joined(act: Act, circuit: Circuit, member: Membership) -> None:
    """Stage a membership that begins now, and its trigger."""
    if member.version == 1:
        await act.unit.add(MEMBERSHIPS, member)
    else:
        await act.unit.save(MEMBERSHIPS, member)
    await fire(act, circuit, Trigger.MEMBER_JOINED, user_id=member.user_id)


async def _approve_waiting(act: Act, member: Membership, role: str, by: str | None) -> tuple[JoinRequest, ...]:
    waiting = await waiting_request(act.unit, member.circuit_id, member.user_id)
    approved = tuple(decided(one, JoinRequestStatus.APPROVED, act.now, by=by, role=role) for one in waiting)
    await act.unit.save(JOIN_REQUESTS, *approved)
    return approved


async def waiting_request(reader: Reader, circuit_id: str, user_id: str) -> tuple[JoinRequest, ...]:
    """Return the one waiting request of a user to join a circuit, or none."""
    query = Select({"waiting": f"{circuit_id} {user_id}"})
    return tuple((await reader.page(JOIN_REQUESTS, query, limit=1)).items)


async def settle_request(act: Act, circuit_id: str, user_id: str) -> None:
    """Approve, as the system, the request of somebody who was added at the moment of asking.

    Neither of the two units saw the other, and no row is of both.
    """
    at = await scene(act.unit, act.principal, circuit_id, user_id)
    member = at.member(user_id)
    if member is None:
        return
    role = role_name(at.circuit, member)
    await act.unit.confirm(MEMBERSHIPS, member)
    for request in await _approve_waiting(act, member, role, by=None):
        subject = ("join_request", request.request_id)
        await act.audit("circuit.join_approved", subject, circuit_id=circuit_id, details={"role": role})


async def change_role(act: Act, circuit_id: str, user_id: str, name: str | None, accepted: Versions) -> Membership:
    """Give a member another role; None takes the custom role off.

    Raises Refusal `owner_role_fixed`, `target_outranks`, `role_unknown`, `role_not_grantable`.
    """
    at = await scene(act.unit, act.principal, circuit_id, user_id)
    member = at.member(user_id)
    role = None if at.found is None or name is None else role_named(at.found, name)
    after = None if member is None else with_role(member, role)
    decision = at.decide(
        act,
        Action.MEMBER_CHANGE_ROLE,
        user_id=user_id,
        granted=None if after is None or (name is not None and role is None) else after.permissions,
        grants_owner=role is not None and role.is_owner,
    )
    known(decision)
    if member is None or after is None:
        raise not_found()
    settle(decision, accepted, member.version)
    if name is not None and role is None:
        raise role_unknown(name)
    if after is member:
        return member
    await at.confirm(act)
    await act.unit.save(MEMBERSHIPS, after)
    data = {"old": role_name(at.circuit, member), "new": role_name(at.circuit, after)}
    subject = ("member", user_id)
    activity = await act.activity("role_changed", subject, circuit_id=circuit_id, data=data)
    await act.notify("role_changed", [user_id], source_id=activity, circuit_id=circuit_id, data=data)
    await act.audit("circuit.role_changed", subject, circuit_id=circuit_id, details=data)
    return after


async def end(act: Act, circuit_id: str, user_id: str, accepted: Versions) -> None:
    """Remove a member, or leave when it is oneself. What waits of theirs is cancelled by a job.

    Raises Refusal `owner_cannot_leave`, `target_outranks`.
    """
    at = await scene(act.unit, act.principal, circuit_id, user_id)
    leaving = user_id == act.user_id
    target: dict[str, Any] = {} if leaving else {"user_id": user_id}
    decision = at.decide(act, Action.MEMBER_LEAVE if leaving else Action.MEMBER_REMOVE, **target)
    known(decision)
    member = at.member(user_id)
    if member is None:
        raise not_found()
    settle(decision, accepted, member.version)
    await act.unit.save(MEMBERSHIPS, ended(member, act.now, act.user_id))
    await act.unit.confirm(CIRCUITS, at.circuit)
    if not leaving:
        await act.unit.confirm(MEMBERSHIPS, at.memberships[act.user_id])
    waiting = {"circuit_id": circuit_id, "user_id": user_id, "member_since": wire(member.joined_at)}
    await act.job("cancel_waiting", waiting, circuit_id=circuit_id)
    await _tell_end(act, at, member, leaving)


async def _tell_end(act: Act, at: Scene, member: Membership, leaving: bool) -> None:
    circuit_id = member.circuit_id
    kind = "member_left" if leaving else "member_removed"
    subject = ("member", member.user_id)
    activity = await act.activity(kind, subject, circuit_id=circuit_id)
    if leaving:
        owner = [at.circuit.owner_id]
        managers = Permission.MANAGE_MEMBERS
        await tell_circuit(act, kind, circuit_id, managers, source_id=activity, besides=owner)
    else:
        await act.notify(kind, [member.user_id], source_id=activity, circuit_id=circuit_id)
    await act.audit(f"circuit.{kind}", subject, circuit_id=circuit_id)
