"""What callers ask of API keys, and what they are answered (platform.md 4)."""

from datetime import datetime
from typing import Annotated

import attrs

from domain.access.principal import Scope
from domain.keys.rules import status_of
from domain.keys.values import ApiKey, KeyStatus, KeyUsage
from domain.shape import UNSET, Count, Id, Line, Range, Raw, Text, Unset

KeyName = Annotated[str, Line(1, 100)]
Scopes = Annotated[frozenset[Scope], Count(1, 20)]
Networks = Annotated[tuple[Annotated[str, Raw(1, 64)], ...], Count(0, 50)]
PerMinute = Annotated[int, Range(1, 60_000)]
PerDay = Annotated[int, Range(1, 10_000_000)]
Notes = Annotated[str, Text(0, 1000)]


@attrs.frozen
class NewKey:
    """`expires_at` None is never; left out it is a year from now."""

    name: KeyName
    scopes: Scopes
    allowed_networks: Networks = ()
    per_minute: PerMinute | None = None
    per_day: PerDay | None = None
    expires_at: datetime | Unset | None = UNSET
    notes: Notes = ""


@attrs.frozen
class KeyPatch:
    name: KeyName | Unset = UNSET
    scopes: Scopes | Unset = UNSET
    allowed_networks: Networks | Unset = UNSET
    per_minute: PerMinute | Unset | None = UNSET
    per_day: PerDay | Unset | None = UNSET
    expires_at: datetime | Unset | None = UNSET
    notes: Notes | Unset = UNSET


@attrs.frozen
class Rotation:
    """For how long the old secret stays good."""

    grace_seconds: Annotated[int, Range(0, 604_800)] = 0


@attrs.frozen
class KeyFilter:
    """Revoked keys are listed only when `status` asks for them."""

    status: frozenset[KeyStatus] = frozenset({KeyStatus.ACTIVE, KeyStatus.EXPIRED})
    created_by: Id | None = None


@attrs.frozen
class UsageQuery:
    days: Annotated[int, Range(1, 400)] = 30


@attrs.frozen
class KeyView:
    """A key without any trace of its secret but the first characters."""

    key_id: str
    workspace_id: str
    created_by: str
    name: str
    prefix: str
    status: KeyStatus
    scopes: frozenset[str]
    allowed_networks: tuple[str, ...]
    per_minute: int | None
    per_day: int | None
    expires_at: datetime | None
    notes: str
    previous_until: datetime | None
    created_at: datetime
    updated_at: datetime
    last_used_at: datetime | None
    revoked_at: datetime | None
    revoked_by: str | None
    version: int

    @classmethod
    def of(cls, key: ApiKey, now: datetime, last_used_at: datetime | None) -> "KeyView":
        own = [field.name for field in attrs.fields(cls) if field.name not in ("status", "last_used_at")]
        stored = {name: getattr(key, name) for name in own}
        return cls(**stored, status=status_of(key, now), last_used_at=last_used_at)


@attrs.frozen
class IssuedKey:
    """The one answer that tells the secret."""

    key: KeyView
    secret: str = attrs.field(repr=False)


@attrs.frozen
class Counts:
    requests: int = 0
    errors: int = 0
    limited: int = 0


@attrs.frozen
class DayCounts:
    date: str
    requests: int
    errors: int
    limited: int


@attrs.frozen
class UsageView:
    """`days` on which the key was used, newest first."""

    key_id: str
    total: Counts
    days: tuple[DayCounts, ...]

    @classmethod
    def of(cls, key_id: str, rows: tuple[KeyUsage, ...]) -> "UsageView":
        names = ("requests", "errors", "limited")
        total = Counts(**{name: sum(getattr(row, name) for row in rows) for name in names})
        newest_first = sorted(rows, key=lambda row: row.day, reverse=True)
        days = tuple(DayCounts(row.day, row.requests, row.errors, row.limited) for row in newest_first)
        return cls(key_id, total, days)
