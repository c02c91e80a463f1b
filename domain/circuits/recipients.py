"""Who is told about items in circuits: the owner's side (platform.md 8.2)."""

from collections.abc import Iterable

from domain.access.principal import WorkspaceRole
from domain.accounts.values import Account
from domain.act import Act
from domain.items.values import Item
from domain.ports.queries import AnyOf, Select
from domain.ports.schema import ACCOUNTS
from domain.ports.storage import MAX_PAGE, Reader


async def owners_sides(reader: Reader, items: Iterable[Item]) -> dict[str, list[str]]:
    """Return, by workspace, its managers and the creators of these items that are still its users."""
    wanted = list(items)
    creators = {item.created_by for item in wanted}
    sides: dict[str, list[str]] = {item.workspace_id: [] for item in wanted}
    if not sides:
        return sides
    query = Select({"workspace_id": AnyOf(tuple(sorted(sides)))}, ("workspace_id", "created_at", "user_id"))
    after = None
    while True:
        page = await reader.page(ACCOUNTS, query, after, MAX_PAGE)
        for account in page.items:
            if _on_side(account, creators):
                sides[account.workspace_id].append(account.user_id)
        after = page.after
        if after is None:
            return sides


def _on_side(account: Account, creators: set[str | None]) -> bool:
    return account.workspace_role is WorkspaceRole.MANAGER or account.user_id in creators


async def tell_owners(
    act: Act, kind: str, items: Iterable[Item], *, source_id: str, circuit_id: str, **data: object
) -> None:
    """Tell the owner's side of each item, once per workspace."""
    touched = list(items)
    sides = await owners_sides(act.unit, touched)
    for workspace_id, users in sides.items():
        theirs = [item.key for item in touched if item.workspace_id == workspace_id]
        await act.notify(
            kind,
            users,
            source_id=source_id,
            circuit_id=circuit_id,
            dfid=theirs[0] if len(theirs) == 1 else None,
            data={**data, "item_count": len(theirs), "dfids": theirs[:20]},
        )
