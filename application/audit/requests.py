"""What the audit is asked (platform.md 6.5)."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

import attrs

from domain.ports.queries import AnyOf, Between, Condition
from domain.shape import Id, Pattern, Raw


class Outcome(StrEnum):
    """How it ended: done, refused by a rule, or accepted but not carried out."""

    SUCCESS = "success"
    DENIED = "denied"
    FAILED = "failed"


class Severity(StrEnum):
    INFO = "info"
    NOTICE = "notice"
    WARNING = "warning"
    CRITICAL = "critical"


class ExportFormat(StrEnum):
    NDJSON = "ndjson"
    CSV = "csv"


Action = Annotated[str, Pattern(r"[a-z_]+\.([a-z_]+|\*)", "An action as item.created, or a group as item.*.")]
TraceId = Annotated[str, Pattern("[0-9a-f]{32}", "32 hexadecimal digits.", fold=True)]


@attrs.frozen
class AuditFilter:
    """Which entries; `from_` is inclusive, `to` exclusive."""

    from_: datetime | None = None
    to: datetime | None = None
    actor_user_id: Id | None = None
    key_id: Id | None = None
    action: Action | None = None
    resource_kind: Annotated[str, Raw(1, 32)] | None = None
    resource_id: Annotated[str, Raw(1, 128)] | None = None
    circuit_id: Id | None = None
    workspace_id: Id | None = None
    outcome: frozenset[Outcome] = frozenset()
    severity: frozenset[Severity] = frozenset()
    trace_id: TraceId | None = None

    @property
    def where(self) -> dict[str, Condition]:
        """The conditions on the columns of the audit."""
        equal = {
            "actor_user_id": self.actor_user_id,
            "actor_key_id": self.key_id,
            "resource_kind": self.resource_kind,
            "resource_id": self.resource_id,
            "circuit_id": self.circuit_id,
            "workspace_id": self.workspace_id,
            "trace_id": self.trace_id,
        }
        where: dict[str, Condition] = {name: value for name, value in equal.items() if value is not None}
        if self.action is not None:
            group, _, verb = self.action.partition(".")
            where |= {"action_group": group} if verb == "*" else {"action": self.action}
        if self.outcome:
            where["setback"] = _any_but(Outcome.SUCCESS, self.outcome)
        if self.severity:
            where["concern"] = _any_but(Severity.INFO, self.severity)
        if self.from_ is not None or self.to is not None:
            where["at"] = Between(self.from_, self.to)
        return where

    @property
    def named(self) -> dict[str, str]:
        """What was asked for, as the audit keeps it."""
        members = attrs.asdict(self, recurse=False)
        return {name.rstrip("_"): _said(value) for name, value in members.items() if value not in (None, frozenset())}


def _any_but(usual: StrEnum, wanted: frozenset[Any]) -> AnyOf:
    """Return the condition on a column that holds nothing for what is usual."""
    return AnyOf(tuple(None if each is usual else each.value for each in sorted(wanted)))


def _said(value: Any) -> str:
    return ",".join(sorted(value)) if isinstance(value, frozenset) else str(value)
