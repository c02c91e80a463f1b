"""Erasing the person behind an account, while its id stays in the history (platform.md 9.2)."""

import secrets
from collections.abc import Awaitable, Callable
from typing import Any, Final

import attrs

from application.accounts.desk import changed
from application.accounts.resets import void_resets
from application.accounts.sessions import remove_with_tokens
from application.audit.building import CHUNKS_AT_ONCE, remove_chunks
from application.keys.service import revoked_key
from domain.accounts.rules import folded_name, is_active
from domain.accounts.values import Account, Invitation, Workspace
from domain.act import Act
from domain.audit.reports import Report, ReportKind, ReportStatus
from domain.document import Document
from domain.errors import Refusal
from domain.instants import parse_instant, wire
from domain.outbox.values import OutboxRow
from domain.ports.queries import AnyOf, Between, Select, StartsWith
from domain.ports.schema import (
    ACCOUNTS,
    API_KEYS,
    AUDIT,
    CIRCUITS,
    IDEMPOTENCY,
    INVITATIONS,
    NOTIFICATIONS,
    PASSWORD_RESETS,
    REPORTS,
    SESSIONS,
    WORKSPACES,
    Facet,
)
from domain.ports.storage import Unit
from domain.ports.walking import walk

JOB: Final = "erase_traces"
AT_ONCE: Final = 500
"""Rows of one kind removed in one unit."""
SESSIONS_AT_ONCE: Final = 20
STEPS: Final = ("sessions", "notifications", "idempotency", "resets", "acted", "concerned", "reports", "trails")

Place = tuple[str, ...]
"""Where a step goes on; empty at the start, and always for steps that remove what they found."""
Step = Callable[[Unit, str, Place], Awaitable[Place | None]]


async def erase(act: Act, account: Account, reason: str) -> Account:
    """Erase a frozen account; its sessions, notifications and the personal parts of the audit follow by a job.

    Raises Refusal `account_erased`, `not_frozen`, `owns_circuits`.
    """
    await _require_erasable(act, account)
    name = f"erased-{secrets.token_hex(4)}"
    erased = changed(
        account,
        act.now,
        username=name,
        email="",
        display_name="",
        password_hash=None,
        is_admin=False,
        frozen_reason=reason,
        erased_at=act.now,
        token_epoch=account.token_epoch + 1,
    )
    await act.unit.save(ACCOUNTS, erased)
    await _revoke_keys(act, account)
    await void_resets(act.unit, account.user_id)
    await _forget_invitations(act, account)
    await _rename_lonely_workspace(act, account, name)
    await act.job(JOB, {"user_id": account.user_id, "step": STEPS[0], "after": ()})
    await act.audit("account.erased", ("user", account.user_id), workspace_id=account.workspace_id)
    return erased


async def erase_traces(act: Act, row: OutboxRow) -> Document | None:
    """Remove what else names an erased user, a piece in each unit. A job of the outbox."""
    user_id, step = row.data["user_id"], row.data["step"]
    left = await _STEPS[step](act.unit, user_id, row.data["after"])
    if left is not None:
        return Document(user_id=user_id, step=step, after=left)
    rest = STEPS[STEPS.index(step) + 1 :]
    return Document(user_id=user_id, step=rest[0], after=()) if rest else None


async def _require_erasable(act: Act, account: Account) -> None:
    if account.erased_at is not None:
        raise Refusal("account_erased", "The account was erased.")
    if is_active(account):
        raise Refusal("not_frozen", "Freeze the account first.")
    owned = Select({"owner_id": account.user_id, "status": AnyOf(("active", "inactive"))})
    circuits = (await act.unit.page(CIRCUITS, owned, limit=100)).items
    if circuits:
        ids = [circuit.circuit_id for circuit in circuits]
        raise Refusal("owns_circuits", "Hand over or archive the circuits of this user first.", circuit_ids=ids)


async def _revoke_keys(act: Act, account: Account) -> None:
    standing = Select({"created_by": account.user_id, "works_until_at": Between()})
    await act.unit.save(API_KEYS, *[revoked_key(act, key) async for key in walk(act.unit, API_KEYS, standing)])


async def _forget_invitations(act: Act, account: Account) -> None:
    """Take the address out of every invitation that names it; an open one is closed, or anybody could use it."""
    if not account.email:
        return
    theirs = walk(act.unit, INVITATIONS, Select({"invitee": account.email.lower()}))
    await act.unit.save(INVITATIONS, *[_forgotten(act, invitation) async for invitation in theirs])


