"""What administrators do to the identifiers of an item (items-events.md 6.14)."""

from datetime import datetime

import attrs

from domain.errors import Refusal
from domain.identifiers import Evidence
from domain.items.register import Register
from domain.items.submission import place_of
from domain.items.telling import updated
from domain.items.values import Contribution, ContributionSource, Identifier, Item
from domain.ports.queries import Select
from domain.ports.schema import CONTRIBUTIONS, COUNTERS, ENTRIES
from domain.ports.storage import Reader, Unit
from domain.ports.walking import walk


def carried(register: Register, item: Item, key: str, lookup: str | None) -> Identifier | None:
    """Return the canonical identifier of an item. Raises Refusal `identifier_on_merged_item` for an absorbed one."""
    own = register.own_identifiers(item)
    found = next((one for one in own if (one.key, one.lookup) == (key, lookup)), None)
    if found is None and any((one.key, one.lookup) == (key, lookup) for one in item.identifiers):
        raise Refusal("identifier_on_merged_item", "The identifier belongs to an item merged into this one.")
    return found


def confirm(register: Register, item: Item, identifier: Identifier, source: str, confirmed_at: datetime) -> bool:
    """Raise an identifier to `registry_ok`; tell whether that changed anything."""
    proved = attrs.evolve(
        identifier, evidence=Evidence.REGISTRY_OK.value, evidence_source=source, evidence_at=confirmed_at
    )
    if proved == identifier:
        return False
    made = register.contribution(item, ContributionSource.ADMIN, (proved,))
    shown = tuple(proved if one.identity == proved.identity else one for one in item.identifiers)
    register.change(attrs.evolve(item, identifiers=shown), made)
    register.note(updated(made, added=(proved,), evidence=proved.evidence))
    _fold_absorbers(register, item)
    return True


def release(register: Register, item: Item, identifier: Identifier, reason: str, *, erased: bool = False) -> None:
    """Take an identifier and its claim from an item; `erased` leaves its value out of what is kept of that."""
    removed = blanked(identifier) if erased else identifier
    made = register.contribution(item, ContributionSource.ADMIN, removed=(removed,))
    kept = tuple(one for one in item.identifiers if one.identity != identifier.identity)
    changed = register.change(attrs.evolve(item, identifiers=kept), made)
    register.claiming.detach(changed, [identifier])
    register.note(updated(made, removed=(removed,), reason=reason))
    _fold_absorbers(register, item)


def _fold_absorbers(register: Register, item: Item) -> None:
    """Compute what absorbed the item anew."""
    while item.lineage.merged_into is not None:
        absorber = register.item(item.lineage.merged_into)
        assert absorber is not None
        item = register.change(absorber)


def blanked(identifier: Identifier) -> Identifier:
    """Return an identifier without its value, by which it can neither be read nor found (identifiers.md 6)."""
    return attrs.evolve(identifier, value="", normalised=None, lookup=None, display="")


async def mentions(reader: Reader, item: str, key: str, lookup: str) -> list[Contribution]:
    """Return the contributions of an item that name an identifier."""
    return [
        made
        async for made in walk(reader, CONTRIBUTIONS, Select({"item": item}, ("recorded_at", "contribution_id")))
        if any((one.key, one.lookup) == (key, lookup) for one in (*made.identifiers, *made.removed_identifiers))
    ]


async def forget_count(unit: Unit, workspace_id: str, key: str, lookup: str) -> None:
    """Drop the counter of a canonical value that no item of the workspace carries any more."""
    place = place_of(workspace_id, "", key, lookup)
    counter = await unit.find(COUNTERS, place)
    if counter is not None and not (await unit.page(ENTRIES, Select({"place": place}, ("item",)), limit=1)).items:
        await unit.remove(COUNTERS, counter)


async def blank(unit: Unit, contributions: list[Contribution], key: str, lookup: str) -> None:
    """Blank an identifier in contributions; their hashes stay and can no longer be recomputed."""

    def without(identifiers: tuple[Identifier, ...]) -> tuple[Identifier, ...]:
        return tuple(blanked(one) if (one.key, one.lookup) == (key, lookup) else one for one in identifiers)

    await unit.remove(CONTRIBUTIONS, *contributions)
    await unit.add(
        CONTRIBUTIONS,
        *(
            attrs.evolve(
                made,
                identifiers=without(made.identifiers),
                removed_identifiers=without(made.removed_identifiers),
                salt=None,
            )
            for made in contributions
        ),
    )
