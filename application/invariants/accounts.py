"""Accounts, workspaces and the audit (platform.md 16)."""

from collections.abc import AsyncIterator, Sequence

from application.invariants.core import invariant
from domain.access.principal import WorkspaceRole
from domain.accounts.rules import is_active
from domain.accounts.values import Account, AdminRoster, Workspace
from domain.audit.record import entry_hash, personal_digest
from domain.audit.values import AuditEntry
from domain.circuits.reading import walk
from domain.circuits.values import Membership
from domain.ports.queries import Select
from domain.ports.schema import ACCOUNTS, AUDIT, MEMBERSHIPS, ROSTER, WORKSPACES
from domain.ports.storage import Reader


@invariant("platform 16.3", ROSTER, "Make one with: defarm admin create, or defarm admin grant.")
async def an_administrator_is_active(
    reader: Reader, rows: Sequence[AdminRoster]
) -> AsyncIterator[tuple[AdminRoster, str]]:
    """The roster names active administrators, one at least."""
    for row in rows:
        found = (await reader.get_many(ACCOUNTS, sorted(row.user_ids))).values()
        standing = {account.user_id for account in found if account.is_admin and is_active(account)}
        if not standing:
            yield row, "no administrator is active"
        elif standing != row.user_ids:
            yield row, f"names {', '.join(sorted(row.user_ids - standing))}, who are no active administrators"


@invariant("platform 16.3", WORKSPACES, "Let an administrator make a user of the workspace its manager.")
async def workspaces_have_managers(reader: Reader, rows: Sequence[Workspace]) -> AsyncIterator[tuple[Workspace, str]]:
    """A workspace with active users has an active manager."""
    for row in rows:
        active = False
        async for account in walk(
            reader, ACCOUNTS, Select({"workspace_id": row.workspace_id}, ("created_at", "user_id"))
        ):
            active = active or is_active(account)
            if is_active(account) and account.workspace_role is WorkspaceRole.MANAGER:
                break
        else:
            if active:
                yield row, "has active users and no active manager"


@invariant("platform 16.5", ACCOUNTS, "Give the user a new password: defarm admin reset-password.")
async def passwords_are_hashed(reader: Reader, rows: Sequence[Account]) -> AsyncIterator[tuple[Account, str]]:
    """What is stored of a password is an argon2id hash, and the workspace of an account exists."""
    found = await reader.get_many(WORKSPACES, sorted({row.workspace_id for row in rows}))
    homes = {workspace.workspace_id for workspace in found.values()}
    for row in rows:
        if row.password_hash is not None and not row.password_hash.startswith("$argon2id$"):
            yield row, "keeps a password that is no argon2id hash"
        if row.workspace_id not in homes:
            yield row, f"belongs to the workspace {row.workspace_id}, which does not exist"


@invariant("circuits 7.2", MEMBERSHIPS)
async def members_exist(reader: Reader, rows: Sequence[Membership]) -> AsyncIterator[tuple[Membership, str]]:
    """Every member has an account."""
    found = await reader.get_many(ACCOUNTS, sorted({row.user_id for row in rows}))
    known = {account.user_id for account in found.values()}
    for row in rows:
        if row.user_id not in known:
            yield row, "is of a user who does not exist"


@invariant("platform 16.8", AUDIT, "defarm audit verify names the first bad index. Keep the store as it is.")
async def audit_entries_are_what_was_hashed(
    _: Reader, rows: Sequence[AuditEntry]
) -> AsyncIterator[tuple[AuditEntry, str]]:
    """The hash of an entry recomputes, and so does the digest of its personal part unless that was erased."""
    for row in rows:
        if entry_hash(row) != row.entry_hash:
            yield row, f"{row.action}: its hash does not recompute"
        if row.personal is None or row.personal_salt is None:
            continue
        if personal_digest(bytes.fromhex(row.personal_salt), row.personal) != row.personal_digest:
            yield row, f"{row.action}: its personal part is not what was digested"
