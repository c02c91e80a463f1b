"""The engine as a library: the use cases of one open store."""

import attrs

from application.units import Units
from domain.access.principal import Principal, PrincipalKind
from domain.accounts.values import Account
from domain.errors import not_found
from domain.ports.queries import Select
from domain.ports.schema import ACCOUNTS
from domain.ports.storage import Storage


@attrs.frozen
class Engine:
    """Made by `container.open_engine`; usable inside its block."""

    storage: Storage
    units: Units

    async def principal(self, username: str) -> Principal:
        """Return the principal of an account, as its own access token would. Raises Refusal `not_found`."""
        async with self.storage.read() as reader:
            page = await reader.page(ACCOUNTS, Select({"username": username}), limit=1)
        if not page.items:
            raise not_found()
        return principal_of(page.items[0])


def principal_of(account: Account) -> Principal:
    """Return the principal that stands for an account without a session."""
    return Principal(
        PrincipalKind.USER,
        user_id=account.user_id,
        workspace_id=account.workspace_id,
        is_admin=account.is_admin,
        workspace_role=account.workspace_role,
        locale=account.locale,
    )
