"""Merging, unmerging and splitting items (items-events.md 6.8 to 6.10), over what a register has read."""

from collections.abc import Iterator, Sequence
from enum import StrEnum
from typing import Any

import attrs

from domain.access.vocabulary import ItemStatus
from domain.document import EMPTY, Document, alike
from domain.errors import Fault, Invalid, Refusal
from domain.events.values import EventType
from domain.identifiers import IdentifierScope, type_of
from domain.items.contributions import commits
from domain.items.engine import IDENTIFIERS_REQUIRED, require_single
from domain.items.register import Register
from domain.items.resolution import claims_of
from domain.items.submission import Content, Read
from domain.items.telling import named
from domain.items.values import ContributionSource, Identifier, Item, Lineage, MergeStrategy


class SplitMode(StrEnum):
    """`divide` ends the item, which becomes its parts; `extract` takes identifiers off it."""

    DIVIDE = "divide"
    EXTRACT = "extract"


def strategy_data(strategy: MergeStrategy, target: Document, source: Document) -> Document:
    """Return what a merge decides per key that both set to different values; nothing for `keep_first`."""
    if strategy is MergeStrategy.KEEP_FIRST:
        return EMPTY
    differing = (key for key in target if key in source and not alike(target[key], source[key]))
    chosen = {
        key: source[key] if strategy is MergeStrategy.OVERWRITE else appended(target[key], source[key])
        for key in differing
    }
    return Document(chosen)


def appended(target: Any, source: Any) -> Any:
    """Unite two arrays, or two objects one level deep; the target's value stands for anything else."""
    if isinstance(target, tuple) and isinstance(source, tuple):
        return (*target, *(element for element in source if not any(alike(element, held) for held in target)))
    if isinstance(target, Document) and isinstance(source, Document):
        return Document({**source, **target})
    return target


def merge(
    register: Register, target: Item, source: Item, strategy: MergeStrategy, reason: str | None, *, force: bool = False
) -> Item:
    """Absorb `source` in `target`, with the histories of both and the parts of the target read.

    Raises Refusal `item_merged`, `item_not_active` or, without `force`, `identifier_contradiction`, and Invalid
    beyond the bounds of an item.
    """
    _check_merge(target, source)
    if not force:
        _check_singles(target, source)
    data = strategy_data(strategy, target.data, source.data)
    made = (
        ()
        if strategy is MergeStrategy.KEEP_FIRST
        else (register.contribution(target, ContributionSource.MERGE, data=data, merged_from=source.key),)
    )
    register.change(
        attrs.evolve(source, status=ItemStatus.MERGED, lineage=attrs.evolve(source.lineage, merged_into=target.key))
    )
    whole = target.status is ItemStatus.SPLIT and not parts_out(register, target)
    lineage = attrs.evolve(target.lineage, merged_from=(*target.lineage.merged_from, source.key))
    status = ItemStatus.ACTIVE if whole else target.status
    changed = register.change(attrs.evolve(target, lineage=lineage, status=status), *made)
    more: dict[str, object] = {"strategy": strategy.value, **({"reason": reason} if reason else {})}
    committed: dict[str, object] = dict(commits(made[0])) if made else {}
    register.tell(target.key, EventType.MERGED, {"role": "target", "other_dfid": source.key} | more | committed)
    register.tell(source.key, EventType.MERGED, {"role": "source", "other_dfid": target.key} | more)
    return changed


def _check_merge(target: Item, source: Item) -> None:
    returns = (
        target.status is ItemStatus.SPLIT
        and source.key in target.lineage.split_into
        and source.lineage.split_mode == SplitMode.DIVIDE
    )
    for item, fits in ((source, False), (target, returns)):
        if item.status is ItemStatus.MERGED:
            raise Refusal("item_merged", "Another item absorbed it.", merged_into=item.lineage.merged_into)
        if item.status is not ItemStatus.ACTIVE and not fits:
            raise Refusal("item_not_active", f"The item is {item.status}.", current_status=item.status.value)


def _check_singles(target: Item, source: Item) -> None:
    held, other = _singles(target), _singles(source)
    for key in sorted(set(held) & set(other)):
        if held[key] != other[key]:
            raise Refusal("identifier_contradiction", f"The items carry different values of {key}.", key=key)


def _singles(item: Item) -> dict[str, set[str | None]]:
    found: dict[str, set[str | None]] = {}
    for identifier in item.identifiers:
        kind = type_of(identifier.key)
        if kind is not None and kind.single and identifier.scope is not IdentifierScope.REFERENCE:
            found.setdefault(identifier.key, set()).add(identifier.lookup)
    return found


def parts_out(register: Register, item: Item) -> bool:
    """Tell whether some part of a divided item stands outside of it."""
    return any(
        part.lineage.split_mode == SplitMode.DIVIDE and register.root(part.key).key != item.key
        for key in item.lineage.split_into
        if (part := register.item(key)) is not None
    )


