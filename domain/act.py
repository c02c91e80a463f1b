"""One thing that somebody does, in one unit, with everything that must be true with it."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

import attrs

from domain.access.principal import Principal
from domain.activity.values import Activity, ActivityKind
from domain.audit.record import audit_entry
from domain.document import Document
from domain.errors import Refusal
from domain.ids import new_id
from domain.notifications.telling import DIRECT_RECIPIENTS, Message, job_of, tell, tell_all, tell_each
from domain.notifications.values import NotificationType
from domain.outbox.values import OutboxRow
from domain.ports.schema import ACTIVITY, AUDIT, OUTBOX
from domain.ports.storage import Unit


@attrs.frozen
class Act:
    """The unit, who acts, and when. Every record made through it carries the actor, the instant and the trace id.

    `dfids` yields the DFIDs taken for this act before its unit opened. `told` collects the users whose notifications
    or standing this act changes; they are woken once it is committed.
    """

    unit: Unit
    principal: Principal
    now: datetime
    dfids: Iterator[str] = attrs.field(factory=lambda: iter(()))
    told: set[str] = attrs.field(factory=set)

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
        """Append the activity entry of this mutation and return its id (platform.md 7).

        Raises ValueError for a `kind` that ActivityKind does not have.
        """
        shown = tuple(dfids)
        entry = Activity(
            activity_id=new_id(),
            at=self.now,
            actor_user_id=self.principal.user_id,
            workspace_id=self.principal.workspace_id,
            kind=ActivityKind(kind).value,
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
        actor = None if anonymous else self.principal.user_id
        message = Message(NotificationType(kind), source_id, actor, circuit_id, dfid, Document(data or {}))
        if len(users) > DIRECT_RECIPIENTS:
            await self.job("notify", job_of(message, users))
        else:
            self.told.update(await tell(self.unit, self.now, message, users, once=once))

    async def notify_each(
        self, kind: str, told: Mapping[str, dict[str, Any]], *, source_id: str, circuit_id: str | None = None
    ) -> None:
        """Tell each user something of their own about one cause, in a fixed number of statements; never the actor."""
        actor = self.principal.user_id
        messages = {
            user: Message(NotificationType(kind), source_id, actor, circuit_id, None, Document(told[user]))
            for user in sorted(told)
            if user != actor
        }
        self.told.update(await tell_each(self.unit, self.now, messages))

    async def notify_once(self, told: Iterable[tuple[str, Message]]) -> None:
        """Tell users of many causes, of each no more than once; never the actor. Statements do not grow with causes."""
        others = [(user, message) for user, message in told if user != self.principal.user_id]
        self.told.update(await tell_all(self.unit, self.now, others, once=True))

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
