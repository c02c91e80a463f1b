"""Asking to join, and what becomes of it (circuits.md 4.9, 4.10)."""

from datetime import timedelta
from typing import Any

import attrs

from domain.access.decide import Action, Reason, refusal, require
from domain.access.facts import PageFact
from domain.access.permissions import Permission
from domain.access.vocabulary import JoinRequestStatus, MembershipStatus
from domain.accounts.values import AccountStatus
from domain.act import Act
from domain.circuits.audience import tell_circuit
from domain.circuits.facts import request_fact
from domain.circuits.members import check_room, store_joined
from domain.circuits.rules import decided, joined, role_named, role_unknown
from domain.circuits.scene import Scene, scene, settle
from domain.circuits.values import Circuit, JoinRequest, Membership
from domain.errors import Refusal, not_found
from domain.ids import new_id
from domain.instants import wire
from domain.ports.queries import Condition, Select
from domain.ports.schema import ACCOUNTS, CIRCUITS, JOIN_REQUESTS, MEMBERSHIPS
from domain.precondition import Versions

MAX_WAITING = 1000


@attrs.frozen
class Asked:
    """What became of asking: a waiting request, or a membership at once."""

    request: JoinRequest
    membership: Membership | None = None


async def ask(
    act: Act, circuit_id: str, message: str | None, cooldown: timedelta, pages: tuple[PageFact, ...] = ()
) -> Asked:
    """Ask to join a circuit whose page is open to the caller.

    `pages` are page tokens and passwords that were verified. Raises Refusal `not_found`, `already_member`,
    `circuit_not_active`, `request_pending`, `join_cool_down` with `retry_at`, `quota_reached`.
    """
    at = await scene(act.unit, act.principal, circuit_id)
    decision = at.decide(act, Action.JOIN_REQUEST, facts={"pages": pages})
    if at.member(act.user_id) is not None:
        if decision.reason is Reason.CIRCUIT_NOT_ACTIVE:
            raise refusal(decision)
        raise Refusal("already_member", "You are a member of this circuit.")
    require(decision)
    latest = await _latest(act, at.circuit)
    _check_calm(act, at, latest, cooldown)
    request = JoinRequest(new_id(), circuit_id, act.user_id, act.now, message=message)
    settings = at.circuit.public_settings
    earlier = at.memberships.get(act.user_id)
    await act.unit.confirm(CIRCUITS, at.circuit)
    if settings.auto_approve_members and not (earlier is not None and earlier.was_removed):
        return await _join_at_once(act, at, request)
    await _check_room_for_waiting(act, circuit_id)
    await act.unit.add(JOIN_REQUESTS, request)
    await _tell_asked(act, at, request)
    return Asked(request)


async def _latest(act: Act, circuit: Circuit) -> list[JoinRequest]:
    """Return the caller's requests to this circuit, newest first."""
    query = Select({"requester_id": act.user_id, "circuit_id": circuit.circuit_id}, ("requested_at",), descending=True)
    return list((await act.unit.page(JOIN_REQUESTS, query, limit=100)).items)


def _check_calm(act: Act, at: Scene, requests: list[JoinRequest], cooldown: timedelta) -> None:
    """Refuse a second request, and one too soon after a rejection or a removal."""
    if any(request.status is JoinRequestStatus.PENDING for request in requests):
        raise Refusal("request_pending", "Your request waits for a decision.")
    member = at.memberships.get(act.user_id)
    ends = [
        request.decided_at
        for request in requests
        if request.status is JoinRequestStatus.REJECTED and request.decided_at is not None
    ]
    if member is not None and member.status is MembershipStatus.REMOVED and member.ended_at is not None:
        ends.append(member.ended_at)
    if ends and act.now < (until := max(ends) + cooldown):
        seconds = int((until - act.now).total_seconds()) + 1
        raise Refusal("join_cool_down", "Ask again later.", retry_at=wire(until), retry_after_seconds=seconds)


async def _join_at_once(act: Act, at: Scene, request: JoinRequest) -> Asked:
    circuit, name = at.circuit, at.circuit.public_settings.auto_approve_role
    role = role_named(circuit, name)
    assert role is not None
    await check_room(act, circuit.circuit_id)
    approved = attrs.evolve(request, status=JoinRequestStatus.APPROVED, role=name, decided_at=act.now)
    earlier = at.memberships.get(act.user_id)
    member = joined(earlier, circuit, act.user_id, role, act.now, via="auto_approved")
    await act.unit.add(JOIN_REQUESTS, approved)
    await store_joined(act, circuit, member)
    subject = ("member", member.user_id)
    data = {"role": name}
    await act.activity("member_joined", subject, circuit_id=circuit.circuit_id, data=data)
    await act.audit("circuit.member_joined", subject, circuit_id=circuit.circuit_id, details=data)
    return Asked(approved, member)


async def _check_room_for_waiting(act: Act, circuit_id: str) -> None:
    where: dict[str, Condition] = {"circuit_id": circuit_id, "status": JoinRequestStatus.PENDING}
    if sum((await act.unit.count(JOIN_REQUESTS, where, "circuit_id")).values()) >= MAX_WAITING:
        raise Refusal("quota_reached", f"At most {MAX_WAITING} requests wait in a circuit.")


