"""Incidents: what a sequence of entries amounts to, and what people do about it (platform.md 6.6)."""

from collections.abc import Callable
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

import attrs

from domain.audit.values import AuditEntry
from domain.canonical import sha256_hex

MOST_ENTRIES: Final = 100
MOST_NOTES: Final = 200
MANUAL: Final = "manual"
Subject = tuple[str, str]


class IncidentStatus(StrEnum):
    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    RESOLVED = "resolved"


class IncidentSeverity(StrEnum):
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"


class IncidentCategory(StrEnum):
    UNAUTHORIZED_ACCESS = "unauthorized_access"
    CREDENTIAL_ABUSE = "credential_abuse"
    KEY_MISUSE = "key_misuse"
    PRIVILEGE = "privilege"
    INTEGRITY = "integrity"
    POLICY = "policy"
    OTHER = "other"


class SubjectKind(StrEnum):
    USER = "user"
    API_KEY = "api_key"
    ADDRESS = "address"
    ITEM = "item"
    LOG = "log"
    NONE = "none"


STEPS: Final = frozenset(
    {
        (IncidentStatus.OPEN, IncidentStatus.ACKNOWLEDGED),
        (IncidentStatus.ACKNOWLEDGED, IncidentStatus.RESOLVED),
        (IncidentStatus.OPEN, IncidentStatus.RESOLVED),
        (IncidentStatus.RESOLVED, IncidentStatus.OPEN),
    }
)


@attrs.frozen
class Note:
    """A remark; nobody changes it."""

    by: str
    at: datetime
    text: str


@attrs.frozen
class Incident:
    """`group` is what further hits of the rule are recognised by; `created_by` is a user or `system`."""

    incident_id: str
    rule: str
    category: IncidentCategory
    severity: IncidentSeverity
    title: str
    subject_kind: SubjectKind
    subject_id: str
    group: str
    count: int
    first_at: datetime
    last_at: datetime
    entry_ids: tuple[str, ...]
    created_by: str
    created_at: datetime
    updated_at: datetime
    status: IncidentStatus = IncidentStatus.OPEN
    assignee: str | None = None
    notes: tuple[Note, ...] = ()
    resolution: str | None = None
    acknowledged_at: datetime | None = None
    resolved_at: datetime | None = None
    version: int = 1


def standing(incident: Incident) -> str | None:
    """Return what there is one unresolved incident of: a rule and what it counts by."""
    if incident.rule == MANUAL or incident.status is IncidentStatus.RESOLVED:
        return None
    return f"{incident.rule} {incident.group}"


@attrs.frozen
class Hit:
    """One entry that a rule counts; `name` tells hits apart where different ones are counted."""

    at: datetime
    count: int
    entry_id: str
    name: str = ""


@attrs.frozen
class RuleWindow:
    """The recent hits of a rule by one group, while they are too few; of no use after `until_at`."""

    rule: str
    group: str
    until_at: datetime
    hits: tuple[Hit, ...] = ()
    version: int = 1


@attrs.frozen
class Rule:
    """Opens an incident when, within `window`, the entries of one group reach `threshold`.

    `groups` gives what an entry is counted by, None for one that does not count; `subject` what the incident is about.
    With `names` different names are counted instead of entries.
    """

    name: str
    category: IncidentCategory
    severity: IncidentSeverity
    title: str
    actions: frozenset[str]
    threshold: int
    window: timedelta
    groups: Callable[[AuditEntry], str | None]
    subject: Callable[[AuditEntry], Subject]
    names: Callable[[AuditEntry], str | None] | None = None

    def reached(self, hits: tuple[Hit, ...]) -> bool:
        """Tell whether these hits of one window are enough."""
        many = len(hits) if self.names is not None else sum(hit.count for hit in hits)
        return many >= self.threshold

    def with_hit(self, hits: tuple[Hit, ...], hit: Hit) -> tuple[Hit, ...]:
        """Return the hits that still count, with another one; of one name the newest stands for all."""
        recent = tuple(each for each in hits if hit.at - each.at < self.window)
        same = [each for each in recent if self.names is not None and each.name == hit.name]
        summed = attrs.evolve(hit, count=hit.count + sum(each.count for each in same))
        return (*(each for each in recent if each not in same), summed)


def _name(entry: AuditEntry) -> str | None:
    digest = entry.details.get("name_digest")
    return None if digest is None else str(digest)


def _named(entry: AuditEntry) -> Subject:
    if entry.resource.get("kind") == "user":
        return SubjectKind.USER, str(entry.resource["id"])
    return SubjectKind.NONE, str(_name(entry))


def _address(entry: AuditEntry) -> str | None:
    return None if entry.personal is None else entry.personal.get("address")