def unmerge(register: Register, source: Item, reason: str | None) -> Item:
    """Take an absorbed item out again; return it as it stands by itself.

    Raises Refusal `not_merged`, `item_merged` while the other is absorbed itself, and `item_not_active` when a
    part leaves an item that is out of use.
    """
    if source.lineage.merged_into is None:
        raise Refusal("not_merged", "The item is not merged into another one.")
    target = register.item(source.lineage.merged_into)
    assert target is not None
    if target.status is ItemStatus.MERGED:
        raise Refusal("item_merged", "Unmerge the outer item first.", merged_into=target.lineage.merged_into)
    restored = register.change(
        attrs.evolve(source, status=ItemStatus.ACTIVE, lineage=attrs.evolve(source.lineage, merged_into=None))
    )
    status = target.status
    if parts_out(register, target):
        if status is ItemStatus.DEPRECATED:
            raise Refusal("item_not_active", "Restore the divided item first.", current_status=status.value)
        status = ItemStatus.SPLIT
    absorbed = tuple(key for key in target.lineage.merged_from if key != source.key)
    lineage = attrs.evolve(target.lineage, merged_from=absorbed)
    register.change(attrs.evolve(target, lineage=lineage, status=status))
    why: dict[str, object] = {"reason": reason} if reason else {}
    register.tell(target.key, EventType.UNMERGED, {"role": "target", "other_dfid": source.key} | why)
    register.tell(source.key, EventType.UNMERGED, {"role": "source", "other_dfid": target.key} | why)
    return restored


def split(
    register: Register, item: Item, mode: SplitMode, parts: Sequence[Content], reason: str | None
) -> tuple[Item, list[Item]]:
    """Make parts of an item; return it and them. The register has read the claims of all identifiers.

    Raises Refusal `item_merged`, `item_not_active`, `identifier_on_merged_item`, `identifier_conflict`,
    `identifier_claimed`, `identifier_contradiction`, and Invalid for an identifier in two parts or an item left
    without any.
    """
    if item.status is ItemStatus.MERGED:
        raise Refusal("item_merged", "Another item absorbed it.", merged_into=item.lineage.merged_into)
    if item.status is not ItemStatus.ACTIVE:
        raise Refusal("item_not_active", f"The item is {item.status}.", current_status=item.status.value)
    own = {identifier.identity: identifier for identifier in register.own_identifiers(item)}
    contents = [_moved_scopes(content, own) for content in parts]
    _check_parts(register, item, own, contents)
    named = {read.identity for content in contents for read in content.identifiers}
    moved = tuple(identifier for identity, identifier in own.items() if identity in named)
    if mode is SplitMode.EXTRACT and len(moved) == len(item.identifiers):
        raise Invalid([attrs.evolve(IDENTIFIERS_REQUIRED, pointer="/parts")])
    register.claiming.detach(item, moved)
    lineage = Lineage(split_from=item.key, split_mode=mode.value)
    payload: dict[str, object] = {"split_from": item.key}
    made = [
        register.create(content, ContributionSource.SPLIT, lineage=lineage, payload=payload) for content in contents
    ]
    return _left(register, item, mode, moved, made, reason), made


def _left(
    register: Register,
    item: Item,
    mode: SplitMode,
    moved: tuple[Identifier, ...],
    parts: list[Item],
    reason: str | None,
) -> Item:
    contribution = register.contribution(item, ContributionSource.SPLIT, removed=moved)
    lineage = attrs.evolve(item.lineage, split_into=(*item.lineage.split_into, *(part.key for part in parts)))
    status = ItemStatus.SPLIT if mode is SplitMode.DIVIDE else item.status
    kept = tuple(identifier for identifier in item.identifiers if identifier not in moved)
    changed = register.change(attrs.evolve(item, identifiers=kept, lineage=lineage, status=status), contribution)
    payload: dict[str, object] = {
        "mode": mode.value,
        "parts": sorted(part.key for part in parts),
        "moved": named(moved),
        **commits(contribution),
        **({"reason": reason} if reason else {}),
    }
    register.tell(item.key, EventType.SPLIT, payload)
    return changed


def _moved_scopes(content: Content, own: dict[tuple[str, str, str], Identifier]) -> Content:
    """Return the content with the identifiers that move keeping the scope they have."""

    def scoped(read: Read) -> Read:
        held = own.get(read.identity)
        return read if held is None else attrs.evolve(read, asked=held.scope)

    return attrs.evolve(content, identifiers=tuple(map(scoped, content.identifiers)))


def _check_parts(
    register: Register, item: Item, own: dict[tuple[str, str, str], Identifier], parts: Sequence[Content]
) -> None:
    absorbed = {identifier.identity for identifier in item.identifiers} - set(own)
    if any(read.identity in absorbed for content in parts for read in content.identifiers):
        raise Refusal("identifier_on_merged_item", "An identifier belongs to an item merged into this one.")
    faults = list(_claimed_twice(item, parts))
    if faults:
        raise Invalid(faults)
    for content in parts:
        require_single(content)
        for read, space in claims_of(content, item.workspace_id, creating=True):
            claim = register.claim(space, read.key, read.lookup or "")
            if claim is None or read.identity in own:
                continue
            if claim.workspace_id != item.workspace_id:
                raise Refusal("identifier_claimed", "Somebody else holds an identifier.")
            dfids = [register.root(claim.item).key]
            raise Refusal("identifier_conflict", "Another item of yours holds an identifier.", dfids=dfids)


def _claimed_twice(item: Item, parts: Sequence[Content]) -> Iterator[Fault]:
    seen: set[tuple[str, str, str]] = set()
    for index, content in enumerate(parts):
        for read, space in claims_of(content, item.workspace_id, creating=True):
            claim = (space, read.key, read.lookup or "")
            if claim in seen:
                pointer = f"/parts/{index}{read.pointer}"
                yield Fault("identifier_duplicate", "One part only can have it.", pointer=pointer)
            seen.add(claim)
