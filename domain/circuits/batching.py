"""Pushes of drafts, one or with others in a batch (circuits.md 4.13, 4.14)."""

from collections.abc import Sequence
from typing import Any

import attrs

from domain.act import Act
from domain.circuits.desk import Desk
from domain.circuits.pushing import (
    ALREADY_PLACED,
    PENDING,
    PLACED,
    Pushed,
    open_desk,
    push_item,
    tell_requested,
)
from domain.circuits.recipients import tell_owners
from domain.circuits.requirements import seen_pointer
from domain.circuits.tokenising import LocalPush, Tokenising
from domain.document import Document
from domain.errors import Fault, Invalid, Refusal
from domain.identifiers.personal import IdentifierKeys
from domain.items.drafts import stored_submission
from domain.items.engine import conflict_refusal
from domain.items.pending import Origin, Parked, park, parked_conflict
from domain.items.resolution import Conflict
from domain.items.submission import Submission
from domain.items.values import Item

REFUSED = "refused"


@attrs.frozen
class Failed:
    """A push that was refused. `parked` is kept for review."""

    error: Refusal | Invalid
    parked: Parked | None = None
    pending_id: str | None = None


async def push_local(act: Act, keys: IdentifierKeys, circuit_id: str, push: LocalPush) -> Pushed | Refusal:
    """Push what a LID stands for. A conflict comes back as the Refusal to give once its record is committed.

    Raises Refusal `not_found`, `item_merged`, `local_item_held` and those of a push by DFID; Invalid with all
    requirements of the circuit that are not met.
    """
    desk = await open_desk(act, circuit_id)
    work = Tokenising(desk, act, keys)
    await work.load([push])
    result = work.push(push)
    if isinstance(result, Conflict):
        return await park_one(act, keys, work, push, result)
    if result.written:
        await _store(desk, work)
        await _tell_local(act, desk, work, result)
    return result


async def _store(desk: Desk, work: Tokenising) -> None:
    await desk.confirm()
    await work.flush()
    await desk.flush()


async def park_one(act: Act, keys: IdentifierKeys, work: Tokenising, push: LocalPush, conflict: Conflict) -> Refusal:
    """Keep a push that fits no single item for review, and return what its caller is told."""
    parked, refusal = parked_push(work, push, conflict)
    record = (await park(act, keys, [parked]))[0]
    return Refusal(refusal.code, refusal.detail, **{**refusal.members, "pending_id": record.pending_id})


def parked_push(work: Tokenising, push: LocalPush, conflict: Conflict) -> tuple[Parked, Refusal]:
    """Return what is kept of a push in conflict, and the refusal as its request sees it."""
    draft = work.draft(push)
    stored = stored_submission(draft, work.keys)
    whole = Submission(
        identifiers=(*stored.identifiers, *push.extras.identifiers),
        data=Document({**stored.data, **push.extras.data}),
        aliases=stored.aliases,
    )
    origin = Origin("push_local", local_id=push.local_id, circuit_id=work.desk.circuit.circuit_id)
    return parked_conflict(whole, origin, conflict), conflict_refusal(_seen(conflict, draft))


def _seen(conflict: Conflict, draft: Item) -> Conflict:
    stored = len(draft.identifiers)
    reads = (
        attrs.evolve(read, pointer=seen_pointer(int(read.pointer.rsplit("/", 1)[1]) - stored, ()))
        for read in conflict.reads
    )
    return attrs.evolve(conflict, reads=tuple(reads))


async def _tell_local(act: Act, desk: Desk, work: Tokenising, pushed: Pushed) -> None:
    assert pushed.operation is not None
    circuit_id = desk.circuit.circuit_id
    if pushed.outcome == PENDING:
        await tell_requested(act, desk.at, [pushed], pushed.operation.operation_id)
        return
    dfid = str(pushed.dfid)
    await tell_item(act, circuit_id, pushed)
    if pushed.outcome == PLACED:
        await act.activity("item_pushed", ("item", dfid), circuit_id=circuit_id, dfids=[dfid])
    await tell_contributed(act, work, pushed.operation.operation_id)
    details = {
        "dfid": dfid,
        "operation_id": pushed.operation.operation_id,
        "outcome": pushed.outcome,
        "item_outcome": pushed.item_outcome,
    }
    await act.audit("circuit.item_tokenized", ("item", dfid), circuit_id=circuit_id, details=details)