async def _tell_asked(act: Act, at: Scene, request: JoinRequest) -> None:
    circuit_id, subject = request.circuit_id, ("join_request", request.request_id)
    await act.activity("join_requested", subject, circuit_id=circuit_id)
    data = {"message": request.message}
    source, managers = request.request_id, Permission.MANAGE_MEMBERS
    await tell_circuit(act, "join_request_received", circuit_id, managers, source_id=source, data=data)
    await act.audit("circuit.join_requested", subject, circuit_id=circuit_id)


async def _standing(act: Act, circuit_id: str, request_id: str) -> tuple[Scene, JoinRequest, dict[str, Any]]:
    """Read a request of a circuit with what is decided on. Raises Refusal `not_found`."""
    request = await act.unit.find(JOIN_REQUESTS, request_id)
    if request is None or request.circuit_id != circuit_id:
        at = await scene(act.unit, act.principal, circuit_id)
        at.require(act, Action.JOIN_LIST)
        raise not_found()
    at = await scene(act.unit, act.principal, circuit_id, request.requester_id)
    return at, request, {"requests": (request_fact(request),)}


async def approve(act: Act, circuit_id: str, request_id: str, name: str, accepted: Versions = None) -> JoinRequest:
    """Let somebody in with a role.

    Raises Refusal `role_not_grantable`, `version_mismatch`, `request_decided`, `role_unknown`, `already_member`,
    `requester_frozen`, `quota_reached`.
    """
    at, request, facts = await _standing(act, circuit_id, request_id)
    role = None if at.found is None else role_named(at.found, name)
    granted = frozenset[Permission]() if role is None else role.permissions
    decision = at.decide(
        act,
        Action.JOIN_DECIDE,
        facts=facts,
        request_id=request_id,
        granted=granted,
        grants_owner=role is not None and role.is_owner,
    )
    settle(decision, accepted, request.version)
    approved = decided(request, JoinRequestStatus.APPROVED, act.now, by=act.user_id, role=name)
    if role is None:
        raise role_unknown(name)
    if at.member(request.requester_id) is not None:
        raise Refusal("already_member", "The requester is a member already.")
    account = await act.unit.find(ACCOUNTS, request.requester_id)
    if account is None or account.status is not AccountStatus.ACTIVE:
        raise Refusal("requester_frozen", "The requester's account is not active.")
    await check_room(act, circuit_id)
    earlier = at.memberships.get(request.requester_id)
    member = joined(earlier, at.circuit, request.requester_id, role, act.now, via="join_request", added_by=act.user_id)
    await act.unit.confirm(CIRCUITS, at.circuit)
    await act.unit.confirm(MEMBERSHIPS, at.memberships[act.user_id])
    await act.unit.confirm(ACCOUNTS, account)
    await act.unit.save(JOIN_REQUESTS, approved)
    await store_joined(act, at.circuit, member)
    await _tell_decided(act, approved, "approved", {"role": name})
    return approved


async def reject(
    act: Act,
    circuit_id: str,
    request_id: str,
    reason: str | None,
    cooldown: timedelta,
    accepted: Versions = None,
) -> JoinRequest:
    """Refuse a request. Raises Refusal `version_mismatch`, `request_decided`."""
    at, request, facts = await _standing(act, circuit_id, request_id)
    settle(at.decide(act, Action.JOIN_DECIDE, facts=facts, request_id=request_id), accepted, request.version)
    rejected = decided(request, JoinRequestStatus.REJECTED, act.now, by=act.user_id, reason=reason)
    await at.confirm(act)
    await act.unit.save(JOIN_REQUESTS, rejected)
    data = {"reason": reason, "retry_after": wire(act.now + cooldown)}
    await _tell_decided(act, rejected, "rejected", data)
    return rejected


async def _tell_decided(act: Act, request: JoinRequest, verb: str, data: dict[str, Any]) -> None:
    circuit_id, subject = request.circuit_id, ("join_request", request.request_id)
    await act.activity(f"join_{verb}", subject, circuit_id=circuit_id)
    await act.notify(
        f"join_request_{verb}",
        [request.requester_id],
        source_id=request.request_id,
        circuit_id=circuit_id,
        data=data,
    )
    await act.audit(f"circuit.join_{verb}", subject, circuit_id=circuit_id, details=data)


async def cancel(act: Act, circuit_id: str, request_id: str, accepted: Versions = None) -> None:
    """Take one's own request back. Raises Refusal `not_found`, `version_mismatch`, `request_decided`."""
    at, request, facts = await _standing_own(act, circuit_id, request_id)
    settle(at.decide(act, Action.JOIN_CANCEL, facts=facts, request_id=request_id), accepted, request.version)
    cancelled = decided(request, JoinRequestStatus.CANCELLED, act.now)
    await act.unit.confirm(CIRCUITS, at.circuit)
    await act.unit.save(JOIN_REQUESTS, cancelled)
    await act.audit("circuit.join_cancelled", ("join_request", request_id), circuit_id=circuit_id)


async def _standing_own(act: Act, circuit_id: str, request_id: str) -> tuple[Scene, JoinRequest, dict[str, Any]]:
    request = await act.unit.find(JOIN_REQUESTS, request_id)
    if request is None or request.circuit_id != circuit_id:
        raise not_found()
    at = await scene(act.unit, act.principal, circuit_id)
    return at, request, {"requests": (request_fact(request),)}
