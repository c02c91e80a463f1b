"""What closing a circuit, ending a membership or taking an item out leaves to a worker (circuits.md 4.3, 4.7).

The job `cancel_waiting` names a circuit, and either nothing more (all that waited when it closed), or a member
and the beginning of their membership, or a placement.
"""

from collections.abc import Mapping
from typing import Any

import attrs

from domain.access.vocabulary import JoinRequestStatus, OperationStatus
from domain.act import Act
from domain.circuits.rules import closed, decided
from domain.circuits.values import JoinRequest, Operation
from domain.instants import parse_instant
from domain.ports.queries import Between, Condition, Select
from domain.ports.schema import ITEMS, JOIN_REQUESTS, OPERATIONS

AT_ONCE = 500
_REASONS = {"user_id": "member_gone", "placement_id": "placement_gone"}


async def cancel_waiting(act: Act, job: Mapping[str, Any]) -> bool:
    """Cancel up to 500 of what waits by this job, and free the drafts held; tell whether there was nothing left.

    Each gets an audit entry of its own; nobody is notified.
    """
    operations = await _operations(act, job)
    requests = [] if len(operations) == AT_ONCE else await _requests(act, job, AT_ONCE - len(operations))
    reason = next((text for name, text in _REASONS.items() if name in job), "circuit_inactive")
    for operation in operations:
        await act.unit.save(OPERATIONS, closed(operation, OperationStatus.CANCELLED, act.now, reason=reason))
        await _audit(act, operation.circuit_id, "operation", operation.operation_id, reason)
    await _free(act, operations)
    for request in requests:
        done = decided(request, JoinRequestStatus.CANCELLED, act.now, reason=reason)
        await act.unit.save(JOIN_REQUESTS, done)
        await _audit(act, request.circuit_id, "join", request.request_id, reason)
    return len(operations) + len(requests) < AT_ONCE


async def _operations(act: Act, job: Mapping[str, Any]) -> list[Operation]:
    where: dict[str, Condition] = {"circuit_id": job["circuit_id"], "status": OperationStatus.PENDING}
    if "user_id" in job:
        where |= {"requester_id": job["user_id"], "member_since": parse_instant(job["member_since"])}
    elif "placement_id" in job:
        where |= {"dfid": job["dfid"], "placement_id": job["placement_id"]}
    else:
        where["requested_at"] = _until(job)
    query = Select(where, ("requested_at", "operation_id"))
    return list((await act.unit.page(OPERATIONS, query, limit=AT_ONCE)).items)


def _until(job: Mapping[str, Any]) -> Between:
    """What was asked after the circuit opened again is none of this job's."""
    return Between(end=parse_instant(job["until"]))


async def _requests(act: Act, job: Mapping[str, Any], limit: int) -> list[JoinRequest]:
    if "user_id" in job or "placement_id" in job:
        return []
    where = {
        "circuit_id": job["circuit_id"],
        "status": JoinRequestStatus.PENDING,
        "requested_at": _until(job),
    }
    return list((await act.unit.page(JOIN_REQUESTS, Select(where, ("requested_at",)), limit=limit)).items)


async def _free(act: Act, operations: list[Operation]) -> None:
    held = {str(one.local_id): one.operation_id for one in operations if one.local_id and one.dfid is None}
    drafts = await act.unit.get_many(ITEMS, sorted(held))
    freed = [
        attrs.evolve(draft, held_by=None, version=draft.version + 1)
        for draft in drafts.values()
        if draft.held_by == held[draft.key]
    ]
    await act.unit.save(ITEMS, *freed)


async def _audit(act: Act, circuit_id: str, kind: str, subject_id: str, reason: str) -> None:
    subject = ("operation" if kind == "operation" else "join_request", subject_id)
    details = {"reason": reason}
    await act.audit(f"circuit.{kind}_cancelled", subject, circuit_id=circuit_id, details=details)
