"""Who speaks for a workspace."""

from collections.abc import Iterable

from domain.access.principal import WorkspaceRole
from domain.accounts.values import Account, AccountStatus
from domain.ports.queries import AnyOf, Select
from domain.ports.schema import ACCOUNTS
from domain.ports.storage import Reader
from domain.ports.walking import walk


async def managers_of(reader: Reader, *workspace_ids: str) -> list[str]:
    """Return the user ids of the active managers of workspaces."""
    return [account.user_id for account in await manager_accounts(reader, workspace_ids)]


async def manager_accounts(reader: Reader, workspace_ids: Iterable[str]) -> list[Account]:
    """Return the accounts of the active managers of workspaces, a thousand accounts per statement."""
    query = Select({"workspace_id": AnyOf(tuple(sorted(set(workspace_ids))))}, ("created_at", "user_id"))
    return [
        account
        async for account in walk(reader, ACCOUNTS, query)
        if account.workspace_role is WorkspaceRole.MANAGER and account.status is AccountStatus.ACTIVE
    ]
