"""Sealing entries into the log, a batch in one unit (platform.md 6.4)."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, timedelta
from typing import Protocol

import attrs

from domain.act import Act
from domain.audit.log import EVERYBODY, AuditDay, Checkpoint, LogTile, tile_id
from domain.audit.merkle import Place, Tree, edge, extended
from domain.audit.values import AuditEntry
from domain.document import Document
from domain.ports.errors import Contention
from domain.ports.queries import Select
from domain.ports.schema import AUDIT, AUDIT_DAYS, LOG_CHECKPOINTS, LOG_TILES
from domain.ports.storage import Reader

BATCH = 500
FOLDED_FOR = timedelta(seconds=10)
"""How long the count of a refusal may still be raised, so that a burst of refusals is one entry or two."""


class Signer(Protocol):
    """Names the log and signs its checkpoints."""

    @property
    def origin(self) -> str: ...

    def sign(self, size: int, root_hash: str) -> str | None:
        """Return the signature line of a checkpoint, None without a key."""
        ...


async def newest(reader: Reader) -> Checkpoint | None:
    """Return the newest checkpoint, None of an empty log."""
    page = await reader.page(LOG_CHECKPOINTS, Select(order=("checkpoint_id",), descending=True), limit=1)
    return page.items[0] if page.items else None


@attrs.frozen
class Sealed:
    """Entries that were sealed at once; `more` tells that others may wait."""

    entries: tuple[AuditEntry, ...] = ()
    more: bool = False


async def sequence(act: Act, signer: Signer, folded_for: timedelta = FOLDED_FOR) -> Sealed:
    """Give the next entries that have none their places in the log and return them.

    Two that do this at once meet in the unfinished tiles: one of them loses the race and finds less to do. Refusals
    whose count may still be raised wait.
    """
    waiting = Select({"log_index": None}, ("at", "entry_id"))
    page = (await act.unit.page(AUDIT, waiting, limit=BATCH)).items
    found = [entry for entry in page if not (_folds(entry) and entry.at > act.now - folded_for)]
    if not found:
        return Sealed()
    last = await newest(act.unit)
    size = 0 if last is None else last.tree_size
    sealed = tuple(
        attrs.evolve(entry, log_index=index, version=entry.version + 1) for index, entry in enumerate(found, size)
    )
    await act.unit.save(AUDIT, *sealed)
    await _grow(act, signer, size, sealed)
    await _count(act, sealed)
    return Sealed(sealed, len(page) == BATCH)


def _folds(entry: AuditEntry) -> bool:
    """Tell whether repetitions of a refusal raise its count (platform.md 5.3, 6.3)."""
    return entry.action == "access.denied" or entry.reason == "login_limited"


async def _grow(act: Act, signer: Signer, size: int, sealed: Sequence[AuditEntry]) -> None:
    unfinished = dict(edge(size))
    rows = {
        (row.level, row.number): row
        for row in (await act.unit.get_many(LOG_TILES, [tile_id(*place) for place in unfinished])).values()
    }
    if {place: len(row.hashes) for place, row in rows.items()} != unfinished:
        raise Contention("the log grew meanwhile")
    held = {place: row.hashes for place, row in rows.items()}
    changed = extended(size, held, (entry.entry_hash for entry in sealed))
    for place, hashes in changed.items():
        if place in rows:
            row = rows[place]
            await act.unit.save(LOG_TILES, attrs.evolve(row, hashes=hashes, version=row.version + 1))
        else:
            await act.unit.add(LOG_TILES, LogTile(*place, hashes))
    grown = size + len(sealed)
    root = Tree(grown, {**held, **changed, **await _finished(act, grown, changed)}).root()
    checkpoint = Checkpoint(signer.origin, grown, root, act.now, signer.sign(grown, root))
    await act.unit.add(LOG_CHECKPOINTS, checkpoint)


async def _finished(act: Act, size: int, changed: dict[Place, tuple[str, ...]]) -> dict[Place, tuple[str, ...]]:
    """Return the unfinished tiles of the grown tree that this batch did not touch."""
    needed = [place for place, _ in edge(size) if place not in changed]
    rows = await act.unit.get_many(LOG_TILES, [tile_id(*place) for place in needed])
    return {(row.level, row.number): row.hashes for row in rows.values()}


def day_of(entry: AuditEntry) -> str:
    """Return the UTC day of an entry, `2026-03-01`."""
    return f"{entry.at.astimezone(UTC):%Y-%m-%d}"


async def _count(act: Act, sealed: Sequence[AuditEntry]) -> None:
    """Add the entries to the counts of their days."""
    more: dict[tuple[str, str], Counter[str]] = {}
    for entry in sealed:
        for actor in (EVERYBODY, entry.actor.get("user_id") or entry.actor["kind"]):
            counts = more.setdefault((actor, day_of(entry)), Counter())
            counts[f"{entry.action} {entry.outcome} {entry.severity}"] += 1
    known = await act.unit.get_many(AUDIT_DAYS, more)
    for key, counts in more.items():
        row = known.get(key)
        if row is None:
            await act.unit.add(AUDIT_DAYS, AuditDay(key[1], key[0], Document(counts)))
        else:
            summed = Document(Counter(row.counts) + counts)
            await act.unit.save(AUDIT_DAYS, attrs.evolve(row, counts=summed, version=row.version + 1))
