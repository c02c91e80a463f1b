"""Who speaks for a workspace."""

from domain.access.principal import WorkspaceRole
from domain.accounts.values import AccountStatus
from domain.ports.queries import Select
from domain.ports.schema import ACCOUNTS
from domain.ports.storage import Reader


async def managers_of(reader: Reader, workspace_id: str) -> list[str]:
    """Return the user ids of the active managers of a workspace."""
    found: list[str] = []
    after = None
    while True:
        page = await reader.page(
            ACCOUNTS, Select({"workspace_id": workspace_id}, ("created_at", "user_id")), after, limit=1000
        )
        found += [
            account.user_id
            for account in page.items
            if account.workspace_role is WorkspaceRole.MANAGER and account.status is AccountStatus.ACTIVE
        ]
        after = page.after
        if after is None:
            return found
