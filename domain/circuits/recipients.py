"""Who is told about items in circuits: the owner's side (platform.md 8.2)."""

from collections.abc import Iterable, Mapping, Sequence

import attrs

from domain.access.principal import WorkspaceRole
from domain.accounts.values import Account
from domain.act import Act
from domain.items.values import Item
from domain.ports.queries import AnyOf, Select
from domain.ports.schema import ACCOUNTS
from domain.ports.storage import Reader
from domain.ports.walking import walk


@attrs.frozen
class Sides:
    """Managers and creators of items, by workspace."""

    accounts: Mapping[str, Sequence[Account]]

    def of(self, item: Item) -> list[str]:
        """Return the managers of an item's workspace, and its creator while a user of it."""
        return [
            account.user_id
            for account in self.accounts[item.workspace_id]
            if account.workspace_role is WorkspaceRole.MANAGER or account.user_id == item.created_by
        ]


async def owners_sides(reader: Reader, items: Iterable[Item]) -> Sides:
    """Return who is on the owner's side of each of these items."""
    wanted = list(items)
    creators = {item.created_by for item in wanted}
    sides: dict[str, list[Account]] = {item.workspace_id: [] for item in wanted}
    query = Select({"workspace_id": AnyOf(tuple(sorted(sides)))}, ("workspace_id", "created_at", "user_id"))
    async for account in walk(reader, ACCOUNTS, query):
        if account.workspace_role is WorkspaceRole.MANAGER or account.user_id in creators:
            sides[account.workspace_id].append(account)
    return Sides(sides)


async def tell_owners(
    act: Act, kind: str, items: Iterable[Item], *, source_id: str, circuit_id: str, **data: object
) -> None:
    """Tell the owner's side of each item, once per workspace."""
    touched = list(items)
    sides = await owners_sides(act.unit, touched)
    for workspace_id in sides.accounts:
        owned = [item for item in touched if item.workspace_id == workspace_id]
        theirs = [item.key for item in owned]
        await act.notify(
            kind,
            {user for item in owned for user in sides.of(item)},
            source_id=source_id,
            circuit_id=circuit_id,
            dfid=theirs[0] if len(theirs) == 1 else None,
            data={**data, "item_count": len(theirs), "dfids": theirs[:20]},
        )