def _forgotten(act: Act, invitation: Invitation) -> Invitation:
    closed = invitation.revoked_at or (None if invitation.used_at else act.now)
    return attrs.evolve(invitation, email=None, revoked_at=closed, version=invitation.version + 1)


async def _rename_lonely_workspace(act: Act, account: Account, name: str) -> None:
    """Rename the workspace that nobody else is in, because it may bear the name of its user."""
    workspace: Workspace = await act.unit.get(WORKSPACES, account.workspace_id)
    users = await act.unit.page(ACCOUNTS, Select({"workspace_id": account.workspace_id}), limit=2)
    if {user.user_id for user in users.items} <= {account.user_id}:
        renamed = attrs.evolve(
            workspace, name=name, folded_name=folded_name(name), updated_at=act.now, version=workspace.version + 1
        )
        await act.unit.save(WORKSPACES, renamed)


async def _remove_sessions(unit: Unit, user_id: str, _: Place) -> Place | None:
    sessions = (await unit.page(SESSIONS, Select({"user_id": user_id}), limit=SESSIONS_AT_ONCE)).items
    await remove_with_tokens(unit, sessions)
    return () if sessions else None


async def _remove(unit: Unit, facet: Facet[Any], query: Select) -> Place | None:
    rows = (await unit.page(facet, query, limit=AT_ONCE)).items
    await unit.remove(facet, *rows)
    return () if rows else None


async def _strip_audit(unit: Unit, column: str, user_id: str, place: Place) -> Place | None:
    """Take the personal part out of audit entries; their hashes cover its digest alone and stay true."""
    after = (parse_instant(place[0]), place[1]) if place else None
    page = await unit.page(AUDIT, Select({column: user_id}, ("at",)), after, AT_ONCE)
    bare = [
        attrs.evolve(entry, personal=None, personal_salt=None, version=entry.version + 1)
        for entry in page.items
        if entry.personal is not None
    ]
    await unit.save(AUDIT, *bare)
    return None if page.after is None else (wire(page.items[-1].at), page.items[-1].entry_id)


async def _remove_reports(unit: Unit, user_id: str, _: Place) -> Place | None:
    """Remove the reports about a user, and their content before them."""
    for report in (await unit.page(REPORTS, Select({"subject_user_id": user_id}, ("report_id",)), limit=1)).items:
        if await remove_chunks(unit, report.report_id) < CHUNKS_AT_ONCE:
            await unit.remove(REPORTS, report)
        return ()
    return None


async def _shorten_trails(unit: Unit, _: str, place: Place) -> Place | None:
    """Let the content of audit trails end now, because it holds what is personal of their entries.

    A trail that is being built begins again, over entries that were stripped before this step.
    """
    if not place:
        unfinished = (await unit.page(REPORTS, Select({"unfinished": Between()}), limit=1000)).items
        running = [each for each in unfinished if each.status is ReportStatus.RUNNING and _is_trail(each)]
        await unit.save(REPORTS, *(_changed(report, status=ReportStatus.PENDING) for report in running))
    after = (parse_instant(place[0]), place[1]) if place else None
    page = await unit.page(REPORTS, Select({"content_until_at": Between()}, ("content_until_at",)), after, AT_ONCE)
    trails = filter(_is_trail, page.items)
    await unit.save(REPORTS, *(_changed(report, expires_at=report.completed_at) for report in trails))
    last = page.items[-1] if page.after is not None else None
    return None if last is None or last.expires_at is None else (wire(last.expires_at), last.report_id)


def _is_trail(report: Report) -> bool:
    return report.kind is ReportKind.AUDIT_TRAIL


def _changed(report: Report, **changes: Any) -> Report:
    return attrs.evolve(report, **changes, version=report.version + 1)


_STEPS: Final[dict[str, Step]] = {
    "sessions": _remove_sessions,
    "notifications": lambda unit, user_id, _: _remove(unit, NOTIFICATIONS, Select({"user_id": user_id})),
    "idempotency": lambda unit, user_id, _: _remove(unit, IDEMPOTENCY, Select({"key": StartsWith(f"{user_id} ")})),
    "resets": lambda unit, user_id, _: _remove(unit, PASSWORD_RESETS, Select({"user_id": user_id})),
    "acted": lambda unit, user_id, place: _strip_audit(unit, "actor_user_id", user_id, place),
    "concerned": lambda unit, user_id, place: _strip_audit(unit, "resource_id", user_id, place),
    "reports": _remove_reports,
    "trails": _shorten_trails,
}
