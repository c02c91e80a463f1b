"""Refusals on their way into the audit: repetitions fold into one entry, no answer waits (platform.md 6.3)."""

import asyncio
from datetime import datetime, timedelta
from typing import Any

import attrs

from domain.access.principal import Principal
from domain.audit.record import audit_entry, entry_hash
from domain.audit.values import AuditEntry
from domain.ports.clock import Clock
from domain.ports.errors import StorageError
from domain.ports.schema import AUDIT
from domain.ports.storage import Storage, Unit, transact

FOLDED_WITHIN = timedelta(minutes=1)
MOST_KINDS = 10_000
"""Different refusals kept at once; beyond, further kinds are not recorded until the next flush."""


@attrs.frozen
class Denial:
    """One kind of refusal. Two that are equal, but for when and whose trace, are told as one with a count."""

    principal: Principal
    action: str
    resource: tuple[str, str]
    reason: str
    route: str | None = None
    name_digest: str | None = None
    workspace_id: str | None = None

    @property
    def sameness(self) -> Any:
        """What repetitions share: at one route the principal and the reason, whatever was asked for."""
        alike = attrs.evolve(self.principal, trace_id="", user_agent=None, expires_at=None)
        resource = self.resource if self.route is None else ("route", "")
        return attrs.evolve(self, principal=alike, resource=resource)

    def entry(self, at: datetime, count: int) -> AuditEntry:
        """Return the audit entry."""
        known = {"route": self.route, "name_digest": self.name_digest}
        details = {name: value for name, value in known.items() if value is not None}
        return audit_entry(
            self.principal,
            at,
            self.action,
            self.resource,
            workspace_id=self.workspace_id,
            outcome="denied",
            reason=self.reason,
            count=count,
            details=details,
        )


@attrs.define
class _Counted:
    denial: Denial
    at: datetime
    count: int


@attrs.define
class Denials:
    """Collects refusals in memory and writes them when told to; a process that is killed loses what came since."""

    storage: Storage
    clock: Clock
    _waiting: dict[Any, _Counted] = attrs.field(factory=dict)
    _written: dict[Any, AuditEntry] = attrs.field(factory=dict)

    def note(self, denial: Denial) -> None:
        """Take a refusal. Costs no store access."""
        known = self._waiting.get(denial.sameness)
        if known is not None:
            known.count += 1
        elif len(self._waiting) < MOST_KINDS:
            self._waiting[denial.sameness] = _Counted(denial, self.clock.now(), 1)

    async def run(self, every: float = 1.0) -> None:
        """Write what was noted each `every` seconds, until cancelled; what cannot be written waits."""
        while True:
            await asyncio.sleep(every)
            try:
                await self.flush()
            except StorageError:
                continue

    async def flush(self) -> None:
        """Write what was noted, in one unit. Raises what the store raises, and keeps it then."""
        taken, self._waiting = self._waiting, {}
        if not taken:
            return
        self._forget()

        async def write(unit: Unit) -> dict[Any, AuditEntry]:
            return {sameness: await self._recorded(unit, sameness, counted) for sameness, counted in taken.items()}

        try:
            self._written |= await transact(self.storage, write)
        except BaseException:
            self._put_back(taken)
            raise

    async def _recorded(self, unit: Unit, sameness: Any, counted: _Counted) -> AuditEntry:
        """Raise the count of an entry of the last minute that no log has sealed yet; else add one."""
        earlier = self._written.get(sameness)
        stored: AuditEntry | None = None
        if earlier is not None:
            stored = await unit.find(AUDIT, earlier.entry_id)
        if stored is None or stored.log_index is not None:
            entry = counted.denial.entry(counted.at, counted.count)
            await unit.add(AUDIT, entry)
            return entry
        raised = attrs.evolve(stored, count=stored.count + counted.count, version=stored.version + 1)
        raised = attrs.evolve(raised, entry_hash=entry_hash(raised))
        await unit.save(AUDIT, raised)
        return raised

    def _forget(self) -> None:
        since = self.clock.now() - FOLDED_WITHIN
        self._written = {sameness: entry for sameness, entry in self._written.items() if entry.at > since}

    def _put_back(self, taken: dict[Any, _Counted]) -> None:
        for sameness, counted in taken.items():
            newer = self._waiting.get(sameness)
            if newer is not None:
                counted.count += newer.count
            self._waiting[sameness] = counted