async def tell_item(act: Act, circuit_id: str, pushed: Pushed) -> None:
    """Record that a push made an item or added to one."""
    kinds = {"created": "item_tokenized", "enriched": "item_enriched", "contributed": "item_enriched"}
    kind = kinds.get(pushed.item_outcome or "")
    if kind is not None:
        dfid = str(pushed.dfid)
        await act.activity(kind, ("item", dfid), circuit_id=circuit_id, dfids=[dfid])


async def tell_contributed(act: Act, work: Tokenising, source_id: str) -> None:
    """Tell the owners of items that pushes of others added to."""
    contributed = {item.key: item for item in work.changed.get("contributed", ())}
    await tell_owners(
        act,
        "item_contributed",
        contributed.values(),
        source_id=source_id,
        circuit_id=work.desk.circuit.circuit_id,
        source="push_local",
    )


Element = str | LocalPush | Failed
"""A DFID, a LID with extras, or what had no right shape."""


async def push_batch(
    act: Act, keys: IdentifierKeys, circuit_id: str, batch_id: str, elements: Sequence[Element], *, atomic: bool
) -> list[Pushed | Failed]:
    """Push many in order, each seeing the effects of earlier ones; the statements do not grow with their number.

    Returns what became of each. With `atomic` nothing is staged when one is refused; the caller raises.
    """
    desk = await open_desk(act, circuit_id)
    work = Tokenising(desk, act, keys)
    locals_ = [element for element in elements if isinstance(element, LocalPush)]
    await work.load(locals_, [element for element in elements if isinstance(element, str)])
    results = [_push_one(desk, work, element, batch_id) for element in elements]
    if atomic and any(isinstance(result, Failed) for result in results):
        return results
    if any(isinstance(result, Pushed) and result.written for result in results):
        await _store(desk, work)
        await _tell_batch(act, desk, work, batch_id, results)
    return await _park_all(act, keys, results)


def _push_one(desk: Desk, work: Tokenising, element: Element, batch_id: str) -> Pushed | Failed:
    try:
        if isinstance(element, str):
            return push_item(desk, element, batch_id)
        if isinstance(element, Failed):
            return element
        result = work.push(element, batch_id)
    except (Refusal, Invalid) as error:
        return Failed(error)
    if isinstance(result, Conflict):
        parked, refusal = parked_push(work, element, result)
        return Failed(refusal, parked)
    return result


async def _park_all(act: Act, keys: IdentifierKeys, results: list[Pushed | Failed]) -> list[Pushed | Failed]:
    waiting = [result for result in results if isinstance(result, Failed) and result.parked is not None]
    parked = [result.parked for result in waiting if result.parked is not None]
    records = await park(act, keys, parked) if parked else []
    ids = {id(result): record.pending_id for result, record in zip(waiting, records, strict=True)}
    return [
        attrs.evolve(result, pending_id=ids.get(id(result))) if isinstance(result, Failed) else result
        for result in results
    ]


def counts(results: Sequence[Pushed | Failed]) -> dict[str, int]:
    """Return how many pushes had which outcome."""
    found = {PLACED: 0, ALREADY_PLACED: 0, PENDING: 0, REFUSED: 0}
    for result in results:
        found[result.outcome if isinstance(result, Pushed) else REFUSED] += 1
    return found


async def _tell_batch(
    act: Act, desk: Desk, work: Tokenising, batch_id: str, results: Sequence[Pushed | Failed]
) -> None:
    circuit_id, subject = desk.circuit.circuit_id, ("batch", batch_id)
    written = [result for result in results if isinstance(result, Pushed) and result.written]
    done = [str(result.dfid) for result in written if result.outcome != PENDING]
    waiting = [result for result in written if result.outcome == PENDING]
    summary: dict[str, Any] = {"counts": counts(results)}
    if done:
        await act.activity("items_pushed", subject, circuit_id=circuit_id, dfids=done, data=summary)
    if waiting:
        await tell_requested(act, desk.at, waiting, batch_id, batch=True)
    await tell_contributed(act, work, batch_id)
    await act.audit("circuit.items_pushed", subject, circuit_id=circuit_id, details=summary)


def error_members(error: Refusal | Invalid) -> tuple[str, str, tuple[Fault, ...]]:
    """Return code, words and faults of a refused element."""
    if isinstance(error, Invalid):
        return "validation_failed", f"{len(error.faults)} faults.", error.faults
    return error.code, error.detail, ()
