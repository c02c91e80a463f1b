"""Letting go of what is kept for a time only (platform.md 3.4, 6.1, 7, 8.1; http.md 9; items-events.md 1.9, 8.1)."""

import asyncio
import random
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar

import attrs

from application.accounts.sessions import remove_with_tokens
from application.audit.reports import remove_expired
from application.units import Units
from domain.access.principal import system
from domain.act import Act
from domain.audit.values import AuditEntry
from domain.ports.errors import Contention
from domain.ports.queries import Between, Condition, Select
from domain.ports.schema import (
    ACTIVITY,
    AUDIT,
    IDEMPOTENCY,
    IMPORT_ROWS,
    IMPORTS,
    NOTIFICATIONS,
    PASSWORD_RESETS,
    PENDING,
    REFRESH_TOKENS,
    RULE_WINDOWS,
    SESSIONS,
    Facet,
)

V = TypeVar("V")
EVERY: Final = 3600.0
AT_ONCE: Final = 500
READ_KEPT: Final = timedelta(days=90)
UNREAD_KEPT: Final = timedelta(days=365)
ENDED_KEPT: Final = timedelta(days=7)
CLOSED_KEPT: Final = timedelta(days=365)
MOST_PER_USER: Final = 5000


@attrs.frozen
class Retention:
    """Removes what is past its time, 500 rows in a unit; any number of instances may do it at once."""

    units: Units
    activity_days: int
    personal_days: int
    import_days: int
    most_per_user: int = MOST_PER_USER

    async def run(self) -> None:
        """Look every hour until cancelled. Raises StorageError when the store is gone."""
        while True:
            await self.prune()
            await asyncio.sleep(EVERY * random.uniform(0.9, 1.1))  # noqa: S311

    async def prune(self) -> None:
        """Remove everything that is past its time now."""
        now = self.units.clock.now()
        past = now - timedelta(days=self.activity_days)
        await self._remove(ACTIVITY, {"at": Between(None, past)}, "at")
        for unread, kept in ((False, READ_KEPT), (True, UNREAD_KEPT)):
            old: dict[str, Condition] = {"unread": unread, "created_at": Between(None, now - kept)}
            await self._remove(NOTIFICATIONS, old, "created_at")
        await self._remove_credentials(now)
        await self._remove(IDEMPOTENCY, {"expires_at": Between(None, now)}, "expires_at")
        reported = timedelta(days=self.import_days)
        await self._forget_import_rows(now - reported)
        # Results of imports name records, which must not go before them.
        await self._remove(PENDING, {"closed_at": Between(None, now - max(CLOSED_KEPT, reported))}, "closed_at")
        await self._remove(RULE_WINDOWS, {"until_at": Between(None, now)}, "until_at")
        await self._forget_persons(now - timedelta(days=self.personal_days))
        await self._limit_notifications()
        while await self.units.perform(system(), remove_expired, completes=False):
            pass

    async def _remove_credentials(self, now: datetime) -> None:
        """Remove used refresh tokens, ended sessions and old password resets."""
        past = Between(None, now - ENDED_KEPT)
        await self._remove(REFRESH_TOKENS, {"used_at": past}, "used_at")
        await self._remove(PASSWORD_RESETS, {"expires_at": past}, "expires_at")

        async def end(act: Act, sessions: Sequence[Any]) -> None:
            await remove_with_tokens(act.unit, sessions)

        await self._each(SESSIONS, {"over_at": past}, "over_at", end)

    async def _forget_import_rows(self, before: datetime) -> None:
        """Remove the results of the rows of old imports; the imports stay."""

        async def forget(act: Act) -> bool:
            old = Select({"reported_at": Between(None, before)}, ("reported_at",))
            imports = (await act.unit.page(IMPORTS, old, limit=1)).items
            for one in imports:
                rows = await act.unit.page(IMPORT_ROWS, Select({"import_id": one.import_id}), limit=AT_ONCE)
                await act.unit.remove(IMPORT_ROWS, *rows.items)
                if rows.after is None:
                    await act.unit.save(IMPORTS, attrs.evolve(one, forgotten=True, version=one.version + 1))
            return bool(imports)

        with suppress(Contention):
            while await self.units.perform(system(), forget, completes=False):
                pass

    async def _forget_persons(self, before: datetime) -> None:
        """Take what is personal out of old audit entries; their hashes cover only its digest."""

        def impersonal(entry: AuditEntry) -> AuditEntry:
            return attrs.evolve(entry, personal=None, personal_salt=None, version=entry.version + 1)

        async def forget(act: Act, entries: Sequence[Any]) -> None:
            await act.unit.save(AUDIT, *map(impersonal, entries))

        await self._each(AUDIT, {"erasable_at": Between(None, before)}, "erasable_at", forget)

    async def _limit_notifications(self) -> None:
        """Keep at most so many per user: read ones go first, then the oldest."""
        async with self.units.storage.read() as reader:
            counts = await reader.count(NOTIFICATIONS, {}, "user_id")
        for user_id, count in counts.items():
            excess = count - self.most_per_user
            for unread in (False, True):
                if excess > 0:
                    own: dict[str, Condition] = {"user_id": user_id, "unread": unread}
                    excess -= await self._remove(NOTIFICATIONS, own, "position", excess)

    async def _remove(self, facet: Facet[V], where: dict[str, Condition], order: str, most: int | None = None) -> int:
        async def remove(act: Act, rows: Sequence[V]) -> None:
            await act.unit.remove(facet, *rows)

        return await self._each(facet, where, order, remove, most)

    async def _each(
        self,
        facet: Facet[V],
        where: dict[str, Condition],
        order: str,
        change: Callable[[Act, Sequence[V]], Any],
        most: int | None = None,
    ) -> int:
        """Change matching rows, oldest first, a batch in each unit, until none or `most` were; return how many."""
        done = 0
        while most is None or done < most:
            limit = AT_ONCE if most is None else min(AT_ONCE, most - done)

            async def work(act: Act, limit: int = limit) -> int:
                rows = (await act.unit.page(facet, Select(where, (order,)), limit=limit)).items
                if rows:
                    await change(act, rows)
                return len(rows)

            try:
                count = await self.units.perform(system(), work, completes=False)
            except Contention:
                return done
            done += count
            if count < limit:
                return done
        return done
