"""What administrators do with incidents (platform.md 6.6)."""

from datetime import datetime
from typing import Annotated, Any

import attrs

from application.audit.service import Audit
from application.units import Units
from domain.access.principal import Principal
from domain.accounts.values import ROSTER_ID
from domain.act import Act
from domain.audit.incidents import (
    MANUAL,
    MOST_ENTRIES,
    MOST_NOTES,
    STEPS,
    Incident,
    IncidentCategory,
    IncidentSeverity,
    IncidentStatus,
    Note,
    SubjectKind,
    standing,
)
from domain.audit.watching import announce
from domain.errors import Fault, Invalid, Refusal, not_found
from domain.ids import new_id
from domain.ports.queries import Between, Condition, Cursor, Page, Select, chosen
from domain.ports.schema import INCIDENTS, ROSTER
from domain.ports.storage import Reader
from domain.precondition import Versions, require_version
from domain.shape import UNSET, Count, Id, Line, Raw, Text, Unset


@attrs.frozen
class IncidentFilter:
    """Which incidents; `from_` is inclusive, `to` exclusive, both by when they were opened."""

    status: frozenset[IncidentStatus] = frozenset()
    severity: frozenset[IncidentSeverity] = frozenset()
    rule: Annotated[str, Line(1, 64)] | None = None
    assignee: Id | None = None
    from_: datetime | None = None
    to: datetime | None = None


_OF_NOTHING = Fault("not_allowed", "Nothing has no id.", pointer="/subject/id")
_NAMELESS = Fault("too_short", "Name what the incident is about.", pointer="/subject/id")


@attrs.frozen
class IncidentSubject:
    """What an incident is about; `none` has an empty id."""

    kind: SubjectKind
    id: Annotated[str, Raw(0, 128)]


@attrs.frozen
class OpenIncident:
    """An incident that a person saw."""

    title: Annotated[str, Line(1, 200)]
    severity: IncidentSeverity
    category: IncidentCategory
    subject: IncidentSubject | None = None
    entry_ids: Annotated[tuple[Id, ...], Count(0, MOST_ENTRIES)] = ()


@attrs.frozen
class UpdateIncident:
    """A step, another assignee or severity; resolving needs a resolution."""

    status: IncidentStatus | Unset = UNSET
    assignee: Id | Unset | None = UNSET
    severity: IncidentSeverity | Unset = UNSET
    resolution: Annotated[str, Text(1, 2000)] | Unset = UNSET


@attrs.frozen
class AddNote:
    """A remark."""

    text: Annotated[str, Text(1, 2000)]


@attrs.frozen
class IncidentView:
    """An incident; `entry_ids` are the first hundred."""

    incident_id: str
    rule: str
    category: IncidentCategory
    severity: IncidentSeverity
    title: str
    subject: IncidentSubject
    status: IncidentStatus
    count: int
    first_at: datetime
    last_at: datetime
    entry_ids: tuple[str, ...]
    assignee: str | None
    notes: tuple[Note, ...]
    resolution: str | None
    created_by: str
    created_at: datetime
    updated_at: datetime
    version: int


def incident_view(incident: Incident) -> IncidentView:
    """Return an incident as it is shown."""
    names = [field.name for field in attrs.fields(IncidentView) if field.name != "subject"]
    members: dict[str, Any] = {name: getattr(incident, name) for name in names}
    return IncidentView(subject=IncidentSubject(incident.subject_kind, incident.subject_id), **members)


