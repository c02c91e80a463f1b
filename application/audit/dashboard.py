"""Numbers of the audit, from the counts that the log keeps by day (platform.md 6.8)."""

from collections import Counter
from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Final

import attrs

from application.audit.requests import Outcome, Severity
from application.audit.service import Audit
from application.units import Units
from domain.access.principal import Principal
from domain.audit.incidents import IncidentSeverity, IncidentStatus
from domain.audit.log import EVERYBODY, ActorTotal
from domain.audit.sequencing import newest
from domain.errors import Fault, Invalid
from domain.ports.queries import Between, Condition, Select
from domain.ports.schema import AUDIT, AUDIT_DAYS, INCIDENTS
from domain.ports.storage import MAX_PAGE, Reader
from domain.ports.views import ActorTotals
from domain.shape import About

LONGEST: Final = 366
USUAL: Final = 7
TOP: Final = 10


@attrs.frozen
class DashboardPeriod:
    """UTC days, both included: at most 366, the last seven unless said otherwise."""

    from_: Annotated[date, About("The first day.")] | None = None
    to: Annotated[date, About("The last day.")] | None = None


@attrs.frozen
class DayTotals:
    """One day."""

    date: date
    total: int
    denied: int
    failed: int


@attrs.frozen
class EntryTotals:
    """How many entries the period has, and the last hours and days up to `as_of`."""

    total: int
    last_24h: int
    last_7d: int


@attrs.frozen
class IncidentTotals:
    """How many incidents there are."""

    open: int
    acknowledged: int
    resolved: int
    by_severity: Mapping[str, int]
    by_rule: Mapping[str, int]


@attrs.frozen
class LogState:
    """How far the log is."""

    tree_size: int
    unsequenced: int
    oldest_unsequenced_seconds: float | None


@attrs.frozen
class Dashboard:
    """Counts of sealed entries."""

    from_: date
    to: date
    as_of: datetime
    entries: EntryTotals
    by_outcome: Mapping[str, int]
    by_severity: Mapping[str, int]
    by_group: Mapping[str, int]
    by_day: tuple[DayTotals, ...]
    failed_logins_by_day: Mapping[str, int]
    incidents: IncidentTotals
    top_actors: tuple[ActorTotal, ...]
    top_denied: tuple[ActorTotal, ...]
    log: LogState


@attrs.frozen
class Dashboards:
    """For administrators."""

    units: Units
    audit: Audit

    async def show(self, principal: Principal, wanted: DashboardPeriod) -> Dashboard:
        """Return the numbers of a period. Raises Refusal `admin_required`, Invalid."""
        self.audit.require_admin(principal)
        now = self.units.clock.now()
        last = wanted.to or now.astimezone(UTC).date()
        first = wanted.from_ or last - timedelta(days=USUAL - 1)
        if not 0 <= (last - first).days < LONGEST:
            raise Invalid([Fault("out_of_range", f"From 1 to {LONGEST} days are expected.", parameter="to")])
        days = Between(f"{first:%Y-%m-%d}", f"{last + timedelta(days=1):%Y-%m-%d}")
        async with self.units.storage.read() as reader:
            counts = await _counts(reader, days)
            return Dashboard(
                from_=first,
                to=last,
                as_of=now,
                entries=EntryTotals(
                    sum(map(sum, (each.values() for each in counts.values()))),
                    await _sealed_since(reader, now - timedelta(days=1)),
                    await _sealed_since(reader, now - timedelta(days=7)),
                ),
                by_outcome={each.value: _sum(counts, outcome=each) for each in Outcome},
                by_severity={each.value: _sum(counts, severity=each) for each in Severity},
                by_group=_groups(counts),
                by_day=tuple(_day(day, each) for day, each in counts.items()),
                failed_logins_by_day={day: failed for day, each in counts.items() if (failed := _failed_logins(each))},
                incidents=await _incidents(reader),
                top_actors=await _top(reader, days, denied=False),
                top_denied=await _top(reader, days, denied=True),
                log=await _log(reader, now),
            )


Counts = dict[str, Mapping[str, int]]
"""By day, then by `action outcome severity`."""


async def _counts(reader: Reader, days: Between) -> Counts:
    query = Select({"actor": EVERYBODY, "day": days}, ("day",))
    return {row.day: row.counts for row in (await reader.page(AUDIT_DAYS, query, limit=MAX_PAGE)).items}


def _sum(counts: Counts, outcome: str | None = None, severity: str | None = None) -> int:
    total = 0
    for each in counts.values():
        for key, count in each.items():
            _, was, how = key.split(" ")
            total += count if outcome in (None, was) and severity in (None, how) else 0
    return total


def _groups(counts: Counts) -> Mapping[str, int]:
    groups: Counter[str] = Counter()
    for each in counts.values():
        for key, count in each.items():
            groups[key.partition(".")[0]] += count
    return dict(sorted(groups.items()))


def _day(day: str, counts: Mapping[str, int]) -> DayTotals:
    one = {day: counts}
    denied, failed = _sum(one, Outcome.DENIED), _sum(one, Outcome.FAILED)
    return DayTotals(date.fromisoformat(day), sum(counts.values()), denied, failed)


def _failed_logins(counts: Mapping[str, int]) -> int:
    return sum(count for key, count in counts.items() if key.startswith("login.failed "))


async def _sealed_since(reader: Reader, since: datetime) -> int:
    """Count the sealed entries since an instant: those of its own day by index, those of later days as counted."""
    tomorrow = datetime.combine(since.astimezone(UTC).date() + timedelta(days=1), datetime.min.time(), UTC)
    that_day: dict[str, Condition] = {"at": Between(since, tomorrow), "log_index": Between(0)}
    partly = sum((await reader.count(AUDIT, that_day, "action_group")).values())
    later = await _counts(reader, Between(f"{tomorrow:%Y-%m-%d}"))
    return partly + sum(sum(each.values()) for each in later.values())


async def _incidents(reader: Reader) -> IncidentTotals:
    by_status = await reader.count(INCIDENTS, {}, "status")
    by_severity = await reader.count(INCIDENTS, {}, "severity")
    by_rule = await reader.count(INCIDENTS, {}, "rule")
    return IncidentTotals(
        open=by_status.get(IncidentStatus.OPEN.value, 0),
        acknowledged=by_status.get(IncidentStatus.ACKNOWLEDGED.value, 0),
        resolved=by_status.get(IncidentStatus.RESOLVED.value, 0),
        by_severity={each.value: by_severity.get(each.value, 0) for each in IncidentSeverity},
        by_rule={str(rule): count for rule, count in sorted(by_rule.items(), key=str)},
    )


async def _top(reader: Reader, days: Between, *, denied: bool) -> tuple[ActorTotal, ...]:
    return (await reader.view(ActorTotals(days, denied=denied), limit=TOP)).items


async def _log(reader: Reader, now: datetime) -> LogState:
    head = await newest(reader)
    waiting = sum((await reader.count(AUDIT, {"log_index": None}, "action_group")).values())
    oldest = (await reader.page(AUDIT, Select({"log_index": None}, ("at",)), limit=1)).items
    seconds = round((now - oldest[0].at).total_seconds(), 3) if oldest else None
    return LogState(0 if head is None else head.tree_size, waiting, seconds)
