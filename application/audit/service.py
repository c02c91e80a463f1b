"""Asking the audit (platform.md 6.4, 6.5): administrators for everything, holders of `audit` for their circuit."""

from collections.abc import Callable
from datetime import datetime
from typing import TypeVar

import attrs

from application.audit.requests import AuditFilter, Outcome, Severity
from application.units import Units
from domain.access.decide import Action, decide, require
from domain.access.facts import Facts, Target
from domain.access.principal import Principal
from domain.act import Act
from domain.audit.log import Checkpoint, tile_id
from domain.audit.merkle import Tree, tiles_for
from domain.audit.sequencing import newest
from domain.audit.values import AuditEntry
from domain.circuits.scene import Visit, scene
from domain.document import Document
from domain.errors import Fault, Invalid, Refusal, not_found
from domain.ports.queries import Cursor, Page, Select
from domain.ports.schema import AUDIT, LOG_TILES
from domain.ports.storage import Reader

R = TypeVar("R")


@attrs.frozen
class AuditEntryView:
    """An entry. `personal` is for administrators, and null once it was erased; `log_index` is null for a moment."""

    entry_id: str
    at: datetime
    actor: Document
    action: str
    resource: Document
    circuit_id: str | None
    workspace_id: str | None
    outcome: Outcome
    severity: Severity
    reason: str | None
    count: int
    trace_id: str
    details: Document
    personal: Document | None
    personal_digest: str | None
    entry_hash: str
    log_index: int | None


@attrs.frozen
class InclusionProof:
    """Proves that an entry is in the log: `path` are hexadecimal hashes, from the leaf up."""

    log_index: int
    entry_hash: str
    tree_size: int
    root_hash: str
    path: tuple[str, ...]


@attrs.frozen
class ConsistencyProof:
    """Proves that the log of `from_` entries is a beginning of the log of `to`."""

    from_: int
    to: int
    path: tuple[str, ...]


def entry_view(entry: AuditEntry, *, personal: bool) -> AuditEntryView:
    """Return an entry as it is shown."""
    members = {
        name: getattr(entry, name)
        for name in (field.name for field in attrs.fields(AuditEntryView))
        if name not in ("personal", "outcome", "severity")
    }
    return AuditEntryView(
        personal=entry.personal if personal else None,
        outcome=Outcome(entry.outcome),
        severity=Severity(entry.severity),
        **members,
    )


@attrs.frozen
class Audit:
    """Entries and proofs."""

    units: Units

    def require_admin(self, principal: Principal) -> None:
        """Refuse everybody but administrators. Raises Refusal `admin_required`."""
        require(decide(principal, Action.AUDIT_VIEW_ALL, Facts(Target()), self.units.clock.now()))

    async def page(
        self, principal: Principal, wanted: AuditFilter, after: Cursor | None = None, limit: int = 50
    ) -> Page[AuditEntryView]:
        """Return entries, newest first; a first page is itself audited.

        Raises Refusal `admin_required`, `not_found`, `permission_missing`.
        """
        async with self.units.storage.read() as reader:
            await self._admit(reader, principal, wanted.circuit_id)
            query = Select(wanted.where, ("at", "entry_id"), descending=True)
            page = await reader.page(AUDIT, query, after, limit)
        if after is None:
            await self.record(principal, "audit.queried", wanted)
        return Page(tuple(entry_view(entry, personal=principal.is_admin) for entry in page.items), page.after)

    async def _admit(self, reader: Reader, principal: Principal, circuit_id: str | None) -> None:
        if principal.is_admin or circuit_id is None:
            self.require_admin(principal)
            return
        at = await scene(reader, principal, circuit_id)
        at.require(Visit(principal, self.units.clock.now()), Action.AUDIT_VIEW_CIRCUIT)

    async def record(self, principal: Principal, action: str, wanted: AuditFilter) -> None:
        """Audit that the audit was looked at."""

        async def work(act: Act) -> None:
            asked = {"filters": wanted.named}
            await act.audit(action, ("audit", "entries"), circuit_id=wanted.circuit_id, details=asked)

        await self.units.perform(principal, work)

    async def get(self, principal: Principal, entry_id: str) -> AuditEntryView:
        """Return one entry. Raises Refusal `not_found`, also for one that is not the principal's to see."""
        async with self.units.storage.read() as reader:
            entry = await reader.find(AUDIT, entry_id)
            if entry is None or not await self._may_see(reader, principal, entry):
                raise not_found()
            return entry_view(entry, personal=principal.is_admin)

    async def _may_see(self, reader: Reader, principal: Principal, entry: AuditEntry) -> bool:
        try:
            await self._admit(reader, principal, entry.circuit_id)
        except Refusal:
            return False
        return True

    async def checkpoint(self, principal: Principal) -> Checkpoint:
        """Return the newest checkpoint. Raises Refusal `not_sequenced` before there is one."""
        self.require_admin(principal)
        async with self.units.storage.read() as reader:
            return await _present(reader)

    async def inclusion(self, principal: Principal, entry_id: str, tree_size: int | None = None) -> InclusionProof:
        """Return the proof that an entry is in the log of a size. Raises Refusal `not_sequenced`, Invalid."""
        self.require_admin(principal)
        async with self.units.storage.read() as reader:
            entry = await reader.find(AUDIT, entry_id)
            if entry is None:
                raise not_found()
            index = entry.log_index
            if index is None:
                raise _not_sequenced()
            size = await _size(reader, tree_size)
            if index >= size:
                raise Invalid([Fault("out_of_range", "The log was shorter than that.", parameter="tree_size")])
            path, root = await asked(reader, size, lambda tree: (tree.inclusion(index), tree.root()))
        return InclusionProof(index, entry.entry_hash, size, root, tuple(path))

    async def consistency(self, principal: Principal, earlier: int, later: int | None) -> ConsistencyProof:
        """Return the proof that the log only grew. Raises Invalid."""
        self.require_admin(principal)
        async with self.units.storage.read() as reader:
            size = await _size(reader, later, "to")
            if earlier > size:
                raise Invalid([Fault("out_of_range", f"At most {size} is possible here.", parameter="from")])
            return ConsistencyProof(
                earlier, size, tuple(await asked(reader, size, lambda tree: tree.consistency(earlier)))
            )


async def asked(reader: Reader, size: int, question: Callable[[Tree], R]) -> R:
    """Answer a question to the tree of a size, with the tiles it needs, read in one query."""
    places = tiles_for(size, question)
    rows = await reader.get_many(LOG_TILES, [tile_id(*place) for place in places])
    return question(Tree(size, {(row.level, row.number): row.hashes for row in rows.values()}))


async def _present(reader: Reader) -> Checkpoint:
    found = await newest(reader)
    if found is None:
        raise _not_sequenced()
    return found


async def _size(reader: Reader, wanted: int | None, parameter: str = "tree_size") -> int:
    """Return the size asked for, by default that of the log. Raises Invalid beyond it."""
    size = (await _present(reader)).tree_size
    if wanted is not None and not 0 < wanted <= size:
        raise Invalid([Fault("out_of_range", f"The log has {size} entries.", parameter=parameter)])
    return wanted or size


def _not_sequenced() -> Refusal:
    return Refusal("not_sequenced", "The entry has no place in the log yet; ask again in a second.")