@attrs.frozen
class Incidents:
    """For administrators only; everything raises Refusal `admin_required`."""

    units: Units
    audit: Audit

    async def page(
        self, principal: Principal, wanted: IncidentFilter, after: Cursor | None = None, limit: int = 50
    ) -> Page[IncidentView]:
        """Return incidents, the newest first."""
        self.audit.require_admin(principal)
        equal = {"rule": wanted.rule, "assignee": wanted.assignee}
        where: dict[str, Condition] = {name: value for name, value in equal.items() if value is not None}
        where |= chosen(status=wanted.status, severity=wanted.severity)
        if wanted.from_ is not None or wanted.to is not None:
            where["created_at"] = Between(wanted.from_, wanted.to)
        async with self.units.storage.read() as reader:
            query = Select(where, ("created_at", "incident_id"), descending=True)
            page = await reader.page(INCIDENTS, query, after, limit)
        return Page(tuple(map(incident_view, page.items)), page.after)

    async def get(self, principal: Principal, incident_id: str) -> IncidentView:
        """Return one. Raises Refusal `not_found`."""
        self.audit.require_admin(principal)
        async with self.units.storage.read() as reader:
            return incident_view(await _one(reader, incident_id))

    async def open(self, principal: Principal, request: OpenIncident) -> IncidentView:
        """Open one by hand. Raises Invalid for a subject without an id, and for an id of nothing."""
        self.audit.require_admin(principal)
        subject = request.subject or IncidentSubject(SubjectKind.NONE, "")
        if (subject.kind is SubjectKind.NONE) != (subject.id == ""):
            raise Invalid([_OF_NOTHING if subject.id else _NAMELESS])

        async def work(act: Act) -> IncidentView:
            incident = Incident(
                incident_id=new_id(),
                rule=MANUAL,
                category=request.category,
                severity=request.severity,
                title=request.title,
                subject_kind=subject.kind,
                subject_id=subject.id,
                group="",
                count=max(1, len(request.entry_ids)),
                first_at=act.now,
                last_at=act.now,
                entry_ids=request.entry_ids,
                created_by=act.user_id,
                created_at=act.now,
                updated_at=act.now,
            )
            await act.unit.add(INCIDENTS, incident)
            await announce(act, incident)
            return incident_view(incident)

        return await self.units.perform(principal, work)

    async def update(
        self, principal: Principal, incident_id: str, request: UpdateIncident, accepted: Versions
    ) -> IncidentView:
        """Change one. Raises Refusal `not_found`, `version_mismatch`, `incident_state`; Invalid."""
        self.audit.require_admin(principal)

        async def work(act: Act) -> IncidentView:
            before = await _one(act.unit, incident_id)
            require_version(accepted, before.version)
            after = await _changed(act, before, request)
            if after != before:
                await _refuse_second(act, before, after)
                after = attrs.evolve(after, updated_at=act.now, version=before.version + 1)
                await act.unit.save(INCIDENTS, after)
                await _record(act, before, after)
            return incident_view(after)

        return await self.units.perform(principal, work)

    async def note(
        self, principal: Principal, incident_id: str, request: AddNote, accepted: Versions = None
    ) -> IncidentView:
        """Add a remark. Raises Refusal `not_found`, `version_mismatch`, `quota_reached`."""
        self.audit.require_admin(principal)

        async def work(act: Act) -> IncidentView:
            before = await _one(act.unit, incident_id)
            require_version(accepted, before.version)
            if len(before.notes) >= MOST_NOTES:
                raise Refusal("quota_reached", f"An incident has at most {MOST_NOTES} notes.")
            notes = (*before.notes, Note(act.user_id, act.now, request.text))
            after = attrs.evolve(before, notes=notes, updated_at=act.now, version=before.version + 1)
            await act.unit.save(INCIDENTS, after)
            details = {"note": len(notes)}
            await act.audit("incident.updated", ("incident", incident_id), details=details)
            return incident_view(after)

        return await self.units.perform(principal, work)


async def _one(reader: Reader, incident_id: str) -> Incident:
    found = await reader.find(INCIDENTS, incident_id)
    if found is None:
        raise not_found()
    return found


async def _changed(act: Act, before: Incident, request: UpdateIncident) -> Incident:
    after = before
    if not isinstance(request.severity, Unset):
        after = attrs.evolve(after, severity=request.severity)
    if not isinstance(request.assignee, Unset):
        after = await _assigned(act, after, request.assignee)
    if not isinstance(request.resolution, Unset):
        after = attrs.evolve(after, resolution=request.resolution)
    if not isinstance(request.status, Unset) and request.status is not after.status:
        return _stepped(act, after, request.status)
    if before.status is IncidentStatus.RESOLVED and request.status is IncidentStatus.RESOLVED:
        raise _no_step(before.status, IncidentStatus.RESOLVED)
    return after


async def _refuse_second(act: Act, before: Incident, after: Incident) -> None:
    """Refuse to reopen an incident whose rule has opened another one for the same subject since."""
    place = standing(after)
    if place is None or place == standing(before):
        return
    for other in (await act.unit.page(INCIDENTS, Select({"standing": place}), limit=1)).items:
        raise Refusal("incident_state", f"The same was noticed again: incident {other.incident_id} is {other.status}.")


async def _assigned(act: Act, incident: Incident, assignee: str | None) -> Incident:
    """Give an incident to an administrator; an open one is acknowledged by that. Raises Invalid."""
    if assignee is not None:
        roster = await act.unit.find(ROSTER, ROSTER_ID)
        if roster is None or assignee not in roster.user_ids:
            raise Invalid([Fault("not_allowed", "An active administrator is expected.", pointer="/assignee")])
    assigned = attrs.evolve(incident, assignee=assignee)
    if assignee is not None and incident.status is IncidentStatus.OPEN:
        return _stepped(act, assigned, IncidentStatus.ACKNOWLEDGED)
    return assigned


def _stepped(act: Act, incident: Incident, status: IncidentStatus) -> Incident:
    """Take a step of the machine. Raises Refusal `incident_state`, Invalid for a resolution that is missing."""
    if (incident.status, status) not in STEPS:
        raise _no_step(incident.status, status)
    match status:
        case IncidentStatus.RESOLVED:
            if not incident.resolution:
                raise Invalid([Fault("required", "Say how it was resolved.", pointer="/resolution")])
            return attrs.evolve(incident, status=status, resolved_at=act.now)
        case IncidentStatus.ACKNOWLEDGED:
            return attrs.evolve(incident, status=status, acknowledged_at=act.now)
        case _:
            return attrs.evolve(incident, status=status, resolved_at=None, resolution=None)


def _no_step(before: IncidentStatus, after: IncidentStatus) -> Refusal:
    return Refusal("incident_state", f"An incident that is {before} does not become {after}.")


async def _record(act: Act, before: Incident, after: Incident) -> None:
    names = ("status", "assignee", "severity")
    changes = {
        name: {"old": getattr(before, name), "new": getattr(after, name)}
        for name in names
        if getattr(before, name) != getattr(after, name)
    }
    if before.resolution != after.resolution:
        changes["resolution"] = {"old": None, "new": None}
    await act.audit("incident.updated", ("incident", after.incident_id), details={"changes": changes})
