"""Opening incidents from what was just sealed, in the same unit (platform.md 6.6)."""

from collections.abc import Sequence
from typing import Final

import attrs

from domain.accounts.values import ROSTER_ID
from domain.act import Act
from domain.audit.incidents import (
    HIJACK_WITHIN,
    LOGIN_BURST,
    MOST_ENTRIES,
    RULES,
    Hit,
    Incident,
    IncidentSeverity,
    IncidentStatus,
    Rule,
    RuleWindow,
    SubjectKind,
    hits_of,
)
from domain.audit.values import AuditEntry
from domain.ids import new_id
from domain.ports.queries import AnyOf, Between, Condition, Select
from domain.ports.schema import AUDIT, INCIDENTS, ROSTER, RULE_WINDOWS

Place = tuple[str, str]
"""Rule and group."""
OPENED: Final = "session.opened"


async def watch(act: Act, sealed: Sequence[AuditEntry]) -> None:
    """Count the hits of sealed entries, and open and raise the incidents they make."""
    hits = [(entry, *hit) for entry in sealed for hit in hits_of(entry)]
    if hits:
        await _Watch(act).run(hits)
    for entry in sealed:
        if entry.action == OPENED:
            await _raise_after_burst(act, entry)


@attrs.define
class _Watch:
    """What is known of the rules that a batch touches, and what becomes of it."""

    act: Act
    open: dict[Place, Incident] = attrs.field(factory=dict)
    windows: dict[Place, RuleWindow] = attrs.field(factory=dict)

    async def run(self, hits: Sequence[tuple[AuditEntry, Rule, str, Hit]]) -> None:
        places = list(dict.fromkeys((rule.name, group) for _, rule, group, _ in hits))
        standing = Select({"standing": AnyOf(tuple(" ".join(place) for place in places))})
        for incident in (await self.act.unit.page(INCIDENTS, standing, limit=1000)).items:
            self.open[incident.rule, incident.group] = incident
        for window in (await self.act.unit.get_many(RULE_WINDOWS, places)).values():
            self.windows[window.rule, window.group] = window
        stored, kept = dict(self.open), dict(self.windows)
        for entry, rule, group, hit in hits:
            self._count(entry, rule, group, hit)
        for place, incident in self.open.items():
            if place not in stored:
                await self._opened(incident)
            elif incident != stored[place]:
                changed = attrs.evolve(incident, updated_at=self.act.now, version=incident.version + 1)
                await self.act.unit.save(INCIDENTS, changed)
        await self._keep(kept)

    def _count(self, entry: AuditEntry, rule: Rule, group: str, hit: Hit) -> None:
        place = (rule.name, group)
        known = self.open.get(place)
        if known is not None:
            ids = (*known.entry_ids, hit.entry_id)[:MOST_ENTRIES]
            last = max(known.last_at, hit.at)
            raised = attrs.evolve(known, count=known.count + hit.count, last_at=last, entry_ids=ids)
            self.open[place] = _about(raised, *rule.subject(entry))
            return
        window = self.windows.get(place)
        hits = rule.with_hit(() if window is None else window.hits, hit)
        if rule.reached(hits):
            self.open[place] = self._incident(entry, rule, group, hits)
            hits = ()
        until = hit.at + rule.window
        self.windows[place] = (
            RuleWindow(rule.name, group, until, hits)
            if window is None
            else attrs.evolve(window, until_at=until, hits=hits)
        )

    def _incident(self, entry: AuditEntry, rule: Rule, group: str, hits: tuple[Hit, ...]) -> Incident:
        kind, identity = rule.subject(entry)
        return Incident(
            incident_id=new_id(),
            rule=rule.name,
            category=rule.category,
            severity=rule.severity,
            title=rule.title,
            subject_kind=SubjectKind(kind),
            subject_id=identity,
            group=group,
            count=sum(hit.count for hit in hits),
            first_at=min(hit.at for hit in hits),
            last_at=max(hit.at for hit in hits),
            entry_ids=tuple(hit.entry_id for hit in hits)[:MOST_ENTRIES],
            created_by="system",
            created_at=self.act.now,
            updated_at=self.act.now,
        )

    async def _opened(self, incident: Incident) -> None:
        if incident.subject_kind is SubjectKind.NONE:
            # Refusals before the name was looked up do not know whose it is; those before them may.
            (rule,) = (rule for rule in RULES if rule.name == incident.rule)
            for entry in (await self.act.unit.get_many(AUDIT, incident.entry_ids)).values():
                incident = _about(incident, *rule.subject(entry))
        if incident.rule == LOGIN_BURST and await self._succeeded(incident):
            incident = attrs.evolve(incident, severity=IncidentSeverity.HIGH)
        await self.act.unit.add(INCIDENTS, incident)
        await announce(self.act, incident)

    async def _succeeded(self, burst: Incident) -> bool:
        """Tell whether the attacked name signed in before the burst came to light: refusals are sealed late."""
        opened: dict[str, Condition] = {"actor_user_id": burst.subject_id, "action": OPENED, "at": _aftermath(burst)}
        return bool((await self.act.unit.page(AUDIT, Select(opened, ("at",)), limit=1)).items)

    async def _keep(self, stored: dict[Place, RuleWindow]) -> None:
        """Save the windows that changed; one without hits is of no use any more."""
        for place, window in self.windows.items():
            known = stored.get(place)
            if known is None and window.hits:
                await self.act.unit.add(RULE_WINDOWS, window)
            elif known is not None and not window.hits:
                await self.act.unit.remove(RULE_WINDOWS, known)
            elif known is not None and window != known:
                await self.act.unit.save(RULE_WINDOWS, attrs.evolve(window, version=known.version + 1))


def _about(incident: Incident, kind: str, identity: str) -> Incident:
    """Return an incident that is about nobody known as one about this subject; any other as it is."""
    if incident.subject_kind is not SubjectKind.NONE or kind == SubjectKind.NONE:
        return incident
    return attrs.evolve(incident, subject_kind=SubjectKind(kind), subject_id=identity)


def _aftermath(burst: Incident) -> Between:
    """Return when a successful login is one of the attacked name."""
    return Between(burst.first_at, burst.last_at + HIJACK_WITHIN)


async def announce(act: Act, incident: Incident) -> None:
    """Audit that an incident was opened and tell every active administrator."""
    told = {"rule": incident.rule, "severity": incident.severity.value}
    await act.audit("incident.opened", ("incident", incident.incident_id), details=told)
    roster = await act.unit.find(ROSTER, ROSTER_ID)
    if roster is not None:
        await act.notify("incident_opened", roster.user_ids, source_id=incident.incident_id, data=told, myself=True)


async def _raise_after_burst(act: Act, entry: AuditEntry) -> None:
    """Raise the severity of a burst of failed logins that a successful one has followed."""
    user_id = str(entry.actor.get("user_id"))
    about = Select({"subject": f"{SubjectKind.USER} {user_id}", "rule": LOGIN_BURST}, ("created_at",), descending=True)
    for incident in (await act.unit.page(INCIDENTS, about, limit=1)).items:
        apart = entry.at not in _aftermath(incident)
        if apart or incident.status is IncidentStatus.RESOLVED or incident.severity is not IncidentSeverity.MEDIUM:
            continue
        raised = attrs.evolve(
            incident, severity=IncidentSeverity.HIGH, updated_at=act.now, version=incident.version + 1
        )
        await act.unit.save(INCIDENTS, raised)
