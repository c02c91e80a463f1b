"""Freezing, unfreezing, roles and administrators: what others do to an account (platform.md 2.3, 3.6, 9.2)."""

from collections.abc import Mapping
from typing import Any

import attrs

from application.accounts.desk import changed
from application.accounts.roster import enrol, strike
from domain.access.principal import WorkspaceRole
from domain.accounts.roles import managers_of
from domain.accounts.rules import is_active
from domain.accounts.values import Account, AccountStatus
from domain.act import Act
from domain.errors import Refusal
from domain.ids import new_id
from domain.ports.schema import ACCOUNTS, WORKSPACES


async def freeze(act: Act, account: Account, reason: str, *, by_manager: bool = False) -> Account:
    """Freeze an account and end its sessions; a frozen one stays as it is.

    A manager, other than an administrator, leaves the workspace an active manager. Raises Refusal
    `self_forbidden`, `last_admin`, `last_manager`.
    """
    refuse_self(act, account)
    if not is_active(account):
        return account
    if account.is_admin:
        await strike(act, account.user_id)
    if account.workspace_role is WorkspaceRole.MANAGER:
        await touch_workspace(act, account.workspace_id)
        if by_manager:
            await _refuse_last_manager(act, account)
    frozen = changed(
        account,
        act.now,
        status=AccountStatus.FROZEN,
        frozen_at=act.now,
        frozen_by=act.principal.user_id,
        frozen_reason=reason,
        token_epoch=account.token_epoch + 1,
    )
    await act.unit.save(ACCOUNTS, frozen)
    act.told.add(account.user_id)
    await _record(act, "account.frozen", frozen)
    await act.activity("member_frozen", ("user", account.user_id))
    return frozen


async def unfreeze(act: Act, account: Account) -> Account:
    """Let a frozen account in again; an active one stays as it is. Raises Refusal `account_erased`."""
    refuse_erased(account)
    if is_active(account):
        return account
    if account.is_admin:
        await enrol(act, account.user_id)
    thawed = changed(account, act.now, status=AccountStatus.ACTIVE, frozen_at=None, frozen_by=None, frozen_reason=None)
    await act.unit.save(ACCOUNTS, thawed)
    await _record(act, "account.unfrozen", thawed)
    await act.activity("member_unfrozen", ("user", account.user_id))
    await act.notify("account_unfrozen", [account.user_id], source_id=new_id())
    return thawed


async def set_admin(act: Act, account: Account, is_admin: bool) -> Account:
    """Make an account an administrator or end that; its sessions end.

    Raises Refusal `self_forbidden`, `last_admin`, `account_erased`.
    """
    return await change_account(act, account, {"is_admin": is_admin})


async def set_role(act: Act, account: Account, role: WorkspaceRole) -> Account:
    """Change the standing of a user in their workspace. Raises Refusal `last_manager`, `account_erased`."""
    return await change_account(act, account, {"workspace_role": role})


async def change_account(act: Act, account: Account, wanted: Mapping[str, Any]) -> Account:
    """Set members of somebody else's account, with one audit entry, and tell its user; sessions end with `is_admin`.

    `wanted` may hold `email`, `display_name`, `is_admin` and `workspace_role`; that an e-mail is free was checked
    before. Raises Refusal `self_forbidden`, `last_admin`, `last_manager`, `account_erased`.
    """
    refuse_erased(account)
    members = {name: value for name, value in wanted.items() if value != getattr(account, name)}
    if not members:
        return account
    if "is_admin" in members:
        await _settle_roster(act, account, members["is_admin"])
        members["token_epoch"] = account.token_epoch + 1
    if "workspace_role" in members:
        await touch_workspace(act, account.workspace_id)
        await _refuse_last_manager(act, account)
    after = changed(account, act.now, **members)
    await act.unit.save(ACCOUNTS, after)
    await _record(act, _action_of(members), after, _told(account, members))
    await _tell_user(act, account, members)
    return after


async def _settle_roster(act: Act, account: Account, is_admin: bool) -> None:
    refuse_self(act, account)
    if is_active(account):
        await (enrol if is_admin else strike)(act, account.user_id)


def _action_of(members: Mapping[str, Any]) -> str:
    """Return the action under which a change is audited: the gravest of what it does."""
    if "is_admin" in members:
        return "account.admin_granted" if members["is_admin"] else "account.admin_revoked"
    return "workspace.role_changed" if set(members) == {"workspace_role"} else "account.updated"


def _told(account: Account, members: Mapping[str, Any]) -> dict[str, object]:
    """Return the details of a change: old and new value of what is not personal, the names of what is."""
    open_ones = [name for name in ("is_admin", "workspace_role") if name in members]
    personal = sorted({"email", "display_name"} & set(members))
    told: dict[str, object] = {name: {"old": getattr(account, name), "new": members[name]} for name in open_ones}
    return told | ({"changed": personal} if personal else {})


async def _tell_user(act: Act, account: Account, members: Mapping[str, Any]) -> None:
    """Notify a user of what somebody else changed about them."""
    if "workspace_role" in members:
        roles = {"old": account.workspace_role.value, "new": members["workspace_role"].value}
        await act.notify("workspace_role_changed", [account.user_id], source_id=new_id(), data=roles)
    others = sorted(set(members) - {"workspace_role", "token_epoch"})
    if others:
        await act.notify("account_updated", [account.user_id], source_id=new_id(), data={"changed": others})


async def end_sessions(act: Act, account: Account) -> Account:
    """End every session of a user."""
    ended = changed(account, act.now, token_epoch=account.token_epoch + 1)
    await act.unit.save(ACCOUNTS, ended)
    act.told.add(account.user_id)
    await _record(act, "session.closed", ended)
    return ended


async def touch_workspace(act: Act, workspace_id: str) -> None:
    """Save the workspace, before what is counted in it is read: so two who count at once cannot both be right."""
    workspace = await act.unit.get(WORKSPACES, workspace_id)
    await act.unit.save(WORKSPACES, attrs.evolve(workspace, version=workspace.version + 1))


def refuse_self(act: Act, account: Account) -> None:
    """Raise Refusal `self_forbidden` when the caller acts on themself."""
    if account.user_id == act.principal.user_id:
        raise Refusal("self_forbidden", "Nobody does this to themself.")


def refuse_erased(account: Account) -> None:
    """Raise Refusal `account_erased` for an erased account."""
    if account.erased_at is not None:
        raise Refusal("account_erased", "The account was erased.")


async def _refuse_last_manager(act: Act, account: Account) -> None:
    """Refuse what would leave a workspace without a manager; a frozen one counts, who may be let in again."""
    if account.workspace_role is not WorkspaceRole.MANAGER:
        return
    if not set(await managers_of(act.unit, account.workspace_id)) - {account.user_id}:
        raise Refusal("last_manager", "A workspace keeps at least one active manager.")


async def _record(act: Act, action: str, account: Account, details: dict[str, object] | None = None) -> None:
    resource = ("user", account.user_id)
    await act.audit(action, resource, workspace_id=account.workspace_id, details=details)
