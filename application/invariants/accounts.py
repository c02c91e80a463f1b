"""Accounts, workspaces and the audit (platform.md 16)."""

import re
from collections.abc import AsyncIterator, Sequence

from application.invariants.core import Judge, V, invariant
from domain.access.principal import WorkspaceRole
from domain.accounts.rules import is_active
from domain.accounts.values import Account, AdminRoster, Workspace
from domain.audit.record import entry_hash, personal_digest
from domain.audit.values import AuditEntry
from domain.circuits.values import Membership
from domain.keys.values import ApiKey
from domain.ports.queries import AnyOf, Between, Select
from domain.ports.schema import (
    ACCOUNTS,
    API_KEYS,
    AUDIT,
    INVITATIONS,
    MEMBERSHIPS,
    PASSWORD_RESETS,
    REFRESH_TOKENS,
    ROSTER,
    WORKSPACES,
    Facet,
)
from domain.ports.storage import Reader
from domain.ports.walking import walk

HASH = re.compile("[0-9a-f]{64}")


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
    """A workspace with active users has an active manager, unless an administrator froze one who was that."""
    for row in rows:
        active, froze = False, set[str | None]()
        async for account in walk(
            reader, ACCOUNTS, Select({"workspace_id": row.workspace_id}, ("created_at", "user_id"))
        ):
            active = active or is_active(account)
            if account.workspace_role is WorkspaceRole.MANAGER:
                if is_active(account):
                    break
                froze.add(account.frozen_by)
        else:
            if active and not await _is_of_the_deployment(reader, froze, row.workspace_id):
                yield row, "has active users and no active manager"


async def _is_of_the_deployment(reader: Reader, users: set[str | None], workspace_id: str) -> bool:
    """Tell whether one of these users acted as an administrator: from another workspace, or by the command line."""
    found = await reader.get_many(ACCOUNTS, sorted(user for user in users if user is not None))
    return None in users or any(each.is_admin or each.workspace_id != workspace_id for each in found.values())


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


@invariant("platform 9.2", ACCOUNTS, "Revoke the keys, and report it with this line.")
async def who_was_erased_left_nothing(reader: Reader, rows: Sequence[Account]) -> AsyncIterator[tuple[Account, str]]:
    """An erased account names no person, and neither a password nor a key of it opens anything."""
    erased = {row.user_id: row for row in rows if row.erased_at is not None}
    for row in erased.values():
        if row.email or row.display_name or row.password_hash or row.is_admin or is_active(row):
            yield row, "was erased and keeps what an account has"
    standing = Select({"created_by": AnyOf(tuple(sorted(erased))), "works_until_at": Between()}, ("created_at",))
    async for key in walk(reader, API_KEYS, standing):
        yield erased[key.created_by], f"was erased, and the key {key.key_id} was not revoked"


@invariant("circuits 7.2", MEMBERSHIPS)
async def members_exist(reader: Reader, rows: Sequence[Membership]) -> AsyncIterator[tuple[Membership, str]]:
    """Every member has an account."""
    found = await reader.get_many(ACCOUNTS, sorted({row.user_id for row in rows}))
    known = {account.user_id for account in found.values()}
    for row in rows:
        if row.user_id not in known:
            yield row, "is of a user who does not exist"


def _hashed(facet: Facet[V], *members: str) -> Judge[V]:
    """Declare that secrets of a facet are stored as their hashes."""

    async def judge(_: Reader, rows: Sequence[V]) -> AsyncIterator[tuple[V, str]]:
        for row in rows:
            for kept in (getattr(row, name) for name in members):
                if kept is not None and HASH.fullmatch(kept) is None:
                    yield row, "keeps a secret that is no hash"

    judge.__name__ = f"{facet.name}_keep_hashes"
    judge.__doc__ = "What is stored of a secret that opens something is 64 hexadecimal digits."
    return invariant("platform 16.5", facet, "Revoke it, and issue another one.")(judge)


api_keys_keep_hashes = _hashed(API_KEYS, "secret_hash", "previous_hash")
refresh_tokens_keep_hashes = _hashed(REFRESH_TOKENS, "token_hash")
invitations_keep_hashes = _hashed(INVITATIONS, "token_hash")
password_resets_keep_hashes = _hashed(PASSWORD_RESETS, "token_hash")


@invariant("platform 16.6", API_KEYS, "Revoke the key.")
async def keys_are_of_their_creators(reader: Reader, rows: Sequence[ApiKey]) -> AsyncIterator[tuple[ApiKey, str]]:
    """A key is of the workspace of the user who made it, whose rights it has."""
    found = await reader.get_many(ACCOUNTS, sorted({row.created_by for row in rows}))
    homes = {account.user_id: account.workspace_id for account in found.values()}
    for row in rows:
        if homes.get(row.created_by) != row.workspace_id:
            yield row, f"is of {row.workspace_id}, its creator {row.created_by} is not"


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
