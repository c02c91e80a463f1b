"""Checking identifiers without looking at any item (identifiers.md 7)."""

from typing import Annotated

import attrs

from domain.document import Document
from domain.identifiers import (
    REGISTRY,
    TABLE_DATES,
    UNICODE_VERSION,
    Check,
    candidates,
    canonical_key,
    check,
)
from domain.shape import Count, Raw


@attrs.frozen
class CheckEntry:
    """One value to check; without a key the types it could be are answered."""

    value: Annotated[str, Raw(0, 1024)]
    key: Annotated[str, Raw(1, 64)] | None = None
    namespace: Annotated[str, Raw(1, 64)] | None = None


@attrs.frozen
class CheckRequest:
    identifiers: Annotated[tuple[CheckEntry, ...], Count(1, 1000)]


@attrs.frozen
class ReasonView:
    code: str
    detail: str


@attrs.frozen
class CandidateView:
    type: str
    evidence: str
    normalised: str


@attrs.frozen
class CheckView:
    """What a value is, without the value."""

    index: int
    key: str | None
    type: str | None
    evidence: str | None
    normalised: str | None
    display: str | None
    reasons: tuple[ReasonView, ...]
    attributes: Document
    candidates: tuple[CandidateView, ...] | None


@attrs.frozen
class CheckAnswer:
    results: tuple[CheckView, ...]


@attrs.frozen
class TypeView:
    """One row of the registry (identifiers.md 3)."""

    name: str
    aliases: tuple[str, ...]
    subject: str
    uniqueness: str
    single: bool
    privacy: str
    default_namespace: str
    pattern: str
    example: str
    levels: tuple[str, ...]
    reason_codes: tuple[str, ...]


@attrs.frozen
class TypesView:
    types: tuple[TypeView, ...]
    tables: Document
    unicode_version: str


def check_all(request: CheckRequest) -> CheckAnswer:
    """Return a result per entry, in order. Malformed numbers are results, not errors."""
    return CheckAnswer(tuple(_checked(index, entry) for index, entry in enumerate(request.identifiers)))


def _checked(index: int, entry: CheckEntry) -> CheckView:
    if entry.key is None:
        found = tuple(
            CandidateView(c.type or "", c.evidence.value, c.normalised or "") for c in candidates(entry.value)
        )
        return CheckView(index, None, None, None, None, None, (), Document(), found)
    key = canonical_key(entry.key)
    result: Check = check(key, entry.value)
    return CheckView(
        index=index,
        key=key,
        type=result.type,
        evidence=result.evidence.value,
        normalised=result.normalised,
        display=result.display,
        reasons=tuple(ReasonView(reason.code, reason.detail) for reason in result.reasons),
        attributes=result.attributes,
        candidates=None,
    )


def types() -> TypesView:
    """Return the registry with the dates of its tables."""
    rows = (
        TypeView(
            name=kind.name,
            aliases=kind.aliases,
            subject=kind.subject,
            uniqueness=kind.uniqueness.value,
            single=kind.single,
            privacy=kind.privacy.value,
            default_namespace=kind.default_namespace,
            pattern=kind.pattern,
            example=kind.example,
            levels=tuple(level.value for level in kind.levels),
            reason_codes=kind.reason_codes,
        )
        for kind in REGISTRY.values()
    )
    dates = {name: str(day) for name, day in TABLE_DATES.items()}
    return TypesView(tuple(rows), Document(dates), UNICODE_VERSION)