def _origin(entry: AuditEntry) -> str | None:
    """Return what stands for the address where hits are counted: an erased user's address must not stay there."""
    address = _address(entry)
    return None if address is None else sha256_hex(address.encode())[:32]


def _from(entry: AuditEntry) -> Subject:
    return SubjectKind.ADDRESS, str(_address(entry))


def _actor(entry: AuditEntry) -> str | None:
    key, user = entry.actor.get("key_id"), entry.actor.get("user_id")
    return f"{SubjectKind.API_KEY} {key}" if key else f"{SubjectKind.USER} {user}" if user else None


def _by_actor(entry: AuditEntry) -> Subject:
    kind, _, identity = str(_actor(entry)).partition(" ")
    return kind, identity


def _resource(entry: AuditEntry) -> str:
    return str(entry.resource.get("id"))


def _key(entry: AuditEntry) -> Subject:
    return SubjectKind.API_KEY, _resource(entry)


def _user(entry: AuditEntry) -> Subject:
    return SubjectKind.USER, _resource(entry)


def _granted_by_user(entry: AuditEntry) -> str | None:
    """Return whom somebody made an administrator, afterwards or from the start."""
    granted = entry.action == "account.admin_granted" or entry.details.get("is_admin") is True
    return _resource(entry) if granted and entry.actor.get("kind") in ("user", "api_key") else None


def _broken(entry: AuditEntry) -> Subject:
    return (SubjectKind.ITEM, _resource(entry)) if entry.resource.get("kind") == "item" else (SubjectKind.LOG, "audit")


def _if_reason(*reasons: str) -> Callable[[AuditEntry], str | None]:
    return lambda entry: _resource(entry) if entry.reason in reasons else None


def _minutes(count: int) -> timedelta:
    return timedelta(minutes=count)


_C, _S = IncidentCategory, IncidentSeverity
LOGIN_BURST: Final = "login_burst"
HIJACK_WITHIN: Final = _minutes(15)
RULES: Final[tuple[Rule, ...]] = (
    Rule(
        LOGIN_BURST, _C.CREDENTIAL_ABUSE, _S.MEDIUM, "Many failed logins for one name", frozenset({"login.failed"}),
        20, _minutes(15), _name, _named,
    ),
    Rule(
        "password_spray", _C.CREDENTIAL_ABUSE, _S.HIGH, "Failed logins for many names from one address",
        frozenset({"login.failed"}), 20, _minutes(15), _origin, _from, _name,
    ),
    Rule(
        "denied_burst", _C.UNAUTHORIZED_ACCESS, _S.MEDIUM, "Many refused requests of one principal",
        frozenset({"access.denied"}), 50, _minutes(5), _actor, _by_actor,
    ),
    Rule(
        "key_network", _C.KEY_MISUSE, _S.HIGH, "An API key was used from a foreign network",
        frozenset({"api_key.refused"}), 1, _minutes(1), _if_reason("address_not_allowed"), _key,
    ),
    Rule(
        "key_dead", _C.KEY_MISUSE, _S.MEDIUM, "A dead API key is still used", frozenset({"api_key.refused"}),
        10, _minutes(60), _if_reason("key_revoked", "key_expired"), _key,
    ),
    Rule(
        "token_forged", _C.CREDENTIAL_ABUSE, _S.MEDIUM, "Forged tokens from one address", frozenset({"token.forged"}),
        20, _minutes(5), _origin, _from,
    ),
    Rule(
        "refresh_reuse", _C.CREDENTIAL_ABUSE, _S.HIGH, "A used refresh token was sent again",
        frozenset({"session.reuse_detected"}), 1, _minutes(1), _resource, _user,
    ),
    Rule(
        "admin_granted", _C.PRIVILEGE, _S.MEDIUM, "Somebody was made an administrator",
        frozenset({"account.admin_granted", "account.created"}), 1, _minutes(1), _granted_by_user, _user,
    ),
    Rule(
        "integrity", _C.INTEGRITY, _S.CRITICAL, "Stored data fails verification",
        frozenset({"integrity.failed", "event.chain_broken"}), 1, _minutes(1), lambda entry: " ".join(_broken(entry)),
        _broken,
    ),
)  # fmt: skip
"""The rules as data: action, group, threshold, window."""


def hits_of(entry: AuditEntry) -> list[tuple[Rule, str, Hit]]:
    """Return the rules that count an entry, each with the group it counts by."""
    found: list[tuple[Rule, str, Hit]] = []
    for rule in RULES:
        group: Any = rule.groups(entry) if entry.action in rule.actions else None
        name = rule.names(entry) if rule.names is not None else ""
        if group is not None and name is not None:
            found.append((rule, group, Hit(entry.at, entry.count, entry.entry_id, name)))
    return found
