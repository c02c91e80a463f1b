"""One thing that somebody does, in one unit, with everything that must be true with it."""

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

import attrs

from domain.access.principal import Principal
from domain.activity.values import Activity
from domain.audit.record import audit_entry
from domain.document import Document
from domain.errors import Refusal
from domain.ids import new_id
from domain.notifications.values import Notification
from domain.outbox.values import OutboxRow
from domain.ports.queries import AnyOf, Select
from domain.ports.schema import ACCOUNTS, ACTIVITY, AUDIT, NOTIFICATIONS, OUTBOX
from domain.ports.storage import Unit

NEVER_MUTED = frozenset({"password_changed", "session_reuse_detected", "api_key_created", "incident_opened"})
DIRECT_RECIPIENTS = 500
"""Beyond this many a worker adds the notifications (platform.md 8.2)."""


@attrs.frozen
class Act:
    """The unit, who acts, and when. Every record made through it carries the actor, the instant and the trace id.

    `dfids` yields the DFIDs taken for this act before its unit opened.
    """

    unit: Unit
    principal: Principal
    now: datetime
    dfids: Iterator[str] = attrs.field(factory=lambda: iter(()))

    @property
    def user_id(self) -> str:
        """The acting user. Raises Refusal `unauthenticated` for a principal that is no user."""
        if self.principal.user_id is None:
            raise Refusal("unauthenticated", "This needs a user.")
        return self.principal.user_id

    @property
    def workspace_id(self) -> str:
        """The acting user's workspace. Raises Refusal `unauthenticated` for a principal that is no user."""
        if self.principal.workspace_id is None:
            raise Refusal("unauthenticated", "This needs a user.")
        return self.principal.workspace_id

    async def audit(
        self,
        action: str,
        resource: tuple[str, str],
        *,
        circuit_id: str | None = None,
        workspace_id: str | None = None,
        details: dict[str, Any] | None = None,
    ) -> None:
        """Append the audit entry of this mutation; `resource` is (kind, id) (platform.md 6)."""
        entry = audit_entry(
            self.principal,
            self.now,
            action,
            resource,
            circuit_id=circuit_id,
            workspace_id=workspace_id,
            details=details,
        )
        await self.unit.add(AUDIT, entry)

    async def activity(
        self,
        kind: str,
        resource: tuple[str, str],
        *,
        circuit_id: str | None = None,
        dfids: Iterable[str] = (),
        item_count: int | None = None,
        status: str = "success",
        data: dict[str, Any] | None = None,
    ) -> str:
        """Append the activity entry of this mutation and return its id (platform.md 7)."""
        shown = tuple(dfids)
        entry = Activity(
            activity_id=new_id(),
            at=self.now,
            actor_user_id=self.principal.user_id,
            workspace_id=self.principal.workspace_id,
            kind=kind,
            resource=Document(kind=resource[0], id=resource[1]),
            trace_id=self.principal.trace_id,
            circuit_id=circuit_id,
            dfids=shown[:20],
            item_count=len(shown) if item_count is None else item_count,
            status=status,
            data=Document(data or {}),
        )
        await self.unit.add(ACTIVITY, entry)
        return entry.activity_id

    async def notify(
        self,
        kind: str,
        recipients: Iterable[str],
        *,
        source_id: str,
        circuit_id: str | None = None,
        dfid: str | None = None,
        data: dict[str, Any] | None = None,
        myself: bool = False,
        once: bool = False,
        anonymous: bool = False,
    ) -> None:
        """Tell users what happened (platform.md 8.2): once each, never of their own act unless `myself`, never
        of a type they muted. `source_id` is the activity, operation or request that caused it; with `once`
        somebody told of that source before is not told again; `anonymous` names no actor."""
        users = sorted({user for user in recipients if myself or user != self.principal.user_id})
        if len(users) > DIRECT_RECIPIENTS:
            await self._hand_over(kind, users, source_id, circuit_id, dfid, data)
            return
        if once:
            users = await self._not_told(kind, users, source_id)
        accounts = await self.unit.get_many(ACCOUNTS, users)
        rows = [
            Notification(
                notification_id=new_id(),
                user_id=user,
                type=kind,
                source_id=source_id,
                created_at=self.now,
                data=Document(data or {}),
                actor_user_id=None if anonymous else self.principal.user_id,
                circuit_id=circuit_id,
                dfid=dfid,
            )
            for user in users
            if user in accounts and (kind in NEVER_MUTED or kind not in accounts[user].muted)
        ]
        await self.unit.add(NOTIFICATIONS, *rows)

    async def _not_told(self, kind: str, users: list[str], source_id: str) -> list[str]:
        query = Select({"user_id": AnyOf(tuple(users)), "type": kind, "source_id": source_id})
        told = {row.user_id for row in (await self.unit.page(NOTIFICATIONS, query, limit=1000)).items}
        return [user for user in users if user not in told]

    async def _hand_over(
        self,
        kind: str,
        users: list[str],
        source_id: str,
        circuit_id: str | None,
        dfid: str | None,
        data: dict[str, Any] | None,
    ) -> None:
        cause = {"type": kind, "source_id": source_id, "circuit_id": circuit_id, "dfid": dfid, "data": data or {}}
        await self.job("notify", cause | {"user_ids": users, "actor_user_id": self.principal.user_id})

    async def job(self, kind: str, data: dict[str, Any], *, circuit_id: str | None = None) -> None:
        """Leave work for after the commit: one outbox row, delivered at least once (architecture.md 6)."""
        row = OutboxRow(
            row_id=new_id(),
            kind=kind,
            created_at=self.now,
            trace_id=self.principal.trace_id,
            circuit_id=circuit_id,
            data=Document(data),
        )
        await self.unit.add(OUTBOX, row)
